//! Calls to work. A call says that somebody should look into the database, where the work and its leases are; so a queue
//! that is lost costs at most the second until workers look by themselves, and one call may be heard by any of them.
//!
//! A call is acknowledged after a worker has looked and holds what it took. A worker whose hands are full then calls the
//! next one: so the calls spread until somebody finds nothing.

use super::{Lost, RabbitBus};
use futures::StreamExt;
use lapin::{
    Connection,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use services::ports::Signal;
use std::{
    convert::Infallible,
    future::pending,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

/// By then every worker that has a free hand has looked by itself.
const HELD: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Calls {
    /// A call is to go out. Many at once are one.
    wanted: AtomicBool,
    wake: Notify,
    /// A worker of this process has looked.
    looked: Notify,
    /// What was just looked for was a call of another node's, so an answer to it may call on.
    called: AtomicBool,
}

impl Calls {
    pub(super) fn call(&self) {
        self.wanted.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }

    /// Until a call is to go out.
    pub(super) async fn wanted(&self) {
        while !self.wanted.swap(false, Ordering::SeqCst) {
            self.wake.notified().await;
        }
    }

    pub(super) fn looked(&self, free: usize, taken: usize) {
        if self.called.swap(false, Ordering::SeqCst) && taken > 0 && taken == free {
            self.call();
        }
        self.looked.notify_waiters();
    }
}

impl RabbitBus {
    /// Hears calls for the workers of this process, for as long as the connection holds.
    pub(super) async fn hear_calls(&self, connection: &Connection) -> Result<Infallible, Lost> {
        if !self.options.works {
            return pending().await;
        }
        let channel = connection.create_channel().await?;
        // One at a time: what this node cannot look for at once, another one may.
        channel.basic_qos(1, BasicQosOptions::default()).await?;
        let (queue, tag) = (self.names.work().into(), format!("{}.work", self.options.node).into());
        let mut calls =
            channel.basic_consume(queue, tag, BasicConsumeOptions::default(), FieldTable::default()).await?;
        while let Some(call) = calls.next().await {
            let call = call?;
            let looked = self.work.looked.notified();
            tokio::pin!(looked);
            // Interest first, then the call.
            looked.as_mut().enable();
            self.work.called.store(true, Ordering::SeqCst);
            let _ = self.local.send(Signal::WorkReady);
            let _ = timeout(HELD, looked).await;
            call.ack(BasicAckOptions::default()).await?;
        }
        Err(Lost::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_calls_at_once_go_out_as_one() {
        let calls = Calls::default();
        calls.call();
        calls.call();
        calls.wanted().await;
        assert!(timeout(Duration::from_millis(1), calls.wanted()).await.is_err(), "there is no second one");
    }

    #[tokio::test]
    async fn a_worker_whose_hands_are_full_calls_the_next_one() {
        let calls = Calls::default();
        let calls_on = |called: bool, free: usize, taken: usize| {
            calls.called.store(called, Ordering::SeqCst);
            calls.looked(free, taken);
            calls.wanted.swap(false, Ordering::SeqCst)
        };
        assert!(calls_on(true, 4, 4));
        assert!(!calls_on(true, 4, 3), "nothing is left");
        assert!(!calls_on(true, 4, 0));
        assert!(!calls_on(false, 4, 4), "nobody called: whoever looks by himself calls nobody");
    }
}
