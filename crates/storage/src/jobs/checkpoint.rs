//! A piece of finished work: its rows, its counts and its events, in one transaction, under the claim.

use super::{claim, lock_document, lock_job, rows, tell};
use crate::{bulk, fault::Fault, index, workspaces, writer::Tx};
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
    let ends = matches!(*checkpoint, Checkpoint::Indexed | Checkpoint::Failed(_));
    // Only the end of a document is held against what its workspace asks for by now.
    let wanted = if ends { workspaces::config(tx, held.workspace_id).await? } else { job.config.clone() };
    let told = ingest::advance(&mut job, &mut document, &checkpoint, &wanted, now)?;
    match &*checkpoint {
        Checkpoint::Chunked { chunks } => replace_chunks(tx, &document, chunks).await?,
        Checkpoint::Embedded { vectors } => insert_vectors(tx, vectors).await?,
        Checkpoint::Indexed => {
            index::add_text(tx, &document).await?;
            drop_chunks(tx, &document, Drop::Earlier).await?;
            index::raise_version(tx, held.workspace_id).await?;
            claim::end(tx, held, "done").await?;
        }
        Checkpoint::Failed(_) => {
            if document.live > 0 {
                // Nothing will ever find them, and the earlier ones serve on.
                drop_chunks(tx, &document, Drop::OfThisRun).await?;
            }
            claim::end(tx, held, "failed").await?;
        }
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
             WHERE chunks.document_id = $1 AND chunks.generation = $2 AND chunk_vectors.chunk_id IS NULL \
             AND chunks.id IN ({})",
            bulk::list(3, part.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(state.document.id.to_string())
            .bind(i64::from(state.generation));
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

enum Drop {
    /// What the run that is through replaces.
    Earlier,
    OfThisRun,
}

/// Removes chunks, and with them their vectors and their words.
async fn drop_chunks(tx: &mut Tx, state: &DocumentState, which: Drop) -> Result<(), Fault> {
    if state.generation == 1 {
        // There is nothing earlier, and nothing that serves instead.
        return Ok(());
    }
    let sql = match which {
        Drop::Earlier => "DELETE FROM chunks WHERE document_id = $1 AND generation < $2",
        Drop::OfThisRun => "DELETE FROM chunks WHERE document_id = $1 AND generation = $2",
    };
    sqlx::query(sql)
        .bind(state.document.id.to_string())
        .bind(i64::from(state.generation))
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}

/// The chunks of this run over the document, in place of any that were there.
async fn replace_chunks(tx: &mut Tx, state: &DocumentState, chunks: &[NewChunk]) -> Result<(), Fault> {
    let (document, generation) = (state.document.id.to_string(), i64::from(state.generation));
    sqlx::query("DELETE FROM chunks WHERE document_id = $1 AND generation = $2")
        .bind(document.as_str())
        .bind(generation)
        .execute(&mut tx.conn)
        .await?;
    for part in bulk::parts(chunks, rows::PARAMETERS / 16) {
        let sql = format!(
            "INSERT INTO chunks (id, document_id, generation, ordinal, text, content_hash, page, heading, char_start, \
             char_end, token_count, enabled) VALUES {}",
            bulk::rows(part.len(), CHUNK_COLUMNS)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for c in part {
            query = query
                .bind(c.id.to_string())
                .bind(document.clone())
                .bind(generation)
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
