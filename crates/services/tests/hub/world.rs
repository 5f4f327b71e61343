//! The world of a test: a log in memory, a bus that does what the test says, a hub between the two, and a look at what a
//! connection is told.

use async_trait::async_trait;
use domain::{Epoch, Event, ServerFrame, SessionId, Timestamp, UserId, WorkspaceId, event::WorkspaceDeleted};
use services::{
    live::{Connection, Hub, Outgoing, Resume},
    ports::{Bus, BusReceiver, Clock, EventLog, LoggedEvent, Signal, StoreError},
};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use tokio::sync::{broadcast, oneshot};
use uuid::Uuid;

pub(super) const USER: UserId = UserId::new(Uuid::from_u128(1));
pub(super) const SESSION: SessionId = SessionId::new(Uuid::from_u128(2));

pub(super) fn epoch() -> Epoch {
    Epoch("first".into())
}

/// A clock that stands.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(7_000_000)
    }
}

/// The welcome of the world's hub.
pub(super) fn welcome(seq: u64, resumed: bool) -> ServerFrame {
    ServerFrame::Welcome { epoch: epoch(), seq, resumed, at: Some(Still.now()) }
}

/// A log that can be made to answer late.
#[derive(Default)]
pub(super) struct Log {
    pub(super) events: Mutex<Vec<LoggedEvent>>,
    /// The seq below which nothing can be resumed.
    pub(super) floor: AtomicU64,
    /// How often it was read.
    pub(super) reads: AtomicU64,
    held: Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>,
}

impl Log {
    /// The next answer is held back: it is what the log had when it was asked. The first end hears that it was, and by the
    /// other one the answer is let go.
    pub(super) fn hold(&self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((asked, hears), (lets_go, go)) = (oneshot::channel(), oneshot::channel());
        *self.held.lock().unwrap() = Some((asked, go));
        (hears, lets_go)
    }
}

#[async_trait]
impl EventLog for Log {
    fn epoch(&self) -> Epoch {
        epoch()
    }

    async fn head(&self, _: UserId) -> Result<u64, StoreError> {
        Ok(self.events.lock().unwrap().len() as u64)
    }

    async fn floor(&self, _: UserId) -> Result<u64, StoreError> {
        Ok(self.floor.load(Ordering::SeqCst))
    }

    async fn after(&self, _: UserId, after: u64, limit: u32) -> Result<Vec<LoggedEvent>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let found: Vec<LoggedEvent> = {
            let events = self.events.lock().unwrap();
            events.iter().filter(|e| e.seq > after).take(limit as usize).cloned().collect()
        };
        let held = self.held.lock().unwrap().take();
        if let Some((asked, go)) = held {
            let _ = asked.send(());
            let _ = go.await;
        }
        Ok(found)
    }

    async fn append(
        &self,
        user: UserId,
        events: Vec<Event>,
        at: Timestamp,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let mut log = self.events.lock().unwrap();
        let start = log.len();
        for event in events {
            let seq = log.len() as u64 + 1;
            log.push(LoggedEvent::new(user, seq, at, event));
        }
        Ok(log[start..].to_vec())
    }
}

pub(super) struct TestBus {
    signals: broadcast::Sender<Signal>,
    pub(super) is_away: AtomicBool,
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

pub(super) struct World {
    pub(super) log: Arc<Log>,
    pub(super) bus: Arc<TestBus>,
    pub(super) hub: Arc<Hub>,
}

impl World {
    pub(super) fn new(bus_capacity: usize) -> Self {
        let log = Arc::new(Log::default());
        let signals = broadcast::Sender::new(bus_capacity);
        let bus = Arc::new(TestBus { signals, is_away: AtomicBool::new(false) });
        let hub = Hub::new(log.clone(), bus.clone(), services::live::MAX_CONNECTIONS, Arc::new(Still));
        tokio::spawn(hub.run());
        Self { log, bus, hub }
    }

    /// Commits `n` events without telling the bus.
    pub(super) async fn commit(&self, n: usize) -> Vec<LoggedEvent> {
        let event = |i| {
            Event::WorkspaceDeleted(WorkspaceDeleted {
                id: WorkspaceId::new(Uuid::from_u128(100 + i)),
                rev: 0,
            })
        };
        self.log.append(USER, (0..n as u128).map(event).collect(), Timestamp::default()).await.unwrap()
    }

    pub(super) fn tell(&self, event: &LoggedEvent) {
        self.bus.publish(Signal::Event(Arc::new(event.clone())));
    }

    pub(super) async fn connect(&self, last_seq: Option<u64>) -> Connection {
        let resume = Resume { epoch: last_seq.map(|_| epoch()), last_seq };
        self.hub.connect(USER, SESSION, resume).await.unwrap()
    }
}

pub(super) async fn frames(connection: &mut Connection) -> Vec<ServerFrame> {
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

pub(super) fn seqs_of(frames: &[ServerFrame]) -> Vec<u64> {
    let seq = |frame: &ServerFrame| match frame {
        ServerFrame::Event(e) => Some(e.seq),
        ServerFrame::Welcome { .. } | ServerFrame::Ping { .. } | ServerFrame::Unknown { .. } => None,
    };
    frames.iter().filter_map(seq).collect()
}

/// Reads until the event `until` has come; answers all seqs.
pub(super) async fn seqs_until(connection: &mut Connection, until: u64) -> Vec<u64> {
    let mut seqs = vec![];
    while seqs.last() != Some(&until) {
        seqs.extend(seqs_of(&frames(connection).await));
    }
    seqs
}
