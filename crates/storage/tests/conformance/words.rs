//! Words that come too soon after others: held back, and told when their time comes, however still it is then. And those
//! about documents that were begun and that nobody holds.

use crate::{
    desk::{Desk, JobSubject, loaded, step, vector_of, worker},
    on_every_store,
};
use domain::{
    DocumentStatus, Event, JobKind, JobStatus, Step, Timestamp, WorkspaceId,
    away::EndedJob,
    ingest::{Checkpoint, DOCUMENT_EVERY_MICROS, JOB_EVERY_MICROS, Stage},
    report::DocumentReport,
    resource::{INTERRUPTED, Warning},
    status::Processor,
};
use services::ports::{Bus, Claim, Signal, heard};
use std::time::Duration;

const MANY: u32 = 100;

impl<S: JobSubject> Desk<S> {
    /// What was told since, by the words that people read.
    async fn progress_after(&self, user: domain::UserId, seq: u64) -> Vec<(f64, String)> {
        let told = self.events_after(user, seq).await.into_iter().filter_map(|event| match event {
            Event::FileProgress(p) => Some((p.progress, p.message)),
            _ => None,
        });
        told.collect()
    }
}

async fn the_last_word_of_a_step_comes_out_when_nothing_follows_it(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (job, documents) = d.upload(user, workspace, &["a.txt"]).await;
    let id = documents[0].id;
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 9, Stage::Embedding).await;
    let mut bus = d.s.world().bus.subscribe();
    let begun = d.now();
    d.jobs.checkpoint(&claim, step(Step::CreatingEmbeddings), begun).await.unwrap();
    assert_eq!(d.jobs.tell_rest(MANY, begun).await.unwrap(), None, "nothing is held back yet");
    let mut before = d.head(user).await;
    // Two batches right after it: neither is told at once.
    for micros in [50_000, 120_000] {
        let left = d.jobs.unembedded(id, 3).await.unwrap();
        let vectors = left.iter().map(|c| (c.id, vector_of(c.id))).collect();
        let at = begun.plus_micros(micros);
        d.jobs.checkpoint(&claim, Checkpoint::Embedded { vectors }, at).await.unwrap();
    }
    assert_eq!(d.words_after(user, before).await, [""; 0]);
    let woken = heard(&mut bus, |signal| matches!(signal, Signal::HeldBack));
    tokio::time::timeout(Duration::from_secs(60), woken).await.expect("whoever tells the rest is woken");
    let job_due = begun.plus_micros(JOB_EVERY_MICROS);
    assert_eq!(d.jobs.tell_rest(MANY, begun.plus_micros(199_999)).await.unwrap(), Some(job_due));
    assert_eq!(d.words_after(user, before).await, [""; 0], "before its time nothing is told");

    let due = begun.plus_micros(DOCUMENT_EVERY_MICROS);
    assert_eq!(d.jobs.tell_rest(MANY, job_due).await.unwrap(), Some(due));
    let told = d.events_after(user, before).await;
    let [Event::JobUpdate(told)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(told.metrics.chunks_embedded, 6, "with all that happened since");
    assert_eq!(told, &d.job(user, job.job_id).await);
    before = d.head(user).await;
    assert_eq!(d.jobs.tell_rest(MANY, due).await.unwrap(), None);
    let said = d.document(user, id).await;
    assert_eq!(d.progress_after(user, before).await, [(said.progress, said.message.clone().unwrap())]);
    assert!(said.message.unwrap().contains("6 of 9"), "the newest word and no older one");
    // Once, and not again.
    before = d.head(user).await;
    assert_eq!(d.jobs.tell_rest(MANY, due.plus_seconds(9)).await.unwrap(), None);
    assert_eq!(d.head(user).await, before);
    let claim = Claim { stage: Stage::Embedding, ..claim };
    d.work_until(&claim, 9, Stage::Done).await;
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn what_a_newer_word_took_along_is_not_told_again(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (_, documents) = d.upload(user, workspace, &["a.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 3, Stage::Embedding).await;
    let begun = d.now();
    d.jobs.checkpoint(&claim, step(Step::CreatingEmbeddings), begun).await.unwrap();
    let vectors = d.next_vectors(documents[0].id).await;
    d.jobs.checkpoint(&claim, vectors, begun.plus_micros(10_000)).await.unwrap();
    // Its failure tells where it stood.
    let failed = crate::desk::failed("It broke.");
    d.jobs.checkpoint(&claim, failed, begun.plus_micros(20_000)).await.unwrap();
    let before = d.head(user).await;
    assert_eq!(d.jobs.tell_rest(MANY, begun.plus_seconds(5)).await.unwrap(), None);
    assert_eq!(d.words_after(user, before).await, [""; 0]);
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn a_clock_that_was_put_back_silences_nothing(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (_, documents) = d.upload(user, workspace, &["a.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 9, Stage::Embedding).await;
    let begun = d.now();
    d.jobs.checkpoint(&claim, step(Step::CreatingEmbeddings), begun).await.unwrap();
    let before = d.head(user).await;
    let vectors = d.next_vectors(documents[0].id).await;
    let hour_before = Timestamp::from_micros(begun.micros() - 3_600_000_000);
    d.jobs.checkpoint(&claim, vectors, hour_before).await.unwrap();
    assert_eq!(d.progress_after(user, before).await.len(), 1);
}

/// What an outside worker says, with the progress and nothing else.
fn says(progress: f64, step: Option<&str>, message: &str) -> DocumentReport {
    DocumentReport {
        step: step.map(str::to_owned),
        progress: Some(progress),
        message: Some(message.to_owned()),
        ..DocumentReport::of(DocumentStatus::Processing)
    }
}

async fn outside(d: &Desk<impl JobSubject>) -> (domain::UserId, WorkspaceId) {
    let (user, workspace) = d.home().await;
    d.s.set_processor(user, workspace, Processor::External).await;
    (user, workspace)
}

async fn the_last_word_of_an_outside_worker_comes_out(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = outside(&d).await;
    let (_, documents) = d.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let (stepped, stepless) = (documents[0].id, documents[1].id);
    let begun = d.now();
    let report = |id, progress, step, message: &str, at| {
        d.jobs.report_document(user, id, says(progress, step, message), at)
    };
    report(stepped, 5.0, Some("own_step"), "one", begun).await.unwrap();
    report(stepless, 5.0, None, "one", begun).await.unwrap();
    // Without a step the first word after the turn waits for nothing; the next one does.
    report(stepless, 6.0, None, "two", begun.plus_micros(1_000)).await.unwrap();
    let before = d.head(user).await;
    for (n, message) in ["two", "three", "four"].into_iter().enumerate() {
        let at = begun.plus_micros(100_000 + n as i64);
        report(stepped, 10.0 + n as f64, Some("own_step"), message, at).await.unwrap();
        report(stepless, 10.0 + n as f64, None, message, at).await.unwrap();
    }
    let told = d.words_after(user, before).await;
    assert_eq!(told, [""; 0]);
    d.jobs.tell_rest(MANY, begun.plus_seconds(1)).await.unwrap();
    assert_eq!(d.progress_after(user, before).await, [(12.0, "four".to_owned())]);
    let told = d.events_after(user, before).await.into_iter().find_map(|event| match event {
        Event::DocumentStatus(document) => Some(document),
        _ => None,
    });
    let told = told.expect("the other one is told as a whole");
    assert_eq!((told.id, told.progress, told.message.as_deref()), (stepless, 12.0, Some("four")));
}

async fn few_are_told_at_once_and_the_longest_held_back_first(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = outside(&d).await;
    let (_, documents) = d.upload(user, workspace, &["a.txt", "b.txt", "c.txt"]).await;
    let begun = d.now();
    for (n, document) in documents.iter().rev().enumerate() {
        for (progress, micros) in [(1.0, 0), (2.0, 1_000)] {
            let at = begun.plus_micros(n as i64 * 10_000 + micros);
            d.jobs
                .report_document(user, document.id, says(progress, Some("own_step"), "at it"), at)
                .await
                .unwrap();
        }
    }
    let before = d.head(user).await;
    let later = begun.plus_seconds(2);
    let next = d.jobs.tell_rest(2, later).await.unwrap();
    assert_eq!(next, Some(begun.plus_micros(20_000 + DOCUMENT_EVERY_MICROS)), "the third is overdue");
    assert_eq!(d.progress_after(user, before).await.len(), 2);
    assert_eq!(d.jobs.tell_rest(2, later).await.unwrap(), None);
    assert_eq!(d.progress_after(user, before).await.len(), 3);
}

async fn a_document_whose_worker_is_gone_says_so_until_the_next_one_takes_it(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (_, documents) = d.upload(user, workspace, &["a.txt", "b.txt", "c.txt"]).await;
    let (dead, given_back, waiting) = (documents[0].id, documents[1].id, documents[2].id);
    d.claim_one("dead").await;
    let held = d.claim_one("w").await;
    // The lease of the first runs out, and the second is in good hands.
    d.jobs.heartbeat(&worker("dead"), &[dead], 0).await.unwrap();
    d.s.world().clock.advance_seconds(2);
    assert_eq!(d.jobs.tell_interrupted(60, MANY, d.now()).await.unwrap(), 0, "it may be taken any moment");
    d.s.world().clock.advance_seconds(60);
    let before = d.head(user).await;
    assert_eq!(d.jobs.tell_interrupted(60, MANY, d.now()).await.unwrap(), 1);
    assert_eq!(d.words_after(user, before).await, ["a.txt processing", "job running"]);
    let told = d.document(user, dead).await;
    assert!(told.interrupted().unwrap().contains("goes on by itself"), "{told:?}");
    assert_eq!(d.jobs.tell_interrupted(60, MANY, d.now()).await.unwrap(), 0, "it is said once");
    for id in [given_back, waiting] {
        assert_eq!(d.document(user, id).await.interrupted(), None);
    }
    // One that is given back and that nobody takes is no better off.
    d.jobs.release(&held, d.now()).await.unwrap();
    d.s.world().clock.advance_seconds(61);
    assert_eq!(d.jobs.tell_interrupted(60, MANY, d.now()).await.unwrap(), 1);
    assert!(d.document(user, given_back).await.interrupted().is_some());
    assert_eq!(d.document(user, waiting).await.status, DocumentStatus::Pending, "that one only waits");

    let before = d.head(user).await;
    let claims = d.claim("w", 2).await;
    assert_eq!(claims.len(), 2);
    for id in [dead, given_back] {
        assert_eq!(d.document(user, id).await.warnings, [], "the next worker has it");
    }
    let told = d.words_after(user, before).await;
    assert!(
        told.contains(&"a.txt processing".to_owned()) && told.contains(&"b.txt processing".to_owned()),
        "{told:?}"
    );
    for claim in &claims {
        d.work(claim, 3).await;
    }
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn a_worker_that_was_only_slow_takes_the_word_back_with_its_next_piece_of_work(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let (_, documents) = d.upload(user, workspace, &["a.txt"]).await;
    let claim = d.claim_and_die("slow", 1).await.remove(0);
    d.check(&claim, step(Step::ExtractingText)).await.unwrap();
    d.s.world().clock.advance_seconds(100);
    let before = d.head(user).await;
    assert_eq!(d.jobs.tell_interrupted(60, MANY, d.now()).await.unwrap(), 1);
    assert_eq!(
        d.words_after(user, before).await,
        ["a.txt extracting_text error", "a.txt processing", "job running"],
        "no clock runs on at its step"
    );
    let said = d.document(user, documents[0].id).await.warnings;
    assert!(matches!(&said[..], [Warning { code, .. }] if code == INTERRUPTED), "{said:?}");
    d.check(&claim, loaded()).await.unwrap();
    assert_eq!(d.document(user, documents[0].id).await.warnings, []);
    d.assert_that_the_stream_told_the_truth(user).await;
}

async fn the_end_of_an_attempt_is_told_by_the_first_who_asks(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let stranger = d.s.user().await;
    let (job, _) = d.upload(user, workspace, &["a.txt"]).await;
    let id = job.job_id;
    assert!(!d.jobs.tell_end(stranger, id, 1).await.unwrap());
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let jobs = d.jobs.clone();
            tokio::spawn(async move { jobs.tell_end(user, id, 1).await.unwrap() })
        })
        .collect();
    let mut first = 0;
    for asked in asking {
        first += usize::from(asked.await.unwrap());
    }
    assert_eq!(first, 1);
    assert!(d.jobs.tell_end(user, id, 3).await.unwrap(), "another attempt has another end");
    assert!(!d.jobs.tell_end(user, id, 2).await.unwrap(), "an older one is no news any more");
    assert!(!d.jobs.tell_end(user, domain::JobId::new(d.s.world().uuid()), 1).await.unwrap());
}

async fn what_ended_while_nobody_looked_is_told_once(s: impl JobSubject) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let stranger = d.s.user().await;
    let finish = async |names: &[&str]| {
        let (job, _) = d.upload(user, workspace, names).await;
        for _ in names {
            let claim = d.claim_one("w").await;
            d.work(&claim, 3).await;
        }
        assert_eq!(d.job(user, job.job_id).await.status, JobStatus::Completed);
        job.job_id
    };
    let missed = finish(&["a.txt", "b.txt"]).await;
    let seen = finish(&["c.txt"]).await;
    assert!(d.jobs.tell_end(user, seen, 1).await.unwrap(), "somebody saw it");
    let place = d.head(user).await;
    finish(&["d.txt"]).await;
    finish(&["e.txt"]).await;
    d.upload(user, workspace, &["f.txt"]).await;
    assert_eq!(d.jobs.tell_ends(stranger, u64::MAX, MANY).await.unwrap(), []);
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let jobs = d.jobs.clone();
            tokio::spawn(async move { jobs.tell_ends(user, place, MANY).await.unwrap() })
        })
        .collect();
    let mut told = vec![];
    for asked in asking {
        told.extend(asked.await.unwrap());
    }
    let (kind, status) = (JobKind::Upload, JobStatus::Completed);
    assert_eq!(told, [EndedJob { workspace, kind, status, documents_done: 2, documents_failed: 0 }]);
    assert!(!d.jobs.tell_end(user, missed, 1).await.unwrap(), "it is told, also to a tab that was slow");
    // What ended behind that place is told to whoever asks for it; what is under way has no end.
    for left in [1, 1, 0] {
        assert_eq!(d.jobs.tell_ends(user, u64::MAX, 1).await.unwrap().len(), left);
    }
}

on_every_store!(
    what_ended_while_nobody_looked_is_told_once,
    the_end_of_an_attempt_is_told_by_the_first_who_asks,
    the_last_word_of_a_step_comes_out_when_nothing_follows_it,
    what_a_newer_word_took_along_is_not_told_again,
    a_clock_that_was_put_back_silences_nothing,
    the_last_word_of_an_outside_worker_comes_out,
    few_are_told_at_once_and_the_longest_held_back_first,
    a_document_whose_worker_is_gone_says_so_until_the_next_one_takes_it,
    a_worker_that_was_only_slow_takes_the_word_back_with_its_next_piece_of_work,
);
