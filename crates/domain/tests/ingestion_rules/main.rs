//! Property: however the checkpoints of several documents interleave, the job's numbers stay true. And what a document and its
//! job say of each piece of work.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

#[path = "../common/mod.rs"]
mod common;
mod known;
mod pace;

use common::{Heard, begins, chunks, codes, documents, embedded, steps};
use domain::{
    event::{Event, StepStatus},
    ids::DocumentId,
    ingest::{self, Checkpoint, DocumentState, Failure, JobState, Stage},
    message::{Facts, WRITTEN, friendly},
    rag::{RagConfig, RetrieverType},
    report::DocumentReport,
    resource::Warning,
    status::{DocumentStatus, JobStatus, PhaseStatus},
    step::Step,
    timestamp::Timestamp,
};
use proptest::prelude::*;
use uuid::Uuid;

fn at(n: i64) -> Timestamp {
    Timestamp::from_micros(n * 100_000)
}

fn config(embeds: bool) -> RagConfig {
    let retriever_type = if embeds { RetrieverType::Vector } else { RetrieverType::Keyword };
    RagConfig { retriever_type, ..RagConfig::default() }
}

fn new_job(documents: u32, embeds: bool) -> (JobState, Vec<DocumentState>) {
    common::new_job(documents, &config(embeds), at(0))
}

fn failure() -> Checkpoint {
    Checkpoint::Failed(Failure {
        code: "unreadable".into(),
        message: "The file could not be read.".into(),
        hint: None,
        retryable: false,
    })
}

/// What a worker does next with a document, given how far it is.
fn next(doc: &DocumentState, chunk_count: u32) -> Checkpoint {
    match doc.stage {
        Stage::Loading if doc.document.step.is_none() => {
            Checkpoint::Step { step: Step::ExtractingText, facts: Facts::default() }
        }
        Stage::Loading => common::loaded(),
        Stage::Chunking if doc.document.step != Some(Step::ChunkingText) => {
            Checkpoint::Step { step: Step::ChunkingText, facts: Facts::default() }
        }
        Stage::Chunking => Checkpoint::Chunked { chunks: chunks(chunk_count) },
        Stage::Embedding if doc.document.step != Some(Step::CreatingEmbeddings) => {
            Checkpoint::Step { step: Step::CreatingEmbeddings, facts: Facts::default() }
        }
        Stage::Embedding => {
            let left = doc.document.chunk_count - doc.embedded;
            let batch = chunks(left.min(3) as u32).into_iter().map(|c| (c.id, vec![1.0])).collect();
            Checkpoint::Embedded { vectors: batch }
        }
        Stage::Indexing if doc.document.step != Some(Step::StoringMetadata) => {
            Checkpoint::Step { step: Step::StoringMetadata, facts: Facts::default() }
        }
        Stage::Indexing | Stage::Done => Checkpoint::Indexed,
    }
}

/// The document, worked on until it is to be embedded.
fn to_embed(job: &mut JobState, doc: &mut DocumentState, chunk_count: u32) {
    ingest::start(job, doc, at(1)).unwrap();
    while doc.stage != Stage::Embedding {
        let checkpoint = next(doc, chunk_count);
        ingest::advance(job, doc, &checkpoint, &config(true), at(2)).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn progress_never_falls_never_passes_a_hundred_and_the_end_is_exact(
        plan in prop::collection::vec((1..9u32, prop::option::of(0..8u32)), 1..6),
        order in prop::collection::vec(0..6usize, 0..400),
        embeds in any::<bool>(),
    ) {
        let (mut job, mut docs) = new_job(plan.len() as u32, embeds);
        let mut steps = vec![0u32; plan.len()];
        let mut clock = 0;
        let mut last = (0.0, vec![0.0; 4]);
        let mut finals = 0;
        // The random order first, then everyone to the end.
        let rest = (0..plan.len()).flat_map(|i| std::iter::repeat_n(i, 60));
        for i in order.into_iter().map(|i| i % plan.len()).chain(rest) {
            if docs[i].stage == Stage::Done {
                continue;
            }
            clock += 1;
            if docs[i].document.status == DocumentStatus::Pending {
                ingest::start(&mut job, &mut docs[i], at(clock)).unwrap();
            }
            let fails = plan[i].1 == Some(steps[i]);
            let checkpoint = if fails { failure() } else { next(&docs[i], plan[i].0) };
            steps[i] += 1;
            let told = ingest::advance(&mut job, &mut docs[i], &checkpoint, &config(embeds), at(clock)).unwrap();
            finals += told.events.iter().filter(|e| matches!(e, Event::JobComplete(_) | Event::JobError(_))).count();

            prop_assert!(job.job.progress >= last.0 && job.job.progress <= 100.0);
            for (p, before) in job.job.phase_details.iter().zip(&last.1) {
                prop_assert!(p.progress >= *before && p.progress <= 100.0, "{:?}", p);
                prop_assert!(p.items_processed <= p.items_total, "{:?}", p);
            }
            last = (job.job.progress, job.job.phase_details.iter().map(|p| p.progress).collect());
        }
        let ready = docs.iter().filter(|d| d.document.status == DocumentStatus::Ready).count() as u64;
        prop_assert!(docs.iter().all(|d| d.stage == Stage::Done));
        prop_assert_eq!(finals, 1, "exactly one final event");
        prop_assert_eq!(job.job.metrics.documents_done, ready);
        prop_assert_eq!(job.job.metrics.documents_failed, plan.len() as u64 - ready);
        prop_assert_eq!(job.job.status, if ready == 0 { JobStatus::Failed } else { JobStatus::Completed });
        prop_assert!(job.job.phase_details.iter().all(|p| p.status != PhaseStatus::Running));
        if ready > 0 {
            prop_assert!((job.job.progress - 100.0).abs() < 1e-9);
            let skipped = job.job.phase_details.iter().filter(|p| p.status == PhaseStatus::Skipped).count();
            prop_assert_eq!(skipped, usize::from(!embeds));
            prop_assert!(job.job.phase_details.iter().all(|p| matches!(p.status, PhaseStatus::Completed | PhaseStatus::Skipped)));
        }
    }
}

#[test]
fn a_document_says_where_it_is_after_each_piece_of_work_and_what_it_came_to_at_its_end() {
    let mut heard = Heard::new(1, &config(true));
    let loaded = Checkpoint::Loaded {
        pages: Some(2),
        characters: 9,
        title: Some("A title".into()),
        warnings: vec![Warning { code: "little_text".into(), message: "There is little in it.".into() }],
    };
    let alike = Checkpoint::Compared {
        with: DocumentId::new(Uuid::from_u128(77)),
        filename: "old.txt".into(),
        shared: 3,
    };
    let half = "Found a 50 % match with old.txt: 3 new parts, 3 known";
    let work = [
        (begins(Step::ExtractingText), Step::ExtractingText, "Reading the text of your file…", 2.5),
        (loaded, Step::ExtractingText, "Reading the text of your file…", 10.0),
        (begins(Step::ChunkingText), Step::ChunkingText, "Splitting the text into chunks…", 11.0),
        (
            Checkpoint::Chunked { chunks: chunks(6) },
            Step::DuplicateCheck,
            "Checking if I've seen 0.txt before…",
            14.0,
        ),
        (alike, Step::NearDuplicateFound, half, 14.0),
        (begins(Step::CreatingEmbeddings), Step::CreatingEmbeddings, "Creating embeddings…", 14.0),
        (embedded(3), Step::CreatingEmbeddings, "Creating embeddings: 3 of 6 chunks…", 54.0),
        (embedded(3), Step::CreatingEmbeddings, "Creating embeddings: 6 of 6 chunks…", 94.0),
        (begins(Step::StoringMetadata), Step::StoringMetadata, "Storing the index…", 97.0),
    ];
    let mut told = heard.start(0);
    let job = &heard.job.job;
    assert_eq!((job.started_at, job.phase_details[0].status), (Some(heard.now()), PhaseStatus::Running));
    let mut wholes = documents(&told);
    for (checkpoint, step, message, progress) in work {
        told = heard.does(0, &checkpoint);
        wholes += documents(&told);
        let d = &heard.docs[0].document;
        assert_eq!((d.step.as_ref(), d.message.as_deref()), (Some(&step), Some(message)));
        assert!((d.progress - progress).abs() < 1e-6, "{} for {progress} in {step}", d.progress);
        assert_eq!(codes(&heard.docs[0]).len(), usize::from(d.progress > 5.0));
    }
    assert_eq!(steps(&told)[1..], [(Step::StoringMetadata, StepStatus::InProgress)]);
    // Whatever it failed by before.
    let d = &mut heard.docs[0].document;
    (d.error, d.error_code, d.error_hint) =
        (Some("It failed.".into()), Some("failed".into()), Some("Wait.".into()));
    told = heard.does(0, &Checkpoint::Indexed);
    let done =
        [Step::StoringMetadata, Step::Finished, Step::Complete].map(|step| (step, StepStatus::Complete));
    assert_eq!(steps(&told), done);
    assert_eq!(wholes + documents(&told), 2, "as a whole it is told when it is begun and when it is ready");
    let doc = &heard.docs[0];
    let d = &doc.document;
    assert_eq!((d.status, d.progress), (DocumentStatus::Ready, 100.0));
    assert_eq!(d.step, Some(Step::Finished));
    assert_eq!(d.message.as_deref(), Some("Done: 6 chunks ready to search"));
    assert_eq!((&d.error, &d.error_code, &d.error_hint), (&None, &None, &None));
    assert_eq!((codes(doc), d.stale), (vec!["little_text"], false));
    assert_eq!(d.metadata["title"], "A title");
    let print = config(true).fingerprint(true);
    assert_eq!((&d.indexed_with, &doc.indexed), (&print.indexed_with(), &Some(print.clone())));
    assert_eq!((doc.live, doc.live_chunks, doc.found_since), (doc.generation, 6, Some(1)));
}

#[test]
fn what_was_left_to_the_rules_is_said_as_it_was_last() {
    let mut heard = Heard::new(1, &config(true));
    heard.reach(0, Stage::Indexing);
    heard.docs[0].document.warnings =
        vec![Warning { code: "little_text".into(), message: "There is little in it.".into() }];
    let both = ["little_text", ingest::GRAPH_BY_RULES];
    for (passages, expected) in [(2, &both[..]), (6, &both[..]), (0, &both[..1])] {
        heard.does(0, &Checkpoint::ByRules { passages });
        assert_eq!(codes(&heard.docs[0]), expected);
    }
}

#[test]
fn a_checkpoint_made_from_an_older_state_is_refused() {
    let (mut job, mut docs) = new_job(1, true);
    let doc = &mut docs[0];
    ingest::start(&mut job, doc, at(1)).unwrap();
    let before = (job.clone(), doc.clone());
    assert!(
        ingest::advance(&mut job.clone(), &mut doc.clone(), &Checkpoint::Indexed, &config(true), at(2))
            .is_err()
    );
    assert_eq!((job, docs[0].clone()), before);
}

#[test]
fn what_a_language_model_reads_is_told_as_a_step_and_belongs_to_indexing() {
    let (mut job, mut docs) = new_job(1, true);
    let doc = &mut docs[0];
    ingest::start(&mut job, doc, at(1)).unwrap();
    let read = |asked| Checkpoint::Read { passage: chunks(1)[0].id, graph: None, asked };
    let mut clock = 10;
    while doc.stage != Stage::Indexing {
        for early in [read(1), Checkpoint::ByRules { passages: 1 }] {
            assert!(
                ingest::advance(&mut job.clone(), &mut doc.clone(), &early, &config(true), at(clock))
                    .is_err()
            );
        }
        clock += 10;
        let checkpoint = next(doc, 3);
        ingest::advance(&mut job, doc, &checkpoint, &config(true), at(clock)).unwrap();
    }
    let facts = Facts { read: Some(0), chunks: Some(3), ..Facts::default() };
    let step = Checkpoint::Step { step: Step::Enrichment, facts };
    ingest::advance(&mut job, doc, &step, &config(true), at(clock + 10)).unwrap();
    assert_eq!(doc.document.message.as_deref(), Some("Adding context to your data…"));
    let before = job.job.progress;
    let told = ingest::advance(&mut job, doc, &read(2), &config(true), at(clock + 20)).unwrap();
    let indexing = &job.job.phase_details[3];
    assert_eq!((indexing.items_processed, indexing.items_total), (2, 3));
    assert!(job.job.progress > before && doc.document.progress > 94.0);
    ingest::advance(&mut job, doc, &read(2), &config(true), at(clock + 21)).unwrap();
    assert_eq!(job.job.phase_details[3].items_processed, 2, "a second word of it counts for nothing");
    let step = told.events.iter().find_map(|e| match e {
        Event::FileProgress(step) => Some(step),
        _ => None,
    });
    let step = step.unwrap();
    assert_eq!(step.message, "Adding context to your data: 2 of 3 chunks…");
    let facts = Facts::of_extra(&step.filename, &step.extra);
    assert_eq!(friendly(WRITTEN, &step.step, &facts), step.message, "others can word it anew");
    ingest::advance(&mut job, doc, &Checkpoint::Indexed, &config(true), at(clock + 30)).unwrap();
    assert_eq!(doc.document.status, DocumentStatus::Ready);
    assert_eq!((job.job.phase_details[3].items_processed, job.job.status), (3, JobStatus::Completed));
}

#[test]
fn a_document_that_fails_while_it_is_read_counts_what_was_read_and_waits_for_no_more() {
    let (mut job, mut docs) = new_job(2, true);
    for (n, doc) in docs.iter_mut().enumerate() {
        ingest::start(&mut job, doc, at(1)).unwrap();
        let mut clock = 10;
        while doc.stage != Stage::Indexing {
            clock += 10;
            let checkpoint = next(doc, 3);
            ingest::advance(&mut job, doc, &checkpoint, &config(true), at(clock)).unwrap();
        }
        let read = Checkpoint::Read { passage: chunks(1)[0].id, graph: None, asked: 2 };
        ingest::advance(&mut job, doc, &read, &config(true), at(500)).unwrap();
        let end = if n == 0 { failure() } else { Checkpoint::Indexed };
        ingest::advance(&mut job, doc, &end, &config(true), at(600)).unwrap();
    }
    let indexing = &job.job.phase_details[3];
    assert_eq!((indexing.items_processed, indexing.items_total), (5, 5));
    assert_eq!(job.job.status, JobStatus::Completed);
    assert!((job.job.progress - 100.0).abs() < 1e-9);
}

#[test]
fn a_report_of_a_known_step_is_told_with_what_came_beside_it() {
    use serde_json::json;
    let (mut job, mut docs) = new_job(1, true);
    let cases = [
        ("duplicate_check", json!({}), "Checking if I've seen 0.txt before…"),
        ("field_detection", json!({ "columns": 1200 }), "Found 1,200 columns in your data"),
        ("extracting", json!({ "rows": 1 }), "Reading through 1 row…"),
        (
            "delta_analysis_complete",
            json!({ "new_rows": 42, "existing_rows": 156 }),
            "Spotted the differences: 42 new rows, 156 I already know",
        ),
        (
            "near_duplicate_found",
            json!({ "similarity_score": 0.87 }),
            "Found an 87 % match with something I processed earlier",
        ),
        ("document_classification", json!({ "kind": "an invoice" }), "This looks like an invoice"),
        (
            "document_classification",
            json!({ "kind": "x".repeat(61) }),
            "Understanding what type of document this is…",
        ),
        ("extracting", json!({ "rows": "many" }), "Reading through your data…"),
    ];
    for (n, (step, metadata, said)) in cases.into_iter().enumerate() {
        let report = DocumentReport {
            step: Some(step.to_owned()),
            metadata: Some(metadata),
            ..DocumentReport::of(DocumentStatus::Processing)
        };
        // Another one in between, so that each is a step that begins.
        let other = DocumentReport {
            step: Some(format!("own_{n}")),
            ..DocumentReport::of(DocumentStatus::Processing)
        };
        for report in [other, report] {
            let now = at(n as i64 + 1);
            ingest::report(&mut job, &mut docs[0], &report, &config(true), None, now).unwrap();
        }
        assert_eq!(docs[0].document.message.as_deref(), Some(said));
    }
}

#[test]
fn a_job_that_begins_does_not_say_any_more_that_it_waits() {
    let (mut job, mut docs) = new_job(2, true);
    assert_eq!(job.job.message, "Waiting to start with 2 documents");
    let told = ingest::start(&mut job, &mut docs[0], at(1)).unwrap();
    assert_eq!(job.job.status, JobStatus::Running);
    assert!(!job.job.message.starts_with("Waiting"), "{}", job.job.message);
    let said = told.events.iter().find_map(|event| match event {
        Event::JobUpdate(job) => Some(job.message.as_str()),
        _ => None,
    });
    assert_eq!(said, Some(job.job.message.as_str()));
}

#[test]
fn what_a_worker_tells_beside_its_step_is_in_the_stream_with_the_document() {
    use serde_json::json;
    let (mut job, mut docs) = new_job(1, true);
    let mut report = |metadata: serde_json::Value, now: i64| {
        let report =
            DocumentReport { metadata: Some(metadata), ..DocumentReport::of(DocumentStatus::Processing) };
        ingest::report(&mut job, &mut docs[0], &report, &config(true), None, at(now)).unwrap().events
    };
    report(json!({ "pages": 1 }), 1);
    let told = report(json!({ "pages": 2 }), 1);
    let [Event::DocumentStatus(document)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(document.metadata["pages"], 2);
    assert_eq!(report(json!({ "pages": 2 }), 1), []);
}

#[test]
fn a_document_that_fails_after_it_was_given_back_does_not_say_that_it_waits() {
    let (mut job, mut docs) = new_job(1, true);
    for status in [DocumentStatus::Processing, DocumentStatus::Pending, DocumentStatus::Failed] {
        let report =
            DocumentReport { error: Some("The page is empty.".into()), ..DocumentReport::of(status) };
        ingest::report(&mut job, &mut docs[0], &report, &config(true), None, at(1)).unwrap();
    }
    let document = &docs[0].document;
    assert_eq!(
        (document.status, document.message.as_deref()),
        (DocumentStatus::Failed, Some("The page is empty."))
    );
}

#[test]
fn what_a_sentence_was_made_of_goes_along_with_it() {
    let (mut job, mut docs) = new_job(1, true);
    let metadata = serde_json::json!({ "rows": 1_198, "kind": "an invoice", "similarity_score": 0.87 });
    let report = DocumentReport {
        step: Some("extracting".into()),
        metadata: Some(metadata),
        chunk_count: Some(7),
        ..DocumentReport::of(DocumentStatus::Processing)
    };
    let now = Timestamp::from_micros(1_000_000);
    let told = ingest::report(&mut job, &mut docs[0], &report, &config(true), None, now).unwrap();
    let step = told.events.iter().find_map(|e| match e {
        Event::FileProgress(step) => Some(step),
        _ => None,
    });
    let step = step.unwrap();
    assert_eq!(step.message, "Reading through 1,198 rows…");
    let facts = Facts::of_extra(&step.filename, &step.extra);
    assert_eq!(friendly(WRITTEN, &step.step, &facts), step.message);
    assert_eq!(
        (facts.chunks, facts.similarity, facts.kind.as_deref()),
        (Some(7), Some(0.87), Some("an invoice"))
    );
    assert_eq!(step.extra["phase"], "loading");
}
