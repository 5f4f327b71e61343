//! What a form of the settings checks before it is sent: the rules of the server, field by field. `text` answers what a
//! field holds; that of several boxes is empty when none is ticked. The forms use these in the browser, and the tests hold
//! them against the answers of the server.

use crate::server_fns::settings::repeated;
use domain::{
    FieldErrors,
    api_key::{NO_SCOPE, days},
    resource::{Density, Language, Theme},
    validate::{Email, FullName, KeyName, Password, choice, current_password},
};

pub type Text<'a> = &'a dyn Fn(&str) -> String;

pub fn profile(text: Text<'_>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    errors.take("full_name", FullName::parse(&text("full_name")));
    errors.take("email", Email::parse(&text("email")));
    errors
}

pub fn password(text: Text<'_>) -> FieldErrors {
    let (current, new) = (text("current_password"), text("new_password"));
    let mut errors = FieldErrors::default();
    errors.take("current_password", current_password(&current));
    if errors.take("new_password", Password::instead_of(&current, &new)).is_some()
        && let Err(wrong) = repeated(&new, &text("repeated_password"))
    {
        errors = wrong;
    }
    errors
}

pub fn preferences(text: Text<'_>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    errors.take("theme", choice(&text("theme"), Theme::ALL));
    errors.take("density", choice(&text("density"), Density::ALL));
    errors.take("language", choice(&text("language"), Language::ALL));
    errors
}

pub fn api_key(text: Text<'_>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    errors.take("name", KeyName::parse(&text("name")));
    if text("scopes[]").is_empty() {
        errors.add("scopes", NO_SCOPE);
    }
    errors.take("expires_in_days", days(&text("expires_in_days")));
    errors
}

/// Leaving: the password is asked for once more.
pub fn leave(text: Text<'_>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    errors.take("password", current_password(&text("password")));
    errors
}
