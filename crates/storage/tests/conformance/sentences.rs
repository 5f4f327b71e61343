//! Sentences of steps that the catalogue does not know: each is taken by one asker at a time, after a pause that grows,
//! and reaches the documents that are in the step.

use crate::{
    desk::{Desk, JobSubject},
    on_every_database,
    subject::Database,
};
use domain::{DocumentStatus, Event, Timestamp, rag::RagConfig, report::DocumentReport, status::Processor};
use services::ports::Sentences;
use std::ops::Deref;

fn after(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_000_000_000_000_000).plus_seconds(seconds)
}

fn pause(tries: u32) -> u32 {
    60 << tries
}

async fn a_step_is_taken_once_and_again_only_after_a_growing_pause<S>(s: S)
where
    S: JobSubject + Deref<Target = Database>,
{
    let store = &s.store;
    let take =
        async |at| store.take_wordless(at, pause).await.unwrap().map(|asked| (asked.step, asked.tries));
    assert_eq!(take(after(0)).await, None);
    for _ in 0..2 {
        store.want_sentence("folding", 10, after(0)).await.unwrap();
    }
    // Several servers look at the same moment.
    let taken = futures::future::join_all((0..4).map(|_| take(after(0)))).await;
    let taken: Vec<_> = taken.into_iter().flatten().collect();
    assert_eq!(taken, [("folding".to_owned(), 0)]);
    assert_eq!(take(after(59)).await, None);
    assert_eq!(take(after(60)).await, Some(("folding".to_owned(), 1)));
    assert_eq!(take(after(179)).await, None);
    assert_eq!(take(after(180)).await, Some(("folding".to_owned(), 2)));
    store.keep_sentence("folding", "Folding…").await.unwrap();
    store.want_sentence("folding", 10, after(180)).await.unwrap();
    assert_eq!(take(after(1_000_000)).await, None, "what is known is not asked for");
}

async fn no_more_steps_are_noted_than_there_may_be<S>(s: S)
where
    S: JobSubject + Deref<Target = Database>,
{
    let store = &s.store;
    for step in ["a", "b", "c", "d"] {
        store.want_sentence(step, 3, after(0)).await.unwrap();
    }
    let mut steps = vec![];
    while let Some(asked) = store.take_wordless(after(1), pause).await.unwrap() {
        steps.push(asked.step);
    }
    assert_eq!(steps, ["a", "b", "c"]);
}

async fn a_sentence_reaches_the_documents_that_are_in_its_step<S>(s: S)
where
    S: JobSubject + Deref<Target = Database>,
{
    let desk = Desk::new(s);
    let mut documents = vec![];
    for _ in 0..2 {
        let user = desk.s.user().await;
        let workspace = desk.s.workspace(user, RagConfig::default()).await;
        desk.s.set_processor(user, workspace, Processor::External).await;
        let (_, made) = desk.upload(user, workspace, &["a.txt", "b.txt", "c.txt"]).await;
        documents.extend(made.into_iter().map(|d| (user, d.id)));
    }
    let say = async |(user, id), report: DocumentReport| {
        desk.jobs.report_document(user, id, report, desk.now()).await.unwrap()
    };
    let at = |step: &str| DocumentReport {
        step: Some(step.to_owned()),
        ..DocumentReport::of(DocumentStatus::Processing)
    };
    for &document in &documents {
        assert_eq!(say(document, at("folding")).await.message.as_deref(), Some("Folding…"));
    }
    // One went on, one has words of its own.
    say(documents[1], at("stretching")).await;
    let own = DocumentReport { message: Some("Folding page 3…".to_owned()), ..at("folding") };
    say(documents[2], own).await;
    let store = &desk.s.store;
    assert!(
        ["a.txt", "b.txt", "c.txt"].contains(&store.file_in_step("folding").await.unwrap().unwrap().as_str())
    );
    assert_eq!(store.file_in_step("unheard_of").await.unwrap(), None);
    let user = documents[0].0;
    let base = desk.head(user).await;

    store.want_sentence("folding", 10, desk.now()).await.unwrap();
    store.keep_sentence("folding", "Bringing {file} into shape…").await.unwrap();
    let mut changed = 0;
    loop {
        match store.reword_step("folding", "Bringing {file} into shape…", 2, desk.now()).await.unwrap() {
            0 => break,
            n => changed += n,
        }
    }
    assert_eq!(changed, 4);
    let mut messages = vec![];
    for &(user, id) in &documents {
        messages.push(desk.document(user, id).await.message.unwrap());
    }
    let better = |name: &str| format!("Bringing {name} into shape…");
    assert_eq!(
        messages,
        [
            better("a.txt"),
            "Stretching…".to_owned(),
            "Folding page 3…".to_owned(),
            better("a.txt"),
            better("b.txt"),
            better("c.txt")
        ]
    );
    let told = desk.events_after(user, base).await;
    let [Event::FileProgress(told)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((told.document_id, told.message.as_str()), (documents[0].1, "Bringing a.txt into shape…"));
    // Who comes to the step later, has it at once.
    assert_eq!(say(documents[1], at("folding")).await.message, Some(better("b.txt")));
    desk.assert_that_the_stream_told_the_truth(user).await;
}

on_every_database!(
    a_step_is_taken_once_and_again_only_after_a_growing_pause,
    no_more_steps_are_noted_than_there_may_be,
    a_sentence_reaches_the_documents_that_are_in_its_step,
);
