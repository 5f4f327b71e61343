//! What a workspace knows already: passages that are word for word in another document of it, or in an earlier run over the
//! same one. They take the vector that is there, and tell how alike two documents are.

use super::rows;
use crate::{bulk, fault::Fault, open::Store, pgvector, writer::Tx};
use domain::{ChunkId, DocumentId, ingest::DocumentState};
use services::ports::{Alike, Claim};
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeSet;

// Both questions go by the different texts of a run, not by its passages: a document that says one thing a thousand times
// would else be held against each of the thousand of another one.

/// The passages of the run `$1` that have no vector yet.
const LACKING: &str = "chunks AS new \
    JOIN documents AS mine ON mine.id = new.document_id AND mine.generation = new.generation \
    LEFT JOIN chunk_vectors AS vector ON vector.chunk_id = new.id \
    WHERE mine.id = $1 AND vector.chunk_id IS NULL";

/// One that `insighthub check` has marked lends nothing, itself included: its vectors may be what is wrong with it. Nor does
/// one whose vectors have another length than those that the model answers now.
pub(super) async fn find(store: &Store, claim: &Claim, limit: u32) -> Result<Vec<(ChunkId, ChunkId)>, Fault> {
    let sql = format!(
        "WITH texts AS (SELECT DISTINCT new.content_hash FROM {LACKING}), \
         known AS MATERIALIZED (SELECT texts.content_hash, (SELECT old.id FROM chunks AS old \
             JOIN documents AS theirs ON theirs.id = old.document_id AND theirs.live = old.generation \
             JOIN chunk_vectors AS vectors ON vectors.chunk_id = old.id \
             WHERE old.content_hash = texts.content_hash AND theirs.workspace_id = $2 \
             AND theirs.deleted_at IS NULL AND theirs.cut_with <> '' AND theirs.embedded_with = $3 \
             AND LENGTH(vectors.vector) = COALESCE((SELECT 4 * dims.dim FROM model_dims AS dims WHERE dims.model = $3), \
                 LENGTH(vectors.vector)) LIMIT 1) AS id \
             FROM texts) \
         SELECT lacking.id AS id, known.id AS known \
         FROM (SELECT new.id, new.content_hash FROM {LACKING}) AS lacking \
         JOIN known ON known.content_hash = lacking.content_hash WHERE known.id IS NOT NULL LIMIT $4"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(claim.document_id.to_string())
        .bind(claim.workspace_id.to_string())
        .bind(claim.rag_config.fingerprint(true).model)
        .bind(i64::from(limit))
        .fetch_all(store.readers())
        .await?;
    rows.iter().map(|row| Ok((rows::parsed(row, "id")?, rows::parsed(row, "known")?))).collect()
}

pub(super) async fn most_alike(store: &Store, claim: &Claim) -> Result<Option<Alike>, Fault> {
    let sql = "WITH texts AS (SELECT new.content_hash, COUNT(*) AS times FROM chunks AS new \
             JOIN documents AS mine ON mine.id = new.document_id AND mine.generation = new.generation \
             WHERE mine.id = $1 GROUP BY new.content_hash), \
         theirs AS (SELECT DISTINCT documents.id, documents.filename, old.content_hash FROM chunks AS old \
             JOIN documents ON documents.id = old.document_id AND documents.live = old.generation \
             WHERE old.content_hash IN (SELECT content_hash FROM texts) AND documents.workspace_id = $2 \
             AND documents.id <> $1 AND documents.deleted_at IS NULL) \
         SELECT theirs.id AS id, theirs.filename AS filename, CAST(SUM(texts.times) AS BIGINT) AS shared \
         FROM theirs JOIN texts ON texts.content_hash = theirs.content_hash \
         GROUP BY theirs.id, theirs.filename ORDER BY shared DESC, theirs.id LIMIT 1";
    let row = sqlx::query(sql)
        .bind(claim.document_id.to_string())
        .bind(claim.workspace_id.to_string())
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
    // A later version is held against the one that it replaces.
    let own: Option<i64> =
        sqlx::query_scalar("SELECT version FROM documents WHERE id = $1 AND live > 0 AND next_version = $2")
            .bind(claim.document_id.to_string())
            .bind(i64::from(claim.version))
            .fetch_optional(store.readers())
            .await?;
    if let Some(version) = own {
        return Ok(Some((claim.document_id, u32::try_from(version).map_err(Fault::corrupt)?)));
    }
    // The sum keeps SQLite from going over all documents of the workspace in the order of their making.
    let row = sqlx::query(
        "SELECT id, version FROM documents WHERE workspace_id = $1 AND filename = $2 AND id <> $3 \
         AND status = 'ready' AND live > 0 AND deleted_at IS NULL ORDER BY created_at + 0 DESC, id DESC LIMIT 1",
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
    let copied: Vec<_> = passages.iter().filter(|(mine, _)| copied.remove(mine)).copied().collect();
    if tx.copies_vectors {
        pgvector::duplicate(&mut tx.conn, &copied).await?;
    }
    Ok(copied)
}
