//! Passages that the workspace has already, and what a document has in common with another one.

use super::{at, common::chunks, config, new_job, to_embed};
use domain::{
    event::Event,
    ids::DocumentId,
    ingest::{self, Checkpoint, Stage},
    message::{Facts, WRITTEN, friendly},
    step::Step,
};
use uuid::Uuid;

fn known(n: usize) -> Checkpoint {
    Checkpoint::Known { passages: chunks(9)[..n].iter().map(|c| (c.id, c.id)).collect() }
}

fn step() -> Checkpoint {
    Checkpoint::Step { step: Step::CreatingEmbeddings, facts: Facts::default() }
}

#[test]
fn passages_that_are_known_count_as_embedded_and_as_skipped() {
    let (mut job, mut docs) = new_job(1, true);
    to_embed(&mut job, &mut docs[0], 9);
    for (checkpoint, embedded, skipped) in [(known(2), 2, 2), (known(4), 6, 6), (step(), 6, 6)] {
        ingest::advance(&mut job, &mut docs[0], &checkpoint, &config(true), at(3)).unwrap();
        let m = job.job.metrics;
        assert_eq!((docs[0].embedded, m.chunks_embedded, m.chunks_skipped), (embedded, embedded, skipped));
        assert_eq!(docs[0].document.metadata["known_chunks"], skipped);
    }
    let rest = Checkpoint::Embedded { vectors: chunks(3).into_iter().map(|c| (c.id, vec![1.0])).collect() };
    ingest::advance(&mut job, &mut docs[0], &rest, &config(true), at(4)).unwrap();
    assert_eq!(docs[0].stage, Stage::Indexing);
    assert_eq!((job.job.metrics.chunks_embedded, job.job.metrics.chunks_skipped), (9, 6));
}

#[test]
fn when_all_passages_are_known_nothing_is_left_to_embed() {
    let (mut job, mut docs) = new_job(1, true);
    to_embed(&mut job, &mut docs[0], 9);
    ingest::advance(&mut job, &mut docs[0], &known(9), &config(true), at(3)).unwrap();
    assert_eq!(docs[0].stage, Stage::Indexing);
}

#[test]
fn a_likeness_is_told_from_half_on_and_what_a_step_finds_out_stays() {
    use serde_json::json;
    let like = |shared| Checkpoint::Compared {
        with: DocumentId::new(Uuid::from_u128(77)),
        filename: "old.txt".into(),
        shared,
    };
    let (mut job, mut docs) = new_job(1, true);
    to_embed(&mut job, &mut docs[0], 9);
    // Less than half is told in passing, and not kept.
    let told = ingest::advance(&mut job, &mut docs[0], &like(4), &config(true), at(3)).unwrap();
    let step = told.events.iter().find_map(|e| match e {
        Event::FileProgress(step) if step.step == Step::ContentDuplicateFound => Some(step),
        _ => None,
    });
    let step = step.unwrap();
    assert_eq!(
        (&step.extra["duplicate_info"]["filename"], &step.extra["duplicate_info"]["shared_chunks"]),
        (&json!("old.txt"), &json!(4))
    );
    assert!(docs[0].document.metadata.get("similar_name").is_none());
    let none = ingest::advance(&mut job, &mut docs[0], &like(0), &config(true), at(3)).unwrap();
    assert!(!none.events.iter().any(|e| matches!(e, Event::FileProgress(_))), "{none:?}");
    let told = ingest::advance(&mut job, &mut docs[0], &like(7), &config(true), at(4)).unwrap();
    let document = &docs[0].document;
    assert_eq!(document.step, Some(Step::NearDuplicateFound));
    // Whoever reads the stream alone has all of it, and may word it anew.
    let mut steps = told.events.iter().filter_map(|e| match e {
        Event::FileProgress(step) if step.step == Step::NearDuplicateFound => Some(step),
        _ => None,
    });
    let step = steps.next_back().unwrap();
    let info = json!({
        "document_id": DocumentId::new(Uuid::from_u128(77)), "filename": "old.txt",
        "similarity_score": 7.0 / 9.0, "shared_chunks": 7, "new_chunks": 2,
    });
    assert_eq!((&step.extra["filename"], &step.extra["duplicate_info"]), (&json!(step.filename), &info));
    let facts = Facts::of_extra(&step.filename, &step.extra);
    assert_eq!(friendly(WRITTEN, &step.step, &facts), step.message);
    assert_eq!(document.message.as_deref(), Some("Found a 78 % match with old.txt: 2 new parts, 7 known"));
    assert_eq!(
        (&document.metadata["shared_chunks"], &document.metadata["new_chunks"]),
        (&7.into(), &2.into())
    );
    let facts = Facts { kind: Some("a recipe".into()), ..Facts::default() };
    let step = Checkpoint::Step { step: Step::DocumentClassification, facts };
    ingest::advance(&mut job, &mut docs[0], &step, &config(true), at(5)).unwrap();
    let document = &docs[0].document;
    assert_eq!(document.message.as_deref(), Some("This looks like a recipe"));
    assert_eq!(
        (&document.metadata["kind"], &document.metadata["similar_name"]),
        (&"a recipe".into(), &"old.txt".into())
    );
}
