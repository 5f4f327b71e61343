//! Pause, resume, cancel, skip and retry, of jobs and of single documents, while workers have them in hand and while
//! nobody has.

use crate::{
    desk::{Desk, JobSubject, LONG, failed, worker},
    on_every_store,
};
use domain::{
    Document, DocumentId, DocumentStatus, Job, JobId, JobStatus, PhaseName, PhaseStatus, UserId,
    event::StepStatus,
    ingest::{
        Checkpoint, Failure, Stage,
        control::{Control, DocumentControl, Retry},
    },
    resource::CANCELLED,
    status::JobRequest,
};
use services::ports::{Command, StoreError};
use std::cell::Cell;

const KEEP: Control = Control::Cancel { keep_results: true };
const REMOVE: Control = Control::Cancel { keep_results: false };

impl<S: JobSubject> Desk<S> {
    async fn control(&self, user: UserId, job: JobId, control: Control) -> Job {
        self.jobs.control(user, job, control, self.now()).await.unwrap()
    }

    async fn control_document(&self, user: UserId, id: DocumentId, control: DocumentControl) -> Job {
        self.jobs.control_document(user, id, control, self.now()).await.unwrap()
    }

    async fn look(&self) -> usize {
        self.jobs.honour_requests(10, self.now()).await.unwrap()
    }
}

fn is_cancelled(d: &Document) -> bool {
    d.status == DocumentStatus::Failed && d.error_code.as_deref() == Some(CANCELLED)
}

async fn a_job_in_hand_is_asked_and_stands_when_the_last_document_is_given_back(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, _) = d.upload(user, workspace, &["a.txt", "b.txt", "c.txt"]).await;
    let claims = d.claim("w", 2).await;
    d.work_until(&claims[0], 4, Stage::Embedding).await;
    let asked = d.control(user, job.job_id, Control::Pause).await;
    assert_eq!((asked.status, asked.requested), (JobStatus::Running, Some(JobRequest::Pause)));
    assert_eq!(asked.message, "Pausing…");
    assert_eq!(d.jobs.asked(&worker("w")).await.unwrap().len(), 2);
    assert!(d.jobs.asked(&worker("another")).await.unwrap().is_empty());
    assert!(d.claim("w", 5).await.is_empty(), "nothing more is taken");
    let before = d.head(user).await;
    d.control(user, job.job_id, Control::Pause).await;
    assert_eq!(d.head(user).await, before, "a second click does nothing");
    // The unit in hand is committed.
    let vectors = d.next_vectors(claims[0].document_id).await;
    d.check(&claims[0], vectors).await.unwrap();
    d.jobs.release(&claims[0], d.now()).await.unwrap();
    assert_eq!(d.look().await, 0, "the other one is in hand");
    assert_eq!(d.job(user, job.job_id).await.status, JobStatus::Running);
    d.jobs.release(&claims[1], d.now()).await.unwrap();
    let paused = d.job(user, job.job_id).await;
    assert_eq!((paused.status, paused.requested, paused.eta_seconds), (JobStatus::Paused, None, None));
    assert_eq!(paused.phase_details[2].items_processed, 3);
    assert!(d.claim("w", 5).await.is_empty());
    assert_eq!(d.jobs.void_leases().await.unwrap(), 0);
    assert_eq!(d.job(user, job.job_id).await, paused, "it stays so over a restart");

    let resumed = d.control(user, job.job_id, Control::Resume).await;
    assert_eq!((resumed.status, resumed.phase_details[2].items_processed), (JobStatus::Running, 3));
    let again = d.claim("w", 5).await;
    assert_eq!((again.len(), again[0].stage), (3, Stage::Embedding), "it goes on where it stopped");
    assert_eq!(d.jobs.unembedded(again[0].document_id, 10).await.unwrap().len(), 1);
    for claim in &again {
        d.work(claim, 4).await;
    }
    let done = d.job(user, job.job_id).await;
    assert_eq!((done.status, done.metrics.chunks_embedded), (JobStatus::Completed, 12));
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn a_request_outlives_the_worker_that_should_have_honoured_it(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    for control in [Control::Pause, KEEP] {
        let (job, documents) = d.upload(user, workspace, &["a.txt"]).await;
        let claim = d.claim_one("dying").await;
        let asked = d.control(user, job.job_id, control.clone()).await;
        assert!(asked.requested.is_some());
        assert_eq!(d.look().await, 0);
        // It dies: its lease is not extended any more.
        d.jobs.heartbeat(&worker("dying"), &[claim.document_id], 0).await.unwrap();
        assert_eq!(d.look().await, 1);
        let job = d.job(user, job.job_id).await;
        assert_eq!(job.requested, None);
        assert!(matches!(job.status, JobStatus::Paused | JobStatus::Cancelled));
        assert!(matches!(d.jobs.release(&claim, d.now()).await, Err(StoreError::Fenced)));
        assert_eq!(d.look().await, 0);
        if job.status == JobStatus::Paused {
            let job = d.control(user, job.job_id, KEEP).await;
            assert_eq!(job.status, JobStatus::Cancelled, "what nobody works on changes at once");
        }
        assert!(is_cancelled(&d.document(user, documents[0].id).await));
    }
    // A start voids all leases and the requests are honoured after it.
    let (job, _) = d.upload(user, workspace, &["a.txt"]).await;
    d.claim_one("dying").await;
    d.control(user, job.job_id, Control::Pause).await;
    d.jobs.void_leases().await.unwrap();
    assert!(d.claim("w", 1).await.is_empty());
    assert_eq!(d.look().await, 1);
    assert_eq!(d.job(user, job.job_id).await.status, JobStatus::Paused);
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn a_cancel_keeps_what_is_ready_or_takes_it_back(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    for (control, left) in [(KEEP, 4), (REMOVE, 0)] {
        let (job, documents) = d.upload(user, workspace, &["a.txt", "b.txt", "c.txt"]).await;
        let claims = d.claim("w", 2).await;
        d.work(&claims[0], 4).await;
        d.work_until(&claims[1], 5, Stage::Indexing).await;
        d.control(user, job.job_id, control.clone()).await;
        // The last piece of work does not make it ready any more.
        d.check(&claims[1], Checkpoint::Indexed).await.unwrap();
        let job = d.job(user, job.job_id).await;
        assert_eq!((job.status, job.requested), (JobStatus::Cancelled, None));
        assert!(job.completed_at.is_some());
        let (a, b, c) = (
            d.document(user, documents[0].id).await,
            d.document(user, documents[1].id).await,
            d.document(user, documents[2].id).await,
        );
        assert!(is_cancelled(&b) && is_cancelled(&c));
        assert_eq!(a.status == DocumentStatus::Ready, left > 0);
        assert_eq!(d.chunks(user, a.id).await.len(), left);
        if left == 0 {
            assert!(is_cancelled(&a));
            assert!(d.chunks(user, b.id).await.is_empty());
            assert_eq!((a.chunk_count, b.chunk_count), (0, 0));
        }
        assert!(d.claim("w", 5).await.is_empty());
        let before = d.head(user).await;
        d.control(user, job.job_id, control).await;
        assert_eq!(d.head(user).await, before, "a second click does nothing");
        // What it kept is not taken back by a later cancel, and that is not told as if it were.
        let later = d.jobs.control(user, job.job_id, REMOVE, d.now()).await;
        assert_eq!(matches!(later, Err(StoreError::Illegal(_))), left > 0, "{later:?}");
        assert_eq!(
            d.jobs.control(user, job.job_id, KEEP, d.now()).await.unwrap().status,
            JobStatus::Cancelled
        );
        assert_eq!(d.head(user).await, before);
        let refused = d.jobs.control(user, job.job_id, Control::Resume, d.now()).await;
        assert!(matches!(refused, Err(StoreError::Illegal(e)) if e.allowed == ["pending"]));
    }
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn a_retry_runs_what_failed_and_the_first_attempt_stays_readable(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt", "b.txt", "c.txt"]).await;
    let id = job.job_id;
    let claims = d.claim("w", 3).await;
    d.work(&claims[0], 4).await;
    d.work_until(&claims[1], 5, Stage::Embedding).await;
    let vectors = d.next_vectors(claims[1].document_id).await;
    d.check(&claims[1], vectors).await.unwrap();
    let early = d.jobs.control(user, id, Control::Retry(Retry::failed()), d.now()).await;
    assert!(matches!(early, Err(StoreError::Illegal(_))), "it still goes on");
    d.check(&claims[1], failed("It broke.")).await.unwrap();
    d.check(&claims[2], failed("It cannot be read.")).await.unwrap();
    let first = d.job(user, id).await;
    assert_eq!((first.status, first.metrics.documents_failed), (JobStatus::Completed, 2));

    let retry = Control::Retry(Retry { attempt: Some(1), ..Retry::document(documents[1].id) });
    let second = d.control(user, id, retry.clone()).await;
    assert_eq!((second.attempt, second.status, second.queue_position), (2, JobStatus::Pending, Some(0)));
    assert_eq!(d.control(user, id, retry).await, second, "two clicks make one attempt");
    let claim = d.claim_one("w").await;
    assert_eq!((claim.document_id, claim.attempt, claim.stage), (documents[1].id, 2, Stage::Embedding));
    assert_eq!(d.jobs.unembedded(claim.document_id, 10).await.unwrap().len(), 2, "nothing is embedded twice");
    assert!(matches!(d.check(&claims[1], Checkpoint::Indexed).await, Err(StoreError::Fenced)));
    d.work(&claim, 5).await;
    let ready = d.document(user, documents[1].id).await;
    assert_eq!((ready.status, ready.error, ready.attempt), (DocumentStatus::Ready, None, 2));
    assert_eq!(d.chunks(user, ready.id).await.len(), 5);
    let job = d.job(user, id).await;
    assert_eq!((job.status, job.metrics.documents_done), (JobStatus::Completed, 2));
    assert_eq!(job.phase_details[0].items_reused, 1);

    let steps = d.steps(user, ready.id).await;
    assert!(!steps.is_empty() && steps.iter().all(|s| s.attempt == 2), "{steps:?}");
    let earlier = d.documents.earlier_steps(user, ready.id).await.unwrap();
    assert!(earlier.len() > 1 && earlier.iter().all(|s| s.attempt == 1 && s.document_id == ready.id));
    assert_eq!(earlier.last().map(|s| (s.status, &*s.message)), Some((StepStatus::Error, "It broke.")));
    assert!(earlier.windows(2).all(|w| w[0].started_at <= w[1].started_at));
    assert_eq!(d.documents.earlier_steps(user, documents[0].id).await.unwrap(), []);
    assert_eq!(d.documents.earlier_steps(d.s.user().await, ready.id).await.unwrap(), []);

    let attempts = d.jobs.attempts(user, id).await.unwrap().unwrap();
    assert_eq!(attempts.len(), 2);
    assert_eq!((attempts[0].attempt, attempts[0].metrics), (1, first.metrics));
    assert_eq!(attempts[0].phase_details, first.phase_details);
    assert_eq!((attempts[0].started_at, attempts[0].completed_at), (first.started_at, first.completed_at));
    let mut told: Vec<&str> = attempts[0].errors.iter().map(|e| e.error.as_str()).collect();
    told.sort_unstable();
    assert_eq!(told, ["It broke.", "It cannot be read."]);
    assert!(attempts[1].errors.is_empty());
    let stranger = d.s.user().await;
    assert_eq!(d.jobs.attempts(stranger, id).await.unwrap(), None);
    let theirs = d.jobs.control(stranger, id, Control::Pause, d.now()).await;
    assert!(matches!(theirs, Err(StoreError::NotFound)));
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn attempts_are_read_as_they_are_at_one_moment(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, _) = d.upload(user, workspace, &["a.txt"]).await;
    let id = job.job_id;
    let goes_on = Cell::new(true);
    let tries = async {
        for _ in 0..20 {
            let claim = d.claim_one("w").await;
            d.check(&claim, failed("It broke.")).await.unwrap();
            d.jobs.control(user, id, Control::Retry(Retry::failed()), d.now()).await.unwrap();
        }
        goes_on.set(false);
    };
    let reads = async {
        while goes_on.get() {
            for attempt in d.jobs.attempts(user, id).await.unwrap().unwrap() {
                let is_failed = attempt.status == JobStatus::Failed;
                assert_eq!(!attempt.errors.is_empty(), is_failed, "{attempt:?}");
            }
        }
    };
    futures::join!(tries, reads);
}

async fn a_retry_under_the_same_key_is_begun_once(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, _) = d.upload(user, workspace, &["a.txt"]).await;
    let id = job.job_id;
    let under = async |who: UserId, key: &str, print: &str| {
        let command = Command { id: key.to_owned(), print: print.to_owned() };
        d.jobs.retry_under(who, id, Retry::failed(), command, d.now()).await
    };
    let fails = async || {
        let claim = d.claim_one("w").await;
        d.check(&claim, failed("It broke.")).await.unwrap();
    };
    // What is refused leaves the key as it was.
    assert!(matches!(under(user, "one", "a").await, Err(StoreError::Illegal(_))), "it still goes on");
    fails().await;
    let second = under(user, "one", "a").await.unwrap();
    assert_eq!((second.attempt, second.status), (2, JobStatus::Pending));
    fails().await;
    let before = d.head(user).await;
    let again = under(user, "one", "a").await.unwrap();
    assert_eq!((again.attempt, again.status), (2, JobStatus::Failed), "that attempt is what it was sent for");
    let other = under(user, "one", "b").await;
    assert!(matches!(other, Err(StoreError::OtherCommand)), "{other:?}");
    let stranger = d.s.user().await;
    assert!(matches!(under(stranger, "one", "a").await, Err(StoreError::NotFound)));
    assert_eq!(d.head(user).await, before);
    assert_eq!(under(user, "two", "a").await.unwrap().attempt, 3);
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn one_document_is_paused_and_cancelled_while_the_others_go_on(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt", "b.txt", "c.txt"]).await;
    let claims = d.claim("w", 2).await;
    let [a, b, c] = [documents[0].id, documents[1].id, documents[2].id];
    d.control_document(user, a, DocumentControl::Pause).await;
    assert_eq!(d.document(user, a).await.stopping(), Some("Pausing…"));
    assert_eq!(d.jobs.asked(&worker("w")).await.unwrap(), [a]);
    d.jobs.release(&claims[0], d.now()).await.unwrap();
    assert!(d.document(user, a).await.is_paused());
    d.control_document(user, c, DocumentControl::Cancel { keep_results: true }).await;
    assert!(is_cancelled(&d.document(user, c).await));
    assert!(d.claim("w", 5).await.is_empty(), "nothing is left to take");
    d.work(&claims[1], 3).await;
    assert_eq!(d.document(user, b).await.status, DocumentStatus::Ready);
    assert_eq!(d.job(user, job.job_id).await.status, JobStatus::Paused, "nothing goes on any more");
    let resumed = d.control_document(user, a, DocumentControl::Resume).await;
    assert_eq!(resumed.status, JobStatus::Running);
    let claim = d.claim_one("w").await;
    d.work(&claim, 3).await;
    let done = d.job(user, job.job_id).await;
    assert_eq!((done.status, done.metrics.documents_cancelled), (JobStatus::Completed, 1));
    assert_eq!(done.message, "2 of 3 documents ready, 1 cancelled");
    let refused = d.jobs.control_document(user, a, DocumentControl::Pause, d.now()).await;
    assert!(matches!(refused, Err(StoreError::Illegal(_))));

    // A whole job that is paused says that it has to be resumed first.
    let (job, documents) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    d.control_document(user, documents[0].id, DocumentControl::Pause).await;
    d.control(user, job.job_id, Control::Pause).await;
    let refused = d.jobs.control_document(user, documents[0].id, DocumentControl::Resume, d.now()).await;
    assert!(matches!(refused, Err(StoreError::Refused(r)) if r.code == "job_paused"));
    d.control(user, job.job_id, Control::Resume).await;
    assert!(!d.document(user, documents[0].id).await.is_paused(), "a job resumes all that is in it");
    assert_eq!(d.claim("w", 5).await.len(), 2);
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn the_embedding_is_skipped_in_the_middle(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 5, Stage::Embedding).await;
    let vectors = d.next_vectors(claim.document_id).await;
    d.check(&claim, vectors).await.unwrap();
    let skipped = d.control(user, job.job_id, Control::CancelPhase(PhaseName::Embedding)).await;
    assert_eq!(skipped.phase_details[2].status, PhaseStatus::Skipped);
    assert!(matches!(d.check(&claim, Checkpoint::Indexed).await, Err(StoreError::Fenced)));
    for claim in d.claim("w", 5).await {
        assert!(!claim.embeds);
        d.work(&claim, 5).await;
    }
    let done = d.job(user, job.job_id).await;
    assert_eq!((done.status, done.metrics.chunks_embedded), (JobStatus::Completed, 0));
    for document in documents {
        let document = d.document(user, document.id).await;
        assert_eq!(document.status, DocumentStatus::Ready);
        assert_eq!(document.warnings[0].code, "embedding_skipped");
        assert_eq!(
            d.jobs.unembedded(document.id, 10).await.unwrap().len(),
            5,
            "no half of its vectors stays"
        );
    }
    // Without any other phase there is no job.
    let (job, _) = d.upload(user, workspace, &["a.txt"]).await;
    let job = d.control(user, job.job_id, Control::CancelPhase(PhaseName::Loading)).await;
    assert_eq!(job.status, JobStatus::Cancelled);
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn what_may_heal_waits_for_its_next_try_and_tells_all_messages_in_the_end(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt"]).await;
    for n in 1..=3 {
        let claim = d.claim_one("w").await;
        assert_eq!(d.document(user, claim.document_id).await.retrying(), None);
        let failure = Checkpoint::Failed(Failure {
            code: "model_unreachable".into(),
            message: format!("No answer ({n})."),
            hint: None,
            retryable: true,
        });
        let now = d.now();
        d.jobs.checkpoint(&claim, failure, now).await.unwrap();
        if n < 3 {
            let waiting = d.document(user, claim.document_id).await;
            assert_eq!(waiting.status, DocumentStatus::Processing);
            let said = waiting.retrying().expect("it says so");
            assert!(said.starts_with(&format!("Retry {} of 3 in ", n + 1)), "{said}");
            assert!(d.jobs.claim(&worker("w"), LONG, 5, now).await.unwrap().is_empty(), "it waits");
            d.s.world().clock.advance_seconds(12);
        }
    }
    let document = d.document(user, documents[0].id).await;
    assert_eq!(document.status, DocumentStatus::Failed);
    assert_eq!(
        document.error.as_deref(),
        Some("No answer (3). It was tried 3 times; before: No answer (1). No answer (2).")
    );
    let attempts = d.jobs.attempts(user, job.job_id).await.unwrap().unwrap();
    assert_eq!(attempts[0].errors[0].tries.len(), 3);
    d.assert_that_the_stream_told_the_truth(user).await;
}

on_every_store!(
    a_job_in_hand_is_asked_and_stands_when_the_last_document_is_given_back,
    a_request_outlives_the_worker_that_should_have_honoured_it,
    a_cancel_keeps_what_is_ready_or_takes_it_back,
    a_retry_runs_what_failed_and_the_first_attempt_stays_readable,
    attempts_are_read_as_they_are_at_one_moment,
    a_retry_under_the_same_key_is_begun_once,
    one_document_is_paused_and_cancelled_while_the_others_go_on,
    the_embedding_is_skipped_in_the_middle,
    what_may_heal_waits_for_its_next_try_and_tells_all_messages_in_the_end,
);
