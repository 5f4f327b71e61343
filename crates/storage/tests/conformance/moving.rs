//! An installation that is moved from SQLite to PostgreSQL: it is the same installation there, down to the numbers of the
//! log and the work in hand.

use crate::{
    deletions::{full_account, tables},
    desk::Desk,
    subject::{Database, Postgres, Sqlite, Subject},
    support::Place,
};
use domain::{DocumentStatus, ingest::Stage};
use services::ports::{EventLog, Index, KeywordHit};
use std::collections::BTreeSet;
use storage::{MoveError, OpenError, Store, move_installation};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_installation_is_the_same_one() {
    let desk = Desk::new(Sqlite::fresh().await);
    let (user, workspace) = desk.home().await;
    let (job, documents) = desk.upload(user, workspace, &["first.txt", "second.txt"]).await;
    let (job, documents) = (job.job_id, documents.iter().map(|d| d.id).collect::<Vec<_>>());
    let first = desk.claim_one("w").await;
    desk.work(&first, 3).await;
    // The second is in the middle of its work when the server is stopped.
    let second = desk.claim_one("w").await;
    desk.work_until(&second, 3, Stage::Embedding).await;
    let users = [user, full_account(&desk).await, full_account(&desk).await];
    let before = desk.everything(user, job, &documents).await;
    let logs = async |store: &Store| {
        let mut all = vec![];
        for user in users {
            all.push(store.after(user, 0, u32::MAX).await.unwrap());
        }
        (store.epoch(), all)
    };
    let logged = logs(&desk.s.store).await;
    let word = desk.chunks(user, first.document_id).await[0].text.clone();
    let found = desk.s.store.keyword(workspace, &word, 9).await.unwrap();
    assert!(!found.is_empty());
    let mut conn = desk.s.place.connect().await;
    let known: BTreeSet<String> = tables(&mut conn, true).await.into_iter().collect();

    let place = Place::postgres().await;
    let moved = move_installation(&desk.s.place.url(), &place.url()).await.unwrap();
    let went: BTreeSet<String> = moved.0.iter().map(|(table, _)| table.clone()).collect();
    let apart: Vec<&String> = known.symmetric_difference(&went).collect();
    assert_eq!(apart, ["chunk_text", "writers"], "the words are made anew, and who writes is not moved");
    for (table, rows) in &moved.0 {
        assert!(*rows > 0 || ["deletions", "step_sentences"].contains(&table.as_str()), "{table} was empty");
    }

    let again = move_installation(&desk.s.place.url(), &place.url()).await;
    assert!(matches!(again, Err(MoveError::Open(OpenError::Moved))), "the old one is over: {again:?}");

    let there = Desk::new(Postgres(Database::of(place, desk.s.0.into_world()).await));
    assert_eq!(logs(&there.s.store).await, logged);
    let hits = there.s.store.keyword(workspace, &word, 9).await.unwrap();
    let ids = |hits: &[KeywordHit]| hits.iter().map(|hit| hit.chunk_id).collect::<BTreeSet<_>>();
    assert_eq!(ids(&hits), ids(&found));
    assert_eq!(there.everything(user, job, &documents).await, before);
    // The work goes on there, from its checkpoint.
    there.jobs.void_leases().await.unwrap();
    let claim = there.claim("other", 9).await.into_iter().find(|c| c.document_id == second.document_id);
    let claim = claim.expect("it waits");
    assert_eq!(claim.stage, Stage::Embedding);
    there.work_until(&claim, 3, Stage::Done).await;
    assert_eq!(there.document(user, second.document_id).await.status, DocumentStatus::Ready);
    there.assert_that_the_stream_told_the_truth(user).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_moved_into_a_database_that_is_in_use_or_out_of_one_that_is_not_there() {
    let desk = Desk::new(Sqlite::fresh().await);
    desk.home().await;
    let used = Desk::new(Postgres::fresh().await);
    let (user, _) = used.home().await;
    let head = used.head(user).await;
    let refused = move_installation(&desk.s.place.url(), &used.s.place.url()).await;
    assert!(matches!(refused, Err(MoveError::NotEmpty)), "{refused:?}");
    assert_eq!(used.head(user).await, head);
    let refused = move_installation(&used.s.place.url(), &desk.s.place.url()).await;
    assert!(matches!(refused, Err(MoveError::Engines)), "{refused:?}");

    let missing = desk.s.place.high_water().with_file_name("other.db");
    let empty = Place::postgres().await;
    let refused = move_installation(&storage::sqlite_url(&missing), &empty.url()).await;
    assert!(matches!(refused, Err(MoveError::Open(_))), "{refused:?}");
    assert!(!missing.exists(), "a mistake makes no file");
}
