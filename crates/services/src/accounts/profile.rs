//! What a person is called, and the address that they sign in with.

use super::taken;
use crate::{Result, Services, ports::UserEdit};
use domain::{
    FieldErrors, User, UserId,
    validate::{Email, FullName},
};
use serde::{Deserialize, Serialize};

/// The profile as it was typed; what is absent stays, an empty name is none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ProfileForm {
    #[serde(default)]
    pub full_name: Option<String>,
    #[serde(default)]
    pub email: Option<String>,
}

impl Services {
    /// Changes the profile; other open tabs follow.
    ///
    /// # Errors
    /// `Invalid` by field; 409 `email_taken` with the message at the field.
    pub async fn edit_profile(&self, user: UserId, form: ProfileForm) -> Result<User> {
        let mut errors = FieldErrors::default();
        let full_name = form.full_name.and_then(|text| errors.take("full_name", FullName::parse(&text)));
        let email = form.email.and_then(|text| errors.take("email", Email::parse(&text)));
        errors.check()?;
        let edit = UserEdit { full_name, email, ..UserEdit::default() };
        self.accounts.edit_user(user, edit, self.clock.now()).await.map_err(taken)
    }
}
