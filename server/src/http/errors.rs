//! Failures by what they have in common over REST: told, tried again, and put aside.

use super::{
    AppState,
    extract::{Json, MaybeJson, Params},
    problem::{ApiError, ApiResult},
    session::Allowed,
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{FieldErrors, PhaseName, Problem, Timestamp, bulk::Bulk, errors::ErrorGroup, resource::Page};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use services::ports::ErrorFilter;
use utoipa::ToSchema;

const MOST_DAYS: u32 = 3_650;

/// Which failures are meant; what is absent is any.
#[derive(Default, Deserialize, ToSchema)]
pub struct ErrorsBody {
    workspace: Option<String>,
    #[schema(example = "pdf_encrypted")]
    code: Option<String>,
    /// `loading`, `chunking`, `embedding` or `indexing`.
    #[schema(example = "loading")]
    phase: Option<String>,
    /// The type of the files.
    #[serde(rename = "type")]
    #[schema(example = "application/pdf")]
    mime_type: Option<String>,
    /// Those of the last days alone, 1–3650.
    days: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub struct RetriedErrors {
    /// An action in each workspace; each goes on by itself and counts.
    actions: Vec<Bulk>,
}

#[derive(Serialize, ToSchema)]
pub struct ResolvedErrors {
    /// Documents.
    resolved: u64,
}

fn since(days: u32, now: Timestamp) -> Timestamp {
    now.plus_seconds(-i64::from(days) * 86_400)
}

fn filter_of(body: Option<ErrorsBody>, now: Timestamp) -> Result<ErrorFilter, ApiError> {
    let body = body.unwrap_or_default();
    let mut errors = FieldErrors::default();
    let workspace = body.workspace.map(|id| id.parse());
    if matches!(workspace, Some(Err(_))) {
        errors.add("workspace", "This is no id of a workspace.");
    }
    let phase = body.phase.map(|phase| phase.parse::<PhaseName>());
    if matches!(phase, Some(Err(_))) {
        let names: Vec<&str> = PhaseName::ALL.iter().map(|phase| phase.as_str()).collect();
        errors.add("phase", format!("One of: {}.", names.join(", ")));
    }
    if body.days.is_some_and(|days| !(1..=MOST_DAYS).contains(&days)) {
        errors.add("days", "A number from 1 to 3650.");
    }
    if !errors.is_empty() {
        return Err(ApiError::from(Problem::invalid(errors)));
    }
    Ok(ErrorFilter {
        workspace: workspace.and_then(Result::ok),
        code: body.code,
        phase: phase.and_then(Result::ok),
        mime_type: body.mime_type,
        since: body.days.map(|days| since(days, now)),
        resolved: false,
    })
}

/// The documents that failed and were not seen to yet, grouped by code, phase and type. Those that somebody cancelled did not
/// fail.
#[utoipa::path(get, path = "/api/errors", tag = "documents",
    params(
        ("workspace" = Option<String>, Query, description = "its failures alone"),
        ("code" = Option<String>, Query), ("phase" = Option<String>, Query, description = "`loading`, `chunking`, `embedding` or `indexing`"),
        ("type" = Option<String>, Query, description = "the type of the files, such as `application/pdf`"),
        ("days" = Option<u32>, Query, description = "those of the last days alone, 1–3650"),
        ("resolved" = Option<bool>, Query, description = "`true`: those that were put aside instead")),
    responses((status = 200, body = Page<ErrorGroup>), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    mut params: Params,
) -> ApiResult<Json<Page<ErrorGroup>>> {
    let services = app.services();
    let days = params.number("days", 1, MOST_DAYS);
    let resolved = params.one_of("resolved", &[true, false]).unwrap_or(false);
    let text = |name: &str| params.text(name).map(str::to_owned);
    let body = ErrorsBody {
        workspace: text("workspace"),
        code: text("code"),
        phase: text("phase"),
        mime_type: text("type"),
        days,
    };
    params.check()?;
    let filter = ErrorFilter { resolved, ..filter_of(Some(body), services.clock.now())? };
    Ok(Json(Page { items: services.errors(who.user.id, &filter).await?, next: None }))
}

/// Try the documents of a group again, or of all groups: an action over many documents in each workspace. Asked twice, the
/// second has nothing to do where the first has been.
#[utoipa::path(post, path = "/api/errors/retry", tag = "documents", request_body = Option<ErrorsBody>,
    responses((status = 202, body = RetriedErrors), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn retry(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    MaybeJson(body): MaybeJson<ErrorsBody>,
) -> ApiResult<Response> {
    let services = app.services();
    let filter = filter_of(body, services.clock.now())?;
    let actions = services.retry_errors(who.user.id, &filter).await?;
    Ok((StatusCode::ACCEPTED, Json(RetriedErrors { actions })).into_response())
}

/// Put a group aside, or all groups: the documents stay as they are, and are not counted until they fail again.
#[utoipa::path(post, path = "/api/errors/resolve", tag = "documents", request_body = Option<ErrorsBody>,
    responses((status = 200, body = ResolvedErrors), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn resolve(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    MaybeJson(body): MaybeJson<ErrorsBody>,
) -> ApiResult<Json<ResolvedErrors>> {
    let services = app.services();
    let filter = filter_of(body, services.clock.now())?;
    Ok(Json(ResolvedErrors { resolved: services.resolve_errors(who.user.id, &filter).await? }))
}
