//! The bus carries committed events to every node. It may lose, double or reorder: the hub checks the seq and reads
//! the log.

use super::LoggedEvent;
use domain::{ApiKeyId, SessionId, UserId, WorkspaceId};
use std::sync::Arc;
use tokio::sync::broadcast::{self, error::RecvError};

#[derive(Clone, Debug)]
pub enum Signal {
    Event(Arc<LoggedEvent>),
    /// Streams of this sign-in session end now. Never logged.
    SessionEnded {
        user_id: UserId,
        session_id: SessionId,
    },
    /// This sign-in session has a new token: streams that were opened with the old one end. Never logged.
    SessionRenewed {
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
    /// Somebody asked to pause or cancel what workers may have in hand.
    Requested,
    /// A word about a job or a document came too soon after another and has to be told a little later.
    HeldBack,
    /// Outside workers have to be told again of what is left to them in this workspace: it was not theirs before, or what they
    /// said of it was refused for a while.
    Untold(WorkspaceId),
    /// The bus was cut off from other servers, or is: what they wrote was not told, and stands in the log.
    Missed,
}

pub type BusReceiver = broadcast::Receiver<Signal>;

/// Waits until the bus tells something that is `wanted`. A bus that dropped something may have dropped just that, so
/// this ends the wait too. Whoever waits looks for work itself now and then: a signal may be lost.
pub async fn heard(bus: &mut BusReceiver, wanted: impl Fn(&Signal) -> bool) {
    loop {
        match bus.recv().await {
            Ok(signal) if wanted(&signal) => return,
            Ok(Signal::Missed) | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            // Nothing will ever be told again.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

pub trait Bus: Send + Sync {
    fn publish(&self, signal: Signal);
    /// A receiver that falls behind is told so (`Lagged`) and reads the log.
    fn subscribe(&self) -> BusReceiver;

    /// A worker with `free` hands has looked for work and holds the leases of `taken` documents: what called it can be
    /// forgotten, and where all hands are full there may be work for another server.
    fn looked_for_work(&self, _free: usize, _taken: usize) {}

    /// Since when other servers cannot be told anything, in words for an operator; `None` while all is well.
    fn outage(&self) -> Option<String> {
        None
    }
}
