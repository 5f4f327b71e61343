//! How long the vectors are that each model answers, and which documents have others: an embedding server may change what
//! it runs under a name. Those cannot be compared with what people ask by now.

use crate::{bulk, fault::Fault, jobs::parsed, open::Store, writer::Tx};
use domain::{DocumentId, rag::OTHER_LENGTH};
use services::ports::StoreError;
use sqlx::{AssertSqlSafe, Row};

/// Documents that are marked in one statement, at most.
const AT_ONCE: usize = 64;

/// Bytes of a vector of what searches find of a document. All vectors of a run have the same length.
const BYTES: &str = "(SELECT CAST(LENGTH(v.vector) AS BIGINT) FROM chunks c JOIN chunk_vectors v ON v.chunk_id = c.id \
    WHERE c.document_id = documents.id AND c.generation = documents.live ORDER BY c.ordinal LIMIT 1)";

fn bytes_of(dim: u32) -> i64 {
    i64::from(dim) * size_of::<f32>() as i64
}

pub(crate) async fn note(store: &Store, model: &str, dim: u32) -> Result<(), StoreError> {
    let known: Option<i64> = sqlx::query_scalar("SELECT dim FROM model_dims WHERE model = $1")
        .bind(model.to_owned())
        .fetch_optional(store.readers())
        .await
        .map_err(Fault::from)?;
    if known == Some(i64::from(dim)) {
        return Ok(());
    }
    store
        .writer()
        .write("note dimensions", (model.to_owned(), dim), |tx, (model, dim)| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO model_dims (model, dim, unmarked) VALUES ($1, $2, 1) \
                     ON CONFLICT (model) DO UPDATE SET dim = excluded.dim, unmarked = 1 \
                     WHERE model_dims.dim <> excluded.dim",
                )
                .bind(model.to_owned())
                .bind(i64::from(*dim))
                .execute(&mut tx.conn)
                .await?;
                Ok(())
            })
        })
        .await?;
    Ok(())
}

/// The looking is done by a reader, so that writers wait only for the rows that change.
pub(crate) async fn mark(store: &Store, limit: u32) -> Result<bool, StoreError> {
    let Some((model, dim)) = unmarked(store).await? else { return Ok(false) };
    let found = found(store, &model, dim, limit).await?;
    store
        .writer()
        .write("mark other lengths", (model, dim, found), |tx, (model, dim, found)| {
            Box::pin(async move {
                if found.is_empty() {
                    sqlx::query("UPDATE model_dims SET unmarked = 0 WHERE model = $1 AND dim = $2")
                        .bind(model.to_owned())
                        .bind(i64::from(*dim))
                        .execute(&mut tx.conn)
                        .await?;
                }
                for part in bulk::parts(found, AT_ONCE) {
                    turn(tx, part, *dim).await?;
                }
                Ok(())
            })
        })
        .await?;
    Ok(true)
}

async fn unmarked(store: &Store) -> Result<Option<(String, u32)>, Fault> {
    let row = sqlx::query("SELECT model, dim FROM model_dims WHERE unmarked = 1 ORDER BY model LIMIT 1")
        .fetch_optional(store.readers())
        .await?;
    row.map(|row| {
        let dim: i64 = row.try_get("dim")?;
        Ok((row.try_get("model")?, u32::try_from(dim).map_err(Fault::corrupt)?))
    })
    .transpose()
}

/// Documents that lack the mark, or have it for nothing. One that `insighthub check` has marked needs no other mark.
async fn found(store: &Store, model: &str, dim: u32, limit: u32) -> Result<Vec<DocumentId>, Fault> {
    let sql = format!(
        "SELECT id FROM (SELECT documents.id, documents.cut_with, {BYTES} AS bytes FROM documents \
             WHERE documents.embedded_with = $1 AND documents.live > 0 AND documents.cut_with <> '') AS told \
         WHERE (bytes <> $2 AND cut_with NOT LIKE '%{OTHER_LENGTH}') \
         OR (bytes = $2 AND cut_with LIKE '%{OTHER_LENGTH}') ORDER BY id LIMIT $3"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(model.to_owned())
        .bind(bytes_of(dim))
        .bind(i64::from(limit))
        .fetch_all(store.readers())
        .await?;
    rows.iter().map(|row| parsed(row, "id")).collect()
}

/// Marks those of them whose vectors have another length, and takes the mark from the others; their workspaces tell it.
async fn turn(tx: &mut Tx, documents: &[DocumentId], dim: u32) -> Result<(), Fault> {
    let ids = bulk::list(2, documents.len());
    // What became of a document since it was found counts.
    let marks = format!(
        "UPDATE documents SET cut_with = cut_with || '{OTHER_LENGTH}' \
         WHERE {BYTES} <> $1 AND cut_with <> '' AND cut_with NOT LIKE '%{OTHER_LENGTH}' AND id IN ({ids})"
    );
    let clears = format!(
        "UPDATE documents SET cut_with = SUBSTR(cut_with, 1, LENGTH(cut_with) - {}) \
         WHERE {BYTES} = $1 AND cut_with LIKE '%{OTHER_LENGTH}' AND id IN ({ids})",
        OTHER_LENGTH.len()
    );
    let tells = format!(
        "UPDATE workspaces SET config_untold = 1 WHERE $1 > 0 \
         AND id IN (SELECT workspace_id FROM documents WHERE id IN ({ids}))"
    );
    for sql in [marks, clears, tells] {
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(bytes_of(dim));
        for id in documents {
            query = query.bind(id.to_string());
        }
        query.execute(&mut tx.conn).await?;
    }
    Ok(())
}

/// How many numbers the vectors of that run have; `None`: it has none yet.
pub(crate) async fn of_run(tx: &mut Tx, document: DocumentId, generation: u32) -> Result<Option<u32>, Fault> {
    let bytes: Option<i64> = sqlx::query_scalar(
        "SELECT CAST(LENGTH(v.vector) AS BIGINT) FROM chunks c JOIN chunk_vectors v ON v.chunk_id = c.id \
         WHERE c.document_id = $1 AND c.generation = $2 ORDER BY c.ordinal LIMIT 1",
    )
    .bind(document.to_string())
    .bind(i64::from(generation))
    .fetch_optional(&mut tx.conn)
    .await?;
    bytes.map(|bytes| u32::try_from(bytes / bytes_of(1)).map_err(Fault::corrupt)).transpose()
}

/// How many numbers the vectors of a model have now, as far as anybody knows.
pub(crate) async fn of_model(tx: &mut Tx, model: &str) -> Result<Option<u32>, Fault> {
    let dim: Option<i64> = sqlx::query_scalar("SELECT dim FROM model_dims WHERE model = $1")
        .bind(model.to_owned())
        .fetch_optional(&mut tx.conn)
        .await?;
    dim.map(|dim| u32::try_from(dim).map_err(Fault::corrupt)).transpose()
}
