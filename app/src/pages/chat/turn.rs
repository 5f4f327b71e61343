//! A question with its answer: the steps while it is made, the text as it comes, the sources, and what can be done next.

use super::{Here, stream, stream::Told};
use crate::{
    components::{Icon, IconName, LinkButton, words},
    forms::Deed,
    live::Live,
    paths,
    server_fns::chat::{AskAgain, Asked, ShownSource, ShownStep, ShownTurn, ask_again, read_turn},
    stores::Stores,
    view,
    wire::{FromJson, Wire},
};
use domain::{TurnId, chat::TurnStep, message::count};
use leptos::{ev::MouseEvent, prelude::*, server_fn::ServerFn, task::spawn_local};
use serde_json::Value;
use std::time::Duration;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};

/// Until a lost answer is asked for again.
const AGAIN: Duration = Duration::from_secs(2);

/// A step that was told while the page is open.
#[derive(Clone, PartialEq)]
struct Heard {
    name: String,
    words: String,
    at: i64,
}

#[component]
pub fn TurnView(turn: RwSignal<ShownTurn>) -> impl IntoView {
    let here: Here = expect_context();
    let told = RwSignal::new(Vec::<Heard>::new());
    let html = RwSignal::new(turn.with_untracked(|t| t.html.clone()));
    let is_over = Memo::new(move |_| turn.with(|t| t.status != "processing"));
    follow(here, turn, told, html, is_over);
    let (id, query) = turn.with_untracked(|t| (t.id.clone(), t.query.clone()));
    let is_replaced = Memo::new(move |_| turn.with(|t| t.is_replaced));
    let title = format!("q-{id}");
    let named = title.clone();
    view! {
        <article
            class="turn"
            aria-labelledby=named
            data-turn-id=id
            data-status=move || turn.with(|t| t.status.clone())
            data-replaced=move || is_replaced.get().to_string()
            aria-busy=move || (!is_over.get()).then_some("true")
        >
            <h2 class="turn-query" id=title>{query}</h2>
            {move || match is_over.get() {
                false => view! { <Making turn told html /> },
                true => view! { <Ended turn /> },
            }}
        </article>
    }
}

/// Follows an answer that is not whole, in the browser.
fn follow(
    here: Here,
    turn: RwSignal<ShownTurn>,
    told: RwSignal<Vec<Heard>>,
    html: RwSignal<String>,
    is_over: Memo<bool>,
) {
    if is_over.get_untracked() {
        return;
    }
    let id = turn.with_untracked(|t| t.id.clone());
    let live = Live::expect();
    // Followed anew where the stream is over and the answer is not.
    let again = RwSignal::new(0_u32);
    let later = move || {
        let ask = move || {
            again.try_update(|times| *times += 1);
        };
        set_timeout(ask, AGAIN);
    };
    crate::effect::effect(move || {
        again.track();
        let after = turn.with_untracked(|t| t.last_event);
        let name = id.clone();
        stream::follow(&id, after, move |message| match message {
            Told::Step { name, words, at } => {
                // By then it is known which passages the answer will be made of.
                if name == TurnStep::SelectingModel.as_str() {
                    show_sources(turn);
                }
                // What is followed anew tells of it once more.
                told.try_update(|all| {
                    if all.iter().all(|step| step.name != name) {
                        all.push(Heard { name, words, at });
                    }
                });
                here.follow_end();
            }
            Told::Html(so_far) => {
                html.try_set(so_far);
                here.follow_end();
            }
            Told::End => {
                let Ok(id) = name.parse::<TurnId>() else { return };
                spawn_local(async move {
                    match read_turn(id).await {
                        // What came by now is told once more by the stream, from the same place on.
                        Ok(Wire(whole)) if whole.status == "processing" => later(),
                        Ok(Wire(whole)) => {
                            turn.try_set(whole);
                            here.follow_end();
                        }
                        Err(error) if error.status() == 401 => live.signed_out(),
                        Err(_) => later(),
                    }
                });
            }
        });
    });
}

/// Reads which passages were found, for the citations of an answer that is still on its way.
fn show_sources(turn: RwSignal<ShownTurn>) {
    let id = turn.try_with_untracked(|t| t.id.parse::<TurnId>().ok()).flatten();
    let Some(id) = id else { return };
    spawn_local(async move {
        // Where it cannot be read they come with the end.
        let Ok(Wire(whole)) = read_turn(id).await else { return };
        turn.try_update(|t| {
            if t.status == "processing" {
                t.sources = whole.sources;
            }
        });
    });
}

/// The steps, and the answer as it comes.
#[component]
fn Making(turn: RwSignal<ShownTurn>, told: RwSignal<Vec<Heard>>, html: RwSignal<String>) -> impl IntoView {
    let now =
        Memo::new(move |_| told.with(|all| all.last().map(|step| step.words.clone()).unwrap_or_default()));
    // After a reload only what comes since is told; what came before it stands in the page.
    let before = turn.with_untracked(|t| t.steps.clone());
    let strip = move || {
        let all = told.get();
        let step = |(n, step): (usize, &TurnStep)| {
            let place = all.iter().position(|t| t.name == step.as_str());
            let known = before.get(n);
            let state = match place {
                Some(at) if at + 1 == all.len() => "now",
                Some(_) => "done",
                None if known.is_none() => "waits",
                None if all.is_empty() && n + 1 == before.len() => "now",
                None => "done",
            };
            let took = match place {
                Some(at) => all.get(at + 1).map(|next| words::duration(next.at - all[at].at)),
                None => known.map(|step| step.took.clone()),
            };
            let took = took.unwrap_or_default();
            view! {
                <li class="chat-step" data-state=state aria-current=(state == "now").then_some("step")>
                    <span>{step.title()}</span>
                    <span class="meta">{took}</span>
                </li>
            }
        };
        TurnStep::ALL.iter().enumerate().map(step).collect_view()
    };
    let id = StoredValue::new(turn.with_untracked(|t| t.id.clone()));
    let sources = Memo::new(move |_| turn.with(|t| t.sources.clone()));
    view! {
        <ol class="chat-steps" aria-label="Steps">{strip}</ol>
        <p class="sr-only" role="status">{move || now.get()}</p>
        <div class="answer answer-live" aria-live="off" inner_html=move || html.get() on:click=to_source></div>
        {move || view! { <Sources id=id.get_value() sources=sources.get() /> }}
    }
}

#[component]
fn Ended(turn: RwSignal<ShownTurn>) -> impl IntoView {
    let whole = turn.get_untracked();
    let ShownTurn { id, html, steps, sources, note, error, hint, found_nothing, unsearched, .. } = whole;
    let has_failed = !error.is_empty();
    let shown = (!html.is_empty()).then(|| {
        view! {
            <div class="answer" inner_html=html on:click=to_source></div>
        }
    });
    view! {
        {shown}
        {has_failed.then(|| view! {
            <p class="turn-error" role="alert"><Icon name=IconName::CrossCircle /><span>{error}" "{hint}</span></p>
        })}
        <Sources id sources />
        <div class="turn-foot">
            <details class="turn-steps">
                <summary class="meta">{if note.is_empty() { "Steps".to_owned() } else { note }}</summary>
                <ol class="chat-steps" aria-label="Steps">{steps.into_iter().map(line).collect_view()}</ol>
            </details>
        </div>
        {(unsearched > 0).then(|| view! {
            <p class="turn-note">
                <Icon name=IconName::Info />
                <span>{count(unsearched, "document was", "documents were")}" still processing: the answer may be incomplete."</span>
            </p>
        })}
        {found_nothing.then(|| view! { <Nothing turn /> })}
        <Again turn has_failed unsearched />
    }
}

/// A citation leads to its source here: the router would take its address for another page. Without a script the browser
/// leads there.
fn to_source(ev: MouseEvent) {
    let pressed = ev.target().and_then(|pressed| pressed.dyn_into::<Element>().ok());
    let link = pressed.and_then(|pressed| pressed.closest("a.answer-cite").ok().flatten());
    let name = link.and_then(|link| Some(link.get_attribute("href")?.trim_start_matches('#').to_owned()));
    let card = name.and_then(|name| document().get_element_by_id(&name)?.dyn_into::<HtmlElement>().ok());
    if let Some(card) = card {
        ev.prevent_default();
        // It comes into sight with that.
        let _ = card.focus();
    }
}

fn line(step: ShownStep) -> AnyView {
    view! {
        <li class="chat-step" data-state="done">
            <span>{step.title}</span>
            <span class="meta">{step.took}</span>
        </li>
    }
}

#[component]
fn Sources(id: String, sources: Vec<ShownSource>) -> impl IntoView {
    if sources.is_empty() {
        return ().into_any();
    }
    let card = move |source: ShownSource| {
        let ShownSource { number, href, filename, place, text, cited } = source;
        let anchor = format!("s-{id}-{number}");
        let name = if place.is_empty() { filename } else { format!("{filename}, {place}") };
        view! {
            <li class="source-card" id=anchor data-cited=cited.to_string() tabindex="-1">
                <a class="link" href=href>{format!("{number}  {name}")}</a>
                <p class="source-text">{text}</p>
            </li>
        }
    };
    let (cited, others): (Vec<_>, Vec<_>) = sources.into_iter().partition(|source| source.cited);
    let (first, title, others) = match cited.is_empty() {
        true => (others, "Passages that were found", vec![]),
        false => (cited, "Sources", others),
    };
    let more = count(others.len() as u64, "passage more was found", "passages more were found");
    let has_more = !others.is_empty();
    view! {
        <section class="turn-sources" aria-label=title>
            <h3 class="section-title">{title}</h3>
            <ol class="source-cards">{first.into_iter().map(&card).collect_view()}</ol>
            {has_more.then(|| view! {
                <details>
                    <summary class="meta">{more}</summary>
                    <ol class="source-cards">{others.into_iter().map(&card).collect_view()}</ol>
                </details>
            })}
        </section>
    }
    .into_any()
}

/// Nothing answers the question: what can be done about it.
#[component]
fn Nothing(turn: RwSignal<ShownTurn>) -> impl IntoView {
    let here: Here = expect_context();
    let waits = RwSignal::new(false);
    ask_when_ready(here, turn, waits);
    let may_repeat = Memo::new(move |_| turn.with(|t| t.may_repeat));
    let page = paths::workspace(here.workspace);
    let crawl = format!("{page}?crawl");
    let id = turn.with_untracked(|t| t.id.clone());
    let fields = vec![
        ("id", id),
        ("workspace", here.workspace.to_string()),
        ("conversation", here.conversation.get_untracked()),
        ("without", "true".to_owned()),
    ];
    let done = Callback::new(move |value: Value| taken(here, turn, &value));
    view! {
        <div class="panel stack gap-2 turn-nothing">
            <p>"Add what may answer it, and the question is asked again by itself when that is ready."</p>
            <div class="row">
                <LinkButton href=page icon=IconName::Upload attr:target="_blank">"Upload documents"</LinkButton>
                <LinkButton href=crawl icon=IconName::Globe attr:target="_blank">"Crawl a site"</LinkButton>
                {(here.has_model && may_repeat.get_untracked()).then(|| view! {
                    <Deed action=AskAgain::url() words="Go on without documents" fields locked=here.refused done />
                })}
            </div>
            {move || waits.get().then(|| view! {
                <p class="meta" role="status">"Waiting for a new document. Keep this page open."</p>
            })}
        </div>
    }
}

/// Asks a question for which nothing was found again, once, as soon as the workspace has a document more that is ready than
/// it had when it was asked: also one that became so while nobody looked at this page.
fn ask_when_ready(here: Here, turn: RwSignal<ShownTurn>, waits: RwSignal<bool>) {
    let live = Live::expect();
    let paused = live.paused_reason();
    let workspace = Stores::expect().workspace(here.workspace);
    let ready = Memo::new(move |_| workspace.with(|w| w.as_ref().map(|w| w.counts.ready)));
    let searched = turn.with_untracked(|t| t.searched);
    crate::effect::effect_after(move |before: Option<Option<u64>>| {
        let (now, is_paused) = (ready.get(), paused.get().is_some() || here.refused.get().is_some());
        let may_repeat = turn.with(|t| t.may_repeat);
        waits.set(may_repeat && now.is_some());
        let least = before.flatten().or(searched);
        // Documents went: as many as there were once are others now.
        if least.zip(now).is_some_and(|(least, now)| now < least) {
            here.repeated_with.set_value(None);
        }
        let more = least.zip(now).filter(|(least, now)| now > least).map(|(_, now)| now);
        // Once for each number of them, in case an older one is shown here than the answer knew.
        let is_wanted = may_repeat && !is_paused && here.repeated_with.get_value() != more;
        // Whoever has asked something else since wants that.
        if let Some(more) = more
            && is_wanted
            && turn.with_untracked(|t| here.is_last(&t.id))
        {
            repeat(here, live, turn, more);
        }
        match (least, now) {
            (Some(least), Some(now)) => Some(least.min(now)),
            (least, now) => now.or(least),
        }
    });
}

fn repeat(here: Here, live: Live, turn: RwSignal<ShownTurn>, ready: u64) {
    let Some(id) = turn.with_untracked(|t| t.id.parse::<TurnId>().ok()) else { return };
    // At once, so that nothing asks a second time.
    turn.update(|t| t.may_repeat = false);
    let conversation = here.conversation.get_untracked();
    spawn_local(async move {
        let asked = match ask_again(id, here.workspace, conversation, false).await {
            Ok(Wire(asked)) => Some(asked),
            Err(error) if error.status() == 401 => return live.signed_out(),
            // Another tab was first, say.
            Err(error) if error.status() == 409 => asked_meanwhile(here, id).await,
            Err(_) => None,
        };
        match asked {
            // The page was left.
            _ if here.title.try_get_untracked().is_none() => {}
            Some(asked) => {
                here.repeated_with.set_value(Some(ready));
                here.take_again(turn, asked);
            }
            None => {
                let later = move || {
                    turn.try_update(|t| t.may_repeat = true);
                };
                set_timeout(later, AGAIN);
            }
        }
    });
}

/// The turn that asks the question of that one again, whoever began it.
async fn asked_meanwhile(here: Here, id: TurnId) -> Option<Asked> {
    let Wire(old) = read_turn(id).await.ok()?;
    let Wire(turn) = read_turn(old.again_as.parse().ok()?).await.ok()?;
    let (conversation, title) = (here.conversation.try_get_untracked()?, here.title.try_get_untracked()?);
    Some(Asked { conversation, title, turn })
}

fn taken(here: Here, turn: RwSignal<ShownTurn>, value: &Value) {
    if let Some(asked) = Asked::from_json(value) {
        here.go_to_end();
        here.take_again(turn, asked);
    }
}

/// Asking again: after a failure, after a stop, and where documents were missing.
#[component]
fn Again(turn: RwSignal<ShownTurn>, has_failed: bool, unsearched: u64) -> impl IntoView {
    let here: Here = expect_context();
    let is_stopped = turn.with_untracked(|t| t.status == "stopped");
    let words = if has_failed { "Retry" } else { "Ask again" };
    let offers = has_failed || is_stopped || unsearched > 0;
    let may_repeat = Memo::new(move |_| turn.with(|t| t.may_repeat));
    let done = Callback::new(move |value: Value| taken(here, turn, &value));
    let fields = move || {
        vec![
            ("id", turn.with_untracked(|t| t.id.clone())),
            ("workspace", here.workspace.to_string()),
            ("conversation", here.conversation.get_untracked()),
        ]
    };
    let workspace = Stores::expect().workspace(here.workspace);
    let left = Memo::new(move |_| workspace.with(|w| w.as_ref().map_or(0, |w| w.counts.processing)));
    let state = Signal::derive(move || match left.get() {
        _ if unsearched == 0 => None,
        0 => Some("All of them are ready now.".to_owned()),
        n => Some(format!("{} still processing.", count(n, "document is", "documents are"))),
    });
    move || {
        (offers && may_repeat.get()).then(|| {
            view! {
                <div class="row turn-again">
                    <Deed action=AskAgain::url() words fields=fields() locked=here.refused done />
                    <span class="meta">{move || state.get()}</span>
                </div>
            }
        })
    }
}
