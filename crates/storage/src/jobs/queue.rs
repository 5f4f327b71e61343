//! The place of a waiting job in the queue: told at its making, and again whenever it turned out to be another.

use super::{lock_job, parsed, rows};
use crate::{fault::Fault, open::Store, writer::Tx};
use domain::{Event, Job, JobId, JobStatus, Timestamp, UserId, ingest::JobState};
use futures::future::try_join_all;
use services::ports::StoreError;
use sqlx::Row;
use std::collections::BTreeMap;

/// Jobs of all users that go before this one, which is about to wait; `None` when it waits for an outside worker.
pub(super) async fn ahead_of_new(tx: &mut Tx, state: &JobState) -> Result<Option<u64>, Fault> {
    let job = &state.job;
    let external: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM workspaces WHERE id = $1 AND processor = 'external'")
            .bind(job.kb_id.to_string())
            .fetch_one(&mut tx.conn)
            .await?;
    if external > 0 {
        return Ok(None);
    }
    let ahead: i64 = sqlx::query_scalar(rows::AHEAD_OF_NEW)
        .bind(job.user_id.to_string())
        .bind(state.turn_at.micros())
        .bind(job.job_id.to_string())
        .fetch_one(&mut tx.conn)
        .await?;
    Ok(Some(ahead.max(0) as u64))
}

/// Kept of a job that has no place.
const NONE: i64 = -1;

/// Writes down what is told with the event that the caller emits.
pub(super) async fn note_told(tx: &mut Tx, job: JobId, position: Option<u64>) -> Result<(), Fault> {
    sqlx::query("UPDATE jobs SET queue_told = $1 WHERE id = $2")
        .bind(position.map_or(NONE, rows::int))
        .bind(job.to_string())
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}

/// The looking is done by a reader, so that a long queue does not keep writers waiting; what changes in between is
/// told in the next round.
pub(super) async fn tell(store: &Store, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
    let moved = moved(store, limit).await?;
    let found = moved.values().map(Vec::len).sum();
    let told = moved.into_iter().map(|(user, jobs)| {
        let argument = (jobs, now);
        store.writer().write_for(user, "tell queue", argument, |tx, (jobs, now)| {
            Box::pin(async move {
                for (id, position) in jobs {
                    tell_one(tx, *id, *position, *now).await?;
                }
                Ok(())
            })
        })
    });
    try_join_all(told).await?;
    Ok(found)
}

/// Waiting jobs whose place is not what was told last, by their users.
async fn moved(store: &Store, limit: u32) -> Result<BTreeMap<UserId, Vec<(JobId, Option<u64>)>>, Fault> {
    // As in `rows::ahead`, of all of them at once: `own` are those of the same user before it.
    let sql = "WITH line AS ( \
             SELECT j.id, j.user_id, j.status, j.queue_told, j.turn_at, w.processor, \
                 CASE WHEN j.requested IS NULL AND w.processor = 'builtin' AND w.status = 'ready' AND w.paused = 0 \
                 THEN 1 ELSE 0 END AS goes \
             FROM jobs j LEFT JOIN workspaces w ON w.id = j.workspace_id \
             WHERE j.status IN ('pending', 'running', 'paused') AND j.status <> 'paused' AND j.kind <> 'delete' \
         ), turns AS ( \
             SELECT id, user_id, status, queue_told, turn_at, processor, goes, \
                 SUM(goes) OVER (PARTITION BY user_id ORDER BY turn_at, id) - goes AS own FROM line \
         ), queue AS ( \
             SELECT id, user_id, status, queue_told, turn_at, CASE WHEN processor = 'external' THEN -1 ELSE \
                 SUM(goes) OVER (ORDER BY own, turn_at, id) - goes END AS place FROM turns \
         ) \
         SELECT id, user_id, place FROM queue \
         WHERE status = 'pending' AND queue_told <> place ORDER BY place, turn_at, id LIMIT $1";
    let rows = sqlx::query(sql).bind(i64::from(limit)).fetch_all(store.readers()).await?;
    let mut moved = BTreeMap::<UserId, Vec<(JobId, Option<u64>)>>::new();
    for row in &rows {
        let place: i64 = row.try_get("place")?;
        let job = (parsed(row, "id")?, u64::try_from(place).ok());
        moved.entry(parsed(row, "user_id")?).or_default().push(job);
    }
    // Everybody locks a user's jobs in this order.
    moved.values_mut().for_each(|jobs| jobs.sort_unstable());
    Ok(moved)
}

async fn tell_one(tx: &mut Tx, id: JobId, position: Option<u64>, now: Timestamp) -> Result<(), Fault> {
    let Some(state) = lock_job(tx, id).await? else { return Ok(()) };
    if state.job.status != JobStatus::Pending {
        return Ok(());
    }
    note_told(tx, id, position).await?;
    tx.emit(state.job.user_id, Event::JobUpdate(Job { queue_position: position, ..state.job }), now);
    Ok(())
}
