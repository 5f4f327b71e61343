//! The turns: their beginning, what is added to them, their end, and who has them in hand.

use super::{
    making,
    rows::{LIVE, TURN, event, insert_events, insert_turn, row_of, text_of, turn_of, update_turn},
};
use crate::{
    commands,
    fault::Fault,
    jobs::{lease_micros, parsed},
    open::Store,
    workspaces,
    writer::Tx,
};
use domain::{
    Timestamp, TurnId, UserId,
    chat::{Conversation, ConversationId, NEW_TITLE, StatusEntry, Turn, TurnChange, TurnEvent, history},
    event::{ConversationChanged, Event},
};
use services::ports::{ASKED_AGAIN, Begun, NewTurn, STILL_ANSWERED, StoreError, TOO_MANY_TURNS, TurnWrite};
use sqlx::{AssertSqlSafe, Row};

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

pub(super) async fn begin(tx: &mut Tx, new: &NewTurn) -> Result<Begun, Fault> {
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
    making::keep(tx, &conversation).await?;
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

pub(super) async fn write(tx: &mut Tx, write: &TurnWrite) -> Result<(), Fault> {
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

/// Extends the leases of those turns; answers the ones that `owner` still has. `ids` is a list of SQL.
pub(super) async fn keep(tx: &mut Tx, owner: &str, ids: &str, lease: i64) -> Result<Vec<TurnId>, Fault> {
    let clock = tx.engine.now_micros();
    let sql = format!(
        "UPDATE turns SET lease_until = {clock} + $1 WHERE owner = $2 AND status = 'processing' \
         AND id IN ({ids}) RETURNING id"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(lease).bind(owner).fetch_all(&mut tx.conn).await?;
    rows.iter().map(|row| parsed(row, "id")).collect()
}

pub(super) async fn end(
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

pub(super) async fn forget(tx: &mut Tx, before: Timestamp, limit: u32) -> Result<u64, Fault> {
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
    pub(super) async fn read_turn(&self, user: UserId, id: TurnId) -> Result<Option<Turn>, Fault> {
        let mut tx = self.readers().begin_with(self.engine().begin_read()).await?;
        let Some(row) = row_of(&mut tx, user, id).await? else { return Ok(None) };
        let mut turn = turn_of(&row)?;
        if !turn.status.is_final() {
            turn.answer = text_of(&mut tx, id).await?;
        }
        Ok(Some(turn))
    }

    pub(super) async fn read_turn_history(
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
