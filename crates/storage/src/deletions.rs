//! Deletions: the mark, and taking rows away in pieces that are each well under a second of work. What hangs on a row by
//! a foreign key goes with it; where that may be much, it is removed before in pieces.

use crate::{engine::Engine, fault::Fault, index, jobs::parsed, open::Store, writer::Tx};
use async_trait::async_trait;
use domain::{DocumentId, JobId, Timestamp, UserId, WorkspaceId};
use services::ports::{Deletion, Deletions, Doomed, DoomedDocument, Signal, StoreError};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use uuid::Uuid;

/// Pages of the full-text index that are written anew at once, some 400 KB: a part of which nobody notices that waits.
const MERGED_PAGES: i64 = 100;

const DELETION: &str = "job_id, kind, doomed_id, user_id, created_at";

const fn kind(doomed: Doomed) -> &'static str {
    match doomed {
        Doomed::Account(_) => "account",
    }
}

fn doomed_id(doomed: Doomed) -> String {
    match doomed {
        Doomed::Account(user) => user.to_string(),
    }
}

/// The documents of what is doomed, as a condition on `documents` with `$1` for its id.
const fn its_documents(doomed: Doomed) -> &'static str {
    match doomed {
        Doomed::Account(_) => "documents.user_id = $1",
    }
}

/// What hangs on it besides documents: statements that remove at most `$2` rows each, in an order in which none takes
/// much along by a foreign key.
const fn its_rows(doomed: Doomed) -> &'static [&'static str] {
    match doomed {
        Doomed::Account(_) => &[
            "DELETE FROM events WHERE user_id = $1 AND seq IN \
             (SELECT seq FROM events WHERE user_id = $1 ORDER BY seq LIMIT $2)",
            "DELETE FROM crawl_pages WHERE (job_id, url) IN (SELECT p.job_id, p.url FROM crawl_pages p \
             JOIN crawls c ON c.job_id = p.job_id WHERE c.user_id = $1 LIMIT $2)",
            "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE user_id = $1 LIMIT $2)",
            "DELETE FROM workspaces WHERE id IN (SELECT id FROM workspaces WHERE user_id = $1 LIMIT $2)",
        ],
    }
}

fn deletion_of(row: &AnyRow) -> Result<Deletion, Fault> {
    let doomed = match row.try_get::<&str, _>("kind")? {
        "account" => Doomed::Account(parsed(row, "doomed_id")?),
        other => return Err(Fault::corrupt(format!("a deletion of {other}"))),
    };
    Ok(Deletion {
        job_id: parsed(row, "job_id")?,
        doomed,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
    })
}

/// Makes the row of the deletion, or finds the one that is there.
async fn begin(tx: &mut Tx, doomed: Doomed, job: JobId, now: Timestamp) -> Result<Deletion, Fault> {
    sqlx::query(
        "INSERT INTO deletions (job_id, kind, doomed_id, user_id, created_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (kind, doomed_id) DO NOTHING",
    )
    .bind(job.to_string())
    .bind(kind(doomed))
    .bind(doomed_id(doomed))
    .bind(doomed.user().to_string())
    .bind(now.micros())
    .execute(&mut tx.conn)
    .await?;
    let sql = format!("SELECT {DELETION} FROM deletions WHERE kind = $1 AND doomed_id = $2");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(kind(doomed))
        .bind(doomed_id(doomed))
        .fetch_one(&mut tx.conn)
        .await?;
    deletion_of(&row)
}

async fn begin_account(tx: &mut Tx, user: UserId, job: JobId, now: Timestamp) -> Result<Deletion, Fault> {
    let marked = sqlx::query("UPDATE users SET deleting_at = COALESCE(deleting_at, $2) WHERE id = $1")
        .bind(user.to_string())
        .bind(now.micros())
        .execute(&mut tx.conn)
        .await?;
    if marked.rows_affected() == 0 {
        return Err(StoreError::NotFound.into());
    }
    let deletion = begin(tx, Doomed::Account(user), job, now).await?;
    // With its job and task gone, a worker's claim is fenced off, nobody takes another, and those who wait in the queue
    // move up.
    for sql in [
        "DELETE FROM sessions WHERE user_id = $1",
        "DELETE FROM api_keys WHERE user_id = $1",
        "DELETE FROM exports WHERE user_id = $1",
        "DELETE FROM sent_files WHERE user_id = $1",
        "DELETE FROM partial_files WHERE user_id = $1",
        "DELETE FROM jobs WHERE user_id = $1 AND status IN ('pending', 'running', 'paused')",
    ] {
        sqlx::query(sql).bind(user.to_string()).execute(&mut tx.conn).await?;
    }
    tx.signal(Signal::AccountClosed { user_id: user });
    Ok(deletion)
}

async fn remove_document(
    tx: &mut Tx,
    doomed: Doomed,
    document: DocumentId,
    limit: u32,
) -> Result<bool, Fault> {
    let sql = format!(
        "SELECT documents.workspace_id FROM documents WHERE {} AND documents.id = $2",
        its_documents(doomed)
    );
    let workspace: Option<String> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(doomed_id(doomed))
        .bind(document.to_string())
        .fetch_optional(&mut tx.conn)
        .await?;
    let Some(workspace) = workspace else { return Ok(true) };
    let removed =
        sqlx::query("DELETE FROM chunks WHERE id IN (SELECT id FROM chunks WHERE document_id = $1 LIMIT $2)")
            .bind(document.to_string())
            .bind(i64::from(limit))
            .execute(&mut tx.conn)
            .await?;
    if removed.rows_affected() >= u64::from(limit) {
        return Ok(false);
    }
    sqlx::query("DELETE FROM documents WHERE id = $1")
        .bind(document.to_string())
        .execute(&mut tx.conn)
        .await?;
    let workspace: WorkspaceId = workspace.parse().map_err(Fault::corrupt)?;
    index::raise_version(tx, workspace).await?;
    Ok(true)
}

/// The counter of all users who are gone: the sum over all counters must not fall, or the log would look as if it had
/// been put back to an older state.
fn nobody() -> UserId {
    UserId::new(Uuid::nil())
}

async fn remove_account(tx: &mut Tx, user: UserId) -> Result<(), Fault> {
    let id = user.to_string();
    let seq: Option<i64> = sqlx::query_scalar("SELECT seq FROM user_seq WHERE user_id = $1")
        .bind(id.as_str())
        .fetch_optional(&mut tx.conn)
        .await?;
    // What was told while the rest was removed.
    sqlx::query("DELETE FROM events WHERE user_id = $1").bind(id.as_str()).execute(&mut tx.conn).await?;
    sqlx::query("DELETE FROM users WHERE id = $1").bind(id.as_str()).execute(&mut tx.conn).await?;
    let Some(seq) = seq else { return Ok(()) };
    sqlx::query("DELETE FROM user_seq WHERE user_id = $1").bind(id).execute(&mut tx.conn).await?;
    // Locked behind the user's own counter by everybody.
    sqlx::query(
        "INSERT INTO user_seq (user_id, seq) VALUES ($1, $2) \
         ON CONFLICT (user_id) DO UPDATE SET seq = user_seq.seq + excluded.seq",
    )
    .bind(nobody().to_string())
    .bind(seq)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

#[async_trait]
impl Deletions for Store {
    async fn begin_account_deletion(
        &self,
        user: UserId,
        job: JobId,
        now: Timestamp,
    ) -> Result<Deletion, StoreError> {
        let written = self
            .writer()
            .write_for(user, "begin account deletion", (user, job, now), |tx, (user, job, now)| {
                Box::pin(begin_account(tx, *user, *job, *now))
            })
            .await?;
        Ok(written.value)
    }

    async fn deletions(&self, limit: u32) -> Result<Vec<Deletion>, StoreError> {
        let sql = format!(
            "SELECT {DELETION} FROM deletions WHERE completed_at IS NULL ORDER BY created_at, job_id LIMIT $1"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await
            .map_err(Fault::from)?;
        Ok(rows.iter().map(deletion_of).collect::<Result<_, _>>()?)
    }

    async fn doomed_documents(&self, doomed: Doomed, limit: u32) -> Result<Vec<DoomedDocument>, StoreError> {
        let sql = format!("SELECT id, blob_key FROM documents WHERE {} LIMIT $2", its_documents(doomed));
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(doomed_id(doomed))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await
            .map_err(Fault::from)?;
        let found = |row: &AnyRow| {
            Ok::<_, Fault>(DoomedDocument { id: parsed(row, "id")?, blob_key: row.try_get("blob_key")? })
        };
        Ok(rows.iter().map(found).collect::<Result<_, _>>()?)
    }

    async fn remove_document(
        &self,
        doomed: Doomed,
        document: DocumentId,
        limit: u32,
    ) -> Result<bool, StoreError> {
        let argument = (doomed, document, limit);
        let written = self
            .writer()
            .write_for(doomed.user(), "remove document", argument, |tx, (doomed, document, limit)| {
                Box::pin(remove_document(tx, *doomed, *document, *limit))
            })
            .await?;
        Ok(written.value)
    }

    async fn remove_rows(&self, doomed: Doomed, limit: u32) -> Result<bool, StoreError> {
        let written = self
            .writer()
            .write_for(doomed.user(), "remove rows", (doomed, limit), |tx, (doomed, limit)| {
                Box::pin(async move {
                    for sql in its_rows(*doomed) {
                        let removed = sqlx::query(*sql)
                            .bind(doomed_id(*doomed))
                            .bind(i64::from(*limit))
                            .execute(&mut tx.conn)
                            .await?;
                        if removed.rows_affected() > 0 {
                            return Ok(false);
                        }
                    }
                    Ok(true)
                })
            })
            .await?;
        Ok(written.value)
    }

    async fn remove_doomed(&self, doomed: Doomed) -> Result<(), StoreError> {
        self.writer()
            .write_for(doomed.user(), "remove doomed", doomed, |tx, doomed| {
                Box::pin(async move {
                    match doomed {
                        Doomed::Account(user) => remove_account(tx, *user).await,
                    }
                })
            })
            .await?;
        Ok(())
    }

    async fn forget_words(&self, anew: bool) -> Result<bool, StoreError> {
        // PostgreSQL keeps the words in the row, and goes with it.
        if self.engine() == Engine::Postgres {
            return Ok(true);
        }
        let written = self
            .writer()
            .write("forget words", anew, |tx, anew| {
                Box::pin(async move {
                    // FTS5 only notes which rows are gone; their words go when segments are merged. A negative number
                    // of pages has all segments merged into one; it is done when nothing changes any more.
                    let pages = if *anew { -MERGED_PAGES } else { MERGED_PAGES };
                    let changes = "SELECT total_changes()";
                    let before: i64 = sqlx::query_scalar(changes).fetch_one(&mut tx.conn).await?;
                    sqlx::query("INSERT INTO chunk_text (chunk_text, rank) VALUES ('merge', $1)")
                        .bind(pages)
                        .execute(&mut tx.conn)
                        .await?;
                    let after: i64 = sqlx::query_scalar(changes).fetch_one(&mut tx.conn).await?;
                    Ok(after - before < 2)
                })
            })
            .await?;
        Ok(written.value)
    }

    async fn end_deletion(&self, job: JobId, now: Timestamp) -> Result<(), StoreError> {
        self.writer()
            .write("end deletion", (job, now), |tx, (job, now)| {
                Box::pin(async move {
                    sqlx::query(
                        "UPDATE deletions SET completed_at = $2 WHERE job_id = $1 AND completed_at IS NULL",
                    )
                    .bind(job.to_string())
                    .bind(now.micros())
                    .execute(&mut tx.conn)
                    .await?;
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    async fn ended_deletions(&self, before: Timestamp, limit: u32) -> Result<Vec<Deletion>, StoreError> {
        let sql = format!("SELECT {DELETION} FROM deletions WHERE completed_at <= $1 LIMIT $2");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(before.micros())
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await
            .map_err(Fault::from)?;
        Ok(rows.iter().map(deletion_of).collect::<Result<_, _>>()?)
    }

    async fn forget_deletion(&self, job: JobId) -> Result<(), StoreError> {
        self.writer()
            .write("forget deletion", job, |tx, job| {
                Box::pin(async move {
                    sqlx::query("DELETE FROM deletions WHERE job_id = $1 AND completed_at IS NOT NULL")
                        .bind(job.to_string())
                        .execute(&mut tx.conn)
                        .await?;
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }
}
