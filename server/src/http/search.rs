//! Search over REST.

use super::{
    AppState,
    extract::{Json, Params, PathId},
    problem::ApiResult,
    session::Allowed,
};
use axum::extract::State;
use domain::{Problem, WorkspaceId, resource::SearchHit};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub struct SearchAnswer {
    /// Best first.
    items: Vec<SearchHit>,
}

/// The passages that answer a question best.
#[utoipa::path(get, path = "/api/workspaces/{id}/search", tag = "search",
    params(("id" = String, Path), ("q" = String, Query), ("top_k" = Option<u32>, Query, description = "1–50")),
    responses((status = 200, body = SearchAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn search(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    mut params: Params,
) -> ApiResult<Json<SearchAnswer>> {
    let query = params.text("q").unwrap_or_default().to_owned();
    let top_k = params.number("top_k", 1, 50);
    params.check()?;
    Ok(Json(SearchAnswer { items: app.services().search(who.user.id, id, &query, top_k).await? }))
}
