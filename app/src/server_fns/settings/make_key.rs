//! Makes an API key. Its secret is told once.

use crate::{error::AppError, wire::Answer};
use leptos::prelude::*;

/// Answers the secret; none when the same form made the key a while before.
#[server(prefix = "/_fn", endpoint = "settings/make_key", output = Answer)]
pub async fn make_key(
    #[server(default)] name: String,
    #[server(default)] scopes: Vec<String>,
    /// Empty: never.
    #[server(default)]
    expires_in_days: String,
    /// Drawn with the form, so that a form that is sent twice makes one key.
    #[server(default)]
    key: String,
) -> Result<Option<String>, AppError> {
    use crate::{paths::SETTINGS_API_KEYS, ssr};
    use domain::api_key::ApiKeyForm;
    let (services, who) = ssr::signed_in()?;
    let days = expires_in_days.trim();
    let expires = (!days.is_empty()).then(|| days.parse().unwrap_or(0));
    let ticked = scopes.join(" ");
    let form = ApiKeyForm { name: name.clone(), scopes, expires_in_days: expires, expires_at: None };
    // What was typed anew since is another command.
    let command = (!key.is_empty()).then(|| format!("{key} {name} {expires_in_days} {ticked}"));
    let made = services.create_key_by_form(who.user.id, &form, command).await;
    ssr::finish_with_secret(
        made.map(|made| made.secret),
        ssr::Form {
            page: SETTINGS_API_KEYS,
            next: SETTINGS_API_KEYS,
            values: &[("name", &name), ("expires_in_days", &expires_in_days), ("scopes", &ticked)],
            said: "The key is made.",
        },
    )
}
