//! How streams end, and which of them: by their session or key, their account, their time, or with the server. How many
//! there may be belongs to it.

use crate::world::{SESSION, USER, World, epoch, frames, seqs_until};
use domain::{ApiKeyId, Event, EventFrame, ServerFrame, SessionId, Timestamp, UserId};
use futures::poll;
use services::{
    live::{ConnectError, Connection, Opener, Outgoing, Resume},
    ports::{Bus, Signal},
};
use std::{pin::pin, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

#[tokio::test]
async fn an_ended_session_ends_its_streams_and_no_others() {
    let world = World::new(64);
    let other = SessionId::new(Uuid::from_u128(3));
    let mut mine = world.connect(Some(0)).await;
    let mut theirs =
        world.hub.connect(USER, other, Resume { epoch: Some(epoch()), last_seq: Some(0) }).await.unwrap();
    frames(&mut mine).await;
    frames(&mut theirs).await;
    world.bus.publish(Signal::SessionEnded { user_id: USER, session_id: SESSION });
    assert_eq!(mine.next().await.unwrap(), Outgoing::SessionEnded);
    let new = world.commit(1).await;
    world.tell(&new[0]);
    assert_eq!(seqs_until(&mut theirs, 1).await, [1]);
}

#[tokio::test]
async fn the_farewell_of_a_session_leads_nobody_past_what_did_not_arrive() {
    let world = World::new(64);
    world.commit(3).await;
    let at = Timestamp::from_micros(7);
    let said = |c: &Connection| -> Option<ServerFrame> {
        c.farewell(at).map(|frame| serde_json::from_slice(&frame).unwrap())
    };
    let farewell = |seq| {
        let event = Event::SessionEnded { session_id: SESSION };
        Some(ServerFrame::Event(EventFrame { seq, at, event }))
    };
    let mut c = world.connect(Some(1)).await;
    frames(&mut c).await;
    assert!(poll!(pin!(c.next_when(false))).is_pending());
    assert_eq!(said(&c), farewell(1), "the transport has 2 and 3 still to send");
    assert!(poll!(pin!(c.next())).is_pending());
    assert_eq!(said(&c), farewell(3));
    let key = Opener::Key(ApiKeyId::new(Uuid::from_u128(4)));
    let of_key = world.hub.connect(USER, key, Resume::default()).await.unwrap();
    assert_eq!(said(&of_key), None);
}

#[tokio::test]
async fn a_revoked_key_ends_its_streams_and_a_closed_account_all() {
    let world = World::new(64);
    let resume = || Resume { epoch: Some(epoch()), last_seq: Some(0) };
    let opened = |n| Opener::Key(ApiKeyId::new(Uuid::from_u128(n)));
    let mut session = world.connect(Some(0)).await;
    let mut revoked = world.hub.connect(USER, opened(4), resume()).await.unwrap();
    let mut other = world.hub.connect(USER, opened(5), resume()).await.unwrap();
    let stranger = UserId::new(Uuid::from_u128(9));
    let mut strangers = world.hub.connect(stranger, opened(4), resume()).await.unwrap();
    for connection in [&mut session, &mut revoked, &mut other, &mut strangers] {
        frames(connection).await;
    }
    world.bus.publish(Signal::KeyRevoked { user_id: USER, key_id: ApiKeyId::new(Uuid::from_u128(4)) });
    assert_eq!(revoked.next().await.unwrap(), Outgoing::SessionEnded);
    assert!(poll!(pin!(session.next())).is_pending() && poll!(pin!(other.next())).is_pending());
    world.bus.publish(Signal::AccountClosed { user_id: USER });
    assert_eq!(session.next().await.unwrap(), Outgoing::SessionEnded);
    assert_eq!(other.next().await.unwrap(), Outgoing::SessionEnded);
    assert!(poll!(pin!(strangers.next())).is_pending());
}

#[tokio::test]
async fn a_stream_ends_when_what_opened_it_runs_out() {
    let world = World::new(64);
    let mut c = world.connect(Some(0)).await;
    frames(&mut c).await;
    let (began, life) = (Instant::now(), Duration::from_millis(50));
    c.end_in(life);
    assert_eq!(c.next().await.unwrap(), Outgoing::SessionEnded);
    assert!(began.elapsed() >= life);
    // Also when there would be something to tell.
    let new = world.commit(1).await;
    world.tell(&new[0]);
    assert_eq!(c.next().await.unwrap(), Outgoing::SessionEnded);
    let mut endless = world.connect(Some(0)).await;
    endless.end_in(Duration::MAX);
    assert!(matches!(endless.next().await.unwrap(), Outgoing::Frames(_)));
}

#[tokio::test]
async fn a_transport_that_is_not_ready_hears_of_the_end_and_of_nothing_else() {
    let world = World::new(64);
    let mut c = world.connect(Some(0)).await;
    frames(&mut c).await;
    for event in world.commit(2).await {
        world.tell(&event);
    }
    {
        let mut waiting = pin!(c.next_when(false));
        for _ in 0..20 {
            assert!(poll!(&mut waiting).is_pending());
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(seqs_until(&mut c, 2).await, [1, 2], "they waited");
    world.bus.publish(Signal::SessionEnded { user_id: USER, session_id: SESSION });
    assert_eq!(c.next_when(false).await.unwrap(), Outgoing::SessionEnded);
}

#[tokio::test]
async fn a_closing_hub_sends_everyone_away() {
    let world = World::new(64);
    let mut c = world.connect(Some(0)).await;
    frames(&mut c).await;
    world.hub.close();
    assert_eq!(c.next().await.unwrap(), Outgoing::GoingAway);
    let refused = world.hub.connect(USER, SESSION, Resume::default()).await;
    assert!(matches!(refused, Err(ConnectError::GoingAway)));
}

#[tokio::test]
async fn leaving_frees_the_place() {
    let world = World::new(64);
    let mut open = vec![];
    for _ in 0..services::live::MAX_CONNECTIONS {
        open.push(world.connect(None).await);
    }
    let refused = world.hub.connect(USER, SESSION, Resume::default()).await;
    assert!(matches!(refused, Err(ConnectError::TooMany)));
    open.clear();
    assert_eq!(world.hub.connections(), 0);
    world.connect(None).await;
}

#[tokio::test]
async fn when_the_bus_ran_ahead_each_stream_is_told_to_look_its_session_up() {
    let world = World::new(4);
    let mut connection = world.connect(Some(0)).await;
    frames(&mut connection).await;
    world.bus.publish(Signal::SessionEnded { user_id: USER, session_id: SESSION });
    // Nobody listens in between, so the end of the session is pushed out of the bus.
    for _ in 0..8 {
        world.bus.publish(Signal::WorkReady);
    }
    assert_eq!(connection.next().await.unwrap(), Outgoing::Unsure);
    let events = world.commit(1).await;
    world.tell(&events[0]);
    assert!(matches!(connection.next().await.unwrap(), Outgoing::Frames(_)), "told once");
}
