//! What the cases about jobs share: a desk at which documents are uploaded and workers come to claim them. Its clock
//! goes on by a second with every change, so that no event is held back for coming too soon after another.

use crate::subject::{Memory, Postgres, Sqlite, Subject};
use domain::{
    Chunk, ChunkId, Document, DocumentId, DocumentStatus, Event, Job, JobId, JobKind, Step, Timestamp,
    UserId, WorkspaceId,
    event::FileProgress,
    graph::ChunkGraph,
    ingest::{Checkpoint, Failure, NewChunk, Stage},
    message::Facts,
    rag::{RagConfig, RetrieverType},
};
use services::ports::{
    Claim, Documents, EventLog, History, JobStore, NewDocument, NewJob, PageQuery, StoreError, WorkerId,
};
use std::{collections::BTreeMap, sync::Arc};

/// A lease that outlives any test.
pub const LONG: u32 = 3600;

/// A store of jobs.
pub trait JobSubject: Subject {
    fn jobs(&self) -> Arc<dyn JobStore>;
    fn documents(&self) -> Arc<dyn Documents>;
    fn history(&self) -> Arc<dyn History>;
}

macro_rules! by_their_stores {
    ($($name:ident),+) => {
        $(impl JobSubject for $name {
            fn jobs(&self) -> Arc<dyn JobStore> {
                Arc::new(self.store.clone())
            }

            fn documents(&self) -> Arc<dyn Documents> {
                Arc::new(self.store.clone())
            }

            fn history(&self) -> Arc<dyn History> {
                Arc::new(self.store.clone())
            }
        })+
    };
}
by_their_stores!(Memory, Sqlite, Postgres);

pub struct Desk<S> {
    pub s: S,
    pub jobs: Arc<dyn JobStore>,
    pub documents: Arc<dyn Documents>,
    pub log: Arc<dyn EventLog>,
    pub history: Arc<dyn History>,
}

pub fn worker(name: &str) -> WorkerId {
    WorkerId(name.to_owned())
}

pub fn keyword_only() -> RagConfig {
    RagConfig { retriever_type: RetrieverType::Keyword, ..RagConfig::default() }
}

pub fn new_document(id: DocumentId, filename: &str) -> NewDocument {
    NewDocument {
        id,
        filename: filename.to_owned(),
        mime_type: "text/plain".into(),
        size_bytes: 100,
        content_hash: format!("hash of {filename}"),
        blob_key: format!("documents/{id}"),
        sent_ahead: false,
    }
}

pub fn new_chunk(id: ChunkId, ordinal: u32, text: &str) -> NewChunk {
    NewChunk {
        id,
        ordinal,
        text: text.to_owned(),
        content_hash: format!("hash of {text}"),
        page: Some(ordinal / 2 + 1),
        heading: (ordinal % 2 == 1).then(|| format!("Section {ordinal}")),
        char_start: u64::from(ordinal) * 80,
        char_end: u64::from(ordinal) * 80 + 100,
        token_count: 20 + ordinal,
        enabled: true,
        cut_hash: None,
        graph: ChunkGraph::default(),
    }
}

/// A vector that tells whose it is.
pub fn vector_of(id: ChunkId) -> Vec<f32> {
    let bits = id.uuid().as_u128() as u16;
    vec![f32::from(bits), 1.0 / 3.0, -0.0]
}

pub fn step(step: Step) -> Checkpoint {
    Checkpoint::Step { step, facts: Facts::default() }
}

pub fn loaded() -> Checkpoint {
    Checkpoint::Loaded { pages: Some(3), characters: 1_000, title: Some("A title".into()), warnings: vec![] }
}

pub fn failed(message: &str) -> Checkpoint {
    Checkpoint::Failed(Failure {
        code: "unreadable".into(),
        message: message.to_owned(),
        hint: Some("Try another file.".into()),
        retryable: false,
    })
}

/// An event in a few words: what a person following the stream would write down.
pub fn words(event: &Event) -> String {
    match event {
        Event::DocumentStatus(d) => format!("{} {}", d.filename, d.status),
        Event::FileProgress(p) => format!("{} {} {}", p.filename, p.step, p.status),
        Event::JobUpdate(j) => format!("job {}", j.status),
        Event::JobComplete(j) => format!("job complete: {}", j.status),
        Event::JobError(j) => format!("job error: {}", j.status),
        Event::WorkspaceStatus(w) => format!("workspace {}/{} ready", w.counts.ready, w.counts.documents),
        other => other.name().to_owned(),
    }
}

impl<S: JobSubject> Desk<S> {
    pub fn new(s: S) -> Self {
        Self { jobs: s.jobs(), documents: s.documents(), log: s.log(), history: s.history(), s }
    }

    /// A new moment, a second after the last.
    pub fn now(&self) -> Timestamp {
        self.s.world().clock.advance_seconds(1);
        self.s.world().now()
    }

    pub fn document_id(&self) -> DocumentId {
        DocumentId::new(self.s.world().uuid())
    }

    pub fn chunk_id(&self) -> ChunkId {
        ChunkId::new(self.s.world().uuid())
    }

    /// A user with a workspace.
    pub async fn home(&self) -> (UserId, WorkspaceId) {
        let user = self.s.user().await;
        (user, self.s.workspace(user, RagConfig::default()).await)
    }

    pub fn new_job(&self, user_id: UserId, workspace_id: WorkspaceId, filenames: &[&str]) -> NewJob {
        NewJob {
            id: JobId::new(self.s.world().uuid()),
            kind: JobKind::Upload,
            user_id,
            workspace_id,
            documents: filenames.iter().map(|name| new_document(self.document_id(), name)).collect(),
            command_id: None,
            command_print: None,
            created_at: self.now(),
        }
    }

    pub async fn upload(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        filenames: &[&str],
    ) -> (Job, Vec<Document>) {
        self.jobs.create_job(self.new_job(user, workspace, filenames)).await.unwrap()
    }

    pub async fn claim(&self, name: &str, limit: u32) -> Vec<Claim> {
        self.jobs.claim(&worker(name), LONG, limit, self.now()).await.unwrap()
    }

    /// One worker at each of the queues claims until nothing is left; all at the same time. Answers whose they became.
    pub async fn race(&self, queues: impl Iterator<Item = Arc<dyn JobStore>>) -> Vec<DocumentId> {
        let now = self.now();
        let claiming = queues.enumerate().map(|(n, queue)| {
            tokio::spawn(async move {
                let me = worker(&format!("w{n}"));
                let mut mine = vec![];
                loop {
                    let claims = queue.claim(&me, LONG, 1 + n as u32 % 3, now).await.unwrap();
                    if claims.is_empty() {
                        break mine;
                    }
                    mine.extend(claims);
                }
            })
        });
        let mut claimed = vec![];
        for worker in claiming.collect::<Vec<_>>() {
            let claims = worker.await.unwrap();
            assert!(claims.iter().all(|c| c.fence == 1));
            claimed.extend(claims.iter().map(|c| c.document_id));
        }
        claimed
    }

    /// Claims with a lease that is over at once: as if the worker had died and the time had passed.
    pub async fn claim_and_die(&self, name: &str, limit: u32) -> Vec<Claim> {
        self.jobs.claim(&worker(name), 0, limit, self.now()).await.unwrap()
    }

    pub async fn claim_one(&self, name: &str) -> Claim {
        let mut claims = self.claim(name, 1).await;
        assert_eq!(claims.len(), 1, "there was nothing to claim");
        claims.remove(0)
    }

    pub async fn check(&self, claim: &Claim, checkpoint: Checkpoint) -> Result<(), StoreError> {
        self.jobs.checkpoint(claim, checkpoint, self.now()).await
    }

    pub fn chunks_of(&self, filename: &str, n: u32) -> Checkpoint {
        let chunks = (0..n)
            .map(|ordinal| new_chunk(self.chunk_id(), ordinal, &format!("passage {ordinal} of {filename}")))
            .collect();
        Checkpoint::Chunked { chunks }
    }

    /// The next vectors that the document lacks, three at a time.
    pub async fn next_vectors(&self, document: DocumentId) -> Checkpoint {
        let left = self.jobs.unembedded(document, 3).await.unwrap();
        Checkpoint::Embedded { vectors: left.iter().map(|c| (c.id, vector_of(c.id))).collect() }
    }

    /// Works on the document from where the claim says, until its stage is `until`, as a worker does.
    pub async fn work_until(&self, claim: &Claim, chunks: u32, until: Stage) {
        let mut stage = claim.stage;
        let embeds = claim.embeds;
        while stage != until {
            stage = match stage {
                Stage::Loading => {
                    self.check(claim, step(Step::ExtractingText)).await.unwrap();
                    self.check(claim, loaded()).await.unwrap();
                    Stage::Chunking
                }
                Stage::Chunking => {
                    self.check(claim, step(Step::ChunkingText)).await.unwrap();
                    self.check(claim, self.chunks_of(&claim.filename, chunks)).await.unwrap();
                    if embeds { Stage::Embedding } else { Stage::Indexing }
                }
                Stage::Embedding => {
                    self.check(claim, step(Step::CreatingEmbeddings)).await.unwrap();
                    while !self.jobs.unembedded(claim.document_id, 1).await.unwrap().is_empty() {
                        let vectors = self.next_vectors(claim.document_id).await;
                        self.check(claim, vectors).await.unwrap();
                    }
                    Stage::Indexing
                }
                Stage::Indexing => {
                    self.check(claim, step(Step::StoringMetadata)).await.unwrap();
                    self.check(claim, Checkpoint::Indexed).await.unwrap();
                    Stage::Done
                }
                Stage::Done => unreachable!("nothing is behind the end"),
            };
        }
    }

    pub async fn work(&self, claim: &Claim, chunks: u32) {
        self.work_until(claim, chunks, Stage::Done).await;
    }

    pub async fn job(&self, user: UserId, id: JobId) -> Job {
        self.jobs.job(user, id).await.unwrap().expect("the job is there")
    }

    pub async fn document(&self, user: UserId, id: DocumentId) -> Document {
        self.documents.document(user, id).await.unwrap().expect("the document is there")
    }

    pub async fn chunks(&self, user: UserId, id: DocumentId) -> Vec<Chunk> {
        self.documents.chunks(user, id, None, PageQuery::first(PageQuery::MAX)).await.unwrap().items
    }

    pub async fn steps(&self, user: UserId, id: DocumentId) -> Vec<FileProgress> {
        self.documents.steps(user, id).await.unwrap()
    }

    pub async fn head(&self, user: UserId) -> u64 {
        self.log.head(user).await.unwrap()
    }

    pub async fn events_after(&self, user: UserId, seq: u64) -> Vec<Event> {
        let logged = self.log.after(user, seq, u32::MAX).await.unwrap();
        logged.iter().map(|e| e.event().expect("a stored event reads back")).collect()
    }

    pub async fn words_after(&self, user: UserId, seq: u64) -> Vec<String> {
        self.events_after(user, seq).await.iter().map(words).collect()
    }

    /// Everything that can be read about a user's job and its documents, with the events: equal before and after
    /// something that must not change anything.
    pub async fn everything(&self, user: UserId, job: JobId, documents: &[DocumentId]) -> String {
        let mut all = format!("{:#?}\n", self.jobs.job(user, job).await.unwrap());
        for &id in documents {
            all += &format!("{:#?}\n", self.documents.document(user, id).await.unwrap());
            all += &format!("{:#?}\n", self.chunks(user, id).await);
            all += &format!("{:#?}\n", self.jobs.unembedded(id, u32::MAX >> 1).await.unwrap());
        }
        for event in self.log.after(user, 0, u32::MAX).await.unwrap() {
            all += &format!("{} {}\n", event.seq, String::from_utf8_lossy(&event.frame));
        }
        all
    }

    /// The last state of each entity that the stream told of has to be what a read answers.
    pub async fn assert_that_the_stream_told_the_truth(&self, user: UserId) {
        let (mut jobs, mut documents) = (BTreeMap::new(), BTreeMap::new());
        for event in self.events_after(user, 0).await {
            match event {
                Event::JobUpdate(j) | Event::JobComplete(j) | Event::JobError(j) => {
                    jobs.insert(j.job_id, j);
                }
                Event::DocumentStatus(d) => {
                    documents.insert(d.id, d);
                }
                _ => {}
            }
        }
        for (id, told) in jobs {
            let read = self.job(user, id).await;
            assert_eq!((told.status, told.rev), (read.status, read.rev));
            if told.status.is_final() {
                assert_eq!(serde_json::to_value(&told).unwrap(), serde_json::to_value(&read).unwrap());
            }
        }
        for (id, told) in documents {
            let read = self.document(user, id).await;
            assert_eq!(told.status, read.status);
            if matches!(told.status, DocumentStatus::Ready | DocumentStatus::Failed) {
                assert_eq!(serde_json::to_value(&told).unwrap(), serde_json::to_value(&read).unwrap());
            }
        }
    }
}
