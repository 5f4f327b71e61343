//! The place to ask. Enter sends, Shift and Enter begin a new line. While an answer is made it can be stopped there, also
//! with Escape.

use super::Here;
use crate::{
    components::{Button, ButtonKind, IconName},
    error::AppError,
    forms::{FormState, KeyField, drawn_key},
    live::Live,
    server_fns::chat::{Ask, ask, stop_turn},
    upload::idempotency_key,
    view,
    wire::Wire,
};
use domain::{TurnId, chat::MAX_QUERY};
use leptos::{
    ev::{KeyboardEvent, SubmitEvent},
    html,
    prelude::*,
    server_fn::ServerFn,
    task::spawn_local,
};

#[component]
pub fn AskForm(start: FormState) -> impl IntoView {
    let here: Here = expect_context();
    let live = Live::expect();
    let paused = live.paused_reason();
    let refused = here.refused;
    let typed = Some(start.value("query")).filter(|typed| !typed.is_empty());
    let told =
        start.errors.of("query").iter().cloned().chain(start.message.clone()).collect::<Vec<_>>().join(" ");
    let trouble = RwSignal::new(told);
    let busy = RwSignal::new(false);
    let form = NodeRef::<html::Form>::new();
    let field = NodeRef::<html::Textarea>::new();
    let key = drawn_key(form);
    // What was sent under the key and not taken: other words are another question, which takes a key of its own.
    let sent_before = StoredValue::new(None::<String>);
    // The one that is being answered; there is at most one at the end of the list.
    let running = Memo::new(move |_| {
        let last = here.rows.with(|rows| rows.last().map(|(_, turn)| *turn))?;
        last.with(|turn| (turn.status == "processing").then(|| turn.id.clone()))
    });
    let send = move || {
        let Some(text) = field.get_untracked().map(|field| field.value()) else { return };
        let is_locked = paused.get_untracked().is_some() || refused.get_untracked().is_some();
        if busy.get_untracked() || running.get_untracked().is_some() || is_locked {
            return;
        }
        if sent_before.with_value(|before| before.as_ref().is_some_and(|before| *before != text)) {
            key.set(idempotency_key());
        }
        sent_before.set_value(Some(text.clone()));
        busy.set(true);
        trouble.set(String::new());
        spawn_local(async move {
            let (conversation, sent) = (here.conversation.get_untracked(), key.get_untracked());
            let answer = ask(here.workspace, text, conversation, sent).await;
            busy.try_set(false);
            match answer {
                Ok(Wire(asked)) => {
                    key.try_set(idempotency_key());
                    sent_before.try_set_value(None);
                    if let Some(field) = field.try_get_untracked().flatten() {
                        field.set_value("");
                    }
                    here.go_to_end();
                    here.take(asked);
                }
                Err(error) if error.status() == 401 => live.signed_out(),
                Err(error) => {
                    if error.0.code == "idempotency_key_reused" {
                        key.try_set(idempotency_key());
                    }
                    trouble.try_set(words_of(&error));
                }
            }
        });
    };
    let stop = move || {
        let Some(id) = running.get_untracked().and_then(|id| id.parse::<TurnId>().ok()) else { return };
        spawn_local(async move {
            if let Err(error) = stop_turn(id, here.workspace, String::new()).await {
                trouble.try_set(words_of(&error));
            }
        });
    };
    let on_key = move |ev: KeyboardEvent| {
        // A word that is still being put together is not sent.
        if ev.key() == "Enter" && !ev.shift_key() && !ev.is_composing() {
            ev.prevent_default();
            send();
        } else if ev.key() == "Escape" {
            stop();
        }
    };
    let waits =
        Signal::derive(move || running.get().is_some() || paused.get().is_some() || refused.get().is_some());
    view! {
        <form
            class="chat-ask"
            method="post"
            action=Ask::url()
            node_ref=form
            on:submit=move |ev: SubmitEvent| {
                ev.prevent_default();
                send();
            }
        >
            <input type="hidden" name="id" value=here.workspace.to_string() />
            <input type="hidden" name="conversation" value=move || here.conversation.get() />
            <KeyField key />
            <label class="sr-only" for="chat-query">"Question"</label>
            <textarea
                id="chat-query"
                class="input chat-query"
                name="query"
                rows="2"
                maxlength=MAX_QUERY.to_string()
                placeholder="Ask about these documents"
                required=true
                disabled=move || refused.get().is_some()
                autocomplete="off"
                aria-describedby="chat-trouble"
                aria-keyshortcuts="Enter"
                node_ref=field
                on:keydown=on_key
            >
                {typed}
            </textarea>
            <div class="chat-deeds">
                <p class="meta chat-hint">"Enter sends, Shift and Enter begin a new line."</p>
                {move || running.get().is_some().then(|| view! {
                    <button type="button" class="button" on:click=move |_| stop()>"Stop"</button>
                })}
                <Button submit=true kind=ButtonKind::Primary icon=IconName::ChevronRight busy disabled=waits>
                    "Ask"
                </Button>
            </div>
            {move || refused.get().map(|reason| view! { <p class="meta" role="status">{reason}</p> })}
            <p id="chat-trouble" class="chat-trouble" role="alert">{move || trouble.get()}</p>
        </form>
    }
}

/// What a refusal says: that of the field first.
pub fn words_of(error: &AppError) -> String {
    let field = error.field("query");
    if field.is_empty() { error.0.detail.clone() } else { field.join(" ") }
}
