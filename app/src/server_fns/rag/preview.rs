//! Cuts a sample text as the pipeline would.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// One chunk of a sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreviewChunk {
    pub text: String,
    pub chars: u64,
    pub tokens: u64,
}

#[server(prefix = "/_fn", endpoint = "rag/preview", output = Answer)]
pub async fn preview_chunks(
    #[server(default)] embedding_model: String,
    #[server(default)] chunking_strategy: String,
    #[server(default)] chunk_size: String,
    #[server(default)] chunk_overlap: String,
    #[server(default)] text: String,
) -> Result<Wire<Vec<PreviewChunk>>, AppError> {
    use crate::ssr;
    use domain::rag::RagForm;
    let (services, who) = ssr::signed_in()?;
    let form = RagForm::from_text([
        ("embedding_model", &*embedding_model),
        ("chunking_strategy", &*chunking_strategy),
        ("chunk_size", &*chunk_size),
        ("chunk_overlap", &*chunk_overlap),
    ]);
    let preview = services.preview_chunks(who.user.id, &form, text).await.map_err(ssr::told)?;
    let chunk = |c: services::PreviewedChunk| PreviewChunk { text: c.text, chars: c.chars, tokens: c.tokens };
    Ok(Wire(preview.chunks.into_iter().map(chunk).collect()))
}
