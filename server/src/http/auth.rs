//! Account and session over REST.

use super::{
    AppState,
    extract::Json,
    problem::ApiResult,
    session::{self, SignedIn},
};
use axum::{
    extract::{ConnectInfo, State},
    response::{IntoResponse, Response},
};
use domain::{Problem, User, resource::Theme};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use services::{SignIn, SignUp, SignedIn as NewSession};
use std::net::SocketAddr;
use utoipa::ToSchema;

/// An absent text is an empty one, so that its own rule words the message.
#[derive(Deserialize, ToSchema)]
pub struct SignUpBody {
    #[serde(default)]
    #[schema(required, example = "ada")]
    username: String,
    #[serde(default)]
    #[schema(required, example = "ada@example.org")]
    email: String,
    /// 8–128 characters, upper, lower and digit.
    #[serde(default)]
    #[schema(required, format = Password)]
    password: String,
    full_name: Option<String>,
}

#[derive(Deserialize, ToSchema)]
pub struct LoginBody {
    email: String,
    #[schema(format = Password)]
    password: String,
}

#[derive(Deserialize, ToSchema)]
pub struct PreferencesBody {
    theme: Option<Theme>,
}

/// Make an account with its first workspace, and sign in.
#[utoipa::path(post, path = "/api/auth/signup", tag = "account", request_body = SignUpBody, security(()),
    responses((status = 201, body = User), (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem, headers(("Retry-After" = u64, description = "seconds")))))]
pub async fn sign_up(
    State(app): State<AppState>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Json(body): Json<SignUpBody>,
) -> ApiResult<Response> {
    let SignUpBody { username, email, password, full_name } = body;
    let form = SignUp { username, email, password, full_name };
    let new = app.services().sign_up(form, app.proxies().client(&headers, Some(address))).await?;
    Ok(with_cookie(&app, StatusCode::CREATED, new))
}

/// Sign in. Which of the two was wrong is not told.
#[utoipa::path(post, path = "/api/auth/login", tag = "account", request_body = LoginBody, security(()),
    responses((status = 200, body = User), (status = 401, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem, headers(("Retry-After" = u64, description = "seconds")))))]
pub async fn login(
    State(app): State<AppState>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Json(body): Json<LoginBody>,
) -> ApiResult<Response> {
    let form = SignIn { email: body.email, password: body.password };
    let new = app.services().sign_in(form, app.proxies().client(&headers, Some(address))).await?;
    Ok(with_cookie(&app, StatusCode::OK, new))
}

/// End this session everywhere: its cookie, its sockets and its streams.
#[utoipa::path(post, path = "/api/auth/logout", tag = "account",
    responses((status = 204), (status = 401, body = Problem)))]
pub async fn logout(State(app): State<AppState>, SignedIn(who): SignedIn) -> ApiResult<Response> {
    app.services().sign_out(&who).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, session::no_cookie(app.public_url()))]).into_response())
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/auth/me", tag = "account",
    responses((status = 200, body = User), (status = 401, body = Problem)))]
pub async fn me(SignedIn(who): SignedIn) -> Json<User> {
    Json(who.user)
}

/// Change how things look; other open tabs follow.
#[utoipa::path(patch, path = "/api/auth/preferences", tag = "account", request_body = PreferencesBody,
    responses((status = 200, body = User), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub async fn preferences(
    State(app): State<AppState>,
    SignedIn(who): SignedIn,
    Json(body): Json<PreferencesBody>,
) -> ApiResult<Json<User>> {
    match body.theme {
        Some(theme) => Ok(Json(app.services().set_theme(who.user.id, theme).await?)),
        None => Ok(Json(who.user)),
    }
}

fn with_cookie(app: &AppState, status: StatusCode, new: NewSession) -> Response {
    let seconds = u64::from(app.services().limits.session_days) * 86_400;
    let cookie = session::cookie(app.public_url(), &new.token, seconds);
    (status, [(header::SET_COOKIE, cookie)], Json(new.user)).into_response()
}
