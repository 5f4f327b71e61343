//! Passages that answer a question.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{WorkspaceId, resource::SearchHit};
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "workspaces/search", output = Answer)]
pub async fn search(
    workspace: WorkspaceId,
    query: String,
    /// How many; the workspace's own number when left out.
    #[server(default)]
    top_k: Option<u32>,
) -> Result<Wire<Vec<SearchHit>>, AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    services.search(who.user.id, workspace, &query, top_k).await.map(Wire).map_err(ssr::told)
}
