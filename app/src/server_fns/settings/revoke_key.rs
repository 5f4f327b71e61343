//! Ends an API key at once.

use crate::{error::AppError, wire::Answer};
use domain::ApiKeyId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "settings/revoke_key", output = Answer)]
pub async fn revoke_key(id: ApiKeyId) -> Result<(), AppError> {
    use crate::{paths::SETTINGS_API_KEYS, ssr};
    let (services, who) = ssr::signed_in()?;
    let revoked = services.revoke_key(who.user.id, id).await;
    ssr::finish(
        revoked,
        ssr::Form {
            page: SETTINGS_API_KEYS,
            next: SETTINGS_API_KEYS,
            values: &[],
            said: "The key is revoked.",
        },
    )
}
