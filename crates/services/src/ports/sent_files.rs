//! Files that were sent ahead of the upload that makes documents of them.

use super::{NewDocument, StoreError};
use async_trait::async_trait;
use domain::{DocumentId, Timestamp, UserId, WorkspaceId, duplicates::Taken};

/// A file that is durable and no document yet; its id is that of the document that it becomes.
#[derive(Clone, Debug)]
pub struct SentFile {
    pub document: NewDocument,
    pub user_id: UserId,
    pub workspace_id: WorkspaceId,
    /// The client's `Idempotency-Key`: a second sending with the same key answers the first one's file, for as long as
    /// that is here.
    pub command_id: Option<String>,
    /// Of what is sent under that key: with another print the key is refused.
    pub command_print: Option<String>,
    pub created_at: Timestamp,
}

/// They leave the store when a job takes them ([`super::JobStore::create_job`]), or here.
#[async_trait]
pub trait SentFiles: Send + Sync {
    /// Keeps a file; answers the one that is kept.
    ///
    /// # Errors
    /// `NotFound` also when the workspace is somebody else's; `OtherCommand`.
    async fn keep_file(&self, new: SentFile) -> Result<NewDocument, StoreError>;

    /// Those of the files that are here, are that user's and were sent for that workspace, in any order.
    async fn sent_files(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        ids: &[DocumentId],
    ) -> Result<Vec<NewDocument>, StoreError>;

    /// The document that a file went to which did not become one of its own, for as long as that is remembered.
    async fn became(&self, user: UserId, id: DocumentId) -> Result<Option<(DocumentId, Taken)>, StoreError>;

    /// Forgets a file; answers where it lies.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's, or a document by now.
    async fn drop_file(&self, user: UserId, id: DocumentId) -> Result<String, StoreError>;

    /// Forgets those that were sent before that moment; answers how many there were.
    async fn drop_old_files(&self, before: Timestamp) -> Result<u64, StoreError>;
}
