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
use sqlx::{AnyConnection, AssertSqlSafe, Executor, raw_sql};
use std::collections::BTreeSet;
use storage::{MoveError, OpenError, Store, migrate, move_installation};

/// Tables that have no rows in the installation that is moved.
const OFTEN_EMPTY: [&str; 3] = ["deletions", "model_dims", "step_sentences"];

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
    // Words are made anew, counts come about with their documents, and who writes is not moved.
    assert_eq!(apart, ["chunk_text", "workspace_counts", "writers"]);
    for (table, rows) in &moved.0 {
        assert!(*rows > 0 || OFTEN_EMPTY.contains(&table.as_str()), "{table} was empty");
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
    // One of an older version is not even brought to this one.
    let mut there = used.s.place.connect().await;
    let newest = "DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)";
    there.execute(raw_sql(newest)).await.unwrap();
    let versions = "SELECT COUNT(*) FROM _sqlx_migrations";
    let before = number(&mut there, versions).await;
    let refused = move_installation(&desk.s.place.url(), &used.s.place.url()).await;
    assert!(matches!(refused, Err(MoveError::NotEmpty)), "{refused:?}");
    assert_eq!(number(&mut there, versions).await, before);
    let refused = move_installation(&used.s.place.url(), &desk.s.place.url()).await;
    assert!(matches!(refused, Err(MoveError::Engines)), "{refused:?}");

    let missing = desk.s.place.high_water().with_file_name("other.db");
    let empty = Place::postgres().await;
    let refused = move_installation(&storage::sqlite_url(&missing), &empty.url()).await;
    assert!(matches!(refused, Err(MoveError::Open(_))), "{refused:?}");
    assert!(!missing.exists(), "a mistake makes no file");
}

async fn number(conn: &mut AnyConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(conn).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_made_in_a_database_that_has_tables_of_somebody_else() {
    let desk = Desk::new(Sqlite::fresh().await);
    desk.home().await;
    let place = Place::postgres().await;
    let (from, to) = (desk.s.place.url(), place.url());
    let mut new = place.connect().await;
    let tables = "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'";
    // Also one that is named as one of ours.
    for theirs in ["x", "users"] {
        let alone =
            format!("DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE {theirs} (a INT)");
        new.execute(raw_sql(AssertSqlSafe(alone))).await.unwrap();
        let refused = move_installation(&from, &to).await;
        assert!(matches!(&refused, Err(MoveError::Foreign(table)) if table == theirs), "{refused:?}");
        assert_eq!(number(&mut new, tables).await, 1);
    }

    // And one beside ours.
    new.execute(raw_sql("DROP TABLE users")).await.unwrap();
    migrate(&to).await.unwrap();
    new.execute(raw_sql("CREATE TABLE x (a INT)")).await.unwrap();
    let refused = move_installation(&from, &to).await;
    assert!(matches!(&refused, Err(MoveError::Foreign(table)) if table == "x"), "{refused:?}");
    new.execute(raw_sql("DROP TABLE x; DROP SCHEMA public CASCADE; CREATE SCHEMA public")).await.unwrap();
    let moved = move_installation(&from, &to).await.unwrap();
    assert!(moved.0.contains(&("users".to_owned(), 1)), "{moved:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_whose_commit_got_no_answer_is_found_out_by_running_it_again() {
    let desk = Desk::new(Sqlite::fresh().await);
    let (user, workspace) = desk.home().await;
    desk.upload(user, workspace, &["first.txt"]).await;
    let place = Place::postgres().await;
    let (from, to) = (desk.s.place.url(), place.url());
    let (mut old, mut new) = (desk.s.place.connect().await, place.connect().await);
    let breaks = "CREATE FUNCTION breaks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                  PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$; \
                  CREATE CONSTRAINT TRIGGER breaks AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED \
                  FOR EACH ROW EXECUTE FUNCTION breaks()";
    new.execute(raw_sql(breaks)).await.unwrap();
    let unheard = move_installation(&from, &to).await.unwrap_err();
    assert!(matches!(unheard, MoveError::InCommit(_)), "{unheard:?}");
    assert!(!unheard.to_string().contains("nothing was changed"), "{unheard}");

    // This time it was not carried out.
    new.execute(raw_sql("DROP TRIGGER breaks ON users")).await.unwrap();
    let mut moved = move_installation(&from, &to).await.unwrap();
    // And this time it was, and the old one does not know.
    old.execute(raw_sql("DELETE FROM meta WHERE name = 'moved'")).await.unwrap();
    let again = move_installation(&from, &to).await.unwrap();
    moved.0.retain(|(table, _)| table != "chunk_text");
    assert_eq!(again, moved);
    // Where people went on meanwhile it is not the same any more.
    old.execute(raw_sql("DELETE FROM meta WHERE name = 'moved'")).await.unwrap();
    new.execute(raw_sql("UPDATE users SET full_name = 'Somebody else'")).await.unwrap();
    let refused = move_installation(&from, &to).await;
    assert!(matches!(refused, Err(MoveError::NotEmpty)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_behind_the_commit_does_not_say_that_nothing_was_changed() {
    let desk = Desk::new(Sqlite::fresh().await);
    desk.home().await;
    let place = Place::postgres().await;
    let mut new = place.connect().await;
    let odd = "CREATE FUNCTION unless_analyzed(name TEXT) RETURNS TEXT IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN \
               IF current_query() ILIKE 'analyze%' THEN RAISE EXCEPTION 'not to be analyzed'; END IF; \
               RETURN name; END $$; \
               CREATE INDEX odd ON users (unless_analyzed(username))";
    new.execute(raw_sql(odd)).await.unwrap();
    let moved = move_installation(&desk.s.place.url(), &place.url()).await.unwrap();
    assert!(moved.0.contains(&("users".to_owned(), 1)), "{moved:?}");
    let users: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM users").fetch_one(&mut new).await.unwrap();
    assert_eq!(users, 1);
    assert!(new.execute(raw_sql("ANALYZE")).await.is_err(), "that is what went wrong");
}
