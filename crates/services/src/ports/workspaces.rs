//! Workspaces.

use super::{PageQuery, StoreError};
use async_trait::async_trait;
use domain::{
    Timestamp, UserId, Workspace, WorkspaceId, WorkspaceStatus, rag::RagConfig, resource::Page, validate,
};

#[derive(Clone, Debug)]
pub struct NewWorkspace {
    pub id: WorkspaceId,
    pub user_id: UserId,
    pub name: validate::WorkspaceName,
    pub description: validate::Description,
    pub status: WorkspaceStatus,
    /// The snapshot that this workspace keeps.
    pub rag_config: RagConfig,
    /// The client's `Idempotency-Key`: a second creation with the same key answers the first one's workspace.
    pub command_id: Option<String>,
    pub created_at: Timestamp,
}

#[async_trait]
pub trait Workspaces: Send + Sync {
    /// Emits `workspace_status`.
    async fn create_workspace(&self, new: NewWorkspace) -> Result<Workspace, StoreError>;

    /// `None` also when it is somebody else's.
    async fn workspace(&self, user: UserId, id: WorkspaceId) -> Result<Option<Workspace>, StoreError>;

    /// The user's oldest: requests that name no workspace mean it.
    async fn first_workspace(&self, user: UserId) -> Result<Option<Workspace>, StoreError>;

    /// Newest first.
    async fn workspaces(&self, user: UserId, page: PageQuery) -> Result<Page<Workspace>, StoreError>;

    async fn rag_config(&self, user: UserId, id: WorkspaceId) -> Result<Option<RagConfig>, StoreError>;

    /// Moves the status by its table and emits `workspace_status`.
    async fn set_workspace_status(
        &self,
        id: WorkspaceId,
        to: WorkspaceStatus,
        message: Option<String>,
        now: Timestamp,
    ) -> Result<Workspace, StoreError>;

    /// Those of all users that still have to be made ready, oldest first; after a restart the work goes on from here.
    async fn provisioning(&self, limit: u32) -> Result<Vec<Workspace>, StoreError>;
}
