//! The job store, in memory.

use super::{DocumentRow, JobRow, MemoryStore, State, Task, TaskStatus, documents::chunk_of};
use crate::{
    jobs::{clean_checkpoint, clean_job, clean_option, lease_micros, uploads},
    page::{Cursor, limit_of, paged},
};
use async_trait::async_trait;
use domain::{
    Chunk, Document, DocumentId, DocumentStatus, Event, Job, JobId, JobStatus, Timestamp, UserId,
    WorkspaceId, WorkspaceStatus,
    ingest::{self, Checkpoint, JobState, NewChunk, Stage, Told},
    provision::WorkspaceAction,
    rag::RagConfig,
    report::{self, DocumentReport},
    resource::Page,
    status::Processor,
};
use services::ports::{
    Claim, JobStore, LoggedEvent, NewJob, NewReindex, PageQuery, Signal, StoreError, WorkerId,
};
use std::collections::{BTreeMap, BTreeSet};

type TaskKey = (JobId, u32, DocumentId);

impl State {
    /// A job as it is read: with its place in the queue, while it waits.
    fn shown(&self, row: &JobRow) -> Job {
        let mut job = row.state.job.clone();
        if job.status == JobStatus::Pending && !self.is_external(job.kb_id) {
            let mine = (job.created_at, job.job_id);
            let ahead = self
                .jobs
                .values()
                .map(|r| &r.state.job)
                .filter(|j| !j.status.is_final() && !self.is_external(j.kb_id))
                .filter(|j| (j.created_at, j.job_id) < mine);
            job.queue_position = Some(ahead.count() as u64);
        }
        job
    }

    fn is_external(&self, id: WorkspaceId) -> bool {
        self.workspaces.get(&id).is_some_and(|(w, _)| w.processor == Processor::External)
    }

    fn documents_of_job(&self, id: JobId) -> Vec<Document> {
        let mut placed: Vec<(usize, DocumentId)> = self
            .tasks
            .iter()
            .filter(|((job, attempt, _), _)| *job == id && *attempt == 1)
            .map(|((_, _, document), task)| (task.place, *document))
            .collect();
        placed.sort_unstable();
        placed.iter().filter_map(|(_, d)| Some(self.documents.get(d)?.state.document.clone())).collect()
    }

    /// Emits what a change told, with the workspace last when its counts changed.
    fn tell(
        &mut self,
        user: UserId,
        workspace: WorkspaceId,
        told: Told,
        now: Timestamp,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let mut events = told.events;
        if told.counts_changed {
            let workspace = self.workspace(workspace).ok_or(StoreError::NotFound)?;
            events.push(Event::WorkspaceStatus(workspace));
        }
        events.into_iter().map(|event| self.emit(user, event, now)).collect()
    }

    fn claimable(&self, key: &TaskKey, task: &Task, db_now: Timestamp) -> bool {
        let free = match task.status {
            TaskStatus::Pending => true,
            TaskStatus::Running => task.lease_until <= db_now,
            TaskStatus::Ended => false,
        };
        let Some(job) = self.jobs.get(&key.0).map(|r| &r.state.job) else { return false };
        let Some((workspace, _)) = self.workspaces.get(&job.kb_id) else { return false };
        free && key.1 == job.attempt
            && matches!(job.status, JobStatus::Pending | JobStatus::Running)
            && job.requested.is_none()
            && workspace.status == WorkspaceStatus::Ready
            && (workspace.processor == Processor::Builtin || task.fence > 0)
    }

    /// Whose turn it is, after `taken` were taken.
    fn next_task(&self, taken: &[TaskKey], db_now: Timestamp) -> Option<TaskKey> {
        let mut leased: BTreeMap<UserId, usize> = BTreeMap::new();
        for (key, task) in &self.tasks {
            let running = task.status == TaskStatus::Running && task.lease_until > db_now;
            if running || taken.contains(key) {
                *leased.entry(self.jobs.get(&key.0)?.state.job.user_id).or_default() += 1;
            }
        }
        self.tasks
            .iter()
            .filter(|(key, task)| !taken.contains(key) && self.claimable(key, task, db_now))
            .min_by_key(|(key, task)| {
                let job = self.jobs.get(&key.0).map(|r| &r.state.job);
                let leased = job.and_then(|j| leased.get(&j.user_id)).copied().unwrap_or_default();
                (leased, job.map(|j| (j.created_at, j.job_id)), task.place)
            })
            .map(|(key, _)| *key)
    }

    /// The task, while the claim is the newest one and the work is not through.
    fn held(&mut self, claim: &Claim) -> Result<&mut Task, StoreError> {
        self.tasks
            .get_mut(&(claim.job_id, claim.attempt, claim.document_id))
            .filter(|task| task.status == TaskStatus::Running && task.fence == claim.fence)
            .ok_or(StoreError::Fenced)
    }

    /// The chunks of the newest run over a document.
    fn chunks_of_run(&self, id: DocumentId) -> &[NewChunk] {
        let generation = self.documents.get(&id).map_or(0, |row| row.state.generation);
        self.chunks.get(&(id, generation)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Removes the chunks of the runs over a document that `gone` says, with their vectors.
    fn drop_chunks(&mut self, id: DocumentId, gone: impl Fn(u32) -> bool) {
        let runs: Vec<_> = self.chunks.keys().filter(|(d, run)| *d == id && gone(*run)).copied().collect();
        for run in runs {
            for chunk in self.chunks.remove(&run).unwrap_or_default() {
                self.vectors.remove(&chunk.id);
            }
        }
    }

    /// Documents of the workspace that are stale by its configuration and in no job's hands, in the order of the list.
    fn stale(&self, workspace: WorkspaceId, wanted: &RagConfig) -> Vec<&Document> {
        let busy = |id: DocumentId| {
            self.tasks.iter().any(|((job, attempt, document), task)| {
                let unfinished =
                    |row: &JobRow| row.state.job.attempt == *attempt && !row.state.job.status.is_final();
                *document == id
                    && task.status != TaskStatus::Ended
                    && self.jobs.get(job).is_some_and(unfinished)
            })
        };
        let mut stale: Vec<&Document> = self
            .documents
            .values()
            .map(|row| &row.state)
            .filter(|s| s.document.workspace_id == workspace && s.document.status == DocumentStatus::Ready)
            .filter(|s| s.indexed.as_ref().map_or(s.document.stale, |indexed| !indexed.serves(wanted)))
            .map(|s| &s.document)
            .filter(|d| !busy(d.id))
            .collect();
        stale.sort_by_key(|d| (d.created_at, d.id));
        stale
    }

    /// Makes a job known, with its place in the queue; answers what it tells.
    fn add_job(&mut self, state: JobState, command_id: Option<String>, mut told: Told) -> Told {
        let id = state.job.job_id;
        self.jobs.insert(id, JobRow { state, command_id, queue_told: None });
        let ahead = self.jobs.get(&id).and_then(|row| self.shown(row).queue_position);
        told.set_queue_position(ahead);
        if let Some(row) = self.jobs.get_mut(&id) {
            row.queue_told = ahead;
        }
        told
    }

    fn made_before(&self, user: UserId, command: Option<&str>) -> Option<&JobRow> {
        let command = command?;
        self.jobs
            .values()
            .find(|row| row.state.job.user_id == user && row.command_id.as_deref() == Some(command))
    }

    /// The vectors of a batch that are really new: of chunks that are there and have none yet.
    fn new_vectors(
        &self,
        document: DocumentId,
        vectors: Vec<(domain::ChunkId, Vec<f32>)>,
    ) -> Vec<(domain::ChunkId, Vec<f32>)> {
        let mut wanted: BTreeSet<_> = self
            .chunks_of_run(document)
            .iter()
            .map(|c| c.id)
            .filter(|id| !self.vectors.contains_key(id))
            .collect();
        vectors.into_iter().filter(|(id, _)| wanted.remove(id)).collect()
    }
}

#[async_trait]
impl JobStore for MemoryStore {
    async fn create_job(&self, mut new: NewJob) -> Result<(Job, Vec<Document>), StoreError> {
        clean_job(&mut new);
        let mut state = self.lock();
        if let (Some(command), Some(print)) = (&new.command_id, &new.command_print)
            && state.commands.get(&(new.user_id, command.clone())).is_some_and(|known| known != print)
        {
            return Err(StoreError::OtherCommand);
        }
        if let Some(row) = state.made_before(new.user_id, new.command_id.as_deref()) {
            return Ok((state.shown(row), state.documents_of_job(row.state.job.job_id)));
        }
        let (_, rag_config) = state
            .workspaces
            .get(&new.workspace_id)
            .filter(|(w, _)| w.user_id == new.user_id)
            .ok_or(StoreError::NotFound)?;
        let (job, documents, told) = ingest::create(
            new.id,
            new.kind,
            new.user_id,
            new.workspace_id,
            &uploads(&new),
            rag_config,
            new.created_at,
        );
        for (place, (document, upload)) in documents.into_iter().zip(&new.documents).enumerate() {
            state.tasks.insert((new.id, job.job.attempt, upload.id), Task::waiting(place));
            let row = DocumentRow { state: document, blob_key: upload.blob_key.clone() };
            state.documents.insert(upload.id, row);
        }
        if let (Some(command), Some(print)) = (&new.command_id, new.command_print) {
            state.commands.insert((new.user_id, command.clone()), print);
        }
        let told = state.add_job(job, new.command_id, told);
        let logged = state.tell(new.user_id, new.workspace_id, told, new.created_at)?;
        self.publish(logged);
        self.bus.publish(Signal::WorkReady);
        let row = state.jobs.get(&new.id).ok_or(StoreError::NotFound)?;
        Ok((state.shown(row), state.documents_of_job(new.id)))
    }

    async fn reindex(&self, mut new: NewReindex) -> Result<Option<Job>, StoreError> {
        clean_option(&mut new.command_id);
        let mut guard = self.lock();
        let state = &mut *guard;
        if let Some(row) = state.made_before(new.user_id, new.command_id.as_deref()) {
            return Ok(Some(state.shown(row)));
        }
        let found = state.workspaces.get(&new.workspace_id).filter(|(w, _)| w.user_id == new.user_id);
        let (workspace, config) = found.cloned().ok_or(StoreError::NotFound)?;
        if let Some(refusal) = workspace.status.refuses(WorkspaceAction::Upload) {
            return Err(refusal.into());
        }
        if workspace.processor == Processor::External {
            return Err(report::NOT_INDEXED_HERE.into());
        }
        let stale = state.stale(new.workspace_id, &config);
        let size = (stale.len() as u64, stale.iter().map(|d| d.size_bytes).sum());
        let ids: Vec<DocumentId> = stale.iter().map(|d| d.id).collect();
        if ids.is_empty() {
            return Ok(None);
        }
        let (job, told) =
            ingest::reindex(new.id, new.user_id, new.workspace_id, size, &config, new.created_at);
        for (place, id) in ids.into_iter().enumerate() {
            state.tasks.insert((new.id, job.job.attempt, id), Task::waiting(place));
        }
        let told = state.add_job(job, new.command_id, told);
        let logged = state.tell(new.user_id, new.workspace_id, told, new.created_at)?;
        self.publish(logged);
        self.bus.publish(Signal::WorkReady);
        Ok(state.jobs.get(&new.id).map(|row| state.shown(row)))
    }

    async fn requeue(
        &self,
        _user: UserId,
        job: JobId,
        limit: u32,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let row = state.jobs.get(&job).ok_or(StoreError::NotFound)?;
        let mut waiting: Vec<(usize, DocumentId)> = state
            .tasks
            .iter()
            .filter(|((j, attempt, _), t)| {
                *j == job && *attempt == row.state.job.attempt && t.status == TaskStatus::Pending
            })
            .map(|((_, _, document), task)| (task.place, *document))
            .filter(|(_, d)| state.documents.get(d).is_some_and(|d| d.state.document.job_id != Some(job)))
            .collect();
        waiting.sort_unstable();
        waiting.truncate(limit as usize);
        let mut told = Told::default();
        for (_, id) in &waiting {
            let document = state.documents.get_mut(id).ok_or(StoreError::NotFound)?;
            let waits = ingest::requeue(&row.state, &mut document.state, now)?;
            told.events.extend(waits.events);
            told.counts_changed |= waits.counts_changed;
        }
        let (user, workspace) = (row.state.job.user_id, row.state.job.kb_id);
        let logged = state.tell(user, workspace, told, now)?;
        self.publish(logged);
        Ok(waiting.len())
    }

    async fn compare(&self, workspace: WorkspaceId, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let (whose, wanted) = state.workspaces.get(&workspace).cloned().ok_or(StoreError::NotFound)?;
        let mut documents: Vec<_> = state
            .documents
            .values_mut()
            .map(|row| &mut row.state)
            .filter(|s| s.document.workspace_id == workspace)
            .collect();
        documents.sort_by_key(|s| (s.document.created_at, s.document.id));
        let events: Vec<Event> = documents
            .into_iter()
            .filter_map(|document| ingest::compare(document, &wanted, whose.processor, now))
            .take(limit as usize)
            .collect();
        let told = events.len();
        let logged = state.tell(whose.user_id, workspace, Told { counts_changed: told > 0, events }, now)?;
        self.publish(logged);
        Ok(told)
    }

    async fn job(&self, user: UserId, id: JobId) -> Result<Option<Job>, StoreError> {
        let state = self.lock();
        Ok(state.jobs.get(&id).filter(|row| row.state.job.user_id == user).map(|row| state.shown(row)))
    }

    async fn jobs(
        &self,
        user: UserId,
        status: Option<JobStatus>,
        page: PageQuery,
    ) -> Result<Page<Job>, StoreError> {
        let after = Cursor::before(&page)?;
        let limit = limit_of(&page);
        let state = self.lock();
        let place = |j: &Job| (j.created_at.micros(), j.job_id.to_string());
        let mut rows: Vec<&JobRow> = state
            .jobs
            .values()
            .filter(|row| row.state.job.user_id == user)
            .filter(|row| status.is_none_or(|s| row.state.job.status == s))
            .filter(|row| place(&row.state.job) < (after.number, after.id.clone()))
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(place(&row.state.job)));
        let jobs = rows.into_iter().take(limit as usize + 1).map(|row| state.shown(row)).collect();
        Ok(paged(jobs, limit, |j: &Job| Cursor::new(j.created_at.micros(), j.job_id)))
    }

    async fn newest_job(&self, user: UserId, workspace: WorkspaceId) -> Result<Option<Job>, StoreError> {
        let state = self.lock();
        let newest = state
            .jobs
            .values()
            .filter(|row| row.state.job.user_id == user && row.state.job.kb_id == workspace)
            .max_by_key(|row| (row.state.job.created_at, row.state.job.job_id));
        Ok(newest.map(|row| state.shown(row)))
    }

    async fn claim(
        &self,
        worker: &WorkerId,
        lease_seconds: u32,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Claim>, StoreError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let db_now = self.clock.now();
        let mut taken: Vec<TaskKey> = vec![];
        while (taken.len() as u32) < limit {
            let Some(key) = state.next_task(&taken, db_now) else { break };
            let Some(task) = state.tasks.get_mut(&key) else { break };
            task.status = TaskStatus::Running;
            task.owner.clone_from(&worker.0);
            task.lease_until = db_now.plus_micros(lease_micros(lease_seconds));
            task.fence += 1;
            task.progress_at = now;
            taken.push(key);
        }
        let mut claims = vec![];
        let mut logged = vec![];
        for key in taken {
            let (job_id, attempt, document_id) = key;
            let fence = state.tasks.get(&key).map_or(0, |t| t.fence);
            let job = state.jobs.get_mut(&job_id).ok_or(StoreError::NotFound)?;
            let document = state.documents.get_mut(&document_id).ok_or(StoreError::NotFound)?;
            let told = ingest::start(&mut job.state, &mut document.state, now)?;
            let (user_id, workspace_id) = (job.state.job.user_id, job.state.job.kb_id);
            let d = &document.state.document;
            claims.push(Claim {
                job_id,
                document_id,
                workspace_id,
                user_id,
                attempt,
                fence,
                stage: document.state.stage,
                filename: d.filename.clone(),
                mime_type: d.mime_type.clone(),
                version: d.version,
                blob_key: document.blob_key.clone(),
                rag_config: job.state.config.clone(),
            });
            logged.extend(state.tell(user_id, workspace_id, told, now)?);
        }
        self.publish(logged);
        Ok(claims)
    }

    async fn heartbeat(&self, worker: &WorkerId, lease_seconds: u32) -> Result<Vec<DocumentId>, StoreError> {
        let until = self.clock.now().plus_micros(lease_micros(lease_seconds));
        let mut held = vec![];
        for ((_, _, document), task) in &mut self.lock().tasks {
            if task.status == TaskStatus::Running && task.owner == worker.0 {
                task.lease_until = until;
                held.push(*document);
            }
        }
        held.sort_unstable();
        Ok(held)
    }

    async fn checkpoint(
        &self,
        claim: &Claim,
        mut checkpoint: Checkpoint,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        clean_checkpoint(&mut checkpoint);
        let mut guard = self.lock();
        let state = &mut *guard;
        state.held(claim)?;
        if let Checkpoint::Embedded { vectors } = checkpoint {
            checkpoint = Checkpoint::Embedded { vectors: state.new_vectors(claim.document_id, vectors) };
        }
        // The rules change copies: when they refuse the work, nothing has happened.
        let mut job = state.jobs.get(&claim.job_id).ok_or(StoreError::Fenced)?.state.clone();
        let mut document = state.documents.get(&claim.document_id).ok_or(StoreError::Fenced)?.state.clone();
        let (_, wanted) = state.workspaces.get(&claim.workspace_id).ok_or(StoreError::NotFound)?;
        let told = ingest::advance(&mut job, &mut document, &checkpoint, wanted, now)?;
        let (run, live) = (document.generation, document.live);
        let task = state.held(claim)?;
        task.progress_at = now;
        if !matches!(checkpoint, Checkpoint::Step { .. }) {
            task.stalls = 0;
        }
        match checkpoint {
            Checkpoint::Chunked { mut chunks } => {
                chunks.sort_by_key(|c| c.ordinal);
                for old in state.chunks.insert((claim.document_id, run), chunks).unwrap_or_default() {
                    state.vectors.remove(&old.id);
                }
            }
            Checkpoint::Embedded { vectors } => state.vectors.extend(vectors),
            Checkpoint::Indexed => {
                state.held(claim)?.status = TaskStatus::Ended;
                state.drop_chunks(claim.document_id, |earlier| earlier < run);
            }
            Checkpoint::Failed(_) => {
                state.held(claim)?.status = TaskStatus::Ended;
                if live > 0 {
                    state.drop_chunks(claim.document_id, |failed| failed == run);
                }
            }
            Checkpoint::Step { .. } | Checkpoint::Loaded { .. } => {}
        }
        if let Some(row) = state.jobs.get_mut(&claim.job_id) {
            row.state = job;
        }
        if let Some(row) = state.documents.get_mut(&claim.document_id) {
            row.state = document;
        }
        let logged = state.tell(claim.user_id, claim.workspace_id, told, now)?;
        self.publish(logged);
        Ok(())
    }

    async fn drop_dead_chunks(&self) -> Result<usize, StoreError> {
        // They go with the checkpoint: nobody waits for a transaction here.
        Ok(0)
    }

    async fn report_document(
        &self,
        user: UserId,
        id: DocumentId,
        mut said: DocumentReport,
        now: Timestamp,
    ) -> Result<Document, StoreError> {
        for text in [&mut said.error, &mut said.error_code, &mut said.step, &mut said.message] {
            clean_option(text);
        }
        let mut guard = self.lock();
        let state = &mut *guard;
        let mut document = state.document_of(user, id).ok_or(StoreError::NotFound)?.state.clone();
        let found = state.workspaces.get(&document.document.workspace_id).cloned();
        let (workspace, wanted) = found.ok_or(StoreError::NotFound)?;
        if let Some(refusal) = report::refused(workspace.processor, workspace.status) {
            return Err(refusal.into());
        }
        let job_id = document.document.job_id.ok_or(StoreError::NotFound)?;
        let mut job = state.jobs.get(&job_id).ok_or(StoreError::NotFound)?.state.clone();
        let key = (job_id, job.job.attempt, id);
        if state.tasks.get(&key).is_some_and(|task| task.status != TaskStatus::Ended && task.fence > 0) {
            return Err(report::BUILTIN_AT_WORK.into());
        }
        let told = ingest::report(&mut job, &mut document, &said, &wanted, None, now)?;
        if document.stage == Stage::Done
            && let Some(task) = state.tasks.get_mut(&key)
        {
            task.status = TaskStatus::Ended;
        }
        if let Some(row) = state.jobs.get_mut(&job_id) {
            row.state = job;
        }
        if let Some(row) = state.documents.get_mut(&id) {
            row.state = document;
        }
        let logged = state.tell(user, workspace.id, told, now)?;
        self.publish(logged);
        let row = state.document_of(user, id).ok_or(StoreError::NotFound)?;
        Ok(row.state.document.clone())
    }

    async fn gets_on(&self, claim: &Claim, now: Timestamp) -> Result<(), StoreError> {
        self.lock().held(claim)?.progress_at = now;
        Ok(())
    }

    async fn end_stalled(&self, seconds: u32, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
        let before = now.plus_seconds(-i64::from(seconds));
        let db_now = self.clock.now();
        let mut guard = self.lock();
        let state = &mut *guard;
        let mut stalled: Vec<(Timestamp, TaskKey)> = state
            .tasks
            .iter()
            .filter(|(_, task)| task.status == TaskStatus::Running && task.lease_until > db_now)
            .filter(|(_, task)| task.progress_at <= before)
            .map(|(key, task)| (task.progress_at, *key))
            .collect();
        stalled.sort_unstable();
        stalled.truncate(limit as usize);
        let mut logged = vec![];
        for (_, key) in &stalled {
            let Some(task) = state.tasks.get_mut(key) else { continue };
            task.stalls += 1;
            let tries = task.stalls;
            task.status = if tries < ingest::TRIES { TaskStatus::Pending } else { TaskStatus::Ended };
            task.owner.clear();
            let job = state.jobs.get_mut(&key.0).ok_or(StoreError::NotFound)?;
            let (user, workspace) = (job.state.job.user_id, job.state.job.kb_id);
            let document = state.documents.get_mut(&key.2).ok_or(StoreError::NotFound)?;
            let (run, live) = (document.state.generation, document.state.live);
            let (_, wanted) = state.workspaces.get(&workspace).ok_or(StoreError::NotFound)?;
            let told =
                ingest::stall(&mut job.state, &mut document.state, (seconds.into(), tries), wanted, now)?;
            if tries >= ingest::TRIES && live > 0 {
                state.drop_chunks(key.2, |failed| failed == run);
            }
            logged.extend(state.tell(user, workspace, told, now)?);
        }
        self.publish(logged);
        self.bus.publish(Signal::WorkReady);
        Ok(stalled.len())
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let mut state = self.lock();
        let task = state.held(claim)?;
        task.status = TaskStatus::Pending;
        task.owner.clear();
        self.bus.publish(Signal::WorkReady);
        Ok(())
    }

    async fn void_leases(&self) -> Result<u64, StoreError> {
        let mut voided = 0;
        for task in self.lock().tasks.values_mut().filter(|t| t.status == TaskStatus::Running) {
            task.status = TaskStatus::Pending;
            task.owner.clear();
            voided += 1;
        }
        self.bus.publish(Signal::WorkReady);
        Ok(voided)
    }

    async fn tell_queue(&self, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let mut moved: Vec<Job> = state
            .jobs
            .values()
            .map(|row| (row.queue_told, state.shown(row)))
            .filter(|(told, job)| job.status == JobStatus::Pending && job.queue_position != *told)
            .map(|(_, job)| job)
            .collect();
        moved.sort_by_key(|job| (job.queue_position, job.created_at, job.job_id));
        moved.truncate(limit as usize);
        // Everybody is told of their jobs in this order.
        moved.sort_by_key(|job| job.job_id);
        let told = moved.len();
        let mut logged = vec![];
        for job in moved {
            if let Some(row) = state.jobs.get_mut(&job.job_id) {
                row.queue_told = job.queue_position;
            }
            logged.push(state.emit(job.user_id, Event::JobUpdate(job), now)?);
        }
        self.publish(logged);
        Ok(told)
    }

    async fn unembedded(&self, document: DocumentId, limit: u32) -> Result<Vec<Chunk>, StoreError> {
        let state = self.lock();
        let left = state.chunks_of_run(document).iter().filter(|c| !state.vectors.contains_key(&c.id));
        Ok(left.take(limit as usize).map(|c| chunk_of(document, c)).collect())
    }
}
