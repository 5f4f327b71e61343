//! The chunks of a document in parts: thousands of rows in one transaction would keep everybody else's writes waiting.
//! All parts but the last are written ahead of the checkpoint that tells of them, each under the lease's fence. Nobody
//! reads them before that checkpoint. A part that is there already, from a worker that died, is replaced.

use super::{checkpoint, claim, lock_document, versions};
use crate::{fault::Fault, index, open::Store, writer::Tx};
use domain::{
    DocumentId, UserId,
    ingest::{Checkpoint, DocumentState, NewChunk, Stage},
};
use services::ports::{Claim, StoreError};
use sqlx::Row;
use std::{ops::Range, sync::Arc};

/// Chunks that one transaction writes, makes findable or removes: well under a second of work.
pub(super) const PART: usize = 500;

/// Where the last part of so many chunks begins.
pub(super) const fn last(chunks: usize) -> usize {
    chunks.saturating_sub(1) / PART * PART
}

/// Where the other parts begin.
fn others(chunks: usize) -> impl Iterator<Item = usize> {
    (0..last(chunks)).step_by(PART)
}

/// The chunks of a checkpoint.
fn chunks_of(checkpoint: &Checkpoint) -> &[NewChunk] {
    match checkpoint {
        Checkpoint::Chunked { chunks } => chunks,
        _ => &[],
    }
}

/// The ordinals that belong to the part that begins at `from`: without gaps, so that nothing of another cut stays
/// between two parts.
pub(super) fn ordinals(chunks: &[NewChunk], from: usize) -> Range<i64> {
    let first = |at: usize, else_: i64| chunks.get(at).map_or(else_, |c| i64::from(c.ordinal));
    let begin = if from == 0 { 0 } else { first(from, 0) };
    begin..first(from + PART, i64::MAX)
}

/// Writes what is too much for the checkpoint's own transaction.
pub(super) async fn write_ahead(
    store: &Store,
    claim: &Claim,
    checkpoint: &Arc<Checkpoint>,
) -> Result<(), StoreError> {
    match &**checkpoint {
        Checkpoint::Chunked { chunks } => {
            remove_surplus(store, claim, chunks).await?;
            for from in others(chunks.len()) {
                let part = (claim.clone(), checkpoint.clone(), from);
                let put =
                    store.writer().write_for(claim.user_id, "chunks", part, |tx, (claim, all, from)| {
                        Box::pin(put_chunks(tx, claim, chunks_of(all), *from))
                    });
                put.await?;
            }
        }
        Checkpoint::Indexed => {
            for from in others(chunk_count(store, claim).await?) {
                let part = (claim.clone(), from);
                let put = store.writer().write_for(claim.user_id, "words", part, |tx, (claim, from)| {
                    Box::pin(put_words(tx, claim, *from))
                });
                put.await?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// The generation whose chunks nothing will ever find when the document fails in that stage: the earlier ones serve on,
/// or not all of them are there.
pub(super) fn dead_by_failure(document: &DocumentState, stage: Stage) -> Range<u32> {
    let run = document.generation;
    if document.live > 0 || stage == Stage::Chunking { run..run + 1 } else { 0..0 }
}

/// The document, when it is in that stage and the claim holds. In another stage the work comes too late, which the
/// checkpoint itself will tell.
async fn held(tx: &mut Tx, claim: &Claim, stage: Stage) -> Result<Option<DocumentState>, Fault> {
    // Task, then document, as everywhere.
    claim::held(tx, claim).await?;
    let (document, _) = lock_document(tx, claim.document_id).await?.ok_or(StoreError::Fenced)?;
    Ok(Some(document).filter(|document| document.stage == stage))
}

async fn put_chunks(tx: &mut Tx, claim: &Claim, chunks: &[NewChunk], from: usize) -> Result<(), Fault> {
    let Some(document) = held(tx, claim, Stage::Chunking).await? else { return Ok(()) };
    checkpoint::replace_chunks(tx, &document, &chunks[from..from + PART], ordinals(chunks, from)).await
}

async fn put_words(tx: &mut Tx, claim: &Claim, from: usize) -> Result<(), Fault> {
    let Some(document) = held(tx, claim, Stage::Indexing).await? else { return Ok(()) };
    index::add_text(tx, &document, from as i64..(from + PART) as i64).await
}

async fn chunk_count(store: &Store, claim: &Claim) -> Result<usize, StoreError> {
    let count: Option<i64> = sqlx::query_scalar("SELECT chunk_count FROM documents WHERE id = $1")
        .bind(claim.document_id.to_string())
        .fetch_optional(store.readers())
        .await
        .map_err(Fault::from)?;
    Ok(count.and_then(|n| usize::try_from(n).ok()).unwrap_or_default())
}

/// Removes what an earlier claim wrote ahead behind the last of `chunks`, where that is more than a part: only another
/// version of the program, or a model that answers differently, cuts the same text into fewer.
async fn remove_surplus(store: &Store, claim: &Claim, chunks: &[NewChunk]) -> Result<(), StoreError> {
    let end = chunks.last().map_or(0, |c| i64::from(c.ordinal) + 1);
    let highest: i64 = sqlx::query_scalar(
        "SELECT COALESCE(MAX(chunks.ordinal), -1) FROM chunks JOIN documents ON documents.id = chunks.document_id \
         WHERE chunks.document_id = $1 AND chunks.generation = documents.generation",
    )
    .bind(claim.document_id.to_string())
    .fetch_one(store.readers())
    .await
    .map_err(Fault::from)?;
    if highest < end + PART as i64 {
        return Ok(());
    }
    loop {
        let written = store
            .writer()
            .write_for(claim.user_id, "surplus chunks", (claim.clone(), end), |tx, (claim, end)| {
                Box::pin(async move {
                    let Some(document) = held(tx, claim, Stage::Chunking).await? else { return Ok(0) };
                    let generation = i64::from(document.generation);
                    remove(tx, claim.document_id, generation, *end).await
                })
            })
            .await?;
        if written.value < PART {
            return Ok(());
        }
    }
}

/// Removes a part of a run's chunks from that ordinal on, and with them their vectors and their words.
async fn remove(tx: &mut Tx, document: DocumentId, generation: i64, from: i64) -> Result<usize, Fault> {
    let gone = sqlx::query(
        "DELETE FROM chunks WHERE id IN (SELECT id FROM chunks \
         WHERE document_id = $1 AND generation = $2 AND ordinal >= $3 ORDER BY ordinal LIMIT $4)",
    )
    .bind(document.to_string())
    .bind(generation)
    .bind(from)
    .bind(PART as i64)
    .execute(&mut tx.conn)
    .await?;
    Ok(usize::try_from(gone.rows_affected()).unwrap_or(PART))
}

/// Notes that the chunks of these runs are to be removed.
pub(super) async fn bury(tx: &mut Tx, document: DocumentId, runs: Range<u32>) -> Result<(), Fault> {
    for generation in runs {
        sqlx::query(
            "INSERT INTO dead_chunks (document_id, generation) VALUES ($1, $2) \
             ON CONFLICT (document_id, generation) DO NOTHING",
        )
        .bind(document.to_string())
        .bind(i64::from(generation))
        .execute(&mut tx.conn)
        .await?;
    }
    Ok(())
}

/// The same of the run that the version before made: its passages are kept as those of an old version.
pub(super) async fn retire(tx: &mut Tx, document: DocumentId, run: u32, version: u32) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO dead_chunks (document_id, generation, version) VALUES ($1, $2, $3) \
         ON CONFLICT (document_id, generation) DO NOTHING",
    )
    .bind(document.to_string())
    .bind(i64::from(run))
    .bind(i64::from(version))
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// Removes a part of a document's dead chunks. Answers 0 when there was nothing left to do.
pub(super) async fn drop_dead(
    store: &Store,
    user: UserId,
    document: DocumentId,
) -> Result<usize, StoreError> {
    let written = store
        .writer()
        .write_for(user, "dead chunks", document, |tx, document| {
            Box::pin(async move {
                let row =
                    sqlx::query("SELECT generation, version FROM dead_chunks WHERE document_id = $1 LIMIT 1")
                        .bind(document.to_string())
                        .fetch_optional(&mut tx.conn)
                        .await?;
                let Some(row) = row else { return Ok(0) };
                let generation: i64 = row.try_get("generation")?;
                if row.try_get::<i64, _>("version")? > 0 {
                    versions::keep_part(tx, *document, generation, PART).await?;
                }
                let gone = remove(tx, *document, generation, 0).await?;
                if gone < PART {
                    sqlx::query("DELETE FROM dead_chunks WHERE document_id = $1 AND generation = $2")
                        .bind(document.to_string())
                        .bind(generation)
                        .execute(&mut tx.conn)
                        .await?;
                }
                Ok(gone.max(1))
            })
        })
        .await?;
    Ok(written.value)
}

/// Removes all dead chunks of these documents. The work itself is committed: what is left, `drop_dead_chunks` finds.
pub(crate) async fn drop_all_dead(store: &Store, user: UserId, documents: &[DocumentId]) {
    for &document in documents {
        loop {
            match drop_dead(store, user, document).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, document_id = %document, "dead chunks will be removed later");
                    break;
                }
            }
        }
    }
}

/// The same for whatever document has some.
pub(super) async fn drop_any_dead(store: &Store) -> Result<usize, StoreError> {
    let row = sqlx::query(
        "SELECT documents.id, documents.user_id FROM dead_chunks \
         JOIN documents ON documents.id = dead_chunks.document_id LIMIT 1",
    )
    .fetch_optional(store.readers())
    .await
    .map_err(Fault::from)?;
    let Some(row) = row else { return Ok(0) };
    let id = |column: &str| row.try_get::<&str, _>(column).map_err(Fault::from);
    let user = id("user_id")?.parse().map_err(Fault::corrupt)?;
    let document = id("id")?.parse().map_err(Fault::corrupt)?;
    drop_dead(store, user, document).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_cover_all_chunks_once_and_none_is_larger_than_a_part() {
        for n in [0, 1, PART - 1, PART, PART + 1, 2 * PART, 10 * PART + 7] {
            let starts: Vec<usize> = others(n).chain([last(n)]).collect();
            assert!(starts.windows(2).all(|w| w[1] - w[0] == PART), "{n}");
            assert!(n == 0 || (1..=PART).contains(&(n - last(n))), "{n}");
        }
    }
}
