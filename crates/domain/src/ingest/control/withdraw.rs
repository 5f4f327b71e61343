//! A document leaves the job that has it still to do, because somebody deleted it; and when it is brought back it goes on
//! in a job of its own, since the other one may have ended meanwhile.

use super::{retry::phases_of, *};
use crate::ingest::{
    held_back::tell_document,
    interrupt,
    job::{end_job, settle, tell_job},
    new_job, stall,
};

/// Whether this job has begun with the document; otherwise it only lists it, to index it anew.
fn is_begun(state: &JobState, doc: &DocumentState) -> bool {
    doc.document.job_id == Some(state.job.job_id)
}

/// Takes a document whose task is not through out of the job, as if it had never been in it. A job of which nothing else
/// is left ends with that; a crawl goes on as long as it has pages to ask for.
///
/// # Errors
/// When the job has ended.
pub fn withdraw(state: &mut JobState, doc: &DocumentState, now: Timestamp) -> Result<Told, IllegalMove> {
    let before = state.job.clone();
    let mut doc = doc.clone();
    let stage = if is_begun(state, &doc) { doc.stage } else { Stage::Loading };
    let job = &mut state.job;
    let (chunks, embedded, read) = (doc.document.chunk_count, doc.embedded, doc.read());
    let is_cut = !matches!(stage, Stage::Loading | Stage::Chunking);
    let mut take = |phase: usize, done: u64, of: u64| {
        let phase = &mut job.phase_details[phase];
        phase.items_processed = phase.items_processed.saturating_sub(done);
        phase.items_reused = phase.items_reused.min(phase.items_processed);
        phase.items_total = phase.items_total.saturating_sub(of);
    };
    take(0, u64::from(stage != Stage::Loading), 1);
    take(1, u64::from(is_cut), 1);
    if is_cut {
        if doc.embeds {
            take(2, if stage == Stage::Embedding { embedded } else { chunks }, chunks);
        }
        take(3, read, chunks);
        uncount_run(job, &mut doc);
    }
    // Those of a crawl are the pages of its site, and not those of a PDF on it.
    if stage != Stage::Loading && job.crawl.is_none() {
        let pages = doc.document.metadata.get("pages").and_then(serde_json::Value::as_u64);
        job.metrics.pages_found = job.metrics.pages_found.saturating_sub(pages.unwrap_or_default());
    }
    let m = &mut job.metrics;
    m.documents_total = m.documents_total.saturating_sub(1);
    m.bytes = m.bytes.saturating_sub(doc.document.size_bytes);
    let left = m.documents_total.saturating_sub(m.documents_done + m.documents_failed);
    // A crawl may have pages left to ask for, or have found all others as they were.
    let is_empty = m.documents_total == 0 && m.pages_unchanged == 0;
    if is_empty && !job.goes_on_finding() {
        end_job(job, &Sentence::AllDeleted, now)?;
    } else {
        if job.status == JobStatus::Pending {
            let pages = if job.goes_on_finding() { job.metrics.pages_waiting() } else { 0 };
            let again = Sentence::WaitingToRetry { documents: left, pages };
            let sentence = if job.attempt > 1 { again } else { Sentence::Waiting { documents: left } };
            job.message = say(WRITTEN, &sentence);
        }
        settle(state, now)?;
    }
    let mut events = vec![];
    tell_job(state, &before, now, &mut events);
    Ok(Told { events, counts_changed: false })
}

/// Has a document that was deleted while the job `from` had it to do go on from its last checkpoint, in a job of its
/// own. One that stood, by itself or with its job, still stands.
///
/// # Errors
/// When the table does not have the move.
pub fn bring_back(
    id: JobId,
    from: &JobState,
    doc: &mut DocumentState,
    now: Timestamp,
) -> Result<(JobState, Told), IllegalMove> {
    let d = &doc.document;
    let kind = if doc.live > 0 { JobKind::Reindex } else { JobKind::Upload };
    let size = (1, d.size_bytes);
    let mut state = new_job(id, kind, d.user_id, d.workspace_id, size, &from.config, now);
    // Somebody wants it back, whatever it is to become.
    (state.job.priority, state.turn_at) = (Priority::Normal, now);
    if !is_begun(from, doc) {
        let mut told = crate::ingest::requeue(&state, doc, now)?;
        told.events.push(Event::JobUpdate(state.job.clone()));
        return Ok((state, told));
    }
    let stands =
        doc.paused || from.job.status == JobStatus::Paused || from.job.requested == Some(JobRequest::Pause);
    forget(doc);
    stall::forget(doc);
    interrupt::forget(doc);
    if matches!(doc.stage, Stage::Loading | Stage::Chunking) {
        doc.embedded = 0;
        // What the last run wrote ahead may be of another cut.
        doc.generation += 1;
        doc.embeds = from.config.embeds();
    }
    doc.failures.clear();
    let d = &mut doc.document;
    if d.status != DocumentStatus::Pending {
        d.status = d.status.go(DocumentStatus::Pending)?;
    }
    d.job_id = Some(id);
    (d.step, d.message) = (None, None);
    d.attempt += 1;
    d.updated_at = now;
    let (stage, chunks) = (doc.stage, d.chunk_count);
    let progress = progress::of_document(stage.phase(), doc.done_here(), chunks);
    doc.document.progress = progress;
    doc.step_started_at = now;
    doc.event_at = Timestamp::default();
    if stands {
        doc.paused = true;
        warn_of(doc, PAUSED, &Sentence::PausedAlone);
    }
    count_again(&mut state.job, doc);
    state.job.phase_details = phases_of(&[&mut *doc], 0, &PhaseDetail::all_pending());
    state.job.progress = progress::of_job(&state.job.phase_details);
    state.job.phase = progress::current_phase(&state.job.phase_details);
    let mut events = vec![];
    tell_document(doc, &mut events);
    events.push(Event::JobUpdate(state.job.clone()));
    Ok((state, Told { events, counts_changed: true }))
}

/// The counters of a job take over what was done of the document before.
fn count_again(job: &mut Job, doc: &DocumentState) {
    let known =
        |name: &str| doc.document.metadata.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
    let m = &mut job.metrics;
    if doc.stage != Stage::Loading {
        m.pages_found = known("pages");
    }
    if !matches!(doc.stage, Stage::Loading | Stage::Chunking) {
        m.chunks_created = doc.document.chunk_count;
        m.chunks_embedded = doc.embedded;
        m.tokens = known("total_tokens");
    }
}
