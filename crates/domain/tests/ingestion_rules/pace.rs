//! How often progress is told, how long the rest takes, and that a job of which nothing moves says so.

use super::{at, common::embedded, config, new_job, next, to_embed};
use domain::{
    event::Event,
    ingest::{self, Checkpoint, DocumentState, JobState, Stage, control},
    report::DocumentReport,
    resource::PhaseDetail,
    shown::Shown,
    status::{DocumentStatus, Halt, JobStatus, PhaseName, PhaseStatus},
    timestamp::Timestamp,
};

/// Seconds that a piece of work takes.
fn cost(checkpoint: &Checkpoint) -> f64 {
    match checkpoint {
        Checkpoint::Loaded { .. } => 0.6,
        Checkpoint::Chunked { .. } => 0.2,
        Checkpoint::Embedded { .. } => 0.9,
        Checkpoint::Step { .. }
        | Checkpoint::Known { .. }
        | Checkpoint::Compared { .. }
        | Checkpoint::Read { .. }
        | Checkpoint::ByRules { .. }
        | Checkpoint::Indexed
        | Checkpoint::Waits(_)
        | Checkpoint::Failed(_) => 0.05,
    }
}

/// When the phase began; the present of one that did not.
fn began(phase: &PhaseDetail, clock: f64) -> f64 {
    phase.started_at.map_or(clock, |at| at.micros() as f64 / 1e6)
}

/// What becomes of a job whose documents get nowhere, of which there are so many.
fn halted(documents: u32, moves: bool) -> (JobState, Vec<DocumentState>) {
    let (mut job, mut docs) = new_job(documents, true);
    let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
    for doc in &mut docs {
        ingest::start(&mut job, doc, at(1)).unwrap();
    }
    if moves {
        let checkpoint = Checkpoint::Loaded { pages: None, characters: 10, title: None, warnings: vec![] };
        ingest::advance(&mut job, &mut docs[1], &checkpoint, &config(true), at(299)).unwrap();
    }
    ingest::stall(&mut job, &mut docs[0], (300, 1), &config(true), at(301)).unwrap();
    (job, docs)
}

#[test]
fn the_progress_of_a_document_is_told_at_most_twice_a_second() {
    let (mut job, mut docs) = new_job(1, true);
    to_embed(&mut job, &mut docs[0], 300);
    let (mut told, vector) = (vec![], embedded(1));
    for n in 0..100 {
        let now = at(20).plus_micros(n * 10_000);
        let events = ingest::advance(&mut job, &mut docs[0], &vector, &config(true), now).unwrap().events;
        told.extend(events.iter().any(|e| matches!(e, Event::FileProgress(_))).then_some(now.micros()));
    }
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1] - told[0] >= 500_000);
    assert!(docs[0].held_back, "the last word was too soon");
}

#[test]
fn progress_of_a_job_is_told_at_most_five_times_a_second_but_its_end_at_once() {
    let (mut job, mut docs) = new_job(1, true);
    let doc = &mut docs[0];
    let mut told = vec![];
    let mut micros = 0;
    while doc.stage != Stage::Done {
        micros += 10_000;
        let now = Timestamp::from_micros(micros);
        if doc.document.status == DocumentStatus::Pending {
            ingest::start(&mut job, doc, now).unwrap();
        }
        let checkpoint = next(doc, 300);
        let phase = job.job.phase;
        for event in ingest::advance(&mut job, doc, &checkpoint, &config(true), now).unwrap().events {
            match event {
                Event::JobUpdate(j) if j.phase == phase => told.push(micros),
                Event::JobComplete(_) => assert_eq!(doc.stage, Stage::Done),
                _ => {}
            }
        }
    }
    assert!(told.len() > 2);
    assert!(told.windows(2).all(|w| w[1] - w[0] >= 200_000), "{told:?}");
    assert_eq!(job.job.status, JobStatus::Completed);
}

#[test]
fn a_job_goes_on_by_documents_where_nobody_says_how_many_chunks_there_are() {
    let (mut job, mut docs) = new_job(4, true);
    let mut shown = vec![];
    for (n, doc) in docs.iter_mut().enumerate() {
        for status in [DocumentStatus::Processing, DocumentStatus::Ready] {
            let report = DocumentReport::of(status);
            ingest::report(&mut job, doc, &report, &config(true), None, at(10 * (n as i64 + 1))).unwrap();
        }
        shown.push(job.job.progress.round());
    }
    assert_eq!(shown, [25.0, 50.0, 75.0, 100.0]);
}

/// What an outside worker says of a document that it has in work.
fn at_work(step: Option<&str>, progress: Option<f64>) -> DocumentReport {
    DocumentReport {
        step: step.map(str::to_owned),
        progress,
        ..DocumentReport::of(DocumentStatus::Processing)
    }
}

#[test]
fn the_bar_of_a_job_moves_with_what_is_reported_of_its_documents_and_its_counts_do_not() {
    let (mut job, mut docs) = new_job(4, true);
    let mut shown = vec![];
    for (n, (which, report)) in [
        (0, at_work(Some("extracting_text"), Some(40.0))),
        // It never falls.
        (0, at_work(Some("own_step"), Some(20.0))),
        (1, at_work(None, Some(80.0))),
        (0, DocumentReport::of(DocumentStatus::Ready)),
        (1, DocumentReport::of(DocumentStatus::Ready)),
    ]
    .into_iter()
    .enumerate()
    {
        let now = at(10 * (n as i64 + 1));
        ingest::report(&mut job, &mut docs[which], &report, &config(true), None, now).unwrap();
        let counted = job.job.phase_details[0].items_processed;
        shown.push((job.job.progress.round(), counted));
        assert_eq!(job.job.message, format!("Reading: {counted} of 4 documents"));
        assert_eq!(job.job.phase, PhaseName::Loading, "the others were not begun");
    }
    assert_eq!(shown, [(10.0, 0), (10.0, 0), (30.0, 0), (45.0, 1), (50.0, 2)]);
}

#[test]
fn a_document_that_is_taken_out_of_a_job_does_not_move_its_bar_for_the_others() {
    let (mut job, mut docs) = new_job(2, true);
    ingest::report(&mut job, &mut docs[0], &at_work(None, Some(90.0)), &config(true), None, at(10)).unwrap();
    control::withdraw(&mut job, &docs[0], at(20)).unwrap();
    ingest::report(&mut job, &mut docs[1], &at_work(None, Some(60.0)), &config(true), None, at(30)).unwrap();
    assert_eq!(job.job.progress.round(), 60.0, "there is no other");
}

#[test]
fn a_job_of_which_one_document_is_left_is_where_that_is_and_says_what_that_says() {
    use PhaseName::{Chunking, Embedding, Loading};
    let (mut job, mut docs) = new_job(2, true);
    for status in [DocumentStatus::Processing, DocumentStatus::Ready] {
        let report = DocumentReport::of(status);
        ingest::report(&mut job, &mut docs[0], &report, &config(true), None, at(1)).unwrap();
    }
    for (n, (step, phase)) in [
        ("extracting_text", Loading),
        ("creating_embeddings", Embedding),
        // Nothing is known of it.
        ("own_step", Embedding),
        ("chunking_text", Chunking),
    ]
    .into_iter()
    .enumerate()
    {
        let now = at(10 * (n as i64 + 1));
        ingest::report(&mut job, &mut docs[1], &at_work(Some(step), None), &config(true), None, now).unwrap();
        assert_eq!(job.job.phase, phase, "{step}");
        assert_eq!(Some(&job.job.message), docs[1].document.message.as_ref(), "{step}");
    }
    let given_back = DocumentReport::of(DocumentStatus::Pending);
    ingest::report(&mut job, &mut docs[1], &given_back, &config(true), None, at(90)).unwrap();
    assert_eq!((job.job.phase, job.job.message.as_str()), (Loading, "Reading: 1 of 2 documents"));

    // A built-in worker that takes it over begins at its beginning.
    let report = at_work(Some("creating_embeddings"), None);
    ingest::report(&mut job, &mut docs[1], &report, &config(true), None, at(100)).unwrap();
    assert_eq!(job.job.phase, Embedding);
    ingest::start(&mut job, &mut docs[1], at(110)).unwrap();
    assert_eq!((job.job.phase, job.job.message.as_str()), (Loading, "Reading: 1 of 2 documents"));

    // Where nothing is embedded, nothing is in that phase.
    let (mut job, mut docs) = new_job(1, false);
    let report = at_work(Some("creating_embeddings"), None);
    ingest::report(&mut job, &mut docs[0], &report, &config(false), None, at(1)).unwrap();
    assert_eq!(job.job.phase, Loading);
}

#[test]
fn a_job_of_an_outside_worker_that_reports_very_often_is_told_four_times_a_second() {
    let (mut job, mut docs) = new_job(2, true);
    let mut told = vec![];
    for n in 1..=40 {
        let (now, report) = (Timestamp::from_micros(n * 50_000), at_work(None, Some(n as f64)));
        let events =
            ingest::report(&mut job, &mut docs[0], &report, &config(true), None, now).unwrap().events;
        told.extend(events.iter().filter(|e| matches!(e, Event::JobUpdate(_))).map(|_| now.micros()));
    }
    assert!(told.len() > 5 && told.windows(2).all(|w| w[1] - w[0] >= 250_000), "{told:?}");
}

#[test]
fn a_job_of_which_nothing_moves_says_so_until_something_does() {
    for documents in [1, 3] {
        let (mut job, mut docs) = halted(documents, false);
        assert_eq!(job.job.halted, Some(Halt::Stalled), "of {documents}");
        assert_eq!((job.job.status, Shown::of_job(&job.job)), (JobStatus::Running, Shown::Stalled));
        let last = docs.last_mut().unwrap();
        let checkpoint = Checkpoint::Loaded { pages: None, characters: 10, title: None, warnings: vec![] };
        ingest::advance(&mut job, last, &checkpoint, &config(true), Timestamp::from_micros(302_000_000))
            .unwrap();
        assert_eq!(job.job.halted, None);
        assert!(matches!(Shown::of_job(&job.job), Shown::Processing { .. }));
    }
    let (job, docs) = halted(3, true);
    assert!(docs[0].document.stalled().is_some());
    assert_eq!(job.job.halted, None, "another document of it gets on");
    assert!(matches!(Shown::of_job(&job.job), Shown::Processing { .. }));

    let (mut job, mut docs) = new_job(1, true);
    ingest::start(&mut job, &mut docs[0], Timestamp::from_micros(1)).unwrap();
    ingest::interrupt(&mut job, &mut docs[0], Timestamp::from_micros(9_000_000));
    assert_eq!(Shown::of_job(&job.job), Shown::Interrupted);
    ingest::start(&mut job, &mut docs[0], Timestamp::from_micros(9_500_000)).unwrap();
    assert_eq!(job.job.halted, None, "somebody took it");
}

#[test]
fn the_time_left_of_files_alike_is_told_after_the_warm_up_and_right_within_a_quarter_after_the_first_fifth() {
    for (embeds, seed) in [(true, 7u32), (true, 11), (false, 7)] {
        let (mut job, mut docs) = new_job(24, embeds);
        let (mut clock, mut told, mut paced) = (0.0, vec![], vec![]);
        for (n, doc) in docs.iter_mut().enumerate() {
            // What is not read yet is taken to be like what was, so that is what they are, give or take a half.
            let chunks = 12 + (n as u32 * seed) % 7;
            ingest::start(&mut job, doc, Timestamp::from_micros((clock * 1e6) as i64)).unwrap();
            while doc.stage != Stage::Done {
                let checkpoint = next(doc, chunks);
                clock += cost(&checkpoint);
                let now = Timestamp::from_micros((clock * 1e6) as i64);
                ingest::advance(&mut job, doc, &checkpoint, &config(embeds), now).unwrap();
                told.push((clock, job.job.eta_seconds, job.job.rate));
                for phase in &job.job.phase_details {
                    let is_within = |left| phase.eta_seconds.is_none_or(|own| own <= left);
                    assert!(job.job.eta_seconds.is_none_or(is_within), "{:?}", job.job);
                    paced.push((phase.status, clock - began(phase, clock), phase.rate, phase.eta_seconds));
                }
            }
        }
        let whole = clock;
        assert!(
            told.iter()
                .take_while(|(at, ..)| *at < 3.0)
                .all(|(_, eta, rate)| eta.is_none() && rate.is_none())
        );
        for (at, eta, rate) in told.iter().filter(|(at, ..)| *at > whole / 5.0 && *at < whole - 0.5) {
            let (eta, left) = (eta.expect("it is known by now") as f64, whole - at);
            assert!(
                (eta - left).abs() <= left * 0.25 + 2.0,
                "{eta} s were told and {left} s were left, of {whole}"
            );
            assert_eq!(rate.is_some(), embeds);
        }
        assert_eq!((job.job.eta_seconds, job.job.rate), (None, None), "nothing is left");
        for (status, ran, rate, eta) in &paced {
            assert_eq!(rate.is_some(), eta.is_some());
            assert!(
                rate.is_none() || *status == PhaseStatus::Running && *ran >= 2.99,
                "{status} {ran} {rate:?}"
            );
        }
        assert!(paced.iter().filter(|(.., rate, _)| rate.is_some_and(|rate| rate > 0.0)).count() > 20);
        assert!(job.job.phase_details.iter().all(|p| (p.rate, p.eta_seconds) == (None, None)));
    }
}
