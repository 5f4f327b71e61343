//! How long a text may be cut. What a model takes to answer says nothing about the text: a slow server, or others who
//! use the model, fail no document.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Between two looks, at least.
const LOOK: Duration = Duration::from_millis(100);

/// The time that goes by while a model is asked. Every clone is the same one.
#[derive(Clone, Default)]
pub(super) struct Asking(Arc<Mutex<Asked>>);

#[derive(Default)]
struct Asked {
    before: Duration,
    /// It is being asked.
    since: Option<Instant>,
}

impl Asking {
    /// Does what asks the model.
    pub(super) fn asks<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.asked().since = Some(Instant::now());
        let answer = ask();
        let mut asked = self.asked();
        let took = asked.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        asked.before += took;
        answer
    }

    /// Does the work; `None` once it has taken longer than that beside what the model was asked.
    pub(super) async fn within<T>(&self, patience: Duration, work: impl Future<Output = T>) -> Option<T> {
        let began = Instant::now();
        let over = async {
            loop {
                let own = began.elapsed().saturating_sub(self.spent());
                if own >= patience {
                    return;
                }
                tokio::time::sleep((patience - own).max(LOOK)).await;
            }
        };
        tokio::select! {
            done = work => Some(done),
            () = over => None,
        }
    }

    fn spent(&self) -> Duration {
        let asked = self.asked();
        asked.before + asked.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_each_question_is_counted_and_no_other() {
        let (asking, took) = (Asking::default(), Duration::from_millis(5));
        for _ in 0..2 {
            let (before, began) = (asking.spent(), Instant::now());
            let during = asking.asks(|| {
                std::thread::sleep(took);
                asking.spent()
            });
            let after = asking.spent();
            assert!(during >= before + took && after >= during && after <= before + began.elapsed());
            std::thread::sleep(took);
            assert_eq!(asking.spent(), after, "nobody is asked");
        }
    }

    #[tokio::test]
    async fn only_what_was_not_spent_on_asking_counts() {
        let asking = Asking::default();
        // More than any machine takes for what follows.
        asking.asked().before = Duration::from_secs(3_600);
        let work = tokio::time::sleep(3 * LOOK);
        assert!(asking.within(Duration::from_millis(1), work).await.is_some(), "it was looked at meanwhile");
        let never = std::future::pending::<()>();
        assert!(Asking::default().within(Duration::from_millis(50), never).await.is_none());
    }
}
