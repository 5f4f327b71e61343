//! The RAG configuration of a workspace, and of a user as the default for new workspaces: its fields, what differs
//! between two, and what of it decides how documents are indexed. `validate` has the bounds and the rules between
//! fields, `options` what a server can run, `outage` what is said while a model's server is away.

mod bad_values;
mod estimate;
mod options;
mod outage;
mod preset;
mod validate;

pub use bad_values::{BadValue, bad_values};
pub use estimate::{Estimate, Measured, Sampled, estimate};
pub use options::{
    EmbeddingModel, ModelState, NO_CROSS_ENCODER, Provider, RERANK_MODELS, RETRIEVERS, RagChoice, RagOptions,
    STRATEGIES,
};
pub use outage::Outage;
pub use preset::Preset;
pub use validate::{CHUNK_OVERLAP, CHUNK_SIZE, RagForm, TOP_K};

use crate::status::named;
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

named!(
    /// The fields of a configuration, in the order of the form.
    RagField, "field" {
        EmbeddingModel = "embedding_model",
        EmbeddingDim = "embedding_dim",
        RetrieverType = "retriever_type",
        ChunkingStrategy = "chunking_strategy",
        ChunkSize = "chunk_size",
        ChunkOverlap = "chunk_overlap",
        TopK = "top_k",
        RerankEnabled = "rerank_enabled",
        RerankModel = "rerank_model",
    }
);

/// What decides how documents are indexed and searched. A workspace takes a snapshot of it when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RagConfig {
    #[cfg_attr(feature = "openapi", schema(example = "all-MiniLM-L6-v2"))]
    pub embedding_model: String,
    /// `null`: the model's own.
    pub embedding_dim: Option<u32>,
    pub retriever_type: RetrieverType,
    pub chunking_strategy: ChunkingStrategy,
    /// Characters, with the strategy `token` tokens; 100–5000.
    pub chunk_size: u32,
    /// In the unit of the size; 0–1000, less than the size.
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
    /// Whether documents get vectors at all; without them they are found by keyword.
    pub fn embeds(&self) -> bool {
        self.retriever_type != RetrieverType::Keyword
    }

    /// Whether documents get a graph of what they speak of.
    pub fn has_graph(&self) -> bool {
        self.retriever_type == RetrieverType::Graph
    }

    /// Whether the embedding model has anything to do: for vectors, or for cutting by topic.
    pub fn needs_model(&self) -> bool {
        self.embeds() || self.chunking_strategy == ChunkingStrategy::Semantic
    }

    /// What is written down with a document that is indexed like this; `embeds` tells whether it gets vectors.
    pub fn fingerprint(&self, embeds: bool) -> Fingerprint {
        let mut cut = format!("{}/{}/{}", self.chunking_strategy, self.chunk_size, self.chunk_overlap);
        if self.chunking_strategy == ChunkingStrategy::Semantic {
            // Its cuts lie where the vectors say.
            cut = format!("{cut}/{}", self.embedding_model);
        }
        let model = if embeds { self.embedding_model.clone() } else { String::new() };
        Fingerprint { cut, model, graph: self.has_graph() }
    }

    /// The fields in which the two are not the same, in the order of the form.
    pub fn differences(&self, other: &Self) -> Vec<RagField> {
        RagField::ALL.iter().copied().filter(|&field| !self.is_same(other, field)).collect()
    }

    fn is_same(&self, other: &Self, field: RagField) -> bool {
        let mut with = self.clone();
        with.take(other, field);
        with == *self
    }

    /// Takes one field over from another configuration.
    pub fn take(&mut self, other: &Self, field: RagField) {
        match field {
            RagField::EmbeddingModel => self.embedding_model.clone_from(&other.embedding_model),
            RagField::EmbeddingDim => self.embedding_dim = other.embedding_dim,
            RagField::RetrieverType => self.retriever_type = other.retriever_type,
            RagField::ChunkingStrategy => self.chunking_strategy = other.chunking_strategy,
            RagField::ChunkSize => self.chunk_size = other.chunk_size,
            RagField::ChunkOverlap => self.chunk_overlap = other.chunk_overlap,
            RagField::TopK => self.top_k = other.top_k,
            RagField::RerankEnabled => self.rerank_enabled = other.rerank_enabled,
            RagField::RerankModel => self.rerank_model = other.rerank_model,
        }
    }
}

/// A user's default configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DefaultRagConfig {
    #[serde(flatten)]
    pub config: RagConfig,
    /// Nothing was saved: these are the values that the product comes with.
    pub is_default: bool,
}

/// A workspace's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkspaceRagConfig {
    #[serde(flatten)]
    pub config: RagConfig,
    /// The fields in which it differs from the user's default.
    pub overrides: Vec<RagField>,
}

/// What stands behind how a document was cut when its vectors have another length than its model answers by now: nobody asks
/// for that.
pub const OTHER_LENGTH: &str = "/other-length";

/// Names what a document's passages and vectors were made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Strategy, size and overlap; with `semantic` also the model.
    pub cut: String,
    /// The model of the vectors; empty when there are none.
    pub model: String,
    /// There is a graph of what the passages speak of.
    #[serde(default)]
    pub graph: bool,
}

impl Fingerprint {
    /// Whether a document that was indexed like this is what the configuration asks for. Vectors, or a graph, that nobody
    /// asks for do no harm: turning a workspace to search by keyword makes nothing stale, turning it back does so only
    /// where vectors are missing.
    pub fn serves(&self, wanted: &RagConfig) -> bool {
        let wanted = wanted.fingerprint(wanted.embeds());
        self.cut == wanted.cut
            && (wanted.model.is_empty() || self.model == wanted.model)
            && (!wanted.graph || self.graph)
    }

    /// Its vectors have another length than its model answers by now.
    pub fn say_other_length(&mut self) {
        if !self.cut.is_empty() && !self.cut.ends_with(OTHER_LENGTH) {
            self.cut.push_str(OTHER_LENGTH);
        }
    }

    /// For people and programs; `None` when it is not of a known form.
    pub fn indexed_with(&self) -> Option<IndexedWith> {
        let mut parts = self.cut.splitn(4, '/');
        Some(IndexedWith {
            embedding_model: (!self.model.is_empty()).then(|| self.model.clone()),
            chunking_strategy: parts.next()?.parse().ok()?,
            chunk_size: parts.next()?.parse().ok()?,
            chunk_overlap: parts.next()?.parse().ok()?,
            other_length: self.cut.ends_with(OTHER_LENGTH),
        })
    }
}

/// How the passages of a document that searches find were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IndexedWith {
    /// `null`: it has no vectors and is found by keyword alone.
    pub embedding_model: Option<String>,
    pub chunking_strategy: ChunkingStrategy,
    pub chunk_size: u32,
    pub chunk_overlap: u32,
    /// Its vectors have another length than its model answers by now.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub other_length: bool,
}

impl IndexedWith {
    /// "embedded with all-MiniLM-L6-v2, sentence 1,000 / 200"
    pub fn words(&self) -> String {
        let number = |n: u32| crate::message::number(u64::from(n));
        let cut = format!(
            "{} {} / {}",
            self.chunking_strategy,
            number(self.chunk_size),
            number(self.chunk_overlap)
        );
        match &self.embedding_model {
            Some(model) if self.other_length => {
                format!("embedded with {model}, which answers vectors of another length now, {cut}")
            }
            Some(model) => format!("embedded with {model}, {cut}"),
            None => format!("not embedded, {cut}"),
        }
    }

    /// What is said beside a stale badge.
    pub fn stale_words(&self) -> String {
        format!("Stale: {}", self.words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_the_index_makes_a_document_stale() {
        let base = RagConfig::default();
        let indexed = base.fingerprint(true);
        let search = RagConfig {
            top_k: 3,
            rerank_enabled: true,
            rerank_model: Some(RerankModel::Rrf),
            retriever_type: RetrieverType::Hybrid,
            embedding_dim: Some(384),
            ..base.clone()
        };
        assert!(indexed.serves(&base) && indexed.serves(&search));
        for index in [
            RagConfig { chunk_size: 500, ..base.clone() },
            RagConfig { chunk_overlap: 0, ..base.clone() },
            RagConfig { chunking_strategy: ChunkingStrategy::Markdown, ..base.clone() },
            RagConfig { embedding_model: "another".into(), ..base.clone() },
        ] {
            assert!(!indexed.serves(&index), "{index:?}");
        }
    }

    #[test]
    fn vectors_are_missed_but_never_in_the_way() {
        let vector = RagConfig::default();
        let keyword = RagConfig { retriever_type: RetrieverType::Keyword, ..vector.clone() };
        assert!(vector.fingerprint(true).serves(&keyword));
        assert!(!keyword.fingerprint(false).serves(&vector));
        // A document of a job that skipped embedding.
        assert!(!vector.fingerprint(false).serves(&vector));
        // Who searches by keyword does not mind another model, unless it decided where the text is cut.
        let other = RagConfig { embedding_model: "another".into(), ..keyword.clone() };
        assert!(vector.fingerprint(true).serves(&other));
        let topics = RagConfig { chunking_strategy: ChunkingStrategy::Semantic, ..keyword };
        let other = RagConfig { embedding_model: "another".into(), ..topics.clone() };
        assert!(!topics.fingerprint(false).serves(&other));
    }

    #[test]
    fn a_graph_is_missed_but_never_in_the_way() {
        let vector = RagConfig::default();
        let graph = RagConfig { retriever_type: RetrieverType::Graph, ..vector.clone() };
        assert!(!vector.fingerprint(true).serves(&graph));
        assert!(graph.fingerprint(true).serves(&vector) && graph.fingerprint(true).serves(&graph));
    }

    #[test]
    fn a_fingerprint_tells_what_it_was_made_of() {
        let config = RagConfig {
            embedding_model: "BAAI/bge-small-en".into(),
            chunking_strategy: ChunkingStrategy::Semantic,
            ..RagConfig::default()
        };
        let told = config.fingerprint(true).indexed_with().unwrap();
        assert_eq!(told.stale_words(), "Stale: embedded with BAAI/bge-small-en, semantic 1,000 / 200");
        let told = config.fingerprint(false).indexed_with().unwrap();
        assert_eq!(told.stale_words(), "Stale: not embedded, semantic 1,000 / 200");
        assert_eq!(Fingerprint::default().indexed_with(), None);
    }

    #[test]
    fn vectors_of_another_length_make_a_document_stale_that_tells_so() {
        for chunking_strategy in [ChunkingStrategy::Sentence, ChunkingStrategy::Semantic] {
            let config = RagConfig { chunking_strategy, ..RagConfig::default() };
            let mut indexed = config.fingerprint(true);
            let told = indexed.indexed_with();
            assert!(told.is_some() && indexed.serves(&config));
            indexed.say_other_length();
            assert!(!indexed.serves(&config));
            assert_eq!(indexed.indexed_with(), told.map(|told| IndexedWith { other_length: true, ..told }));
            assert_eq!(
                indexed.indexed_with().unwrap().stale_words(),
                format!(
                    "Stale: embedded with all-MiniLM-L6-v2, which answers vectors of another length now, \
                     {chunking_strategy} 1,000 / 200"
                )
            );
            let once = indexed.clone();
            indexed.say_other_length();
            assert_eq!(indexed, once);
        }
    }

    #[test]
    fn each_field_that_differs_is_named_and_can_be_taken_back() {
        let base = RagConfig::default();
        let other = RagConfig {
            embedding_model: "another".into(),
            embedding_dim: Some(1),
            retriever_type: RetrieverType::Hybrid,
            chunking_strategy: ChunkingStrategy::Token,
            chunk_size: 300,
            chunk_overlap: 10,
            top_k: 3,
            rerank_enabled: true,
            rerank_model: Some(RerankModel::Bm25),
        };
        assert_eq!(other.differences(&base), RagField::ALL);
        assert!(base.differences(&base).is_empty());
        for (n, &field) in RagField::ALL.iter().enumerate() {
            let mut one = base.clone();
            one.take(&other, field);
            assert_eq!(one.differences(&base), [field]);
            let mut rest = other.clone();
            for &field in &RagField::ALL[..=n] {
                rest.take(&base, field);
            }
            assert_eq!(rest.differences(&base), RagField::ALL[n + 1..]);
        }
    }

    #[test]
    fn a_shown_configuration_is_flat() {
        let shown = DefaultRagConfig { config: RagConfig::default(), is_default: true };
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(json["chunk_size"], 1000);
        assert_eq!(json["is_default"], true);
        assert_eq!(serde_json::from_value::<DefaultRagConfig>(json).unwrap(), shown);
    }
}
