//! What things are in InsightHub: ids, statuses and their transition tables, resources, events and the reducer,
//! the RAG configuration, validation and the words shown to people.
//!
//! Nothing here does I/O, reads a clock or draws a random number; the crate compiles for the server and for WASM.

pub mod analytics;
pub mod api_key;
pub mod away;
pub mod backoff;
pub mod bulk;
pub mod chat;
pub mod crawl;
pub mod duplicates;
pub mod errors;
pub mod event;
pub mod export;
pub mod files;
pub mod graph;
pub mod history;
pub mod ids;
pub mod ingest;
pub mod labels;
pub mod message;
pub mod pages;
pub mod problem;
pub mod progress;
pub mod provision;
pub mod rag;
pub mod reducer;
pub mod report;
pub mod resource;
pub mod retrieval;
pub mod shown;
pub mod status;
pub mod step;
pub mod timestamp;
pub mod upload;
pub mod validate;

pub use analytics::Analytics;
pub use api_key::{ApiKey, Scope};
pub use duplicates::OnDuplicate;
pub use event::{ClientFrame, EntityKey, Event, EventFrame, ServerFrame};
pub use export::{Export, ExportStatus};
pub use files::FileKind;
pub use history::{Actor, ActorKind, HistoryEntry};
pub use ids::{
    ApiKeyId, BulkId, CaseId, ChunkId, DocumentId, Epoch, ExportId, JobId, SessionId, TurnId, UserId,
    WorkspaceId,
};
pub use problem::Problem;
pub use resource::{Chunk, Document, Job, PhaseDetail, User, Workspace};
pub use status::{DocumentStatus, JobKind, JobRequest, JobStatus, PhaseName, PhaseStatus, WorkspaceStatus};
pub use step::Step;
pub use timestamp::{Civil, Timestamp};
pub use validate::FieldErrors;
