//! One document: paused, resumed and cancelled by itself, while the others of its job go on.

use super::{
    job::{end_cancelled, go_on},
    *,
};
use crate::{
    ingest::{
        held_back::tell_document,
        job::{drop_from_totals, settle, tell, tell_job},
    },
    provision::Refusal,
};

/// What it is, in one word.
fn word(doc: &DocumentState) -> &'static str {
    match doc.document.status {
        DocumentStatus::Failed if doc.document.error_code.as_deref() == Some(CANCELLED) => CANCELLED,
        _ if doc.paused && doc.document.is_unfinished() => PAUSED,
        status => status.as_str(),
    }
}

/// What people may make of it by itself now.
pub fn moves_of_document(doc: &DocumentState) -> &'static [&'static str] {
    match word(doc) {
        _ if doc.requested.is_some_and(Asked::cancels) => &[CANCELLED],
        "pending" | "processing" => &[PAUSED, CANCELLED],
        PAUSED => &["processing", CANCELLED],
        "failed" | CANCELLED => &["pending"],
        _ => &[],
    }
}

fn illegal(doc: &DocumentState, to: &'static str) -> IllegalMove {
    let allowed = moves_of_document(doc).to_vec();
    IllegalMove { what: "The document", from: word(doc), to, allowed }
}

/// The document can be controlled: it is not through, and this job has it.
pub(super) fn open(state: &JobState, doc: &DocumentState, to: &'static str) -> Result<(), IllegalMove> {
    let job = &state.job;
    let mine = doc.document.job_id == Some(job.job_id);
    if !mine || job.status.is_final() || !doc.document.is_unfinished() {
        return Err(illegal(doc, to));
    }
    if job.requested == Some(JobRequest::Cancel) {
        return Err(IllegalMove { allowed: vec![CANCELLED], ..illegal(doc, to) });
    }
    Ok(())
}

/// Notes what is wanted of the document, and says so. False when it is so already, or asked for already. Whoever calls
/// this honours it at once when nobody has the document in hand.
///
/// # Errors
/// When it is through, or being cancelled.
pub fn ask_document(
    state: &JobState,
    doc: &mut DocumentState,
    asked: Asked,
    now: Timestamp,
) -> Result<Option<Told>, IllegalMove> {
    let to = if asked.cancels() { CANCELLED } else { PAUSED };
    if doc.requested == Some(Asked::Cancel) && asked == Asked::CancelRemove {
        open(state, doc, to)?;
        doc.requested = Some(asked);
        return Ok(Some(Told::default()));
    }
    let wanted = doc.requested.is_some_and(|r| r.cancels() == asked.cancels());
    if wanted || word(doc) == to {
        return Ok(None);
    }
    open(state, doc, to)?;
    if doc.requested.is_some_and(Asked::cancels) {
        return Err(illegal(doc, to));
    }
    doc.requested = Some(asked);
    doc.document.updated_at = now;
    let why = if asked.cancels() { Sentence::Cancelling } else { Sentence::Pausing };
    warn_of(doc, STOPPING, &why);
    let mut events = vec![];
    tell_document(doc, &mut events);
    Ok(Some(Told { events, counts_changed: false }))
}

/// Does what was asked of the document: nobody has it in hand.
///
/// # Errors
/// When the table does not have the move.
pub fn honour_document(
    state: &mut JobState,
    doc: &mut DocumentState,
    wanted: &RagConfig,
    now: Timestamp,
) -> Result<Told, IllegalMove> {
    let before = state.job.clone();
    let mut events = vec![];
    let Some(asked) = doc.requested.take() else { return Ok(Told::default()) };
    unsay(doc, &[STOPPING]);
    doc.document.updated_at = now;
    if !asked.cancels() {
        doc.paused = true;
        warn_of(doc, PAUSED, &Sentence::PausedAlone);
        tell_document(doc, &mut events);
        return Ok(Told { events, counts_changed: false });
    }
    let stopped_in = doc.stage.phase();
    drop_from_totals(&mut state.job, doc, stopped_in);
    end_cancelled(state, doc, asked == Asked::CancelRemove, wanted, now, &mut events)?;
    settle(state, now)?;
    tell_job(state, &before, now, &mut events);
    Ok(Told { events, counts_changed: true })
}

/// Said of a document whose whole job stands.
const JOB_PAUSED: Refusal = Refusal::new("job_paused", "The job of this document is paused. Resume the job.");

/// Lets the document go on where it stopped; a pause that is only asked for is taken back. `None` when it was going on.
/// `alone` when no other document of the job waits: a job that stands because all of its documents do goes on with it.
///
/// # Errors
/// When it is through, being cancelled, or its whole job is paused.
pub fn resume_document(
    state: &mut JobState,
    doc: &mut DocumentState,
    alone: bool,
    now: Timestamp,
) -> Result<Option<Told>, ReportError> {
    open(state, doc, "processing")?;
    if doc.requested.is_some_and(Asked::cancels) {
        return Err(illegal(doc, "processing").into());
    }
    let stands = state.job.status == JobStatus::Paused;
    if stands && !(doc.paused && alone) {
        let others: &[&str] = if doc.paused { &[CANCELLED] } else { &[PAUSED, CANCELLED] };
        return Err(JOB_PAUSED.allowing(others).into());
    }
    if !doc.paused && doc.requested.is_none() {
        return Ok(None);
    }
    (doc.paused, doc.requested) = (false, None);
    unsay(doc, &[PAUSED, STOPPING]);
    doc.document.updated_at = now;
    let mut events = vec![];
    tell_document(doc, &mut events);
    if stands {
        go_on(state, now)?;
        tell(state, now, &mut events);
    }
    Ok(Some(Told { events, counts_changed: false }))
}
