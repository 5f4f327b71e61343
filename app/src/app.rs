//! The root: what lives as long as the page does (stores, live link, uploads, clocks), and which page an address names.

use crate::{
    activity::Activity,
    clock::provide_clocks,
    components::Link,
    document::mark,
    forms::WayBack,
    layout::Layout,
    live::{Live, machine},
    pages::{
        AccountPage, AnalyticsPage, ApiKeysPage, ComponentsPage, DefaultRagPage, DocumentHistoryPage,
        DocumentPage, HomePage, NotFound, PasswordPage, PreferencesPage, ProfilePage, SessionsPage,
        SettingsFrame, SignInPage, SignUpPage, WorkspaceHistoryPage, WorkspacePage, WorkspaceRagPage,
    },
    stores::Stores,
    upload::Uploads,
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
                    <Route path=path!("/") view=HomePage ssr=SsrMode::InOrder />
                    <Route path=path!("/w/:id") view=WorkspacePage ssr=SsrMode::InOrder />
                    <Route path=path!("/w/:id/rag") view=WorkspaceRagPage ssr=SsrMode::InOrder />
                    <Route path=path!("/w/:id/history") view=WorkspaceHistoryPage ssr=SsrMode::InOrder />
                    <Route path=path!("/w/:id/analytics") view=AnalyticsPage ssr=SsrMode::InOrder />
                    <Route path=path!("/d/:id/history") view=DocumentHistoryPage ssr=SsrMode::InOrder />
                    <Route path=path!("/d/:id") view=DocumentPage ssr=SsrMode::InOrder />
                    <ParentRoute path=path!("/settings") view=SettingsFrame ssr=SsrMode::InOrder>
                        <Route path=path!("/profile") view=ProfilePage ssr=SsrMode::InOrder />
                        <Route path=path!("/password") view=PasswordPage ssr=SsrMode::InOrder />
                        <Route path=path!("/preferences") view=PreferencesPage ssr=SsrMode::InOrder />
                        <Route path=path!("/rag") view=DefaultRagPage ssr=SsrMode::InOrder />
                        <Route path=path!("/api-keys") view=ApiKeysPage ssr=SsrMode::InOrder />
                        <Route path=path!("/account") view=AccountPage ssr=SsrMode::InOrder />
                        <Route path=path!("/sessions") view=SessionsPage ssr=SsrMode::InOrder />
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
    Effect::new(move |_| mark("data-live", link.get().as_str()));
    let transport = Memo::new(move |_| live.status().get().transport);
    Effect::new(move |_| mark("data-transport", transport.get().as_str()));
    let user = stores.user();
    let look = user.clone();
    let theme = Memo::new(move |_| look.with(|u| u.as_ref().map(|u| u.theme)));
    Effect::new(move |_| {
        if let Some(theme) = theme.get() {
            mark("data-theme", theme.as_str());
        }
    });
    let density = Memo::new(move |_| user.with(|u| u.as_ref().map(|u| u.density)));
    Effect::new(move |_| {
        if let Some(density) = density.get() {
            mark("data-density", density.as_str());
        }
    });
    Effect::new(move |_| mark("data-hydrated", ""));
}
