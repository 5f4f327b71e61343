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

/// Documents of the re-index job $1 that were not told that they wait.
const UNTOLD: &str = "FROM tasks t JOIN documents d ON d.id = t.document_id \
    WHERE t.job_id = $1 AND t.attempt = (SELECT j.attempt FROM jobs j WHERE j.id = $1) AND t.status = 'pending' \
    AND COALESCE(d.job_id, '') <> $1 AND d.status NOT IN ('pending', 'processing')";

/// The next of them are told. The looking is done by a reader, since it goes over all that were told before.
pub(super) async fn requeue(
    store: &Store,
    user: UserId,
    job: JobId,
    limit: u32,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let found = untold(store, job, limit).await?;
    let some = found.len();
    store
        .writer()
        .write_for(user, "requeue", (job, found, now), |tx, (job, found, now)| {
            Box::pin(tell_waiting(tx, *job, found, *now))
        })
        .await?;
    Ok(some)
}

async fn untold(store: &Store, job: JobId, limit: u32) -> Result<Vec<DocumentId>, Fault> {
    let sql = format!("SELECT t.document_id {UNTOLD} ORDER BY t.place LIMIT $2");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(job.to_string())
        .bind(i64::from(limit))
        .fetch_all(store.readers())
        .await?;
    rows.iter().map(|row| parsed(row, "document_id")).collect()
}

async fn tell_waiting(tx: &mut Tx, id: JobId, found: &[DocumentId], now: Timestamp) -> Result<(), Fault> {
    let job = lock_job(tx, id).await?.ok_or(StoreError::NotFound)?;
    let mut told = Told::default();
    let sql = format!("SELECT t.document_id {UNTOLD} AND t.document_id = $2");
    for id in found {
        let still = sqlx::query(AssertSqlSafe(sql.clone()))
            .bind(job.job.job_id.to_string())
            .bind(id.to_string())
            .fetch_optional(&mut tx.conn)
            .await?;
        // Somebody may have taken it since it was found, or it is gone.
        if still.is_none() {
            continue;
        }
        let (mut document, _) = lock_document(tx, *id).await?.ok_or(StoreError::NotFound)?;
        let waits = ingest::requeue(&job, &mut document, now)?;
        rows::update_document(&mut tx.conn, &document).await?;
        told.events.extend(waits.events);
        told.counts_changed |= waits.counts_changed;
    }
    tell(tx, job.job.user_id, job.job.kb_id, told, now).await
}

/// The next documents of the workspace whose mark is not what its configuration says now. The looking is done by a reader,
/// since it goes over all that are marked by now; only that there is none left is looked for under the lock.
pub(super) async fn compare(
    store: &Store,
    id: WorkspaceId,
    limit: u32,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let found = read_marked_wrong(store, id, limit).await?;
    let written = store
        .writer()
        .write("compare documents", (id, found, limit, now), |tx, (id, found, limit, now)| {
            Box::pin(mark(tx, *id, found, *limit, *now))
        })
        .await?;
    Ok(written.value)
}

fn marked_wrong(
    id: WorkspaceId,
    processor: Processor,
    wanted: &RagConfig,
    limit: u32,
) -> Query<'static, Any, AnyArguments> {
    let print = wanted.fingerprint(wanted.embeds());
    let sql = format!("SELECT id FROM documents WHERE {MARKED_WRONG} ORDER BY created_at, id LIMIT $2");
    sqlx::query(AssertSqlSafe(sql))
        .bind(id.to_string())
        .bind(i64::from(limit))
        .bind(print.cut)
        .bind(print.model)
        .bind(i64::from(print.graph))
        .bind(i64::from(processor == Processor::Builtin))
}

async fn read_marked_wrong(store: &Store, id: WorkspaceId, limit: u32) -> Result<Vec<DocumentId>, Fault> {
    let row = sqlx::query("SELECT rag_config, processor FROM workspaces WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(store.readers())
        .await?;
    let Some(row) = row else { return Ok(vec![]) };
    let wanted: RagConfig = serde_json::from_str(row.try_get("rag_config")?)?;
    let query = marked_wrong(id, parsed(&row, "processor")?, &wanted, limit);
    let rows = query.fetch_all(store.readers()).await?;
    rows.iter().map(|row| parsed(row, "id")).collect()
}

/// Marks those that were found, as far as their marks are wrong still. Answers how many were looked at; 0 when none is left.
async fn mark(
    tx: &mut Tx,
    id: WorkspaceId,
    found: &[DocumentId],
    limit: u32,
    now: Timestamp,
) -> Result<usize, Fault> {
    let workspace = workspaces::lock_with_owner(tx, id).await?;
    let wanted = workspaces::config(tx, id).await?;
    let mut these = found.to_vec();
    if these.is_empty() {
        let query = marked_wrong(id, workspace.processor, &wanted, limit);
        for row in query.fetch_all(&mut tx.conn).await? {
            these.push(parsed(&row, "id")?);
        }
    }
    let mut events: Vec<Event> = vec![];
    for document in &these {
        // Deleted since it was found.
        let Some((mut document, _)) = lock_document(tx, *document).await? else { continue };
        if let Some(event) = ingest::compare(&mut document, &wanted, workspace.processor, now) {
            rows::update_document(&mut tx.conn, &document).await?;
            events.push(event);
        }
    }
    if these.is_empty() {
        sqlx::query("UPDATE workspaces SET config_untold = 0 WHERE id = $1")
            .bind(id.to_string())
            .execute(&mut tx.conn)
            .await?;
    }
    let counts_changed = !events.is_empty();
    tell(tx, workspace.user_id, id, Told { events, counts_changed }, now).await?;
    Ok(these.len())
}
