//! Leases: who works on which document, and until when. Measured by the database's clock alone.

use super::{crawl, lock_document, lock_job, number, parsed, requests, rows, tell, versions};
use crate::{bulk, engine::Engine, fault::Fault, writer::Tx};
use domain::{
    DocumentId, JobId, Timestamp, UserId,
    ingest::{self, DocumentState, JobState},
};
use services::ports::{Claim, Signal, StoreError};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use std::collections::BTreeMap;

pub(super) struct Wanted {
    pub(super) worker: String,
    /// Microseconds.
    pub(super) lease: i64,
    pub(super) limit: u32,
    pub(super) now: Timestamp,
}

/// A task `t` that nobody holds and that waits for no later moment. The first condition is the one of the index.
fn free(engine: Engine, now: Timestamp) -> String {
    format!(
        "t.status IN ('pending', 'running') AND (t.status = 'pending' OR t.lease_until <= {}) \
         AND t.not_before <= {}",
        engine.now_micros(),
        now.micros()
    )
}

/// The job and the workspace of task `t` let it be worked on. What was claimed once is finished here, whoever processes the
/// workspace by now. A scalar subquery and not a join: it leaves PostgreSQL,
/// whose statistics of a queue are always out of date, no other plan than to go along the index and stop at the first.
const OPEN: &str = "(SELECT 1 FROM jobs j, workspaces w, documents d WHERE j.id = t.job_id AND j.attempt = t.attempt \
    AND j.status IN ('pending', 'running') AND j.requested IS NULL \
    AND d.id = t.document_id AND d.requested IS NULL AND d.deleted_at IS NULL \
    AND w.id = j.workspace_id AND w.status = 'ready' AND w.paused = 0 AND (w.processor = 'builtin' OR t.fence > 0)) = 1";

/// The job of task `t` is not paused, which [`OPEN`] says as well: a paused job may have very many tasks, and these are
/// passed over by what the index has of them, without a look at any other row. `whose` jobs are meant is a condition on `s`.
fn not_paused(whose: &str) -> String {
    format!("t.job_id NOT IN (SELECT s.id FROM jobs s WHERE s.status = 'paused'{whose})")
}

/// The task of a user that is next, with what decides whose turn it is.
struct Next {
    /// Documents of the user that are leased now.
    leased: i64,
    /// When the user was served last, in microseconds; 0 for never.
    served: i64,
    turn_at: i64,
    job: String,
    place: i64,
    user: UserId,
    attempt: i64,
    document: String,
}

impl Next {
    /// Of those with equally few in hand, whoever was served longest ago goes first: by the age of their jobs alone,
    /// somebody with many would keep one who comes later waiting until all of them are through.
    fn turn(&self) -> (i64, i64, i64, &str, i64) {
        (self.leased, self.served, self.turn_at, &self.job, self.place)
    }
}

/// A task as a look without a lock found it: what is done about it asks again whether it is so still.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) user: UserId,
    pub(super) job: JobId,
    pub(super) document: DocumentId,
    pub(super) attempt: i64,
    pub(super) fence: i64,
}

impl Seen {
    /// Of task `t`.
    pub(super) const COLUMNS: &str = "t.user_id, t.job_id, t.document_id, t.attempt, t.fence";

    pub(super) fn of(row: &AnyRow) -> Result<Self, Fault> {
        Ok(Self {
            user: parsed(row, "user_id")?,
            job: parsed(row, "job_id")?,
            document: parsed(row, "document_id")?,
            attempt: row.try_get("attempt")?,
            fence: row.try_get("fence")?,
        })
    }
}

struct Taken {
    job: JobId,
    attempt: u32,
    document: DocumentId,
    fence: u64,
}

pub(super) async fn claim(tx: &mut Tx, wanted: &Wanted) -> Result<Vec<Claim>, Fault> {
    let taken = take(tx, wanted).await?;
    let mut jobs: BTreeMap<JobId, JobState> = BTreeMap::new();
    let mut ids: Vec<JobId> = taken.iter().map(|t| t.job).collect();
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        jobs.insert(id, lock_job(tx, id).await?.ok_or(StoreError::NotFound)?);
    }
    let mut documents: BTreeMap<DocumentId, (DocumentState, String)> = BTreeMap::new();
    let mut ids: Vec<DocumentId> = taken.iter().map(|t| t.document).collect();
    ids.sort_unstable();
    for id in ids {
        documents.insert(id, lock_document(tx, id).await?.ok_or(StoreError::NotFound)?);
    }

    let mut claims = vec![];
    for t in taken {
        let job = jobs.get_mut(&t.job).ok_or(StoreError::NotFound)?;
        let (document, blob_key) = documents.get_mut(&t.document).ok_or(StoreError::NotFound)?;
        let before = document.clone();
        let Ok(told) = ingest::start(job, document, wanted.now) else {
            // Another job has the document in its hands, which lists it as well: this one leaves it out.
            let told = ingest::control::withdraw(job, document, wanted.now)?;
            requests::set_task(tx, job, t.document, "failed").await?;
            tell(tx, job.job.user_id, job.job.kb_id, told, wanted.now).await?;
            continue;
        };
        if *document != before {
            rows::update_document(&mut tx.conn, document).await?;
        }
        let (user_id, workspace_id) = (job.job.user_id, job.job.kb_id);
        let file = versions::file_of_run(tx, document).await?;
        let d = &document.document;
        let (filename, blob_key) = file.unwrap_or_else(|| (d.filename.clone(), blob_key.clone()));
        claims.push(Claim {
            job_id: t.job,
            document_id: t.document,
            workspace_id,
            user_id,
            attempt: t.attempt,
            fence: t.fence,
            stage: document.stage,
            filename,
            mime_type: document.next.as_ref().map_or(&d.mime_type, |next| &next.mime_type).clone(),
            version: document.run_version(),
            blob_key,
            rag_config: job.config.clone(),
            embeds: document.embeds,
        });
        tell(tx, user_id, workspace_id, told, wanted.now).await?;
    }
    for state in jobs.values() {
        rows::update_job(&mut tx.conn, state).await?;
    }
    Ok(claims)
}

/// Leases up to `limit` tasks, one after the other to the user whose turn it is.
async fn take(tx: &mut Tx, wanted: &Wanted) -> Result<Vec<Taken>, Fault> {
    let users = users_in_turn(tx, wanted).await?;
    // From here on nobody else changes what these users have: what is found free below stays so.
    tx.lock_users(&users.iter().map(|waiting| waiting.user).collect()).await?;
    let mut last_served = users.iter().map(|waiting| waiting.last_served).max().unwrap_or_default();
    let mut served = BTreeMap::new();
    let mut queue = vec![];
    for waiting in users {
        queue.extend(
            next_of_user(tx, waiting.user, (waiting.leased, waiting.served), None, wanted.now).await?,
        );
    }
    let mut taken = vec![];
    while (taken.len() as u32) < wanted.limit {
        let first = queue.iter().enumerate().min_by(|(_, a), (_, b)| a.turn().cmp(&b.turn()));
        let Some(i) = first.map(|(i, _)| i) else { break };
        let next = queue.swap_remove(i);
        let mut had = (next.leased, next.served);
        if let Some(fence) = lease(tx, &next, wanted).await? {
            taken.push(Taken {
                job: next.job.parse().map_err(Fault::corrupt)?,
                attempt: u32::try_from(next.attempt).map_err(Fault::corrupt)?,
                document: next.document.parse().map_err(Fault::corrupt)?,
                fence,
            });
            last_served += 1;
            had = (next.leased + 1, last_served);
            served.insert(next.user, last_served);
        }
        // Not taken: another server extends that very lease. Either way the user's next one stands in line now.
        queue.extend(next_of_user(tx, next.user, had, Some(&next), wanted.now).await?);
    }
    for (user, at) in served {
        note_served(tx, user, at).await?;
    }
    Ok(taken)
}

/// A user who has something to do.
struct Waiting {
    user: UserId,
    leased: i64,
    served: i64,
    /// When anybody was served last; no earlier than now by the database's clock, which counts no finer than it does.
    last_served: i64,
}

/// The users who have something to do, those with the fewest leases first, then those who were served longest ago; as many
/// as may get something. Goes from user to user through the index, however much each has waiting.
async fn users_in_turn(tx: &mut Tx, wanted: &Wanted) -> Result<Vec<Waiting>, Fault> {
    let (free, now) = (free(tx.engine, wanted.now), tx.engine.now_micros());
    let not_paused = not_paused("");
    let first = |column: &str| {
        format!(
            "(SELECT t.{column} FROM tasks t WHERE t.user_id = u.user_id AND {not_paused} AND {free} AND {OPEN} \
             ORDER BY t.turn_at, t.job_id, t.place LIMIT 1)"
        )
    };
    let sql = format!(
        "WITH RECURSIVE u (user_id) AS ( \
             SELECT MIN(user_id) FROM tasks WHERE status IN ('pending', 'running') \
             UNION ALL \
             SELECT (SELECT MIN(t.user_id) FROM tasks t \
                     WHERE t.status IN ('pending', 'running') AND t.user_id > u.user_id) \
             FROM u WHERE u.user_id IS NOT NULL \
         ), waiting AS ( \
             SELECT u.user_id, {turn_at} AS turn_at, {job_id} AS job_id, \
                 (SELECT COUNT(*) FROM tasks t WHERE t.user_id = u.user_id AND t.status = 'running' \
                  AND t.lease_until > {now}) AS leased, \
                 COALESCE((SELECT s.served_at FROM user_seq s WHERE s.user_id = u.user_id), 0) AS served \
             FROM u WHERE u.user_id IS NOT NULL \
         ) \
         SELECT user_id, leased, served, {now} AS now, (SELECT COALESCE(MAX(served_at), 0) FROM user_seq) AS last_served \
         FROM waiting WHERE job_id IS NOT NULL ORDER BY leased, served, turn_at, job_id LIMIT $1",
        turn_at = first("turn_at"),
        job_id = first("job_id"),
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(i64::from(wanted.limit)).fetch_all(&mut tx.conn).await?;
    let waiting = |row: &AnyRow| {
        let (last_served, now): (i64, i64) = (row.try_get("last_served")?, row.try_get("now")?);
        Ok(Waiting {
            user: parsed(row, "user_id")?,
            leased: row.try_get("leased")?,
            served: row.try_get("served")?,
            last_served: last_served.max(now),
        })
    };
    rows.iter().map(waiting).collect()
}

/// Two servers may serve a user at the same time: the later moment stays.
async fn note_served(tx: &mut Tx, user: UserId, at: i64) -> Result<(), Fault> {
    sqlx::query("UPDATE user_seq SET served_at = $2 WHERE user_id = $1 AND served_at < $2")
        .bind(user.to_string())
        .bind(at)
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}

/// The user's first free task, after `after` when given.
async fn next_of_user(
    tx: &mut Tx,
    user: UserId,
    (leased, served): (i64, i64),
    after: Option<&Next>,
    now: Timestamp,
) -> Result<Option<Next>, Fault> {
    let sql = format!(
        "SELECT t.turn_at, t.job_id, t.place, t.attempt, t.document_id FROM tasks t \
         WHERE t.user_id = $1 AND (t.turn_at, t.job_id, t.place) > ($2, $3, $4) AND {} AND {} AND {OPEN} \
         ORDER BY t.turn_at, t.job_id, t.place LIMIT 1",
        not_paused(" AND s.user_id = $1"),
        free(tx.engine, now)
    );
    let (turn_at, job, place) = after.map_or((i64::MIN, "", -1), |n| (n.turn_at, n.job.as_str(), n.place));
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(user.to_string())
        .bind(turn_at)
        .bind(job)
        .bind(place)
        .fetch_optional(&mut tx.conn)
        .await?;
    let next = |row: AnyRow| {
        Ok(Next {
            leased,
            served,
            turn_at: row.try_get("turn_at")?,
            job: row.try_get("job_id")?,
            place: row.try_get("place")?,
            user,
            attempt: row.try_get("attempt")?,
            document: row.try_get("document_id")?,
        })
    };
    row.map(next).transpose()
}

/// Answers the new fence, or `None` when the task is not free: a heartbeat, which locks no user, may be at work on it,
/// and nobody waits for that.
async fn lease(tx: &mut Tx, next: &Next, wanted: &Wanted) -> Result<Option<u64>, Fault> {
    let skip_locked = match tx.engine {
        Engine::Sqlite => "",
        Engine::Postgres => " FOR UPDATE SKIP LOCKED",
    };
    let sql = format!(
        "UPDATE tasks SET status = 'running', owner = $4, lease_until = {} + $5, fence = fence + 1, progress_at = $6 \
         WHERE (job_id, attempt, document_id) IN (SELECT t.job_id, t.attempt, t.document_id FROM tasks t \
             WHERE t.job_id = $1 AND t.attempt = $2 AND t.document_id = $3 AND {}{skip_locked}) RETURNING fence",
        tx.engine.now_micros(),
        free(tx.engine, wanted.now)
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(next.job.as_str())
        .bind(next.attempt)
        .bind(next.document.as_str())
        .bind(wanted.worker.as_str())
        .bind(wanted.lease)
        .bind(wanted.now.micros())
        .fetch_optional(&mut tx.conn)
        .await?;
    row.map(|row| number(&row, "fence")).transpose()
}

/// Extends what the worker holds; answers it, in the order of the ids.
pub(super) async fn extend_leases(
    tx: &mut Tx,
    worker: &str,
    in_hand: &[DocumentId],
    lease: i64,
) -> Result<Vec<DocumentId>, Fault> {
    let mut held = vec![];
    for part in bulk::parts(in_hand, 64) {
        let sql = format!(
            "UPDATE tasks SET lease_until = {} + $2 \
             WHERE owner = $1 AND status = 'running' AND document_id IN ({}) RETURNING document_id",
            tx.engine.now_micros(),
            bulk::list(3, part.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(worker).bind(lease);
        for document in part {
            query = query.bind(document.to_string());
        }
        for row in query.fetch_all(&mut tx.conn).await? {
            held.push(parsed(&row, "document_id")?);
        }
    }
    held.sort_unstable();
    Ok(held)
}

/// Gives the document back; what was asked of it, or of its job, is honoured with that.
pub(super) async fn release(tx: &mut Tx, claim: &Claim, now: Timestamp) -> Result<Vec<DocumentId>, Fault> {
    give_back(tx, claim, Timestamp::default()).await?;
    requests::honour_freed(tx, claim.job_id, claim.document_id, now).await
}

/// The task waits again, and nobody takes it before that moment.
pub(super) async fn give_back(tx: &mut Tx, claim: &Claim, not_before: Timestamp) -> Result<(), Fault> {
    let released = sqlx::query(
        "UPDATE tasks SET status = 'pending', owner = NULL, lease_until = 0, not_before = $5 \
         WHERE job_id = $1 AND attempt = $2 AND document_id = $3 AND fence = $4 AND status = 'running'",
    )
    .bind(claim.job_id.to_string())
    .bind(i64::from(claim.attempt))
    .bind(claim.document_id.to_string())
    .bind(rows::int(claim.fence))
    .bind(not_before.micros())
    .execute(&mut tx.conn)
    .await?;
    if released.rows_affected() == 0 {
        return Err(StoreError::Fenced.into());
    }
    tx.signal(Signal::WorkReady);
    Ok(())
}

pub(super) async fn void_leases(tx: &mut Tx) -> Result<u64, Fault> {
    let voided = sqlx::query(
        "UPDATE tasks SET status = 'pending', owner = NULL, lease_until = 0 WHERE status = 'running'",
    )
    .execute(&mut tx.conn)
    .await?;
    let crawls = crawl::void_leases(tx).await?;
    tx.signal(Signal::WorkReady);
    Ok(voided.rows_affected() + crawls)
}

/// Whether the claim is the newest one of its document and the work is not through. Keeps the task from others until
/// the transaction ends.
pub(super) async fn held(tx: &mut Tx, claim: &Claim) -> Result<(), Fault> {
    let sql = format!(
        "SELECT fence FROM tasks WHERE job_id = $1 AND attempt = $2 AND document_id = $3 AND fence = $4 \
         AND status = 'running'{}",
        tx.engine.for_update()
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(claim.job_id.to_string())
        .bind(i64::from(claim.attempt))
        .bind(claim.document_id.to_string())
        .bind(rows::int(claim.fence))
        .fetch_optional(&mut tx.conn)
        .await?;
    if row.is_none() {
        return Err(StoreError::Fenced.into());
    }
    Ok(())
}

/// Notes that the document of a claim that holds gets on. One that `moved` has been tried as if for the first time.
pub(super) async fn note_progress(
    tx: &mut Tx,
    claim: &Claim,
    moved: bool,
    now: Timestamp,
) -> Result<(), Fault> {
    let noted = sqlx::query(
        "UPDATE tasks SET progress_at = $5, stalls = CASE WHEN $6 = 1 THEN 0 ELSE stalls END \
         WHERE job_id = $1 AND attempt = $2 AND document_id = $3 AND fence = $4 AND status = 'running'",
    )
    .bind(claim.job_id.to_string())
    .bind(i64::from(claim.attempt))
    .bind(claim.document_id.to_string())
    .bind(rows::int(claim.fence))
    .bind(now.micros())
    .bind(i64::from(moved))
    .execute(&mut tx.conn)
    .await?;
    if noted.rows_affected() == 0 {
        return Err(StoreError::Fenced.into());
    }
    Ok(())
}

/// Ends the task: nobody claims it again, and every later write under the claim is fenced off.
pub(super) async fn end(tx: &mut Tx, claim: &Claim, status: &str) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE tasks SET status = $4, owner = NULL, lease_until = 0 \
         WHERE job_id = $1 AND attempt = $2 AND document_id = $3",
    )
    .bind(claim.job_id.to_string())
    .bind(i64::from(claim.attempt))
    .bind(claim.document_id.to_string())
    .bind(status)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}
