//! What becomes of a job that is paused, retried, cancelled or left without its embedding.

use crate::bench::Bench;
use domain::{
    ids::DocumentId,
    ingest::{
        self,
        control::{self, Control, DocumentControl, Retry},
    },
    resource::CANCELLED,
    status::{DocumentStatus, JobStatus, PhaseName, PhaseStatus},
    timestamp::Timestamp,
};
use uuid::Uuid;

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
