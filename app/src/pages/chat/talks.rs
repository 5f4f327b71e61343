//! The conversations of a workspace: finding one, naming it, taking it along, deleting it.

use super::Here;
use crate::{
    components::{ButtonKind, Each, SearchField, key_of},
    forms::Deed,
    paths,
    server_fns::chat::{DeleteTalk, RenameTalk, TalkLine},
    undo::{Deleted, Undo},
    view,
};
use leptos::{prelude::*, server_fn::ServerFn};
use serde_json::Value;

#[component]
pub fn Talks(search: String, older: String) -> impl IntoView {
    let here: Here = expect_context();
    // The conversation that is open stays so, whatever is listed beside it.
    let listed = {
        let open = paths::chat(here.workspace, &here.conversation.get_untracked());
        let sign = if open.contains('?') { '&' } else { '?' };
        format!("{open}{sign}q={}", paths::encode(&search))
    };
    let behind = (!older.is_empty()).then(|| format!("{listed}&behind={}", paths::encode(&older)));
    let newest = (!here.behind.with_value(String::is_empty)).then_some(listed);
    let is_searched = !search.is_empty();
    let none = Memo::new(move |_| here.talks.with(Vec::is_empty));
    let path = paths::chat(here.workspace, "");
    // On a small screen they are folded away, so that there is room for what is asked; style sheets know what is small.
    let is_open = RwSignal::new(is_searched);
    view! {
        <nav class="chat-talks" aria-label="Conversations" data-open=move || is_open.get().to_string()>
            <button
                type="button"
                class="button chat-talks-more"
                aria-expanded=move || is_open.get().to_string()
                on:click=move |_| is_open.update(|open| *open = !*open)
            >
                "Conversations"
            </button>
            <div class="chat-talks-all">
                <form method="get" action=path role="search">
                    <SearchField label="Find a conversation" name="q" value=search maxlength=200 />
                </form>
                {move || none.get().then(|| view! {
                    <p class="meta">{if is_searched { "Nothing found." } else { "No conversation yet." }}</p>
                })}
                <ul class="chat-talk-list">
                    <Each
                        each=move || here.talks.get()
                        key=|talk: &TalkLine| key_of(0, &format!("{}\n{}", talk.conversation, talk.title))
                        show=|talk| view! { <Talk talk /> }
                    />
                </ul>
                {newest.map(|href| view! { <a class="link" href=href>"To the newest conversations"</a> })}
                {behind.map(|href| view! { <a class="link" href=href>"Older conversations"</a> })}
            </div>
        </nav>
    }
}

#[component]
fn Talk(talk: TalkLine) -> impl IntoView {
    let here: Here = expect_context();
    let TalkLine { conversation, title } = talk;
    let id = StoredValue::new(conversation.clone());
    let is_here = Memo::new(move |_| here.conversation.with(|of| id.with_value(|id| of == id)));
    let href = paths::chat(here.workspace, &conversation);
    let shown = title.clone();
    view! {
        <li class="chat-talk" data-here=move || is_here.get().to_string()>
            <a class="chat-talk-link" href=href aria-current=move || is_here.get().then_some("page")>{shown}</a>
            {move || is_here.get().then(|| view! { <Deeds conversation=id.get_value() title=title.clone() /> })}
        </li>
    }
}

/// What can be done with the one that is open.
#[component]
fn Deeds(conversation: String, title: String) -> impl IntoView {
    let here: Here = expect_context();
    let export = format!("/v1/chat/conversations/me/{}/export", paths::encode(&conversation));
    let fields = vec![("id", here.workspace.to_string()), ("conversation", conversation.clone())];
    let undo = Undo::expect();
    let deleted = Deleted::Talk(here.workspace, conversation.clone());
    let words = format!("The conversation “{title}” was deleted.");
    let gone = Callback::new(move |_: Value| {
        undo.offer(deleted.clone(), words.clone());
        here.leave.run(());
    });
    view! {
        <details class="chat-talk-deeds">
            <summary>"Name, export or delete"</summary>
            <form class="stack gap-2" method="post" action=RenameTalk::url()>
                <input type="hidden" name="id" value=here.workspace.to_string() />
                <input type="hidden" name="conversation" value=conversation />
                <label class="field-label" for="chat-title">"Title"</label>
                <input id="chat-title" class="input" name="title" value=title.clone() maxlength="120" required=true />
                <button type="submit" class="button">"Save title"</button>
            </form>
            <div class="row">
                <a class="button" href=export.clone() download="" rel="external">"Markdown"</a>
                <a class="button" href=format!("{export}?format=json") download="" rel="external">"JSON"</a>
            </div>
            <Deed
                action=DeleteTalk::url()
                words="Delete conversation"
                name=format!("Delete conversation: {title}")
                kind=ButtonKind::Danger
                fields
                busy=here.is_deleting
                done=gone
            />
        </details>
    }
}
