//! What waits for one connection. Progress is a state: while it waits, its successor replaces it. Everything else
//! stays, and frames leave in the order of their seq.

use crate::ports::LoggedEvent;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// More waiting frames than this, and the connection starts over with a refetch: cheaper than sending them all.
pub const BOUND: usize = 4_096;

#[derive(Default)]
pub struct Queue {
    by_seq: BTreeMap<u64, Arc<LoggedEvent>>,
    /// Seq of the waiting progress frame of each entity.
    progress: HashMap<u64, u64>,
}

impl Queue {
    /// False when the bound is reached; the queue is empty then.
    pub fn push(&mut self, event: Arc<LoggedEvent>) -> bool {
        if event.progress
            && let Some(older) = self.progress.insert(event.key, event.seq)
        {
            self.by_seq.remove(&older);
        }
        self.by_seq.insert(event.seq, event);
        if self.by_seq.len() > BOUND {
            self.clear();
            return false;
        }
        true
    }

    /// The next frames in order, at most `limit`.
    pub fn take(&mut self, limit: usize) -> Vec<Arc<LoggedEvent>> {
        let mut out = Vec::with_capacity(limit.min(self.by_seq.len()));
        while out.len() < limit
            && let Some((seq, event)) = self.by_seq.pop_first()
        {
            if event.progress && self.progress.get(&event.key) == Some(&seq) {
                self.progress.remove(&event.key);
            }
            out.push(event);
        }
        out
    }

    pub fn clear(&mut self) {
        self.by_seq.clear();
        self.progress.clear();
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.by_seq.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use domain::{Timestamp, UserId};
    use proptest::prelude::*;
    use uuid::Uuid;

    fn event(seq: u64, key: u64, progress: bool) -> Arc<LoggedEvent> {
        Arc::new(LoggedEvent {
            user_id: UserId::new(Uuid::from_u128(1)),
            seq,
            at: Timestamp::default(),
            name: "job_update",
            key,
            progress,
            frame: Bytes::new(),
        })
    }

    proptest! {
        #[test]
        fn order_is_kept_and_only_superseded_progress_is_dropped(
            feed in prop::collection::vec((0..5u64, any::<bool>(), 0..4usize), 1..200),
        ) {
            let mut queue = Queue::default();
            let mut sent = vec![];
            let mut all = vec![];
            for (i, (key, progress, take)) in feed.into_iter().enumerate() {
                let e = event(i as u64 + 1, key, progress);
                all.push(e.clone());
                prop_assert!(queue.push(e));
                sent.extend(queue.take(take));
            }
            sent.extend(queue.take(usize::MAX));
            prop_assert!(queue.is_empty());
            prop_assert!(sent.windows(2).all(|w| w[0].seq < w[1].seq));
            for e in &all {
                let arrived = sent.iter().any(|s| s.seq == e.seq);
                let superseded = e.progress && all.iter().any(|n| n.seq > e.seq && n.key == e.key && n.progress);
                prop_assert!(arrived || superseded, "{e:?} was lost");
            }
        }
    }

    #[test]
    fn an_overfull_queue_says_so_and_starts_over() {
        let mut queue = Queue::default();
        for seq in 1..=BOUND as u64 {
            assert!(queue.push(event(seq, seq, false)));
        }
        assert!(!queue.push(event(BOUND as u64 + 1, 0, false)));
        assert!(queue.is_empty());
    }

    #[test]
    fn ten_thousand_progress_frames_of_one_job_wait_as_one() {
        let mut queue = Queue::default();
        for seq in 1..=10_000 {
            assert!(queue.push(event(seq, 7, true)));
        }
        assert_eq!(queue.take(10).iter().map(|e| e.seq).collect::<Vec<_>>(), [10_000]);
    }
}
