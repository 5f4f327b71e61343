//! Work that failed by something that may heal: the document waits a while and is tried again, three times in all.

use super::{advance::end_step, held_back::tell_document, stall::TRIES, *};
use crate::resource::RETRYING;

/// How long it waits before the second and the third try, in milliseconds, give or take a quarter.
const PAUSES: [u64; 2] = [2_000, 8_000];

/// Whether the document of a task that has just failed waits for another try.
pub fn waits_for_retry(doc: &DocumentState) -> bool {
    doc.stage != Stage::Done && !doc.failures.is_empty()
}

/// When a document that waits is tried again. Documents that failed together do not come back together: each has a
/// pause of its own, drawn from its id, so that every store says the same.
pub fn retries_at(doc: &DocumentState, now: Timestamp) -> Timestamp {
    now.plus_micros(pause_ms(doc) as i64 * 1_000)
}

fn pause_ms(doc: &DocumentState) -> u64 {
    // The last bits of an id are random.
    pause_of(doc.document.id.uuid().as_u128() as u64, doc.failures.len())
}

/// The pause after so many tries of what has those bits to its name.
pub(super) fn pause_of(bits: u64, tries: usize) -> u64 {
    let tries = tries.clamp(1, PAUSES.len());
    let pause = PAUSES[tries - 1];
    // Fibonacci hashing spreads them also where they are not random.
    let spread = (bits ^ tries as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    pause * 3 / 4 + ((pause / 2 * spread) >> 32)
}

/// Puts the document off for its next try; or answers what it fails by, when there is none.
pub(super) fn put_off(
    doc: &mut DocumentState,
    failure: &Failure,
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Option<Failure> {
    doc.failures.push(failure.message.clone());
    let tries = doc.failures.len() as u32;
    if !failure.retryable || tries >= TRIES {
        return Some(Failure { message: all_of(&doc.failures), ..failure.clone() });
    }
    forget(doc);
    let seconds = pause_ms(doc).div_ceil(1_000);
    let why = failure.message.as_str();
    let message = say(WRITTEN, &Sentence::RetryIn { next: tries + 1, of: TRIES, seconds, why });
    end_step(doc, StepStatus::Error, Some(&message), now, events);
    doc.document.warnings.push(Warning { code: RETRYING.to_owned(), message });
    tell_document(doc, events);
    None
}

/// The last message, and the ones before it where there were some.
pub(super) fn all_of(failures: &[String]) -> String {
    let Some((last, earlier)) = failures.split_last() else { return String::new() };
    match earlier {
        [] => last.clone(),
        _ => {
            let same = earlier.iter().all(|m| m == last);
            let before = if same { String::new() } else { earlier.join(" ") };
            say(WRITTEN, &Sentence::TriedOften { last, before: &before, tries: failures.len() as u64 })
        }
    }
}

/// Takes the word back; answers whether it was said.
pub(super) fn forget(doc: &mut DocumentState) -> bool {
    let warnings = &mut doc.document.warnings;
    let before = warnings.len();
    warnings.retain(|w| w.code != RETRYING);
    warnings.len() < before
}
