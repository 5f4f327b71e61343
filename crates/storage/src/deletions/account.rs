//! The deletion of an account: the mark, and the end.

use super::begin;
use crate::{fault::Fault, writer::Tx};
use domain::{JobId, Timestamp, UserId};
use services::ports::{Deletion, Doomed, Signal, StoreError};
use uuid::Uuid;

pub(super) async fn begin_deletion(
    tx: &mut Tx,
    user: UserId,
    job: JobId,
    now: Timestamp,
) -> Result<Deletion, Fault> {
    let marked = sqlx::query("UPDATE users SET deleting_at = COALESCE(deleting_at, $2) WHERE id = $1")
        .bind(user.to_string())
        .bind(now.micros())
        .execute(&mut tx.conn)
        .await?;
    if marked.rows_affected() == 0 {
        return Err(StoreError::NotFound.into());
    }
    let deletion = begin(tx, Doomed::Account(user), job, None, now).await?;
    // With its job and task gone, a worker's claim is fenced off, nobody takes another, and those who wait in the queue
    // move up.
    for sql in [
        "DELETE FROM sessions WHERE user_id = $1",
        "DELETE FROM api_keys WHERE user_id = $1",
        "DELETE FROM exports WHERE user_id = $1",
        "DELETE FROM sent_files WHERE user_id = $1",
        "DELETE FROM partial_files WHERE user_id = $1",
        "DELETE FROM jobs WHERE user_id = $1 AND status IN ('pending', 'running', 'paused')",
    ] {
        sqlx::query(sql).bind(user.to_string()).execute(&mut tx.conn).await?;
    }
    tx.signal(Signal::AccountClosed { user_id: user });
    Ok(deletion)
}

/// The counter of all users who are gone: the sum over all counters must not fall, or the log would look as if it had
/// been put back to an older state.
fn nobody() -> UserId {
    UserId::new(Uuid::nil())
}

pub(super) async fn remove(tx: &mut Tx, user: UserId) -> Result<(), Fault> {
    let id = user.to_string();
    let seq: Option<i64> = sqlx::query_scalar("SELECT seq FROM user_seq WHERE user_id = $1")
        .bind(id.as_str())
        .fetch_optional(&mut tx.conn)
        .await?;
    // What was told while the rest was removed.
    sqlx::query("DELETE FROM events WHERE user_id = $1").bind(id.as_str()).execute(&mut tx.conn).await?;
    sqlx::query("DELETE FROM users WHERE id = $1").bind(id.as_str()).execute(&mut tx.conn).await?;
    sqlx::query("DELETE FROM relays WHERE user_id = $1").bind(id.as_str()).execute(&mut tx.conn).await?;
    let Some(seq) = seq else { return Ok(()) };
    sqlx::query("DELETE FROM user_seq WHERE user_id = $1").bind(id).execute(&mut tx.conn).await?;
    // Locked behind the user's own counter by everybody.
    sqlx::query(
        "INSERT INTO user_seq (user_id, seq) VALUES ($1, $2) \
         ON CONFLICT (user_id) DO UPDATE SET seq = user_seq.seq + excluded.seq",
    )
    .bind(nobody().to_string())
    .bind(seq)
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}
