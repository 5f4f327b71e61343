//! Test cases of a workspace over REST: keeping questions with what has to be found for them, and trying them all.

use super::{
    AppState,
    extract::{CommandId, Json, PathId},
    problem::{ApiError, ApiResult},
    session::Allowed,
};
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use domain::{
    CaseId, ChunkId, DocumentId, Problem, WorkspaceId,
    rag::{RagForm, RerankModel, RetrieverType},
    resource::Page,
    retrieval::{CaseRun, RetrievalCase},
};
use http::StatusCode;
use serde::Deserialize;
use services::CaseForm;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
pub struct NewCase {
    question: String,
    document_id: DocumentId,
    /// The passage that has to be found; absent: any of the document. It is kept by its place in the text, so it is still
    /// meant after a re-index.
    chunk_id: Option<ChunkId>,
}

/// How the cases are tried; what is absent is taken from the workspace. Nothing is saved.
#[derive(Deserialize, ToSchema)]
#[allow(dead_code, reason = "it only describes the body in the OpenAPI document")]
pub struct TryBody {
    retriever_type: Option<RetrieverType>,
    /// `null`: in the order of the retriever.
    rerank_model: Option<RerankModel>,
    #[schema(minimum = 1, maximum = 50)]
    top_k: Option<u32>,
}

/// The questions that a workspace is tried with, the oldest first and all at once.
#[utoipa::path(get, path = "/api/workspaces/{id}/retrieval-cases", tag = "search", params(("id" = String, Path)),
    responses((status = 200, body = Page<RetrievalCase>), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn list(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
) -> ApiResult<Json<Page<RetrievalCase>>> {
    Ok(Json(Page { items: app.services().retrieval_cases(who.user.id, id).await?, next: None }))
}

/// Keep a question with the document, or the passage, that has to be found for it.
#[utoipa::path(post, path = "/api/workspaces/{id}/retrieval-cases", tag = "search", request_body = NewCase,
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "a second request with the same key answers the first one's case")),
    responses((status = 201, body = RetrievalCase), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "`too_many_cases`"), (status = 422, body = Problem)))]
pub async fn add(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    CommandId(command_id): CommandId,
    Json(new): Json<NewCase>,
) -> ApiResult<Response> {
    let form = CaseForm { question: new.question, document_id: new.document_id, chunk_id: new.chunk_id };
    let case = app.services().add_retrieval_case(who.user.id, id, form, command_id).await?;
    Ok((StatusCode::CREATED, Json(case)).into_response())
}

/// Forget a question.
#[utoipa::path(delete, path = "/api/workspaces/{id}/retrieval-cases/{case_id}", tag = "search",
    params(("id" = String, Path), ("case_id" = String, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn remove(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    Path((id, case)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let id: WorkspaceId = id.parse().map_err(|_| ApiError::from(Problem::not_found("workspace")))?;
    let case: CaseId = case.parse().map_err(|_| ApiError::from(Problem::not_found("test case")))?;
    app.services().remove_retrieval_case(who.user.id, id, case).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask all questions of the workspace, with its own settings or others, and tell which of them found what they had to.
#[utoipa::path(post, path = "/api/workspaces/{id}/retrieval-cases/run", tag = "search", request_body = TryBody,
    params(("id" = String, Path)),
    responses((status = 200, body = CaseRun), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn run(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    Json(form): Json<RagForm>,
) -> ApiResult<Json<CaseRun>> {
    Ok(Json(app.services().run_retrieval_cases(who.user.id, id, &form).await?))
}
