//! Documents and crawls that were begun and that nobody holds: told as such, one at a time.

use super::{claim::Seen, crawl, lock_document, lock_job, rows, tell};
use crate::{fault::Fault, open::Store, writer::Tx};
use domain::{Timestamp, ingest};
use services::ports::StoreError;
use sqlx::AssertSqlSafe;

/// The looking is done by a reader, so that writers wait only for the rows that change.
pub(super) async fn report(
    store: &Store,
    seconds: u32,
    limit: u32,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let before = now.plus_seconds(-i64::from(seconds));
    let mut told = 0;
    for left in found(store, before, limit).await? {
        let written = store
            .writer()
            .write_for(left.user, "tell interrupted", (left, now), |tx, (left, now)| {
                Box::pin(tell_one(tx, *left, *now))
            })
            .await?;
        told += usize::from(written.value);
    }
    for (user, job) in crawl::unheld(store, before, limit).await? {
        let written = store
            .writer()
            .write_for(user, "tell interrupted crawl", (job, now), |tx, (job, now)| {
                Box::pin(crawl::interrupt(tx, *job, *now))
            })
            .await?;
        told += usize::from(written.value);
    }
    Ok(told)
}

/// Task `t` is in nobody's hands, and a free worker would take it: in a workspace that is about to go, or that stands, nobody
/// is to be at it.
fn unheld(store_now: &str) -> String {
    format!(
        "(t.status = 'pending' OR t.status = 'running' AND t.lease_until <= {store_now}) \
         AND EXISTS (SELECT 1 FROM jobs o JOIN workspaces w ON w.id = o.workspace_id \
             WHERE o.id = t.job_id AND w.status = 'ready' AND w.paused = 0)"
    )
}

/// Document `d` does not say why nothing of it moves, though it was begun.
pub(super) const NOT_HELD_UP: &str = "\
    d.warnings NOT LIKE '%\"code\":\"interrupted\"%' AND d.warnings NOT LIKE '%\"code\":\"stalled\"%' \
    AND d.warnings NOT LIKE '%\"code\":\"retrying\"%' AND d.warnings NOT LIKE '%\"code\":\"waiting\"%'";

async fn found(store: &Store, before: Timestamp, limit: u32) -> Result<Vec<Seen>, Fault> {
    // What says so already, or says more, is left out.
    let sql = format!(
        "SELECT {} FROM tasks t \
         JOIN jobs j ON j.id = t.job_id AND j.attempt = t.attempt JOIN documents d ON d.id = t.document_id \
         WHERE t.status IN ('pending', 'running') AND {} AND t.fence > 0 AND t.progress_at BETWEEN 1 AND $1 \
         AND j.status = 'running' AND d.status = 'processing' AND {NOT_HELD_UP} \
         ORDER BY t.progress_at, t.job_id, t.place LIMIT $2",
        Seen::COLUMNS,
        unheld(store.engine().now_micros())
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(before.micros())
        .bind(i64::from(limit))
        .fetch_all(store.readers())
        .await?;
    rows.iter().map(Seen::of).collect()
}

/// False when somebody took it since it was found, or nobody is to take it any more.
async fn tell_one(tx: &mut Tx, left: Seen, now: Timestamp) -> Result<bool, Fault> {
    // Task, job, document: always in this order.
    let sql = format!(
        "SELECT 1 FROM tasks t WHERE t.job_id = $1 AND t.attempt = $2 AND t.document_id = $3 AND t.fence = $4 AND {}{}",
        unheld(tx.engine.now_micros()),
        tx.engine.for_update()
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(left.job.to_string())
        .bind(left.attempt)
        .bind(left.document.to_string())
        .bind(left.fence)
        .fetch_optional(&mut tx.conn)
        .await?;
    if row.is_none() {
        return Ok(false);
    }
    let mut job = lock_job(tx, left.job).await?.ok_or(StoreError::NotFound)?;
    let (mut document, _) = lock_document(tx, left.document).await?.ok_or(StoreError::NotFound)?;
    let told = ingest::interrupt(&mut job, &mut document, now);
    if told.events.is_empty() {
        return Ok(false);
    }
    rows::update_job(&mut tx.conn, &job).await?;
    rows::update_document(&mut tx.conn, &document).await?;
    tell(tx, left.user, job.job.kb_id, told, now).await?;
    Ok(true)
}
