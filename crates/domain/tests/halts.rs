//! What gets nowhere says so, once and in the hearing of everybody: work that stalls, that nobody is at, that waits for a
//! model's server, or for its next try.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod common;

use common::{Heard, begins, chunks, codes, documents, embedded, fails, loaded, steps};
use domain::{
    event::{Event, StepStatus},
    ingest::{self, Checkpoint, JobState, Stage, TRIES, Told, control},
    rag::{Outage, RagConfig},
    report::DocumentReport,
    resource::{Document, Warning},
    status::{DocumentStatus, Halt, JobRequest, JobStatus},
    step::Step,
};

fn new(documents: u32) -> Heard {
    let mut heard = Heard::new(documents, &RagConfig::default());
    for i in 0..documents as usize {
        heard.start(i);
    }
    heard
}

fn stall(heard: &mut Heard, i: usize, seconds: u64, tries: u32) -> Told {
    let wanted = heard.wanted.clone();
    heard.change(|job, docs, now| ingest::stall(job, &mut docs[i], (seconds, tries), &wanted, now))
}

fn interrupt(heard: &mut Heard, i: usize) -> Told {
    heard.change(|job, docs, now| Ok::<_, ()>(ingest::interrupt(job, &mut docs[i], now)))
}

/// Nothing was reported of the document for a second.
fn unheard(heard: &mut Heard, i: usize, others_move: bool) -> Told {
    heard.change(|job, docs, now| {
        Ok::<_, ()>(ingest::unheard(job, &mut docs[i], now.plus_seconds(-1), others_move, now))
    })
}

fn report(heard: &mut Heard, i: usize, said: &DocumentReport) -> Told {
    let wanted = heard.wanted.clone();
    heard.change(|job, docs, now| ingest::report(job, &mut docs[i], said, &wanted, None, now))
}

/// How many rates and times are told.
fn estimates(job: &JobState) -> usize {
    let job = &job.job;
    let of_phases = job.phase_details.iter().map(|p| (p.rate, p.eta_seconds));
    let all = of_phases.chain([(job.rate, job.eta_seconds)]);
    all.map(|(rate, eta)| usize::from(rate.is_some()) + usize::from(eta.is_some())).sum()
}

#[test]
fn a_document_that_stalls_says_so_once_and_fails_at_its_last_try() {
    let mut heard = new(2);
    heard.does(0, &begins(Step::ExtractingText));
    // The other one has a word of its own within the first of these times, and not within the second.
    for (tries, seconds, halted) in [(1, 300, None), (2, 1, Some(Halt::Stalled))] {
        let told = stall(&mut heard, 0, seconds, tries);
        assert_eq!(codes(&heard.docs[0]), ["stalled"]);
        let d = &heard.docs[0].document;
        let said = d.stalled().unwrap();
        assert!(said.ends_with(&format!("Trying again ({} of 3).", tries + 1)), "{said}");
        assert_eq!(d.message.as_deref(), Some(said));
        assert_eq!(steps(&told), [(Step::ExtractingText, StepStatus::Error)]);
        assert_eq!(heard.job.job.halted, halted);
        // That its unit is begun anew is no progress.
        heard.start(0);
        heard.does(0, &begins(Step::ExtractingText));
        assert_eq!((codes(&heard.docs[0]), heard.job.job.halted), (vec!["stalled"], halted));
    }
    stall(&mut heard, 0, 300, TRIES);
    let d = &heard.docs[0].document;
    assert_eq!((d.status, d.error_code.as_deref()), (DocumentStatus::Failed, Some("stalled")));
    assert!(d.error.as_ref().unwrap().ends_with("3 times in a row.") && d.error_hint.is_some());
    assert!(d.warnings.is_empty());
    assert_eq!((heard.job.job.status, heard.job.job.halted), (JobStatus::Running, None), "the other goes on");
    let told = stall(&mut heard, 1, 300, TRIES);
    assert!(matches!(told.events.last(), Some(Event::JobError(_))), "nothing is left");
    let now = heard.now();
    assert!(ingest::stall(&mut heard.job, &mut heard.docs[1], (1, 1), &heard.wanted, now).is_err());
}

#[test]
fn progress_takes_the_word_back_and_a_document_is_told_once_for_it() {
    for end in [loaded(), fails("It is broken.", false)] {
        for stalls in [true, false] {
            let mut heard = new(2);
            heard.does(0, &begins(Step::ExtractingText));
            if stalls {
                stall(&mut heard, 0, 300, 1);
            } else {
                interrupt(&mut heard, 0);
            }
            let told = heard.does(0, &end);
            assert!(codes(&heard.docs[0]).is_empty());
            assert_eq!(documents(&told), 1, "{told:?}");
        }
    }
}

#[test]
fn a_job_is_said_to_stand_when_the_last_one_does_or_when_it_stood_already() {
    let mut heard = new(1);
    stall(&mut heard, 0, 300, 1);
    assert_eq!(heard.job.job.halted, Some(Halt::Stalled), "there is no other");

    let mut heard = new(3);
    interrupt(&mut heard, 0);
    assert_eq!(heard.job.job.halted, None, "something was told a moment ago");
    heard.wait(10);
    interrupt(&mut heard, 1);
    assert_eq!(heard.job.job.halted, Some(Halt::Interrupted));
    stall(&mut heard, 2, 300, 1);
    assert_eq!(heard.job.job.halted, Some(Halt::Stalled), "nothing moved meanwhile");
}

#[test]
fn a_document_of_which_an_outside_worker_says_nothing_says_so_until_the_next_report() {
    let begins = DocumentReport {
        step: Some("extracting_text".into()),
        progress: Some(40.0),
        ..DocumentReport::of(DocumentStatus::Processing)
    };
    for next in [
        // What was said already, and what says nothing, are words as well.
        begins.clone(),
        DocumentReport::of(DocumentStatus::Processing),
        DocumentReport { step: Some("own_step".into()), ..begins.clone() },
        DocumentReport::of(DocumentStatus::Pending),
        DocumentReport::of(DocumentStatus::Ready),
        DocumentReport::of(DocumentStatus::Failed),
    ] {
        let mut heard = Heard::new(2, &RagConfig::default());
        assert_eq!(unheard(&mut heard, 0, true), Told::default(), "nobody has begun it");
        report(&mut heard, 0, &begins);
        let before = heard.docs[0].document.clone();
        let told = unheard(&mut heard, 0, true);
        assert_eq!((documents(&told), steps(&told), told.events.len()), (1, vec![], 1));
        let d = &heard.docs[0].document;
        assert_eq!(
            d.stalled(),
            Some(
                "Nothing was heard of it from the outside worker since 1970-01-01, 00:00:02 UTC. \
                 It goes on with the next report."
            )
        );
        let stands = |d: &Document| (d.status, d.step.clone(), d.message.clone(), d.progress, d.attempt);
        assert_eq!(stands(d), stands(&before), "its worker may be at it all the same");
        assert_eq!(heard.job.job.halted, None, "another one moves");
        assert_eq!(unheard(&mut heard, 0, true), Told::default(), "it is said already");
        let told = report(&mut heard, 0, &next);
        assert!(codes(&heard.docs[0]).is_empty(), "{next:?}");
        assert_eq!(documents(&told), 1, "{told:?}");
    }
}

#[test]
fn a_job_of_whose_documents_in_work_nothing_is_heard_says_so_until_the_next_report() {
    let mut heard = Heard::new(3, &RagConfig::default());
    let goes_on = DocumentReport::of(DocumentStatus::Processing);
    for i in [0, 1] {
        report(&mut heard, i, &goes_on);
    }
    unheard(&mut heard, 0, true);
    assert_eq!(heard.job.job.halted, None);
    let told = unheard(&mut heard, 1, false);
    assert_eq!((heard.job.job.halted, heard.job.job.status), (Some(Halt::Stalled), JobStatus::Running));
    assert!(matches!(told.events.last(), Some(Event::JobUpdate(_))), "{told:?}");
    let told = report(&mut heard, 0, &goes_on);
    assert_eq!(heard.job.job.halted, None);
    assert!(matches!(told.events.last(), Some(Event::JobUpdate(_))), "{told:?}");
    assert_eq!(codes(&heard.docs[1]), ["stalled"], "of this one nothing was said");
}

#[test]
fn what_was_estimated_holds_no_more_when_a_document_gets_nowhere() {
    let mut heard = new(2);
    heard.reach(0, Stage::Embedding);
    heard.does(0, &begins(Step::CreatingEmbeddings));
    for _ in 0..4 {
        heard.does(0, &embedded(1));
    }
    assert!(estimates(&heard.job) > 3, "{:?}", heard.job);
    let mut stalled = heard.clone();
    stall(&mut stalled, 0, 300, 1);
    assert_eq!((estimates(&stalled.job), stalled.job.job.halted), (0, None));
    stalled.does(0, &begins(Step::CreatingEmbeddings));
    assert_eq!(estimates(&stalled.job), 0, "it begins anew, which is no progress");
    stalled.does(0, &embedded(1));
    assert!(estimates(&stalled.job) > 3);
    interrupt(&mut heard, 0);
    assert_eq!(estimates(&heard.job), 0);
}

#[test]
fn a_document_that_nobody_is_at_says_so_unless_something_explains_more() {
    let mut heard = Heard::new(1, &RagConfig::default());
    assert_eq!(interrupt(&mut heard, 0), Told::default(), "it was not begun");
    heard.start(0);
    heard.does(0, &begins(Step::ExtractingText));
    let told = interrupt(&mut heard, 0);
    let d = &heard.docs[0].document;
    assert_eq!((codes(&heard.docs[0]), d.message.as_deref()), (vec!["interrupted"], d.interrupted()));
    assert_eq!(steps(&told), [(Step::ExtractingText, StepStatus::Error)]);
    assert_eq!((documents(&told), heard.job.job.halted), (1, Some(Halt::Interrupted)));
    assert_eq!(interrupt(&mut heard, 0), Told::default(), "it is said already");
    // Whoever is at it again takes it back, also where it only begins a step.
    let told = heard.does(0, &begins(Step::ExtractingText));
    assert_eq!((codes(&heard.docs[0]).len(), documents(&told), heard.job.job.halted), (0, 1, None));
    stall(&mut heard, 0, 300, 1);
    assert_eq!(interrupt(&mut heard, 0), Told::default(), "that it stalls says more");
}

fn outage(heard: &Heard, busy: bool) -> Outage {
    Outage { since: heard.now(), next_try: heard.now().plus_seconds(30), busy }
}

#[test]
fn a_document_waits_for_its_model_and_says_so_once_for_each_outage() {
    use StepStatus::{Complete, Error, InProgress};
    let mut heard = new(1);
    let little = Warning { code: "little_text".into(), message: "There is little text in it.".into() };
    heard.does(0, &Checkpoint::Loaded { pages: None, characters: 9, title: None, warnings: vec![little] });
    heard.does(0, &Checkpoint::Chunked { chunks: chunks(6) });
    let first = outage(&heard, false);
    let told = heard.does(0, &Checkpoint::Waits(first));
    let begun = [
        (Step::DuplicateCheck, Complete),
        (Step::CreatingEmbeddings, InProgress),
        (Step::CreatingEmbeddings, Error),
    ];
    assert_eq!((steps(&told), documents(&told)), (begun.to_vec(), 1));
    assert_eq!(codes(&heard.docs[0]), ["little_text", "waiting"]);
    assert_eq!(heard.docs[0].document.message.as_deref(), heard.docs[0].document.waiting());
    assert_eq!((heard.job.job.halted, &heard.job.job.message), (Some(Halt::Waiting), &first.words()));

    // Its server was tried once more.
    let before = heard.docs.clone();
    let again = Outage { next_try: first.next_try.plus_seconds(30), ..first };
    heard.does(0, &Checkpoint::Waits(again));
    assert_eq!((&heard.docs, &heard.job.job.message), (&before, &again.words()));

    let busy = outage(&heard, true);
    let told = heard.does(0, &Checkpoint::Waits(busy));
    assert_eq!(steps(&told), [(Step::CreatingEmbeddings, Error)], "it is in that step already");
    assert_eq!(codes(&heard.docs[0]), ["little_text", "waiting"]);
    assert!(heard.docs[0].document.waiting().unwrap().contains("too much to do"));

    let told = heard.does(0, &embedded(1));
    assert_eq!((codes(&heard.docs[0]), documents(&told)), (vec!["little_text"], 1));
    assert_eq!(heard.job.job.halted, None);

    // What was said before it waits is over.
    let mut retried = heard.clone();
    retried.does(0, &fails("The server broke off.", true));
    retried.does(0, &Checkpoint::Waits(busy));
    assert_eq!(codes(&retried.docs[0]), ["little_text", "waiting"]);
    stall(&mut heard, 0, 300, 1);
    heard.does(0, &Checkpoint::Waits(busy));
    assert_eq!(codes(&heard.docs[0]), ["little_text", "waiting"]);

    // Another model may be away when it is indexed.
    heard.reach(0, Stage::Indexing);
    heard.does(0, &begins(Step::StoringMetadata));
    let told = heard.does(0, &Checkpoint::Waits(busy));
    assert_eq!(steps(&told), [(Step::StoringMetadata, Error)]);
}

#[test]
fn a_job_waits_for_a_model_only_where_nothing_else_moves_and_nobody_asked_it_to_stop() {
    let mut heard = new(2);
    heard.reach(0, Stage::Embedding);
    let away = outage(&heard, false);
    heard.does(0, &Checkpoint::Waits(away));
    assert!(heard.docs[0].document.waiting().is_some());
    assert_eq!(heard.job.job.halted, None, "the other moves");

    let mut heard = new(1);
    heard.reach(0, Stage::Embedding);
    control::ask(&mut heard.job, JobRequest::Pause, true).unwrap();
    let away = outage(&heard, false);
    heard.does(0, &Checkpoint::Waits(away));
    assert_eq!((heard.job.job.halted, heard.job.job.message.as_str()), (None, "Pausing…"));
}

#[test]
fn what_may_heal_is_said_once_and_told_with_all_that_it_failed_by() {
    let mut heard = new(1);
    assert!(!ingest::waits_for_retry(&heard.docs[0]));
    heard.does(0, &begins(Step::ExtractingText));
    for message in ["One.", "Two."] {
        let told = heard.does(0, &fails(message, true));
        assert!(ingest::waits_for_retry(&heard.docs[0]));
        assert_eq!(codes(&heard.docs[0]), ["retrying"]);
        assert_eq!(heard.docs[0].document.message.as_deref(), heard.docs[0].document.retrying());
        assert_eq!(steps(&told), [(Step::ExtractingText, StepStatus::Error)]);
    }
    let told = heard.start(0);
    assert_eq!((codes(&heard.docs[0]).len(), documents(&told)), (0, 1), "it is tried");
    assert_eq!(documents(&heard.start(0)), 0, "that is told once");
    heard.does(0, &begins(Step::ExtractingText));
    heard.does(0, &fails("One.", true));
    let doc = &heard.docs[0];
    assert_eq!(doc.document.error.as_deref(), Some("One. It was tried 3 times; before: One. Two."));
    assert_eq!(doc.document.error_hint.as_deref(), Some("Try another file."));
    assert!(!ingest::waits_for_retry(doc), "it is over");
}

#[test]
fn tries_count_from_the_last_progress_on() {
    let mut heard = new(1);
    for progress in [loaded(), Checkpoint::Chunked { chunks: chunks(6) }, embedded(1)] {
        for _ in 1..TRIES {
            heard.does(0, &fails("It broke off.", true));
        }
        heard.start(0);
        heard.does(0, &progress);
        assert!(!ingest::waits_for_retry(&heard.docs[0]));
    }
    assert_eq!(heard.docs[0].document.status, DocumentStatus::Processing);
}
