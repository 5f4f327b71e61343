//! A job on the bench: worked on and asked for things, as a store and its workers would.

use crate::common::{self, Listener, chunks};
use domain::{
    ingest::{
        self, Checkpoint, DocumentState, Failure, JobState, ReportError, Stage, Told,
        control::{self, Asked, Control, DocumentControl},
    },
    message::Facts,
    rag::RagConfig,
    status::{IllegalMove, JobRequest, JobStatus},
    step::Step,
    timestamp::Timestamp,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Task {
    Waits,
    Held,
    Paused,
    Ended,
}

/// A job with its tasks, kept as a store keeps them.
#[derive(Clone, Debug, PartialEq)]
pub struct Bench {
    pub job: JobState,
    pub docs: Vec<DocumentState>,
    tasks: Vec<Task>,
    clock: i64,
    listener: Listener,
}

fn config() -> RagConfig {
    RagConfig::default()
}

fn failure(retryable: bool) -> Checkpoint {
    let (code, message) = ("unreadable".into(), "The file could not be read.".into());
    Checkpoint::Failed(Failure { code, message, hint: None, retryable })
}

impl Bench {
    pub fn new(documents: u32) -> Self {
        let (job, docs) = common::new_job(documents, &config(), Timestamp::from_micros(0));
        let tasks = vec![Task::Waits; docs.len()];
        let listener = Listener::of(&job, &docs);
        Self { job, docs, tasks, clock: 0, listener }
    }

    /// Whoever listens knows what is so, after each change.
    fn heard(&mut self, before: &[DocumentState], told: &Told, now: Timestamp) {
        self.listener.attend(before, (&self.job, &self.docs[..]), told, now);
    }

    fn now(&mut self) -> Timestamp {
        self.clock += 1;
        Timestamp::from_micros(self.clock * 300_000)
    }

    pub fn take(&mut self, i: usize) {
        let open = matches!(self.job.job.status, JobStatus::Pending | JobStatus::Running)
            && self.job.job.requested.is_none()
            && self.docs[i].requested.is_none();
        if self.tasks[i] == Task::Waits && open {
            let now = self.now();
            self.tasks[i] = Task::Held;
            assert!(!self.docs[i].paused, "nobody takes what stands");
            let before = self.docs.clone();
            let told = ingest::start(&mut self.job, &mut self.docs[i], now).unwrap();
            self.heard(&before, &told, now);
        }
    }

    /// One piece of work of a document that is in hand.
    pub fn work(&mut self, i: usize, fails: Option<bool>) {
        self.take(i);
        if self.tasks[i] != Task::Held {
            return;
        }
        let doc = &self.docs[i];
        let checkpoint = match (fails, doc.stage) {
            (Some(retryable), _) => failure(retryable),
            (None, Stage::Loading) => common::loaded(),
            (None, Stage::Chunking) => Checkpoint::Chunked { chunks: chunks(7) },
            (None, Stage::Embedding) if doc.document.step != Some(Step::CreatingEmbeddings) => {
                Checkpoint::Step { step: Step::CreatingEmbeddings, facts: Facts::default() }
            }
            // The workspace has the first passages already.
            (None, Stage::Embedding) if doc.embedded == 0 => {
                Checkpoint::Known { passages: chunks(3).into_iter().map(|c| (c.id, c.id)).collect() }
            }
            (None, Stage::Embedding) => {
                let left = doc.document.chunk_count - doc.embedded;
                let vectors = chunks(left.min(3) as u32).into_iter().map(|c| (c.id, vec![1.0])).collect();
                Checkpoint::Embedded { vectors }
            }
            (None, _) if self.cancelled(i) => return self.release(i),
            (None, _) => Checkpoint::Indexed,
        };
        let now = self.now();
        let before = self.docs.clone();
        let told = ingest::advance(&mut self.job, &mut self.docs[i], &checkpoint, &config(), now).unwrap();
        self.heard(&before, &told, now);
        if self.docs[i].stage == Stage::Done {
            self.tasks[i] = Task::Ended;
            self.honour();
        } else if ingest::waits_for_retry(&self.docs[i]) {
            self.release(i);
        }
    }

    fn cancelled(&self, i: usize) -> bool {
        let asked = self.docs[i].requested.is_some_and(Asked::cancels);
        asked || self.job.job.requested == Some(JobRequest::Cancel)
    }

    pub fn release(&mut self, i: usize) {
        if self.tasks[i] == Task::Held {
            self.tasks[i] = Task::Waits;
        }
        if self.docs[i].requested.is_some() && self.job.job.requested != Some(JobRequest::Cancel) {
            self.honour_document(i);
        }
        self.honour();
    }

    fn honour_document(&mut self, i: usize) {
        let now = self.now();
        let before = self.docs.clone();
        let told = control::honour_document(&mut self.job, &mut self.docs[i], &config(), now).unwrap();
        self.heard(&before, &told, now);
        if self.docs[i].paused {
            self.tasks[i] = Task::Paused;
        } else if self.docs[i].stage == Stage::Done {
            self.tasks[i] = Task::Ended;
        }
    }

    fn honour(&mut self) {
        let left: Vec<Task> = self.tasks.iter().copied().filter(|t| *t != Task::Ended).collect();
        let stands = !left.is_empty() && left.iter().all(|t| *t == Task::Paused);
        let goes_on = matches!(self.job.job.status, JobStatus::Pending | JobStatus::Running);
        if stands && goes_on && self.job.job.requested.is_none() {
            control::ask(&mut self.job, JobRequest::Pause, true).unwrap();
        }
        if self.job.job.requested.is_none() || self.tasks.contains(&Task::Held) {
            return;
        }
        let cancels = self.job.job.requested == Some(JobRequest::Cancel);
        let removes = self.job.cancel_removes;
        let now = self.now();
        let mut docs: Vec<DocumentState> = vec![];
        let meant = |t: &Task| cancels && (removes || *t != Task::Ended);
        let places: Vec<usize> = (0..self.docs.len()).filter(|&i| meant(&self.tasks[i])).collect();
        docs.extend(places.iter().map(|&i| self.docs[i].clone()));
        let before = self.docs.clone();
        let told = control::honour(&mut self.job, &mut docs, &config(), now).unwrap();
        for (i, doc) in places.into_iter().zip(docs) {
            self.docs[i] = doc;
        }
        self.heard(&before, &told, now);
        if cancels {
            self.tasks.fill(Task::Ended);
        }
    }

    pub fn control(&mut self, wanted: &Control) -> Result<(), ReportError> {
        let now = self.now();
        match wanted {
            Control::Pause => self.ask(JobRequest::Pause, true)?,
            Control::Cancel { keep_results } => self.ask(JobRequest::Cancel, *keep_results)?,
            Control::Resume => {
                let places: Vec<usize> =
                    (0..self.docs.len()).filter(|&i| self.tasks[i] == Task::Paused).collect();
                let mut paused: Vec<DocumentState> = places.iter().map(|&i| self.docs[i].clone()).collect();
                if let Some(told) = control::resume(&mut self.job, &mut paused, now)? {
                    let before = self.docs.clone();
                    for (i, doc) in places.into_iter().zip(paused) {
                        self.docs[i] = doc;
                        self.tasks[i] = Task::Waits;
                    }
                    self.heard(&before, &told, now);
                }
            }
            Control::CancelPhase(_) => {
                let mut docs = self.docs.clone();
                if let Some(told) = control::skip_embedding(&mut self.job, &mut docs, now)? {
                    let before = std::mem::replace(&mut self.docs, docs);
                    self.heard(&before, &told, now);
                    for task in &mut self.tasks {
                        if *task == Task::Held {
                            *task = Task::Waits;
                        }
                    }
                    self.honour();
                }
            }
            // There is another job, as old as this one.
            Control::First => {
                if let Some(told) = ingest::put_first(&mut self.job, Some(Timestamp::from_micros(0)), now)? {
                    let before = self.docs.clone();
                    self.heard(&before, &told, now);
                }
            }
            Control::Retry(retry) => {
                let before = self.docs.clone();
                if let Some(told) = control::retry(&mut self.job, &mut self.docs, retry, now)? {
                    self.heard(&before, &told, now);
                }
                for (i, doc) in before.iter().enumerate() {
                    if self.docs[i].document.attempt > doc.document.attempt {
                        self.tasks[i] = Task::Waits;
                    }
                }
            }
        }
        self.listener.look(&self.job, &self.docs);
        Ok(())
    }

    fn ask(&mut self, request: JobRequest, keep_results: bool) -> Result<(), IllegalMove> {
        if control::ask(&mut self.job, request, keep_results)? {
            if self.tasks.contains(&Task::Held) {
                let now = self.now();
                let before = self.docs.clone();
                let told = control::tell_asked(&mut self.job, now);
                self.heard(&before, &told, now);
            }
            self.honour();
        }
        Ok(())
    }

    pub fn control_document(&mut self, i: usize, wanted: DocumentControl) -> Result<(), ReportError> {
        let now = self.now();
        let asked = match wanted {
            DocumentControl::Pause => Asked::Pause,
            DocumentControl::Cancel { keep_results: true } => Asked::Cancel,
            DocumentControl::Cancel { keep_results: false } => Asked::CancelRemove,
            DocumentControl::Resume => {
                let alone = !self.tasks.iter().any(|t| matches!(t, Task::Waits | Task::Held));
                let before = self.docs.clone();
                let told = control::resume_document(&mut self.job, &mut self.docs[i], alone, now)?;
                if let Some(told) = told {
                    self.heard(&before, &told, now);
                    if self.tasks[i] == Task::Paused {
                        self.tasks[i] = Task::Waits;
                    }
                }
                return Ok(());
            }
            DocumentControl::SkipEmbedding => {
                let before = self.docs.clone();
                if let Some(told) = control::skip_document(&mut self.job, &mut self.docs[i], now)? {
                    self.heard(&before, &told, now);
                    self.release(i);
                }
                return Ok(());
            }
        };
        let before = self.docs.clone();
        let Some(told) = control::ask_document(&self.job, &mut self.docs[i], asked, now)? else {
            return Ok(());
        };
        self.heard(&before, &told, now);
        if self.tasks[i] != Task::Held {
            self.honour_document(i);
            self.honour();
        }
        Ok(())
    }

    pub fn finish(&mut self) {
        for i in 0..self.docs.len() {
            for _ in 0..20 {
                self.work(i, None);
            }
        }
    }
}
