//! The event log: outbox, history and source of every stream at once.

use super::StoreError;
use async_trait::async_trait;
use bytes::Bytes;
use domain::{Epoch, Event, EventFrame, ServerFrame, Timestamp, UserId};

/// A committed event, encoded once; the bytes are shared by every connection.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedEvent {
    pub user_id: UserId,
    /// The user's next number: gap-free, from 1.
    pub seq: u64,
    pub at: Timestamp,
    /// Name on the wire.
    pub name: &'static str,
    /// Equal for events about the same thing; progress of one replaces older progress of the same.
    pub key: u64,
    pub progress: bool,
    /// The status after it, where one may have turned with it: a turn is no progress, and only who told the event before
    /// it knows.
    pub turning: Option<&'static str>,
    /// The whole server frame as JSON text.
    pub frame: Bytes,
}

impl LoggedEvent {
    /// Stamps `event` with its seq and encodes it.
    pub fn new(user_id: UserId, seq: u64, at: Timestamp, mut event: Event) -> Self {
        event.set_rev(seq);
        let (name, progress, turning, key) =
            (event.name(), event.is_progress(), event.turning(), key_of(&event));
        let frame = ServerFrame::Event(EventFrame { seq, at, event });
        // A frame is plain data with text keys; encoding it cannot fail.
        let frame = serde_json::to_vec(&frame).map(Bytes::from).unwrap_or_default();
        Self { user_id, seq, at, name, key, progress, turning, frame }
    }

    /// One that was stored, from its frame; the bytes stay as they are. `None` when they are not such a frame.
    pub fn stored(user_id: UserId, frame: Bytes) -> Option<Self> {
        let Ok(ServerFrame::Event(EventFrame { seq, at, event })) = serde_json::from_slice(&frame) else {
            return None;
        };
        let (name, progress, turning, key) =
            (event.name(), event.is_progress(), event.turning(), key_of(&event));
        Some(Self { user_id, seq, at, name, key, progress, turning, frame })
    }

    pub fn event(&self) -> Option<Event> {
        match serde_json::from_slice(&self.frame) {
            Ok(ServerFrame::Event(f)) => Some(f.event),
            _ => None,
        }
    }
}

fn key_of(event: &Event) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    // `job_update` and `job_complete` are about one job but must not replace one another: a final state is no progress.
    event.name().hash(&mut hasher);
    event.entity().hash(&mut hasher);
    hasher.finish()
}

#[async_trait]
pub trait EventLog: Send + Sync {
    /// Drawn when the log was made.
    fn epoch(&self) -> Epoch;

    /// Seq of the user's newest committed event; 0 when there is none.
    async fn head(&self, user: UserId) -> Result<u64, StoreError>;

    /// Those of whom the log has more than up to the seq beside them.
    async fn ahead_of(&self, known: &[(UserId, u64)]) -> Result<Vec<UserId>, StoreError> {
        let mut ahead = vec![];
        for (user, seq) in known {
            if self.head(*user).await? > *seq {
                ahead.push(*user);
            }
        }
        Ok(ahead)
    }

    /// A client whose `last_seq` is at or above it can resume; below, an event that nothing superseded is gone.
    async fn floor(&self, user: UserId) -> Result<u64, StoreError>;

    /// Events with a seq above `after`, in order, at most `limit`. Superseded ones that were removed are simply absent.
    async fn after(&self, user: UserId, after: u64, limit: u32) -> Result<Vec<LoggedEvent>, StoreError>;

    /// Commits events on their own, in one transaction, in order.
    async fn append(
        &self,
        user: UserId,
        events: Vec<Event>,
        now: Timestamp,
    ) -> Result<Vec<LoggedEvent>, StoreError>;
}
