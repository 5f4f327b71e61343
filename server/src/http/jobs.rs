//! Jobs over REST.

use super::{
    AppState,
    extract::{Json, Params, PathId},
    problem::ApiResult,
    session::Allowed,
    tagged::tagged,
};
use axum::{extract::State, response::Response};
use domain::{Job, JobId, JobStatus, Problem, resource::Page};
use http::HeaderMap;

/// Your jobs, newest first.
#[utoipa::path(get, path = "/api/jobs", tag = "jobs",
    params(("status" = Option<JobStatus>, Query), ("limit" = Option<u32>, Query, description = "1–200"), ("after" = Option<String>, Query)),
    responses((status = 200, body = Page<Job>), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    mut params: Params,
) -> ApiResult<Json<Page<Job>>> {
    let status = params.one_of("status", JobStatus::ALL);
    let page = params.page();
    params.check()?;
    Ok(Json(app.services().list_jobs(who.user.id, status, page).await?))
}

/// One job, with its four phases.
#[utoipa::path(get, path = "/api/jobs/{id}", tag = "jobs",
    params(("id" = String, Path), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = Job), (status = 304), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn read(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<JobId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    tagged(&headers, &app.services().job(who.user.id, id).await?)
}
