//! Workspaces over REST.

use super::{
    AppState,
    extract::{CommandId, Json, Params, PathId},
    problem::ApiResult,
    session::Allowed,
    tagged::tagged,
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{Problem, Workspace, WorkspaceId, resource::Page, status::Processor};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
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
    responses((status = 201, body = Workspace), (status = 401, body = Problem), (status = 422, body = Problem)))]
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
