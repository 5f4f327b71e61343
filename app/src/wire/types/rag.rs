//! How a workspace finds: its configuration, and trying it.

use super::{FromJson, at};
use crate::server_fns::{
    rag::{PreviewChunk, RagPage},
    retrieval::{RetrievalPage, TriedCase, TriedHit},
};
use domain::rag::{DefaultRagConfig, EmbeddingModel, Estimate, RagChoice, RagConfig, RagOptions};
use serde_json::Value;

objects! {
    RagPage { workspace, config, base, is_default, options }
    RagConfig {
        embedding_model,
        embedding_dim,
        retriever_type,
        chunking_strategy,
        chunk_size,
        chunk_overlap,
        top_k,
        rerank_enabled,
        rerank_model,
    }
    RagOptions { models, retriever_types, chunking_strategies, rerank_models }
    EmbeddingModel { name, dim, max_tokens, provider, state, detail }
    RagChoice { name, available, detail }
    PreviewChunk { text, chars, tokens }
    Estimate { documents, characters, chunks, tokens, error_percent, embeds }

    RetrievalPage {
        name,
        question,
        retriever,
        rerank,
        top_k,
        retrievers,
        reranks,
        saved,
        trouble,
        hits,
        cases,
        verdict,
    }
    TriedHit { document, chunk, filename, place, text, columns }
    TriedCase { id, question, wanted, passed, outcome }
}

impl FromJson for DefaultRagConfig {
    fn from_json(value: &Value) -> Option<Self> {
        Some(Self { config: RagConfig::from_json(value)?, is_default: at(value, "is_default")? })
    }
}
