//! The place of a waiting job in the queue: told at its making, and again whenever it turned out to be another.

use super::{lock_job, parsed, rows};
use crate::{bulk, fault::Fault, open::Store, workspaces, writer::Tx};
use domain::{Event, Job, JobId, JobKind, JobStatus, Timestamp, UserId, ingest::JobState};
use futures::future::try_join_all;
use services::ports::StoreError;
use sqlx::{AssertSqlSafe, Row};
use std::{collections::BTreeMap, iter};

/// In what order claims go round, for a window of the queue.
macro_rules! round_order {
    () => {
        "t.own, COALESCE(p.waits, t.waits), COALESCE(p.moment, t.moment), COALESCE(p.turn_at, t.turn_at), \
         COALESCE(p.id, t.id), t.turn_at, t.id"
    };
}

/// The jobs that wait or run, each with its place. What is asked to stop, what an outside worker does, and whatever is in a
/// workspace that nothing is begun in, keeps nobody waiting (`goes`).
///
/// Claims go round the people: a job waits for as many of each other one as it has of its own before it (`own`), and for
/// one more of whoever gets a turn earlier. Those whose job runs already began the round in that order; of those who still
/// wait for their first, whoever was served longest ago goes first, as [`super::claim`] does it. Both moments stand still
/// while a job waits, so that no place goes up and down with each document of somebody else.
///
/// Neither a job itself counts, nor the next one of the same person. That shares its step of the round with a job that does
/// not go (a new one does not yet), and stands before it where it runs already.
macro_rules! queue {
    ($but:literal, $new:literal) => {
        concat!(
            "WITH line AS ( \
             SELECT j.id, j.user_id, j.status, j.started_at, j.queue_told, j.turn_at, w.processor, \
                 CASE WHEN j.requested IS NULL AND w.processor = 'builtin' AND w.status = 'ready' AND w.paused = 0 \
                 THEN 1 ELSE 0 END AS goes \
             FROM jobs j LEFT JOIN workspaces w ON w.id = j.workspace_id \
             WHERE j.status IN ('pending', 'running', 'paused') AND j.status <> 'paused' AND j.kind <> 'delete'",
            $but,
            $new,
            "), turns AS MATERIALIZED ( \
             SELECT line.*, SUM(goes) OVER (PARTITION BY user_id ORDER BY turn_at, id) - goes AS own, \
                 CASE WHEN status = 'running' THEN 0 ELSE 1 END AS waits, \
                 CASE WHEN status = 'running' THEN COALESCE(started_at, 0) ELSE COALESCE( \
                     (SELECT s.served_at FROM user_seq s WHERE s.user_id = line.user_id), 0) END AS moment \
             FROM line \
         ), people AS ( \
             SELECT user_id, waits, moment, turn_at, id FROM turns WHERE goes = 1 AND own = 0 \
         ), queue AS ( \
             SELECT t.id, t.user_id, t.status, t.queue_told, t.turn_at, CASE WHEN t.processor = 'external' THEN -1 ELSE \
                 SUM(t.goes) OVER (ORDER BY ",
            round_order!(),
            ") - SUM(t.goes) OVER (PARTITION BY t.user_id, t.own ORDER BY ",
            round_order!(),
            ") END AS place \
             FROM turns t LEFT JOIN people p ON t.own > 0 AND p.user_id = t.user_id \
         ) "
        )
    };
}

/// Of all that there are.
const QUEUE: &str = queue!("", "");

/// Where the job `$3` of the user `$1` stands with the turn `$2`, whatever is written of it so far.
const OF_NEW: &str = concat!(
    queue!(
        " AND j.id <> $3",
        " UNION ALL SELECT $3, $1, 'pending', NULL, 0, CAST($2 AS BIGINT), 'builtin', 0"
    ),
    "SELECT place FROM queue WHERE id = $3"
);

/// With more jobs than that in line the place of a new one is not looked for where it is made: that goes over all of them
/// while everybody else waits for the writer. [`tell`] says it a moment later.
const SHORT: i64 = 200;

/// The place of a job that a transaction brought into the line, or moved in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Place {
    /// It was not looked for.
    #[default]
    Unknown,
    /// As it was told; nothing of a long line.
    Told(Option<u64>),
}

/// Jobs of all users that go before this one, which is about to wait; `None` when it waits for an outside worker, and when
/// the line is long.
pub(super) async fn ahead_of_new(tx: &mut Tx, state: &JobState) -> Result<Option<u64>, Fault> {
    let job = &state.job;
    if workspaces::is_external(tx, job.kb_id).await? {
        return Ok(None);
    }
    let line: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM (SELECT 1 AS one FROM jobs WHERE status IN ('pending', 'running', 'paused') LIMIT $1) line",
    )
    .bind(SHORT + 1)
    .fetch_one(&mut tx.conn)
    .await?;
    if line > SHORT {
        return Ok(None);
    }
    let ahead: i64 = sqlx::query_scalar(OF_NEW)
        .bind(job.user_id.to_string())
        .bind(state.turn_at.micros())
        .bind(job.job_id.to_string())
        .fetch_one(&mut tx.conn)
        .await?;
    Ok(Some(ahead.max(0) as u64))
}

/// The jobs as they are shown: each that waits with its place. What deletes, and what an outside worker does, waits for
/// nobody here.
pub(super) async fn with_places(store: &Store, mut jobs: Vec<Job>) -> Result<Vec<Job>, Fault> {
    let waits = |job: &Job| job.status == JobStatus::Pending && job.kind != JobKind::Delete;
    let waiting: Vec<JobId> = jobs.iter().filter(|job| waits(job)).map(|job| job.job_id).collect();
    let Some(last) = waiting.last() else { return Ok(jobs) };
    // All at once, since each look goes over the whole queue; filled up, so that few different statements are kept prepared.
    let places = waiting.len().next_power_of_two();
    let sql = format!("{QUEUE}SELECT id, place FROM queue WHERE id IN ({})", bulk::list(1, places));
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for id in waiting.iter().chain(iter::repeat(last)).take(places) {
        query = query.bind(id.to_string());
    }
    let mut places = BTreeMap::<JobId, Option<u64>>::new();
    for row in query.fetch_all(store.readers()).await? {
        places.insert(parsed(&row, "id")?, u64::try_from(row.try_get::<i64, _>("place")?).ok());
    }
    for job in jobs.iter_mut().filter(|job| waits(job)) {
        job.queue_position = places.get(&job.job_id).copied().flatten();
    }
    Ok(jobs)
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

/// What changes of a job while it waits, as when one of its documents is cancelled, is told with the place that was told
/// last: that holds until [`tell`] finds another.
pub(super) async fn keep_told(tx: &mut Tx, event: &mut Event) -> Result<(), Fault> {
    let Event::JobUpdate(job) = event else { return Ok(()) };
    if job.status != JobStatus::Pending || job.queue_position.is_some() {
        return Ok(());
    }
    let told: Option<i64> = sqlx::query_scalar("SELECT queue_told FROM jobs WHERE id = $1")
        .bind(job.job_id.to_string())
        .fetch_optional(&mut tx.conn)
        .await?;
    job.queue_position = told.and_then(|told| u64::try_from(told).ok());
    Ok(())
}

/// The looking is done by a reader, so that a long queue does not keep writers waiting; what changes in between is
/// told in the next round.
pub(super) async fn tell(store: &Store, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
    let told = moved(store, limit).await?.into_iter().map(|(user, jobs)| {
        let argument = (jobs, now);
        store.writer().write_for(user, "tell queue", argument, |tx, (jobs, now)| {
            Box::pin(async move {
                let mut told = 0;
                for moved in jobs {
                    told += usize::from(tell_one(tx, *moved, *now).await?);
                }
                Ok(told)
            })
        })
    });
    Ok(try_join_all(told).await?.into_iter().map(|written| written.value).sum())
}

/// A waiting job whose place is not what was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moved {
    id: JobId,
    /// What was told last, when it was looked at.
    told: i64,
    place: i64,
}

/// Those that moved, by their users.
async fn moved(store: &Store, limit: u32) -> Result<BTreeMap<UserId, Vec<Moved>>, Fault> {
    let sql = format!(
        "{QUEUE}SELECT id, user_id, queue_told, place FROM queue \
         WHERE status = 'pending' AND queue_told <> place ORDER BY place, turn_at, id LIMIT $1"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(i64::from(limit)).fetch_all(store.readers()).await?;
    let mut moved = BTreeMap::<UserId, Vec<Moved>>::new();
    for row in &rows {
        let job =
            Moved { id: parsed(row, "id")?, told: row.try_get("queue_told")?, place: row.try_get("place")? };
        moved.entry(parsed(row, "user_id")?).or_default().push(job);
    }
    // Everybody locks a user's jobs in this order.
    moved.values_mut().for_each(|jobs| jobs.sort_unstable());
    Ok(moved)
}

/// False when it waits no more, or when another server told of a place since it was looked at: each server looks for
/// itself, and what the slower one found is told already, or is not so any more.
async fn tell_one(tx: &mut Tx, moved: Moved, now: Timestamp) -> Result<bool, Fault> {
    let Some(state) = lock_job(tx, moved.id).await? else { return Ok(false) };
    if state.job.status != JobStatus::Pending {
        return Ok(false);
    }
    let noted = sqlx::query("UPDATE jobs SET queue_told = $1 WHERE id = $2 AND queue_told = $3")
        .bind(moved.place)
        .bind(moved.id.to_string())
        .bind(moved.told)
        .execute(&mut tx.conn)
        .await?;
    if noted.rows_affected() == 0 {
        return Ok(false);
    }
    let queue_position = u64::try_from(moved.place).ok();
    tx.emit(state.job.user_id, Event::JobUpdate(Job { queue_position, ..state.job }), now);
    Ok(true)
}
