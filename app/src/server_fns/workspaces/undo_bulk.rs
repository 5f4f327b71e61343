//! Brings back what an action over many documents deleted.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{BulkId, bulk::Bulk};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "workspaces/undo_bulk", output = Answer)]
pub async fn undo_bulk(id: BulkId) -> Result<Wire<Bulk>, AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    services.undo_bulk(who.user.id, id).await.map(Wire).map_err(ssr::told)
}
