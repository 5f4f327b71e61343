//! The deletion of a workspace: the mark and its undoing, what is told of it, and the end.

use super::begin;
use crate::{
    fault::Fault,
    jobs::{insert_job, lock_job, parsed, tell, update_job},
    workspaces,
    writer::Tx,
};
use domain::{
    Event, JobId, Timestamp, UserId, Workspace, WorkspaceId, WorkspaceStatus,
    event::WorkspaceDeleted,
    ingest::{
        Told,
        deletion::{self, UNDO_OVER},
    },
    provision::{self, Undeleted},
    status::Processor,
};
use services::ports::{Deletion, Doomed, Signal, StoreError};
use sqlx::Row;

/// Those that have not ended, of the workspace $1, but for the one that deletes it.
const UNFINISHED: &str = "SELECT id FROM jobs WHERE workspace_id = $1 AND kind <> 'delete' \
    AND status IN ('pending', 'running', 'paused') ORDER BY id";

pub(super) async fn begin_deletion(
    tx: &mut Tx,
    doomed: Doomed,
    job: JobId,
    not_before: Timestamp,
    now: Timestamp,
) -> Result<Deletion, Fault> {
    let Doomed::Workspace(user, id) = doomed else { return Err(StoreError::NotFound.into()) };
    let found = workspaces::load_locked(tx, id).await?.filter(|w| w.user_id == user);
    let mut workspace = found.ok_or(StoreError::NotFound)?;
    if workspace.status == WorkspaceStatus::Deleting {
        return begin(tx, doomed, job, None, now).await;
    }
    let size = (workspace.counts.documents, workspace.counts.bytes);
    let (state, told) = deletion::delete(job, user, id, size, now);
    let before = provision::delete(&mut workspace, state.job.message.clone(), now)?;
    let undo = (serde_json::to_string(&before)?, not_before);
    let deletion = begin(tx, doomed, job, Some(undo), now).await?;
    // Whoever has something in hand there finds its lease gone; nobody claims it in a workspace that is not ready.
    sqlx::query(
        "UPDATE tasks SET status = 'pending', owner = NULL, lease_until = 0 \
         WHERE status = 'running' AND job_id IN (SELECT id FROM jobs WHERE workspace_id = $1)",
    )
    .bind(id.to_string())
    .execute(&mut tx.conn)
    .await?;
    insert_job(&mut tx.conn, &state, None).await?;
    workspaces::update(tx, &workspace, now).await?;
    tell(tx, user, id, told, now).await?;
    tx.signal(Signal::Requested);
    Ok(deletion)
}

pub(super) async fn restore(
    tx: &mut Tx,
    user: UserId,
    id: WorkspaceId,
    since: Timestamp,
    now: Timestamp,
) -> Result<Workspace, Fault> {
    let found = workspaces::load_locked(tx, id).await?.filter(|w| w.user_id == user);
    let mut workspace = found.ok_or(StoreError::NotFound)?;
    if workspace.status != WorkspaceStatus::Deleting {
        return Ok(workspace);
    }
    let row = sqlx::query(
        "SELECT job_id, undo FROM deletions WHERE kind = 'workspace' AND doomed_id = $1 \
         AND completed_at IS NULL AND created_at >= $2",
    )
    .bind(id.to_string())
    .bind(since.micros())
    .fetch_optional(&mut tx.conn)
    .await?;
    let Some(row) = row else { return Err(StoreError::from(UNDO_OVER).into()) };
    let undo: Option<String> = row.try_get("undo")?;
    let before: Undeleted = serde_json::from_str(&undo.ok_or(StoreError::from(UNDO_OVER))?)?;
    let job: JobId = parsed(&row, "job_id")?;
    let mut job = lock_job(tx, job).await?.ok_or(StoreError::NotFound)?;
    let told = deletion::undone(&mut job, now).map_err(StoreError::from)?;
    update_job(&mut tx.conn, &job).await?;
    sqlx::query("DELETE FROM deletions WHERE job_id = $1")
        .bind(job.job.job_id.to_string())
        .execute(&mut tx.conn)
        .await?;
    provision::undelete(&mut workspace, before, now);
    workspaces::update(tx, &workspace, now).await?;
    tell(tx, user, id, told, now).await?;
    tx.signal(Signal::WorkReady);
    if workspace.processor == Processor::External {
        tx.signal(Signal::Untold(id));
    }
    Ok(workspace)
}

pub(super) async fn tell_deletion(
    tx: &mut Tx,
    id: WorkspaceId,
    job: JobId,
    now: Timestamp,
) -> Result<bool, Fault> {
    let found: Option<String> =
        sqlx::query_scalar("SELECT job_id FROM deletions WHERE job_id = $1 AND completed_at IS NULL")
            .bind(job.to_string())
            .fetch_optional(&mut tx.conn)
            .await?;
    if found.is_none() {
        return Ok(false);
    }
    // Without the workspace only the end is left to say.
    let Some(mut workspace) = workspaces::load_locked(tx, id).await? else { return Ok(true) };
    end_jobs(tx, id, now).await?;
    let Some(mut state) = lock_job(tx, job).await? else { return Ok(true) };
    let user = state.job.user_id;
    let told = deletion::deleting(&mut state, workspace.counts.documents, now)?;
    update_job(&mut tx.conn, &state).await?;
    if !told.events.is_empty() {
        workspace.status_message = Some(state.job.message.clone());
        workspace.updated_at = now;
        workspaces::update(tx, &workspace, now).await?;
    }
    tell(tx, user, id, told, now).await?;
    Ok(true)
}

/// Who follows them hears that they are over.
async fn end_jobs(tx: &mut Tx, workspace: WorkspaceId, now: Timestamp) -> Result<(), Fault> {
    let rows = sqlx::query(UNFINISHED).bind(workspace.to_string()).fetch_all(&mut tx.conn).await?;
    for row in &rows {
        let Some(mut job) = lock_job(tx, parsed(row, "id")?).await? else { continue };
        let told = deletion::end_with_workspace(&mut job, now)?;
        update_job(&mut tx.conn, &job).await?;
        tell(tx, job.job.user_id, workspace, told, now).await?;
    }
    Ok(())
}

/// What hangs on it by a foreign key goes with it. Done twice, it is told once.
pub(super) async fn remove(
    tx: &mut Tx,
    user: UserId,
    id: WorkspaceId,
    job: JobId,
    now: Timestamp,
) -> Result<(), Fault> {
    let removed = sqlx::query("DELETE FROM workspaces WHERE id = $1 AND status = 'deleting'")
        .bind(id.to_string())
        .execute(&mut tx.conn)
        .await?;
    if removed.rows_affected() == 0 {
        return Ok(());
    }
    let mut told = Told::default();
    if let Some(mut state) = lock_job(tx, job).await? {
        told = deletion::deleted(&mut state, now)?;
        update_job(&mut tx.conn, &state).await?;
    }
    told.events.insert(0, Event::WorkspaceDeleted(WorkspaceDeleted { id, rev: 0 }));
    tell(tx, user, id, told, now).await
}
