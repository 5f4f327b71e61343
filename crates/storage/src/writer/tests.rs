//! The writer from within: items that fail after they emitted, that panic, that are still running. The conformance
//! suite sees it from outside.

mod silent;

use super::{Fault, Tx};
use crate::{
    engine::Engine,
    open::{OpenOptions, Store},
    support::{Place, World},
};
use domain::{Event, Timestamp, UserId, WorkspaceId, event::WorkspaceDeleted};
use services::ports::{EventLog, LoggedEvent, Signal, StoreError};
use sqlx::{Executor, raw_sql};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, Semaphore};

struct Rig {
    store: Store,
    world: World,
    user: UserId,
    _place: Place,
}

impl Rig {
    async fn at(place: Place) -> Self {
        let url = place.url();
        Self::over(place, url).await
    }

    /// The database is reached at that address, which need not be its own.
    async fn over(place: Place, url: String) -> Self {
        let world = World::new();
        let store = Store::open(OpenOptions {
            url,
            bus: world.bus.clone(),
            clock: world.clock.clone(),
            secrets: world.secrets.clone(),
            high_water: None,
            readers: 2,
            pgvector: false,
        })
        .await
        .unwrap();
        let user = UserId::new(world.uuid());
        let rig = Self { store, world, user, _place: place };
        // The table has no foreign key: a log of somebody is enough here.
        rig.emit(1).await.unwrap();
        rig
    }

    fn event(&self) -> Event {
        Event::WorkspaceDeleted(WorkspaceDeleted { id: WorkspaceId::new(self.world.uuid()), rev: 0 })
    }

    async fn emit(&self, n: usize) -> Result<Vec<u64>, StoreError> {
        let events: Vec<Event> = (0..n).map(|_| self.event()).collect();
        let written = self
            .store
            .writer()
            .write_for(self.user, "emit", (self.user, events, self.world.now()), |tx, (user, events, now)| {
                Box::pin(async move {
                    emit_all(tx, *user, events, *now);
                    Ok(())
                })
            })
            .await?;
        Ok(written.events().map(|e| e.seq).collect())
    }

    /// Makes a session row as a trace of the item, emits, and then fails in the way that `end` says.
    async fn fail(&self, end: fn() -> Fault) -> Result<(), StoreError> {
        let key = self.world.uuid().to_string();
        self.store
            .writer()
            .write_for(
                self.user,
                "fail",
                (self.user, self.event(), key, end),
                |tx, (user, event, key, end)| {
                    Box::pin(async move {
                        sqlx::query("INSERT INTO meta (name, value) VALUES ($1, 'trace')")
                            .bind(key.clone())
                            .execute(&mut tx.conn)
                            .await?;
                        emit_all(tx, *user, std::slice::from_ref(event), Timestamp::default());
                        tx.signal(Signal::WorkReady);
                        Err::<(), _>(end())
                    })
                },
            )
            .await
            .map(drop)
    }

    async fn traces(&self) -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM meta WHERE value = 'trace'")
            .fetch_one(self.store.readers())
            .await
            .unwrap()
    }

    async fn log(&self) -> Vec<LoggedEvent> {
        self.store.after(self.user, 0, u32::MAX).await.unwrap()
    }
}

fn emit_all(tx: &mut Tx, user: UserId, events: &[Event], now: Timestamp) {
    for event in events {
        tx.emit(user, event.clone(), now);
    }
}

async fn items_that_fail_leave_no_trace_and_no_gap_among_those_that_do_not(rig: Rig) {
    let rig = Arc::new(rig);
    let calls: Vec<_> = (0..64)
        .map(|i| {
            let rig = rig.clone();
            tokio::spawn(async move {
                match i % 4 {
                    0 => assert!(matches!(
                        rig.fail(|| StoreError::Fenced.into()).await,
                        Err(StoreError::Fenced)
                    )),
                    1 => assert!(rig.fail(|| panic!("an item's own fault")).await.is_err()),
                    _ => assert_eq!(rig.emit(2).await.unwrap().len(), 2),
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let log = rig.log().await;
    assert_eq!(log.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=65).collect::<Vec<_>>());
    assert_eq!(rig.traces().await, 0);
    let published = rig.world.bus.events_of(rig.user);
    assert_eq!(published.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=65).collect::<Vec<_>>());
    assert_eq!(rig.world.bus.work_ready(), 0, "what failed signals nothing");
}

async fn a_lone_item_that_fails_leaves_no_trace(rig: Rig) {
    assert!(rig.fail(|| StoreError::NotFound.into()).await.is_err());
    assert!(rig.fail(|| panic!("an item's own fault")).await.is_err());
    assert_eq!((rig.traces().await, rig.log().await.len()), (0, 1));
    assert_eq!(rig.emit(1).await.unwrap(), [2], "and the writer goes on");
}

async fn a_statement_that_the_database_refuses_fails_its_item_only(rig: Rig) {
    let rig = Arc::new(rig);
    let calls: Vec<_> = (0..40)
        .map(|i| {
            let rig = rig.clone();
            tokio::spawn(async move {
                if i % 2 == 0 {
                    return rig.emit(1).await.map(drop);
                }
                let write = rig.store.writer().write_for(rig.user, "break a rule", (), |tx, ()| {
                    Box::pin(async move {
                        let sql = "INSERT INTO meta (name, value) VALUES ('epoch', 'another')";
                        tx.conn
                            .execute(sql)
                            .await
                            .map_err(|e| Fault::from(e).taken("meta_pkey", "meta.name"))?;
                        Ok(())
                    })
                });
                match write.await {
                    Err(StoreError::Taken("meta_pkey")) => Ok(()),
                    other => panic!("{other:?}"),
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(rig.log().await.len(), 21);
}

async fn nothing_is_seen_or_heard_before_the_commit(rig: Rig) {
    let rig = Arc::new(rig);
    let (inside, go_on) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let call = {
        let (rig, inside, go_on) = (rig.clone(), inside.clone(), go_on.clone());
        tokio::spawn(async move {
            let argument = (rig.user, rig.event(), inside, go_on);
            rig.store
                .writer()
                .write_for(rig.user, "wait", argument, |tx, (user, event, inside, go_on)| {
                    Box::pin(async move {
                        tx.conn.execute("INSERT INTO meta (name, value) VALUES ('x', 'trace')").await?;
                        tx.emit(*user, event.clone(), Timestamp::default());
                        inside.notify_one();
                        let _permit = go_on.acquire().await;
                        Ok(())
                    })
                })
                .await
        })
    };
    inside.notified().await;
    assert_eq!((rig.log().await.len(), rig.traces().await), (1, 0));
    assert_eq!(rig.world.bus.events_of(rig.user).len(), 1);
    go_on.add_permits(1);
    let written = call.await.unwrap().unwrap();
    assert_eq!(written.events().map(|e| e.seq).collect::<Vec<_>>(), [2]);
    assert_eq!((rig.log().await.len(), rig.traces().await), (2, 1));
    assert_eq!(rig.world.bus.events_of(rig.user).len(), 2);
}

async fn an_item_runs_again_after_a_lock_was_not_to_be_had(rig: Rig) {
    let runs = Arc::new(AtomicU32::new(0));
    let argument = (rig.user, rig.event(), runs.clone());
    let written = rig
        .store
        .writer()
        .write_for(rig.user, "crossed", argument, |tx, (user, event, runs)| {
            Box::pin(async move {
                tx.emit(*user, event.clone(), Timestamp::default());
                if runs.fetch_add(1, Ordering::SeqCst) < 3 {
                    return Err(Fault::Db(sqlx::Error::BeginFailed));
                }
                Ok(())
            })
        })
        .await
        .unwrap();
    assert_eq!(written.events().map(|e| e.seq).collect::<Vec<_>>(), [2], "earlier runs took no number");
    assert_eq!(runs.load(Ordering::SeqCst), 4);
    assert_eq!(rig.log().await.len(), 2);
}

async fn an_item_that_the_database_cannot_bear_costs_no_other_item(rig: Rig) {
    let rig = Arc::new(rig);
    let (inside, go_on) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let first = {
        let (rig, inside, go_on) = (rig.clone(), inside.clone(), go_on.clone());
        tokio::spawn(async move {
            let write =
                rig.store.writer().write_for(rig.user, "wait", (inside, go_on), |_, (inside, go_on)| {
                    Box::pin(async move {
                        inside.notify_one();
                        let _permit = go_on.acquire().await;
                        Ok(())
                    })
                });
            write.await.map(drop)
        })
    };
    inside.notified().await;
    // These wait in the queue meanwhile and share the next transaction.
    let mut calls: Vec<_> = (0..20)
        .map(|_| {
            let rig = rig.clone();
            Box::pin(async move { rig.emit(1).await.map(drop) })
        })
        .collect();
    for call in &mut calls {
        assert!(futures::poll!(call).is_pending());
    }
    let full = match rig.store.engine() {
        Engine::Sqlite => {
            "PRAGMA max_page_count = 1; INSERT INTO meta (name, value) VALUES ('x', hex(randomblob(1000000)))"
        }
        Engine::Postgres => "DO $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$",
    };
    let broken = rig.store.writer().write_for(rig.user, "fill the disk", full, |tx, full| {
        Box::pin(async move { Ok(tx.conn.execute(raw_sql(*full)).await.map(drop)?) })
    });
    let mut broken = Box::pin(broken);
    assert!(futures::poll!(&mut broken).is_pending());
    go_on.add_permits(1);
    assert!(matches!(broken.await, Err(StoreError::Full(_))));
    for call in calls {
        call.await.unwrap();
    }
    first.await.unwrap().unwrap();
    assert_eq!(rig.log().await.len(), 21);
}

async fn who_goes_away_while_waiting_has_its_item_carried_out_all_the_same(rig: Rig) {
    let rig = Arc::new(rig);
    let (inside, go_on) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let call = {
        let (rig, inside, go_on) = (rig.clone(), inside.clone(), go_on.clone());
        tokio::spawn(async move {
            let argument = (rig.user, rig.event(), inside, go_on);
            let write = rig.store.writer().write_for(
                rig.user,
                "wait",
                argument,
                |tx, (user, event, inside, go_on)| {
                    Box::pin(async move {
                        tx.emit(*user, event.clone(), Timestamp::default());
                        inside.notify_one();
                        let _permit = go_on.acquire().await;
                        Ok(())
                    })
                },
            );
            write.await.map(drop)
        })
    };
    inside.notified().await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    go_on.add_permits(1);
    assert_eq!(rig.emit(1).await.unwrap(), [3], "the one before took number 2");
}

async fn it_is_known_how_long_the_oldest_waits(rig: Rig) {
    assert_eq!(rig.store.longest_wait(), Duration::ZERO);
    let (inside, go_on) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let argument = (inside.clone(), go_on.clone());
    let write = rig.store.writer().write_for(rig.user, "wait", argument, |_, (inside, go_on)| {
        Box::pin(async move {
            inside.notify_one();
            let _permit = go_on.acquire().await;
            Ok(())
        })
    });
    let mut write = Box::pin(write);
    assert!(futures::poll!(&mut write).is_pending());
    inside.notified().await;
    let first = rig.store.longest_wait();
    let mut next = Box::pin(rig.emit(1));
    assert!(futures::poll!(&mut next).is_pending());
    assert!(first > Duration::ZERO && rig.store.longest_wait() > first, "it is the older one's");
    go_on.add_permits(1);
    write.await.unwrap();
    next.await.unwrap();
    assert_eq!(rig.store.longest_wait(), Duration::ZERO);
}

macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(super::Rig::at(super::Place::sqlite().await).await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(super::Rig::at(super::Place::postgres().await).await).await;
            })+
        }
    };
}

on_both!(
    items_that_fail_leave_no_trace_and_no_gap_among_those_that_do_not,
    a_lone_item_that_fails_leaves_no_trace,
    a_statement_that_the_database_refuses_fails_its_item_only,
    nothing_is_seen_or_heard_before_the_commit,
    an_item_runs_again_after_a_lock_was_not_to_be_had,
    an_item_that_the_database_cannot_bear_costs_no_other_item,
    who_goes_away_while_waiting_has_its_item_carried_out_all_the_same,
    it_is_known_how_long_the_oldest_waits,
);
