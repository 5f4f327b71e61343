//! Failures that stand at present, put together by what they have in common.

use crate::{
    ids::{JobId, WorkspaceId},
    status::PhaseName,
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};

/// Documents that failed in the same way: by the same code, in the same phase, of the same type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorGroup {
    /// Stable word for programs.
    #[cfg_attr(feature = "openapi", schema(example = "pdf_encrypted"))]
    pub code: String,
    pub phase: PhaseName,
    /// The type of the files.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(example = "application/pdf"))]
    pub mime_type: String,
    /// Documents.
    pub count: u64,
    /// Workspaces that they lie in.
    pub workspaces: u64,
    /// The one, where there is no other.
    pub workspace_id: Option<WorkspaceId>,
    /// What one of them failed by, and what to do about it.
    pub message: String,
    pub hint: Option<String>,
    pub oldest_at: Timestamp,
    pub newest_at: Timestamp,
}

/// What could not be had or renewed, though no document failed by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOver {
    pub what: Left,
    pub workspace_id: WorkspaceId,
    pub count: u64,
    pub newest_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// Pages of the newest crawl of a site, which begins there.
    Pages { job: JobId, url: String },
    /// Documents that could not be indexed anew, or replaced, and are found as they were before.
    Documents,
}
