//! What can be done in InsightHub: the use cases, the ports (traits) that they need, and the hub that feeds every open
//! browser. No database, no broker and no web framework is named here.

mod accounts;
pub mod actor;
pub mod analytics;
mod api_keys;
mod bulk;
mod caller;
mod chat;
pub mod check;
mod command;
mod controls;
pub mod crawl;
mod deletion;
mod documents;
mod error;
mod errors;
mod export;
pub mod hex;
mod history;
mod in_use;
mod jobs;
mod key_drafts;
pub mod keys;
mod last_words;
pub mod live;
mod pages;
mod passages;
pub mod ports;
mod provision;
mod queue;
mod rag;
mod reports;
mod resumable;
mod retrieval_cases;
mod search;
mod sent_files;
mod spans;
mod sweep;
mod text;
mod throttle;
mod watchdog;
mod wording;
mod workspaces;

pub use accounts::{
    ChangePassword, Client, Held, PasswordChanged, PreferencesForm, ProfileChanged, ProfileForm, Seals,
    SignIn, SignUp, SignedIn, Standing, Who,
};
pub use bulk::{BulkForm, Matching};
pub use caller::{Caller, Pass};
pub use chat::{AskForm, ConversationFile, Followed, Following, Format, Turns};
pub use deletion::WorkspaceDeletion;
pub use documents::{
    Accepted, Content, Held as HeldFile, Offered, Preview, ReceivedFile, Rejected, UploadAnswer,
};
pub use error::Error;
pub use history::Pages;
pub use in_use::InUse;
pub use key_drafts::KeyDrafts;
pub use passages::{InText, PassageForm};
pub use rag::{ChunkPreview, PreviewedChunk, Reindexing};
pub use reports::HeardReports;
pub use resumable::{Announced, Part, Standing as UploadStanding};
pub use retrieval_cases::CaseForm;
pub use search::Tried;
pub use sweep::Uploads;
pub use text::{composed, is_composed};
pub use throttle::Door;
pub use wording::Wording;
pub use workspaces::{EditWorkspaceForm, NewWorkspaceForm};

use live::Hub;
use ports::{
    Accounts, Answerer, ApiKeys, Blobs, Bulks, Bus, Chats, Chunker, Clock, CrawlStore, Deletions, Documents,
    Embedder, Errors, EventLog, Exports, Fetcher, FileTypes, History, Ids, Index, JobStore, PartialFiles,
    Passages, PasswordHasher, RagConfigs, RetrievalCases, Retriever, Secrets, SentFiles, Sessions,
    Workspaces,
};
use std::sync::Arc;

pub type Result<T> = std::result::Result<T, Error>;

/// Bounds that the operator sets.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest file, in bytes.
    pub file_bytes: u64,
    /// Most files of one upload.
    pub files: usize,
    /// How long a sign-in lasts, in days.
    pub session_days: u32,
    /// Bad sign-ins a minute, by account and by address, and wrong current passwords by session; 0: any number.
    pub bad_sign_ins: u32,
    /// Accounts made from one address in an hour; 0: any number.
    pub sign_ups: u32,
    /// Live streams that one user may have open on this server.
    pub streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 100 * 1024 * 1024,
            files: 1_000,
            session_days: 30,
            bad_sign_ins: 5,
            sign_ups: 1_000,
            streams: live::MAX_CONNECTIONS,
        }
    }
}

/// Everything a handler, a page or a worker can ask for. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    pub accounts: Arc<dyn Accounts>,
    pub sessions: Arc<dyn Sessions>,
    pub api_keys: Arc<dyn ApiKeys>,
    pub exports: Arc<dyn Exports>,
    pub deletions: Arc<dyn Deletions>,
    pub bulks: Arc<dyn Bulks>,
    pub errors: Arc<dyn Errors>,
    pub workspaces: Arc<dyn Workspaces>,
    pub documents: Arc<dyn Documents>,
    pub sent_files: Arc<dyn SentFiles>,
    pub partial_files: Arc<dyn PartialFiles>,
    pub jobs: Arc<dyn JobStore>,
    pub crawls: Arc<dyn CrawlStore>,
    pub events: Arc<dyn EventLog>,
    pub history: Arc<dyn History>,
    pub index: Arc<dyn Index>,
    pub blobs: Arc<dyn Blobs>,
    pub embedder: Arc<dyn Embedder>,
    pub chunker: Arc<dyn Chunker>,
    pub rag_configs: Arc<dyn RagConfigs>,
    pub file_types: Arc<dyn FileTypes>,
    pub fetcher: Arc<dyn Fetcher>,
    pub bus: Arc<dyn Bus>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub secrets: Arc<dyn Secrets>,
    pub hasher: Arc<dyn PasswordHasher>,
    pub hub: Arc<Hub>,
    pub retriever: Arc<dyn Retriever>,
    pub passages: Arc<dyn Passages>,
    pub cases: Arc<dyn RetrievalCases>,
    pub chats: Arc<dyn Chats>,
    pub answerer: Arc<dyn Answerer>,
    pub turns: Arc<Turns>,
    pub door: Arc<Door>,
    pub seals: Arc<Seals>,
    pub in_use: Arc<InUse>,
    pub uploads: Arc<Uploads>,
    pub key_drafts: Arc<KeyDrafts>,
    pub wording: Arc<Wording>,
    pub limits: Limits,
}
