//! The next attempt of a job that ended: it runs only what is asked for, from where that stopped.

use super::*;
use crate::{
    ingest::{
        held_back::tell_document,
        job::{may_be_retried, moves_of, pace_from, tell},
    },
    provision::Refusal,
    resource::{Attempt, DocumentError},
};
use std::collections::BTreeSet;

named!(
    /// What a retry runs again.
    RetryScope, "scope" {
        /// Every document that is not ready.
        Failed = "failed",
        /// Those that did not get through `phase`.
        Phase = "phase",
        /// Those of `document_ids` that are not ready.
        Documents = "documents",
        /// Those of the addresses in `pages` that a crawl could not have.
        Pages = "pages",
        /// Every document, from the beginning.
        All = "all",
    }
);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    pub scope: RetryScope,
    pub phase: Option<PhaseName>,
    pub document_ids: Vec<DocumentId>,
    /// With [`RetryScope::Pages`]: addresses. A store leaves those in it that failed in this job.
    pub pages: Vec<String>,
    /// The attempt that is meant: when there is a later one, nothing more is done, so that two clicks make one.
    pub attempt: Option<u32>,
}

impl Retry {
    pub const fn failed() -> Self {
        Self { scope: RetryScope::Failed, phase: None, document_ids: vec![], pages: vec![], attempt: None }
    }

    pub fn document(id: DocumentId) -> Self {
        Self { scope: RetryScope::Documents, document_ids: vec![id], ..Self::failed() }
    }

    pub fn page(url: String, attempt: Option<u32>) -> Self {
        Self { scope: RetryScope::Pages, pages: vec![url], attempt, ..Self::failed() }
    }

    /// `named` are its `document_ids`.
    fn means(&self, doc: &DocumentState, named: &BTreeSet<DocumentId>) -> bool {
        let is_failed = is_failed(doc);
        match self.scope {
            RetryScope::All => true,
            RetryScope::Pages => false,
            RetryScope::Failed => is_failed,
            RetryScope::Phase => is_failed && Some(doc.reached.phase()) == self.phase,
            RetryScope::Documents => is_failed && named.contains(&doc.document.id),
        }
    }
}

const NOTHING: Refusal = Refusal::new(
    "nothing_to_retry",
    "Nothing of this job is left to retry: what was asked for is ready, or belongs to a newer job.",
);

/// Begins the next attempt of the job, which waits in the queue like a new one. `documents` are all that the job ever
/// had; those that run again turn pending, and the others are left alone. `None` when the attempt was begun before.
///
/// # Errors
/// When the job goes on, or ended with nothing failed; or nothing of it is meant.
pub fn retry(
    state: &mut JobState,
    documents: &mut [DocumentState],
    retry: &Retry,
    now: Timestamp,
) -> Result<Option<Told>, ReportError> {
    let job = &mut state.job;
    let id = job.job_id;
    // What is asked for and not in that attempt would be lost.
    let pages = pages_again(job, retry);
    let named: BTreeSet<DocumentId> = retry.document_ids.iter().copied().collect();
    let is_its_own = |d: &DocumentState| d.document.job_id == Some(id);
    let means = |d: &DocumentState| is_its_own(d) && retry.means(d, &named);
    let waits = |d: &DocumentState| d.document.is_unfinished();
    let left = match retry.scope {
        RetryScope::All => documents.iter().any(|d| is_its_own(d) && !waits(d)),
        RetryScope::Pages => pages > 0,
        RetryScope::Documents => {
            let is_named = |d: &DocumentState| is_its_own(d) && named.contains(&d.document.id);
            documents.iter().any(means) || !documents.iter().any(|d| is_named(d) && waits(d))
        }
        RetryScope::Failed | RetryScope::Phase => documents.iter().any(means),
    };
    if retry.attempt.is_some_and(|meant| meant < job.attempt)
        || job.status == JobStatus::Pending && job.attempt > 1 && !left
    {
        return Ok(None);
    }
    if !may_be_retried(job) {
        let (from, to) = (job.status.as_str(), JobStatus::Pending.as_str());
        return Err(IllegalMove { what: "The job", from, to, allowed: moves_of(job) }.into());
    }
    // With another scope there may be something to do.
    let is_left = documents.iter().any(is_its_own) || pages_again(job, &Retry::failed()) > 0;
    let mut meant: Vec<&mut DocumentState> = documents.iter_mut().filter(|d| means(d)).collect();
    if meant.is_empty() && pages == 0 {
        let others: &[&str] = if is_left { &["pending"] } else { &[] };
        return Err(NOTHING.allowing(others).into());
    }
    let mut events = vec![];
    for doc in &mut meant {
        again(state, doc, retry.scope == RetryScope::All, now)?;
        tell_document(doc, &mut events);
    }
    // Whoever retries one document asked for no page of a crawl that somebody cancelled.
    let rests = retry.scope == RetryScope::Documents && state.job.metrics.pages_waiting() > 0;
    if let Some(crawl) = &mut state.job.crawl {
        crawl.rests = rests;
    }
    let along = pages_along(&state.job, retry);
    let phases = phases_of(&meant, pages + along, &state.job.phase_details);
    let job = &mut state.job;
    if pages > 0 {
        let asked = if retry.scope == RetryScope::Pages { retry.pages.len() as u64 } else { u64::MAX };
        let stay = job.metrics.pages_failed.saturating_sub(asked);
        if stay < job.metrics.pages_failed {
            // What is gone from the site may be found on them: the end of this attempt tells.
            job.metrics.pages_removed = 0;
        }
        job.metrics.pages_failed = stay;
    }
    job.phase_details = phases;
    job.attempt += 1;
    state.cancel_removes = false;
    // A new attempt begins where the table of an attempt begins.
    job.status = JobStatus::Pending;
    job.requested = None;
    job.error = None;
    (job.started_at, job.completed_at) = (None, None);
    job.progress = progress::of_job(&job.phase_details);
    job.phase = progress::current_phase(&job.phase_details);
    job.halted = None;
    let (documents, pages) = (meant.len() as u64, pages + along);
    job.message = say(WRITTEN, &Sentence::WaitingToRetry { documents, pages });
    pace_from(state, None);
    tell(state, now, &mut events);
    Ok(Some(Told { events, counts_changed: true }))
}

/// Has the next attempt of the job go by what the workspace asks for by now: somebody may have changed that because of what
/// failed. What was cut and embedded by other settings, and is not found, is of no use then: those documents are to begin
/// anew. For a [`retry`] alone, before it; what it tells goes before what that tells.
pub fn renew(state: &mut JobState, documents: &mut [DocumentState], wanted: &RagConfig) -> Vec<Event> {
    let mut events = vec![];
    let print = |config: &RagConfig| config.fingerprint(config.embeds());
    if print(&state.config) != print(wanted) {
        let id = state.job.job_id;
        let failed = |d: &&mut DocumentState| {
            d.document.job_id == Some(id) && d.live == 0 && d.document.status == DocumentStatus::Failed
        };
        for doc in documents.iter_mut().filter(failed).filter(|d| is_cut(d.reached)) {
            uncount_run(&mut state.job, doc);
            tell_document(doc, &mut events);
        }
    }
    state.config.clone_from(wanted);
    events
}

/// Whether a document that stopped there has passages.
const fn is_cut(reached: Stage) -> bool {
    !matches!(reached, Stage::Loading | Stage::Chunking)
}

/// Pages of a crawl that are asked for again: all that could not be had, or those that are named. Where it was cancelled,
/// those that were never asked for come along.
const fn pages_again(job: &Job, retry: &Retry) -> u64 {
    match retry.scope {
        RetryScope::Failed | RetryScope::All if job.crawl.is_some() => {
            job.metrics.pages_failed + job.metrics.pages_waiting()
        }
        RetryScope::Pages if job.crawl.is_some() && !retry.pages.is_empty() => {
            retry.pages.len() as u64 + job.metrics.pages_waiting()
        }
        _ => 0,
    }
}

/// Pages that nobody names and that are asked for all the same, since a crawl that was cancelled goes on with them.
const fn pages_along(job: &Job, retry: &Retry) -> u64 {
    match retry.scope {
        RetryScope::Phase if job.crawl.is_some() => job.metrics.pages_waiting(),
        _ => 0,
    }
}

fn is_failed(doc: &DocumentState) -> bool {
    doc.document.status == DocumentStatus::Failed || not_renewed(&doc.document).is_some()
}

/// Puts a document into the queue again: from where it stopped, or from its beginning beside what is found meanwhile.
fn again(
    state: &mut JobState,
    doc: &mut DocumentState,
    from_the_beginning: bool,
    now: Timestamp,
) -> Result<(), IllegalMove> {
    let m = &mut state.job.metrics;
    if is_failed(doc) {
        let is_cancelled = doc.document.error_code.as_deref() == Some(CANCELLED)
            || matches!(not_renewed(&doc.document), Some(REINDEX_CANCELLED | REPLACE_CANCELLED));
        m.documents_failed = m.documents_failed.saturating_sub(1);
        m.documents_cancelled = m.documents_cancelled.saturating_sub(u64::from(is_cancelled));
    } else {
        m.documents_done = m.documents_done.saturating_sub(1);
    }
    // It has none of the passages that it had made, see [`renew`]; or vectors that do not fit to what its model makes now.
    let has_others = doc.document.error_code.as_deref() == Some(crate::ingest::WRONG_DIMENSION);
    let is_void = is_cut(doc.reached) && (doc.document.chunk_count == 0 || has_others);
    let stage = if from_the_beginning || is_void || doc.live > 0 { Stage::Loading } else { doc.reached };
    crate::ingest::version::count_failed_run(doc);
    if matches!(stage, Stage::Loading | Stage::Chunking) {
        if stage == Stage::Loading {
            let pages = doc.document.metadata.get("pages").and_then(serde_json::Value::as_u64);
            if state.job.crawl.is_none() {
                m.pages_found = m.pages_found.saturating_sub(pages.unwrap_or_default());
            }
            if let Some(metadata) = doc.document.metadata.as_object_mut() {
                metadata.remove("pages");
            }
        }
        uncount_run(&mut state.job, doc);
        if doc.live > 0 {
            doc.document.chunk_count = doc.live_chunks;
        }
        crate::ingest::version::go_back(doc, Stage::Loading);
        // What the last run wrote may still be on its way out.
        doc.generation += 1;
        doc.embeds = state.config.embeds();
    }
    doc.stage = stage;
    doc.failures.clear();
    forget(doc);
    let done = doc.done_here();
    let d = &mut doc.document;
    d.status = d.status.go(DocumentStatus::Pending)?;
    (d.error, d.error_code, d.error_hint) = (None, None, None);
    d.warnings.retain(|w| !NOT_RENEWED.contains(&w.code.as_str()));
    (d.step, d.message) = (None, None);
    d.attempt += 1;
    d.updated_at = now;
    d.progress = progress::of_document(stage.phase(), done, d.chunk_count);
    doc.step_started_at = now;
    doc.event_at = Timestamp::default();
    Ok(())
}

/// The phases of an attempt of these documents, and of so many pages that are asked for: what an earlier one did counts as done, and is marked as reused.
pub(super) fn phases_of(
    documents: &[&mut DocumentState],
    pages: u64,
    before: &[PhaseDetail],
) -> Vec<PhaseDetail> {
    let mut phases = PhaseDetail::all_pending();
    let all = documents.len() as u64 + pages;
    phases[0].items_total = all;
    phases[1].items_total = all;
    for doc in documents {
        let chunks = doc.document.chunk_count;
        phases[0].items_processed += u64::from(doc.stage != Stage::Loading);
        if matches!(doc.stage, Stage::Loading | Stage::Chunking) {
            continue;
        }
        phases[1].items_processed += 1;
        if doc.embeds {
            phases[2].items_total += chunks;
            phases[2].items_processed += if doc.stage == Stage::Embedding { doc.embedded } else { chunks };
        }
        phases[3].items_total += chunks;
        phases[3].items_processed += doc.read();
    }
    let cut = phases[1].items_processed as f64 / all.max(1) as f64;
    if pages == 0 && !documents.iter().any(|d| d.embeds) {
        phases[2].status = PhaseStatus::Skipped;
    }
    let mut before_is_done = true;
    for (i, p) in phases.iter_mut().enumerate() {
        let known = if i < 2 { 1.0 } else { cut };
        p.items_reused = p.items_processed;
        p.progress = progress::of_phase(p.items_processed, p.items_total, known);
        // How many chunks there are is known when all are cut, and that is a phase before.
        let whole = p.items_total > 0 && p.items_processed == p.items_total;
        if before_is_done && whole && p.status == PhaseStatus::Pending {
            // It was completed in an earlier attempt, and is so from the start.
            p.status = PhaseStatus::Completed;
            (p.started_at, p.completed_at) = (before[i].started_at, before[i].completed_at);
        }
        before_is_done &= matches!(p.status, PhaseStatus::Completed | PhaseStatus::Skipped);
    }
    phases
}

/// The attempt that the job is in, with what its documents failed by.
pub fn attempt_of<'a>(job: &Job, documents: impl IntoIterator<Item = &'a DocumentState>) -> Attempt {
    let mine = documents.into_iter().filter(|d| d.document.job_id == Some(job.job_id));
    Attempt {
        attempt: job.attempt,
        status: job.status,
        message: job.message.clone(),
        error: job.error.clone(),
        metrics: job.metrics,
        phase_details: job.phase_details.clone(),
        started_at: job.started_at,
        completed_at: job.completed_at,
        errors: mine.filter_map(error_of).collect(),
    }
}

fn error_of(doc: &DocumentState) -> Option<DocumentError> {
    let d = &doc.document;
    let reindex = d.warnings.iter().find(|w| NOT_RENEWED.contains(&w.code.as_str()));
    Some(DocumentError {
        document_id: d.id,
        filename: d.filename.clone(),
        error: d.error.clone().or_else(|| reindex.map(|w| w.message.clone()))?,
        error_code: d.error_code.clone().or_else(|| reindex.map(|w| w.code.clone())),
        error_hint: d.error_hint.clone(),
        tries: if doc.failures.len() > 1 { doc.failures.clone() } else { vec![] },
    })
}
