//! The bus carries committed events to every node. It may lose, double or reorder: the hub checks the seq and reads
//! the log.

use super::LoggedEvent;
use domain::{SessionId, UserId};
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
    /// Documents wait for a worker, or workspaces for provisioning.
    WorkReady,
}

pub type BusReceiver = broadcast::Receiver<Signal>;

pub trait Bus: Send + Sync {
    fn publish(&self, signal: Signal);
    /// A receiver that falls behind is told so (`Lagged`) and reads the log.
    fn subscribe(&self) -> BusReceiver;
}
