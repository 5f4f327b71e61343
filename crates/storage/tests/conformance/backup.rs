//! Copies of a database, and what becomes of one that was put back: nobody goes on in its log as if it were the one that
//! was lost.

use crate::{
    deletions::full_account,
    desk::{Desk, JobSubject},
    on_every_database,
    recovery::{append, event, put_back_to, set_epoch},
    subject::{Database, Postgres, Sqlite, Subject},
    support::Place,
};
use domain::Epoch;
use services::ports::EventLog;
use sqlx::{AnyConnection, AssertSqlSafe, Executor, raw_sql};
use std::{
    collections::BTreeSet,
    ops::{Deref, DerefMut},
    sync::Arc,
};
use storage::{CopyError, FILES_KEY, FOLDER_MARK, OpenOptions, Store, copy_database, sqlite_url};
use tokio::sync::Notify;

async fn rows(conn: &mut AnyConnection, table: &str) -> u64 {
    let sql = format!("SELECT COUNT(*) FROM {table}");
    let found: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(conn).await.unwrap();
    found as u64
}

async fn a_database_that_begins_anew_has_another_epoch_and_goes_on_in_its_numbers(
    mut s: impl Subject + DerefMut<Target = Database>,
) {
    let user = s.user().await;
    append(&s, user, 5).await;
    let (old, log) = (s.store.epoch(), s.store.after(user, 0, u32::MAX).await.unwrap());
    let begun = s.store.begin_anew([7; 32], false).await.unwrap().expect("nobody else has it open");
    assert_ne!(begun.epoch, old);
    for _ in 0..2 {
        s.reopen().await;
        assert_eq!(s.store.epoch(), begun.epoch);
        assert_eq!(s.store.after(user, 0, u32::MAX).await.unwrap(), log);
    }
    let next = append(&s, user, 1).await;
    assert_eq!(next[0].seq, log.len() as u64 + 1);
}

async fn sessions_end_with_it_and_keys_where_that_is_asked_for(
    s: impl JobSubject + Deref<Target = Database>,
) {
    let desk = Desk::new(s);
    full_account(&desk).await;
    let mut conn = desk.s.place.connect().await;
    let (sessions, keys) = (rows(&mut conn, "sessions").await, rows(&mut conn, "api_keys").await);
    assert!(sessions > 0 && keys > 0);
    let begun = desk.s.store.begin_anew([1; 32], false).await.unwrap().expect("nobody else has it open");
    assert_eq!((begun.sessions, begun.keys), (sessions, keys));
    assert_eq!((rows(&mut conn, "sessions").await, rows(&mut conn, "api_keys").await), (0, keys));
    let begun = desk.s.store.begin_anew([2; 32], true).await.unwrap().expect("nobody else has it open");
    assert_eq!((begun.sessions, begun.keys), (0, keys));
    assert_eq!(rows(&mut conn, "api_keys").await, 0);
}

async fn the_place_of_its_files_gets_another_mark_and_other_secrets_stay(
    s: impl Subject + Deref<Target = Database>,
) {
    assert_eq!(s.store.kept_secret(FILES_KEY, [1; 32]).await.unwrap(), [1; 32]);
    assert_eq!(s.store.kept_secret("other", [2; 32]).await.unwrap(), [2; 32]);
    assert_eq!(s.store.kept_secret(FOLDER_MARK, [5; 32]).await.unwrap(), [5; 32]);
    s.store.begin_anew([3; 32], false).await.unwrap().expect("nobody else has it open");
    assert_eq!(s.store.kept_secret(FILES_KEY, [4; 32]).await.unwrap(), [3; 32]);
    assert_eq!(s.store.kept_secret("other", [4; 32]).await.unwrap(), [2; 32]);
    assert_eq!(s.store.known_secret(FOLDER_MARK).await.unwrap(), None, "the files may lie elsewhere by now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_begins_anew_while_others_have_the_database_open() {
    let s = Postgres::fresh().await;
    let user = s.user().await;
    let (other, epoch) = (s.open_another().await, s.store.epoch());
    assert_eq!(other.begin_anew([3; 32], false).await.unwrap(), None);
    let logged = s.store.append(user, vec![event(s.world().uuid())], s.world().now()).await;
    assert!(logged.is_ok(), "nothing was changed");
    s.store.close().await;
    // The server lets go of a closed connection a moment later.
    let mut begun = None;
    while begun.is_none() {
        begun = other.begin_anew([3; 32], false).await.unwrap();
    }
    assert_ne!(begun.map(|begun| begun.epoch), Some(epoch));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_this_process_committed_is_gone_so_it_writes_nothing_more_and_its_epoch_is_over() {
    let mut s = Postgres::fresh().await;
    let user = s.user().await;
    append(&s, user, 5).await;
    let (epoch, head) = (s.store.epoch(), s.store.head(user).await.unwrap());
    // The log may be as long as it was: others wrote there before anybody noticed.
    let mut conn = s.place.connect().await;
    conn.execute(raw_sql("UPDATE writers SET batch = batch - 1")).await.unwrap();
    let refused = s.store.append(user, vec![event(s.world().uuid())], s.world().now()).await;
    assert!(refused.is_err(), "{refused:?}");
    s.store.put_back().await;
    assert_eq!(s.store.head(user).await.unwrap(), head);
    s.reopen().await;
    let next = s.store.epoch();
    assert_ne!(next, epoch);
    append(&s, user, 1).await;
    s.reopen().await;
    assert_eq!(s.store.epoch(), next, "one putting back, one new epoch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_reads_notices_that_the_log_has_another_epoch() {
    let s = Postgres::fresh().await;
    set_epoch(&s, &Epoch("drawn by another server".into())).await;
    s.store.put_back().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_reads_notices_that_what_another_server_committed_is_gone() {
    let s = Postgres::fresh().await;
    let user = s.user().await;
    append(&s, user, 5).await;
    let head = s.store.head(user).await.unwrap();
    let reader = s.open_another().await;
    // Failed over to a replica that lagged: it has the reader's mark, and not the newest events.
    put_back_to(&s, head - 2).await;
    reader.put_back().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_noticed_that_the_log_has_another_epoch_writes_nothing_more() {
    let s = Postgres::fresh().await;
    let user = s.user().await;
    append(&s, user, 5).await;
    let head = s.store.head(user).await.unwrap();
    set_epoch(&s, &Epoch("drawn by another server".into())).await;
    s.store.put_back().await;
    // All that this process committed is still there, and so is its mark.
    let refused = s.store.append(user, vec![event(s.world().uuid())], s.world().now()).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(s.store.head(user).await.unwrap(), head);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_the_database_of_one_moment_however_much_is_written() {
    let desk = Desk::new(Sqlite::fresh().await);
    let (user, workspace) = desk.home().await;
    let (_, documents) = desk.upload(user, workspace, &["a.txt", "b.txt"]).await;
    let (store, now, begun) = (desk.s.store.clone(), desk.now(), Arc::new(Notify::new()));
    let (id, begins) = (desk.s.world().uuid(), begun.clone());
    let writing = tokio::spawn(async move {
        loop {
            store.append(user, vec![event(id), event(id)], now).await.unwrap();
            begins.notify_one();
        }
    });
    begun.notified().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it's 100% a copy.db");
    let copied = copy_database(&desk.s.place.url(), &path).await.unwrap();
    writing.abort();
    assert_eq!(copied.epoch, desk.s.store.epoch());
    let named: BTreeSet<String> = copied.files.into_iter().collect();
    let wanted: BTreeSet<String> = documents.iter().map(|d| format!("documents/{}", d.id)).collect();
    assert_eq!(named, wanted);

    let world = desk.s.world();
    let copy = Store::open(OpenOptions {
        url: sqlite_url(&path),
        bus: world.bus.clone(),
        clock: world.clock.clone(),
        secrets: world.secrets.clone(),
        high_water: None,
        readers: 1,
        pgvector: false,
    });
    let copy = copy.await.unwrap();
    let seqs: Vec<u64> = copy.after(user, 0, u32::MAX).await.unwrap().iter().map(|e| e.seq).collect();
    assert_eq!(seqs, (1..=copied.events).collect::<Vec<_>>());
    assert_eq!(copy.after(user, 0, u32::MAX).await.unwrap(), {
        let mut all = desk.s.store.after(user, 0, u32::MAX).await.unwrap();
        all.truncate(seqs.len());
        all
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_database_of_this_version_that_is_there_is_copied() {
    let s = Sqlite::fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let (missing, to) = (folder.path().join("missing.db"), folder.path().join("copy.db"));
    let refused = copy_database(&sqlite_url(&missing), &to).await;
    assert!(matches!(refused, Err(CopyError::Database(_))), "{refused:?}");
    assert!(!missing.exists() && !to.exists(), "a mistake makes no file");
    let refused = copy_database(&Place::postgres().await.url(), &to).await;
    assert!(matches!(refused, Err(CopyError::Engine)), "{refused:?}");
    let mut conn = s.place.connect().await;
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'later', 1, x'00', 0)";
    conn.execute(raw_sql(later)).await.unwrap();
    let refused = copy_database(&s.place.url(), &to).await;
    assert!(matches!(refused, Err(CopyError::Schema { found: 9_999, .. })), "{refused:?}");
    assert!(!to.exists());
}

on_every_database!(
    a_database_that_begins_anew_has_another_epoch_and_goes_on_in_its_numbers,
    sessions_end_with_it_and_keys_where_that_is_asked_for,
    the_place_of_its_files_gets_another_mark_and_other_secrets_stay,
);
