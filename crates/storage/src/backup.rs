//! Backups: a copy of a SQLite database as of one moment, and what has to happen to a database that was put back, by
//! whatever means, before anybody is served out of it.

use crate::{
    engine::{Engine, sqlite_url},
    fault::Fault,
    kept::{FILES_KEY, FOLDER_MARK},
    migrations,
    open::{ALIVE, Store, connect_options, existing},
    outbox,
    writer::Tx,
};
use domain::Epoch;
use services::{hex::hex, ports::StoreError};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, Row, any::install_default_drivers, raw_sql};
use std::path::Path;

/// Files without which the rows would name something that is not there. What is being deleted may have lost its own
/// already.
const FILES: &str = "SELECT d.blob_key FROM documents d JOIN workspaces w ON w.id = d.workspace_id \
        JOIN users u ON u.id = d.user_id \
        WHERE d.deleted_at IS NULL AND w.status <> 'deleting' AND u.deleting_at IS NULL \
     UNION SELECT v.blob_key FROM document_versions v JOIN documents d ON d.id = v.document_id \
        JOIN workspaces w ON w.id = d.workspace_id JOIN users u ON u.id = d.user_id \
        WHERE v.served = 1 AND d.deleted_at IS NULL AND w.status <> 'deleting' AND u.deleting_at IS NULL \
     UNION SELECT s.blob_key FROM sent_files s JOIN workspaces w ON w.id = s.workspace_id \
        JOIN users u ON u.id = s.user_id \
        WHERE s.became IS NULL AND w.status <> 'deleting' AND u.deleting_at IS NULL \
     UNION SELECT p.blob_key FROM partial_files p JOIN workspaces w ON w.id = p.workspace_id \
        JOIN users u ON u.id = p.user_id \
        WHERE p.received_bytes > 0 AND w.status <> 'deleting' AND u.deleting_at IS NULL";

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("only SQLite is copied like this; PostgreSQL has pg_dump")]
    Engine,
    #[error("the path of the copy is no text")]
    Path,
    #[error(
        "the database has the schema {found}, and this version of InsightHub has {known}: use the one that serves it"
    )]
    Schema { found: i64, known: i64 },
    #[error("the database could not be copied: {0}")]
    Database(#[from] sqlx::Error),
}

/// What a copy of the database has in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    pub epoch: Epoch,
    /// That were ever appended to the log, of all users.
    pub events: u64,
    /// Keys of the files that its rows name.
    pub files: Vec<String>,
}

/// Names the schema of this version. That of a newer one has a higher number.
pub fn newest_schema() -> i64 {
    migrations::newest()
}

/// Copies a SQLite database into a new file, as it is at one moment. Whoever has it open may write meanwhile.
///
/// # Errors
/// As above. The new file is of no use then.
pub async fn copy_database(url: &str, to: &Path) -> Result<Copied, CopyError> {
    install_default_drivers();
    if Engine::of_url(url) != Some(Engine::Sqlite) {
        return Err(CopyError::Engine);
    }
    let path = to.to_str().ok_or(CopyError::Path)?;
    let mut conn = AnyConnection::connect_with(&connect_options(&existing(url))?).await?;
    let found: i64 = sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version DESC LIMIT 1")
        .fetch_one(&mut conn)
        .await?;
    let known = migrations::newest();
    if found != known {
        return Err(CopyError::Schema { found, known });
    }
    // It waits for nobody who writes, and nobody waits for it; and it leaves out what was deleted.
    let copy = format!("VACUUM INTO '{}'", path.replace('\'', "''"));
    conn.execute(raw_sql(AssertSqlSafe(copy))).await?;
    conn.close().await?;

    let mut copy = AnyConnection::connect_with(&connect_options(&existing(&sqlite_url(to)))?).await?;
    let epoch: String =
        sqlx::query_scalar("SELECT value FROM meta WHERE name = 'epoch'").fetch_one(&mut copy).await?;
    let events: i64 = sqlx::query_scalar("SELECT CAST(COALESCE(SUM(seq), 0) AS BIGINT) FROM user_seq")
        .fetch_one(&mut copy)
        .await?;
    let files: sqlx::Result<Vec<String>> =
        sqlx::query(FILES).fetch_all(&mut copy).await?.iter().map(|row| row.try_get(0)).collect();
    copy.close().await?;
    Ok(Copied { epoch: Epoch(epoch), events: events as u64, files: files? })
}

/// What was done to a database that was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Of the log from now on.
    pub epoch: Epoch,
    /// That were ended.
    pub sessions: u64,
    /// That hold again, whatever became of them since; or that were ended, where that was asked for.
    pub keys: u64,
}

impl Store {
    /// Begins a new life of a database that was put back: with a new epoch, so that nobody goes on in its log as if it were
    /// the one that was lost; without the sessions of then, since one that was ended meanwhile would come to life again;
    /// without the marks of processes that wrote to the lost one; and with another mark for the place of its files, so that
    /// it takes none for its own that an installation beside it still uses. The store is to be closed then, and knows nothing
    /// of it.
    /// `None`, and nothing is changed, while others have the database open: on SQLite the caller sees to that.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn begin_anew(&self, drawn: [u8; 32], revoke_keys: bool) -> Result<Option<Begun>, StoreError> {
        self.stop_watching();
        let asked = (Epoch(hex(&drawn[..16])), hex(&drawn), revoke_keys, self.writer_id().to_owned());
        let written = self
            .writer()
            .write("begin anew", asked, |tx, (epoch, files_key, revoke_keys, own)| {
                Box::pin(async move {
                    if tx.engine == Engine::Postgres && others_write(tx).await? {
                        return Ok(None);
                    }
                    sqlx::query("UPDATE meta SET value = $1 WHERE name = 'epoch'")
                        .bind(epoch.0.clone())
                        .execute(&mut tx.conn)
                        .await?;
                    // Whoever says so knows what became of the files.
                    sqlx::query("DELETE FROM meta WHERE name = 'went_back_at'").execute(&mut tx.conn).await?;
                    sqlx::query("DELETE FROM meta WHERE name = $1")
                        .bind(FOLDER_MARK)
                        .execute(&mut tx.conn)
                        .await?;
                    sqlx::query("UPDATE meta SET value = $1 WHERE name = $2")
                        .bind(files_key.clone())
                        .bind(FILES_KEY)
                        .execute(&mut tx.conn)
                        .await?;
                    let sessions = sqlx::query("DELETE FROM sessions").execute(&mut tx.conn).await?;
                    let keys = if *revoke_keys {
                        sqlx::query("DELETE FROM api_keys").execute(&mut tx.conn).await?.rows_affected()
                    } else {
                        let held: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM api_keys")
                            .fetch_one(&mut tx.conn)
                            .await?;
                        held as u64
                    };
                    // A process that still believes in the lost one notices by its missing mark.
                    sqlx::query("DELETE FROM writers WHERE id <> $1")
                        .bind(own.clone())
                        .execute(&mut tx.conn)
                        .await?;
                    outbox::begin_anew(&mut tx.conn, tx.engine).await?;
                    let sessions = sessions.rows_affected();
                    Ok(Some(Begun { epoch: epoch.clone(), sessions, keys }))
                })
            })
            .await?;
        Ok(written.value)
    }
}

/// Whether another process has a connection to this PostgreSQL by which it writes.
async fn others_write(tx: &mut Tx) -> Result<bool, Fault> {
    let sql = format!(
        "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid() \
         AND classid = 0 AND objid = {ALIVE} AND objsubid = 1 \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    );
    let others: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut tx.conn).await?;
    Ok(others > 0)
}
