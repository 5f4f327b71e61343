//! The API keys of the account.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::ApiKey;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "settings/keys", output = Answer)]
pub async fn list_keys() -> Result<Wire<Vec<ApiKey>>, AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    services.list_keys(who.user.id).await.map(Wire).map_err(ssr::told)
}
