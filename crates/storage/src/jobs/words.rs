//! Documents whose step is said better by now.

use super::{lock_document, parsed, rows};
use crate::{fault::Fault, open::Store, writer::Tx};
use domain::{
    DocumentId, Step, Timestamp, UserId, ingest,
    message::{Facts, WRITTEN, friendly},
};
use futures::future::try_join_all;
use services::ports::StoreError;
use std::collections::BTreeMap;

/// The looking is done by a reader, so that writers wait only for the rows that change.
pub(crate) async fn reword(
    store: &Store,
    step: &str,
    sentence: &str,
    limit: u32,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let step = Step::from(step);
    let found = found(store, &step, limit).await?;
    let said = found.into_iter().map(|(user, documents)| {
        let argument = (documents, step.clone(), sentence.to_owned(), now);
        store.writer().write_for(user, "reword a step", argument, |tx, (documents, step, sentence, now)| {
            Box::pin(async move {
                let mut said = 0;
                for id in documents {
                    said += usize::from(reword_one(tx, *id, step, sentence, *now).await?);
                }
                Ok(said)
            })
        })
    });
    Ok(try_join_all(said).await?.iter().map(|written| written.value).sum())
}

/// Documents in that step which say what the rule says, by their users.
async fn found(store: &Store, step: &Step, limit: u32) -> Result<BTreeMap<UserId, Vec<DocumentId>>, Fault> {
    let rows = sqlx::query(
        "SELECT id, user_id FROM documents WHERE status = 'processing' AND step = $1 AND message = $2 \
         ORDER BY id LIMIT $3",
    )
    .bind(step.as_str())
    .bind(friendly(WRITTEN, step, &Facts::default()))
    .bind(i64::from(limit))
    .fetch_all(store.readers())
    .await?;
    let mut found = BTreeMap::<UserId, Vec<DocumentId>>::new();
    for row in &rows {
        found.entry(parsed(row, "user_id")?).or_default().push(parsed(row, "id")?);
    }
    Ok(found)
}

async fn reword_one(
    tx: &mut Tx,
    id: DocumentId,
    step: &Step,
    sentence: &str,
    now: Timestamp,
) -> Result<bool, Fault> {
    // Deleted meanwhile.
    let Some((mut document, _)) = lock_document(tx, id).await? else { return Ok(false) };
    let Some(event) = ingest::reword(&mut document, step, sentence, now) else { return Ok(false) };
    rows::update_document(&mut tx.conn, &document).await?;
    tx.emit(document.document.user_id, event, now);
    Ok(true)
}
