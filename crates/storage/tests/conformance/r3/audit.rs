//! What a course holds against its model: after each step what a person would read, and in the end what is kept.

use super::course::{Course, Verdict};
use domain::{ChunkId, DocumentId, DocumentStatus, Event, Job, JobId, JobStatus, UserId, WorkspaceId};
use services::ports::{Index, PageQuery, StoreError};
use std::collections::{BTreeMap, BTreeSet};

use super::model::{Doc, State, Task, Totals};

fn words(error: StoreError) -> String {
    format!("{error:?}")
}

impl Course<'_> {
    /// Jobs and documents, as they are listed.
    pub async fn compare(&mut self) -> Verdict {
        for &(user, workspace) in &self.people.clone() {
            let all = || PageQuery::first(PageQuery::MAX);
            let jobs = self.engine.jobs.jobs(user, None, all()).await.map_err(words)?.items;
            let listed: BTreeSet<JobId> = jobs.iter().map(|job| job.job_id).collect();
            let expected: BTreeSet<JobId> =
                self.model.jobs.iter().filter(|(_, job)| job.user == user).map(|(id, _)| *id).collect();
            if listed != expected {
                return Err(format!("the jobs {listed:?} are listed, and not {expected:?}"));
            }
            for job in &jobs {
                self.compare_job(job)?;
            }
            self.compare_documents(user, workspace).await?;
        }
        Ok(())
    }

    fn compare_job(&mut self, job: &Job) -> Verdict {
        let id = job.job_id;
        let model = &self.model.jobs[&id];
        let m = job.metrics;
        let found = Totals {
            all: m.documents_total,
            done: m.documents_done,
            failed: m.documents_failed,
            cancelled: m.documents_cancelled,
        };
        let found = (job.status, job.requested, job.attempt, found);
        let expected = (model.status, model.asked, model.attempt, self.model.totals(id));
        if found != expected {
            return Err(format!("the job {id} is {found:?}, and not {expected:?}"));
        }
        let over = job.phase_details.iter().find(|phase| {
            phase.items_processed > phase.items_total || !(0.0..=100.0).contains(&phase.progress)
        });
        if let Some(phase) = over {
            return Err(format!("a phase of {id} is beyond its end: {phase:?}"));
        }
        let before = self.bars.insert(id, (job.attempt, job.progress));
        let fell = before.is_some_and(|(attempt, bar)| attempt == job.attempt && job.progress < bar);
        if fell || !(0.0..=100.0).contains(&job.progress) {
            return Err(format!("the bar of {id} went from {before:?} to {}", job.progress));
        }
        Ok(())
    }

    async fn compare_documents(&self, user: UserId, workspace: WorkspaceId) -> Verdict {
        let all = PageQuery::first(PageQuery::MAX);
        let listed = self.engine.documents.documents(user, workspace, None, all).await.map_err(words)?.items;
        let of = |doc: &Doc| doc.user == user && doc.deleted.is_none();
        let expected: BTreeMap<DocumentId, &Doc> =
            self.model.docs.iter().filter(|(_, doc)| of(doc)).map(|(id, doc)| (*id, doc)).collect();
        if listed.len() != expected.len() {
            return Err(format!("{} documents are listed, and not {}", listed.len(), expected.len()));
        }
        for document in listed {
            let Some(doc) = expected.get(&document.id) else {
                return Err(format!("{} is listed, and was deleted", document.id));
            };
            let status = match doc.state {
                State::Waiting => DocumentStatus::Pending,
                State::Begun => DocumentStatus::Processing,
                State::Ready | State::Kept { .. } => DocumentStatus::Ready,
                State::Failed | State::Cancelled => DocumentStatus::Failed,
            };
            let found = (
                document.status,
                document.job_id,
                document.is_paused(),
                document.stopping().is_some(),
                document.error_code.as_deref() == Some("cancelled"),
            );
            let expected = (
                status,
                Some(doc.job),
                doc.task == Task::Paused,
                doc.asked.is_some(),
                doc.state == State::Cancelled,
            );
            if found != expected {
                return Err(format!("{} is {found:?}, and not {expected:?}", document.id));
            }
        }
        Ok(())
    }

    /// When everything has come to its end: what searches find, what is left for a retry, and what was told.
    pub async fn audit(&self) -> Verdict {
        for (id, doc) in self.model.docs.iter().filter(|(_, doc)| doc.deleted.is_none()) {
            let all = PageQuery::first(PageQuery::MAX);
            let chunks = self.engine.documents.chunks(doc.user, *id, None, all).await.map_err(words)?.items;
            let found: Vec<ChunkId> = chunks.iter().map(|chunk| chunk.id).collect();
            let expected = doc.live.as_ref().map_or(&doc.run, |(live, _)| live);
            if found != *expected {
                return Err(format!("{id} has the passages {found:?}, and not {expected:?}"));
            }
            if chunks.iter().enumerate().any(|(n, chunk)| chunk.ordinal != n as u32) {
                return Err(format!("the passages of {id} are out of order"));
            }
        }
        for &(user, workspace) in &self.people {
            self.searches(workspace).await?;
            self.events(user).await?;
        }
        Ok(())
    }

    /// Every passage that is found has its vector, and no other one has.
    async fn searches(&self, workspace: WorkspaceId) -> Verdict {
        let Some(store) = &self.engine.store else { return Ok(()) };
        let users: Vec<UserId> =
            self.people.iter().filter(|(_, w)| *w == workspace).map(|(user, _)| *user).collect();
        let expected: BTreeSet<ChunkId> = self
            .model
            .docs
            .values()
            .filter(|doc| users.contains(&doc.user) && doc.deleted.is_none())
            .filter_map(|doc| doc.live.as_ref().filter(|(_, embedded)| *embedded))
            .flat_map(|(live, _)| live.iter().copied())
            .collect();
        let (_, vectors) = store.vectors(workspace).await.map_err(words)?;
        let found: BTreeSet<ChunkId> = vectors.iter().map(|vector| vector.chunk_id).collect();
        if found != expected || vectors.len() != expected.len() {
            return Err(format!("searches find {found:?}, and not {expected:?}"));
        }
        Ok(())
    }

    /// The log has no holes, and the last word about each thing is the truth.
    async fn events(&self, user: UserId) -> Verdict {
        let logged = self.engine.log.after(user, 0, u32::MAX).await.map_err(words)?;
        if let Some((n, event)) = (1..).zip(&logged).find(|(n, event)| event.seq != *n) {
            return Err(format!("the log goes from {} to {}", n - 1, event.seq));
        }
        let mut jobs: BTreeMap<JobId, JobStatus> = BTreeMap::new();
        let mut documents: BTreeMap<DocumentId, DocumentStatus> = BTreeMap::new();
        for event in &logged {
            match event.event() {
                Some(Event::JobUpdate(j) | Event::JobComplete(j) | Event::JobError(j)) => {
                    jobs.insert(j.job_id, j.status);
                }
                Some(Event::DocumentStatus(d)) => {
                    documents.insert(d.id, d.status);
                }
                Some(Event::DocumentDeleted(gone)) => {
                    documents.remove(&gone.id);
                }
                _ => {}
            }
        }
        for (id, job) in self.model.jobs.iter().filter(|(_, job)| job.user == user) {
            if jobs.get(id) != Some(&job.status) {
                return Err(format!(
                    "the last word about {id} was {:?}, and it is {}",
                    jobs.get(id),
                    job.status
                ));
            }
        }
        let mine = |doc: &Doc| doc.user == user && doc.deleted.is_none();
        for (id, doc) in self.model.docs.iter().filter(|(_, doc)| mine(doc)) {
            let is_ready = matches!(doc.state, State::Ready | State::Kept { .. });
            let told = documents.get(id).copied();
            if told != Some(if is_ready { DocumentStatus::Ready } else { DocumentStatus::Failed }) {
                return Err(format!("the last word about {id} was {told:?}, and it is {:?}", doc.state));
            }
        }
        Ok(())
    }
}
