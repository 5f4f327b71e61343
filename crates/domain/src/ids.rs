//! Identifiers: UUIDs (version 7, so that they sort by age) wrapped in a type of their own each, and the epoch of an
//! event log. They are made outside, by the `Ids` port, and only carried here.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(s: &str) -> Result<Self, NotAnId> {
                Uuid::parse_str(s).map(Self).map_err(|_| NotAnId)
            }
        }
    };
}

id!(
    /// A person who signed up.
    UserId
);
id!(
    /// A collection of documents with one RAG configuration.
    WorkspaceId
);
id!(
    /// One source text.
    DocumentId
);
id!(
    /// One ingestion run, through all its attempts.
    JobId
);
id!(
    /// One indexed passage of a document.
    ChunkId
);
id!(
    /// One signed-in browser.
    SessionId
);
id!(
    /// One API key.
    ApiKeyId
);
id!(
    /// One export of an account.
    ExportId
);
id!(
    /// One question that retrieval is tried with.
    CaseId
);
id!(
    /// One action over many documents.
    BulkId
);
id!(
    /// One question with its answer.
    TurnId
);

/// The text is not a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct NotAnId;

/// One life of the event log. A restored database gets a new one, so that a client never resumes in a log that
/// took another course.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Debug)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Epoch(pub String);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
