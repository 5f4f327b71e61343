//! A RAG config with all that can be chosen from.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{
    Workspace, WorkspaceId,
    rag::{RagConfig, RagField, RagOptions},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// What a page of a RAG config needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RagPage {
    /// Whose it is; `None`: the person's default.
    pub workspace: Option<Workspace>,
    /// As it is saved.
    pub config: RagConfig,
    /// What a reset leads to: the person's default for a workspace, the product's own for the default.
    pub base: RagConfig,
    /// Nothing was saved yet.
    pub is_default: bool,
    pub options: RagOptions,
}

impl RagPage {
    /// Fields that differ from what a reset leads to.
    pub fn overrides(&self) -> Vec<RagField> {
        self.config.differences(&self.base)
    }
}

#[server(prefix = "/_fn", endpoint = "rag/read", output = Answer)]
pub async fn read_rag(#[server(default)] workspace: Option<WorkspaceId>) -> Result<Wire<RagPage>, AppError> {
    use crate::ssr::{self, told};
    let (services, who) = ssr::signed_in()?;
    let user = who.user.id;
    let default = services.default_rag_config(user).await.map_err(told)?;
    let (workspace, config, base) = match workspace {
        None => (None, default.config, RagConfig::default()),
        Some(id) => {
            let workspace = services.workspace(user, id).await.map_err(told)?;
            let saved = services.workspace_rag_config(user, id).await.map_err(told)?;
            (Some(workspace), saved.config, default.config)
        }
    };
    let options = services.rag_options().await;
    Ok(Wire(RagPage { workspace, config, base, is_default: default.is_default, options }))
}
