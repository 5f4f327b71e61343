//! What is known of the models outlives this process: the store is told how long their vectors are.

use async_trait::async_trait;
use domain::rag::{EmbeddingModel, ModelState, Outage};
use services::ports::{EmbedError, Embedder, RagConfigs};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Tells the store of a length before anybody gets a vector of it.
pub struct Noting {
    inner: Arc<dyn Embedder>,
    configs: Arc<dyn RagConfigs>,
    /// What the store was told by this process.
    noted: Mutex<BTreeMap<String, u32>>,
}

impl Noting {
    pub fn new(inner: Arc<dyn Embedder>, configs: Arc<dyn RagConfigs>) -> Self {
        Self { inner, configs, noted: Mutex::default() }
    }

    async fn note(&self, model: &str, dim: u32) {
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner).get(model).copied();
        if noted == Some(dim) {
            return;
        }
        match self.configs.note_dim(model, dim).await {
            Ok(()) => {
                self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(model.to_owned(), dim);
            }
            // Those who asked have their vectors all the same, and the next answer tells it.
            Err(error) => tracing::warn!(model, %error, "the dimensions of a model could not be noted"),
        }
    }
}

#[async_trait]
impl Embedder for Noting {
    async fn models(&self) -> Vec<EmbeddingModel> {
        let models = self.inner.models().await;
        for model in models.iter().filter(|model| model.state == ModelState::Ready) {
            if let Some(dim) = model.dim {
                self.note(&model.name, dim).await;
            }
        }
        models
    }

    async fn embed(&self, model: &str, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let vectors = self.inner.embed(model, texts).await?;
        if let Some(dim) = vectors.first().and_then(|vector| u32::try_from(vector.len()).ok()) {
            self.note(model, dim).await;
        }
        Ok(vectors)
    }

    fn outage(&self, model: &str) -> Option<Outage> {
        self.inner.outage(model)
    }
}
