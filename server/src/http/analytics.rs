//! The figures of a workspace over REST.

use super::{
    AppState,
    extract::{Json, Params, PathId},
    problem::ApiResult,
    session::Allowed,
};
use axum::extract::State;
use domain::{Analytics, Problem, WorkspaceId};
use services::analytics::{DAYS, MOST_DAYS};

/// How the documents of a workspace went: how many a day, how many failed, how long each phase takes for each kind of file.
#[utoipa::path(get, path = "/api/workspaces/{id}/analytics", tag = "workspaces",
    params(("id" = String, Path), ("days" = Option<u32>, Query, description = "1–90; 30 when absent")),
    responses((status = 200, body = Analytics), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
pub async fn workspace(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    mut params: Params,
) -> ApiResult<Json<Analytics>> {
    let days = params.number("days", 1, MOST_DAYS).unwrap_or(DAYS);
    params.check()?;
    Ok(Json(app.services().analytics(who.user.id, id, days).await?))
}
