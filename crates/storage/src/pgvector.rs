//! Searching vectors in the database, where PostgreSQL has the extension pgvector: for workspaces whose vectors take more
//! memory than a server may use for them. What is found is what a scan of all vectors finds, in the same order and with
//! the same scores: the database only says which few can be among the nearest.
//!
//! `chunk_vectors` stays the truth. Beside it stands a table of copies in the type that the database searches
//! (`searchable_vectors`), which is made here and not by a numbered migration, since it can be there only where the extension is.
//! A copy is written in the transaction that writes its vector and goes with it by its foreign key. One may be missing: of
//! what was there before the extension, of an installation that was moved, of what a server wrote that does without. A
//! search that meets such a one reads all vectors instead, and has the rest of the copies made.

mod copies;
mod nearest;

pub(crate) use copies::{Copies, duplicate, insert};

use sqlx::{AnyConnection, AssertSqlSafe, Executor, raw_sql};

const TABLE: &str = include_str!("../../../migrations/postgres/pgvector.sql");

/// Servers that start at once make the table one after the other.
const TURN: i64 = 0x0070_6776_6563;

/// Whether this database searches vectors.
pub(crate) enum State {
    /// It does, by that version of the extension.
    Ready(String),
    /// It does not; why, and what would help.
    Missing(String),
}

/// Makes what is needed, where that is possible. That it is not is no error.
pub(crate) async fn prepare(conn: &mut AnyConnection) -> sqlx::Result<State> {
    if let Some(version) = ready(conn).await? {
        return Ok(State::Ready(version));
    }
    conn.execute(raw_sql("BEGIN")).await?;
    match make(conn).await {
        Ok(state) => {
            conn.execute(raw_sql("COMMIT")).await?;
            Ok(state)
        }
        Err(sqlx::Error::Database(e)) => {
            conn.execute(raw_sql("ROLLBACK")).await?;
            Ok(State::Missing(format!(
                "PostgreSQL has pgvector, but it cannot be used here ({}); say CREATE EXTENSION vector in this database as \
                 a superuser, and start again",
                e.message()
            )))
        }
        Err(e) => Err(e),
    }
}

/// The version of the extension, where all is there.
async fn ready(conn: &mut AnyConnection) -> sqlx::Result<Option<String>> {
    // Who drops the extension takes the column with it, and leaves the table.
    sqlx::query_scalar(
        "SELECT CAST(extversion AS TEXT) FROM pg_extension WHERE extname = 'vector' \
         AND to_regtype('vector') IS NOT NULL AND EXISTS (SELECT 1 FROM pg_attribute \
             WHERE attrelid = to_regclass('searchable_vectors') AND attname = 'embedding' AND NOT attisdropped)",
    )
    .fetch_optional(conn)
    .await
}

async fn make(conn: &mut AnyConnection) -> sqlx::Result<State> {
    let turn = format!("SELECT pg_advisory_xact_lock({TURN})");
    conn.execute(raw_sql(AssertSqlSafe(turn))).await?;
    // Another server may have been quicker.
    if let Some(version) = ready(conn).await? {
        return Ok(State::Ready(version));
    }
    let offered: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM pg_available_extensions WHERE name = 'vector'")
            .fetch_one(&mut *conn)
            .await?;
    if offered == 0 {
        return Ok(State::Missing(
            "PostgreSQL has no pgvector; install it there (Debian: postgresql-17-pgvector, for version 17) and start again"
                .to_owned(),
        ));
    }
    conn.execute(raw_sql("CREATE EXTENSION IF NOT EXISTS vector")).await?;
    conn.execute(raw_sql("DROP TABLE IF EXISTS searchable_vectors")).await?;
    conn.execute(raw_sql(TABLE)).await?;
    Ok(match ready(conn).await? {
        Some(version) => State::Ready(version),
        None => State::Missing("pgvector lies in a schema that is not on the search path".to_owned()),
    })
}
