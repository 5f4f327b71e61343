//! The account as a whole over REST: taking everything along, and leaving.

use super::{
    AppState,
    download::{Asked, hand_out},
    extract::{CommandId, Json},
    problem::ApiResult,
    session::{self, SignedIn},
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{Export, JobId, Problem};
use http::{HeaderMap, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
pub struct DeleteAccountBody {
    /// The password of the account.
    #[serde(default)]
    #[schema(required, format = Password)]
    password: String,
}

#[derive(Serialize, ToSchema)]
pub struct Deleting {
    /// Names the deletion in the server's log; nobody is left who could ask for it.
    job_id: JobId,
}

/// Have everything that is kept of you put into one JSON file. It is made in the background; `settings_changed` tells how
/// far it is. One that is being made already is answered instead of a second one; an earlier file goes. Passwords,
/// tokens and keys are not in it.
#[utoipa::path(post, path = "/api/auth/export", tag = "account",
    params(("Idempotency-Key" = Option<String>, Header, description = "a second request with the same key answers the first one's export")),
    responses((status = 202, body = Export, headers(("Location" = String, description = "of the export"))), (status = 401, body = Problem)))]
pub async fn start_export(
    State(app): State<AppState>,
    SignedIn(who): SignedIn,
    CommandId(command_id): CommandId,
) -> ApiResult<Response> {
    let export = app.services().start_export(who.user.id, command_id).await?;
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, "/api/auth/export")], Json(export)).into_response())
}

/// The newest export. It is kept for 24 hours.
#[utoipa::path(get, path = "/api/auth/export", tag = "account",
    responses((status = 200, body = Export), (status = 401, body = Problem), (status = 404, body = Problem, description = "`no_export`")))]
pub async fn export(State(app): State<AppState>, SignedIn(who): SignedIn) -> ApiResult<Json<Export>> {
    Ok(Json(app.services().export(who.user.id).await?))
}

/// The file of the newest export.
#[utoipa::path(get, path = "/api/auth/export/content", tag = "account",
    responses((status = 200, description = "the file", content_type = "application/json", headers(("Last-Modified" = String))),
        (status = 206, description = "a range of it", content_type = "application/json", headers(("Last-Modified" = String), ("Content-Range" = String))),
        (status = 304, description = "it is no newer than `If-Modified-Since`"), (status = 401, body = Problem),
        (status = 404, body = Problem, description = "`no_export`"), (status = 409, body = Problem, description = "`export_not_ready`"),
        (status = 412, body = Problem, description = "it is newer than `If-Unmodified-Since`"),
        (status = 416, body = Problem, description = "nothing of it lies in the range")))]
pub async fn export_content(
    State(app): State<AppState>,
    SignedIn(who): SignedIn,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let (export, key) = app.services().export_content(who.user.id).await?;
    let day: String = export.created_at.to_string().chars().take(10).collect();
    let asked = Asked { method, headers };
    hand_out(app.services(), &key, "application/json", &format!("insighthub-export-{day}.json"), &asked).await
}

/// Delete the account with everything in it. Your sessions, keys and streams end before this answers; workspaces,
/// documents, passages and files follow in the background, and nothing of them is left. Your name and address are free
/// again after that. There is no way back.
#[utoipa::path(delete, path = "/api/auth/account", tag = "account", request_body = DeleteAccountBody,
    responses((status = 202, body = Deleting), (status = 401, body = Problem), (status = 403, body = Problem, description = "`wrong_password` at `password`"),
        (status = 422, body = Problem), (status = 429, body = Problem, headers(("Retry-After" = u64, description = "seconds")))))]
pub async fn delete(
    State(app): State<AppState>,
    SignedIn(who): SignedIn,
    Json(body): Json<DeleteAccountBody>,
) -> ApiResult<Response> {
    let job_id = app.services().delete_account(&who, body.password).await?;
    let cookie = [(header::SET_COOKIE, session::no_cookie(app.public_url()))];
    Ok((StatusCode::ACCEPTED, cookie, Json(Deleting { job_id })).into_response())
}
