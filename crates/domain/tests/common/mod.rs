//! A job with its documents and their passages, for the tests of the rules.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use domain::{
    event::{Event, StepStatus},
    graph::ChunkGraph,
    ids::{ChunkId, DocumentId, JobId, UserId, WorkspaceId},
    ingest::{self, Checkpoint, DocumentState, Failure, JobState, NewChunk, Stage, Told, Upload},
    message::Facts,
    rag::RagConfig,
    reducer::Store,
    resource::{Document, INTERRUPTED, Job, PAUSED, RETRYING, STALLED, STOPPING, WAITING},
    status::{DocumentStatus, JobKind},
    step::Step,
    timestamp::Timestamp,
};
use std::fmt::Debug;
use uuid::Uuid;

/// A job that was just made, with so many documents.
pub fn new_job(documents: u32, config: &RagConfig, now: Timestamp) -> (JobState, Vec<DocumentState>) {
    let uploads: Vec<Upload> = (0..documents)
        .map(|n| Upload {
            id: DocumentId::new(Uuid::from_u128(100 + u128::from(n))),
            filename: format!("{n}.txt"),
            mime_type: "text/plain".into(),
            size_bytes: 10,
            content_hash: String::new(),
        })
        .collect();
    let (user, workspace) = (UserId::new(Uuid::from_u128(2)), WorkspaceId::new(Uuid::from_u128(3)));
    let id = JobId::new(Uuid::from_u128(1));
    let (job, docs, told) = ingest::create(id, JobKind::Upload, user, workspace, &uploads, config, now);
    assert_eq!(told.events.len(), documents as usize + 1);
    (job, docs)
}

pub fn chunks(n: u32) -> Vec<NewChunk> {
    (0..n).map(chunk).collect()
}

pub fn chunk(ordinal: u32) -> NewChunk {
    NewChunk {
        id: ChunkId::new(Uuid::from_u128(1_000 + u128::from(ordinal))),
        ordinal,
        text: "text".into(),
        content_hash: String::new(),
        page: None,
        heading: None,
        char_start: 0,
        char_end: 4,
        token_count: 1,
        enabled: true,
        cut_hash: None,
        graph: ChunkGraph::default(),
    }
}

/// A client that hears of every change: what it knows afterwards has to be what is so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listener {
    store: Store,
    seq: u64,
}

impl Listener {
    /// One that has seen the job and its documents as they were made.
    pub fn of(job: &JobState, docs: &[DocumentState]) -> Self {
        let mut listener = Self::default();
        listener.store.put_job(&job.job);
        for doc in docs {
            listener.store.put_document(&doc.document);
        }
        listener
    }

    /// Hears what a change tells, and looks whether that is all of it; `before` are the documents as they were.
    pub fn attend(
        &mut self,
        before: &[DocumentState],
        (job, docs): (&JobState, &[DocumentState]),
        told: &Told,
        now: Timestamp,
    ) {
        self.hear(told, now);
        self.look(job, docs);
        let is_ready = |d: &DocumentState| d.document.status == DocumentStatus::Ready;
        let kind = |d: &DocumentState| (d.document.is_unfinished(), is_ready(d));
        let turned = before.iter().zip(docs).any(|(before, after)| kind(before) != kind(after));
        assert_eq!(told.counts_changed, turned, "what the workspace counts: {told:?}");
    }

    pub fn hear(&mut self, told: &Told, now: Timestamp) {
        for event in &told.events {
            match event {
                Event::DocumentStatus(document) => assert_eq!(document.updated_at, now),
                Event::FileProgress(told) => {
                    let known = self.store.steps(told.document_id);
                    let begins = known.iter().all(|s| (&s.step, s.attempt) != (&told.step, told.attempt));
                    assert!(!begins || told.started_at == now, "{told:?}");
                }
                _ => {}
            }
            self.seq += 1;
            let mut event = event.clone();
            event.set_rev(self.seq);
            self.store.apply(&event);
        }
    }

    /// What is not told is marked as held back, and nothing else is.
    pub fn look(&self, job: &JobState, docs: &[DocumentState]) {
        let heard = self.store.job(job.job.job_id).unwrap();
        let wanted = Job { rev: heard.rev, ..job.job.clone() };
        assert_eq!(*heard != wanted, job.held_back, "{heard:?} for {wanted:?}");
        for doc in docs {
            let d = &doc.document;
            assert_eq!(fate(self.store.document(d.id).unwrap()), fate(d));
            let live = self.store.live_document(d.id).unwrap();
            assert_eq!(live.step, d.step);
            assert_eq!(live.message != d.message, doc.held_back, "{:?} for {:?}", live.message, d.message);
            for step in self.store.steps(d.id) {
                let runs = step.attempt == d.attempt && step.status == StepStatus::InProgress;
                let is_its_own = d.is_unfinished() && d.step.as_ref() == Some(&step.step);
                assert!(!runs || is_its_own, "a step that is over runs on: {step:?}");
            }
        }
    }
}

/// Of a document what only a word about the whole of it tells, so neither its step nor what is known when that ends.
fn fate(document: &Document) -> Document {
    let mut document = document.clone();
    let stands = [STALLED, INTERRUPTED, PAUSED, STOPPING, RETRYING, WAITING];
    document.warnings.retain(|w| stands.contains(&w.code.as_str()));
    (document.step, document.message, document.progress, document.chunk_count) = (None, None, 0.0, 0);
    (document.metadata, document.rev) = (serde_json::Value::Null, 0);
    document.updated_at = Timestamp::default();
    document
}

/// A job whose documents are worked on in the hearing of a client. Each change comes a second after the one before.
#[derive(Clone)]
pub struct Heard {
    pub job: JobState,
    pub docs: Vec<DocumentState>,
    /// What the workspace asks for by now.
    pub wanted: RagConfig,
    listener: Listener,
    clock: i64,
}

impl Heard {
    pub fn new(documents: u32, config: &RagConfig) -> Self {
        let (job, docs) = new_job(documents, config, Timestamp::default());
        let listener = Listener::of(&job, &docs);
        Self { job, docs, wanted: config.clone(), listener, clock: 0 }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::default().plus_seconds(self.clock)
    }

    pub fn wait(&mut self, seconds: i64) {
        self.clock += seconds;
    }

    /// A change that has to be possible.
    pub fn change<E: Debug>(
        &mut self,
        change: impl FnOnce(&mut JobState, &mut [DocumentState], Timestamp) -> Result<Told, E>,
    ) -> Told {
        self.wait(1);
        let now = self.now();
        let before = self.docs.clone();
        let told = change(&mut self.job, &mut self.docs[..], now).unwrap();
        self.listener.attend(&before, (&self.job, &self.docs[..]), &told, now);
        told
    }

    /// Goes on with another job, which was just made.
    pub fn go_on_with(&mut self, (job, told): (JobState, Told)) {
        self.job = job;
        let now = self.now();
        self.listener.hear(&told, now);
    }

    pub fn start(&mut self, i: usize) -> Told {
        self.change(|job, docs, now| ingest::start(job, &mut docs[i], now))
    }

    pub fn does(&mut self, i: usize, checkpoint: &Checkpoint) -> Told {
        let wanted = self.wanted.clone();
        self.change(|job, docs, now| ingest::advance(job, &mut docs[i], checkpoint, &wanted, now))
    }

    /// Takes a document where nobody has it, and works on it up to a stage. Each has six passages.
    pub fn reach(&mut self, i: usize, stage: Stage) {
        if self.docs[i].document.status != DocumentStatus::Processing {
            self.start(i);
        }
        while self.docs[i].stage != stage {
            let doc = &self.docs[i];
            let left = (doc.document.chunk_count - doc.embedded.min(doc.document.chunk_count)) as u32;
            let (step, checkpoint) = match doc.stage {
                Stage::Loading => (Step::ExtractingText, loaded()),
                Stage::Chunking => (Step::ChunkingText, Checkpoint::Chunked { chunks: chunks(6) }),
                Stage::Embedding => (Step::CreatingEmbeddings, embedded(left)),
                Stage::Indexing | Stage::Done => (Step::StoringMetadata, Checkpoint::Indexed),
            };
            if doc.document.step.as_ref() != Some(&step) {
                self.does(i, &begins(step));
            }
            self.does(i, &checkpoint);
        }
    }
}

pub fn begins(step: Step) -> Checkpoint {
    Checkpoint::Step { step, facts: Facts::default() }
}

pub fn loaded() -> Checkpoint {
    Checkpoint::Loaded { pages: Some(2), characters: 9, title: None, warnings: vec![] }
}

/// So many passages get their vectors.
pub fn embedded(n: u32) -> Checkpoint {
    Checkpoint::Embedded { vectors: chunks(n).into_iter().map(|c| (c.id, vec![1.0])).collect() }
}

pub fn fails(message: &str, retryable: bool) -> Checkpoint {
    let (code, hint) = ("unreadable".to_owned(), Some("Try another file.".to_owned()));
    Checkpoint::Failed(Failure { code, message: message.to_owned(), hint, retryable })
}

/// The codes of a document's warnings.
pub fn codes(doc: &DocumentState) -> Vec<&str> {
    doc.document.warnings.iter().map(|w| w.code.as_str()).collect()
}

/// What was told of steps.
pub fn steps(told: &Told) -> Vec<(Step, StepStatus)> {
    let step = |event: &Event| match event {
        Event::FileProgress(told) => Some((told.step.clone(), told.status)),
        _ => None,
    };
    told.events.iter().filter_map(step).collect()
}

/// How often a document as a whole was told.
pub fn documents(told: &Told) -> usize {
    told.events.iter().filter(|event| matches!(event, Event::DocumentStatus(_))).count()
}
