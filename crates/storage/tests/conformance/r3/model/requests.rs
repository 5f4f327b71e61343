//! How what was asked is done, once no worker that lives has the document or the job in hand.

use super::{Doc, Model, State, Task};
use domain::{
    DocumentId, JobId, JobKind, JobStatus,
    ingest::{Stage, control::Asked},
    status::JobRequest,
};

impl Model {
    /// A document left the hands of its worker: what was asked meanwhile is done.
    pub(super) fn freed(&mut self, id: DocumentId) {
        let job = self.docs[&id].job;
        if self.docs[&id].asked.is_some() && !self.is_cancelling(job) {
            self.honour_document(id);
        }
        self.honour_job(job);
    }

    /// How many documents of the job are in hand; what dead workers held is free from here on.
    pub(super) fn in_hand(&mut self, job: JobId) -> usize {
        let mut held = 0;
        for doc in self.docs.values_mut().filter(|d| d.job == job && d.withdrawn.is_none()) {
            match doc.task {
                Task::Held { dead: true, .. } => doc.task = Task::Waiting,
                Task::Held { .. } => held += 1,
                Task::Ended | Task::Waiting | Task::Paused => {}
            }
        }
        held
    }

    pub(super) fn honour_job(&mut self, id: JobId) {
        let left = self.left(id);
        let stands = !left.is_empty() && left.iter().all(|id| self.docs[id].task == Task::Paused);
        let job = self.job(id);
        if job.asked.is_none() && stands && matches!(job.status, JobStatus::Pending | JobStatus::Running) {
            job.asked = Some(JobRequest::Pause);
        }
        if job.asked.is_some() && self.in_hand(id) == 0 {
            self.honour(id);
        }
    }

    pub(super) fn honour(&mut self, id: JobId) {
        let job = self.job(id);
        match job.asked.take() {
            None => {}
            Some(JobRequest::Pause) => job.status = JobStatus::Paused,
            Some(JobRequest::Cancel) => {
                job.status = JobStatus::Cancelled;
                let removes = job.removes;
                let keeps_old = job.kind == JobKind::Reindex;
                let all: Vec<DocumentId> = self.members(id).map(|(id, _)| *id).collect();
                for document in all {
                    let doc = &self.docs[&document];
                    let is_found = matches!(doc.state, State::Ready | State::Kept { .. });
                    if doc.task != Task::Ended {
                        self.cancel(document, removes && !keeps_old);
                    } else if removes && !keeps_old && is_found && doc.deleted.is_none() {
                        self.take_back(document);
                    }
                }
            }
        }
    }

    fn cancel(&mut self, id: DocumentId, removes: bool) {
        if removes {
            self.doc(id).live = None;
        }
        self.end_badly(id, State::Cancelled);
        if removes {
            self.take_back(id);
        }
    }

    fn take_back(&mut self, id: DocumentId) {
        let doc = self.doc(id);
        (doc.state, doc.live, doc.reached) = (State::Cancelled, None, Stage::Loading);
        doc.run.clear();
        doc.vectors.clear();
    }

    pub(super) fn honour_document(&mut self, id: DocumentId) {
        let (job, asked) = (self.docs[&id].job, self.doc(id).asked.take());
        match asked {
            None => {}
            Some(Asked::Pause) => self.doc(id).task = Task::Paused,
            Some(asked) => {
                let keeps_old = self.jobs[&job].kind == JobKind::Reindex;
                self.cancel(id, asked == Asked::CancelRemove && !keeps_old);
                self.settle(job);
            }
        }
    }

    /// Somebody looks for requests that no worker is left to honour.
    pub fn honour_requests(&mut self) {
        let jobs: Vec<JobId> = self.jobs.keys().copied().collect();
        for id in jobs {
            let held = |d: &Doc| matches!(d.task, Task::Held { dead: false, .. });
            let free = !self.members(id).any(|(_, d)| held(d));
            let asked = self.members(id).any(|(_, d)| d.asked.is_some() && !held(d));
            let asked = asked || (free && self.jobs[&id].asked.is_some());
            if !asked {
                continue;
            }
            self.in_hand(id);
            if !self.is_cancelling(id) {
                for document in self.left(id) {
                    if self.docs[&document].task == Task::Waiting {
                        self.honour_document(document);
                    }
                }
            }
            self.honour_job(id);
        }
    }
}
