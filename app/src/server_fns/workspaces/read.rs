//! A workspace with its newest documents and their jobs.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{WorkspaceId, pages::WorkspacePage};
use leptos::prelude::*;

/// Documents that a page starts with; those that are loaded later come in larger parts.
#[cfg(feature = "ssr")]
pub const PAGE: u32 = 50;

#[server(prefix = "/_fn", endpoint = "workspaces/read", output = Answer)]
pub async fn read_workspace(
    id: WorkspaceId,
    /// Documents that the page shows already, so that a reload shows as many; at most 200.
    #[server(default)]
    limit: Option<u32>,
) -> Result<Wire<WorkspacePage>, AppError> {
    use crate::ssr;
    use services::ports::PageQuery;
    let (services, who) = ssr::signed_in()?;
    let query = PageQuery::first(limit.unwrap_or(PAGE).clamp(PAGE, PageQuery::MAX));
    services.workspace_page(who.user.id, id, query).await.map(Wire).map_err(ssr::told)
}
