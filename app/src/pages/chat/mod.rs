//! The chat of a workspace: its conversations, the questions and answers of one of them, and the place to ask. Without a
//! script it shows what there is, and its form asks all the same; with one, an answer is shown as it is made.

mod ask;
mod elsewhere;
mod stream;
mod talks;
mod turn;

use super::{loaded, not_found::no_such, problem::Around};
use crate::{
    components::{Each, EmptyState, IconName, LinkButton, PageHeader, RowsSkeleton, TabTitle, key_of},
    effect::effect,
    forms::FormState,
    layout::{header_note, workspace_name},
    live::{Live, Screen},
    paths,
    server_fns::chat::{Asked, ChatPage as Read, ShownTurn, TalkLine, read_chat},
    stores::Stores,
    view,
    wire::page_data,
};
use ask::AskForm;
use domain::{WorkspaceId, provision::WorkspaceAction};
use leptos::{html, prelude::*};
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_params_map, use_query_map},
};
use talks::Talks;
use turn::TurnView;

/// Whoever is no further from the end than this, in pixels, stays at it when more comes.
const NEAR: i32 = 80;

#[component]
pub fn ChatPage() -> impl IntoView {
    Live::expect().shows(Screen::Other);
    provide_context(Around::default());
    let (params, query) = (use_params_map(), use_query_map());
    let id = Memo::new(move |_| params.with(|p| p.get("id")?.parse::<WorkspaceId>().ok()));
    let wanted = Memo::new(move |_| {
        query.with(|q| ["c", "q", "before", "behind"].map(|n| q.get(n).unwrap_or_default()))
    });
    let start = StoredValue::new(FormState::of_page());
    // What changes while it is read is read once more.
    let talks = Stores::expect().talks();
    let since = StoredValue::new(talks.get_untracked());
    let page = page_data(
        move || {
            since.set_value(talks.get_untracked());
            (id.get(), wanted.get())
        },
        move |(id, [conversation, search, before, behind])| async move {
            match id {
                Some(id) => read_chat(id, conversation, search, before, behind).await,
                None => Err(no_such("workspace")),
            }
        },
        true,
    );
    view! {
        <TabTitle text="Chat" />
        <div class="page chat-page">
            {loaded::read(
                page,
                || async {},
                "conversation",
                || view! { <RowsSkeleton rows=8 /> },
                |_, _, _| {},
                move |read, (), _| match id.get_untracked() {
                    Some(id) => {
                        let start = FormState::told_once(start);
                        let [.., behind] = wanted.get_untracked();
                        view! { <Chat id read start behind since=since.get_value() /> }
                    }
                    None => ().into_any(),
                },
            )}
        </div>
    }
}

/// A turn on the page, known by its id.
pub type Row = (String, RwSignal<ShownTurn>);

/// What the parts of the page share.
#[derive(Clone, Copy)]
pub struct Here {
    pub workspace: WorkspaceId,
    /// Empty until the first question of a new one was taken.
    pub conversation: RwSignal<String>,
    pub title: RwSignal<String>,
    pub talks: RwSignal<Vec<TalkLine>>,
    pub rows: RwSignal<Vec<Row>>,
    pub has_model: bool,
    /// Why nothing can be asked now, where that is so; what was answered before is read all the same.
    pub refused: Memo<Option<&'static str>>,
    /// The open conversation is being deleted by who is at this page.
    is_deleting: RwSignal<bool>,
    /// Takes the open conversation off the page, which is gone.
    leave: Callback<()>,
    /// With so many documents ready, the page has asked a question again by itself.
    pub repeated_with: StoredValue<Option<u64>>,
    /// What the list of conversations was searched for.
    search: StoredValue<String>,
    /// From where on they are listed; empty: from the newest.
    behind: StoredValue<String>,
    /// These are earlier questions; the newest stand on another page.
    is_past: bool,
    /// The list of turns, which scrolls by itself.
    list: NodeRef<html::Div>,
    /// The reader is at the end, and stays there.
    at_end: RwSignal<bool>,
}

impl Here {
    /// A question was taken: it stands at the end now, in the place of the one that it asks again.
    pub fn take(self, asked: Asked) {
        let Asked { conversation, title, turn } = asked;
        if self.conversation.get_untracked() != conversation {
            self.conversation.set(conversation.clone());
            show_address(&paths::chat(self.workspace, &conversation));
        }
        self.title.set(title.clone());
        self.talks.update(|talks| {
            talks.retain(|talk| talk.conversation != conversation);
            talks.insert(0, TalkLine { conversation, title });
        });
        if self.rows.with_untracked(|rows| rows.iter().any(|(id, _)| *id == turn.id)) {
            return;
        }
        self.rows.update(|rows| rows.push((turn.id.clone(), RwSignal::new(turn))));
        self.follow_end();
    }

    /// The same of a question that was asked again.
    pub fn take_again(self, of: RwSignal<ShownTurn>, asked: Asked) {
        of.update(|turn| {
            turn.is_replaced = true;
            turn.may_repeat = false;
        });
        self.take(asked);
    }

    /// A person did something that shows at the end.
    pub fn go_to_end(self) {
        self.at_end.set(true);
    }

    /// Whether nothing was asked after it.
    pub fn is_last(self, id: &str) -> bool {
        !self.is_past && self.rows.with_untracked(|rows| rows.last().is_some_and(|(last, _)| last == id))
    }

    /// Something grew: whoever read its end goes on reading it, and nobody else is moved. The last question stays in sight
    /// until its reader goes beyond it: the end of an answer that comes at once is not where one begins to read.
    pub fn follow_end(self) {
        if !self.at_end.try_get_untracked().unwrap_or(false) {
            return;
        }
        request_animation_frame(move || {
            let Some(list) = self.list.try_get_untracked().flatten() else { return };
            // A reader who has gone up since is heard of by now: what was scrolled is told before a frame is drawn.
            if self.at_end.try_get_untracked() != Some(true) {
                return;
            }
            let (top, end) = (list.scroll_top(), list.scroll_height() - list.client_height());
            let last =
                list.query_selector(":scope > .turn:last-of-type").ok().flatten().map_or(end, |turn| {
                    let below = turn.get_bounding_client_rect().top() - list.get_bounding_client_rect().top();
                    top + below as i32
                });
            list.set_scroll_top(if top > last + 1 { end } else { end.min(last) });
        });
    }

    fn scrolled(self) {
        if let Some(list) = self.list.get_untracked() {
            let left = list.scroll_height() - list.scroll_top() - list.client_height();
            self.at_end.set(left <= NEAR);
        }
    }
}

/// The address of what is shown, for a reload, without loading it.
fn show_address(path: &str) {
    if let Ok(history) = window().history() {
        let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(path));
    }
}

#[component]
fn Chat(id: WorkspaceId, read: Read, start: FormState, behind: String, since: u64) -> impl IntoView {
    let Read { name, conversation, title, talks, search, older, turns, earlier, is_past, has_model } = read;
    let whole = paths::chat(id, &conversation);
    let earlier = (!earlier.is_empty()).then(|| format!("{whole}&before={earlier}"));
    let rows: Vec<Row> = turns.into_iter().map(|turn| (turn.id.clone(), RwSignal::new(turn))).collect();
    let name = workspace_name(id, name);
    let workspace = Stores::expect().workspace(id);
    let refused = Memo::new(move |_| {
        let refusal = workspace.with(|w| w.as_ref().and_then(|w| w.status.refuses(WorkspaceAction::Chat)));
        refusal.map(|refusal| refusal.sentence)
    });
    let (conversation, title) = (RwSignal::new(conversation), RwSignal::new(title));
    let (talks, rows) = (RwSignal::new(talks), RwSignal::new(rows));
    let navigate = use_navigate();
    let leave = Callback::new(move |()| {
        let left = conversation.get_untracked();
        talks.update(|talks| talks.retain(|talk| talk.conversation != left));
        conversation.set(String::new());
        title.set(String::new());
        rows.set(Vec::new());
        // Where the conversation was begun on this page the router has that address already, and reads nothing anew. There
        // is nothing left to go back to.
        navigate(&paths::chat(id, ""), NavigateOptions { replace: true, ..NavigateOptions::default() });
    });
    let here = Here {
        workspace: id,
        conversation,
        title,
        talks,
        rows,
        has_model,
        refused,
        is_deleting: RwSignal::new(false),
        leave,
        repeated_with: StoredValue::new(None),
        search: StoredValue::new(search.clone()),
        behind: StoredValue::new(behind),
        is_past,
        list: NodeRef::new(),
        at_end: RwSignal::new(true),
    };
    provide_context(here);
    elsewhere::keep_up(here, since);
    // A conversation is opened at its end.
    effect(move || {
        if here.list.get().is_some() {
            here.follow_end();
        }
    });
    let shown = Signal::derive(move || {
        Some(here.title.get())
            .filter(|title| !title.is_empty())
            .unwrap_or_else(|| "New conversation".to_owned())
    });
    let is_empty = Memo::new(move |_| here.rows.with(Vec::is_empty));
    view! {
        <PageHeader title=shown note=header_note("Chat of", name)>
            <LinkButton href=paths::workspace(id) icon=IconName::Workspace>"Workspace"</LinkButton>
            // Loaded anew: the router does not know that the conversation got an address since.
            <LinkButton href=paths::chat(id, "") icon=IconName::Plus attr:rel="external">
                "New conversation"
            </LinkButton>
        </PageHeader>
        <div class="chat">
            <Talks search older />
            <section class="chat-main" aria-label="Conversation">
                <div
                    class="chat-list"
                    node_ref=here.list
                    tabindex="0"
                    role="region"
                    aria-label="Questions and answers"
                    on:scroll=move |_| here.scrolled()
                >
                    {earlier.map(|href| view! { <a class="link" href=href>"Earlier questions"</a> })}
                    {move || is_empty.get().then(|| view! {
                        <EmptyState
                            icon=IconName::Chat
                            title="Ask something about these documents"
                            text=if has_model {
                                "The answer names the passages that it rests on."
                            } else {
                                "Answers are extracts: sentences of the documents, each with its source."
                            }
                        />
                    })}
                    <Each
                        each=move || here.rows.get()
                        key=|(id, _): &Row| key_of(0, id)
                        show=|(_, turn)| view! { <TurnView turn /> }
                    />
                    {is_past.then(|| view! { <a class="link" href=whole>"To the newest questions"</a> })}
                </div>
                {(!is_past).then(|| view! { <AskForm start /> })}
            </section>
        </div>
    }
}
