//! A job: its phases, its attempts and what it counts.

use super::with_aliases;
use crate::{
    crawl::Crawl,
    ids::{DocumentId, JobId, UserId, WorkspaceId},
    status::{Halt, JobKind, JobRequest, JobStatus, PhaseName, PhaseStatus, Priority},
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize, Serializer};

/// Counters of a job, all live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Metrics {
    pub documents_total: u64,
    pub documents_done: u64,
    pub documents_failed: u64,
    /// Of those that failed, the ones that somebody cancelled.
    pub documents_cancelled: u64,
    /// Pages of documents that have some. Of a crawl: the addresses that were found, also those that are skipped.
    pub pages_found: u64,
    /// Of a crawl: pages that were had.
    pub pages_fetched: u64,
    /// Pages that could not be had.
    pub pages_failed: u64,
    /// Addresses that were found and are not asked for.
    pub pages_skipped: u64,
    /// Of those that are skipped, the ones that the site's robots.txt keeps away.
    pub pages_blocked: u64,
    /// Of those that were had, the ones that no earlier crawl of the workspace had.
    pub pages_new: u64,
    /// Those that are different now.
    pub pages_changed: u64,
    /// Those that are as they were: they are not indexed again.
    pub pages_unchanged: u64,
    /// Those that an earlier crawl had and this one did not find; told when it has come to its end.
    pub pages_removed: u64,
    pub chunks_created: u64,
    /// Those that have their vector.
    pub chunks_embedded: u64,
    /// Of those, the ones that were not embedded for it, since the workspace had the same words already.
    pub chunks_skipped: u64,
    pub tokens: u64,
    pub bytes: u64,
}

impl Metrics {
    /// Pages of a crawl that were found and not asked for yet.
    pub const fn pages_waiting(&self) -> u64 {
        self.pages_found.saturating_sub(self.pages_fetched + self.pages_failed + self.pages_skipped)
    }
}

/// One phase of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PhaseDetail {
    pub name: PhaseName,
    pub status: PhaseStatus,
    /// 0–100.
    pub progress: f64,
    pub items_processed: u64,
    pub items_total: u64,
    /// Of those that are processed, the ones that an earlier attempt did: they are not done again.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub items_reused: u64,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub error: Option<String>,
    /// Items a second, while it runs and has run for a while.
    pub rate: Option<f64>,
    /// Until the phase is through, at that rate.
    pub eta_seconds: Option<u64>,
}

/// What became of one attempt of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// From 1.
    pub attempt: u32,
    pub status: JobStatus,
    pub message: String,
    pub error: Option<String>,
    pub metrics: Metrics,
    pub phase_details: Vec<PhaseDetail>,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    /// The documents that did not become ready in it, and why.
    pub errors: Vec<DocumentError>,
}

/// Why a document did not become ready in an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DocumentError {
    pub document_id: DocumentId,
    pub filename: String,
    pub error: String,
    pub error_code: Option<String>,
    pub error_hint: Option<String>,
    /// What each of its tries failed by, when it was tried more than once.
    pub tries: Vec<String>,
}

impl PhaseDetail {
    pub const fn pending(name: PhaseName) -> Self {
        Self {
            name,
            status: PhaseStatus::Pending,
            progress: 0.0,
            items_processed: 0,
            items_total: 0,
            items_reused: 0,
            started_at: None,
            completed_at: None,
            error: None,
            rate: None,
            eta_seconds: None,
        }
    }

    /// The four phases of a new attempt.
    pub fn all_pending() -> Vec<Self> {
        PhaseName::ALL.iter().map(|&name| Self::pending(name)).collect()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(remote = "Self")]
pub struct Job {
    pub job_id: JobId,
    pub kind: JobKind,
    pub kb_id: WorkspaceId,
    pub user_id: UserId,
    pub attempt: u32,
    pub status: JobStatus,
    pub requested: Option<JobRequest>,
    pub phase: PhaseName,
    /// 0–100, never falling within an attempt.
    pub progress: f64,
    pub message: String,
    pub error: Option<String>,
    pub metrics: Metrics,
    /// Jobs that go first, while this one waits.
    pub queue_position: Option<u64>,
    /// Where it stands among the jobs of its person.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub priority: Priority,
    /// Chunks a second.
    pub rate: Option<f64>,
    pub eta_seconds: Option<u64>,
    /// Why nothing of it moves just now, though it runs; null while something does.
    pub halted: Option<Halt>,
    /// Seq of the last change.
    pub rev: u64,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub phase_details: Vec<PhaseDetail>,
    /// Of a crawl: what it goes by, and where it is.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub crawl: Option<Crawl>,
}

impl Job {
    /// A crawl that has pages left to ask for: more documents may come.
    pub const fn goes_on_finding(&self) -> bool {
        matches!(&self.crawl, Some(crawl) if !crawl.rests) && self.metrics.pages_waiting() > 0
    }

    /// A crawl that was cancelled with pages left to ask for, of which documents alone are retried.
    pub const fn rests(&self) -> bool {
        matches!(&self.crawl, Some(crawl) if crawl.rests) && self.metrics.pages_waiting() > 0
    }
}

with_aliases!(Job, {
    workspace_id: WorkspaceId = |r| r.kb_id,
});

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_job_carries_both_names_of_its_workspace_and_reads_back() {
        let job = Job {
            job_id: JobId::new(Uuid::from_u128(1)),
            kind: JobKind::Upload,
            kb_id: WorkspaceId::new(Uuid::from_u128(2)),
            user_id: UserId::new(Uuid::from_u128(3)),
            attempt: 1,
            status: JobStatus::Running,
            requested: None,
            phase: PhaseName::Loading,
            progress: 12.5,
            message: "Reading".into(),
            error: None,
            metrics: Metrics::default(),
            queue_position: None,
            priority: Priority::Normal,
            rate: None,
            eta_seconds: None,
            halted: None,
            rev: 7,
            created_at: Timestamp::from_micros(0),
            started_at: None,
            completed_at: None,
            phase_details: PhaseDetail::all_pending(),
            crawl: None,
        };
        let json = serde_json::to_value(&job).unwrap();
        assert_eq!(json["kb_id"], json["workspace_id"]);
        assert_eq!(json["phase_details"].as_array().map(Vec::len), Some(4));
        assert_eq!(serde_json::from_value::<Job>(json).unwrap(), job);
    }
}
