//! Rows of turns and of what they told.

use crate::{
    fault::Fault,
    jobs::{lease_micros, number, parsed},
    writer::Tx,
};
use domain::{
    Timestamp, TurnId, UserId,
    chat::{Said, Turn, TurnEvent},
};
use serde::de::DeserializeOwned;
use services::ports::NewTurn;
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};

pub(super) const TURN: &str = "id, user_id, conversation_id, workspace_id, query, status, step, answer, sources, \
    metadata, error, again_of, again_as, last_event, created_at, completed_at";

/// A condition on `turns`: their conversation is there, and nobody has deleted it.
pub(super) const LIVE: &str = "EXISTS (SELECT 1 FROM conversations alive WHERE alive.user_id = turns.user_id \
    AND alive.id = turns.conversation_id AND alive.deleted_at IS NULL)";

fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn json<T: DeserializeOwned>(row: &AnyRow, column: &str) -> Result<T, Fault> {
    Ok(serde_json::from_str(row.try_get::<&str, _>(column)?)?)
}

/// The answer of an unfinished one is empty, see [`text_of`].
pub(super) fn turn_of(row: &AnyRow) -> Result<Turn, Fault> {
    let other = |column: &str| -> Result<Option<TurnId>, Fault> {
        let text: Option<String> = row.try_get(column)?;
        text.map(|text| text.parse().map_err(|_| Fault::corrupt(column))).transpose()
    };
    let error: Option<String> = row.try_get("error")?;
    Ok(Turn {
        turn_id: parsed(row, "id")?,
        conversation_id: parsed(row, "conversation_id")?,
        workspace_id: parsed(row, "workspace_id")?,
        user_id: parsed(row, "user_id")?,
        query: row.try_get("query")?,
        status: parsed(row, "status")?,
        step: parsed(row, "step")?,
        answer: row.try_get("answer")?,
        sources: json(row, "sources")?,
        metadata: json(row, "metadata")?,
        error: error.map(|text| serde_json::from_str(&text)).transpose()?,
        again_of: other("again_of")?,
        again_as: other("again_as")?,
        last_event: number(row, "last_event")?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        completed_at: row.try_get::<Option<i64>, _>("completed_at")?.map(Timestamp::from_micros),
    })
}

pub(super) async fn row_of(
    conn: &mut AnyConnection,
    user: UserId,
    id: TurnId,
) -> Result<Option<AnyRow>, Fault> {
    let sql = format!("SELECT {TURN} FROM turns WHERE id = $1 AND user_id = $2 AND {LIVE}");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id.to_string())
        .bind(user.to_string())
        .fetch_optional(conn)
        .await?;
    Ok(row)
}

/// The answer of an unfinished turn, as far as it was told.
pub(super) async fn text_of(conn: &mut AnyConnection, id: TurnId) -> Result<String, Fault> {
    let rows = sqlx::query("SELECT id, at, said FROM turn_events WHERE turn_id = $1 ORDER BY id")
        .bind(id.to_string())
        .fetch_all(conn)
        .await?;
    let mut text = String::new();
    for row in &rows {
        if let Said::Chunk { content } = event(row)?.said {
            text.push_str(&content);
        }
    }
    Ok(text)
}

pub(super) fn event(row: &AnyRow) -> Result<TurnEvent, Fault> {
    Ok(TurnEvent {
        id: number(row, "id")?,
        at: Timestamp::from_micros(row.try_get("at")?),
        said: json(row, "said")?,
    })
}

pub(super) async fn insert_turn(tx: &mut Tx, turn: &Turn, new: &NewTurn) -> Result<(), Fault> {
    let clock = tx.engine.now_micros();
    let sql = format!(
        "INSERT INTO turns (id, user_id, conversation_id, workspace_id, query, status, step, answer, sources, metadata, \
         again_of, last_event, events_kept, owner, lease_until, command_id, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, '', '[]', $8, $9, $10, 1, $11, {clock} + $12, $13, $14)"
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(turn.turn_id.to_string())
        .bind(turn.user_id.to_string())
        .bind(turn.conversation_id.as_str())
        .bind(turn.workspace_id.to_string())
        .bind(turn.query.as_str())
        .bind(turn.status.as_str())
        .bind(turn.step.as_str())
        .bind(serde_json::to_string(&turn.metadata)?)
        .bind(turn.again_of.map(|id| id.to_string()))
        .bind(int(turn.last_event))
        .bind(new.owner.as_str())
        .bind(lease_micros(new.lease_seconds))
        .bind(new.command_id.as_deref())
        .bind(turn.created_at.micros())
        .execute(&mut tx.conn)
        .await?;
    Ok(())
}

/// Whatever of a turn may change.
pub(super) async fn update_turn(tx: &mut Tx, turn: &Turn) -> Result<(), Fault> {
    // While it is made its pieces stand in the events; the end puts them together.
    let answer = if turn.status.is_final() { turn.answer.replace('\0', "\u{fffd}") } else { String::new() };
    sqlx::query(
        "UPDATE turns SET status = $2, step = $3, answer = $4, sources = $5, metadata = $6, error = $7, \
         last_event = $8, completed_at = $9 WHERE id = $1",
    )
    .bind(turn.turn_id.to_string())
    .bind(turn.status.as_str())
    .bind(turn.step.as_str())
    .bind(answer)
    .bind(serde_json::to_string(&turn.sources)?)
    .bind(serde_json::to_string(&turn.metadata)?)
    .bind(turn.error.as_ref().map(serde_json::to_string).transpose()?)
    .bind(int(turn.last_event))
    .bind(turn.completed_at.map(Timestamp::micros))
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

pub(super) async fn insert_events(tx: &mut Tx, id: TurnId, events: &[TurnEvent]) -> Result<(), Fault> {
    for event in events {
        sqlx::query("INSERT INTO turn_events (turn_id, id, at, said) VALUES ($1, $2, $3, $4)")
            .bind(id.to_string())
            .bind(int(event.id))
            .bind(event.at.micros())
            .bind(serde_json::to_string(&event.said)?)
            .execute(&mut tx.conn)
            .await?;
    }
    Ok(())
}
