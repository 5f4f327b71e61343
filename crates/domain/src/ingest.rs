//! How a piece of finished work changes a job and a document, and which events tell of it. Pure: every job store
//! loads the two, calls [`start`] or [`advance`], and writes back what it finds, in one transaction.

use crate::{
    event::{Event, FileProgress, StepStatus},
    ids::{ChunkId, DocumentId, JobId, UserId, WorkspaceId},
    message::{Facts, count, friendly, number},
    progress,
    rag::{Fingerprint, RagConfig},
    resource::{Document, Job, Metrics, PhaseDetail, Warning},
    status::{DocumentStatus, IllegalMove, JobKind, JobStatus, PhaseName, PhaseStatus, named},
    step::Step,
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

named!(
    /// How far the checkpoints of a document reach.
    Stage, "stage" {
        Loading = "loading",
        Chunking = "chunking",
        Embedding = "embedding",
        Indexing = "indexing",
        Done = "done",
    }
);

impl Stage {
    const fn phase(self) -> PhaseName {
        match self {
            Stage::Loading => PhaseName::Loading,
            Stage::Chunking => PhaseName::Chunking,
            Stage::Embedding => PhaseName::Embedding,
            Stage::Indexing | Stage::Done => PhaseName::Indexing,
        }
    }
}

/// A passage as the chunker made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChunk {
    pub id: ChunkId,
    pub ordinal: u32,
    pub text: String,
    /// SHA-256 of the text, hexadecimal.
    pub content_hash: String,
    pub page: Option<u32>,
    pub heading: Option<String>,
    pub char_start: u64,
    pub char_end: u64,
    pub token_count: u32,
}

/// Why a document could not be processed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable word for programs.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    pub retryable: bool,
}

/// A piece of work that is done, committed with its results.
#[derive(Clone, Debug, PartialEq)]
pub enum Checkpoint {
    /// A step begins. Nothing is stored but what the screen shows.
    Step { step: Step, facts: Facts },
    /// The text was extracted and is durable beside the file.
    Loaded { pages: Option<u64>, characters: u64, title: Option<String>, warnings: Vec<Warning> },
    /// The text was cut; the chunks are committed with this.
    Chunked { chunks: Vec<NewChunk> },
    /// A batch of vectors, committed with this.
    Embedded { vectors: Vec<(ChunkId, Vec<f32>)> },
    /// The last step: the full text is written and the document becomes ready.
    Indexed,
    /// The document ends here; the job goes on with the others.
    Failed(Failure),
}

/// A job as a store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobState {
    pub job: Job,
    /// What its documents are indexed with: the workspace's configuration as it was when the job was made, so that one
    /// run never mixes two.
    pub config: RagConfig,
    /// When the last event about it was emitted: progress is told at most five times a second.
    pub event_at: Timestamp,
}

/// A document as a store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentState {
    pub document: Document,
    pub stage: Stage,
    /// Chunks that have their vector.
    pub embedded: u64,
    /// False: the document is found by keyword only, and embedding is skipped.
    pub embeds: bool,
    /// Names the passages that this run makes; each run has its own, so that the old ones serve until it is through.
    pub generation: u32,
    /// The generation that searches find; 0: none yet.
    pub live: u32,
    /// How many passages that one has.
    pub live_chunks: u64,
    /// What that one was made with.
    pub indexed: Option<Fingerprint>,
    pub step_started_at: Timestamp,
    /// When the last event about its steps was emitted: progress is told at most twice a second.
    pub event_at: Timestamp,
}

/// What a change leads to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// In the order in which they take their seq.
    pub events: Vec<Event>,
    /// The counts of the workspace are different now, and a `workspace_status` has to tell.
    pub counts_changed: bool,
}

impl Told {
    /// Tells the job's place in the queue too, which only a store that knows all jobs can say.
    pub fn set_queue_position(&mut self, ahead: u64) {
        for event in &mut self.events {
            if let Event::JobUpdate(job) = event {
                job.queue_position = Some(ahead);
            }
        }
    }
}

/// Code of the warning of a document that could not be indexed anew.
pub const REINDEX_FAILED: &str = "reindex_failed";

/// Smallest distance of two `job_update` that tell progress only.
const JOB_EVERY_MICROS: i64 = 200_000;
/// Smallest distance of two `file_progress` of one step.
const STEP_EVERY_MICROS: i64 = 500_000;

/// What is known of a document when its job is made.
pub struct Upload {
    pub id: DocumentId,
    pub filename: String,
    pub mime_type: String,
    pub size_bytes: u64,
    pub content_hash: String,
}

/// A new job with its documents, all pending.
pub fn create(
    job_id: JobId,
    kind: JobKind,
    user_id: UserId,
    workspace_id: WorkspaceId,
    uploads: &[Upload],
    config: &RagConfig,
    now: Timestamp,
) -> (JobState, Vec<DocumentState>, Told) {
    let size = (uploads.len() as u64, uploads.iter().map(|u| u.size_bytes).sum());
    let state = new_job(job_id, kind, user_id, workspace_id, size, config, now);
    let embeds = config.embeds();
    let documents: Vec<DocumentState> = uploads
        .iter()
        .map(|u| DocumentState {
            document: Document {
                id: u.id,
                workspace_id,
                user_id,
                job_id: Some(job_id),
                filename: u.filename.clone(),
                mime_type: u.mime_type.clone(),
                size_bytes: u.size_bytes,
                content_hash: u.content_hash.clone(),
                status: DocumentStatus::Pending,
                error: None,
                error_code: None,
                error_hint: None,
                warnings: vec![],
                chunk_count: 0,
                progress: 0.0,
                step: None,
                message: None,
                metadata: serde_json::json!({}),
                attempt: 1,
                stale: false,
                indexed_with: None,
                version: 1,
                rev: 0,
                created_at: now,
                updated_at: now,
            },
            stage: Stage::Loading,
            embedded: 0,
            embeds,
            generation: 1,
            live: 0,
            live_chunks: 0,
            indexed: None,
            step_started_at: now,
            event_at: Timestamp::default(),
        })
        .collect();
    let mut events: Vec<Event> =
        documents.iter().map(|d| Event::DocumentStatus(d.document.clone())).collect();
    events.push(Event::JobUpdate(state.job.clone()));
    (state, documents, Told { events, counts_changed: true })
}

/// A new job that indexes documents anew which are there already: so many, with so many bytes. They stay as they are,
/// and are found as before, until each is [`requeue`]d.
pub fn reindex(
    job_id: JobId,
    user_id: UserId,
    workspace_id: WorkspaceId,
    (documents, bytes): (u64, u64),
    config: &RagConfig,
    now: Timestamp,
) -> (JobState, Told) {
    let state = new_job(job_id, JobKind::Reindex, user_id, workspace_id, (documents, bytes), config, now);
    let events = vec![Event::JobUpdate(state.job.clone())];
    (state, Told { events, counts_changed: false })
}

fn new_job(
    job_id: JobId,
    kind: JobKind,
    user_id: UserId,
    kb_id: WorkspaceId,
    (total, bytes): (u64, u64),
    config: &RagConfig,
    now: Timestamp,
) -> JobState {
    let mut phase_details = PhaseDetail::all_pending();
    phase_details[0].items_total = total;
    phase_details[1].items_total = total;
    if !config.embeds() {
        phase_details[2].status = PhaseStatus::Skipped;
    }
    let job = Job {
        job_id,
        kind,
        kb_id,
        user_id,
        attempt: 1,
        status: JobStatus::Pending,
        requested: None,
        phase: PhaseName::Loading,
        progress: 0.0,
        message: format!("Waiting to start with {}", count(total, "document", "documents")),
        error: None,
        metrics: Metrics { documents_total: total, bytes, ..Metrics::default() },
        queue_position: None,
        rate: None,
        eta_seconds: None,
        rev: 0,
        created_at: now,
        started_at: None,
        completed_at: None,
        phase_details,
    };
    JobState { job, config: config.clone(), event_at: now }
}

/// Puts a document into the queue of a job that indexes it anew: a new run of everything, beside the passages that are
/// found meanwhile.
///
/// # Errors
/// When it is in some other job's hands.
pub fn requeue(job: &JobState, doc: &mut DocumentState, now: Timestamp) -> Result<Told, IllegalMove> {
    let d = &mut doc.document;
    d.status = d.status.go(DocumentStatus::Pending)?;
    d.job_id = Some(job.job.job_id);
    d.error = None;
    d.error_code = None;
    d.error_hint = None;
    d.progress = 0.0;
    d.step = None;
    d.message = None;
    d.attempt += 1;
    d.updated_at = now;
    doc.stage = Stage::Loading;
    doc.embedded = 0;
    doc.embeds = job.config.embeds();
    doc.generation += 1;
    doc.step_started_at = now;
    doc.event_at = Timestamp::default();
    let events = vec![Event::DocumentStatus(doc.document.clone())];
    Ok(Told { events, counts_changed: true })
}

/// Brings the mark of a document in line with what its workspace asks for now; `None` when it says so already.
pub fn compare(doc: &mut DocumentState, wanted: &RagConfig, now: Timestamp) -> Option<Event> {
    let stale = doc.indexed.as_ref().is_some_and(|indexed| !indexed.serves(wanted));
    if stale == doc.document.stale {
        return None;
    }
    doc.document.stale = stale;
    doc.document.updated_at = now;
    Some(Event::DocumentStatus(doc.document.clone()))
}

/// A worker took the document: job and document start, where they have not yet.
///
/// # Errors
/// When the job is neither pending nor running.
pub fn start(job: &mut JobState, doc: &mut DocumentState, now: Timestamp) -> Result<Told, IllegalMove> {
    let mut events = vec![];
    let mut counts_changed = false;
    let before = (job.job.status, job.job.phase);
    // One that is indexed anew may be taken before it was told that it waits.
    if job.job.kind == JobKind::Reindex && doc.document.job_id != Some(job.job.job_id) {
        let told = requeue(job, doc, now)?;
        events.extend(told.events);
        counts_changed = told.counts_changed;
    }
    if job.job.status != JobStatus::Running {
        job.job.status = job.job.status.go(JobStatus::Running)?;
        job.job.started_at.get_or_insert(now);
        run_phase(&mut job.job, PhaseName::Loading, now)?;
    }
    if doc.document.status == DocumentStatus::Pending {
        doc.document.status = doc.document.status.go(DocumentStatus::Processing)?;
        doc.document.updated_at = now;
        events.push(Event::DocumentStatus(doc.document.clone()));
    }
    tell_job(job, before, now, &mut events);
    Ok(Told { events, counts_changed })
}

/// Applies a finished piece of work. `wanted` is what the workspace asks for by now.
///
/// # Errors
/// When the table of a status does not have the move: the work came too late, or out of order.
pub fn advance(
    job: &mut JobState,
    doc: &mut DocumentState,
    checkpoint: &Checkpoint,
    wanted: &RagConfig,
    now: Timestamp,
) -> Result<Told, IllegalMove> {
    let mut events = vec![];
    let mut counts_changed = false;
    let before = (job.job.status, job.job.phase);
    doc.document.updated_at = now;
    match checkpoint {
        Checkpoint::Step { step, facts } => {
            if let Some(phase) = step.phase() {
                run_phase(&mut job.job, phase, now)?;
            }
            end_step(doc, StepStatus::Complete, None, now, &mut events);
            begin_step(doc, step.clone(), friendly(step, facts), now, &mut events);
        }
        Checkpoint::Loaded { pages, characters, title, warnings } => {
            expect(doc, Stage::Loading, Stage::Chunking)?;
            doc.document.warnings.clone_from(warnings);
            let mut metadata = serde_json::json!({ "characters": characters });
            if let Some(pages) = pages {
                metadata["pages"] = (*pages).into();
                job.job.metrics.pages_found += pages;
            }
            if let Some(title) = title {
                metadata["title"] = title.as_str().into();
            }
            doc.document.metadata = metadata;
            job.job.phase_details[0].items_processed += 1;
            set_progress(doc, 0);
        }
        Checkpoint::Chunked { chunks } => {
            expect(doc, Stage::Chunking, if doc.embeds { Stage::Embedding } else { Stage::Indexing })?;
            let n = chunks.len() as u64;
            doc.document.chunk_count = n;
            let phases = &mut job.job.phase_details;
            phases[1].items_processed += 1;
            if doc.embeds {
                phases[2].items_total += n;
            }
            phases[3].items_total += n;
            job.job.metrics.chunks_created += n;
            job.job.metrics.tokens += chunks.iter().map(|c| u64::from(c.token_count)).sum::<u64>();
            set_progress(doc, 0);
        }
        Checkpoint::Embedded { vectors } => {
            let n = vectors.len() as u64;
            doc.embedded += n;
            job.job.phase_details[2].items_processed += n;
            job.job.metrics.chunks_embedded += n;
            if doc.embedded >= doc.document.chunk_count {
                expect(doc, Stage::Embedding, Stage::Indexing)?;
                set_progress(doc, 0);
            } else {
                set_progress(doc, doc.embedded);
            }
            let facts = Facts {
                done: Some(doc.embedded),
                chunks: Some(doc.document.chunk_count),
                ..Facts::default()
            };
            doc.document.message = Some(friendly(&Step::CreatingEmbeddings, &facts));
            if now.micros() - doc.event_at.micros() >= STEP_EVERY_MICROS {
                tell_step(doc, StepStatus::InProgress, now, &mut events);
            }
        }
        Checkpoint::Indexed => {
            expect(doc, Stage::Indexing, Stage::Done)?;
            doc.document.status = doc.document.status.go(DocumentStatus::Ready)?;
            doc.document.error = None;
            doc.document.error_code = None;
            doc.document.error_hint = None;
            let indexed = job.config.fingerprint(doc.embeds);
            doc.document.stale = !indexed.serves(wanted);
            doc.document.indexed_with = indexed.indexed_with();
            doc.indexed = Some(indexed);
            doc.live = doc.generation;
            doc.live_chunks = doc.document.chunk_count;
            job.job.phase_details[3].items_processed += doc.document.chunk_count;
            job.job.metrics.documents_done += 1;
            end_step(doc, StepStatus::Complete, None, now, &mut events);
            let facts = Facts { chunks: Some(doc.document.chunk_count), ..Facts::default() };
            doc.document.progress = 100.0;
            doc.document.step = Some(Step::Finished);
            doc.document.message = Some(friendly(&Step::Finished, &facts));
            doc.step_started_at = now;
            tell_step(doc, StepStatus::Complete, now, &mut events);
            events.push(Event::DocumentStatus(doc.document.clone()));
            counts_changed = true;
        }
        Checkpoint::Failed(failure) => {
            let failed_in = doc.stage.phase();
            drop_from_totals(&mut job.job, doc, failed_in, failure);
            doc.stage = Stage::Done;
            if doc.live > 0 {
                keep_serving(doc, failure, wanted)?;
            } else {
                doc.document.status = doc.document.status.go(DocumentStatus::Failed)?;
                doc.document.error = Some(failure.message.clone());
                doc.document.error_code = Some(failure.code.clone());
                doc.document.error_hint.clone_from(&failure.hint);
            }
            end_step(doc, StepStatus::Error, Some(&failure.message), now, &mut events);
            events.push(Event::DocumentStatus(doc.document.clone()));
            counts_changed = true;
        }
    }
    settle(&mut job.job, now)?;
    tell_job(job, before, now, &mut events);
    Ok(Told { events, counts_changed })
}

/// A document that could not be indexed anew is found as it was before, which makes it ready; a warning tells the rest.
fn keep_serving(doc: &mut DocumentState, failure: &Failure, wanted: &RagConfig) -> Result<(), IllegalMove> {
    let d = &mut doc.document;
    d.status = d.status.go(DocumentStatus::Ready)?;
    d.stale = doc.indexed.as_ref().is_some_and(|indexed| !indexed.serves(wanted));
    d.chunk_count = doc.live_chunks;
    d.warnings.retain(|w| w.code != REINDEX_FAILED);
    let hint = failure.hint.as_deref().map(|hint| format!(" {hint}")).unwrap_or_default();
    let message =
        format!("It could not be indexed anew, and is found as it was before. {}{hint}", failure.message);
    d.warnings.push(Warning { code: REINDEX_FAILED.to_owned(), message });
    Ok(())
}

/// Moves the stage on; a checkpoint that does not fit it was made from an older state.
fn expect(doc: &mut DocumentState, now: Stage, next: Stage) -> Result<(), IllegalMove> {
    if doc.stage != now {
        return Err(IllegalMove {
            what: "The document's checkpoint",
            from: doc.stage.as_str(),
            to: next.as_str(),
            allowed: vec![],
        });
    }
    doc.stage = next;
    Ok(())
}

fn set_progress(doc: &mut DocumentState, done: u64) {
    let now = progress::of_document(doc.stage.phase(), done, doc.document.chunk_count);
    doc.document.progress = doc.document.progress.max(now);
}

fn run_phase(job: &mut Job, phase: PhaseName, now: Timestamp) -> Result<(), IllegalMove> {
    let detail = &mut job.phase_details[phase.index()];
    // A phase that others completed, or that was skipped, stays so.
    if detail.status == PhaseStatus::Pending {
        detail.status = detail.status.go(PhaseStatus::Running)?;
        detail.started_at = Some(now);
    }
    Ok(())
}

fn begin_step(doc: &mut DocumentState, step: Step, message: String, now: Timestamp, events: &mut Vec<Event>) {
    doc.document.step = Some(step);
    doc.document.message = Some(message);
    doc.step_started_at = now;
    tell_step(doc, StepStatus::InProgress, now, events);
}

/// Ends the step that runs, if one does.
fn end_step(
    doc: &mut DocumentState,
    status: StepStatus,
    message: Option<&str>,
    now: Timestamp,
    events: &mut Vec<Event>,
) {
    if doc.document.step.is_none() {
        return;
    }
    if let Some(message) = message {
        doc.document.message = Some(message.to_owned());
    }
    tell_step(doc, status, now, events);
}

fn tell_step(doc: &mut DocumentState, status: StepStatus, now: Timestamp, events: &mut Vec<Event>) {
    let d = &doc.document;
    let Some(step) = d.step.clone() else { return };
    events.push(Event::FileProgress(FileProgress {
        document_id: d.id,
        workspace_id: d.workspace_id,
        job_id: d.job_id,
        attempt: d.attempt,
        filename: d.filename.clone(),
        message: d.message.clone().unwrap_or_default(),
        status,
        progress: d.progress,
        timestamp: now,
        started_at: doc.step_started_at,
        extra: serde_json::json!({ "phase": step.phase(), "chunks": d.chunk_count, "embedded": doc.embedded }),
        rev: 0,
        file_id: d.id,
        step,
    }));
    doc.event_at = now;
}

/// A failed document is through with the phase it failed in, and later phases no longer wait for it.
fn drop_from_totals(job: &mut Job, doc: &DocumentState, failed_in: PhaseName, failure: &Failure) {
    let chunks = doc.document.chunk_count;
    let phases = &mut job.phase_details;
    match failed_in {
        PhaseName::Loading => {
            phases[0].items_processed += 1;
            phases[1].items_total = phases[1].items_total.saturating_sub(1);
        }
        PhaseName::Chunking => phases[1].items_processed += 1,
        PhaseName::Embedding => {
            phases[2].items_total = phases[2].items_total.saturating_sub(chunks.saturating_sub(doc.embedded));
            phases[3].items_total = phases[3].items_total.saturating_sub(chunks);
        }
        PhaseName::Indexing => phases[3].items_total = phases[3].items_total.saturating_sub(chunks),
    }
    phases[failed_in.index()].error = Some(format!("{}: {}", doc.document.filename, failure.message));
    job.metrics.documents_failed += 1;
}

/// Brings phases, progress, message and status of the job in line with its counts.
fn settle(job: &mut Job, now: Timestamp) -> Result<(), IllegalMove> {
    let m = job.metrics;
    let through = m.documents_done + m.documents_failed >= m.documents_total;
    let share_known = if job.phase_details[1].items_total == 0 {
        0.0
    } else {
        job.phase_details[1].items_processed as f64 / job.phase_details[1].items_total as f64
    };
    let mut before_is_done = true;
    for (i, p) in job.phase_details.iter_mut().enumerate() {
        let known = if i < 2 { 1.0 } else { share_known };
        p.progress = p.progress.max(progress::of_phase(p.items_processed, p.items_total, known));
        if p.status == PhaseStatus::Running
            && before_is_done
            && p.items_processed >= p.items_total
            && !through
        {
            p.status = p.status.go(PhaseStatus::Completed)?;
            p.completed_at = Some(now);
            p.progress = 100.0;
        }
        before_is_done &= matches!(p.status, PhaseStatus::Completed | PhaseStatus::Skipped);
    }
    if through && !job.status.is_final() {
        finish(job, now)?;
    } else {
        job.progress = job.progress.max(progress::of_job(&job.phase_details));
        job.phase = progress::current_phase(&job.phase_details);
        job.message = message(job);
    }
    estimate(job, now);
    Ok(())
}

fn finish(job: &mut Job, now: Timestamp) -> Result<(), IllegalMove> {
    let m = job.metrics;
    let outcome = progress::outcome(m.documents_done, m.documents_failed);
    for p in &mut job.phase_details {
        let ended = match (p.status, outcome) {
            (PhaseStatus::Running, JobStatus::Failed) if p.error.is_some() => PhaseStatus::Failed,
            (PhaseStatus::Running, _) => PhaseStatus::Completed,
            _ => continue,
        };
        p.status = p.status.go(ended)?;
        p.completed_at = Some(now);
        if ended == PhaseStatus::Completed {
            p.progress = 100.0;
        }
    }
    job.status = job.status.go(outcome)?;
    job.completed_at = Some(now);
    job.phase = progress::current_phase(&job.phase_details);
    job.message = if outcome == JobStatus::Failed {
        let first = job.phase_details.iter().find_map(|p| p.error.clone());
        job.error.clone_from(&first);
        match m.documents_total {
            1 => first.unwrap_or_else(|| "The document could not be processed".into()),
            n => format!("None of {} documents could be processed", number(n)),
        }
    } else {
        job.progress = 100.0;
        match m.documents_failed {
            0 => format!("{} ready", count(m.documents_done, "document", "documents")),
            failed => format!(
                "{} of {} ready, {} failed",
                number(m.documents_done),
                count(m.documents_total, "document", "documents"),
                number(failed)
            ),
        }
    };
    Ok(())
}

fn message(job: &Job) -> String {
    let p = &job.phase_details[job.phase.index()];
    let of = |what| format!("{} of {} {what}", number(p.items_processed), number(p.items_total));
    match job.phase {
        PhaseName::Loading => format!("Reading: {}", of("documents")),
        PhaseName::Chunking => format!("Splitting: {}", of("documents")),
        PhaseName::Embedding => format!("Creating embeddings: {}", of("chunks")),
        PhaseName::Indexing => format!("Indexing: {}", of("chunks")),
    }
}

/// Rate and remaining time, once three seconds and five percent tell something; none when the job stands.
fn estimate(job: &mut Job, now: Timestamp) {
    job.rate = None;
    job.eta_seconds = None;
    let Some(started) = job.started_at.filter(|_| job.status == JobStatus::Running) else { return };
    let elapsed = (now.micros() - started.micros()) as f64 / 1e6;
    if elapsed < 3.0 {
        return;
    }
    if job.metrics.chunks_embedded > 0 {
        job.rate = Some((job.metrics.chunks_embedded as f64 / elapsed * 10.0).round() / 10.0);
    }
    if job.progress >= 5.0 {
        job.eta_seconds = Some((elapsed * (100.0 - job.progress) / job.progress).ceil() as u64);
    }
}

fn tell_job(job: &mut JobState, before: (JobStatus, PhaseName), now: Timestamp, events: &mut Vec<Event>) {
    let j = &job.job;
    let turned = (j.status, j.phase) != before;
    if turned || now.micros() - job.event_at.micros() >= JOB_EVERY_MICROS {
        events.push(match j.status {
            JobStatus::Completed => Event::JobComplete(j.clone()),
            JobStatus::Failed => Event::JobError(j.clone()),
            _ => Event::JobUpdate(j.clone()),
        });
        job.event_at = now;
    }
}
