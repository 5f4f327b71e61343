//! Workspaces, with counts that are taken from their documents at the moment of asking.

use crate::{
    commands,
    engine::Engine,
    fault::Fault,
    jobs::{self, standing},
    open::Store,
    page::{Cursor, List, limit_of, paged},
    writer::Tx,
};
use async_trait::async_trait;
use domain::{
    EntityKey, Timestamp, UserId, Workspace, WorkspaceId, WorkspaceStatus,
    event::Event,
    ingest::control::Stop,
    provision::{self, Change, Provisioning, WorkspaceAction},
    rag::RagConfig,
    report::{self, WorkspaceReport},
    resource::{Counts, Page, no_metadata},
    status::Processor,
};
use services::ports::{NewWorkspace, PageQuery, Signal, StoreError, WorkspaceEdit, Workspaces};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};
use std::collections::BTreeSet;

/// A workspace with its counts, which triggers keep (`migrations/*/0047_workspace_counts.sql`), where `condition` (on `w`) holds.
fn select(condition: &str, rest: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "SELECT w.id, w.user_id, w.name, w.description, w.status, w.status_message, w.processor, w.rev, \
         w.created_at, w.updated_at, w.provisioning, w.metadata, n.documents, n.ready, n.processing, n.failed, \
         n.chunks, n.bytes, n.stale, w.paused, w.bulk, w.last_activity_at, \
         (SELECT COUNT(*) FROM conversations c WHERE c.workspace_id = w.id AND c.deleted_at IS NULL), \
         CAST((SELECT COALESCE(SUM(c.turns), 0) FROM conversations c \
             WHERE c.workspace_id = w.id AND c.deleted_at IS NULL) AS BIGINT) \
         FROM workspaces w JOIN workspace_counts n ON n.workspace_id = w.id WHERE {condition} {rest}"
    ))
}

fn workspace_of(row: &AnyRow) -> Result<Workspace, Fault> {
    let number = |i: usize| -> Result<u64, Fault> { Ok(row.try_get::<i64, _>(i)?.max(0) as u64) };
    let status = row.try_get::<&str, _>(4)?.parse().map_err(Fault::corrupt)?;
    let provisioning: Option<String> = row.try_get(10)?;
    let provisioning = match provisioning {
        Some(text) => Some(serde_json::from_str(&text)?),
        // Made before its steps were kept.
        None => (status == WorkspaceStatus::Provisioning).then(|| Provisioning::attempt(1)),
    };
    let bulk: Option<String> = row.try_get(20)?;
    Ok(Workspace {
        id: row.try_get::<&str, _>(0)?.parse().map_err(Fault::corrupt)?,
        user_id: row.try_get::<&str, _>(1)?.parse().map_err(Fault::corrupt)?,
        name: row.try_get(2)?,
        description: row.try_get(3)?,
        status,
        status_message: row.try_get(5)?,
        provisioning,
        processor: row.try_get::<&str, _>(6)?.parse().map_err(Fault::corrupt)?,
        rev: number(7)?,
        created_at: Timestamp::from_micros(row.try_get(8)?),
        updated_at: Timestamp::from_micros(row.try_get(9)?),
        last_activity_at: Timestamp::from_micros(row.try_get(21)?),
        metadata: serde_json::from_str(row.try_get(11)?)?,
        counts: Counts {
            documents: number(12)?,
            ready: number(13)?,
            processing: number(14)?,
            failed: number(15)?,
            chunks: number(16)?,
            bytes: number(17)?,
            stale: number(18)?,
            conversations: number(22)?,
            messages: number(23)?,
        },
        paused: row.try_get::<i64, _>(19)? != 0,
        bulk: bulk.map(|text| serde_json::from_str(&text)).transpose()?,
    })
}

/// The workspace as it is within this transaction. Call it after the changes that its counts shall show: it keeps
/// others from changing the workspace until this transaction ends, so that of two events the later one is right.
pub(crate) async fn load_locked(tx: &mut Tx, id: WorkspaceId) -> Result<Option<Workspace>, Fault> {
    let lock = tx.engine.for_update();
    if !lock.is_empty() {
        sqlx::query(AssertSqlSafe(format!("SELECT id FROM workspaces WHERE id = $1{lock}")))
            .bind(id.to_string())
            .execute(&mut tx.conn)
            .await?;
    }
    let workspace = load(&mut tx.conn, id).await?;
    if let Some(workspace) = &workspace {
        tx.found(EntityKey::Workspace(id), workspace.status.as_str());
    }
    Ok(workspace)
}

/// Notes that something is done in the workspace.
pub(crate) async fn note_activity(tx: &mut Tx, id: WorkspaceId, now: Timestamp) -> Result<(), Fault> {
    sqlx::query("UPDATE workspaces SET last_activity_at = $2 WHERE id = $1 AND last_activity_at < $2")
        .bind(id.to_string())
        .bind(now.micros())
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}

/// Tells what is counted in the workspace, after something that somebody did elsewhere changed it, or changed what is read beside
/// it and is not counted.
pub(crate) async fn tell_counts(tx: &mut Tx, id: WorkspaceId, now: Timestamp) -> Result<(), Fault> {
    match load_locked(tx, id).await? {
        Some(workspace) => tx.emit_of_itself(workspace.user_id, Event::WorkspaceStatus(workspace), now),
        None => Ok(()),
    }
}

/// The configuration that the workspace has now.
pub(crate) async fn config(tx: &mut Tx, id: WorkspaceId) -> Result<RagConfig, Fault> {
    let text: Option<String> = sqlx::query_scalar("SELECT rag_config FROM workspaces WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(&mut tx.conn)
        .await?;
    Ok(serde_json::from_str(&text.ok_or(StoreError::NotFound)?)?)
}

/// Whether outside workers do the work of the workspace; no when it is not there any more.
pub(crate) async fn is_external(tx: &mut Tx, id: WorkspaceId) -> Result<bool, Fault> {
    let external: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM workspaces WHERE id = $1 AND processor = 'external'")
            .bind(id.to_string())
            .fetch_one(&mut tx.conn)
            .await?;
    Ok(external > 0)
}

async fn load(conn: &mut AnyConnection, id: WorkspaceId) -> Result<Option<Workspace>, Fault> {
    let row = sqlx::query(select("w.id = $1", "")).bind(id.to_string()).fetch_optional(conn).await?;
    row.map(|row| workspace_of(&row)).transpose()
}

/// Inserts a new workspace and emits its first event.
pub(crate) async fn insert(tx: &mut Tx, new: &NewWorkspace) -> Result<Option<Workspace>, Fault> {
    let provisioning = (new.status == WorkspaceStatus::Provisioning).then(|| Provisioning::attempt(1));
    let inserted = sqlx::query(
        "INSERT INTO workspaces \
         (id, user_id, name, description, status, processor, rag_config, command_id, provisioning, rev, created_at, updated_at, \
         last_activity_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $10, 0, $9, $9, $9) ON CONFLICT (user_id, command_id) DO NOTHING",
    )
    .bind(new.id.to_string())
    .bind(new.user_id.to_string())
    .bind(new.name.as_str())
    .bind(new.description.as_str())
    .bind(new.status.as_str())
    .bind(new.processor.as_str())
    .bind(serde_json::to_string(&new.rag_config)?)
    .bind(new.command_id.clone())
    .bind(new.created_at.micros())
    .bind(provisioning_text(provisioning.as_ref())?)
    .execute(&mut tx.conn)
    .await
    .map_err(|e| Fault::from(e).orphan())?;
    if inserted.rows_affected() == 0 {
        return Ok(None);
    }
    let workspace = Workspace {
        id: new.id,
        user_id: new.user_id,
        name: new.name.as_str().to_owned(),
        description: new.description.as_str().to_owned(),
        status: new.status,
        status_message: None,
        provisioning,
        processor: new.processor,
        metadata: no_metadata(),
        counts: Counts::default(),
        paused: false,
        bulk: None,
        rev: 0,
        created_at: new.created_at,
        updated_at: new.created_at,
        last_activity_at: new.created_at,
    };
    tx.emit(new.user_id, Event::WorkspaceStatus(workspace.clone()), new.created_at);
    Ok(Some(workspace))
}

fn provisioning_text(provisioning: Option<&Provisioning>) -> Result<Option<String>, Fault> {
    Ok(provisioning.map(serde_json::to_string).transpose()?)
}

/// Writes what may change of a workspace, and tells it.
pub(crate) async fn update(tx: &mut Tx, workspace: &Workspace, now: Timestamp) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE workspaces SET name = $1, description = $2, status = $3, status_message = $4, provisioning = $5, \
         updated_at = $6, processor = $8, metadata = $9 WHERE id = $7",
    )
    .bind(workspace.name.clone())
    .bind(workspace.description.clone())
    .bind(workspace.status.as_str())
    .bind(workspace.status_message.clone())
    .bind(provisioning_text(workspace.provisioning.as_ref())?)
    .bind(workspace.updated_at.micros())
    .bind(workspace.id.to_string())
    .bind(workspace.processor.as_str())
    .bind(serde_json::to_string(&workspace.metadata)?)
    .execute(&mut tx.conn)
    .await?;
    tx.emit(workspace.user_id, Event::WorkspaceStatus(workspace.clone()), now);
    Ok(())
}

/// The workspace as it stands from now on, or goes on.
async fn set_paused(
    tx: &mut Tx,
    user: UserId,
    id: WorkspaceId,
    paused: bool,
    now: Timestamp,
) -> Result<Workspace, Fault> {
    let found = load_locked(tx, id).await?.filter(|w| w.user_id == user);
    let mut workspace = found.ok_or(StoreError::NotFound)?;
    if let Some(refusal) = workspace.status.refuses(WorkspaceAction::Edit) {
        return Err(StoreError::from(refusal).into());
    }
    sqlx::query("UPDATE workspaces SET paused = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(i64::from(paused))
        .execute(&mut tx.conn)
        .await?;
    workspace.paused = paused;
    workspace.updated_at = now;
    Ok(workspace)
}

/// The workspace, kept from others until this transaction ends, by an item that did not know beforehand whose it is.
pub(crate) async fn lock_with_owner(tx: &mut Tx, id: WorkspaceId) -> Result<Workspace, Fault> {
    lock_owner(tx, id).await?;
    Ok(load_locked(tx, id).await?.ok_or(StoreError::NotFound)?)
}

/// All that is its owner's, kept from others in the same way.
pub(crate) async fn lock_owner(tx: &mut Tx, id: WorkspaceId) -> Result<(), Fault> {
    // SQLite has one writer at a time: nothing is to be locked there, and nobody has to be asked for it.
    if tx.engine == Engine::Postgres {
        let owner: Option<String> = sqlx::query_scalar("SELECT user_id FROM workspaces WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&mut tx.conn)
            .await?;
        let owner = owner.ok_or(StoreError::NotFound)?.parse().map_err(Fault::corrupt)?;
        tx.lock_users(&BTreeSet::from([owner])).await?;
    }
    Ok(())
}

/// The workspace with the seq of the event that was just emitted, when one was.
pub(crate) fn with_rev(rev: u64, workspace: Workspace) -> Workspace {
    Workspace { rev: workspace.rev.max(rev), ..workspace }
}

#[async_trait]
impl Workspaces for Store {
    async fn create_workspace(&self, new: NewWorkspace) -> Result<Workspace, StoreError> {
        let (id, user, command_id) = (new.id, new.user_id, new.command_id.clone());
        let written = self
            .writer()
            .write_for(new.user_id, "create workspace", new, |tx, new| {
                Box::pin(async move {
                    let (command, print) = (new.command_id.as_deref(), new.command_print.as_deref());
                    commands::note(tx, new.user_id, command, print).await?;
                    insert(tx, new).await
                })
            })
            .await?;
        let rev = written.rev(&EntityKey::Workspace(id));
        if let Some(workspace) = written.value {
            return Ok(Workspace { rev, ..workspace });
        }
        // The command was carried out before: its answer is what it made.
        let row = sqlx::query(select("w.user_id = $1 AND w.command_id = $2", ""))
            .bind(user.to_string())
            .bind(command_id)
            .fetch_optional(self.readers())
            .await
            .map_err(Fault::from)?
            .ok_or(StoreError::NotFound)?;
        Ok(workspace_of(&row)?)
    }

    async fn workspace(&self, user: UserId, id: WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        let row = sqlx::query(select("w.id = $1 AND w.user_id = $2", ""))
            .bind(id.to_string())
            .bind(user.to_string())
            .fetch_optional(self.readers())
            .await
            .map_err(Fault::from)?;
        Ok(row.map(|row| workspace_of(&row)).transpose()?)
    }

    async fn first_workspace(&self, user: UserId) -> Result<Option<Workspace>, StoreError> {
        let row = sqlx::query(select(
            "w.user_id = $1 AND w.status <> 'deleting'",
            "ORDER BY w.created_at, w.id LIMIT 1",
        ))
        .bind(user.to_string())
        .fetch_optional(self.readers())
        .await
        .map_err(Fault::from)?;
        Ok(row.map(|row| workspace_of(&row)).transpose()?)
    }

    async fn workspaces(&self, user: UserId, page: PageQuery) -> Result<Page<Workspace>, StoreError> {
        let limit = limit_of(&page);
        let after = List::Workspaces.before(&page)?;
        let sql = select(
            "w.user_id = $1 AND (w.created_at, w.id) < ($2, $3)",
            "ORDER BY w.created_at DESC, w.id DESC LIMIT $4",
        );
        let rows = sqlx::query(sql)
            .bind(user.to_string())
            .bind(after.number)
            .bind(after.id)
            .bind(i64::from(limit) + 1)
            .fetch_all(self.readers())
            .await
            .map_err(Fault::from)?;
        let rows = rows.iter().map(workspace_of).collect::<Result<Vec<_>, Fault>>()?;
        Ok(paged(List::Workspaces, rows, limit, |w| Cursor::new(w.created_at.micros(), w.id)))
    }

    async fn rag_config(&self, user: UserId, id: WorkspaceId) -> Result<Option<RagConfig>, StoreError> {
        let text: Option<String> =
            sqlx::query_scalar("SELECT rag_config FROM workspaces WHERE id = $1 AND user_id = $2")
                .bind(id.to_string())
                .bind(user.to_string())
                .fetch_optional(self.readers())
                .await
                .map_err(Fault::from)?;
        Ok(text.map(|t| serde_json::from_str(&t)).transpose().map_err(Fault::from)?)
    }

    async fn edit_workspace(
        &self,
        user: UserId,
        id: WorkspaceId,
        edit: WorkspaceEdit,
        now: Timestamp,
    ) -> Result<Workspace, StoreError> {
        let written = self
            .writer()
            .write_for(user, "edit workspace", (user, id, edit, now), |tx, (user, id, edit, now)| {
                Box::pin(async move {
                    let found = load_locked(tx, *id).await?.filter(|w| w.user_id == *user);
                    let before = found.ok_or(StoreError::NotFound)?;
                    if let Some(refusal) = before.status.refuses(WorkspaceAction::Edit) {
                        return Err(StoreError::from(refusal).into());
                    }
                    let mut workspace = before.clone();
                    if let Some(name) = &edit.name {
                        name.as_str().clone_into(&mut workspace.name);
                    }
                    if let Some(description) = &edit.description {
                        description.as_str().clone_into(&mut workspace.description);
                    }
                    if let Some(processor) = edit.processor {
                        workspace.processor = processor;
                        if processor != before.processor {
                            tx.signal(Signal::WorkReady);
                            if processor == Processor::External {
                                tx.signal(Signal::Untold(*id));
                                jobs::workspace_is_theirs(tx, *id, *now).await?;
                            }
                            // What is ready by an outside worker is not found here, see `JobStore::compare`.
                            sqlx::query("UPDATE workspaces SET config_untold = 1 WHERE id = $1")
                                .bind(id.to_string())
                                .execute(&mut tx.conn)
                                .await?;
                        }
                    }
                    if workspace != before {
                        workspace.updated_at = *now;
                        update(tx, &workspace, *now).await?;
                    }
                    Ok(workspace)
                })
            })
            .await?;
        Ok(with_rev(written.rev(&EntityKey::Workspace(id)), written.value))
    }

    async fn report_workspace(
        &self,
        user: UserId,
        id: WorkspaceId,
        said: WorkspaceReport,
        now: Timestamp,
    ) -> Result<Workspace, StoreError> {
        let written = self
            .writer()
            .write_for(user, "report workspace", (user, id, said, now), |tx, (user, id, said, now)| {
                Box::pin(async move {
                    let found = load_locked(tx, *id).await?.filter(|w| w.user_id == *user);
                    let mut workspace = found.ok_or(StoreError::NotFound)?;
                    if let Some(refusal) = report::refused(workspace.processor, workspace.status) {
                        return Err(StoreError::from(refusal).into());
                    }
                    if report::of_workspace(&mut workspace, said, *now)? {
                        update(tx, &workspace, *now).await?;
                    }
                    Ok(workspace)
                })
            })
            .await?;
        Ok(with_rev(written.rev(&EntityKey::Workspace(id)), written.value))
    }

    async fn advance_workspace(
        &self,
        id: WorkspaceId,
        change: Change,
        now: Timestamp,
    ) -> Result<Workspace, StoreError> {
        let written = self
            .writer()
            .write("advance workspace", (id, change, now), |tx, (id, change, now)| {
                Box::pin(async move {
                    let mut workspace = lock_with_owner(tx, *id).await?;
                    if provision::advance(&mut workspace, change, *now)? {
                        update(tx, &workspace, *now).await?;
                    }
                    Ok(workspace)
                })
            })
            .await?;
        Ok(with_rev(written.rev(&EntityKey::Workspace(id)), written.value))
    }

    async fn set_workspace_status(
        &self,
        id: WorkspaceId,
        to: WorkspaceStatus,
        message: Option<String>,
        now: Timestamp,
    ) -> Result<Workspace, StoreError> {
        let written = self
            .writer()
            .write("set workspace status", (id, to, message, now), |tx, (id, to, message, now)| {
                Box::pin(async move {
                    let mut workspace = lock_with_owner(tx, *id).await?;
                    provision::move_to(&mut workspace, *to, message.clone())?;
                    workspace.updated_at = *now;
                    update(tx, &workspace, *now).await?;
                    Ok(workspace)
                })
            })
            .await?;
        Ok(with_rev(written.rev(&EntityKey::Workspace(id)), written.value))
    }

    async fn pause_workspace(
        &self,
        user: UserId,
        id: WorkspaceId,
        stop: Stop,
        now: Timestamp,
    ) -> Result<Workspace, StoreError> {
        let written = self
            .writer()
            .write_for(user, "pause workspace", (user, id, stop, now), |tx, (user, id, stop, now)| {
                Box::pin(async move {
                    let workspace = set_paused(tx, *user, *id, true, *now).await?;
                    standing::pause(tx, *user, *id, *stop, *now).await?;
                    update(tx, &workspace, *now).await?;
                    Ok(workspace)
                })
            })
            .await?;
        Ok(with_rev(written.rev(&EntityKey::Workspace(id)), written.value))
    }

    async fn resume_workspace(
        &self,
        user: UserId,
        id: WorkspaceId,
        now: Timestamp,
    ) -> Result<Workspace, StoreError> {
        let written = self
            .writer()
            .write_for(user, "resume workspace", (user, id, now), |tx, (user, id, now)| {
                Box::pin(async move {
                    let workspace = set_paused(tx, *user, *id, false, *now).await?;
                    standing::resume(tx, *id, *now).await?;
                    update(tx, &workspace, *now).await?;
                    tx.signal(Signal::WorkReady);
                    Ok(workspace)
                })
            })
            .await?;
        Ok(with_rev(written.rev(&EntityKey::Workspace(id)), written.value))
    }

    async fn stand_paused(&self, limit: u32, now: Timestamp) -> Result<usize, StoreError> {
        standing::sweep(self, limit, now).await
    }

    async fn provisioning(&self, limit: u32) -> Result<Vec<Workspace>, StoreError> {
        let sql = select("w.status = 'provisioning'", "ORDER BY w.created_at, w.id LIMIT $1");
        let rows =
            sqlx::query(sql).bind(i64::from(limit)).fetch_all(self.readers()).await.map_err(Fault::from)?;
        Ok(rows.iter().map(workspace_of).collect::<Result<Vec<_>, Fault>>()?)
    }
}
