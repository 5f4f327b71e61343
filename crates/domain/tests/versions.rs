//! What is found of a document while it is indexed anew or gets its next version, and what becomes of either.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod common;

use common::{Heard, begins, chunks, codes, documents, embedded, fails, loaded, steps};
use domain::{
    event::{Event, StepStatus},
    ids::{DocumentId, JobId},
    ingest::{
        self, Checkpoint, DocumentState, Stage, Told, Upload,
        control::{self, Asked, Retry},
    },
    rag::RagConfig,
    resource::{CANCELLED, Warning},
    status::{DocumentStatus, JobKind, JobRequest, JobStatus},
    step::Step,
};
use serde_json::json;
use uuid::Uuid;

fn warning(code: &str) -> Warning {
    Warning { code: code.to_owned(), message: "There is little text in it.".into() }
}

fn read(title: &str, pages: u64) -> Checkpoint {
    let warnings = vec![warning(&format!("little_{title}"))];
    Checkpoint::Loaded { pages: Some(pages), characters: 9, title: Some(title.into()), warnings }
}

/// Documents that are found.
fn ready(documents: u32) -> Heard {
    let mut heard = Heard::new(documents, &RagConfig::default());
    for i in 0..documents as usize {
        heard.start(i);
        heard.does(i, &read("first", 2));
        heard.reach(i, Stage::Done);
    }
    assert_eq!(heard.job.job.status, JobStatus::Completed);
    heard
}

fn upload(id: u128, version: u32) -> Upload {
    Upload {
        id: DocumentId::new(Uuid::from_u128(id)),
        filename: "0.txt".into(),
        mime_type: format!("text/{version}"),
        size_bytes: u64::from(version),
        content_hash: format!("hash {version}"),
    }
}

/// Goes on with a job that is to make the next version of the first document, and another document besides.
fn job_for(heard: &mut Heard, version: u32, uploads: &[Upload]) {
    let d = &heard.docs[0].document;
    let id = JobId::new(Uuid::from_u128(10 + u128::from(version)));
    let replaced = (1, u64::from(version));
    let (job, docs, told) = ingest::create_with(
        (id, JobKind::Upload),
        d.user_id,
        d.workspace_id,
        uploads,
        replaced,
        &heard.wanted,
        heard.now(),
    );
    heard.docs.extend(docs);
    heard.go_on_with((job, told));
}

fn replace(heard: &mut Heard, version: u32) -> Told {
    job_for(heard, version, &[]);
    heard.change(|job, docs, now| ingest::replace(job, &mut docs[0], &upload(100, version), version, now))
}

fn reindex(heard: &mut Heard, n: u128) {
    let d = &heard.docs[0].document;
    let (user, workspace, all) = (d.user_id, d.workspace_id, heard.docs.len() as u64);
    let id = JobId::new(Uuid::from_u128(50 + n));
    let made = ingest::reindex(id, user, workspace, (all, all * 10), &heard.wanted, heard.now());
    heard.go_on_with(made);
}

fn cancel(heard: &mut Heard, keep_results: bool) {
    control::ask(&mut heard.job, JobRequest::Cancel, keep_results).unwrap();
    let wanted = heard.wanted.clone();
    heard.change(|job, docs, now| control::honour(job, docs, &wanted, now));
}

/// Whether its first version is found as before.
fn is_as_before(doc: &DocumentState) -> bool {
    let d = &doc.document;
    let content = (d.version, d.mime_type.as_str(), d.size_bytes, d.content_hash.as_str());
    let passages = (d.chunk_count, doc.live, doc.live_chunks, doc.found_since);
    content == (1, "text/plain", 10, "")
        && passages == (6, 1, 6, Some(1))
        && d.metadata["title"] == "first"
        && d.metadata["pages"] == 2
}

#[test]
fn the_next_version_is_found_when_it_is_indexed_and_not_before() {
    let mut heard = ready(1);
    replace(&mut heard, 2);
    let doc = &heard.docs[0];
    assert!(is_as_before(doc), "{doc:?}");
    assert_eq!((doc.document.next_version, doc.run_version()), (Some(2), 2));
    assert_eq!((doc.document.status, codes(doc)), (DocumentStatus::Pending, vec!["little_first"]));
    heard.reach(0, Stage::Done);
    let doc = &heard.docs[0];
    let d = &doc.document;
    assert_eq!((d.version, d.next_version, &doc.next), (2, None, &None));
    assert_eq!((&*d.mime_type, d.size_bytes, &*d.content_hash), ("text/2", 2, "hash 2"));
    assert_eq!((doc.live, doc.found_since, codes(doc).len()), (2, Some(1), 0));
    assert_eq!(d.metadata.get("title"), None, "that was of the version before");
}

#[test]
fn a_version_that_fails_leaves_what_was_found_and_is_tried_again_from_its_beginning() {
    let mut heard = ready(1);
    replace(&mut heard, 2);
    heard.start(0);
    for checkpoint in [read("second", 3), Checkpoint::Chunked { chunks: chunks(4) }, embedded(2)] {
        heard.does(0, &checkpoint);
    }
    heard.does(0, &fails("It is broken.", false));
    let doc = &heard.docs[0];
    let d = &doc.document;
    assert!(is_as_before(doc), "{doc:?}");
    assert_eq!((d.status, d.next_version, d.stale), (DocumentStatus::Ready, Some(2), false));
    assert_eq!(codes(doc), ["little_first", "replace_failed"]);
    let said =
        "Version 2 could not be processed, and version 1 is found as before. It is broken. Try another file.";
    assert_eq!(d.warnings[1].message, said);
    let told = control::attempt_of(&heard.job.job, &heard.docs);
    let error = &told.errors[0];
    assert_eq!((&*error.error, error.error_code.as_deref()), (said, Some("replace_failed")));
    let m = heard.job.job.metrics;
    assert_eq!((m.chunks_created, m.chunks_embedded, m.tokens, m.pages_found), (4, 2, 4, 3));

    heard.change(|job, docs, now| control::retry(job, docs, &Retry::failed(), now).map(Option::unwrap));
    let doc = &heard.docs[0];
    assert!(is_as_before(doc), "{doc:?}");
    assert_eq!((doc.stage, codes(doc), doc.run_version()), (Stage::Loading, vec!["little_first"], 2));
    let m = heard.job.job.metrics;
    assert_eq!((m.chunks_created, m.chunks_embedded, m.tokens, m.pages_found), (0, 0, 0, 0));
    heard.reach(0, Stage::Done);
    assert_eq!((heard.docs[0].document.version, heard.docs[0].live), (2, 3));
    let m = heard.job.job.metrics;
    assert_eq!((m.chunks_created, m.documents_done, m.documents_failed, m.pages_found), (6, 1, 0, 2));
}

#[test]
fn a_version_that_is_cancelled_leaves_what_was_found_whatever_is_to_be_kept() {
    for keep_results in [true, false] {
        let mut heard = ready(1);
        replace(&mut heard, 2);
        heard.start(0);
        heard.does(0, &read("second", 3));
        cancel(&mut heard, keep_results);
        let doc = &heard.docs[0];
        assert!(is_as_before(doc), "{doc:?}");
        assert_eq!((doc.document.status, doc.document.next_version), (DocumentStatus::Ready, Some(2)));
        assert_eq!(codes(doc), ["little_first", "replace_cancelled"]);
        let m = heard.job.job.metrics;
        assert_eq!((m.documents_failed, m.documents_cancelled), (1, 1));
        heard.change(|job, docs, now| control::retry(job, docs, &Retry::failed(), now).map(Option::unwrap));
        let m = heard.job.job.metrics;
        assert_eq!((m.documents_failed, m.documents_cancelled), (0, 0));
    }
}

#[test]
fn a_cancel_takes_no_later_version_back() {
    let mut heard = ready(1);
    job_for(&mut heard, 2, &[upload(101, 1)]);
    heard.change(|job, docs, now| ingest::replace(job, &mut docs[0], &upload(100, 2), 2, now));
    heard.reach(0, Stage::Done);
    cancel(&mut heard, false);
    let fates = heard.docs.iter().map(|d| (d.document.status, d.live)).collect::<Vec<_>>();
    assert_eq!(fates, [(DocumentStatus::Ready, 2), (DocumentStatus::Failed, 0)]);
}

#[test]
fn of_what_is_not_found_the_next_content_takes_the_place_at_once() {
    let mut heard = Heard::new(1, &RagConfig::default());
    heard.docs[0].document.metadata = json!({ "source_url": "https://example.org/" });
    heard.start(0);
    for checkpoint in [read("first", 2), Checkpoint::Chunked { chunks: chunks(6) }] {
        heard.does(0, &checkpoint);
    }
    heard.does(0, &fails("It is broken.", false));
    replace(&mut heard, 2);
    let doc = &heard.docs[0];
    let d = &doc.document;
    assert_eq!((d.version, d.next_version, &doc.next, d.chunk_count), (2, None, &None, 0));
    assert_eq!((&*d.mime_type, d.size_bytes, &*d.content_hash), ("text/2", 2, "hash 2"));
    assert_eq!((&d.metadata, codes(doc).len()), (&json!({ "source_url": "https://example.org/" }), 0));
    heard.reach(0, Stage::Done);
    assert_eq!(heard.docs[0].found_since, Some(2), "nothing of it was found before");
}

#[test]
fn another_content_takes_back_what_was_said_of_the_run_before() {
    for what in ["stalled", "interrupted", "paused"] {
        let mut heard = ready(1);
        reindex(&mut heard, 1);
        heard.start(0);
        let wanted = heard.wanted.clone();
        match what {
            "stalled" => {
                heard.change(|job, docs, now| ingest::stall(job, &mut docs[0], (300, 1), &wanted, now));
            }
            "interrupted" => {
                heard.change(|job, docs, now| Ok::<_, ()>(ingest::interrupt(job, &mut docs[0], now)));
            }
            _ => {
                heard.change(|job, docs, now| {
                    control::ask_document(job, &mut docs[0], Asked::Pause, now).map(Option::unwrap)
                });
                heard.change(|job, docs, now| control::honour_document(job, &mut docs[0], &wanted, now));
            }
        }
        assert_eq!(codes(&heard.docs[0]), ["little_first", what]);
        job_for(&mut heard, 2, &[]);
        let now = heard.now();
        ingest::replace(&heard.job, &mut heard.docs[0], &upload(100, 2), 2, now).unwrap();
        let doc = &heard.docs[0];
        assert_eq!((codes(doc), doc.paused, doc.requested), (vec!["little_first"], false, None));
    }
    // One more before the last one was through.
    let mut heard = ready(1);
    replace(&mut heard, 2);
    heard.start(0);
    for checkpoint in [read("second", 3), Checkpoint::Chunked { chunks: chunks(4) }] {
        heard.does(0, &checkpoint);
    }
    job_for(&mut heard, 3, &[]);
    let now = heard.now();
    ingest::replace(&heard.job, &mut heard.docs[0], &upload(100, 3), 3, now).unwrap();
    let doc = &heard.docs[0];
    assert!(is_as_before(doc), "{doc:?}");
    assert_eq!((doc.run_version(), codes(doc)), (3, vec!["little_first"]));
}

#[test]
fn a_re_index_that_fails_leaves_what_was_found_and_says_so_once() {
    let mut heard = ready(1);
    reindex(&mut heard, 1);
    let told = heard.start(0);
    assert_eq!(documents(&told), 2, "it waits, and is taken");
    heard.start(0);
    for checkpoint in [loaded(), Checkpoint::Chunked { chunks: chunks(4) }] {
        heard.does(0, &checkpoint);
    }
    // What the workspace asks for has changed meanwhile.
    heard.wanted.chunk_size = 500;
    heard.does(0, &fails("It is broken.", false));
    let doc = &heard.docs[0];
    assert_eq!((doc.document.status, doc.document.stale), (DocumentStatus::Ready, true));
    assert_eq!((doc.document.chunk_count, doc.live, codes(doc)), (6, 1, vec!["reindex_failed"]));

    reindex(&mut heard, 2);
    heard.start(0);
    heard.does(0, &fails("It is broken.", false));
    assert_eq!(codes(&heard.docs[0]), ["reindex_failed"]);
    replace(&mut heard, 2);
    assert_eq!(codes(&heard.docs[0]).len(), 0, "another content is tried");
}

#[test]
fn a_re_index_is_stale_where_something_else_is_wanted_when_it_is_through() {
    let mut heard = ready(1);
    assert!(!heard.docs[0].document.stale);
    reindex(&mut heard, 1);
    heard.reach(0, Stage::Indexing);
    heard.wanted.chunk_size = 500;
    heard.does(0, &Checkpoint::Indexed);
    assert!(heard.docs[0].document.stale);
}

#[test]
fn a_re_index_that_is_cancelled_counts_what_it_did_not_come_to_and_takes_nothing_back() {
    for keep_results in [true, false] {
        let mut heard = ready(3);
        reindex(&mut heard, 1);
        heard.reach(0, Stage::Done);
        heard.start(1);
        cancel(&mut heard, keep_results);
        assert!(heard.docs.iter().all(|d| d.document.status == DocumentStatus::Ready && d.live > 0));
        let said = [1, 2].map(|i| codes(&heard.docs[i]));
        assert_eq!(said, [vec!["little_first", "reindex_cancelled"], vec!["little_first"]]);
        let m = heard.job.job.metrics;
        assert_eq!((m.documents_done, m.documents_failed, m.documents_cancelled), (1, 2, 2));
    }
}

#[test]
fn a_document_that_is_there_already_is_told_as_a_duplicate_of_that() {
    let mut heard = Heard::new(1, &RagConfig::default());
    let other = DocumentId::new(Uuid::from_u128(7));
    let now = heard.now();
    let events = ingest::say_duplicate(&mut heard.docs[0], (other, "other.txt"), now);
    let told = Told { events, counts_changed: false };
    assert_eq!(steps(&told), [(Step::DuplicateFound, StepStatus::InProgress)]);
    let Event::FileProgress(step) = &told.events[0] else { panic!("{told:?}") };
    assert_eq!(step.message, "Found an exact match: other.txt has the same content");
    let info = json!({ "document_id": other, "filename": "other.txt", "similarity_score": 1.0 });
    assert_eq!((&step.extra["duplicate_info"], &step.extra["similar_name"]), (&info, &json!("other.txt")));
    assert_eq!(heard.docs[0].document.step, Some(Step::DuplicateFound));
}

#[test]
fn passages_are_dead_when_neither_a_search_nor_the_next_attempt_wants_them() {
    use Stage::{Chunking, Done, Embedding, Indexing, Loading};
    let heard = Heard::new(1, &RagConfig::default());
    let doc = |(live, stage, chunks): (u32, Stage, u64)| {
        let mut doc = heard.docs[0].clone();
        (doc.live, doc.stage, doc.generation, doc.document.chunk_count) = (live, stage, 3, chunks);
        doc
    };
    let table = [
        ((2, Done, 6), (0, Done, 0), 2..4, "all is taken back"),
        ((0, Loading, 0), (0, Done, 0), 0..0, "it was not read"),
        ((1, Loading, 6), (1, Done, 6), 0..0, "nothing is made yet beside what is found"),
        ((3, Done, 6), (3, Loading, 6), 0..0, "it begins anew"),
        ((0, Embedding, 6), (0, Done, 6), 0..0, "its next attempt goes on there"),
        ((0, Embedding, 6), (0, Done, 0), 3..4, "nothing of it is to be kept"),
        ((0, Chunking, 0), (0, Done, 0), 3..4, "some were written ahead"),
        ((1, Embedding, 6), (1, Done, 6), 3..4, "another run is found"),
        ((1, Embedding, 6), (1, Indexing, 6), 0..0, "it goes on"),
    ];
    for (before, after, dead, why) in table {
        assert_eq!(control::dead_runs(&doc(before), &doc(after)), dead, "{why}");
    }
}

#[test]
fn what_is_cancelled_says_that_and_that_it_can_go_on() {
    let mut heard = Heard::new(1, &RagConfig::default());
    heard.start(0);
    heard.does(0, &begins(Step::ExtractingText));
    cancel(&mut heard, true);
    let d = &heard.docs[0].document;
    assert_eq!((d.error_code.as_deref(), d.error.as_deref()), (Some(CANCELLED), Some("It was cancelled.")));
    assert_eq!(d.error_hint.as_deref(), Some("Retry it to go on with it."));
}
