//! What came under which `Idempotency-Key`.

use crate::{fault::Fault, writer::Tx};
use domain::UserId;
use services::ports::StoreError;

/// Notes what a command was sent for; answers whether it was not sent before.
///
/// # Errors
/// `OtherCommand` when it was something else before.
pub(crate) async fn note(
    tx: &mut Tx,
    user: UserId,
    command: Option<&str>,
    print: Option<&str>,
) -> Result<bool, Fault> {
    let (Some(command), Some(print)) = (command, print) else { return Ok(true) };
    let noted = sqlx::query(
        "INSERT INTO commands (user_id, command_id, print) SELECT id, $2, $3 FROM users WHERE id = $1 \
         ON CONFLICT (user_id, command_id) DO NOTHING",
    )
    .bind(user.to_string())
    .bind(command)
    .bind(print)
    .execute(&mut tx.conn)
    .await?;
    if noted.rows_affected() > 0 {
        return Ok(true);
    }
    let known: Option<String> =
        sqlx::query_scalar("SELECT print FROM commands WHERE user_id = $1 AND command_id = $2")
            .bind(user.to_string())
            .bind(command)
            .fetch_optional(&mut tx.conn)
            .await?;
    // Without a row the user is gone, which the command itself will find out.
    match known {
        Some(known) if known != print => Err(StoreError::OtherCommand.into()),
        known => Ok(known.is_none()),
    }
}
