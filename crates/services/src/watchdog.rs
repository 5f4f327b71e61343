//! Looking after documents that a worker holds, with a heart that beats, and that get nowhere. Waiting is no stall: what is
/// in the queue is not looked at.
use crate::Services;
use std::time::Duration;

/// Documents that are ended in one go.
const AT_ONCE: u32 = 50;

impl Services {
    /// Looks for as long as the future is polled. A document that made no progress for `seconds` is ended and tried again.
    pub async fn run_watchdog(self, seconds: u32) {
        // Nobody is told much later than after the time that was set.
        let mut every =
            tokio::time::interval((Duration::from_secs(seconds.into()) / 10).min(Duration::from_secs(10)));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            match self.jobs.end_stalled(seconds, AT_ONCE, self.clock.now()).await {
                Ok(0) => {}
                Ok(documents) => tracing::warn!(documents, seconds, "documents got nowhere and were ended"),
                Err(error) => tracing::warn!(%error, "documents that get nowhere will be looked for later"),
            }
        }
    }
}
