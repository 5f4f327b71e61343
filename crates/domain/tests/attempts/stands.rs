//! A job or a document that stands, goes on again, or is left without its embedding.

use super::{ask, cancel, counts, new, retry};
use crate::common::{Heard, begins, codes, embedded, fails};
use domain::{
    ingest::{
        self, Checkpoint, ReportError, Stage,
        control::{self, Asked, Retry},
    },
    rag::RagConfig,
    resource::Warning,
    status::{DocumentStatus, Halt, JobRequest, JobStatus, PhaseName, PhaseStatus},
    step::Step,
};

#[test]
fn a_job_that_stood_when_it_was_cancelled_does_not_stand_in_its_next_attempt() {
    for halt in [Halt::Stalled, Halt::Interrupted] {
        let mut heard = new(1);
        heard.start(0);
        let wanted = heard.wanted.clone();
        heard.change(|job, docs, now| match halt {
            Halt::Stalled => ingest::stall(job, &mut docs[0], (300, 1), &wanted, now),
            _ => Ok(ingest::interrupt(job, &mut docs[0], now)),
        });
        assert_eq!((heard.job.job.halted, codes(&heard.docs[0]).len()), (Some(halt), 1));
        cancel(&mut heard, true);
        assert!(codes(&heard.docs[0]).is_empty(), "neither does the document");
        retry(&mut heard, &Retry::failed());
        let job = &heard.job.job;
        assert_eq!((job.halted, job.message.as_str()), (None, "Waiting to retry 1 document"));
    }
}

fn pause(heard: &mut Heard) {
    control::ask(&mut heard.job, JobRequest::Pause, true).unwrap();
    heard.change(|job, _, now| control::honour(job, &mut [], &RagConfig::default(), now));
}

fn resume(heard: &mut Heard) {
    heard.change(|job, _, now| control::resume(job, &mut [], now).map(Option::unwrap));
}

#[test]
fn a_pause_says_where_the_job_stands_and_its_pace_is_measured_from_there_on() {
    let mut heard = new(1);
    pause(&mut heard);
    assert_eq!(heard.job.job.message, "Paused before it started");
    resume(&mut heard);
    let job = &heard.job.job;
    assert_eq!((job.started_at, job.phase_details[0].status), (Some(heard.now()), PhaseStatus::Running));
    assert_eq!(job.message, "Reading: 0 of 1 documents");
    assert_eq!(heard.job.pace.from, Some(heard.now()));

    heard.reach(0, Stage::Embedding);
    heard.does(0, &begins(Step::CreatingEmbeddings));
    heard.does(0, &embedded(3));
    pause(&mut heard);
    assert_eq!(heard.job.job.message, "Paused at 54 %");
    resume(&mut heard);
    assert_eq!(heard.job.job.message, "Creating embeddings: 3 of 6 chunks");
    assert_eq!((heard.job.pace.from, heard.job.pace.units), (Some(heard.now()), [1, 1, 3, 0]));
}

#[test]
fn a_document_of_a_job_that_stands_goes_on_by_itself_only_where_it_is_all_that_is_left() {
    let mut heard = new(2);
    heard.start(0);
    let wanted = heard.wanted.clone();
    ask(&mut heard, 0, Asked::Pause);
    heard.change(|job, docs, now| control::honour_document(job, &mut docs[0], &wanted, now));
    pause(&mut heard);
    let others: [&[&str]; 2] = [&["cancelled"], &["paused", "cancelled"]];
    for (i, alone, goes_on) in [(0, false, false), (1, true, false), (0, true, true)] {
        let mut heard = heard.clone();
        let now = heard.now();
        let answer = control::resume_document(&mut heard.job, &mut heard.docs[i], alone, now);
        assert_eq!(answer.is_ok(), goes_on, "{i} {alone}");
        assert_eq!(heard.job.job.status == JobStatus::Running, goes_on);
        match answer {
            Ok(_) => {}
            Err(ReportError::Refused(refused)) => {
                assert_eq!((refused.code, refused.allowed), ("job_paused", Some(others[i])));
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn without_embedding_a_document_is_to_be_indexed_at_once_and_what_was_said_of_it_is_over() {
    let mut heard = new(1);
    let little = Warning { code: "little_text".into(), message: "There is little text in it.".into() };
    heard.start(0);
    heard.does(0, &Checkpoint::Loaded { pages: None, characters: 9, title: None, warnings: vec![little] });
    heard.reach(0, Stage::Embedding);
    heard.does(0, &begins(Step::CreatingEmbeddings));
    heard.does(0, &embedded(3));
    for _ in 0..2 {
        heard.does(0, &fails("It broke off.", true));
    }
    let mut alone = heard.clone();
    heard.change(|job, docs, now| control::skip_embedding(job, docs, now).map(Option::unwrap));
    let job = &heard.job.job;
    assert_eq!((job.phase, job.phase_details[2].completed_at), (PhaseName::Indexing, Some(heard.now())));
    assert_eq!(heard.job.pace.from, Some(heard.now()));
    alone.change(|job, docs, now| control::skip_document(job, &mut docs[0], now).map(Option::unwrap));
    let embedding = &alone.job.job.phase_details[2];
    assert_eq!(
        (embedding.status, embedding.items_processed, embedding.items_total),
        (PhaseStatus::Completed, 3, 3)
    );
    for mut heard in [heard, alone] {
        let doc = &heard.docs[0];
        assert_eq!((doc.stage, doc.embeds, doc.embedded), (Stage::Indexing, false, 0));
        assert!(doc.document.progress > 93.9, "{}", doc.document.progress);
        assert_eq!((codes(doc), doc.failures.len()), (vec!["little_text"], 0));
        assert_eq!(counts(&heard.job)[..2], [6, 0]);
        heard.does(0, &Checkpoint::Indexed);
        assert_eq!(codes(&heard.docs[0]), ["little_text", "embedding_skipped"]);
    }
}

#[test]
fn a_request_ends_with_the_document_that_became_ready_all_the_same() {
    let mut heard = new(2);
    heard.reach(0, Stage::Indexing);
    ask(&mut heard, 0, Asked::Pause);
    heard.does(0, &Checkpoint::Indexed);
    let doc = &heard.docs[0];
    assert_eq!((doc.document.status, doc.requested, codes(doc).len()), (DocumentStatus::Ready, None, 0));
}
