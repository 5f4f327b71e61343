//! Failures by what they have in common: told, tried again, and resolved.

mod list;
mod resolve;
mod retry;

pub use list::{ErrorChoice, ErrorChoices, ErrorLine, ErrorsPage, LeftLine, ListErrors, list_errors};
pub use resolve::{ResolveErrors, resolve_errors};
pub use retry::{RetryErrors, retry_errors};

#[cfg(feature = "ssr")]
use domain::{PhaseName, Timestamp, WorkspaceId};
#[cfg(feature = "ssr")]
use services::ports::ErrorFilter;

/// What the fields of a form mean. An empty one means any; `days`: 0 any time.
#[cfg(feature = "ssr")]
fn filter(
    (code, kind): (String, String),
    phase: Option<PhaseName>,
    workspace: Option<WorkspaceId>,
    days: u32,
    now: Timestamp,
) -> ErrorFilter {
    let named = |text: String| (!text.is_empty()).then_some(text);
    let since = (days > 0).then(|| now.plus_seconds(-i64::from(days) * 86_400));
    ErrorFilter { workspace, code: named(code), phase, mime_type: named(kind), since, resolved: false }
}
