//! Jobs, documents and chunks as rows: reading them into the types of `domain`, and writing them back.

use crate::{bulk, fault::Fault};
use domain::{
    Chunk, Document, DocumentId, Job, PhaseDetail, PhaseName, PhaseStatus, Timestamp,
    ingest::{DocumentState, JobState, Pace},
    rag::Fingerprint,
    status::Halt,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};
use std::{fmt::Display, str::FromStr};

pub(crate) const JOB: &str = "jobs.id, jobs.user_id, jobs.workspace_id, jobs.kind, jobs.attempt, jobs.status, \
    jobs.requested, jobs.phase, jobs.progress, jobs.message, jobs.error, jobs.metrics, jobs.phase_details, \
    jobs.estimate, jobs.event_at, jobs.held_back, jobs.cancel_removes, jobs.turn_at, jobs.priority, jobs.rev, jobs.created_at, jobs.started_at, jobs.completed_at, jobs.crawl, \
    COALESCE(jobs.rag_config, (SELECT w.rag_config FROM workspaces w WHERE w.id = jobs.workspace_id)) AS rag_config";

pub(crate) const DOCUMENT: &str = "documents.id, documents.workspace_id, documents.user_id, documents.job_id, \
    documents.filename, documents.mime_type, documents.size_bytes, documents.content_hash, documents.blob_key, \
    documents.status, documents.error, documents.error_code, documents.error_hint, documents.warnings, \
    documents.chunk_count, documents.progress, documents.step, documents.message, documents.metadata, \
    documents.attempt, documents.stale, documents.version, documents.stage, documents.embedded, documents.embeds, \
    documents.step_started_at, documents.event_at, documents.rev, documents.created_at, documents.updated_at, \
    documents.generation, documents.live, documents.live_chunks, documents.cut_with, documents.embedded_with, \
    documents.held_back, documents.requested, documents.paused, documents.reached, documents.failures, \
    documents.graphed, documents.next_version, documents.next_content, documents.enabled, documents.tags, \
    documents.found_since";
const DOCUMENT_COLUMNS: usize = 46;
/// Of a new task.
const TASK_COLUMNS: usize = 10;

pub(crate) const CHUNK: &str = "chunks.id, chunks.document_id, chunks.ordinal, chunks.text, chunks.page, \
    chunks.heading, chunks.char_start, chunks.char_end, chunks.token_count, chunks.enabled, \
    chunks.cut_hash, chunks.version";

/// Parameters of one statement, about.
pub(super) const PARAMETERS: usize = 512;

pub(crate) fn parsed<T: FromStr<Err: Display>>(row: &AnyRow, column: &str) -> Result<T, Fault> {
    row.try_get::<&str, _>(column)?.parse().map_err(|e| Fault::corrupt(format!("{column}: {e}")))
}

pub(super) fn maybe_parsed<T: FromStr<Err: Display>>(row: &AnyRow, column: &str) -> Result<Option<T>, Fault> {
    row.try_get::<Option<String>, _>(column)?
        .map(|text| text.parse().map_err(|e| Fault::corrupt(format!("{column}: {e}"))))
        .transpose()
}

fn json<T: DeserializeOwned>(row: &AnyRow, column: &str) -> Result<T, Fault> {
    serde_json::from_str(row.try_get::<&str, _>(column)?)
        .map_err(|e| Fault::corrupt(format!("{column}: {e}")))
}

pub(crate) fn number<T: TryFrom<i64>>(row: &AnyRow, column: &str) -> Result<T, Fault> {
    T::try_from(row.try_get::<i64, _>(column)?).map_err(|_| Fault::corrupt(column))
}

pub(super) fn maybe_number<T: TryFrom<i64>>(row: &AnyRow, column: &str) -> Result<Option<T>, Fault> {
    row.try_get::<Option<i64>, _>(column)?
        .map(|n| T::try_from(n).map_err(|_| Fault::corrupt(column)))
        .transpose()
}

fn moment(row: &AnyRow, column: &str) -> Result<Timestamp, Fault> {
    Ok(Timestamp::from_micros(row.try_get(column)?))
}

fn maybe_moment(row: &AnyRow, column: &str) -> Result<Option<Timestamp>, Fault> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_micros))
}

/// A count as a column keeps it. No real one is out of its range.
pub(super) fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A phase as its row keeps it. The progress is a text: JSON numbers do not read back to the last bit, and a bar must
/// not fall by even that.
#[derive(Serialize, Deserialize)]
struct PhaseRow {
    name: PhaseName,
    status: PhaseStatus,
    progress: String,
    items_processed: u64,
    items_total: u64,
    #[serde(default)]
    items_reused: u64,
    started_at: Option<i64>,
    completed_at: Option<i64>,
    error: Option<String>,
    // Rows of older jobs have none. A text, as the progress is.
    #[serde(default)]
    rate: Option<String>,
    #[serde(default)]
    eta_seconds: Option<u64>,
}

impl From<&PhaseDetail> for PhaseRow {
    fn from(p: &PhaseDetail) -> Self {
        Self {
            name: p.name,
            status: p.status,
            progress: p.progress.to_string(),
            items_processed: p.items_processed,
            items_total: p.items_total,
            items_reused: p.items_reused,
            started_at: p.started_at.map(Timestamp::micros),
            completed_at: p.completed_at.map(Timestamp::micros),
            error: p.error.clone(),
            rate: p.rate.map(|rate| rate.to_string()),
            eta_seconds: p.eta_seconds,
        }
    }
}

impl TryFrom<PhaseRow> for PhaseDetail {
    type Error = Fault;

    fn try_from(p: PhaseRow) -> Result<Self, Fault> {
        Ok(Self {
            name: p.name,
            status: p.status,
            progress: p.progress.parse().map_err(Fault::corrupt)?,
            items_processed: p.items_processed,
            items_total: p.items_total,
            items_reused: p.items_reused,
            started_at: p.started_at.map(Timestamp::from_micros),
            completed_at: p.completed_at.map(Timestamp::from_micros),
            error: p.error,
            rate: p.rate.map(|rate| rate.parse().map_err(Fault::corrupt)).transpose()?,
            eta_seconds: p.eta_seconds,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Estimate {
    rate: Option<f64>,
    eta_seconds: Option<u64>,
    #[serde(default)]
    halted: Option<Halt>,
    #[serde(default)]
    pace: Pace,
}

/// A job, without its place in the queue.
pub(crate) fn job(row: &AnyRow) -> Result<JobState, Fault> {
    let estimate: Estimate = json(row, "estimate")?;
    let phases: Vec<PhaseRow> = json(row, "phase_details")?;
    let job = Job {
        job_id: parsed(row, "id")?,
        kind: parsed(row, "kind")?,
        kb_id: parsed(row, "workspace_id")?,
        user_id: parsed(row, "user_id")?,
        attempt: number(row, "attempt")?,
        status: parsed(row, "status")?,
        requested: maybe_parsed(row, "requested")?,
        phase: parsed(row, "phase")?,
        progress: row.try_get("progress")?,
        message: row.try_get("message")?,
        error: row.try_get("error")?,
        metrics: json(row, "metrics")?,
        queue_position: None,
        priority: parsed(row, "priority")?,
        rate: estimate.rate,
        eta_seconds: estimate.eta_seconds,
        halted: estimate.halted,
        rev: number(row, "rev")?,
        created_at: moment(row, "created_at")?,
        started_at: maybe_moment(row, "started_at")?,
        completed_at: maybe_moment(row, "completed_at")?,
        phase_details: phases.into_iter().map(PhaseDetail::try_from).collect::<Result<_, _>>()?,
        crawl: row
            .try_get::<Option<String>, _>("crawl")?
            .map(|text| serde_json::from_str(&text))
            .transpose()?,
    };
    // Without its workspace it indexes nothing any more.
    let config: Option<String> = row.try_get("rag_config")?;
    let config = config.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default();
    let held_back = row.try_get::<i64, _>("held_back")? != 0;
    Ok(JobState {
        job,
        config,
        event_at: moment(row, "event_at")?,
        held_back,
        cancel_removes: row.try_get::<i64, _>("cancel_removes")? != 0,
        turn_at: moment(row, "turn_at")?,
        pace: estimate.pace,
    })
}

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

pub(super) fn json_text(value: &impl Serialize) -> Result<String, Fault> {
    Ok(serde_json::to_string(value)?)
}

fn phases_text(job: &Job) -> Result<String, Fault> {
    json_text(&job.phase_details.iter().map(PhaseRow::from).collect::<Vec<_>>())
}

fn estimate_text(state: &JobState) -> Result<String, Fault> {
    let job = &state.job;
    json_text(&Estimate {
        rate: job.rate,
        eta_seconds: job.eta_seconds,
        halted: job.halted,
        pace: state.pace,
    })
}

/// Answers false when the user made a job with that command before.
pub(crate) async fn insert_job(
    conn: &mut AnyConnection,
    state: &JobState,
    command_id: Option<&str>,
) -> Result<bool, Fault> {
    let job = &state.job;
    let inserted = sqlx::query(
        "INSERT INTO jobs (id, user_id, workspace_id, kind, attempt, status, requested, phase, progress, message, \
         error, metrics, phase_details, estimate, event_at, rev, created_at, started_at, completed_at, command_id, \
         rag_config, crawl, turn_at, priority) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, \
         $23, $24) \
         ON CONFLICT (user_id, command_id) DO NOTHING",
    )
    .bind(job.job_id.to_string())
    .bind(job.user_id.to_string())
    .bind(job.kb_id.to_string())
    .bind(job.kind.as_str())
    .bind(i64::from(job.attempt))
    .bind(job.status.as_str())
    .bind(job.requested.map(|r| r.as_str()))
    .bind(job.phase.as_str())
    .bind(job.progress)
    .bind(job.message.as_str())
    .bind(job.error.as_deref())
    .bind(json_text(&job.metrics)?)
    .bind(phases_text(job)?)
    .bind(estimate_text(state)?)
    .bind(state.event_at.micros())
    .bind(int(job.rev))
    .bind(job.created_at.micros())
    .bind(job.started_at.map(Timestamp::micros))
    .bind(job.completed_at.map(Timestamp::micros))
    .bind(command_id)
    .bind(json_text(&state.config)?)
    .bind(job.crawl.as_ref().map(json_text).transpose()?)
    .bind(state.turn_at.micros())
    .bind(job.priority.as_str())
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// Writes what may have changed. `rev` is written by the writer, with the seq of the event.
pub(crate) async fn update_job(conn: &mut AnyConnection, state: &JobState) -> Result<(), Fault> {
    let job = &state.job;
    sqlx::query(
        "UPDATE jobs SET attempt = $2, status = $3, requested = $4, phase = $5, progress = $6, message = $7, \
         error = $8, metrics = $9, phase_details = $10, estimate = $11, event_at = $12, started_at = $13, \
         completed_at = $14, held_back = $15, cancel_removes = $16, crawl = $17 WHERE id = $1",
    )
    .bind(job.job_id.to_string())
    .bind(i64::from(job.attempt))
    .bind(job.status.as_str())
    .bind(job.requested.map(|r| r.as_str()))
    .bind(job.phase.as_str())
    .bind(job.progress)
    .bind(job.message.as_str())
    .bind(job.error.as_deref())
    .bind(json_text(&job.metrics)?)
    .bind(phases_text(job)?)
    .bind(estimate_text(state)?)
    .bind(state.event_at.micros())
    .bind(job.started_at.map(Timestamp::micros))
    .bind(job.completed_at.map(Timestamp::micros))
    .bind(i64::from(state.held_back))
    .bind(i64::from(state.cancel_removes))
    .bind(job.crawl.as_ref().map(json_text).transpose()?)
    .execute(conn)
    .await?;
    Ok(())
}

/// New documents, each with the key of its file.
pub(super) async fn insert_documents(
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

/// The tasks of the job's present attempt, each with its place.
pub(super) async fn insert_tasks(
    conn: &mut AnyConnection,
    state: &JobState,
    placed: &[(i64, DocumentId)],
) -> Result<(), Fault> {
    let job = &state.job;
    for part in bulk::parts(placed, PARAMETERS / 16) {
        let sql = format!(
            "INSERT INTO tasks (job_id, attempt, document_id, place, user_id, turn_at, status, owner, \
             lease_until, fence) VALUES {}",
            bulk::rows(part.len(), TASK_COLUMNS)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (place, document) in part {
            query = query
                .bind(job.job_id.to_string())
                .bind(i64::from(job.attempt))
                .bind(document.to_string())
                .bind(*place)
                .bind(job.user_id.to_string())
                .bind(state.turn_at.micros())
                .bind("pending")
                .bind(None::<String>)
                .bind(0i64)
                .bind(0i64);
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

/// Writes what work may have changed. `rev` is written by the writer, with the seq of the event; what the content is says
/// `versions::take_over`.
pub(super) async fn update_document(conn: &mut AnyConnection, state: &DocumentState) -> Result<(), Fault> {
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
    fn a_phase_reads_back_to_the_last_bit() {
        for progress in [0.1 + 0.2, 100.0 / 3.0, 99.999_999_999_999_99, 5e-324, 0.0, 100.0] {
            let phase = PhaseDetail { progress, ..PhaseDetail::pending(PhaseName::Chunking) };
            let text = serde_json::to_string(&PhaseRow::from(&phase)).unwrap();
            let row: PhaseRow = serde_json::from_str(&text).unwrap();
            assert_eq!(PhaseDetail::try_from(row).unwrap().progress.to_bits(), progress.to_bits());
        }
    }

    #[test]
    fn every_column_of_a_document_has_its_parameter() {
        assert_eq!(DOCUMENT.matches("documents.").count(), DOCUMENT_COLUMNS);
    }
}
