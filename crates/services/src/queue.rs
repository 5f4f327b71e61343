//! Telling those who wait how their place in the queue falls. A place changes when somebody else's job ends, so it is
//! told from here, a little later and a few at a time, instead of in the transaction of that end, which would have to
//! write to everybody who waits.

use crate::{
    Services,
    ports::{Signal, heard},
};
use std::time::Duration;

/// Jobs that are told at once, the nearest to their turn first.
const AT_ONCE: u32 = 100;
/// Between two rounds: a queue that moves quickly is told of in steps.
const PAUSE: Duration = Duration::from_millis(500);
/// The fallback for an end that went unheard, such as one on another server.
const FALLBACK: Duration = Duration::from_secs(5);

impl Services {
    /// Tells for as long as the future is polled.
    pub async fn run_queue_herald(self) {
        let mut bus = self.bus.subscribe();
        loop {
            match self.jobs.tell_queue(AT_ONCE, self.clock.now()).await {
                Ok(0) => {}
                Ok(told) => tracing::debug!(told, "places in the queue were told"),
                Err(e) => tracing::warn!(error = %e, "places in the queue will be told later"),
            }
            tokio::time::sleep(PAUSE).await;
            let ends = |signal: &Signal| matches!(signal, Signal::Event(e) if matches!(e.name, "job_complete" | "job_error"));
            let wake = heard(&mut bus, ends);
            let _ = tokio::time::timeout(FALLBACK, wake).await;
        }
    }
}
