//! The event log as a history, and what of it is kept.

use super::StoreError;
use async_trait::async_trait;
use domain::{DocumentId, HistoryEntry, JobId, Timestamp, UserId, WorkspaceId, resource::Page};

/// Whose history it is. That of a workspace holds what happened to its documents and jobs too, that of a job what
/// happened to its documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryOf {
    Document(DocumentId),
    Job(JobId),
    Workspace(WorkspaceId),
}

/// Which part of a history is wanted.
#[derive(Clone, Debug)]
pub struct HistoryQuery {
    /// 1–200.
    pub limit: u32,
    /// The opaque `next` of the page before.
    pub after: Option<String>,
    pub newest_first: bool,
    /// Only where a status turned into another one.
    pub transitions: bool,
}

#[async_trait]
pub trait History: Send + Sync {
    /// What happened; empty also when it is somebody else's.
    async fn history(
        &self,
        user: UserId,
        of: HistoryOf,
        query: HistoryQuery,
    ) -> Result<Page<HistoryEntry>, StoreError>;

    /// Removes from the logs of all users what is older than `before` and not kept, at most `limit` events; answers how
    /// many. That is progress which turned no status and was superseded; and all that is about a document or a
    /// workspace whose deletion is that old, which raises the floor of the log.
    async fn forget_events(&self, before: Timestamp, limit: u32) -> Result<usize, StoreError>;
}
