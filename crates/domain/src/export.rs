//! The export of an account: one file with everything that is kept of a person, made in the background.

use crate::{ids::ExportId, status::named, timestamp::Timestamp};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

named!(
    /// How far an export is.
    ExportStatus, "export status" { Pending = "pending", Running = "running", Ready = "ready", Failed = "failed" }
);

/// How long a finished export is kept, in seconds.
pub const KEPT_SECONDS: i64 = 24 * 3_600;

/// An export as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Export {
    pub id: ExportId,
    pub status: ExportStatus,
    /// Size of the file; 0 until it is ready.
    pub bytes: u64,
    pub created_at: Timestamp,
    pub completed_at: Option<Timestamp>,
    /// When the file goes.
    pub expires_at: Option<Timestamp>,
    /// One sentence for people, when it failed.
    pub error: Option<String>,
}

impl ExportStatus {
    /// Nothing more happens to it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Ready | Self::Failed)
    }
}
