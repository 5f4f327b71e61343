//! Documents that a worker holds and that get nowhere, by a clock that the cases put forward.

use crate::{
    desk::{Desk, JobSubject, LONG, loaded, step, worker},
    on_every_store,
};
use domain::{
    DocumentStatus, Event, JobStatus, Step,
    ingest::{Stage, TRIES},
    resource::STALLED,
    status::Halt,
};
use services::ports::StoreError;

const MINUTES: u32 = 300;

impl<S: JobSubject> Desk<S> {
    /// So many seconds go by, and the watchdog looks.
    async fn look_after(&self, seconds: i64) -> usize {
        self.s.world().clock.advance_seconds(seconds);
        self.jobs.end_stalled(MINUTES, 10, self.now()).await.unwrap()
    }
}

async fn a_document_that_gets_nowhere_says_why_and_is_tried_again(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let claim = d.claim_one("w").await;
    d.check(&claim, step(Step::ExtractingText)).await.unwrap();
    let before = d.head(user).await;
    assert_eq!(d.look_after(290).await, 0, "it is not long enough");
    assert_eq!(d.look_after(20).await, 1);
    assert_eq!(
        d.words_after(user, before).await,
        ["a.txt extracting_text error", "a.txt processing", "job running"]
    );
    let document = d.document(user, documents[0].id).await;
    let why = "There was no progress for 5 minutes while reading the file. Trying again (2 of 3).";
    assert_eq!((document.status, document.stalled()), (DocumentStatus::Processing, Some(why)));
    assert_eq!(document.message.as_deref(), Some(why));
    let told = d.events_after(user, before).await;
    let Event::DocumentStatus(told) = &told[1] else { panic!("{told:?}") };
    assert_eq!(told.stalled(), Some(why), "every browser learns it");
    let running = d.job(user, job.job_id).await;
    assert_eq!((running.status, running.rate, running.eta_seconds), (JobStatus::Running, None, None));
    assert_eq!(running.halted, Some(Halt::Stalled), "nothing else of it moves");

    // Whoever held it writes nothing more, and the heart finds it gone.
    assert!(matches!(d.check(&claim, loaded()).await, Err(StoreError::Fenced)));
    assert!(matches!(d.jobs.gets_on(&claim, d.now()).await, Err(StoreError::Fenced)));
    assert!(d.jobs.heartbeat(&worker("w"), &[claim.document_id], LONG).await.unwrap().is_empty());
    // The next try says so until something is committed.
    let again = d.claim_one("w").await;
    assert_eq!((again.document_id, again.fence), (claim.document_id, claim.fence + 1));
    d.check(&again, step(Step::ExtractingText)).await.unwrap();
    assert!(d.document(user, again.document_id).await.stalled().is_some());
    let before = d.head(user).await;
    d.check(&again, loaded()).await.unwrap();
    assert_eq!(d.document(user, again.document_id).await.stalled(), None);
    assert_eq!(d.job(user, job.job_id).await.halted, None);
    assert_eq!(d.words_after(user, before).await, ["a.txt processing", "job running"]);
    let again = d.claim("w", 5).await;
    assert_eq!(again.len(), 1, "only the other one is left to claim");
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn what_waits_is_never_stalled(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt"]).await;
    let before = d.head(user).await;
    assert_eq!(d.look_after(1_000_000).await, 0);
    // A lease that ran out is the next worker's, and no stall.
    d.claim_and_die("dead", 1).await;
    let claimed = d.head(user).await;
    assert!(claimed > before);
    assert_eq!(d.look_after(1_000_000).await, 0);
    assert_eq!(d.head(user).await, claimed);
    let claim = d.claim_one("w").await;
    // In line for what others use.
    for _ in 0..3 {
        assert_eq!(d.look_after(200).await, 0);
        d.jobs.gets_on(&claim, d.now()).await.unwrap();
    }
    d.work(&claim, 3).await;
    assert_eq!(d.look_after(1_000_000).await, 0, "nor is what is through");
    assert_eq!(d.document(user, documents[0].id).await.status, DocumentStatus::Ready);
    assert_eq!(d.job(user, job.job_id).await.status, JobStatus::Completed);
}

async fn after_the_last_try_it_fails_and_progress_in_between_begins_the_count_anew(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt"]).await;
    let id = documents[0].id;
    for _ in 1..TRIES {
        d.claim_one("w").await;
        assert_eq!(d.look_after(301).await, 1);
    }
    // It gets on after all, and then not any more.
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 4, Stage::Embedding).await;
    assert_eq!(d.document(user, id).await.stalled(), None);
    assert_eq!(d.look_after(301).await, 1);
    for _ in 1..TRIES {
        assert_eq!(d.document(user, id).await.status, DocumentStatus::Processing);
        d.claim_one("w").await;
        assert_eq!(d.look_after(301).await, 1);
    }
    let failed = d.document(user, id).await;
    assert_eq!((failed.status, failed.error_code.as_deref()), (DocumentStatus::Failed, Some(STALLED)));
    assert_eq!(
        failed.error.as_deref(),
        Some("There was no progress for 5 minutes while creating embeddings, 3 times in a row.")
    );
    assert!(failed.warnings.is_empty() && failed.error_hint.is_some(), "{failed:?}");
    assert_eq!(d.job(user, job.job_id).await.status, JobStatus::Failed);
    assert!(d.claim("w", 5).await.is_empty());
    assert_eq!(d.look_after(1_000).await, 0);
    d.assert_that_the_stream_told_the_truth(user).await;
}

on_every_store!(
    a_document_that_gets_nowhere_says_why_and_is_tried_again,
    what_waits_is_never_stalled,
    after_the_last_try_it_fails_and_progress_in_between_begins_the_count_anew,
);
