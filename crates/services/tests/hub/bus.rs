//! What the bus carries and what it loses: nothing of it is missed, and each event goes out as it was encoded.

use crate::world::{USER, World, frames, seqs_until, welcome};
use bytes::Bytes;
use domain::{ServerFrame, SessionId};
use futures::poll;
use services::{
    live::{Outgoing, Resume},
    ports::{Bus, LoggedEvent, Signal},
};
use std::{pin::pin, sync::atomic::Ordering};
use uuid::Uuid;

#[tokio::test]
async fn that_other_servers_are_heard_late_is_told_and_so_is_its_end() {
    let world = World::new(64);
    let mut c = world.connect(None).await;
    frames(&mut c).await;
    world.bus.is_away.store(true, Ordering::SeqCst);
    assert_eq!(frames(&mut c).await, [ServerFrame::Ping { late: true }]);
    let mut later = world.connect(None).await;
    frames(&mut later).await;
    assert_eq!(frames(&mut later).await, [ServerFrame::Ping { late: true }]);
    world.bus.is_away.store(false, Ordering::SeqCst);
    for c in [&mut c, &mut later] {
        assert_eq!(frames(c).await, [ServerFrame::Ping { late: false }]);
    }
}

#[tokio::test]
async fn an_event_of_a_newer_build_goes_out_as_it_is_and_the_stream_goes_on() {
    let world = World::new(64);
    world.commit(1).await;
    let frame = |seq: u64| {
        format!(
            r#"{{"type":"event","seq":{seq},"at":"2026-11-29T08:00:00Z","event":"moon_rose","data":{{"n":{seq}}}}}"#
        )
    };
    // Two about the same thing: nothing is known of them, so neither takes the place of the other.
    for seq in [2, 3] {
        let newer = LoggedEvent::stored(USER, frame(seq).into()).unwrap();
        world.log.events.lock().unwrap().push(newer);
    }
    let mut returning = world.connect(Some(1)).await;
    let mut live = world.connect(None).await;
    let first = frames(&mut live).await;
    assert_eq!(first, [welcome(3, false)]);
    let Outgoing::Frames(missed) = returning.next().await.unwrap() else { panic!("no frames") };
    assert_eq!(missed[1..], [frame(2), frame(3)]);
    let newer = LoggedEvent::stored(USER, frame(4).into()).unwrap();
    world.log.events.lock().unwrap().push(newer.clone());
    world.tell(&newer);
    let Outgoing::Frames(told) = live.next().await.unwrap() else { panic!("no frames") };
    assert_eq!(told, [frame(4)]);
    world.tell(&world.commit(1).await[0]);
    assert_eq!(seqs_until(&mut live, 5).await, [5]);
}

#[tokio::test]
async fn an_event_is_encoded_once_and_every_connection_gets_those_very_bytes() {
    let world = World::new(64);
    let mut all = vec![];
    for _ in 0..3 {
        let mut connection = world.connect(Some(0)).await;
        frames(&mut connection).await;
        all.push(connection);
    }
    let event = world.commit(1).await.remove(0);
    world.tell(&event);
    for connection in &mut all {
        let Outgoing::Frames(sent) = connection.next().await.unwrap() else { panic!("a frame") };
        assert_eq!((sent[0].as_ptr(), sent[0].len()), (event.frame.as_ptr(), event.frame.len()));
    }
}

#[tokio::test]
async fn a_bus_that_drops_everything_costs_latency_but_no_event() {
    let world = World::new(4);
    let mut c = world.connect(Some(0)).await;
    frames(&mut c).await;
    // Far more than the bus holds: most signals are lost, the receiver is told that it lagged.
    for e in world.commit(500).await {
        world.tell(&e);
    }
    assert_eq!(seqs_until(&mut c, 500).await, (1..=500).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_another_server_wrote_is_known_to_all_as_soon_as_anybody_connects() {
    let world = World::new(64);
    world.commit(3).await;
    let mut first = world.connect(Some(3)).await;
    frames(&mut first).await;
    world.commit(2).await;
    let mut second = world.connect(None).await;
    assert_eq!(frames(&mut second).await, [welcome(5, false)]);
    assert_eq!(seqs_until(&mut first, 5).await, [4, 5]);
    // Who starts from now is not told of what was before.
    let new = world.commit(1).await;
    world.tell(&new[0]);
    assert_eq!(seqs_until(&mut second, 6).await, [6]);
}

#[tokio::test]
async fn what_the_bus_says_that_it_missed_is_read_from_the_log() {
    let world = World::new(64);
    let mut connection = world.connect(Some(0)).await;
    frames(&mut connection).await;
    // Another server commits them, and the bus between the two is cut.
    world.commit(3).await;
    world.bus.publish(Signal::Missed);
    assert_eq!(seqs_until(&mut connection, 3).await, [1, 2, 3]);
    // Nothing is new: nothing is told, and what comes by the bus afterwards is told once.
    world.bus.publish(Signal::Missed);
    let events = world.commit(1).await;
    world.tell(&events[0]);
    assert_eq!(seqs_until(&mut connection, 4).await, [4]);
}

#[tokio::test]
async fn what_is_told_while_an_empty_answer_of_the_log_is_under_way_is_read_at_once() {
    let events = World::new(64).commit(3).await;
    for told_last in [0, 2] {
        let world = World::new(64);
        let mut c = world.connect(Some(0)).await;
        let other = SessionId::new(Uuid::from_u128(3));
        let mut others = world.hub.connect(USER, other, Resume::default()).await.unwrap();
        frames(&mut c).await;
        frames(&mut others).await;
        let (asked, let_go) = world.log.hold();
        // The second is told before any is to be seen here, as on a replica: the log is asked, and has nothing.
        world.tell(&events[1]);
        asked.await.unwrap();
        // Before its answer is there all of them are, and one that is older or newer is told.
        world.log.events.lock().unwrap().extend(events.iter().cloned());
        world.tell(&events[told_last]);
        world.bus.publish(Signal::SessionEnded { user_id: USER, session_id: other });
        assert_eq!(others.next().await.unwrap(), Outgoing::SessionEnded, "all before it was heard");
        let_go.send(()).unwrap();
        assert_eq!(seqs_until(&mut c, 3).await, [1, 2, 3]);
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_stepped_over_and_nobody_believes_to_have_it() {
    let world = World::new(64);
    let mut live = world.connect(Some(0)).await;
    frames(&mut live).await;
    let events = world.commit(3).await;
    world.log.events.lock().unwrap()[1] = LoggedEvent::unreadable(USER, 2, Bytes::new());
    // What is said of the second by the bus is not understood here, either.
    world.tell(&events[0]);
    world.tell(&events[2]);
    let mut told = frames(&mut live).await;
    while matches!(told[..], [ServerFrame::Event(_), ..]) {
        told = frames(&mut live).await;
    }
    assert_eq!(told, [welcome(3, false)]);
    assert_eq!(world.hub.unreadable(), 1);
    // Whoever comes back from before it learns that it cannot have all.
    let mut returning = world.connect(Some(0)).await;
    assert_eq!(frames(&mut returning).await, [welcome(3, true), welcome(3, false)]);
    assert_eq!(world.hub.unreadable(), 2);
    let new = world.commit(1).await;
    world.tell(&new[0]);
    for c in [&mut live, &mut returning] {
        assert_eq!(seqs_until(c, 4).await, [4]);
    }
}

#[tokio::test]
async fn who_was_led_beyond_an_event_that_cannot_be_read_is_not_led_there_again() {
    let world = World::new(64);
    let mut first = world.connect(Some(0)).await;
    frames(&mut first).await;
    // Nobody told of these; the room reads them for all who are in it, and the newcomer reads them for itself.
    world.commit(3).await;
    world.log.events.lock().unwrap()[1] = LoggedEvent::unreadable(USER, 2, Bytes::new());
    let mut second = world.connect(Some(0)).await;
    assert_eq!(frames(&mut second).await, [welcome(3, true), welcome(3, false)]);
    assert_eq!(frames(&mut first).await, [welcome(3, false)]);
    assert!(poll!(pin!(second.next())).is_pending());
    let new = world.commit(1).await;
    world.tell(&new[0]);
    for c in [&mut first, &mut second] {
        assert_eq!(seqs_until(c, 4).await, [4]);
    }
}
