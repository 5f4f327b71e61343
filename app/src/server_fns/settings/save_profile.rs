//! Changes what a person is called and the address that they sign in with.

use crate::{error::AppError, wire::Answer};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "settings/save_profile", output = Answer)]
pub async fn save_profile(
    #[server(default)] full_name: String,
    #[server(default)] email: String,
) -> Result<(), AppError> {
    use crate::{paths::SETTINGS_PROFILE, ssr};
    let (services, who) = ssr::signed_in()?;
    let client = ssr::world()?.client;
    let form = services::ProfileForm { full_name: Some(full_name.clone()), email: Some(email.clone()) };
    let saved = services.edit_profile(&who, form, &client).await;
    if let Ok(services::ProfileChanged { device: Some(mark), .. }) = &saved {
        ssr::hold_device(mark);
    }
    ssr::finish(
        saved.map(|_| ()),
        ssr::Form {
            page: SETTINGS_PROFILE,
            next: SETTINGS_PROFILE,
            values: &[("full_name", &full_name), ("email", &email)],
            said: "Your profile is saved.",
        },
    )
}
