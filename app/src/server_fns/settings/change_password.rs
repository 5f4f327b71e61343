//! Changes the password; all other sessions end with it.

use crate::{error::AppError, wire::Answer};
use domain::FieldErrors;
use leptos::prelude::*;

/// Answers how many other sessions it ended.
#[server(prefix = "/_fn", endpoint = "settings/change_password", output = Answer)]
pub async fn change_password(
    #[server(default)] current_password: String,
    #[server(default)] new_password: String,
    #[server(default)] repeated_password: String,
) -> Result<u64, AppError> {
    use crate::{paths::SETTINGS_PASSWORD, ssr};
    let world = ssr::world()?;
    let (services, who) = ssr::signed_in()?;
    // The same password is the same, however the accents of each were typed.
    let (new_password, repeated_password) =
        (services::composed(new_password), services::composed(repeated_password));
    let changed = match repeated(&new_password, &repeated_password) {
        Err(errors) => Err(errors.into()),
        Ok(()) => {
            let form = services::ChangePassword { current_password, new_password };
            services.change_password(&who, form, &world.client).await
        }
    };
    if let Ok(done) = &changed
        && let Some(renewed) = &done.renewed
    {
        ssr::hold(renewed);
    }
    let said = changed.as_ref().map(|done| super::password_said(done.sessions_ended)).unwrap_or_default();
    ssr::finish(
        changed.map(|done| done.sessions_ended),
        ssr::Form { page: SETTINGS_PASSWORD, next: SETTINGS_PASSWORD, values: &[], said: &said },
    )
}

/// The rule that a form has besides those of a password: it is typed twice.
pub fn repeated(new: &str, again: &str) -> Result<(), FieldErrors> {
    if new == again {
        return Ok(());
    }
    Err(FieldErrors::one("repeated_password", "The two new passwords differ."))
}

/// What a change of the password tells.
pub fn password_said(sessions_ended: u64) -> String {
    match sessions_ended {
        0 => "Your password is changed. No other browser was signed in.".to_owned(),
        1 => "Your password is changed. One other session was ended.".to_owned(),
        n => format!("Your password is changed. {n} other sessions were ended."),
    }
}
