//! Deletions: what is to go, and taking it away piece by piece. A deletion is a row without foreign keys, so that it
//! outlives what it deletes; every piece of work may be done twice, also by two servers at once.

use super::StoreError;
use async_trait::async_trait;
use domain::{DocumentId, JobId, Timestamp, UserId};

/// What is being deleted, with all that hangs on it. A workspace or a document joins as another variant: its documents
/// are found and removed by the same pieces of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doomed {
    Account(UserId),
}

impl Doomed {
    /// Whose it is.
    pub const fn user(self) -> UserId {
        match self {
            Self::Account(user) => user,
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

    /// Those that are not through, oldest first; after a restart the work goes on from here.
    async fn deletions(&self, limit: u32) -> Result<Vec<Deletion>, StoreError>;

    /// Documents that still have to go.
    async fn doomed_documents(&self, doomed: Doomed, limit: u32) -> Result<Vec<DoomedDocument>, StoreError>;

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

    /// Removes the thing itself. From here on its names are free, and nothing can be made in it any more.
    async fn remove_doomed(&self, doomed: Doomed) -> Result<(), StoreError>;

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
