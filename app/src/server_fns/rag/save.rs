//! Saves a RAG config. Documents of the workspace that were indexed with other settings turn stale.

#![allow(clippy::too_many_arguments, reason = "they are the fields of a form that posts without a script")]

use crate::{error::AppError, wire::Answer};
use domain::WorkspaceId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "rag/save", output = Answer)]
pub async fn save_rag(
    /// Whose it is; the person's default without.
    #[server(default)]
    workspace: Option<WorkspaceId>,
    #[server(default)] embedding_model: String,
    #[server(default)] embedding_dim: String,
    #[server(default)] retriever_type: String,
    #[server(default)] chunking_strategy: String,
    #[server(default)] chunk_size: String,
    #[server(default)] chunk_overlap: String,
    #[server(default)] top_k: String,
    #[server(default)] rerank_enabled: String,
    #[server(default)] rerank_model: String,
) -> Result<(), AppError> {
    use crate::{paths, ssr};
    use domain::rag::RagForm;
    let (services, who) = ssr::signed_in()?;
    let values = [
        ("embedding_model", &*embedding_model),
        ("embedding_dim", &*embedding_dim),
        ("retriever_type", &*retriever_type),
        ("chunking_strategy", &*chunking_strategy),
        ("chunk_size", &*chunk_size),
        ("chunk_overlap", &*chunk_overlap),
        ("top_k", &*top_k),
        ("rerank_enabled", &*rerank_enabled),
        ("rerank_model", &*rerank_model),
    ];
    let form = RagForm::from_text(values);
    let saved = match workspace {
        None => services.save_default_rag_config(who.user.id, &form).await.map(|_| ()),
        Some(id) => services.save_workspace_rag_config(who.user.id, id, &form).await.map(|_| ()),
    };
    let page = paths::rag(workspace);
    ssr::finish(saved, ssr::Form { page: &page, next: &page, values: &values, said: super::SAVED })
}

/// What a success tells.
pub const SAVED: &str = "The RAG config is saved.";
