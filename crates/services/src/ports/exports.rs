//! Exports of accounts: a small durable queue, and what the file needs that no other port reads.

use super::{StoreError, WorkerId};
use async_trait::async_trait;
use domain::{Export, ExportId, Timestamp, UserId};

#[derive(Clone, Debug)]
pub struct NewExport {
    pub id: ExportId,
    pub user_id: UserId,
    /// The client's `Idempotency-Key`: a second creation with the same one answers the first one's export.
    pub command_id: Option<String>,
    pub created_at: Timestamp,
}

/// An export that a server may make, as long as nobody claims it after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportClaim {
    pub export_id: ExportId,
    pub user_id: UserId,
    /// Rises with each claim; every write is conditional on it.
    pub fence: u64,
}

/// How the making of an export ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportOutcome {
    Ready {
        blob_key: String,
        bytes: u64,
    },
    /// With a sentence for people.
    Failed(String),
}

/// The file of an export that may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldExport {
    pub export_id: ExportId,
    pub user_id: UserId,
    pub blob_key: Option<String>,
}

#[async_trait]
pub trait Exports: Send + Sync {
    /// Puts an export into the queue; emits `settings_changed` with it. One that is still being made is answered
    /// instead, as is the one that the same command made before. Earlier ones are over from now on.
    async fn create_export(&self, new: NewExport) -> Result<Export, StoreError>;

    /// The user's newest that has not expired, with the key of its file once it is ready.
    async fn newest_export(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> Result<Option<(Export, Option<String>)>, StoreError>;

    /// Takes the oldest one that waits, or whose maker's lease ran out. Emits `settings_changed` when it begins.
    async fn claim_export(
        &self,
        worker: &WorkerId,
        lease_seconds: u32,
        now: Timestamp,
    ) -> Result<Option<ExportClaim>, StoreError>;

    /// Extends the lease.
    ///
    /// # Errors
    /// `Fenced` when somebody else has it, or it is gone with its account.
    async fn keep_export(&self, claim: &ExportClaim, lease_seconds: u32) -> Result<(), StoreError>;

    /// Ends it and emits `settings_changed`. The file goes at `expires_at`.
    ///
    /// # Errors
    /// `Fenced` as above: nothing was written, and the file that was made belongs to nobody.
    async fn end_export(
        &self,
        claim: &ExportClaim,
        outcome: ExportOutcome,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Makes every lease free for the taking, like [`super::JobStore::void_leases`].
    async fn void_export_leases(&self) -> Result<u64, StoreError>;

    /// Those that have expired.
    async fn old_exports(&self, now: Timestamp, limit: u32) -> Result<Vec<OldExport>, StoreError>;

    /// Forgets one whose file is gone.
    async fn forget_export(&self, old: &OldExport) -> Result<(), StoreError>;
}
