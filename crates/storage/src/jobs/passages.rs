//! Single passages: reading them, and what people do to them. A change is written to the passage and, as a mark, beside the
//! document, so that the next run over it takes it over.

use super::{CHUNK, checkpoint, chunk, lock_document, rows, tell};
use crate::{
    containing, dims,
    fault::Fault,
    graph, index,
    open::Store,
    page::{Cursor, List, limit_of, paged},
    writer::Tx,
};
use async_trait::async_trait;
use domain::{
    Chunk, ChunkId, DocumentId, Event, UserId,
    ingest::{ChunkMark, DocumentState, Told, control},
    provision::Refusal,
    resource::Page,
};
use services::ports::{ChunkChange, PageQuery, Passages, StoreError};
use sqlx::{AssertSqlSafe, Row};
use std::sync::Arc;

const BUSY: Refusal = Refusal::new(
    "document_busy",
    "This document is being worked on. Change its passages when that is through.",
);
const OTHER_MODEL: Refusal = Refusal::new(
    "document_changed",
    "This document was embedded with another model in the meantime. Try again.",
);

const OTHER_LENGTH: Refusal = Refusal::new(
    "document_stale",
    "The embedding model answers vectors of another length by now. Index this document anew first.",
);

/// The passages of the document $1 of the user $2 that searches find, or would.
const OF_DOCUMENT: &str = "chunks JOIN documents ON documents.id = chunks.document_id \
    AND documents.live = chunks.generation \
    WHERE chunks.document_id = $1 AND documents.user_id = $2 AND documents.deleted_at IS NULL";

/// What people did to passages of the document.
pub(super) async fn marks(store: &Store, document: DocumentId) -> Result<Vec<ChunkMark>, Fault> {
    let found = sqlx::query(
        "SELECT cut_hash, enabled, text, content_hash, token_count FROM chunk_marks WHERE document_id = $1",
    )
    .bind(document.to_string())
    .fetch_all(store.readers())
    .await?;
    let mark = |row: &sqlx::any::AnyRow| {
        let text: Option<String> = row.try_get("text")?;
        let hash: Option<String> = row.try_get("content_hash")?;
        let tokens: Option<u32> = rows::maybe_number(row, "token_count")?;
        Ok(ChunkMark {
            cut_hash: row.try_get("cut_hash")?,
            enabled: row.try_get::<i64, _>("enabled")? != 0,
            words: text.zip(hash).zip(tokens).map(|((text, hash), tokens)| (text, hash, tokens)),
        })
    };
    found.iter().map(mark).collect()
}

/// A passage as it lies in its row.
struct Lying {
    chunk: Chunk,
    content_hash: String,
    /// Of the words that were cut, where there are others now.
    cut_hash: Option<String>,
}

async fn lying(tx: &mut Tx, state: &DocumentState, id: ChunkId) -> Result<Lying, Fault> {
    let sql = format!(
        "SELECT {CHUNK}, chunks.content_hash FROM chunks \
         WHERE chunks.id = $1 AND chunks.document_id = $2 AND chunks.generation = $3"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id.to_string())
        .bind(state.document.id.to_string())
        .bind(i64::from(state.live))
        .fetch_optional(&mut tx.conn)
        .await?
        .ok_or(StoreError::NotFound)?;
    Ok(Lying {
        chunk: chunk(&row)?,
        content_hash: row.try_get("content_hash")?,
        cut_hash: row.try_get("cut_hash")?,
    })
}

async fn commit(tx: &mut Tx, change: &ChunkChange) -> Result<(), Fault> {
    let (mut state, _) = lock_document(tx, change.document).await?.ok_or(StoreError::NotFound)?;
    if state.document.user_id != change.user {
        return Err(StoreError::NotFound.into());
    }
    if state.document.is_unfinished() {
        let busy = BUSY.allowing(control::moves_of_document(&state));
        return Err(StoreError::Refused(busy).into());
    }
    let before = lying(tx, &state, change.chunk).await?;
    let model = state.indexed.as_ref().map(|indexed| indexed.model.clone()).unwrap_or_default();
    if change.vector.as_ref().is_some_and(|(made_with, _)| *made_with != model)
        || (change.words.is_some() && !model.is_empty() && change.vector.is_none())
    {
        return Err(StoreError::Refused(OTHER_MODEL).into());
    }
    // One that cannot be compared with the others would hide the passage.
    if let Some((_, vector)) = &change.vector
        && let Some(dim) = dims::of_run(tx, change.document, state.live).await?
        && dim as usize != vector.len()
    {
        return Err(StoreError::Refused(OTHER_LENGTH).into());
    }
    let words = change.words.as_ref().filter(|words| words.content_hash != before.content_hash);
    let enabled = change.enabled.unwrap_or(before.chunk.enabled);
    if words.is_none() && enabled == before.chunk.enabled && change.vector.is_none() {
        return Ok(());
    }
    let cut = before.cut_hash.clone().unwrap_or_else(|| before.content_hash.clone());
    // Words that are put back are the document's own again.
    let (text, hash, tokens) = match words {
        Some(words) => (&words.text, &words.content_hash, words.token_count),
        None => (&before.chunk.text, &before.content_hash, before.chunk.token_count),
    };
    let is_edited = *hash != cut;
    sqlx::query(
        "UPDATE chunks SET text = $2, content_hash = $3, token_count = $4, enabled = $5, cut_hash = $6 WHERE id = $1",
    )
    .bind(change.chunk.to_string())
    .bind(text.as_str())
    .bind(hash.as_str())
    .bind(i64::from(tokens))
    .bind(i64::from(enabled))
    .bind(is_edited.then(|| cut.clone()))
    .execute(&mut tx.conn)
    .await?;
    sqlx::query(
        "INSERT INTO chunk_marks (document_id, cut_hash, enabled, text, content_hash, token_count, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (document_id, cut_hash) DO UPDATE SET \
         enabled = excluded.enabled, text = excluded.text, content_hash = excluded.content_hash, \
         token_count = excluded.token_count, updated_at = excluded.updated_at",
    )
    .bind(change.document.to_string())
    .bind(cut.as_str())
    .bind(i64::from(enabled))
    .bind(is_edited.then_some(text.as_str()))
    .bind(is_edited.then_some(hash.as_str()))
    .bind(is_edited.then_some(i64::from(tokens)))
    .bind(change.now.micros())
    .execute(&mut tx.conn)
    .await?;
    if let Some((_, vector)) = &change.vector {
        sqlx::query("DELETE FROM chunk_vectors WHERE chunk_id = $1")
            .bind(change.chunk.to_string())
            .execute(&mut tx.conn)
            .await?;
        checkpoint::insert_vectors(tx, &[(change.chunk, vector.clone())]).await?;
    }
    if let Some(words) = words {
        let ordinal = i64::from(before.chunk.ordinal);
        let found = DocumentState { generation: state.live, ..state.clone() };
        index::add_text(tx, &found, ordinal..ordinal + 1).await?;
        graph::forget(tx, change.chunk).await?;
        if state.indexed.as_ref().is_some_and(|indexed| indexed.graph) {
            let passage = [(change.chunk, &words.graph)];
            graph::insert(tx, state.document.workspace_id, passage.into_iter()).await?;
        }
    }
    index::raise_version(tx, state.document.workspace_id).await?;
    state.document.updated_at = change.now;
    rows::update_document(&mut tx.conn, &state).await?;
    let told = Told { events: vec![Event::DocumentStatus(state.document.clone())], counts_changed: false };
    tell(tx, change.user, state.document.workspace_id, told, change.now).await
}

impl Store {
    async fn read_passage(
        &self,
        user: UserId,
        document: DocumentId,
        id: ChunkId,
    ) -> Result<Option<Chunk>, Fault> {
        let sql = format!("SELECT {CHUNK} FROM {OF_DOCUMENT} AND chunks.id = $3");
        self.read_chunk(sql, user, document, id).await
    }

    /// The one chunk that the statement finds by document `$1`, user `$2` and id `$3`.
    pub(super) async fn read_chunk(
        &self,
        sql: String,
        user: UserId,
        document: DocumentId,
        id: ChunkId,
    ) -> Result<Option<Chunk>, Fault> {
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(document.to_string())
            .bind(user.to_string())
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(chunk).transpose()
    }

    async fn read_neighbours(
        &self,
        user: UserId,
        document: DocumentId,
        ordinal: u32,
    ) -> Result<(Option<ChunkId>, Option<ChunkId>), Fault> {
        let mut found = [None, None];
        let before = "chunks.ordinal < $3 ORDER BY chunks.ordinal DESC";
        let behind = "chunks.ordinal > $3 ORDER BY chunks.ordinal";
        for (side, neighbour) in [before, behind].into_iter().zip(&mut found) {
            let sql = format!("SELECT chunks.id FROM {OF_DOCUMENT} AND {side} LIMIT 1");
            let row = sqlx::query(AssertSqlSafe(sql))
                .bind(document.to_string())
                .bind(user.to_string())
                .bind(i64::from(ordinal))
                .fetch_optional(self.readers())
                .await?;
            *neighbour = row.map(|row| rows::parsed(&row, "id")).transpose()?;
        }
        Ok((found[0], found[1]))
    }

    async fn read_passages_with(
        &self,
        user: UserId,
        document: DocumentId,
        words: &str,
        page: PageQuery,
    ) -> Result<Page<Chunk>, Fault> {
        let from = List::Chunks.behind(&page)?;
        let limit = limit_of(&page);
        let text = "(COALESCE(chunks.heading, '') || ' ' || chunks.text)";
        let contains = containing::condition(self.engine(), text, 4);
        let sql = format!(
            "SELECT {CHUNK} FROM {OF_DOCUMENT} AND chunks.ordinal > $3 AND {contains} \
             ORDER BY chunks.ordinal LIMIT $5"
        );
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(document.to_string())
            .bind(user.to_string())
            .bind(from.number)
            .bind(containing::pattern(self.engine(), words))
            .bind(i64::from(limit) + 1)
            .fetch_all(self.readers())
            .await?;
        let found: Vec<Chunk> = found.iter().map(chunk).collect::<Result<_, _>>()?;
        Ok(paged(List::Chunks, found, limit, |c| Cursor::new(i64::from(c.ordinal), c.id)))
    }
}

#[async_trait]
impl Passages for Store {
    async fn passage(
        &self,
        user: UserId,
        document: DocumentId,
        chunk: ChunkId,
    ) -> Result<Option<Chunk>, StoreError> {
        Ok(self.read_passage(user, document, chunk).await?)
    }

    async fn old_passage(
        &self,
        user: UserId,
        document: DocumentId,
        chunk: ChunkId,
    ) -> Result<Option<Chunk>, StoreError> {
        Ok(self.read_old_chunk(user, document, chunk).await?)
    }

    async fn neighbours(
        &self,
        user: UserId,
        document: DocumentId,
        ordinal: u32,
    ) -> Result<(Option<ChunkId>, Option<ChunkId>), StoreError> {
        Ok(self.read_neighbours(user, document, ordinal).await?)
    }

    async fn passages_with(
        &self,
        user: UserId,
        document: DocumentId,
        words: &str,
        page: PageQuery,
    ) -> Result<Page<Chunk>, StoreError> {
        Ok(self.read_passages_with(user, document, &words.replace('\0', ""), page).await?)
    }

    async fn change_passage(&self, mut change: ChunkChange) -> Result<Chunk, StoreError> {
        if let Some(words) = &mut change.words {
            super::input::clean(&mut words.text);
        }
        let (user, document, chunk) = (change.user, change.document, change.chunk);
        self.writer()
            .write_for(user, "change a passage", Arc::new(change), |tx, change| Box::pin(commit(tx, change)))
            .await?;
        self.read_passage(user, document, chunk).await?.ok_or(StoreError::NotFound)
    }
}
