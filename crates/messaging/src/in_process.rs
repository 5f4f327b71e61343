//! For one process: a broadcast channel.

use services::ports::{Bus, BusReceiver, Signal};
use std::sync::Arc;
use tokio::sync::broadcast;

/// Signals that may wait for a slow listener before it is told that it missed some.
const CAPACITY: usize = 8_192;

pub struct InProcessBus {
    sender: broadcast::Sender<Signal>,
}

impl InProcessBus {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { sender: broadcast::Sender::new(CAPACITY) })
    }
}

impl Bus for InProcessBus {
    fn publish(&self, signal: Signal) {
        // An error says that nobody listens, which is fine: the log has it.
        let _ = self.sender.send(signal);
    }

    fn subscribe(&self) -> BusReceiver {
        self.sender.subscribe()
    }
}
