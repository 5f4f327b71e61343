//! What every bus does: one suite, over a single process and over two nodes at a real broker.

use crate::{
    broker,
    node::{Installation, RealClock, id},
    soon,
};
use domain::{ApiKeyId, Epoch, Event, SessionId, UserId, WorkspaceId, event::WorkspaceDeleted};
use messaging::InProcessBus;
use services::ports::{Bus, BusReceiver, Clock, EventLog, LoggedEvent, Signal};
use std::sync::Arc;
use storage::memory::MemoryStore;

/// Two ends of a bus: what is said at the one is heard at the other.
struct Ends {
    here: Arc<dyn Bus>,
    there: Arc<dyn Bus>,
    /// Commits at this end.
    store: MemoryStore,
    user: UserId,
    _installation: Option<Installation>,
}

async fn one_process() -> Ends {
    let bus = InProcessBus::new();
    let store = MemoryStore::new(Epoch("test".into()), bus.clone(), Arc::new(RealClock));
    let user = UserId::new(id());
    store.add_user(user);
    Ends { here: bus.clone(), there: bus, store, user, _installation: None }
}

async fn two_nodes() -> Ends {
    let installation = Installation::at(broker());
    let (here, there) = (installation.node().up().await, installation.node().up().await);
    let user = installation.user();
    Ends { here: here.bus, there: there.bus, store: here.store, user, _installation: Some(installation) }
}

/// The next that is told and that the test is interested in.
async fn next(bus: &mut BusReceiver, wanted: impl Fn(&Signal) -> bool) -> Signal {
    soon("a signal", async {
        loop {
            let signal = bus.recv().await.unwrap();
            if wanted(&signal) {
                return signal;
            }
        }
    })
    .await
}

async fn committed_events_are_heard_at_both_ends_in_order_and_byte_for_byte(ends: Ends) {
    let (mut here, mut there) = (ends.here.subscribe(), ends.there.subscribe());
    let mut logged: Vec<LoggedEvent> = vec![];
    for n in 1..=20 {
        let event = || Event::WorkspaceDeleted(WorkspaceDeleted { id: WorkspaceId::new(id()), rev: 0 });
        let events = (0..n % 4 + 1).map(|_| event()).collect();
        logged.extend(ends.store.append(ends.user, events, RealClock.now()).await.unwrap());
    }
    for bus in [&mut here, &mut there] {
        let mut last = 0;
        for event in &logged {
            // One that was told twice is known by its seq.
            let new = |signal: &Signal| matches!(signal, Signal::Event(e) if e.seq > last);
            let Signal::Event(heard) = next(bus, new).await else { unreachable!() };
            assert_eq!(*heard, *event);
            last = heard.seq;
        }
    }
}

async fn the_ends_of_sessions_keys_and_accounts_are_heard_at_both_ends(ends: Ends) {
    let (user_id, session_id, key_id) = (ends.user, SessionId::new(id()), ApiKeyId::new(id()));
    let (mut here, mut there) = (ends.here.subscribe(), ends.there.subscribe());
    for said in [
        Signal::SessionEnded { user_id, session_id },
        Signal::SessionRenewed { user_id, session_id },
        Signal::KeyRevoked { user_id, key_id },
        Signal::AccountClosed { user_id },
        Signal::Requested,
    ] {
        ends.here.publish(said.clone());
        for bus in [&mut here, &mut there] {
            let same = |heard: &Signal| format!("{heard:?}") == format!("{said:?}");
            next(bus, same).await;
        }
    }
}

async fn a_listener_that_falls_behind_is_told_so(ends: Ends) {
    let mut here = ends.here.subscribe();
    for _ in 0..100_000 {
        ends.here.publish(Signal::HeldBack);
    }
    let first = here.recv().await;
    assert!(matches!(first, Err(tokio::sync::broadcast::error::RecvError::Lagged(_))), "{first:?}");
}

macro_rules! on_every_bus {
    ($($case:ident),+ $(,)?) => {
        mod in_process {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(super::one_process().await).await;
            })+
        }
        mod rabbit {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(super::two_nodes().await).await;
            })+
        }
    };
}

on_every_bus!(
    committed_events_are_heard_at_both_ends_in_order_and_byte_for_byte,
    the_ends_of_sessions_keys_and_accounts_are_heard_at_both_ends,
    a_listener_that_falls_behind_is_told_so,
);
