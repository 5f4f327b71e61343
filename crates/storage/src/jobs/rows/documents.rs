//! Documents and their chunks.

use super::{
    DOCUMENT, DOCUMENT_COLUMNS, PARAMETERS, int, json, json_text, maybe_number, maybe_parsed, moment, number,
    parsed,
};
use crate::{bulk, fault::Fault};
use domain::{Chunk, Document, ingest::DocumentState, rag::Fingerprint};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};

pub(crate) fn document(row: &AnyRow) -> Result<DocumentState, Fault> {
    let live: u32 = number(row, "live")?;
    let indexed = (live > 0)
        .then(|| {
            Ok::<_, Fault>(Fingerprint {
                cut: row.try_get("cut_with")?,
                model: row.try_get("embedded_with")?,
                graph: row.try_get::<i64, _>("graphed")? != 0,
            })
        })
        .transpose()?;
    let document = Document {
        id: parsed(row, "id")?,
        workspace_id: parsed(row, "workspace_id")?,
        user_id: parsed(row, "user_id")?,
        job_id: maybe_parsed(row, "job_id")?,
        filename: row.try_get("filename")?,
        mime_type: row.try_get("mime_type")?,
        size_bytes: number(row, "size_bytes")?,
        content_hash: row.try_get("content_hash")?,
        status: parsed(row, "status")?,
        error: row.try_get("error")?,
        error_code: row.try_get("error_code")?,
        error_hint: row.try_get("error_hint")?,
        warnings: json(row, "warnings")?,
        chunk_count: number(row, "chunk_count")?,
        progress: row.try_get("progress")?,
        step: maybe_parsed(row, "step")?,
        message: row.try_get("message")?,
        metadata: json(row, "metadata")?,
        attempt: number(row, "attempt")?,
        stale: row.try_get::<i64, _>("stale")? != 0,
        indexed_with: indexed.as_ref().and_then(Fingerprint::indexed_with),
        version: number(row, "version")?,
        next_version: maybe_number(row, "next_version")?,
        enabled: row.try_get::<i64, _>("enabled")? != 0,
        tags: json(row, "tags")?,
        rev: number(row, "rev")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    };
    Ok(DocumentState {
        document,
        stage: parsed(row, "stage")?,
        embedded: number(row, "embedded")?,
        embeds: row.try_get::<i64, _>("embeds")? != 0,
        generation: number(row, "generation")?,
        live,
        live_chunks: number(row, "live_chunks")?,
        found_since: maybe_number(row, "found_since")?,
        indexed,
        step_started_at: moment(row, "step_started_at")?,
        event_at: moment(row, "event_at")?,
        held_back: row.try_get::<i64, _>("held_back")? != 0,
        requested: maybe_parsed(row, "requested")?,
        paused: row.try_get::<i64, _>("paused")? != 0,
        reached: parsed(row, "reached")?,
        failures: json(row, "failures")?,
        next: row
            .try_get::<Option<String>, _>("next_content")?
            .map(|text| serde_json::from_str(&text))
            .transpose()?,
    })
}

pub(crate) fn chunk(row: &AnyRow) -> Result<Chunk, Fault> {
    Ok(Chunk {
        id: parsed(row, "id")?,
        document_id: parsed(row, "document_id")?,
        ordinal: number(row, "ordinal")?,
        text: row.try_get("text")?,
        page: maybe_number(row, "page")?,
        heading: row.try_get("heading")?,
        char_start: number(row, "char_start")?,
        char_end: number(row, "char_end")?,
        token_count: number(row, "token_count")?,
        enabled: row.try_get::<i64, _>("enabled")? != 0,
        edited: row.try_get::<Option<String>, _>("cut_hash")?.is_some(),
        version: number(row, "version")?,
    })
}

fn cut_with(state: &DocumentState) -> &str {
    state.indexed.as_ref().map_or("", |indexed| &indexed.cut)
}

fn embedded_with(state: &DocumentState) -> &str {
    state.indexed.as_ref().map_or("", |indexed| &indexed.model)
}

/// Whether there is a graph of its passages: 1 or 0.
fn graphed(state: &DocumentState) -> i64 {
    i64::from(state.indexed.as_ref().is_some_and(|indexed| indexed.graph))
}

/// New documents, each with the key of its file.
pub(in crate::jobs) async fn insert_documents(
    conn: &mut AnyConnection,
    documents: &[(&DocumentState, &str)],
) -> Result<(), Fault> {
    for part in bulk::parts(documents, PARAMETERS / 32) {
        let columns = DOCUMENT.replace("documents.", "");
        let values = bulk::rows(part.len(), DOCUMENT_COLUMNS);
        let mut query =
            sqlx::query(AssertSqlSafe(format!("INSERT INTO documents ({columns}) VALUES {values}")));
        for (state, blob_key) in part {
            let d = &state.document;
            query = query
                .bind(d.id.to_string())
                .bind(d.workspace_id.to_string())
                .bind(d.user_id.to_string())
                .bind(d.job_id.map(|id| id.to_string()))
                .bind(d.filename.clone())
                .bind(d.mime_type.clone())
                .bind(int(d.size_bytes))
                .bind(d.content_hash.clone())
                .bind((*blob_key).to_owned())
                .bind(d.status.as_str())
                .bind(d.error.clone())
                .bind(d.error_code.clone())
                .bind(d.error_hint.clone())
                .bind(json_text(&d.warnings)?)
                .bind(int(d.chunk_count))
                .bind(d.progress)
                .bind(d.step.as_ref().map(|s| s.as_str().to_owned()))
                .bind(d.message.clone())
                .bind(json_text(&d.metadata)?)
                .bind(i64::from(d.attempt))
                .bind(i64::from(d.stale))
                .bind(i64::from(d.version))
                .bind(state.stage.as_str())
                .bind(int(state.embedded))
                .bind(i64::from(state.embeds))
                .bind(state.step_started_at.micros())
                .bind(state.event_at.micros())
                .bind(int(d.rev))
                .bind(d.created_at.micros())
                .bind(d.updated_at.micros())
                .bind(i64::from(state.generation))
                .bind(i64::from(state.live))
                .bind(int(state.live_chunks))
                .bind(cut_with(state).to_owned())
                .bind(embedded_with(state).to_owned())
                .bind(i64::from(state.held_back))
                .bind(state.requested.map(|r| r.as_str()))
                .bind(i64::from(state.paused))
                .bind(state.reached.as_str())
                .bind(json_text(&state.failures)?)
                .bind(graphed(state))
                .bind(d.next_version.map(i64::from))
                .bind(state.next.as_ref().map(json_text).transpose()?)
                .bind(i64::from(d.enabled))
                .bind(json_text(&d.tags)?)
                .bind(state.found_since.map(i64::from));
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

/// Writes what work may have changed. `rev` is written by the writer, with the seq of the event; what the content is says
/// `versions::take_over`.
pub(in crate::jobs) async fn update_document(
    conn: &mut AnyConnection,
    state: &DocumentState,
) -> Result<(), Fault> {
    let d = &state.document;
    sqlx::query(
        "UPDATE documents SET job_id = $2, status = $3, error = $4, error_code = $5, error_hint = $6, warnings = $7, \
         chunk_count = $8, progress = $9, step = $10, message = $11, metadata = $12, attempt = $13, stale = $14, \
         version = $15, stage = $16, embedded = $17, embeds = $18, step_started_at = $19, event_at = $20, \
         updated_at = $21, generation = $22, live = $23, live_chunks = $24, cut_with = $25, embedded_with = $26, \
         held_back = $27, requested = $28, paused = $29, reached = $30, failures = $31, graphed = $32, \
         next_version = $33, next_content = $34, found_since = $35 WHERE id = $1",
    )
    .bind(d.id.to_string())
    .bind(d.job_id.map(|id| id.to_string()))
    .bind(d.status.as_str())
    .bind(d.error.as_deref())
    .bind(d.error_code.as_deref())
    .bind(d.error_hint.as_deref())
    .bind(json_text(&d.warnings)?)
    .bind(int(d.chunk_count))
    .bind(d.progress)
    .bind(d.step.as_ref().map(|s| s.as_str()))
    .bind(d.message.as_deref())
    .bind(json_text(&d.metadata)?)
    .bind(i64::from(d.attempt))
    .bind(i64::from(d.stale))
    .bind(i64::from(d.version))
    .bind(state.stage.as_str())
    .bind(int(state.embedded))
    .bind(i64::from(state.embeds))
    .bind(state.step_started_at.micros())
    .bind(state.event_at.micros())
    .bind(d.updated_at.micros())
    .bind(i64::from(state.generation))
    .bind(i64::from(state.live))
    .bind(int(state.live_chunks))
    .bind(cut_with(state))
    .bind(embedded_with(state))
    .bind(i64::from(state.held_back))
    .bind(state.requested.map(|r| r.as_str()))
    .bind(i64::from(state.paused))
    .bind(state.reached.as_str())
    .bind(json_text(&state.failures)?)
    .bind(graphed(state))
    .bind(d.next_version.map(i64::from))
    .bind(state.next.as_ref().map(json_text).transpose()?)
    .bind(state.found_since.map(i64::from))
    .execute(conn)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_of_a_document_has_its_parameter() {
        assert_eq!(DOCUMENT.matches("documents.").count(), DOCUMENT_COLUMNS);
    }
}
