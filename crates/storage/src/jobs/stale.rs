//! Documents that were indexed with other settings than their workspace has now: finding them, telling them, and putting
//! them into the queue of the job that indexes them anew.

use super::{lock_document, lock_job, parsed, rows, tell};
use crate::{fault::Fault, open::Store, workspaces, writer::Tx};
use domain::{
    DocumentId, Event, JobId, Timestamp, UserId, WorkspaceId,
    ingest::{self, Told},
    rag::{Fingerprint, RagConfig},
    status::Processor,
};
use services::ports::{StaleDocument, StoreError};
use sqlx::{Any, AssertSqlSafe, Row, any::AnyArguments, query::Query};

/// Not what is wanted: cut in another way than $3, without vectors of the model $4 when that names one, or without a
/// graph when $5 asks for one.
macro_rules! differs {
    () => {
        "(documents.cut_with <> $3 OR ($4 <> '' AND documents.embedded_with <> $4) OR documents.graphed < $5)"
    };
}

/// A document of the workspace $1 of the user $2 that is ready, is in no job's hands, and is not what is wanted: it is
/// found by what differs, or not found at all, since its passages lie with a worker that the workspace no longer has.
pub(super) const STALE: &str = concat!(
    "documents.workspace_id = $1 AND documents.deleted_at IS NULL AND documents.user_id = $2 AND documents.status = 'ready' AND \
     CASE WHEN documents.live > 0 THEN ",
    differs!(),
    " ELSE documents.stale = 1 END AND NOT EXISTS (SELECT 1 FROM tasks t JOIN jobs j ON j.id = t.job_id AND j.attempt = t.attempt \
        WHERE t.document_id = documents.id AND t.status IN ('pending', 'running', 'paused') \
        AND j.status IN ('pending', 'running', 'paused'))"
);
/// Its mark is not what the comparison says; $6 is the mark of one that is ready and not found.
const MARKED_WRONG: &str = concat!(
    "documents.workspace_id = $1 AND documents.deleted_at IS NULL AND documents.stale <> CASE WHEN documents.live > 0 THEN CASE WHEN ",
    differs!(),
    " THEN 1 ELSE 0 END WHEN documents.status = 'ready' THEN $6 ELSE 0 END"
);

/// Binds the five parameters of [`STALE`].
pub(super) fn bind<'q>(
    query: Query<'q, Any, AnyArguments>,
    user: UserId,
    workspace: WorkspaceId,
    wanted: &Fingerprint,
) -> Query<'q, Any, AnyArguments> {
    query
        .bind(workspace.to_string())
        .bind(user.to_string())
        .bind(wanted.cut.clone())
        .bind(wanted.model.clone())
        .bind(i64::from(wanted.graph))
}

/// What [`services::ports::RagConfigs::stale_documents`] answers.
pub(crate) async fn find(
    store: &Store,
    user: UserId,
    workspace: WorkspaceId,
    wanted: &RagConfig,
) -> Result<Vec<StaleDocument>, Fault> {
    let sql = format!("SELECT id, version, metadata FROM documents WHERE {STALE} ORDER BY created_at, id");
    let wanted = wanted.fingerprint(wanted.embeds());
    let rows =
        bind(sqlx::query(AssertSqlSafe(sql)), user, workspace, &wanted).fetch_all(store.readers()).await?;
    rows.iter()
        .map(|row| {
            let metadata: serde_json::Value = serde_json::from_str(row.try_get("metadata")?)?;
            Ok(StaleDocument {
                id: parsed(row, "id")?,
                version: rows::number(row, "version")?,
                characters: metadata["characters"].as_u64().unwrap_or_default(),
            })
        })
        .collect()
}

/// The next documents of a re-index job that were not told that they wait.
pub(super) async fn requeue(tx: &mut Tx, id: JobId, limit: u32, now: Timestamp) -> Result<usize, Fault> {
    let job = lock_job(tx, id).await?.ok_or(StoreError::NotFound)?;
    let rows = sqlx::query(
        "SELECT t.document_id FROM tasks t JOIN documents d ON d.id = t.document_id \
         WHERE t.job_id = $1 AND t.attempt = $2 AND t.status = 'pending' \
         AND COALESCE(d.job_id, '') <> $1 AND d.status NOT IN ('pending', 'processing') \
         ORDER BY t.place LIMIT $3",
    )
    .bind(id.to_string())
    .bind(i64::from(job.job.attempt))
    .bind(i64::from(limit))
    .fetch_all(&mut tx.conn)
    .await?;
    let mut told = Told::default();
    for row in &rows {
        let id: DocumentId = parsed(row, "document_id")?;
        let (mut document, _) = lock_document(tx, id).await?.ok_or(StoreError::NotFound)?;
        let waits = ingest::requeue(&job, &mut document, now)?;
        rows::update_document(&mut tx.conn, &document).await?;
        told.events.extend(waits.events);
        told.counts_changed |= waits.counts_changed;
    }
    tell(tx, job.job.user_id, job.job.kb_id, told, now).await?;
    Ok(rows.len())
}

/// The next documents of the workspace whose mark is not what its configuration says now.
pub(super) async fn compare(
    tx: &mut Tx,
    id: WorkspaceId,
    limit: u32,
    now: Timestamp,
) -> Result<usize, Fault> {
    let workspace = workspaces::lock_with_owner(tx, id).await?;
    let wanted = workspaces::config(tx, id).await?;
    let print = wanted.fingerprint(wanted.embeds());
    let sql = format!("SELECT id FROM documents WHERE {MARKED_WRONG} ORDER BY created_at, id LIMIT $2");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(id.to_string())
        .bind(i64::from(limit))
        .bind(print.cut)
        .bind(print.model)
        .bind(i64::from(print.graph))
        .bind(i64::from(workspace.processor == Processor::Builtin))
        .fetch_all(&mut tx.conn)
        .await?;
    let mut events: Vec<Event> = vec![];
    for row in &rows {
        let (mut document, _) = lock_document(tx, parsed(row, "id")?).await?.ok_or(StoreError::NotFound)?;
        if let Some(event) = ingest::compare(&mut document, &wanted, workspace.processor, now) {
            rows::update_document(&mut tx.conn, &document).await?;
            events.push(event);
        }
    }
    if rows.is_empty() {
        sqlx::query("UPDATE workspaces SET config_untold = 0 WHERE id = $1")
            .bind(id.to_string())
            .execute(&mut tx.conn)
            .await?;
    }
    let counts_changed = !events.is_empty();
    tell(tx, workspace.user_id, id, Told { events, counts_changed }, now).await?;
    Ok(rows.len())
}
