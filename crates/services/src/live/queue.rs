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
    /// The status that was told last of each thing that may turn: what tells another one is no progress.
    statuses: HashMap<u64, &'static str>,
}

impl Queue {
    /// False when the bound is reached; the queue is empty then.
    pub fn push(&mut self, event: Arc<LoggedEvent>) -> bool {
        if event.progress
            && !self.turns(&event)
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

    /// Whether the status is another one than was told before, or nobody knows.
    fn turns(&mut self, event: &LoggedEvent) -> bool {
        let Some(status) = event.turning else { return false };
        // What a long connection has forgotten is told as a turn once more.
        if self.statuses.len() >= BOUND {
            self.statuses.clear();
        }
        self.statuses.insert(event.key, status) != Some(status)
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
        self.statuses.clear();
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
            turning: None,
            frame: Bytes::new(),
        })
    }

    fn job(seq: u64, status: &'static str) -> Arc<LoggedEvent> {
        Arc::new(LoggedEvent { turning: Some(status), ..(*event(seq, 7, true)).clone() })
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
    fn a_turn_of_a_status_is_never_replaced_and_the_progress_between_them_is() {
        let mut queue = Queue::default();
        let told = [
            "pending", "pending", "running", "running", "running", "paused", "running", "running", "running",
        ];
        for (seq, status) in (1..).zip(told) {
            assert!(queue.push(job(seq, status)));
        }
        // Each turn, and the newest progress.
        assert_eq!(queue.take(10).iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 3, 6, 7, 9]);
        // What was sent is known: only a turn is one.
        for (seq, status) in (10..).zip(["running", "running", "paused"]) {
            assert!(queue.push(job(seq, status)));
        }
        assert_eq!(queue.take(10).iter().map(|e| e.seq).collect::<Vec<_>>(), [11, 12]);
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
