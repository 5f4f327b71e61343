//! What a person changes of a document beside its content: its name, its tags, and whether searches find it.

use super::{lock_document, rows, versions, withdraw};
use crate::{fault::Fault, index, writer::Tx};
use domain::{DocumentId, Event, Timestamp, UserId, labels::Edit};
use services::ports::StoreError;

pub(crate) async fn edit(
    tx: &mut Tx,
    user: UserId,
    id: DocumentId,
    edit: &Edit,
    now: Timestamp,
) -> Result<(), Fault> {
    let found = lock_document(tx, id).await?.filter(|(state, _)| state.document.user_id == user);
    let (state, _) = found.ok_or(StoreError::NotFound)?;
    let before = state.document;
    withdraw::changeable(tx, before.workspace_id).await?;
    let mut after = before.clone();
    if !edit.apply(&mut after, now).map_err(StoreError::from)? {
        return Ok(());
    }
    if after.filename != before.filename {
        // The file keeps the name that it came with.
        versions::note_present(tx, id).await?;
    }
    sqlx::query("UPDATE documents SET filename = $2, enabled = $3, tags = $4, updated_at = $5 WHERE id = $1")
        .bind(id.to_string())
        .bind(after.filename.as_str())
        .bind(i64::from(after.enabled))
        .bind(rows::json_text(&after.tags)?)
        .bind(now.micros())
        .execute(&mut tx.conn)
        .await?;
    if after.enabled != before.enabled && state.live > 0 {
        index::raise_version(tx, after.workspace_id).await?;
    }
    tx.emit(user, Event::DocumentStatus(after), now);
    Ok(())
}
