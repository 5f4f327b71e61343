//! The built-in model, loaded once, when it is first needed: it embeds, and its tokenizer measures passages.

use async_trait::async_trait;
use domain::rag::EmbeddingModel;
use embedding::MiniLm;
use ingest::{
    chunk::TokenCounter,
    pipeline::{SharedTokens, Tokenizers},
};
use services::ports::{EmbedError, Embedder};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

pub struct LocalEmbedder {
    loader: Arc<Loader>,
    /// Held while it works: each call uses all cores, so two at once would only be slower.
    turn: tokio::sync::Mutex<()>,
}

struct Loader {
    /// Folder of the model's files.
    dir: PathBuf,
    model: Mutex<Option<Arc<MiniLm>>>,
}

impl Loader {
    /// The model; takes a moment the first time, so it is called on threads for blocking work. A failure is not kept:
    /// the files may come while the server runs.
    fn load(&self, model: &str) -> Result<Arc<MiniLm>, EmbedError> {
        if model != MiniLm::NAME {
            let sentence = format!("This server cannot run the model {model}; it has {}.", MiniLm::NAME);
            return Err(EmbedError::Missing(sentence));
        }
        let mut slot = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*slot {
            return Ok(loaded.clone());
        }
        // The error's sentence names the file and what to do about it.
        let loaded = Arc::new(MiniLm::load(&self.dir).map_err(|e| EmbedError::Missing(e.to_string()))?);
        tracing::info!(model, "the embedding model is loaded");
        Ok(slot.insert(loaded).clone())
    }
}

impl LocalEmbedder {
    pub fn new(models_dir: &Path) -> Self {
        let loader = Arc::new(Loader { dir: models_dir.join(MiniLm::NAME), model: Mutex::new(None) });
        Self { loader, turn: tokio::sync::Mutex::new(()) }
    }
}

#[async_trait]
impl Embedder for LocalEmbedder {
    fn models(&self) -> Vec<EmbeddingModel> {
        // Looked up each time: the files may come while the server runs.
        if !self.loader.dir.join("model.safetensors").is_file() {
            return vec![];
        }
        vec![EmbeddingModel { name: MiniLm::NAME.to_owned(), dim: MiniLm::DIM as u32 }]
    }

    async fn embed(&self, model: &str, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let _turn = self.turn.lock().await;
        let (loader, model) = (self.loader.clone(), model.to_owned());
        let work = tokio::task::spawn_blocking(move || {
            let model = loader.load(&model)?;
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            model.embed(&texts).map_err(|e| EmbedError::Failed(e.to_string()))
        });
        work.await.map_err(|e| EmbedError::Failed(e.to_string()))?
    }
}

impl Tokenizers for LocalEmbedder {
    fn tokens(&self, model: &str) -> Result<SharedTokens, EmbedError> {
        Ok(Arc::new(WordPieces(self.loader.load(model)?)))
    }
}

/// The model's tokenizer.
struct WordPieces(Arc<MiniLm>);

impl TokenCounter for WordPieces {
    fn count(&self, text: &str) -> usize {
        self.0.count_tokens(text)
    }

    fn offsets(&self, text: &str) -> Vec<(usize, usize)> {
        self.0.token_offsets(text)
    }

    fn parts_at_white_space(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_model_is_named_with_what_to_do() {
        let dir = tempfile::tempdir().expect("a folder");
        let embedder = LocalEmbedder::new(dir.path());
        assert_eq!(embedder.models(), []);
        let Err(EmbedError::Missing(said)) = embedder.embed(MiniLm::NAME, vec!["a".into()]).await else {
            panic!("found a model in an empty folder");
        };
        assert!(
            said.contains("cargo xtask setup") && said.contains(&dir.path().display().to_string()),
            "{said}"
        );
        assert!(matches!(embedder.tokens("another"), Err(EmbedError::Missing(_))));
    }
}
