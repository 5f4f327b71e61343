//! Workspaces.

use super::{PageQuery, StoreError};
use async_trait::async_trait;
use domain::{
    Timestamp, UserId, Workspace, WorkspaceId, WorkspaceStatus, ingest::control::Stop, provision::Change,
    rag::RagConfig, report::WorkspaceReport, resource::Page, status::Processor, validate,
};

#[derive(Clone, Debug)]
pub struct NewWorkspace {
    pub id: WorkspaceId,
    pub user_id: UserId,
    pub name: validate::WorkspaceName,
    pub description: validate::Description,
    pub status: WorkspaceStatus,
    /// Who works on its documents.
    pub processor: Processor,
    /// The snapshot that this workspace keeps.
    pub rag_config: RagConfig,
    /// The client's `Idempotency-Key`: a second creation with the same key answers the first one's workspace.
    pub command_id: Option<String>,
    /// Of what is sent under that key, where it can be told: with another print the key is refused.
    pub command_print: Option<String>,
    pub created_at: Timestamp,
}

/// What to change of a workspace; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct WorkspaceEdit {
    pub name: Option<validate::WorkspaceName>,
    pub description: Option<validate::Description>,
    /// Documents that wait are worked on by the new one; what a built-in worker has begun it finishes.
    pub processor: Option<Processor>,
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

    /// Changes name, description and processor. Emits `workspace_status`, unless everything was like that before.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's; `Refused` when its status does not allow it.
    async fn edit_workspace(
        &self,
        user: UserId,
        id: WorkspaceId,
        edit: WorkspaceEdit,
        now: Timestamp,
    ) -> Result<Workspace, StoreError>;

    /// Takes a step on the way to a ready workspace; emits `workspace_status` when anything changed.
    ///
    /// # Errors
    /// `Illegal` when it is not that step's turn.
    async fn advance_workspace(
        &self,
        id: WorkspaceId,
        change: Change,
        now: Timestamp,
    ) -> Result<Workspace, StoreError>;

    /// Applies what an outside worker says; emits `workspace_status` when anything changed.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's; `Refused` when it is not for an outside worker; `Illegal` by the
    /// table of its statuses.
    async fn report_workspace(
        &self,
        user: UserId,
        id: WorkspaceId,
        report: WorkspaceReport,
        now: Timestamp,
    ) -> Result<Workspace, StoreError>;

    /// Moves the status by its table and emits `workspace_status`.
    async fn set_workspace_status(
        &self,
        id: WorkspaceId,
        to: WorkspaceStatus,
        message: Option<String>,
        now: Timestamp,
    ) -> Result<Workspace, StoreError>;

    /// Pauses all work of the workspace, also what is still to be uploaded: nothing of it is claimed from now on, and its
    /// jobs stand, at once or when what is in hand is finished. Emits `workspace_status`, and `job_update` of those.
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's; `Refused` when it is being deleted.
    async fn pause_workspace(
        &self,
        user: UserId,
        id: WorkspaceId,
        stop: Stop,
        now: Timestamp,
    ) -> Result<Workspace, StoreError>;

    /// Lets it go on, with the jobs that stood because of it. Emits `workspace_status`, and `job_update` of those.
    ///
    /// # Errors
    /// As [`Workspaces::pause_workspace`].
    async fn resume_workspace(
        &self,
        user: UserId,
        id: WorkspaceId,
        now: Timestamp,
    ) -> Result<Workspace, StoreError>;

    /// Has at most `limit` jobs of paused workspaces stand that are in nobody's hands by now. Emits `job_update` of each,
    /// and answers how many there were.
    async fn stand_paused(&self, limit: u32, now: Timestamp) -> Result<usize, StoreError>;

    /// Those of all users that still have to be made ready, oldest first; after a restart the work goes on from here.
    async fn provisioning(&self, limit: u32) -> Result<Vec<Workspace>, StoreError>;
}
