//! A passage where it stands in its document's text, with its neighbours.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{Chunk, ChunkId, DocumentId};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// What a page of it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassagePage {
    pub document: DocumentId,
    pub filename: String,
    /// Of one that is gone, what the answer that named it has of it.
    pub chunk: Chunk,
    /// It is gone, since its document was indexed anew.
    pub is_gone: bool,
    /// The document has another content by now.
    pub is_old: bool,
    /// The text of the document round it; `None` where it is not kept any more.
    pub around: Option<Around>,
    pub previous: Option<ChunkId>,
    pub next: Option<ChunkId>,
    /// The document has vectors, so the passage can be embedded anew.
    pub embeds: bool,
}

/// What stands before a passage, its own words in the document, and what stands behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Around {
    pub before: String,
    pub passage: String,
    pub behind: String,
}

/// `turn`: one whose answer named the passage; it is shown out of that where it is gone.
#[server(prefix = "/_fn", endpoint = "documents/passage", output = Answer)]
pub async fn read_passage(
    document: DocumentId,
    chunk: ChunkId,
    #[server(default)] turn: String,
) -> Result<Wire<PassagePage>, AppError> {
    use crate::ssr::{self, told};
    use services::Error;
    let (services, who) = ssr::signed_in()?;
    let (user, turn) = (who.user.id, turn.parse().ok());
    let found = services.chunk_with_neighbours(user, document, chunk, turn).await;
    let (of, found, neighbours) = found.map_err(told)?;
    let mut is_gone = false;
    let around = match services.chunk_in_text(user, document, chunk, turn).await {
        Ok(text) => {
            is_gone = text.is_gone;
            let mark = |cut: bool| if cut { "" } else { "…" };
            Some(Around {
                before: format!("{}{}", mark(text.is_start), text.before),
                passage: text.passage,
                behind: format!("{}{}", text.behind, mark(text.is_end)),
            })
        }
        Err(Error::NotFound(_)) => None,
        Err(e) => return Err(told(e)),
    };
    Ok(Wire(PassagePage {
        document,
        filename: of.filename,
        is_gone,
        is_old: found.version != of.version,
        chunk: found,
        around,
        previous: neighbours.0,
        next: neighbours.1,
        embeds: of.indexed_with.is_some_and(|with| with.embedding_model.is_some()),
    }))
}
