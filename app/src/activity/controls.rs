//! The buttons of a job: first, pause, resume, skip embedding, cancel, retry.

use super::job_title;
use crate::{
    components::{ButtonKind, Reason, focus_if_lost},
    effect::effect_after,
    forms::Deed,
    live::Live,
    server_fns::jobs::{CancelJob, PauseJob, PutJobFirst, ResumeJob, RetryJob, SkipEmbeddingOfJob},
    stores::Stores,
    view,
};
use domain::{
    Job, JobId, JobKind, JobStatus, PhaseName, PhaseStatus, WorkspaceId,
    message::count,
    status::{JobRequest, Priority, Processor},
};
use leptos::{html, prelude::*, server_fn::ServerFn, web_sys};
use serde_json::Value;
use wasm_bindgen::JsCast;

const WITHOUT_VECTORS: &str = "What is not embedded yet becomes ready now, and is found by its words alone";

/// What can be done to a job from where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Can {
    /// Others may be before it.
    first: bool,
    pause: bool,
    resume: bool,
    cancel: bool,
    /// Somebody waits for vectors, and could do without them.
    skip_embedding: bool,
    /// So many documents and pages would run again, after this attempt; whether some of them failed.
    retry: Option<(u64, u32, bool)>,
}

impl Can {
    fn of(job: &Job) -> Self {
        // While there is time, its workspace offers to undo it.
        if job.kind == JobKind::Delete {
            return Self::default();
        }
        let goes_on = matches!(job.status, JobStatus::Pending | JobStatus::Running);
        let embedding = job.phase_details.get(PhaseName::Embedding.index());
        let is_behind = match job.status {
            JobStatus::Pending => job.queue_position.is_some_and(|ahead| ahead > 0),
            _ => job.priority != Priority::First,
        };
        Self {
            first: goes_on && job.requested.is_none() && is_behind,
            pause: goes_on && job.requested.is_none(),
            resume: job.status == JobStatus::Paused || job.requested == Some(JobRequest::Pause),
            cancel: !job.status.is_final() && job.requested != Some(JobRequest::Cancel),
            skip_embedding: !job.status.is_final()
                && job.requested != Some(JobRequest::Cancel)
                && embedding.is_some_and(|e| matches!(e.status, PhaseStatus::Running | PhaseStatus::Paused)),
            retry: left_to_retry(job),
        }
    }
}

/// What a retry would take up of a job that has ended: so many documents and pages would run again, after this attempt;
/// whether some of them failed.
fn left_to_retry(job: &Job) -> Option<(u64, u32, bool)> {
    let failed = job.metrics.documents_failed + job.metrics.pages_failed;
    // A crawl that was cancelled goes on with the pages that it found and never asked for.
    let waiting = if job.crawl.is_some() { job.metrics.pages_waiting() } else { 0 };
    let is_short = matches!(job.status, JobStatus::Failed | JobStatus::Cancelled) && waiting > 0;
    (job.status.is_final() && failed > 0 || is_short).then_some((
        failed + waiting,
        job.attempt,
        failed > job.metrics.documents_cancelled,
    ))
}

/// `named`: the buttons say which job is meant, since those of others stand beside them.
#[component]
pub fn Controls(
    id: JobId,
    workspace: WorkspaceId,
    job: RwSignal<Option<Job>>,
    #[prop(optional)] named: bool,
) -> impl IntoView {
    let stores = Stores::expect();
    let jobs = RwSignal::from(stores.active());
    let is_alone = Memo::new(move |_| jobs.with(Vec::len) < 2);
    let place = RwSignal::from(stores.workspace(workspace));
    // The steps of outside workers are their own business.
    let is_ours =
        Memo::new(move |_| place.with(|w| w.as_ref().is_some_and(|w| w.processor == Processor::Builtin)));
    // What it is taken away with cannot be steered, and nothing is left of what went with it.
    let is_doomed = Memo::new(move |_| stores.is_workspace_doomed(workspace));
    let can = Memo::new(move |_| {
        if is_doomed.get() {
            return Can::default();
        }
        let can = job.with(|j| j.as_ref().map(Can::of).unwrap_or_default());
        Can {
            first: can.first && !is_alone.get(),
            skip_embedding: can.skip_embedding && !named && is_ours.get(),
            ..can
        }
    });
    // A button that is disabled is reached by no key and no finger, so what stands in its title has to stand beside it as well.
    // In the tray the badge of the link is near enough.
    let paused = Live::expect().paused_reason();
    let why = Memo::new(move |_| paused.get().filter(|_| !named && can.with(|can| *can != Can::default())));
    // Each by itself: one that comes or goes leaves the others as they are, with the focus, and with what is open.
    let has = move |part: fn(&Can) -> bool| Memo::new(move |_| can.with(part));
    let (first, pause, resume) = (has(|can| can.first), has(|can| can.pause), has(|can| can.resume));
    let (skip, cancel) = (has(|can| can.skip_embedding), has(|can| can.cancel));
    let retry = Memo::new(move |_| can.with(|can| can.retry));
    let fields = move || vec![("id", id.to_string()), ("workspace", workspace.to_string())];
    let cancels = move |keep: bool| {
        let mut fields = fields();
        fields.push(("keep_results", keep.to_string()));
        fields
    };
    let name = move |words: &str| {
        job.with_untracked(|j| j.as_ref().filter(|_| named).map(|j| format!("{words}: {}", job_title(j))))
    };
    let row = NodeRef::<html::Div>::new();
    // Where what was pressed goes with its deed, the keyboard goes on from what is left. The stream tells what came of the
    // deed, before or after the answer to it.
    let go_on = move || focus_if_lost(move || first_button(row));
    let pressed = StoredValue::new(false);
    let done = Callback::new(move |_: Value| {
        pressed.try_set_value(true);
        go_on();
    });
    effect_after(move |before: Option<()>| {
        can.track();
        if before.is_some() && pressed.try_update_value(std::mem::take).unwrap_or_default() {
            go_on();
        }
    });
    view! {
        <div class="row" data-controls="" node_ref=row>
            {move || first.get().then(|| view! { <Deed action=PutJobFirst::url() words="Do this first" fields=fields() name=name("Do this first") steers=true done /> })}
            {move || pause.get().then(|| view! { <Deed action=PauseJob::url() words="Pause" fields=fields() name=name("Pause") steers=true done /> })}
            {move || resume.get().then(|| view! { <Deed action=ResumeJob::url() words="Resume" fields=fields() name=name("Resume") steers=true done /> })}
            {move || skip.get().then(|| view! {
                <Deed
                    action=SkipEmbeddingOfJob::url()
                    words="Skip embedding"
                    fields=fields()
                    hint=WITHOUT_VECTORS
                    steers=true
                    done
                />
            })}
            {move || retry.get().map(|(failed, attempt, some_failed)| {
                let mut fields = fields();
                fields.push(("attempt", attempt.to_string()));
                let words = if some_failed { "Retry failed" } else { "Retry" };
                let is_crawl = job.with_untracked(|j| j.as_ref().is_some_and(|j| j.crawl.is_some()));
                let (one, many) = if is_crawl { ("page", "pages") } else { ("document", "documents") };
                let name = format!("{words}: {}", count(failed, one, many));
                view! { <Deed action=RetryJob::url() words fields name steers=true done /> }
            })}
            {move || cancel.get().then(|| view! {
                <details class="details">
                    <summary aria-label=name("Cancel")>"Cancel…"</summary>
                    <div class="row">
                        <Deed action=CancelJob::url() words="Keep what is ready" fields=cancels(true) steers=true done />
                        <Deed
                            action=CancelJob::url()
                            words="Remove what it made"
                            fields=cancels(false)
                            kind=ButtonKind::Danger
                            steers=true
                            done
                        />
                    </div>
                </details>
            })}
            <Reason text=Signal::derive(move || why.get()) />
        </div>
    }
}

/// What in the row can be pressed first.
fn first_button(row: NodeRef<html::Div>) -> Option<web_sys::HtmlElement> {
    let row = row.try_get_untracked().flatten()?;
    row.query_selector("button:enabled, summary").ok()??.dyn_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{job, site};

    #[test]
    fn the_buttons_are_those_that_the_state_of_the_job_allows() {
        let can = |status, requested| Can::of(&Job { requested, ..job(1, 1, status) });
        let all = Can { pause: true, cancel: true, ..Can::default() };
        assert_eq!(can(JobStatus::Running, None), Can { first: true, ..all });
        assert_eq!(can(JobStatus::Pending, None), all);
        let behind = Job { queue_position: Some(2), ..job(1, 1, JobStatus::Pending) };
        assert_eq!(Can::of(&behind), Can { first: true, ..all });
        let first = Job { priority: Priority::First, ..job(1, 1, JobStatus::Running) };
        assert_eq!(Can::of(&first), all, "it was put first already");
        let pausing = Can { pause: false, resume: true, ..all };
        assert_eq!(can(JobStatus::Running, Some(JobRequest::Pause)), pausing);
        assert_eq!(can(JobStatus::Paused, None), pausing);
        assert_eq!(can(JobStatus::Running, Some(JobRequest::Cancel)), Can::default());
        assert_eq!(can(JobStatus::Completed, None), Can::default());
        let mut embeds = job(1, 1, JobStatus::Running);
        embeds.phase_details[PhaseName::Embedding.index()].status = PhaseStatus::Running;
        assert!(Can::of(&embeds).skip_embedding);
        embeds.requested = Some(JobRequest::Cancel);
        assert!(!Can::of(&embeds).skip_embedding);
        let deletes = Job { kind: JobKind::Delete, ..job(1, 1, JobStatus::Running) };
        assert_eq!(Can::of(&deletes), Can::default());
        let mut failed = job(1, 1, JobStatus::Completed);
        failed.metrics.documents_failed = 3;
        assert_eq!(Can::of(&failed), Can { retry: Some((3, 1, true)), ..Can::default() });
        failed.metrics.documents_cancelled = 3;
        assert_eq!(Can::of(&failed), Can { retry: Some((3, 1, false)), ..Can::default() });
        // Nothing of this crawl failed, and three of its pages were never asked for.
        let mut crawl = Job { crawl: Some(site()), ..job(1, 1, JobStatus::Cancelled) };
        (crawl.metrics.pages_found, crawl.metrics.pages_fetched) = (5, 2);
        assert_eq!(Can::of(&crawl), Can { retry: Some((3, 1, false)), ..Can::default() });
        crawl.status = JobStatus::Completed;
        assert_eq!(Can::of(&crawl), Can::default());
        // Of another one a page could not be had, and a document of a page that was had failed.
        (crawl.metrics.pages_failed, crawl.metrics.documents_failed) = (1, 1);
        crawl.status = JobStatus::Cancelled;
        assert_eq!(left_to_retry(&crawl), Some((4, 1, true)));
        crawl.status = JobStatus::Running;
        assert_eq!(left_to_retry(&crawl), None);
    }
}
