//! A document that somebody deletes: out of view and out of its jobs at once, with all its rows as they were, so that it
//! can be brought back. Taking the rows away is `deletions`.

use super::{
    DOCUMENT, document, lock_document, lock_job, parsed, queue, requests, rest, rows, standing, tell,
};
use crate::{fault::Fault, index, writer::Tx};
use domain::{
    DocumentId, Event, JobId, Timestamp, UserId, WorkspaceId, WorkspaceStatus,
    event::DocumentDeleted,
    ingest::{
        DocumentState, JobState, Told, control,
        deletion::{UNDO_OVER, UNDO_SECONDS},
    },
    provision::WorkspaceAction,
    status::{JobRequest, JobStatus},
};
use services::ports::{Signal, StoreError};
use sqlx::{AssertSqlSafe, Row};

/// Answers what was told, and the documents of which chunks are dead by this.
pub(crate) async fn delete(
    tx: &mut Tx,
    user: UserId,
    id: DocumentId,
    now: Timestamp,
) -> Result<(DocumentDeleted, Vec<DocumentId>), Fault> {
    let (deleted, buried) = take_out(tx, user, id, now).await?;
    let counts = Told { events: vec![], counts_changed: true };
    tell(tx, user, deleted.workspace_id, counts, now).await?;
    Ok((deleted, buried))
}

/// The same, without a word about the counts of the workspace.
pub(super) async fn take_out(
    tx: &mut Tx,
    user: UserId,
    id: DocumentId,
    now: Timestamp,
) -> Result<(DocumentDeleted, Vec<DocumentId>), Fault> {
    // The user's lock is held, so nothing of this changes any more but leases.
    let found = lock_document(tx, id).await?.filter(|(state, _)| state.document.user_id == user);
    let (state, _) = found.ok_or(StoreError::NotFound)?;
    let workspace = state.document.workspace_id;
    changeable(tx, workspace).await?;
    let jobs = jobs_with(tx, id).await?;
    let from = state.document.job_id.filter(|job| jobs.contains(job)).or(jobs.first().copied());
    sqlx::query(
        "UPDATE documents SET deleted_at = $2, withdrawn_from = $3, requested = NULL, held_back = 0 WHERE id = $1",
    )
    .bind(id.to_string())
    .bind(now.micros())
    .bind(from.map(|job| job.to_string()))
    .execute(&mut tx.conn)
    .await?;
    let mut buried = vec![];
    for job in jobs {
        let Some(job) = lock_job(tx, job).await? else { continue };
        let is_own = from == Some(job.job.job_id);
        if is_own && stands(&job) && !standing::stands_with_workspace(tx, job.job.job_id).await? {
            // Its job may have ended by the time it is brought back.
            sqlx::query("UPDATE documents SET paused = 1 WHERE id = $1")
                .bind(id.to_string())
                .execute(&mut tx.conn)
                .await?;
        }
        buried.extend(leave(tx, job, &state, now).await?);
    }
    if state.live > 0 {
        index::raise_version(tx, workspace).await?;
    }
    let deleted = DocumentDeleted {
        id,
        workspace_id: workspace,
        filename: state.document.filename,
        undo_until: now.plus_seconds(UNDO_SECONDS),
        rev: 0,
    };
    tx.emit(user, Event::DocumentDeleted(deleted.clone()), now);
    // Who has it in hand finds its lease gone.
    tx.signal(Signal::Requested);
    Ok((deleted, buried))
}

/// Takes a document out of the jobs that have it still to do, as it gets another content; whoever has it in hand writes
/// nothing more. Answers the documents of which chunks are dead by this.
pub(super) async fn set_free(tx: &mut Tx, id: DocumentId, now: Timestamp) -> Result<Vec<DocumentId>, Fault> {
    let (state, _) = lock_document(tx, id).await?.ok_or(StoreError::NotFound)?;
    let mut buried = vec![];
    let jobs = jobs_with(tx, id).await?;
    if !jobs.is_empty() {
        tx.signal(Signal::Requested);
    }
    for job in jobs {
        if let Some(job) = lock_job(tx, job).await? {
            buried.extend(leave(tx, job, &state, now).await?);
        }
    }
    Ok(buried)
}

fn stands(job: &JobState) -> bool {
    job.job.status == JobStatus::Paused || job.job.requested == Some(JobRequest::Pause)
}

pub(super) async fn changeable(tx: &mut Tx, workspace: WorkspaceId) -> Result<(), Fault> {
    let status: Option<String> = sqlx::query_scalar("SELECT status FROM workspaces WHERE id = $1")
        .bind(workspace.to_string())
        .fetch_optional(&mut tx.conn)
        .await?;
    let status: WorkspaceStatus = status.ok_or(StoreError::NotFound)?.parse().map_err(Fault::corrupt)?;
    match status.refuses(WorkspaceAction::Edit) {
        Some(refusal) => Err(StoreError::from(refusal).into()),
        None => Ok(()),
    }
}

/// The jobs that have the document still to do, in the order in which everybody takes them.
async fn jobs_with(tx: &mut Tx, document: DocumentId) -> Result<Vec<JobId>, Fault> {
    let rows = sqlx::query(
        "SELECT t.job_id FROM tasks t JOIN jobs j ON j.id = t.job_id AND j.attempt = t.attempt \
         WHERE t.document_id = $1 AND t.status IN ('pending', 'running', 'paused') \
         AND j.status IN ('pending', 'running', 'paused') ORDER BY t.job_id",
    )
    .bind(document.to_string())
    .fetch_all(&mut tx.conn)
    .await?;
    rows.iter().map(|row| parsed(row, "job_id")).collect()
}

/// The job goes on without the document, or ends. Whoever has the document in hand writes nothing more.
async fn leave(
    tx: &mut Tx,
    mut job: JobState,
    document: &DocumentState,
    now: Timestamp,
) -> Result<Vec<DocumentId>, Fault> {
    requests::set_task(tx, &job, document.document.id, "failed").await?;
    let held_back = job.held_back;
    let told = control::withdraw(&mut job, document, now)?;
    rest::note(tx, (held_back, job.held_back), (false, false));
    rows::update_job(&mut tx.conn, &job).await?;
    tell(tx, job.job.user_id, job.job.kb_id, told, now).await?;
    requests::honour_job(tx, &mut job, now).await
}

/// Brings the document back, when it was deleted at `since` or later. One that is there changes nothing. What it had
/// still to do it does in the job with that id.
pub(crate) async fn restore(
    tx: &mut Tx,
    user: UserId,
    id: DocumentId,
    job: JobId,
    since: Timestamp,
    now: Timestamp,
) -> Result<(), Fault> {
    let Some(workspace) = put_back(tx, user, id, job, since, now).await? else { return Ok(()) };
    tell(tx, user, workspace, Told { events: vec![], counts_changed: true }, now).await
}

/// The same, without a word about the counts of the workspace, which is answered when there is something to say.
pub(super) async fn put_back(
    tx: &mut Tx,
    user: UserId,
    id: DocumentId,
    job: JobId,
    since: Timestamp,
    now: Timestamp,
) -> Result<Option<WorkspaceId>, Fault> {
    let sql = format!(
        "SELECT {DOCUMENT}, documents.deleted_at, documents.withdrawn_from FROM documents \
         WHERE documents.id = $1 AND documents.user_id = $2{}",
        tx.engine.for_update()
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id.to_string())
        .bind(user.to_string())
        .fetch_optional(&mut tx.conn)
        .await?
        .ok_or(StoreError::NotFound)?;
    let Some(deleted_at) = row.try_get::<Option<i64>, _>("deleted_at")? else { return Ok(None) };
    if deleted_at < since.micros() {
        return Err(StoreError::from(UNDO_OVER).into());
    }
    let mut state = document(&row)?;
    let workspace = state.document.workspace_id;
    changeable(tx, workspace).await?;
    sqlx::query("UPDATE documents SET deleted_at = NULL, withdrawn_from = NULL WHERE id = $1")
        .bind(id.to_string())
        .execute(&mut tx.conn)
        .await?;
    // What the workspace asks for may have changed while nobody compared this one with it.
    sqlx::query("UPDATE workspaces SET config_untold = 1 WHERE id = $1")
        .bind(workspace.to_string())
        .execute(&mut tx.conn)
        .await?;
    if state.live > 0 {
        index::raise_version(tx, workspace).await?;
    }
    let from: Option<String> = row.try_get("withdrawn_from")?;
    let from: Option<JobId> = from.map(|id| id.parse().map_err(Fault::corrupt)).transpose()?;
    let from = match from {
        Some(from) => lock_job(tx, from).await?,
        None => None,
    };
    let Some(mut from) = from else {
        tx.emit(user, Event::DocumentStatus(state.document), now);
        return Ok(Some(workspace));
    };
    if standing::stands_with_workspace(tx, from.job.job_id).await? {
        // The new one is had to stand with its workspace as well, and goes on with it.
        (from.job.status, from.job.requested) = (JobStatus::Running, None);
    }
    let (mut new, mut told) = control::bring_back(job, &from, &mut state, now)?;
    let ahead = queue::ahead_of_new(tx, &new).await?;
    if !rows::insert_job(&mut tx.conn, &new, None).await? {
        return Err(Fault::corrupt("the job of a document that was brought back"));
    }
    rows::update_document(&mut tx.conn, &state).await?;
    insert_task(tx, &new, &state).await?;
    queue::note_told(tx, job, ahead).await?;
    told.set_queue_position(ahead);
    told.counts_changed = false;
    tell(tx, user, workspace, told, now).await?;
    tx.signal(Signal::WorkReady);
    requests::honour_job(tx, &mut new, now).await?;
    Ok(Some(workspace))
}

async fn insert_task(tx: &mut Tx, job: &JobState, document: &DocumentState) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO tasks (job_id, attempt, document_id, place, user_id, turn_at, status, owner, \
         lease_until, fence) VALUES ($1, $2, $3, 0, $4, $5, $6, NULL, 0, 0)",
    )
    .bind(job.job.job_id.to_string())
    .bind(i64::from(job.job.attempt))
    .bind(document.document.id.to_string())
    .bind(job.job.user_id.to_string())
    .bind(job.turn_at.micros())
    .bind(if document.paused { "paused" } else { "pending" })
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}
