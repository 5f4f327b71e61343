//! What was asked of jobs and documents while workers had them in hand: noticed by the worker, honoured in the
//! transaction that gives the last document back, and by a sweep where no worker is left to do that.

use super::{crawl, lock_document, lock_job, parsed, parts, rows, tell};
use crate::{fault::Fault, index, open::Store, workspaces, writer::Tx};
use domain::{
    DocumentId, JobId, Timestamp, UserId,
    ingest::{
        DocumentState, JobState, Stage, Told,
        control::{self, Asked},
    },
    status::{JobRequest, JobStatus},
};
use services::ports::{Signal, StoreError};
use sqlx::AssertSqlSafe;
use std::collections::BTreeSet;

/// Whether the document is not to become ready any more.
pub(super) fn is_cancelled(job: &JobState, document: &DocumentState) -> bool {
    job.job.requested == Some(JobRequest::Cancel) || document.requested.is_some_and(Asked::cancels)
}

/// Takes the tasks of the job whose leases ran out from their workers; answers how many documents are in hand. Its site
/// counts as one, while somebody reads it.
pub(super) async fn in_hand(tx: &mut Tx, job: &JobState) -> Result<i64, Fault> {
    let sql = format!(
        "UPDATE tasks SET status = 'pending', owner = NULL, lease_until = 0 \
         WHERE job_id = $1 AND attempt = $2 AND status = 'running' AND lease_until <= {}",
        tx.engine.now_micros()
    );
    let (id, attempt) = (job.job.job_id.to_string(), i64::from(job.job.attempt));
    sqlx::query(AssertSqlSafe(sql)).bind(id.as_str()).bind(attempt).execute(&mut tx.conn).await?;
    let documents: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM tasks WHERE job_id = $1 AND attempt = $2 AND status = 'running'",
    )
    .bind(id)
    .bind(attempt)
    .fetch_one(&mut tx.conn)
    .await?;
    let crawls = if job.job.crawl.is_some() { crawl::in_hand(tx, job).await? } else { 0 };
    Ok(documents + crawls)
}

/// Ends or changes the task of one document, whoever held it.
pub(super) async fn set_task(
    tx: &mut Tx,
    job: &JobState,
    document: DocumentId,
    status: &str,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE tasks SET status = $4, owner = NULL, lease_until = 0, not_before = 0 \
         WHERE job_id = $1 AND attempt = $2 AND document_id = $3",
    )
    .bind(job.job.job_id.to_string())
    .bind(i64::from(job.job.attempt))
    .bind(document.to_string())
    .bind(status)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// Honours what was asked of the job: nobody has a document of it in hand. Writes the documents, not the job. Answers
/// the documents of which chunks are dead by this.
pub(super) async fn honour(
    tx: &mut Tx,
    job: &mut JobState,
    now: Timestamp,
) -> Result<(Told, Vec<DocumentId>), Fault> {
    let mut documents = vec![];
    let cancels = job.job.requested == Some(JobRequest::Cancel);
    if cancels {
        documents = documents_of(tx, job, !job.cancel_removes).await?;
    }
    let before = documents.clone();
    let wanted = workspaces::config(tx, job.job.kb_id).await?;
    let told = control::honour(job, &mut documents, &wanted, now).map_err(StoreError::from)?;
    let buried = write_changed(tx, job, &before, &documents).await?;
    if cancels {
        sqlx::query(
            "UPDATE tasks SET status = 'failed', owner = NULL, lease_until = 0 \
             WHERE job_id = $1 AND attempt = $2 AND status IN ('pending', 'running', 'paused')",
        )
        .bind(job.job.job_id.to_string())
        .bind(i64::from(job.job.attempt))
        .execute(&mut tx.conn)
        .await?;
    }
    Ok((told, buried))
}

/// The documents of the job, in the order of their ids: those whose work is not through, or all that it ever had.
pub(super) async fn documents_of(
    tx: &mut Tx,
    job: &JobState,
    unfinished: bool,
) -> Result<Vec<DocumentState>, Fault> {
    let rows = sqlx::query(
        "SELECT DISTINCT document_id FROM tasks WHERE job_id = $1 AND ($3 = 0 OR attempt = $2 \
         AND status IN ('pending', 'running', 'paused')) ORDER BY document_id",
    )
    .bind(job.job.job_id.to_string())
    .bind(i64::from(job.job.attempt))
    .bind(i64::from(unfinished))
    .fetch_all(&mut tx.conn)
    .await?;
    let mut documents = Vec::with_capacity(rows.len());
    for row in &rows {
        // One that was deleted takes its tasks along.
        if let Some((document, _)) = lock_document(tx, parsed(row, "document_id")?).await? {
            documents.push(document);
        }
    }
    Ok(documents)
}

/// Writes the documents that are not as they were; answers those of which chunks are dead by this.
pub(super) async fn write_changed(
    tx: &mut Tx,
    job: &JobState,
    before: &[DocumentState],
    after: &[DocumentState],
) -> Result<Vec<DocumentId>, Fault> {
    let mut buried = vec![];
    let mut found_no_more = false;
    for (before, after) in before.iter().zip(after).filter(|(before, after)| before != after) {
        rows::update_document(&mut tx.conn, after).await?;
        let dead = control::dead_runs(before, after);
        if !dead.is_empty() {
            parts::bury(tx, after.document.id, dead).await?;
            buried.push(after.document.id);
        }
        found_no_more |= before.live != after.live;
    }
    if found_no_more {
        index::raise_version(tx, job.job.kb_id).await?;
    }
    Ok(buried)
}

/// A document has left its worker's hands: honours what was asked of it, and what was asked of its job when that was the
/// last one. A job of which all that is left is paused stands as well. Answers the documents of which chunks are dead by
/// this.
pub(super) async fn honour_freed(
    tx: &mut Tx,
    job: JobId,
    document: DocumentId,
    now: Timestamp,
) -> Result<Vec<DocumentId>, Fault> {
    let Some(mut job) = lock_job(tx, job).await? else { return Ok(vec![]) };
    let mut buried = vec![];
    if let Some((state, _)) = lock_document(tx, document).await?
        && state.requested.is_some()
        && job.job.requested != Some(JobRequest::Cancel)
    {
        buried = honour_document(tx, &mut job, state, now).await?;
    }
    buried.extend(honour_job(tx, &mut job, now).await?);
    Ok(buried)
}

/// Honours what was asked of a job, unless a document of it is in hand; and has it stand when all that is left of it is
/// paused.
pub(super) async fn honour_job(
    tx: &mut Tx,
    job: &mut JobState,
    now: Timestamp,
) -> Result<Vec<DocumentId>, Fault> {
    // A crawl that finds more pages has more to do than what is paused.
    let goes_on =
        matches!(job.job.status, JobStatus::Pending | JobStatus::Running) && !job.job.goes_on_finding();
    if job.job.requested.is_none() && goes_on && only_paused(tx, job).await? {
        control::ask(job, JobRequest::Pause, true).map_err(StoreError::from)?;
    }
    if job.job.requested.is_none() || in_hand(tx, job).await? > 0 {
        return Ok(vec![]);
    }
    let (told, buried) = honour(tx, job, now).await?;
    rows::update_job(&mut tx.conn, job).await?;
    tell(tx, job.job.user_id, job.job.kb_id, told, now).await?;
    Ok(buried)
}

/// Whether all that is left of the job are documents that somebody paused by themselves.
pub(super) async fn only_paused(tx: &mut Tx, job: &JobState) -> Result<bool, Fault> {
    let paused: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM tasks WHERE job_id = $1 AND attempt = $2 AND status = 'paused' \
         AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.job_id = $1 AND t.attempt = $2 \
             AND t.status IN ('pending', 'running'))",
    )
    .bind(job.job.job_id.to_string())
    .bind(i64::from(job.job.attempt))
    .fetch_one(&mut tx.conn)
    .await?;
    Ok(paused > 0)
}

/// Honours what was asked of a document that nobody has in hand, and writes all that changes.
pub(super) async fn honour_document(
    tx: &mut Tx,
    job: &mut JobState,
    mut document: DocumentState,
    now: Timestamp,
) -> Result<Vec<DocumentId>, Fault> {
    let before = document.clone();
    let wanted = workspaces::config(tx, job.job.kb_id).await?;
    let told = control::honour_document(job, &mut document, &wanted, now).map_err(StoreError::from)?;
    let id = document.document.id;
    if document.paused {
        set_task(tx, job, id, "paused").await?;
    } else if document.stage == Stage::Done {
        set_task(tx, job, id, "failed").await?;
    }
    let buried = write_changed(tx, job, &[before], &[document]).await?;
    rows::update_job(&mut tx.conn, job).await?;
    tell(tx, job.job.user_id, job.job.kb_id, told, now).await?;
    Ok(buried)
}

/// What [`services::ports::JobStore::asked`] answers.
pub(super) async fn asked(store: &Store, worker: &str) -> Result<Vec<DocumentId>, Fault> {
    let rows = sqlx::query(
        "SELECT t.document_id FROM tasks t JOIN jobs j ON j.id = t.job_id JOIN documents d ON d.id = t.document_id \
         WHERE t.owner = $1 AND t.status = 'running' AND (j.requested IS NOT NULL OR d.requested IS NOT NULL) \
         ORDER BY t.document_id",
    )
    .bind(worker)
    .fetch_all(store.readers())
    .await?;
    rows.iter().map(|row| parsed(row, "document_id")).collect()
}

/// The looking is done by a reader, so that writers wait only for the rows that change.
pub(super) async fn sweep(store: &Store, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
    let mut honoured = 0;
    for (user, job) in left(store, limit).await? {
        let written = store
            .writer()
            .write_for(user, "honour requests", (job, now), |tx, (job, now)| {
                Box::pin(honour_left(tx, *job, *now))
            })
            .await?;
        honoured += usize::from(written.value.0);
        parts::drop_all_dead(store, user, &written.value.1).await;
    }
    Ok(honoured)
}

/// Jobs that something is asked of, itself or one of its documents, and none of whose documents in question is in hand.
async fn left(store: &Store, limit: u32) -> Result<BTreeSet<(UserId, JobId)>, Fault> {
    let now = store.engine().now_micros();
    let held = format!("t.status = 'running' AND t.lease_until > {now}");
    let sql = format!(
        "SELECT j.user_id, j.id AS job_id FROM jobs j WHERE j.requested IS NOT NULL AND NOT EXISTS \
             (SELECT 1 FROM tasks t WHERE t.job_id = j.id AND t.attempt = j.attempt AND {held}) \
             AND NOT EXISTS (SELECT 1 FROM crawls c WHERE c.job_id = j.id AND c.owner IS NOT NULL \
                 AND c.lease_until > {now}) \
         UNION SELECT d.user_id, d.job_id FROM documents d WHERE d.requested IS NOT NULL AND d.job_id IS NOT NULL \
             AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.document_id = d.id AND {held}) \
         ORDER BY user_id, job_id LIMIT $1"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(i64::from(limit)).fetch_all(store.readers()).await?;
    rows.iter().map(|row| Ok((parsed(row, "user_id")?, parsed(row, "job_id")?))).collect()
}

/// Answers whether something was honoured, and the documents of which chunks are dead by that.
async fn honour_left(tx: &mut Tx, job: JobId, now: Timestamp) -> Result<(bool, Vec<DocumentId>), Fault> {
    let Some(mut job) = lock_job(tx, job).await? else { return Ok((false, vec![])) };
    let (mut any, mut buried) = (false, vec![]);
    in_hand(tx, &job).await?;
    if job.job.requested != Some(JobRequest::Cancel) {
        let rows = sqlx::query(
            "SELECT t.document_id FROM tasks t JOIN documents d ON d.id = t.document_id \
             WHERE t.job_id = $1 AND t.attempt = $2 AND t.status = 'pending' AND d.requested IS NOT NULL \
             ORDER BY t.document_id",
        )
        .bind(job.job.job_id.to_string())
        .bind(i64::from(job.job.attempt))
        .fetch_all(&mut tx.conn)
        .await?;
        for row in &rows {
            if let Some((document, _)) = lock_document(tx, parsed(row, "document_id")?).await? {
                buried.extend(honour_document(tx, &mut job, document, now).await?);
                any = true;
            }
        }
    }
    let asked = job.job.requested;
    buried.extend(honour_job(tx, &mut job, now).await?);
    any |= asked.is_some() && job.job.requested.is_none();
    tx.signal(Signal::WorkReady);
    Ok((any, buried))
}
