//! Documents that outside workers have begun and of which nothing is reported any more: told as such, one at a time.
//!
//! When something was reported last, two columns tell: a report that changes its document changes `updated_at` of that, and
//! one that says nothing new notes itself in `progress_at` of the task, which is 0 until then. Whatever else touches the
//! document counts as well: nothing is told too early by that.

use super::{claim::Seen, interrupted::NOT_HELD_UP, lock_document, lock_job, rows, tell};
use crate::{fault::Fault, open::Store, writer::Tx};
use domain::{DocumentId, JobId, Timestamp, WorkspaceId, ingest};
use services::ports::StoreError;
use sqlx::{AssertSqlSafe, Row};

/// The looking is done by a reader, so that writers wait only for the rows that change.
pub(super) async fn report(
    store: &Store,
    seconds: u32,
    limit: u32,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let before = now.plus_seconds(-i64::from(seconds));
    let mut told = 0;
    for unheard in found(store, before, limit).await? {
        let argument = (unheard, before, now);
        let written = store
            .writer()
            .write_for(unheard.user, "tell unheard", argument, |tx, (unheard, before, now)| {
                Box::pin(tell_one(tx, *unheard, *before, *now))
            })
            .await?;
        told += usize::from(written.value);
    }
    Ok(told)
}

/// Job `j` goes on in workspace `w`, and an outside worker may report of it.
const THEIRS: &str = "j.status = 'running' AND j.requested IS NULL \
    AND w.processor = 'external' AND w.status <> 'deleting' AND w.paused = 0";

async fn found(store: &Store, before: Timestamp, limit: u32) -> Result<Vec<Seen>, Fault> {
    // By the jobs that are not through, which are few: their status is asked for as the index has it.
    let sql = format!(
        "SELECT {} FROM jobs j JOIN workspaces w ON w.id = j.workspace_id \
         JOIN tasks t ON t.job_id = j.id AND t.attempt = j.attempt \
         JOIN documents d ON d.id = t.document_id AND d.job_id = t.job_id \
         WHERE j.status IN ('pending', 'running', 'paused') AND {THEIRS} \
         AND t.status = 'pending' AND t.fence = 0 AND t.progress_at <= $1 \
         AND d.status = 'processing' AND d.updated_at <= $2 AND d.deleted_at IS NULL \
         AND d.warnings NOT LIKE '%\"code\":\"stalled\"%' ORDER BY d.updated_at, t.job_id, t.place LIMIT $3",
        Seen::COLUMNS
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(before.micros())
        .bind(before.micros())
        .bind(i64::from(limit))
        .fetch_all(store.readers())
        .await?;
    rows.iter().map(Seen::of).collect()
}

/// False when something was reported since it was found, or nothing can be any more.
async fn tell_one(tx: &mut Tx, unheard: Seen, before: Timestamp, now: Timestamp) -> Result<bool, Fault> {
    // Task, job, document: always in this order.
    let sql = format!(
        "SELECT t.progress_at FROM tasks t WHERE t.job_id = $1 AND t.attempt = $2 AND t.document_id = $3 \
         AND t.status = 'pending' AND t.fence = 0 \
         AND EXISTS (SELECT 1 FROM jobs j JOIN workspaces w ON w.id = j.workspace_id \
             WHERE j.id = t.job_id AND j.attempt = t.attempt AND {THEIRS}){}",
        tx.engine.for_update()
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(unheard.job.to_string())
        .bind(unheard.attempt)
        .bind(unheard.document.to_string())
        .fetch_optional(&mut tx.conn)
        .await?;
    let Some(row) = row else { return Ok(false) };
    let repeated = Timestamp::from_micros(row.try_get("progress_at")?);
    let mut job = lock_job(tx, unheard.job).await?.ok_or(StoreError::NotFound)?;
    let Some((mut document, _)) = lock_document(tx, unheard.document).await? else { return Ok(false) };
    let since = document.document.updated_at.max(repeated);
    if since > before || document.document.job_id != Some(unheard.job) {
        return Ok(false);
    }
    let others = others_move(tx, unheard).await?;
    let told = ingest::unheard(&mut job, &mut document, since, others, now);
    if told.events.is_empty() {
        return Ok(false);
    }
    rows::update_job(&mut tx.conn, &job).await?;
    rows::update_document(&mut tx.conn, &document).await?;
    tell(tx, unheard.user, job.job.kb_id, told, now).await?;
    Ok(true)
}

/// Whether another document of the job is in work and not held up.
async fn others_move(tx: &mut Tx, of: Seen) -> Result<bool, Fault> {
    let sql = format!(
        "SELECT 1 FROM tasks t JOIN documents d ON d.id = t.document_id AND d.job_id = t.job_id \
         WHERE t.job_id = $1 AND t.attempt = $2 AND t.document_id <> $3 AND t.status IN ('pending', 'running') \
         AND d.status = 'processing' AND d.deleted_at IS NULL AND {NOT_HELD_UP} LIMIT 1"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(of.job.to_string())
        .bind(of.attempt)
        .bind(of.document.to_string())
        .fetch_optional(&mut tx.conn)
        .await?;
    Ok(row.is_some())
}

/// A report of the document said nothing new.
pub(super) async fn heard_again(
    tx: &mut Tx,
    job: JobId,
    attempt: u32,
    document: DocumentId,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE tasks SET progress_at = $4 WHERE job_id = $1 AND attempt = $2 AND document_id = $3 \
         AND status = 'pending' AND fence = 0",
    )
    .bind(job.to_string())
    .bind(i64::from(attempt))
    .bind(document.to_string())
    .bind(now.micros())
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// The job goes on: what was reported of its documents while it stood was refused, so each has its whole time again.
pub(super) async fn job_goes_on(tx: &mut Tx, job: JobId, now: Timestamp) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE tasks SET progress_at = $1 WHERE job_id = $2 AND status = 'pending' AND fence = 0 \
         AND document_id IN (SELECT d.id FROM documents d WHERE d.job_id = $3 AND d.status = 'processing')",
    )
    .bind(now.micros())
    .bind(job.to_string())
    .bind(job.to_string())
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// The same where a workspace is left to outside workers.
pub(crate) async fn workspace_is_theirs(
    tx: &mut Tx,
    workspace: WorkspaceId,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE tasks SET progress_at = $1 WHERE status = 'pending' AND fence = 0 \
         AND job_id IN (SELECT j.id FROM jobs j WHERE j.workspace_id = $2 \
             AND j.status IN ('pending', 'running', 'paused')) \
         AND document_id IN (SELECT d.id FROM documents d WHERE d.workspace_id = $3 AND d.status = 'processing')",
    )
    .bind(now.micros())
    .bind(workspace.to_string())
    .bind(workspace.to_string())
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}
