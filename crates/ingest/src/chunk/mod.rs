//! Cutting an extracted text into passages that are embedded, indexed and shown.
//!
//! Pure and deterministic: the same text, settings and model give the same passages, byte for byte, so a passage that
//! did not change keeps its hash and is not embedded again. A strategy ([`sentence`], [`character`], [`tokens`],
//! [`markdown`], [`semantic`]) only says where to cut; [`draft`] makes passages of the cuts.
//!
//! What holds for every strategy: passages come in the order of the text, none lies inside another, every character
//! that is not white space is in at least one, none begins or ends with white space, and none is longer than asked.

pub mod character;
mod cutter;
pub mod draft;
pub mod markdown;
pub mod semantic;
pub mod sentence;
pub mod tokens;
mod units;

pub use cutter::Cutter;
pub use draft::ChunkDraft;
pub use tokens::TokenCounter;

use crate::extract::ExtractedText;
use domain::rag::{ChunkingStrategy, RagConfig};
use services::ports::EmbedError;
use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// How a text is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSettings {
    pub strategy: ChunkingStrategy,
    /// The longest passage: in tokens of the model for [`ChunkingStrategy::Token`], else in characters. At least 1.
    pub size: u32,
    /// How much of a passage may be repeated at the beginning of the next, in the same unit; less than `size`. It is
    /// made of whole units of the strategy (sentences, words), so it may be less than asked, and is none where the
    /// text itself parts: at a heading (`sentence`, `markdown`) and at a change of topic (`semantic`).
    pub overlap: u32,
}

impl From<&RagConfig> for ChunkSettings {
    fn from(config: &RagConfig) -> Self {
        Self { strategy: config.chunking_strategy, size: config.chunk_size, overlap: config.chunk_overlap }
    }
}

/// Why a text could not be cut.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChunkError {
    #[error("the size must be at least 1 and the overlap smaller than the size")]
    Settings,
    #[error("cutting by topic needs an embedding model")]
    NoEmbedder,
    #[error("cutting by topic failed: {0}")]
    Embedding(EmbedError),
    #[error("cutting by topic failed: {0} vectors for {1} texts")]
    Vectors(usize, usize),
    #[error("it makes {0} passages, and one document may have {MAX_CHUNKS}")]
    TooMany(usize),
    /// It was asked to.
    #[error("it was stopped")]
    Stopped,
}

/// Asks a cutting that is under way to end. It may be asked from anywhere; every clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks when it is dropped: for whoever may give up waiting.
    pub fn when_dropped(&self) -> StopGuard {
        StopGuard(self.clone())
    }
}

pub struct StopGuard(Stop);

impl Drop for StopGuard {
    fn drop(&mut self) {
        self.0.ask();
    }
}

/// Passages that one document may have. They are committed together, and nobody else writes meanwhile.
pub const MAX_CHUNKS: usize = 100_000;

/// Vectors for texts, in order: what `semantic` compares sentences with. May fail and may stop the work that way.
pub type EmbedFn<'a> = dyn Fn(&[&str]) -> Result<Vec<Vec<f32>>, EmbedError> + 'a;

/// Cuts a text by any strategy but `semantic`.
pub fn chunk(
    doc: &ExtractedText,
    settings: &ChunkSettings,
    tokens: &dyn TokenCounter,
) -> Result<Vec<ChunkDraft>, ChunkError> {
    chunk_with(doc, settings, tokens, None, &Stop::default())
}

/// Cuts a text; `semantic` needs `embed`, the other strategies do not call it. `stop` ends it early with
/// [`ChunkError::Stopped`].
pub fn chunk_with(
    doc: &ExtractedText,
    settings: &ChunkSettings,
    tokens: &dyn TokenCounter,
    embed: Option<&EmbedFn<'_>>,
    stop: &Stop,
) -> Result<Vec<ChunkDraft>, ChunkError> {
    if settings.size == 0 || settings.overlap >= settings.size {
        return Err(ChunkError::Settings);
    }
    let (size, overlap) = (settings.size as usize, settings.overlap as usize);
    let text = doc.text.as_str();
    // The places of all tokens: found once, used to cut by token and to count the tokens of every passage.
    let index = tokens::TokenIndex::of(text, tokens);
    let cuts: Vec<Range<usize>> = match settings.strategy {
        ChunkingStrategy::Sentence => sentence::cut(doc, size, overlap, stop),
        ChunkingStrategy::Token => tokens::cut(text, &index, tokens, size, overlap),
        ChunkingStrategy::Semantic => {
            semantic::cut(doc, size, overlap, embed.ok_or(ChunkError::NoEmbedder)?, stop)?
        }
        ChunkingStrategy::Character => character::cut(text, size, overlap),
        ChunkingStrategy::Markdown => markdown::cut(text, size, overlap, stop),
    };
    if stop.is_asked() {
        return Err(ChunkError::Stopped);
    }
    if cuts.len() > MAX_CHUNKS {
        return Err(ChunkError::TooMany(cuts.len()));
    }
    Ok(draft::drafts(doc, &cuts, &index))
}

/// The range without white space at its edges; `None` when nothing is left.
fn trimmed(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let part = text.get(range.clone())?;
    let start = range.start + (part.len() - part.trim_start().len());
    let end = range.end - (part.len() - part.trim_end().len());
    (start < end).then_some(start..end)
}
