//! The hub against a log in memory and a bus that misbehaves: whatever the bus loses, doubles or reorders, each
//! connection gets every event once, in order.

#![expect(clippy::unwrap_used, reason = "a poisoned lock is a failed test")]

use async_trait::async_trait;
use domain::{
    ApiKeyId, Epoch, Event, EventFrame, ServerFrame, SessionId, Timestamp, UserId, WorkspaceId,
    event::WorkspaceDeleted,
};
use futures::poll;
use proptest::prelude::*;
use services::{
    live::{BOUND, ConnectError, Connection, Hub, Opener, Outgoing, Resume},
    ports::{Bus, BusReceiver, EventLog, LoggedEvent, Signal, StoreError},
};
use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};
use tokio::{sync::broadcast, time::Instant};
use uuid::Uuid;

const USER: UserId = UserId::new(Uuid::from_u128(1));
const SESSION: SessionId = SessionId::new(Uuid::from_u128(2));

fn epoch() -> Epoch {
    Epoch("first".into())
}

#[test]
fn the_id_of_an_event_names_its_place() {
    let resume = |epoch: &str, seq| Some(Resume { epoch: Some(Epoch(epoch.into())), last_seq: Some(seq) });
    assert_eq!(Resume::of_event_id("first.7"), resume("first", 7));
    assert_eq!(Resume::of_event_id("an.epoch.with.dots.0"), resume("an.epoch.with.dots", 0));
    for wrong in ["", "first", "first.", "first.-1", "first.7 ", "first.18446744073709551616"] {
        assert_eq!(Resume::of_event_id(wrong), None, "{wrong:?}");
    }
}

/// The events, the seq below which nothing can be resumed, and how often it was read.
#[derive(Default)]
struct Log(Mutex<Vec<LoggedEvent>>, AtomicU64, AtomicU64);

#[async_trait]
impl EventLog for Log {
    fn epoch(&self) -> Epoch {
        epoch()
    }

    async fn head(&self, _: UserId) -> Result<u64, StoreError> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    async fn floor(&self, _: UserId) -> Result<u64, StoreError> {
        Ok(self.1.load(Ordering::SeqCst))
    }

    async fn after(&self, _: UserId, after: u64, limit: u32) -> Result<Vec<LoggedEvent>, StoreError> {
        self.2.fetch_add(1, Ordering::SeqCst);
        Ok(self.0.lock().unwrap().iter().filter(|e| e.seq > after).take(limit as usize).cloned().collect())
    }

    async fn append(
        &self,
        user: UserId,
        events: Vec<Event>,
        at: Timestamp,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let mut log = self.0.lock().unwrap();
        let start = log.len();
        for event in events {
            let seq = log.len() as u64 + 1;
            log.push(LoggedEvent::new(user, seq, at, event));
        }
        Ok(log[start..].to_vec())
    }
}

struct TestBus {
    signals: broadcast::Sender<Signal>,
    is_away: AtomicBool,
}

impl Bus for TestBus {
    fn publish(&self, signal: Signal) {
        let _ = self.signals.send(signal);
    }

    fn subscribe(&self) -> BusReceiver {
        self.signals.subscribe()
    }

    fn outage(&self) -> Option<String> {
        self.is_away.load(Ordering::SeqCst).then(|| "it is away".to_owned())
    }
}

struct World {
    log: Arc<Log>,
    bus: Arc<TestBus>,
    hub: Arc<Hub>,
}

impl World {
    fn new(bus_capacity: usize) -> Self {
        let log = Arc::new(Log::default());
        let signals = broadcast::Sender::new(bus_capacity);
        let bus = Arc::new(TestBus { signals, is_away: AtomicBool::new(false) });
        let hub = Hub::new(log.clone(), bus.clone(), services::live::MAX_CONNECTIONS);
        tokio::spawn(hub.run());
        Self { log, bus, hub }
    }

    /// Commits `n` events without telling the bus.
    async fn commit(&self, n: usize) -> Vec<LoggedEvent> {
        let event = |i| {
            Event::WorkspaceDeleted(WorkspaceDeleted {
                id: WorkspaceId::new(Uuid::from_u128(100 + i)),
                rev: 0,
            })
        };
        self.log.append(USER, (0..n as u128).map(event).collect(), Timestamp::default()).await.unwrap()
    }

    fn tell(&self, event: &LoggedEvent) {
        self.bus.publish(Signal::Event(Arc::new(event.clone())));
    }

    async fn connect(&self, last_seq: Option<u64>) -> Connection {
        let resume = Resume { epoch: last_seq.map(|_| epoch()), last_seq };
        self.hub.connect(USER, SESSION, resume).await.unwrap()
    }
}

async fn frames(connection: &mut Connection) -> Vec<ServerFrame> {
    loop {
        match connection.next().await.unwrap() {
            Outgoing::Frames(frames) => {
                return frames.iter().map(|f| serde_json::from_slice(f).unwrap()).collect();
            }
            // The session goes on.
            Outgoing::Unsure => {}
            other => panic!("{other:?}"),
        }
    }
}

fn seqs_of(frames: &[ServerFrame]) -> Vec<u64> {
    let seq = |frame: &ServerFrame| match frame {
        ServerFrame::Event(e) => Some(e.seq),
        ServerFrame::Welcome { .. } | ServerFrame::Ping { .. } | ServerFrame::Unknown { .. } => None,
    };
    frames.iter().filter_map(seq).collect()
}

/// Reads until the event `until` has come; answers all seqs.
async fn seqs_until(connection: &mut Connection, until: u64) -> Vec<u64> {
    let mut seqs = vec![];
    while seqs.last() != Some(&until) {
        seqs.extend(seqs_of(&frames(connection).await));
    }
    seqs
}

#[tokio::test]
async fn a_fresh_client_starts_from_now() {
    let world = World::new(64);
    world.commit(3).await;
    let mut c = world.connect(None).await;
    assert_eq!(frames(&mut c).await, [ServerFrame::Welcome { epoch: epoch(), seq: 3, resumed: false }]);
    let new = world.commit(1).await;
    world.tell(&new[0]);
    assert_eq!(seqs_until(&mut c, 4).await, [4]);
}

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
async fn a_returning_client_gets_what_it_missed_then_live() {
    let world = World::new(64);
    world.commit(1_200).await;
    let mut c = world.connect(Some(7)).await;
    let first = frames(&mut c).await;
    assert_eq!(first[0], ServerFrame::Welcome { epoch: epoch(), seq: 1_200, resumed: true });
    let mut seqs = seqs_of(&first);
    seqs.extend(seqs_until(&mut c, 1_200).await);
    assert_eq!(seqs, (8..=1_200).collect::<Vec<_>>());
    for e in world.commit(2).await {
        world.tell(&e);
    }
    assert_eq!(seqs_until(&mut c, 1_202).await, [1_201, 1_202]);
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
        world.log.0.lock().unwrap().push(newer);
    }
    let mut returning = world.connect(Some(1)).await;
    let mut live = world.connect(None).await;
    let first = frames(&mut live).await;
    assert_eq!(first, [ServerFrame::Welcome { epoch: epoch(), seq: 3, resumed: false }]);
    let Outgoing::Frames(missed) = returning.next().await.unwrap() else { panic!("no frames") };
    assert_eq!(missed[1..], [frame(2), frame(3)]);
    let newer = LoggedEvent::stored(USER, frame(4).into()).unwrap();
    world.log.0.lock().unwrap().push(newer.clone());
    world.tell(&newer);
    let Outgoing::Frames(told) = live.next().await.unwrap() else { panic!("no frames") };
    assert_eq!(told, [frame(4)]);
    world.tell(&world.commit(1).await[0]);
    assert_eq!(seqs_until(&mut live, 5).await, [5]);
}

#[tokio::test]
async fn of_what_was_missed_no_more_is_read_than_the_transport_is_ready_for() {
    let world = World::new(64);
    world.commit(10_000).await;
    let mut c = world.connect(Some(0)).await;
    let mut seqs = seqs_of(&frames(&mut c).await);
    assert!((1..=500).contains(&seqs.len()), "{}", seqs.len());
    let read = || world.log.2.load(Ordering::SeqCst);
    let before = read();
    // New things happen while the client takes what it has.
    for e in world.commit(3).await {
        world.tell(&e);
    }
    for _ in 0..20 {
        assert!(poll!(pin!(c.next_when(false))).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!((read(), c.is_behind()), (before, true));
    while c.is_behind() {
        let part = frames(&mut c).await;
        assert!(part.len() <= 500, "{}", part.len());
        seqs.extend(seqs_of(&part));
    }
    if seqs.last() != Some(&10_003) {
        seqs.extend(seqs_until(&mut c, 10_003).await);
    }
    assert_eq!(seqs, (1..=10_003).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_came_twice_while_a_client_caught_up_holds_nothing_up() {
    let world = World::new(64);
    let mut first = world.connect(Some(0)).await;
    frames(&mut first).await;
    // Nobody told of these; the room reads them for all who are in it, and the newcomer reads them for itself.
    world.commit(2_000).await;
    let mut second = world.connect(Some(0)).await;
    let mut seqs = seqs_of(&frames(&mut second).await);
    seqs_until(&mut first, 2_000).await;
    seqs.extend(seqs_until(&mut second, 2_000).await);
    assert_eq!(seqs, (1..=2_000).collect::<Vec<_>>());
    let new = world.commit(1).await;
    world.tell(&new[0]);
    assert_eq!(seqs_until(&mut second, 2_001).await, [2_001]);
}

#[tokio::test]
async fn who_is_still_behind_when_its_mailbox_overruns_or_the_log_is_cut_off_is_told_to_refetch() {
    let world = World::new(2 * BOUND);
    world.commit(2_000).await;
    let (mut slow, mut steady) = (world.connect(Some(0)).await, world.connect(Some(2_000)).await);
    frames(&mut slow).await;
    frames(&mut steady).await;
    let total = 2_000 + BOUND as u64 + 40;
    for event in world.commit(BOUND + 40).await {
        world.tell(&event);
    }
    seqs_until(&mut steady, total).await;
    let welcome = |seq| ServerFrame::Welcome { epoch: epoch(), seq, resumed: false };
    assert_eq!(frames(&mut slow).await, [welcome(total)]);
    // And one that has come to 1,000 when all up to 1,500 is removed.
    let mut slower = world.connect(Some(500)).await;
    assert_eq!(seqs_of(&frames(&mut slower).await).last(), Some(&1_000));
    world.log.1.store(1_500, Ordering::SeqCst);
    assert_eq!(frames(&mut slower).await, [welcome(total)]);
    let new = world.commit(1).await;
    world.tell(&new[0]);
    for c in [&mut slow, &mut slower] {
        assert_eq!(seqs_until(c, total + 1).await, [total + 1]);
    }
}

#[tokio::test]
async fn another_epoch_or_a_seq_beyond_the_log_is_never_resumed() {
    let world = World::new(64);
    world.commit(3).await;
    for resume in [
        Resume { epoch: Some(Epoch("other".into())), last_seq: Some(2) },
        Resume { epoch: Some(epoch()), last_seq: Some(4) },
        Resume { epoch: None, last_seq: Some(2) },
    ] {
        let mut c = world.hub.connect(USER, SESSION, resume).await.unwrap();
        assert_eq!(frames(&mut c).await, [ServerFrame::Welcome { epoch: epoch(), seq: 3, resumed: false }]);
    }
}

#[tokio::test]
async fn at_the_floor_of_the_log_a_client_is_resumed_and_below_it_told_to_refetch() {
    let world = World::new(64);
    world.commit(9).await;
    world.log.1.store(5, Ordering::SeqCst);
    let mut above = world.connect(Some(5)).await;
    let welcome = |resumed| ServerFrame::Welcome { epoch: epoch(), seq: 9, resumed };
    let told = frames(&mut above).await;
    assert_eq!((&told[0], told.len()), (&welcome(true), 1 + 4), "from the floor on nothing is missing");
    let mut below = world.connect(Some(4)).await;
    assert_eq!(frames(&mut below).await, [welcome(false)], "what it missed is not there any more");
    // From there it goes on as everybody does.
    let new = world.commit(1).await;
    world.tell(&new[0]);
    assert_eq!(seqs_until(&mut below, 10).await, [10]);
}

#[tokio::test]
async fn a_connection_whose_mailbox_overran_is_told_to_refetch_and_goes_on_from_there() {
    let total = BOUND + 40;
    let world = World::new(2 * total);
    let (mut slow, mut steady) = (world.connect(Some(0)).await, world.connect(Some(0)).await);
    frames(&mut slow).await;
    frames(&mut steady).await;
    for event in world.commit(total).await {
        world.tell(&event);
    }
    // One that reads has them all; by then the other one's mailbox had them all as well.
    assert_eq!(seqs_until(&mut steady, total as u64).await.len(), total);
    let welcome = ServerFrame::Welcome { epoch: epoch(), seq: total as u64, resumed: false };
    assert_eq!(frames(&mut slow).await, [welcome], "and nothing of what came before");
    let new = world.commit(2).await;
    new.iter().for_each(|event| world.tell(event));
    let last = total as u64 + 2;
    assert_eq!(seqs_until(&mut slow, last).await, [last - 1, last]);
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
    assert_eq!(frames(&mut second).await, [ServerFrame::Welcome { epoch: epoch(), seq: 5, resumed: false }]);
    assert_eq!(seqs_until(&mut first, 5).await, [4, 5]);
    // Who starts from now is not told of what was before.
    let new = world.commit(1).await;
    world.tell(&new[0]);
    assert_eq!(seqs_until(&mut second, 6).await, [6]);
}

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Events are told shuffled, some twice, some never; connections come and go. The last one is told, as a bus that
    /// works again would.
    #[test]
    fn every_connection_gets_every_event_once_and_in_order(
        batches in prop::collection::vec((1..20usize, prop::collection::vec(0..3u8, 20), any::<u64>()), 1..8),
        reconnect in prop::collection::vec(any::<bool>(), 8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new(16);
            let mut steady = world.connect(Some(0)).await;
            let mut fickle = world.connect(Some(0)).await;
            let mut fickle_seen: Vec<u64> = vec![];
            let mut total = 0;
            for (i, (n, how, seed)) in batches.into_iter().enumerate() {
                let events = world.commit(n).await;
                total += n as u64;
                let mut told: Vec<&LoggedEvent> = vec![];
                for (e, times) in events.iter().zip(&how) {
                    told.extend(std::iter::repeat_n(e, usize::from(*times)));
                }
                // A cheap shuffle that the seed decides.
                for j in (1..told.len()).rev() {
                    told.swap(j, (seed as usize).wrapping_mul(j + 31) % (j + 1));
                }
                for e in told {
                    world.tell(e);
                }
                tokio::task::yield_now().await;
                if reconnect[i] {
                    drop(fickle);
                    fickle = world.connect(Some(fickle_seen.last().copied().unwrap_or(0))).await;
                    for frame in frames(&mut fickle).await {
                        if let ServerFrame::Event(e) = frame {
                            fickle_seen.push(e.seq);
                        }
                    }
                }
            }
            let last = world.commit(1).await;
            world.tell(&last[0]);
            total += 1;
            assert_eq!(seqs_until(&mut steady, total).await, (1..=total).collect::<Vec<_>>());
            if fickle_seen.last() != Some(&total) {
                fickle_seen.extend(seqs_until(&mut fickle, total).await);
            }
            assert_eq!(fickle_seen, (1..=total).collect::<Vec<_>>());
        });
    }

    /// What was missed comes in parts while new things happen, some of them untold; the client is cut off after any part.
    #[test]
    fn what_was_missed_comes_in_parts_each_event_once_and_in_order(
        missed in 0..3_000usize,
        turns in prop::collection::vec((0..40usize, any::<bool>(), any::<bool>()), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new(16);
            world.commit(missed).await;
            let mut total = missed as u64;
            let mut seen: Vec<u64> = vec![];
            let mut c = world.connect(Some(0)).await;
            for (n, is_told, is_cut) in turns {
                let events = world.commit(n).await;
                total += n as u64;
                for e in events.iter().filter(|_| is_told) {
                    world.tell(e);
                }
                tokio::task::yield_now().await;
                if is_cut {
                    drop(c);
                    c = world.connect(Some(seen.last().copied().unwrap_or(0))).await;
                }
                // One look: where there is nothing, the waiting is broken off.
                if let Poll::Ready(next) = poll!(pin!(c.next()))
                    && let Outgoing::Frames(part) = next.unwrap()
                {
                    let part: Vec<ServerFrame> =
                        part.iter().map(|f| serde_json::from_slice(f).unwrap()).collect();
                    seen.extend(seqs_of(&part));
                }
            }
            let last = world.commit(1).await;
            world.tell(&last[0]);
            total += 1;
            if seen.last() != Some(&total) {
                seen.extend(seqs_until(&mut c, total).await);
            }
            assert_eq!(seen, (1..=total).collect::<Vec<_>>());
        });
    }
}
