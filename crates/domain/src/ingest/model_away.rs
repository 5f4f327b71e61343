//! A document whose embedding model cannot be had at the moment: it waits, however long that takes, and no try is counted.
//! The next claim after the server's next trial goes on with it.

use super::{
    advance::{begin_step, end_step},
    held_back::tell_document,
    stall::{self, nothing_moves},
    *,
};
use crate::{rag::Outage, resource::WAITING};

/// Seconds without a word of the job, after which none of its documents is taken to move.
const QUIET: u64 = 5;
/// Documents that wait for one server do not all come back in the same moment.
const SPREAD_MICROS: u64 = 1_500_000;

/// When the document is tried again: as soon as the server is, give or take a moment that is drawn from its id.
pub fn waits_until(doc: &DocumentState, outage: &Outage) -> Timestamp {
    // The last bits of an id are random; Fibonacci hashing spreads them also where they are not.
    let spread = (doc.document.id.uuid().as_u128() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    outage.next_try.plus_micros(((SPREAD_MICROS * spread) >> 32) as i64)
}

/// Says that the document waits for the server of its model. Once for each outage, however often that is tried.
pub(super) fn put_on_hold(doc: &mut DocumentState, outage: &Outage, now: Timestamp, events: &mut Vec<Event>) {
    let why = say(WRITTEN, &Sentence::ModelAway { since: outage.since, busy: outage.busy, next_try: None });
    if doc.document.warnings.iter().any(|w| w.code == WAITING && w.message == why) {
        return;
    }
    forget(doc);
    stall::forget(doc);
    retry_later::forget(doc);
    let step = doc.document.step.as_ref();
    if doc.stage == Stage::Embedding && step != Some(&Step::CreatingEmbeddings) {
        end_step(doc, StepStatus::Complete, None, now, events);
        begin_step(doc, Step::CreatingEmbeddings, why.clone(), now, events);
    }
    // No clock runs on at a step that nobody is at.
    end_step(doc, StepStatus::Error, Some(&why), now, events);
    doc.document.warnings.push(Warning { code: WAITING.to_owned(), message: why });
    doc.document.updated_at = now;
    tell_document(doc, events);
}

/// Says of a job of which nothing else moves that it waits, and until when.
pub(super) fn say_of_job(state: &mut JobState, outage: &Outage, now: Timestamp) {
    let may_say = state.job.status == JobStatus::Running && state.job.requested.is_none();
    if may_say && nothing_moves(state, QUIET, now) {
        state.job.halted = Some(Halt::Waiting);
        state.job.message = outage.words();
    }
}

/// Takes the word back; answers whether it was said.
pub(super) fn forget(doc: &mut DocumentState) -> bool {
    let warnings = &mut doc.document.warnings;
    let before = warnings.len();
    warnings.retain(|w| w.code != WAITING);
    warnings.len() < before
}
