//! A job with its documents and their passages, for the tests of the rules.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use domain::{
    event::{Event, StepStatus},
    graph::ChunkGraph,
    ids::{ChunkId, DocumentId, JobId, UserId, WorkspaceId},
    ingest::{self, DocumentState, JobState, NewChunk, Told, Upload},
    rag::RagConfig,
    reducer::Store,
    resource::{Document, INTERRUPTED, Job, PAUSED, RETRYING, STALLED, STOPPING, WAITING},
    status::{DocumentStatus, JobKind},
    timestamp::Timestamp,
};
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
