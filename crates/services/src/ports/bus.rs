//! The bus carries committed events to every node. It may lose, double or reorder: the hub checks the seq and reads
//! the log.

use super::LoggedEvent;
use domain::{ApiKeyId, SessionId, UserId};
use std::sync::Arc;
use tokio::sync::broadcast;

#[derive(Clone, Debug)]
pub enum Signal {
    Event(Arc<LoggedEvent>),
    /// Streams of this sign-in session end now. Never logged.
    SessionEnded {
        user_id: UserId,
        session_id: SessionId,
    },
    /// Streams that this API key opened end now. Never logged.
    KeyRevoked {
        user_id: UserId,
        key_id: ApiKeyId,
    },
    /// The account is being deleted: all its streams end now. Never logged.
    AccountClosed {
        user_id: UserId,
    },
    /// Documents wait for a worker, workspaces for provisioning, or something else for those who work in the background.
    WorkReady,
}

pub type BusReceiver = broadcast::Receiver<Signal>;

pub trait Bus: Send + Sync {
    fn publish(&self, signal: Signal);
    /// A receiver that falls behind is told so (`Lagged`) and reads the log.
    fn subscribe(&self) -> BusReceiver;
}
