//! What a person is called, and the address that they sign in with.

use super::{Client, Who, taken};
use crate::{Result, Services, ports::UserEdit, text::composed};
use domain::{
    FieldErrors, User,
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

/// The profile as it is now.
#[derive(Clone, Debug)]
pub struct ProfileChanged {
    pub user: User,
    /// What the browser has to hold from now on, when the address is another one.
    pub device: Option<String>,
}

impl Services {
    /// Changes the profile; other open tabs follow. With a new address the browser gets a new mark, since marks are
    /// given out for an address: strangers who guess at the new one do not keep the owner out.
    ///
    /// # Errors
    /// `Invalid` by field; 409 `email_taken` with the message at the field.
    pub async fn edit_profile(
        &self,
        who: &Who,
        form: ProfileForm,
        client: &Client,
    ) -> Result<ProfileChanged> {
        let mut errors = FieldErrors::default();
        let full_name =
            form.full_name.and_then(|text| errors.take("full_name", FullName::parse(&composed(text))));
        let email = form.email.and_then(|text| errors.take("email", Email::parse(&composed(text))));
        errors.check()?;
        let edit = UserEdit { full_name, email, ..UserEdit::default() };
        let user = self.accounts.edit_user(who.user.id, edit, self.clock.now()).await.map_err(taken)?;
        let device = (user.email != who.user.email).then(|| {
            self.door.know(&user.email, &client.ip);
            self.seals.device(&user.email, &self.secrets.bytes32())
        });
        Ok(ProfileChanged { user, device })
    }
}
