//! Pausing, resuming, cancelling and retrying over REST. Each answers 202 with the job as it is then: what a worker has
//! in hand it gives back at its next gate, and the stream tells when.

use super::{
    AppState,
    extract::{CommandId, Json, MaybeJson, PathId},
    problem::{ApiError, ApiResult},
    session::Allowed,
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{
    DocumentId, FieldErrors, Job, JobId, PhaseName, Problem,
    ingest::control::{Control, DocumentControl, Retry, RetryScope},
    resource::Attempt,
};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
pub struct CancelBody {
    /// What is ready stays, which is also meant when this is absent; `false` takes back what the job made.
    keep_results: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
pub struct CancelJobBody {
    /// What is ready stays, which is also meant when this is absent; `false` takes back what the job made.
    keep_results: Option<bool>,
    /// Only this phase: `embedding` is skipped then. Without any other phase there is no job, so its cancel is the job's, and
    /// `keep_results` holds for that.
    #[schema(example = "embedding")]
    phase: Option<String>,
}

#[derive(Deserialize, ToSchema)]
pub struct RetryBody {
    /// `failed` when absent: every document that is not ready.
    #[schema(example = "failed")]
    scope: Option<String>,
    /// With the scope `phase`: the one that failed.
    #[schema(example = "embedding")]
    phase: Option<String>,
    /// With the scope `documents`.
    document_ids: Option<Vec<String>>,
    /// With the scope `pages`: addresses that a crawl could not have, at most 100.
    pages: Option<Vec<String>>,
    /// The attempt that is meant: when there is a later one already, nothing more is done.
    attempt: Option<u32>,
}

fn accepted(job: Job) -> Response {
    (StatusCode::ACCEPTED, Json(job)).into_response()
}

fn keeps(body: Option<CancelBody>) -> bool {
    body.and_then(|b| b.keep_results).unwrap_or(true)
}

/// Pause a job: at once, or at the next gate of the workers that have it in hand.
#[utoipa::path(post, path = "/api/jobs/{id}/pause", tag = "jobs", params(("id" = String, Path)),
    responses((status = 202, body = Job), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn pause_job(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<JobId>,
) -> ApiResult<Response> {
    Ok(accepted(app.services().control_job(who.user.id, id, Control::Pause).await?))
}

/// Put a job before all other jobs of the same person, for the next free hand. Other people's jobs keep their share.
#[utoipa::path(post, path = "/api/jobs/{id}/first", tag = "jobs", params(("id" = String, Path)),
    responses((status = 202, body = Job), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn put_job_first(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<JobId>,
) -> ApiResult<Response> {
    Ok(accepted(app.services().control_job(who.user.id, id, Control::First).await?))
}

/// Let a paused job go on where it stopped, with the documents that were paused by themselves.
#[utoipa::path(post, path = "/api/jobs/{id}/resume", tag = "jobs", params(("id" = String, Path)),
    responses((status = 202, body = Job), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn resume_job(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<JobId>,
) -> ApiResult<Response> {
    Ok(accepted(app.services().control_job(who.user.id, id, Control::Resume).await?))
}

/// Cancel a job. What is ready stays, or is taken back.
#[utoipa::path(post, path = "/api/jobs/{id}/cancel", tag = "jobs", params(("id" = String, Path)), request_body = Option<CancelJobBody>,
    responses((status = 202, body = Job), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn cancel_job(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<JobId>,
    MaybeJson(body): MaybeJson<CancelJobBody>,
) -> ApiResult<Response> {
    let (keep, phase) = body.map_or((None, None), |b| (b.keep_results, b.phase));
    let control = match phase.map(|phase| phase.parse::<PhaseName>()) {
        Some(Ok(PhaseName::Embedding)) => Control::CancelPhase(PhaseName::Embedding),
        // Without any other phase there is no job, and its results stay or go with it.
        None | Some(Ok(_)) => Control::Cancel { keep_results: keep.unwrap_or(true) },
        Some(Err(_)) => {
            let names = one_of(PhaseName::ALL.iter().map(|p| p.as_str()));
            return Err(ApiError::from(Problem::invalid(FieldErrors::one("phase", names))));
        }
    };
    Ok(accepted(app.services().control_job(who.user.id, id, control).await?))
}

/// Run again what failed or was cancelled: the next attempt of the same job.
#[utoipa::path(post, path = "/api/jobs/{id}/retry", tag = "jobs", request_body = Option<RetryBody>,
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "a second request with the same key begins nothing more")),
    responses((status = 202, body = Job), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn retry_job(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<JobId>,
    CommandId(command_id): CommandId,
    MaybeJson(body): MaybeJson<RetryBody>,
) -> ApiResult<Response> {
    let retry = retry_of(body)?;
    Ok(accepted(app.services().retry_job(who.user.id, id, retry, command_id).await?))
}

fn retry_of(body: Option<RetryBody>) -> Result<Retry, ApiError> {
    let Some(body) = body else { return Ok(Retry::failed()) };
    let mut errors = FieldErrors::default();
    let pages = body.pages.unwrap_or_default();
    let mut retry = Retry { attempt: body.attempt, pages, ..Retry::failed() };
    if let Some(scope) = body.scope {
        match scope.parse::<RetryScope>() {
            Ok(scope) => retry.scope = scope,
            Err(_) => errors.add("scope", one_of(RetryScope::ALL.iter().map(|s| s.as_str()))),
        }
    }
    match body.phase.map(|phase| phase.parse::<PhaseName>()) {
        None => {}
        Some(Ok(phase)) => retry.phase = Some(phase),
        Some(Err(_)) => errors.add("phase", one_of(PhaseName::ALL.iter().map(|p| p.as_str()))),
    }
    for id in body.document_ids.unwrap_or_default() {
        match id.parse() {
            Ok(id) => retry.document_ids.push(id),
            Err(_) => errors.add("document_ids", "One of these is no id of a document."),
        }
    }
    if errors.is_empty() { Ok(retry) } else { Err(ApiError::from(Problem::invalid(errors))) }
}

fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("One of: {}.", names.collect::<Vec<_>>().join(", "))
}

/// Leave out the embedding of a job: what it has not finished is found by its words alone.
#[utoipa::path(post, path = "/api/jobs/{id}/skip-embedding", tag = "jobs", params(("id" = String, Path)),
    responses((status = 202, body = Job), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn skip_embedding_of_job(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<JobId>,
) -> ApiResult<Response> {
    let control = Control::CancelPhase(PhaseName::Embedding);
    Ok(accepted(app.services().control_job(who.user.id, id, control).await?))
}

/// The attempts of a job with what their documents failed by; the present one is the last.
#[utoipa::path(get, path = "/api/jobs/{id}/attempts", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = Vec<Attempt>), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn attempts(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<JobId>,
) -> ApiResult<Json<Vec<Attempt>>> {
    Ok(Json(app.services().attempts(who.user.id, id).await?))
}

/// Pause one document; the others of its job go on.
#[utoipa::path(post, path = "/api/documents/{id}/pause", tag = "documents", params(("id" = String, Path)),
    responses((status = 202, body = Job), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn pause_document(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
) -> ApiResult<Response> {
    Ok(accepted(app.services().control_document(who.user.id, id, DocumentControl::Pause).await?))
}

/// Let a document go on that was paused by itself.
#[utoipa::path(post, path = "/api/documents/{id}/resume", tag = "documents", params(("id" = String, Path)),
    responses((status = 202, body = Job), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn resume_document(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
) -> ApiResult<Response> {
    Ok(accepted(app.services().control_document(who.user.id, id, DocumentControl::Resume).await?))
}

/// Cancel one document; the others of its job go on. What was made of it so far is kept for a retry, or removed.
#[utoipa::path(post, path = "/api/documents/{id}/cancel", tag = "documents", params(("id" = String, Path)), request_body = Option<CancelBody>,
    responses((status = 202, body = Job), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn cancel_document(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
    MaybeJson(body): MaybeJson<CancelBody>,
) -> ApiResult<Response> {
    let control = DocumentControl::Cancel { keep_results: keeps(body) };
    Ok(accepted(app.services().control_document(who.user.id, id, control).await?))
}

/// Run one document again that failed or was cancelled.
#[utoipa::path(post, path = "/api/documents/{id}/retry", tag = "documents",
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "a second request with the same key begins nothing more")),
    responses((status = 202, body = Job), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn retry_document(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
    CommandId(command_id): CommandId,
) -> ApiResult<Response> {
    Ok(accepted(app.services().retry_document(who.user.id, id, command_id).await?))
}

/// Leave out the embedding of one document: it is found by its words alone.
#[utoipa::path(post, path = "/api/documents/{id}/skip-embedding", tag = "documents", params(("id" = String, Path)),
    responses((status = 202, body = Job), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn skip_embedding(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
) -> ApiResult<Response> {
    Ok(accepted(app.services().control_document(who.user.id, id, DocumentControl::SkipEmbedding).await?))
}
