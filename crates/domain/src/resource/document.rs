//! A document, and why it does not move when it does not.

use super::with_aliases;
use crate::{
    ids::{DocumentId, JobId, UserId, WorkspaceId},
    rag::IndexedWith,
    status::DocumentStatus,
    step::Step,
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize, Serializer};

/// Something that went less than well in a document that is usable all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Warning {
    pub code: String,
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self")]
pub struct Document {
    pub id: DocumentId,
    pub workspace_id: WorkspaceId,
    pub user_id: UserId,
    pub job_id: Option<JobId>,
    pub filename: String,
    pub mime_type: String,
    pub size_bytes: u64,
    /// SHA-256, hexadecimal.
    pub content_hash: String,
    pub status: DocumentStatus,
    pub error: Option<String>,
    pub error_code: Option<String>,
    pub error_hint: Option<String>,
    pub warnings: Vec<Warning>,
    pub chunk_count: u64,
    /// 0–100, never falling within an attempt.
    pub progress: f64,
    pub step: Option<Step>,
    pub message: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub metadata: serde_json::Value,
    pub attempt: u32,
    /// Indexed with another configuration than the workspace has now.
    pub stale: bool,
    /// How the passages that searches find were made; `null` before there are any.
    pub indexed_with: Option<IndexedWith>,
    /// Version of the content that searches find.
    pub version: u32,
    /// The version that takes its place once it is indexed, or that could not be; null: there is none.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub next_version: Option<u32>,
    /// False: it is kept, and no search finds it.
    #[serde(default = "yes")]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub enabled: bool,
    /// In lower case, in their order.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub tags: Vec<String>,
    /// Seq of the last change.
    pub rev: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Documents that were told before they could be disabled are enabled.
const fn yes() -> bool {
    true
}

/// Code of the warning of a document that gets nowhere just now, and of the error of one that never did; the badge says
/// "Stalled".
pub const STALLED: &str = "stalled";

/// Code of the warning of a document that was being worked on and that nobody holds any more; the badge says "Interrupted".
pub const INTERRUPTED: &str = "interrupted";

/// Code of the warning of a document that somebody paused by itself, while the others of its job go on; the badge says
/// "Paused".
pub const PAUSED: &str = "paused";

/// Code of the warning of a document that is being paused or cancelled: a worker has it in hand and ends its unit.
pub const STOPPING: &str = "stopping";

/// Code of the warning of a document whose work failed by something that may heal, and that waits for its next try; the
/// badge says "Retrying".
pub const RETRYING: &str = "retrying";

/// Code of the warning of a document that waits for the server of its embedding model, which cannot be had at the moment;
/// the badge says "Waiting".
pub const WAITING: &str = "waiting";

/// Code of the warning of a document that is found by its words alone, because its embedding was skipped by hand.
pub const EMBEDDING_SKIPPED: &str = "embedding_skipped";

/// Code of a document whose job was cancelled; the badge says "Cancelled".
pub const CANCELLED: &str = "cancelled";

impl Document {
    /// Why it gets nowhere just now, when that is so.
    pub fn stalled(&self) -> Option<&str> {
        self.warned(STALLED)
    }

    /// Why nobody works on it just now, though it was begun, when that is so.
    pub fn interrupted(&self) -> Option<&str> {
        self.warned(INTERRUPTED)
    }

    /// What failed and when it is tried again, when that is so.
    pub fn retrying(&self) -> Option<&str> {
        self.warned(RETRYING)
    }

    /// What it waits for, when that is the server of its embedding model.
    pub fn waiting(&self) -> Option<&str> {
        self.warned(WAITING)
    }

    /// Why nothing of it moves just now though it was begun, when that is so.
    pub fn held_up(&self) -> Option<&str> {
        self.stalled().or(self.interrupted()).or(self.retrying()).or(self.waiting())
    }

    /// Whether somebody paused it by itself.
    pub fn is_paused(&self) -> bool {
        self.paused().is_some()
    }

    /// The words for that, when somebody paused it by itself.
    pub fn paused(&self) -> Option<&str> {
        self.asked(PAUSED)
    }

    /// What becomes of it as soon as its worker lets go of it, when somebody asked for that.
    pub fn stopping(&self) -> Option<&str> {
        self.asked(STOPPING)
    }

    fn asked(&self, code: &str) -> Option<&str> {
        let warning = self.warnings.iter().find(|w| w.code == code);
        warning.filter(|_| self.is_unfinished()).map(|w| w.message.as_str())
    }

    pub const fn is_unfinished(&self) -> bool {
        matches!(self.status, DocumentStatus::Pending | DocumentStatus::Processing)
    }

    fn warned(&self, code: &str) -> Option<&str> {
        let warning = self.warnings.iter().find(|w| w.code == code);
        warning.filter(|_| self.status == DocumentStatus::Processing).map(|w| w.message.as_str())
    }
}

/// A document, named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DocumentRef {
    pub id: DocumentId,
    pub filename: String,
    pub mime_type: String,
}

with_aliases!(Document, {
    document_id: DocumentId = |r| r.id,
    processing_status: DocumentStatus = |r| r.status,
    processing_error: Option<&'a str> = |r| r.error.as_deref(),
    // Of a failed one: what finds the server's log lines about it.
    correlation_id: Option<DocumentId> = |r| r.error.as_ref().map(|_| r.id),
});
