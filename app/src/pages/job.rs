//! The jobs of a workspace, and one of them: its phases, how its documents went over time, and what came of it. All of it
//! is there without a script.

use super::{
    crawl::CrawlProgress,
    loaded::{loaded, read},
    not_found::{Missing, no_such},
};
use crate::{
    activity::{at_present, job_shown, job_title, shown_now},
    clock::WorkClock,
    components::{
        BadgeSize, EmptyState, Exactly, IconName, JobWaterfall, LinkButton, PageHeader, PhaseTimeline,
        RowsSkeleton, StatusBadge, TabTitle, words,
    },
    live::{Live, Screen},
    paths,
    server_fns::workspaces::{list_jobs, read_job},
    stores::Stores,
    view,
    wire::page_data,
};
use domain::{
    Job, JobId, WorkspaceId,
    event::FileProgress,
    message::number,
    pages::{DRAWN, JobPage as Read, JobsPage as Part},
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
            match id {
                Some(id) => list_jobs(id, after).await,
                None => Err(no_such("workspace")),
            }
        },
        true,
    );
    view! {
        <TabTitle text="Jobs" />
        {loaded(page, "workspace", |part| view! { <All part /> })}
    }
}

#[component]
fn All(part: Part) -> impl IntoView {
    let Part { workspace, jobs } = part;
    let id = workspace.id;
    let older = jobs.next.map(|next| format!("{}?after={}", paths::jobs(id), paths::encode(&next)));
    let is_empty = jobs.items.is_empty();
    let lines = jobs.items.into_iter().map(|job| view! { <Line job /> }).collect_view();
    view! {
        <PageHeader title="Jobs" note=format!("of {}", workspace.name)>
            <LinkButton href=paths::workspace(id)>"Back"</LinkButton>
        </PageHeader>
        {if is_empty {
            view! {
                <EmptyState
                    icon=IconName::Activity
                    title="No jobs yet"
                    text="Each upload is a job, and stands here with how it went."
                />
            }
                .into_any()
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
                    <tbody>{lines}</tbody>
                </table>
            }
                .into_any()
        }}
        {older.map(|href| view! { <div class="row justify-center"><LinkButton href>"Older jobs"</LinkButton></div> })}
    }
}

#[component]
fn Line(job: Job) -> impl IntoView {
    let stores = Stores::expect();
    let known = RwSignal::from(stores.job(job.job_id));
    let (first, before) = (job.clone(), job.clone());
    let shown = Memo::new(move |_| known.with(|j| shown_now(stores, j.as_ref().unwrap_or(&first))));
    let time = move || known.with(|j| took(j.as_ref().unwrap_or(&before)));
    view! {
        <tr data-job-id=job.job_id.to_string()>
            <td>
                <Exactly at=job.created_at />
            </td>
            <td>
                <a class="link" href=paths::job(job.kb_id, job.job_id)>{job_title(&job)}</a>
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
            {read(page, || async {}, "job", skeleton, keep, |page, (), again| view! { <One page again /> })}
        </div>
    }
}

#[component]
fn One(page: Read, again: Callback<()>) -> impl IntoView {
    let Read { workspace, job, steps, .. } = page;
    let (id, place) = (job.job_id, job.kb_id);
    let job = RwSignal::from(Stores::expect().job(id));
    let is_there = Memo::new(move |_| job.with(Option::is_some));
    let ended = move || job.with(|j| j.as_ref().map(|j| (j.attempt, j.status.is_final())));
    // The steps are those of the moment of reading; they are whole once the job has ended.
    crate::effect::effect_after(move |before: Option<Option<(u32, bool)>>| {
        let now = ended();
        if before.is_some_and(|before| before != now) {
            again.run(());
        }
        now
    });
    let name = workspace.name;
    move || {
        if !is_there.get() {
            return view! { <Missing what="job" /> };
        }
        view! {
            <Whole id place job steps=steps.clone() name=name.clone() />
        }
    }
}

#[component]
fn Whole(
    id: JobId,
    place: WorkspaceId,
    job: RwSignal<Option<Job>>,
    steps: Vec<FileProgress>,
    name: String,
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
    let total = Memo::new(move |_| job.with(|j| j.as_ref().map_or(0, |j| j.metrics.documents_total)));
    let most = u64::from(DRAWN);
    view! {
        <PageHeader
            title
            note=format!("in {name}")
            beside=move || view! { <StatusBadge shown size=BadgeSize::Md /> }
        >
            <LinkButton href=paths::workspace(place)>"Workspace"</LinkButton>
            <LinkButton href=paths::jobs(place)>"All jobs"</LinkButton>
        </PageHeader>
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
            <CrawlProgress id job retries=true />
            <Provider value=clock>
                <PhaseTimeline phases />
                <h2 class="section-title">"Over time"</h2>
                <JobWaterfall phases steps=Signal::stored(steps) />
            </Provider>
            {move || {
                (total.get() > most)
                    .then(|| view! {
                        <p class="meta" data-part="">
                            {format!("{most} of {} documents shown: those that began first", number(total.get()))}
                        </p>
                    })
            }}
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
    use crate::samples::{at, job};
    use domain::JobStatus;

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
