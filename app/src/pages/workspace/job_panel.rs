//! The job that runs in a workspace, or ran last: its four phases, how far it is, and what went wrong.
use crate::{
    activity::job_title,
    clock::WorkClock,
    components::{BadgeSize, PhaseTimeline, StatusBadge, words},
    stores::Stores,
    view,
};
use domain::{Job, JobId, JobStatus, WorkspaceId, message::count, resource::Metrics, shown::Shown};
use leptos::{context::Provider, prelude::*};

#[component]
pub fn JobPanel(id: WorkspaceId) -> impl IntoView {
    let job = RwSignal::from(Stores::expect().panel_job(id));
    move || job.get().map(|id| view! { <Panel id /> })
}

#[component]
fn Panel(id: JobId) -> impl IntoView {
    let job = RwSignal::from(Stores::expect().job(id));
    let WorkClock(clock) = expect_context();
    let shown =
        Memo::new(move |_| job.with(|j| j.as_ref().map_or(Shown::Pending { behind: None }, Shown::of_job)));
    let title = Memo::new(move |_| job.with(|j| j.as_ref().map(job_title)));
    let phases =
        Memo::new(move |_| job.with(|j| j.as_ref().map(|j| j.phase_details.clone()).unwrap_or_default()));
    let rate = Memo::new(move |_| job.with(|j| j.as_ref().and_then(|j| j.rate)));
    let line = Memo::new(move |_| job.with(|j| j.as_ref().map(line)));
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
                <Provider value=clock>
                    <PhaseTimeline phases rate=Signal::derive(move || rate.get()) />
                </Provider>
                {move || error.get().map(|text| view! { <p class="text-status-failed">{text}</p> })}
            </div>
        </section>
    }
}

/// "12 of 40 files done · 1 failed · about 2 min left"
fn line(job: &Job) -> String {
    let Metrics { documents_total, documents_done, documents_failed, chunks_created, .. } = job.metrics;
    let mut parts = vec![format!("{documents_done} of {} done", count(documents_total, "file", "files"))];
    if documents_failed > 0 {
        parts.push(format!("{documents_failed} failed"));
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
