//! What an outside worker says of a document: the document, its job and its task, in one transaction.

use super::{lock_document, lock_job, number, requests, rest, rows, tell, unheard};
use crate::{fault::Fault, sentences, workspaces, writer::Tx};
use domain::{
    DocumentId, DocumentStatus, Timestamp, UserId, ingest,
    ingest::Stage,
    report::{self, DocumentReport},
};
use services::ports::StoreError;
use sqlx::{AssertSqlSafe, Row};

pub(super) async fn commit(
    tx: &mut Tx,
    user: UserId,
    id: DocumentId,
    said: &DocumentReport,
    now: Timestamp,
) -> Result<(), Fault> {
    // The user's lock is held, so nothing of this changes any more but leases.
    let row = sqlx::query(
        "SELECT workspace_id, job_id FROM documents WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL",
    )
    .bind(id.to_string())
    .bind(user.to_string())
    .fetch_optional(&mut tx.conn)
    .await?
    .ok_or(StoreError::NotFound)?;
    let workspace = workspaces::load_locked(tx, super::parsed(&row, "workspace_id")?).await?;
    let workspace = workspace.ok_or(StoreError::NotFound)?;
    if let Some(refusal) = report::refused(workspace.processor, workspace.status) {
        return Err(StoreError::from(refusal).into());
    }
    let job: Option<String> = row.try_get("job_id")?;
    let job = job.ok_or(StoreError::NotFound)?.parse().map_err(Fault::corrupt)?;
    // Task, job, document: always in this order.
    let sql = format!(
        "SELECT tasks.fence, tasks.status, tasks.attempt FROM tasks JOIN jobs ON jobs.id = tasks.job_id \
         AND jobs.attempt = tasks.attempt WHERE tasks.job_id = $1 AND tasks.document_id = $2{}",
        if tx.engine.for_update().is_empty() { "" } else { " FOR NO KEY UPDATE OF tasks" }
    );
    let task = sqlx::query(AssertSqlSafe(sql))
        .bind(format!("{job}"))
        .bind(id.to_string())
        .fetch_optional(&mut tx.conn)
        .await?;
    let mut job = lock_job(tx, job).await?.ok_or(StoreError::NotFound)?;
    let (mut document, _) = lock_document(tx, id).await?.ok_or(StoreError::NotFound)?;
    if let Some(task) = &task {
        let unfinished = matches!(task.try_get::<&str, _>("status")?, "pending" | "running" | "paused");
        if unfinished && number::<u64>(task, "fence")? > 0 {
            return Err(StoreError::from(report::BUILTIN_AT_WORK).into());
        }
    }
    let before = (job.clone(), document.clone());
    let wanted = workspaces::config(tx, workspace.id).await?;
    let sentence = match said.wordless_step() {
        Some(step) => sentences::kept(tx, &step).await?,
        None => None,
    };
    let told = ingest::report(&mut job, &mut document, said, &wanted, sentence.as_deref(), now)
        .map_err(StoreError::from)?;
    if document.stage == Stage::Done && before.1.stage != Stage::Done {
        let status = if said.status == DocumentStatus::Failed { "failed" } else { "done" };
        sqlx::query(
            "UPDATE tasks SET status = $4, owner = NULL, lease_until = 0 \
             WHERE job_id = $1 AND attempt = $2 AND document_id = $3",
        )
        .bind(job.job.job_id.to_string())
        .bind(i64::from(job.job.attempt))
        .bind(id.to_string())
        .bind(status)
        .execute(&mut tx.conn)
        .await?;
    }
    rest::note(tx, (before.0.held_back, job.held_back), (before.1.held_back, document.held_back));
    if job != before.0 {
        rows::update_job(&mut tx.conn, &job).await?;
    }
    if document != before.1 {
        rows::update_document(&mut tx.conn, &document).await?;
    } else if document.document.status == DocumentStatus::Processing {
        unheard::heard_again(tx, job.job.job_id, job.job.attempt, id, now).await?;
    }
    tell(tx, user, workspace.id, told, now).await?;
    if document.stage == Stage::Done && before.1.stage != Stage::Done {
        // It stands, when all that is left of it is paused.
        requests::honour_job(tx, &mut job, now).await?;
    }
    Ok(())
}
