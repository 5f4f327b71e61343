//! Jobs, documents and chunks as rows: reading them into the types of `domain`, and writing them back. Here are their
//! columns, and how a column is read.

mod documents;
mod jobs;

pub(crate) use documents::{chunk, document};
pub(super) use documents::{insert_documents, update_document};
pub(super) use jobs::insert_tasks;
pub(crate) use jobs::{insert_job, job, update_job};

use crate::fault::Fault;
use domain::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Row, any::AnyRow};
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

pub(super) fn json_text(value: &impl Serialize) -> Result<String, Fault> {
    Ok(serde_json::to_string(value)?)
}
