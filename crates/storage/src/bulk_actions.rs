//! Actions over many documents: the handle, its list, and the counts.

use crate::{
    bulk, commands, containing,
    fault::Fault,
    jobs::{self, Of, clean_option, parsed},
    open::Store,
    workspaces,
    writer::Tx,
};
use async_trait::async_trait;
use domain::{
    Actor, BulkId, DocumentId, Event, JobId, Timestamp, UserId, WorkspaceId,
    bulk::{Bulk, BulkAction, BulkStatus, Outcome},
    provision::{Refusal, WorkspaceAction},
};
use services::ports::{Bulks, Chosen, NewBulk, RunningBulk, StoreError};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};

const BULK: &str = "id, user_id, workspace_id, action, status, total, done, failed, refused, actor, created_at, completed_at";

/// Rows of the list in one statement.
const ROWS: usize = 64;

/// Of an action that deletes nothing, or that is a restore itself.
const NOTHING_TO_UNDO: Refusal =
    Refusal::new("nothing_to_undo", "This action deleted nothing that could be brought back.");

fn bulk_of(row: &AnyRow) -> Result<Bulk, Fault> {
    let completed: Option<i64> = row.try_get("completed_at")?;
    Ok(Bulk {
        id: parsed(row, "id")?,
        workspace_id: parsed(row, "workspace_id")?,
        action: parsed(row, "action")?,
        status: parsed(row, "status")?,
        total: jobs::number(row, "total")?,
        done: jobs::number(row, "done")?,
        failed: jobs::number(row, "failed")?,
        refused: jobs::number(row, "refused")?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        completed_at: completed.map(Timestamp::from_micros),
    })
}

async fn load(conn: &mut AnyConnection, user: UserId, id: BulkId) -> Result<Option<Bulk>, Fault> {
    let sql = format!("SELECT {BULK} FROM bulk_actions WHERE id = $1 AND user_id = $2");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id.to_string())
        .bind(user.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(bulk_of).transpose()
}

async fn made_before(tx: &mut Tx, user: UserId, column: &str, value: &str) -> Result<Option<Bulk>, Fault> {
    let sql = format!("SELECT {BULK} FROM bulk_actions WHERE user_id = $1 AND {column} = $2");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(user.to_string())
        .bind(value.to_owned())
        .fetch_optional(&mut tx.conn)
        .await?;
    row.as_ref().map(bulk_of).transpose()
}

/// What a handle is made with beside itself.
struct Made<'a> {
    user: UserId,
    actor: &'a Actor,
    tag: Option<&'a str>,
    command: Option<&'a str>,
    undoes: Option<BulkId>,
}

async fn insert(tx: &mut Tx, bulk: &Bulk, made: &Made<'_>) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO bulk_actions (id, user_id, workspace_id, action, status, total, done, failed, refused, actor, \
         command_id, undoes, created_at, tag) VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 0, $6, $7, $8, $9, $10)",
    )
    .bind(bulk.id.to_string())
    .bind(made.user.to_string())
    .bind(bulk.workspace_id.to_string())
    .bind(bulk.action.as_str())
    .bind(bulk.status.as_str())
    .bind(serde_json::to_string(made.actor)?)
    .bind(made.command)
    .bind(made.undoes.map(|id| id.to_string()))
    .bind(bulk.created_at.micros())
    .bind(made.tag)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

const fn new_bulk(id: BulkId, workspace_id: WorkspaceId, action: BulkAction, now: Timestamp) -> Bulk {
    Bulk {
        id,
        workspace_id,
        action,
        status: BulkStatus::Running,
        total: 0,
        done: 0,
        failed: 0,
        refused: 0,
        created_at: now,
        completed_at: None,
    }
}

/// Counts the list of a handle that was just made, and tells it.
async fn settle_new(tx: &mut Tx, mut bulk: Bulk, now: Timestamp) -> Result<Bulk, Fault> {
    let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM bulk_items WHERE bulk_id = $1")
        .bind(bulk.id.to_string())
        .fetch_one(&mut tx.conn)
        .await?;
    bulk.total = total.max(0) as u64;
    bulk.count(&[], now);
    write(tx, &bulk, now).await?;
    Ok(bulk)
}

/// Writes the counts, and tells them with the workspace.
async fn write(tx: &mut Tx, bulk: &Bulk, now: Timestamp) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE bulk_actions SET status = $2, total = $3, done = $4, failed = $5, refused = $6, completed_at = $7 \
         WHERE id = $1",
    )
    .bind(bulk.id.to_string())
    .bind(bulk.status.as_str())
    .bind(bulk.total as i64)
    .bind(bulk.done as i64)
    .bind(bulk.failed as i64)
    .bind(bulk.refused as i64)
    .bind(bulk.completed_at.map(Timestamp::micros))
    .execute(&mut tx.conn)
    .await?;
    sqlx::query("UPDATE workspaces SET bulk = $2 WHERE id = $1")
        .bind(bulk.workspace_id.to_string())
        .bind(serde_json::to_string(bulk)?)
        .execute(&mut tx.conn)
        .await?;
    let workspace = workspaces::load_locked(tx, bulk.workspace_id).await?.ok_or(StoreError::NotFound)?;
    tx.emit(workspace.user_id, Event::WorkspaceStatus(workspace), now);
    Ok(())
}

async fn begin(tx: &mut Tx, new: &NewBulk) -> Result<Bulk, Fault> {
    commands::note(tx, new.user_id, new.command_id.as_deref(), new.command_print.as_deref()).await?;
    if let Some(command) = &new.command_id
        && let Some(known) = made_before(tx, new.user_id, "command_id", command).await?
    {
        return Ok(known);
    }
    let workspace = workspaces::load_locked(tx, new.workspace_id).await?;
    let workspace = workspace.filter(|w| w.user_id == new.user_id).ok_or(StoreError::NotFound)?;
    if let Some(refusal) = workspace.status.refuses(WorkspaceAction::Edit) {
        return Err(StoreError::from(refusal).into());
    }
    let bulk = new_bulk(new.id, new.workspace_id, new.action, new.created_at);
    let command = new.command_id.as_deref();
    let tag = new.tag.as_deref();
    let made = Made { user: new.user_id, actor: &new.actor, tag, command, undoes: None };
    insert(tx, &bulk, &made).await?;
    match &new.chosen {
        Chosen::These(ids) => list_these(tx, new.id, ids).await?,
        Chosen::Matching { status, name, tag } => {
            let status = status.map_or("", |status| status.as_str());
            list_matching(tx, new, status, name.as_deref(), tag.as_deref()).await?;
        }
    }
    settle_new(tx, bulk, new.created_at).await
}

async fn list_these(tx: &mut Tx, bulk: BulkId, ids: &[DocumentId]) -> Result<(), Fault> {
    let placed: Vec<(i64, DocumentId)> = (0i64..).zip(ids.iter().copied()).collect();
    for part in bulk::parts(&placed, ROWS) {
        let sql = format!(
            "INSERT INTO bulk_items (bulk_id, place, document_id) VALUES {} \
             ON CONFLICT (bulk_id, document_id) DO NOTHING",
            bulk::rows(part.len(), 3)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (place, id) in part {
            query = query.bind(bulk.to_string()).bind(*place).bind(id.to_string());
        }
        query.execute(&mut tx.conn).await?;
    }
    Ok(())
}

async fn list_matching(
    tx: &mut Tx,
    new: &NewBulk,
    status: &str,
    name: Option<&str>,
    tag: Option<&str>,
) -> Result<(), Fault> {
    let contains = containing::condition(tx.engine, "filename", 5);
    let sql = format!(
        "INSERT INTO bulk_items (bulk_id, place, document_id) \
         SELECT $1, ROW_NUMBER() OVER (ORDER BY created_at DESC, id DESC) - 1, id FROM documents \
         WHERE workspace_id = $2 AND user_id = $3 AND deleted_at IS NULL AND ($4 = '' OR status = $4) \
         AND {contains} AND ($6 = '' OR REPLACE(tags, $6, '') <> tags)"
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(new.id.to_string())
        .bind(new.workspace_id.to_string())
        .bind(new.user_id.to_string())
        .bind(status.to_owned())
        .bind(containing::pattern(tx.engine, name.unwrap_or_default()))
        .bind(in_list(tag))
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}

/// The tag as it stands in the list of a document's tags, between its quotation marks, which no tag has.
pub(crate) fn in_list(tag: Option<&str>) -> String {
    tag.map(|tag| format!("\"{tag}\"")).unwrap_or_default()
}

async fn undo(
    tx: &mut Tx,
    user: UserId,
    of: BulkId,
    id: BulkId,
    actor: &Actor,
    now: Timestamp,
) -> Result<Bulk, Fault> {
    if let Some(known) = made_before(tx, user, "undoes", &of.to_string()).await? {
        return Ok(known);
    }
    let mut deletion = load(&mut tx.conn, user, of).await?.ok_or(StoreError::NotFound)?;
    if deletion.action != BulkAction::Delete {
        return Err(StoreError::from(NOTHING_TO_UNDO).into());
    }
    // What it has not come to stays where it is.
    if deletion.status == BulkStatus::Running {
        let left =
            sqlx::query("UPDATE bulk_items SET outcome = 'refused' WHERE bulk_id = $1 AND outcome IS NULL")
                .bind(of.to_string())
                .execute(&mut tx.conn)
                .await?;
        deletion.count(&vec![Outcome::Refused; left.rows_affected() as usize], now);
        write(tx, &deletion, now).await?;
    }
    let bulk = new_bulk(id, deletion.workspace_id, BulkAction::Restore, now);
    insert(tx, &bulk, &Made { user, actor, tag: None, command: None, undoes: Some(of) }).await?;
    sqlx::query(
        "INSERT INTO bulk_items (bulk_id, place, document_id) \
         SELECT $1, place, document_id FROM bulk_items WHERE bulk_id = $2 AND outcome = 'done'",
    )
    .bind(id.to_string())
    .bind(of.to_string())
    .execute(&mut tx.conn)
    .await?;
    settle_new(tx, bulk, now).await
}

/// The next documents of an action, in the order of its list.
async fn next_of(tx: &mut Tx, id: BulkId, limit: usize) -> Result<Vec<(i64, DocumentId)>, Fault> {
    let rows = sqlx::query(
        "SELECT place, document_id FROM bulk_items WHERE bulk_id = $1 AND outcome IS NULL ORDER BY place LIMIT $2",
    )
    .bind(id.to_string())
    .bind(limit as i64)
    .fetch_all(&mut tx.conn)
    .await?;
    rows.iter().map(|row| Ok((row.try_get("place")?, parsed(row, "document_id")?))).collect()
}

/// Notes what became of these documents; answers whether something is left.
async fn note(
    tx: &mut Tx,
    mut bulk: Bulk,
    outcomes: &[(i64, Outcome)],
    now: Timestamp,
) -> Result<bool, Fault> {
    for outcome in Outcome::ALL {
        let places: Vec<i64> =
            outcomes.iter().filter(|(_, o)| o == outcome).map(|(place, _)| *place).collect();
        for part in bulk::parts(&places, ROWS) {
            let sql = format!(
                "UPDATE bulk_items SET outcome = $2 WHERE bulk_id = $1 AND place IN ({})",
                bulk::list(3, part.len())
            );
            let mut query = sqlx::query(AssertSqlSafe(sql)).bind(bulk.id.to_string()).bind(outcome.as_str());
            for place in part {
                query = query.bind(*place);
            }
            query.execute(&mut tx.conn).await?;
        }
    }
    let all: Vec<Outcome> = outcomes.iter().map(|(_, outcome)| *outcome).collect();
    bulk.count(&all, now);
    let goes_on = bulk.status == BulkStatus::Running;
    write(tx, &bulk, now).await?;
    Ok(goes_on)
}

/// Answers whether something is left, and the documents of which chunks are dead by this.
async fn go_on(
    tx: &mut Tx,
    user: UserId,
    id: BulkId,
    new_jobs: &[JobId],
    since: Timestamp,
    now: Timestamp,
) -> Result<(bool, Vec<DocumentId>), Fault> {
    let Some(bulk) = load(&mut tx.conn, user, id).await? else { return Ok((false, vec![])) };
    if bulk.status != BulkStatus::Running {
        return Ok((false, vec![]));
    }
    let next = next_of(tx, id, new_jobs.len()).await?;
    let tag: Option<String> = sqlx::query_scalar("SELECT tag FROM bulk_actions WHERE id = $1")
        .bind(id.to_string())
        .fetch_one(&mut tx.conn)
        .await?;
    let of = Of { bulk: id, user, workspace: bulk.workspace_id, action: bulk.action, tag: tag.as_deref() };
    let carried = jobs::carry_out(tx, of, &next, new_jobs, since, now).await?;
    let left = note(tx, bulk, &carried.outcomes, now).await?;
    Ok((left, carried.buried))
}

#[async_trait]
impl Bulks for Store {
    async fn begin_bulk(&self, mut new: NewBulk) -> Result<Bulk, StoreError> {
        if let Chosen::Matching { name, .. } = &mut new.chosen {
            clean_option(name);
        }
        let user = new.user_id;
        let written =
            self.writer().write_for(user, "begin bulk", new, |tx, new| Box::pin(begin(tx, new))).await?;
        Ok(written.value)
    }

    async fn undo_bulk(
        &self,
        user: UserId,
        of: BulkId,
        id: BulkId,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Bulk, StoreError> {
        let argument = (user, of, id, actor, now);
        let written = self
            .writer()
            .write_for(user, "undo bulk", argument, |tx, (user, of, id, actor, now)| {
                Box::pin(undo(tx, *user, *of, *id, actor, *now))
            })
            .await?;
        Ok(written.value)
    }

    async fn bulk(&self, user: UserId, id: BulkId) -> Result<Option<Bulk>, StoreError> {
        let read = async {
            let mut conn = self.readers().acquire().await?;
            load(&mut conn, user, id).await
        };
        Ok(self.readers().unless_lost(read).await?)
    }

    async fn running_bulks(&self, limit: u32) -> Result<Vec<RunningBulk>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, user_id, actor FROM (SELECT id, user_id, actor, created_at, \
                 ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY created_at, id) AS nth \
             FROM bulk_actions WHERE status = 'running') AS running ORDER BY nth, created_at, id LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await
        .map_err(Fault::from)?;
        let one = |row: &AnyRow| {
            let actor = serde_json::from_str(row.try_get("actor")?)?;
            Ok::<_, Fault>(RunningBulk { id: parsed(row, "id")?, user_id: parsed(row, "user_id")?, actor })
        };
        Ok(rows.iter().map(one).collect::<Result<_, _>>()?)
    }

    async fn go_on_bulk(
        &self,
        user: UserId,
        id: BulkId,
        jobs: Vec<JobId>,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let argument = (user, id, jobs, since, now);
        let written = self
            .writer()
            .write_for(user, "go on with bulk", argument, |tx, (user, id, jobs, since, now)| {
                Box::pin(go_on(tx, *user, *id, jobs, *since, *now))
            })
            .await?;
        let (left, buried) = written.value;
        jobs::drop_all_dead(self, user, &buried).await;
        Ok(left)
    }

    async fn skip_in_bulk(
        &self,
        user: UserId,
        id: BulkId,
        counted: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let argument = (user, id, counted, now);
        self.writer()
            .write_for(user, "skip in bulk", argument, |tx, (user, id, counted, now)| {
                Box::pin(async move {
                    let Some(bulk) = load(&mut tx.conn, *user, *id).await? else { return Ok(()) };
                    if bulk.counted() != *counted {
                        return Ok(());
                    }
                    let next = next_of(tx, *id, 1).await?;
                    let failed: Vec<_> = next.iter().map(|(place, _)| (*place, Outcome::Failed)).collect();
                    note(tx, bulk, &failed, *now).await?;
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    async fn forget_bulks(&self, before: Timestamp, limit: u32) -> Result<usize, StoreError> {
        // The looking is done by a reader, so that writers wait only where there is something to do.
        let rows =
            sqlx::query("SELECT id, user_id FROM bulk_actions WHERE completed_at <= $1 ORDER BY id LIMIT $2")
                .bind(before.micros())
                .bind(i64::from(limit))
                .fetch_all(self.readers())
                .await
                .map_err(Fault::from)?;
        for row in &rows {
            let (id, user): (BulkId, UserId) = (parsed(row, "id")?, parsed(row, "user_id")?);
            self.writer()
                .write_for(user, "forget bulk", id, |tx, id| {
                    Box::pin(async move {
                        sqlx::query("DELETE FROM bulk_actions WHERE id = $1")
                            .bind(id.to_string())
                            .execute(&mut tx.conn)
                            .await?;
                        Ok(())
                    })
                })
                .await?;
        }
        Ok(rows.len())
    }
}
