//! The browsers that are signed in to the account, and signing them out.

use super::super::problem::ProblemView;
use crate::{
    components::{Ago, ButtonKind, RowsSkeleton, Said, TabTitle},
    forms::{Deed, FormState},
    paths,
    server_fns::settings::{EndOtherSessions, EndSession, list_sessions},
    view,
    wire::{Wire, page_data},
};
use domain::resource::{Page, Session};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_query_map;

#[component]
pub fn SessionsPage() -> impl IntoView {
    let start = FormState::of_page();
    let query = use_query_map();
    let after = Memo::new(move |_| query.with(|query| query.get("after")));
    let sessions = page_data(move || after.get(), list_sessions, false);
    let said = RwSignal::new(start.said.or(start.message));
    let again = Callback::new(move |words: &'static str| {
        said.set(Some(words.to_owned()));
        sessions.refetch();
    });
    view! {
        <TabTitle text="Sessions" />
        <section class="section">
            <p class="muted">"Each browser that is signed in to your account. End what you do not know."</p>
            <Said text=said of_list=true />
            <Transition fallback=|| view! { <RowsSkeleton rows=3 /> }>
                {move || Suspend::new(async move {
                    match sessions.await {
                        Ok(Wire(Page { items, next })) => view! {
                            <List sessions=items again />
                            <Pages is_first=after.get_untracked().is_none() next />
                        },
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
fn List(sessions: Vec<Session>, again: Callback<&'static str>) -> impl IntoView {
    let others = sessions.iter().any(|s| !s.current);
    view! {
        <ul class="lines">
            {sessions.into_iter().map(|session| view! { <Line session again /> }).collect_view()}
        </ul>
        {others.then(|| view! {
            <Deed
                action=EndOtherSessions::url()
                words="End all other sessions"
                kind=ButtonKind::Danger
                done=Callback::new(move |_| again.run("All other sessions were ended."))
            />
        })}
    }
}

/// The way to those that are not shown.
#[component]
fn Pages(is_first: bool, next: Option<String>) -> impl IntoView {
    let older = next.map(|next| format!("{}?after={}", paths::SETTINGS_SESSIONS, paths::encode(&next)));
    view! {
        <nav class="row" aria-label="Pages of the list">
            {(!is_first).then(|| view! { <a class="link" href=paths::SETTINGS_SESSIONS>"Newest sessions"</a> })}
            {older.map(|href| view! { <a class="link" href=href>"Older sessions"</a> })}
        </nav>
    }
}

#[component]
fn Line(session: Session, again: Callback<&'static str>) -> impl IntoView {
    let Session { id, device, user_agent, ip, created_at, last_seen_at, current, .. } = session;
    let name = format!("End the session of {device} at {ip}");
    view! {
        <li class="line" data-session-id=id.to_string() data-current=current.then_some("")>
            <div class="line-body">
                <p class="line-title" title=user_agent>
                    {device}
                    {current.then(|| view! { <span class="mark">"This browser"</span> })}
                </p>
                <p class="meta num">
                    {ip} " · last seen " <Ago at=Signal::stored(last_seen_at) /> " · signed in "
                    <Ago at=Signal::stored(created_at) />
                </p>
            </div>
            {(!current).then(|| view! {
                <Deed
                    action=EndSession::url()
                    words="End session"
                    fields=vec![("id", id.to_string())]
                    name
                    done=Callback::new(move |_| again.run("The session was ended."))
                />
            })}
        </li>
    }
}
