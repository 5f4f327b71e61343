//! RAG configurations as they are kept, and cutting texts the way the pipeline does.

use super::{EmbedError, StoreError, Written};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    DocumentId, Timestamp, UserId, Workspace, WorkspaceId,
    rag::{RagConfig, Sampled},
};

/// A document that was indexed with other settings than those that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleDocument {
    pub id: DocumentId,
    pub version: u32,
    /// Length of its text.
    pub characters: u64,
}

#[async_trait]
pub trait RagConfigs: Send + Sync {
    /// The user's default; `None` as long as nothing was saved.
    async fn default_config(&self, user: UserId) -> Result<Option<RagConfig>, StoreError>;

    /// Saves it, or with `None` goes back to what the product comes with. Emits `settings_changed`, unless it was like
    /// that before.
    async fn set_default_config(
        &self,
        user: UserId,
        config: Option<RagConfig>,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Changes a workspace's own configuration and emits `workspace_status`, unless it was like that before. Which
    /// documents are stale by it is told afterwards, by `JobStore::compare`.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's; `Refused` when its status does not allow it.
    async fn set_rag_config(
        &self,
        user: UserId,
        id: WorkspaceId,
        config: RagConfig,
        now: Timestamp,
    ) -> Result<Workspace, StoreError>;

    /// Workspaces of all users whose configuration changed and whose documents were not all told of it.
    async fn untold(&self, limit: u32) -> Result<Vec<WorkspaceId>, StoreError>;

    /// Documents of the workspace that a configuration would index anew: those that are found, that are in no job's
    /// hands, and that were indexed with other settings.
    async fn stale_documents(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        wanted: &RagConfig,
    ) -> Result<Vec<StaleDocument>, StoreError>;

    /// Notes how many numbers the vectors have that a model answers. Where they were others before, documents of that model
    /// are marked afterwards, by [`RagConfigs::mark_other_lengths`].
    async fn note_dim(&self, model: &str, dim: u32) -> Result<(), StoreError>;

    /// Marks some of the documents whose vectors have another length than their model answers now, and takes the mark from
    /// those of which that is so no more. That they are stale by it is told afterwards, as of a changed configuration.
    /// False when there was nothing to do.
    async fn mark_other_lengths(&self, limit: u32) -> Result<bool, StoreError>;
}

/// A passage that is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutChunk {
    pub text: String,
    pub characters: u64,
    pub tokens: u64,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum CutError {
    #[error(transparent)]
    Embed(#[from] EmbedError),
    #[error("cutting failed: {0}")]
    Failed(String),
}

/// The chunker of the pipeline, for texts that are not documents yet.
#[async_trait]
pub trait Chunker: Send + Sync {
    /// Cuts a text as a document with it would be cut.
    async fn cut(&self, config: &RagConfig, text: String) -> Result<Vec<CutChunk>, CutError>;

    /// Cuts the stored text of a document and tells what comes of it. No vectors are made: with `semantic` it is cut
    /// as if it had one topic.
    async fn measure(&self, config: &RagConfig, stored: Bytes) -> Result<Sampled, CutError>;

    /// What follows from words that somebody wrote in place of a passage's.
    async fn written(
        &self,
        config: &RagConfig,
        heading: Option<String>,
        text: String,
    ) -> Result<Written, CutError>;

    /// The text of a document, of which its passages are parts, out of what is stored of it.
    async fn text(&self, stored: Bytes) -> Result<String, CutError>;
}
