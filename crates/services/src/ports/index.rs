//! What search reads: vectors and full text, always joined with the live rows.

use super::StoreError;
use async_trait::async_trait;
use domain::{Chunk, ChunkId, UserId, WorkspaceId, resource::DocumentRef};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct StoredVector {
    pub chunk_id: ChunkId,
    /// The model that made it: vectors of two models cannot be compared.
    pub model: Arc<str>,
    pub vector: Vec<f32>,
}

#[derive(Clone, Debug)]
pub struct KeywordHit {
    pub chunk_id: ChunkId,
    /// Higher is better; comparable within one query only.
    pub rank: f64,
}

#[async_trait]
pub trait Index: Send + Sync {
    /// Rises with every transaction that changes what a search of this workspace may find.
    async fn index_version(&self, workspace: WorkspaceId) -> Result<u64, StoreError>;

    /// Makes place for the workspace in the index; a second time changes nothing.
    async fn prepare(&self, user: UserId, workspace: WorkspaceId) -> Result<(), StoreError>;

    /// Vectors of the enabled chunks that searches find, with the version they belong to; read in one transaction.
    async fn vectors(&self, workspace: WorkspaceId) -> Result<(u64, Vec<StoredVector>), StoreError>;

    /// The engine's own full-text search over the chunks that searches find. `query` is a person's text, not the engine's syntax.
    async fn keyword(
        &self,
        workspace: WorkspaceId,
        query: &str,
        limit: u32,
    ) -> Result<Vec<KeywordHit>, StoreError>;

    /// The live rows of those ids that the user may see; missing ones are gone.
    async fn hits(&self, user: UserId, ids: &[ChunkId]) -> Result<Vec<(Chunk, DocumentRef)>, StoreError>;
}
