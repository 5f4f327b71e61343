//! Changes how things look, in every browser of the person.

use crate::{error::AppError, wire::Answer};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "settings/save_preferences", output = Answer)]
pub async fn save_preferences(
    theme: Option<String>,
    density: Option<String>,
    language: Option<String>,
) -> Result<(), AppError> {
    use crate::{paths::SETTINGS_PREFERENCES, ssr};
    let (services, who) = ssr::signed_in()?;
    let form = services::PreferencesForm { theme, density, language, ..Default::default() };
    let saved = services.edit_preferences(who.user.id, form).await;
    ssr::finish(
        saved.map(|_| ()),
        ssr::Form {
            page: SETTINGS_PREFERENCES,
            next: SETTINGS_PREFERENCES,
            values: &[],
            said: "Your preferences are saved.",
        },
    )
}
