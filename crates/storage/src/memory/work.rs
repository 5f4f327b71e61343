//! What the job store in memory decides by: whose turn it is, what a claim still holds, what is stale, and what was not
//! told yet.

use super::{DocumentRow, JobRow, State, Task, TaskStatus};
use crate::jobs::lease_micros;
use domain::{
    ChunkId, Document, DocumentId, DocumentStatus, Event, Job, JobId, JobKind, JobStatus, Timestamp, UserId,
    WorkspaceId, WorkspaceStatus,
    ingest::{self, JobState, NewChunk, Told},
    rag::RagConfig,
    status::Processor,
};
use services::ports::{Claim, LoggedEvent, StoreError, WorkerId};
use std::collections::{BTreeMap, BTreeSet};

pub(super) type TaskKey = (JobId, u32, DocumentId);

impl State {
    /// A job as it is read: with its place in the queue, while it waits.
    pub(super) fn shown(&self, row: &JobRow) -> Job {
        let mut job = row.state.job.clone();
        let waits = job.status == JobStatus::Pending && job.kind != JobKind::Delete;
        if waits && !self.is_external(job.kb_id) {
            job.queue_position = Some(self.ahead(&row.state));
        }
        job
    }

    /// How many jobs go before that one. Claims go round the people: it waits for as many of each other one as it has of
    /// its own before it, and for one more of whoever gets a turn earlier. Those whose job runs already began the round; of
    /// those who still wait for their first, whoever was served longest ago goes first.
    fn ahead(&self, of: &JobState) -> u64 {
        let mut line: BTreeMap<UserId, Vec<&JobState>> = BTreeMap::new();
        for s in self.jobs.values().map(|row| &row.state) {
            if self.is_in_line(&s.job) && s.job.job_id != of.job.job_id {
                line.entry(s.job.user_id).or_default().push(s);
            }
        }
        line.values_mut().for_each(|jobs| jobs.sort_unstable_by_key(|s| (s.turn_at, s.job.job_id)));
        let turn = |first: &JobState| {
            let waits = first.job.status != JobStatus::Running;
            let served = || self.served.get(&first.job.user_id).copied().unwrap_or_default();
            let moment = if waits { served() } else { first.job.started_at.unwrap_or_default() };
            (waits, moment, first.turn_at, first.job.job_id)
        };
        let own = line.remove(&of.job.user_id).unwrap_or_default();
        let before = own.partition_point(|s| (s.turn_at, s.job.job_id) < (of.turn_at, of.job.job_id));
        let mine = turn(if before == 0 { of } else { own.first().copied().unwrap_or(of) });
        let of_user = |jobs: &Vec<&JobState>| {
            let earlier = jobs.first().is_some_and(|first| turn(first) < mine);
            jobs.len().min(before + usize::from(earlier))
        };
        (before + line.values().map(of_user).sum::<usize>()) as u64
    }

    /// What is paused or stops, what deletes, what an outside worker does, and whatever is in a workspace that nothing is
    /// begun in, keeps nobody waiting.
    fn is_in_line(&self, job: &Job) -> bool {
        matches!(job.status, JobStatus::Pending | JobStatus::Running)
            && job.requested.is_none()
            && job.kind != JobKind::Delete
            && self.workspaces.get(&job.kb_id).is_some_and(|(w, _)| {
                w.processor == Processor::Builtin && w.status == WorkspaceStatus::Ready && !w.paused
            })
    }

    fn is_external(&self, id: WorkspaceId) -> bool {
        self.workspaces.get(&id).is_some_and(|(w, _)| w.processor == Processor::External)
    }

    pub(super) fn documents_of_job(&self, id: JobId) -> Vec<Document> {
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
    pub(super) fn tell(
        &mut self,
        user: UserId,
        workspace: WorkspaceId,
        told: Told,
        now: Timestamp,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let mut events = told.events;
        if told.counts_changed {
            self.note_activity(workspace, now);
            let workspace = self.workspace(workspace).ok_or(StoreError::NotFound)?;
            events.push(Event::WorkspaceStatus(workspace));
        }
        events.into_iter().map(|event| self.emit(user, event, now)).collect()
    }

    /// Notes that something is done in the workspace.
    pub(super) fn note_activity(&mut self, id: WorkspaceId, now: Timestamp) {
        if let Some((workspace, _)) = self.workspaces.get_mut(&id) {
            workspace.last_activity_at = workspace.last_activity_at.max(now);
        }
    }

    fn claimable(&self, key: &TaskKey, task: &Task, (db_now, now): (Timestamp, Timestamp)) -> bool {
        let free = match task.status {
            TaskStatus::Pending => true,
            TaskStatus::Running => task.lease_until <= db_now,
            TaskStatus::Paused | TaskStatus::Ended => false,
        };
        let asked = self.documents.get(&key.2).is_some_and(|row| row.state.requested.is_some());
        let Some(job) = self.jobs.get(&key.0).map(|r| &r.state.job) else { return false };
        let Some((workspace, _)) = self.workspaces.get(&job.kb_id) else { return false };
        free && !asked
            && task.not_before <= now
            && key.1 == job.attempt
            && matches!(job.status, JobStatus::Pending | JobStatus::Running)
            && job.requested.is_none()
            && workspace.status == WorkspaceStatus::Ready
            && !workspace.paused
            && (workspace.processor == Processor::Builtin || task.fence > 0)
    }

    /// Whose turn it is, after `taken` were taken.
    fn next_task(&self, taken: &[TaskKey], (db_now, now): (Timestamp, Timestamp)) -> Option<TaskKey> {
        let mut leased: BTreeMap<UserId, usize> = BTreeMap::new();
        for (key, task) in &self.tasks {
            let running = task.status == TaskStatus::Running && task.lease_until > db_now;
            if running || taken.contains(key) {
                *leased.entry(self.jobs.get(&key.0)?.state.job.user_id).or_default() += 1;
            }
        }
        self.tasks
            .iter()
            .filter(|(key, task)| !taken.contains(key) && self.claimable(key, task, (db_now, now)))
            .min_by_key(|(key, task)| {
                let state = self.jobs.get(&key.0).map(|r| &r.state);
                let leased = state.and_then(|s| leased.get(&s.job.user_id)).copied().unwrap_or_default();
                let served = state.and_then(|s| self.served.get(&s.job.user_id));
                (leased, served, state.map(|s| (s.turn_at, s.job.job_id)), task.place)
            })
            .map(|(key, _)| *key)
    }

    /// The task, while the claim is the newest one and the work is not through.
    pub(super) fn held(&mut self, claim: &Claim) -> Result<&mut Task, StoreError> {
        self.tasks
            .get_mut(&(claim.job_id, claim.attempt, claim.document_id))
            .filter(|task| task.status == TaskStatus::Running && task.fence == claim.fence)
            .ok_or(StoreError::Fenced)
    }

    /// The chunks of the newest run over a document.
    pub(super) fn chunks_of_run(&self, id: DocumentId) -> &[NewChunk] {
        let generation = self.documents.get(&id).map_or(0, |row| row.state.generation);
        self.chunks.get(&(id, generation)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Removes the chunks of the runs over a document that `gone` says, with their vectors.
    pub(super) fn drop_chunks(&mut self, id: DocumentId, gone: impl Fn(u32) -> bool) {
        let runs: Vec<_> = self.chunks.keys().filter(|(d, run)| *d == id && gone(*run)).copied().collect();
        for run in runs {
            for chunk in self.chunks.remove(&run).unwrap_or_default() {
                self.vectors.remove(&chunk.id);
                self.asked.remove(&chunk.id);
            }
        }
    }

    /// Documents of the workspace that are stale by its configuration and in no job's hands, in the order of the list.
    pub(super) fn stale(&self, workspace: WorkspaceId, wanted: &RagConfig) -> Vec<&Document> {
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
    pub(super) fn add_job(&mut self, state: JobState, command_id: Option<String>, mut told: Told) -> Told {
        let id = state.job.job_id;
        self.jobs
            .insert(id, JobRow { state, command_id, queue_told: None, told_attempt: 0, attempts: vec![] });
        let ahead = self.jobs.get(&id).and_then(|row| self.shown(row).queue_position);
        told.set_queue_position(ahead);
        if let Some(row) = self.jobs.get_mut(&id) {
            row.queue_told = ahead;
        }
        told
    }

    pub(super) fn made_before(&self, user: UserId, command: Option<&str>) -> Option<&JobRow> {
        let command = command?;
        self.jobs
            .values()
            .find(|row| row.state.job.user_id == user && row.command_id.as_deref() == Some(command))
    }

    /// The passages of the document's run that have no vector yet.
    fn unembedded(&self, document: DocumentId) -> BTreeSet<ChunkId> {
        let all = self.chunks_of_run(document).iter().map(|c| c.id);
        all.filter(|id| !self.vectors.contains_key(id)).collect()
    }

    /// The vectors of a batch that are really new: of chunks that are there and have none yet.
    pub(super) fn new_vectors(
        &self,
        document: DocumentId,
        vectors: Vec<(ChunkId, Vec<f32>)>,
    ) -> Vec<(ChunkId, Vec<f32>)> {
        let mut wanted = self.unembedded(document);
        vectors.into_iter().filter(|(id, _)| wanted.remove(id)).collect()
    }

    /// Of passages that are known, those that have no vector yet, each once, while the known one still has one.
    pub(super) fn still_known(
        &self,
        document: DocumentId,
        mut passages: Vec<(ChunkId, ChunkId)>,
    ) -> Vec<(ChunkId, ChunkId)> {
        let mut wanted = self.unembedded(document);
        passages.retain(|(mine, known)| self.vectors.contains_key(known) && wanted.remove(mine));
        passages
    }

    /// The passages of a workspace that searches find, of documents that were embedded with that model, or all.
    pub(super) fn findable(
        &self,
        workspace: WorkspaceId,
        model: Option<&str>,
    ) -> Vec<(DocumentId, &NewChunk)> {
        let embedded_with = |row: &DocumentRow| row.state.indexed.as_ref().map(|i| i.model.clone());
        let found = self.documents.iter().filter(|(_, row)| {
            row.state.document.workspace_id == workspace
                && row.state.live > 0
                && model.is_none_or(|model| embedded_with(row).as_deref() == Some(model))
        });
        found
            .flat_map(|(id, row)| {
                let live = self.chunks.get(&(*id, row.state.live));
                live.into_iter().flatten().map(|chunk| (*id, chunk))
            })
            .collect()
    }

    /// The claims that a worker gets, with what they told. The first time is the database's.
    pub(super) fn claim(
        &mut self,
        worker: &WorkerId,
        lease_seconds: u32,
        limit: u32,
        (db_now, now): (Timestamp, Timestamp),
    ) -> Result<(Vec<Claim>, Vec<LoggedEvent>), StoreError> {
        let mut taken: Vec<TaskKey> = vec![];
        while (taken.len() as u32) < limit {
            let Some(key) = self.next_task(&taken, (db_now, now)) else { break };
            let Some(task) = self.tasks.get_mut(&key) else { break };
            task.status = TaskStatus::Running;
            task.owner.clone_from(&worker.0);
            task.lease_until = db_now.plus_micros(lease_micros(lease_seconds));
            task.fence += 1;
            task.progress_at = now;
            taken.push(key);
            // The clock may stand still: everybody is served later than whoever was served last.
            let last = self.served.values().max().copied().unwrap_or_default();
            if let Some(row) = self.jobs.get(&key.0) {
                self.served.insert(row.state.job.user_id, db_now.max(last.plus_micros(1)));
            }
        }
        let mut claims = vec![];
        let mut logged = vec![];
        for key in taken {
            let (job_id, attempt, document_id) = key;
            let fence = self.tasks.get(&key).map_or(0, |t| t.fence);
            let job = self.jobs.get_mut(&job_id).ok_or(StoreError::NotFound)?;
            let document = self.documents.get_mut(&document_id).ok_or(StoreError::NotFound)?;
            let Ok(told) = ingest::start(&mut job.state, &mut document.state, now) else {
                // Another job has the document in its hands, which lists it as well: this one leaves it out.
                let told = ingest::control::withdraw(&mut job.state, &document.state, now)?;
                let (user, workspace) = (job.state.job.user_id, job.state.job.kb_id);
                if let Some(task) = self.tasks.get_mut(&key) {
                    task.status = TaskStatus::Ended;
                    task.owner.clear();
                }
                logged.extend(self.tell(user, workspace, told, now)?);
                continue;
            };
            let (user_id, workspace_id) = (job.state.job.user_id, job.state.job.kb_id);
            let (d, version) = (&document.state.document, document.state.run_version());
            let file = self.versions.get(&(document_id, version));
            claims.push(Claim {
                job_id,
                document_id,
                workspace_id,
                user_id,
                attempt,
                fence,
                stage: document.state.stage,
                filename: file.map_or(&d.filename, |file| &file.version.filename).clone(),
                mime_type: file.map_or(&d.mime_type, |file| &file.version.mime_type).clone(),
                version,
                blob_key: file.map_or(&document.blob_key, |file| &file.blob_key).clone(),
                rag_config: job.state.config.clone(),
                embeds: document.state.embeds,
            });
            logged.extend(self.tell(user_id, workspace_id, told, now)?);
        }
        Ok((claims, logged))
    }

    /// How many documents were taken out of their workers' hands, with what that told. The first time is the database's.
    pub(super) fn end_stalled(
        &mut self,
        seconds: u32,
        limit: u32,
        (db_now, now): (Timestamp, Timestamp),
    ) -> Result<(usize, Vec<LoggedEvent>), StoreError> {
        let before = now.plus_seconds(-i64::from(seconds));
        let mut stalled: Vec<(Timestamp, TaskKey)> = self
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
            let Some(task) = self.tasks.get_mut(key) else { continue };
            task.stalls += 1;
            let tries = task.stalls;
            task.status = if tries < ingest::TRIES { TaskStatus::Pending } else { TaskStatus::Ended };
            task.owner.clear();
            let job = self.jobs.get_mut(&key.0).ok_or(StoreError::NotFound)?;
            let (user, workspace) = (job.state.job.user_id, job.state.job.kb_id);
            let document = self.documents.get_mut(&key.2).ok_or(StoreError::NotFound)?;
            let (run, live) = (document.state.generation, document.state.live);
            let (_, wanted) = self.workspaces.get(&workspace).ok_or(StoreError::NotFound)?;
            let told =
                ingest::stall(&mut job.state, &mut document.state, (seconds.into(), tries), wanted, now)?;
            if tries >= ingest::TRIES && live > 0 {
                self.drop_chunks(key.2, |failed| failed == run);
            }
            logged.extend(self.tell(user, workspace, told, now)?);
            logged.extend(self.honour_freed(key.0, key.2, (db_now, now))?);
        }
        Ok((stalled.len(), logged))
    }

    /// How many documents are told to be in nobody's hands, with what that told. The first time is the database's.
    pub(super) fn tell_interrupted(
        &mut self,
        seconds: u32,
        limit: u32,
        (db_now, now): (Timestamp, Timestamp),
    ) -> Result<(usize, Vec<LoggedEvent>), StoreError> {
        let before = now.plus_seconds(-i64::from(seconds));
        let is_left = |task: &Task| match task.status {
            TaskStatus::Pending => true,
            TaskStatus::Running => task.lease_until <= db_now,
            TaskStatus::Paused | TaskStatus::Ended => false,
        };
        let is_meant = |key: &TaskKey| {
            let job = self.jobs.get(&key.0).map(|row| &row.state.job);
            let document = self.documents.get(&key.2).map(|row| &row.state.document);
            job.is_some_and(|j| j.status == JobStatus::Running && j.attempt == key.1)
                && document.is_some_and(|d| d.status == DocumentStatus::Processing && d.held_up().is_none())
        };
        let mut left: Vec<(Timestamp, JobId, usize, TaskKey)> = self
            .tasks
            .iter()
            .filter(|(_, task)| is_left(task) && task.fence > 0 && task.progress_at <= before)
            .filter(|(key, _)| is_meant(key))
            .map(|(key, task)| (task.progress_at, key.0, task.place, *key))
            .collect();
        left.sort_unstable();
        left.truncate(limit as usize);
        let mut logged = vec![];
        for (_, _, _, key) in &left {
            let job = self.jobs.get_mut(&key.0).ok_or(StoreError::NotFound)?;
            let document = self.documents.get_mut(&key.2).ok_or(StoreError::NotFound)?;
            let (user, workspace) = (job.state.job.user_id, job.state.job.kb_id);
            let told = ingest::interrupt(&mut job.state, &mut document.state, now);
            logged.extend(self.tell(user, workspace, told, now)?);
        }
        Ok((left.len(), logged))
    }

    /// How many documents are told to be unheard of, with what that told.
    pub(super) fn tell_unheard(
        &mut self,
        seconds: u32,
        limit: u32,
        now: Timestamp,
    ) -> Result<(usize, Vec<LoggedEvent>), StoreError> {
        let before = now.plus_seconds(-i64::from(seconds));
        let mut unheard: Vec<(Timestamp, JobId, usize, TaskKey)> = vec![];
        for (key, task) in self.tasks.iter().filter(|(key, task)| self.is_outside(key, task)) {
            let Some(d) = self.documents.get(&key.2).map(|row| &row.state.document) else { continue };
            let is_in_work = d.status == DocumentStatus::Processing && d.job_id == Some(key.0);
            let is_silent = d.updated_at <= before && task.progress_at <= before;
            if is_in_work && is_silent && d.stalled().is_none() {
                unheard.push((d.updated_at, key.0, task.place, *key));
            }
        }
        unheard.sort_unstable();
        unheard.truncate(limit as usize);
        let mut logged = vec![];
        for (updated_at, _, _, key) in &unheard {
            let since = self.tasks.get(key).map_or(*updated_at, |task| task.progress_at.max(*updated_at));
            let others_move = self.others_move(key);
            let job = self.jobs.get_mut(&key.0).ok_or(StoreError::NotFound)?;
            let document = self.documents.get_mut(&key.2).ok_or(StoreError::NotFound)?;
            let (user, workspace) = (job.state.job.user_id, job.state.job.kb_id);
            let told = ingest::unheard(&mut job.state, &mut document.state, since, others_move, now);
            logged.extend(self.tell(user, workspace, told, now)?);
        }
        Ok((unheard.len(), logged))
    }

    /// Whether an outside worker may report of the task's document.
    fn is_outside(&self, key: &TaskKey, task: &Task) -> bool {
        let Some(job) = self.jobs.get(&key.0).map(|row| &row.state.job) else { return false };
        let Some((workspace, _)) = self.workspaces.get(&job.kb_id) else { return false };
        task.status == TaskStatus::Pending
            && task.fence == 0
            && key.1 == job.attempt
            && job.status == JobStatus::Running
            && job.requested.is_none()
            && workspace.processor == Processor::External
            && workspace.status != WorkspaceStatus::Deleting
            && !workspace.paused
    }

    /// Whether another document of the job is in work and not held up.
    fn others_move(&self, of: &TaskKey) -> bool {
        let moves = |d: &Document| d.status == DocumentStatus::Processing && d.held_up().is_none();
        self.tasks.iter().any(|(key, task)| {
            let document = self.documents.get(&key.2).map(|row| &row.state.document);
            (key.0, key.1) == (of.0, of.1)
                && key.2 != of.2
                && matches!(task.status, TaskStatus::Pending | TaskStatus::Running)
                && document.is_some_and(|d| d.job_id == Some(key.0) && moves(d))
        })
    }

    /// What outside workers have begun, in one job or in one workspace, has its whole time again before it is said to be
    /// unheard of: what was reported until now was refused.
    pub(super) fn begin_time_anew(&mut self, now: Timestamp, is_meant: impl Fn(&Document) -> bool) {
        for (key, task) in &mut self.tasks {
            let document = self.documents.get(&key.2).map(|row| &row.state.document);
            let is_in_work =
                |d: &&Document| d.status == DocumentStatus::Processing && d.job_id == Some(key.0);
            if task.status == TaskStatus::Pending
                && task.fence == 0
                && document.filter(is_in_work).is_some_and(&is_meant)
            {
                task.progress_at = now;
            }
        }
    }

    /// Tells what was held back long enough.
    pub(super) fn tell_rest(&mut self, limit: u32, now: Timestamp) -> Result<Vec<LoggedEvent>, StoreError> {
        let is_due = |at: Timestamp, every: i64| !(0..every).contains(&(now.micros() - at.micros()));
        let jobs = self.jobs.iter().filter(|(_, row)| row.state.held_back);
        let jobs = jobs.map(|(id, row)| (row.state.event_at, *id));
        let jobs = earliest(jobs.filter(|(at, _)| is_due(*at, ingest::JOB_EVERY_MICROS)), limit);
        let documents = self.documents.iter().filter(|(_, row)| row.state.held_back);
        let documents = documents.map(|(id, row)| (row.state.event_at, *id));
        let documents =
            earliest(documents.filter(|(at, _)| is_due(*at, ingest::DOCUMENT_EVERY_MICROS)), limit);
        let mut told = vec![];
        for id in jobs {
            let Some(row) = self.jobs.get_mut(&id) else { continue };
            told.extend(ingest::tell_job_rest(&mut row.state, now).map(|e| (row.state.job.user_id, e)));
        }
        for id in documents {
            let Some(row) = self.documents.get_mut(&id) else { continue };
            let user = row.state.document.user_id;
            told.extend(ingest::tell_document_rest(&mut row.state, now).map(|e| (user, e)));
        }
        told.into_iter().map(|(user, event)| self.emit(user, event, now)).collect()
    }

    /// When the next of what is held back may be told.
    pub(super) fn next_rest(&self) -> Option<Timestamp> {
        let jobs = self.jobs.values().map(|row| &row.state).filter(|s| s.held_back);
        let documents = self.documents.values().map(|row| &row.state).filter(|s| s.held_back);
        let jobs = jobs.map(|s| s.event_at.plus_micros(ingest::JOB_EVERY_MICROS));
        jobs.chain(documents.map(|s| s.event_at.plus_micros(ingest::DOCUMENT_EVERY_MICROS))).min()
    }
}

/// Those of the earliest times, in the order in which everybody takes the rows of a user.
fn earliest<T: Ord>(found: impl Iterator<Item = (Timestamp, T)>, limit: u32) -> Vec<T> {
    let mut found: Vec<(Timestamp, T)> = found.collect();
    found.sort_unstable();
    found.truncate(limit as usize);
    let mut found: Vec<T> = found.into_iter().map(|(_, id)| id).collect();
    found.sort_unstable();
    found
}
