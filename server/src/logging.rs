//! Where log lines go (standard error) and how they look. What goes into them is in `docs/LOGGING.md`.

use crate::{config::LogFormat, traces::Spans};
use std::io::IsTerminal;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::ParseError, fmt, layer::SubscriberExt, registry,
    util::SubscriberInitExt,
};

/// Starts logging for the whole process, and taking note of spans where there is somewhere to send them. What is logged and
/// what is sent do not depend on one another.
///
/// # Errors
/// When `filter` is neither a level nor a list of target=level pairs.
pub fn start(filter: &str, format: LogFormat, spans: Option<Spans>) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(filter)?;
    // Colours are for a person at a terminal; in a file they are noise.
    let colours = std::io::stderr().is_terminal();
    let lines = fmt::layer::<Registry>().with_writer(std::io::stderr).with_ansi(colours);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
        }
    };
    match spans {
        None => registry().with(lines).with(filter).init(),
        Some(spans) => {
            let spans = spans.with_filter(Spans::filter());
            registry().with(lines.with_filter(filter)).with(spans).init();
        }
    }
    Ok(())
}
