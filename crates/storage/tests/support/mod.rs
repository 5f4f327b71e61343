//! What tests need besides a store: a world whose clock, ids and secrets they decide, a bus that remembers, and a
//! database of their own. Names nothing of `storage` but `migrate`, which stands in the root of the conformance suite as it does in
//! that of the crate, so that the crate's own tests can use it too.

mod database;

pub use database::Place;

use domain::{SessionId, Timestamp, UserId};
use services::ports::{Bus, BusReceiver, Clock, LoggedEvent, Secrets, Signal};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, AtomicU64, Ordering},
};
use tokio::sync::broadcast;
use uuid::Uuid;

/// Keeps everything that was published, in order.
pub struct RecordingBus {
    published: Mutex<Vec<Signal>>,
    sender: broadcast::Sender<Signal>,
}

impl RecordingBus {
    /// The user's events in the order in which they were published.
    pub fn events_of(&self, user: UserId) -> Vec<Arc<LoggedEvent>> {
        let published = self.published.lock().unwrap();
        published
            .iter()
            .filter_map(|s| match s {
                Signal::Event(e) if e.user_id == user => Some(e.clone()),
                _ => None,
            })
            .collect()
    }

    /// Sessions of the user whose end was told, in that order.
    pub fn ended(&self, user: UserId) -> Vec<SessionId> {
        let published = self.published.lock().unwrap();
        published
            .iter()
            .filter_map(|s| match s {
                Signal::SessionEnded { user_id, session_id } if *user_id == user => Some(*session_id),
                _ => None,
            })
            .collect()
    }

    /// Everything that was published, in order.
    pub fn signals(&self) -> Vec<Signal> {
        self.published.lock().unwrap().clone()
    }

    /// How often somebody was told that work waits.
    pub fn work_ready(&self) -> usize {
        self.published.lock().unwrap().iter().filter(|s| matches!(s, Signal::WorkReady)).count()
    }
}

impl Bus for RecordingBus {
    fn publish(&self, signal: Signal) {
        self.published.lock().unwrap().push(signal.clone());
        // Nobody has to listen.
        drop(self.sender.send(signal));
    }

    fn subscribe(&self) -> BusReceiver {
        self.sender.subscribe()
    }
}

/// Stands still until it is told to go on.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn advance_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Each draw differs from every other one of any test process.
pub struct CountedSecrets;

impl Secrets for CountedSecrets {
    fn bytes32(&self) -> [u8; 32] {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::SeqCst).to_be_bytes());
        bytes[8..12].copy_from_slice(&std::process::id().to_be_bytes());
        bytes
    }
}

/// Everything that a store is handed in.
pub struct World {
    pub bus: Arc<RecordingBus>,
    pub clock: Arc<TestClock>,
    pub secrets: Arc<CountedSecrets>,
    next_id: AtomicU64,
}

impl World {
    pub fn new() -> Self {
        let sender = broadcast::Sender::new(65_536);
        Self {
            bus: Arc::new(RecordingBus { published: Mutex::default(), sender }),
            clock: Arc::new(TestClock(AtomicI64::new(1_760_000_000_000_000))),
            secrets: Arc::new(CountedSecrets),
            next_id: AtomicU64::new(1),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Ids that sort by age, as version 7 does.
    pub fn uuid(&self) -> Uuid {
        let n = self.next_id.fetch_add(1, Ordering::SeqCst);
        Uuid::from_u128((0x0199_0000_0000_7000_8000_u128 << 48) | u128::from(n))
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
