//! The job that deletes a workspace. It has no phases: it counts the documents that are gone, and ends with the workspace.
//! Before it begins there is time to undo it.

use super::{
    job::{end_job, tell, tell_job},
    *,
};
use crate::provision::Refusal;

/// Seconds within which a deletion can be undone.
pub const UNDO_SECONDS: i64 = 8;
/// So many seconds later is still in time: somebody pressed the button at the last moment, and the request was on its way.
pub const LATE_SECONDS: i64 = 1;
/// So many seconds after it was deleted a thing goes for good. By then every worker knows that its lease is gone and
/// writes no file any more.
pub const REMOVED_SECONDS: i64 = 10;

/// Said to whoever comes too late.
pub const UNDO_OVER: Refusal =
    Refusal::new("undo_over", "The time to undo this is over: it is deleted for good.");

/// Said of a job that deletes.
pub const DELETES: Refusal = Refusal::new(
    "job_deletes",
    "This job deletes a workspace. It cannot be paused, cancelled or run again; in its first seconds it can be undone.",
)
.allowing(&[]);

/// A new job that deletes a workspace with so many documents and bytes.
pub fn delete(
    job_id: JobId,
    user_id: UserId,
    workspace_id: WorkspaceId,
    (documents, bytes): (u64, u64),
    now: Timestamp,
) -> (JobState, Told) {
    let config = RagConfig::default();
    let mut state = new_job(job_id, JobKind::Delete, user_id, workspace_id, (documents, bytes), &config, now);
    state.job.phase_details.clear();
    state.job.message = say(WRITTEN, &Sentence::DeletingSoon { documents });
    let events = vec![Event::JobUpdate(state.job.clone())];
    (state, Told { events, counts_changed: false })
}

/// So many documents are left to delete: the job begins with that, or goes on.
///
/// # Errors
/// When it has ended.
pub fn deleting(state: &mut JobState, left: u64, now: Timestamp) -> Result<Told, IllegalMove> {
    let before = state.job.clone();
    let job = &mut state.job;
    if job.status != JobStatus::Running {
        job.status = job.status.go(JobStatus::Running)?;
        job.started_at = Some(now);
    }
    let m = &mut job.metrics;
    let of = m.documents_total.max(left);
    m.documents_total = of;
    m.documents_done = m.documents_done.max(of - left);
    if of > 0 {
        job.progress = job.progress.max(m.documents_done as f64 / of as f64 * 100.0);
    }
    job.message = say(WRITTEN, &Sentence::Deleting { done: m.documents_done, of });
    let mut events = vec![];
    tell_job(state, &before, now, &mut events);
    Ok(Told { events, counts_changed: false })
}

/// Nothing is left of the workspace.
///
/// # Errors
/// When the job has ended.
pub fn deleted(state: &mut JobState, now: Timestamp) -> Result<Told, IllegalMove> {
    let job = &mut state.job;
    job.status = job.status.go(JobStatus::Completed)?;
    job.completed_at = Some(now);
    job.progress = 100.0;
    job.metrics.documents_done = job.metrics.documents_total;
    job.message = say(WRITTEN, &Sentence::Deleted { documents: job.metrics.documents_total });
    let mut events = vec![];
    tell(state, now, &mut events);
    Ok(Told { events, counts_changed: false })
}

/// Somebody took the deletion back before it began.
///
/// # Errors
/// [`UNDO_OVER`] when it has begun.
pub fn undone(state: &mut JobState, now: Timestamp) -> Result<Told, Refusal> {
    if state.job.status != JobStatus::Pending {
        return Err(UNDO_OVER);
    }
    end(state, &Sentence::DeletionUndone, now).map_err(|_| UNDO_OVER)
}

/// The workspace of a job that had not ended is gone.
///
/// # Errors
/// When it has ended.
pub fn end_with_workspace(state: &mut JobState, now: Timestamp) -> Result<Told, IllegalMove> {
    end(state, &Sentence::WorkspaceDeleted, now)
}

fn end(state: &mut JobState, why: &Sentence<'_>, now: Timestamp) -> Result<Told, IllegalMove> {
    end_job(&mut state.job, why, now)?;
    let mut events = vec![];
    tell(state, now, &mut events);
    Ok(Told { events, counts_changed: false })
}
