//! Signs all other browsers out.

use crate::{error::AppError, wire::Answer};
use leptos::prelude::*;

/// Answers how many.
#[server(prefix = "/_fn", endpoint = "settings/end_other_sessions", output = Answer)]
pub async fn end_other_sessions() -> Result<u64, AppError> {
    use crate::{paths::SETTINGS_SESSIONS, ssr};
    let (services, who) = ssr::signed_in()?;
    let ended = services.end_other_sessions(&who).await;
    ssr::finish(
        ended,
        ssr::Form {
            page: SETTINGS_SESSIONS,
            next: SETTINGS_SESSIONS,
            values: &[],
            said: "All other sessions were ended.",
        },
    )
}
