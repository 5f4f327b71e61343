//! The newest export of the account.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::Export;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "settings/export", output = Answer)]
pub async fn read_export() -> Result<Wire<Option<Export>>, AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    match services.export(who.user.id).await {
        Ok(export) => Ok(Wire(Some(export))),
        Err(e) if e.to_problem().status == 404 => Ok(Wire(None)),
        Err(e) => Err(ssr::told(e)),
    }
}
