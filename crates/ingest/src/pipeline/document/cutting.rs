//! From the text to its passages, with what they speak of where the workspace is searched by its graph.

use super::{Pulse, Stop, Work, broken, embedding::without_vectors, patience::Asking};
use crate::{
    chunk::{ChunkDraft, ChunkError, ChunkSettings, Stop as StopCutting, chunk_with},
    graph::{self, Passage},
};
use domain::{
    ChunkId, Step,
    graph::ChunkGraph,
    ingest::{Checkpoint, ChunkMark, Failure, NewChunk, Stage},
    message::Facts,
};
use std::{collections::HashMap, time::Duration};

/// How long a text may be cut, and how much longer for each megabyte: an honest one takes a twentieth of it. What it takes
/// to ask a model for the topics is no part of it.
const CUT_TIME: Duration = Duration::from_secs(60);
const CUT_TIME_PER_MEGABYTE: Duration = Duration::from_secs(6);

impl Work<'_> {
    pub(super) async fn cut(&mut self) -> Result<Stage, Stop> {
        let text = self.stored_text().await?;
        self.step(Step::ChunkingText, Facts::default()).await?;
        let config = self.claim.rag_config.clone();
        let tokenizers = self.context.tools.tokenizers.clone();
        let embedder = self.context.services.embedder.clone();
        let runtime = tokio::runtime::Handle::current();
        let patience = CUT_TIME + CUT_TIME_PER_MEGABYTE.mul_f64(text.text.len() as f64 / 1e6);
        let stop = StopCutting::default();
        let _guard = stop.when_dropped();
        let pulse = Pulse::default();
        let asking = Asking::default();
        let (beat, asked) = (pulse.clone(), asking.clone());
        let cutting = tokio::task::spawn_blocking(move || {
            let tokens = tokenizers.tokens(&config.embedding_model).map_err(|e| without_vectors(&e))?;
            let embed = |texts: &[&str]| {
                beat.beat();
                let texts = texts.iter().map(|t| (*t).to_owned()).collect();
                asked.asks(|| runtime.block_on(embedder.embed(&config.embedding_model, texts)))
            };
            chunk_with(&text, &ChunkSettings::from(&config), tokens.as_ref(), Some(&embed), &stop)
                .map_err(not_cut)
        });
        let drafts = match self.minding(&pulse, asking.within(patience, cutting)).await? {
            Some(drafts) => drafts.map_err(broken)??,
            None => {
                return Err(Stop::Failed(Failure {
                    code: "took_too_long".into(),
                    message: "Splitting this text takes longer than one document may.".into(),
                    hint: Some("Check what is in it, or choose another chunking strategy.".into()),
                    retryable: false,
                }));
            }
        };
        if drafts.is_empty() {
            return Err(Stop::Failed(Failure {
                code: "no_text".into(),
                message: "No text was found in this file.".into(),
                hint: Some("Check the original; pictures in it are not read.".into()),
                retryable: false,
            }));
        }
        let mut chunks: Vec<NewChunk> = drafts.into_iter().map(|d| self.new_chunk(d)).collect();
        let marks = self.context.services.jobs.marks(self.claim).await?;
        let marks: HashMap<&str, &ChunkMark> = marks.iter().map(|m| (m.cut_hash.as_str(), m)).collect();
        for chunk in &mut chunks {
            if let Some(mark) = marks.get(chunk.content_hash.as_str()) {
                chunk.take(mark);
            }
        }
        if self.claim.rag_config.has_graph() {
            chunks = self.with_graph(chunks).await?;
        }
        self.checkpoint(Checkpoint::Chunked { chunks }).await?;
        self.compare().await?;
        Ok(if self.claim.embeds { Stage::Embedding } else { Stage::Indexing })
    }

    /// Finds out what the passages speak of; it is committed with them.
    async fn with_graph(&self, chunks: Vec<NewChunk>) -> Result<Vec<NewChunk>, Stop> {
        self.step(Step::Classification, Facts::default()).await?;
        let (chunks, found) = off_the_runtime(move || {
            let passages: Vec<Passage<'_>> =
                chunks.iter().map(|c| Passage { heading: c.heading.as_deref(), text: &c.text }).collect();
            let found = graph::classify(&passages);
            (chunks, found)
        })
        .await?;
        self.gate()?;
        self.step(Step::EntityResolution, Facts::default()).await?;
        let found = off_the_runtime(move || graph::resolve(found)).await?;
        self.gate()?;
        self.step(Step::Enrichment, Facts::default()).await?;
        off_the_runtime(move || {
            let graphs = graph::relate(&found);
            chunks.into_iter().zip(graphs).map(|(chunk, graph)| NewChunk { graph, ..chunk }).collect()
        })
        .await
    }

    /// Says with which document of the workspace this one has most in common.
    async fn compare(&self) -> Result<(), Stop> {
        let Some(alike) = self.context.services.jobs.most_alike(self.claim).await? else { return Ok(()) };
        let (with, filename, shared) = (alike.document_id, alike.filename, alike.shared);
        self.checkpoint(Checkpoint::Compared { with, filename, shared }).await
    }

    fn new_chunk(&self, d: ChunkDraft) -> NewChunk {
        NewChunk {
            id: ChunkId::new(self.context.services.ids.uuid()),
            ordinal: d.ordinal,
            text: d.text,
            content_hash: d.content_hash,
            page: d.page,
            heading: d.heading,
            char_start: d.char_start,
            char_end: d.char_end,
            token_count: d.token_count,
            enabled: true,
            cut_hash: None,
            graph: ChunkGraph::default(),
        }
    }
}

/// Work that takes its time and waits for nothing.
async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stop> {
    tokio::task::spawn_blocking(work).await.map_err(broken)
}

fn not_cut(e: ChunkError) -> Stop {
    match &e {
        ChunkError::Embedding(e) => without_vectors(e),
        _ => Stop::Failed(failure_of_cut(&e)),
    }
}

fn failure_of_cut(e: &ChunkError) -> Failure {
    if let ChunkError::TooMany(_) = e {
        return Failure {
            code: "too_many_chunks".into(),
            message: format!("The text could not be cut: {e}."),
            hint: Some("Choose a larger chunk size or a smaller overlap, or split the file.".into()),
            retryable: false,
        };
    }
    Failure {
        code: "chunking_failed".into(),
        message: format!("The text could not be cut: {e}."),
        hint: Some("Choose another chunking strategy in the workspace's settings, and try again.".into()),
        retryable: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_a_text_that_cannot_be_cut_is_told_what_helps() {
        let all = [
            ChunkError::Settings,
            ChunkError::NoEmbedder,
            ChunkError::Vectors(1, 2),
            ChunkError::TooMany(100_001),
        ];
        for e in all {
            let failure = failure_of_cut(&e);
            assert!(failure.hint.is_some_and(|hint| hint.ends_with('.')), "{e}");
        }
    }
}
