//! Signs one browser out.

use crate::error::AppError;
use domain::SessionId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "settings/end_session")]
pub async fn end_session(id: SessionId) -> Result<(), AppError> {
    use crate::{paths::SETTINGS_SESSIONS, ssr};
    let (services, who) = ssr::signed_in()?;
    let ended = services.end_session(&who, id).await;
    if let Ok(true) = ended {
        ssr::signed_out();
        return Ok(());
    }
    // One that is gone is what was wanted.
    let ended = match ended {
        Err(e) if e.to_problem().status == 404 => Ok(()),
        other => other.map(|_| ()),
    };
    ssr::finish(
        ended,
        ssr::Form {
            page: SETTINGS_SESSIONS,
            next: SETTINGS_SESSIONS,
            values: &[],
            said: "The session was ended.",
        },
    )
}
