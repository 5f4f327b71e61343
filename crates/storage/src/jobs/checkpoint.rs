//! A piece of finished work: its rows, its counts and its events, in one transaction, under the claim.

use super::{claim, known, lock_document, lock_job, parts, requests, rest, rows, tell, unread, versions};
use crate::{bulk, dims, fault::Fault, graph, index, pgvector, workspaces, writer::Tx};
use domain::{
    ChunkId, DocumentId, Timestamp,
    ingest::{self, Checkpoint, DocumentState, Failure, NewChunk},
    status::Processor,
};
use services::ports::{Claim, StoreError};
use sqlx::AssertSqlSafe;
use std::{borrow::Cow, collections::BTreeSet, ops::Range};

const CHUNK_COLUMNS: usize = 14;

/// Of many chunks only the last part is left to write, see [`parts`]. Answers the documents of which chunks are dead by
/// this.
pub(super) async fn commit(
    tx: &mut Tx,
    held: &Claim,
    checkpoint: &Checkpoint,
    now: Timestamp,
) -> Result<Vec<DocumentId>, Fault> {
    // Task, job, document: always in this order.
    // It keeps the task from others, as `held` does.
    let is_progress = !matches!(checkpoint, Checkpoint::Step { .. } | Checkpoint::Waits(_));
    claim::note_progress(tx, held, is_progress, now).await?;
    let mut job = lock_job(tx, held.job_id).await?.ok_or(StoreError::Fenced)?;
    let (mut document, _) = lock_document(tx, held.document_id).await?.ok_or(StoreError::Fenced)?;
    if *checkpoint == Checkpoint::Indexed && requests::is_cancelled(&job, &document) {
        // The end of the work honours what was asked: it does not become ready any more.
        claim::give_back(tx, held, Timestamp::default()).await?;
        return requests::honour_freed(tx, held.job_id, held.document_id, now).await;
    }
    let checkpoint = match checkpoint {
        Checkpoint::Embedded { vectors } => {
            let vectors = new_vectors(tx, &document, vectors).await?;
            let answered = vectors.first().map(|(_, vector)| u32::try_from(vector.len())).transpose();
            Cow::Owned(match other_length(tx, &document, answered.map_err(Fault::corrupt)?).await? {
                Some(failure) => Checkpoint::Failed(failure),
                None => Checkpoint::Embedded { vectors },
            })
        }
        // Copied first: which of them are still there is known only then.
        Checkpoint::Known { passages } => {
            // They are as long as those that the model answers.
            let answered = dims::of_model(tx, &job.config.embedding_model).await?;
            Cow::Owned(match other_length(tx, &document, answered).await? {
                Some(failure) => Checkpoint::Failed(failure),
                None => Checkpoint::Known { passages: known::copy_vectors(tx, &document, passages).await? },
            })
        }
        other => Cow::Borrowed(other),
    };
    let before = (job.clone(), document.clone());
    let ends = matches!(*checkpoint, Checkpoint::Indexed | Checkpoint::Failed(_) | Checkpoint::Waits(_));
    // Only the end of a document is held against what its workspace asks for by now.
    let wanted = if ends { workspaces::config(tx, held.workspace_id).await? } else { job.config.clone() };
    let mut told = ingest::advance(&mut job, &mut document, &checkpoint, &wanted, now)?;
    if *checkpoint == Checkpoint::Indexed && is_outdated(tx, &document).await? {
        // The model changed since they were made, and whoever marked such documents did not find this one yet.
        if let Some(indexed) = &mut document.indexed {
            indexed.say_other_length();
            document.document.indexed_with = indexed.indexed_with();
        }
        told.events.extend(ingest::compare(&mut document, &wanted, Processor::Builtin, now));
    }
    let mut dead = 0..0;
    match &*checkpoint {
        Checkpoint::Chunked { chunks } => {
            let from = parts::last(chunks.len());
            replace_chunks(tx, &document, &chunks[from..], parts::ordinals(chunks, from)).await?;
        }
        Checkpoint::Embedded { vectors } => insert_vectors(tx, vectors).await?,
        Checkpoint::Read { passage, graph, .. } => {
            unread::note(tx, &document, *passage, graph.as_ref()).await?
        }
        Checkpoint::Indexed => {
            let from = parts::last(usize::try_from(document.document.chunk_count).unwrap_or_default());
            index::add_text(tx, &document, from as i64..i64::MAX).await?;
            // What this run replaces, and what failed since.
            dead = before.1.live.max(1)..document.generation;
            if before.1.next.is_some() {
                versions::take_over(tx, &before.1, &document, now).await?;
                parts::retire(tx, held.document_id, before.1.live, before.1.document.version).await?;
            }
            index::raise_version(tx, held.workspace_id).await?;
            claim::end(tx, held, "done").await?;
        }
        Checkpoint::Waits(outage) => {
            claim::give_back(tx, held, ingest::waits_until(&document, outage)).await?;
        }
        Checkpoint::Failed(_) if ingest::waits_for_retry(&document) => {
            claim::give_back(tx, held, ingest::retries_at(&document, now)).await?;
        }
        Checkpoint::Failed(_) => {
            dead = parts::dead_by_failure(&document, before.1.stage);
            claim::end(tx, held, "failed").await?;
        }
        Checkpoint::Step { .. }
        | Checkpoint::Loaded { .. }
        | Checkpoint::Known { .. }
        | Checkpoint::Compared { .. }
        | Checkpoint::ByRules { .. } => {}
    }
    parts::bury(tx, held.document_id, dead.clone()).await?;
    rest::note(tx, (before.0.held_back, job.held_back), (before.1.held_back, document.held_back));
    if job != before.0 {
        rows::update_job(&mut tx.conn, &job).await?;
    }
    if document != before.1 {
        rows::update_document(&mut tx.conn, &document).await?;
    }
    tell(tx, held.user_id, held.workspace_id, told, now).await?;
    let mut buried =
        if ends { requests::honour_freed(tx, held.job_id, held.document_id, now).await? } else { vec![] };
    if !dead.is_empty() {
        buried.push(held.document_id);
    }
    Ok(buried)
}

/// What the document fails by when the vectors that come have another length than those that its run has.
async fn other_length(
    tx: &mut Tx,
    state: &DocumentState,
    answered: Option<u32>,
) -> Result<Option<Failure>, Fault> {
    let Some(answered) = answered else { return Ok(None) };
    let before = dims::of_run(tx, state.document.id, state.generation).await?;
    Ok(before.filter(|before| *before != answered).map(|before| ingest::other_length(answered, before)))
}

/// Whether the vectors of the document have another length than its model answers now.
async fn is_outdated(tx: &mut Tx, state: &DocumentState) -> Result<bool, Fault> {
    let Some(indexed) = state.indexed.as_ref().filter(|indexed| !indexed.model.is_empty()) else {
        return Ok(false);
    };
    let Some(now) = dims::of_model(tx, &indexed.model).await? else { return Ok(false) };
    let has = dims::of_run(tx, state.document.id, state.live).await?;
    Ok(has.is_some_and(|has| has != now))
}

/// Those of a batch that are really new, each once: of chunks that are there and have no vector yet. What was committed
/// before a takeover is neither stored nor counted twice.
async fn new_vectors(
    tx: &mut Tx,
    state: &DocumentState,
    vectors: &[(ChunkId, Vec<f32>)],
) -> Result<Vec<(ChunkId, Vec<f32>)>, Fault> {
    let mut wanted = BTreeSet::new();
    for part in bulk::parts(vectors, rows::PARAMETERS) {
        let sql = format!(
            "SELECT chunks.id FROM chunks LEFT JOIN chunk_vectors ON chunk_vectors.chunk_id = chunks.id \
             WHERE chunks.document_id = $1 AND chunks.generation = $2 AND chunk_vectors.chunk_id IS NULL \
             AND chunks.id IN ({})",
            bulk::list(3, part.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(state.document.id.to_string())
            .bind(i64::from(state.generation));
        for (id, _) in part {
            query = query.bind(id.to_string());
        }
        for row in query.fetch_all(&mut tx.conn).await? {
            wanted.insert(rows::parsed::<ChunkId>(&row, "id")?);
        }
    }
    Ok(vectors.iter().filter(|(id, _)| wanted.remove(id)).cloned().collect())
}

pub(super) async fn insert_vectors(tx: &mut Tx, vectors: &[(ChunkId, Vec<f32>)]) -> Result<(), Fault> {
    for part in bulk::parts(vectors, rows::PARAMETERS / 2) {
        let sql =
            format!("INSERT INTO chunk_vectors (chunk_id, vector) VALUES {}", bulk::rows(part.len(), 2));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (id, vector) in part {
            query = query.bind(id.to_string()).bind(index::vector_bytes(vector));
        }
        query.execute(&mut tx.conn).await?;
    }
    if tx.copies_vectors {
        pgvector::insert(&mut tx.conn, vectors).await?;
    }
    Ok(())
}

/// Chunks of this run over the document, in place of any that were there with these ordinals.
pub(super) async fn replace_chunks(
    tx: &mut Tx,
    state: &DocumentState,
    chunks: &[NewChunk],
    ordinals: Range<i64>,
) -> Result<(), Fault> {
    let (document, generation) = (state.document.id.to_string(), i64::from(state.generation));
    sqlx::query(
        "DELETE FROM chunks WHERE document_id = $1 AND generation = $2 AND ordinal >= $3 AND ordinal < $4",
    )
    .bind(document.as_str())
    .bind(generation)
    .bind(ordinals.start)
    .bind(ordinals.end)
    .execute(&mut tx.conn)
    .await?;
    for part in bulk::parts(chunks, rows::PARAMETERS / 16) {
        let sql = format!(
            "INSERT INTO chunks (id, document_id, generation, ordinal, text, content_hash, page, heading, char_start, \
             char_end, token_count, enabled, cut_hash, version) VALUES {}",
            bulk::rows(part.len(), CHUNK_COLUMNS)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for c in part {
            query = query
                .bind(c.id.to_string())
                .bind(document.clone())
                .bind(generation)
                .bind(i64::from(c.ordinal))
                .bind(c.text.clone())
                .bind(c.content_hash.clone())
                .bind(c.page.map(i64::from))
                .bind(c.heading.clone())
                .bind(rows::int(c.char_start))
                .bind(rows::int(c.char_end))
                .bind(i64::from(c.token_count))
                .bind(i64::from(c.enabled))
                .bind(c.cut_hash.clone())
                .bind(i64::from(state.run_version()));
        }
        query.execute(&mut tx.conn).await?;
    }
    graph::insert(tx, state.document.workspace_id, chunks.iter().map(|c| (c.id, &c.graph))).await
}
