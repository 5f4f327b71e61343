//! The event log: outbox, history and source of every stream at once.

use super::StoreError;
use async_trait::async_trait;
use bytes::Bytes;
use domain::{Epoch, Event, EventFrame, ServerFrame, Timestamp, UserId};
use serde::{Deserialize, de::IgnoredAny};
use std::time::Duration;

/// A committed event, encoded once; the bytes are shared by every connection.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedEvent {
    pub user_id: UserId,
    /// The user's next number: gap-free, from 1.
    pub seq: u64,
    pub at: Timestamp,
    /// Name on the wire; [`UNKNOWN`](Self::UNKNOWN) for one that this build does not know, [`UNREADABLE`](Self::UNREADABLE)
    /// for one that it cannot read.
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
    /// What stands for the name of an event that a newer build wrote, and this one does not know.
    pub const UNKNOWN: &str = "unknown";
    /// What stands for the name of an event that cannot be read.
    pub const UNREADABLE: &str = "unreadable";

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

    /// One that was stored, from its frame; the bytes stay as they are. `None` when they are not such a frame. An event of
    /// a name that this build does not know is carried all the same, and nothing ever takes its place: in an upgrade
    /// newer servers write into the same log, and newer pages read at this one.
    pub fn stored(user_id: UserId, frame: Bytes) -> Option<Self> {
        let Ok(ServerFrame::Event(EventFrame { seq, at, event })) = serde_json::from_slice(&frame) else {
            return Self::opaque(user_id, frame);
        };
        let (name, progress, turning, key) =
            (event.name(), event.is_progress(), event.turning(), key_of(&event));
        Some(Self { user_id, seq, at, name, key, progress, turning, frame })
    }

    /// `None` when the name is a known one, so that it is the event that is broken.
    fn opaque(user_id: UserId, frame: Bytes) -> Option<Self> {
        let Outline { kind, seq, at, event, .. } = serde_json::from_slice(&frame).ok()?;
        if kind != "event" || Event::NAMES.contains(&event.as_str()) {
            return None;
        }
        Some(Self { user_id, seq, at, name: Self::UNKNOWN, key: seq, progress: false, turning: None, frame })
    }

    /// The place of an event that is stored and cannot be read: it is broken, or a newer build wrote of a thing that this one
    /// knows what it does not know. Nobody is to be sent it, and nobody may read on as if nothing had been there.
    pub fn unreadable(user_id: UserId, seq: u64, frame: Bytes) -> Self {
        let (at, name) = (Timestamp::default(), Self::UNREADABLE);
        Self { user_id, seq, at, name, key: seq, progress: false, turning: None, frame }
    }

    pub fn is_unreadable(&self) -> bool {
        self.name == Self::UNREADABLE
    }

    /// The name that the frame has: the same as `name`, also where this build does not know it.
    pub fn told_name(&self) -> String {
        if self.name != Self::UNKNOWN {
            return self.name.to_owned();
        }
        serde_json::from_slice(&self.frame)
            .map_or_else(|_| Self::UNKNOWN.to_owned(), |told: Outline| told.event)
    }

    /// `None` for one of a name that this build does not know, and for one that it cannot read.
    pub fn event(&self) -> Option<Event> {
        match serde_json::from_slice(&self.frame) {
            Ok(ServerFrame::Event(f)) => Some(f.event),
            _ => None,
        }
    }
}

/// What every event frame has, whatever its name.
#[derive(Deserialize)]
struct Outline {
    #[serde(rename = "type")]
    kind: String,
    seq: u64,
    at: Timestamp,
    event: String,
    #[serde(rename = "data")]
    _data: IgnoredAny,
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

    /// Events with a seq above `after`, in order, at most `limit`. Superseded ones that were removed are simply absent; one
    /// that cannot be read is there as [`LoggedEvent::unreadable`].
    async fn after(&self, user: UserId, after: u64, limit: u32) -> Result<Vec<LoggedEvent>, StoreError>;

    /// How long the oldest change, of whatever kind, has been waiting to be committed with its events; nothing where none
    /// waits.
    fn longest_wait(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether nothing can be written now, as far as is known without trying: the database is a standby.
    fn only_reads(&self) -> bool {
        false
    }

    /// By how much the clocks of this process and of the database differ, where that is more than does no harm.
    fn clocks_apart(&self) -> Option<Duration> {
        None
    }

    /// Commits events on their own, in one transaction, in order.
    async fn append(
        &self,
        user: UserId,
        events: Vec<Event>,
        now: Timestamp,
    ) -> Result<Vec<LoggedEvent>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::event::WorkspaceDeleted;
    use uuid::Uuid;

    fn stored(frame: &str) -> Option<LoggedEvent> {
        LoggedEvent::stored(UserId::new(Uuid::from_u128(1)), Bytes::from(frame.to_owned()))
    }

    #[test]
    fn an_event_of_a_name_that_a_newer_build_brought_is_carried_as_it_is() {
        let frame = r#"{"type":"event","seq":7,"at":"2026-11-29T08:00:00Z","event":"moon_rose","data":{"over":["x"]}}"#;
        let carried = stored(frame).expect("it is carried");
        assert_eq!((carried.seq, carried.name, carried.progress), (7, LoggedEvent::UNKNOWN, false));
        assert_eq!(carried.frame, frame.as_bytes());
        assert_eq!((carried.event(), carried.told_name().as_str()), (None, "moon_rose"));
    }

    #[test]
    fn what_is_broken_is_refused() {
        for frame in [
            "",
            "{}",
            r#"{"type":"ping"}"#,
            r#"{"type":"news","seq":7,"at":"2026-11-29T08:00:00Z","event":"moon_rose","data":{}}"#,
            r#"{"type":"event","seq":-7,"at":"2026-11-29T08:00:00Z","event":"moon_rose","data":{}}"#,
            r#"{"type":"event","seq":7,"at":"today","event":"moon_rose","data":{}}"#,
            r#"{"type":"event","seq":7,"at":"2026-11-29T08:00:00Z","event":"moon_rose"}"#,
            r#"{"type":"event","seq":7,"at":"2026-11-29T08:00:00Z","event":"workspace_deleted","data":{"id":1}}"#,
        ] {
            assert_eq!(stored(frame), None, "{frame}");
        }
    }

    #[test]
    fn one_that_cannot_be_read_keeps_its_place_and_says_so() {
        let frame = Bytes::from_static(b"nonsense");
        let event = LoggedEvent::unreadable(UserId::new(Uuid::from_u128(1)), 7, frame.clone());
        assert_eq!((event.seq, event.is_unreadable(), event.event(), &event.frame), (7, true, None, &frame));
        let newer = r#"{"type":"event","seq":7,"at":"2026-11-29T08:00:00Z","event":"moon_rose","data":{}}"#;
        assert!(stored(newer).is_some_and(|event| !event.is_unreadable()));
    }

    #[test]
    fn a_known_one_comes_back_as_it_was_made() {
        let user = UserId::new(Uuid::from_u128(1));
        let deleted = WorkspaceDeleted { id: domain::WorkspaceId::new(Uuid::from_u128(2)), rev: 0 };
        let made = LoggedEvent::new(user, 3, Timestamp::default(), Event::WorkspaceDeleted(deleted));
        assert_eq!(made.told_name(), made.name);
        assert_eq!(LoggedEvent::stored(user, made.frame.clone()), Some(made));
    }
}
