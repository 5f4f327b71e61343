//! What a workspace knows already: passages that are word for word in another document of it, or in an earlier run over the
//! same one. They take the vector that is there, and tell how alike two documents are.

use super::rows;
use crate::{bulk, fault::Fault, open::Store, writer::Tx};
use domain::{ChunkId, DocumentId, ingest::DocumentState};
use services::ports::{Alike, Claim};
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeSet;

/// A passage that searches find (`old`), in the workspace of the claim, with the words of one of its run (`new`).
const SAME: &str = "chunks AS new \
    JOIN documents AS mine ON mine.id = new.document_id AND mine.generation = new.generation \
    JOIN chunks AS old ON old.content_hash = new.content_hash AND old.id <> new.id \
    JOIN documents AS theirs ON theirs.id = old.document_id AND theirs.live = old.generation \
        AND theirs.workspace_id = mine.workspace_id AND theirs.deleted_at IS NULL";

pub(super) async fn find(store: &Store, claim: &Claim, limit: u32) -> Result<Vec<(ChunkId, ChunkId)>, Fault> {
    let sql = format!(
        "SELECT new.id AS id, MIN(old.id) AS known FROM {SAME} \
         JOIN chunk_vectors AS theirs_vector ON theirs_vector.chunk_id = old.id \
         LEFT JOIN chunk_vectors AS my_vector ON my_vector.chunk_id = new.id \
         WHERE mine.id = $1 AND theirs.embedded_with = $2 AND my_vector.chunk_id IS NULL \
         GROUP BY new.id LIMIT $3"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(claim.document_id.to_string())
        .bind(claim.rag_config.fingerprint(true).model)
        .bind(i64::from(limit))
        .fetch_all(store.readers())
        .await?;
    rows.iter().map(|row| Ok((rows::parsed(row, "id")?, rows::parsed(row, "known")?))).collect()
}

pub(super) async fn most_alike(store: &Store, claim: &Claim) -> Result<Option<Alike>, Fault> {
    let sql = format!(
        "SELECT theirs.id AS id, theirs.filename AS filename, COUNT(DISTINCT new.ordinal) AS shared FROM {SAME} \
         WHERE mine.id = $1 AND theirs.id <> mine.id \
         GROUP BY theirs.id, theirs.filename ORDER BY shared DESC, theirs.id LIMIT 1"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(claim.document_id.to_string())
        .fetch_optional(store.readers())
        .await?;
    row.map(|row| {
        let shared: i64 = row.try_get("shared")?;
        Ok(Alike {
            document_id: rows::parsed(&row, "id")?,
            filename: row.try_get("filename")?,
            shared: u64::try_from(shared).unwrap_or_default(),
        })
    })
    .transpose()
}

pub(super) async fn namesake(store: &Store, claim: &Claim) -> Result<Option<(DocumentId, u32)>, Fault> {
    let row = sqlx::query(
        "SELECT id, version FROM documents WHERE workspace_id = $1 AND filename = $2 AND id <> $3 \
         AND status = 'ready' AND live > 0 AND deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 1",
    )
    .bind(claim.workspace_id.to_string())
    .bind(claim.filename.as_str())
    .bind(claim.document_id.to_string())
    .fetch_optional(store.readers())
    .await?;
    row.map(|row| Ok((rows::parsed(&row, "id")?, rows::number(&row, "version")?))).transpose()
}

/// Copies the vectors, where the passage is of this run and has none, and the known one has one; answers those pairs.
pub(super) async fn copy_vectors(
    tx: &mut Tx,
    state: &DocumentState,
    passages: &[(ChunkId, ChunkId)],
) -> Result<Vec<(ChunkId, ChunkId)>, Fault> {
    let mut copied = BTreeSet::new();
    for part in bulk::parts(passages, rows::PARAMETERS / 4) {
        let pairs = bulk::rows(part.len(), 2);
        let (document, generation) = (2 * part.len() + 1, 2 * part.len() + 2);
        let sql = format!(
            "WITH pairs (mine, known) AS (VALUES {pairs}) \
             INSERT INTO chunk_vectors (chunk_id, vector) \
             SELECT chunks.id, chunk_vectors.vector FROM pairs JOIN chunks ON chunks.id = pairs.mine \
             JOIN chunk_vectors ON chunk_vectors.chunk_id = pairs.known \
             WHERE chunks.document_id = ${document} AND chunks.generation = ${generation} \
             ON CONFLICT (chunk_id) DO NOTHING RETURNING chunk_id"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (mine, known) in part {
            query = query.bind(mine.to_string()).bind(known.to_string());
        }
        let query = query.bind(state.document.id.to_string()).bind(i64::from(state.generation));
        for row in query.fetch_all(&mut tx.conn).await? {
            copied.insert(rows::parsed::<ChunkId>(&row, "chunk_id")?);
        }
    }
    Ok(passages.iter().filter(|(mine, _)| copied.remove(mine)).copied().collect())
}
