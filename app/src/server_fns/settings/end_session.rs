//! Signs one browser out.

use crate::{error::AppError, wire::Answer};
use domain::SessionId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "settings/end_session", output = Answer)]
pub async fn end_session(id: SessionId) -> Result<(), AppError> {
    use crate::{paths::SETTINGS_SESSIONS, ssr};
    let (services, who) = ssr::signed_in()?;
    let ended = services.end_session(&who, id).await;
    if let Ok(true) = ended {
        ssr::signed_out();
        return Ok(());
    }
    ssr::finish(
        ended.map(|_| ()),
        ssr::Form {
            page: SETTINGS_SESSIONS,
            next: SETTINGS_SESSIONS,
            values: &[],
            said: "The session was ended.",
        },
    )
}
