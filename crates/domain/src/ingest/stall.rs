//! A document that a worker holds and that gets nowhere: its unit is ended and tried again, a few times.

use super::{
    advance::{end_step, fail},
    held_back::tell_document,
    job::{settle, tell, tell_job},
    *,
};

/// Tries of one unit. The next stall after that many is the document's end.
pub const TRIES: u32 = 3;

/// The document made no progress for `seconds`, in its try number `tries` since it last got on. It says so and goes back
/// into the queue, as it was; or fails, when it was tried often enough. `wanted` is what the workspace asks for by now.
///
/// # Errors
/// When it is in nobody's hands.
pub fn stall(
    job: &mut JobState,
    doc: &mut DocumentState,
    (seconds, tries): (u64, u32),
    wanted: &RagConfig,
    now: Timestamp,
) -> Result<Told, IllegalMove> {
    let mut events = vec![];
    let before = job.job.clone();
    let d = &doc.document;
    if d.status != DocumentStatus::Processing {
        let (from, to) = (d.status.as_str(), STALLED);
        return Err(IllegalMove { what: "The document", from, to, allowed: vec![] });
    }
    let why = format!("There was no progress for {} while {}", duration(seconds), at_work(doc.stage));
    forget(doc);
    doc.document.updated_at = now;
    let fails = tries >= TRIES;
    if fails {
        let failure = Failure {
            code: STALLED.to_owned(),
            message: format!("{why}, {tries} times in a row."),
            hint: Some("Try again later; if it happens once more, ask the operator.".to_owned()),
            retryable: true,
        };
        fail(job, doc, &failure, wanted, now, &mut events)?;
        settle(job, now)?;
        tell_job(job, &before, now, &mut events);
    } else {
        let message = format!("{why}. Trying again ({} of {TRIES}).", tries + 1);
        end_step(doc, StepStatus::Error, Some(&message), now, &mut events);
        doc.document.warnings.push(Warning { code: STALLED.to_owned(), message });
        tell_document(doc, &mut events);
        estimate_nothing(&mut job.job);
        tell(job, now, &mut events);
    }
    Ok(Told { events, counts_changed: fails })
}

/// Takes the word back; answers whether it was said.
pub(super) fn forget(doc: &mut DocumentState) -> bool {
    let warnings = &mut doc.document.warnings;
    let before = warnings.len();
    warnings.retain(|w| w.code != STALLED);
    warnings.len() < before
}

/// What was estimated holds no more. The next progress, of any document of the job, estimates anew.
pub(super) fn estimate_nothing(job: &mut Job) {
    job.rate = None;
    job.eta_seconds = None;
}

const fn at_work(stage: Stage) -> &'static str {
    match stage {
        Stage::Loading => "reading the file",
        Stage::Chunking => "splitting the text",
        Stage::Embedding => "creating embeddings",
        Stage::Indexing | Stage::Done => "storing the index",
    }
}
