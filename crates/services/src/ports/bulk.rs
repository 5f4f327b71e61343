//! Actions over many documents: made in one transaction, carried out in small ones. A document and what became of it with
//! the action change together, so that a crash loses none and does none twice.

use super::StoreError;
use async_trait::async_trait;
use domain::{
    Actor, BulkId, DocumentId, DocumentStatus, JobId, Timestamp, UserId, WorkspaceId,
    bulk::{Bulk, BulkAction},
};

/// Which documents of the workspace are meant. What comes later is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    These(Vec<DocumentId>),
    /// All with that status, where one is named, whose name contains that text, and with that tag, where such
    /// are given.
    Matching {
        status: Option<DocumentStatus>,
        name: Option<String>,
        tag: Option<String>,
    },
}

#[derive(Clone, Debug)]
pub struct NewBulk {
    pub id: BulkId,
    pub user_id: UserId,
    pub workspace_id: WorkspaceId,
    pub action: BulkAction,
    /// The tag that it is about, where it is about one.
    pub tag: Option<String>,
    pub chosen: Chosen,
    pub actor: Actor,
    /// The client's `Idempotency-Key`: a second making with the same key answers the first one's handle.
    pub command_id: Option<String>,
    pub command_print: Option<String>,
    pub created_at: Timestamp,
}

/// An action that is not through, and who asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningBulk {
    pub id: BulkId,
    pub user_id: UserId,
    pub actor: Actor,
}

#[async_trait]
pub trait Bulks: Send + Sync {
    /// Lists the documents that are meant, and emits `workspace_status` with the handle.
    ///
    /// # Errors
    /// `NotFound` also when the workspace is somebody else's; `Refused` when it is being deleted.
    async fn begin_bulk(&self, new: NewBulk) -> Result<Bulk, StoreError>;

    /// An action that brings back what `of` has deleted so far; `of` itself goes no further. A second one is the first.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's; `Refused` when it deletes nothing.
    async fn undo_bulk(
        &self,
        user: UserId,
        of: BulkId,
        id: BulkId,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Bulk, StoreError>;

    /// `None` also when it is somebody else's.
    async fn bulk(&self, user: UserId, id: BulkId) -> Result<Option<Bulk>, StoreError>;

    /// Those that are not through, the oldest of each person first and then the next ones, so that nobody's many keep others
    /// waiting; after a restart the work goes on from here.
    async fn running_bulks(&self, limit: u32) -> Result<Vec<RunningBulk>, StoreError>;

    /// Carries an action out for its next documents, as many as there are `jobs`: ids of jobs that may come of it. What
    /// was deleted before `since` is not brought back any more. Emits what changed, and `workspace_status`. Answers
    /// whether something is left.
    async fn go_on_bulk(
        &self,
        user: UserId,
        id: BulkId,
        jobs: Vec<JobId>,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Passes over the next document, which the store could not change, if the action has come to so many by now: another
    /// server may have passed it over already.
    async fn skip_in_bulk(
        &self,
        user: UserId,
        id: BulkId,
        counted: u64,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Forgets at most `limit` of those that were through before that moment; answers how many.
    async fn forget_bulks(&self, before: Timestamp, limit: u32) -> Result<usize, StoreError>;
}
