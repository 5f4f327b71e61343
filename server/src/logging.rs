//! Where log lines go (standard error) and how they look. What goes into them is in `docs/LOGGING.md`.

use crate::config::LogFormat;
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, filter::ParseError, fmt};

/// Starts logging for the whole process.
///
/// # Errors
/// When `filter` is neither a level nor a list of target=level pairs.
pub fn start(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(filter)?;
    // Colours are for a person at a terminal; in a file they are noise.
    let colours = std::io::stderr().is_terminal();
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).init()
        }
    }
    Ok(())
}
