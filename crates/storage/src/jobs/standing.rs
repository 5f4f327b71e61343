//! The jobs of a workspace whose work is paused: each stands as soon as no document of it is in hand, or at once where
//! that was asked for, and goes on with the workspace.

use super::{control, parsed, requests};
use crate::{fault::Fault, jobs::lock_job, open::Store, writer::Tx};
use domain::{
    DocumentId, JobId, JobStatus, Timestamp, UserId, WorkspaceId,
    ingest::control::{Control, Stop},
    status::JobRequest,
};
use services::ports::StoreError;
use sqlx::AssertSqlSafe;

/// Jobs of the workspace $1 that go on. The status is asked for as the index has it, here and below.
const GO_ON: &str = "SELECT id FROM jobs WHERE workspace_id = $1 AND kind <> 'delete' \
    AND status IN ('pending', 'running', 'paused') AND status <> 'paused' AND requested IS NULL ORDER BY id";

/// Answers the documents of which chunks are dead by this.
pub(crate) async fn pause(
    tx: &mut Tx,
    user: UserId,
    workspace: WorkspaceId,
    stop: Stop,
    now: Timestamp,
) -> Result<Vec<DocumentId>, Fault> {
    let rows = sqlx::query(GO_ON).bind(workspace.to_string()).fetch_all(&mut tx.conn).await?;
    let mut buried = vec![];
    for row in &rows {
        buried.extend(stand(tx, user, parsed(row, "id")?, stop, now).await?);
    }
    Ok(buried)
}

async fn stand(
    tx: &mut Tx,
    user: UserId,
    id: JobId,
    stop: Stop,
    now: Timestamp,
) -> Result<Vec<DocumentId>, Fault> {
    let Some(job) = lock_job(tx, id).await? else { return Ok(vec![]) };
    let goes_on = matches!(job.job.status, JobStatus::Pending | JobStatus::Running);
    if !goes_on || job.job.requested.is_some() {
        return Ok(vec![]);
    }
    if stop == Stop::FinishRunning && requests::in_hand(tx, &job).await? > 0 {
        return Ok(vec![]);
    }
    mark(tx, id, true).await?;
    Ok(control::job(tx, user, id, &Control::Pause, now).await?.buried)
}

async fn mark(tx: &mut Tx, job: JobId, stands: bool) -> Result<(), Fault> {
    sqlx::query("UPDATE jobs SET stands = $2 WHERE id = $1")
        .bind(job.to_string())
        .bind(i64::from(stands))
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}

/// Whether the job stands, or is to, because of its workspace, and goes on with it.
pub(super) async fn stands_with_workspace(tx: &mut Tx, job: JobId) -> Result<bool, Fault> {
    let stands: Option<i64> = sqlx::query_scalar("SELECT stands FROM jobs WHERE id = $1")
        .bind(job.to_string())
        .fetch_optional(&mut tx.conn)
        .await?;
    Ok(stands == Some(1))
}

/// Those that stand because of their workspace go on; what somebody paused by itself does not, be it a job or a document.
pub(crate) async fn resume(tx: &mut Tx, workspace: WorkspaceId, now: Timestamp) -> Result<(), Fault> {
    let rows = sqlx::query("SELECT id FROM jobs WHERE workspace_id = $1 AND stands = 1 ORDER BY id")
        .bind(workspace.to_string())
        .fetch_all(&mut tx.conn)
        .await?;
    for row in &rows {
        let id: JobId = parsed(row, "id")?;
        mark(tx, id, false).await?;
        let Some(mut job) = lock_job(tx, id).await? else { continue };
        if job.job.status == JobStatus::Paused || job.job.requested == Some(JobRequest::Pause) {
            control::go_on_with_workspace(tx, &mut job, now).await?;
        }
    }
    Ok(())
}

/// Has the jobs stand of which the last document was finished since, and those that were made since. Answers how many.
pub(crate) async fn sweep(store: &Store, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
    // The looking is done by a reader, so that writers wait only for the rows that change. SQLite goes over what is on the
    // left of a cross join first: nearly always nothing is paused.
    let sql = format!(
        "SELECT j.user_id, j.id FROM workspaces w CROSS JOIN jobs j WHERE j.workspace_id = w.id \
         AND w.paused = 1 AND j.kind <> 'delete' AND j.status IN ('pending', 'running', 'paused') AND j.status <> 'paused' \
         AND j.requested IS NULL AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.job_id = j.id \
             AND t.attempt = j.attempt AND t.status = 'running' AND t.lease_until > {}) \
         ORDER BY j.user_id, j.id LIMIT $1",
        store.engine().now_micros()
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(i64::from(limit))
        .fetch_all(store.readers())
        .await
        .map_err(Fault::from)?;
    for row in &rows {
        let (user, job): (UserId, JobId) = (parsed(row, "user_id")?, parsed(row, "id")?);
        store
            .writer()
            .write_for(user, "stand", (user, job, now), |tx, (user, job, now)| {
                Box::pin(async move {
                    let paused: Option<i64> = sqlx::query_scalar(
                        "SELECT w.paused FROM workspaces w JOIN jobs j ON j.workspace_id = w.id WHERE j.id = $1",
                    )
                    .bind(job.to_string())
                    .fetch_optional(&mut tx.conn)
                    .await?;
                    // Somebody resumed it since it was found.
                    if paused != Some(1) {
                        return Ok(vec![]);
                    }
                    stand(tx, *user, *job, Stop::FinishRunning, *now).await
                })
            })
            .await?;
    }
    Ok(rows.len())
}
