//! What people may ask of jobs and documents, and what is answered: pause, resume, cancel, leave out, try again, go first.

use super::{Answer, Doc, Job, Model, State, Task};
use domain::{
    DocumentId, JobId, JobStatus, PhaseName, PhaseStatus,
    ingest::{
        Stage,
        control::{Asked, Control, DocumentControl, Retry, RetryScope},
    },
    status::JobRequest,
};

impl Model {
    /// `embedding` is what the phase is just now.
    pub fn control(&mut self, id: JobId, control: &Control, embedding: PhaseStatus) -> Answer {
        match control {
            Control::Pause => self.ask(id, JobRequest::Pause, true),
            Control::Cancel { keep_results } => self.ask(id, JobRequest::Cancel, *keep_results),
            Control::CancelPhase(PhaseName::Embedding) => self.skip(id, embedding),
            Control::CancelPhase(_) => self.ask(id, JobRequest::Cancel, true),
            Control::Resume => self.resume(id),
            Control::Retry(retry) => self.retry(id, retry),
            Control::First => self.put_first(id),
        }
    }

    fn ask(&mut self, id: JobId, request: JobRequest, keep_results: bool) -> Answer {
        let job = self.job(id);
        let cancels = request == JobRequest::Cancel;
        let wanted = if cancels { JobStatus::Cancelled } else { JobStatus::Paused };
        if cancels && job.asked == Some(request) && !keep_results && !job.removes {
            job.removes = true;
        } else if job.status == JobStatus::Cancelled && cancels && !keep_results && !job.removes {
            return Answer::Illegal;
        } else if job.status == wanted || job.asked == Some(request) {
            return Answer::Done;
        } else if job.asked == Some(JobRequest::Cancel) || is_final(job.status) {
            return Answer::Illegal;
        } else {
            job.asked = Some(request);
            job.removes = cancels && !keep_results;
        }
        if self.in_hand(id) == 0 {
            self.honour(id);
        }
        Answer::Done
    }

    fn put_first(&mut self, id: JobId) -> Answer {
        let Job { user, status, turn, .. } = self.jobs[&id];
        if is_final(status) {
            return Answer::Illegal;
        }
        let others = self.jobs.iter().filter(|(other, job)| job.user == user && **other != id);
        let earliest = others.filter(|(_, job)| !is_final(job.status)).map(|(_, job)| job.turn).min();
        if let Some(earliest) = earliest.filter(|earliest| *earliest <= turn) {
            self.job(id).turn = earliest.plus_micros(-1);
        }
        Answer::Done
    }

    fn resume(&mut self, id: JobId) -> Answer {
        if self.is_cancelling(id) || is_final(self.jobs[&id].status) {
            return Answer::Illegal;
        }
        for document in self.left(id) {
            if self.docs[&document].task == Task::Paused {
                self.doc(document).task = Task::Waiting;
            }
        }
        let job = self.job(id);
        job.asked = None;
        if job.status == JobStatus::Paused {
            job.status = JobStatus::Running;
        }
        Answer::Done
    }

    fn skip(&mut self, id: JobId, embedding: PhaseStatus) -> Answer {
        if is_final(self.jobs[&id].status) {
            return Answer::Illegal;
        }
        match embedding {
            PhaseStatus::Skipped => return Answer::Done,
            _ if self.is_cancelling(id) => return Answer::Illegal,
            PhaseStatus::Pending | PhaseStatus::Running | PhaseStatus::Paused => {}
            PhaseStatus::Completed | PhaseStatus::Failed | PhaseStatus::Cancelled => return Answer::Illegal,
        }
        for document in self.left(id) {
            self.leave_out(document);
        }
        self.honour_job(id);
        Answer::Done
    }

    /// The document is not embedded any more, and whoever holds it is fenced off.
    fn leave_out(&mut self, id: DocumentId) {
        let doc = self.doc(id);
        doc.embeds = false;
        if doc.stage == Stage::Embedding {
            (doc.stage, doc.tries) = (Stage::Indexing, 0);
            doc.vectors.clear();
        }
        if matches!(doc.task, Task::Held { .. }) {
            doc.task = Task::Waiting;
        }
    }

    fn retry(&mut self, id: JobId, retry: &Retry) -> Answer {
        let job = &self.jobs[&id];
        let meant: Vec<DocumentId> = self
            .members(id)
            .filter(|(document, doc)| {
                doc.deleted.is_none()
                    && match retry.scope {
                        RetryScope::All => true,
                        RetryScope::Pages => false,
                        RetryScope::Failed => doc.state.is_failed(),
                        RetryScope::Phase => doc.state.is_failed() && Some(phase(doc.reached)) == retry.phase,
                        RetryScope::Documents => {
                            doc.state.is_failed() && retry.document_ids.contains(document)
                        }
                    }
            })
            .map(|(document, _)| *document)
            .collect();
        let all = retry.scope == RetryScope::All;
        let waits = |(_, doc): &(&DocumentId, &Doc)| doc.deleted.is_none() && doc.state.is_unfinished();
        let is_named = |(document, _): &(&DocumentId, &Doc)| retry.document_ids.contains(document);
        let is_waited_for = match retry.scope {
            RetryScope::All => self.members(id).all(|of| of.1.deleted.is_some() || waits(&of)),
            RetryScope::Documents => {
                meant.is_empty() && self.members(id).filter(is_named).any(|of| waits(&of))
            }
            RetryScope::Failed | RetryScope::Phase | RetryScope::Pages => meant.is_empty(),
        };
        if job.status == JobStatus::Pending && job.attempt > 1 && is_waited_for {
            // All of it is about to run already: a second click.
            return Answer::Done;
        }
        let may = match job.status {
            JobStatus::Failed | JobStatus::Cancelled => true,
            JobStatus::Completed => self.totals(id).failed > 0,
            JobStatus::Pending | JobStatus::Running | JobStatus::Paused => false,
        };
        if !may {
            return Answer::Illegal;
        }
        if meant.is_empty() {
            return Answer::Refused;
        }
        for document in meant {
            let doc = self.doc(document);
            doc.stage = if all || doc.live.is_some() { Stage::Loading } else { doc.reached };
            if matches!(doc.stage, Stage::Loading | Stage::Chunking) {
                doc.embeds = true;
                doc.run.clear();
                doc.vectors.clear();
            }
            (doc.state, doc.task, doc.fence) = (State::Waiting, Task::Waiting, 0);
            (doc.asked, doc.tries) = (None, 0);
        }
        let job = self.job(id);
        job.attempt += 1;
        job.removes = false;
        (job.status, job.asked) = (JobStatus::Pending, None);
        Answer::Done
    }

    pub fn control_document(&mut self, id: DocumentId, control: DocumentControl) -> Answer {
        let Some(doc) = self.docs.get(&id).filter(|d| d.deleted.is_none()) else { return Answer::NotFound };
        let (job, state, task, asked) = (doc.job, doc.state, doc.task, doc.asked);
        let open = state.is_unfinished() && !is_final(self.jobs[&job].status) && !self.is_cancelling(job);
        let cancelling = asked.is_some_and(Asked::cancels);
        let wanted = match control {
            DocumentControl::Resume => return self.resume_document(id, open && !cancelling),
            DocumentControl::SkipEmbedding if !open => return Answer::Illegal,
            DocumentControl::SkipEmbedding if !doc.embeds => return Answer::Done,
            DocumentControl::SkipEmbedding if matches!(doc.stage, Stage::Indexing | Stage::Done) => {
                return Answer::Illegal;
            }
            DocumentControl::SkipEmbedding => {
                self.leave_out(id);
                self.freed(id);
                return Answer::Done;
            }
            DocumentControl::Pause => Asked::Pause,
            DocumentControl::Cancel { keep_results: true } => Asked::Cancel,
            DocumentControl::Cancel { keep_results: false } => Asked::CancelRemove,
        };
        let stronger = (asked, wanted) == (Some(Asked::Cancel), Asked::CancelRemove);
        let is_so = if wanted.cancels() { state == State::Cancelled } else { task == Task::Paused };
        if !stronger && (is_so || asked.is_some_and(|asked| asked.cancels() == wanted.cancels())) {
            return Answer::Done;
        }
        if !open || cancelling && !wanted.cancels() {
            return Answer::Illegal;
        }
        self.doc(id).asked = Some(wanted);
        self.in_hand(job);
        if !matches!(self.docs[&id].task, Task::Held { .. }) {
            self.honour_document(id);
            self.honour_job(job);
        }
        Answer::Done
    }

    fn resume_document(&mut self, id: DocumentId, open: bool) -> Answer {
        let (job, task) = (self.docs[&id].job, self.docs[&id].task);
        if !open {
            return Answer::Illegal;
        }
        let stands = self.jobs[&job].status == JobStatus::Paused;
        let alone = self.left(job).iter().all(|id| self.docs[id].task == Task::Paused);
        if stands && !(task == Task::Paused && alone) {
            return Answer::Refused;
        }
        let doc = self.doc(id);
        doc.asked = None;
        if task == Task::Paused {
            doc.task = Task::Waiting;
        }
        if stands {
            self.job(job).status = JobStatus::Running;
        }
        Answer::Done
    }
}

const fn is_final(status: JobStatus) -> bool {
    matches!(status, JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled)
}

const fn phase(stage: Stage) -> PhaseName {
    match stage {
        Stage::Loading => PhaseName::Loading,
        Stage::Chunking => PhaseName::Chunking,
        Stage::Embedding => PhaseName::Embedding,
        Stage::Indexing | Stage::Done => PhaseName::Indexing,
    }
}
