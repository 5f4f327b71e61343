//! Ready-made configurations: a starting point that stays editable.

use super::{ChunkingStrategy, RagConfig, RagField, RerankModel, RetrieverType};
use crate::status::named;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

named!(
    /// A ready-made configuration.
    Preset, "preset" {
        Precise = "precise",
        Balanced = "balanced",
        Broad = "broad",
    }
);

impl Preset {
    /// The word on the screen.
    pub const fn title(self) -> &'static str {
        match self {
            Preset::Precise => "Precise",
            Preset::Balanced => "Balanced",
            Preset::Broad => "Broad",
        }
    }

    /// What it is for, in one sentence.
    pub const fn about(self) -> &'static str {
        match self {
            Preset::Precise => "Short passages found by meaning and by words: for facts, numbers and names.",
            Preset::Balanced => "What the product comes with: for most documents.",
            Preset::Broad => "Long passages and many of them: for summaries and wide questions.",
        }
    }

    /// The fields that it sets; the embedding model is none of them.
    pub fn fields() -> impl Iterator<Item = RagField> {
        let model = [RagField::EmbeddingModel, RagField::EmbeddingDim];
        RagField::ALL.iter().copied().filter(move |field| !model.contains(field))
    }

    /// The configuration with the fields of the preset; the embedding model stays.
    pub fn fill(self, config: &RagConfig) -> RagConfig {
        let mut filled = config.clone();
        for field in Self::fields() {
            filled.take(&self.values(), field);
        }
        filled
    }

    /// Whether the configuration is this preset, with whatever model.
    pub fn is(self, config: &RagConfig) -> bool {
        self.fill(config) == *config
    }

    fn values(self) -> RagConfig {
        let balanced = RagConfig::default();
        match self {
            Preset::Precise => RagConfig {
                retriever_type: RetrieverType::Hybrid,
                chunking_strategy: ChunkingStrategy::Sentence,
                chunk_size: 500,
                chunk_overlap: 100,
                top_k: 5,
                rerank_enabled: true,
                rerank_model: Some(RerankModel::Bm25),
                ..balanced
            },
            Preset::Balanced => balanced,
            Preset::Broad => RagConfig {
                retriever_type: RetrieverType::Hybrid,
                chunking_strategy: ChunkingStrategy::Markdown,
                chunk_size: 2000,
                chunk_overlap: 300,
                top_k: 20,
                rerank_enabled: true,
                rerank_model: Some(RerankModel::Rrf),
                ..balanced
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rag::{EmbeddingModel, RagOptions};

    #[test]
    fn every_preset_is_valid_and_leaves_the_model_alone() {
        let model = EmbeddingModel { name: "another".into(), dim: Some(7), ..EmbeddingModel::builtin() };
        let options = RagOptions::new(vec![model]);
        let mine = RagConfig {
            embedding_model: "another".into(),
            embedding_dim: Some(7),
            chunk_size: 123,
            chunk_overlap: 45,
            ..RagConfig::default()
        };
        for &preset in Preset::ALL {
            let filled = preset.fill(&mine);
            assert_eq!(filled.validate(&options, None), Ok(()));
            assert_eq!((filled.embedding_model.as_str(), filled.embedding_dim), ("another", Some(7)));
            assert!(preset.is(&filled) && !preset.is(&mine));
            assert_eq!(Preset::ALL.iter().filter(|p| p.is(&filled)).count(), 1);
        }
        assert!(Preset::Balanced.is(&RagConfig::default()));
    }
}
