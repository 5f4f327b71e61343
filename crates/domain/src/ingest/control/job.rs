//! Jobs: what is asked of one, and what becomes of it when that is honoured.

use super::*;
use crate::ingest::{
    advance::{end_badly, run_phase},
    held_back::tell_document,
    job::{finish_cancelled, message, moves_of, pace_from, tell},
    stall::estimate_nothing,
};

/// Notes what is wanted of the job. False when it is so already, or asked for already. Whoever calls this honours it at
/// once when nobody has a document of the job in hand, and tells it otherwise ([`tell_asked`]).
///
/// # Errors
/// When the table does not have the move, or a cancel is under way, or the results of a job that was cancelled and kept them
/// are to be taken back.
pub fn ask(state: &mut JobState, request: JobRequest, keep_results: bool) -> Result<bool, IllegalMove> {
    if request == JobRequest::Cancel
        && state.job.requested == Some(request)
        && !keep_results
        && !state.cancel_removes
    {
        state.cancel_removes = true;
        return Ok(true);
    }
    let job = &mut state.job;
    let (wanted, message) = match request {
        JobRequest::Pause => (JobStatus::Paused, Sentence::Pausing),
        JobRequest::Cancel => (JobStatus::Cancelled, Sentence::Cancelling),
    };
    if job.status == wanted || job.requested == Some(request) {
        if job.status == JobStatus::Cancelled && !keep_results && !state.cancel_removes {
            // It kept its results and is over: nobody is told that they were taken back.
            go(job, wanted)?;
        }
        return Ok(false);
    }
    not_being_cancelled(job, wanted)?;
    go(job, wanted)?;
    job.requested = Some(request);
    job.message = say(WRITTEN, &message);
    estimate_nothing(job);
    state.cancel_removes = request == JobRequest::Cancel && !keep_results;
    Ok(true)
}

/// `to`, when the table has the move; else it is told what may become of the job.
fn go(job: &Job, to: JobStatus) -> Result<JobStatus, IllegalMove> {
    job.status.go(to).map_err(|e| IllegalMove { allowed: moves_of(job), ..e })
}

fn not_being_cancelled(job: &Job, to: JobStatus) -> Result<(), IllegalMove> {
    if job.requested != Some(JobRequest::Cancel) {
        return Ok(());
    }
    let (from, to) = (job.status.as_str(), to.as_str());
    Err(IllegalMove { what: "The job", from, to, allowed: moves_of(job) })
}

/// Tells that something is asked of the job, which a worker will honour soon.
pub fn tell_asked(state: &mut JobState, now: Timestamp) -> Told {
    let mut events = vec![];
    tell(state, now, &mut events);
    Told { events, counts_changed: false }
}

/// Does what was asked of the job: nobody has a document of it in hand. `documents` are those of its unfinished tasks
/// when it is cancelled, and all of its documents when results are taken back; none is needed for a pause.
///
/// # Errors
/// When the table does not have the move.
pub fn honour(
    state: &mut JobState,
    documents: &mut [DocumentState],
    wanted: &RagConfig,
    now: Timestamp,
) -> Result<Told, IllegalMove> {
    let mut told = Told::default();
    match state.job.requested.take() {
        None => return Ok(told),
        Some(JobRequest::Pause) => pause(&mut state.job)?,
        Some(JobRequest::Cancel) => {
            let removes = state.cancel_removes;
            let id = state.job.job_id;
            for doc in documents.iter_mut().filter(|d| d.document.job_id == Some(id)) {
                cancel_document(state, doc, removes, wanted, now, &mut told)?;
            }
            let m = &mut state.job.metrics;
            // Those that the job had not come to as well.
            let left = m.documents_total.saturating_sub(m.documents_done + m.documents_failed);
            m.documents_failed += left;
            m.documents_cancelled += left;
            finish_cancelled(&mut state.job, now)?;
        }
    }
    tell(state, now, &mut told.events);
    Ok(told)
}

fn pause(job: &mut Job) -> Result<(), IllegalMove> {
    job.status = job.status.go(JobStatus::Paused)?;
    for p in &mut job.phase_details {
        if p.status == PhaseStatus::Running {
            p.status = p.status.go(PhaseStatus::Paused)?;
        }
    }
    let begun = job.started_at.map(|_| job.progress as u64);
    job.message = say(WRITTEN, &Sentence::Paused { begun });
    Ok(())
}

fn cancel_document(
    state: &mut JobState,
    doc: &mut DocumentState,
    removes: bool,
    wanted: &RagConfig,
    now: Timestamp,
    told: &mut Told,
) -> Result<(), IllegalMove> {
    if doc.document.is_unfinished() {
        end_cancelled(state, doc, removes, wanted, now, &mut told.events)?;
        told.counts_changed = true;
    } else if removes
        && doc.document.status == DocumentStatus::Ready
        && state.job.kind != JobKind::Reindex
        && doc.is_first_found()
        && doc.next.is_none()
    {
        // What was there before a re-index, or was found before a later version, is gone by now, or found again: those
        // documents keep what they have.
        take_back(state, doc, now)?;
        tell_document(doc, &mut told.events);
        told.counts_changed = true;
    }
    Ok(())
}

/// A document that is not through ends by a cancel; `removes`: nothing of what its job made is left.
pub(super) fn end_cancelled(
    state: &mut JobState,
    doc: &mut DocumentState,
    removes: bool,
    wanted: &RagConfig,
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), IllegalMove> {
    let m = &mut state.job.metrics;
    m.documents_failed += 1;
    m.documents_cancelled += 1;
    if removes && state.job.kind != JobKind::Reindex && doc.next.is_none() {
        (doc.live, doc.live_chunks, doc.indexed, doc.found_since) = (0, 0, None, None);
        (doc.document.stale, doc.document.indexed_with) = (false, None);
    }
    let gone = removes && doc.live == 0;
    if gone && !matches!(doc.stage, Stage::Loading | Stage::Chunking) {
        uncount_run(&mut state.job, doc);
    } else if gone {
        doc.document.chunk_count = 0;
    }
    doc.document.updated_at = now;
    end_badly(doc, &cancelled(), wanted, now, events)?;
    if gone {
        doc.reached = Stage::Loading;
    }
    Ok(())
}

/// Of a document that was ready nothing is left that its job made.
fn take_back(state: &mut JobState, doc: &mut DocumentState, now: Timestamp) -> Result<(), IllegalMove> {
    match not_renewed(&doc.document) {
        None => {
            uncount_run(&mut state.job, doc);
            let m = &mut state.job.metrics;
            m.documents_done = m.documents_done.saturating_sub(1);
            m.documents_failed += 1;
            m.documents_cancelled += 1;
        }
        // It was counted as such already.
        Some(code) => {
            state.job.metrics.documents_cancelled +=
                u64::from(code == REINDEX_FAILED || code == REPLACE_FAILED);
            doc.document.chunk_count = 0;
        }
    }
    (doc.live, doc.live_chunks, doc.indexed, doc.found_since) = (0, 0, None, None);
    doc.reached = Stage::Loading;
    let d = &mut doc.document;
    // Out of the index, and then out of the job.
    d.status = d.status.go(DocumentStatus::Pending)?.go(DocumentStatus::Failed)?;
    let Failure { code, message, hint, .. } = cancelled();
    (d.error, d.error_code, d.error_hint) = (Some(message), Some(code), hint);
    (d.stale, d.indexed_with) = (false, None);
    // How far it had come in this attempt stays: no bar falls, whatever becomes of the results.
    (d.step, d.message) = (Some(Step::Finished), None);
    d.warnings.clear();
    d.updated_at = now;
    Ok(())
}

/// Lets the job go on where it stopped, also those of its documents that were paused by themselves, which `paused` are.
/// A pause that is only asked for is taken back. False when it was going on.
///
/// # Errors
/// When the table does not have the move, or a cancel is under way.
pub fn resume(
    state: &mut JobState,
    paused: &mut [DocumentState],
    now: Timestamp,
) -> Result<Option<Told>, IllegalMove> {
    not_being_cancelled(&state.job, JobStatus::Running)?;
    let asked = state.job.requested.take().is_some();
    match state.job.status {
        JobStatus::Pending | JobStatus::Running if !asked && paused.is_empty() => return Ok(None),
        JobStatus::Pending | JobStatus::Running => state.job.message = message(&state.job),
        _ => go_on(state, now)?,
    }
    let mut events = vec![];
    for doc in paused {
        forget(doc);
        doc.document.updated_at = now;
        tell_document(doc, &mut events);
    }
    tell(state, now, &mut events);
    Ok(Some(Told { events, counts_changed: false }))
}

/// From paused to running, with its phases.
pub(super) fn go_on(state: &mut JobState, now: Timestamp) -> Result<(), IllegalMove> {
    let job = &mut state.job;
    job.status = go(job, JobStatus::Running)?;
    job.started_at.get_or_insert(now);
    run_phase(job, PhaseName::Loading, now)?;
    for p in &mut job.phase_details {
        if p.status == PhaseStatus::Paused {
            p.status = p.status.go(PhaseStatus::Running)?;
        }
    }
    job.phase = progress::current_phase(&job.phase_details);
    job.message = message(job);
    pace_from(state, Some(now));
    Ok(())
}
