//! Does something to many documents of a workspace.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{
    DocumentStatus, WorkspaceId,
    bulk::{Bulk, BulkAction},
};
use leptos::prelude::*;

/// `ids`: with commas between them; without any, all documents are meant that have the status, where one is named.
/// `tag`: of an action that is about one. `key`: what is sent twice under one is done once.
#[server(prefix = "/_fn", endpoint = "workspaces/bulk", output = Answer)]
pub async fn begin_bulk(
    id: WorkspaceId,
    action: BulkAction,
    #[server(default)] ids: String,
    #[server(default)] status: Option<DocumentStatus>,
    #[server(default)] tag: Option<String>,
    #[server(default)] key: String,
) -> Result<Wire<Bulk>, AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    let ids: Vec<_> = ids.split(',').filter_map(|id| id.parse().ok()).collect();
    let all = services::Matching { status, ..services::Matching::default() };
    let matching = ids.is_empty().then_some(all);
    let form = services::BulkForm { action, tag, ids: (!ids.is_empty()).then_some(ids), matching };
    let key = (!key.is_empty()).then_some(key);
    services.begin_bulk(who.user.id, id, form, key).await.map(Wire).map_err(ssr::told)
}
