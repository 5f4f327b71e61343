//! Streams of a user that the hub does not carry, such as those of answers: they count together with those that it does.

use domain::UserId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

type Taken = Mutex<HashMap<UserId, usize>>;

fn lock(taken: &Taken) -> MutexGuard<'_, HashMap<UserId, usize>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many each user has.
#[derive(Default)]
pub(super) struct Places(Arc<Taken>);

impl Places {
    pub(super) fn taken(&self, user: UserId) -> usize {
        lock(&self.0).get(&user).copied().unwrap_or_default()
    }

    /// One more, unless the user has `most` already.
    pub(super) fn take(&self, user: UserId, most: usize) -> Option<Place> {
        let mut taken = lock(&self.0);
        let count = taken.get(&user).copied().unwrap_or_default();
        if count >= most {
            return None;
        }
        taken.insert(user, count + 1);
        Some(Place { taken: self.0.clone(), user })
    }
}

/// A place among the streams of a user; dropped, it is free again.
pub struct Place {
    taken: Arc<Taken>,
    user: UserId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        match taken.get_mut(&self.user) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.remove(&self.user);
            }
        }
    }
}
