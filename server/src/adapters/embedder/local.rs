//! The built-in model, loaded once, when it is first needed: it embeds, and its tokenizer measures passages.

use domain::rag::{EmbeddingModel, ModelState};
use embedding::{MiniLm, ModelError};
use ingest::{chunk::TokenCounter, pipeline::SharedTokens};
use services::ports::EmbedError;
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
    fn load(&self) -> Result<Arc<MiniLm>, EmbedError> {
        let mut slot = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*slot {
            return Ok(loaded.clone());
        }
        // The error's sentence names the file and what to do about it.
        let loaded = Arc::new(MiniLm::load(&self.dir).map_err(|e| EmbedError::Missing(e.to_string()))?);
        tracing::info!(model = MiniLm::NAME, "the embedding model is loaded");
        Ok(slot.insert(loaded).clone())
    }
}

impl LocalEmbedder {
    pub fn new(models_dir: &Path) -> Self {
        let loader = Arc::new(Loader { dir: models_dir.join(MiniLm::NAME), model: Mutex::new(None) });
        Self { loader, turn: tokio::sync::Mutex::new(()) }
    }
}

impl LocalEmbedder {
    /// What is said of it now: its files may come while the server runs.
    pub fn state(&self) -> EmbeddingModel {
        let ready = EmbeddingModel::builtin();
        let is_loaded = self.loader.model.try_lock().is_ok_and(|slot| slot.is_some());
        let detail = match MiniLm::check(&self.loader.dir) {
            _ if is_loaded => return ready,
            Ok(()) => return ready,
            Err(ModelError::Missing { .. }) => {
                "Its files are not on this server; the operator brings them with `cargo xtask setup`, or names their \
                 folder in INSIGHTHUB_MODELS_DIR."
            }
            Err(ModelError::Damaged { .. }) => {
                "Its files on this server are damaged; the operator deletes them and runs `cargo xtask setup`."
            }
        };
        EmbeddingModel { state: ModelState::NeedsConfiguration, detail: detail.to_owned(), ..ready }
    }

    pub async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let _turn = self.turn.lock().await;
        let loader = self.loader.clone();
        let work = tokio::task::spawn_blocking(move || {
            let model = loader.load()?;
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            model.embed(&texts).map_err(|e| EmbedError::Failed(e.to_string()))
        });
        work.await.map_err(|e| EmbedError::Failed(e.to_string()))?
    }

    pub fn tokens(&self) -> Result<SharedTokens, EmbedError> {
        Ok(Arc::new(WordPieces(self.loader.load()?)))
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
        assert_eq!(embedder.state().state, ModelState::NeedsConfiguration);
        let Err(EmbedError::Missing(said)) = embedder.embed(vec!["a".into()]).await else {
            panic!("found a model in an empty folder");
        };
        assert!(
            said.contains("cargo xtask setup") && said.contains(&dir.path().display().to_string()),
            "{said}"
        );
        assert!(matches!(embedder.tokens(), Err(EmbedError::Missing(_))));
    }

    #[test]
    fn a_model_whose_download_broke_off_is_not_ready() {
        let models = std::env::var_os("INSIGHTHUB_MODELS_DIR").map(PathBuf::from);
        let whole = models.unwrap_or_else(crate::config::default_models).join(MiniLm::NAME);
        let dir = tempfile::tempdir().expect("a folder");
        let files = dir.path().join(MiniLm::NAME);
        std::fs::create_dir(&files).expect("made");
        for name in ["config.json", "tokenizer.json"] {
            std::fs::copy(whole.join(name), files.join(name)).expect("the model is here");
        }
        let embedder = LocalEmbedder::new(dir.path());
        assert_eq!(embedder.state().state, ModelState::NeedsConfiguration);
        let tensors = std::fs::read(whole.join("model.safetensors")).expect("the model is here");
        std::fs::write(files.join("model.safetensors"), &tensors[..tensors.len() - 1]).expect("written");
        let torn = embedder.state();
        assert_eq!(torn.state, ModelState::NeedsConfiguration);
        assert!(torn.detail.contains("damaged"), "{}", torn.detail);
        std::fs::write(files.join("model.safetensors"), &tensors).expect("written");
        assert_eq!(embedder.state().state, ModelState::Ready);
    }
}
