//! The history of a workspace or a document: what happened, when, by whom and from which status. It follows the stream,
//! and can be taken away as a file.

use super::{
    loaded::loaded,
    not_found::{Deleted, WorkspaceDeleted, no_such},
};
use crate::{
    AppError,
    components::{Button, Each, EmptyState, Exactly, IconName, LinkButton, PageHeader, TabTitle},
    effect::effect_after,
    layout::{header_note, workspace_name},
    server_fns::history::{HistoryLine, HistoryPage as Part, document_history, workspace_history},
    stores::Stores,
    view,
    wire::{FromJson, Wire, page_data},
};
use domain::{DocumentId, WorkspaceId, event::FileProgress, resource::Page};
use leptos::{leptos_dom::helpers::TimeoutHandle, prelude::*, task::spawn_local};
use leptos_router::hooks::{use_params_map, use_query_map};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// What happens at once is read at once.
const GATHERED: Duration = Duration::from_millis(500);
/// What could not be read is asked for again so much later.
const AGAIN: Duration = Duration::from_secs(5);

/// Whose history it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Of {
    Workspace(WorkspaceId),
    Document(DocumentId),
}

impl FromJson for Of {
    fn from_json(value: &Value) -> Option<Self> {
        // As serde writes it.
        let (kind, id) = value.as_object()?.iter().next()?;
        match kind.as_str() {
            "Workspace" => WorkspaceId::from_json(id).map(Self::Workspace),
            "Document" => DocumentId::from_json(id).map(Self::Document),
            _ => None,
        }
    }
}

impl Of {
    async fn read(self, after: Option<String>, all: bool) -> Result<Wire<Part>, AppError> {
        match self {
            Of::Workspace(id) => workspace_history(id, after, all).await,
            Of::Document(id) => document_history(id, after, all).await,
        }
    }

    /// Its name as it is now; the one that was read where the stores know none.
    fn name(self, read: String) -> Signal<String> {
        match self {
            Of::Workspace(id) => workspace_name(id, read),
            Of::Document(id) => {
                let document = Stores::expect().document(id);
                Signal::derive(move || {
                    document.with(|d| d.as_ref().map(|d| d.filename.clone())).unwrap_or_else(|| read.clone())
                })
            }
        }
    }

    fn page(self) -> String {
        match self {
            Of::Workspace(id) => format!("/w/{id}"),
            Of::Document(id) => format!("/d/{id}"),
        }
    }

    fn file(self, format: &str, all: bool) -> String {
        let (kind, id) = match self {
            Of::Workspace(id) => ("workspaces", id.to_string()),
            Of::Document(id) => ("documents", id.to_string()),
        };
        let turns = if all { "" } else { "&transitions=true" };
        format!("/api/{kind}/{id}/history?format={format}{turns}")
    }

    /// Changes with everything that happens to it, and to what is in a workspace, whichever job has it; with the progress of a
    /// document only where that is shown as well.
    fn rev(self, stores: Stores, all: bool) -> Signal<Option<u64>> {
        match self {
            Of::Workspace(id) => {
                let newest = stores.newest_in(id, all);
                Signal::derive(move || Some(newest.get()).filter(|rev| *rev > 0))
            }
            Of::Document(id) => {
                let document = stores.document(id);
                let steps = all.then(|| stores.steps(id));
                // A step that gets on leaves its document as it is.
                Signal::derive(move || {
                    let step = steps.as_ref().and_then(|steps| steps.with(newest));
                    document.with(|d| d.as_ref().map(|d| d.rev)).max(step)
                })
            }
        }
    }
}

fn newest(steps: &Option<Vec<FileProgress>>) -> Option<u64> {
    steps.as_ref()?.iter().map(|step| step.rev).max()
}

#[component]
pub fn WorkspaceHistoryPage() -> impl IntoView {
    let params = use_params_map();
    let of = Memo::new(move |_| params.with(|p| p.get("id")?.parse().ok().map(Of::Workspace)));
    view! { <History of what="workspace" /> }
}

#[component]
pub fn DocumentHistoryPage() -> impl IntoView {
    let params = use_params_map();
    let of = Memo::new(move |_| params.with(|p| p.get("id")?.parse().ok().map(Of::Document)));
    view! { <History of what="document" /> }
}

#[component]
fn History(of: Memo<Option<Of>>, what: &'static str) -> impl IntoView {
    let query = use_query_map();
    let all = Memo::new(move |_| query.with(|q| q.get("all").is_some()));
    let page = page_data(
        move || (of.get(), all.get()),
        move |(of, all)| async move {
            match of {
                Some(of) => of.read(None, all).await.map(|Wire(part)| Wire((of, all, part))),
                None => Err(no_such(what)),
            }
        },
        true,
    );
    view! {
        <TabTitle text="History" />
        {loaded(page, what, |(of, all, read)| view! { <Whole of all read /> })}
    }
}

#[component]
fn Whole(of: Of, all: bool, read: Part) -> impl IntoView {
    let lines = RwSignal::new(read.lines.items);
    let next = RwSignal::new(read.lines.next);
    let name = of.name(read.name);
    follow(of, all, lines, next);
    let here = format!("{}/history", of.page());
    let (turns, everything) = (here.clone(), format!("{here}?all"));
    let current = move |is: bool| is.then_some("page");
    view! {
        <PageHeader title="History" note=header_note("of", name)>
            <LinkButton href=of.file("csv", all) icon=IconName::Download attr:download="" attr:rel="external">
                "CSV"
            </LinkButton>
            <LinkButton href=of.file("json", all) icon=IconName::Download attr:download="" attr:rel="external">
                "JSON"
            </LinkButton>
            <LinkButton href=of.page()>"Back"</LinkButton>
        </PageHeader>
        {match of {
            Of::Workspace(id) => view! { <WorkspaceDeleted id /> },
            Of::Document(id) => {
                let document = RwSignal::from(Stores::expect().document(id));
                view! { <Deleted what="document" is_there=Signal::derive(move || document.with(Option::is_some)) /> }
            }
        }}
        <nav class="chips" aria-label="What is shown">
            <a class="chip" href=turns aria-current=current(!all)>"Changes of status"</a>
            <a class="chip" href=everything aria-current=current(all)>"Progress too"</a>
        </nav>
        <Show
            when=move || !lines.with(Vec::is_empty)
            fallback=|| {
                view! {
                    <EmptyState
                        icon=IconName::Clock
                        title="Nothing has happened yet"
                        text="What happens from now on stands here, with its time and who did it."
                    />
                }
            }
        >
            <table class="history">
                <thead>
                    <tr>
                        <th scope="col">"When"</th>
                        <th scope="col">"What"</th>
                        <th scope="col">"Change"</th>
                        <th scope="col">"Who"</th>
                    </tr>
                </thead>
                <tbody>
                    <Each
                        each=move || lines.get()
                        key=|line: &HistoryLine| line.seq.into()
                        show=|line| view! { <Line line /> }
                    />
                </tbody>
            </table>
        </Show>
        <More of all lines next />
    }
}

#[component]
fn Line(line: HistoryLine) -> impl IntoView {
    let change = match (line.from, line.to) {
        (Some(from), Some(to)) => format!("{} → {}", plain(&from), plain(&to)),
        (None, Some(to)) => plain(&to),
        (Some(from), None) => format!("{} → gone", plain(&from)),
        (None, None) => String::new(),
    };
    view! {
        <tr data-seq=line.seq>
            <td>
                <Exactly at=line.at />
            </td>
            <td>
                <span class="history-about">
                    {match line.page {
                        Some(page) => view! { <a class="link" href=page>{line.about}</a> },
                        None => line.about.into_any(),
                    }}
                </span>
                {(!line.told.is_empty()).then(|| view! { <span class="muted">{line.told}</span> })}
            </td>
            <td>{change}</td>
            <td>{line.who}</td>
        </tr>
    }
}

/// `in_progress` → "in progress"
fn plain(status: &str) -> String {
    status.replace('_', " ")
}

/// Reads the newest lines when something happened, and puts them before those that are there.
fn follow(of: Of, all: bool, lines: RwSignal<Vec<HistoryLine>>, next: RwSignal<Option<String>>) {
    let rev = of.rev(Stores::expect(), all);
    let anew = Stores::expect().anew();
    let follower = Follower {
        of,
        all,
        lines,
        next,
        waiting: StoredValue::new(None),
        asked: StoredValue::new(0),
        answered: StoredValue::new(0),
    };
    effect_after(move |before: Option<(Option<u64>, u32)>| {
        let now = (rev.get(), anew.get());
        let is_behind = match before {
            Some(before) => before != now,
            // What happened between the reading of the page and now was told when nobody listened here yet.
            None => lines.with_untracked(|lines| now.0 > newest_line(lines)),
        };
        if is_behind {
            follower.read_in(GATHERED);
        }
        now
    });
}

fn newest_line(lines: &[HistoryLine]) -> Option<u64> {
    lines.first().map(|line| line.seq)
}

#[derive(Clone, Copy)]
struct Follower {
    of: Of,
    all: bool,
    lines: RwSignal<Vec<HistoryLine>>,
    next: RwSignal<Option<String>>,
    /// A reading is about to come.
    waiting: StoredValue<Option<TimeoutHandle>>,
    /// How often was read, and which reading it was whose answer is shown.
    asked: StoredValue<u32>,
    answered: StoredValue<u32>,
}

impl Follower {
    fn read_in(self, time: Duration) {
        // Once the page is left there is nothing to wait for.
        if self.waiting.try_with_value(Option::is_none).unwrap_or_default() {
            self.waiting.try_set_value(set_timeout_with_handle(move || self.read(), time).ok());
        }
    }

    fn read(self) {
        self.waiting.try_set_value(None);
        let turn = self.asked.try_update_value(|asked| {
            *asked += 1;
            *asked
        });
        spawn_local(async move {
            match self.of.read(None, self.all).await {
                // A later one was answered before it, and has all of this and more: it would take lines out.
                Ok(_) if self.answered.try_get_value() > turn => {}
                Ok(Wire(newest)) => {
                    self.answered.try_set_value(turn.unwrap_or_default());
                    self.take(newest.lines);
                }
                Err(e) if e.may_pass() => self.read_in(AGAIN),
                // What is gone does not come back by asking.
                Err(_) => {}
            }
        });
    }

    fn take(self, newest: Page<HistoryLine>) {
        let goes_on = self.lines.try_update(|lines| {
            let (all, goes_on) = joined(newest, std::mem::take(lines));
            *lines = all;
            goes_on
        });
        if let Some(place) = goes_on.flatten() {
            self.next.try_set(Some(place));
        }
    }
}

/// The newest part before those that were there, each line once. When more came than one part holds, what was there is
/// let go: a list with a hole would lie. Then the list goes on behind the newest part, and where that is is answered too.
fn joined(newest: Page<HistoryLine>, known: Vec<HistoryLine>) -> (Vec<HistoryLine>, Option<String>) {
    let Some(oldest) = newest.items.last().map(|line| line.seq) else { return (known, None) };
    let is_whole = newest.next.is_none() || known.iter().any(|line| line.seq >= oldest);
    let mut all = newest.items;
    if !is_whole {
        return (all, newest.next);
    }
    all.extend(known.into_iter().filter(|line| line.seq < oldest));
    (all, None)
}

#[component]
fn More(
    of: Of,
    all: bool,
    lines: RwSignal<Vec<HistoryLine>>,
    next: RwSignal<Option<String>>,
) -> impl IntoView {
    let busy = RwSignal::new(false);
    let failed = RwSignal::new(None::<String>);
    let has_more = Memo::new(move |_| next.with(Option::is_some));
    let load = move |_| {
        let Some(after) = next.get_untracked() else { return };
        busy.set(true);
        failed.set(None);
        spawn_local(async move {
            match of.read(Some(after.clone()), all).await {
                // The list begins anew meanwhile, and goes on from elsewhere.
                Ok(_) if next.try_get_untracked().flatten().as_ref() != Some(&after) => {}
                Ok(Wire(part)) => {
                    lines.try_update(|lines| {
                        let oldest = lines.last().map_or(u64::MAX, |line| line.seq);
                        lines.extend(part.lines.items.into_iter().filter(|line| line.seq < oldest));
                    });
                    next.try_set(part.lines.next);
                }
                Err(e) => {
                    failed.try_set(Some(e.0.detail));
                }
            }
            busy.try_set(false);
        });
    };
    move || {
        has_more.get().then(|| {
            view! {
                <div class="row justify-center">
                    <Button busy on:click=load>"Load more"</Button>
                    <span class="text-status-failed" role="status">{move || failed.get()}</span>
                </div>
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        samples::{at, document, id, job, step, workspace},
        stores::Snapshot,
    };
    use domain::{DocumentStatus, Event, Job, JobStatus};

    fn lines(seqs: &[u64]) -> Vec<HistoryLine> {
        let line = |&seq: &u64| HistoryLine {
            seq,
            at: at(seq),
            about: String::new(),
            page: None,
            told: String::new(),
            from: None,
            to: None,
            who: String::new(),
        };
        seqs.iter().map(line).collect()
    }

    fn seqs(all: &[HistoryLine]) -> Vec<u64> {
        all.iter().map(|line| line.seq).collect()
    }

    #[test]
    fn new_lines_stand_before_the_known_ones_once_each_and_without_a_hole() {
        let part = |seqs: &[u64], next: Option<&str>| Page { items: lines(seqs), next: next.map(Into::into) };
        let known = lines(&[5, 4, 3]);
        let after = |newest| {
            let (all, goes_on) = joined(newest, known.clone());
            (seqs(&all), goes_on)
        };
        assert_eq!(after(part(&[7, 6, 5], Some("5"))), (vec![7, 6, 5, 4, 3], None));
        // "Load more" goes on behind the newest part, not where the old lines ended.
        assert_eq!(after(part(&[9, 8, 7], Some("7"))), (vec![9, 8, 7], Some("7".into())));
        assert_eq!(after(part(&[9, 8, 7], None)), (vec![9, 8, 7, 5, 4, 3], None));
        assert_eq!(after(part(&[], None)), (vec![5, 4, 3], None));
    }

    #[test]
    fn what_is_followed_changes_with_the_progress_of_a_document_where_that_is_shown() {
        Owner::new().with(|| {
            let stores = Stores::new();
            let [turns, all] = [false, true].map(|all| Of::Document(id(1)).rev(stores, all));
            stores.apply(Event::DocumentStatus(document(1, 5, DocumentStatus::Processing)));
            assert_eq!((turns.get_untracked(), all.get_untracked()), (Some(5), Some(5)));
            stores.apply(Event::FileProgress(step(1, 6, 25.0)));
            stores.apply(Event::FileProgress(step(1, 7, 50.0)));
            assert_eq!((turns.get_untracked(), all.get_untracked()), (Some(5), Some(7)));
        });
    }

    #[test]
    fn the_history_of_a_workspace_follows_all_of_its_jobs_and_documents_also_those_of_which_no_panel_tells() {
        Owner::new().with(|| {
            let stores = Stores::new();
            stores.apply(Event::WorkspaceStatus(workspace(1, 3)));
            stores.apply(Event::JobUpdate(job(50, 4, JobStatus::Running)));
            let [turns, all] = [false, true].map(|all| Of::Workspace(id(1)).rev(stores, all));
            let now = || (turns.get_untracked(), all.get_untracked());
            assert_eq!(now(), (Some(4), Some(4)));
            stores.apply(Event::JobUpdate(job(49, 5, JobStatus::Paused)));
            assert_eq!(now(), (Some(5), Some(5)), "the panel shows the job that runs");
            stores.apply(Event::DocumentStatus(document(1, 6, DocumentStatus::Processing)));
            assert_eq!(now(), (Some(6), Some(6)));
            stores.apply(Event::FileProgress(step(1, 7, 25.0)));
            assert_eq!(now(), (Some(6), Some(7)));
            stores.apply(Event::JobUpdate(Job { kb_id: id(2), ..job(52, 8, JobStatus::Running) }));
            stores.apply(Event::JobUpdate(job(49, 5, JobStatus::Paused)));
            assert_eq!(now(), (Some(6), Some(7)), "of another workspace, and told already");
            // Another life of the log has lower numbers.
            let ended = vec![job(50, 2, JobStatus::Completed)];
            stores.replace(&Snapshot { ended, ..Snapshot::default() });
            assert_eq!(now(), (Some(2), Some(2)));
        });
    }
}
