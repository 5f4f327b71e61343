//! The event log: gap-free numbers for each user, in order, committed before anybody hears of them.

use crate::{on_every_store, subject::Subject};
use domain::{
    Event, ServerFrame, UserId, WorkspaceId,
    event::{EventFrame, WorkspaceDeleted},
};
use services::ports::{EventLog, LoggedEvent, Signal, StoreError};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::broadcast::error::RecvError;

/// An event that is told apart by its id.
fn event(s: &impl Subject) -> Event {
    Event::WorkspaceDeleted(WorkspaceDeleted { id: WorkspaceId::new(s.world().uuid()), rev: 0 })
}

fn events(s: &impl Subject, n: usize) -> Vec<Event> {
    (0..n).map(|_| event(s)).collect()
}

fn seqs(events: &[LoggedEvent]) -> Vec<u64> {
    events.iter().map(|e| e.seq).collect()
}

async fn all(log: &dyn EventLog, user: UserId) -> Vec<LoggedEvent> {
    log.after(user, 0, u32::MAX).await.unwrap()
}

async fn sixty_four_writers_leave_no_gap_and_share_no_number(s: impl Subject) {
    const WRITERS: usize = 64;
    const ROUNDS: usize = 12;
    let s = Arc::new(s);
    let log = s.log();
    let mut users = vec![];
    for _ in 0..8 {
        users.push(s.user().await);
    }
    let nobody = UserId::new(s.world().uuid());
    let writers: Vec<_> = (0..WRITERS)
        .map(|w| {
            let (s, log, user) = (s.clone(), log.clone(), users[w % users.len()]);
            tokio::spawn(async move {
                let mut acknowledged = vec![];
                for round in 0..ROUNDS {
                    let batch = events(&*s, 1 + (w + round) % 3);
                    let now = s.world().now();
                    let logged = log.append(user, batch.clone(), now).await.unwrap();
                    assert_eq!(logged.len(), batch.len());
                    acknowledged.extend(logged);
                    if (w + round) % 4 == 0 {
                        let refused = log.append(nobody, events(&*s, 2), now).await;
                        assert!(matches!(refused, Err(StoreError::NotFound)), "{refused:?}");
                    }
                }
                (user, acknowledged)
            })
        })
        .collect();
    let mut acknowledged = BTreeMap::<UserId, Vec<LoggedEvent>>::new();
    for writer in writers {
        let (user, mut events) = writer.await.unwrap();
        assert!(events.windows(2).all(|w| w[0].seq < w[1].seq), "a writer's own events are in its order");
        acknowledged.entry(user).or_default().append(&mut events);
    }
    for user in users {
        let mut told = acknowledged.remove(&user).unwrap();
        told.sort_by_key(|e| e.seq);
        let logged = all(&*log, user).await;
        let head = log.head(user).await.unwrap();
        assert_eq!(seqs(&logged), (1..=head).collect::<Vec<_>>(), "without a gap, from 1");
        let before = logged.len() - told.len();
        assert_eq!(logged[before..], told, "what was acknowledged is what is in the log");
        let published: Vec<LoggedEvent> =
            s.world().bus.events_of(user).iter().map(|e| LoggedEvent::clone(e)).collect();
        assert_eq!(published, logged, "each event is published once, in order");
    }
    assert_eq!(log.head(nobody).await.unwrap(), 0, "what failed took no number");
    assert!(s.world().bus.events_of(nobody).is_empty());
}

async fn the_events_of_one_append_follow_one_another_in_its_order(s: impl Subject) {
    let (log, user) = (s.log(), s.user().await);
    let base = log.head(user).await.unwrap();
    let batch = events(&s, 70);
    let logged = log.append(user, batch.clone(), s.world().now()).await.unwrap();
    assert_eq!(seqs(&logged), (base + 1..=base + 70).collect::<Vec<_>>());
    for (given, logged) in batch.iter().zip(&logged) {
        assert_eq!(logged.event().unwrap().entity(), given.entity());
    }
    assert_eq!(log.after(user, base, u32::MAX).await.unwrap(), logged);
}

async fn reading_goes_on_behind_after_and_stops_at_the_limit(s: impl Subject) {
    let (log, user) = (s.log(), s.user().await);
    let base = log.head(user).await.unwrap();
    log.append(user, events(&s, 10), s.world().now()).await.unwrap();
    let read = |after, limit| {
        let log = log.clone();
        async move { seqs(&log.after(user, after, limit).await.unwrap()) }
    };
    assert_eq!(read(base, 3).await, [base + 1, base + 2, base + 3]);
    assert_eq!(read(base + 3, 3).await, [base + 4, base + 5, base + 6]);
    assert_eq!(read(base + 8, 100).await, [base + 9, base + 10]);
    assert_eq!(read(base + 10, 100).await, [0; 0]);
    assert_eq!(read(base, 0).await, [0; 0]);
    assert_eq!(read(u64::MAX, 100).await, [0; 0]);
}

async fn a_logged_event_carries_its_seq_as_rev_and_the_frame_of_the_protocol(s: impl Subject) {
    let (log, user) = (s.log(), s.user().await);
    let now = s.world().now();
    log.append(user, events(&s, 2), now).await.unwrap();
    let head = log.head(user).await.unwrap();
    let logged = log.after(user, head - 1, 1).await.unwrap().remove(0);
    assert_eq!((logged.user_id, logged.seq, logged.at), (user, head, now));
    assert_eq!((logged.name, logged.progress), ("workspace_deleted", false));
    let ServerFrame::Event(EventFrame { seq, at, event }) = serde_json::from_slice(&logged.frame).unwrap()
    else {
        panic!("not an event frame: {logged:?}");
    };
    assert_eq!((seq, at), (head, now));
    let Event::WorkspaceDeleted(deleted) = event else { panic!("another event: {event:?}") };
    assert_eq!(deleted.rev, head);
}

async fn the_logs_of_two_users_are_apart(s: impl Subject) {
    let log = s.log();
    let (ada, bob) = (s.user().await, s.user().await);
    let bobs = all(&*log, bob).await;
    let base = log.head(ada).await.unwrap();
    let now = s.world().now();
    assert_eq!(seqs(&log.append(ada, events(&s, 2), now).await.unwrap()), [base + 1, base + 2]);
    assert_eq!(all(&*log, bob).await, bobs);
    let next = bobs.len() as u64 + 1;
    assert_eq!(seqs(&log.append(bob, events(&s, 1), now).await.unwrap()), [next]);
    assert_eq!(log.head(ada).await.unwrap(), base + 2);
}

async fn who_has_no_log_reads_nothing_and_cannot_write(s: impl Subject) {
    let log = s.log();
    let nobody = UserId::new(s.world().uuid());
    let refused = log.append(nobody, events(&s, 1), s.world().now()).await;
    assert!(matches!(refused, Err(StoreError::NotFound)), "{refused:?}");
    assert_eq!(log.head(nobody).await.unwrap(), 0);
    assert_eq!(log.floor(nobody).await.unwrap(), 0);
    assert!(all(&*log, nobody).await.is_empty());
}

async fn appending_nothing_takes_no_number(s: impl Subject) {
    let (log, user) = (s.log(), s.user().await);
    let base = log.head(user).await.unwrap();
    assert!(log.append(user, vec![], s.world().now()).await.unwrap().is_empty());
    assert_eq!(log.head(user).await.unwrap(), base);
    assert_eq!(log.floor(user).await.unwrap(), 0, "nothing was removed, so everybody can resume");
}

async fn who_hears_of_an_event_finds_it_in_the_log(s: impl Subject) {
    const APPENDS: u64 = 60;
    let s = Arc::new(s);
    let (log, user) = (s.log(), s.user().await);
    let base = log.head(user).await.unwrap();
    let mut heard = services::ports::Bus::subscribe(&*s.world().bus);
    let listener = {
        let log = log.clone();
        tokio::spawn(async move {
            let mut n = 0;
            while n < APPENDS {
                match heard.recv().await {
                    Ok(Signal::Event(e)) => {
                        let found = log.after(user, e.seq - 1, 1).await.unwrap();
                        assert_eq!(found, [LoggedEvent::clone(&e)], "published before it was committed");
                        n += 1;
                    }
                    Ok(_) => {}
                    Err(RecvError::Lagged(n)) => panic!("the listener lost {n} signals"),
                    Err(RecvError::Closed) => panic!("the bus is gone"),
                }
            }
        })
    };
    for _ in 0..APPENDS {
        log.append(user, events(&*s, 1), s.world().now()).await.unwrap();
    }
    listener.await.unwrap();
    assert_eq!(log.head(user).await.unwrap(), base + APPENDS);
}

async fn an_append_is_seen_as_a_whole_or_not_at_all(s: impl Subject) {
    let s = Arc::new(s);
    let (log, user) = (s.log(), s.user().await);
    let base = log.head(user).await.unwrap();
    let writer = {
        let (s, log) = (s.clone(), log.clone());
        tokio::spawn(async move {
            for _ in 0..40 {
                log.append(user, events(&*s, 3), s.world().now()).await.unwrap();
            }
        })
    };
    let mut seen = 0;
    while seen < 120 {
        let new = log.after(user, base, u32::MAX).await.unwrap().len();
        assert_eq!(new % 3, 0, "a part of an append was seen");
        assert!(new >= seen, "the log went back");
        seen = new;
    }
    writer.await.unwrap();
}

async fn of_many_users_those_are_found_whose_log_goes_on(s: impl Subject) {
    let log = s.log();
    let mut known = vec![];
    // More than one statement asks for, of which every third user is behind.
    for n in 0..150 {
        let user = s.user().await;
        let head = log.append(user, events(&s, 2), s.world().now()).await.unwrap()[1].seq;
        known.push((user, if n % 3 == 0 { head - 1 } else { head }));
    }
    let behind: BTreeSet<UserId> = known.iter().step_by(3).map(|(user, _)| *user).collect();
    known.push((UserId::new(s.world().uuid()), 0));
    assert_eq!(BTreeSet::from_iter(log.ahead_of(&known).await.unwrap()), behind);
    assert_eq!(log.ahead_of(&[]).await.unwrap(), []);
}

on_every_store!(
    sixty_four_writers_leave_no_gap_and_share_no_number,
    the_events_of_one_append_follow_one_another_in_its_order,
    reading_goes_on_behind_after_and_stops_at_the_limit,
    a_logged_event_carries_its_seq_as_rev_and_the_frame_of_the_protocol,
    the_logs_of_two_users_are_apart,
    who_has_no_log_reads_nothing_and_cannot_write,
    appending_nothing_takes_no_number,
    who_hears_of_an_event_finds_it_in_the_log,
    an_append_is_seen_as_a_whole_or_not_at_all,
    of_many_users_those_are_found_whose_log_goes_on,
);
