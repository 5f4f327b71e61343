//! Chooses the look.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{User, resource::Theme};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "auth/set_theme", output = Answer)]
pub async fn set_theme(theme: Theme) -> Result<Wire<User>, AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    let form = services::PreferencesForm { theme: Some(theme.as_str().to_owned()), ..Default::default() };
    let user = services.edit_preferences(who.user.id, form).await.map_err(ssr::told)?;
    ssr::back();
    Ok(Wire(user))
}
