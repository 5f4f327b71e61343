//! What a server can run of what a configuration may name, and why not the rest.

use super::{BUILTIN_MODEL, ChunkingStrategy, RerankModel, RetrieverType};
use crate::status::named;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

named!(
    /// Whether a model can be used now.
    ModelState, "model state" {
        Ready = "ready",
        /// The operator has to do something first.
        NeedsConfiguration = "needs_configuration",
        /// Its server does not answer at the moment.
        Unreachable = "unreachable",
    }
);

named!(
    /// Who runs a model.
    Provider, "provider" {
        /// This program itself.
        Builtin = "builtin",
        /// A server with the interface of OpenAI, such as Ollama or vLLM.
        Server = "server",
    }
);

/// An embedding model that is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EmbeddingModel {
    pub name: String,
    /// Numbers in a vector; `null` as long as nobody could ask the model.
    pub dim: Option<u32>,
    /// Tokens of a passage that it reads; what is longer is still found by keyword. `null`: not known.
    pub max_tokens: Option<u32>,
    pub provider: Provider,
    pub state: ModelState,
    /// One sentence for people: what it is, or what is missing.
    pub detail: String,
}

impl EmbeddingModel {
    /// The built-in one, as if its files were there.
    pub fn builtin() -> Self {
        Self {
            name: BUILTIN_MODEL.to_owned(),
            dim: Some(384),
            // Two of its 256 places are taken by marks.
            max_tokens: Some(254),
            provider: Provider::Builtin,
            state: ModelState::Ready,
            detail: "Runs inside this server.".to_owned(),
        }
    }
}

/// One of a fixed set of names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RagChoice {
    pub name: String,
    pub available: bool,
    /// One sentence for people: what it does, or why it cannot be chosen.
    pub detail: String,
}

/// Everything that can be chosen from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RagOptions {
    pub models: Vec<EmbeddingModel>,
    pub retriever_types: Vec<RagChoice>,
    pub chunking_strategies: Vec<RagChoice>,
    pub rerank_models: Vec<RagChoice>,
}

impl RagOptions {
    /// What this program can do by itself, with the models that were found.
    pub fn new(models: Vec<EmbeddingModel>) -> Self {
        Self {
            models,
            retriever_types: choices(&RETRIEVERS),
            chunking_strategies: choices(&STRATEGIES),
            rerank_models: choices(&RERANK_MODELS),
        }
    }

    /// The same with what is known of a cross-encoder elsewhere: whether it can be chosen, and what is said of it.
    #[must_use]
    pub fn with_cross_encoder(mut self, (available, detail): (bool, String)) -> Self {
        let name = RerankModel::CrossEncoder.as_str();
        if let Some(choice) = self.rerank_models.iter_mut().find(|c| c.name == name) {
            (choice.available, choice.detail) = (available, detail);
        }
        self
    }

    /// Why that order cannot be chosen; `None` when it can.
    pub(super) fn rerank_refusal(&self, model: RerankModel) -> Option<&str> {
        let choice = self.rerank_models.iter().find(|c| c.name == model.as_str());
        choice.filter(|c| !c.available).map(|c| c.detail.as_str())
    }

    pub fn model(&self, name: &str) -> Option<&EmbeddingModel> {
        self.models.iter().find(|m| m.name == name)
    }
}

type Row<T> = (T, bool, &'static str);

fn choices<T: fmt::Display>(rows: &[Row<T>]) -> Vec<RagChoice> {
    let choice = |(name, available, detail): &Row<T>| RagChoice {
        name: name.to_string(),
        available: *available,
        detail: (*detail).to_owned(),
    };
    rows.iter().map(choice).collect()
}

/// Why a name of such a table cannot be chosen; `None` when it can.
pub(super) fn refusal<T: PartialEq>(rows: &[Row<T>], name: &T) -> Option<&'static str> {
    rows.iter().find(|(n, available, _)| n == name && !available).map(|(_, _, why)| *why)
}

/// Name, whether it runs, and what is said about it.
pub const RETRIEVERS: [Row<RetrieverType>; 4] = [
    (RetrieverType::Vector, true, "Finds passages by meaning, also when they use other words."),
    (RetrieverType::Keyword, true, "Finds passages by their words; needs no embedding model."),
    (RetrieverType::Hybrid, true, "Finds passages by meaning and by words, and merges both lists."),
    (
        RetrieverType::Graph,
        true,
        "Follows the names that the question shares with the documents, and merges that with the order by meaning.",
    ),
];

/// Name, whether it runs, and what is said about it.
pub const STRATEGIES: [Row<ChunkingStrategy>; 5] = [
    (ChunkingStrategy::Sentence, true, "Whole sentences, as many as fit."),
    (ChunkingStrategy::Character, true, "As many characters as fit, cut at a good place near the end."),
    (ChunkingStrategy::Token, true, "Size and overlap count tokens instead of characters."),
    (ChunkingStrategy::Markdown, true, "Whole paragraphs, lists, tables and code, under their headings."),
    (
        ChunkingStrategy::Semantic,
        true,
        "Cuts where the topic changes; takes longer, since each sentence is embedded.",
    ),
];

/// What is said where the operator named none.
pub const NO_CROSS_ENCODER: &str = "This server has no cross-encoder; the operator names one in RERANK_URL.";

/// Name, whether it runs by itself, and what is said about it.
pub const RERANK_MODELS: [Row<RerankModel>; 3] = [
    (RerankModel::Rrf, true, "Merges the order by meaning with the order by words."),
    (RerankModel::Bm25, true, "Puts first what shares the rarest words with the question."),
    (RerankModel::CrossEncoder, false, NO_CROSS_ENCODER),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_row_in_order() {
        assert!(RETRIEVERS.iter().map(|r| &r.0).eq(RetrieverType::ALL));
        assert!(STRATEGIES.iter().map(|r| &r.0).eq(ChunkingStrategy::ALL));
        assert!(RERANK_MODELS.iter().map(|r| &r.0).eq(RerankModel::ALL));
        assert_eq!(refusal(&RETRIEVERS, &RetrieverType::Graph), None);
        assert_eq!(refusal(&[("a", false, "why")], &"a"), Some("why"));
    }

    #[test]
    fn a_cross_encoder_can_be_chosen_where_one_answers() {
        let without = RagOptions::new(vec![]);
        assert_eq!(without.rerank_refusal(RerankModel::CrossEncoder), Some(NO_CROSS_ENCODER));
        let silent = without.clone().with_cross_encoder((false, "It is away.".to_owned()));
        assert_eq!(silent.rerank_refusal(RerankModel::CrossEncoder), Some("It is away."));
        let with = without.with_cross_encoder((true, "Here.".to_owned()));
        assert_eq!(with.rerank_refusal(RerankModel::CrossEncoder), None);
        assert_eq!(with.rerank_refusal(RerankModel::Bm25), None);
    }
}
