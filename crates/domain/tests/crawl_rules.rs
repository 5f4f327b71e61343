//! Property: however pages are found, had, lost and left out while their documents are worked on, the numbers of a crawl
//! stay true, no bar goes back, and it ends once, when nothing is left.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod common;

use domain::{
    crawl::{Change, Crawl, PageFault, SkipReason},
    event::Event,
    ids::{DocumentId, JobId, UserId, WorkspaceId},
    ingest::{
        self, Checkpoint, Discovered, DocumentState, Failure, JobState, PageOutcome, Stage, Upload,
        control::{self, Retry, RetryScope},
    },
    message::Facts,
    rag::{RagConfig, RetrieverType},
    status::{DocumentStatus, JobRequest, JobStatus, PhaseName, PhaseStatus},
    step::Step,
    timestamp::Timestamp,
};
use proptest::prelude::*;
use std::time::Duration;
use uuid::Uuid;

fn at(n: i64) -> Timestamp {
    Timestamp::from_micros(n * 300_000)
}

fn config() -> RagConfig {
    RagConfig { retriever_type: RetrieverType::Keyword, ..RagConfig::default() }
}

fn bounds() -> Crawl {
    Crawl {
        url: "https://example.org/".into(),
        prefix: "https://example.org/".into(),
        max_pages: 100,
        max_depth: 5,
        current_url: None,
        waits_until: None,
        rests: false,
    }
}

fn begun() -> JobState {
    let id = |n| Uuid::from_u128(n);
    let (mut job, told) = ingest::create_crawl(
        JobId::new(id(1)),
        UserId::new(id(2)),
        WorkspaceId::new(id(3)),
        bounds(),
        &config(),
        at(0),
    );
    assert_eq!(told.events.len(), 1);
    assert_eq!((job.job.metrics.pages_waiting(), job.job.goes_on_finding()), (1, true));
    ingest::start_crawl(&mut job, at(1)).unwrap();
    assert_eq!(job.job.status, JobStatus::Running);
    job
}

fn upload(n: u128) -> Upload {
    Upload {
        id: DocumentId::new(Uuid::from_u128(100 + n)),
        filename: format!("example.org/{n}.html"),
        mime_type: "text/html".into(),
        size_bytes: 10,
        content_hash: n.to_string(),
    }
}

fn failure() -> Checkpoint {
    Checkpoint::Failed(Failure {
        code: "no_text".into(),
        message: "There is nothing in it.".into(),
        hint: None,
        retryable: false,
    })
}

/// What a worker does next with a document.
fn next(doc: &DocumentState) -> Checkpoint {
    match doc.stage {
        Stage::Loading => Checkpoint::Loaded { pages: Some(3), characters: 9, title: None, warnings: vec![] },
        Stage::Chunking => Checkpoint::Chunked { chunks: vec![common::chunk(0)] },
        Stage::Embedding => Checkpoint::Embedded { vectors: vec![(common::chunk(0).id, vec![1.0])] },
        Stage::Indexing | Stage::Done => Checkpoint::Indexed,
    }
}

/// What happens to a page, or to a document that is there.
#[derive(Clone, Debug)]
enum Deed {
    Page { outcome: u8, waiting: u8, skipped: u8, after_all: u8 },
    Document { which: usize, fails: bool },
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let page = (0..6u8, 0..4u8, 0..3u8, 0..3u8).prop_map(|(outcome, waiting, skipped, after_all)| {
        Deed::Page { outcome, waiting, skipped, after_all }
    });
    let document =
        (0..20usize, prop::bool::weighted(0.05)).prop_map(|(which, fails)| Deed::Document { which, fails });
    prop::collection::vec(prop_oneof![page, document], 0..120)
}

struct World {
    job: JobState,
    docs: Vec<DocumentState>,
    clock: i64,
    bars: (f64, Vec<f64>),
    ends: usize,
}

impl World {
    fn look(&mut self, told: &ingest::Told) -> Result<(), TestCaseError> {
        let job = &self.job.job;
        self.ends +=
            told.events.iter().filter(|e| matches!(e, Event::JobComplete(_) | Event::JobError(_))).count();
        prop_assert!(
            job.progress >= self.bars.0 && job.progress <= 100.0,
            "{} {}",
            self.bars.0,
            job.progress
        );
        for (phase, before) in job.phase_details.iter().zip(&self.bars.1) {
            prop_assert!(phase.progress >= *before && phase.progress <= 100.0);
            prop_assert!(phase.items_processed <= phase.items_total, "{phase:?}");
        }
        self.bars = (job.progress, job.phase_details.iter().map(|p| p.progress).collect());
        let m = job.metrics;
        prop_assert_eq!(
            m.pages_found,
            m.pages_fetched + m.pages_failed + m.pages_skipped + m.pages_waiting()
        );
        prop_assert_eq!(m.pages_fetched, m.pages_new + m.pages_changed + m.pages_unchanged);
        prop_assert!(m.pages_blocked <= m.pages_skipped);
        let through = m.pages_waiting() == 0 && m.documents_done + m.documents_failed == m.documents_total;
        prop_assert_eq!(job.status.is_final(), through, "{:?}", m);
        prop_assert_eq!(self.ends, usize::from(through));
        Ok(())
    }

    fn page(&mut self, outcome: u8, found: Discovered) -> Result<(), TestCaseError> {
        if self.job.job.metrics.pages_waiting() == 0 {
            return Ok(());
        }
        self.clock += 1;
        let now = at(self.clock);
        let begins = ingest::page_begins(&mut self.job, Some("https://example.org/x"), now);
        self.look(&begins)?;
        let outcome = match outcome {
            0 | 1 => {
                let upload = upload(self.docs.len() as u128);
                let (doc, event) = ingest::new_page(&self.job, &upload, "https://example.org/x", now);
                prop_assert!(matches!(event, Event::DocumentStatus(_)));
                self.docs.push(doc);
                PageOutcome::Taken(Change::New, 10)
            }
            2 => PageOutcome::Unchanged,
            3 => PageOutcome::Failed("it is away".into()),
            4 => PageOutcome::Skipped(SkipReason::Robots),
            _ => PageOutcome::Skipped(SkipReason::Moved),
        };
        let told = ingest::page_done(&mut self.job, &outcome, found, now).unwrap();
        self.look(&told)
    }

    fn document(&mut self, which: usize, fails: bool) -> Result<(), TestCaseError> {
        let open: Vec<usize> = (0..self.docs.len()).filter(|i| self.docs[*i].stage != Stage::Done).collect();
        let Some(&i) = open.get(which % open.len().max(1)) else { return Ok(()) };
        self.clock += 1;
        let now = at(self.clock);
        if self.docs[i].document.status == DocumentStatus::Pending {
            let told = ingest::start(&mut self.job, &mut self.docs[i], now).unwrap();
            self.look(&told)?;
        }
        let checkpoint = if fails { failure() } else { next(&self.docs[i]) };
        let told = ingest::advance(&mut self.job, &mut self.docs[i], &checkpoint, &config(), now).unwrap();
        self.look(&told)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_numbers_of_a_crawl_stay_true(deeds in deeds()) {
        let job = begun();
        let bars = (job.job.progress, job.job.phase_details.iter().map(|p| p.progress).collect());
        let mut world = World { job, docs: vec![], clock: 1, bars, ends: 0 };
        for deed in deeds {
            match deed {
                Deed::Page { outcome, waiting, skipped, after_all } => {
                    let m = world.job.job.metrics;
                    // Nobody takes back what robots.txt keeps away.
                    let after_all = u64::from(after_all).min(m.pages_skipped - m.pages_blocked);
                    let found = Discovered {
                        waiting: u64::from(waiting) + after_all,
                        after_all,
                        skipped: skipped.into(),
                        blocked: (skipped / 2).into(),
                    };
                    world.page(outcome, found)?;
                }
                Deed::Document { which, fails } => world.document(which, fails)?,
            }
        }
        // To the end: what is found is had, and nothing more is found.
        while world.job.job.metrics.pages_waiting() > 0 {
            world.page(0, Discovered::default())?;
        }
        while world.docs.iter().any(|d| d.stage != Stage::Done) {
            world.document(0, false)?;
        }
        let job = &world.job.job;
        prop_assert!(job.status.is_final());
        let m = job.metrics;
        let good = m.documents_done + m.pages_unchanged > 0;
        let bad = m.documents_failed + m.pages_failed > 0;
        let wanted = if bad && !good { JobStatus::Failed } else { JobStatus::Completed };
        prop_assert_eq!(job.status, wanted, "{:?}", m);
        if job.status == JobStatus::Completed {
            prop_assert_eq!(job.progress, 100.0);
            for phase in &job.phase_details {
                prop_assert!(matches!(phase.status, PhaseStatus::Completed | PhaseStatus::Skipped), "{:?}", phase);
            }
            prop_assert_eq!(job.phase_details[0].items_processed, job.phase_details[0].items_total);
        }
    }
}

fn found(waiting: u64) -> Discovered {
    Discovered { waiting, ..Discovered::default() }
}

#[test]
fn a_crawl_is_not_through_before_its_last_page() {
    let mut job = begun();
    let (mut doc, _) = ingest::new_page(&job, &upload(1), "https://example.org/", at(2));
    assert_eq!(doc.document.metadata["source_url"], "https://example.org/");
    ingest::page_done(&mut job, &PageOutcome::Taken(Change::New, 10), found(1), at(2)).unwrap();
    ingest::start(&mut job, &mut doc, at(3)).unwrap();
    let step = Checkpoint::Step { step: Step::Validating, facts: Facts::default() };
    ingest::advance(&mut job, &mut doc, &step, &config(), at(3)).unwrap();
    assert_eq!(doc.document.step, Some(Step::Initializing), "a crawl has names of its own");
    for n in 4..9 {
        if doc.stage != Stage::Done {
            let checkpoint = next(&doc);
            ingest::advance(&mut job, &mut doc, &checkpoint, &config(), at(n)).unwrap();
        }
    }
    assert_eq!((doc.stage, job.job.status), (Stage::Done, JobStatus::Running));
    assert_eq!(doc.document.metadata["source_url"], "https://example.org/", "it is kept");
    assert_eq!(job.job.metrics.pages_found, 2, "the pages of a PDF are none of the site");
    assert_eq!(job.job.message, "Reading the site: 1 of 2 pages so far");
    assert!(job.job.phase_details[0].progress <= 90.0);
    let told = ingest::page_done(&mut job, &PageOutcome::Failed("x".into()), found(0), at(9)).unwrap();
    assert_eq!(job.job.status, JobStatus::Completed);
    assert_eq!(job.job.message, "1 page ready, 1 failed");
    assert!(matches!(told.events.as_slice(), [Event::JobComplete(_)]));
}

#[test]
fn a_page_that_is_asked_for_after_all_is_found_once() {
    let mut job = begun();
    let left_out = Discovered { skipped: 2, ..Discovered::default() };
    let told = ingest::found_first(&mut job, left_out, at(2));
    assert_eq!(told.events.len(), 1, "it is told at once");
    let one = Discovered { waiting: 1, after_all: 1, ..Discovered::default() };
    ingest::page_done(&mut job, &PageOutcome::Unchanged, one, at(3)).unwrap();
    let m = job.job.metrics;
    assert_eq!((m.pages_found, m.pages_skipped, m.pages_waiting()), (3, 1, 1), "{m:?}");
    assert_eq!(job.job.status, JobStatus::Running);
    ingest::page_done(&mut job, &PageOutcome::Unchanged, found(0), at(4)).unwrap();
    assert_eq!(job.job.status, JobStatus::Completed);
    assert!(job.job.message.ends_with("2 unchanged, 1 skipped"), "{}", job.job.message);
}

#[test]
fn a_crawl_that_goes_on_finding_does_not_stand_when_nothing_is_heard_of_a_page() {
    let mut job = begun();
    let (_, mut docs) = common::new_job(1, &config(), at(0));
    docs[0].document.status = DocumentStatus::Processing;
    let told = ingest::unheard(&mut job, &mut docs[0], at(1), false, at(9));
    assert!(docs[0].document.stalled().is_some());
    assert_eq!((job.job.halted, told.events.len()), (None, 1), "pages are still asked for");
}

#[test]
fn a_page_that_somebody_deletes_ends_no_crawl_that_has_others_to_ask_for() {
    let mut job = begun();
    let (mut doc, _) = ingest::new_page(&job, &upload(1), "https://example.org/", at(2));
    ingest::page_done(&mut job, &PageOutcome::Taken(Change::New, 10), found(2), at(2)).unwrap();
    ingest::start(&mut job, &mut doc, at(3)).unwrap();
    // A PDF of three pages.
    let read = next(&doc);
    ingest::advance(&mut job, &mut doc, &read, &config(), at(4)).unwrap();
    control::withdraw(&mut job, &doc, at(5)).unwrap();
    let m = job.job.metrics;
    assert_eq!((m.documents_total, m.pages_found, m.pages_waiting()), (0, 3, 2), "{m:?}");
    assert_eq!(job.job.status, JobStatus::Running);
    for n in 6..8 {
        ingest::page_done(&mut job, &PageOutcome::Unchanged, found(0), at(n)).unwrap();
    }
    assert_eq!(job.job.status, JobStatus::Completed);
}

#[test]
fn a_crawl_of_which_every_page_is_deleted_ends_unless_others_are_as_they_were() {
    for (unchanged, ends) in [(false, JobStatus::Cancelled), (true, JobStatus::Completed)] {
        let mut job = begun();
        let (doc, _) = ingest::new_page(&job, &upload(1), "https://example.org/", at(2));
        let more = found(u64::from(unchanged));
        ingest::page_done(&mut job, &PageOutcome::Taken(Change::New, 10), more, at(2)).unwrap();
        if unchanged {
            ingest::page_done(&mut job, &PageOutcome::Unchanged, found(0), at(3)).unwrap();
        }
        assert_eq!(job.job.status, JobStatus::Running);
        control::withdraw(&mut job, &doc, at(4)).unwrap();
        assert_eq!(job.job.status, ends);
    }
}

#[test]
fn a_retry_asks_for_what_failed_and_a_cancelled_crawl_can_go_on() {
    let mut job = begun();
    ingest::page_done(&mut job, &PageOutcome::Failed("https://example.org/: away.".into()), found(0), at(2))
        .unwrap();
    assert_eq!(
        (job.job.status, job.job.error.as_deref()),
        (JobStatus::Failed, Some("https://example.org/: away."))
    );
    control::retry(&mut job, &mut [], &Retry::failed(), at(3)).unwrap().expect("an attempt");
    assert_eq!((job.job.status, job.job.attempt), (JobStatus::Pending, 2));
    assert_eq!((job.job.metrics.pages_failed, job.job.metrics.pages_waiting()), (0, 1));
    assert_eq!(job.job.message, "Waiting to retry 1 page");
    ingest::start_crawl(&mut job, at(4)).unwrap();
    ingest::page_done(&mut job, &PageOutcome::Skipped(SkipReason::Moved), found(2), at(5)).unwrap();
    assert!(control::ask(&mut job, JobRequest::Cancel, true).unwrap());
    control::honour(&mut job, &mut [], &config(), at(6)).unwrap();
    assert_eq!((job.job.status, job.job.metrics.pages_waiting()), (JobStatus::Cancelled, 2));
    control::retry(&mut job, &mut [], &Retry::failed(), at(7)).unwrap().expect("an attempt");
    assert_eq!(job.job.message, "Waiting to retry 2 pages");
    assert_eq!(job.job.phase_details[0].items_total, 2);
    ingest::start_crawl(&mut job, at(8)).unwrap();
    ingest::page_done(&mut job, &PageOutcome::Unchanged, found(0), at(9)).unwrap();
    ingest::page_done(&mut job, &PageOutcome::Unchanged, found(0), at(10)).unwrap();
    assert_eq!(job.job.status, JobStatus::Completed);
    let nothing = control::retry(&mut job, &mut [], &Retry::failed(), at(11));
    assert!(nothing.is_err(), "nothing failed");
}

#[test]
fn a_retry_asks_for_the_pages_that_it_names_and_leaves_the_others_failed() {
    let mut job = begun();
    let (mut doc, _) = ingest::new_page(&job, &upload(1), "https://example.org/", at(2));
    ingest::page_done(&mut job, &PageOutcome::Taken(Change::New, 10), found(2), at(2)).unwrap();
    for n in 3..5 {
        ingest::page_done(&mut job, &PageOutcome::Failed("it is away".into()), found(0), at(n)).unwrap();
    }
    ingest::start(&mut job, &mut doc, at(5)).unwrap();
    ingest::advance(&mut job, &mut doc, &failure(), &config(), at(6)).unwrap();
    assert_eq!(job.job.status, JobStatus::Failed);
    ingest::removed(&mut job, 4);
    let page = Retry::page("https://example.org/a".into(), None);
    // Pages that failed, that wait and that are gone, the attempt of the document, and how much there is to read.
    let table = [
        (Retry::document(doc.document.id), (2, 0, 4), (2, 1)),
        (page.clone(), (1, 1, 0), (1, 1)),
        (Retry::failed(), (0, 2, 0), (2, 3)),
    ];
    for (wanted, pages, begun) in table {
        let (mut job, mut doc) = (job.clone(), doc.clone());
        let told = control::retry(&mut job, std::slice::from_mut(&mut doc), &wanted, at(7)).unwrap();
        assert!(told.is_some(), "{wanted:?}");
        let m = job.job.metrics;
        assert_eq!((m.pages_failed, m.pages_waiting(), m.pages_removed), pages, "{wanted:?}");
        assert_eq!((doc.document.attempt, job.job.phase_details[0].items_total), begun, "{wanted:?}");
        assert!(!job.job.crawl.unwrap().rests, "no page is left to rest");
    }
    // Asked for once more: a store leaves none of these pages, since it failed in the attempt before.
    control::retry(&mut job, &mut [], &page, at(7)).unwrap().expect("an attempt");
    let again = Retry { pages: vec![], ..page };
    assert_eq!(control::retry(&mut job, &mut [], &again, at(8)), Ok(None));
}

/// A crawl that was cancelled with two pages to ask for and a document that failed.
fn cancelled() -> (JobState, DocumentState) {
    let mut job = begun();
    let (mut doc, _) = ingest::new_page(&job, &upload(1), "https://example.org/", at(2));
    ingest::page_done(&mut job, &PageOutcome::Taken(Change::New, 10), found(2), at(2)).unwrap();
    ingest::start(&mut job, &mut doc, at(3)).unwrap();
    ingest::advance(&mut job, &mut doc, &failure(), &config(), at(4)).unwrap();
    assert!(control::ask(&mut job, JobRequest::Cancel, true).unwrap());
    control::honour(&mut job, &mut [], &config(), at(5)).unwrap();
    assert_eq!((job.job.status, job.job.metrics.pages_waiting()), (JobStatus::Cancelled, 2));
    (job, doc)
}

#[test]
fn a_retry_of_a_phase_of_a_cancelled_crawl_counts_the_pages_that_come_along() {
    let (mut job, mut doc) = cancelled();
    let phase = Retry { scope: RetryScope::Phase, phase: Some(PhaseName::Loading), ..Retry::failed() };
    control::retry(&mut job, std::slice::from_mut(&mut doc), &phase, at(6)).unwrap().expect("an attempt");
    assert_eq!(job.job.phase_details[0].items_total, 3);
    ingest::start_crawl(&mut job, at(7)).unwrap();
    for n in 8..10 {
        ingest::page_done(&mut job, &PageOutcome::Unchanged, found(0), at(n)).unwrap();
    }
    let loading = &job.job.phase_details[0];
    assert_eq!((loading.items_processed, loading.items_total), (2, 3), "its document is left");
}

#[test]
fn a_retry_of_one_document_of_a_cancelled_crawl_leaves_its_pages_until_the_crawl_is_retried() {
    let (mut job, mut doc) = cancelled();
    let one = Retry::document(doc.document.id);
    control::retry(&mut job, std::slice::from_mut(&mut doc), &one, at(6)).unwrap().expect("an attempt");
    assert_eq!(job.job.message, "Waiting to retry 1 document");
    assert_eq!((job.job.goes_on_finding(), job.job.phase_details[0].items_total), (false, 1));
    ingest::start(&mut job, &mut doc, at(7)).unwrap();
    for n in 8.. {
        if doc.stage == Stage::Done {
            break;
        }
        let checkpoint = next(&doc);
        ingest::advance(&mut job, &mut doc, &checkpoint, &config(), at(n)).unwrap();
    }
    assert_eq!(doc.document.status, DocumentStatus::Ready);
    let j = &job.job;
    assert_eq!((j.status, j.metrics.documents_done, j.metrics.pages_waiting()), (JobStatus::Cancelled, 1, 2));
    assert_eq!(j.message, "Cancelled; 1 of 1 document ready");
    let loading = &j.phase_details[0];
    assert_eq!((loading.status, loading.items_processed), (PhaseStatus::Completed, 1));
    let again = Retry::failed();
    control::retry(&mut job, std::slice::from_mut(&mut doc), &again, at(20)).unwrap().expect("an attempt");
    assert_eq!((job.job.goes_on_finding(), job.job.phase_details[0].items_total), (true, 2));
}

#[test]
fn a_page_is_asked_for_three_times_where_that_may_help_and_else_once() {
    let now = at(9);
    let put_off = |url: &str, fault: &PageFault, earlier: &[String], wish: Option<u64>| {
        ingest::put_off_page((url, fault), earlier, wish.map(Duration::from_secs), now)
    };
    let (away, slow) = (PageFault::Http(503), PageFault::TookTooLong);
    let first = put_off("https://example.org/a", &away, &[], None).unwrap();
    let millis = |until: Timestamp| (until.micros() - now.micros()) / 1_000;
    assert!((1_500..=2_500).contains(&millis(first.until)), "{first:?}");
    assert!(first.message.starts_with("Retry 2 of 3 in "), "{first:?}");
    let second = put_off("https://example.org/a", &slow, &first.failures, None).unwrap();
    assert!((6_000..=10_000).contains(&millis(second.until)), "the pause grows: {second:?}");
    let why = put_off("https://example.org/a", &away, &second.failures, None).unwrap_err();
    assert!(why.starts_with(&away.sentence()) && why.contains("It was tried 3 times; before: "), "{why}");
    let other = put_off("https://example.org/b", &away, &[], None).unwrap();
    assert_ne!(other.until, first.until, "they do not come back together");
    // The site says when it wants to be asked again, and is believed up to some minutes.
    for (wish, seconds) in [(0, 0), (7, 7), (86_400, 300), (u64::MAX, 300)] {
        let waits = put_off("https://example.org/a", &away, &[], Some(wish)).unwrap();
        assert_eq!(waits.until, now.plus_seconds(seconds));
    }
    use PageFault::*;
    let heals = [Http(408), Http(425), Http(429), Http(500), Http(502), Http(504), Unreachable, Broken];
    for fault in heals.into_iter().chain([RobotsUnreachable]) {
        assert!(put_off("https://example.org/", &fault, &[], None).is_ok(), "{fault:?}");
    }
    // Some say that nothing of the site can be had.
    for (fault, alone, with_a_wish) in [
        (Http(429), true, true),
        (RobotsUnreachable, true, true),
        (Http(503), false, true),
        (Http(502), false, false),
        (Unreachable, false, false),
    ] {
        assert_eq!((fault.is_of_site(false), fault.is_of_site(true)), (alone, with_a_wish), "{fault:?}");
    }
    let stays = [Http(404), Http(403), Http(501), NotAllowed, NoCertificates, TooLarge, BadRedirect];
    for fault in stays.into_iter().chain([TooManyRedirects, Busy, NotKept, Internal]) {
        assert_eq!(put_off("https://example.org/", &fault, &[], Some(1)), Err(fault.sentence()));
    }
}

#[test]
fn a_crawl_says_until_when_it_waits_and_only_as_long_as_it_does() {
    let mut job = begun();
    let waits = |job: &JobState| job.job.crawl.as_ref().unwrap().waits_until;
    ingest::page_begins(&mut job, Some("https://example.org/"), at(2));
    ingest::crawl_waits(&mut job, at(40), at(3));
    assert_eq!(waits(&job), Some(at(40)));
    assert_eq!(job.job.crawl.as_ref().unwrap().current_url, None);
    assert!(job.job.message.ends_with("It is asked again at 00:00:12 UTC."), "{}", job.job.message);
    ingest::page_begins(&mut job, Some("https://example.org/"), at(40));
    assert_eq!((waits(&job), job.job.message.as_str()), (None, "Reading the site: 0 of 1 page so far"));
    ingest::crawl_waits(&mut job, at(80), at(41));
    control::ask(&mut job, JobRequest::Cancel, true).unwrap();
    control::honour(&mut job, &mut [], &config(), at(42)).unwrap();
    assert_eq!((job.job.status, waits(&job)), (JobStatus::Cancelled, None));
}
