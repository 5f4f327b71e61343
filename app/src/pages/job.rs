//! The jobs of a workspace, and one of them: its phases, how its documents went over time, and what came of it. All of it
//! is there without a script.

use super::{
    crawl::CrawlProgress,
    in_place::{keep_in_place, pointer_leaves, pointer_moves},
    loaded::{loaded, read},
    not_found::{Missing, WorkspaceDeleted, no_such},
    over_time::{OverTime, Through, through},
};
use crate::{
    activity::{Controls, at_present, job_shown, job_title, shown_now},
    clock::WorkClock,
    components::{
        BadgeSize, Each, EmptyState, Exactly, IconName, LinkButton, PageHeader, PhaseTimeline, RowsSkeleton,
        StatusBadge, TabTitle, words,
    },
    effect::effect,
    layout::{header_note, workspace_name},
    live::{Live, Screen},
    paths,
    server_fns::workspaces::{list_jobs, read_job},
    stores::Stores,
    view,
    wire::{Wire, page_data},
};
use domain::{
    Job, JobId, Timestamp, WorkspaceId,
    event::FileProgress,
    message::number,
    pages::{JobPage as Read, JobsPage as Part},
    status::Priority,
};
use leptos::{context::Provider, prelude::*};
use leptos_router::hooks::{use_params_map, use_query_map};

#[component]
pub fn JobsPage() -> impl IntoView {
    let params = use_params_map();
    let query = use_query_map();
    let id = Memo::new(move |_| params.with(|p| p.get("id")?.parse::<WorkspaceId>().ok()));
    let after = Memo::new(move |_| query.with(|q| q.get("after")));
    let anew = Stores::expect().anew();
    let page = page_data(
        move || (id.get(), after.get(), anew.get()),
        move |(id, after, _)| async move {
            let is_newest = after.is_none();
            match id {
                Some(id) => list_jobs(id, after).await.map(|Wire(part)| Wire((is_newest, part))),
                None => Err(no_such("workspace")),
            }
        },
        true,
    );
    view! {
        <TabTitle text="Jobs" />
        {loaded(page, "workspace", |(is_newest, part)| view! { <All is_newest part /> })}
    }
}

/// `is_newest`: of the pages of the list it is the first one.
#[component]
fn All(is_newest: bool, part: Part) -> impl IntoView {
    let Part { workspace, jobs } = part;
    let id = workspace.id;
    let name = workspace_name(id, workspace.name);
    let has_older = jobs.next.is_some();
    let older = jobs.next.map(|next| format!("{}?after={}", paths::jobs(id), paths::encode(&next)));
    let rows = RwSignal::new(jobs.items);
    if is_newest {
        follow(id, rows, has_older);
    }
    let is_empty = Memo::new(move |_| rows.with(Vec::is_empty));
    view! {
        <PageHeader title="Jobs" note=header_note("of", name)>
            <LinkButton href=paths::workspace(id)>"Back"</LinkButton>
        </PageHeader>
        <WorkspaceDeleted id />
        {move || {
            if is_empty.get() {
                view! {
                    <EmptyState
                        icon=IconName::Activity
                        title="No jobs yet"
                        text="Each upload is a job, and stands here with how it went."
                    />
                }
            } else {
                view! {
                    <table class="history">
                        <thead>
                            <tr>
                                <th scope="col">"Begun"</th>
                                <th scope="col">"Job"</th>
                                <th scope="col">"State"</th>
                                <th scope="col">"Took"</th>
                            </tr>
                        </thead>
                        <tbody
                            on:pointermove=move |ev| pointer_moves(&ev)
                            on:pointerleave=move |_| pointer_leaves()
                        >
                            <Each
                                each=move || rows.get()
                                key=|job: &Job| job.job_id.uuid().as_u128()
                                show=|job| view! { <Line job /> }
                            />
                        </tbody>
                    </table>
                }
            }
        }}
        {older.map(|href| view! { <div class="row justify-center"><LinkButton href>"Older jobs"</LinkButton></div> })}
    }
}

/// Lets jobs that are made while the list is looked at come in at their places.
fn follow(id: WorkspaceId, rows: RwSignal<Vec<Job>>, has_older: bool) {
    let stores = Stores::expect();
    let known = RwSignal::from(stores.jobs_of(id));
    effect(move || {
        let fresh = known.with(|known| rows.with_untracked(|rows| unlisted(known, rows, has_older)));
        let fresh: Vec<Job> = fresh.into_iter().filter_map(|id| stores.job(id).get_untracked()).collect();
        if !fresh.is_empty() {
            rows.update(|rows| put(rows, fresh));
        }
    });
    keep_in_place(move || {
        rows.track();
        false
    });
}

/// What decides the place of a job in the list, as of the server's: the newest comes first.
fn place(job: &Job) -> (Timestamp, JobId) {
    (job.created_at, job.job_id)
}

/// The known jobs that belong into the list and are not there. Where there are older ones than it has, those stand on the
/// next pages.
fn unlisted(known: &[(Timestamp, JobId)], rows: &[Job], has_older: bool) -> Vec<JobId> {
    let last = rows.last().map(place).filter(|_| has_older);
    let belongs = |known: &&(Timestamp, JobId)| {
        last.is_none_or(|last| **known > last) && rows.iter().all(|row| row.job_id != known.1)
    };
    known.iter().filter(belongs).map(|(_, id)| *id).collect()
}

/// Puts jobs into the list, each at its place.
fn put(rows: &mut Vec<Job>, fresh: Vec<Job>) {
    for job in fresh {
        let at = rows.partition_point(|row| place(row) > place(&job));
        rows.insert(at, job);
    }
}

#[component]
fn Line(job: Job) -> impl IntoView {
    let stores = Stores::expect();
    let (id, workspace, begun) = (job.job_id, job.kb_id, job.created_at);
    let known = RwSignal::from(stores.job(id));
    let now = Memo::new(move |_| known.get().unwrap_or_else(|| job.clone()));
    let shown = Memo::new(move |_| now.with(|job| shown_now(stores, job)));
    // How many files it has is known once all of them are there.
    let title = Memo::new(move |_| now.with(job_title));
    let time = Memo::new(move |_| now.with(took));
    view! {
        <tr data-job-id=id.to_string()>
            <td>
                <Exactly at=begun />
            </td>
            <td>
                <a class="link" href=paths::job(workspace, id)>{title}</a>
            </td>
            <td>
                <StatusBadge shown />
            </td>
            <td class="num">{time}</td>
        </tr>
    }
}

/// From its start to its end; nothing of one that has not come there.
fn took(job: &Job) -> Option<String> {
    let micros = job.completed_at?.micros().saturating_sub(job.started_at?.micros());
    Some(words::duration(micros))
}

#[component]
pub fn JobPage() -> impl IntoView {
    let params = use_params_map();
    let ids = Memo::new(move |_| {
        params
            .with(|p| Some((p.get("id")?.parse::<WorkspaceId>().ok()?, p.get("job")?.parse::<JobId>().ok()?)))
    });
    let page = page_data(
        move || ids.get(),
        move |ids| async move {
            match ids {
                Some((workspace, job)) => read_job(workspace, job).await,
                None => Err(no_such("job")),
            }
        },
        true,
    );
    let keep = |page: &Read, stores: Stores, live: Live| {
        live.shows(Screen::Job(page.workspace.id, page.job.job_id));
        stores.put_job_page(page);
        live.rendered(&page.since);
    };
    let skeleton = || view! { <RowsSkeleton rows=8 /> };
    view! {
        <TabTitle text="Job" />
        <div class="page">
            {read(page, || async {}, "job", skeleton, keep, |page, (), _| view! { <One page /> })}
        </div>
    }
}

#[component]
fn One(page: Read) -> impl IntoView {
    let Read { workspace, job, steps, .. } = page;
    let (id, place) = (job.job_id, job.kb_id);
    let known = (through(&job), steps);
    let job = RwSignal::from(Stores::expect().job(id));
    let is_there = Memo::new(move |_| job.with(Option::is_some));
    let name = workspace_name(workspace.id, workspace.name);
    move || {
        if !is_there.get() {
            return view! { <Missing what="job" /> };
        }
        view! {
            <Whole id place job known=known.clone() name />
        }
    }
}

#[component]
fn Whole(
    id: JobId,
    place: WorkspaceId,
    job: RwSignal<Option<Job>>,
    known: (Through, Vec<FileProgress>),
    name: Signal<String>,
) -> impl IntoView {
    let is_lost = Live::expect().is_lost();
    let of = move |part: fn(&Job) -> String| job.with(|j| j.as_ref().map(part).unwrap_or_default());
    let shown = job_shown(job);
    let clock = expect_context::<WorkClock>().of(shown);
    let title = Signal::derive(move || of(job_title));
    let phases = Memo::new(move |_| {
        let known = !is_lost.get();
        job.with(|j| j.as_ref().map(|j| at_present(j, known).phase_details).unwrap_or_default())
    });
    let facts = move || job.with(|j| j.as_ref().map(facts).unwrap_or_default());
    let error = Memo::new(move |_| job.with(|j| j.as_ref().and_then(|j| j.error.clone())));
    view! {
        <PageHeader
            title
            note=header_note("in", name)
            beside=move || view! { <StatusBadge shown size=BadgeSize::Md /> }
        >
            <LinkButton href=paths::workspace(place)>"Workspace"</LinkButton>
            <LinkButton href=paths::jobs(place)>"All jobs"</LinkButton>
        </PageHeader>
        <WorkspaceDeleted id=place />
        <section
            class="stack"
            aria-label="Job"
            data-job-id=id.to_string()
            data-status=move || shown.with(|s| s.key())
        >
            <p>{move || of(|j| j.message.clone())}</p>
            {move || error.get().map(|text| view! { <p class="text-status-failed">{text}</p> })}
            <dl class="facts">
                {move || {
                    facts()
                        .into_iter()
                        .map(|(name, value)| view! {
                            <div data-fact=name>
                                <dt>{name}</dt>
                                <dd class="num">{value}</dd>
                            </div>
                        })
                        .collect_view()
                }}
            </dl>
            <Controls id workspace=place job />
            <CrawlProgress id job />
            <Provider value=clock>
                <PhaseTimeline phases />
                <h2 class="section-title">"Over time"</h2>
                <OverTime id job phases known />
            </Provider>
        </section>
    }
}

fn facts(job: &Job) -> Vec<(&'static str, String)> {
    let m = job.metrics;
    let mut facts = vec![
        ("Documents", number(m.documents_total)),
        ("Ready", number(m.documents_done)),
        ("Failed", number(m.documents_failed)),
        ("Chunks", number(m.chunks_created)),
        ("Tokens", number(m.tokens)),
        ("Attempt", number(job.attempt.into())),
    ];
    let priority = match job.priority {
        Priority::First => Some("First"),
        Priority::Background => Some("Background"),
        Priority::Normal => None,
    };
    facts.extend(priority.map(|words| ("Priority", words.to_owned())));
    facts.extend(took(job).map(|took| ("Took", took)));
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{at, id, job};
    use domain::JobStatus;

    #[test]
    fn a_job_that_is_made_meanwhile_stands_at_its_place_and_older_ones_where_the_list_goes_on() {
        let made = |n| job(n, 5, JobStatus::Running);
        let mut rows = vec![made(9), made(7)];
        let known = [3, 9, 12, 8, 10].map(|n| place(&made(n)));
        let ids = |ns: &[u64]| ns.iter().map(|n| id(*n)).collect::<Vec<JobId>>();
        assert_eq!(unlisted(&known, &rows, true), ids(&[12, 8, 10]));
        assert_eq!(unlisted(&known, &rows, false), ids(&[3, 12, 8, 10]), "all are here, so all are listed");
        assert_eq!(unlisted(&known, &[], false).len(), known.len());
        put(&mut rows, [12, 8, 10].map(made).into());
        assert_eq!(rows.iter().map(|job| job.job_id).collect::<Vec<_>>(), ids(&[12, 10, 9, 8, 7]));
        assert!(unlisted(&known, &rows, true).is_empty());
    }

    #[test]
    fn what_a_job_took_is_told_once_it_is_over() {
        let mut job = job(1, 5, JobStatus::Running);
        job.started_at = Some(at(1_000_000));
        assert_eq!(took(&job), None);
        job.completed_at = Some(at(3_000_000));
        assert_eq!(took(&job).as_deref(), Some("2.0 s"));
        assert!(facts(&job).contains(&("Took", "2.0 s".to_owned())));
    }
}
