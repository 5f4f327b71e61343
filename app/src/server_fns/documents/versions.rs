//! The versions of a document's content.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{DocumentId, Timestamp, resource::VersionState};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// A version, as far as the page shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VersionLine {
    pub version: u32,
    pub state: VersionState,
    pub filename: String,
    pub size_bytes: u64,
    pub created_at: Timestamp,
    /// Who added it; empty when nobody knows any more.
    pub by: String,
}

#[server(prefix = "/_fn", endpoint = "documents/versions", output = Answer)]
pub async fn list_versions(id: DocumentId) -> Result<Wire<Vec<VersionLine>>, AppError> {
    use crate::ssr;
    let (services, who) = ssr::signed_in()?;
    let versions = services.versions(who.user.id, id).await.map_err(ssr::told)?;
    let line = |v: domain::resource::Version| VersionLine {
        version: v.version,
        state: v.state,
        filename: v.filename,
        size_bytes: v.size_bytes,
        created_at: v.created_at,
        by: v.actor.and_then(|actor| actor.name).unwrap_or_default(),
    };
    Ok(Wire(versions.into_iter().map(line).collect()))
}
