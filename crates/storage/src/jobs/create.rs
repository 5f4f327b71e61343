//! A new job with its tasks: of documents that come with it, or of those that are there and stale.

use super::{
    input::{Sorted, sent, upload},
    lock_document,
    queue::{self, Place},
    rows, stale, tell, versions, withdraw,
};
use crate::{commands, fault::Fault, sent_files, workspaces, writer::Tx};
use domain::{
    DocumentId, JobId, OnDuplicate, UserId, WorkspaceId, WorkspaceStatus,
    duplicates::{self, Fate, Taken},
    ingest,
    provision::WorkspaceAction,
    rag::RagConfig,
    report,
    status::Processor,
};
use services::ports::{NewJob, NewReindex, Signal, StoreError};
use sqlx::AssertSqlSafe;

/// What became of the files of an upload.
pub(super) struct Made {
    /// The first one's, when the same command made one before; none, when nothing was taken.
    pub(super) job: Option<JobId>,
    pub(super) place: Place,
    /// Each file with the document that has it now; none of a job that was made before.
    pub(super) files: Vec<(DocumentId, DocumentId, Taken)>,
    /// Documents of which chunks are dead by this.
    pub(super) buried: Vec<DocumentId>,
}

pub(super) async fn create(tx: &mut Tx, new: &NewJob, on_duplicate: OnDuplicate) -> Result<Made, Fault> {
    commands::note(tx, new.user_id, new.command_id.as_deref(), new.command_print.as_deref()).await?;
    if let Some(known) = made_before(tx, new.user_id, new.command_id.as_deref()).await? {
        return Ok(Made { job: Some(known), place: Place::Unknown, files: vec![], buried: vec![] });
    }
    let config = rag_config(tx, new.user_id, new.workspace_id).await?;
    let processor = still_there(tx, new.workspace_id).await?;
    let fates = fates(tx, new, on_duplicate).await?;
    let sorted = Sorted::of(&new.documents, &fates);
    let mut made =
        Made { job: None, place: Place::Unknown, files: sorted.taken(new, &fates), buried: vec![] };
    let metadata = sent_files::take(tx, new.user_id, &new.documents, &made.files).await?;
    if sorted.work.is_empty() {
        return Ok(made);
    }
    let size = (sorted.replaced.len() as u64, sorted.replaced.iter().map(|(_, d)| d.size_bytes).sum());
    let (job, mut documents, mut told) = ingest::create_with(
        (new.id, new.kind),
        new.user_id,
        new.workspace_id,
        &sorted.added.iter().map(|d| upload(d)).collect::<Vec<_>>(),
        size,
        &config,
        new.created_at,
    );
    let ahead = queue::ahead_of_new(tx, &job).await?;
    if !rows::insert_job(&mut tx.conn, &job, new.command_id.as_deref()).await? {
        // Another server was faster with the same command; its job is committed, or the insert would still wait.
        let before = made_before(tx, new.user_id, new.command_id.as_deref()).await?;
        let before = before.ok_or_else(|| Fault::corrupt("a job's command"))?;
        return Ok(Made { job: Some(before), place: Place::Unknown, files: vec![], buried: vec![] });
    }
    let word_of_job = told.events.pop();
    for (document, same) in documents.iter_mut().zip(&sorted.same) {
        if let Some((of, name)) = same {
            told.events.extend(ingest::say_duplicate(document, (*of, name.as_str()), new.created_at));
        }
    }
    let keyed: Vec<_> =
        documents.iter().zip(&sorted.added).map(|(state, d)| (state, d.blob_key.as_str())).collect();
    rows::insert_documents(&mut tx.conn, &keyed).await?;
    sent_files::note_metadata(tx, &metadata).await?;
    for (id, file) in &sorted.replaced {
        made.buried.extend(withdraw::set_free(tx, *id, new.created_at).await?);
        let (state, _) = lock_document(tx, *id).await?.ok_or(StoreError::NotFound)?;
        let (replaced, buries) = versions::replace(tx, &job, state, file, processor, new.created_at).await?;
        told.events.extend(replaced.events);
        made.buried.extend(buries.then_some(*id));
    }
    told.events.extend(word_of_job);
    let placed: Vec<_> = (0i64..).zip(sorted.work.iter().copied()).collect();
    rows::insert_tasks(&mut tx.conn, &job, &placed).await?;
    queue::note_told(tx, new.id, ahead).await?;
    told.set_queue_position(ahead);
    tell(tx, new.user_id, new.workspace_id, told, new.created_at).await?;
    tx.signal(Signal::WorkReady);
    (made.job, made.place) = (Some(new.id), Place::Told(ahead));
    Ok(made)
}

async fn fates(tx: &mut Tx, new: &NewJob, on_duplicate: OnDuplicate) -> Result<Vec<Fate>, Fault> {
    let hashes: Vec<&str> = new.documents.iter().map(|d| d.content_hash.as_str()).collect();
    let names: Vec<&str> = match on_duplicate {
        OnDuplicate::Replace => new.documents.iter().map(|d| d.filename.as_str()).collect(),
        OnDuplicate::Skip | OnDuplicate::KeepBoth => vec![],
    };
    let known = versions::like(tx, new.workspace_id, &names, &hashes).await?;
    Ok(duplicates::fates(&sent(&new.documents), &known, on_duplicate))
}

pub(super) async fn made_before(
    tx: &mut Tx,
    user: UserId,
    command: Option<&str>,
) -> Result<Option<JobId>, Fault> {
    let Some(command) = command else { return Ok(None) };
    let id: Option<String> = sqlx::query_scalar("SELECT id FROM jobs WHERE user_id = $1 AND command_id = $2")
        .bind(user.to_string())
        .bind(command)
        .fetch_optional(&mut tx.conn)
        .await?;
    id.map(|id| id.parse().map_err(Fault::corrupt)).transpose()
}

/// The files may have been on their way when somebody deleted the workspace. Answers who works on them there.
async fn still_there(tx: &mut Tx, workspace: WorkspaceId) -> Result<Processor, Fault> {
    let row = sqlx::query("SELECT status, processor FROM workspaces WHERE id = $1")
        .bind(workspace.to_string())
        .fetch_one(&mut tx.conn)
        .await?;
    match rows::parsed(&row, "status")? {
        WorkspaceStatus::Deleting => {
            let refusal = WorkspaceStatus::Deleting.refuses(WorkspaceAction::Upload);
            Err(refusal.map_or(StoreError::NotFound, StoreError::from).into())
        }
        _ => rows::parsed(&row, "processor"),
    }
}

pub(super) async fn rag_config(
    tx: &mut Tx,
    user: UserId,
    workspace: WorkspaceId,
) -> Result<RagConfig, Fault> {
    let config: Option<String> = sqlx::query_scalar(
        "SELECT rag_config FROM workspaces WHERE id = $1 AND user_id = $2 \
             AND EXISTS (SELECT 1 FROM users WHERE users.id = $2 AND deleting_at IS NULL)",
    )
    .bind(workspace.to_string())
    .bind(user.to_string())
    .fetch_optional(&mut tx.conn)
    .await?;
    Ok(serde_json::from_str(&config.ok_or(StoreError::NotFound)?)?)
}

/// A job of the workspace's stale documents, and its place; `None` when there is none. They are only listed here, in one statement
/// however many they are; `stale::requeue` or a claim takes them one by one.
pub(super) async fn reindex(tx: &mut Tx, new: &NewReindex) -> Result<Option<(JobId, Place)>, Fault> {
    if let Some(known) = made_before(tx, new.user_id, new.command_id.as_deref()).await? {
        return Ok(Some((known, Place::Unknown)));
    }
    let workspace = workspaces::load_locked(tx, new.workspace_id).await?;
    let workspace = workspace.filter(|w| w.user_id == new.user_id).ok_or(StoreError::NotFound)?;
    if let Some(refusal) = workspace.status.refuses(WorkspaceAction::Upload) {
        return Err(StoreError::from(refusal).into());
    }
    if workspace.processor == Processor::External {
        return Err(StoreError::from(report::NOT_INDEXED_HERE).into());
    }
    let config = rag_config(tx, new.user_id, new.workspace_id).await?;
    let wanted = config.fingerprint(config.embeds());
    let stale = stale::STALE;
    let sql = format!(
        "SELECT COUNT(*) AS documents, CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) AS bytes FROM documents WHERE {stale}"
    );
    let row = stale::bind(sqlx::query(AssertSqlSafe(sql)), new.user_id, new.workspace_id, &wanted)
        .fetch_one(&mut tx.conn)
        .await?;
    let size: (u64, u64) = (rows::number(&row, "documents")?, rows::number(&row, "bytes")?);
    if size.0 == 0 {
        return Ok(None);
    }
    let (job, mut told) =
        ingest::reindex(new.id, new.user_id, new.workspace_id, size, &config, new.created_at);
    let ahead = queue::ahead_of_new(tx, &job).await?;
    if !rows::insert_job(&mut tx.conn, &job, new.command_id.as_deref()).await? {
        let known = made_before(tx, new.user_id, new.command_id.as_deref()).await?;
        return Ok(known.map(|known| (known, Place::Unknown)));
    }
    let sql = format!(
        "INSERT INTO tasks (job_id, attempt, document_id, place, user_id, turn_at, status, owner, \
         lease_until, fence) \
         SELECT $6, $7, id, ROW_NUMBER() OVER (ORDER BY created_at, id) - 1, user_id, $8, 'pending', NULL, 0, 0 \
         FROM documents WHERE {stale}"
    );
    stale::bind(sqlx::query(AssertSqlSafe(sql)), new.user_id, new.workspace_id, &wanted)
        .bind(new.id.to_string())
        .bind(i64::from(job.job.attempt))
        .bind(job.turn_at.micros())
        .execute(&mut tx.conn)
        .await?;
    queue::note_told(tx, new.id, ahead).await?;
    told.set_queue_position(ahead);
    tell(tx, new.user_id, new.workspace_id, told, new.created_at).await?;
    tx.signal(Signal::WorkReady);
    Ok(Some((new.id, Place::Told(ahead))))
}
