//! What the span of a request is told in the middle of it: the work that came of it. That goes on elsewhere, on another
//! server perhaps, and is found together with the request by it, in the log and in a trace. Where nobody made such a span
//! nothing happens.

use std::fmt::Display;
use tracing::{Span, field::display};

/// The request led to this work. It began it when that is the id that was drawn for it; else the same command was sent before.
pub(crate) fn led_to<T: Display + PartialEq>(work: T, drawn: T) {
    let field = if work == drawn { "began" } else { "concerns" };
    Span::current().record(field, display(work));
}

/// The request, or a report of a worker, is about work that was begun before.
pub(crate) fn concerns(work: impl Display) {
    Span::current().record("concerns", display(work));
}
