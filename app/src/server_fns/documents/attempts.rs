//! The steps of a document's earlier attempts.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{DocumentId, event::FileProgress};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "documents/attempts", output = Answer)]
pub async fn list_earlier_steps(id: DocumentId) -> Result<Wire<Vec<FileProgress>>, AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    services.earlier_steps(who.user.id, id).await.map(Wire).map_err(ssr::told)
}
