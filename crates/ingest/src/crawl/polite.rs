//! One request at a time to a host, with a pause between two: whoever crawls is a guest. The crawls of this process share
//! it; each server keeps it by itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::OwnedMutexGuard, time::Instant};

/// When the last request to a host ended.
type Last = Arc<tokio::sync::Mutex<Option<Instant>>>;

#[derive(Default)]
pub(super) struct Hosts(Mutex<HashMap<String, Last>>);

/// Hosts that are remembered, about.
const MOST: usize = 1_000;

/// The host is ours until this is dropped.
pub(super) struct Turn(OwnedMutexGuard<Option<Instant>>);

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0 = Some(Instant::now());
    }
}

impl Hosts {
    /// Waits until the host may be asked again, `pause` after the last time.
    pub(super) async fn turn(&self, host: &str, pause: Duration) -> Turn {
        let last = {
            let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if hosts.len() >= MOST {
                hosts.retain(|_, last| Arc::strong_count(last) > 1);
            }
            hosts.entry(host.to_owned()).or_default().clone()
        };
        let turn = last.lock_owned().await;
        if let Some(last) = *turn {
            tokio::time::sleep_until(last + pause).await;
        }
        Turn(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_requests_to_one_host_keep_their_distance() {
        let hosts = Hosts::default();
        let pause = Duration::from_millis(200);
        let began = Instant::now();
        drop(hosts.turn("a", pause).await);
        let turn = hosts.turn("a", pause).await;
        assert!(began.elapsed() >= pause);
        // Another host waits for nobody, and this one for who has it.
        drop(hosts.turn("b", pause).await);
        let mut second = std::pin::pin!(hosts.turn("a", Duration::ZERO));
        tokio::select! {
            biased;
            _ = &mut second => panic!("two at a time"),
            () = tokio::task::yield_now() => {}
        }
        drop(turn);
        drop(second.await);
    }
}
