//! Failures that stand at present. A document that somebody cancelled did not fail.

use super::StoreError;
use async_trait::async_trait;
use domain::{
    DocumentId, PhaseName, Timestamp, UserId, WorkspaceId,
    errors::{ErrorGroup, LeftOver},
};

/// Which failures are meant; what is not said, is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorFilter {
    pub workspace: Option<WorkspaceId>,
    pub code: Option<String>,
    pub phase: Option<PhaseName>,
    pub mime_type: Option<String>,
    /// Those that failed at that moment or later.
    pub since: Option<Timestamp>,
    /// Those that somebody resolved, instead of those that nobody did. A document that fails again is not resolved.
    pub resolved: bool,
}

#[async_trait]
pub trait Errors: Send + Sync {
    /// The largest groups first, at most `limit`.
    async fn error_groups(
        &self,
        user: UserId,
        filter: &ErrorFilter,
        limit: u32,
    ) -> Result<Vec<ErrorGroup>, StoreError>;

    /// The documents themselves, newest first, at most `limit`.
    async fn failed_documents(
        &self,
        user: UserId,
        filter: &ErrorFilter,
        limit: u32,
    ) -> Result<Vec<(WorkspaceId, DocumentId)>, StoreError>;

    /// Pages that the newest crawl of a site could not have, once it ended, and documents that are ready as they were before,
    /// since they could not be indexed anew or replaced: an entry for each site and one for the documents of each
    /// workspace, the newest first, at most `limit`. `since`: those of that moment or later.
    async fn left_over(
        &self,
        user: UserId,
        workspace: Option<WorkspaceId>,
        since: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<LeftOver>, StoreError>;

    /// Takes note that somebody saw to them: they stay failed, and are not counted any more. Emits `workspace_status` of each
    /// workspace that had some, with the counts that it had. Answers how many there were.
    async fn resolve_errors(
        &self,
        user: UserId,
        filter: &ErrorFilter,
        now: Timestamp,
    ) -> Result<u64, StoreError>;
}
