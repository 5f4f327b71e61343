//! What search reads: vectors and full text, always joined with the live rows.

use super::StoreError;
use async_trait::async_trait;
use domain::{Chunk, ChunkId, UserId, WorkspaceId, resource::DocumentRef};

#[derive(Clone, Debug)]
pub struct StoredVector {
    pub chunk_id: ChunkId,
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

    /// Vectors of enabled chunks of ready documents, with the version they belong to; read in one transaction.
    async fn vectors(&self, workspace: WorkspaceId) -> Result<(u64, Vec<StoredVector>), StoreError>;

    /// The engine's own full-text search over ready documents. `query` is a person's text, not the engine's syntax.
    async fn keyword(
        &self,
        workspace: WorkspaceId,
        query: &str,
        limit: u32,
    ) -> Result<Vec<KeywordHit>, StoreError>;

    /// The live rows of those ids that the user may see; missing ones are gone.
    async fn hits(&self, user: UserId, ids: &[ChunkId]) -> Result<Vec<(Chunk, DocumentRef)>, StoreError>;
}
