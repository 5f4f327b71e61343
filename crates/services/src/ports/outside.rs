//! What workers of somebody's own, who hear of their work from a broker, need of the store.

use super::StoreError;
use crate::Result;
use async_trait::async_trait;
use domain::{
    Document, DocumentId, User, WorkspaceId,
    report::{DocumentReport, WorkspaceReport},
};

/// Which documents outside workers are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Untold {
    /// All that wait.
    Waiting,
    /// Also all that they have begun: what they were told, or said themselves, may be lost.
    Unfinished,
    /// The same in one workspace.
    UnfinishedIn(WorkspaceId),
}

#[async_trait]
pub trait OutsideWork: Send + Sync {
    /// Whose document it is.
    async fn owner_of_document(&self, id: DocumentId) -> std::result::Result<Option<User>, StoreError>;

    /// Whose workspace it is.
    async fn owner_of_workspace(&self, id: WorkspaceId) -> std::result::Result<Option<User>, StoreError>;

    /// Documents that are left to outside workers, in the order of their ids, from the one after `after`. Of a job that stands
    /// there are none: nobody works on it.
    async fn awaiting_outside(
        &self,
        which: Untold,
        after: Option<DocumentId>,
        limit: u32,
    ) -> std::result::Result<Vec<Document>, StoreError>;
}

/// Takes what outside workers report over a broker, as if it had come over REST by the owner of what it is about: whoever
/// may write to the broker is trusted with all workspaces that have an outside worker.
#[async_trait]
pub trait Reports: Send + Sync {
    /// # Errors
    /// As [`Services::report_document`](crate::Services::report_document).
    async fn document_report(&self, id: DocumentId, report: DocumentReport) -> Result<()>;

    /// # Errors
    /// As [`Services::report_workspace`](crate::Services::report_workspace).
    async fn workspace_report(&self, id: WorkspaceId, report: WorkspaceReport) -> Result<()>;
}
