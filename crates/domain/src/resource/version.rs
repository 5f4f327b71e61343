//! The versions of a document.

use super::Document;
use crate::{history::Actor, status::named, timestamp::Timestamp};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

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
