//! The RAG configuration of a workspace (and of a user, as the default for new workspaces), with its bounds and the
//! rules between fields.

use crate::{status::named, validate::FieldErrors};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

named!(
    /// How passages are found.
    RetrieverType, "retriever" {
        Vector = "vector",
        Keyword = "keyword",
        Hybrid = "hybrid",
        Graph = "graph",
    }
);

named!(
    /// How a text is cut.
    ChunkingStrategy, "chunking strategy" {
        Sentence = "sentence",
        Character = "character",
        Token = "token",
        Markdown = "markdown",
        Semantic = "semantic",
    }
);

named!(
    /// How found passages are put in order anew.
    RerankModel, "rerank model" {
        Rrf = "rrf",
        Bm25 = "bm25",
        CrossEncoder = "cross-encoder",
    }
);

/// The built-in embedding model.
pub const BUILTIN_MODEL: &str = "all-MiniLM-L6-v2";

/// A model that this server can really run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingModel {
    pub name: String,
    pub dim: u32,
}

/// What decides how documents are indexed and searched. A workspace takes a snapshot of it when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RagConfig {
    pub embedding_model: String,
    /// `null`: the model's own.
    pub embedding_dim: Option<u32>,
    pub retriever_type: RetrieverType,
    pub chunking_strategy: ChunkingStrategy,
    /// Characters, 100–5000.
    pub chunk_size: u32,
    /// Characters, 0–1000, less than the size.
    pub chunk_overlap: u32,
    /// Passages an answer is made from, 1–50.
    pub top_k: u32,
    pub rerank_enabled: bool,
    pub rerank_model: Option<RerankModel>,
}

impl Default for RagConfig {
    fn default() -> Self {
        Self {
            embedding_model: BUILTIN_MODEL.to_owned(),
            embedding_dim: None,
            retriever_type: RetrieverType::Vector,
            chunking_strategy: ChunkingStrategy::Sentence,
            chunk_size: 1000,
            chunk_overlap: 200,
            top_k: 8,
            rerank_enabled: false,
            rerank_model: None,
        }
    }
}

impl RagConfig {
    /// Every bound and every rule between fields. `models` are the ones that the server can run.
    pub fn validate(&self, models: &[EmbeddingModel]) -> Result<(), FieldErrors> {
        let mut errors = FieldErrors::default();
        match models.iter().find(|m| m.name == self.embedding_model) {
            None => errors.add("embedding_model", "This server does not have that model."),
            Some(m) if self.embedding_dim.is_some_and(|d| d != m.dim) => {
                errors.add("embedding_dim", format!("{} has {} dimensions.", m.name, m.dim));
            }
            Some(_) => {}
        }
        if !(100..=5000).contains(&self.chunk_size) {
            errors.add("chunk_size", "Use 100 to 5000 characters.");
        }
        if self.chunk_overlap > 1000 {
            errors.add("chunk_overlap", "Use 0 to 1000 characters.");
        } else if self.chunk_overlap >= self.chunk_size {
            errors.add("chunk_overlap", "The overlap must be smaller than the chunk size.");
        }
        if !(1..=50).contains(&self.top_k) {
            errors.add("top_k", "Use 1 to 50 passages.");
        }
        if self.rerank_enabled && self.rerank_model.is_none() {
            errors.add("rerank_model", "Choose a model, or switch reranking off.");
        }
        errors.check()
    }

    /// Names everything that decides what a document's chunks and vectors are. A document whose stored fingerprint
    /// differs from its workspace's is stale.
    pub fn fingerprint(&self) -> String {
        format!(
            "{}/{}/{}/{}/{}",
            self.embedding_model,
            self.embedding_dim.map_or_else(|| "own".to_owned(), |d| d.to_string()),
            self.chunking_strategy,
            self.chunk_size,
            self.chunk_overlap
        )
    }

    /// Whether documents get vectors at all; without them they are found by keyword.
    pub fn embeds(&self) -> bool {
        self.retriever_type != RetrieverType::Keyword
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models() -> Vec<EmbeddingModel> {
        vec![EmbeddingModel { name: BUILTIN_MODEL.into(), dim: 384 }]
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(RagConfig::default().validate(&models()), Ok(()));
    }

    #[test]
    fn every_bound_is_told_at_its_field() {
        let d = RagConfig::default;
        let cases = [
            ("chunk_size", RagConfig { chunk_size: 99, chunk_overlap: 0, ..d() }),
            ("chunk_size", RagConfig { chunk_size: 5001, ..d() }),
            ("chunk_overlap", RagConfig { chunk_size: 5000, chunk_overlap: 1001, ..d() }),
            ("chunk_overlap", RagConfig { chunk_size: 200, chunk_overlap: 200, ..d() }),
            ("top_k", RagConfig { top_k: 0, ..d() }),
            ("top_k", RagConfig { top_k: 51, ..d() }),
            ("rerank_model", RagConfig { rerank_enabled: true, ..d() }),
            ("embedding_model", RagConfig { embedding_model: "gpt-12".into(), ..d() }),
            ("embedding_dim", RagConfig { embedding_dim: Some(768), ..d() }),
        ];
        for (field, config) in cases {
            let errors = config.validate(&models()).unwrap_err();
            assert_eq!((errors.count(), errors.of(field).len()), (1, 1), "{field}: {errors:?}");
        }
    }

    #[test]
    fn only_what_changes_the_index_changes_the_fingerprint() {
        let base = RagConfig::default();
        let search = RagConfig {
            top_k: 3,
            rerank_enabled: true,
            rerank_model: Some(RerankModel::Rrf),
            ..base.clone()
        };
        assert_eq!(base.fingerprint(), search.fingerprint());
        let index = RagConfig { chunk_size: 500, ..base.clone() };
        assert_ne!(base.fingerprint(), index.fingerprint());
    }
}
