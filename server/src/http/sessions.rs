//! The browsers that are signed in, over REST.

use super::{
    AppState,
    auth::SessionsEnded,
    extract::{Json, Params, PathId},
    problem::ApiResult,
    session::{self, SignedIn},
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{
    Problem, SessionId,
    resource::{Page, Session},
};
use http::{StatusCode, header};

/// The browsers that are signed in to your account, newest sign-in first.
#[utoipa::path(get, path = "/api/auth/sessions", tag = "account",
    params(("limit" = Option<u32>, Query, description = "1–200"), ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<Session>), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    State(app): State<AppState>,
    SignedIn(who): SignedIn,
    mut params: Params,
) -> ApiResult<Json<Page<Session>>> {
    let page = params.page();
    params.check()?;
    Ok(Json(app.services().list_sessions(&who, page).await?))
}

/// Sign out all other browsers, with their sockets and streams.
#[utoipa::path(delete, path = "/api/auth/sessions", tag = "account",
    responses((status = 200, body = SessionsEnded), (status = 401, body = Problem)))]
pub async fn end_others(
    State(app): State<AppState>,
    SignedIn(who): SignedIn,
) -> ApiResult<Json<SessionsEnded>> {
    Ok(Json(SessionsEnded::new(app.services().end_other_sessions(&who).await?)))
}

/// Sign out one browser, with its sockets and streams; your own one is like signing out.
#[utoipa::path(delete, path = "/api/auth/sessions/{id}", tag = "account", params(("id" = String, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn end(
    State(app): State<AppState>,
    SignedIn(who): SignedIn,
    PathId(id): PathId<SessionId>,
) -> ApiResult<Response> {
    let was_own = app.services().end_session(&who, id).await?;
    let forget = was_own.then(|| [(header::SET_COOKIE, session::no_cookie(app.public_url()))]);
    Ok((StatusCode::NO_CONTENT, forget, ()).into_response())
}
