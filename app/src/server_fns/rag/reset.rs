//! Takes a RAG config back: a workspace's to the person's default, the default to what InsightHub comes with.

use crate::{error::AppError, wire::Answer};
use domain::WorkspaceId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "rag/reset", output = Answer)]
pub async fn reset_rag(#[server(default)] workspace: Option<WorkspaceId>) -> Result<(), AppError> {
    use crate::{paths, ssr};
    use domain::rag::RagField;
    let (services, who) = ssr::signed_in()?;
    let user = who.user.id;
    let reset = match workspace {
        None => services.reset_default_rag_config(user).await.map(|_| ()),
        Some(id) => services.reset_workspace_rag_config(user, id, RagField::ALL).await.map(|_| ()),
    };
    let page = paths::rag(workspace);
    ssr::finish(reset, ssr::Form { page: &page, next: &page, values: &[], said: super::RESET })
}

/// What a success tells.
pub const RESET: &str = "The RAG config is taken back.";
