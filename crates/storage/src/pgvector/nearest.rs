//! What is asked of the copies.

use super::copies::text_of;
use crate::{
    bulk,
    fault::Fault,
    index::{vector_of, version},
    jobs::{number, parsed},
    open::Store,
};
use domain::{ChunkId, WorkspaceId};
use services::ports::{Outline, StoredVector};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};
use std::{collections::HashSet, sync::Arc};

/// So many more are fetched than are wanted: as a rule those that are as near as the last one, but for the rounding, are
/// among them.
const SPARE: i64 = 64;

/// Which passages searches find, of documents joined with their chunks of the live generation.
const LIVE: &str = "documents.deleted_at IS NULL AND documents.live > 0 AND documents.enabled = 1 \
    AND chunks.enabled = 1";

/// The models of the workspace `$1` and about how many bytes their vectors take, each with an id of `$2` bytes. One vector
/// tells how long those of its document are.
const SIZES: &str = "SELECT model, CAST(SUM(passages * (bytes + $2)) AS BIGINT) AS bytes FROM (SELECT \
        documents.embedded_with AS model, documents.live_chunks AS passages, \
        (SELECT length(chunk_vectors.vector) FROM chunks \
            JOIN chunk_vectors ON chunk_vectors.chunk_id = chunks.id WHERE chunks.document_id = documents.id \
            AND chunks.generation = documents.live AND chunks.enabled = 1 LIMIT 1) AS bytes \
        FROM documents WHERE documents.workspace_id = $1 AND documents.deleted_at IS NULL \
        AND documents.live > 0 AND documents.enabled = 1) AS of_each WHERE bytes IS NOT NULL GROUP BY model";

/// How far apart two vectors may be by the database's sums that are equally near by those of whoever asks. Each of the two
/// adds up the products of two vectors of length 1 in single precision, in an order of its own, and so is off by at most
/// half an epsilon for each number; a vector of one side may be too near by that much, and one of the other side too far.
/// Twice of all that, since lengths are not 1 to the last bit either.
fn margin(dims: usize) -> f64 {
    4.0 * f64::from(f32::EPSILON) * (dims as f64 + 8.0)
}

/// A passage as the database sees it.
struct Told {
    id: ChunkId,
    /// The negative of the inner product; `None`: it has no copy that can be compared.
    distance: Option<f64>,
    /// It has none at all.
    missing: bool,
}

/// What `$1` (workspace), `$2` (model), `$3` (how many numbers) and `$4` (the question's) tell of each passage that is
/// found. The numbers are read once and not for each row, therefore the SELECT around them.
fn told(and: &str) -> String {
    format!(
        "SELECT id, distance, missing FROM (SELECT chunks.id AS id, \
             CASE WHEN s.dims = $3 THEN s.embedding <#> (SELECT CAST($4 AS vector)) END AS distance, \
             CAST(CASE WHEN s.chunk_id IS NULL THEN 1 ELSE 0 END AS BIGINT) AS missing FROM documents \
             JOIN chunks ON chunks.document_id = documents.id AND chunks.generation = documents.live \
             LEFT JOIN searchable_vectors AS s ON s.chunk_id = chunks.id \
             WHERE documents.workspace_id = $1 AND documents.embedded_with = $2 AND {LIVE} \
             AND (s.dims IS NULL OR s.dims = $3)) AS told {and}"
    )
}

impl Told {
    fn of(row: &AnyRow) -> Result<Self, Fault> {
        Ok(Self {
            id: parsed(row, "id")?,
            distance: row.try_get("distance")?,
            missing: row.try_get::<i64, _>("missing")? == 1,
        })
    }
}

impl Store {
    pub(crate) async fn read_outline(
        &self,
        workspace: WorkspaceId,
        budget: u64,
    ) -> Result<Option<Outline>, Fault> {
        if self.copies().is_none() {
            return Ok(None);
        }
        let mut tx = self.readers().begin_with(self.engine().begin_read()).await?;
        let version = version(&mut tx, workspace).await?;
        let rows = sqlx::query(SIZES)
            .bind(workspace.to_string())
            .bind(size_of::<ChunkId>() as i64)
            .fetch_all(&mut *tx)
            .await?;
        let (mut models, mut bytes) = (Vec::<Arc<str>>::new(), 0u64);
        for row in &rows {
            models.push(Arc::from(row.try_get::<&str, _>("model")?));
            bytes += number::<u64>(row, "bytes")?;
        }
        if bytes <= budget {
            tx.commit().await?;
            return Ok(None);
        }
        models.sort_unstable();
        let sql = format!(
            "SELECT COUNT(*) AS passages FROM documents \
             JOIN chunks ON chunks.document_id = documents.id AND chunks.generation = documents.live \
             WHERE documents.workspace_id = $1 AND {LIVE} \
             AND NOT EXISTS (SELECT 1 FROM chunk_vectors WHERE chunk_vectors.chunk_id = chunks.id)"
        );
        let bare = sqlx::query(AssertSqlSafe(sql)).bind(workspace.to_string()).fetch_one(&mut *tx).await?;
        let bare = number(&bare, "passages")?;
        tx.commit().await?;
        Ok(Some(Outline { version, models, bare }))
    }

    pub(crate) async fn read_candidates(
        &self,
        workspace: WorkspaceId,
        model: &str,
        query: &[f32],
        k: u32,
    ) -> Result<Option<Vec<StoredVector>>, Fault> {
        let (Some(copies), Some(numbers)) = (self.copies(), text_of(query)) else { return Ok(None) };
        if k == 0 {
            return Ok(Some(vec![]));
        }
        let mut tx = self.readers().begin_with(self.engine().begin_read()).await?;
        let limit = i64::from(k) + SPARE;
        // Those without a distance come first. Planned anew each time: what is good for a small workspace is not for a
        // large one.
        let rows = sqlx::query(AssertSqlSafe(told("ORDER BY distance NULLS FIRST LIMIT $5")))
            .persistent(false)
            .bind(workspace.to_string())
            .bind(model.to_owned())
            .bind(query.len() as i64)
            .bind(numbers.clone())
            .bind(limit)
            .fetch_all(&mut *tx)
            .await?;
        let is_all = (rows.len() as i64) < limit;
        let (mut near, mut unknown) = (vec![], vec![]);
        let mut is_missing = false;
        for row in &rows {
            let told = Told::of(row)?;
            match told.distance {
                Some(distance) => near.push((told.id, distance)),
                None => {
                    is_missing |= told.missing;
                    unknown.push(told.id);
                }
            }
        }
        // A passage may have neither copy nor vector; one that has only this cannot be left out.
        if !unknown.is_empty() {
            let vectors = vectors_of(&mut tx, &unknown, model).await?;
            if !vectors.is_empty() || (!is_all && near.len() < k as usize) {
                if is_missing {
                    copies.want();
                }
                tx.commit().await?;
                return Ok(None);
            }
        }
        let last = near.get(k as usize - 1).map(|(_, distance)| *distance);
        if let Some(last) = last {
            let bound = last + margin(query.len());
            let is_beyond = near.last().is_some_and(|(_, distance)| *distance > bound);
            if is_all || is_beyond {
                near.retain(|(_, distance)| *distance <= bound);
            } else {
                // More than were fetched are as near as the last one.
                let rows = sqlx::query(AssertSqlSafe(told("WHERE distance <= $5")))
                    .persistent(false)
                    .bind(workspace.to_string())
                    .bind(model.to_owned())
                    .bind(query.len() as i64)
                    .bind(numbers)
                    .bind(bound)
                    .fetch_all(&mut *tx)
                    .await?;
                near.clear();
                for row in &rows {
                    let told = Told::of(row)?;
                    near.push((told.id, told.distance.unwrap_or_default()));
                }
            }
        }
        let ids: Vec<ChunkId> = near.into_iter().map(|(id, _)| id).collect();
        let vectors = vectors_of(&mut tx, &ids, model).await?;
        tx.commit().await?;
        tracing::debug!(workspace_id = %workspace, model, candidates = vectors.len(), "the nearest vectors were told by pgvector");
        Ok(Some(vectors))
    }

    pub(crate) async fn read_without_vectors(&self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, Fault> {
        let mut with = HashSet::new();
        for part in bulk::parts(ids, bulk::IDS) {
            let sql = format!(
                "SELECT chunk_id FROM chunk_vectors WHERE chunk_id IN ({})",
                bulk::list(1, part.len())
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for id in part {
                query = query.bind(id.to_string());
            }
            for row in query.fetch_all(self.readers()).await? {
                with.insert(parsed::<ChunkId>(&row, "chunk_id")?);
            }
        }
        Ok(ids.iter().filter(|id| !with.contains(id)).copied().collect())
    }
}

/// The vectors themselves, of those that have one.
async fn vectors_of(
    conn: &mut AnyConnection,
    ids: &[ChunkId],
    model: &str,
) -> Result<Vec<StoredVector>, Fault> {
    let model: Arc<str> = model.into();
    let mut vectors = Vec::with_capacity(ids.len());
    for part in bulk::parts(ids, bulk::IDS) {
        let sql = format!(
            "SELECT chunk_id, vector FROM chunk_vectors WHERE chunk_id IN ({})",
            bulk::list(1, part.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for id in part {
            query = query.bind(id.to_string());
        }
        for row in query.fetch_all(&mut *conn).await? {
            vectors.push(StoredVector {
                chunk_id: parsed(&row, "chunk_id")?,
                model: model.clone(),
                vector: vector_of(row.try_get("vector")?)?,
            });
        }
    }
    Ok(vectors)
}
