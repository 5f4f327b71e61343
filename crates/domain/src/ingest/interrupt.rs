//! A document that was begun and that nobody holds any more: its worker died, or gave it back. It says so until the next
//! one takes it, which needs nobody's doing.

use super::{advance::end_step, held_back::tell_document, job::tell, stall::estimate_nothing, *};
use crate::resource::INTERRUPTED;

/// What is said meanwhile.
const WHY: &str = "The work was interrupted, and nobody is at it just now. It goes on by itself, from where it stopped, as soon as a worker is free.";

/// Says that nobody works on the document; nothing when that is said already, or something that explains more.
pub fn interrupt(job: &mut JobState, doc: &mut DocumentState, now: Timestamp) -> Told {
    let d = &mut doc.document;
    let is_said = d.stalled().or(d.interrupted()).or(d.retrying()).is_some();
    if d.status != DocumentStatus::Processing || is_said {
        return Told::default();
    }
    d.warnings.push(Warning { code: INTERRUPTED.to_owned(), message: WHY.to_owned() });
    d.updated_at = now;
    let mut events = vec![];
    // No clock runs on at a step that nobody is at.
    end_step(doc, StepStatus::Error, Some(WHY), now, &mut events);
    tell_document(doc, &mut events);
    estimate_nothing(&mut job.job);
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
