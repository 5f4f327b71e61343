//! The browsers that are signed in to the account, and signing them out. The list follows what happens elsewhere.

use super::super::problem::ProblemView;
use crate::{
    components::{Ago, ButtonKind, Each, RowsSkeleton, Said, TabTitle},
    effect::effect_after,
    forms::{Deed, FormState},
    live::Live,
    paths,
    server_fns::settings::{EndOtherSessions, EndSession, list_sessions},
    stores::Stores,
    view,
    wire::{Wire, page_data},
};
use domain::resource::{Page, Session};
use leptos::{prelude::*, server_fn::ServerFn, task::spawn_local};
use leptos_router::hooks::use_query_map;
use serde_json::Value;

/// The part of the list that is shown.
type Shown = RwSignal<Page<Session>>;

#[component]
pub fn SessionsPage() -> impl IntoView {
    let start = FormState::of_page();
    let query = use_query_map();
    let after = Memo::new(move |_| query.with(|query| query.get("after")));
    let sessions = page_data(move || after.get(), list_sessions, false);
    let said = RwSignal::new(start.said.or(start.message));
    view! {
        <TabTitle text="Sessions" />
        <section class="section">
            <p class="muted">"Each browser that is signed in to your account. End what you do not know."</p>
            <Said text=said of_list=true />
            <Transition fallback=|| view! { <RowsSkeleton rows=3 /> }>
                {move || Suspend::new(async move {
                    match sessions.await {
                        Ok(Wire(page)) => view! { <List page after=after.get_untracked() said /> },
                        Err(error) => {
                            let retry = Callback::new(move |()| sessions.refetch());
                            view! { <ProblemView error what="list" retry /> }
                        }
                    }
                })}
            </Transition>
        </section>
    }
}

#[component]
fn List(page: Page<Session>, after: Option<String>, said: RwSignal<Option<String>>) -> impl IntoView {
    let is_first = after.is_none();
    let shown: Shown = RwSignal::new(page);
    let read = reader(after, shown);
    // They belong to the list: the news of a deed can come before the answer to it, and takes its button away.
    let done = move |words: &'static str| {
        Callback::new(move |_: Value| {
            said.set(Some(words.to_owned()));
            read.run(());
        })
    };
    let (ended, ended_all) = (done("The session was ended."), done("All other sessions were ended."));
    let others = Memo::new(move |_| shown.with(|page| page.items.iter().any(|s| !s.current)));
    view! {
        <ul class="lines">
            <Each
                each=move || shown.get().items.into_iter().map(|session| (session, shown, ended)).collect()
                key=|(session, ..): &(Session, Shown, Callback<Value>)| session.id.uuid().as_u128()
                show=|(session, shown, ended)| view! { <Line session shown ended /> }
            />
        </ul>
        {move || {
            others.get().then(|| view! {
                <Deed
                    action=EndOtherSessions::url()
                    words="End all other sessions"
                    kind=ButtonKind::Danger
                    done=ended_all
                />
            })
        }}
        <Pages is_first shown />
    }
}

/// Reads the part of the list anew: when it is called, when the stream tells that other browsers are signed in than
/// before, and when the link is up again, which also closes the gap between the rendering of the page and its stream.
fn reader(after: Option<String>, shown: Shown) -> Callback<()> {
    // An answer that was overtaken by a newer one is old.
    let asked = StoredValue::new(0_u32);
    let read = Callback::new(move |()| {
        let (turn, after) = (asked.get_value() + 1, after.clone());
        asked.set_value(turn);
        spawn_local(async move {
            let answer = list_sessions(after).await;
            if let (Ok(Wire(page)), Some(newest)) = (answer, asked.try_get_value())
                && newest == turn
            {
                shown.try_set(page);
            }
        });
    });
    let told = Stores::expect().sessions_rev();
    let is_open = Live::expect().is_open();
    effect_after(move |before: Option<(u64, bool)>| {
        let now = (told.get(), is_open.get());
        if before.is_some_and(|before| before != now && now.1) {
            read.run(());
        }
        now
    });
    read
}

/// The way to those that are not shown.
#[component]
fn Pages(is_first: bool, shown: Shown) -> impl IntoView {
    let next = Memo::new(move |_| shown.with(|page| page.next.clone()));
    let older = move || {
        let href = format!("{}?after={}", paths::SETTINGS_SESSIONS, paths::encode(&next.get()?));
        Some(view! { <a class="link" href=href>"Older sessions"</a> })
    };
    view! {
        <nav class="row" aria-label="Pages of the list">
            {(!is_first).then(|| view! { <a class="link" href=paths::SETTINGS_SESSIONS>"Newest sessions"</a> })}
            {older}
        </nav>
    }
}

#[component]
fn Line(session: Session, shown: Shown, ended: Callback<Value>) -> impl IntoView {
    let Session { id, device, user_agent, ip, created_at, last_seen_at, current, .. } = session;
    let name = format!("End the session of {device} at {ip}");
    let seen = Signal::derive(move || {
        let of = |page: &Page<Session>| page.items.iter().find(|s| s.id == id).map(|s| s.last_seen_at);
        shown.with(of).unwrap_or(last_seen_at)
    });
    view! {
        <li class="line" data-session-id=id.to_string() data-current=current.then_some("")>
            <div class="line-body">
                <p class="line-title" title=user_agent>
                    {device}
                    {current.then(|| view! { <span class="mark">"This browser"</span> })}
                </p>
                <p class="meta num">
                    {ip} " · last seen " <Ago at=seen /> " · signed in "
                    <Ago at=Signal::stored(created_at) />
                </p>
            </div>
            {(!current).then(|| view! {
                <Deed
                    action=EndSession::url()
                    words="End session"
                    fields=vec![("id", id.to_string())]
                    name
                    done=ended
                />
            })}
        </li>
    }
}
