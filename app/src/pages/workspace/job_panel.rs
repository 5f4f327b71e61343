//! The job that runs in a workspace, or ran last: its four phases, how far it is, what went wrong, and how it went over
//! time.

use crate::{
    activity::{Controls, at_present, job_shown, job_title},
    clock::WorkClock,
    components::{BadgeSize, PhaseTimeline, StatusBadge, words},
    live::Live,
    pages::{
        attempts::{EarlierAttempts, Read, Reading},
        crawl::CrawlProgress,
        over_time::OverTime,
    },
    paths,
    server_fns::jobs::list_attempts,
    stores::Stores,
    view,
    wire::Wire,
};
use domain::{
    Job, JobId, JobStatus, PhaseDetail, WorkspaceId,
    message::{count, number},
    resource::{Attempt, Metrics},
};
use leptos::{context::Provider, html, prelude::*};

#[component]
pub fn JobPanel(id: WorkspaceId) -> impl IntoView {
    let job = RwSignal::from(Stores::expect().panel_job(id));
    move || job.get().map(|id| view! { <Panel id /> })
}

#[component]
fn Panel(id: JobId) -> impl IntoView {
    let job = RwSignal::from(Stores::expect().job(id));
    let shown = job_shown(job);
    let clock = expect_context::<WorkClock>().of(shown);
    let title = Memo::new(move |_| job.with(|j| j.as_ref().map(job_title)));
    let is_lost = Live::expect().is_lost();
    let present = Memo::new(move |_| {
        let known = !is_lost.get();
        job.with(|j| j.as_ref().map(|j| at_present(j, known)))
    });
    let phases =
        Memo::new(move |_| present.with(|j| j.as_ref().map(|j| j.phase_details.clone()).unwrap_or_default()));
    let attempt = Memo::new(move |_| job.with(|j| j.as_ref().map_or(1, |j| j.attempt)));
    let attempts: Read<Attempt> = Callback::new(move |()| {
        Box::pin(async move { list_attempts(id).await.map(|Wire(attempts)| attempts) }) as Reading<_>
    });
    let line = Memo::new(move |_| present.with(|j| j.as_ref().map(line)));
    let place = job.with_untracked(|j| j.as_ref().map(|j| j.kb_id));
    let error = Memo::new(move |_| job.with(|j| j.as_ref().and_then(|j| j.error.clone())));
    view! {
        <section
            class="card"
            aria-label="Latest job"
            data-job-id=id.to_string()
            data-status=move || shown.with(|s| s.key())
        >
            <div class="card-head">
                <div class="row">
                    <h2 class="section-title">{title}</h2>
                    <StatusBadge shown size=BadgeSize::Md />
                </div>
                <span class="meta num">{line}</span>
            </div>
            <div class="card-body stack">
                <CrawlProgress id job />
                <Provider value=clock>
                    <PhaseTimeline phases />
                    <Bars id job phases />
                </Provider>
                {move || error.get().map(|text| view! { <p class="text-status-failed">{text}</p> })}
                <EarlierAttempts attempt read=attempts number=number_of show=told />
                {place.map(|workspace| view! { <Controls id workspace job /> })}
                {place.map(|place| view! {
                    <p class="row meta">
                        <a class="link" href=paths::job(place, id)>"Details"</a>
                        <a class="link" href=paths::jobs(place)>"All jobs"</a>
                    </p>
                })}
            </div>
        </section>
    }
}

fn number_of(one: &Attempt) -> u32 {
    one.attempt
}

/// What became of an attempt.
fn told(one: Attempt) -> AnyView {
    let errors = one.errors.into_iter();
    let errors = errors.map(|e| view! { <li>{format!("{}: {}", e.filename, e.error)}</li> });
    view! {
        {format!("Attempt {}: {}", one.attempt, one.message)}
        <ul class="muted">{errors.collect_view()}</ul>
    }
    .into_any()
}

/// The phases and the documents as bars, drawn when somebody looks.
#[component]
fn Bars(id: JobId, job: RwSignal<Option<Job>>, phases: Memo<Vec<PhaseDetail>>) -> impl IntoView {
    let node = NodeRef::<html::Details>::new();
    let is_open = RwSignal::new(false);
    view! {
        <details
            class="details"
            data-scripted=""
            node_ref=node
            on:toggle=move |_| is_open.set(node.get_untracked().is_some_and(|details| details.open()))
        >
            <summary class="meta">"Over time"</summary>
            {move || is_open.get().then(|| view! { <OverTime id job phases /> })}
        </details>
    }
}

/// "12 of 40 files done · 1 failed · about 2 min left"
fn line(job: &Job) -> String {
    let Metrics { documents_total, documents_done, documents_failed, chunks_created, .. } = job.metrics;
    let files = if job.crawl.is_some() {
        count(documents_total, "page", "pages")
    } else {
        count(documents_total, "file", "files")
    };
    let mut parts = vec![format!("{} of {files} done", number(documents_done))];
    let failed = documents_failed + job.metrics.pages_failed;
    if failed > 0 {
        parts.push(format!("{} failed", number(failed)));
    }
    match job.status {
        JobStatus::Running => parts.extend(job.eta_seconds.map(words::time_left)),
        status if status.is_final() && chunks_created > 0 => {
            parts.push(count(chunks_created, "chunk", "chunks"))
        }
        _ => {}
    }
    parts.join(" · ")
}
