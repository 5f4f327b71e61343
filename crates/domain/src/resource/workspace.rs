//! A workspace, and what it holds.

use super::with_aliases;
use crate::{
    bulk::Bulk,
    ids::{UserId, WorkspaceId},
    provision::Provisioning,
    status::{Processor, WorkspaceStatus},
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize, Serializer};

/// What a workspace holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Counts {
    pub documents: u64,
    pub ready: u64,
    /// Pending and processing.
    pub processing: u64,
    pub failed: u64,
    pub chunks: u64,
    pub bytes: u64,
    /// Ready ones that were indexed with other settings than the workspace has now.
    #[serde(default)]
    pub stale: u64,
    /// Chats over it.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub conversations: u64,
    /// Questions that were asked in them, each with its answer.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub messages: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self")]
pub struct Workspace {
    pub id: WorkspaceId,
    pub user_id: UserId,
    pub name: String,
    pub description: String,
    pub status: WorkspaceStatus,
    pub status_message: Option<String>,
    /// How far it has come, until it is ready; what failed, when it is in error.
    pub provisioning: Option<Provisioning>,
    /// Who works on its documents.
    pub processor: Processor,
    /// What an outside worker told beside the status.
    #[serde(default = "no_metadata")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object, required))]
    pub metadata: serde_json::Value,
    pub counts: Counts,
    /// Nothing is begun there: somebody paused all its work, also what is still to be uploaded.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub paused: bool,
    /// The newest action over many of its documents, and how far it is.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub bulk: Option<Bulk>,
    /// Seq of the last change.
    pub rev: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// When something was uploaded, came to its end or was asked last. Events that were logged before it was told have none.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub last_activity_at: Timestamp,
}

impl Workspace {
    /// When something happened in it, or to it, last.
    pub fn last_activity(&self) -> Timestamp {
        self.last_activity_at.max(self.updated_at)
    }

    /// Somebody deleted it, and it is still there: for as long as that can be undone, and until all that it holds is gone.
    pub const fn is_deleting(&self) -> bool {
        matches!(self.status, WorkspaceStatus::Deleting)
    }
}

/// Of a workspace about which nothing was told.
pub fn no_metadata() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

with_aliases!(Workspace, {
    workspace_id: WorkspaceId = |r| r.id,
    message: Option<&'a str> = |r| r.status_message.as_deref(),
});
