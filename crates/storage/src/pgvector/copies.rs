//! The copies of the vectors: how they are written, and how those that are missing are made.

use crate::{
    bulk, connections::Connections, fault::Fault, index::vector_of, jobs::parsed, open::connect_options,
};
use domain::ChunkId;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, Row, raw_sql};
use std::{fmt::Write, sync::Arc};
use tokio::{sync::Notify, task::JoinHandle};

/// Vectors in one statement: as text each takes some ten bytes a number.
const ROWS: usize = 64;
/// Numbers that a vector may have in pgvector.
const MOST: usize = 16_000;
/// Only one server at a time makes the missing ones.
const TURN: i64 = 0x0070_6776_6564;

/// A vector as pgvector reads it, to the last bit; `None` where it does not take such a one.
pub(super) fn text_of(vector: &[f32]) -> Option<String> {
    if vector.is_empty() || vector.len() > MOST || !vector.iter().all(|x| x.is_finite()) {
        return None;
    }
    let mut text = String::with_capacity(vector.len() * 14);
    for (n, x) in vector.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}{x:e}", if n == 0 { '[' } else { ',' });
    }
    text.push(']');
    Some(text)
}

/// Writes the copies of vectors that this transaction has just written, or holds.
pub(crate) async fn insert(conn: &mut AnyConnection, vectors: &[(ChunkId, Vec<f32>)]) -> Result<(), Fault> {
    for part in bulk::parts(vectors, ROWS) {
        let sql = format!(
            "INSERT INTO searchable_vectors (chunk_id, dims, embedding) \
             SELECT id, dims, CAST(NULLIF(numbers, '') AS vector) FROM (VALUES {}) AS new (id, dims, numbers) \
             ON CONFLICT (chunk_id) DO NOTHING",
            bulk::rows(part.len(), 3)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (id, vector) in part {
            query = query
                .bind(id.to_string())
                .bind(vector.len() as i64)
                .bind(text_of(vector).unwrap_or_default());
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

/// Gives each first one of the pairs, whose vector was just copied from the second one, a copy as that has.
pub(crate) async fn duplicate(conn: &mut AnyConnection, pairs: &[(ChunkId, ChunkId)]) -> Result<(), Fault> {
    for part in bulk::parts(pairs, ROWS) {
        let sql = format!(
            "WITH pairs (mine, known) AS (VALUES {}) \
             INSERT INTO searchable_vectors (chunk_id, dims, embedding) \
             SELECT pairs.mine, theirs.dims, theirs.embedding FROM pairs \
             JOIN searchable_vectors AS theirs ON theirs.chunk_id = pairs.known \
             ON CONFLICT (chunk_id) DO NOTHING",
            bulk::rows(part.len(), 2)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (mine, known) in part {
            query = query.bind(mine.to_string()).bind(known.to_string());
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

/// Sees to it, beside everything else, that no copy is missing: at the start, and whenever a search met one that was.
pub(crate) struct Copies {
    wanted: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Copies {
    /// The connection that makes them hears by the readers when the database falls silent.
    pub(crate) fn keep(url: String, readers: Arc<Connections>) -> Self {
        let wanted = Arc::new(Notify::new());
        let told = wanted.clone();
        let task = tokio::spawn(async move {
            loop {
                match readers.unless_lost(make_missing(&url)).await {
                    Ok(0) => {}
                    Ok(vectors) => tracing::info!(vectors, "vectors were copied for pgvector"),
                    // Searches read all vectors until then.
                    Err(error) => tracing::warn!(%error, "vectors could not be copied for pgvector"),
                }
                told.notified().await;
            }
        });
        Self { wanted, task }
    }

    /// One is missing.
    pub(super) fn want(&self) {
        self.wanted.notify_one();
    }

    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Makes them part by part, on a connection of its own, so that it holds up nobody; answers how many.
async fn make_missing(url: &str) -> Result<u64, Fault> {
    let mut conn = AnyConnection::connect_with(&connect_options(url)?).await?;
    // What a crash of the database takes away is found missing again.
    let settings =
        "SET synchronous_commit = off; SET jit = off; SET idle_in_transaction_session_timeout = '10s'";
    conn.execute(raw_sql(settings)).await?;
    let (mut after, mut made) = (String::new(), 0);
    loop {
        conn.execute(raw_sql("BEGIN")).await?;
        let mine: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
            .bind(TURN)
            .fetch_one(&mut conn)
            .await?;
        let missing = if mine { missing(&mut conn, &after).await? } else { vec![] };
        insert(&mut conn, &missing).await?;
        conn.execute(raw_sql("COMMIT")).await?;
        let Some((last, _)) = missing.last() else { break };
        after = last.to_string();
        made += missing.len() as u64;
    }
    conn.close().await?;
    Ok(made)
}

/// Vectors behind that passage that have no copy. They are held: nobody puts another one in their place before the copy
/// is committed, and those that are on their way out are passed over.
async fn missing(conn: &mut AnyConnection, after: &str) -> Result<Vec<(ChunkId, Vec<f32>)>, Fault> {
    let rows = sqlx::query(
        "SELECT v.chunk_id, v.vector FROM chunk_vectors v WHERE v.chunk_id > $1 \
         AND NOT EXISTS (SELECT 1 FROM searchable_vectors s WHERE s.chunk_id = v.chunk_id) \
         ORDER BY v.chunk_id LIMIT $2 FOR KEY SHARE SKIP LOCKED",
    )
    .bind(after.to_owned())
    .bind(ROWS as i64)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((parsed(row, "chunk_id")?, vector_of(row.try_get("vector")?)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_vector_goes_over_to_the_last_bit(bits in prop::collection::vec(any::<u32>(), 1..20)) {
            let vector: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
            let Some(text) = text_of(&vector) else {
                prop_assert!(vector.iter().any(|x| !x.is_finite()));
                return Ok(());
            };
            let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).expect("brackets");
            let read: Vec<u32> = inner.split(',').map(|x| x.parse::<f32>().expect("a number").to_bits()).collect();
            prop_assert_eq!(read, vector.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_pgvector_does_not_take_has_no_text() {
        assert_eq!(text_of(&[1.0, -0.5, 0.0]).as_deref(), Some("[1e0,-5e-1,0e0]"));
        assert_eq!(text_of(&[]), None);
        assert_eq!(text_of(&[1.0, f32::NAN]), None);
        assert_eq!(text_of(&vec![0.5; MOST + 1]), None);
        assert!(text_of(&vec![0.5; MOST]).is_some());
    }
}
