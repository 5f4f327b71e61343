//! A form that is one button: something is done to one thing of a list.

use super::{KeyField, drawn_key, send::send};
use crate::{
    components::{Button, ButtonKind},
    live::Live,
    upload::idempotency_key,
    view,
};
use leptos::{ev::SubmitEvent, html, prelude::*, task::spawn_local};
use serde_json::Value;

/// `action`: where it is posted; `fields`: what it says; `done` hears of the answer; `name`: for screen readers, when
/// the words of the button alone do not tell which thing is meant; `once`: it makes something, and must not make it twice;
/// `steers`: it goes by what is on screen, and waits while that may be old; `locked`: why it cannot be done now; `hint`:
/// what it does, where the words are short; `busy`: is true while it is under way, for who has to know.
#[component]
pub fn Deed(
    #[prop(into)] action: String,
    words: &'static str,
    #[prop(optional)] fields: Vec<(&'static str, String)>,
    #[prop(optional)] kind: ButtonKind,
    #[prop(optional_no_strip, into)] name: Option<String>,
    #[prop(optional)] once: bool,
    #[prop(optional)] steers: bool,
    #[prop(optional, into)] locked: MaybeProp<&'static str>,
    #[prop(optional)] hint: Option<&'static str>,
    #[prop(optional)] busy: Option<RwSignal<bool>>,
    done: Callback<Value>,
) -> impl IntoView {
    let busy = busy.unwrap_or_else(|| RwSignal::new(false));
    let failed = RwSignal::new(None::<String>);
    let form = NodeRef::<html::Form>::new();
    let live = Live::expect();
    let key = drawn_key(form);
    let paused_reason = live.paused_reason();
    let waits = move || paused_reason.get().filter(|_| steers).or_else(|| locked.get());
    let to = action.clone();
    let on_submit = move |ev: SubmitEvent| {
        ev.prevent_default();
        let Some(element) = form.get_untracked() else { return };
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        failed.set(None);
        let to = to.clone();
        spawn_local(async move {
            let answer = send(&element, &to).await;
            busy.try_set(false);
            match answer {
                Ok(value) => {
                    key.try_set(idempotency_key());
                    // The form may be gone by its own doing: the news of the deed can come before the answer to it.
                    done.try_run(value);
                }
                Err(error) => {
                    if error.status() == 401 {
                        live.signed_out();
                    }
                    // Also then: the page may stay, for what is unsaved on it.
                    failed.try_set(Some(error.0.detail));
                }
            }
        });
    };
    view! {
        <form class="deed" method="post" action=action node_ref=form on:submit=on_submit>
            {fields
                .into_iter()
                .map(|(name, value)| view! { <input type="hidden" name=name value=value /> })
                .collect_view()}
            {once.then(|| view! { <KeyField key /> })}
            <Button
                kind
                submit=true
                busy
                disabled=Signal::derive(move || waits().is_some())
                attr:aria-label=name
                title=Signal::derive(move || waits().or(hint))
            >
                {words}
            </Button>
            {move || failed.get().map(|text| view! { <p class="deed-note" role="alert">{text}</p> })}
        </form>
    }
}
