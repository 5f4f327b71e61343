//! The status interfaces that older clients poll, computed from the same rows as everything else.

use super::{
    AppState,
    extract::{Params, PathId},
    problem::{ApiError, ApiResult},
    session::Allowed,
    tagged::tagged,
};
use axum::{extract::State, response::Response};
use domain::{
    Document, DocumentId, DocumentStatus, Job, JobId, PhaseName, Problem, Step, Timestamp, UserId,
    WorkspaceId, message,
};
use http::HeaderMap;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};
use utoipa::ToSchema;

/// Most documents of one question.
const MAX_IDS: usize = 100;

/// The newest job of a workspace, with its four phases in order.
#[utoipa::path(get, path = "/api/ingestion/kb/{id}/status", tag = "status",
    params(("id" = String, Path), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = Job), (status = 304), (status = 401, body = Problem), (status = 404, body = Problem, description = "`no_job` when there was none")))]
pub async fn workspace_status(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    tagged(&headers, &app.services().newest_job(who.user.id, id).await?)
}

/// What a poller reads.
#[derive(Serialize, ToSchema)]
pub struct DocumentProgress {
    document_id: DocumentId,
    processing_status: ProcessingStatus,
    #[schema(value_type = String, example = "creating_embeddings")]
    processing_step: Step,
    /// The fixed percentage of the step.
    progress_percentage: u8,
    status_message: String,
    updated_at: Timestamp,
    /// `chunks_created`, and what else is known.
    #[schema(value_type = Object)]
    status_metadata: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProcessingStatus {
    Processing,
    Completed,
    Failed,
}

#[derive(Serialize, ToSchema)]
pub struct DocumentsProgress {
    items: Vec<DocumentProgress>,
    /// Ids that are not there, or not yours.
    missing: Vec<String>,
}

impl From<Document> for DocumentProgress {
    fn from(d: Document) -> Self {
        let step = step_of(&d);
        let processing_status = match d.status {
            DocumentStatus::Pending | DocumentStatus::Processing => ProcessingStatus::Processing,
            DocumentStatus::Ready => ProcessingStatus::Completed,
            DocumentStatus::Failed => ProcessingStatus::Failed,
        };
        let mut metadata = match d.metadata {
            Value::Object(map) => map,
            _ => serde_json::Map::new(),
        };
        metadata.insert("chunks_created".to_owned(), json!(d.chunk_count));
        if let Some(code) = &d.error_code {
            metadata.insert("error_code".to_owned(), json!(code));
        }
        let message = d.error.or(d.message);
        Self {
            document_id: d.id,
            processing_status,
            progress_percentage: if d.status == DocumentStatus::Pending {
                0
            } else {
                step.percent().unwrap_or(0)
            },
            status_message: message.unwrap_or_else(|| default_message(processing_status).to_owned()),
            processing_step: step,
            updated_at: d.updated_at,
            status_metadata: Value::Object(metadata),
        }
    }
}

/// One of the six steps of an upload: the friendly steps between them count to the phase that they belong to.
fn step_of(d: &Document) -> Step {
    if d.status == DocumentStatus::Ready {
        return Step::Finished;
    }
    match &d.step {
        Some(step) if step.percent().is_some() => step.clone(),
        Some(Step::Extracting) => Step::ExtractingText,
        Some(step) => match step.phase() {
            Some(PhaseName::Chunking) => Step::ChunkingText,
            Some(PhaseName::Embedding) => Step::CreatingEmbeddings,
            Some(PhaseName::Indexing) => Step::StoringMetadata,
            Some(PhaseName::Loading) | None => Step::Validating,
        },
        None => Step::Validating,
    }
}

const fn default_message(status: ProcessingStatus) -> &'static str {
    match status {
        ProcessingStatus::Processing => "Waiting for its turn.",
        ProcessingStatus::Completed => "Upload completed successfully.",
        ProcessingStatus::Failed => "This document could not be processed.",
    }
}

/// How far a document is; while it waits, with what it waits for. `waits` keeps that of the jobs that were looked at.
async fn progress_of(
    app: &AppState,
    user: UserId,
    id: DocumentId,
    waits: &mut BTreeMap<JobId, Option<String>>,
) -> services::Result<DocumentProgress> {
    let document = app.services().document(user, id).await?;
    let waiting = document.job_id.filter(|_| document.status == DocumentStatus::Pending);
    let mut progress = DocumentProgress::from(document);
    if let Some(job) = waiting {
        let known = match waits.entry(job) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(match app.services().job(user, job).await {
                Ok(job) => job
                    .queue_position
                    .filter(|&n| n > 0)
                    .map(|n| format!("Waiting behind {}.", message::count(n, "other job", "other jobs"))),
                // It may have gone in between.
                Err(services::Error::NotFound(_)) => None,
                Err(e) => return Err(e),
            }),
        };
        if let Some(sentence) = known {
            progress.status_message.clone_from(sentence);
        }
    }
    Ok(progress)
}

/// How far one document is.
#[utoipa::path(get, path = "/v1/documents/{id}/status", tag = "status",
    params(("id" = String, Path), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = DocumentProgress), (status = 304), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn document_status(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let told = progress_of(&app, who.user.id, id, &mut BTreeMap::new()).await?;
    tagged(&headers, &told)
}

/// How far up to a hundred documents are. Answers 304 to a poller whose answer would be the same.
#[utoipa::path(get, path = "/v1/documents/status", tag = "status",
    params(("ids" = String, Query, description = "at most 100, with commas between"), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = DocumentsProgress), (status = 304), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub async fn document_statuses(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    headers: HeaderMap,
    params: Params,
) -> ApiResult<Response> {
    let mut ids: Vec<&str> =
        params.text("ids").unwrap_or_default().split(',').map(str::trim).filter(|s| !s.is_empty()).collect();
    if ids.is_empty() || ids.len() > MAX_IDS {
        return Err(ApiError::field("ids", format!("Name 1 to {MAX_IDS} documents.")));
    }
    // Asked for twice, told once.
    let mut seen = BTreeSet::new();
    ids.retain(|id| seen.insert(*id));
    let mut answer = DocumentsProgress { items: vec![], missing: vec![] };
    let mut places = BTreeMap::new();
    for text in ids {
        let found = match text.parse() {
            Ok(id) => progress_of(&app, who.user.id, id, &mut places).await,
            Err(_) => Err(services::Error::NotFound("document")),
        };
        match found {
            Ok(progress) => answer.items.push(progress),
            Err(services::Error::NotFound(_)) => answer.missing.push(text.chars().take(100).collect()),
            Err(e) => return Err(e.into()),
        }
    }
    tagged(&headers, &answer)
}
