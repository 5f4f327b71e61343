//! An action over many documents, carried out for some of them: by the very functions that do it for one. What is refused
//! of one of them stops none of the others.

use super::{control, edit, parsed, queue, rows, tell, withdraw};
use crate::{bulk, fault::Fault, workspaces, writer::Tx};
use domain::{
    BulkId, DocumentId, JobId, Timestamp, UserId, WorkspaceId,
    bulk::{BulkAction, Outcome},
    ingest::{
        self,
        control::{Control, DocumentControl, Retry, RetryScope},
    },
    labels::Edit,
    provision::WorkspaceAction,
    rag::RagConfig,
    status::Processor,
};
use services::ports::{Signal, StoreError};
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;

/// Of one document the state says whether a retry took it: its status, and its attempt.
type Tried = BTreeMap<DocumentId, (String, i64)>;

/// What an action is about.
#[derive(Clone, Copy)]
pub(crate) struct Of<'a> {
    pub(crate) bulk: BulkId,
    pub(crate) user: UserId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) action: BulkAction,
    /// The tag that it is about.
    pub(crate) tag: Option<&'a str>,
}

/// What became of some documents, by their places.
#[derive(Default)]
pub(crate) struct Carried {
    pub(crate) outcomes: Vec<(i64, Outcome)>,
    /// Documents of which chunks are dead by this.
    pub(crate) buried: Vec<DocumentId>,
}

/// Carries the action out for these documents, which are the next ones. A retry takes others of the same job along, and
/// an index made anew takes all that are left.
pub(crate) async fn carry_out(
    tx: &mut Tx,
    of: Of<'_>,
    next: &[(i64, DocumentId)],
    jobs: &[JobId],
    since: Timestamp,
    now: Timestamp,
) -> Result<Carried, Fault> {
    let mut carried = Carried::default();
    match of.action {
        BulkAction::Retry => retry(tx, of, next, &mut carried, now).await?,
        BulkAction::Reindex => {
            let job = jobs.first().copied().ok_or(StoreError::NotFound)?;
            carried.outcomes = reindex(tx, of, job, now).await?;
        }
        _ => {
            for ((place, document), job) in next.iter().zip(jobs) {
                let done = one(tx, of, *document, *job, since, now).await;
                let outcome = outcome_of(done.map(|buried| carried.buried.extend(buried)))?;
                carried.outcomes.push((*place, outcome));
            }
        }
    }
    Ok(carried)
}

/// What is refused by a rule was refused before anything was written; what the database says ends the whole.
fn outcome_of(done: Result<(), Fault>) -> Result<Outcome, Fault> {
    match done {
        Ok(()) => Ok(Outcome::Done),
        Err(Fault::Store(StoreError::Illegal(_) | StoreError::Refused(_))) => Ok(Outcome::Refused),
        Err(Fault::Store(StoreError::NotFound)) => Ok(Outcome::Failed),
        Err(other) => Err(other),
    }
}

async fn one(
    tx: &mut Tx,
    of: Of<'_>,
    document: DocumentId,
    job: JobId,
    since: Timestamp,
    now: Timestamp,
) -> Result<Vec<DocumentId>, Fault> {
    is_of(tx, of, document).await?;
    let wanted = match of.action {
        BulkAction::Delete => {
            return Ok(withdraw::take_out(tx, of.user, document, now).await?.1);
        }
        BulkAction::Restore => {
            withdraw::put_back(tx, of.user, document, job, since, now).await?;
            return Ok(vec![]);
        }
        BulkAction::Enable | BulkAction::Disable | BulkAction::Tag | BulkAction::Untag => {
            edit(tx, of.user, document, &edit_of(of), now).await?;
            return Ok(vec![]);
        }
        BulkAction::Pause => DocumentControl::Pause,
        BulkAction::Resume => DocumentControl::Resume,
        _ => DocumentControl::Cancel { keep_results: true },
    };
    Ok(control::document(tx, of.user, document, wanted, now).await?.1)
}

fn edit_of(of: Of<'_>) -> Edit {
    let tag: Vec<String> = of.tag.map(str::to_owned).into_iter().collect();
    match of.action {
        BulkAction::Tag => Edit { add_tags: tag, ..Edit::default() },
        BulkAction::Untag => Edit { remove_tags: tag, ..Edit::default() },
        action => Edit { enabled: Some(action == BulkAction::Enable), ..Edit::default() },
    }
}

/// One of another workspace is not there.
async fn is_of(tx: &mut Tx, of: Of<'_>, document: DocumentId) -> Result<(), Fault> {
    let found: Option<String> =
        sqlx::query_scalar("SELECT id FROM documents WHERE id = $1 AND workspace_id = $2 AND user_id = $3")
            .bind(document.to_string())
            .bind(of.workspace.to_string())
            .bind(of.user.to_string())
            .fetch_optional(&mut tx.conn)
            .await?;
    found.map(|_| ()).ok_or_else(|| StoreError::NotFound.into())
}

/// A retry is an attempt of a job: all of its documents that are meant go into the same one, however many they are, since
/// none can join it later.
async fn retry(
    tx: &mut Tx,
    of: Of<'_>,
    next: &[(i64, DocumentId)],
    carried: &mut Carried,
    now: Timestamp,
) -> Result<(), Fault> {
    let Some(&(place, first)) = next.first() else { return Ok(()) };
    let job: Option<Option<String>> = sqlx::query_scalar(
        "SELECT job_id FROM documents WHERE id = $1 AND workspace_id = $2 AND user_id = $3 AND deleted_at IS NULL",
    )
    .bind(first.to_string())
    .bind(of.workspace.to_string())
    .bind(of.user.to_string())
    .fetch_optional(&mut tx.conn)
    .await?;
    let Some(Some(job)) = job else {
        carried.outcomes.push((place, Outcome::Failed));
        return Ok(());
    };
    let job: JobId = job.parse().map_err(Fault::corrupt)?;
    let rows = sqlx::query(
        "SELECT i.place, i.document_id FROM (SELECT DISTINCT document_id FROM tasks WHERE job_id = $2) t \
         CROSS JOIN bulk_items i JOIN documents d ON d.id = i.document_id \
         WHERE i.bulk_id = $1 AND i.document_id = t.document_id AND i.outcome IS NULL \
         AND d.job_id = $2 AND d.workspace_id = $3 AND d.deleted_at IS NULL ORDER BY i.place",
    )
    .bind(of.bulk.to_string())
    .bind(job.to_string())
    .bind(of.workspace.to_string())
    .fetch_all(&mut tx.conn)
    .await?;
    let mut meant = vec![];
    for row in &rows {
        meant.push((row.try_get::<i64, _>("place")?, parsed::<DocumentId>(row, "document_id")?));
    }
    let document_ids: Vec<DocumentId> = meant.iter().map(|(_, id)| *id).collect();
    let before = tried(tx, &document_ids).await?;
    let wanted =
        Retry { scope: RetryScope::Documents, document_ids: document_ids.clone(), ..Retry::failed() };
    let done = control::job(tx, of.user, job, &Control::Retry(wanted), now).await;
    let whole = outcome_of(done.map(|steered| carried.buried.extend(steered.buried)))?;
    let after = tried(tx, &document_ids).await?;
    for (place, id) in meant {
        // Of a job that is retried only those run again that had failed.
        let runs = whole == Outcome::Done && before.get(&id) != after.get(&id);
        carried.outcomes.push((place, if runs { Outcome::Done } else { Outcome::Refused }));
    }
    Ok(())
}

async fn tried(tx: &mut Tx, documents: &[DocumentId]) -> Result<Tried, Fault> {
    let mut tried = Tried::new();
    for part in bulk::parts(documents, bulk::IDS) {
        let sql =
            format!("SELECT id, status, attempt FROM documents WHERE id IN ({})", bulk::list(1, part.len()));
        let query = part.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, id| query.bind(id.to_string()));
        for row in query.fetch_all(&mut tx.conn).await? {
            tried.insert(parsed(&row, "id")?, (row.try_get("status")?, row.try_get("attempt")?));
        }
    }
    Ok(tried)
}

/// A document of the action $1 whose turn has not come: ready, and in no job's hands.
const IDLE: &str = "FROM bulk_items i JOIN documents d ON d.id = i.document_id \
    WHERE i.bulk_id = $1 AND i.outcome IS NULL AND d.workspace_id = $2 AND d.user_id = $3 AND d.status = 'ready' \
    AND d.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM tasks t JOIN jobs j ON j.id = t.job_id \
        AND j.attempt = t.attempt WHERE t.document_id = d.id AND t.status IN ('pending', 'running', 'paused') \
        AND j.status IN ('pending', 'running', 'paused'))";

/// One job for all of them, which are only listed in it: a claim takes each when its turn comes.
async fn reindex(tx: &mut Tx, of: Of<'_>, job: JobId, now: Timestamp) -> Result<Vec<(i64, Outcome)>, Fault> {
    let workspace = workspaces::load_locked(tx, of.workspace).await?.ok_or(StoreError::NotFound)?;
    let may = workspace.status.refuses(WorkspaceAction::Upload).is_none()
        && workspace.processor == Processor::Builtin;
    let mut idle = vec![];
    let mut bytes = 0u64;
    if may {
        let sql = format!("SELECT i.place, i.document_id, d.size_bytes {IDLE} ORDER BY i.place");
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(of.bulk.to_string())
            .bind(of.workspace.to_string())
            .bind(of.user.to_string())
            .fetch_all(&mut tx.conn)
            .await?;
        for row in &found {
            idle.push((row.try_get::<i64, _>("place")?, parsed::<DocumentId>(row, "document_id")?));
            bytes += rows::number::<u64>(row, "size_bytes")?;
        }
    }
    if !idle.is_empty() {
        let config: RagConfig = workspaces::config(tx, of.workspace).await?;
        let size = (idle.len() as u64, bytes);
        let (state, mut told) = ingest::reindex(job, of.user, of.workspace, size, &config, now);
        let ahead = queue::ahead_of_new(tx, &state).await?;
        if !rows::insert_job(&mut tx.conn, &state, None).await? {
            return Err(Fault::corrupt("the job of an action"));
        }
        rows::insert_tasks(&mut tx.conn, &state, &idle).await?;
        queue::note_told(tx, job, ahead).await?;
        told.set_queue_position(ahead);
        tell(tx, of.user, of.workspace, told, now).await?;
        tx.signal(Signal::WorkReady);
    }
    let left: Vec<i64> = sqlx::query_scalar(
        "SELECT place FROM bulk_items WHERE bulk_id = $1 AND outcome IS NULL ORDER BY place",
    )
    .bind(of.bulk.to_string())
    .fetch_all(&mut tx.conn)
    .await?;
    let taken: Vec<i64> = idle.iter().map(|(place, _)| *place).collect();
    let outcome =
        |place: i64| if taken.binary_search(&place).is_ok() { Outcome::Done } else { Outcome::Refused };
    Ok(left.into_iter().map(|place| (place, outcome(place))).collect())
}
