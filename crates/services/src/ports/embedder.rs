//! Texts to vectors.

use async_trait::async_trait;
use domain::rag::EmbeddingModel;

#[derive(Debug, Clone, thiserror::Error)]
pub enum EmbedError {
    #[error("{0}")]
    /// The model is not there. The text says what to do.
    Missing(String),
    #[error("embedding failed: {0}")]
    Failed(String),
}

#[async_trait]
pub trait Embedder: Send + Sync {
    /// The models that can really run now.
    fn models(&self) -> Vec<EmbeddingModel>;

    /// One unit vector a text, in order. Uses all cores, so one call at a time is fastest.
    async fn embed(&self, model: &str, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError>;
}
