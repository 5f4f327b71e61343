//! Users of whom something was committed here, and not sent yet. A hint only: what is missing here, a look into the
//! database finds.

use super::lock;
use domain::UserId;
use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::Notify;

/// Users that are remembered; of more than that the database knows.
const MOST: usize = 100_000;

#[derive(Default)]
pub(super) struct Pending {
    state: Mutex<State>,
    look: AtomicBool,
    wake: Notify,
}

#[derive(Default)]
struct State {
    /// For each user the newest event that this process told its own listeners.
    users: BTreeMap<UserId, u64>,
    /// Who was taken last: the next helping begins behind it, so that nobody waits for ever.
    last: Option<UserId>,
}

impl Pending {
    /// Something of that user is to be sent; listeners here know everything up to `told`.
    pub(super) fn add(&self, user: UserId, told: u64) {
        let mut state = lock(&self.state);
        if state.users.len() < MOST || state.users.contains_key(&user) {
            let known = state.users.entry(user).or_default();
            *known = told.max(*known);
        } else {
            self.look.store(true, Ordering::SeqCst);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Has the relay look into the database.
    pub(super) fn look(&self) {
        self.look.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }

    pub(super) fn must_look(&self) -> bool {
        self.look.swap(false, Ordering::SeqCst)
    }

    pub(super) fn take(&self, most: usize) -> BTreeMap<UserId, u64> {
        let mut state = lock(&self.state);
        if state.users.len() <= most {
            return std::mem::take(&mut state.users);
        }
        let mut taken = BTreeMap::new();
        while taken.len() < most {
            let behind = state.last.map_or(Bound::Unbounded, Bound::Excluded);
            let next = state.users.range((behind, Bound::Unbounded)).next().map(|(user, _)| *user);
            let Some(user) = next.or_else(|| state.users.keys().next().copied()) else { break };
            if let Some(told) = state.users.remove(&user) {
                taken.insert(user, told);
            }
            state.last = Some(user);
        }
        taken
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.state).users.len()
    }

    pub(super) async fn added(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn user(n: u128) -> UserId {
        UserId::new(Uuid::from_u128(n))
    }

    #[test]
    fn helpings_go_round_so_that_nobody_waits_for_ever() {
        let pending = Pending::default();
        let mut seen = BTreeMap::<UserId, u32>::new();
        for _ in 0..9 {
            // All of them always have something new.
            for n in 0..6 {
                pending.add(user(n), 1);
            }
            for user in pending.take(2).into_keys() {
                *seen.entry(user).or_default() += 1;
            }
        }
        assert_eq!(seen.into_values().collect::<Vec<_>>(), [3; 6]);
    }

    #[test]
    fn a_user_is_kept_once_with_the_newest_that_was_told() {
        let pending = Pending::default();
        for seq in [4, 9, 2] {
            pending.add(user(1), seq);
        }
        assert_eq!(pending.take(10), BTreeMap::from([(user(1), 9)]));
        assert_eq!(pending.len(), 0);
    }
}
