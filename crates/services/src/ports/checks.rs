//! What does not fit together in a store, although no rule of it allows that: after a disk that lied, a file that somebody
//! removed, or a fault of ours.

use super::StoreError;
use async_trait::async_trait;
use domain::{DocumentId, JobId, Timestamp, UserId, WorkspaceId};

/// How a document that searches find may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It has more or fewer passages than it says.
    Passages,
    /// Some of its passages have no vector, or one of another length than the others.
    Vectors,
    /// Some of its passages are not in the full text.
    Words,
}

/// Where the file of a version of a document has to lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    pub document_id: DocumentId,
    pub user_id: UserId,
    pub version: u32,
    pub filename: String,
    pub blob_key: String,
    pub size_bytes: u64,
    /// SHA-256, hexadecimal.
    pub content_hash: String,
    /// It is found, or was: its text has to lie beside it.
    pub is_read: bool,
}

/// The same of a version that the document does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVersion {
    pub file: StoredFile,
    /// It is on its way to be the document's, or failed at that; otherwise it was the document's.
    pub is_coming: bool,
}

/// Where a passage stands in the text that it was cut from, and what has to stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// In characters.
    pub char_start: u64,
    pub char_end: u64,
    pub words: CutWords,
}

/// The words that were cut, also where somebody wrote others in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CutWords {
    /// Their SHA-256, hexadecimal.
    Hash(String),
    /// Themselves, each NUL as the replacement character.
    Text(String),
}

#[async_trait]
pub trait Checks: Send + Sync {
    /// Documents with that misfit.
    async fn misfits(&self, what: Misfit) -> Result<Vec<DocumentId>, StoreError>;

    /// Jobs that have not ended and of which nothing is left to do.
    async fn idle_jobs(&self) -> Result<Vec<JobId>, StoreError>;

    /// The files of the documents that there have to be, in the order of their documents' ids; at most `limit` after that one.
    async fn stored_files(
        &self,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<StoredFile>, StoreError>;

    /// The same of all other versions that are not given up, in the order of their documents' ids and of their numbers.
    async fn stored_versions(
        &self,
        after: Option<(DocumentId, u32)>,
        limit: u32,
    ) -> Result<Vec<StoredVersion>, StoreError>;

    /// The passages that were cut from the text of that version of a document, in their order: those that searches find, or
    /// those that are kept of a version that was replaced.
    async fn cuts(&self, document: DocumentId, version: u32) -> Result<Vec<Cut>, StoreError>;

    /// Marks a document as stale, whatever it was indexed with, so that indexing it anew is offered; its vectors are taken
    /// for nobody's passages until then. Emits `document_status`. One that somebody has deleted since is left alone.
    async fn mark_stale(&self, document: DocumentId, now: Timestamp) -> Result<(), StoreError>;

    /// Documents that were marked so and not indexed anew since.
    async fn marked_stale(&self) -> Result<Vec<DocumentId>, StoreError>;

    /// Writes the full text of a document's passages anew, where it is still there.
    async fn write_words(&self, document: DocumentId) -> Result<(), StoreError>;

    /// Workspaces that count other documents than they have.
    async fn miscounted(&self) -> Result<Vec<WorkspaceId>, StoreError>;

    /// Counts the documents of a workspace anew, where it is still there. Emits `workspace_status`.
    async fn count_anew(&self, workspace: WorkspaceId, now: Timestamp) -> Result<(), StoreError>;
}
