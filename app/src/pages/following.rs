//! Reading again what a page keeps for itself, when the stream tells that it is not so any more: what happens together is
//! read at once, one question at a time, and what could not be read is asked for again.

use crate::{AppError, effect::effect_after};
use domain::Workspace;
use leptos::{prelude::*, task::spawn_local};
use std::{future::Future, pin::Pin, time::Duration};

/// What happens within this time is read at once.
const GATHERED: Duration = Duration::from_secs(2);
/// What could not be read is asked for again so much later.
const AGAIN: Duration = Duration::from_secs(5);

/// Reads, and puts what was read in the place of what is there. The call is made in the browser alone, so it may stay on one
/// thread.
pub type Reading = Pin<Box<dyn Future<Output = Result<(), AppError>>>>;

/// Where in the log a workspace was told of last, while nothing is in work there. What a page reads by counts goes by this as
/// well: a tab that nobody looks at takes together what happens, and a document that was tried again and ended as it was before
/// leaves every count as it was.
pub fn rests_at(workspace: &Workspace) -> Option<u64> {
    (workspace.counts.processing == 0).then_some(workspace.rev)
}

/// Reads what goes by `goes_by`, and again for as long as that changed meanwhile: one question at a time, and what changes
/// while it is answered is asked for after it. `None`: the page was left.
pub async fn read_until_current<K: Clone + PartialEq, F: Future<Output = ()>>(
    goes_by: impl Fn() -> Option<K>,
    read: impl Fn(K) -> F,
) {
    let mut asked = goes_by();
    while let Some(key) = asked {
        read(key.clone()).await;
        asked = goes_by().filter(|now| *now != key);
    }
}

#[derive(Clone, Copy)]
pub struct Follower {
    read: Callback<(), Reading>,
    /// Counts the changes that there were to see.
    changes: StoredValue<u64>,
    /// A reading is about to come, or under way.
    waiting: StoredValue<bool>,
}

impl Follower {
    pub fn new(read: Callback<(), Reading>) -> Self {
        Self { read, changes: StoredValue::new(0), waiting: StoredValue::new(false) }
    }

    /// Reads again a moment after `key` changed.
    pub fn follow<K: Clone + PartialEq + Send + Sync + 'static>(self, key: Memo<K>) {
        effect_after(move |before: Option<K>| {
            let now = key.get();
            if before.is_some_and(|before| before != now) {
                self.changed(GATHERED);
            }
            now
        });
    }

    /// Reads again at once, for what was done on this very page.
    pub fn now(self) {
        self.changed(Duration::ZERO);
    }

    fn changed(self, time: Duration) {
        self.changes.try_update_value(|n| *n += 1);
        self.read_in(time);
    }

    fn read_in(self, time: Duration) {
        // Once the page is left there is nothing to wait for.
        if !self.waiting.try_update_value(|waiting| std::mem::replace(waiting, true)).unwrap_or(true) {
            set_timeout(move || self.read(), time);
        }
    }

    fn read(self) {
        let (seen, reading) = (self.changes.try_get_value(), self.read.try_run(()));
        let (Some(seen), Some(reading)) = (seen, reading) else { return };
        spawn_local(async move {
            let read = reading.await;
            self.waiting.try_set_value(false);
            match read {
                // Something changed while it was read.
                Ok(()) if self.changes.try_get_value() != Some(seen) => self.read_in(GATHERED),
                Err(e) if e.may_pass() => self.read_in(AGAIN),
                // All is there; and what is gone does not come back by asking.
                Ok(()) | Err(_) => {}
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::workspace;
    use domain::resource::Counts;
    use std::{
        cell::RefCell,
        pin::pin,
        task::{Context, Waker},
    };

    /// What is read, when the page goes by these, one after the other.
    fn read_by(told: &[Option<u8>]) -> Vec<u8> {
        let (told, read) = (RefCell::new(told.iter()), RefCell::new(vec![]));
        let goes_by = || told.borrow_mut().next().copied().flatten();
        let note = |key| {
            read.borrow_mut().push(key);
            std::future::ready(())
        };
        let mut reading = pin!(read_until_current(goes_by, note));
        assert!(reading.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        read.take()
    }

    #[test]
    fn what_changed_while_it_was_read_is_read_again_and_nothing_once_the_page_was_left() {
        assert_eq!(read_by(&[Some(1), Some(1)]), [1]);
        assert_eq!(read_by(&[Some(1), Some(2), Some(3), Some(3)]), [1, 2, 3]);
        assert_eq!(read_by(&[Some(1), None]), [1]);
        assert!(read_by(&[None]).is_empty());
    }

    #[test]
    fn what_ended_as_it_was_before_is_seen_by_when_that_was_told_and_what_is_in_work_by_its_counts() {
        let told = |rev, failed, processing| {
            let counts = Counts { documents: 1, failed, processing, ..Counts::default() };
            rests_at(&Workspace { counts, ..workspace(1, rev) })
        };
        let (before, meanwhile, after) = (told(5, 1, 0), told(6, 0, 1), told(7, 1, 0));
        assert_ne!(before, after);
        assert_eq!(meanwhile, None);
    }
}
