//! What search reads: vectors and full text, always joined with the live rows.

use super::StoreError;
use async_trait::async_trait;
use domain::{Chunk, ChunkId, UserId, WorkspaceId, graph::RelationKind, resource::DocumentRef};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct StoredVector {
    pub chunk_id: ChunkId,
    /// The model that made it: vectors of two models cannot be compared.
    pub model: Arc<str>,
    pub vector: Vec<f32>,
}

/// What is to be known of a workspace whose vectors stay where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The index version that it belongs to.
    pub version: u64,
    /// The models that made its vectors, each once, in the order of their names.
    pub models: Vec<Arc<str>>,
    /// Passages that have none, since their embedding was left out.
    pub bare: u64,
}

#[derive(Clone, Debug)]
pub struct KeywordHit {
    pub chunk_id: ChunkId,
    /// Higher is better; comparable within one query only.
    pub rank: f64,
}

/// What is known of all passages that searches find, for weighing words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Corpus {
    pub passages: u64,
    /// Of all of them together.
    pub tokens: u64,
    /// How many of them have each of the words that were asked for, in their order.
    pub with_word: Vec<u64>,
}

/// A thing that passages name, by one of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphEntity {
    pub entity: String,
    pub surface: String,
    /// How many passages name it, by any of its names.
    pub passages: u64,
}

/// What some passages say of two things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphEdge {
    pub source: String,
    pub target: String,
    pub kind: RelationKind,
    pub passages: u64,
}

/// A passage that names a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphMention {
    pub chunk_id: ChunkId,
    pub entity: String,
    pub times: u32,
}

#[async_trait]
pub trait Index: Send + Sync {
    /// Rises with every transaction that changes what a search of this workspace may find.
    async fn index_version(&self, workspace: WorkspaceId) -> Result<u64, StoreError>;

    /// Makes place for the workspace in the index; a second time changes nothing.
    async fn prepare(&self, user: UserId, workspace: WorkspaceId) -> Result<(), StoreError>;

    /// Vectors of the enabled chunks that searches find, with the version they belong to; read in one transaction.
    async fn vectors(&self, workspace: WorkspaceId) -> Result<(u64, Vec<StoredVector>), StoreError>;

    /// Of a workspace whose vectors take more than `budget` bytes of memory, where the database searches vectors by itself
    /// ([`Index::candidates`]); `None` otherwise. It is found out without reading them.
    async fn outline(&self, workspace: WorkspaceId, budget: u64) -> Result<Option<Outline>, StoreError>;

    /// Few vectors of that model and of the length of `query`, among which are the `k` that are nearest to it, and all
    /// others that are as near as the last of these, in whatever order the products are added up. `None` where the database
    /// cannot tell: then all have to be read.
    async fn candidates(
        &self,
        workspace: WorkspaceId,
        model: &str,
        query: &[f32],
        k: u32,
    ) -> Result<Option<Vec<StoredVector>>, StoreError>;

    /// Those of the passages that have no vector.
    async fn without_vectors(&self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, StoreError>;

    /// The engine's own full-text search over the chunks that searches find. `query` is a person's text, not the engine's syntax.
    async fn keyword(
        &self,
        workspace: WorkspaceId,
        query: &str,
        limit: u32,
    ) -> Result<Vec<KeywordHit>, StoreError>;

    /// Counts over the passages that searches find. Each of `words` is one word, which the engine's full text looks for in
    /// its forms.
    async fn corpus(&self, workspace: WorkspaceId, words: &[String]) -> Result<Corpus, StoreError>;

    /// What passages of the workspace call by one of these names ([`domain::graph::key`]). Of all that is about the graph,
    /// only what stands in passages that searches find.
    async fn entities(
        &self,
        workspace: WorkspaceId,
        surfaces: &[String],
    ) -> Result<Vec<GraphEntity>, StoreError>;

    /// What is said of these things, either way round; what a rule could tell first, and what most passages say.
    async fn edges(
        &self,
        workspace: WorkspaceId,
        entities: &[String],
        limit: u32,
    ) -> Result<Vec<GraphEdge>, StoreError>;

    /// The passages that name these things, those that do it most first.
    async fn mentions(
        &self,
        workspace: WorkspaceId,
        entities: &[String],
        limit: u32,
    ) -> Result<Vec<GraphMention>, StoreError>;

    /// The live rows of those ids that the user may see; missing ones are gone.
    async fn hits(&self, user: UserId, ids: &[ChunkId]) -> Result<Vec<(Chunk, DocumentRef)>, StoreError>;
}
