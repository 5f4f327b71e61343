//! The form of a workspace, in a dialog: for a new one and for changes. It works without a script: then the server
//! renders it open, takes the form, and leads back to it with what was wrong. Its code is a part of the WASM of its own,
//! fetched when the dialog is opened for the first time.

use super::parts::{Fetched, Making, Part, Unfetched};
use crate::{
    AppError,
    components::{Button, ButtonKind, Dialog, Field, Reason, TextArea, guide_cursor},
    effect::{effect, effect_after},
    forms::{FormState, KeyField, drawn_key},
    live::Live,
    upload::idempotency_key,
    view,
};
use domain::{
    WorkspaceId,
    validate::{Description, FieldErrors, WorkspaceName},
};
use leptos::{ev::SubmitEvent, html, prelude::*, task::spawn_local};
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
};
use std::{future::Future, pin::Pin};
use wasm_split_helpers::wasm_split;

/// Whether the dialog is open. The address says so with `?parameter`, and `refused`: a refused form brought the person
/// back. Closed in whatever way, the address becomes that of the page without the dialog.
pub fn opened_by_address(
    parameter: &'static str,
    refused: bool,
    without: impl Fn() -> String + 'static,
) -> RwSignal<bool> {
    let query = use_query_map();
    let asks = Memo::new(move |_| query.with(|q| q.get(parameter).is_some()));
    let open = RwSignal::new(refused || asks.get_untracked());
    let navigate = use_navigate();
    effect_after(move |before: Option<bool>| {
        let asks = asks.get();
        if asks || before == Some(true) {
            open.set(asks);
        }
        asks
    });
    effect_after(move |was_open: Option<bool>| {
        let is_open = open.get();
        if was_open == Some(true) && !is_open && asks.get_untracked() {
            let to = untrack(&without);
            navigate(&to, NavigateOptions { replace: true, scroll: false, ..NavigateOptions::default() });
        }
        is_open
    });
    open
}

/// What a person typed, and the key under which it is sent.
pub struct Typed {
    pub name: String,
    pub description: String,
    pub key: String,
}

/// Sends what was typed. The call is made in the browser alone, so what it answers may stay on one thread.
pub type Send = Callback<Typed, Sending>;
pub type Sending = Pin<Box<dyn Future<Output = Result<(), AppError>>>>;

/// The id of the dialog. Where a page has it from the start, its part is needed to take the page over.
pub const ID: &str = "workspace-form";

/// What such a dialog is about.
#[derive(Clone)]
pub struct Asked {
    /// Of the dialog.
    pub title: &'static str,
    /// Of its button.
    pub verb: &'static str,
    /// Where a plain form goes.
    pub action: &'static str,
    pub open: RwSignal<bool>,
    /// Where the cross leads without a script.
    pub close_href: String,
    /// The workspace that is changed.
    pub of: Option<WorkspaceId>,
    /// What a form that was sent without a script left.
    pub refused: FormState,
    pub name: Signal<String>,
    pub description: Signal<String>,
    /// What the script does instead.
    pub send: Send,
}

/// Where the code of the dialog is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Code {
    OnTheWay,
    Here,
    /// It could not be fetched.
    Away,
}

/// A dialog whose code is a part of the WASM of its own, from the first time on that it is open.
#[component]
pub fn Lazily(
    open: RwSignal<bool>,
    what: &'static str,
    part: Part,
    make: Callback<(), Making>,
) -> impl IntoView {
    let wanted = Memo::new(move |before: Option<&bool>| before == Some(&true) || open.get());
    // Where it is open from the start its part came with the page. Else the fetching is waited for here and not by a
    // `Suspend`, for which the page around it would give way to its skeleton.
    let code = RwSignal::new(if open.get_untracked() { Code::Here } else { Code::OnTheWay });
    effect(move || {
        if wanted.get() && code.get_untracked() == Code::OnTheWay {
            spawn_local(async move {
                let is_here = part.fetch().await.is_ok();
                code.try_set(if is_here { Code::Here } else { Code::Away });
            });
        }
    });
    move || {
        let unfetched = move || view! { <Unfetched what part make /> };
        match code.get() {
            _ if !wanted.get() => None,
            Code::OnTheWay => None,
            Code::Away => Some(unfetched()),
            Code::Here => {
                let made = Suspend::new(async move { make.run(()).await.unwrap_or_else(|_| unfetched()) });
                Some(made.into_any())
            }
        }
    }
}

/// The form of a workspace.
#[component]
pub fn WorkspaceDialog(asked: Asked) -> impl IntoView {
    let open = asked.open;
    let asked = StoredValue::new(asked);
    let make = Callback::new(move |()| Box::pin(dialog(asked.get_value())) as Making);
    view! { <Lazily open what="form" part=Part::Dialog make /> }
}

#[wasm_split(dialog, fallible, preload(fetch_dialog))]
pub fn dialog(asked: Asked) -> Fetched {
    Ok(Shown(ShownProps { asked }).into_any())
}

#[component]
fn Shown(asked: Asked) -> impl IntoView {
    let Asked { title, verb, action, open, close_href, of, refused, name, description, send } = asked;
    let errors = RwSignal::new(refused.at_field("name"));
    let busy = RwSignal::new(false);
    let paused = Live::expect().paused_reason();
    let form = NodeRef::<html::Form>::new();
    let key = drawn_key(form);
    guide_cursor();
    let in_name = errors.with_untracked(|e| e.of("description").is_empty() || !e.of("name").is_empty());
    let error = move |field: &'static str| {
        Signal::derive(move || errors.with(|e| (!e.of(field).is_empty()).then(|| e.of(field).join(" "))))
    };
    effect_after(move |was_open: Option<bool>| {
        let is_open = open.get();
        if was_open == Some(true) && !is_open {
            errors.set(FieldErrors::default());
            // What was typed and not sent is given up: the next time the fields show how things are then.
            if let Some(form) = form.get_untracked() {
                form.reset();
            }
        }
        is_open
    });
    let on_submit = move |ev: SubmitEvent| {
        ev.prevent_default();
        let Some(form) = form.get_untracked() else { return };
        let (name, description) = (text_of(&form, "name"), text_of(&form, "description"));
        let wrong = check(&name, &description);
        let is_wrong = !wrong.is_empty();
        errors.set(wrong);
        if is_wrong || busy.get_untracked() {
            return;
        }
        busy.set(true);
        let sending = send.run(Typed { name, description, key: key.get_untracked() });
        spawn_local(async move {
            let done = sending.await;
            busy.try_set(false);
            match done {
                Ok(()) => {
                    key.try_set(idempotency_key());
                    open.try_set(false);
                }
                Err(e) => {
                    errors.try_set(told(e));
                }
            }
        });
    };
    view! {
        <Dialog id=ID title open close_href>
            <form class="form" method="post" action=action node_ref=form novalidate on:submit=on_submit>
                {match of {
                    Some(id) => view! { <input type="hidden" name="id" value=id.to_string() /> },
                    // Something is made, and must not be made twice.
                    None => view! { <KeyField key /> },
                }}
                <Field
                    label="Name"
                    name="name"
                    value=Signal::derive(move || Some(name.get()))
                    error=error("name")
                    help="3 to 100 letters, digits, spaces, - and _"
                    maxlength=100
                    autocomplete="off"
                    autofocus=in_name
                />
                <TextArea
                    label="Description"
                    name="description"
                    value=Signal::derive(move || Some(description.get()))
                    error=error("description")
                    maxlength=500
                    optional=true
                />
                <div class="form-actions">
                    <Reason text=paused />
                    <Button
                        kind=ButtonKind::Primary
                        submit=true
                        busy
                        disabled=Signal::derive(move || paused.get().is_some())
                        title=paused
                    >
                        {verb}
                    </Button>
                </div>
            </form>
        </Dialog>
    }
}

/// The same rules as on the server, before it is asked.
fn check(name: &str, description: &str) -> FieldErrors {
    let mut errors = FieldErrors::default();
    errors.take("name", WorkspaceName::parse(name));
    errors.take("description", Description::parse(description));
    errors
}

/// Messages at their fields; one that belongs to none stands at the name.
fn told(error: AppError) -> FieldErrors {
    if error.0.errors.is_empty() { FieldErrors::one("name", error.0.detail) } else { error.0.errors }
}

/// What a field of the form holds.
fn text_of(form: &web_sys::HtmlFormElement, field: &str) -> String {
    let data = web_sys::FormData::new_with_form(form).ok();
    data.and_then(|d| d.get(field).as_string()).unwrap_or_default()
}
