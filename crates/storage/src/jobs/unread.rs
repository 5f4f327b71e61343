//! What a language model has yet to read of a document's passages, and what it read.

use super::{CHUNK, chunk, number, parsed};
use crate::{bulk, fault::Fault, graph, open::Store, writer::Tx};
use domain::{ChunkId, DocumentId, graph::ChunkGraph, ingest::DocumentState};
use services::ports::{Unread, UnreadPassage};
use sqlx::{AssertSqlSafe, Row};
use std::collections::HashMap;

/// The marks of `chunks.asked`.
const READ: i64 = 1;
const IN_VAIN: i64 = 2;

pub(super) async fn find(store: &Store, document: DocumentId, limit: u32) -> Result<Unread, Fault> {
    let sql = "SELECT COUNT(*) AS passages, \
             COALESCE(SUM(CASE WHEN chunks.asked <> 0 THEN 1 ELSE 0 END), 0) AS asked, \
             COALESCE(SUM(CASE WHEN chunks.asked = $2 THEN 1 ELSE 0 END), 0) AS in_vain \
         FROM chunks JOIN documents ON documents.id = chunks.document_id \
         WHERE chunks.document_id = $1 AND chunks.generation = documents.generation";
    let counts = sqlx::query(sql).bind(document.to_string()).bind(IN_VAIN).fetch_one(store.readers()).await?;
    let sql = format!(
        "SELECT {CHUNK} FROM chunks JOIN documents ON documents.id = chunks.document_id \
         WHERE chunks.document_id = $1 AND chunks.generation = documents.generation AND chunks.asked = 0 \
         ORDER BY chunks.ordinal LIMIT $2"
    );
    let left = sqlx::query(AssertSqlSafe(sql)).bind(document.to_string()).bind(i64::from(limit));
    let left = left.fetch_all(store.readers()).await?;
    let passage = |row| Ok::<_, Fault>(UnreadPassage { chunk: chunk(row)?, known: HashMap::new() });
    let mut passages = left.iter().map(passage).collect::<Result<Vec<_>, _>>()?;
    if !passages.is_empty() {
        let sql = format!(
            "SELECT chunk_id, surface, entity FROM chunk_entities WHERE chunk_id IN ({}) \
             ORDER BY chunk_id, surface, times, entity",
            bulk::list(1, passages.len())
        );
        let query = sqlx::query(AssertSqlSafe(sql));
        let query = passages.iter().fold(query, |query, passage| query.bind(passage.chunk.id.to_string()));
        for row in query.fetch_all(store.readers()).await? {
            let id: ChunkId = parsed(&row, "chunk_id")?;
            if let Some(passage) = passages.iter_mut().find(|passage| passage.chunk.id == id) {
                // Of two things of one name the one that is named oftener.
                passage.known.insert(row.try_get("surface")?, row.try_get("entity")?);
            }
        }
    }
    Ok(Unread {
        passages,
        all: number(&counts, "passages")?,
        asked: number(&counts, "asked")?,
        in_vain: number(&counts, "in_vain")?,
    })
}

/// Writes what was read in a passage of the run, or that nothing was. What the rules found there stands.
pub(super) async fn note(
    tx: &mut Tx,
    state: &DocumentState,
    passage: ChunkId,
    graph: Option<&ChunkGraph>,
) -> Result<(), Fault> {
    let mark = if graph.is_some() { READ } else { IN_VAIN };
    // One that is gone, or was read by whoever had the document before, is left as it is.
    let noted = sqlx::query(
        "UPDATE chunks SET asked = $1 WHERE id = $2 AND document_id = $3 AND generation = $4 AND asked = 0",
    )
    .bind(mark)
    .bind(passage.to_string())
    .bind(state.document.id.to_string())
    .bind(i64::from(state.generation))
    .execute(&mut tx.conn)
    .await?;
    match graph {
        Some(graph) if noted.rows_affected() > 0 => {
            graph::insert(tx, state.document.workspace_id, [(passage, graph)].into_iter()).await
        }
        _ => Ok(()),
    }
}
