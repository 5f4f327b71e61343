//! How a piece of finished work changes a job and a document, and which events tell of it. Pure: every job store
//! loads the two, calls [`start`] or [`advance`], and writes back what it finds, in one transaction.

use crate::{
    event::{Event, FileProgress, StepStatus},
    graph::ChunkGraph,
    ids::{ChunkId, DocumentId, JobId, UserId, WorkspaceId},
    message::{Facts, Sentence, WRITTEN, friendly, say},
    progress,
    rag::{Fingerprint, Outage, RagConfig},
    resource::{Document, Job, Metrics, PhaseDetail, STALLED, STOPPING, Warning},
    status::{
        DocumentStatus, Halt, IllegalMove, JobKind, JobRequest, JobStatus, PhaseName, PhaseStatus, Processor,
        named,
    },
    step::Step,
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

mod advance;
pub mod control;
mod crawl;
pub mod deletion;
mod fixed_step;
mod held_back;
mod interrupt;
mod job;
mod model_away;
mod report;
mod retry_later;
mod stall;
mod turn;
mod version;

pub use advance::{advance, start};
pub use crawl::{
    Discovered, PageOutcome, PutOff, crawl_waits, create_crawl, found_first, interrupt_crawl, new_page,
    page_begins, page_done, put_off_page, removed, start_crawl,
};
pub use fixed_step::fixed_step;
pub use held_back::{DOCUMENT_EVERY_MICROS, JOB_EVERY_MICROS, tell_document_rest, tell_job_rest};
pub use interrupt::interrupt;
pub use model_away::waits_until;
pub use report::{ReportError, report, reword};
pub use retry_later::{retries_at, waits_for_retry};
pub use stall::{TRIES, stall, unheard};
pub use turn::put_first;
pub use version::{NextVersion, replace, say_duplicate};

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
    /// False: a person took it out of what searches find.
    pub enabled: bool,
    /// SHA-256 of the words that were cut, where a person wrote others in their place.
    pub cut_hash: Option<String>,
    /// What it speaks of, in a workspace that is searched by graph.
    pub graph: ChunkGraph,
}

/// What a person did to a passage; it holds for whatever is cut word for word like that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkMark {
    /// SHA-256 of the words that were cut.
    pub cut_hash: String,
    pub enabled: bool,
    /// The words in their place, with their hash and their length in tokens.
    pub words: Option<(String, String, u32)>,
}

impl NewChunk {
    /// Takes over what a person did to a passage that was cut just like this one.
    pub fn take(&mut self, mark: &ChunkMark) {
        self.enabled = mark.enabled;
        if let Some((text, hash, tokens)) = &mark.words {
            self.cut_hash = Some(std::mem::replace(&mut self.content_hash, hash.clone()));
            self.text.clone_from(text);
            self.token_count = *tokens;
        }
    }
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
    /// It may heal by itself, so that trying again without anybody's doing may help.
    pub retryable: bool,
}

/// A piece of work that is done, committed with its results.
#[expect(clippy::large_enum_variant, reason = "one at a time is made and committed")]
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
    /// Passages that the workspace has word for word already, each with one of those: it takes that one's vector.
    Known { passages: Vec<(ChunkId, ChunkId)> },
    /// Another document shares passages with this one; that is told when it is most of them.
    Compared { with: DocumentId, filename: String, shared: u64 },
    /// What a language model read out of a passage, which is committed with this; `None`: it had nothing usable to say.
    /// `asked`: of so many passages of the run it was asked by now.
    Read { passage: ChunkId, graph: Option<ChunkGraph>, asked: u64 },
    /// A language model was to read the passages, and so many are left to what the rules found.
    ByRules { passages: u64 },
    /// The last step: the full text is written and the document becomes ready.
    Indexed,
    /// The server of its model cannot be had: the document waits, and no try is counted.
    Waits(Outage),
    /// The document ends here; the job goes on with the others.
    Failed(Failure),
}

/// A job as a store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobState {
    pub job: Job,
    /// What its documents are indexed with: the workspace's configuration as it was when its attempt was begun, so that
    /// one run never mixes two.
    pub config: RagConfig,
    /// When the last event about it was emitted: progress is told at most five times a second.
    pub event_at: Timestamp,
    /// It changed since, too soon after that event: see [`tell_job_rest`].
    pub held_back: bool,
    /// The cancel that is requested, or that was honoured, also takes back what the job made.
    pub cancel_removes: bool,
    /// Its place in the queue: of a person's jobs the one with the earliest goes first.
    pub turn_at: Timestamp,
    pub pace: Pace,
}

/// From when, and from how many units on, the pace of a job is measured: a pause and an earlier attempt do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    pub from: Option<Timestamp>,
    /// Documents that were ready by then.
    pub documents: u64,
    /// What each phase had processed by then.
    pub units: [u64; 4],
}

impl Pace {
    /// When that began which counts, of something that began at `at`.
    fn since(&self, at: Timestamp) -> Timestamp {
        self.from.map_or(at, |from| from.max(at))
    }
}

/// Name in a document's metadata: passages of its run whose vectors the workspace had already.
pub(super) const KNOWN_CHUNKS: &str = "known_chunks";

/// Name in a document's metadata: passages of its run that a language model was asked about.
pub(super) const READ_CHUNKS: &str = "read_chunks";

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
    /// The version with which it came to be found, when nothing of it was; `None` also where nobody noted it.
    pub found_since: Option<u32>,
    /// What that one was made with.
    pub indexed: Option<Fingerprint>,
    pub step_started_at: Timestamp,
    /// When the last event about its steps was emitted: progress is told at most twice a second.
    pub event_at: Timestamp,
    /// It changed since, too soon after that event: see [`tell_document_rest`].
    pub held_back: bool,
    /// What somebody asked of this document alone, while a worker has it in hand.
    pub requested: Option<control::Asked>,
    /// Paused by itself.
    pub paused: bool,
    /// Of one that failed: where a retry goes on.
    pub reached: Stage,
    /// What its work failed by since it last got on; it is tried three times in all.
    pub failures: Vec<String>,
    /// The content that its run is about, while another version is the one that is found.
    pub next: Option<NextVersion>,
}

impl DocumentState {
    /// The version that its run is about.
    pub fn run_version(&self) -> u32 {
        self.next.as_ref().map_or(self.document.version, |next| next.version)
    }

    /// Whether what it has is the first of it that is found: no other version gave its place up for that.
    fn is_first_found(&self) -> bool {
        self.found_since.unwrap_or(1) == self.document.version
    }

    /// Of the passages that have their vector, those that did not have to be embedded for it.
    fn known(&self) -> u64 {
        let known = self.document.metadata.get(KNOWN_CHUNKS).and_then(serde_json::Value::as_u64);
        known.unwrap_or_default().min(self.embedded)
    }

    /// Passages of its run that a language model was asked about: the part of its indexing that is counted.
    fn read(&self) -> u64 {
        if self.stage != Stage::Indexing {
            return 0;
        }
        let read = self.document.metadata.get(READ_CHUNKS).and_then(serde_json::Value::as_u64);
        read.unwrap_or_default().min(self.document.chunk_count)
    }

    /// How many of its passages are through with the stage that it is in.
    fn done_here(&self) -> u64 {
        if self.stage == Stage::Embedding { self.embedded } else { self.read() }
    }
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
    pub fn set_queue_position(&mut self, ahead: Option<u64>) {
        for event in &mut self.events {
            if let Event::JobUpdate(job) = event {
                job.queue_position = ahead;
            }
        }
    }
}

/// Code of the warning of a document whose graph a language model was to enrich, and could not everywhere.
pub const GRAPH_BY_RULES: &str = "graph_by_rules";

/// Code of a document whose model answered vectors of another length than it has to.
pub const WRONG_DIMENSION: &str = "model_wrong_dimension";

/// What a document fails by when its model answers vectors of another length than it did earlier in the same run. Its next
/// attempt begins anew, and copies none of the earlier ones.
pub fn other_length(answered: u32, before: u32) -> Failure {
    Failure {
        code: WRONG_DIMENSION.to_owned(),
        message: format!(
            "The embedding model answers vectors with {answered} dimensions now, and answered some with {before} before."
        ),
        hint: Some("Retry this document: all of it is embedded anew.".to_owned()),
        retryable: false,
    }
}

/// Code of the warning of a document that could not be indexed anew.
pub const REINDEX_FAILED: &str = "reindex_failed";

/// Code of the warning of one whose re-index somebody cancelled.
pub const REINDEX_CANCELLED: &str = "reindex_cancelled";

/// Code of the warning of one whose next version could not be indexed.
pub const REPLACE_FAILED: &str = "replace_failed";

/// Code of the warning of one whose next version somebody cancelled.
pub const REPLACE_CANCELLED: &str = "replace_cancelled";

/// Says that the last run was for nothing: the document is found as it was before.
const NOT_RENEWED: [&str; 4] = [REINDEX_FAILED, REINDEX_CANCELLED, REPLACE_FAILED, REPLACE_CANCELLED];

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
    create_with((job_id, kind), user_id, workspace_id, uploads, (0, 0), config, now)
}

/// The same with so many documents besides, of so many bytes, that get their next version by it ([`replace`]). What that
/// tells goes before the word of the job, which is the last event.
pub fn create_with(
    (job_id, kind): (JobId, JobKind),
    user_id: UserId,
    workspace_id: WorkspaceId,
    uploads: &[Upload],
    (replaced, bytes): (u64, u64),
    config: &RagConfig,
    now: Timestamp,
) -> (JobState, Vec<DocumentState>, Told) {
    let own: u64 = uploads.iter().map(|u| u.size_bytes).sum();
    let size = (uploads.len() as u64 + replaced, own + bytes);
    let state = new_job(job_id, kind, user_id, workspace_id, size, config, now);
    let embeds = config.embeds();
    let documents: Vec<DocumentState> =
        uploads.iter().map(|upload| new_document(&state.job, upload, embeds, now)).collect();
    let mut events: Vec<Event> =
        documents.iter().map(|d| Event::DocumentStatus(d.document.clone())).collect();
    events.push(Event::JobUpdate(state.job.clone()));
    (state, documents, Told { events, counts_changed: true })
}

/// A document of the job, of which nothing is done yet.
fn new_document(job: &Job, upload: &Upload, embeds: bool, now: Timestamp) -> DocumentState {
    DocumentState {
        document: Document {
            id: upload.id,
            workspace_id: job.kb_id,
            user_id: job.user_id,
            job_id: Some(job.job_id),
            filename: upload.filename.clone(),
            mime_type: upload.mime_type.clone(),
            size_bytes: upload.size_bytes,
            content_hash: upload.content_hash.clone(),
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
            next_version: None,
            enabled: true,
            tags: vec![],
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
        found_since: None,
        indexed: None,
        step_started_at: now,
        event_at: Timestamp::default(),
        held_back: false,
        requested: None,
        paused: false,
        reached: Stage::Loading,
        failures: vec![],
        next: None,
    }
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
    let (priority, turn_at) = turn::of_new(kind, total, now);
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
        message: say(WRITTEN, &Sentence::Waiting { documents: total }),
        error: None,
        metrics: Metrics { documents_total: total, bytes, ..Metrics::default() },
        queue_position: None,
        priority,
        rate: None,
        eta_seconds: None,
        halted: None,
        rev: 0,
        created_at: now,
        started_at: None,
        completed_at: None,
        phase_details,
        crawl: None,
    };
    JobState {
        job,
        config: config.clone(),
        event_at: now,
        held_back: false,
        cancel_removes: false,
        turn_at,
        pace: Pace::default(),
    }
}

/// Puts a document into the queue of a job that indexes it anew: a new run of everything, beside the passages that are
/// found meanwhile. It is about the version that is found: another one that could not be indexed is given up.
///
/// # Errors
/// When it is in some other job's hands.
pub fn requeue(job: &JobState, doc: &mut DocumentState, now: Timestamp) -> Result<Told, IllegalMove> {
    let d = &mut doc.document;
    if d.is_unfinished() {
        let (from, to) = (d.status.as_str(), DocumentStatus::Pending.as_str());
        return Err(IllegalMove { what: "The document", from, to, allowed: vec![] });
    }
    (doc.next, d.next_version) = (None, None);
    begin_run(job, doc, now)
}

/// The document waits for a run over all of it.
fn begin_run(job: &JobState, doc: &mut DocumentState, now: Timestamp) -> Result<Told, IllegalMove> {
    let d = &mut doc.document;
    if d.status != DocumentStatus::Pending {
        d.status = d.status.go(DocumentStatus::Pending)?;
    }
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
    let embedding = &job.job.phase_details[PhaseName::Embedding.index()];
    doc.embeds = job.config.embeds() && embedding.status != PhaseStatus::Skipped;
    doc.generation += 1;
    doc.failures.clear();
    doc.step_started_at = now;
    doc.event_at = Timestamp::default();
    let mut events = vec![];
    held_back::tell_document(doc, &mut events);
    Ok(Told { events, counts_changed: true })
}

/// Brings the mark of a document in line with what its workspace asks for now; `None` when it says so already.
pub fn compare(
    doc: &mut DocumentState,
    wanted: &RagConfig,
    processor: Processor,
    now: Timestamp,
) -> Option<Event> {
    let stale = match &doc.indexed {
        Some(indexed) => !indexed.serves(wanted),
        // A worker of somebody's own made it ready, with passages that lie elsewhere. In the hands of the built-in
        // workers it is not found before it is indexed here.
        None => processor == Processor::Builtin && doc.document.status == DocumentStatus::Ready,
    };
    if stale == doc.document.stale {
        return None;
    }
    doc.document.stale = stale;
    doc.document.updated_at = now;
    Some(Event::DocumentStatus(doc.document.clone()))
}
