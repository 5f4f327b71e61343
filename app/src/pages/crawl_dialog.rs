//! The form of a crawl, in a dialog. It works without a script: then the server renders it open, takes the form, and leads
//! back to it with what was wrong. Its code is a part of the WASM of its own, fetched when the dialog is opened first.

use super::{
    parts::{Fetched, Making, Part},
    workspace_dialog::Lazily,
};
use crate::{
    components::{Dialog, Field},
    effect::effect_after,
    forms::{Afterwards, FormState, Hooks, SaveForm, Typed, error_of},
    server_fns::workspaces::CrawlSite,
    view,
};
use domain::{
    FieldErrors, WorkspaceId,
    crawl::{CrawlForm, DEPTH, PAGES},
    message::number,
};
use leptos::{prelude::*, server_fn::ServerFn};
use serde_json::Value;
use wasm_split_helpers::wasm_split;

/// The id of the dialog. Where a page has it from the start, its part is needed to take the page over.
pub const ID: &str = "crawl-form";

/// What the dialog is about.
#[derive(Clone)]
pub struct Asked {
    /// Where the pages go.
    pub workspace: WorkspaceId,
    pub open: RwSignal<bool>,
    /// Where the cross leads without a script.
    pub close_href: String,
    /// What a form that was sent without a script left.
    pub refused: FormState,
    /// Why nothing can be added now.
    pub locked: Memo<Option<&'static str>>,
}

#[component]
pub fn CrawlDialog(asked: Asked) -> impl IntoView {
    let open = asked.open;
    let asked = StoredValue::new(asked);
    let make = Callback::new(move |()| Box::pin(crawl(asked.get_value())) as Making);
    view! { <Lazily open what="form" part=Part::Crawl make /> }
}

#[wasm_split(crawl, fallible, preload(fetch_crawl))]
pub fn crawl(asked: Asked) -> Fetched {
    Ok(Shown(ShownProps { asked }).into_any())
}

#[component]
fn Shown(asked: Asked) -> impl IntoView {
    let Asked { workspace, open, close_href, refused, locked } = asked;
    // What was typed and not sent is given up when the dialog is closed, with what was wrong with it.
    let round = RwSignal::new(0u32);
    let first = StoredValue::new(refused);
    effect_after(move |was_open: Option<bool>| {
        let is_open = open.get();
        if was_open == Some(true) && !is_open {
            first.set_value(FormState::default());
            round.update(|n| *n += 1);
        }
        is_open
    });
    let form = move || {
        round.track();
        view! { <Form workspace open start=first.get_value() locked /> }
    };
    view! { <Dialog id=ID title="Crawl a site" open close_href>{form}</Dialog> }
}

#[component]
fn Form(
    workspace: WorkspaceId,
    open: RwSignal<bool>,
    start: FormState,
    locked: Memo<Option<&'static str>>,
) -> impl IntoView {
    let typed = |field: &str| start.value(field);
    let (url, prefix) = (typed("url"), typed("prefix"));
    let (max_pages, max_depth) = (typed("max_pages"), typed("max_depth"));
    let hooks = Hooks {
        check: Some(Callback::new(|typed: Typed| check(&typed))),
        saved: Some(Callback::new(move |_: Value| {
            open.set(false);
            None
        })),
        ..Hooks::default()
    };
    view! {
        <SaveForm
            action=CrawlSite::url()
            verb="Crawl"
            said="The crawl has begun."
            name="crawl"
            start
            afterwards=Afterwards::Clear
            hooks
            once=true
            locked
        >
            <input type="hidden" name="id" value=workspace.to_string() />
            <Field
                label="Address"
                name="url"
                kind="url"
                value=url
                error=error_of("url")
                help="The page to begin with. What its robots.txt keeps away is left alone."
                placeholder="https://example.org/docs/"
                autocomplete="url"
                autofocus=true
            />
            <Field
                label="Only addresses that begin with"
                name="prefix"
                kind="url"
                value=prefix
                error=error_of("prefix")
                help="When it is empty: what lies beside the first page, and below."
                autocomplete="off"
                optional=true
            />
            <Field
                label="Most pages"
                name="max_pages"
                numeric=true
                unit="pages"
                value=max_pages
                error=error_of("max_pages")
                help=format!("When it is empty: {}.", number(PAGES.into()))
                autocomplete="off"
                optional=true
            />
            <Field
                label="Depth"
                name="max_depth"
                numeric=true
                unit="links"
                value=max_depth
                error=error_of("max_depth")
                help=format!("So many links away from the first page, at most. When it is empty: {DEPTH}.")
                autocomplete="off"
                optional=true
            />
        </SaveForm>
    }
}

/// The same rules as on the server, before it is asked. Which addresses may be asked only the server knows.
fn check(typed: &Typed) -> FieldErrors {
    let text = |field: &str| typed.text(field);
    CrawlForm::typed(&text("url"), &text("prefix"), &text("max_pages"), &text("max_depth"))
        .err()
        .unwrap_or_default()
}
