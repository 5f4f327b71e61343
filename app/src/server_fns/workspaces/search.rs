//! Passages that answer a question.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{
    WorkspaceId,
    resource::{SearchHit, Warning},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchAnswer {
    pub hits: Vec<SearchHit>,
    /// What could not be looked through as it was meant.
    pub warnings: Vec<Warning>,
}

#[server(prefix = "/_fn", endpoint = "workspaces/search", output = Answer)]
pub async fn search(
    workspace: WorkspaceId,
    query: String,
    /// How many; the workspace's own number when left out.
    #[server(default)]
    top_k: Option<u32>,
) -> Result<Wire<SearchAnswer>, AppError> {
    use crate::ssr;
    use domain::rag::RagForm;
    let (services, who) = ssr::signed_in()?;
    let form = RagForm(top_k.map(|k| ("top_k".to_owned(), k.into())).into_iter().collect());
    services
        .search(who.user.id, workspace, &query, &form)
        .await
        .map(|tried| Wire(SearchAnswer { hits: tried.found.hits, warnings: tried.found.warnings }))
        .map_err(ssr::told)
}
