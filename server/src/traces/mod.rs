//! Traces, where a collector is set (`OTEL_EXPORTER_OTLP_ENDPOINT`): the spans of this program over OTLP/HTTP, in its JSON
//! form. Which spans belong together, `identity` says; what of them may leave this machine, `layer`. Without the setting
//! none of this is made.
//!
//! The span of a request is the root of the work that came of it, and by then it is half over. So its place is decided when it
//! ends, which no tracer allows that wants to know the parent at the beginning: hence a layer of our own.

mod collector;
mod identity;
mod layer;
mod sender;
mod wire;

pub use collector::{Collector, Headers, Protocol, Sampler, Share};
pub use layer::Spans;
pub use sender::{Sender, Sending};

use tokio::sync::mpsc;

/// Spans that wait to be sent; what comes beyond them is dropped and counted.
const WAITING: usize = 4_096;

/// The layer that takes note of spans, and what sends them to the collector.
///
/// # Errors
/// When no client can be made.
pub fn to(collector: Collector) -> Result<(Spans, Sender), String> {
    let (ended, waiting) = mpsc::channel(WAITING);
    Ok((Spans::new(ended, collector.share), Sender::new(collector, waiting)?))
}
