//! Files of which a part has come.

use super::{NewDocument, StoreError};
use async_trait::async_trait;
use domain::{DocumentId, OnDuplicate, Timestamp, UserId, WorkspaceId};

/// A file that comes in parts; its id is that of the document that it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialFile {
    pub id: DocumentId,
    pub user_id: UserId,
    pub workspace_id: WorkspaceId,
    pub filename: String,
    /// Of the whole file.
    pub size_bytes: u64,
    /// How much of it is durable. There may be more of it: what is behind that was never acknowledged.
    pub received_bytes: u64,
    /// SHA-256 of the whole file, hexadecimal, where the sender told it.
    pub content_hash: Option<String>,
    /// Once whole it becomes a document by itself, without an upload that names it.
    pub alone: bool,
    /// What becomes of it then, where the workspace has the same already.
    pub on_duplicate: OnDuplicate,
    /// Of its parts: the whole file gets a key of its own.
    pub blob_key: String,
    /// What the sender said of it, in its own notation.
    pub metadata: Option<String>,
    /// When the last part came.
    pub updated_at: Timestamp,
}

/// A file that came in parts and that waits to become a document.
#[derive(Clone, Debug)]
pub struct WholeFile {
    pub document: NewDocument,
    pub workspace_id: WorkspaceId,
    /// It becomes one by itself.
    pub alone: bool,
    pub on_duplicate: OnDuplicate,
}

/// They leave the store as [`super::SentFiles`], or here.
#[async_trait]
pub trait PartialFiles: Send + Sync {
    /// Keeps an announced file; answers the one that is kept, which is an earlier one under the same command.
    ///
    /// # Errors
    /// `NotFound` also when the workspace is somebody else's; `OtherCommand`.
    async fn announce_file(
        &self,
        new: PartialFile,
        command_id: Option<String>,
    ) -> Result<PartialFile, StoreError>;

    /// Whether the command announced a file of that name and size, whatever became of that since.
    async fn has_announced(
        &self,
        user: UserId,
        command_id: &str,
        filename: &str,
        size_bytes: u64,
    ) -> Result<bool, StoreError>;

    async fn partial_file(&self, user: UserId, id: DocumentId) -> Result<Option<PartialFile>, StoreError>;

    /// Begins a turn at a file that stands at `at`, and so ends the one before, whichever server has it: nothing of that is
    /// noted from now on. Answers its number, which is higher than that of any turn before, also of those that a database
    /// which was put back does not know any more; `None` when the file stands elsewhere, or is not here any more.
    async fn begin_part(
        &self,
        user: UserId,
        id: DocumentId,
        at: u64,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError>;

    /// Notes that the bytes from `from` up to `to` are durable, which came in that turn. False when the turn is over, or the
    /// file does not stand at `from` any more: somebody else goes on with it.
    async fn extend_file(
        &self,
        user: UserId,
        id: DocumentId,
        turn: u64,
        from: u64,
        to: u64,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// The file is whole: it is one of those that were sent ahead from now on, in the same transaction.
    ///
    /// # Errors
    /// `NotFound` when it is not here any more.
    async fn complete_file(&self, user: UserId, whole: NewDocument, now: Timestamp)
    -> Result<(), StoreError>;

    /// What the sender said of the file when it announced it, for as long as the file is here, or a document that came of
    /// it. `None` where it said nothing.
    async fn announced_metadata(&self, user: UserId, id: DocumentId) -> Result<Option<String>, StoreError>;

    /// The file, where it is whole and no document yet.
    async fn whole_file(&self, user: UserId, id: DocumentId) -> Result<Option<WholeFile>, StoreError>;

    /// The files that become documents by themselves, had all their bytes before that moment, and became none: what a
    /// server leaves behind that is killed at the end of an upload. With whose they are.
    async fn left_files(&self, before: Timestamp) -> Result<Vec<(UserId, DocumentId)>, StoreError>;

    /// Forgets a file; answers where it lies.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's, or whole by now.
    async fn forget_file(&self, user: UserId, id: DocumentId) -> Result<String, StoreError>;

    /// Forgets those of which no part came since that moment; answers how many there were.
    async fn forget_old_files(&self, before: Timestamp) -> Result<u64, StoreError>;
}
