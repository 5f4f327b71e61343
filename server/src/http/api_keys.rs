//! API keys over REST.

use super::{
    AppState,
    extract::{CommandId, Json, PathId},
    problem::ApiResult,
    session::SignedIn,
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{
    ApiKey, ApiKeyId, Problem,
    api_key::{ApiKeyForm, NewApiKey},
    resource::Page,
};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
pub struct NewApiKeyBody {
    /// 1–60 characters; no other key of yours has it, whatever the case.
    #[serde(default)]
    #[schema(required, example = "nightly backup")]
    name: String,
    /// At least one of `read` (data, search, live streams), `write` (uploads and changes), `chat`, `status:write`.
    #[serde(default)]
    #[schema(required, example = json!(["read"]))]
    scopes: Vec<String>,
    /// 1–3650. With neither this nor `expires_at` the key never expires.
    expires_in_days: Option<i64>,
    /// A moment in the future, at most 3650 days from now.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// A key that was just made.
#[derive(Serialize, ToSchema)]
pub struct NewApiKeyAnswer {
    #[serde(flatten)]
    key: ApiKey,
    /// The key itself. It is told this once; null when the same `Idempotency-Key` made it before.
    secret: Option<String>,
}

/// Your API keys, newest first, without their secrets. Expired ones stay until they are revoked.
#[utoipa::path(get, path = "/api/auth/api-keys", tag = "account",
    responses((status = 200, body = Page<ApiKey>), (status = 401, body = Problem)))]
pub async fn list(State(app): State<AppState>, SignedIn(who): SignedIn) -> ApiResult<Json<Page<ApiKey>>> {
    Ok(Json(Page { items: app.services().list_keys(who.user.id).await?, next: None }))
}

/// Make an API key. `secret` is the key: send it as `Authorization: Bearer <secret>`. It is shown this once and kept
/// nowhere. A second request with the same `Idempotency-Key` makes no second key: it answers the first one with 200 and a
/// `secret` of null; if the first answer was lost, revoke that key and make another.
#[utoipa::path(post, path = "/api/auth/api-keys", tag = "account", request_body = NewApiKeyBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "a second request with the same key answers the first one's API key, without its secret")),
    responses((status = 201, body = NewApiKeyAnswer, headers(("Location" = String, description = "of the API key"))),
        (status = 200, body = NewApiKeyAnswer, description = "made before; `secret` is null", headers(("Location" = String, description = "of the API key"))),
        (status = 401, body = Problem),
        (status = 409, body = Problem, description = "`name_taken` at `name`; `too_many_keys`"), (status = 422, body = Problem)))]
pub async fn create(
    State(app): State<AppState>,
    SignedIn(who): SignedIn,
    CommandId(command_id): CommandId,
    Json(body): Json<NewApiKeyBody>,
) -> ApiResult<Response> {
    let NewApiKeyBody { name, scopes, expires_in_days, expires_at } = body;
    let form = ApiKeyForm { name, scopes, expires_in_days, expires_at };
    let NewApiKey { key, secret } = app.services().create_key(who.user.id, &form, command_id).await?;
    let status = if secret.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    let place = format!("/api/auth/api-keys/{}", key.id);
    Ok((status, [(header::LOCATION, place)], Json(NewApiKeyAnswer { key, secret })).into_response())
}

/// Revoke an API key: it is refused from now on, and the streams that it opened end.
#[utoipa::path(delete, path = "/api/auth/api-keys/{id}", tag = "account", params(("id" = String, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn revoke(
    State(app): State<AppState>,
    SignedIn(who): SignedIn,
    PathId(id): PathId<ApiKeyId>,
) -> ApiResult<StatusCode> {
    app.services().revoke_key(who.user.id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
