//! Workspaces over REST.

use super::{
    AppState,
    extract::{CommandId, Json, MaybeJson, Params, PathId},
    problem::ApiResult,
    session::Allowed,
    tagged::tagged,
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{
    JobId, Problem, Timestamp, Workspace, WorkspaceId, ingest::control::Stop, resource::Page,
    status::Processor,
};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use services::{EditWorkspaceForm, NewWorkspaceForm};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
pub struct NewWorkspaceBody {
    /// 3–100 of letters, digits, space, `-`, `_`.
    #[serde(default)]
    #[schema(required, example = "Papers")]
    name: String,
    /// At most 500 characters.
    description: Option<String>,
    /// Who works on its documents: `builtin` when absent.
    processor: Option<Processor>,
}

/// What is absent stays as it is.
#[derive(Deserialize, ToSchema)]
pub struct EditWorkspaceBody {
    /// 3–100 of letters, digits, space, `-`, `_`.
    #[schema(example = "Papers")]
    name: Option<String>,
    /// At most 500 characters.
    description: Option<String>,
    /// Who works on its documents from now on; what a built-in worker has begun it finishes.
    processor: Option<Processor>,
}

/// Your workspaces, newest first.
#[utoipa::path(get, path = "/api/workspaces", tag = "workspaces",
    params(("limit" = Option<u32>, Query, description = "1–200"), ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<Workspace>), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    mut params: Params,
) -> ApiResult<Json<Page<Workspace>>> {
    let page = params.page();
    params.check()?;
    Ok(Json(app.services().list_workspaces(who.user.id, page).await?))
}

/// Make a workspace; it turns ready by itself.
#[utoipa::path(post, path = "/api/workspaces", tag = "workspaces", request_body = NewWorkspaceBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "a second request with the same key answers the first one's workspace")),
    responses((status = 201, body = Workspace, headers(("Location" = String, description = "of the workspace"))), (status = 401, body = Problem),
        (status = 422, body = Problem)))]
pub async fn create(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    CommandId(command_id): CommandId,
    Json(body): Json<NewWorkspaceBody>,
) -> ApiResult<Response> {
    let form = NewWorkspaceForm { name: body.name, description: body.description, processor: body.processor };
    let workspace = app.services().create_workspace(who.user.id, form, command_id).await?;
    let place = format!("/api/workspaces/{}", workspace.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(workspace)).into_response())
}

/// One workspace.
#[utoipa::path(get, path = "/api/workspaces/{id}", tag = "workspaces",
    params(("id" = String, Path), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = Workspace), (status = 304), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn read(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    tagged(&headers, &app.services().workspace(who.user.id, id).await?)
}

/// Change the name, the description or who works on the documents; other open tabs follow.
#[utoipa::path(patch, path = "/api/workspaces/{id}", tag = "workspaces", request_body = EditWorkspaceBody, params(("id" = String, Path)),
    responses((status = 200, body = Workspace), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn edit(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    Json(body): Json<EditWorkspaceBody>,
) -> ApiResult<Json<Workspace>> {
    let form =
        EditWorkspaceForm { name: body.name, description: body.description, processor: body.processor };
    Ok(Json(app.services().edit_workspace(who.user.id, id, form).await?))
}

#[derive(Deserialize, ToSchema)]
pub struct PauseBody {
    /// What is in hand is finished before (`finish_running`, also when this is absent), or stops as well (`now`).
    #[schema(example = "finish_running")]
    stop: Option<Stop>,
}

/// Pause all work of a workspace. What is uploaded meanwhile is taken, and waits.
#[utoipa::path(post, path = "/api/workspaces/{id}/pause", tag = "workspaces", params(("id" = String, Path)), request_body = Option<PauseBody>,
    responses((status = 202, body = Workspace), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem, description = "`workspace_deleting`"), (status = 422, body = Problem)))]
pub async fn pause(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    MaybeJson(body): MaybeJson<PauseBody>,
) -> ApiResult<Response> {
    let stop = body.and_then(|body| body.stop).unwrap_or(Stop::FinishRunning);
    let workspace = app.services().pause_workspace(who.user.id, id, stop).await?;
    Ok((StatusCode::ACCEPTED, Json(workspace)).into_response())
}

/// Let the work of a workspace go on. What somebody paused by itself stays paused.
#[utoipa::path(post, path = "/api/workspaces/{id}/resume", tag = "workspaces", params(("id" = String, Path)),
    responses((status = 202, body = Workspace), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem, description = "`workspace_deleting`")))]
pub async fn resume(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
) -> ApiResult<Response> {
    let workspace = app.services().resume_workspace(who.user.id, id).await?;
    Ok((StatusCode::ACCEPTED, Json(workspace)).into_response())
}

/// What becomes of a workspace that is deleted.
#[derive(Serialize, ToSchema)]
pub struct WorkspaceDeletion {
    /// The job that tells how far the deletion is.
    job_id: JobId,
    /// Until then it can be undone.
    undo_until: Timestamp,
}

/// Delete a workspace with everything in it. Its status is `deleting` at once, and nothing is done there any more; for 8
/// seconds it can be restored. Then it goes document by document, which its job tells, and in the end `workspace_deleted`.
#[utoipa::path(delete, path = "/api/workspaces/{id}", tag = "workspaces", params(("id" = String, Path)),
    responses((status = 202, body = WorkspaceDeletion), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn delete(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
) -> ApiResult<Response> {
    let services::WorkspaceDeletion { job_id, undo_until } =
        app.services().delete_workspace(who.user.id, id).await?;
    Ok((StatusCode::ACCEPTED, Json(WorkspaceDeletion { job_id, undo_until })).into_response())
}

/// Take the deletion of a workspace back, while there is time: it is what it was, and its work goes on.
#[utoipa::path(post, path = "/api/workspaces/{id}/restore", tag = "workspaces", params(("id" = String, Path)),
    responses((status = 200, body = Workspace), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem, description = "`undo_over`")))]
pub async fn restore(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
) -> ApiResult<Json<Workspace>> {
    Ok(Json(app.services().restore_workspace(who.user.id, id).await?))
}

/// Try once more to make a workspace ready that is in `error`; the steps are told on the stream.
#[utoipa::path(post, path = "/api/workspaces/{id}/retry", tag = "workspaces", params(("id" = String, Path)),
    responses((status = 202, body = Workspace), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn retry(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
) -> ApiResult<Response> {
    let workspace = app.services().retry_workspace(who.user.id, id).await?;
    Ok((StatusCode::ACCEPTED, Json(workspace)).into_response())
}
