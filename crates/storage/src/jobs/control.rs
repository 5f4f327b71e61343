//! What people ask of jobs and documents: noted, or done at once where nobody has them in hand. The rules are
//! `domain::ingest::control`.

use super::{
    crawl, lock_document, lock_job, parsed,
    queue::{self, Place},
    requests, rows, tell, unheard, withdraw,
};
use crate::{commands, fault::Fault, open::Store, workspaces, writer::Tx};
use domain::{
    DocumentId, JobId, JobKind, JobStatus, PhaseName, Timestamp, UserId, WorkspaceId,
    ingest::{
        self, DocumentState, JobState, ReportError, Told,
        control::{self, Asked, Control, DocumentControl, Retry, RetryScope, WORKSPACE_PAUSED},
        deletion::DELETES,
    },
    resource::Attempt,
    status::JobRequest,
};
use services::ports::{Command, Signal, StoreError};
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;

/// What became of a job that somebody steered.
#[derive(Default)]
pub(super) struct Steered {
    /// Documents of which chunks are dead by this.
    pub(super) buried: Vec<DocumentId>,
    pub(super) place: Place,
}

impl From<Vec<DocumentId>> for Steered {
    fn from(buried: Vec<DocumentId>) -> Self {
        Self { buried, ..Self::default() }
    }
}

impl From<Place> for Steered {
    fn from(place: Place) -> Self {
        Self { place, ..Self::default() }
    }
}

pub(super) async fn job(
    tx: &mut Tx,
    user: UserId,
    id: JobId,
    wanted: &Control,
    now: Timestamp,
) -> Result<Steered, Fault> {
    let job = lock_job(tx, id).await?.filter(|job| job.job.user_id == user);
    let mut job = job.ok_or(StoreError::NotFound)?;
    if job.job.kind == JobKind::Delete {
        return Err(StoreError::from(DELETES).into());
    }
    match wanted {
        Control::Resume => goes_on(tx, job.job.kb_id).await?,
        // Its jobs may have ended with the workspace already, and then nobody would tell the end of another attempt.
        Control::Retry(_) => withdraw::changeable(tx, job.job.kb_id).await?,
        _ => {}
    }
    let buried = match wanted {
        Control::Pause => ask(tx, &mut job, JobRequest::Pause, true, now).await?,
        Control::Cancel { keep_results } => ask(tx, &mut job, JobRequest::Cancel, *keep_results, now).await?,
        Control::CancelPhase(PhaseName::Embedding) => skip(tx, &mut job, now).await?,
        Control::CancelPhase(_) => ask(tx, &mut job, JobRequest::Cancel, true, now).await?,
        Control::Resume => resume(tx, &mut job, now).await?,
        Control::Retry(retry) => return Ok(next_attempt(tx, &mut job, retry, now).await?.into()),
        Control::First => return Ok(put_first(tx, &mut job, now).await?.into()),
    };
    Ok(buried.into())
}

/// A retry that came under a key, unless it was begun under that before.
pub(super) async fn retry_under(
    tx: &mut Tx,
    user: UserId,
    id: JobId,
    retry: &Retry,
    command: &Command,
    now: Timestamp,
) -> Result<Steered, Fault> {
    if !commands::note(tx, user, Some(&command.id), Some(&command.print)).await? {
        return Ok(Steered::default());
    }
    job(tx, user, id, &Control::Retry(retry.clone()), now).await
}

/// In a workspace that stands nothing goes on by itself, and in one that is being deleted nothing at all.
async fn goes_on(tx: &mut Tx, workspace: WorkspaceId) -> Result<(), Fault> {
    withdraw::changeable(tx, workspace).await?;
    let paused: Option<i64> = sqlx::query_scalar("SELECT paused FROM workspaces WHERE id = $1")
        .bind(workspace.to_string())
        .fetch_optional(&mut tx.conn)
        .await?;
    if paused.is_some_and(|paused| paused != 0) {
        return Err(StoreError::from(WORKSPACE_PAUSED).into());
    }
    Ok(())
}

async fn ask(
    tx: &mut Tx,
    job: &mut JobState,
    request: JobRequest,
    keep_results: bool,
    now: Timestamp,
) -> Result<Vec<DocumentId>, Fault> {
    if !control::ask(job, request, keep_results).map_err(StoreError::from)? {
        return Ok(vec![]);
    }
    let (told, buried) = if requests::in_hand(tx, job).await? > 0 {
        (control::tell_asked(job, now), vec![])
    } else {
        requests::honour(tx, job, now).await?
    };
    write(tx, job, told, Signal::Requested, now).await?;
    Ok(buried)
}

async fn write(tx: &mut Tx, job: &JobState, told: Told, signal: Signal, now: Timestamp) -> Result<(), Fault> {
    rows::update_job(&mut tx.conn, job).await?;
    tx.signal(signal);
    tell(tx, job.job.user_id, job.job.kb_id, told, now).await
}

/// Before all other jobs of the same person that are not through.
async fn put_first(tx: &mut Tx, job: &mut JobState, now: Timestamp) -> Result<Place, Fault> {
    let id = job.job.job_id.to_string();
    let earliest: Option<i64> = sqlx::query_scalar(
        "SELECT MIN(turn_at) FROM jobs WHERE user_id = $1 AND id <> $2 AND kind <> 'delete' \
         AND status <> 'completed' AND status IN ('pending', 'running', 'paused')",
    )
    .bind(job.job.user_id.to_string())
    .bind(id.as_str())
    .fetch_one(&mut tx.conn)
    .await?;
    let told = ingest::put_first(job, earliest.map(Timestamp::from_micros), now).map_err(StoreError::from)?;
    let Some(mut told) = told else { return Ok(Place::Unknown) };
    sqlx::query("UPDATE jobs SET turn_at = $2, priority = $3 WHERE id = $1")
        .bind(id.as_str())
        .bind(job.turn_at.micros())
        .bind(job.job.priority.as_str())
        .execute(&mut tx.conn)
        .await?;
    sqlx::query("UPDATE tasks SET turn_at = $2 WHERE job_id = $1")
        .bind(id)
        .bind(job.turn_at.micros())
        .execute(&mut tx.conn)
        .await?;
    let mut place = Place::Unknown;
    if job.job.status == JobStatus::Pending {
        let ahead = queue::ahead_of_new(tx, job).await?;
        queue::note_told(tx, job.job.job_id, ahead).await?;
        told.set_queue_position(ahead);
        place = Place::Told(ahead);
    }
    write(tx, job, told, Signal::WorkReady, now).await?;
    Ok(place)
}

async fn resume(tx: &mut Tx, job: &mut JobState, now: Timestamp) -> Result<Vec<DocumentId>, Fault> {
    let documents = requests::documents_of(tx, job, true).await?;
    let mut paused: Vec<DocumentState> = documents.into_iter().filter(|d| d.paused).collect();
    let before = paused.clone();
    let told = control::resume(job, &mut paused, now).map_err(StoreError::from)?;
    let Some(told) = told else { return Ok(vec![]) };
    for document in &paused {
        requests::set_task(tx, job, document.document.id, "pending").await?;
    }
    requests::write_changed(tx, job, &before, &paused).await?;
    write(tx, job, told, Signal::WorkReady, now).await?;
    goes_on_outside(tx, job, now).await?;
    Ok(vec![])
}

/// The job stood with its workspace. Documents that somebody paused by themselves still do, and so does a job of which
/// nothing else is left.
pub(super) async fn go_on_with_workspace(
    tx: &mut Tx,
    job: &mut JobState,
    now: Timestamp,
) -> Result<(), Fault> {
    if !job.job.goes_on_finding() && requests::only_paused(tx, job).await? {
        return Ok(());
    }
    let Some(told) = control::resume(job, &mut [], now).map_err(StoreError::from)? else { return Ok(()) };
    write(tx, job, told, Signal::WorkReady, now).await?;
    goes_on_outside(tx, job, now).await
}

/// What the job's outside worker had begun goes on with it.
async fn goes_on_outside(tx: &mut Tx, job: &JobState, now: Timestamp) -> Result<(), Fault> {
    unheard::job_goes_on(tx, job.job.job_id, now).await?;
    tell_outside(tx, job).await
}

/// Whatever an outside worker said while it stood was refused, and it hears of a document only once.
async fn tell_outside(tx: &mut Tx, job: &JobState) -> Result<(), Fault> {
    if workspaces::is_external(tx, job.job.kb_id).await? {
        tx.signal(Signal::Untold(job.job.kb_id));
    }
    Ok(())
}

async fn skip(tx: &mut Tx, job: &mut JobState, now: Timestamp) -> Result<Vec<DocumentId>, Fault> {
    let mut documents = requests::documents_of(tx, job, true).await?;
    documents.retain(|d| d.document.job_id == Some(job.job.job_id));
    let before = documents.clone();
    let told = control::skip_embedding(job, &mut documents, now).map_err(StoreError::from)?;
    let Some(told) = told else { return Ok(vec![]) };
    // Whoever has one in hand goes by what it knew: it is fenced off, and the next claim knows better.
    sqlx::query(
        "UPDATE tasks SET status = 'pending', owner = NULL, lease_until = 0 \
         WHERE job_id = $1 AND attempt = $2 AND status = 'running'",
    )
    .bind(job.job.job_id.to_string())
    .bind(i64::from(job.job.attempt))
    .execute(&mut tx.conn)
    .await?;
    drop_vectors(tx, &before, &documents).await?;
    requests::write_changed(tx, job, &before, &documents).await?;
    write(tx, job, told, Signal::WorkReady, now).await?;
    requests::honour_job(tx, job, now).await
}

/// Removes the vectors of those whose embedding was left out in the middle: half of them would be of no use.
async fn drop_vectors(tx: &mut Tx, before: &[DocumentState], after: &[DocumentState]) -> Result<(), Fault> {
    for (_, after) in before.iter().zip(after).filter(|(before, after)| before.embedded > after.embedded) {
        sqlx::query(
            "DELETE FROM chunk_vectors WHERE chunk_id IN \
             (SELECT id FROM chunks WHERE document_id = $1 AND generation = $2)",
        )
        .bind(after.document.id.to_string())
        .bind(i64::from(after.generation))
        .execute(&mut tx.conn)
        .await?;
    }
    Ok(())
}

async fn next_attempt(
    tx: &mut Tx,
    job: &mut JobState,
    retry: &Retry,
    now: Timestamp,
) -> Result<Place, Fault> {
    let ended = job.job.clone();
    let mut retry = retry.clone();
    if retry.scope == RetryScope::Pages {
        retry.pages = crawl::failed_of(tx, job, &retry.pages).await?;
    }
    let mut documents = requests::documents_of(tx, job, false).await?;
    let before = documents.clone();
    let wanted = workspaces::config(tx, ended.kb_id).await?;
    let renewed = control::renew(job, &mut documents, &wanted);
    let Some(mut told) = control::retry(job, &mut documents, &retry, now).map_err(told_error)? else {
        return Ok(Place::Unknown);
    };
    told.events = renewed.into_iter().chain(std::mem::take(&mut told.events)).collect();
    sqlx::query("UPDATE jobs SET rag_config = $2 WHERE id = $1")
        .bind(ended.job_id.to_string())
        .bind(serde_json::to_string(&job.config)?)
        .execute(&mut tx.conn)
        .await?;
    let attempt = control::attempt_of(&ended, &before);
    sqlx::query("INSERT INTO job_attempts (job_id, attempt, data) VALUES ($1, $2, $3)")
        .bind(ended.job_id.to_string())
        .bind(i64::from(ended.attempt))
        .bind(serde_json::to_string(&attempt)?)
        .execute(&mut tx.conn)
        .await?;
    let again: Vec<DocumentId> = before
        .iter()
        .zip(&documents)
        .filter(|(before, after)| before.document.attempt != after.document.attempt)
        .map(|(_, after)| after.document.id)
        .collect();
    insert_tasks(tx, job, &again).await?;
    if ended.metrics.pages_failed > job.job.metrics.pages_failed {
        let these = (retry.scope == RetryScope::Pages).then_some(retry.pages.as_slice());
        crawl::ask_again(tx, job, these, now).await?;
    }
    if job.job.crawl.is_some() {
        crawl::begin_anew(tx, job).await?;
    }
    requests::write_changed(tx, job, &before, &documents).await?;
    let ahead = queue::ahead_of_new(tx, job).await?;
    queue::note_told(tx, job.job.job_id, ahead).await?;
    told.set_queue_position(ahead);
    write(tx, job, told, Signal::WorkReady, now).await?;
    Ok(Place::Told(ahead))
}

fn told_error(error: ReportError) -> StoreError {
    StoreError::from(error)
}

/// The tasks of the job's new attempt, in the places that the documents had.
async fn insert_tasks(tx: &mut Tx, job: &JobState, documents: &[DocumentId]) -> Result<(), Fault> {
    let rows = sqlx::query(
        "SELECT document_id, MIN(place) AS place FROM tasks WHERE job_id = $1 GROUP BY document_id",
    )
    .bind(job.job.job_id.to_string())
    .fetch_all(&mut tx.conn)
    .await?;
    let mut places = BTreeMap::<DocumentId, i64>::new();
    for row in &rows {
        places.insert(parsed(row, "document_id")?, row.try_get("place")?);
    }
    let placed: Vec<_> =
        documents.iter().map(|id| (places.get(id).copied().unwrap_or_default(), *id)).collect();
    rows::insert_tasks(&mut tx.conn, job, &placed).await
}

/// Answers the document's job, and the documents of which chunks are dead by this.
pub(super) async fn document(
    tx: &mut Tx,
    user: UserId,
    id: DocumentId,
    wanted: DocumentControl,
    now: Timestamp,
) -> Result<(JobId, Vec<DocumentId>), Fault> {
    // The user's lock is held, so nothing of this changes any more but leases.
    let found = lock_document(tx, id).await?.filter(|(state, _)| state.document.user_id == user);
    let (mut state, _) = found.ok_or(StoreError::NotFound)?;
    let job_id = state.document.job_id.ok_or(StoreError::NotFound)?;
    let mut job = lock_job(tx, job_id).await?.ok_or(StoreError::NotFound)?;
    let before = state.clone();
    let asked = match wanted {
        DocumentControl::Pause => Asked::Pause,
        DocumentControl::Cancel { keep_results: true } => Asked::Cancel,
        DocumentControl::Cancel { keep_results: false } => Asked::CancelRemove,
        DocumentControl::Resume => {
            goes_on(tx, job.job.kb_id).await?;
            let alone = others_waiting(tx, &job).await? == 0;
            let told = control::resume_document(&mut job, &mut state, alone, now).map_err(told_error)?;
            let Some(told) = told else { return Ok((job_id, vec![])) };
            if before.paused {
                requests::set_task(tx, &job, id, "pending").await?;
            }
            requests::write_changed(tx, &job, &[before], &[state]).await?;
            write(tx, &job, told, Signal::WorkReady, now).await?;
            tell_outside(tx, &job).await?;
            return Ok((job_id, vec![]));
        }
        DocumentControl::SkipEmbedding => {
            let told = control::skip_document(&mut job, &mut state, now).map_err(StoreError::from)?;
            let Some(told) = told else { return Ok((job_id, vec![])) };
            sqlx::query(
                "UPDATE tasks SET status = 'pending', owner = NULL, lease_until = 0 \
                 WHERE job_id = $1 AND attempt = $2 AND document_id = $3 AND status = 'running'",
            )
            .bind(job_id.to_string())
            .bind(i64::from(job.job.attempt))
            .bind(id.to_string())
            .execute(&mut tx.conn)
            .await?;
            let (before, after) = ([before], [state]);
            drop_vectors(tx, &before, &after).await?;
            requests::write_changed(tx, &job, &before, &after).await?;
            write(tx, &job, told, Signal::WorkReady, now).await?;
            let buried = requests::honour_freed(tx, job_id, id, now).await?;
            return Ok((job_id, buried));
        }
    };
    let told = control::ask_document(&job, &mut state, asked, now).map_err(StoreError::from)?;
    let Some(told) = told else { return Ok((job_id, vec![])) };
    requests::in_hand(tx, &job).await?;
    let status: Option<String> = sqlx::query_scalar(
        "SELECT status FROM tasks WHERE job_id = $1 AND attempt = $2 AND document_id = $3",
    )
    .bind(job_id.to_string())
    .bind(i64::from(job.job.attempt))
    .bind(id.to_string())
    .fetch_optional(&mut tx.conn)
    .await?;
    if status.as_deref() == Some("running") {
        requests::write_changed(tx, &job, &[before], &[state]).await?;
        write(tx, &job, told, Signal::Requested, now).await?;
        return Ok((job_id, vec![]));
    }
    let mut buried = requests::honour_document(tx, &mut job, state, now).await?;
    buried.extend(requests::honour_job(tx, &mut job, now).await?);
    Ok((job_id, buried))
}

/// Documents of the job that a worker has, or could have when the job went on.
async fn others_waiting(tx: &mut Tx, job: &JobState) -> Result<i64, Fault> {
    Ok(sqlx::query_scalar(
        "SELECT COUNT(*) FROM tasks WHERE job_id = $1 AND attempt = $2 AND status IN ('pending', 'running')",
    )
    .bind(job.job.job_id.to_string())
    .bind(i64::from(job.job.attempt))
    .fetch_one(&mut tx.conn)
    .await?)
}

/// What [`services::ports::JobStore::attempts`] answers.
pub(super) async fn attempts(store: &Store, user: UserId, id: JobId) -> Result<Option<Vec<Attempt>>, Fault> {
    let mut tx = store.readers().begin_with(store.engine().begin_read()).await?;
    let sql = format!("SELECT {} FROM jobs WHERE jobs.id = $1 AND jobs.user_id = $2", rows::JOB);
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id.to_string())
        .bind(user.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let job = rows::job(&row)?.job;
    let earlier =
        sqlx::query("SELECT data FROM job_attempts WHERE job_id = $1 AND attempt < $2 ORDER BY attempt")
            .bind(id.to_string())
            .bind(i64::from(job.attempt))
            .fetch_all(&mut *tx)
            .await?;
    let mut attempts: Vec<Attempt> = earlier
        .iter()
        .map(|row| Ok(serde_json::from_str(row.try_get("data")?)?))
        .collect::<Result<_, Fault>>()?;
    let sql = format!(
        "SELECT {} FROM documents JOIN tasks t ON t.document_id = documents.id \
         WHERE t.job_id = $1 AND t.attempt = $2 AND documents.deleted_at IS NULL ORDER BY documents.id",
        rows::DOCUMENT
    );
    let documents = sqlx::query(AssertSqlSafe(sql))
        .bind(id.to_string())
        .bind(i64::from(job.attempt))
        .fetch_all(&mut *tx)
        .await?;
    let documents: Vec<DocumentState> = documents.iter().map(rows::document).collect::<Result<_, _>>()?;
    attempts.push(control::attempt_of(&job, &documents));
    Ok(Some(attempts))
}
