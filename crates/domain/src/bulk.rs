//! An action over many documents: a handle whose counts go on while it is carried out in the background.

use crate::{
    ids::{BulkId, WorkspaceId},
    message::number,
    status::named,
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

named!(
    /// What is done to each of the documents.
    BulkAction, "action" {
        Retry = "retry",
        Delete = "delete",
        Cancel = "cancel",
        Pause = "pause",
        Resume = "resume",
        /// Indexes them anew, in one job.
        Reindex = "reindex",
        /// Searches find them again.
        Enable = "enable",
        /// They are kept, and no search finds them.
        Disable = "disable",
        /// Adds a tag.
        Tag = "tag",
        /// Takes a tag away.
        Untag = "untag",
        /// Brings those back that another action deleted. It cannot be asked for by itself.
        Restore = "restore",
    }
);

named!(
    BulkStatus, "status of an action" { Running = "running", Completed = "completed" }
);

/// How far an action over many documents is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Bulk {
    pub id: BulkId,
    pub workspace_id: WorkspaceId,
    pub action: BulkAction,
    pub status: BulkStatus,
    /// Documents that it is about.
    pub total: u64,
    pub done: u64,
    /// Those that were not there any more, or that the server could not change.
    pub failed: u64,
    /// Those whose state does not allow it, such as a retry of one that is ready.
    pub refused: u64,
    pub created_at: Timestamp,
    pub completed_at: Option<Timestamp>,
}

named!(
    /// What became of the action with one of its documents.
    Outcome, "outcome" { Done = "done", Failed = "failed", Refused = "refused" }
);

impl BulkAction {
    /// Whether it is about one tag.
    pub const fn has_tag(self) -> bool {
        matches!(self, BulkAction::Tag | BulkAction::Untag)
    }
}

impl Bulk {
    /// Takes note of what became of so many documents; the last of them ends it.
    pub fn count(&mut self, outcomes: &[Outcome], now: Timestamp) {
        for outcome in outcomes {
            match outcome {
                Outcome::Done => self.done += 1,
                Outcome::Failed => self.failed += 1,
                Outcome::Refused => self.refused += 1,
            }
        }
        if self.counted() >= self.total && self.status == BulkStatus::Running {
            self.status = BulkStatus::Completed;
            self.completed_at = Some(now);
        }
    }

    /// Documents that it has come to.
    pub const fn counted(&self) -> u64 {
        self.done + self.failed + self.refused
    }

    /// "Retrying 12 of 37", "37 deleted · 2 left as they were".
    pub fn words(&self) -> String {
        let (doing, done) = match self.action {
            BulkAction::Retry => ("Retrying", "will be tried again"),
            BulkAction::Delete => ("Deleting", "deleted"),
            BulkAction::Cancel => ("Cancelling", "cancelled"),
            BulkAction::Pause => ("Pausing", "paused"),
            BulkAction::Resume => ("Resuming", "resumed"),
            BulkAction::Reindex => ("Queueing for a new index", "will be indexed anew"),
            BulkAction::Enable => ("Enabling", "enabled"),
            BulkAction::Disable => ("Disabling", "disabled"),
            BulkAction::Tag => ("Tagging", "tagged"),
            BulkAction::Untag => ("Removing a tag of", "without the tag"),
            BulkAction::Restore => ("Bringing back", "brought back"),
        };
        if self.status == BulkStatus::Running {
            return format!("{doing} {} of {}", number(self.counted()), number(self.total));
        }
        let mut parts = vec![format!("{} {done}", number(self.done))];
        if self.refused > 0 {
            parts.push(format!("{} left as they were", number(self.refused)));
        }
        if self.failed > 0 {
            parts.push(format!("{} failed", number(self.failed)));
        }
        parts.join(" · ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_handle_counts_each_document_once_and_ends_with_the_last() {
        let now = Timestamp::from_micros(9);
        let mut bulk = Bulk {
            id: BulkId::new(Uuid::from_u128(1)),
            workspace_id: WorkspaceId::new(Uuid::from_u128(2)),
            action: BulkAction::Retry,
            status: BulkStatus::Running,
            total: 4,
            done: 0,
            failed: 0,
            refused: 0,
            created_at: Timestamp::default(),
            completed_at: None,
        };
        bulk.count(&[Outcome::Done, Outcome::Refused], now);
        assert_eq!((bulk.counted(), bulk.status, bulk.completed_at), (2, BulkStatus::Running, None));
        assert_eq!(bulk.words(), "Retrying 2 of 4");
        bulk.count(&[Outcome::Done, Outcome::Failed], now);
        assert_eq!((bulk.status, bulk.completed_at), (BulkStatus::Completed, Some(now)));
        assert_eq!(bulk.words(), "2 will be tried again · 1 left as they were · 1 failed");
    }
}
