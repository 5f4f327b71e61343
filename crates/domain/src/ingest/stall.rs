//! A document that a worker holds and that gets nowhere: its unit is ended and tried again, a few times. And one of an
//! outside worker that says nothing more of it: that is only told.

use super::{
    advance::{end_step, fail},
    held_back::{is_due, tell_document},
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
    let phase = doc.stage.phase();
    forget(doc);
    doc.document.updated_at = now;
    let fails = tries >= TRIES;
    if fails {
        let failure = Failure {
            code: STALLED.to_owned(),
            message: say(WRITTEN, &Sentence::StalledForGood { seconds, phase, tries }),
            hint: Some(say(WRITTEN, &Sentence::StalledHint)),
            retryable: true,
        };
        fail(job, doc, &failure, wanted, now, &mut events)?;
        job.job.halted = None;
        settle(job, now)?;
        tell_job(job, &before, now, &mut events);
    } else {
        let again = Sentence::StalledOnce { seconds, phase, next: tries + 1, of: TRIES };
        let message = say(WRITTEN, &again);
        if nothing_moves(job, seconds, now) {
            job.job.halted = Some(Halt::Stalled);
        }
        end_step(doc, StepStatus::Error, Some(&message), now, &mut events);
        doc.document.warnings.push(Warning { code: STALLED.to_owned(), message });
        tell_document(doc, &mut events);
        estimate_nothing(&mut job.job);
        tell(job, now, &mut events);
    }
    Ok(Told { events, counts_changed: fails })
}

/// Nothing was reported of the document since then: it says so until the next report. Nobody here can tell a slow worker
/// from a dead one, so nothing is ended, failed or tried again, and step and message stay as the worker left them.
/// `others_move`: another document of the job is in work and not held up.
pub fn unheard(
    job: &mut JobState,
    doc: &mut DocumentState,
    since: Timestamp,
    others_move: bool,
    now: Timestamp,
) -> Told {
    let d = &mut doc.document;
    if d.status != DocumentStatus::Processing || d.stalled().is_some() {
        return Told::default();
    }
    let before = job.job.clone();
    let message = say(WRITTEN, &Sentence::Unheard { since });
    d.warnings.push(Warning { code: STALLED.to_owned(), message });
    d.updated_at = now;
    let mut events = vec![];
    tell_document(doc, &mut events);
    estimate_nothing(&mut job.job);
    if !others_move && !job.job.goes_on_finding() {
        job.job.halted = Some(Halt::Stalled);
    }
    if job.job != before {
        tell(job, now, &mut events);
    }
    Told { events, counts_changed: false }
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
    for phase in &mut job.phase_details {
        phase.rate = None;
        phase.eta_seconds = None;
    }
}

/// Whether no other document of the job gets on either: it is the last one, or nothing was told of the job for as long.
/// Whatever gets on afterwards takes the word back.
pub(super) fn nothing_moves(job: &JobState, seconds: u64, now: Timestamp) -> bool {
    let Metrics { documents_total, documents_done, documents_failed, .. } = job.job.metrics;
    let is_last = !job.job.goes_on_finding() && documents_done + documents_failed + 1 >= documents_total;
    let quiet = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    is_last || job.job.halted.is_some() || is_due(job.event_at, quiet, now)
}
