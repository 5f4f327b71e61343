//! The history of a workspace with its documents and jobs.

use super::HistoryPage;
use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::WorkspaceId;
use leptos::prelude::*;

/// `all`: progress too, not only turns from one status to another.
#[server(prefix = "/_fn", endpoint = "history/workspace", output = Answer)]
pub async fn workspace_history(
    id: WorkspaceId,
    #[server(default)] after: Option<String>,
    #[server(default)] all: bool,
) -> Result<Wire<HistoryPage>, AppError> {
    use super::{query, worded};
    use crate::ssr;
    use services::ports::HistoryOf;
    let (services, who) = ssr::signed_in()?;
    let workspace = services.workspace(who.user.id, id).await.map_err(ssr::told)?;
    let page = services.history(who.user.id, HistoryOf::Workspace(id), query(after, all)).await;
    page.map(|page| Wire(worded(workspace.name, page))).map_err(ssr::told)
}
