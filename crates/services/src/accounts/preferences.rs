//! How the screen looks to a person, in every browser, and of what they want to be told.

use crate::{
    Result, Services,
    ports::{NotificationsEdit, UserEdit},
};
use domain::{
    FieldErrors, User, UserId,
    resource::{Density, Language, Theme},
    validate::choice,
};
use serde::{Deserialize, Serialize};

/// The choices as they were sent; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PreferencesForm {
    #[serde(default)]
    pub theme: Option<String>,
    #[serde(default)]
    pub density: Option<String>,
    #[serde(default)]
    pub language: Option<String>,
    #[serde(skip)]
    pub notifications: NotificationsEdit,
}

impl Services {
    /// Changes the choices; other open tabs follow.
    ///
    /// # Errors
    /// `Invalid` by field, with what may be chosen.
    pub async fn edit_preferences(&self, user: UserId, form: PreferencesForm) -> Result<User> {
        let mut errors = FieldErrors::default();
        let theme = form.theme.and_then(|text| errors.take("theme", choice(&text, Theme::ALL)));
        let density = form.density.and_then(|text| errors.take("density", choice(&text, Density::ALL)));
        let language = form.language.and_then(|text| errors.take("language", choice(&text, Language::ALL)));
        errors.check()?;
        let notifications = form.notifications;
        let edit = UserEdit { theme, density, language, notifications, ..UserEdit::default() };
        Ok(self.accounts.edit_user(user, edit, self.clock.now()).await?)
    }
}
