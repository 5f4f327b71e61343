//! Questions that a workspace is tried with.

use super::{Command, StoreError};
use async_trait::async_trait;
use domain::{CaseId, UserId, WorkspaceId, retrieval::RetrievalCase};

#[async_trait]
pub trait RetrievalCases: Send + Sync {
    /// Keeps a case of the user's workspace. With a command that made one before, that one is answered.
    ///
    /// # Errors
    /// `NotFound` when the workspace is not there, also when it is somebody else's; `Refused` when it has as many cases as
    /// it may have; `OtherCommand`.
    async fn add_case(
        &self,
        user: UserId,
        case: RetrievalCase,
        command: Option<Command>,
    ) -> Result<RetrievalCase, StoreError>;

    /// Those of a workspace, the oldest first.
    async fn cases(&self, user: UserId, workspace: WorkspaceId) -> Result<Vec<RetrievalCase>, StoreError>;

    /// False when there is no such case of that user in the workspace.
    async fn remove_case(&self, user: UserId, workspace: WorkspaceId, id: CaseId)
    -> Result<bool, StoreError>;
}
