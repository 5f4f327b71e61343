//! What people ask of jobs and documents: every state with every command, and random commands between random work.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod common;

use common::chunks;
use domain::{
    ids::DocumentId,
    ingest::{
        self, Checkpoint, DocumentState, Failure, JobState, ReportError, Stage,
        control::{self, Asked, Control, DocumentControl, Retry, RetryScope},
    },
    message::Facts,
    rag::RagConfig,
    resource::CANCELLED,
    status::{DocumentStatus, IllegalMove, JobRequest, JobStatus, PhaseName, PhaseStatus},
    step::Step,
    timestamp::Timestamp,
};
use proptest::prelude::*;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Task {
    Waits,
    Held,
    Paused,
    Ended,
}

/// A job with its tasks, kept as a store keeps them.
#[derive(Clone, Debug, PartialEq)]
struct Bench {
    job: JobState,
    docs: Vec<DocumentState>,
    tasks: Vec<Task>,
    clock: i64,
}

fn config() -> RagConfig {
    RagConfig::default()
}

fn failure(retryable: bool) -> Checkpoint {
    let (code, message) = ("unreadable".into(), "The file could not be read.".into());
    Checkpoint::Failed(Failure { code, message, hint: None, retryable })
}

impl Bench {
    fn new(documents: u32) -> Self {
        let (job, docs) = common::new_job(documents, &config(), Timestamp::from_micros(0));
        let tasks = vec![Task::Waits; docs.len()];
        Self { job, docs, tasks, clock: 0 }
    }

    fn now(&mut self) -> Timestamp {
        self.clock += 1;
        Timestamp::from_micros(self.clock * 300_000)
    }

    fn take(&mut self, i: usize) {
        let open = matches!(self.job.job.status, JobStatus::Pending | JobStatus::Running)
            && self.job.job.requested.is_none()
            && self.docs[i].requested.is_none();
        if self.tasks[i] == Task::Waits && open {
            let now = self.now();
            self.tasks[i] = Task::Held;
            ingest::start(&mut self.job, &mut self.docs[i], now).unwrap();
        }
    }

    /// One piece of work of a document that is in hand.
    fn work(&mut self, i: usize, fails: Option<bool>) {
        self.take(i);
        if self.tasks[i] != Task::Held {
            return;
        }
        let doc = &self.docs[i];
        let checkpoint = match (fails, doc.stage) {
            (Some(retryable), _) => failure(retryable),
            (None, Stage::Loading) => {
                Checkpoint::Loaded { pages: Some(2), characters: 9, title: None, warnings: vec![] }
            }
            (None, Stage::Chunking) => Checkpoint::Chunked { chunks: chunks(7) },
            (None, Stage::Embedding) if doc.document.step != Some(Step::CreatingEmbeddings) => {
                Checkpoint::Step { step: Step::CreatingEmbeddings, facts: Facts::default() }
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
        ingest::advance(&mut self.job, &mut self.docs[i], &checkpoint, &config(), now).unwrap();
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

    fn release(&mut self, i: usize) {
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
        control::honour_document(&mut self.job, &mut self.docs[i], &config(), now).unwrap();
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
        control::honour(&mut self.job, &mut docs, &config(), now).unwrap();
        for (i, doc) in places.into_iter().zip(docs) {
            self.docs[i] = doc;
        }
        if cancels {
            self.tasks.fill(Task::Ended);
        }
    }

    fn control(&mut self, wanted: &Control) -> Result<(), ReportError> {
        let now = self.now();
        match wanted {
            Control::Pause => self.ask(JobRequest::Pause, true)?,
            Control::Cancel { keep_results } => self.ask(JobRequest::Cancel, *keep_results)?,
            Control::Resume => {
                let places: Vec<usize> =
                    (0..self.docs.len()).filter(|&i| self.tasks[i] == Task::Paused).collect();
                let mut paused: Vec<DocumentState> = places.iter().map(|&i| self.docs[i].clone()).collect();
                if control::resume(&mut self.job, &mut paused, now)?.is_some() {
                    for (i, doc) in places.into_iter().zip(paused) {
                        self.docs[i] = doc;
                        self.tasks[i] = Task::Waits;
                    }
                }
            }
            Control::CancelPhase(_) => {
                let mut docs = self.docs.clone();
                if control::skip_embedding(&mut self.job, &mut docs, now)?.is_some() {
                    self.docs = docs;
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
                ingest::put_first(&mut self.job, Some(Timestamp::from_micros(0)), now)?;
            }
            Control::Retry(retry) => {
                let before: Vec<u32> = self.docs.iter().map(|d| d.document.attempt).collect();
                control::retry(&mut self.job, &mut self.docs, retry, now)?;
                for (i, attempt) in before.into_iter().enumerate() {
                    if self.docs[i].document.attempt > attempt {
                        self.tasks[i] = Task::Waits;
                    }
                }
            }
        }
        Ok(())
    }

    fn ask(&mut self, request: JobRequest, keep_results: bool) -> Result<(), IllegalMove> {
        if control::ask(&mut self.job, request, keep_results)? {
            self.honour();
        }
        Ok(())
    }

    fn control_document(&mut self, i: usize, wanted: DocumentControl) -> Result<(), ReportError> {
        let now = self.now();
        let asked = match wanted {
            DocumentControl::Pause => Asked::Pause,
            DocumentControl::Cancel { keep_results: true } => Asked::Cancel,
            DocumentControl::Cancel { keep_results: false } => Asked::CancelRemove,
            DocumentControl::Resume => {
                let alone = !self.tasks.iter().any(|t| matches!(t, Task::Waits | Task::Held));
                let told = control::resume_document(&mut self.job, &mut self.docs[i], alone, now)?;
                if told.is_some() && self.tasks[i] == Task::Paused {
                    self.tasks[i] = Task::Waits;
                }
                return Ok(());
            }
            DocumentControl::SkipEmbedding => {
                if control::skip_document(&mut self.job, &mut self.docs[i], now)?.is_some() {
                    self.release(i);
                }
                return Ok(());
            }
        };
        if control::ask_document(&self.job, &mut self.docs[i], asked, now)?.is_some()
            && self.tasks[i] != Task::Held
        {
            self.honour_document(i);
            self.honour();
        }
        Ok(())
    }

    fn finish(&mut self) {
        for i in 0..self.docs.len() {
            for _ in 0..20 {
                self.work(i, None);
            }
        }
    }
}

/// The states in which a job can be asked for something.
fn states() -> Vec<(&'static str, Bench)> {
    let at_work = || {
        let mut b = Bench::new(2);
        (0..4).for_each(|_| b.work(0, None));
        b
    };
    let with = |mut b: Bench, f: &dyn Fn(&mut Bench)| {
        f(&mut b);
        b
    };
    vec![
        ("pending", Bench::new(2)),
        ("held", at_work()),
        ("unheld", with(at_work(), &|b| b.release(0))),
        ("pausing", with(at_work(), &|b| b.control(&Control::Pause).unwrap())),
        ("cancelling", with(at_work(), &|b| b.control(&Control::Cancel { keep_results: true }).unwrap())),
        (
            "paused",
            with(at_work(), &|b| {
                b.release(0);
                b.control(&Control::Pause).unwrap();
            }),
        ),
        ("completed", with(at_work(), &Bench::finish)),
        (
            "partly",
            with(at_work(), &|b| {
                b.work(1, Some(false));
                b.finish();
            }),
        ),
        (
            "failed",
            with(at_work(), &|b| {
                b.work(0, Some(false));
                b.work(1, Some(false));
            }),
        ),
        (
            "cancelled",
            with(at_work(), &|b| {
                b.release(0);
                b.control(&Control::Cancel { keep_results: true }).unwrap();
            }),
        ),
    ]
}

fn word(b: &Bench) -> String {
    let asked = b.job.job.requested.map(|r| format!("+{r}")).unwrap_or_default();
    let attempt = if b.job.job.attempt > 1 { "#2" } else { "" };
    format!("{}{asked}{attempt}", b.job.job.status)
}

#[test]
fn every_state_of_a_job_answers_every_command_as_its_table_says() {
    let commands: [(&str, Control); 7] = [
        ("pause", Control::Pause),
        ("resume", Control::Resume),
        ("keep", Control::Cancel { keep_results: true }),
        ("remove", Control::Cancel { keep_results: false }),
        ("skip", Control::CancelPhase(PhaseName::Embedding)),
        ("retry", Control::Retry(Retry::failed())),
        ("first", Control::First),
    ];
    // What becomes of it; "=" nothing; "!" with what would have been possible.
    let table = [
        (
            "pending",
            ["paused", "=", "cancelled", "cancelled", "pending", "!running,paused,cancelled", "pending"],
        ),
        (
            "held",
            [
                "running+pause",
                "=",
                "running+cancel",
                "running+cancel",
                "running",
                "!paused,completed,failed,cancelled",
                "running",
            ],
        ),
        (
            "unheld",
            [
                "paused",
                "=",
                "cancelled",
                "cancelled",
                "running",
                "!paused,completed,failed,cancelled",
                "running",
            ],
        ),
        (
            "pausing",
            [
                "=",
                "running",
                "running+cancel",
                "running+cancel",
                "paused",
                "!paused,completed,failed,cancelled",
                "running+pause",
            ],
        ),
        // That nothing is to be kept may still be said.
        (
            "cancelling",
            [
                "!cancelled",
                "!cancelled",
                "=",
                "running+cancel",
                "!",
                "!paused,completed,failed,cancelled",
                "running+cancel",
            ],
        ),
        ("paused", ["=", "running", "cancelled", "cancelled", "paused", "!running,cancelled", "paused"]),
        ("completed", ["!", "!", "!", "!", "!", "!", "!"]),
        ("partly", ["!", "!", "!", "!", "!", "pending#2", "!"]),
        ("failed", ["!", "!", "!", "!", "!", "pending#2", "!"]),
        ("cancelled", ["!", "!", "=", "=", "!", "pending#2", "!"]),
    ];
    let states = states();
    assert_eq!(states.len(), table.len());
    for ((name, state), (row, wanted)) in states.iter().zip(table) {
        assert_eq!(*name, row);
        for ((command, control), wanted) in commands.iter().zip(wanted) {
            let mut b = state.clone();
            let answered = b.control(control);
            let found = match &answered {
                Err(ReportError::Illegal(e)) => format!("!{}", e.allowed.join(",")),
                Err(other) => panic!("{name} {command}: {other}"),
                Ok(()) if (&b.job, &b.docs) == (&state.job, &state.docs) => "=".to_owned(),
                Ok(()) => word(&b),
            };
            assert_eq!(found, wanted, "{command} of one that is {name}");
            if answered.is_err() {
                assert_eq!((&b.job, &b.docs), (&state.job, &state.docs), "a refusal changes nothing");
            } else {
                // The same once more is the same: two clicks are one.
                let once = b.clone();
                b.control(control).unwrap();
                assert_eq!((&b.job, &b.docs), (&once.job, &once.docs), "{command} of {name}, twice");
            }
        }
    }
}

#[test]
fn every_state_of_a_document_answers_every_command_as_its_table_says() {
    let commands = [
        DocumentControl::Pause,
        DocumentControl::Resume,
        DocumentControl::Cancel { keep_results: true },
        DocumentControl::SkipEmbedding,
    ];
    let at_work = || {
        let mut b = Bench::new(2);
        (0..4).for_each(|_| b.work(0, None));
        b.take(1);
        b
    };
    let with = |mut b: Bench, f: &dyn Fn(&mut Bench)| {
        f(&mut b);
        b
    };
    let asked = |c: DocumentControl| with(at_work(), &move |b| b.control_document(0, c).unwrap());
    let table = [
        ("waits", Bench::new(2), ["paused", "=", "cancelled", "pending"]),
        ("held", at_work(), ["processing+pause", "=", "processing+cancel", "processing"]),
        ("pausing", asked(DocumentControl::Pause), ["=", "processing", "!paused,cancelled", "paused"]),
        (
            "cancelling",
            asked(DocumentControl::Cancel { keep_results: true }),
            ["!cancelled", "!cancelled", "=", "cancelled"],
        ),
        (
            "paused",
            with(asked(DocumentControl::Pause), &|b| b.release(0)),
            ["=", "processing", "cancelled", "paused"],
        ),
        (
            "cancelled",
            with(asked(DocumentControl::Cancel { keep_results: true }), &|b| b.release(0)),
            ["!pending", "!pending", "=", "!pending"],
        ),
        (
            "failed",
            with(at_work(), &|b| b.work(0, Some(false))),
            ["!pending", "!pending", "!pending", "!pending"],
        ),
        ("ready", with(at_work(), &|b| (0..9).for_each(|_| b.work(0, None))), ["!", "!", "!", "!"]),
    ];
    let word = |d: &DocumentState| {
        if d.document.error_code.as_deref() == Some(CANCELLED) {
            return "cancelled".to_owned();
        }
        if d.paused {
            return "paused".to_owned();
        }
        let asked = d.requested.map(|r| format!("+{r}")).unwrap_or_default();
        format!("{}{asked}", d.document.status)
    };
    for (name, state, wanted) in table {
        for (command, wanted) in commands.iter().zip(wanted) {
            // A cancel goes above a pause that is only asked for.
            let wanted =
                if (name, *command) == ("pausing", commands[2]) { "processing+cancel" } else { wanted };
            let mut b = state.clone();
            let found = match b.control_document(0, *command) {
                Err(ReportError::Illegal(e)) => format!("!{}", e.allowed.join(",")),
                Err(other) => panic!("{name} {command:?}: {other}"),
                Ok(()) if (&b.job, &b.docs) == (&state.job, &state.docs) => "=".to_owned(),
                Ok(()) => word(&b.docs[0]),
            };
            assert_eq!(found, wanted, "{command:?} of one that is {name}");
            let other = (&b.docs[1], &state.docs[1]);
            assert_eq!(other.0, other.1, "the others go on");
        }
    }
}

#[test]
fn a_job_resumes_at_the_same_count_and_embeds_nothing_twice() {
    let mut b = Bench::new(1);
    (0..5).for_each(|_| b.work(0, None));
    let at = b.job.job.phase_details[2].items_processed;
    assert!(at > 0);
    b.control(&Control::Pause).unwrap();
    assert_eq!((b.job.job.status, b.job.job.message.as_str()), (JobStatus::Running, "Pausing…"));
    // The unit in hand is committed, and then it stands.
    b.work(0, None);
    assert_eq!(b.job.job.message, "Pausing…");
    b.release(0);
    assert_eq!(b.job.job.status, JobStatus::Paused);
    assert_eq!(b.job.job.phase_details[2].status, PhaseStatus::Paused);
    let at = b.job.job.phase_details[2].items_processed;
    b.control(&Control::Resume).unwrap();
    assert_eq!((b.job.job.phase, b.job.job.phase_details[2].items_processed), (PhaseName::Embedding, at));
    b.finish();
    assert_eq!(b.job.job.status, JobStatus::Completed);
    assert_eq!(b.job.job.metrics.chunks_embedded, 7);
}

#[test]
fn a_retry_runs_only_what_failed_and_marks_what_is_reused() {
    let mut b = Bench::new(3);
    (0..20).for_each(|_| b.work(0, None));
    // Cut and partly embedded before it fails.
    (0..4).for_each(|_| b.work(1, None));
    b.work(1, Some(false));
    b.work(2, Some(false));
    assert_eq!((b.job.job.status, b.job.job.metrics.documents_failed), (JobStatus::Completed, 2));
    assert_eq!(b.job.job.message, "1 of 3 documents ready, 2 failed");
    let ready = b.docs[0].clone();
    let of = |n: usize| Retry {
        attempt: Some(1),
        ..Retry::document(DocumentId::new(Uuid::from_u128(100 + n as u128)))
    };
    b.control(&Control::Retry(of(1))).unwrap();
    assert_eq!((b.job.job.attempt, b.job.job.status), (2, JobStatus::Pending));
    assert_eq!(b.docs[0], ready, "what is ready is left alone");
    assert_eq!(b.docs[2].document.status, DocumentStatus::Failed);
    let p = &b.job.job.phase_details;
    assert_eq!(
        p.iter().map(|p| (p.status, p.items_reused, p.items_total)).collect::<Vec<_>>(),
        [
            (PhaseStatus::Completed, 1, 1),
            (PhaseStatus::Completed, 1, 1),
            (PhaseStatus::Pending, 3, 7),
            (PhaseStatus::Pending, 0, 7),
        ]
    );
    let once = b.clone();
    b.control(&Control::Retry(of(1))).unwrap();
    assert_eq!((&b.job, &b.docs), (&once.job, &once.docs), "a double click makes one attempt");
    b.finish();
    assert_eq!((b.job.job.status, b.job.job.metrics.documents_done), (JobStatus::Completed, 2));
    assert_eq!((b.docs[1].document.error.clone(), b.docs[1].document.error_code.clone()), (None, None));
    b.control(&Control::Retry(Retry::failed())).unwrap();
    b.finish();
    assert_eq!((b.job.job.attempt, b.job.job.message.as_str()), (3, "3 documents ready"));
    assert_eq!(b.job.job.metrics.chunks_created, 21);
}

#[test]
fn what_may_heal_is_tried_three_times_and_all_messages_are_told() {
    let mut b = Bench::new(1);
    b.work(0, Some(true));
    let d = &b.docs[0];
    assert_eq!(d.document.status, DocumentStatus::Processing);
    let said = d.document.retrying().unwrap();
    assert!(said.starts_with("Retry 2 of 3 in ") && said.ends_with("The file could not be read."), "{said}");
    let (first, now) = (ingest::retries_at(d, Timestamp::from_micros(0)), Timestamp::from_micros(0));
    assert!(first > now && first < now.plus_seconds(3));
    b.work(0, Some(true));
    assert!(ingest::retries_at(&b.docs[0], now) > now.plus_seconds(5), "the delay grows");
    b.work(0, Some(true));
    let d = &b.docs[0];
    assert_eq!(d.document.status, DocumentStatus::Failed);
    assert_eq!(d.document.error.as_deref(), Some("The file could not be read. It was tried 3 times."));
    assert!(d.document.warnings.is_empty());
    let told = control::attempt_of(&b.job.job, &b.docs);
    assert_eq!(told.errors[0].tries.len(), 3);
    // What cannot heal is final at once.
    let mut b = Bench::new(1);
    b.work(0, Some(false));
    assert_eq!(b.docs[0].document.error.as_deref(), Some("The file could not be read."));
}

#[test]
fn without_its_embedding_a_job_completes_with_a_warning() {
    let mut b = Bench::new(2);
    (0..5).for_each(|_| b.work(0, None));
    b.control(&Control::CancelPhase(PhaseName::Embedding)).unwrap();
    assert_eq!(b.job.job.phase_details[2].status, PhaseStatus::Skipped);
    b.finish();
    assert_eq!(b.job.job.status, JobStatus::Completed);
    assert_eq!(b.job.job.phase_details[2].status, PhaseStatus::Skipped);
    assert!(b.docs.iter().all(|d| d.document.warnings[0].code == "embedding_skipped"));
    assert_eq!(b.job.job.metrics.chunks_embedded, 0);
}

#[test]
fn a_cancel_keeps_what_is_ready_or_takes_it_back() {
    for keep_results in [true, false] {
        let mut b = Bench::new(3);
        (0..20).for_each(|_| b.work(0, None));
        (0..5).for_each(|_| b.work(1, None));
        b.control(&Control::Cancel { keep_results }).unwrap();
        assert_eq!(b.job.job.message, "Cancelling…");
        // Not even the last piece of work makes it ready any more.
        (0..20).for_each(|_| b.work(1, None));
        assert_eq!(b.job.job.status, JobStatus::Cancelled);
        let live: Vec<bool> = b.docs.iter().map(|d| d.live > 0).collect();
        assert_eq!(live, [keep_results, false, false]);
        assert!(b.docs[1..].iter().all(|d| d.document.error_code.as_deref() == Some(CANCELLED)));
        if !keep_results {
            assert!(b.docs.iter().all(|d| d.document.chunk_count == 0), "nothing is left");
        }
        b.control(&Control::Retry(Retry::failed())).unwrap();
        b.finish();
        assert_eq!((b.job.job.status, b.job.job.metrics.documents_done), (JobStatus::Completed, 3));
        assert_eq!((b.job.job.metrics.chunks_created, b.job.job.metrics.chunks_embedded), (21, 21));
    }
}

#[test]
fn a_job_of_which_all_that_is_left_is_paused_stands_and_goes_on_with_it() {
    let mut b = Bench::new(2);
    b.control_document(0, DocumentControl::Pause).unwrap();
    b.finish();
    assert_eq!(b.docs[1].document.status, DocumentStatus::Ready, "the other went on");
    assert_eq!(b.job.job.status, JobStatus::Paused, "nothing spins");
    b.control_document(0, DocumentControl::Resume).unwrap();
    b.finish();
    assert_eq!(b.job.job.status, JobStatus::Completed);
}

#[derive(Clone, Debug)]
enum Act {
    Work(usize),
    Fail(usize, bool),
    Release(usize),
    Job(u8),
    Document(usize, u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        20 => (0..4usize).prop_map(Act::Work),
        2 => (0..4usize, any::<bool>()).prop_map(|(i, heals)| Act::Fail(i, heals)),
        3 => (0..4usize).prop_map(Act::Release),
        4 => (0..8u8).prop_map(Act::Job),
        4 => (0..4usize, 0..5u8).prop_map(|(i, which)| Act::Document(i, which)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn under_any_commands_progress_never_falls_in_an_attempt_and_the_totals_stay_true(
        documents in 1..4u32,
        acts in prop::collection::vec(act(), 0..120),
    ) {
        let mut b = Bench::new(documents);
        let mut last = (1, 0.0, vec![0.0; 4]);
        for act in acts {
            let i = |i: usize| i % documents as usize;
            match act {
                Act::Work(n) => b.work(i(n), None),
                Act::Fail(n, heals) => b.work(i(n), Some(heals)),
                Act::Release(n) => b.release(i(n)),
                Act::Job(which) => {
                    let wanted = match which {
                        0 => Control::Pause,
                        1 | 2 => Control::Resume,
                        3 => Control::Cancel { keep_results: true },
                        4 => Control::Cancel { keep_results: false },
                        5 => Control::CancelPhase(PhaseName::Embedding),
                        6 => Control::Retry(Retry { scope: RetryScope::All, ..Retry::failed() }),
                        _ => Control::Retry(Retry::failed()),
                    };
                    let before = b.clone();
                    if b.control(&wanted).is_err() {
                        prop_assert_eq!((&b.job, &b.docs), (&before.job, &before.docs));
                    }
                }
                Act::Document(n, which) => {
                    let wanted = match which {
                        0 => DocumentControl::Pause,
                        1 => DocumentControl::Resume,
                        2 => DocumentControl::Cancel { keep_results: true },
                        3 => DocumentControl::Cancel { keep_results: false },
                        _ => DocumentControl::SkipEmbedding,
                    };
                    let before = b.clone();
                    if b.control_document(i(n), wanted).is_err() {
                        prop_assert_eq!((&b.job, &b.docs), (&before.job, &before.docs));
                    }
                }
            }
            let job = &b.job.job;
            if job.attempt > last.0 {
                last = (job.attempt, 0.0, vec![0.0; 4]);
            }
            prop_assert!(job.progress >= last.1 && job.progress <= 100.0, "{} after {}", job.progress, last.1);
            for (p, before) in job.phase_details.iter().zip(&last.2) {
                prop_assert!(p.progress >= *before && p.progress <= 100.0, "{:?} after {}", p, before);
                prop_assert!(p.items_processed <= p.items_total || p.status == PhaseStatus::Skipped, "{:?}", p);
            }
            last = (job.attempt, job.progress, job.phase_details.iter().map(|p| p.progress).collect());
            let m = job.metrics;
            let count = |f: &dyn Fn(&DocumentState) -> bool| b.docs.iter().filter(|d| f(d)).count() as u64;
            let warned = |d: &DocumentState, code| d.document.warnings.iter().any(|w| w.code == code);
            let kept = |d: &DocumentState| {
                warned(d, ingest::REINDEX_FAILED) || warned(d, ingest::REINDEX_CANCELLED)
            };
            let is_ready = |d: &DocumentState| d.document.status == DocumentStatus::Ready && !kept(d);
            prop_assert_eq!(m.documents_done, count(&is_ready));
            let is_failed = |d: &DocumentState| d.document.status == DocumentStatus::Failed || kept(d);
            prop_assert_eq!(m.documents_failed, count(&is_failed));
            let cancelled = count(&|d| {
                d.document.error_code.as_deref() == Some(CANCELLED) || warned(d, ingest::REINDEX_CANCELLED)
            });
            prop_assert_eq!(m.documents_cancelled, cancelled);
            prop_assert_eq!(job.status.is_final(), !b.docs.iter().any(|d| d.document.is_unfinished()));
            prop_assert_eq!(job.status.is_final(), job.completed_at.is_some());
            if job.status != JobStatus::Running {
                prop_assert_eq!(job.requested, None, "only a running job waits for a worker");
                prop_assert_eq!((job.rate, job.eta_seconds), (None, None));
                prop_assert!(job.phase_details.iter().all(|p| p.status != PhaseStatus::Running), "{:?}", job);
            }
        }
    }
}
