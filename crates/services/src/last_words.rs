//! Telling the last words. Progress is told at most so often, so a change that comes too soon after another one is held
//! back; when nothing follows it, it is told from here, as soon as its time has come.

use crate::{
    Services,
    ports::{Signal, heard},
};
use domain::Timestamp;
use std::time::Duration;

/// Jobs and documents that are told at once.
const AT_ONCE: u32 = 200;
/// The fallback for what a server held back that is gone by now, and after a fault.
const FALLBACK: Duration = Duration::from_secs(5);
/// Between two rounds, when more is due than one round tells.
const SHORTEST: Duration = Duration::from_millis(10);

impl Services {
    /// Tells for as long as the future is polled.
    pub async fn run_last_words(self) {
        let mut bus = self.bus.subscribe();
        loop {
            match self.jobs.tell_rest(AT_ONCE, self.clock.now()).await {
                Ok(Some(next)) => tokio::time::sleep(until(next, self.clock.now())).await,
                Ok(None) => {
                    let wake = heard(&mut bus, |signal| matches!(signal, Signal::HeldBack));
                    let _ = tokio::time::timeout(FALLBACK, wake).await;
                }
                Err(e) => {
                    tracing::warn!(error = %e, "what was held back will be told later");
                    tokio::time::sleep(FALLBACK).await;
                }
            }
        }
    }
}

fn until(next: Timestamp, now: Timestamp) -> Duration {
    let micros = u64::try_from(next.micros() - now.micros()).unwrap_or(0);
    Duration::from_micros(micros).clamp(SHORTEST, FALLBACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_round_comes_when_the_next_word_is_due_and_never_at_once() {
        let now = Timestamp::from_micros(10_000_000);
        assert_eq!(until(now.plus_micros(170_000), now), Duration::from_millis(170));
        assert_eq!(until(now, now), SHORTEST);
        assert_eq!(until(now.plus_seconds(-9), now), SHORTEST);
        assert_eq!(until(now.plus_seconds(3_600), now), FALLBACK, "a clock was put back");
    }
}
