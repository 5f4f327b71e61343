//! The last words about jobs and documents: those that were held back, because they came too soon after others, and the
//! end of a job, which its person hears once.

use super::{lock_document, lock_job, parsed, queue, rows};
use crate::{bulk, fault::Fault, open::Store, writer::Tx};
use domain::{DocumentId, JobId, Timestamp, UserId, away::EndedJob, ingest, resource::Metrics};
use futures::future::try_join_all;
use services::ports::{Signal, StoreError};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use std::collections::BTreeMap;

/// Jobs in one statement.
const ROWS: usize = 128;

/// What is to be told of one user's work.
#[derive(Clone, Default)]
struct Rest {
    jobs: Vec<JobId>,
    documents: Vec<DocumentId>,
}

/// Has the change that is being made told later, when it holds a word back that `before` did not.
pub(super) fn note(tx: &mut Tx, job: (bool, bool), document: (bool, bool)) {
    let begins = |(before, after): (bool, bool)| after && !before;
    if begins(job) || begins(document) {
        tx.signal(Signal::HeldBack);
    }
}

/// The looking is done by a reader, so that writers wait only for the rows that change.
pub(super) async fn tell(store: &Store, limit: u32, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let mut rest = BTreeMap::<UserId, Rest>::new();
    for row in due(store, "jobs", ingest::JOB_EVERY_MICROS, limit, now).await? {
        rest.entry(parsed(&row, "user_id")?).or_default().jobs.push(parsed(&row, "id")?);
    }
    for row in due(store, "documents", ingest::DOCUMENT_EVERY_MICROS, limit, now).await? {
        rest.entry(parsed(&row, "user_id")?).or_default().documents.push(parsed(&row, "id")?);
    }
    let told = rest.into_iter().map(|(user, mut rest)| {
        // Everybody locks a user's rows in this order.
        rest.jobs.sort_unstable();
        rest.documents.sort_unstable();
        store.writer().write_for(user, "tell the rest", (user, rest, now), |tx, (user, rest, now)| {
            Box::pin(tell_user(tx, *user, rest, *now))
        })
    });
    try_join_all(told).await?;
    Ok(next(store).await?)
}

async fn due(
    store: &Store,
    table: &str,
    every: i64,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<AnyRow>, Fault> {
    let sql = format!(
        "SELECT id, user_id FROM {table} WHERE held_back = 1 AND (event_at <= $1 OR event_at > $2) \
         ORDER BY event_at, id LIMIT $3"
    );
    Ok(sqlx::query(AssertSqlSafe(sql))
        .bind(now.micros() - every)
        .bind(now.micros())
        .bind(i64::from(limit))
        .fetch_all(store.readers())
        .await?)
}

async fn tell_user(tx: &mut Tx, user: UserId, rest: &Rest, now: Timestamp) -> Result<(), Fault> {
    for &id in &rest.jobs {
        // Deleted meanwhile, or told by a change that came in between.
        let Some(mut state) = lock_job(tx, id).await? else { continue };
        let Some(mut event) = ingest::tell_job_rest(&mut state, now) else { continue };
        rows::update_job(&mut tx.conn, &state).await?;
        queue::keep_told(tx, &mut event).await?;
        tx.emit(user, event, now);
    }
    for &id in &rest.documents {
        let Some((mut state, _)) = lock_document(tx, id).await? else { continue };
        let Some(event) = ingest::tell_document_rest(&mut state, now) else { continue };
        rows::update_document(&mut tx.conn, &state).await?;
        tx.emit(user, event, now);
    }
    Ok(())
}

/// When the next of what is held back may be told.
async fn next(store: &Store) -> Result<Option<Timestamp>, Fault> {
    let row = sqlx::query(
        "SELECT (SELECT MIN(event_at) FROM jobs WHERE held_back = 1) AS job, \
         (SELECT MIN(event_at) FROM documents WHERE held_back = 1) AS document",
    )
    .fetch_one(store.readers())
    .await?;
    let job: Option<i64> = row.try_get("job")?;
    let document: Option<i64> = row.try_get("document")?;
    let due =
        [job.map(|at| at + ingest::JOB_EVERY_MICROS), document.map(|at| at + ingest::DOCUMENT_EVERY_MICROS)];
    Ok(due.into_iter().flatten().min().map(Timestamp::from_micros))
}

/// Answers whether nobody told it before.
pub(super) async fn tell_end(tx: &mut Tx, user: UserId, job: JobId, attempt: u32) -> Result<bool, Fault> {
    let noted =
        sqlx::query("UPDATE jobs SET told_attempt = $3 WHERE id = $1 AND user_id = $2 AND told_attempt < $3")
            .bind(job.to_string())
            .bind(user.to_string())
            .bind(i64::from(attempt))
            .execute(&mut tx.conn)
            .await?;
    Ok(noted.rows_affected() > 0)
}

/// Ends that nobody told: the condition of the index.
const UNTOLD: &str = "told_attempt < attempt AND status IN ('completed', 'failed')";

/// They are looked for by a reader: most of the time there are none, and nobody has to write.
pub(super) async fn tell_ends(
    store: &Store,
    user: UserId,
    upto: u64,
    limit: u32,
) -> Result<Vec<EndedJob>, StoreError> {
    let sql = format!(
        "SELECT id FROM jobs WHERE user_id = $1 AND rev <= $2 AND {UNTOLD} ORDER BY rev DESC LIMIT $3"
    );
    let found: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(user.to_string())
        .bind(i64::try_from(upto).unwrap_or(i64::MAX))
        .bind(i64::from(limit))
        .fetch_all(store.readers())
        .await
        .map_err(Fault::from)?;
    if found.is_empty() {
        return Ok(vec![]);
    }
    let told = store.writer().write_for(user, "tell ends", (user, found), |tx, (user, found)| {
        Box::pin(note_told(tx, *user, found))
    });
    Ok(told.await?.value)
}

async fn note_told(tx: &mut Tx, user: UserId, jobs: &[String]) -> Result<Vec<EndedJob>, Fault> {
    let mut told = vec![];
    for part in bulk::parts(jobs, ROWS) {
        let ids = bulk::list(2, part.len());
        // Whoever told one meanwhile has it.
        let sql = format!(
            "UPDATE jobs SET told_attempt = attempt WHERE user_id = $1 AND id IN ({ids}) AND {UNTOLD} \
             RETURNING workspace_id, kind, status, metrics"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(user.to_string());
        for id in part {
            query = query.bind(id.clone());
        }
        for row in query.fetch_all(&mut tx.conn).await? {
            told.push(ended(&row)?);
        }
    }
    Ok(told)
}

fn ended(row: &AnyRow) -> Result<EndedJob, Fault> {
    let metrics: Metrics = serde_json::from_str(row.try_get("metrics")?)?;
    Ok(EndedJob {
        workspace: parsed(row, "workspace_id")?,
        kind: parsed(row, "kind")?,
        status: parsed(row, "status")?,
        documents_done: metrics.documents_done,
        documents_failed: metrics.documents_failed,
    })
}
