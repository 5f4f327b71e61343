//! The root: what lives as long as the page does (stores, live link, uploads, clocks), and which page an address names.
use crate::{
    activity::Activity,
    clock::provide_clocks,
    components::Link,
    document::mark,
    effect::effect,
    forms::WayBack,
    layout::Layout,
    live::{Live, machine},
    pages::{ComponentsPage, NotFound, Page, SignInPage, SignUpPage},
    stores::Stores,
    undo::Undo,
    upload::Uploads,
    view,
};
use leptos::prelude::*;
use leptos_meta::provide_meta_context;
use leptos_router::{
    SsrMode,
    components::{ParentRoute, Route, Router, Routes},
    path,
};

#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    let stores = Stores::new();
    let live = Live::new(stores);
    provide_context(stores);
    provide_context(live);
    provide_context(Uploads::new(stores, live));
    provide_context(WayBack::listen());
    provide_clocks(live);
    Undo::provide();
    Activity::provide(stores, live);
    keep_marks(stores, live);

    // Pages with data render in order, so that they show it without a script.
    view! {
        <Router>
            <Routes fallback=NotFound>
                <Route path=path!("/signin") view=SignInPage />
                <Route path=path!("/signup") view=SignUpPage />
                <Route path=path!("/components") view=ComponentsPage />
                <ParentRoute path=path!("") view=Layout ssr=SsrMode::InOrder>
                    <Route path=path!("/") view=Page::Home ssr=SsrMode::InOrder />
                    <Route path=path!("/w/:id") view=Page::Workspace ssr=SsrMode::InOrder />
                    <Route path=path!("/w/:id/rag") view=Page::WorkspaceRag ssr=SsrMode::InOrder />
                    <Route path=path!("/w/:id/history") view=Page::WorkspaceHistory ssr=SsrMode::InOrder />
                    <Route path=path!("/w/:id/jobs") view=Page::Jobs ssr=SsrMode::InOrder />
                    <Route path=path!("/w/:id/jobs/:job") view=Page::Job ssr=SsrMode::InOrder />
                    <Route path=path!("/w/:id/analytics") view=Page::Analytics ssr=SsrMode::InOrder />
                    <Route path=path!("/errors") view=Page::Errors ssr=SsrMode::InOrder />
                    <Route path=path!("/d/:id/history") view=Page::DocumentHistory ssr=SsrMode::InOrder />
                    <Route path=path!("/w/:id/chat") view=Page::Chat ssr=SsrMode::InOrder />
                    <Route path=path!("/w/:id/retrieval") view=Page::Retrieval ssr=SsrMode::InOrder />
                    <Route path=path!("/d/:id/chunks/:chunk") view=Page::Passage ssr=SsrMode::InOrder />
                    <Route path=path!("/d/:id") view=Page::Document ssr=SsrMode::InOrder />
                    <ParentRoute path=path!("/settings") view=Page::Settings ssr=SsrMode::InOrder>
                        <Route path=path!("/profile") view=Page::Profile ssr=SsrMode::InOrder />
                        <Route path=path!("/password") view=Page::Password ssr=SsrMode::InOrder />
                        <Route path=path!("/preferences") view=Page::Preferences ssr=SsrMode::InOrder />
                        <Route path=path!("/notifications") view=Page::Notifications ssr=SsrMode::InOrder />
                        <Route path=path!("/rag") view=Page::DefaultRag ssr=SsrMode::InOrder />
                        <Route path=path!("/api-keys") view=Page::ApiKeys ssr=SsrMode::InOrder />
                        <Route path=path!("/account") view=Page::Account ssr=SsrMode::InOrder />
                        <Route path=path!("/sessions") view=Page::Sessions ssr=SsrMode::InOrder />
                    </ParentRoute>
                    <Route path=path!("/*any") view=NotFound ssr=SsrMode::InOrder />
                </ParentRoute>
            </Routes>
        </Router>
    }
}

/// The link as badge and style sheet know it.
pub fn link_of(status: machine::Link) -> Link {
    match status {
        machine::Link::Open { .. } => Link::Open,
        machine::Link::Off | machine::Link::Connecting { .. } => Link::Connecting,
        machine::Link::Waiting { .. } | machine::Link::Ended => Link::Closed,
    }
}

/// Keeps the attributes of `<html>` true. Effects run in the browser alone, after hydration.
fn keep_marks(stores: Stores, live: Live) {
    let link = Memo::new(move |_| link_of(live.status().get().link));
    effect(move || mark("data-live", link.get().as_str()));
    let transport = Memo::new(move |_| live.status().get().transport);
    effect(move || mark("data-transport", transport.get().as_str()));
    let user = stores.user();
    let look = user.clone();
    let theme = Memo::new(move |_| look.with(|u| u.as_ref().map(|u| u.theme)));
    effect(move || {
        if let Some(theme) = theme.get() {
            mark("data-theme", theme.as_str());
        }
    });
    let density = Memo::new(move |_| user.with(|u| u.as_ref().map(|u| u.density)));
    effect(move || {
        if let Some(density) = density.get() {
            mark("data-density", density.as_str());
        }
    });
    effect(move || mark("data-hydrated", ""));
}
