//! The page of a document, with its passages and versions.

use super::{FromJson, at, at_or};
use crate::server_fns::documents::{Around, PassagePage, PreviewText, VersionLine};
use domain::{
    Document, Timestamp,
    event::DocumentDeleted,
    pages::DocumentPage,
    rag::IndexedWith,
    resource::{Chunk, DocumentRef, Warning},
};
use serde_json::Value;

objects! {
    DocumentPage { since, workspace, document, job, steps, chunks }
    Document {
        id,
        workspace_id,
        user_id,
        job_id,
        filename,
        mime_type,
        size_bytes,
        content_hash,
        status,
        error,
        error_code,
        error_hint,
        warnings,
        chunk_count,
        progress,
        step,
        message,
        metadata,
        attempt,
        stale,
        indexed_with,
        version,
        next_version,
        enabled or true,
        tags or vec![],
        rev,
        created_at,
        updated_at,
    }
    DocumentRef { id, filename, mime_type }
    Warning { code, message }
    IndexedWith { embedding_model, chunking_strategy, chunk_size, chunk_overlap, other_length or false }
    DocumentDeleted { id, workspace_id, filename or String::new(), undo_until or Timestamp::default(), rev }

    Chunk {
        id,
        document_id,
        ordinal,
        text,
        page,
        heading,
        char_start,
        char_end,
        token_count,
        enabled,
        edited,
        version,
    }
    PassagePage { document, filename, chunk, is_gone, is_old, around, previous, next, embeds }
    Around { before, passage, behind }
    PreviewText { version, is_html, body, whole }
    VersionLine { version, state, filename, size_bytes, created_at, by }
}
