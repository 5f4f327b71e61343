//! Deletions: what is to go, and taking it away piece by piece. A deletion is a row without foreign keys, so that it
//! outlives what it deletes; every piece of work may be done twice, also by two servers at once.

use super::StoreError;
use async_trait::async_trait;
use domain::{
    Document, DocumentId, JobId, Timestamp, UserId, Workspace, WorkspaceId, event::DocumentDeleted,
};

/// What is being deleted, with all that hangs on it; the documents of each are found and removed by the same pieces of
/// work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doomed {
    Account(UserId),
    Workspace(UserId, WorkspaceId),
    /// A single one, whose row says that it is deleted. It has no deletion beside it.
    Document(UserId, DocumentId),
}

impl Doomed {
    /// Whose it is.
    pub const fn user(self) -> UserId {
        match self {
            Self::Account(user) | Self::Workspace(user, _) | Self::Document(user, _) => user,
        }
    }
}

/// A deletion under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// The id under which it is tracked.
    pub job_id: JobId,
    pub doomed: Doomed,
    pub created_at: Timestamp,
}

/// A document whose file goes first, then its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoomedDocument {
    pub id: DocumentId,
    pub blob_key: String,
}

#[async_trait]
pub trait Deletions: Send + Sync {
    /// Marks the account as being deleted: its sessions and keys end, nobody signs in to it, its running work is fenced
    /// off. Its name and address stay taken. Tells the bus. Answers the deletion that is under way already, when there
    /// is one.
    ///
    /// # Errors
    /// `NotFound` when there is no such account.
    async fn begin_account_deletion(
        &self,
        user: UserId,
        job: JobId,
        now: Timestamp,
    ) -> Result<Deletion, StoreError>;

    /// Takes the document out of view and out of the jobs that have it still to do; whoever holds it writes nothing more.
    /// Its rows stay as they are, so that it can be brought back. Emits `document_deleted`, what became of its jobs, and
    /// `workspace_status`.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's, or deleted already; `Refused` when its workspace is being deleted.
    async fn delete_document(
        &self,
        user: UserId,
        document: DocumentId,
        now: Timestamp,
    ) -> Result<DocumentDeleted, StoreError>;

    /// Brings a document back that was deleted at `since` or later; what it had still to do it does in a job with the id
    /// `job`. Emits `document_status` and `workspace_status`, and nothing when it is there.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's; `Refused` when it is too late, or its workspace is being deleted.
    async fn restore_document(
        &self,
        user: UserId,
        document: DocumentId,
        job: JobId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Document, StoreError>;

    /// Documents that were deleted before that moment. From here on nothing brings them back: they are to be removed.
    async fn doom_documents(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Doomed, DoomedDocument)>, StoreError>;

    /// Marks the workspace as being deleted, and takes what workers have in hand there from them. Its rows stay as they
    /// are until `not_before`, so that the deletion can be undone. Emits `workspace_status`, and `job_update` of the job
    /// that deletes it. Answers the deletion that is under way already, when there is one.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's.
    async fn begin_workspace_deletion(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        job: JobId,
        not_before: Timestamp,
        now: Timestamp,
    ) -> Result<Deletion, StoreError>;

    /// Takes the deletion of a workspace back that began at `since` or later: it is what it was, and its work goes on.
    /// Emits `workspace_status` and `job_update`, and nothing when it is not being deleted.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's; `Refused` when it is too late.
    async fn restore_workspace(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Workspace, StoreError>;

    /// Those that are not through and whose time has come, oldest first; after a restart the work goes on from here.
    async fn deletions(&self, now: Timestamp, limit: u32) -> Result<Vec<Deletion>, StoreError>;

    /// Says how far the deletion of a workspace is, and begins it, from when on it cannot be undone; its other jobs end
    /// with that. Answers whether it goes on: false when somebody undid it meanwhile.
    async fn tell_deletion(&self, deletion: &Deletion, now: Timestamp) -> Result<bool, StoreError>;

    /// Documents that still have to go, and files of it that are no documents yet.
    async fn doomed_documents(&self, doomed: Doomed, limit: u32) -> Result<Vec<DoomedDocument>, StoreError>;

    /// Where the files of all versions of a document lie, where it has more than one.
    async fn files_of_versions(&self, document: DocumentId) -> Result<Vec<String>, StoreError>;

    /// Removes at most `limit` chunks of the document with their vectors and words; once there are none, the document
    /// itself. Answers whether it is gone.
    async fn remove_document(
        &self,
        doomed: Doomed,
        document: DocumentId,
        limit: u32,
    ) -> Result<bool, StoreError>;

    /// Removes at most `limit` of the rows that hang on it otherwise; answers whether none is left. To be called when
    /// its documents are gone.
    async fn remove_rows(&self, doomed: Doomed, limit: u32) -> Result<bool, StoreError>;

    /// Removes the thing itself. From here on its names are free, and nothing can be made in it any more. Of a workspace
    /// emits `workspace_deleted`, and the end of the job that deleted it.
    async fn remove_doomed(&self, deletion: &Deletion, now: Timestamp) -> Result<(), StoreError>;

    /// Takes the words of what was removed out of the pages of the full-text index, a part at a time, from the beginning
    /// when `anew`; answers whether none is left there.
    async fn forget_words(&self, anew: bool) -> Result<bool, StoreError>;

    /// Says that it is through.
    async fn end_deletion(&self, job: JobId, now: Timestamp) -> Result<(), StoreError>;

    /// Those that were through before that moment.
    async fn ended_deletions(&self, before: Timestamp, limit: u32) -> Result<Vec<Deletion>, StoreError>;

    /// Forgets one that is through.
    async fn forget_deletion(&self, job: JobId) -> Result<(), StoreError>;
}
