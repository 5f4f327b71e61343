//! The outbox in memory.

use super::MemoryStore;
use async_trait::async_trait;
use domain::{Timestamp, UserId};
use services::ports::{Outbox, StoreError, Unsent};
use std::{collections::BTreeSet, time::Duration};

/// How far a user's events were sent, and who is sending.
#[derive(Default)]
pub(super) struct Relay {
    sent: u64,
    owner: String,
    until: Timestamp,
}

#[async_trait]
impl Outbox for MemoryStore {
    async fn begin_outbox(&self) -> Result<(), StoreError> {
        let mut state = self.lock();
        let state = &mut *state;
        if !std::mem::replace(&mut state.outbox_begun, true) {
            for (user, log) in &state.logs {
                state.relays.entry(*user).or_default().sent = log.head;
            }
        }
        Ok(())
    }

    async fn take_unsent(
        &self,
        relay: &str,
        users: &[UserId],
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Unsent>, StoreError> {
        let now = self.clock.now();
        let until = now.plus_micros(i64::try_from(lease.as_micros()).unwrap_or(i64::MAX / 4));
        let mut state = self.lock();
        let state = &mut *state;
        let mut left = limit as usize;
        let mut taken = vec![];
        for user_id in users.iter().copied().collect::<BTreeSet<_>>() {
            let Some(log) = state.logs.get(&user_id) else { continue };
            let row = state.relays.entry(user_id).or_default();
            if row.until > now && row.owner != relay {
                continue;
            }
            (row.owner, row.until) = (relay.to_owned(), until);
            let events: Vec<_> =
                log.kept.range(row.sent + 1..).take(left).map(|(_, kept)| kept.event.clone()).collect();
            left -= events.len();
            let more = left == 0;
            let newest = events.last().map_or(row.sent, |event| event.seq);
            taken.push(Unsent { user_id, events, upto: if more { newest } else { log.head }, more });
        }
        Ok(taken)
    }

    async fn settle_sent(&self, relay: &str, sent: &[(UserId, u64)]) -> Result<(), StoreError> {
        let mut state = self.lock();
        for (user, seq) in sent {
            if let Some(row) = state.relays.get_mut(user).filter(|row| row.owner == relay) {
                *row = Relay { sent: *seq, ..Relay::default() };
            }
        }
        Ok(())
    }

    async fn left_unsent(&self, limit: u32) -> Result<Vec<UserId>, StoreError> {
        let (now, state) = (self.clock.now(), self.lock());
        let idle = |user: &UserId, head: u64| match state.relays.get(user) {
            None => head > 0,
            Some(row) => head > row.sent && row.until <= now,
        };
        let left = state.logs.iter().filter(|(user, log)| idle(user, log.head)).map(|(user, _)| *user);
        Ok(left.take(limit as usize).collect())
    }
}
