//! Chooses the look.

use crate::{error::AppError, wire::Wire};
use domain::{User, resource::Theme};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "auth/set_theme")]
pub async fn set_theme(theme: Theme) -> Result<Wire<User>, AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    let user = services.set_theme(who.user.id, theme).await.map_err(ssr::told)?;
    ssr::back();
    Ok(Wire(user))
}
