//! Deleting a conversation: the mark, the way back, and the end. While the mark is there nobody reads it or its turns.

use super::{making::tell, rows::LIVE, turns::end};
use crate::{fault::Fault, jobs::parsed, open::Store, workspaces, writer::Tx};
use domain::{
    Timestamp, TurnId, UserId, WorkspaceId,
    chat::{ConversationChange, ConversationDeleted, ConversationId, TurnChange},
    ingest::deletion::{UNDO_OVER, UNDO_SECONDS},
};
use services::ports::StoreError;
use sqlx::{AssertSqlSafe, Row};

/// What hangs on a conversation: statements that remove at most `$3` rows each, in an order in which none takes much
/// along by a foreign key.
const ITS_ROWS: [&str; 2] = [
    "DELETE FROM turn_events WHERE (turn_id, id) IN (SELECT e.turn_id, e.id FROM turn_events e \
     JOIN turns t ON t.id = e.turn_id WHERE t.user_id = $1 AND t.conversation_id = $2 LIMIT $3)",
    "DELETE FROM turns WHERE id IN (SELECT id FROM turns WHERE user_id = $1 AND conversation_id = $2 LIMIT $3)",
];

/// Marks it. What is being answered in it is stopped, so that it is whole when somebody brings it back.
pub(super) async fn delete(
    tx: &mut Tx,
    user: UserId,
    id: &ConversationId,
    now: Timestamp,
) -> Result<Option<ConversationDeleted>, Fault> {
    let sql = format!(
        "SELECT id FROM turns WHERE user_id = $1 AND conversation_id = $2 AND status = 'processing' AND {LIVE} \
         ORDER BY created_at, id"
    );
    let running = sqlx::query(AssertSqlSafe(sql))
        .bind(user.to_string())
        .bind(id.as_str())
        .fetch_all(&mut tx.conn)
        .await?;
    for row in &running {
        let turn: TurnId = parsed(row, "id")?;
        end(tx, user, turn, &TurnChange::Stop, now).await?;
    }
    let marked = sqlx::query(
        "UPDATE conversations SET deleted_at = $3 WHERE user_id = $1 AND id = $2 AND deleted_at IS NULL \
         RETURNING workspace_id, title",
    )
    .bind(user.to_string())
    .bind(id.as_str())
    .bind(now.micros())
    .fetch_optional(&mut tx.conn)
    .await?;
    let Some(row) = marked else { return Ok(None) };
    let workspace: WorkspaceId = parsed(&row, "workspace_id")?;
    let title: String = row.try_get("title")?;
    tell(tx, user, id, workspace, ConversationChange::Deleted, now);
    workspaces::tell_counts(tx, workspace, now).await?;
    let (conversation_id, undo_until) = (id.clone(), now.plus_seconds(UNDO_SECONDS));
    Ok(Some(ConversationDeleted { conversation_id, workspace_id: workspace, title, undo_until }))
}

/// Takes the mark away, when it was made at `since` or later. One that is there changes nothing.
pub(super) async fn restore(
    tx: &mut Tx,
    user: UserId,
    id: &ConversationId,
    since: Timestamp,
    now: Timestamp,
) -> Result<(), Fault> {
    // The user's lock is held, so nothing of this changes any more.
    let row =
        sqlx::query("SELECT workspace_id, deleted_at FROM conversations WHERE user_id = $1 AND id = $2")
            .bind(user.to_string())
            .bind(id.as_str())
            .fetch_optional(&mut tx.conn)
            .await?
            .ok_or(StoreError::NotFound)?;
    let Some(deleted_at) = row.try_get::<Option<i64>, _>("deleted_at")? else { return Ok(()) };
    if deleted_at < since.micros() {
        return Err(StoreError::from(UNDO_OVER).into());
    }
    let workspace: WorkspaceId = parsed(&row, "workspace_id")?;
    sqlx::query("UPDATE conversations SET deleted_at = NULL WHERE user_id = $1 AND id = $2")
        .bind(user.to_string())
        .bind(id.as_str())
        .execute(&mut tx.conn)
        .await?;
    // A word that servers of the version before know as well; whoever shows conversations reads it anew.
    tell(tx, user, id, workspace, ConversationChange::Created, now);
    workspaces::tell_counts(tx, workspace, now).await
}

/// One of that name that is marked goes at once: the name is wanted for another one.
pub(super) async fn make_room(tx: &mut Tx, user: UserId, id: &ConversationId) -> Result<(), Fault> {
    sqlx::query("DELETE FROM conversations WHERE user_id = $1 AND id = $2 AND deleted_at IS NOT NULL")
        .bind(user.to_string())
        .bind(id.as_str())
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}

/// Closes the way back, and removes a piece of what there is; the conversation itself goes last.
async fn remove(
    tx: &mut Tx,
    user: UserId,
    id: &ConversationId,
    before: Timestamp,
    limit: u32,
) -> Result<(), Fault> {
    let doomed = sqlx::query(
        "UPDATE conversations SET deleted_at = 0 WHERE user_id = $1 AND id = $2 AND deleted_at <= $3",
    )
    .bind(user.to_string())
    .bind(id.as_str())
    .bind(before.micros())
    .execute(&mut tx.conn)
    .await?;
    // Somebody brought it back since it was found.
    if doomed.rows_affected() == 0 {
        return Ok(());
    }
    for sql in ITS_ROWS {
        let removed = sqlx::query(sql)
            .bind(user.to_string())
            .bind(id.as_str())
            .bind(i64::from(limit))
            .execute(&mut tx.conn)
            .await?;
        if removed.rows_affected() >= u64::from(limit) {
            return Ok(());
        }
    }
    make_room(tx, user, id).await
}

impl Store {
    /// Answers whether there was something to remove.
    pub(super) async fn remove_deleted(&self, before: Timestamp, limit: u32) -> Result<bool, StoreError> {
        // The looking is done by a reader: nearly always there is nothing, which is no reason to write.
        let found = sqlx::query(
            "SELECT user_id, id FROM conversations WHERE deleted_at <= $1 ORDER BY deleted_at, user_id, id LIMIT 1",
        )
        .bind(before.micros())
        .fetch_optional(self.readers())
        .await
        .map_err(Fault::from)?;
        let Some(row) = found else { return Ok(false) };
        let (user, id): (UserId, ConversationId) = (parsed(&row, "user_id")?, parsed(&row, "id")?);
        let argument = (user, id, before, limit);
        self.writer()
            .write_for(user, "remove a conversation", argument, |tx, (user, id, before, limit)| {
                Box::pin(remove(tx, *user, id, *before, *limit))
            })
            .await?;
        Ok(true)
    }
}
