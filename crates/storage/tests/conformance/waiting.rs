//! Documents whose embedding model cannot be had: they wait, and nothing is held against them.

use crate::{
    desk::{Desk, JobSubject, loaded, step},
    on_every_store,
};
use domain::{
    DocumentStatus, JobStatus, Step, Timestamp,
    ingest::{Checkpoint, Stage, TRIES, control::Control},
    rag::Outage,
    resource::WAITING,
    shown::Shown,
    status::Halt,
};

/// No document comes back later than that after the next try of its server.
const SPREAD: i64 = 2;

fn away(since: Timestamp, next_try: Timestamp) -> Checkpoint {
    Checkpoint::Waits(Outage { since, next_try, busy: false })
}

async fn a_document_waits_for_its_model_however_often_that_is_tried(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt"]).await;
    let mut claim = d.claim_one("w").await;
    d.work_until(&claim, 4, Stage::Embedding).await;
    let before = d.head(user).await;
    let since = d.now();
    d.check(&claim, away(since, since.plus_seconds(8))).await.unwrap();
    let told = d.words_after(user, before).await;
    assert_eq!(
        told,
        [
            "a.txt duplicate_check complete",
            "a.txt creating_embeddings in_progress",
            "a.txt creating_embeddings error",
            "a.txt processing",
            "job running"
        ]
    );
    let document = d.document(user, documents[0].id).await;
    let why = document.waiting().expect("it says what it waits for");
    assert!(why.starts_with("The embedding server is unreachable since "), "{why}");
    assert_eq!(document.message.as_deref(), Some(why));
    let running = d.job(user, job.job_id).await;
    assert_eq!((running.status, running.halted), (JobStatus::Running, Some(Halt::Waiting)));
    assert!(running.message.contains("It is asked again at "), "{}", running.message);
    assert_eq!(Shown::of_document(&document, Some(&running)), Shown::Waiting);

    // Nobody gets it before the server is tried again, and it is not called interrupted meanwhile.
    assert!(d.claim("w", 1).await.is_empty());
    d.s.world().clock.advance_seconds(4);
    assert_eq!(d.jobs.tell_interrupted(1, 10, d.now()).await.unwrap(), 0);
    // As often as that is: no try is counted, and it is told once.
    let told = d.events_after(user, 0).await.len();
    for _ in 0..TRIES + 2 {
        d.s.world().clock.advance_seconds(8 + SPREAD);
        claim = d.claim_one("w").await;
        assert_eq!(claim.stage, Stage::Embedding);
        let now = d.now();
        d.check(&claim, away(since, now.plus_seconds(8))).await.unwrap();
        let document = d.document(user, documents[0].id).await;
        assert_eq!((document.status, document.waiting().is_some()), (DocumentStatus::Processing, true));
    }
    let of_document = d.events_after(user, 0).await.split_off(told);
    assert!(of_document.iter().all(|event| event.name() == "job_update"), "{of_document:?}");
    d.s.world().clock.advance_seconds(8 + SPREAD);
    let claim = d.claim_one("w").await;
    d.check(&claim, step(Step::CreatingEmbeddings)).await.unwrap();
    assert!(d.document(user, claim.document_id).await.waiting().is_some(), "it got nowhere yet");
    let vectors = d.next_vectors(claim.document_id).await;
    d.check(&claim, vectors).await.unwrap();
    assert!(d.document(user, claim.document_id).await.waiting().is_none());
    let running = d.job(user, job.job_id).await;
    assert_eq!(running.halted, None);
    assert!(running.message.starts_with("Creating embeddings"), "{}", running.message);
    let vectors = d.next_vectors(claim.document_id).await;
    d.check(&claim, vectors).await.unwrap();
    d.check(&claim, Checkpoint::Indexed).await.unwrap();
    assert_eq!(d.job(user, job.job_id).await.status, JobStatus::Completed);
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn the_others_go_on_and_what_waits_can_be_stopped(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt", "b.txt", "c.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 2, Stage::Embedding).await;
    let now = d.now();
    d.check(&claim, away(now, now.plus_seconds(30))).await.unwrap();
    assert_eq!(d.job(user, job.job_id).await.halted, None, "others of it move");
    let claim = d.claim_one("w").await;
    assert_eq!(claim.document_id, documents[1].id);
    d.check(&claim, loaded()).await.unwrap();
    d.jobs.release(&claim, d.now()).await.unwrap();
    d.jobs.control(user, job.job_id, Control::Cancel { keep_results: true }, d.now()).await.unwrap();
    let document = d.document(user, documents[0].id).await;
    assert_eq!(document.status, DocumentStatus::Failed);
    assert!(document.warnings.iter().all(|w| w.code != WAITING), "{document:?}");
}

on_every_store!(
    a_document_waits_for_its_model_however_often_that_is_tried,
    the_others_go_on_and_what_waits_can_be_stopped,
);
