//! Documents that a worker holds and that get nowhere: taken out of its hands, one at a time.

use super::{claim::Seen, lock_document, lock_job, number, parts, requests, rest, rows, tell};
use crate::{fault::Fault, open::Store, workspaces, writer::Tx};
use domain::{DocumentId, Timestamp, ingest};
use services::ports::{Signal, StoreError};
use sqlx::AssertSqlSafe;

/// The looking is done by a reader, so that writers wait only for the rows that change.
pub(super) async fn end(
    store: &Store,
    seconds: u32,
    limit: u32,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let before = now.plus_seconds(-i64::from(seconds));
    let mut ended = 0;
    for stalled in found(store, before, limit).await? {
        let argument = (stalled, seconds, before, now);
        let written = store
            .writer()
            .write_for(stalled.user, "end stalled", argument, |tx, (stalled, seconds, before, now)| {
                Box::pin(end_one(tx, *stalled, *seconds, *before, *now))
            })
            .await?;
        let Some(buried) = written.value else { continue };
        ended += 1;
        parts::drop_all_dead(store, stalled.user, &buried).await;
    }
    Ok(ended)
}

async fn found(store: &Store, before: Timestamp, limit: u32) -> Result<Vec<Seen>, Fault> {
    // One whose lease ran out is the next worker's anyway.
    let sql = format!(
        "SELECT {} FROM tasks t \
         JOIN jobs j ON j.id = t.job_id AND j.attempt = t.attempt \
         WHERE t.status = 'running' AND t.lease_until > {} AND t.progress_at BETWEEN 1 AND $1 \
         AND j.status = 'running' ORDER BY t.progress_at, t.job_id, t.place LIMIT $2",
        Seen::COLUMNS,
        store.engine().now_micros()
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(before.micros())
        .bind(i64::from(limit))
        .fetch_all(store.readers())
        .await?;
    rows.iter().map(Seen::of).collect()
}

/// Answers the documents of which chunks are dead by this; `None` when it got on, or left the worker's hands, since it was
/// found.
async fn end_one(
    tx: &mut Tx,
    stalled: Seen,
    seconds: u32,
    before: Timestamp,
    now: Timestamp,
) -> Result<Option<Vec<DocumentId>>, Fault> {
    // Task, job, document: always in this order.
    let row = sqlx::query(
        "UPDATE tasks SET status = 'pending', owner = NULL, lease_until = 0, stalls = stalls + 1 \
         WHERE job_id = $1 AND attempt = $2 AND document_id = $3 AND fence = $4 AND status = 'running' \
         AND progress_at <= $5 RETURNING stalls",
    )
    .bind(stalled.job.to_string())
    .bind(stalled.attempt)
    .bind(stalled.document.to_string())
    .bind(stalled.fence)
    .bind(before.micros())
    .fetch_optional(&mut tx.conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let tries: u32 = number(&row, "stalls")?;
    let mut job = lock_job(tx, stalled.job).await?.ok_or(StoreError::NotFound)?;
    let (mut document, _) = lock_document(tx, stalled.document).await?.ok_or(StoreError::NotFound)?;
    let (stage, held_back) = (document.stage, (job.held_back, document.held_back));
    let workspace = job.job.kb_id;
    let mut buried = vec![];
    let wanted = workspaces::config(tx, workspace).await?;
    let told = ingest::stall(&mut job, &mut document, (seconds.into(), tries), &wanted, now)
        .map_err(StoreError::from)?;
    if tries >= ingest::TRIES {
        sqlx::query(
            "UPDATE tasks SET status = 'failed' WHERE job_id = $1 AND attempt = $2 AND document_id = $3",
        )
        .bind(stalled.job.to_string())
        .bind(stalled.attempt)
        .bind(stalled.document.to_string())
        .execute(&mut tx.conn)
        .await?;
        let dead = parts::dead_by_failure(&document, stage);
        if !dead.is_empty() {
            buried.push(stalled.document);
        }
        parts::bury(tx, stalled.document, dead).await?;
    }
    rest::note(tx, (held_back.0, job.held_back), (held_back.1, document.held_back));
    rows::update_job(&mut tx.conn, &job).await?;
    rows::update_document(&mut tx.conn, &document).await?;
    tx.signal(Signal::WorkReady);
    tell(tx, stalled.user, workspace, told, now).await?;
    buried.extend(requests::honour_freed(tx, stalled.job, stalled.document, now).await?);
    Ok(Some(buried))
}
