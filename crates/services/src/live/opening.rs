//! How a stream is opened: with what, from which place in the log on, and why it is refused.

use crate::ports::StoreError;
use domain::{ApiKeyId, Epoch, SessionId};

/// Where a client left off. Both empty: it knows nothing yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    pub epoch: Option<Epoch>,
    pub last_seq: Option<u64>,
}

impl Resume {
    /// The place that the id of an event names: `<epoch>.<seq>`.
    pub fn of_event_id(id: &str) -> Option<Self> {
        let (epoch, seq) = id.rsplit_once('.')?;
        Some(Self { epoch: Some(Epoch(epoch.to_owned())), last_seq: Some(seq.parse().ok()?) })
    }
}

/// What a stream was opened with, and ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opener {
    Session(SessionId),
    Key(ApiKeyId),
}

impl Opener {
    pub(super) const fn session(self) -> Option<SessionId> {
        match self {
            Self::Session(id) => Some(id),
            Self::Key(_) => None,
        }
    }

    pub(super) const fn key(self) -> Option<ApiKeyId> {
        match self {
            Self::Key(id) => Some(id),
            Self::Session(_) => None,
        }
    }
}

impl From<SessionId> for Opener {
    fn from(id: SessionId) -> Self {
        Self::Session(id)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("too many connections")]
    TooMany,
    #[error("the server is going away")]
    GoingAway,
    /// What would have opened the stream ended meanwhile.
    #[error("the session or key ended")]
    Ended,
    #[error(transparent)]
    Store(#[from] StoreError),
}
