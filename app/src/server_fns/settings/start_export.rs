//! Begins an export of the account.

use crate::{error::AppError, wire::Answer};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "settings/start_export", output = Answer)]
pub async fn start_export(
    /// Drawn with the form, so that a form that is sent twice makes one export.
    #[server(default)]
    key: String,
) -> Result<(), AppError> {
    use crate::{paths::SETTINGS_ACCOUNT, ssr};
    let (services, who) = ssr::signed_in()?;
    let started = services.start_export(who.user.id, (!key.is_empty()).then_some(key)).await;
    ssr::finish(
        started.map(|_| ()),
        ssr::Form { page: SETTINGS_ACCOUNT, next: SETTINGS_ACCOUNT, values: &[], said: "" },
    )
}
