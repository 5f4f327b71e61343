//! A store that lives in memory: the event log, the job store, conversations and reading documents, with the very rules that the
//! databases follow. It is the model that the conformance suite compares them with. No SQL and no disk here.

mod advance;
mod chats;
mod control;
mod documents;
mod history;
mod jobs;
mod outbox;
mod passages;
mod versions;
mod work;

use async_trait::async_trait;
use domain::{
    Actor, ChunkId, DocumentId, EntityKey, Epoch, Event, JobId, Timestamp, UserId, Workspace, WorkspaceId,
    WorkspaceStatus,
    event::About,
    ingest::{DocumentState, JobState, NewChunk},
    rag::RagConfig,
    resource::{Attempt, Counts, Version, no_metadata},
    status::{DocumentStatus, JobStatus, Processor},
};
use services::ports::{Bus, Clock, EventLog, LoggedEvent, Signal, StoreError};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// See the module. Cloning it gives another handle to the same data.
#[derive(Clone)]
pub struct MemoryStore {
    epoch: Epoch,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    workspaces: BTreeMap<WorkspaceId, (Workspace, RagConfig)>,
    jobs: BTreeMap<JobId, JobRow>,
    documents: BTreeMap<DocumentId, DocumentRow>,
    /// By (job, attempt, document), as the primary key of the table.
    tasks: BTreeMap<(JobId, u32, DocumentId), Task>,
    /// Of each run over a document, by ordinal.
    chunks: BTreeMap<(DocumentId, u32), Vec<NewChunk>>,
    /// Every version of a document of which there was more than one, or that was renamed.
    versions: BTreeMap<(DocumentId, u32), VersionRow>,
    /// Of versions that were replaced.
    old_chunks: BTreeMap<(DocumentId, u32), Vec<NewChunk>>,
    vectors: BTreeMap<ChunkId, Vec<f32>>,
    /// Passages that a language model was asked about, and whether it read them.
    asked: BTreeMap<ChunkId, bool>,
    logs: BTreeMap<UserId, Log>,
    /// The status of each thing, as it was told last.
    told: BTreeMap<EntityKey, &'static str>,
    /// How far each user's events were sent to a broker.
    relays: BTreeMap<UserId, outbox::Relay>,
    outbox_begun: bool,
    /// What came under each `Idempotency-Key`.
    commands: BTreeMap<(UserId, String), String>,
    chats: chats::ChatState,
    /// When somebody got a document last.
    served: BTreeMap<UserId, Timestamp>,
}

/// A user's events.
#[derive(Default)]
struct Log {
    head: u64,
    floor: u64,
    /// By seq.
    kept: BTreeMap<u64, Kept>,
}

/// An event with what the history tells beside it.
struct Kept {
    event: LoggedEvent,
    entity: EntityKey,
    about: About,
    from: Option<&'static str>,
    to: Option<&'static str>,
    actor: Actor,
}

struct JobRow {
    state: JobState,
    command_id: Option<String>,
    /// Its place in the queue, as it was told last.
    queue_told: Option<u64>,
    /// The attempt whose end its person was told; 0: none.
    told_attempt: u32,
    /// Those before the present one.
    attempts: Vec<Attempt>,
}

struct DocumentRow {
    state: DocumentState,
    blob_key: String,
}

struct VersionRow {
    /// Its state is told when it is read.
    version: Version,
    blob_key: String,
    served: bool,
}

/// The work on one document in one attempt of its job.
struct Task {
    place: usize,
    status: TaskStatus,
    owner: String,
    lease_until: Timestamp,
    fence: u64,
    progress_at: Timestamp,
    stalls: u32,
    not_before: Timestamp,
}

impl Task {
    fn waiting(place: usize) -> Self {
        let (owner, lease_until) = (String::new(), Timestamp::default());
        let (progress_at, not_before) = (Timestamp::default(), Timestamp::default());
        let status = TaskStatus::Pending;
        Self { place, status, owner, lease_until, fence: 0, progress_at, stalls: 0, not_before }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TaskStatus {
    Pending,
    Running,
    /// Its document was paused by itself.
    Paused,
    Ended,
}

impl MemoryStore {
    /// `clock` stands for the database's clock: leases are measured by it.
    pub fn new(epoch: Epoch, bus: Arc<dyn Bus>, clock: Arc<dyn Clock>) -> Self {
        Self { epoch, bus, clock, state: Arc::default() }
    }

    /// Another handle to the same data, which tells another bus what it writes: as a second process would.
    pub fn beside(&self, bus: Arc<dyn Bus>) -> Self {
        Self { bus, ..self.clone() }
    }

    /// Makes the user's event log; without it nothing can be said about the user.
    pub fn add_user(&self, user: UserId) {
        self.lock().logs.entry(user).or_default();
    }

    /// Makes a workspace of `user`, with the built-in workers as its processor. Emits nothing.
    pub fn add_workspace(
        &self,
        user: UserId,
        id: WorkspaceId,
        status: WorkspaceStatus,
        rag_config: RagConfig,
        now: Timestamp,
    ) -> Workspace {
        let workspace = Workspace {
            id,
            user_id: user,
            name: "Workspace".into(),
            description: String::new(),
            status,
            status_message: None,
            provisioning: None,
            processor: Processor::Builtin,
            metadata: no_metadata(),
            counts: Counts::default(),
            paused: false,
            bulk: None,
            rev: 0,
            created_at: now,
            updated_at: now,
            last_activity_at: now,
        };
        let mut state = self.lock();
        state.workspaces.insert(id, (workspace.clone(), rag_config));
        state.told.insert(EntityKey::Workspace(id), status.as_str());
        drop(state);
        workspace
    }

    /// Changes the configuration of a workspace; emits `workspace_status`, unless it was like that before.
    ///
    /// # Errors
    /// `NotFound` when the user has no such workspace.
    pub fn set_rag_config(
        &self,
        user: UserId,
        id: WorkspaceId,
        config: RagConfig,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        let found = state.workspaces.get_mut(&id).filter(|(w, _)| w.user_id == user);
        let (workspace, kept) = found.ok_or(StoreError::NotFound)?;
        if *kept != config {
            *kept = config;
            workspace.updated_at = now;
            let workspace = state.workspace(id).ok_or(StoreError::NotFound)?;
            let logged = state.emit(user, Event::WorkspaceStatus(workspace), now)?;
            self.publish(vec![logged]);
        }
        Ok(())
    }

    /// Changes who works on the documents of a workspace; emits `workspace_status`, unless it was like that before.
    ///
    /// # Errors
    /// `NotFound` when the user has no such workspace.
    pub fn set_processor(
        &self,
        user: UserId,
        id: WorkspaceId,
        processor: Processor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        let found = state.workspaces.get_mut(&id).filter(|(w, _)| w.user_id == user);
        let (workspace, _) = found.ok_or(StoreError::NotFound)?;
        if workspace.processor != processor {
            workspace.processor = processor;
            workspace.updated_at = now;
            if processor == Processor::External {
                state.begin_time_anew(now, |d| d.workspace_id == id);
            }
            let workspace = state.workspace(id).ok_or(StoreError::NotFound)?;
            let logged = state.emit(user, Event::WorkspaceStatus(workspace), now)?;
            self.publish(vec![logged]);
            self.bus.publish(Signal::WorkReady);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in the middle of a change is a bug that its test shows; others may still read.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the bus of what was committed. Called under the lock, so that events leave in the order of their seq.
    fn publish(&self, events: Vec<LoggedEvent>) {
        for event in events {
            self.bus.publish(Signal::Event(Arc::new(event)));
        }
    }
}

impl State {
    /// Gives the event the user's next seq and the rows it is about their new `rev`.
    fn emit(&mut self, user: UserId, mut event: Event, now: Timestamp) -> Result<LoggedEvent, StoreError> {
        self.keep_told(&mut event);
        let log = self.logs.get_mut(&user).ok_or(StoreError::NotFound)?;
        let seq = log.head + 1;
        match &event {
            Event::DocumentStatus(d) => set_document_rev(&mut self.documents, d.id, seq),
            Event::FileProgress(p) => set_document_rev(&mut self.documents, p.document_id, seq),
            Event::JobUpdate(j) | Event::JobComplete(j) | Event::JobError(j) => {
                if let Some(row) = self.jobs.get_mut(&j.job_id) {
                    row.state.job.rev = seq;
                }
            }
            Event::WorkspaceStatus(w) => {
                if let Some((workspace, _)) = self.workspaces.get_mut(&w.id) {
                    workspace.rev = seq;
                }
            }
            _ => {}
        }
        let (entity, about, to) = (event.entity(), event.about(), event.status());
        let from = event.status_before(self.told.get(&entity).copied());
        if let Some(to) = to {
            self.told.insert(entity.clone(), to);
        }
        let logged = LoggedEvent::new(user, seq, now, event);
        let actor = services::actor::current();
        log.head = seq;
        log.kept.insert(seq, Kept { event: logged.clone(), entity, about, from, to, actor });
        Ok(logged)
    }

    /// A job that waits is told with its place: with the one that was told last, where nothing else is said.
    fn keep_told(&self, event: &mut Event) {
        let Event::JobUpdate(job) = event else { return };
        if job.status == JobStatus::Pending && job.queue_position.is_none() {
            job.queue_position = self.jobs.get(&job.job_id).and_then(|row| row.queue_told);
        }
    }

    /// The workspace with its counts as they are now.
    fn workspace(&self, id: WorkspaceId) -> Option<Workspace> {
        let (workspace, _) = self.workspaces.get(&id)?;
        let (conversations, messages) = self.chats.counts(id);
        let mut counts = Counts { conversations, messages, ..Counts::default() };
        for d in self.documents.values().map(|r| &r.state.document).filter(|d| d.workspace_id == id) {
            counts.documents += 1;
            counts.chunks += d.chunk_count;
            counts.bytes += d.size_bytes;
            counts.stale += u64::from(d.stale && d.status == DocumentStatus::Ready);
            match d.status {
                DocumentStatus::Pending | DocumentStatus::Processing => counts.processing += 1,
                DocumentStatus::Ready => counts.ready += 1,
                DocumentStatus::Failed => counts.failed += 1,
            }
        }
        Some(Workspace { counts, ..workspace.clone() })
    }
}

fn set_document_rev(documents: &mut BTreeMap<DocumentId, DocumentRow>, id: DocumentId, seq: u64) {
    if let Some(row) = documents.get_mut(&id) {
        row.state.document.rev = seq;
    }
}

#[async_trait]
impl EventLog for MemoryStore {
    fn epoch(&self) -> Epoch {
        self.epoch.clone()
    }

    async fn head(&self, user: UserId) -> Result<u64, StoreError> {
        Ok(self.lock().logs.get(&user).map_or(0, |log| log.head))
    }

    async fn floor(&self, user: UserId) -> Result<u64, StoreError> {
        Ok(self.lock().logs.get(&user).map_or(0, |log| log.floor))
    }

    async fn after(&self, user: UserId, after: u64, limit: u32) -> Result<Vec<LoggedEvent>, StoreError> {
        let state = self.lock();
        let kept = state.logs.get(&user).map(|log| log.kept.range(after.saturating_add(1)..));
        Ok(kept.into_iter().flatten().take(limit as usize).map(|(_, kept)| kept.event.clone()).collect())
    }

    async fn append(
        &self,
        user: UserId,
        events: Vec<Event>,
        now: Timestamp,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let mut state = self.lock();
        let logged: Vec<LoggedEvent> =
            events.into_iter().map(|event| state.emit(user, event, now)).collect::<Result<_, _>>()?;
        self.publish(logged.clone());
        Ok(logged)
    }
}
