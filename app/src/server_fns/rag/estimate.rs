//! What indexing the stale documents anew will take.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{WorkspaceId, rag::Estimate};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "rag/estimate", output = Answer)]
pub async fn estimate_reindex(id: WorkspaceId) -> Result<Wire<Estimate>, AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    services.estimate_reindex(who.user.id, id, None).await.map(Wire).map_err(ssr::told)
}
