//! One signal for each thing that is shown: whoever shows it watches its signal alone, so that a frame touches only the badge
//! that changed. The signals are counted, not owned by a page, so none of them dies under a reader. Of what nobody ever
//! showed there is none: the stream tells of all that a person has, for as long as a tab is open.

use leptos::prelude::*;
use litemap::LiteMap;

/// `None` in a signal: not known (yet), or gone.
pub type Watched<V> = ArcRwSignal<Option<V>>;

#[derive(Debug)]
pub struct Shelf<K, V: 'static>(LiteMap<K, Watched<V>>);

impl<K, V: 'static> Default for Shelf<K, V> {
    fn default() -> Self {
        Self(LiteMap::new())
    }
}

impl<K: Ord + Copy, V: Clone + PartialEq + Send + Sync + 'static> Shelf<K, V> {
    /// The signal of a thing, made with what `now` says when nobody asked before.
    pub fn watch(&mut self, key: K, now: impl FnOnce() -> Option<V>) -> Watched<V> {
        self.0.entry(key).or_insert_with(|| ArcRwSignal::new(now())).clone()
    }

    /// Tells those who watch it what it is `now`, where that is another value. Nobody is told of what nobody watches: whoever
    /// comes to do so asks by himself.
    pub fn tell(&self, key: K, now: impl FnOnce() -> Option<V>) {
        if let Some(signal) = self.0.get(&key) {
            set_if_new(signal, now());
        }
    }

    /// Sets every signal anew, after all that was known was replaced.
    pub fn retell(&mut self, now: impl Fn(&K) -> Option<V>) {
        for (key, signal) in self.0.iter() {
            set_if_new(signal, now(key));
        }
    }
}

/// Sets a signal, and tells its watchers only when the value differs.
pub fn set_if_new<V: PartialEq + Send + Sync + 'static>(signal: &ArcRwSignal<V>, value: V) {
    if signal.with_untracked(|old| *old != value) {
        signal.set(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watcher_of_one_thing_is_not_told_of_another_or_of_nothing_new() {
        let owner = Owner::new();
        owner.with(|| {
            let mut shelf = Shelf::<u8, &str>::default();
            let one = shelf.watch(1, || None);
            let seen = Memo::new_with_compare(
                {
                    let one = one.clone();
                    move |before: Option<&u32>| {
                        one.track();
                        before.copied().unwrap_or(0) + 1
                    }
                },
                |_, _| true,
            );
            assert_eq!(seen.get_untracked(), 1);
            shelf.tell(2, || panic!("nobody shows it"));
            assert_eq!((seen.get_untracked(), shelf.0.len()), (1, 1));
            shelf.tell(1, || Some("new"));
            assert_eq!((seen.get_untracked(), one.get_untracked()), (2, Some("new")));
            shelf.tell(1, || Some("new"));
            assert_eq!(seen.get_untracked(), 2);
            shelf.retell(|_| None);
            assert_eq!((seen.get_untracked(), one.get_untracked()), (3, None));
        });
    }
}
