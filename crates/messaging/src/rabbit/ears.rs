//! What other nodes tell, and what they are told beside the events of the log.

use super::{CONFIRM, House, Lost, RabbitBus, body, body::NodeSignal, names};
use futures::StreamExt;
use lapin::{BasicProperties, Channel, Consumer, options::BasicPublishOptions, types::AMQPValue};
use services::ports::Signal;
use std::{convert::Infallible, sync::atomic::Ordering, time::Duration};
use tokio::time::sleep;

/// The pause between two words to itself, and how long the broker may take to confirm one.
const PULSE: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(3);
/// Signals that go out together, before their confirms are waited for.
const AT_ONCE: usize = 64;

impl RabbitBus {
    /// Tells the listeners of this process what other nodes say, for as long as the connection holds.
    pub(super) async fn listen(&self, mut own: Consumer) -> Result<Infallible, Lost> {
        while let Some(delivery) = own.next().await {
            let delivery = delivery?;
            let ours = delivery.properties.app_id().as_ref();
            if ours.is_some_and(|node| node.as_str() == self.options.node) {
                continue;
            }
            if self.is_of_another_log(&delivery.properties) {
                self.tell_of_others();
                continue;
            }
            let signal = if delivery.routing_key.as_str() == names::NODE_SIGNAL {
                serde_json::from_slice(&delivery.data).ok().map(NodeSignal::into_signal)
            } else {
                body::to_signal(delivery.data)
            };
            match signal {
                Some(signal) => {
                    metrics::counter!("insighthub_broker_heard_total").increment(1);
                    let _ = self.local.send(signal);
                }
                // Of another version, perhaps, and then there are many. What they tell is in the log: see the pulse.
                None => {
                    tracing::debug!(routing_key = %delivery.routing_key, "a message of another node is not known");
                    self.unknown.store(true, Ordering::SeqCst);
                }
            }
        }
        Err(Lost::Cancelled)
    }

    /// Whether it comes from another installation, or from a server that does not know yet that the log was put back.
    fn is_of_another_log(&self, properties: &BasicProperties) -> bool {
        let log = properties.headers().as_ref().and_then(|headers| headers.inner().get(names::LOG));
        // Builds before this one say nothing of it.
        let Some(AMQPValue::LongString(log)) = log else { return false };
        self.log.get().is_some_and(|own| own.as_bytes() != log.as_bytes())
    }

    fn tell_of_others(&self) {
        metrics::counter!("insighthub_broker_foreign_total").increment(1);
        if !self.told_of_others.swap(true, Ordering::SeqCst) {
            tracing::warn!(
                exchange = %self.names.exchange,
                "servers of another installation use this exchange; what they tell is not heard, but calls and reports are shared"
            );
        }
    }

    /// Sends this node's own queue a word now and then. A link that is dead without saying so, or a broker that takes
    /// nothing any more, is noticed by the confirm that does not come.
    pub(super) async fn pulse(&self, channel: &Channel, queue: &str) -> Result<Infallible, Lost> {
        loop {
            sleep(PULSE).await;
            if self.unknown.swap(false, Ordering::SeqCst) {
                let _ = self.local.send(Signal::Missed);
            }
            let options = BasicPublishOptions::default();
            let own = self.names.node(queue).into();
            let properties = self.properties("pulse".to_owned(), "pulse").with_delivery_mode(1);
            let sent = channel.basic_publish("".into(), own, options, b"{}", properties);
            let answered = async { Ok::<_, Lost>(sent.await?.await?) };
            self.answered(ANSWER, answered).await?;
        }
    }

    /// Tells other nodes what this one has to say, for as long as the connection holds.
    pub(super) async fn tell(&self, channel: &Channel, house: &House) -> Result<Infallible, Lost> {
        let mut waiting = self.waiting.lock().await;
        let mut signals = Vec::with_capacity(AT_ONCE);
        loop {
            signals.clear();
            tokio::select! {
                // The other end is a field of this bus, so there is always somebody who may say something.
                _ = waiting.recv_many(&mut signals, AT_ONCE) => {}
                () = self.work.wanted() => signals.push(Signal::WorkReady),
            }
            let mut confirms = Vec::with_capacity(signals.len());
            for signal in &signals {
                let Some((key, kind, body)) = self.message(signal, house) else { continue };
                let properties = self.properties(format!("{kind}.{}", house.clock.now().micros()), kind);
                let options = BasicPublishOptions::default();
                let exchange = self.names.exchange.clone().into();
                confirms.push(channel.basic_publish(exchange, key.into(), options, &body, properties).await?);
            }
            // A refusal is fine: of calls to work there are enough, and everything else is looked for now and then.
            let confirmed = async { Ok::<_, Lost>(futures::future::try_join_all(confirms).await?) };
            self.answered(CONFIRM, confirmed).await?;
        }
    }

    fn message(&self, signal: &Signal, house: &House) -> Option<(&'static str, &'static str, Vec<u8>)> {
        let node = |signal: NodeSignal| Some((names::NODE_SIGNAL, "signal", signal.body()));
        match *signal {
            Signal::SessionEnded { user_id, session_id } => {
                let body = body::of_session_end(user_id, session_id, house.clock.now());
                Some((names::SESSION_ENDED, "session_ended", body.to_vec()))
            }
            Signal::SessionRenewed { user_id, session_id } => {
                node(NodeSignal::SessionRenewed { user_id, session_id })
            }
            Signal::KeyRevoked { user_id, key_id } => node(NodeSignal::KeyRevoked { user_id, key_id }),
            Signal::AccountClosed { user_id } => node(NodeSignal::AccountClosed { user_id }),
            Signal::Requested => node(NodeSignal::Requested),
            Signal::WorkReady => Some((names::WORK_READY, "work_ready", NodeSignal::WorkReady.body())),
            // Events go by the relay; the others are for this process.
            Signal::Event(_) | Signal::HeldBack | Signal::Untold(_) | Signal::Missed => None,
        }
    }
}
