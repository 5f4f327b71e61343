//! Reports of outside workers over REST.

use super::{
    AppState,
    extract::{Json, PathId},
    problem::ApiResult,
    session::Allowed,
};
use axum::extract::State;
use domain::{
    Document, DocumentId, Problem, Workspace, WorkspaceId,
    report::{DocumentReport, WorkspaceReport},
};

/// Say how far a document of an external workspace is. What is so already changes nothing, so a report may be repeated.
#[utoipa::path(post, path = "/api/status/documents/{id}", tag = "status", request_body = DocumentReport, params(("id" = String, Path)),
    responses((status = 200, body = Document, description = "the document as it is now"), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "`illegal_move` with `allowed`; `not_external`, `builtin_at_work`, `job_paused`, `job_stopping`, `job_ended`, `workspace_deleting`"),
        (status = 422, body = Problem)))]
pub async fn document(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
    Json(report): Json<DocumentReport>,
) -> ApiResult<Json<Document>> {
    Ok(Json(app.services().report_document(&who, id, report).await?))
}

/// Say how an external workspace is.
#[utoipa::path(post, path = "/api/status/workspaces/{id}", tag = "status", request_body = WorkspaceReport, params(("id" = String, Path)),
    responses((status = 200, body = Workspace, description = "the workspace as it is now"), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "`illegal_move` with `allowed`; `not_external`, `workspace_deleting`"),
        (status = 422, body = Problem)))]
pub async fn workspace(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    Json(report): Json<WorkspaceReport>,
) -> ApiResult<Json<Workspace>> {
    Ok(Json(app.services().report_workspace(&who, id, report).await?))
}
