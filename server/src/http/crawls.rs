//! Crawls over REST: beginning one, and its pages.

use super::{
    AppState,
    extract::{CommandId, Json, Params, PathId},
    problem::ApiResult,
    session::Allowed,
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{
    JobId, Problem, WorkspaceId,
    crawl::{CrawlForm, CrawlPage, PageState},
    resource::Page,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
pub struct CrawlBody {
    /// Where to begin: an address that everybody can reach, or one that the operator allows.
    #[serde(default)]
    #[schema(required, example = "https://example.org/docs/")]
    url: String,
    /// Only addresses that begin with this are taken. When it is absent: the folder of `url`.
    prefix: Option<String>,
    /// Pages that are asked for, at most; 1,000 when it is absent.
    #[schema(minimum = 1, maximum = 10000)]
    max_pages: Option<u32>,
    /// Links from the first page to the last, at most; 10 when it is absent.
    #[schema(minimum = 0, maximum = 50)]
    max_depth: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub struct CrawlStarted {
    job_id: JobId,
}

/// Crawl a web site: each page becomes a document. The job tells live how many pages were found, had, failed and skipped,
/// and a later crawl of the same workspace what is new, changed, unchanged and gone.
#[utoipa::path(post, path = "/api/workspaces/{id}/crawls", tag = "jobs", request_body = CrawlBody,
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "a second request with the same key answers the first one's job")),
    responses((status = 202, body = CrawlStarted), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem, description = "at `url` when that is none that may be asked")))]
pub async fn start(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    CommandId(command_id): CommandId,
    Json(body): Json<CrawlBody>,
) -> ApiResult<Response> {
    let CrawlBody { url, prefix, max_pages, max_depth } = body;
    let form = CrawlForm { url, prefix: prefix.filter(|p| !p.trim().is_empty()), max_pages, max_depth };
    let job = app.services().start_crawl(who.user.id, id, form, command_id).await?;
    Ok((StatusCode::ACCEPTED, Json(CrawlStarted { job_id: job.job_id })).into_response())
}

/// The pages of a crawl in the order in which they were found, with what became of each.
#[utoipa::path(get, path = "/api/jobs/{id}/pages", tag = "jobs",
    params(("id" = String, Path), ("state" = Option<PageState>, Query), ("limit" = Option<u32>, Query, description = "1–200"), ("after" = Option<String>, Query)),
    responses((status = 200, body = Page<CrawlPage>), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn pages(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<JobId>,
    mut params: Params,
) -> ApiResult<Json<Page<CrawlPage>>> {
    let state = params.one_of("state", PageState::ALL);
    let page = params.page();
    params.check()?;
    Ok(Json(app.services().crawl_pages(who.user.id, id, state, page).await?))
}
