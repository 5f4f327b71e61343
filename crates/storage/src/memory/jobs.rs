//! The job store, in memory.

use super::{JobRow, MemoryStore, Task, TaskStatus};
use crate::{
    jobs::{clean_checkpoint, clean_job, clean_option, lease_micros, taken_before},
    page::{Cursor, List, limit_of, paged},
};
use async_trait::async_trait;
use domain::{
    Chunk, ChunkId, Document, DocumentId, Event, Job, JobId, JobStatus, OnDuplicate, Timestamp, UserId,
    WorkspaceId,
    away::EndedJob,
    duplicates::{Known, Taken},
    ingest::{
        self, Checkpoint, ChunkMark, Told,
        control::{self, Control, DocumentControl, Retry},
    },
    provision::WorkspaceAction,
    report::{self, DocumentReport},
    resource::{Attempt, Page},
    status::Processor,
};
use services::ports::{
    Alike, Claim, Command, JobStore, LoggedEvent, NewJob, NewReindex, PageQuery, Signal, StoreError,
    TakenFile, TakenFiles, Unread, WorkerId,
};
use std::{cmp::Reverse, collections::BTreeSet};

impl MemoryStore {
    /// Newest first.
    fn jobs_where(&self, page: PageQuery, wanted: impl Fn(&Job) -> bool) -> Result<Page<Job>, StoreError> {
        let after = List::Jobs.before(&page)?;
        let limit = limit_of(&page);
        let state = self.lock();
        let place = |j: &Job| (j.created_at.micros(), j.job_id.to_string());
        let mut rows: Vec<&JobRow> = state
            .jobs
            .values()
            .filter(|row| wanted(&row.state.job))
            .filter(|row| place(&row.state.job) < (after.number, after.id.clone()))
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(place(&row.state.job)));
        let jobs = rows.into_iter().take(limit as usize + 1).map(|row| state.shown(row)).collect();
        Ok(paged(List::Jobs, jobs, limit, |j: &Job| Cursor::new(j.created_at.micros(), j.job_id)))
    }

    /// Called under the lock, as [`publish`](Self::publish) is.
    fn tell_advance(&self, held_back: bool, logged: Vec<LoggedEvent>) {
        if held_back {
            self.bus.publish(Signal::HeldBack);
        }
        self.publish(logged);
    }
}

#[async_trait]
impl JobStore for MemoryStore {
    async fn take_files(&self, mut new: NewJob, on_duplicate: OnDuplicate) -> Result<TakenFiles, StoreError> {
        clean_job(&mut new);
        let mut state = self.lock();
        if let (Some(command), Some(print)) = (&new.command_id, &new.command_print)
            && state.commands.get(&(new.user_id, command.clone())).is_some_and(|known| known != print)
        {
            return Err(StoreError::OtherCommand);
        }
        if let Some(row) = state.made_before(new.user_id, new.command_id.as_deref()) {
            let documents = state.documents_of_job(row.state.job.job_id).into_iter();
            let file = |document: Document| TakenFile {
                file: document.id,
                taken: taken_before(&document),
                document,
            };
            return Ok(TakenFiles { job: Some(state.shown(row)), files: documents.map(file).collect() });
        }
        let (job, files, logged) = state.take_files(&new, on_duplicate, self.clock.now())?;
        if let (Some(command), Some(print)) = (&new.command_id, new.command_print) {
            state.commands.insert((new.user_id, command.clone()), print);
        }
        self.publish(logged);
        self.bus.publish(Signal::WorkReady);
        let file = |(file, id, taken): (DocumentId, DocumentId, Taken)| {
            let document = state.documents.get(&id)?.state.document.clone();
            Some(TakenFile { file, document, taken })
        };
        let files = files.into_iter().filter_map(file).collect();
        let job = job.and_then(|id| state.jobs.get(&id)).map(|row| state.shown(row));
        Ok(TakenFiles { job, files })
    }

    async fn known_files(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        names: &[&str],
        hashes: &[&str],
    ) -> Result<Vec<Known>, StoreError> {
        let state = self.lock();
        let is_own = state.workspaces.get(&workspace).is_some_and(|(w, _)| w.user_id == user);
        Ok(if is_own { state.like(workspace, names, hashes) } else { vec![] })
    }

    async fn known_sizes(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        sizes: &[u64],
    ) -> Result<BTreeSet<u64>, StoreError> {
        let state = self.lock();
        let of = state.documents.values().map(|row| &row.state);
        let own = of.filter(|s| s.document.workspace_id == workspace && s.document.user_id == user);
        let all = own.flat_map(|s| [Some(s.document.size_bytes), s.next.as_ref().map(|n| n.size_bytes)]);
        Ok(all.flatten().filter(|size| sizes.contains(size)).collect())
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
            .filter(|(_, d)| {
                let document = state.documents.get(d).map(|row| &row.state.document);
                document.is_some_and(|d| d.job_id != Some(job) && !d.is_unfinished())
            })
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

    async fn jobs_by_id(&self, user: UserId, ids: &[JobId]) -> Result<Vec<Job>, StoreError> {
        let state = self.lock();
        let rows = ids.iter().filter_map(|id| state.jobs.get(id));
        Ok(rows.filter(|row| row.state.job.user_id == user).map(|row| state.shown(row)).collect())
    }

    async fn jobs_under_way(&self, user: UserId, limit: u32) -> Result<Vec<Job>, StoreError> {
        let state = self.lock();
        let turn = |status| match status {
            JobStatus::Running => Some(0),
            JobStatus::Paused => Some(1),
            JobStatus::Pending => Some(2),
            JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled => None,
        };
        let of_user = state.jobs.values().filter(|row| row.state.job.user_id == user);
        let mut rows: Vec<_> = of_user.filter_map(|row| Some((turn(row.state.job.status)?, row))).collect();
        rows.sort_by_key(|(turn, row)| (*turn, Reverse((row.state.job.created_at, row.state.job.job_id))));
        Ok(rows.into_iter().take(limit as usize).map(|(_, row)| state.shown(row)).collect())
    }

    async fn jobs(
        &self,
        user: UserId,
        status: Option<JobStatus>,
        page: PageQuery,
    ) -> Result<Page<Job>, StoreError> {
        self.jobs_where(page, |j| j.user_id == user && status.is_none_or(|s| j.status == s))
    }

    async fn jobs_of(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        page: PageQuery,
    ) -> Result<Page<Job>, StoreError> {
        self.jobs_where(page, |j| j.user_id == user && j.kb_id == workspace)
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
        let mut state = self.lock();
        let db_now = self.clock.now();
        let (claims, logged) = state.claim(worker, lease_seconds, limit, (db_now, now))?;
        self.publish(logged);
        Ok(claims)
    }

    async fn heartbeat(
        &self,
        worker: &WorkerId,
        in_hand: &[DocumentId],
        lease_seconds: u32,
    ) -> Result<Vec<DocumentId>, StoreError> {
        let until = self.clock.now().plus_micros(lease_micros(lease_seconds));
        let mut held = vec![];
        for ((_, _, document), task) in &mut self.lock().tasks {
            let is_held = task.status == TaskStatus::Running && task.owner == worker.0;
            if is_held && in_hand.contains(document) {
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
        let mut state = self.lock();
        let (held_back, logged) = state.checkpoint(claim, checkpoint, (self.clock.now(), now))?;
        self.tell_advance(held_back, logged);
        Ok(())
    }

    async fn marks(&self, _: &Claim) -> Result<Vec<ChunkMark>, StoreError> {
        // Passages are changed in databases only.
        Ok(vec![])
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
        let mut state = self.lock();
        let (held_back, logged) = state.report(user, id, &said, (self.clock.now(), now))?;
        self.tell_advance(held_back, logged);
        let row = state.document_of(user, id).ok_or(StoreError::NotFound)?;
        Ok(row.state.document.clone())
    }

    async fn gets_on(&self, claim: &Claim, now: Timestamp) -> Result<(), StoreError> {
        self.lock().held(claim)?.progress_at = now;
        Ok(())
    }

    async fn end_stalled(&self, seconds: u32, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
        let mut state = self.lock();
        let (ended, logged) = state.end_stalled(seconds, limit, (self.clock.now(), now))?;
        self.publish(logged);
        self.bus.publish(Signal::WorkReady);
        Ok(ended)
    }

    async fn tell_interrupted(&self, seconds: u32, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
        let mut state = self.lock();
        let (told, logged) = state.tell_interrupted(seconds, limit, (self.clock.now(), now))?;
        self.publish(logged);
        Ok(told)
    }

    async fn tell_unheard(&self, seconds: u32, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
        let mut state = self.lock();
        let (told, logged) = state.tell_unheard(seconds, limit, now)?;
        self.publish(logged);
        Ok(told)
    }

    async fn release(&self, claim: &Claim, now: Timestamp) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.give_back(claim)?;
        let logged = state.honour_freed(claim.job_id, claim.document_id, (self.clock.now(), now))?;
        self.bus.publish(Signal::WorkReady);
        self.publish(logged);
        Ok(())
    }

    async fn control(
        &self,
        user: UserId,
        job: JobId,
        control: Control,
        now: Timestamp,
    ) -> Result<Job, StoreError> {
        let mut state = self.lock();
        let logged = state.control(user, job, &control, (self.clock.now(), now))?;
        self.bus.publish(Signal::Requested);
        self.publish(logged);
        state.jobs.get(&job).map(|row| state.shown(row)).ok_or(StoreError::NotFound)
    }

    async fn retry_under(
        &self,
        user: UserId,
        job: JobId,
        retry: Retry,
        command: Command,
        now: Timestamp,
    ) -> Result<Job, StoreError> {
        let mut state = self.lock();
        match state.commands.get(&(user, command.id.clone())) {
            Some(known) if *known != command.print => return Err(StoreError::OtherCommand),
            Some(_) => {}
            None => {
                let control = Control::Retry(retry);
                let logged = state.control(user, job, &control, (self.clock.now(), now))?;
                state.commands.insert((user, command.id), command.print);
                self.bus.publish(Signal::Requested);
                self.publish(logged);
            }
        }
        let row = state.jobs.get(&job).filter(|row| row.state.job.user_id == user);
        row.map(|row| state.shown(row)).ok_or(StoreError::NotFound)
    }

    async fn control_document(
        &self,
        user: UserId,
        document: DocumentId,
        control: DocumentControl,
        now: Timestamp,
    ) -> Result<Job, StoreError> {
        let mut state = self.lock();
        let (job, logged) = state.control_document(user, document, control, (self.clock.now(), now))?;
        self.bus.publish(Signal::Requested);
        self.publish(logged);
        state.jobs.get(&job).map(|row| state.shown(row)).ok_or(StoreError::NotFound)
    }

    async fn asked(&self, worker: &WorkerId) -> Result<Vec<DocumentId>, StoreError> {
        let state = self.lock();
        let mut asked: Vec<DocumentId> = state
            .tasks
            .iter()
            .filter(|(_, task)| task.status == TaskStatus::Running && task.owner == worker.0)
            .filter(|((job, _, document), _)| {
                let job = state.jobs.get(job).is_some_and(|row| row.state.job.requested.is_some());
                job || state.documents.get(document).is_some_and(|row| row.state.requested.is_some())
            })
            .map(|((_, _, document), _)| *document)
            .collect();
        asked.sort_unstable();
        Ok(asked)
    }

    async fn honour_requests(&self, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
        let mut state = self.lock();
        let (honoured, logged) = state.honour_requests(limit, (self.clock.now(), now))?;
        self.publish(logged);
        Ok(honoured)
    }

    async fn attempts(&self, user: UserId, job: JobId) -> Result<Option<Vec<Attempt>>, StoreError> {
        let state = self.lock();
        let Some(row) = state.jobs.get(&job).filter(|row| row.state.job.user_id == user) else {
            return Ok(None);
        };
        let present = state.tasks.keys().filter(|key| (key.0, key.1) == (job, row.state.job.attempt));
        let documents = present.filter_map(|key| state.documents.get(&key.2)).map(|row| &row.state);
        let mut attempts = row.attempts.clone();
        attempts.push(control::attempt_of(&row.state.job, documents));
        Ok(Some(attempts))
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
        // Held from the look to the telling, so that of two who look at once the second finds nothing left.
        let mut guard = self.lock();
        let state = &mut *guard;
        let mut moved: Vec<(Timestamp, Job)> = state
            .jobs
            .values()
            .map(|row| (row.queue_told, row.state.turn_at, state.shown(row)))
            .filter(|(told, _, job)| job.status == JobStatus::Pending && job.queue_position != *told)
            .map(|(_, turn_at, job)| (turn_at, job))
            .collect();
        moved.sort_by_key(|(turn_at, job)| (job.queue_position, *turn_at, job.job_id));
        moved.truncate(limit as usize);
        let mut moved: Vec<Job> = moved.into_iter().map(|(_, job)| job).collect();
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

    async fn tell_end(&self, user: UserId, job: JobId, attempt: u32) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let row = state.jobs.get_mut(&job).filter(|row| row.state.job.user_id == user);
        let Some(row) = row.filter(|row| row.told_attempt < attempt) else { return Ok(false) };
        row.told_attempt = attempt;
        Ok(true)
    }

    async fn tell_ends(&self, user: UserId, upto: u64, limit: u32) -> Result<Vec<EndedJob>, StoreError> {
        let mut state = self.lock();
        let is_untold = |row: &&mut JobRow| {
            let job = &row.state.job;
            job.user_id == user
                && job.rev <= upto
                && row.told_attempt < job.attempt
                && matches!(job.status, JobStatus::Completed | JobStatus::Failed)
        };
        let mut untold: Vec<&mut JobRow> = state.jobs.values_mut().filter(is_untold).collect();
        untold.sort_by_key(|row| Reverse(row.state.job.rev));
        untold.truncate(limit as usize);
        let told = untold.into_iter().map(|row| {
            let job = &row.state.job;
            row.told_attempt = job.attempt;
            EndedJob {
                workspace: job.kb_id,
                kind: job.kind,
                status: job.status,
                documents_done: job.metrics.documents_done,
                documents_failed: job.metrics.documents_failed,
            }
        });
        Ok(told.collect())
    }

    async fn tell_rest(&self, limit: u32, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let mut state = self.lock();
        let logged = state.tell_rest(limit, now)?;
        self.publish(logged);
        Ok(state.next_rest())
    }

    async fn known(&self, claim: &Claim, limit: u32) -> Result<Vec<(ChunkId, ChunkId)>, StoreError> {
        Ok(self.lock().known_passages(claim, limit))
    }

    async fn namesake(&self, claim: &Claim) -> Result<Option<(DocumentId, u32)>, StoreError> {
        Ok(self.lock().namesake(claim))
    }

    async fn most_alike(&self, claim: &Claim) -> Result<Option<Alike>, StoreError> {
        Ok(self.lock().most_alike(claim))
    }

    async fn unembedded(&self, document: DocumentId, limit: u32) -> Result<Vec<Chunk>, StoreError> {
        Ok(self.lock().left_to_embed(document, limit))
    }

    async fn unread(&self, document: DocumentId, limit: u32) -> Result<Unread, StoreError> {
        Ok(self.lock().left_to_read(document, limit))
    }
}
