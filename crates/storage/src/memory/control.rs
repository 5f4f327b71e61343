//! What people ask of jobs and documents, in memory: the same steps in the same order as in `jobs::control` and
//! `jobs::requests`.

use super::{State, Task, TaskStatus, work::TaskKey};
use domain::{
    DocumentId, JobId, PhaseName, Timestamp, UserId,
    ingest::{
        self, DocumentState, JobState, Stage, Told,
        control::{self, Asked, Control, DocumentControl, Retry},
    },
    rag::RagConfig,
    status::{JobRequest, JobStatus},
};
use services::ports::{Claim, LoggedEvent, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// The database's time and the server's.
type Times = (Timestamp, Timestamp);
type Logged = Vec<LoggedEvent>;

pub(super) fn is_cancelled(job: &JobState, document: &DocumentState) -> bool {
    job.job.requested == Some(JobRequest::Cancel) || document.requested.is_some_and(Asked::cancels)
}

const fn is_unfinished(task: &Task) -> bool {
    !matches!(task.status, TaskStatus::Ended)
}

impl State {
    pub(super) fn give_back(&mut self, claim: &Claim) -> Result<(), StoreError> {
        let task = self.held(claim)?;
        task.status = TaskStatus::Pending;
        task.owner.clear();
        task.not_before = Timestamp::default();
        Ok(())
    }

    fn job_state(&self, id: JobId) -> Result<JobState, StoreError> {
        Ok(self.jobs.get(&id).ok_or(StoreError::NotFound)?.state.clone())
    }

    fn config_of(&self, job: &JobState) -> Result<RagConfig, StoreError> {
        Ok(self.workspaces.get(&job.job.kb_id).ok_or(StoreError::NotFound)?.1.clone())
    }

    /// The tasks of the job's present attempt.
    fn tasks_of(&mut self, job: &JobState) -> impl Iterator<Item = (&TaskKey, &mut Task)> {
        let mine = (job.job.job_id, job.job.attempt);
        self.tasks.iter_mut().filter(move |(key, _)| (key.0, key.1) == mine)
    }

    /// Takes tasks whose leases ran out from their workers; answers how many documents are in hand.
    fn in_hand(&mut self, job: &JobState, db_now: Timestamp) -> usize {
        let mut held = 0;
        for (_, task) in self.tasks_of(job).filter(|(_, task)| task.status == TaskStatus::Running) {
            if task.lease_until <= db_now {
                task.status = TaskStatus::Pending;
                task.owner.clear();
            } else {
                held += 1;
            }
        }
        held
    }

    fn set_task(&mut self, job: &JobState, document: DocumentId, status: TaskStatus) {
        if let Some(task) = self.tasks.get_mut(&(job.job.job_id, job.job.attempt, document)) {
            task.status = status;
            task.owner.clear();
            task.not_before = Timestamp::default();
        }
    }

    fn documents_for(&self, job: &JobState, unfinished: bool) -> Vec<DocumentState> {
        let ids: BTreeSet<DocumentId> = self
            .tasks
            .iter()
            .filter(|(key, _)| key.0 == job.job.job_id)
            .filter(|(key, task)| !unfinished || key.1 == job.job.attempt && is_unfinished(task))
            .map(|(key, _)| key.2)
            .collect();
        ids.iter().filter_map(|id| self.documents.get(id)).map(|row| row.state.clone()).collect()
    }

    fn write_documents(&mut self, before: &[DocumentState], after: Vec<DocumentState>) {
        for (before, after) in before.iter().zip(after) {
            let id = after.document.id;
            let dead = control::dead_runs(before, &after);
            if !dead.is_empty() {
                self.drop_chunks(id, |run| dead.contains(&run));
            }
            if let Some(row) = self.documents.get_mut(&id) {
                row.state = after;
            }
        }
    }

    fn write_job(&mut self, job: JobState) {
        if let Some(row) = self.jobs.get_mut(&job.job.job_id) {
            row.state = job;
        }
    }

    fn finish_control(&mut self, job: JobState, told: Told, now: Timestamp) -> Result<Logged, StoreError> {
        let (user, workspace) = (job.job.user_id, job.job.kb_id);
        self.write_job(job);
        self.tell(user, workspace, told, now)
    }

    fn honour(&mut self, job: &mut JobState, now: Timestamp) -> Result<Told, StoreError> {
        let cancels = job.job.requested == Some(JobRequest::Cancel);
        let before = if cancels { self.documents_for(job, !job.cancel_removes) } else { vec![] };
        let mut after = before.clone();
        let wanted = self.config_of(job)?;
        let told = control::honour(job, &mut after, &wanted, now)?;
        self.write_documents(&before, after);
        if cancels {
            for (_, task) in self.tasks_of(job) {
                task.status = TaskStatus::Ended;
                task.owner.clear();
            }
        }
        Ok(told)
    }

    pub(super) fn honour_freed(
        &mut self,
        job: JobId,
        document: DocumentId,
        times: Times,
    ) -> Result<Logged, StoreError> {
        let mut job = self.job_state(job)?;
        let mut logged = vec![];
        if let Some(state) = self.documents.get(&document).map(|row| row.state.clone())
            && state.requested.is_some()
            && job.job.requested != Some(JobRequest::Cancel)
        {
            logged = self.honour_document(&mut job, state, times.1)?;
        }
        logged.extend(self.honour_job(job, times)?);
        Ok(logged)
    }

    pub(super) fn honour_job(
        &mut self,
        mut job: JobState,
        (db_now, now): Times,
    ) -> Result<Logged, StoreError> {
        let goes_on = matches!(job.job.status, JobStatus::Pending | JobStatus::Running);
        if job.job.requested.is_none() && goes_on && self.only_paused(&job) {
            control::ask(&mut job, JobRequest::Pause, true)?;
        }
        if job.job.requested.is_none() || self.in_hand(&job, db_now) > 0 {
            return Ok(vec![]);
        }
        let told = self.honour(&mut job, now)?;
        self.finish_control(job, told, now)
    }

    fn only_paused(&mut self, job: &JobState) -> bool {
        let mut left = self.tasks_of(job).filter(|(_, task)| is_unfinished(task)).peekable();
        left.peek().is_some() && left.all(|(_, task)| task.status == TaskStatus::Paused)
    }

    fn honour_document(
        &mut self,
        job: &mut JobState,
        mut document: DocumentState,
        now: Timestamp,
    ) -> Result<Logged, StoreError> {
        let before = document.clone();
        let wanted = self.config_of(job)?;
        let told = control::honour_document(job, &mut document, &wanted, now)?;
        let id = document.document.id;
        if document.paused {
            self.set_task(job, id, TaskStatus::Paused);
        } else if document.stage == Stage::Done {
            self.set_task(job, id, TaskStatus::Ended);
        }
        self.write_documents(&[before], vec![document]);
        self.finish_control(job.clone(), told, now)
    }

    pub(super) fn control(
        &mut self,
        user: UserId,
        id: JobId,
        wanted: &Control,
        times: Times,
    ) -> Result<Logged, StoreError> {
        let job = self.jobs.get(&id).filter(|row| row.state.job.user_id == user);
        let job = job.ok_or(StoreError::NotFound)?.state.clone();
        match wanted {
            Control::Pause => self.ask(job, JobRequest::Pause, true, times),
            Control::Cancel { keep_results } => self.ask(job, JobRequest::Cancel, *keep_results, times),
            Control::CancelPhase(PhaseName::Embedding) => self.skip(job, times),
            Control::CancelPhase(_) => self.ask(job, JobRequest::Cancel, true, times),
            Control::Resume => self.resume(job, times.1),
            Control::Retry(retry) => self.next_attempt(job, retry, times.1),
            Control::First => self.put_first(job, times.1),
        }
    }

    fn ask(
        &mut self,
        mut job: JobState,
        request: JobRequest,
        keep_results: bool,
        (db_now, now): Times,
    ) -> Result<Logged, StoreError> {
        if !control::ask(&mut job, request, keep_results)? {
            return Ok(vec![]);
        }
        let told = if self.in_hand(&job, db_now) > 0 {
            control::tell_asked(&mut job, now)
        } else {
            self.honour(&mut job, now)?
        };
        self.finish_control(job, told, now)
    }

    fn resume(&mut self, mut job: JobState, now: Timestamp) -> Result<Logged, StoreError> {
        let mut paused = self.documents_for(&job, true);
        paused.retain(|d| d.paused);
        let before = paused.clone();
        let Some(told) = control::resume(&mut job, &mut paused, now)? else { return Ok(vec![]) };
        for document in &before {
            self.set_task(&job, document.document.id, TaskStatus::Pending);
        }
        self.write_documents(&before, paused);
        let id = job.job.job_id;
        self.begin_time_anew(now, |d| d.job_id == Some(id));
        self.finish_control(job, told, now)
    }

    fn put_first(&mut self, mut job: JobState, now: Timestamp) -> Result<Logged, StoreError> {
        let id = job.job.job_id;
        let others = self.jobs.values().map(|row| &row.state).filter(|s| s.job.user_id == job.job.user_id);
        let others = others.filter(|s| s.job.job_id != id && !s.job.status.is_final());
        let earliest = others.map(|s| s.turn_at).min();
        let Some(mut told) = ingest::put_first(&mut job, earliest, now)? else { return Ok(vec![]) };
        self.write_job(job.clone());
        if job.job.status == JobStatus::Pending {
            let ahead = self.jobs.get(&id).and_then(|row| self.shown(row).queue_position);
            if let Some(row) = self.jobs.get_mut(&id) {
                row.queue_told = ahead;
            }
            told.set_queue_position(ahead);
        }
        self.finish_control(job, told, now)
    }

    fn skip(&mut self, mut job: JobState, times: Times) -> Result<Logged, StoreError> {
        let mut documents = self.documents_for(&job, true);
        documents.retain(|d| d.document.job_id == Some(job.job.job_id));
        let before = documents.clone();
        let Some(told) = control::skip_embedding(&mut job, &mut documents, times.1)? else {
            return Ok(vec![]);
        };
        for (_, task) in self.tasks_of(&job).filter(|(_, task)| task.status == TaskStatus::Running) {
            task.status = TaskStatus::Pending;
            task.owner.clear();
        }
        self.drop_vectors(&before, &documents);
        self.write_documents(&before, documents);
        let mut logged = self.finish_control(job.clone(), told, times.1)?;
        logged.extend(self.honour_job(job, times)?);
        Ok(logged)
    }

    fn drop_vectors(&mut self, before: &[DocumentState], after: &[DocumentState]) {
        for (_, after) in before.iter().zip(after).filter(|(b, a)| b.embedded > a.embedded) {
            let chunks = self.chunks.get(&(after.document.id, after.generation));
            for chunk in chunks.map(Vec::as_slice).unwrap_or_default() {
                self.vectors.remove(&chunk.id);
            }
        }
    }

    fn next_attempt(
        &mut self,
        mut job: JobState,
        retry: &Retry,
        now: Timestamp,
    ) -> Result<Logged, StoreError> {
        let id = job.job.job_id;
        let ended = job.job.clone();
        let mut documents = self.documents_for(&job, false);
        let before = documents.clone();
        let wanted = self.config_of(&job)?;
        let renewed = control::renew(&mut job, &mut documents, &wanted);
        let Some(mut told) = control::retry(&mut job, &mut documents, retry, now)? else {
            return Ok(vec![]);
        };
        told.events = renewed.into_iter().chain(std::mem::take(&mut told.events)).collect();
        let mut places = BTreeMap::<DocumentId, usize>::new();
        for ((_, _, document), task) in self.tasks.iter().filter(|(key, _)| key.0 == id) {
            places.entry(*document).and_modify(|p| *p = (*p).min(task.place)).or_insert(task.place);
        }
        for (before, after) in before.iter().zip(&documents) {
            if before.document.attempt != after.document.attempt {
                let document = after.document.id;
                let place = places.get(&document).copied().unwrap_or_default();
                self.tasks.insert((id, job.job.attempt, document), Task::waiting(place));
            }
        }
        let attempt = control::attempt_of(&ended, &before);
        self.write_documents(&before, documents);
        self.write_job(job.clone());
        let ahead = self.jobs.get(&id).and_then(|row| self.shown(row).queue_position);
        if let Some(row) = self.jobs.get_mut(&id) {
            row.attempts.push(attempt);
            row.queue_told = ahead;
        }
        told.set_queue_position(ahead);
        self.finish_control(job, told, now)
    }

    pub(super) fn control_document(
        &mut self,
        user: UserId,
        id: DocumentId,
        wanted: DocumentControl,
        times: Times,
    ) -> Result<(JobId, Logged), StoreError> {
        let (db_now, now) = times;
        let found = self.documents.get(&id).filter(|row| row.state.document.user_id == user);
        let mut state = found.ok_or(StoreError::NotFound)?.state.clone();
        let job_id = state.document.job_id.ok_or(StoreError::NotFound)?;
        let mut job = self.job_state(job_id)?;
        let before = state.clone();
        let asked = match wanted {
            DocumentControl::Pause => Asked::Pause,
            DocumentControl::Cancel { keep_results: true } => Asked::Cancel,
            DocumentControl::Cancel { keep_results: false } => Asked::CancelRemove,
            DocumentControl::Resume => {
                let waits = |t: &Task| matches!(t.status, TaskStatus::Pending | TaskStatus::Running);
                let alone = !self.tasks_of(&job).any(|(_, task)| waits(task));
                let told = control::resume_document(&mut job, &mut state, alone, now)?;
                let Some(told) = told else { return Ok((job_id, vec![])) };
                if before.paused {
                    self.set_task(&job, id, TaskStatus::Pending);
                }
                self.write_documents(&[before], vec![state]);
                return Ok((job_id, self.finish_control(job, told, now)?));
            }
            DocumentControl::SkipEmbedding => {
                let told = control::skip_document(&mut job, &mut state, now)?;
                let Some(told) = told else { return Ok((job_id, vec![])) };
                let task = self.tasks.get_mut(&(job_id, job.job.attempt, id));
                if let Some(task) = task.filter(|task| task.status == TaskStatus::Running) {
                    task.status = TaskStatus::Pending;
                    task.owner.clear();
                }
                self.drop_vectors(std::slice::from_ref(&before), std::slice::from_ref(&state));
                self.write_documents(&[before], vec![state]);
                let mut logged = self.finish_control(job, told, now)?;
                logged.extend(self.honour_freed(job_id, id, times)?);
                return Ok((job_id, logged));
            }
        };
        let told = control::ask_document(&job, &mut state, asked, now)?;
        let Some(told) = told else { return Ok((job_id, vec![])) };
        self.in_hand(&job, db_now);
        let task = self.tasks.get(&(job_id, job.job.attempt, id));
        if task.is_some_and(|task| task.status == TaskStatus::Running) {
            self.write_documents(&[before], vec![state]);
            return Ok((job_id, self.finish_control(job, told, now)?));
        }
        let mut logged = self.honour_document(&mut job, state, now)?;
        logged.extend(self.honour_job(job, times)?);
        Ok((job_id, logged))
    }

    /// How many requests were honoured of which no worker was left to do it, with what that told.
    pub(super) fn honour_requests(
        &mut self,
        limit: u32,
        times: Times,
    ) -> Result<(usize, Logged), StoreError> {
        let (db_now, now) = times;
        let held = |key: &TaskKey, task: &Task, attempt: u32| {
            key.1 == attempt && task.status == TaskStatus::Running && task.lease_until > db_now
        };
        let mut left: BTreeSet<(UserId, JobId)> = BTreeSet::new();
        for (id, row) in self.jobs.iter().filter(|(_, row)| row.state.job.requested.is_some()) {
            let attempt = row.state.job.attempt;
            if !self.tasks.iter().any(|(key, task)| key.0 == *id && held(key, task, attempt)) {
                left.insert((row.state.job.user_id, *id));
            }
        }
        for (id, row) in self.documents.iter().filter(|(_, row)| row.state.requested.is_some()) {
            let in_hand = self.tasks.iter().any(|(key, task)| key.2 == *id && held(key, task, key.1));
            if let Some(job) = row.state.document.job_id.filter(|_| !in_hand) {
                left.insert((row.state.document.user_id, job));
            }
        }
        let (mut honoured, mut logged) = (0, vec![]);
        for (_, id) in left.into_iter().take(limit as usize) {
            let mut job = self.job_state(id)?;
            self.in_hand(&job, db_now);
            let mut any = false;
            if job.job.requested != Some(JobRequest::Cancel) {
                let waiting: Vec<DocumentId> = self
                    .tasks_of(&job)
                    .filter(|(_, task)| task.status == TaskStatus::Pending)
                    .map(|(key, _)| key.2)
                    .collect();
                for document in waiting {
                    let state = self.documents.get(&document).map(|row| row.state.clone());
                    if let Some(state) = state.filter(|s| s.requested.is_some()) {
                        logged.extend(self.honour_document(&mut job, state, now)?);
                        any = true;
                    }
                }
            }
            let asked = job.job.requested.is_some();
            logged.extend(self.honour_job(job, times)?);
            any |= asked && self.job_state(id)?.job.requested.is_none();
            honoured += usize::from(any);
        }
        Ok((honoured, logged))
    }
}
