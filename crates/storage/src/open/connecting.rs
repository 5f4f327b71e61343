//! Connections to a database: what its address needs, what each connection is told, and how many there are.

use super::OpenError;
use crate::{
    connections::{Connections, WAIT},
    engine::Engine,
    migrations, moving,
    silence::Silence,
};
use sqlx::{
    AnyConnection, AssertSqlSafe, ConnectOptions, Connection, Executor,
    any::{AnyConnectOptions, AnyPoolOptions},
    raw_sql,
};
use std::str::FromStr;

/// Connections of the outbox: one that takes, one that settles. What else there is to write past the writer comes in between.
const UNHURRIED: u32 = 2;

/// The advisory lock that whoever may write to a PostgreSQL shares with all others who may.
pub(crate) const ALIVE: i64 = 1_768_846_185;

pub(crate) async fn connect_migrated(url: &str, engine: Engine) -> Result<AnyConnection, OpenError> {
    let conn = connect_writer(url, engine).await.map_err(OpenError::Connect)?;
    migrated(conn, engine).await
}

/// The same connection, to a database that has the schema of this version then.
pub(crate) async fn migrated(mut conn: AnyConnection, engine: Engine) -> Result<AnyConnection, OpenError> {
    // `run` would do the same, but its future is not known to be Send: "`Acquire` is not general enough".
    migrations::of(engine).run_direct(None, &mut conn, false).await?;
    if moving::was_moved(&mut conn).await.map_err(OpenError::Prepare)? {
        return Err(OpenError::Moved);
    }
    Ok(conn)
}

/// SQLite makes the file when it is not there.
pub(super) fn completed(url: &str, engine: Engine) -> Result<String, OpenError> {
    if engine == Engine::Postgres {
        return Ok(url.to_owned());
    }
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(OpenError::InMemory);
    }
    Ok(match (url.contains("mode="), url.contains('?')) {
        (true, _) => url.to_owned(),
        (false, true) => format!("{url}&mode=rwc"),
        (false, false) => format!("{url}?mode=rwc"),
    })
}

pub(crate) fn connect_options(url: &str) -> sqlx::Result<AnyConnectOptions> {
    // Statements carry people's texts; they are not for the log.
    Ok(AnyConnectOptions::from_str(url)?.disable_statement_logging())
}

/// A connection with full durability.
pub(crate) async fn connect_writer(url: &str, engine: Engine) -> sqlx::Result<AnyConnection> {
    let mut conn = AnyConnection::connect_with(&connect_options(url)?).await?;
    let sql = match engine {
        Engine::Sqlite => {
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000; \
             PRAGMA secure_delete = ON"
        }
        // A server whose link dies in the middle of a transaction must not keep others waiting for its locks. Compiling
        // a statement takes longer than any of ours runs.
        Engine::Postgres => {
            "SET idle_in_transaction_session_timeout = '10s'; SET jit = off; \
             SELECT set_config('synchronous_commit', 'on', false) \
             WHERE current_setting('synchronous_commit') = 'off'"
        }
    };
    conn.execute(raw_sql(sql)).await?;
    if engine == Engine::Postgres {
        // Goes with the connection, however that ends.
        let alive = format!("SELECT pg_try_advisory_lock_shared({ALIVE})");
        conn.execute(raw_sql(AssertSqlSafe(alive))).await?;
    }
    Ok(conn)
}

/// The URL of a database that has to be there: a file that is not is a mistake, and is not to be made.
pub(crate) fn existing(url: &str) -> String {
    match (url.contains("mode="), url.contains('?')) {
        (true, _) => url.to_owned(),
        (false, true) => format!("{url}&mode=rw"),
        (false, false) => format!("{url}?mode=rw"),
    }
}

/// Connections that are asked before they are used.
fn at_most(connections: u32, engine: Engine) -> AnyPoolOptions {
    let silence = Silence::default();
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(WAIT)
        .test_before_acquire(false)
        .before_acquire(move |conn, meta| {
            let silence = silence.clone();
            Box::pin(async move {
                // A file does not go away; a server may.
                if engine == Engine::Postgres {
                    silence.ask(conn, meta.age).await?;
                }
                Ok(true)
            })
        })
}

pub(super) async fn connect_readers(url: &str, engine: Engine, readers: u32) -> sqlx::Result<Connections> {
    let pool = at_most(readers.max(1), engine)
        .after_connect(move |conn, _| {
            let sql = match engine {
                Engine::Sqlite => {
                    "PRAGMA busy_timeout = 5000; PRAGMA query_only = ON; PRAGMA temp_store = MEMORY"
                }
                Engine::Postgres => "SET default_transaction_read_only = on; SET jit = off",
            };
            Box::pin(async move { conn.execute(raw_sql(sql)).await.map(drop) })
        })
        .connect_with(connect_options(url)?)
        .await?;
    Ok(Connections::new(pool))
}

pub(super) fn open_unhurried(url: &str, engine: Engine) -> sqlx::Result<Connections> {
    let options = at_most(UNHURRIED, engine).after_connect(|conn, _| {
        let sql = "SET synchronous_commit = off; SET jit = off; \
                   SET idle_in_transaction_session_timeout = '10s'";
        Box::pin(async move { conn.execute(raw_sql(sql)).await.map(drop) })
    });
    Ok(Connections::new(options.connect_lazy_with(connect_options(url)?)))
}
