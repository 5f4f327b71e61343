//! The next attempt of a job: what it runs again, from where, and what it counts of the attempts before. And what becomes of
//! a document, or a job, that is cancelled, goes on after a pause, or is left without its embedding.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

#[path = "../common/mod.rs"]
mod common;
mod stands;
mod turns;

use common::{Heard, begins, chunks, codes, embedded, fails, loaded};
use domain::{
    event::Event,
    ids::JobId,
    ingest::{
        self, Checkpoint, DocumentState, JobState, ReportError, Stage, Told,
        control::{self, Asked, Retry, RetryScope},
    },
    rag::{RagConfig, RetrieverType},
    resource::{CANCELLED, Warning},
    status::{DocumentStatus, JobRequest, JobStatus, PhaseName, PhaseStatus},
    step::Step,
    timestamp::Timestamp,
};
use uuid::Uuid;

fn new(documents: u32) -> Heard {
    Heard::new(documents, &RagConfig::default())
}

fn retry(heard: &mut Heard, retry: &Retry) -> Told {
    heard.change(|job, docs, now| control::retry(job, docs, retry, now).map(Option::unwrap))
}

/// What is answered to a retry that begins nothing; it changes nothing either.
fn refused(heard: &Heard, retry: &Retry) -> Result<Option<Told>, ReportError> {
    let mut heard = heard.clone();
    let before = (heard.job.clone(), heard.docs.clone());
    let answer = control::retry(&mut heard.job, &mut heard.docs, retry, Timestamp::default());
    assert_eq!((heard.job, heard.docs), before);
    answer
}

fn all() -> Retry {
    Retry { scope: RetryScope::All, ..Retry::failed() }
}

fn phase(phase: PhaseName) -> Retry {
    Retry { scope: RetryScope::Phase, phase: Some(phase), ..Retry::failed() }
}

fn cancel(heard: &mut Heard, keep_results: bool) {
    control::ask(&mut heard.job, JobRequest::Cancel, keep_results).unwrap();
    let wanted = heard.wanted.clone();
    heard.change(|job, docs, now| control::honour(job, docs, &wanted, now));
}

fn ask(heard: &mut Heard, i: usize, asked: Asked) {
    heard.change(|job, docs, now| control::ask_document(job, &mut docs[i], asked, now).map(Option::unwrap));
}

fn cancel_document(heard: &mut Heard, i: usize, asked: Asked) {
    ask(heard, i, asked);
    assert!(heard.docs[i].document.stopping().is_some());
    let wanted = heard.wanted.clone();
    heard.change(|job, docs, now| control::honour_document(job, &mut docs[i], &wanted, now));
}

/// A document fails in that stage, when so many of its passages are through there.
fn fail_in(heard: &mut Heard, i: usize, stage: Stage, done: u32) {
    heard.reach(i, stage);
    if stage == Stage::Embedding && done > 0 {
        heard.does(i, &begins(Step::CreatingEmbeddings));
        heard.does(i, &embedded(done));
    } else if done > 0 {
        let passage = chunks(1)[0].id;
        heard.does(i, &Checkpoint::Read { passage, graph: None, asked: done.into() });
    }
    heard.does(i, &fails("It is broken.", false));
}

#[test]
fn an_attempt_counts_what_the_ones_before_did_and_goes_on_from_there() {
    use PhaseStatus::{Completed as C, Pending as P};
    use Stage::{Chunking, Embedding, Indexing, Loading};
    // Where its documents failed; of each phase status, total, what is done and its bar; the bar of the first document.
    let table = [
        (
            vec![(Indexing, 0)],
            [C, C, C, P],
            [1u64, 1, 6, 6],
            [1u64, 1, 6, 0],
            [100.0, 100.0, 100.0, 0.0],
            94.0,
        ),
        (vec![(Indexing, 3)], [C, C, C, P], [1, 1, 6, 6], [1, 1, 6, 3], [100.0, 100.0, 100.0, 50.0], 97.0),
        (
            vec![(Indexing, 0), (Loading, 0)],
            [P, P, P, P],
            [2, 2, 6, 6],
            [1, 1, 6, 0],
            [50.0, 50.0, 50.0, 0.0],
            94.0,
        ),
        (
            vec![(Embedding, 3), (Loading, 0)],
            [P, P, P, P],
            [2, 2, 6, 6],
            [1, 1, 3, 0],
            [50.0, 50.0, 25.0, 0.0],
            54.0,
        ),
        (vec![(Chunking, 0)], [C, P, P, P], [1, 1, 0, 0], [1, 0, 0, 0], [100.0, 0.0, 0.0, 0.0], 10.0),
        (vec![(Loading, 0)], [P, P, P, P], [1, 1, 0, 0], [0, 0, 0, 0], [0.0, 0.0, 0.0, 0.0], 0.0),
    ];
    for (failed, statuses, totals, done, bars, of_document) in table {
        let mut heard = new(failed.len() as u32);
        for (i, (stage, done)) in failed.iter().enumerate() {
            fail_in(&mut heard, i, *stage, *done);
        }
        assert_eq!((heard.job.job.status, heard.job.job.error.is_some()), (JobStatus::Failed, true));
        retry(&mut heard, &Retry::failed());
        let job = &heard.job.job;
        let p = &job.phase_details;
        assert_eq!(p.iter().map(|p| p.status).collect::<Vec<_>>(), statuses, "{failed:?}");
        assert_eq!(p.iter().map(|p| p.items_total).collect::<Vec<_>>(), totals, "{failed:?}");
        assert_eq!(p.iter().map(|p| p.items_processed).collect::<Vec<_>>(), done, "{failed:?}");
        assert_eq!(p.iter().map(|p| p.items_reused).collect::<Vec<_>>(), done, "{failed:?}");
        for (p, bar) in p.iter().zip(bars) {
            assert!((p.progress - bar).abs() < 1e-6, "{p:?}");
            assert_eq!(p.completed_at.is_some(), p.status == C, "{p:?}");
        }
        let weighed = 0.10 * bars[0] + 0.04 * bars[1] + 0.80 * bars[2] + 0.06 * bars[3];
        assert!((job.progress - weighed).abs() < 1e-6, "{} for {weighed}", job.progress);
        assert_eq!(Some(job.phase), p.iter().find(|p| p.status == P).map(|p| p.name));
        assert_eq!((job.status, job.attempt, &job.error), (JobStatus::Pending, 2, &None));
        assert_eq!((heard.job.pace.from, heard.job.pace.units), (None, done));
        let d = &heard.docs[0].document;
        assert!((d.progress - of_document).abs() < 1e-6, "{} for {of_document}", d.progress);
        assert_eq!((d.attempt, &d.step, &d.message), (2, &None, &None));
        assert_eq!((&d.error, &d.error_code, &d.error_hint), (&None, &None, &None));
        assert!(heard.docs[0].failures.is_empty());
    }
}

#[test]
fn a_job_that_failed_or_was_cancelled_is_in_the_phase_in_which_it_ended() {
    use PhaseName::{Chunking, Embedding, Indexing, Loading};
    // Each phase is begun by its first step.
    for (stage, step, name) in [
        (Stage::Loading, Step::ExtractingText, Loading),
        (Stage::Chunking, Step::ChunkingText, Chunking),
        (Stage::Embedding, Step::CreatingEmbeddings, Embedding),
        (Stage::Indexing, Step::StoringMetadata, Indexing),
    ] {
        let mut heard = new(1);
        heard.reach(0, stage);
        heard.does(0, &begins(step));
        let mut stopped = heard.clone();
        heard.does(0, &fails("It is broken.", false));
        let job = &heard.job.job;
        assert_eq!((job.status, job.phase), (JobStatus::Failed, name));
        assert_eq!(job.phase_details[name.index()].status, PhaseStatus::Failed);
        cancel(&mut stopped, true);
        let job = &stopped.job.job;
        assert_eq!((job.status, job.phase), (JobStatus::Cancelled, name));
        assert_eq!(job.phase_details[name.index()].status, PhaseStatus::Cancelled);
    }
    // Of several, the first.
    let mut heard = new(2);
    fail_in(&mut heard, 0, Stage::Embedding, 3);
    fail_in(&mut heard, 1, Stage::Loading, 0);
    assert_eq!((heard.job.job.status, heard.job.job.phase), (JobStatus::Failed, Loading));
}

#[test]
fn an_attempt_without_vectors_leaves_their_phase_out_and_one_with_some_does_not() {
    let keyword = RagConfig { retriever_type: RetrieverType::Keyword, ..RagConfig::default() };
    let mut heard = Heard::new(1, &keyword);
    fail_in(&mut heard, 0, Stage::Indexing, 0);
    retry(&mut heard, &Retry::failed());
    assert_eq!(heard.job.job.phase_details[2].status, PhaseStatus::Skipped);
    heard.reach(0, Stage::Done);
    assert!(codes(&heard.docs[0]).is_empty(), "nobody left anything out");

    let mut heard = new(2);
    heard.start(0);
    heard.change(|job, docs, now| control::skip_document(job, &mut docs[0], now).map(Option::unwrap));
    for i in 0..2 {
        fail_in(&mut heard, i, Stage::Indexing, 0);
    }
    retry(&mut heard, &Retry::failed());
    let embedding = &heard.job.job.phase_details[2];
    assert_eq!((embedding.status, embedding.items_total), (PhaseStatus::Completed, 6));
}

/// One that is ready, one that could not be read, and one that failed while it was embedded.
fn partly() -> Heard {
    let mut heard = new(3);
    heard.reach(0, Stage::Done);
    fail_in(&mut heard, 1, Stage::Loading, 0);
    fail_in(&mut heard, 2, Stage::Embedding, 3);
    assert_eq!(heard.job.job.status, JobStatus::Completed);
    heard
}

#[test]
fn a_retry_runs_what_it_means_and_nothing_else() {
    let partly = partly();
    let document = |i: usize| Retry::document(partly.docs[i].document.id);
    let ids = partly.docs[..2].iter().map(|d| d.document.id).collect();
    let both = Retry { document_ids: ids, ..document(0) };
    let again = [
        (Retry::failed(), [1u32, 2, 2]),
        (all(), [2, 2, 2]),
        (phase(PhaseName::Loading), [1, 2, 1]),
        (phase(PhaseName::Embedding), [1, 1, 2]),
        (document(2), [1, 1, 2]),
        (both, [1, 2, 1]),
    ];
    let attempts = |heard: &Heard| heard.docs.iter().map(|d| d.document.attempt).collect::<Vec<_>>();
    for (wanted, expected) in again {
        let mut heard = partly.clone();
        retry(&mut heard, &wanted);
        assert_eq!(attempts(&heard), expected, "{wanted:?}");
        // Asked for once more it is the same attempt.
        assert_eq!(refused(&heard, &wanted), Ok(None), "{wanted:?}");
    }
    let page = Retry::page("https://example.org/".into(), None);
    let may = |answer: Result<Option<Told>, ReportError>| match answer {
        Err(ReportError::Refused(nothing)) if nothing.code == "nothing_to_retry" => nothing.allowed,
        other => panic!("{other:?}"),
    };
    for nothing in [document(0), phase(PhaseName::Indexing), page] {
        let again: &[&str] = &["pending"];
        assert_eq!(may(refused(&partly, &nothing)), Some(again), "{nothing:?}");
    }
    // Whatever were asked for, others have all of it by now.
    let mut gone = partly.clone();
    gone.docs.iter_mut().for_each(|d| d.document.job_id = Some(JobId::new(Uuid::from_u128(9))));
    assert_eq!(may(refused(&gone, &Retry::failed())).map(<[_]>::len), Some(0));
    // What that attempt does not have is not lost without a word.
    let mut heard = partly.clone();
    retry(&mut heard, &Retry::failed());
    for more in [all(), document(0)] {
        assert!(matches!(refused(&heard, &more), Err(ReportError::Illegal(_))), "{more:?}");
    }
    let mut heard = partly.clone();
    retry(&mut heard, &document(2));
    assert!(matches!(refused(&heard, &Retry::failed()), Err(ReportError::Illegal(_))));
    // One that another job has by now is left to that.
    let mut heard = partly.clone();
    heard.docs[1].document.job_id = Some(JobId::new(Uuid::from_u128(9)));
    control::retry(&mut heard.job, &mut heard.docs, &Retry::failed(), Timestamp::default()).unwrap();
    assert_eq!(attempts(&heard), [1, 1, 2]);
}

#[test]
fn a_job_in_which_nothing_failed_is_not_retried_whatever_is_asked_for() {
    let mut heard = new(1);
    heard.reach(0, Stage::Done);
    let document = Retry::document(heard.docs[0].document.id);
    for wanted in [Retry::failed(), all(), phase(PhaseName::Embedding), document] {
        let answer = refused(&heard, &wanted);
        assert!(matches!(&answer, Err(ReportError::Illegal(e)) if e.allowed.is_empty()), "{answer:?}");
    }
}

#[test]
fn what_its_documents_failed_by_is_kept_of_an_attempt_and_each_of_several_tries() {
    let mut heard = new(2);
    for (i, tries) in [(0, 1), (1, 3)] {
        heard.start(i);
        for _ in 0..tries {
            heard.does(i, &fails("It is broken.", tries > 1));
        }
    }
    let tries = |heard: &Heard| {
        let told = control::attempt_of(&heard.job.job, &heard.docs);
        told.errors.iter().map(|e| e.tries.len()).collect::<Vec<_>>()
    };
    assert_eq!(tries(&heard), [0, 3]);
    // The next attempt has tries of its own.
    retry(&mut heard, &Retry::failed());
    heard.start(1);
    heard.does(1, &fails("It is broken.", true));
    assert!(ingest::waits_for_retry(&heard.docs[1]));
}

/// What a job counts of passages: made, with a vector, and their tokens; and pages and documents.
fn counts(job: &JobState) -> [u64; 6] {
    let m = job.job.metrics;
    [m.chunks_created, m.chunks_embedded, m.tokens, m.pages_found, m.documents_done, m.documents_failed]
}

#[test]
fn everything_from_the_beginning_is_made_beside_what_is_found() {
    let mut heard = new(2);
    heard.reach(0, Stage::Done);
    fail_in(&mut heard, 1, Stage::Embedding, 3);
    assert_eq!(counts(&heard.job), [12, 9, 12, 4, 1, 1]);
    retry(&mut heard, &all());
    assert_eq!(counts(&heard.job), [0; 6]);
    let stands = |d: &DocumentState| (d.stage, d.live, d.document.chunk_count, d.generation);
    assert_eq!(stands(&heard.docs[0]), (Stage::Loading, 1, 6, 2), "it is found meanwhile");
    assert_eq!(stands(&heard.docs[1]), (Stage::Loading, 0, 0, 2));
    for i in 0..2 {
        heard.reach(i, Stage::Done);
        assert_eq!(stands(&heard.docs[i]), (Stage::Done, 2, 6, 2));
    }
    assert_eq!(counts(&heard.job), [12, 12, 12, 4, 2, 0]);
}

/// Two documents that are found and are to be made anew. A third one failed, and was deleted since.
fn anew() -> Heard {
    let mut heard = new(3);
    (0..2).for_each(|i| heard.reach(i, Stage::Done));
    fail_in(&mut heard, 2, Stage::Loading, 0);
    heard.docs.truncate(2);
    retry(&mut heard, &all());
    heard
}

#[test]
fn a_cancel_of_what_is_made_anew_keeps_what_is_found_or_takes_that_back_too() {
    let mut heard = anew();
    heard.start(0);
    cancel(&mut heard, true);
    for doc in &heard.docs {
        assert_eq!((doc.document.status, doc.live), (DocumentStatus::Ready, 1));
        assert_eq!(codes(doc), ["reindex_cancelled"]);
    }
    let mut heard = anew();
    heard.start(0);
    cancel(&mut heard, false);
    heard.docs.iter().for_each(is_gone);
}

/// Nothing is left of what was made of it.
fn is_gone(doc: &DocumentState) {
    let d = &doc.document;
    assert_eq!((d.status, d.error_code.as_deref()), (DocumentStatus::Failed, Some(CANCELLED)));
    assert_eq!((doc.live, doc.live_chunks, &doc.indexed, doc.found_since), (0, 0, &None, None));
    assert_eq!((d.chunk_count, d.stale, &d.indexed_with), (0, false, &None));
    assert_eq!((doc.reached, codes(doc).len()), (Stage::Loading, 0));
}

#[test]
fn what_is_taken_back_is_counted_once_as_cancelled() {
    for by_itself in [true, false] {
        let mut heard = anew();
        heard.start(0);
        if by_itself {
            cancel_document(&mut heard, 0, Asked::Cancel);
        } else {
            heard.does(0, &fails("It is broken.", false));
        }
        assert_eq!(heard.docs[0].document.status, DocumentStatus::Ready, "as before");
        heard.start(1);
        cancel(&mut heard, false);
        heard.docs.iter().for_each(is_gone);
        let d = &heard.docs[0].document;
        assert_eq!((&d.step, &d.message), (&Some(Step::Finished), &None));
        let m = heard.job.job.metrics;
        assert_eq!((m.documents_done, m.documents_failed, m.documents_cancelled), (0, 3, 2));
    }
    // One that failed in an earlier attempt and was ready in this one.
    let mut heard = new(2);
    fail_in(&mut heard, 0, Stage::Embedding, 3);
    fail_in(&mut heard, 1, Stage::Loading, 0);
    retry(&mut heard, &Retry::failed());
    heard.reach(0, Stage::Done);
    cancel(&mut heard, false);
    is_gone(&heard.docs[0]);
    assert_eq!(counts(&heard.job)[..3], [0, 0, 0]);
}

#[test]
fn what_is_taken_back_leaves_the_bar_where_it_was_until_the_next_attempt() {
    let mut heard = new(2);
    heard.reach(0, Stage::Done);
    heard.reach(1, Stage::Embedding);
    let bars = |heard: &Heard| heard.docs.iter().map(|d| d.document.progress).collect::<Vec<_>>();
    let before = bars(&heard);
    assert!(before[0] > 99.0 && before[1] > 0.0, "{before:?}");
    cancel(&mut heard, false);
    heard.docs.iter().for_each(is_gone);
    assert_eq!(bars(&heard), before);
    // Older clients are told as much.
    assert_eq!(ingest::fixed_step(&heard.docs[0].document), Step::Finished);
    retry(&mut heard, &Retry::failed());
    assert_eq!(bars(&heard), [0.0, 0.0]);
}

#[test]
fn a_document_that_is_cancelled_goes_on_where_it_was_or_begins_anew() {
    for (stage, chunks) in [(Stage::Loading, 0), (Stage::Chunking, 0), (Stage::Embedding, 6)] {
        let mut heard = new(2);
        heard.reach(0, stage);
        let mut kept = heard.clone();
        cancel_document(&mut kept, 0, Asked::Cancel);
        let doc = &kept.docs[0];
        assert_eq!((doc.document.status, doc.reached), (DocumentStatus::Failed, stage));
        assert_eq!((doc.document.chunk_count, counts(&kept.job)[0]), (chunks, chunks));

        let mut removed = heard.clone();
        cancel_document(&mut removed, 0, Asked::CancelRemove);
        is_gone(&removed.docs[0]);
        assert_eq!(counts(&removed.job)[0], 0);
        // That nothing is to be kept may be said while it is being cancelled.
        ask(&mut heard, 0, Asked::Cancel);
        cancel_document(&mut heard, 0, Asked::CancelRemove);
        is_gone(&heard.docs[0]);
    }
    // The cancel of the whole job goes above that.
    let mut heard = new(2);
    heard.start(0);
    ask(&mut heard, 0, Asked::Cancel);
    control::ask(&mut heard.job, JobRequest::Cancel, true).unwrap();
    let now = heard.now();
    assert!(control::ask_document(&heard.job, &mut heard.docs[0], Asked::CancelRemove, now).is_err());
    // And what another job has is none of this one's.
    heard.docs[1].document.job_id = None;
    heard.job.job.requested = None;
    assert!(control::ask_document(&heard.job, &mut heard.docs[1], Asked::Pause, now).is_err());
}

#[test]
fn vectors_of_another_length_are_all_made_anew() {
    let mut heard = new(1);
    heard.reach(0, Stage::Embedding);
    heard.does(0, &embedded(3));
    heard.does(0, &Checkpoint::Failed(ingest::other_length(384, 768)));
    retry(&mut heard, &Retry::failed());
    let doc = &heard.docs[0];
    assert_eq!((doc.stage, doc.document.chunk_count, doc.embedded), (Stage::Loading, 0, 0));
    assert_eq!((doc.generation, counts(&heard.job)), (2, [0; 6]));
}

#[test]
fn other_settings_make_what_was_cut_by_the_old_ones_useless_where_it_is_not_found() {
    let mut heard = new(4);
    fail_in(&mut heard, 0, Stage::Embedding, 3);
    fail_in(&mut heard, 1, Stage::Embedding, 3);
    fail_in(&mut heard, 2, Stage::Loading, 0);
    heard.reach(3, Stage::Done);
    // Another job has that one by now.
    heard.docs[1].document.job_id = Some(JobId::new(Uuid::from_u128(9)));
    let before = heard.docs.clone();
    let wanted = RagConfig { top_k: 3, ..RagConfig::default() };
    let told = control::renew(&mut heard.job, &mut heard.docs, &wanted);
    assert!(told.is_empty(), "nothing is cut in another way");
    assert_eq!((&heard.job.config, &heard.docs), (&wanted, &before));
    let wanted = RagConfig { chunk_size: 500, ..RagConfig::default() };
    let told = control::renew(&mut heard.job, &mut heard.docs, &wanted);
    assert!(matches!(&told[..], [Event::DocumentStatus(d)] if d.id == before[0].document.id), "{told:?}");
    assert_eq!(heard.job.config, wanted);
    assert_eq!((heard.docs[0].document.chunk_count, heard.docs[0].embedded), (0, 0));
    assert_eq!(heard.docs[1..], before[1..]);
    assert_eq!(counts(&heard.job)[..3], [12, 9, 12], "of the others");
    let now = heard.now();
    control::retry(&mut heard.job, &mut heard.docs, &Retry::failed(), now).unwrap();
    assert_eq!(heard.docs[0].stage, Stage::Loading);
}

#[test]
fn an_attempt_embeds_what_the_one_before_left_out_when_it_was_not_cut_yet() {
    let mut heard = new(1);
    heard.start(0);
    heard.change(|job, docs, now| control::skip_document(job, &mut docs[0], now).map(Option::unwrap));
    assert!(!heard.docs[0].embeds);
    heard.does(0, &fails("It is broken.", false));
    retry(&mut heard, &Retry::failed());
    assert!(heard.docs[0].embeds);
}

#[test]
fn a_document_that_is_loaded_anew_has_the_warnings_of_that_time() {
    let mut heard = new(1);
    heard.docs[0].document.warnings =
        vec![Warning { code: "little_text".into(), message: "There is little text in it.".into() }];
    heard.start(0);
    heard.does(0, &loaded());
    assert!(codes(&heard.docs[0]).is_empty());
}
