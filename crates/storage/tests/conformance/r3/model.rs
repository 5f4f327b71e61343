//! What the job engine is to do, told once more in the simplest way: a few fields for each job and document, no rows, no
//! phases, no texts. It shares no rule with `domain`, so that a mistake there is not made here as well.

mod controls;
mod deletions;
mod requests;

use domain::{
    ChunkId, DocumentId, JobId, JobKind, JobStatus, Timestamp, UserId,
    ingest::{Stage, control::Asked},
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
    /// Who got a document last, and how many had got one by then.
    served: BTreeMap<UserId, u64>,
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

    /// Whose turn it is: the user who has the fewest in hand, then who was served longest ago, then the oldest job, then the
    /// place in it.
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
                    (held, self.served.get(&doc.user), self.jobs[&doc.job].turn, doc.job, doc.place)
                });
            let Some((&id, doc)) = next else { break };
            *in_hand.entry(doc.user).or_default() += 1;
            let served = self.served.values().max().map_or(1, |last| last + 1);
            self.served.insert(doc.user, served);
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
}
