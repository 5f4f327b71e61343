//! The next documents of a workspace, with their jobs.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{WorkspaceId, pages::WorkspacePage};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "workspaces/documents", output = Answer)]
pub async fn list_documents(id: WorkspaceId, after: String) -> Result<Wire<WorkspacePage>, AppError> {
    use crate::ssr;
    use services::ports::PageQuery;
    let (services, who) = ssr::signed_in()?;
    let query = PageQuery { limit: PageQuery::MAX, after: Some(after) };
    services.workspace_page(who.user.id, id, query).await.map(Wire).map_err(ssr::told)
}
