//! What people ask of jobs and of single documents: pause, resume, cancel, skip the embedding, retry. A worker that has
//! a document in hand is asked and never overruled: the request stands in the row until nobody holds the job (or the
//! document) any more, and whoever sees to that honours it in the same transaction. Where nobody holds it, it is honoured
//! at once. What is so already, or asked for already, changes nothing.

mod document;
mod job;
mod retry;
mod skip;
mod withdraw;

pub use document::{ask_document, honour_document, moves_of_document, resume_document};
pub use job::{ask, honour, resume, tell_asked};
pub use retry::{Retry, RetryScope, attempt_of, renew, retry};
pub(super) use skip::say_skipped;
pub use skip::{skip_document, skip_embedding};
pub use withdraw::{bring_back, withdraw};

use super::*;
use crate::status::Priority;
use crate::{
    provision::Refusal,
    resource::{CANCELLED, PAUSED, RETRYING, WAITING},
};
use std::ops::Range;

named!(
    /// What was asked of a document alone.
    Asked, "request" {
        Pause = "pause",
        Cancel = "cancel",
        /// Also takes back what was made of it so far.
        CancelRemove = "cancel_remove",
    }
);

impl Asked {
    pub const fn cancels(self) -> bool {
        matches!(self, Asked::Cancel | Asked::CancelRemove)
    }
}

/// What somebody wants of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    Pause,
    Resume,
    /// Without `keep_results` also what is ready is taken back.
    Cancel {
        keep_results: bool,
    },
    /// The embedding alone can be left out; any other phase is needed, so its cancel is the job's.
    CancelPhase(PhaseName),
    Retry(Retry),
    /// Before all other jobs of the same person.
    First,
}

/// What somebody wants of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentControl {
    Pause,
    Resume,
    Cancel { keep_results: bool },
    SkipEmbedding,
}

named!(
    /// What becomes of the documents that workers have in hand when a whole workspace is paused.
    Stop, "way to stop" {
        /// They are finished, and nothing else is begun.
        FinishRunning = "finish_running",
        /// They stand at their next gate, as the others do.
        Now = "now",
    }
);

/// Said of work that is to go on in a workspace that stands.
pub const WORKSPACE_PAUSED: Refusal =
    Refusal::new("workspace_paused", "Processing is paused in this workspace. Resume the workspace.");

/// Takes back all that was asked and said of it by a control.
pub(super) fn forget(doc: &mut DocumentState) {
    doc.requested = None;
    doc.paused = false;
    unsay(doc, &[PAUSED, STOPPING, RETRYING, WAITING]);
}

fn unsay(doc: &mut DocumentState, codes: &[&str]) {
    doc.document.warnings.retain(|w| !codes.contains(&w.code.as_str()));
}

fn warn_of(doc: &mut DocumentState, code: &str, why: &Sentence<'_>) {
    unsay(doc, &[code]);
    doc.document.warnings.push(Warning { code: code.to_owned(), message: say(WRITTEN, why) });
}

/// Why a document does not become ready that somebody cancelled.
fn cancelled() -> Failure {
    Failure {
        code: CANCELLED.to_owned(),
        message: say(WRITTEN, &Sentence::DocumentCancelled),
        hint: Some(say(WRITTEN, &Sentence::CancelledHint)),
        retryable: true,
    }
}

/// Code of the warning of a document whose last run did not renew its passages, where that is so.
pub(super) fn not_renewed(document: &Document) -> Option<&str> {
    let mut warned = document.warnings.iter().map(|w| w.code.as_str());
    warned.find(|code| NOT_RENEWED.contains(code))
}

/// The passages of the run that is under way count no more.
fn uncount_run(job: &mut Job, doc: &mut DocumentState) {
    let tokens = doc.document.metadata.get("total_tokens").and_then(serde_json::Value::as_u64);
    let m = &mut job.metrics;
    m.chunks_created = m.chunks_created.saturating_sub(doc.document.chunk_count);
    m.chunks_skipped = m.chunks_skipped.saturating_sub(doc.known());
    m.chunks_embedded = m.chunks_embedded.saturating_sub(doc.embedded);
    m.tokens = m.tokens.saturating_sub(tokens.filter(|_| doc.document.chunk_count > 0).unwrap_or_default());
    doc.embedded = 0;
    doc.document.chunk_count = 0;
}

/// The runs over a document whose passages are of no use any more since `before`.
pub fn dead_runs(before: &DocumentState, after: &DocumentState) -> Range<u32> {
    let run = after.generation;
    if before.live > 0 && after.live == 0 {
        before.live.min(run)..run + 1
    } else if matches!(before.stage, Stage::Loading | Stage::Done) || after.stage != Stage::Done {
        // Before the text was read nothing of a run is written.
        0..0
    } else if after.live > 0 || before.stage == Stage::Chunking || after.document.chunk_count == 0 {
        run..run + 1
    } else {
        0..0
    }
}
