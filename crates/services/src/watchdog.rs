//! Looking after documents that a worker holds, with a heart that beats, and that get nowhere; and after those that were
//! begun and that nobody holds; and after those of outside workers of which nothing more is reported. Waiting is no stall:
//! what is in the queue and was never begun is not looked at.
use crate::Services;
use std::time::Duration;

/// Documents that are ended in one go.
const AT_ONCE: u32 = 50;
/// A document is told to be interrupted after so long in nobody's hands: another worker takes it within six seconds, where
/// there is one.
const INTERRUPTED_SECONDS: u32 = 8;
const LOOK: Duration = Duration::from_secs(2);

impl Services {
    /// Looks for as long as the future is polled, also where nobody works: a server without workers is the one that can
    /// tell that they are gone.
    pub async fn run_interruption_herald(self) {
        // After a start the workers, where there are some, go on first.
        let first = tokio::time::Instant::now() + Duration::from_secs(INTERRUPTED_SECONDS.into());
        let mut every = tokio::time::interval_at(first, LOOK);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            match self.jobs.tell_interrupted(INTERRUPTED_SECONDS, AT_ONCE, self.clock.now()).await {
                Ok(0) => {}
                Ok(documents) => tracing::warn!(documents, "documents are in nobody's hands"),
                Err(error) => tracing::warn!(%error, "documents in nobody's hands will be looked for later"),
            }
        }
    }

    /// Looks for as long as the future is polled. A document that made no progress for `seconds` is ended and tried again,
    /// by servers that work (`works`). One of an outside worker of which nothing was reported for as long is told so, by
    /// every server: where outside workers do all the work, there may be none that works.
    pub async fn run_watchdog(self, seconds: u32, works: bool) {
        // What nobody was there to take may be on its way still, and so may what a store that was away did not take.
        let mut listens_since = tokio::time::Instant::now();
        // Nobody is told much later than after the time that was set.
        let mut every =
            tokio::time::interval((Duration::from_secs(seconds.into()) / 10).min(Duration::from_secs(10)));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            if works {
                match self.jobs.end_stalled(seconds, AT_ONCE, self.clock.now()).await {
                    Ok(0) => {}
                    Ok(documents) => {
                        tracing::warn!(documents, seconds, "documents got nowhere and were ended")
                    }
                    Err(error) => {
                        tracing::warn!(%error, "documents that get nowhere will be looked for later")
                    }
                }
            }
            if listens_since.elapsed() < Duration::from_secs(seconds.into()) {
                continue;
            }
            match self.jobs.tell_unheard(seconds, AT_ONCE, self.clock.now()).await {
                Ok(0) => {}
                Ok(documents) => {
                    tracing::warn!(documents, seconds, "outside workers said nothing of documents")
                }
                Err(error) => {
                    tracing::warn!(%error, "documents that nothing is heard of will be looked for later");
                    listens_since = tokio::time::Instant::now();
                }
            }
        }
    }
}
