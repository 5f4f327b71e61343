//! What workers say of a document that they have in hand, in memory: the same steps in the same order as in the databases.

use super::{State, TaskStatus, control::is_cancelled};
use domain::{
    DocumentId, DocumentStatus, Timestamp, UserId,
    graph::{ChunkGraph, Mention},
    ingest::{self, Checkpoint, Stage},
    report::{self, DocumentReport},
};
use services::ports::{Claim, LoggedEvent, StoreError};

/// Whether something is left to be told a little later, and what is told at once.
type Outcome = Result<(bool, Vec<LoggedEvent>), StoreError>;

impl State {
    /// What a worker of ours has done. The times are the database's and the server's.
    pub(super) fn checkpoint(
        &mut self,
        claim: &Claim,
        mut checkpoint: Checkpoint,
        (db_now, now): (Timestamp, Timestamp),
    ) -> Outcome {
        self.held(claim)?;
        if let Checkpoint::Embedded { vectors } = checkpoint {
            checkpoint = Checkpoint::Embedded { vectors: self.new_vectors(claim.document_id, vectors) };
        }
        if let Checkpoint::Known { passages } = checkpoint {
            checkpoint = Checkpoint::Known { passages: self.still_known(claim.document_id, passages) };
        }
        // The rules change copies: when they refuse the work, nothing has happened.
        let mut job = self.jobs.get(&claim.job_id).ok_or(StoreError::Fenced)?.state.clone();
        let mut document = self.documents.get(&claim.document_id).ok_or(StoreError::Fenced)?.state.clone();
        if checkpoint == Checkpoint::Indexed && is_cancelled(&job, &document) {
            let task = self.held(claim)?;
            (task.progress_at, task.stalls) = (now, 0);
            self.give_back(claim)?;
            let logged = self.honour_freed(claim.job_id, claim.document_id, (db_now, now))?;
            return Ok((false, logged));
        }
        let (_, wanted) = self.workspaces.get(&claim.workspace_id).ok_or(StoreError::NotFound)?;
        let told = ingest::advance(&mut job, &mut document, &checkpoint, wanted, now)?;
        let (run, live) = (document.generation, document.live);
        let before = self.documents.get(&claim.document_id).ok_or(StoreError::Fenced)?.state.clone();
        let mut ends = false;
        let task = self.held(claim)?;
        task.progress_at = now;
        if !matches!(checkpoint, Checkpoint::Step { .. } | Checkpoint::Waits(_)) {
            task.stalls = 0;
        }
        match checkpoint {
            Checkpoint::Chunked { mut chunks } => {
                chunks.sort_by_key(|c| c.ordinal);
                for old in self.chunks.insert((claim.document_id, run), chunks).unwrap_or_default() {
                    self.vectors.remove(&old.id);
                }
            }
            Checkpoint::Embedded { vectors } => self.vectors.extend(vectors),
            Checkpoint::Known { passages } => {
                for (mine, known) in passages {
                    let vector = self.vectors.get(&known).cloned().unwrap_or_default();
                    self.vectors.insert(mine, vector);
                }
            }
            Checkpoint::Indexed => {
                ends = true;
                self.held(claim)?.status = TaskStatus::Ended;
                if before.next.is_some() {
                    self.take_over(&before, &document, now);
                    let old = self.chunks.get(&(claim.document_id, before.live)).cloned();
                    let key = (claim.document_id, before.document.version);
                    self.old_chunks.insert(key, old.unwrap_or_default());
                }
                self.drop_chunks(claim.document_id, |earlier| earlier < run);
            }
            Checkpoint::Waits(outage) => {
                ends = true;
                let task = self.held(claim)?;
                task.not_before = ingest::waits_until(&document, &outage);
                task.status = TaskStatus::Pending;
                task.owner.clear();
            }
            Checkpoint::Failed(_) if ingest::waits_for_retry(&document) => {
                ends = true;
                let task = self.held(claim)?;
                task.not_before = ingest::retries_at(&document, now);
                task.status = TaskStatus::Pending;
                task.owner.clear();
            }
            Checkpoint::Failed(_) => {
                ends = true;
                self.held(claim)?.status = TaskStatus::Ended;
                if live > 0 {
                    self.drop_chunks(claim.document_id, |failed| failed == run);
                }
            }
            Checkpoint::Read { passage, graph, .. } => {
                let chunks = self.chunks.get_mut(&(claim.document_id, run));
                let chunk = chunks.and_then(|all| all.iter_mut().find(|chunk| chunk.id == passage));
                if let Some(chunk) = chunk.filter(|_| !self.asked.contains_key(&passage)) {
                    self.asked.insert(passage, graph.is_some());
                    let ChunkGraph { mentions, relations } = graph.unwrap_or_default();
                    let own = &mut chunk.graph;
                    for mention in mentions {
                        let is_same =
                            |m: &Mention| m.entity == mention.entity && m.surface == mention.surface;
                        if !own.mentions.iter().any(is_same) {
                            own.mentions.push(mention);
                        }
                    }
                    own.relations.extend(relations);
                    own.relations.sort();
                    own.relations.dedup();
                }
            }
            Checkpoint::Step { .. }
            | Checkpoint::Loaded { .. }
            | Checkpoint::Compared { .. }
            | Checkpoint::ByRules { .. } => {}
        }
        let held_back = job.held_back || document.held_back;
        if let Some(row) = self.jobs.get_mut(&claim.job_id) {
            row.state = job;
        }
        if let Some(row) = self.documents.get_mut(&claim.document_id) {
            row.state = document;
        }
        let mut logged = self.tell(claim.user_id, claim.workspace_id, told, now)?;
        if ends {
            logged.extend(self.honour_freed(claim.job_id, claim.document_id, (db_now, now))?);
        }
        Ok((held_back, logged))
    }

    /// What an outside worker reports.
    pub(super) fn report(
        &mut self,
        user: UserId,
        id: DocumentId,
        said: &DocumentReport,
        (db_now, now): (Timestamp, Timestamp),
    ) -> Outcome {
        let mut document = self.document_of(user, id).ok_or(StoreError::NotFound)?.state.clone();
        let found = self.workspaces.get(&document.document.workspace_id).cloned();
        let (workspace, wanted) = found.ok_or(StoreError::NotFound)?;
        if let Some(refusal) = report::refused(workspace.processor, workspace.status) {
            return Err(refusal.into());
        }
        let job_id = document.document.job_id.ok_or(StoreError::NotFound)?;
        let mut job = self.jobs.get(&job_id).ok_or(StoreError::NotFound)?.state.clone();
        let key = (job_id, job.job.attempt, id);
        if self.tasks.get(&key).is_some_and(|task| task.status != TaskStatus::Ended && task.fence > 0) {
            return Err(report::BUILTIN_AT_WORK.into());
        }
        let (was_done, before) = (document.stage == Stage::Done, document.clone());
        let told = ingest::report(&mut job, &mut document, said, &wanted, None, now)?;
        let ends = document.stage == Stage::Done && !was_done;
        if document.stage == Stage::Done
            && let Some(task) = self.tasks.get_mut(&key)
        {
            task.status = TaskStatus::Ended;
        }
        if document == before
            && document.document.status == DocumentStatus::Processing
            && let Some(task) = self.tasks.get_mut(&key)
        {
            task.progress_at = now;
        }
        let held_back = job.held_back || document.held_back;
        if let Some(row) = self.jobs.get_mut(&job_id) {
            row.state = job;
        }
        if let Some(row) = self.documents.get_mut(&id) {
            row.state = document;
        }
        let mut logged = self.tell(user, workspace.id, told, now)?;
        if ends {
            let job = self.jobs.get(&job_id).ok_or(StoreError::NotFound)?.state.clone();
            logged.extend(self.honour_job(job, (db_now, now))?);
        }
        Ok((held_back, logged))
    }
}
