//! What a database keeps when the process goes away, and how a log that was put back is told from one that went on.

use crate::{
    on_every_database,
    subject::{Database, Postgres, Subject, open},
    support::World,
};
use domain::{Epoch, Event, UserId, WorkspaceId, event::WorkspaceDeleted};
use services::ports::{EventLog, LoggedEvent};
use sqlx::{AssertSqlSafe, Executor, raw_sql};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    ops::DerefMut,
    process::{Command, Stdio},
    sync::Arc,
};
use uuid::Uuid;

pub(crate) fn event(id: Uuid) -> Event {
    Event::WorkspaceDeleted(WorkspaceDeleted { id: WorkspaceId::new(id), rev: 0 })
}

pub(crate) async fn append(s: &Database, user: UserId, n: usize) -> Vec<LoggedEvent> {
    let events = (0..n).map(|_| event(s.world().uuid())).collect();
    s.store.append(user, events, s.world().now()).await.unwrap()
}

async fn all(log: &impl EventLog, user: UserId) -> Vec<LoggedEvent> {
    log.after(user, 0, u32::MAX).await.unwrap()
}

/// Removes the user's newest events, past the store: what putting back an older copy of the database does.
pub(crate) async fn put_back_to(s: &Database, seq: u64) {
    let mut conn = s.place.connect().await;
    let sql =
        format!("DELETE FROM events WHERE seq > {seq}; UPDATE user_seq SET seq = {seq} WHERE seq > {seq}");
    conn.execute(raw_sql(AssertSqlSafe(sql))).await.unwrap();
}

pub(crate) async fn set_epoch(s: &Database, epoch: &Epoch) {
    let mut conn = s.place.connect().await;
    sqlx::query("UPDATE meta SET value = $1 WHERE name = 'epoch'")
        .bind(epoch.0.as_str())
        .execute(&mut conn)
        .await
        .unwrap();
}

async fn the_epoch_and_the_log_stay_over_a_restart(mut s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    append(&s, user, 5).await;
    let (epoch, log) = (s.store.epoch(), all(&s.store, user).await);
    for _ in 0..2 {
        s.reopen().await;
        assert_eq!(s.store.epoch(), epoch);
        assert_eq!(all(&s.store, user).await, log);
    }
    let next = append(&s, user, 1).await;
    assert_eq!(next[0].seq, log.len() as u64 + 1, "numbers go on where they were");
}

async fn a_database_whose_path_has_odd_characters_is_opened_there_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("50% a?b#c & ü.db");
    let world = World::new();
    let store = storage::Store::open(storage::OpenOptions {
        url: storage::sqlite_url(&path),
        bus: world.bus.clone(),
        clock: world.clock.clone(),
        secrets: world.secrets.clone(),
        high_water: None,
        readers: 1,
        pgvector: true,
    })
    .await
    .unwrap();
    store.close().await;
    assert!(path.is_file());
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "the log beside it is gone after closing"
    );
}

async fn two_databases_have_different_epochs(s: impl Subject + DerefMut<Target = Database>) {
    let place = crate::support::Place::sqlite().await;
    let other = open(&place, &World::new()).await;
    assert_ne!(s.store.epoch(), other.epoch());
}

async fn a_log_that_went_back_gets_a_new_epoch_once(mut s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    append(&s, user, 5).await;
    let old = s.store.epoch();
    assert_eq!(s.store.went_back_at(), None);
    s.store.close().await;
    put_back_to(&s, 3).await;
    s.reopen().await;
    let new = s.store.epoch();
    let noticed = s.store.went_back_at();
    assert!(noticed.is_some());
    assert_ne!(new, old, "a client of the old epoch must not resume in this log");
    s.reopen().await;
    assert_eq!(s.store.epoch(), new, "one going back, one new epoch");
    append(&s, user, 1).await;
    s.reopen().await;
    assert_eq!(s.store.epoch(), new);
    assert_eq!(s.store.went_back_at(), noticed, "it is remembered");
    // PostgreSQL lets go of the connections of before a moment later.
    while s.store.begin_anew([7; 32], false).await.unwrap().is_none() {}
    s.reopen().await;
    assert_eq!(s.store.went_back_at(), None, "somebody said so");
}

async fn the_same_copy_put_back_twice_gets_an_epoch_that_was_never_seen(
    mut s: impl Subject + DerefMut<Target = Database>,
) {
    let user = s.user().await;
    append(&s, user, 5).await;
    let mut seen = vec![s.store.epoch()];
    let copied = seen[0].clone();
    for more in [3, 1, 9, 2] {
        // What is written after the copy was taken, and lost with it.
        append(&s, user, more).await;
        s.store.close().await;
        put_back_to(&s, 5).await;
        set_epoch(&s, &copied).await;
        s.reopen().await;
        let drawn = s.store.epoch();
        assert!(!seen.contains(&drawn), "{drawn} was there before: {seen:?}");
        s.reopen().await;
        assert_eq!(s.store.epoch(), drawn, "one putting back, one new epoch");
        seen.push(drawn);
    }
    // A copy that was taken in one of the lives between is an older state as well.
    s.store.close().await;
    set_epoch(&s, &seen[2]).await;
    s.reopen().await;
    assert!(!seen.contains(&s.store.epoch()));
}

async fn a_log_that_went_on_beyond_its_mark_keeps_its_epoch(
    mut s: impl Subject + DerefMut<Target = Database>,
) {
    let user = s.user().await;
    append(&s, user, 5).await;
    let epoch = s.store.epoch();
    s.store.close().await;
    let mark = std::fs::read(s.place.high_water()).unwrap();
    s.reopen().await;
    append(&s, user, 5).await;
    s.store.close().await;
    // A crash leaves the mark behind the log: it is written every few seconds.
    std::fs::write(s.place.high_water(), mark).unwrap();
    s.reopen().await;
    assert_eq!(s.store.epoch(), epoch);
    s.store.close().await;
    std::fs::remove_file(s.place.high_water()).unwrap();
    s.reopen().await;
    assert_eq!(s.store.epoch(), epoch, "a lost mark proves nothing");
}

/// Several servers share the file of the mark, and each knows by itself only of what it wrote.
async fn a_log_that_went_back_behind_what_all_servers_wrote_gets_a_new_epoch(mut s: Postgres) {
    let user = s.user().await;
    append(&s, user, 5).await;
    let (epoch, head) = (s.store.epoch(), s.store.head(user).await.unwrap());
    let other = s.open_another().await;
    append(&s, user, 3).await;
    let events = (0..3).map(|_| event(s.world().uuid())).collect();
    other.append(user, events, s.world().now()).await.unwrap();
    other.close().await;
    s.store.close().await;
    put_back_to(&s, head + 4).await;
    s.reopen().await;
    assert_ne!(s.store.epoch(), epoch, "a client of the old epoch must not resume in this log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_log_that_went_back_behind_what_all_servers_wrote_gets_a_new_epoch() {
    a_log_that_went_back_behind_what_all_servers_wrote_gets_a_new_epoch(Postgres::fresh().await).await;
}

async fn a_closed_store_has_written_what_it_was_given_and_takes_nothing_more(
    s: impl Subject + DerefMut<Target = Database>,
) {
    let user = s.user().await;
    let base = s.store.head(user).await.unwrap();
    let appends: Vec<_> = (0..32)
        .map(|_| {
            let (store, event, now) = (s.store.clone(), event(s.world().uuid()), s.world().now());
            tokio::spawn(async move { store.append(user, vec![event], now).await })
        })
        .collect();
    s.store.close().await;
    let mut acknowledged = 0;
    for append in appends {
        acknowledged += u64::from(append.await.unwrap().is_ok());
    }
    assert!(s.store.append(user, vec![event(s.world().uuid())], s.world().now()).await.is_err());
    let reopened = s.open_another().await;
    assert_eq!(
        reopened.head(user).await.unwrap(),
        base + acknowledged,
        "acknowledged is written, refused is not"
    );
}

async fn a_store_that_is_just_dropped_has_lost_nothing_acknowledged(
    s: impl Subject + DerefMut<Target = Database>,
) {
    let user = s.user().await;
    let other = s.open_another().await;
    let events = vec![event(s.world().uuid())];
    let logged = other.append(user, events, s.world().now()).await.unwrap();
    drop(other);
    assert_eq!(all(&s.store, user).await.last(), logged.last());
}

async fn two_stores_on_one_database_share_the_numbers(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    let base = s.store.head(user).await.unwrap();
    let stores = [s.store.clone(), s.open_another().await];
    let appends: Vec<_> = (0..120)
        .map(|i| {
            let (store, now) = (stores[i % 2].clone(), s.world().now());
            let events = (0..2).map(|_| event(s.world().uuid())).collect();
            tokio::spawn(async move { store.append(user, events, now).await.unwrap() })
        })
        .collect();
    let mut told = vec![];
    for append in appends {
        told.extend(append.await.unwrap());
    }
    told.sort_by_key(|e| e.seq);
    assert_eq!(s.store.after(user, base, u32::MAX).await.unwrap(), told);
    let seqs: Vec<u64> = told.iter().map(|e| e.seq).collect();
    assert_eq!(seqs, (base + 1..=base + 240).collect::<Vec<_>>());
}

/// The environment of the process that is to be killed.
const URL: &str = "INSIGHTHUB_TEST_CRASH_URL";
const USER: &str = "INSIGHTHUB_TEST_CRASH_USER";

/// Run by [`a_killed_process_loses_nothing_that_it_acknowledged`] in a process of its own: appends until it is killed
/// and says aloud what was acknowledged. It does nothing when it is run by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other half of a test that kills it"]
async fn writes_until_it_is_killed() {
    let (Ok(url), Ok(user)) = (std::env::var(URL), std::env::var(USER)) else { return };
    let user: UserId = user.parse().unwrap();
    let world = Arc::new(World::new());
    let store = storage::Store::open(storage::OpenOptions {
        url,
        bus: world.bus.clone(),
        clock: world.clock.clone(),
        secrets: world.secrets.clone(),
        high_water: None,
        readers: 1,
        pgvector: true,
    })
    .await
    .unwrap();
    let writers: Vec<_> = (0..16)
        .map(|_| {
            let (store, world) = (store.clone(), world.clone());
            tokio::spawn(async move {
                loop {
                    let id = world.uuid();
                    let logged = store.append(user, vec![event(id)], world.now()).await.unwrap();
                    println!("acknowledged {} {id}", logged[0].seq);
                }
            })
        })
        .collect();
    // None of them ends by itself.
    let (ended, _, _) = futures::future::select_all(writers).await;
    panic!("a writer ended: {ended:?}");
}

async fn a_killed_process_loses_nothing_that_it_acknowledged(s: impl Subject + DerefMut<Target = Database>) {
    let user = s.user().await;
    for kill_after in [1, 23, 150, 77] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["recovery::writes_until_it_is_killed", "--exact", "--ignored", "--nocapture"])
            .env(URL, s.place.url())
            .env(USER, user.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut told = BTreeMap::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Reading goes on after the kill: what is in the pipe was acknowledged too. The last line may be cut off.
        while let Some(Ok(line)) = lines.next() {
            let mut words = line.split(' ');
            if let (Some("acknowledged"), Some(seq), Some(id)) = (words.next(), words.next(), words.next())
                && id.len() == 36
            {
                told.insert(seq.parse::<u64>().unwrap(), id.to_owned());
            }
            if told.len() == kill_after {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(told.len() >= kill_after, "the process ended by itself");
        let log = all(&s.store, user).await;
        let seqs: Vec<u64> = log.iter().map(|e| e.seq).collect();
        assert_eq!(seqs, (1..=log.len() as u64).collect::<Vec<_>>(), "without a gap");
        for (seq, id) in told {
            let event = log[seq as usize - 1].event().unwrap();
            let Event::WorkspaceDeleted(deleted) = event else { panic!("another event at {seq}: {event:?}") };
            assert_eq!(deleted.id.to_string(), id);
        }
    }
}

/// The server ends the writer's connection at any moment, also in the middle of a commit; each append is still carried
/// out once.
async fn a_connection_that_breaks_costs_no_event_and_doubles_none(s: Postgres) {
    const WRITERS: usize = 16;
    const ROUNDS: usize = 40;
    let user = s.user().await;
    let base = s.store.head(user).await.unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (store, now) = (s.store.clone(), s.world().now());
            let events: Vec<Event> = (0..ROUNDS).map(|_| event(s.world().uuid())).collect();
            tokio::spawn(async move {
                let mut logged = vec![];
                for event in events {
                    logged.extend(store.append(user, vec![event], now).await.unwrap());
                }
                logged
            })
        })
        .collect();
    let mut killer = s.place.connect().await;
    let mut killed = 0;
    while writers.iter().any(|w| !w.is_finished()) {
        // Not those that only look whether the marks are there.
        let sql = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid() \
                   AND (query LIKE '%writers%' AND query NOT LIKE '%meta%' OR query = 'COMMIT')";
        let n: i64 = sqlx::query_scalar(sql).fetch_one(&mut killer).await.unwrap();
        killed += n;
        // The next kill waits until something was written on the new connection.
        let head = s.store.head(user).await.unwrap();
        while s.store.head(user).await.unwrap() == head && writers.iter().any(|w| !w.is_finished()) {}
    }
    let mut told = vec![];
    for writer in writers {
        told.extend(writer.await.unwrap());
    }
    told.sort_by_key(|e| e.seq);
    assert!(killed > 0, "no connection was ended");
    assert_eq!(s.store.after(user, base, u32::MAX).await.unwrap(), told);
    assert_eq!(told.len(), WRITERS * ROUNDS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_connection_that_breaks_costs_no_event_and_doubles_none() {
    a_connection_that_breaks_costs_no_event_and_doubles_none(Postgres::fresh().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_a_database_whose_path_has_odd_characters_is_opened_there_and_nowhere_else() {
    a_database_whose_path_has_odd_characters_is_opened_there_and_nowhere_else().await;
}

on_every_database!(
    the_epoch_and_the_log_stay_over_a_restart,
    two_databases_have_different_epochs,
    a_log_that_went_back_gets_a_new_epoch_once,
    the_same_copy_put_back_twice_gets_an_epoch_that_was_never_seen,
    a_log_that_went_on_beyond_its_mark_keeps_its_epoch,
    a_closed_store_has_written_what_it_was_given_and_takes_nothing_more,
    a_store_that_is_just_dropped_has_lost_nothing_acknowledged,
    two_stores_on_one_database_share_the_numbers,
    a_killed_process_loses_nothing_that_it_acknowledged,
);
