//! The event log as the relay to a broker reads it. The event row is the outbox; beside it stands, for each user, how far
//! it was sent and who is sending just now.

use super::{LoggedEvent, StoreError};
use async_trait::async_trait;
use domain::UserId;
use std::time::Duration;

/// What is to be sent of one user, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsent {
    pub user_id: UserId,
    pub events: Vec<LoggedEvent>,
    /// When all of `events` are sent, everything up to here is. It may lie above the last of them: superseded events
    /// are removed from the log.
    pub upto: u64,
    /// There may be more of this user.
    pub more: bool,
}

/// One relay sends a user's events at a time, so they leave in order; a relay that died is followed by another one when
/// its lease is over. So an event is sent at least once, and as a rule exactly once.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Begins the ledger: what the log has until now counts as sent. Does nothing where it was begun before.
    async fn begin_outbox(&self) -> Result<(), StoreError>;

    /// Takes those of `users` that no other relay has, until they are settled or the lease is over; what it has itself it may
    /// take anew. Answers at most `limit` events in all; of a user that another relay has there is no answer.
    async fn take_unsent(
        &self,
        relay: &str,
        users: &[UserId],
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Unsent>, StoreError>;

    /// Notes how far each user was sent, and lets go of it. One whose lease was lost meanwhile stays as it is.
    async fn settle_sent(&self, relay: &str, sent: &[(UserId, u64)]) -> Result<(), StoreError>;

    /// Users with events that were not sent and that no relay has, at most `limit`: those of relays that died, and those
    /// of which nobody told.
    async fn left_unsent(&self, limit: u32) -> Result<Vec<UserId>, StoreError>;
}
