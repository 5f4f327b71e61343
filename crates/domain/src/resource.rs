//! The resources as every interface shows them: REST, the stream, the pages. Some carry a second name for a field,
//! for clients of older status APIs; it is written beside the first, never read.

use crate::{
    bulk::Bulk,
    crawl::Crawl,
    history::Actor,
    ids::{ChunkId, DocumentId, JobId, SessionId, UserId, WorkspaceId},
    provision::Provisioning,
    rag::IndexedWith,
    status::{
        DocumentStatus, Halt, JobKind, JobRequest, JobStatus, PhaseName, PhaseStatus, Priority, Processor,
        WorkspaceStatus, named,
    },
    step::Step,
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize, Serializer};
use std::{fmt, str::FromStr};

named!(
    /// The look that a person chose.
    Theme, "theme" { Light = "light", Dark = "dark", System = "system" }
);
named!(
    /// How much room rows and controls take.
    #[derive(Default)]
    Density, "density" { #[default] Comfortable = "comfortable", Compact = "compact" }
);
named!(
    /// The languages that the screen is translated into, by their tags.
    #[derive(Default)]
    Language, "language" { #[default] English = "en" }
);

impl Language {
    /// What it is called by those who speak it.
    pub const fn own_name(self) -> &'static str {
        match self {
            Language::English => "English",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    pub id: UserId,
    pub username: String,
    pub email: String,
    pub full_name: Option<String>,
    pub theme: Theme,
    // Events that were logged before there was such a choice do not have it.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub density: Density,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub language: Language,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub notifications: Notifications,
    pub created_at: Timestamp,
}

/// Of what a person wants to be told while they are at something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Notifications {
    /// Work that ended as it should.
    pub done: bool,
    /// Work that failed, also in part.
    pub failed: bool,
    /// A document that gets nowhere.
    pub stalled: bool,
    /// Another browser that signed in to the account.
    pub sign_ins: bool,
    /// While nobody looks at a page, the system shows it, in the browsers that may.
    pub desktop: bool,
}

impl Default for Notifications {
    fn default() -> Self {
        Self { done: true, failed: true, stalled: true, sign_ins: true, desktop: false }
    }
}

impl User {
    /// What the header calls the person.
    pub fn display_name(&self) -> &str {
        self.full_name.as_deref().unwrap_or(&self.username)
    }
}

/// A browser that is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    pub id: SessionId,
    /// The browser and its system in plain words, such as "Firefox on Linux".
    pub device: String,
    /// What the browser calls itself.
    pub user_agent: String,
    /// Where the sign-in came from.
    pub ip: String,
    pub created_at: Timestamp,
    /// To about a minute.
    pub last_seen_at: Timestamp,
    pub expires_at: Timestamp,
    /// The one that asks.
    pub current: bool,
}

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
}

/// Of a workspace about which nothing was told.
pub fn no_metadata() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

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
        self.crawl.is_some() && self.metrics.pages_waiting() > 0
    }
}

/// A passage of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Chunk {
    pub id: ChunkId,
    pub document_id: DocumentId,
    pub ordinal: u32,
    pub text: String,
    pub page: Option<u32>,
    pub heading: Option<String>,
    /// Place in the extracted text, in characters.
    pub char_start: u64,
    pub char_end: u64,
    pub token_count: u32,
    /// False: it is kept, and no search finds it.
    pub enabled: bool,
    /// A person wrote these words in place of the document's.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub edited: bool,
    /// The version of the document that it is of.
    pub version: u32,
}

/// One version of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Version {
    /// From 1; a number is never given twice.
    pub version: u32,
    pub state: VersionState,
    /// Of its file, whatever the document is called by now.
    pub filename: String,
    pub mime_type: String,
    pub size_bytes: u64,
    /// SHA-256, hexadecimal.
    pub content_hash: String,
    pub chunk_count: u64,
    /// When it was added.
    pub created_at: Timestamp,
    /// When the next one took its place.
    pub replaced_at: Option<Timestamp>,
    /// Who added it; null when nobody knows any more.
    pub actor: Option<Actor>,
}

named!(
    /// What a version of a document is now.
    VersionState, "state of a version" {
        /// The one that searches find, once it is indexed.
        Current = "current",
        /// It takes the place of the current one as soon as it is indexed.
        Next = "next",
        /// It could not be indexed, or somebody cancelled that; a retry goes on with it.
        Failed = "failed",
        /// It was the current one.
        Replaced = "replaced",
        /// It never became the current one, and its file is gone.
        GivenUp = "given_up",
    }
);

impl VersionState {
    /// Of a version of the document. `served`: it is, or was, the document's content.
    pub fn of(version: u32, served: bool, document: &Document) -> Self {
        if version == document.version {
            Self::Current
        } else if document.next_version == Some(version) {
            if document.is_unfinished() { Self::Next } else { Self::Failed }
        } else if served {
            Self::Replaced
        } else {
            Self::GivenUp
        }
    }
}

impl Version {
    /// That of a document that was never replaced.
    pub fn only(document: &Document, chunk_count: u64) -> Self {
        Self {
            version: document.version,
            state: VersionState::Current,
            filename: document.filename.clone(),
            mime_type: document.mime_type.clone(),
            size_bytes: document.size_bytes,
            content_hash: document.content_hash.clone(),
            chunk_count,
            created_at: document.created_at,
            replaced_at: None,
            actor: None,
        }
    }
}

/// What a search answers for one passage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchHit {
    pub chunk: Chunk,
    pub document: DocumentRef,
    /// The one that the order goes by: the last of `scores` that there is.
    pub score: f64,
    pub scores: Scores,
}

/// How a passage was found: each way with its own score and the place that it gave. `null`: it was not looked for like
/// that, or not found among the best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Scores {
    /// By meaning: the cosine of the two vectors.
    pub vector: Option<Scored>,
    /// By words: the rank of the database's full text, made to fall in 0–1.
    pub keyword: Option<Scored>,
    /// By the things that question and passage name; 1 is the best.
    pub graph: Option<Scored>,
    /// Several orders made one; the first place in each of them is 1.
    pub fused: Option<Scored>,
    /// Put in order anew, by the scale of whoever did that.
    pub rerank: Option<Scored>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Scored {
    pub score: f64,
    /// From 1.
    pub rank: u32,
}

/// A document, named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DocumentRef {
    pub id: DocumentId,
    pub filename: String,
    pub mime_type: String,
}

/// One page of a list: `next`, when there is more, goes into `after`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

/// Serialises a resource and writes second names beside it.
macro_rules! with_aliases {
    ($name:ident, { $($alias:ident: $ty:ty = |$r:ident| $value:expr),+ $(,)? }) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                struct Plain<'a>(&'a $name);
                impl Serialize for Plain<'_> {
                    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                        $name::serialize(self.0, serializer)
                    }
                }
                #[derive(Serialize)]
                struct Both<'a> {
                    #[serde(flatten)]
                    plain: Plain<'a>,
                    $($alias: $ty),+
                }
                Both { plain: Plain(self), $($alias: { let $r = self; $value }),+ }.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $name::deserialize(deserializer)
            }
        }
    };
}

with_aliases!(Workspace, {
    workspace_id: WorkspaceId = |r| r.id,
    message: Option<&'a str> = |r| r.status_message.as_deref(),
});
with_aliases!(Document, {
    document_id: DocumentId = |r| r.id,
    processing_status: DocumentStatus = |r| r.status,
    processing_error: Option<&'a str> = |r| r.error.as_deref(),
    // Of a failed one: what finds the server's log lines about it.
    correlation_id: Option<DocumentId> = |r| r.error.as_ref().map(|_| r.id),
});
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
