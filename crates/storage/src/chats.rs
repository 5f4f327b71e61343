//! Conversations and their turns. `rows` reads and writes them; `deleting` has their end and the way back.

mod conversations;
mod deleting;
mod rows;

use crate::{
    commands,
    fault::Fault,
    jobs::{clean, clean_option, lease_micros, parsed},
    open::Store,
    workspaces,
    writer::Tx,
};
use async_trait::async_trait;
use domain::{
    Timestamp, TurnId, UserId, WorkspaceId, WorkspaceStatus,
    chat::{
        Conversation, ConversationChange, ConversationDeleted, ConversationId, NEW_TITLE, StatusEntry, Turn,
        TurnChange, TurnEvent, history,
    },
    event::{ConversationChanged, Event},
    provision::{Refusal, WorkspaceAction},
    resource::Page,
};
use rows::{LIVE, TURN, event, insert_events, insert_turn, row_of, text_of, turn_of, update_turn};
use services::ports::{
    ASKED_AGAIN, Begun, Chats, ConversationFilter, NewTurn, OTHER_WORKSPACE, PageQuery, STILL_ANSWERED,
    StoreError, TOO_MANY_TURNS, TurnWrite,
};
use sqlx::{AssertSqlSafe, Row};

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
async fn keep_conversation(tx: &mut Tx, new: &Conversation) -> Result<bool, Fault> {
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
async fn create_conversation(tx: &mut Tx, new: &Conversation) -> Result<(), Fault> {
    if keep_conversation(tx, new).await? {
        let (id, workspace) = (&new.conversation_id, new.workspace_id);
        tell(tx, new.user_id, id, workspace, ConversationChange::Created, new.created_at);
        workspaces::tell_counts(tx, workspace, new.created_at).await?;
    }
    Ok(())
}

/// Tells of the conversation itself.
fn tell(
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

/// Tells of the turn, which began or ended.
fn tell_turn(tx: &mut Tx, turn: &Turn, now: Timestamp) {
    tx.emit(turn.user_id, Event::ConversationChanged(ConversationChanged::of(turn)), now);
}

/// Gives a question that is asked again its new turn.
async fn hand_on(tx: &mut Tx, user: UserId, from: TurnId, to: TurnId) -> Result<(), Fault> {
    let Some(row) = row_of(&mut tx.conn, user, from).await? else { return Err(StoreError::NotFound.into()) };
    let turn = turn_of(&row)?;
    if !turn.status.is_final() {
        return Err(StoreError::Refused(STILL_ANSWERED).into());
    }
    if !turn.may_be_asked_again() {
        return Err(StoreError::Refused(ASKED_AGAIN).into());
    }
    sqlx::query("UPDATE turns SET again_as = $2 WHERE id = $1")
        .bind(from.to_string())
        .bind(to.to_string())
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}

async fn begin(tx: &mut Tx, new: &NewTurn) -> Result<Begun, Fault> {
    let (opening, user) = (&new.opening, new.opening.user_id);
    if let Some(command) = &new.command_id {
        commands::note(tx, user, Some(command), new.command_print.as_deref()).await?;
        let sql = format!("SELECT {TURN} FROM turns WHERE user_id = $1 AND command_id = $2 AND {LIVE}");
        let known = sqlx::query(AssertSqlSafe(sql))
            .bind(user.to_string())
            .bind(command.as_str())
            .fetch_optional(&mut tx.conn)
            .await?;
        if let Some(row) = known {
            return Ok(Begun { turn: turn_of(&row)?, events: vec![] });
        }
        // What it began was deleted, so the command is for another turn now.
        sqlx::query("UPDATE turns SET command_id = NULL WHERE user_id = $1 AND command_id = $2")
            .bind(user.to_string())
            .bind(command.as_str())
            .execute(&mut tx.conn)
            .await?;
    }
    // The writer has the user to itself, so nobody else begins one meanwhile.
    let sql = "SELECT COUNT(*) FROM turns WHERE user_id = $1 AND status = 'processing'";
    let running: i64 = sqlx::query_scalar(sql).bind(user.to_string()).fetch_one(&mut tx.conn).await?;
    if running >= i64::from(new.most) {
        return Err(StoreError::Refused(TOO_MANY_TURNS).into());
    }
    let conversation = Conversation {
        conversation_id: opening.conversation_id.clone(),
        user_id: user,
        workspace_id: opening.workspace_id,
        title: new.title.clone(),
        turns: 0,
        created_at: new.now,
        updated_at: new.now,
    };
    keep_conversation(tx, &conversation).await?;
    if let Some(earlier) = opening.again_of {
        hand_on(tx, user, earlier, opening.turn_id).await?;
    }
    let (turn, events) = Turn::begin(opening.clone(), new.now);
    insert_turn(tx, &turn, new).await?;
    insert_events(tx, turn.turn_id, &events).await?;
    sqlx::query(
        "UPDATE conversations SET updated_at = $3, turns = turns + $4, \
         title = CASE WHEN turns = 0 AND title = $5 THEN $6 ELSE title END WHERE user_id = $1 AND id = $2",
    )
    .bind(user.to_string())
    .bind(opening.conversation_id.as_str())
    .bind(new.now.micros())
    .bind(i64::from(opening.again_of.is_none()))
    .bind(NEW_TITLE)
    .bind(new.title.as_str())
    .execute(&mut tx.conn)
    .await?;
    tell_turn(tx, &turn, new.now);
    workspaces::note_activity(tx, opening.workspace_id, new.now).await?;
    workspaces::tell_counts(tx, opening.workspace_id, new.now).await?;
    Ok(Begun { turn, events })
}

async fn write(tx: &mut Tx, write: &TurnWrite) -> Result<(), Fault> {
    let Some(last) = write.events.last() else { return Ok(()) };
    let clock = tx.engine.now_micros();
    let sql = format!(
        "UPDATE turns SET last_event = $1, lease_until = {clock} + $2 \
         WHERE id = $3 AND user_id = $4 AND owner = $5 AND status = 'processing' AND last_event = $6"
    );
    let int = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let taken = sqlx::query(AssertSqlSafe(sql))
        .bind(int(last.id))
        .bind(lease_micros(write.lease_seconds))
        .bind(write.turn_id.to_string())
        .bind(write.user.to_string())
        .bind(write.owner.as_str())
        .bind(int(write.after))
        .execute(&mut tx.conn)
        .await?;
    if taken.rows_affected() == 0 {
        return Err(StoreError::Fenced.into());
    }
    if let Some(turn) = &write.turn {
        update_turn(tx, turn).await?;
        if turn.status.is_final() {
            tell_turn(tx, turn, last.at);
        }
    }
    insert_events(tx, write.turn_id, &write.events).await
}

async fn end(
    tx: &mut Tx,
    user: UserId,
    id: TurnId,
    ending: &TurnChange,
    now: Timestamp,
) -> Result<Turn, Fault> {
    // The writer has the user to itself, so nobody adds to the turn meanwhile.
    let Some(row) = row_of(&mut tx.conn, user, id).await? else { return Err(StoreError::NotFound.into()) };
    let mut turn = turn_of(&row)?;
    if turn.status.is_final() {
        return Ok(turn);
    }
    turn.answer = text_of(&mut tx.conn, id).await?;
    let events = turn.advance(ending.clone(), now).map_err(StoreError::backend)?;
    update_turn(tx, &turn).await?;
    insert_events(tx, id, &events).await?;
    tell_turn(tx, &turn, now);
    Ok(turn)
}

async fn forget(tx: &mut Tx, before: Timestamp, limit: u32) -> Result<u64, Fault> {
    let rows = sqlx::query(
        "SELECT id FROM turns WHERE events_kept = 1 AND completed_at <= $1 ORDER BY completed_at LIMIT $2",
    )
    .bind(before.micros())
    .bind(i64::from(limit))
    .fetch_all(&mut tx.conn)
    .await?;
    for row in &rows {
        let id: &str = row.try_get("id")?;
        sqlx::query("DELETE FROM turn_events WHERE turn_id = $1").bind(id).execute(&mut tx.conn).await?;
        sqlx::query("UPDATE turns SET events_kept = 0 WHERE id = $1").bind(id).execute(&mut tx.conn).await?;
    }
    Ok(rows.len() as u64)
}

impl Store {
    /// One turn as it is at one moment: the text of an unfinished one is in its events.
    async fn read_turn(&self, user: UserId, id: TurnId) -> Result<Option<Turn>, Fault> {
        let mut tx = self.readers().begin_with(self.engine().begin_read()).await?;
        let Some(row) = row_of(&mut tx, user, id).await? else { return Ok(None) };
        let mut turn = turn_of(&row)?;
        if !turn.status.is_final() {
            turn.answer = text_of(&mut tx, id).await?;
        }
        Ok(Some(turn))
    }

    async fn read_turn_history(
        &self,
        user: UserId,
        conversation: &ConversationId,
        since: Timestamp,
    ) -> Result<Vec<StatusEntry>, Fault> {
        let mut tx = self.readers().begin_with(self.engine().begin_read()).await?;
        let sql = format!(
            "SELECT {TURN} FROM turns WHERE user_id = $1 AND conversation_id = $2 AND events_kept = 1 AND {LIVE} \
             ORDER BY created_at, id"
        );
        let turns = sqlx::query(AssertSqlSafe(sql))
            .bind(user.to_string())
            .bind(conversation.as_str())
            .fetch_all(&mut *tx)
            .await?;
        let mut entries = vec![];
        for row in &turns {
            let turn = turn_of(row)?;
            let rows = sqlx::query(
                "SELECT id, at, said FROM turn_events WHERE turn_id = $1 AND said NOT LIKE '{\"type\":\"chunk\"%' \
                 ORDER BY id",
            )
            .bind(turn.turn_id.to_string())
            .fetch_all(&mut *tx)
            .await?;
            let told: Vec<TurnEvent> = rows.iter().map(event).collect::<Result<_, _>>()?;
            entries.extend(history(&turn, &told).into_iter().filter(|entry| entry.created_at >= since));
        }
        Ok(entries)
    }
}

#[async_trait]
impl Chats for Store {
    async fn begin_turn(&self, mut new: NewTurn) -> Result<Begun, StoreError> {
        clean(&mut new.opening.query);
        clean(&mut new.title);
        clean_option(&mut new.command_id);
        let user = new.opening.user_id;
        let written =
            self.writer().write_for(user, "begin a turn", new, |tx, new| Box::pin(begin(tx, new))).await?;
        Ok(written.value)
    }

    async fn write_turn(&self, turn: TurnWrite) -> Result<(), StoreError> {
        let user = turn.user;
        let written =
            self.writer().write_for(user, "write a turn", turn, |tx, turn| Box::pin(write(tx, turn)));
        written.await.map(|written| written.value)
    }

    async fn end_turn(
        &self,
        user: UserId,
        id: TurnId,
        ending: TurnChange,
        now: Timestamp,
    ) -> Result<Turn, StoreError> {
        let argument = (user, id, ending, now);
        let written = self.writer().write_for(user, "end a turn", argument, |tx, (user, id, ending, now)| {
            Box::pin(end(tx, *user, *id, ending, *now))
        });
        Ok(written.await?.value)
    }

    async fn beat_turns(
        &self,
        owner: &str,
        turns: &[TurnId],
        lease_seconds: u32,
    ) -> Result<Vec<TurnId>, StoreError> {
        // Ids are letters, digits and hyphens.
        let ids: Vec<String> = turns.iter().map(|id| format!("'{id}'")).collect();
        if ids.is_empty() {
            return Ok(vec![]);
        }
        let argument = (owner.to_owned(), ids.join(", "), lease_micros(lease_seconds));
        let written = self.writer().write("keep turns", argument, |tx, (owner, ids, lease)| {
            Box::pin(async move {
                let clock = tx.engine.now_micros();
                let sql = format!(
                    "UPDATE turns SET lease_until = {clock} + $1 WHERE owner = $2 AND status = 'processing' \
                     AND id IN ({ids}) RETURNING id"
                );
                let rows = sqlx::query(AssertSqlSafe(sql))
                    .bind(*lease)
                    .bind(owner.as_str())
                    .fetch_all(&mut tx.conn)
                    .await?;
                rows.iter().map(|row| parsed(row, "id")).collect::<Result<Vec<TurnId>, Fault>>()
            })
        });
        Ok(written.await?.value)
    }

    async fn abandoned_turns(&self, limit: u32) -> Result<Vec<(UserId, TurnId)>, StoreError> {
        let sql = format!(
            "SELECT user_id, id FROM turns WHERE status = 'processing' AND lease_until <= {} \
             ORDER BY lease_until LIMIT $1",
            self.engine().now_micros()
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(i64::from(limit)).fetch_all(self.readers()).await;
        let found: Result<Vec<_>, Fault> = rows
            .map_err(Fault::from)?
            .iter()
            .map(|row| Ok((parsed(row, "user_id")?, parsed(row, "id")?)))
            .collect();
        Ok(found?)
    }

    async fn void_turn_leases(&self) -> Result<u64, StoreError> {
        let written = self.writer().write("void leases of turns", (), |tx, ()| {
            Box::pin(async move {
                let voided = sqlx::query("UPDATE turns SET lease_until = 0 WHERE status = 'processing'")
                    .execute(&mut tx.conn)
                    .await?;
                Ok(voided.rows_affected())
            })
        });
        Ok(written.await?.value)
    }

    async fn turn(&self, user: UserId, id: TurnId) -> Result<Option<Turn>, StoreError> {
        Ok(self.readers().unless_lost(self.read_turn(user, id)).await?)
    }

    async fn turn_without_text(&self, user: UserId, id: TurnId) -> Result<Option<Turn>, StoreError> {
        let read = async {
            let mut conn = self.readers().acquire().await?;
            row_of(&mut conn, user, id).await
        };
        let Some(row) = self.readers().unless_lost(read).await? else { return Ok(None) };
        let mut turn = turn_of(&row)?;
        if !turn.status.is_final() {
            turn.answer.clear();
        }
        Ok(Some(turn))
    }

    async fn turn_events(
        &self,
        user: UserId,
        id: TurnId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<TurnEvent>, StoreError> {
        let sql = format!(
            "SELECT e.id, e.at, e.said FROM turn_events e JOIN turns ON turns.id = e.turn_id \
             WHERE e.turn_id = $1 AND turns.user_id = $2 AND e.id > $3 AND {LIVE} ORDER BY e.id LIMIT $4"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(id.to_string())
            .bind(user.to_string())
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await
            .map_err(Fault::from)?;
        let events: Result<Vec<TurnEvent>, Fault> = rows.iter().map(event).collect();
        Ok(events?)
    }

    async fn turns(
        &self,
        user: UserId,
        conversation: &ConversationId,
        page: PageQuery,
    ) -> Result<Page<Turn>, StoreError> {
        Ok(self.readers().unless_lost(self.read_turns(user, conversation, page)).await?)
    }

    async fn status_history(
        &self,
        user: UserId,
        conversation: &ConversationId,
        since: Timestamp,
    ) -> Result<Vec<StatusEntry>, StoreError> {
        Ok(self.readers().unless_lost(self.read_turn_history(user, conversation, since)).await?)
    }

    async fn create_conversation(&self, mut new: Conversation) -> Result<Conversation, StoreError> {
        clean(&mut new.title);
        let (user, id) = (new.user_id, new.conversation_id.clone());
        let made = self
            .writer()
            .write_for(user, "make a conversation", new, |tx, new| Box::pin(create_conversation(tx, new)));
        made.await?;
        self.read_conversation(user, &id).await?.ok_or(StoreError::NotFound)
    }

    async fn conversation(
        &self,
        user: UserId,
        id: &ConversationId,
    ) -> Result<Option<Conversation>, StoreError> {
        Ok(self.read_conversation(user, id).await?)
    }

    async fn conversations(
        &self,
        user: UserId,
        filter: &ConversationFilter,
        page: PageQuery,
    ) -> Result<Page<Conversation>, StoreError> {
        Ok(self.read_conversations(user, filter, page).await?)
    }

    async fn rename_conversation(
        &self,
        user: UserId,
        id: &ConversationId,
        title: &str,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        let mut title = title.to_owned();
        clean(&mut title);
        let argument = (user, id.clone(), title, now);
        let renamed =
            self.writer().write_for(user, "name a conversation", argument, |tx, (user, id, title, now)| {
                Box::pin(async move {
                    // The list stays in its order: nobody has asked anything.
                    let row = sqlx::query(
                        "UPDATE conversations SET title = $3 \
                         WHERE user_id = $1 AND id = $2 AND deleted_at IS NULL RETURNING workspace_id",
                    )
                    .bind(user.to_string())
                    .bind(id.as_str())
                    .bind(title.as_str())
                    .fetch_optional(&mut tx.conn)
                    .await?;
                    if let Some(row) = row {
                        let workspace = parsed(&row, "workspace_id")?;
                        tell(tx, *user, id, workspace, ConversationChange::Renamed, *now);
                    }
                    Ok(())
                })
            });
        renamed.await?;
        Ok(self.read_conversation(user, id).await?)
    }

    async fn delete_conversation(
        &self,
        user: UserId,
        id: &ConversationId,
        now: Timestamp,
    ) -> Result<Option<ConversationDeleted>, StoreError> {
        let argument = (user, id.clone(), now);
        let deleted =
            self.writer().write_for(user, "delete a conversation", argument, |tx, (user, id, now)| {
                Box::pin(deleting::delete(tx, *user, id, *now))
            });
        Ok(deleted.await?.value)
    }

    async fn restore_conversation(
        &self,
        user: UserId,
        id: &ConversationId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Conversation, StoreError> {
        let argument = (user, id.clone(), since, now);
        self.writer()
            .write_for(user, "restore a conversation", argument, |tx, (user, id, since, now)| {
                Box::pin(deleting::restore(tx, *user, id, *since, *now))
            })
            .await?;
        self.read_conversation(user, id).await?.ok_or(StoreError::NotFound)
    }

    async fn remove_deleted_conversations(&self, before: Timestamp, limit: u32) -> Result<bool, StoreError> {
        self.remove_deleted(before, limit).await
    }

    async fn forget_turn_events(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        // Read first: nearly always there is nothing to forget, which is no reason to write.
        let due: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM turns WHERE events_kept = 1 AND completed_at <= $1")
                .bind(before.micros())
                .fetch_one(self.readers())
                .await
                .map_err(Fault::from)?;
        if due == 0 {
            return Ok(0);
        }
        let written =
            self.writer().write("forget what turns told", (before, limit), |tx, (before, limit)| {
                Box::pin(forget(tx, *before, *limit))
            });
        Ok(written.await?.value)
    }
}
