//! The ports: what the use cases need of the world, as traits. Nothing here knows a database, a broker or a web
//! framework; `server` chooses who stands behind each.

mod accounts;
mod api_keys;
mod blobs;
mod bulk;
mod bus;
mod chat;
mod checks;
mod crawls;
mod deletions;
mod embedder;
mod errors;
mod events;
mod exports;
mod fetcher;
mod history;
mod index;
mod jobs;
mod outbox;
mod outside;
mod partial_files;
mod passages;
mod rag;
mod retrieval;
mod retrieval_cases;
mod sent_files;
mod sentences;
mod sessions;
mod workspaces;
mod world;

pub use accounts::{Accounts, NewUser, NotificationsEdit, PasswordChange, UserEdit};
pub use api_keys::{ApiKeys, KeyMade, NewKey};
pub use blobs::{Appended, BlobError, Blobs, FileTypes, LocalFile, Received, Room, Stored};
pub use bulk::{Bulks, Chosen, NewBulk, RunningBulk};
pub use bus::{Bus, BusReceiver, Signal, heard};
pub use chat::{
    ASKED_AGAIN, Answerer, Begun, Chats, ChosenModel, ConversationFilter, Earlier, LanguageModel, ModelError,
    NewTurn, OTHER_WORKSPACE, Passage, PromptMessage, Role, STILL_ANSWERED, TOO_MANY_TURNS, ToAnswer, Token,
    Tokens, TurnWrite,
};
pub use checks::{Checks, Cut, CutWords, Misfit, StoredFile, StoredVersion};
pub use crawls::{CrawlClaim, CrawlStore, DuePage, FoundPage, KnownPage, NewCrawl, PageDone, PageEnd};
pub use deletions::{Deletion, Deletions, Doomed, DoomedDocument};
pub use embedder::{EmbedError, Embedder};
pub use errors::{ErrorFilter, Errors};
pub use events::{EventLog, LoggedEvent};
pub use exports::{ExportClaim, ExportOutcome, Exports, NewExport, OldExport};
pub use fetcher::{FetchError, FetchRequest, Fetched, Fetcher};
pub use history::{History, HistoryOf, HistoryQuery};
pub use index::{Corpus, GraphEdge, GraphEntity, GraphMention, Index, KeywordHit, Outline, StoredVector};
pub use jobs::{
    Alike, Claim, Command, Documents, FileOf, JobStore, NewDocument, NewJob, NewReindex, TakenFile,
    TakenFiles, Unread, UnreadPassage, VersionFile, WorkerId,
};
pub use outbox::{Outbox, Unsent};
pub use outside::{OutsideWork, Reports, Untold};
pub use partial_files::{PartialFile, PartialFiles, WholeFile};
pub use passages::{ChunkChange, Passages, Written};
pub use rag::{Chunker, CutChunk, CutError, RagConfigs, StaleDocument};
pub use retrieval::{CrossEncoder, Question, RerankError, RetrieveError, Retrieved, Retriever};
pub use retrieval_cases::RetrievalCases;
pub use sent_files::{SentFile, SentFiles};
pub use sentences::{Asked, Sentences, Wordless, Wordsmith};
pub use sessions::{LiveSession, NewSession, SessionInfo, Sessions};
pub use workspaces::{NewWorkspace, WorkspaceEdit, Workspaces};
pub use world::{Clock, Ids, PasswordHasher, Secrets};

/// Why a store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A named uniqueness rule was broken, such as `users_email_key`.
    #[error("{0} is taken")]
    Taken(&'static str),
    #[error("not found")]
    NotFound,
    /// The lease of this claim was lost; nothing was written and nothing may be.
    #[error("the lease was lost")]
    Fenced,
    #[error(transparent)]
    Illegal(#[from] domain::status::IllegalMove),
    /// The state of what it is about does not allow it.
    #[error(transparent)]
    Refused(#[from] domain::provision::Refusal),
    /// The `Idempotency-Key` was sent before, with something else.
    #[error("the key belongs to another request")]
    OtherCommand,
    /// The `after` of a page is nothing that a list gave out.
    #[error("this is no place in the list")]
    BadCursor,
    /// The disk of the database is full; nothing was written.
    #[error("the database has no room left")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database cannot be reached, or has nobody free. Trying again helps as soon as it is back; what was to be written
    /// may have been written all the same, when it went away over the commit.
    #[error("the database cannot be reached")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database is locked or broken. Logged with its details, shown as one sentence.
    #[error("the store failed")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<domain::ingest::ReportError> for StoreError {
    fn from(e: domain::ingest::ReportError) -> Self {
        match e {
            domain::ingest::ReportError::Illegal(e) => Self::Illegal(e),
            domain::ingest::ReportError::Refused(e) => Self::Refused(e),
        }
    }
}

impl StoreError {
    pub fn backend(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Backend(e.into())
    }

    /// Whether nothing was written, and that is certain. It is not where the database failed: it may have done so over the
    /// commit, or after it, when what was written was to be read back.
    pub const fn wrote_nothing(&self) -> bool {
        !matches!(self, Self::Away(_) | Self::Backend(_))
    }
}

/// Which part of a list is wanted.
#[derive(Clone, Debug)]
pub struct PageQuery {
    /// 1–200.
    pub limit: u32,
    /// The opaque `next` of the page before.
    pub after: Option<String>,
}

impl PageQuery {
    pub const MAX: u32 = 200;

    pub fn first(limit: u32) -> Self {
        Self { limit, after: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_says_that_nothing_was_written() {
        for refusal in [
            StoreError::NotFound,
            StoreError::OtherCommand,
            StoreError::Refused(domain::ingest::control::WORKSPACE_PAUSED),
            StoreError::Full("no room".into()),
        ] {
            assert!(refusal.wrote_nothing(), "{refusal}");
        }
        for failure in [StoreError::Away("cut off".into()), StoreError::backend("broken")] {
            assert!(!failure.wrote_nothing(), "{failure}");
        }
    }
}
