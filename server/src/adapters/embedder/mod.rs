//! Every embedding model that this server can use: the built-in one and those of an embedding server. Which of the two
//! runs a model is decided here, by its name.

mod local;
mod noting;
mod remote;

pub use noting::Noting;
pub use remote::EmbeddingServer;

use async_trait::async_trait;
use domain::rag::{BUILTIN_MODEL, EmbeddingModel, ModelState, Outage, Provider};
use ingest::{
    chunk::TokenCounter,
    pipeline::{SharedTokens, Tokenizers},
};
use local::LocalEmbedder;
use remote::RemoteEmbedder;
use services::ports::{Clock, EmbedError, Embedder};
use std::{path::Path, sync::Arc};

/// Offered even when nobody can run it, since much is written about it.
const WELL_KNOWN: (&str, u32) = ("nomic-embed-text", 768);

pub struct Models {
    local: LocalEmbedder,
    remote: Option<RemoteEmbedder>,
}

impl Models {
    /// # Errors
    /// A sentence, when the client for the embedding server cannot be made.
    pub fn new(
        models_dir: &Path,
        server: Option<EmbeddingServer>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let remote = server.map(|server| RemoteEmbedder::new(server, clock)).transpose()?;
        Ok(Self { local: LocalEmbedder::new(models_dir), remote })
    }
}

#[async_trait]
impl Embedder for Models {
    async fn models(&self) -> Vec<EmbeddingModel> {
        let mut models = vec![self.local.state()];
        let server = match &self.remote {
            Some(remote) => remote.models().await,
            None => vec![],
        };
        models.extend(server.into_iter().filter(|m| m.name != BUILTIN_MODEL));
        if models.iter().all(|m| m.name != WELL_KNOWN.0) {
            let detail = match &self.remote {
                None => {
                    "It needs an embedding server, such as Ollama; the operator names one in EMBEDDINGS_URL."
                }
                Some(_) => "The embedding server does not have it; the operator adds it there.",
            };
            models.push(EmbeddingModel {
                name: WELL_KNOWN.0.to_owned(),
                dim: Some(WELL_KNOWN.1),
                max_tokens: None,
                provider: Provider::Server,
                state: ModelState::NeedsConfiguration,
                detail: detail.to_owned(),
            });
        }
        models
    }

    async fn embed(&self, model: &str, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        match &self.remote {
            _ if model == BUILTIN_MODEL => self.local.embed(texts).await,
            Some(remote) => remote.embed(model, &texts).await,
            None => Err(EmbedError::Missing(format!(
                "The model {model} needs an embedding server; the operator names one in EMBEDDINGS_URL."
            ))),
        }
    }

    fn outage(&self, model: &str) -> Option<Outage> {
        self.remote.as_ref().filter(|_| model != BUILTIN_MODEL)?.outage()
    }
}

impl Tokenizers for Models {
    /// The tokenizers of other models are not at hand: their tokens are counted with the built-in one, which comes
    /// close, and when even that is not there by a rule of thumb.
    fn tokens(&self, model: &str) -> Result<SharedTokens, EmbedError> {
        match self.local.tokens() {
            Err(_) if model != BUILTIN_MODEL => Ok(Arc::new(RuleOfThumb)),
            found => found,
        }
    }
}

/// A token is a piece of a word of at most four characters.
struct RuleOfThumb;

impl TokenCounter for RuleOfThumb {
    fn count(&self, text: &str) -> usize {
        self.offsets(text).len()
    }

    fn offsets(&self, text: &str) -> Vec<(usize, usize)> {
        const LONGEST: usize = 4;
        let mut tokens: Vec<(usize, usize)> = vec![];
        let mut length = 0;
        for (at, c) in text.char_indices() {
            if c.is_whitespace() {
                length = 0;
                continue;
            }
            let end = at + c.len_utf8();
            match tokens.last_mut() {
                Some(last) if (1..LONGEST).contains(&length) => {
                    last.1 = end;
                    length += 1;
                }
                _ => {
                    tokens.push((at, end));
                    length = 1;
                }
            }
        }
        tokens
    }

    fn parts_at_white_space(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::SystemClock;

    #[test]
    fn the_rule_of_thumb_never_joins_words() {
        let offsets = RuleOfThumb.offsets("the harbours \u{e9}t\u{e9}s");
        let text = "the harbours \u{e9}t\u{e9}s";
        let pieces: Vec<&str> = offsets.iter().map(|(a, b)| &text[*a..*b]).collect();
        assert_eq!(pieces, ["the", "harb", "ours", "\u{e9}t\u{e9}s"]);
    }

    #[tokio::test]
    async fn without_a_server_the_well_known_model_tells_what_it_needs() {
        let dir = tempfile::tempdir().expect("a folder");
        let models = Models::new(dir.path(), None, Arc::new(SystemClock)).expect("made");
        let offered = models.models().await;
        let states: Vec<_> = offered.iter().map(|m| (m.name.as_str(), m.dim, m.state)).collect();
        assert_eq!(
            states,
            [
                ("all-MiniLM-L6-v2", Some(384), ModelState::NeedsConfiguration),
                ("nomic-embed-text", Some(768), ModelState::NeedsConfiguration),
            ]
        );
        assert!(offered[1].detail.contains("EMBEDDINGS_URL"));
        let said = models.embed("nomic-embed-text", vec!["a".into()]).await.expect_err("nobody runs it");
        assert_eq!(said.code(), "model_missing");
        // Counting works without any model, but not as if the built-in one were there.
        assert_eq!(models.tokens("nomic-embed-text").expect("a rule").count("harbour"), 2);
        assert!(models.tokens(BUILTIN_MODEL).is_err());
    }
}
