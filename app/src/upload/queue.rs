//! Whose turn it is to be sent. First come, first served: the place of a file only ever falls. Pure.

/// Files that are under way at the same time; the others wait for their turn.
const MOST_AT_ONCE: usize = 3;

/// Files by the keys of their rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    waiting: Vec<u64>,
    under_way: Vec<u64>,
}

impl Queue {
    pub fn push(&mut self, key: u64) {
        if !self.waiting.contains(&key) && !self.under_way.contains(&key) {
            self.waiting.push(key);
        }
    }

    /// The file whose turn it is, as long as there is room for one more; it is under way from here on.
    pub fn next(&mut self) -> Option<u64> {
        if self.waiting.is_empty() || self.under_way.len() >= MOST_AT_ONCE {
            return None;
        }
        let key = self.waiting.remove(0);
        self.under_way.push(key);
        Some(key)
    }

    /// The file does not wait any more.
    pub fn give_up(&mut self, key: u64) {
        self.waiting.retain(|k| *k != key);
    }

    /// The request of the file is over.
    pub fn end(&mut self, key: u64) {
        self.under_way.retain(|k| *k != key);
    }

    /// How many files go before this one; `None` when it does not wait.
    pub fn before(&self, key: u64) -> Option<usize> {
        self.waiting.iter().position(|k| *k == key).map(|place| place + self.under_way.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The queue after files came, and as many as may be are under way.
    fn begun(files: u64) -> Queue {
        let mut queue = Queue::default();
        (0..files).for_each(|key| queue.push(key));
        while queue.next().is_some() {}
        queue
    }

    fn places(queue: &Queue) -> Vec<(u64, usize)> {
        queue.waiting.iter().map(|key| (*key, queue.before(*key).expect("it waits"))).collect()
    }

    #[test]
    fn three_are_under_way_and_the_others_know_their_places() {
        let queue = begun(6);
        assert_eq!(queue.under_way, [0, 1, 2]);
        assert_eq!(places(&queue), [(3, 3), (4, 4), (5, 5)]);
        assert_eq!((queue.before(1), queue.before(9)), (None, None));
    }

    #[test]
    fn the_next_one_goes_when_one_is_through_and_no_sooner() {
        let mut queue = begun(5);
        assert_eq!(queue.next(), None);
        queue.end(1);
        assert_eq!(queue.next(), Some(3));
        assert_eq!(queue.next(), None);
        assert_eq!(places(&queue), [(4, 3)]);
        // That of a request which ends twice is given away once.
        queue.end(1);
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn a_place_falls_when_one_before_it_is_given_up_and_stays_when_one_behind_it_is() {
        let mut queue = begun(7);
        queue.give_up(4);
        assert_eq!(places(&queue), [(3, 3), (5, 4), (6, 5)]);
        queue.give_up(6);
        assert_eq!(places(&queue), [(3, 3), (5, 4)]);
    }

    #[test]
    fn whoever_comes_later_waits_behind_all_others_and_none_waits_twice() {
        let mut queue = begun(4);
        queue.push(9);
        queue.push(3);
        queue.push(0);
        assert_eq!(places(&queue), [(3, 3), (9, 4)]);
        // One that is tried again goes to the end.
        queue.end(0);
        queue.push(0);
        assert_eq!(places(&queue), [(3, 2), (9, 3), (0, 4)]);
    }

    #[test]
    fn at_the_end_nothing_is_left() {
        let mut queue = begun(20);
        let mut sent = vec![];
        while let Some(key) = queue.under_way.first().copied() {
            sent.push(key);
            queue.end(key);
            queue.next();
        }
        sent.sort_unstable();
        assert_eq!(sent, (0..20).collect::<Vec<_>>());
        assert_eq!(queue, Queue::default());
    }
}
