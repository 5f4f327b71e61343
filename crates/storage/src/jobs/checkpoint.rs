//! A piece of finished work: its rows, its counts and its events, in one transaction, under the claim.

use super::{claim, lock_document, lock_job, rows, tell};
use crate::{bulk, fault::Fault, index, writer::Tx};
use domain::{
    ChunkId, Timestamp,
    ingest::{self, Checkpoint, DocumentState, NewChunk},
};
use services::ports::{Claim, StoreError};
use sqlx::AssertSqlSafe;
use std::{borrow::Cow, collections::BTreeSet};

const CHUNK_COLUMNS: usize = 12;

pub(super) async fn commit(
    tx: &mut Tx,
    held: &Claim,
    checkpoint: &Checkpoint,
    now: Timestamp,
) -> Result<(), Fault> {
    // Task, job, document: always in this order.
    claim::held(tx, held).await?;
    let mut job = lock_job(tx, held.job_id).await?.ok_or(StoreError::Fenced)?;
    let (mut document, _) = lock_document(tx, held.document_id).await?.ok_or(StoreError::Fenced)?;
    let checkpoint = match checkpoint {
        Checkpoint::Embedded { vectors } => {
            Cow::Owned(Checkpoint::Embedded { vectors: new_vectors(tx, &document, vectors).await? })
        }
        other => Cow::Borrowed(other),
    };
    let before = (job.clone(), document.clone());
    let told = ingest::advance(&mut job, &mut document, &checkpoint, now)?;
    match &*checkpoint {
        Checkpoint::Chunked { chunks } => replace_chunks(tx, &document, chunks).await?,
        Checkpoint::Embedded { vectors } => insert_vectors(tx, vectors).await?,
        Checkpoint::Indexed => {
            index::add_text(tx, &document.document).await?;
            index::raise_version(tx, held.workspace_id).await?;
            claim::end(tx, held, "done").await?;
        }
        Checkpoint::Failed(_) => claim::end(tx, held, "failed").await?,
        Checkpoint::Step { .. } | Checkpoint::Loaded { .. } => {}
    }
    if job != before.0 {
        rows::update_job(&mut tx.conn, &job).await?;
    }
    if document != before.1 {
        rows::update_document(&mut tx.conn, &document).await?;
    }
    tell(tx, held.user_id, held.workspace_id, told, now).await
}

/// Those of a batch that are really new, each once: of chunks that are there and have no vector yet. What was committed
/// before a takeover is neither stored nor counted twice.
async fn new_vectors(
    tx: &mut Tx,
    state: &DocumentState,
    vectors: &[(ChunkId, Vec<f32>)],
) -> Result<Vec<(ChunkId, Vec<f32>)>, Fault> {
    let mut wanted = BTreeSet::new();
    for part in bulk::parts(vectors, rows::PARAMETERS) {
        let sql = format!(
            "SELECT chunks.id FROM chunks LEFT JOIN chunk_vectors ON chunk_vectors.chunk_id = chunks.id \
             WHERE chunks.document_id = $1 AND chunks.version = $2 AND chunk_vectors.chunk_id IS NULL \
             AND chunks.id IN ({})",
            bulk::list(3, part.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(state.document.id.to_string())
            .bind(i64::from(state.document.version));
        for (id, _) in part {
            query = query.bind(id.to_string());
        }
        for row in query.fetch_all(&mut tx.conn).await? {
            wanted.insert(rows::parsed::<ChunkId>(&row, "id")?);
        }
    }
    Ok(vectors.iter().filter(|(id, _)| wanted.remove(id)).cloned().collect())
}

async fn insert_vectors(tx: &mut Tx, vectors: &[(ChunkId, Vec<f32>)]) -> Result<(), Fault> {
    for part in bulk::parts(vectors, rows::PARAMETERS / 2) {
        let sql =
            format!("INSERT INTO chunk_vectors (chunk_id, vector) VALUES {}", bulk::rows(part.len(), 2));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (id, vector) in part {
            query = query.bind(id.to_string()).bind(index::vector_bytes(vector));
        }
        query.execute(&mut tx.conn).await?;
    }
    Ok(())
}

/// The chunks of this version of the document, in place of any that were there.
async fn replace_chunks(tx: &mut Tx, state: &DocumentState, chunks: &[NewChunk]) -> Result<(), Fault> {
    let (document, version) = (state.document.id.to_string(), i64::from(state.document.version));
    sqlx::query("DELETE FROM chunks WHERE document_id = $1 AND version = $2")
        .bind(document.as_str())
        .bind(version)
        .execute(&mut tx.conn)
        .await?;
    for part in bulk::parts(chunks, rows::PARAMETERS / 16) {
        let sql = format!(
            "INSERT INTO chunks (id, document_id, version, ordinal, text, content_hash, page, heading, char_start, \
             char_end, token_count, enabled) VALUES {}",
            bulk::rows(part.len(), CHUNK_COLUMNS)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for c in part {
            query = query
                .bind(c.id.to_string())
                .bind(document.clone())
                .bind(version)
                .bind(i64::from(c.ordinal))
                .bind(c.text.clone())
                .bind(c.content_hash.clone())
                .bind(c.page.map(i64::from))
                .bind(c.heading.clone())
                .bind(rows::int(c.char_start))
                .bind(rows::int(c.char_end))
                .bind(i64::from(c.token_count))
                .bind(1i64);
        }
        query.execute(&mut tx.conn).await?;
    }
    Ok(())
}
