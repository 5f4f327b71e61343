//! Texts to vectors.

use async_trait::async_trait;
use domain::rag::{EmbeddingModel, Outage};

#[derive(Debug, Clone, thiserror::Error)]
pub enum EmbedError {
    /// The model is not there. The text says what to do.
    #[error("{0}")]
    Missing(String),
    /// The model's server does not answer, or not in time. It may heal by itself.
    #[error("{0}")]
    Unreachable(String),
    /// The model's server failed so often that it is left alone for a while: nothing was asked.
    #[error("{}", .0.words())]
    Away(Outage),
    /// The model's server refuses, or answers what cannot be used; trying again does not help. The text says what the
    /// operator can do.
    #[error("{sentence}")]
    Refused { code: &'static str, sentence: String },
    #[error("embedding failed: {0}")]
    Failed(String),
}

impl EmbedError {
    /// Stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            EmbedError::Missing(_) => "model_missing",
            EmbedError::Unreachable(_) | EmbedError::Away(_) => "model_unreachable",
            EmbedError::Refused { code, .. } => code,
            EmbedError::Failed(_) => "embedding_failed",
        }
    }

    /// Whether the same call may succeed a moment later.
    pub const fn may_heal(&self) -> bool {
        matches!(self, EmbedError::Unreachable(_) | EmbedError::Away(_) | EmbedError::Failed(_))
    }
}

#[async_trait]
pub trait Embedder: Send + Sync {
    /// The models that are offered, each with its state, found out just now or a few seconds ago.
    async fn models(&self) -> Vec<EmbeddingModel>;

    /// One unit vector a text, in order. The built-in model uses all cores, so one call at a time is fastest.
    async fn embed(&self, model: &str, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError>;

    /// Of the server that runs the model, where it cannot be had at the moment. Asks nobody.
    fn outage(&self, model: &str) -> Option<Outage>;
}
