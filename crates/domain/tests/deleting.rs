//! Documents that leave their jobs because somebody deletes them, at any point of the work, and come back; and the job
//! that deletes a workspace.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod common;

use common::{begins, chunks, codes, fails};
use domain::{
    Event,
    ids::{JobId, UserId, WorkspaceId},
    ingest::{
        self, Checkpoint, DocumentState, JobState, Stage,
        control::{self, Asked, Retry},
        deletion::{self, UNDO_OVER},
    },
    message::Facts,
    rag::RagConfig,
    status::{DocumentStatus, JobKind, JobRequest, JobStatus, PhaseName, PhaseStatus, Priority},
    step::Step,
    timestamp::Timestamp,
};
use proptest::prelude::*;
use uuid::Uuid;

/// Passages of each document.
const CHUNKS: u32 = 7;

fn job_id(n: u128) -> JobId {
    JobId::new(Uuid::from_u128(n))
}

fn at(n: i64) -> Timestamp {
    Timestamp::from_micros(n * 300_000)
}

fn create(documents: u32) -> (JobState, Vec<DocumentState>) {
    common::new_job(documents, &RagConfig::default(), at(0))
}

/// One piece of work; false when nothing is left.
fn work(job: &mut JobState, doc: &mut DocumentState, now: Timestamp) -> bool {
    if doc.stage == Stage::Done {
        return false;
    }
    if doc.document.status == DocumentStatus::Pending {
        ingest::start(job, doc, now).unwrap();
    }
    let checkpoint = match doc.stage {
        Stage::Loading => common::loaded(),
        Stage::Chunking => Checkpoint::Chunked { chunks: chunks(CHUNKS) },
        Stage::Embedding if doc.document.step != Some(Step::CreatingEmbeddings) => {
            Checkpoint::Step { step: Step::CreatingEmbeddings, facts: Facts::default() }
        }
        Stage::Embedding => {
            let left = doc.document.chunk_count - doc.embedded;
            let vectors = chunks(left.min(3) as u32).into_iter().map(|c| (c.id, vec![1.0])).collect();
            Checkpoint::Embedded { vectors }
        }
        Stage::Indexing | Stage::Done => Checkpoint::Indexed,
    };
    ingest::advance(job, doc, &checkpoint, &RagConfig::default(), now).unwrap();
    true
}

/// The counters of a job tell of so many documents, all ready, and of nothing else.
fn check_end(job: &JobState, documents: u64) {
    let job = &job.job;
    let (m, chunks) = (job.metrics, documents * u64::from(CHUNKS));
    assert_eq!((m.documents_total, m.documents_done, m.documents_failed), (documents, documents, 0), "{m:?}");
    assert_eq!(
        (m.chunks_created, m.chunks_embedded, m.pages_found),
        (chunks, chunks, documents * 2),
        "{m:?}"
    );
    assert_eq!((m.bytes, m.tokens), (documents * 10, chunks));
    for p in &job.phase_details {
        assert_eq!(p.items_processed, p.items_total, "{p:?}");
        assert!(
            !matches!(p.status, PhaseStatus::Running | PhaseStatus::Pending | PhaseStatus::Paused),
            "{p:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_job_that_documents_leave_tells_of_the_others_alone_and_those_go_on_when_they_are_brought_back(
        documents in 1..5u32,
        course in prop::collection::vec((0..5usize, 0..8u8), 0..60),
    ) {
        let (mut job, mut docs) = create(documents);
        let mut gone = vec![];
        let mut clock = 0;
        for (i, what) in course {
            if docs.is_empty() {
                break;
            }
            let i = i % docs.len();
            clock += 1;
            // One that is through is none of the job's any more.
            if what == 0 && docs[i].stage != Stage::Done {
                let doc = docs.remove(i);
                let before = job.job.progress;
                let told = control::withdraw(&mut job, &doc, at(clock)).unwrap();
                prop_assert!(!told.counts_changed);
                prop_assert!(job.job.progress >= before);
                prop_assert!(matches!(told.events.last(), Some(Event::JobUpdate(j) | Event::JobComplete(j)) if *j == job.job));
                gone.push(doc);
            } else {
                work(&mut job, &mut docs[i], at(clock));
            }
        }
        for doc in &mut docs {
            clock += 1;
            while work(&mut job, doc, at(clock)) {
                clock += 1;
            }
        }
        if docs.is_empty() {
            prop_assert_eq!(job.job.status, JobStatus::Cancelled);
            prop_assert_eq!(&*job.job.message, "All of its documents were deleted");
        } else {
            prop_assert_eq!(job.job.status, JobStatus::Completed);
        }
        check_end(&job, docs.len() as u64);

        for (n, mut doc) in gone.into_iter().enumerate() {
            clock += 1;
            let (stage, attempt) = (doc.stage, doc.document.attempt);
            let (mut own, told) =
                control::bring_back(job_id(10 + n as u128), &job, &mut doc, at(clock)).unwrap();
            prop_assert!(told.counts_changed);
            let told = &told.events[..];
            prop_assert!(matches!(told, [Event::DocumentStatus(d), Event::JobUpdate(j)] if *d == doc.document && *j == own.job));
            prop_assert_eq!(doc.stage, stage, "it goes on where it was");
            let phase = match stage {
                Stage::Loading => PhaseName::Loading,
                Stage::Chunking => PhaseName::Chunking,
                Stage::Embedding => PhaseName::Embedding,
                Stage::Indexing | Stage::Done => PhaseName::Indexing,
            };
            prop_assert_eq!((own.job.kind, own.job.phase), (JobKind::Upload, phase));
            prop_assert_eq!(own.job.progress > 0.0, stage != Stage::Loading);
            let d = &doc.document;
            prop_assert!(d.step.is_none() && d.message.is_none());
            prop_assert_eq!((d.updated_at, doc.paused), (at(clock), false));
            prop_assert_eq!(doc.document.job_id, Some(own.job.job_id));
            prop_assert_eq!((doc.document.attempt, doc.document.status), (attempt + 1, DocumentStatus::Pending));
            while work(&mut own, &mut doc, at(clock)) {
                clock += 1;
            }
            prop_assert_eq!(own.job.status, JobStatus::Completed);
            prop_assert!(doc.live > 0);
            check_end(&own, 1);
        }
    }
}

#[test]
fn a_document_that_a_re_index_only_lists_leaves_it_and_is_listed_again_by_a_job_of_its_own() {
    let (mut first, mut docs) = create(1);
    while work(&mut first, &mut docs[0], at(1)) {}
    let mut doc = docs.remove(0);
    let d = &doc.document;
    let (user, place) = (d.user_id, d.workspace_id);
    let (mut again, _) = ingest::reindex(job_id(5), user, place, (2, 20), &RagConfig::default(), at(2));
    control::withdraw(&mut again, &doc, at(3)).unwrap();
    assert_eq!((again.job.metrics.documents_total, again.job.phase_details[0].items_total), (1, 1));
    assert_eq!(again.job.status, JobStatus::Pending);
    assert_eq!(again.job.message, "Waiting to start with 1 document");

    let chunks = doc.document.chunk_count;
    let (own, told) = control::bring_back(job_id(6), &again, &mut doc, at(4)).unwrap();
    assert!(matches!(told.events.last(), Some(Event::JobUpdate(job)) if *job == own.job));
    assert_eq!((own.job.kind, own.job.metrics.documents_total), (JobKind::Reindex, 1));
    assert_eq!((own.job.priority, own.turn_at), (Priority::Normal, at(4)), "somebody waits for it");
    assert_eq!((doc.stage, doc.document.chunk_count), (Stage::Loading, chunks), "it is found as before");
    assert_eq!(doc.live, 1);
}

#[test]
fn what_stood_stands_when_it_is_brought_back() {
    for by_itself in [true, false] {
        let (mut job, mut docs) = create(2);
        work(&mut job, &mut docs[0], at(1));
        if by_itself {
            docs[0].paused = true;
        } else {
            control::ask(&mut job, JobRequest::Pause, true).unwrap();
            control::honour(&mut job, &mut [], &RagConfig::default(), at(2)).unwrap();
        }
        let mut doc = docs.remove(0);
        control::withdraw(&mut job, &doc, at(3)).unwrap();
        control::bring_back(job_id(7), &job, &mut doc, at(4)).unwrap();
        assert!(doc.paused && doc.document.is_paused(), "{:?}", doc.document.warnings);
    }
}

#[test]
fn a_re_index_keeps_the_pages_that_it_read_when_a_document_leaves_that_it_only_lists() {
    let (mut first, mut docs) = create(2);
    for doc in &mut docs {
        while work(&mut first, doc, at(1)) {}
    }
    let (user, place) = (docs[0].document.user_id, docs[0].document.workspace_id);
    let (mut again, _) = ingest::reindex(job_id(5), user, place, (2, 20), &RagConfig::default(), at(2));
    ingest::start(&mut again, &mut docs[0], at(3)).unwrap();
    work(&mut again, &mut docs[0], at(4));
    control::withdraw(&mut again, &docs[1], at(5)).unwrap();
    assert_eq!((again.job.metrics.pages_found, again.job.metrics.documents_total), (2, 1));
}

#[test]
fn what_was_said_of_a_document_in_its_old_job_is_over_when_it_is_brought_back() {
    let wanted = RagConfig::default();
    for what in ["stalled", "interrupted", "stopping", "retrying"] {
        let (mut job, mut docs) = create(2);
        let doc = &mut docs[0];
        work(&mut job, doc, at(1));
        let step = begins(Step::ChunkingText);
        ingest::advance(&mut job, doc, &step, &wanted, at(2)).unwrap();
        match what {
            "stalled" => ingest::stall(&mut job, doc, (300, 1), &wanted, at(3)).unwrap(),
            "interrupted" => ingest::interrupt(&mut job, doc, at(3)),
            "stopping" => control::ask_document(&job, doc, Asked::Pause, at(3)).unwrap().unwrap(),
            _ => ingest::advance(&mut job, doc, &fails("It broke off.", true), &wanted, at(3)).unwrap(),
        };
        assert_eq!(codes(doc), [what]);
        control::withdraw(&mut job, doc, at(4)).unwrap();
        control::bring_back(job_id(7), &job, doc, at(5)).unwrap();
        assert_eq!((codes(doc).len(), doc.paused, doc.requested), (0, false, None));
        assert!(doc.failures.is_empty(), "it has all its tries");
        // The step that it was in begins anew.
        assert!((doc.document.progress - 10.0).abs() < 1e-6, "{}", doc.document.progress);
    }
}

#[test]
fn a_document_whose_job_left_the_embedding_out_is_embedded_when_it_is_brought_back() {
    let (mut job, mut docs) = create(2);
    ingest::start(&mut job, &mut docs[0], at(1)).unwrap();
    control::skip_embedding(&mut job, &mut docs, at(2)).unwrap();
    assert!(!docs[0].embeds);
    let mut doc = docs.remove(0);
    control::withdraw(&mut job, &doc, at(3)).unwrap();
    let (own, _) = control::bring_back(job_id(7), &job, &mut doc, at(4)).unwrap();
    assert!(doc.embeds);
    assert_eq!(own.job.phase_details[2].status, PhaseStatus::Pending);
}

#[test]
fn a_later_attempt_that_a_document_leaves_before_it_begins_waits_for_the_others() {
    let (mut job, mut docs) = create(3);
    for doc in &mut docs[..2] {
        work(&mut job, doc, at(1));
        let broken = fails("It is broken.", false);
        ingest::advance(&mut job, doc, &broken, &RagConfig::default(), at(2)).unwrap();
    }
    while work(&mut job, &mut docs[2], at(3)) {}
    control::retry(&mut job, &mut docs, &Retry::failed(), at(4)).unwrap().expect("an attempt");
    control::withdraw(&mut job, &docs[0], at(5)).unwrap();
    assert_eq!(job.job.message, "Waiting to retry 1 document");
    let loading = &job.job.phase_details[0];
    assert_eq!((loading.items_processed, loading.items_reused, loading.items_total), (1, 1, 1));
}

#[test]
fn a_cancel_that_was_asked_for_is_left_to_whoever_honours_it() {
    let (mut job, mut docs) = create(2);
    work(&mut job, &mut docs[0], at(1));
    control::ask(&mut job, JobRequest::Cancel, true).unwrap();
    control::withdraw(&mut job, &docs.remove(0), at(2)).unwrap();
    assert_eq!((job.job.status, job.job.requested), (JobStatus::Running, Some(JobRequest::Cancel)));
}

#[test]
fn the_job_of_a_deletion_counts_what_is_gone_and_can_be_undone_before_it_begins() {
    let (user, place) = (UserId::new(Uuid::from_u128(2)), WorkspaceId::new(Uuid::from_u128(3)));
    let (fresh, told) = deletion::delete(job_id(1), user, place, (12, 340), at(0));
    assert_eq!((fresh.job.kind, fresh.job.status), (JobKind::Delete, JobStatus::Pending));
    assert!(fresh.job.phase_details.is_empty());
    assert_eq!(fresh.job.message, "Deleting 12 documents in a moment");
    assert!(matches!(&told.events[..], [Event::JobUpdate(_)]));

    let mut undone = fresh.clone();
    deletion::undone(&mut undone, at(1)).unwrap();
    assert_eq!((undone.job.status, &*undone.job.message), (JobStatus::Cancelled, "The deletion was undone"));

    let mut job = fresh;
    deletion::deleting(&mut job, 12, at(1)).unwrap();
    assert_eq!((job.job.status, &*job.job.message), (JobStatus::Running, "Deleting 0 of 12 documents"));
    assert_eq!(deletion::undone(&mut job.clone(), at(2)), Err(UNDO_OVER));
    deletion::deleting(&mut job, 3, at(2)).unwrap();
    assert_eq!((job.job.metrics.documents_done, job.job.progress), (9, 75.0));
    // A server that was killed begins with what it finds.
    deletion::deleting(&mut job, 3, at(3)).unwrap();
    assert_eq!(job.job.metrics.documents_done, 9);
    let told = deletion::deleted(&mut job, at(4)).unwrap();
    assert_eq!((job.job.status, job.job.progress), (JobStatus::Completed, 100.0));
    assert!(matches!(&told.events[..], [Event::JobComplete(_)]));
    assert!(deletion::deleted(&mut job, at(5)).is_err());
}
