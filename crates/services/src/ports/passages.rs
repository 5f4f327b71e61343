//! Single passages of a document: reading them one by one, and what people do to them.

use super::{PageQuery, StoreError};
use async_trait::async_trait;
use domain::{Chunk, ChunkId, DocumentId, Timestamp, UserId, graph::ChunkGraph, resource::Page};

/// Words that somebody wrote in place of a passage's, with what follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub text: String,
    /// SHA-256 of the text, hexadecimal.
    pub content_hash: String,
    pub token_count: u32,
    pub graph: ChunkGraph,
}

/// What is to be different about a passage; `None` leaves it as it is.
#[derive(Clone, Debug)]
pub struct ChunkChange {
    pub user: UserId,
    pub document: DocumentId,
    pub chunk: ChunkId,
    pub words: Option<Written>,
    pub enabled: Option<bool>,
    /// Its new vector, of the model that the document was embedded with.
    pub vector: Option<(String, Vec<f32>)>,
    pub now: Timestamp,
}

#[async_trait]
pub trait Passages: Send + Sync {
    /// Of those that searches find, or would if they were enabled. `None` also when it is somebody else's.
    async fn passage(
        &self,
        user: UserId,
        document: DocumentId,
        chunk: ChunkId,
    ) -> Result<Option<Chunk>, StoreError>;

    /// Of those of versions that were replaced, under the id that it had. `None` also when it is somebody else's.
    async fn old_passage(
        &self,
        user: UserId,
        document: DocumentId,
        chunk: ChunkId,
    ) -> Result<Option<Chunk>, StoreError>;

    /// The ids of the passages right before and right behind that place, of those that searches find, or would.
    async fn neighbours(
        &self,
        user: UserId,
        document: DocumentId,
        ordinal: u32,
    ) -> Result<(Option<ChunkId>, Option<ChunkId>), StoreError>;

    /// Those that have these words in heading or text, by ordinal. `words` is a person's text, whose letters may be of
    /// either case.
    async fn passages_with(
        &self,
        user: UserId,
        document: DocumentId,
        words: &str,
        page: PageQuery,
    ) -> Result<Page<Chunk>, StoreError>;

    /// Changes a passage with its words, its vector and its graph in the index, in one transaction, and notes it for
    /// whatever is cut word for word like that. Emits `document_status`, unless everything was like that before.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's, or gone with a re-index; `Refused` while somebody works on the document,
    /// or when it is embedded with another model by now.
    async fn change_passage(&self, change: ChunkChange) -> Result<Chunk, StoreError>;
}
