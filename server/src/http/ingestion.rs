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
    Document, DocumentId, DocumentStatus, Job, JobId, JobStatus, Problem, Step, Timestamp, UserId,
    WorkspaceId, ingest, message,
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

impl DocumentProgress {
    /// `job` is the document's current job, where it says more than the document does.
    fn new(d: Document, job: Option<&Job>) -> Self {
        let step = ingest::fixed_step(&d);
        let processing_status = match d.status {
            DocumentStatus::Pending | DocumentStatus::Processing => ProcessingStatus::Processing,
            DocumentStatus::Ready => ProcessingStatus::Completed,
            DocumentStatus::Failed => ProcessingStatus::Failed,
        };
        // One that waits has nothing behind it yet, unless an earlier attempt or its worker left something.
        let is_untouched = d.status == DocumentStatus::Pending && d.progress <= 0.0;
        let progress_percentage = if is_untouched { 0 } else { step.percent().unwrap_or(0) };
        let status_message = said(&d, job).unwrap_or_else(|| default_message(processing_status).to_owned());
        let mut metadata = match d.metadata {
            Value::Object(map) => map,
            _ => serde_json::Map::new(),
        };
        metadata.insert("chunks_created".to_owned(), json!(d.chunk_count));
        if let Some(code) = &d.error_code {
            metadata.insert("error_code".to_owned(), json!(code));
        }
        Self {
            document_id: d.id,
            processing_status,
            processing_step: step,
            progress_percentage,
            status_message,
            updated_at: d.updated_at,
            status_metadata: Value::Object(metadata),
        }
    }
}

/// What is told of it: that nothing moves, and why, goes before what was going on. In the order of the row on the screen,
/// with its badge.
fn said(d: &Document, job: Option<&Job>) -> Option<String> {
    if !d.is_unfinished() {
        return d.error.clone().or_else(|| d.message.clone());
    }
    let held = d.held_up().or(d.stopping()).map(str::to_owned);
    let behind = || {
        let waiting = job.filter(|_| d.status == DocumentStatus::Pending)?;
        let ahead = waiting.queue_position.filter(|&n| n > 0)?;
        Some(format!("Waiting behind {}.", message::count(ahead, "other job", "other jobs")))
    };
    let paused = || job.filter(|job| job.status == JobStatus::Paused).map(|job| job.message.clone());
    paused()
        .or_else(|| d.paused().map(str::to_owned))
        .or(held)
        .or_else(behind)
        .or_else(|| d.error.clone())
        .or_else(|| d.message.clone())
        // Its worker need not say at what it is.
        .or_else(|| (d.status == DocumentStatus::Processing).then(|| "It is being processed.".to_owned()))
}

const fn default_message(status: ProcessingStatus) -> &'static str {
    match status {
        ProcessingStatus::Processing => "Waiting for its turn.",
        ProcessingStatus::Completed => "Upload completed successfully.",
        ProcessingStatus::Failed => "This document could not be processed.",
    }
}

/// How far a document is; while it is not through, with what its job says. `jobs` keeps those that were looked at.
async fn progress_of(
    app: &AppState,
    user: UserId,
    id: DocumentId,
    jobs: &mut BTreeMap<JobId, Option<Job>>,
) -> services::Result<DocumentProgress> {
    let document = app.services().document(user, id).await?;
    let Some(job) = document.job_id.filter(|_| document.is_unfinished()) else {
        return Ok(DocumentProgress::new(document, None));
    };
    let job = match jobs.entry(job) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(free) => free.insert(match app.services().job(user, job).await {
            Ok(job) => Some(job),
            // It may have gone in between.
            Err(services::Error::NotFound(_)) => None,
            Err(e) => return Err(e),
        }),
    };
    Ok(DocumentProgress::new(document, job.as_ref()))
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
    let ids: Vec<&str> =
        params.text("ids").unwrap_or_default().split(',').map(str::trim).filter(|s| !s.is_empty()).collect();
    if ids.is_empty() || ids.len() > MAX_IDS {
        return Err(ApiError::field("ids", format!("Name 1 to {MAX_IDS} documents.")));
    }
    // Asked for twice, told once, however the id is written.
    let (mut seen, mut seen_texts) = (BTreeSet::new(), BTreeSet::new());
    let mut answer = DocumentsProgress { items: vec![], missing: vec![] };
    let mut jobs = BTreeMap::new();
    for text in ids {
        let id = text.parse::<DocumentId>().ok();
        if !id.map_or_else(|| seen_texts.insert(text), |id| seen.insert(id)) {
            continue;
        }
        let found = match id {
            Some(id) => progress_of(&app, who.user.id, id, &mut jobs).await,
            None => Err(services::Error::NotFound("document")),
        };
        match found {
            Ok(progress) => answer.items.push(progress),
            Err(services::Error::NotFound(_)) => answer.missing.push(text.chars().take(100).collect()),
            Err(e) => return Err(e.into()),
        }
    }
    tagged(&headers, &answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        ingest::Upload,
        rag::RagConfig,
        resource::{INTERRUPTED, PAUSED, RETRYING, STALLED, STOPPING, WAITING, Warning},
        status::JobKind,
    };
    use uuid::Uuid;

    fn waiting() -> (Job, Document) {
        let upload = Upload {
            id: DocumentId::new(Uuid::from_u128(1)),
            filename: "a.txt".into(),
            mime_type: "text/plain".into(),
            size_bytes: 9,
            content_hash: "00".into(),
        };
        let (job, user) = (JobId::new(Uuid::from_u128(2)), UserId::new(Uuid::from_u128(3)));
        let workspace = WorkspaceId::new(Uuid::from_u128(4));
        let now = Timestamp::default();
        let (job, mut documents, _) =
            ingest::create(job, JobKind::Upload, user, workspace, &[upload], &RagConfig::default(), now);
        (job.job, documents.remove(0).document)
    }

    fn told(d: &Document, job: &Job) -> String {
        DocumentProgress::new(d.clone(), Some(job)).status_message
    }

    #[test]
    fn what_stands_in_the_way_is_told_and_not_what_went_on_before() {
        let (mut job, mut d) = waiting();
        d.status = DocumentStatus::Processing;
        d.message = Some("Reading the text of a.txt…".into());
        job.status = JobStatus::Running;
        assert_eq!(told(&d, &job), "Reading the text of a.txt…");
        let said = d.message.take();
        assert_eq!(told(&d, &job), "It is being processed.");
        d.message = said;
        // From what is said last to what is said first.
        for code in [STOPPING, WAITING, RETRYING, INTERRUPTED, STALLED, PAUSED] {
            d.warnings.push(Warning { code: code.to_owned(), message: format!("It is {code}.") });
            assert_eq!(told(&d, &job), format!("It is {code}."));
        }
        job.status = JobStatus::Paused;
        job.message = "Paused at 40 %".into();
        assert_eq!(told(&d, &job), "Paused at 40 %");
        d.status = DocumentStatus::Failed;
        d.error = Some("No text was found in this file.".into());
        assert_eq!(told(&d, &job), "No text was found in this file.");
    }

    #[test]
    fn one_that_waits_says_behind_how_many() {
        let (mut job, mut d) = waiting();
        assert_eq!(told(&d, &job), "Waiting for its turn.");
        job.queue_position = Some(1);
        assert_eq!(told(&d, &job), "Waiting behind 1 other job.");
        assert_eq!(DocumentProgress::new(d.clone(), Some(&job)).progress_percentage, 0);
        // What it was through with before it waited again is not taken back.
        d.progress = 60.0;
        assert_eq!(DocumentProgress::new(d, Some(&job)).progress_percentage, 50);
    }
}
