//! A new job with its documents and their tasks.

use super::{queue, rows, tell, uploads};
use crate::{bulk, fault::Fault, writer::Tx};
use domain::{JobId, ingest, rag::RagConfig};
use services::ports::{NewJob, Signal, StoreError};
use sqlx::AssertSqlSafe;

const TASK_COLUMNS: usize = 10;

/// Answers the id of the job: the first one's, when the same command made one before.
pub(super) async fn create(tx: &mut Tx, new: &NewJob) -> Result<JobId, Fault> {
    if let Some(known) = made_before(tx, new).await? {
        return Ok(known);
    }
    let embeds = rag_config(tx, new).await?.embeds();
    let (job, documents, mut told) = ingest::create(
        new.id,
        new.kind,
        new.user_id,
        new.workspace_id,
        &uploads(new),
        embeds,
        new.created_at,
    );
    let ahead = queue::ahead_of_new(tx, &job.job).await?;
    if !rows::insert_job(&mut tx.conn, &job, new.command_id.as_deref()).await? {
        // Another server was faster with the same command; its job is committed, or the insert would still wait.
        return made_before(tx, new).await?.ok_or_else(|| Fault::corrupt("a job's command"));
    }
    let keyed: Vec<_> =
        documents.iter().zip(&new.documents).map(|(state, d)| (state, d.blob_key.as_str())).collect();
    rows::insert_documents(&mut tx.conn, &keyed).await?;
    insert_tasks(tx, new, job.job.attempt).await?;
    queue::note_told(tx, new.id, ahead).await?;
    told.set_queue_position(ahead);
    tell(tx, new.user_id, new.workspace_id, told, new.created_at).await?;
    tx.signal(Signal::WorkReady);
    Ok(new.id)
}

async fn made_before(tx: &mut Tx, new: &NewJob) -> Result<Option<JobId>, Fault> {
    let Some(command) = &new.command_id else { return Ok(None) };
    let id: Option<String> = sqlx::query_scalar("SELECT id FROM jobs WHERE user_id = $1 AND command_id = $2")
        .bind(new.user_id.to_string())
        .bind(command.as_str())
        .fetch_optional(&mut tx.conn)
        .await?;
    id.map(|id| id.parse().map_err(Fault::corrupt)).transpose()
}

async fn rag_config(tx: &mut Tx, new: &NewJob) -> Result<RagConfig, Fault> {
    let config: Option<String> = sqlx::query_scalar(
        "SELECT rag_config FROM workspaces WHERE id = $1 AND user_id = $2 \
             AND EXISTS (SELECT 1 FROM users WHERE users.id = $2 AND deleting_at IS NULL)",
    )
    .bind(new.workspace_id.to_string())
    .bind(new.user_id.to_string())
    .fetch_optional(&mut tx.conn)
    .await?;
    Ok(serde_json::from_str(&config.ok_or(StoreError::NotFound)?)?)
}

async fn insert_tasks(tx: &mut Tx, new: &NewJob, attempt: u32) -> Result<(), Fault> {
    let placed: Vec<_> = (0i64..).zip(&new.documents).collect();
    for part in bulk::parts(&placed, rows::PARAMETERS / 16) {
        let sql = format!(
            "INSERT INTO tasks (job_id, attempt, document_id, place, user_id, job_created_at, status, owner, \
             lease_until, fence) VALUES {}",
            bulk::rows(part.len(), TASK_COLUMNS)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (place, document) in part {
            query = query
                .bind(new.id.to_string())
                .bind(i64::from(attempt))
                .bind(document.id.to_string())
                .bind(*place)
                .bind(new.user_id.to_string())
                .bind(new.created_at.micros())
                .bind("pending")
                .bind(None::<String>)
                .bind(0i64)
                .bind(0i64);
        }
        query.execute(&mut tx.conn).await?;
    }
    Ok(())
}
