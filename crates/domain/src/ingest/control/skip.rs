//! Embedding is the one phase that can be left out: the documents are then found by their words alone.

use super::{
    document::{moves_of_document, open},
    *,
};
use crate::{
    ingest::{
        advance::set_progress,
        held_back::tell_document,
        job::{moves_of, pace_from, settle, tell},
    },
    resource::EMBEDDING_SKIPPED,
};

/// Says of a document that becomes ready without vectors that it could have some.
pub(in crate::ingest) fn say_skipped(document: &mut Document) {
    document.warnings.retain(|w| w.code != EMBEDDING_SKIPPED);
    document.warnings.push(Warning {
        code: EMBEDDING_SKIPPED.to_owned(),
        message: say(WRITTEN, &Sentence::EmbeddingSkipped),
    });
}

/// Leaves out the embedding of everything that the job has not finished; `documents` are those of its unfinished tasks,
/// which whoever calls this takes out of the hands of workers. `None` when it is left out already.
///
/// # Errors
/// When the job or the phase is through, or a cancel is under way.
pub fn skip_embedding(
    state: &mut JobState,
    documents: &mut [DocumentState],
    now: Timestamp,
) -> Result<Option<Told>, IllegalMove> {
    let job = &mut state.job;
    let phase = &mut job.phase_details[PhaseName::Embedding.index()];
    if phase.status == PhaseStatus::Skipped && !job.status.is_final() {
        return Ok(None);
    }
    if job.status.is_final() || job.requested == Some(JobRequest::Cancel) {
        let (from, to) = (job.status.as_str(), PhaseStatus::Skipped.as_str());
        return Err(IllegalMove { what: "The job", from, to, allowed: moves_of(job) });
    }
    phase.status = phase.status.go(PhaseStatus::Skipped)?;
    phase.completed_at = Some(now);
    let mut events = vec![];
    for doc in documents.iter_mut().filter(|d| d.document.is_unfinished()) {
        leave_out(state, doc, now, &mut events);
    }
    pace_from(state, Some(now));
    settle(state, now)?;
    tell(state, now, &mut events);
    Ok(Some(Told { events, counts_changed: false }))
}

/// The same for one document.
///
/// # Errors
/// When it is through or beyond its embedding, or being cancelled.
pub fn skip_document(
    state: &mut JobState,
    doc: &mut DocumentState,
    now: Timestamp,
) -> Result<Option<Told>, IllegalMove> {
    open(state, doc, "skipped")?;
    if !doc.embeds {
        return Ok(None);
    }
    let (done, all) = (doc.embedded, doc.document.chunk_count);
    match doc.stage {
        Stage::Loading | Stage::Chunking => {}
        Stage::Embedding => {
            let embedding = &mut state.job.phase_details[PhaseName::Embedding.index()];
            embedding.items_total = embedding.items_total.saturating_sub(all.saturating_sub(done));
        }
        Stage::Indexing | Stage::Done => {
            let (what, from) = ("The document", doc.stage.as_str());
            let allowed = moves_of_document(doc).to_vec();
            return Err(IllegalMove { what, from, to: "skipped", allowed });
        }
    }
    let mut events = vec![];
    leave_out(state, doc, now, &mut events);
    settle(state, now)?;
    tell(state, now, &mut events);
    Ok(Some(Told { events, counts_changed: false }))
}

fn leave_out(state: &mut JobState, doc: &mut DocumentState, now: Timestamp, events: &mut Vec<Event>) {
    doc.embeds = false;
    if doc.stage == Stage::Embedding {
        let m = &mut state.job.metrics;
        m.chunks_skipped = m.chunks_skipped.saturating_sub(doc.known());
        m.chunks_embedded = m.chunks_embedded.saturating_sub(doc.embedded);
        doc.embedded = 0;
        doc.stage = Stage::Indexing;
        set_progress(doc, 0);
        doc.failures.clear();
        unsay(doc, &[RETRYING, WAITING]);
        doc.document.updated_at = now;
        tell_document(doc, events);
    }
}
