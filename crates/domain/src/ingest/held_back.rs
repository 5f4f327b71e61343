//! What changes quickly is told at most so often. A word that comes too soon after the last one is held back: its
//! successor takes its place, or, when none comes, it is told once the time is over. So the last word always comes out.

use super::{advance::tell_step, *};

/// Smallest distance of two events that tell how far a document is in one step.
pub const DOCUMENT_EVERY_MICROS: i64 = 500_000;
/// Smallest distance of two `job_update` that tell progress only. Four of them, and the turn from pending to running, are
/// the five that one second may have.
pub const JOB_EVERY_MICROS: i64 = 250_000;

/// Whether the last word is old enough. A clock that was put back must not silence anything.
pub(super) fn is_due(event_at: Timestamp, every: i64, now: Timestamp) -> bool {
    !(0..every).contains(&(now.micros() - event_at.micros()))
}

/// Tells a document as it is, which is the last word about it.
pub(super) fn tell_document(doc: &mut DocumentState, events: &mut Vec<Event>) {
    doc.held_back = false;
    events.push(Event::DocumentStatus(doc.document.clone()));
}

/// The last word about a document, when it was held back and may be told by now.
pub fn tell_document_rest(doc: &mut DocumentState, now: Timestamp) -> Option<Event> {
    if !doc.held_back || !is_due(doc.event_at, DOCUMENT_EVERY_MICROS, now) {
        return None;
    }
    let mut events = vec![];
    if doc.document.status == DocumentStatus::Processing && doc.document.step.is_some() {
        tell_step(doc, StepStatus::InProgress, now, &mut events);
    } else {
        doc.event_at = now;
        tell_document(doc, &mut events);
    }
    events.pop()
}

/// The last word about a job, when it was held back and may be told by now.
pub fn tell_job_rest(job: &mut JobState, now: Timestamp) -> Option<Event> {
    if !job.held_back || !is_due(job.event_at, JOB_EVERY_MICROS, now) {
        return None;
    }
    let mut events = vec![];
    job::tell(job, now, &mut events);
    events.pop()
}
