//! What the deletion of a document and its undo do to the job that had it still to do.

use super::{Answer, Model, State, Task};
use domain::{DocumentId, JobId, JobKind, JobStatus, Timestamp, ingest::Stage, status::JobRequest};

impl Model {
    /// Out of view, and out of the job that has it still to do.
    pub fn delete(&mut self, id: DocumentId, now: Timestamp) -> Answer {
        let Some(doc) = self.docs.get_mut(&id).filter(|d| d.deleted.is_none()) else {
            return Answer::NotFound;
        };
        let (job, task) = (doc.job, doc.task);
        (doc.deleted, doc.asked) = (Some(now), None);
        if task == Task::Ended {
            return Answer::Done;
        }
        let from = &self.jobs[&job];
        let stood = from.status == JobStatus::Paused || from.asked == Some(JobRequest::Pause);
        let doc = self.doc(id);
        doc.withdrawn = Some(stood || task == Task::Paused);
        doc.task = Task::Ended;
        if self.totals(job).all == 0 {
            let job = self.job(job);
            (job.status, job.asked) = (JobStatus::Cancelled, None);
        } else {
            self.settle(job);
            self.honour_job(job);
        }
        Answer::Done
    }

    /// Brings it back; what it had still to do it does in the job `new`.
    pub fn undo(&mut self, id: DocumentId, new: JobId, since: Timestamp, now: Timestamp) -> Answer {
        let Some(doc) = self.docs.get_mut(&id) else { return Answer::NotFound };
        let Some(deleted) = doc.deleted else { return Answer::Done };
        if deleted < since {
            return Answer::Refused;
        }
        doc.deleted = None;
        let Some(was_paused) = doc.withdrawn.take() else { return Answer::Done };
        let (from, user) = (doc.job, doc.user);
        let from = &self.jobs[&from];
        let stands = was_paused || from.status == JobStatus::Paused || from.asked == Some(JobRequest::Pause);
        let kind = if self.docs[&id].live.is_some() { JobKind::Reindex } else { JobKind::Upload };
        self.add_job(user, new, kind, now);
        let doc = self.doc(id);
        if matches!(doc.stage, Stage::Loading | Stage::Chunking) {
            doc.embeds = true;
            doc.run.clear();
        }
        (doc.job, doc.place, doc.fence, doc.tries) = (new, 0, 0, 0);
        (doc.state, doc.task) = (State::Waiting, if stands { Task::Paused } else { Task::Waiting });
        self.honour_job(new);
        Answer::Done
    }
}
