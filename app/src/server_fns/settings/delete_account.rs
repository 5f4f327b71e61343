//! Deletes the account with everything in it.

use crate::{error::AppError, wire::Answer};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "settings/delete_account", output = Answer)]
pub async fn delete_account(#[server(default)] password: String) -> Result<(), AppError> {
    use crate::{paths::SETTINGS_ACCOUNT, ssr};
    let (services, who) = ssr::signed_in()?;
    let begun = services.delete_account(&who, password).await;
    if begun.is_ok() {
        ssr::account_gone();
        return Ok(());
    }
    ssr::finish(
        begun.map(|_| ()),
        ssr::Form { page: SETTINGS_ACCOUNT, next: SETTINGS_ACCOUNT, values: &[], said: "" },
    )
}
