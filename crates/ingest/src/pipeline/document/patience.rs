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

    #[tokio::test]
    async fn only_what_was_not_spent_on_asking_counts() {
        let asking = Asking::default();
        let asks = asking.clone();
        let slow = move || asks.asks(|| std::thread::sleep(Duration::from_millis(900)));
        let work = tokio::task::spawn_blocking(slow);
        assert!(asking.within(Duration::from_millis(600), work).await.is_some());
        let never = std::future::pending::<()>();
        assert!(Asking::default().within(Duration::from_millis(50), never).await.is_none());
    }
}
