//! A job as bars over time: its phases, and below them its documents. The steps of the documents are read again with each of
//! them that comes to its end: one that was under way at the last reading would grow on and on. So they are with each phase that
//! turns, since a job of one document has no other end to go by, and after a gap of which the stream could not tell.

use super::following::read_until_current;
use crate::{
    AppError,
    components::{Boundary, Button, JobWaterfall},
    effect::effect_after,
    server_fns::workspaces::job_steps,
    stores::Stores,
    view,
    wire::Wire,
};
use domain::{Job, JobId, PhaseDetail, PhaseStatus, event::FileProgress, message::number, pages::DRAWN};
use leptos::{prelude::*, task::spawn_local};

/// How far the documents of a job are: in which attempt, how many came to their end, whether all is over, and how its phases
/// stand.
pub type Through = (u32, u64, bool, Vec<PhaseStatus>);

pub fn through(job: &Job) -> Through {
    let ended = job.metrics.documents_done + job.metrics.documents_failed;
    let phases = job.phase_details.iter().map(|phase| phase.status).collect();
    (job.attempt, ended, job.status.is_final(), phases)
}

/// `known`: the steps that came with the page, and how far the job was then; without them they are read at once.
#[component]
pub fn OverTime(
    id: JobId,
    job: RwSignal<Option<Job>>,
    phases: Memo<Vec<PhaseDetail>>,
    #[prop(optional)] known: Option<(Through, Vec<FileProgress>)>,
) -> impl IntoView {
    let (known_at, known) = known.unzip();
    let steps = RwSignal::new(known.unwrap_or_default());
    let failed = RwSignal::new(None::<AppError>);
    let again = Trigger::new();
    let through = Memo::new(move |_| job.with(|j| j.as_ref().map(through)));
    let total = Memo::new(move |_| job.with(|j| j.as_ref().map_or(0, |j| j.metrics.documents_total)));
    let busy = RwSignal::new(false);
    let anew = Stores::expect().anew();
    effect_after(move |before: Option<()>| {
        again.track();
        anew.track();
        let now = through.get();
        let is_known = before.is_none() && now.is_some() && now == known_at;
        if is_known || busy.get_untracked() {
            return;
        }
        busy.set(true);
        let read = move |_: Option<Through>| async move {
            match job_steps(id).await {
                Ok(Wire(read)) => {
                    failed.try_set(None);
                    steps.try_set(read);
                }
                Err(error) => {
                    failed.try_set(Some(error));
                }
            }
        };
        spawn_local(async move {
            read_until_current(move || through.try_get_untracked(), read).await;
            busy.try_set(false);
        });
    });
    view! {
        <Boundary
            title="The steps of the documents could not be read"
            actions=move || view! { <Button busy on:click=move |_| again.notify()>"Try again"</Button> }
        >
            {move || match failed.get() {
                Some(error) => Err(error),
                None => Ok(view! { <JobWaterfall phases steps /> }),
            }}
        </Boundary>
        {move || {
            (total.get() > u64::from(DRAWN)).then(|| view! {
                <p class="meta" data-part="">
                    {format!("{DRAWN} of {} documents shown: those that began first", number(total.get()))}
                </p>
            })
        }}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::job;
    use domain::JobStatus;

    #[test]
    fn the_steps_are_read_again_with_each_phase_that_turns_and_each_document_or_attempt_that_ends() {
        let mut one = job(1, 5, JobStatus::Running);
        let mut seen = vec![through(&one)];
        let mut is_new = |job: &Job| {
            let now = through(job);
            let is_new = seen.last() != Some(&now);
            seen.push(now);
            is_new
        };
        // The first document was begun.
        one.phase_details[0].status = PhaseStatus::Running;
        assert!(is_new(&one));
        one.progress = 40.0;
        assert!(!is_new(&one), "how far its documents are changes all the time");
        one.metrics.documents_done = 1;
        assert!(is_new(&one));
        one.metrics.documents_failed = 1;
        assert!(is_new(&one));
        one.status = JobStatus::Completed;
        assert!(is_new(&one));
        (one.status, one.attempt, one.metrics.documents_failed) = (JobStatus::Running, 2, 0);
        assert!(is_new(&one));
    }
}
