//! Making conversations, naming them, and telling of them.

use super::deleting;
use crate::{fault::Fault, jobs::parsed, workspaces, writer::Tx};
use domain::{
    Timestamp, UserId, WorkspaceId, WorkspaceStatus,
    chat::{Conversation, ConversationChange, ConversationId},
    event::{ConversationChanged, Event},
    provision::{Refusal, WorkspaceAction},
};
use services::ports::{OTHER_WORKSPACE, StoreError};

/// The workspace is there; why nothing can be asked in it now, if so.
async fn workspace_refuses(
    tx: &mut Tx,
    user: UserId,
    workspace: WorkspaceId,
) -> Result<Option<Refusal>, Fault> {
    let row = sqlx::query("SELECT status FROM workspaces WHERE id = $1 AND user_id = $2")
        .bind(workspace.to_string())
        .bind(user.to_string())
        .fetch_optional(&mut tx.conn)
        .await?
        .ok_or(StoreError::NotFound)?;
    let status: WorkspaceStatus = parsed(&row, "status")?;
    Ok(status.refuses(WorkspaceAction::Chat))
}

/// Makes the conversation where there is none of that name; whether there was none.
pub(super) async fn keep(tx: &mut Tx, new: &Conversation) -> Result<bool, Fault> {
    let refusal = workspace_refuses(tx, new.user_id, new.workspace_id).await?;
    deleting::make_room(tx, new.user_id, &new.conversation_id).await?;
    let inserted = sqlx::query(
        "INSERT INTO conversations (user_id, id, workspace_id, title, turns, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, 0, $5, $5) ON CONFLICT (user_id, id) DO NOTHING",
    )
    .bind(new.user_id.to_string())
    .bind(new.conversation_id.as_str())
    .bind(new.workspace_id.to_string())
    .bind(new.title.as_str())
    .bind(new.created_at.micros())
    .execute(&mut tx.conn)
    .await?;
    let row = sqlx::query("SELECT workspace_id FROM conversations WHERE user_id = $1 AND id = $2")
        .bind(new.user_id.to_string())
        .bind(new.conversation_id.as_str())
        .fetch_one(&mut tx.conn)
        .await?;
    if parsed::<WorkspaceId>(&row, "workspace_id")? != new.workspace_id {
        return Err(StoreError::Refused(OTHER_WORKSPACE).into());
    }
    match refusal {
        // What was inserted goes with the transaction of this item, and what made room is there again.
        Some(refusal) => Err(StoreError::Refused(refusal).into()),
        None => Ok(inserted.rows_affected() > 0),
    }
}

/// The same for a conversation without a question, which nothing else tells of.
pub(super) async fn create(tx: &mut Tx, new: &Conversation) -> Result<(), Fault> {
    if keep(tx, new).await? {
        let (id, workspace) = (&new.conversation_id, new.workspace_id);
        tell(tx, new.user_id, id, workspace, ConversationChange::Created, new.created_at);
        workspaces::tell_counts(tx, workspace, new.created_at).await?;
    }
    Ok(())
}

/// Gives it that title, where it is there.
pub(super) async fn rename(
    tx: &mut Tx,
    user: UserId,
    id: &ConversationId,
    title: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    // The list stays in its order: nobody has asked anything.
    let row = sqlx::query(
        "UPDATE conversations SET title = $3 \
         WHERE user_id = $1 AND id = $2 AND deleted_at IS NULL RETURNING workspace_id",
    )
    .bind(user.to_string())
    .bind(id.as_str())
    .bind(title)
    .fetch_optional(&mut tx.conn)
    .await?;
    if let Some(row) = row {
        let workspace = parsed(&row, "workspace_id")?;
        tell(tx, user, id, workspace, ConversationChange::Renamed, now);
    }
    Ok(())
}

/// Tells of the conversation itself.
pub(super) fn tell(
    tx: &mut Tx,
    user: UserId,
    id: &ConversationId,
    workspace_id: WorkspaceId,
    status: ConversationChange,
    now: Timestamp,
) {
    let conversation_id = id.clone();
    let changed = ConversationChanged { conversation_id, workspace_id, turn_id: None, status, rev: 0 };
    tx.emit(user, Event::ConversationChanged(changed), now);
}
