//! The status interfaces that older clients poll, computed from the same rows as everything else.

use super::{
    AppState,
    extract::{Json, Params, PathId},
    problem::{ApiError, ApiResult},
    session::Allowed,
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{Document, DocumentId, DocumentStatus, Job, PhaseName, Problem, Step, Timestamp, WorkspaceId};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// Most documents of one question.
const MAX_IDS: usize = 100;

/// The newest job of a workspace, with its four phases in order.
#[utoipa::path(get, path = "/api/ingestion/kb/{id}/status", tag = "status", params(("id" = String, Path)),
    responses((status = 200, body = Job), (status = 401, body = Problem), (status = 404, body = Problem, description = "`no_job` when there was none")))]
pub async fn workspace_status(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
) -> ApiResult<Json<Job>> {
    Ok(Json(app.services().newest_job(who.user.id, id).await?))
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

/// How far one document is.
#[utoipa::path(get, path = "/v1/documents/{id}/status", tag = "status", params(("id" = String, Path)),
    responses((status = 200, body = DocumentProgress), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn document_status(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
) -> ApiResult<Json<DocumentProgress>> {
    Ok(Json(app.services().document(who.user.id, id).await?.into()))
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
    let ids: Vec<&str> =
        params.text("ids").unwrap_or_default().split(',').map(str::trim).filter(|s| !s.is_empty()).collect();
    if ids.is_empty() || ids.len() > MAX_IDS {
        return Err(ApiError::field("ids", format!("Name 1 to {MAX_IDS} documents.")));
    }
    let mut answer = DocumentsProgress { items: vec![], missing: vec![] };
    for text in ids {
        let found = match text.parse() {
            Ok(id) => app.services().document(who.user.id, id).await,
            Err(_) => Err(services::Error::NotFound("document")),
        };
        match found {
            Ok(document) => answer.items.push(document.into()),
            Err(services::Error::NotFound(_)) => answer.missing.push(text.chars().take(100).collect()),
            Err(e) => return Err(e.into()),
        }
    }
    let body = serde_json::to_vec(&answer).map_err(|_| ApiError::from(Problem::internal()))?;
    let tag = format!("W/\"{}\"", hex(&Sha256::digest(&body)[..16]));
    let same = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|t| t.trim() == tag || t.trim() == "*");
    let mut response = if same {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        super::bytes("application/json", body.into())
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
