//! The chunker behind the port of that name: for previews and estimates, with the tokenizers and the embedder of the
//! pipeline.

use super::{ChunkDraft, ChunkError, ChunkSettings, EmbedFn, Stop, chunk_with, draft::sha256_hex};
use crate::{
    extract::ExtractedText,
    graph::{self, Passage},
    pipeline::Tokenizers,
};
use async_trait::async_trait;
use bytes::Bytes;
use domain::rag::{RagConfig, Sampled};
use services::ports::{Chunker, CutChunk, CutError, Embedder, Written};
use std::sync::Arc;

#[derive(Clone)]
pub struct Cutter {
    tokenizers: Arc<dyn Tokenizers>,
    embedder: Arc<dyn Embedder>,
}

impl From<ChunkError> for CutError {
    fn from(e: ChunkError) -> Self {
        match e {
            ChunkError::Embedding(e) => Self::Embed(e),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl Cutter {
    pub fn new(tokenizers: Arc<dyn Tokenizers>, embedder: Arc<dyn Embedder>) -> Self {
        Self { tokenizers, embedder }
    }

    /// Cuts on a thread for such work; `read` makes the text there too.
    async fn on_its_thread(
        &self,
        config: &RagConfig,
        embeds: bool,
        read: impl FnOnce() -> Result<ExtractedText, CutError> + Send + 'static,
    ) -> Result<(ExtractedText, Vec<ChunkDraft>), CutError> {
        let (this, config) = (self.clone(), config.clone());
        let runtime = tokio::runtime::Handle::current();
        let stop = Stop::default();
        // Nobody waits for it any more once this future is dropped.
        let _guard = stop.when_dropped();
        let cutting = tokio::task::spawn_blocking(move || {
            let text = read()?;
            let tokens = this.tokenizers.tokens(&config.embedding_model)?;
            let really = |texts: &[&str]| {
                let texts = texts.iter().map(|t| (*t).to_owned()).collect();
                runtime.block_on(this.embedder.embed(&config.embedding_model, texts))
            };
            // As if all sentences meant the same.
            let alike = |texts: &[&str]| Ok(vec![vec![1.0]; texts.len()]);
            let embed: &EmbedFn<'_> = if embeds { &really } else { &alike };
            let drafts =
                chunk_with(&text, &ChunkSettings::from(&config), tokens.as_ref(), Some(embed), &stop)?;
            Ok((text, drafts))
        });
        cutting.await.map_err(|e| CutError::Failed(e.to_string()))?
    }
}

#[async_trait]
impl Chunker for Cutter {
    async fn cut(&self, config: &RagConfig, text: String) -> Result<Vec<CutChunk>, CutError> {
        let read = move || Ok(ExtractedText { text, ..ExtractedText::default() });
        let (_, drafts) = self.on_its_thread(config, true, read).await?;
        let cut = drafts.into_iter().map(|d| CutChunk {
            characters: d.char_end - d.char_start,
            tokens: u64::from(d.token_count),
            text: d.text,
        });
        Ok(cut.collect())
    }

    async fn measure(&self, config: &RagConfig, stored: Bytes) -> Result<Sampled, CutError> {
        let read = move || serde_json::from_slice(&stored).map_err(|e| CutError::Failed(e.to_string()));
        let (text, drafts) = self.on_its_thread(config, false, read).await?;
        Ok(Sampled {
            characters: text.text.chars().count() as u64,
            chunks: drafts.len() as u64,
            tokens: drafts.iter().map(|d| u64::from(d.token_count)).sum(),
        })
    }

    async fn written(
        &self,
        config: &RagConfig,
        heading: Option<String>,
        text: String,
    ) -> Result<Written, CutError> {
        let (tokenizers, config) = (self.tokenizers.clone(), config.clone());
        let working = tokio::task::spawn_blocking(move || {
            let tokens = tokenizers.tokens(&config.embedding_model)?.count(&text);
            let graph = match config.has_graph() {
                true => graph::extract(&[Passage { heading: heading.as_deref(), text: &text }]).pop(),
                false => None,
            };
            Ok(Written {
                content_hash: sha256_hex(&text),
                token_count: u32::try_from(tokens).unwrap_or(u32::MAX),
                graph: graph.unwrap_or_default(),
                text,
            })
        });
        working.await.map_err(|e| CutError::Failed(e.to_string()))?
    }

    async fn text(&self, stored: Bytes) -> Result<String, CutError> {
        let reading = tokio::task::spawn_blocking(move || serde_json::from_slice::<ExtractedText>(&stored));
        let read = reading.await.map_err(|e| CutError::Failed(e.to_string()))?;
        Ok(read.map_err(|e| CutError::Failed(e.to_string()))?.text)
    }
}
