//! What the job engine is to do, told once more in the simplest way: a few fields for each job and document, no rows, no
//! phases, no texts. It shares no rule with `domain`, so that a mistake there is not made here as well.

use domain::{
    ChunkId, DocumentId, JobId, JobKind, JobStatus, PhaseName, PhaseStatus, Timestamp, UserId,
    ingest::{
        Stage,
        control::{Asked, Control, DocumentControl, Retry, RetryScope},
    },
    status::JobRequest,
};
use std::collections::{BTreeMap, BTreeSet};

/// How a store answers, without the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    Done,
    Fenced,
    Illegal,
    Refused,
    NotFound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Waiting,
    Begun,
    Ready,
    Failed,
    Cancelled,
    /// Found as it was before: its last run came to nothing.
    Kept {
        cancelled: bool,
    },
}

impl State {
    pub const fn is_unfinished(self) -> bool {
        matches!(self, State::Waiting | State::Begun)
    }

    const fn is_failed(self) -> bool {
        matches!(self, State::Failed | State::Cancelled | State::Kept { .. })
    }
}

/// Whether somebody may work on a document, or does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Ended,
    Waiting,
    Paused,
    /// `dead`: the lease ran out, and nobody took the document over yet.
    Held {
        worker: u8,
        dead: bool,
    },
}

#[derive(Clone, Debug)]
pub struct Doc {
    pub user: UserId,
    pub job: JobId,
    place: usize,
    pub state: State,
    pub task: Task,
    pub fence: u64,
    pub asked: Option<Asked>,
    pub stage: Stage,
    reached: Stage,
    pub embeds: bool,
    /// The passages of the present run, and those of them that have a vector.
    pub run: Vec<ChunkId>,
    pub vectors: BTreeSet<ChunkId>,
    /// What searches find: passages, and whether they have vectors.
    pub live: Option<(Vec<ChunkId>, bool)>,
    tries: u32,
    pub deleted: Option<Timestamp>,
    /// Deleted while its job had it still to do, which does not count it any more; and whether it stood by then.
    withdrawn: Option<bool>,
}

#[derive(Clone, Debug)]
pub struct Job {
    pub user: UserId,
    kind: JobKind,
    /// Its place in the queue.
    turn: Timestamp,
    pub status: JobStatus,
    pub asked: Option<JobRequest>,
    removes: bool,
    pub attempt: u32,
}

/// What a claim has to be.
#[derive(Debug, PartialEq, Eq)]
pub struct Expected {
    pub document: DocumentId,
    pub job: JobId,
    pub fence: u64,
    pub attempt: u32,
    pub stage: Stage,
    pub embeds: bool,
}

/// Of a job's documents.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub all: u64,
    pub done: u64,
    pub failed: u64,
    pub cancelled: u64,
}

#[derive(Default)]
pub struct Model {
    pub docs: BTreeMap<DocumentId, Doc>,
    pub jobs: BTreeMap<JobId, Job>,
}

impl Model {
    pub fn create(&mut self, user: UserId, job: JobId, documents: &[DocumentId], now: Timestamp) {
        self.add_job(user, job, JobKind::Upload, now);
        for (place, &id) in documents.iter().enumerate() {
            let doc = Doc {
                user,
                job,
                place,
                state: State::Waiting,
                task: Task::Waiting,
                fence: 0,
                asked: None,
                stage: Stage::Loading,
                reached: Stage::Loading,
                embeds: true,
                run: vec![],
                vectors: BTreeSet::new(),
                live: None,
                tries: 0,
                deleted: None,
                withdrawn: None,
            };
            self.docs.insert(id, doc);
        }
    }

    fn add_job(&mut self, user: UserId, id: JobId, kind: JobKind, now: Timestamp) {
        let (status, asked, removes, attempt) = (JobStatus::Pending, None, false, 1);
        self.jobs.insert(id, Job { user, kind, turn: now, status, asked, removes, attempt });
    }

    fn doc(&mut self, id: DocumentId) -> &mut Doc {
        self.docs.get_mut(&id).expect("a document of the model")
    }

    fn job(&mut self, id: JobId) -> &mut Job {
        self.jobs.get_mut(&id).expect("a job of the model")
    }

    fn is_cancelling(&self, job: JobId) -> bool {
        self.jobs[&job].asked == Some(JobRequest::Cancel)
    }

    /// The documents that the job counts.
    fn members(&self, job: JobId) -> impl Iterator<Item = (&DocumentId, &Doc)> {
        self.docs.iter().filter(move |(_, d)| d.job == job && d.withdrawn.is_none())
    }

    /// Of those, the ones whose work is not through.
    fn left(&self, job: JobId) -> Vec<DocumentId> {
        self.members(job).filter(|(_, d)| d.task != Task::Ended).map(|(id, _)| *id).collect()
    }

    pub fn totals(&self, job: JobId) -> Totals {
        let mut totals = Totals::default();
        for (_, doc) in self.members(job) {
            totals.all += 1;
            totals.done += u64::from(doc.state == State::Ready);
            totals.failed += u64::from(doc.state.is_failed());
            let is_cancelled = matches!(doc.state, State::Cancelled | State::Kept { cancelled: true });
            totals.cancelled += u64::from(is_cancelled);
        }
        totals
    }

    /// Whose turn it is: the user who has the fewest in hand, then the oldest job, then the place in it.
    pub fn claim(&mut self, worker: u8, dies: bool, limit: usize) -> Vec<Expected> {
        let mut in_hand: BTreeMap<UserId, usize> = BTreeMap::new();
        for doc in self.docs.values().filter(|d| matches!(d.task, Task::Held { dead: false, .. })) {
            *in_hand.entry(doc.user).or_default() += 1;
        }
        let mut taken: Vec<Expected> = vec![];
        while taken.len() < limit {
            let next = self
                .docs
                .iter()
                .filter(|(id, doc)| self.is_free(doc) && !taken.iter().any(|t| t.document == **id))
                .min_by_key(|(_, doc)| {
                    let held = in_hand.get(&doc.user).copied().unwrap_or_default();
                    (held, self.jobs[&doc.job].turn, doc.job, doc.place)
                });
            let Some((&id, doc)) = next else { break };
            *in_hand.entry(doc.user).or_default() += 1;
            taken.push(Expected {
                document: id,
                job: doc.job,
                fence: doc.fence + 1,
                attempt: self.jobs[&doc.job].attempt,
                stage: doc.stage,
                embeds: doc.embeds,
            });
        }
        for claim in &taken {
            self.job(claim.job).status = JobStatus::Running;
            let doc = self.doc(claim.document);
            (doc.state, doc.fence) = (State::Begun, claim.fence);
            doc.task = Task::Held { worker, dead: dies };
        }
        taken
    }

    fn is_free(&self, doc: &Doc) -> bool {
        let job = &self.jobs[&doc.job];
        matches!(doc.task, Task::Waiting | Task::Held { dead: true, .. })
            && matches!(job.status, JobStatus::Pending | JobStatus::Running)
            && job.asked.is_none()
            && doc.asked.is_none()
    }

    /// Whether a claim still is the newest one of its document, whose work is not through.
    pub fn holds(&self, document: DocumentId, job: JobId, attempt: u32, fence: u64) -> bool {
        self.docs.get(&document).is_some_and(|doc| {
            let is_newest = (doc.job, doc.fence) == (job, fence) && self.jobs[&job].attempt == attempt;
            is_newest && doc.withdrawn.is_none() && matches!(doc.task, Task::Held { .. })
        })
    }

    pub fn held_by(&self, worker: u8) -> Vec<DocumentId> {
        let mine = |d: &Doc| matches!(d.task, Task::Held { worker: w, .. } if w == worker);
        self.docs.iter().filter(|(_, d)| mine(d)).map(|(id, _)| *id).collect()
    }

    pub fn heartbeat(&mut self, worker: u8, in_hand: &[DocumentId], dies: bool) {
        for id in in_hand {
            self.doc(*id).task = Task::Held { worker, dead: dies };
        }
    }

    /// Those of them that the worker is to give back at its next gate.
    pub fn asked(&self, worker: u8) -> Vec<DocumentId> {
        let mut held = self.held_by(worker);
        held.retain(|id| self.docs[id].asked.is_some() || self.jobs[&self.docs[id].job].asked.is_some());
        held
    }

    /// All workers are dead.
    pub fn crash(&mut self) {
        for doc in self.docs.values_mut().filter(|d| matches!(d.task, Task::Held { .. })) {
            doc.task = Task::Waiting;
        }
    }

    pub fn loaded(&mut self, id: DocumentId) {
        let doc = self.doc(id);
        (doc.stage, doc.tries) = (Stage::Chunking, 0);
    }

    pub fn chunked(&mut self, id: DocumentId, chunks: Vec<ChunkId>) {
        let doc = self.doc(id);
        doc.stage = if doc.embeds { Stage::Embedding } else { Stage::Indexing };
        (doc.run, doc.tries) = (chunks, 0);
        doc.vectors.clear();
    }

    /// The passages that embedding has left to do, in order.
    pub fn unembedded(&self, id: DocumentId) -> Vec<ChunkId> {
        let doc = &self.docs[&id];
        doc.run.iter().filter(|chunk| !doc.vectors.contains(chunk)).copied().collect()
    }

    pub fn embedded(&mut self, id: DocumentId, chunks: &[ChunkId]) {
        let doc = self.doc(id);
        doc.tries = 0;
        doc.vectors.extend(chunks);
        if doc.vectors.len() == doc.run.len() {
            doc.stage = Stage::Indexing;
        }
    }

    /// The last piece of work. One that somebody cancelled does not become ready by it.
    pub fn indexed(&mut self, id: DocumentId) {
        let job = self.docs[&id].job;
        let cancelled = self.is_cancelling(job) || self.docs[&id].asked.is_some_and(Asked::cancels);
        let doc = self.doc(id);
        if cancelled {
            doc.task = Task::Waiting;
        } else {
            (doc.state, doc.stage, doc.task) = (State::Ready, Stage::Done, Task::Ended);
            (doc.asked, doc.tries) = (None, 0);
            doc.live = Some((doc.run.clone(), doc.embeds));
            self.settle(job);
        }
        self.freed(id);
    }

    /// The work broke; answers whether it is tried again.
    pub fn broke(&mut self, id: DocumentId, may_heal: bool) -> bool {
        let doc = self.doc(id);
        doc.tries += 1;
        let again = may_heal && doc.tries < 3;
        if again {
            doc.task = Task::Waiting;
        } else {
            self.end_badly(id, State::Failed);
            let job = self.docs[&id].job;
            self.settle(job);
        }
        self.freed(id);
        again
    }

    /// Its model cannot be had: it is tried again, which counts for nothing.
    pub fn waits(&mut self, id: DocumentId) {
        self.doc(id).task = Task::Waiting;
        self.freed(id);
    }

    /// A document ends without becoming ready; what was found before stays.
    fn end_badly(&mut self, id: DocumentId, state: State) {
        let doc = self.doc(id);
        doc.asked = None;
        doc.task = Task::Ended;
        if doc.live.is_some() {
            doc.reached = Stage::Loading;
            doc.state = State::Kept { cancelled: state == State::Cancelled };
            doc.run.clear();
            doc.vectors.clear();
        } else {
            doc.reached = doc.stage;
            doc.state = state;
            if state == State::Cancelled && matches!(doc.stage, Stage::Loading | Stage::Chunking) {
                doc.run.clear();
            }
        }
        doc.stage = Stage::Done;
    }

    pub fn release(&mut self, id: DocumentId) {
        self.doc(id).task = Task::Waiting;
        self.freed(id);
    }

    /// A job of which nothing is left ends, unless a cancel is about to end it.
    fn settle(&mut self, id: JobId) {
        let Totals { all, done, failed, cancelled } = self.totals(id);
        let job = self.job(id);
        let ended = matches!(job.status, JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled);
        if ended || done + failed < all || job.asked == Some(JobRequest::Cancel) {
            return;
        }
        job.asked = None;
        job.status = match (done, failed) {
            (0, failed) if failed > 0 && failed == cancelled => JobStatus::Cancelled,
            (0, failed) if failed > 0 => JobStatus::Failed,
            _ => JobStatus::Completed,
        };
    }

    /// A document left the hands of its worker: what was asked meanwhile is done.
    fn freed(&mut self, id: DocumentId) {
        let job = self.docs[&id].job;
        if self.docs[&id].asked.is_some() && !self.is_cancelling(job) {
            self.honour_document(id);
        }
        self.honour_job(job);
    }

    /// How many documents of the job are in hand; what dead workers held is free from here on.
    fn in_hand(&mut self, job: JobId) -> usize {
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

    fn honour_job(&mut self, id: JobId) {
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

    fn honour(&mut self, id: JobId) {
        let job = self.job(id);
        match job.asked.take() {
            None => {}
            Some(JobRequest::Pause) => job.status = JobStatus::Paused,
            Some(JobRequest::Cancel) => {
                job.status = JobStatus::Cancelled;
                let removes = std::mem::take(&mut job.removes);
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

    fn honour_document(&mut self, id: DocumentId) {
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
        if job.status == JobStatus::Pending && job.attempt > 1 && (all || meant.is_empty()) {
            // It is about to run already: a second click.
            return Answer::Done;
        }
        let may = match job.status {
            JobStatus::Failed | JobStatus::Cancelled => true,
            JobStatus::Completed => all || self.totals(id).failed > 0,
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
