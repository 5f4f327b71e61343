//! A document that was begun and that nobody holds any more: its worker died, or gave it back. It says so until the next
//! one takes it, which needs nobody's doing.

use super::{
    advance::end_step,
    held_back::tell_document,
    job::tell,
    stall::{estimate_nothing, nothing_moves},
    *,
};
use crate::resource::INTERRUPTED;

/// Seconds without a word of the job, after which none of its documents is taken to move.
pub(super) const QUIET: u64 = 5;

/// Says that nobody works on the document; nothing when that is said already, or something that explains more.
pub fn interrupt(job: &mut JobState, doc: &mut DocumentState, now: Timestamp) -> Told {
    let d = &mut doc.document;
    if d.status != DocumentStatus::Processing || d.held_up().is_some() {
        return Told::default();
    }
    let why = say(WRITTEN, &Sentence::Interrupted);
    d.warnings.push(Warning { code: INTERRUPTED.to_owned(), message: why.clone() });
    d.updated_at = now;
    let mut events = vec![];
    // No clock runs on at a step that nobody is at.
    end_step(doc, StepStatus::Error, Some(&why), now, &mut events);
    tell_document(doc, &mut events);
    estimate_nothing(&mut job.job);
    if nothing_moves(job, QUIET, now) {
        job.job.halted = Some(Halt::Interrupted);
    }
    tell(job, now, &mut events);
    Told { events, counts_changed: false }
}

/// Takes the word back; answers whether it was said.
pub(super) fn forget(doc: &mut DocumentState) -> bool {
    let warnings = &mut doc.document.warnings;
    let before = warnings.len();
    warnings.retain(|w| w.code != INTERRUPTED);
    warnings.len() < before
}
