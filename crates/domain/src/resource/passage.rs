//! Passages, and what a search finds of them.

use super::DocumentRef;
use crate::ids::{ChunkId, DocumentId};
use serde::{Deserialize, Serialize};

/// A passage of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Chunk {
    pub id: ChunkId,
    pub document_id: DocumentId,
    pub ordinal: u32,
    pub text: String,
    pub page: Option<u32>,
    pub heading: Option<String>,
    /// Place in the extracted text, in characters.
    pub char_start: u64,
    pub char_end: u64,
    pub token_count: u32,
    /// False: it is kept, and no search finds it.
    pub enabled: bool,
    /// A person wrote these words in place of the document's.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub edited: bool,
    /// The version of the document that it is of.
    pub version: u32,
}

/// What a search answers for one passage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchHit {
    pub chunk: Chunk,
    pub document: DocumentRef,
    /// The one that the order goes by: the last of `scores` that there is.
    pub score: f64,
    pub scores: Scores,
}

/// How a passage was found: each way with its own score and the place that it gave. `null`: it was not looked for like
/// that, or not found among the best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Scores {
    /// By meaning: the cosine of the two vectors.
    pub vector: Option<Scored>,
    /// By words: the rank of the database's full text, made to fall in 0–1.
    pub keyword: Option<Scored>,
    /// By the things that question and passage name; 1 is the best.
    pub graph: Option<Scored>,
    /// Several orders made one; the first place in each of them is 1.
    pub fused: Option<Scored>,
    /// Put in order anew, by the scale of whoever did that.
    pub rerank: Option<Scored>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Scored {
    pub score: f64,
    /// From 1.
    pub rank: u32,
}
