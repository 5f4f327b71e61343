//! Account and session over REST.

use super::{
    AppState,
    extract::Json,
    problem::ApiResult,
    session::{self, FromClient, SignedIn},
};
use axum::{
    extract::State,
    response::{AppendHeaders, IntoResponse, Response},
};
use domain::{
    Problem, User,
    resource::{Density, Language, Theme},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Deserializer, Serialize};
use services::ports::NotificationsEdit;
use services::{ChangePassword, PreferencesForm, ProfileForm, SignIn, SignUp, SignedIn as NewSession};
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

/// What is absent stays as it is.
#[derive(Deserialize, ToSchema)]
pub struct ProfileBody {
    /// At most 100 characters; an empty one, or null, takes the name away.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(example = "Ada Lovelace")]
    full_name: Option<String>,
    #[schema(example = "ada@example.org")]
    email: Option<String>,
}

/// A field that is there and null says "none", other than one that is not there.
fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Some(Option::<String>::deserialize(deserializer)?.unwrap_or_default()))
}

/// An absent text is an empty one, so that its own rule words the message.
#[derive(Deserialize, ToSchema)]
pub struct ChangePasswordBody {
    #[serde(default)]
    #[schema(required, format = Password)]
    current_password: String,
    /// 8–128 characters, upper, lower and digit.
    #[serde(default)]
    #[schema(required, format = Password)]
    new_password: String,
}

#[derive(Serialize, ToSchema)]
pub struct SessionsEnded {
    /// How many other browsers were signed out.
    sessions_ended: u64,
}

impl SessionsEnded {
    pub fn new(sessions_ended: u64) -> Self {
        Self { sessions_ended }
    }
}

/// What is absent stays as it is.
#[derive(Deserialize, ToSchema)]
pub struct PreferencesBody {
    #[schema(value_type = Option<Theme>)]
    theme: Option<String>,
    #[schema(value_type = Option<Density>)]
    density: Option<String>,
    #[schema(value_type = Option<Language>)]
    language: Option<String>,
    notifications: Option<NotificationsBody>,
}

/// Of what you want to be told; what is absent stays as it is.
#[derive(Default, Deserialize, ToSchema)]
pub struct NotificationsBody {
    /// Work that ended as it should.
    done: Option<bool>,
    /// Work that failed, also in part.
    failed: Option<bool>,
    /// A document that gets nowhere.
    stalled: Option<bool>,
    /// Another browser that signed in to the account.
    sign_ins: Option<bool>,
    /// While nobody looks at a page, the system shows it, in the browsers that may.
    desktop: Option<bool>,
}

/// Make an account with its first workspace, and sign in.
///
/// It takes no `Idempotency-Key`, since a name is given once: a second request makes nothing and answers 409
/// `username_taken`. Whoever lost the first answer signs in.
#[utoipa::path(post, path = "/api/auth/signup", tag = "account", request_body = SignUpBody,
    responses((status = 201, body = User), (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem, headers(("Retry-After" = u64, description = "seconds")))))]
pub async fn sign_up(
    State(app): State<AppState>,
    FromClient(client): FromClient,
    Json(body): Json<SignUpBody>,
) -> ApiResult<Response> {
    let SignUpBody { username, email, password, full_name } = body;
    let form = SignUp { username, email, password, full_name };
    let new = app.services().sign_up(form, client).await?;
    Ok((StatusCode::CREATED, cookies(&app, &new), Json(new.user)).into_response())
}

/// Sign in. Which of the two was wrong is not told. A session that the browser still had ends.
#[utoipa::path(post, path = "/api/auth/login", tag = "account", request_body = LoginBody,
    responses((status = 200, body = User), (status = 401, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem, headers(("Retry-After" = u64, description = "seconds")))))]
pub async fn login(
    State(app): State<AppState>,
    FromClient(client): FromClient,
    Json(body): Json<LoginBody>,
) -> ApiResult<Response> {
    let form = SignIn { email: body.email, password: body.password };
    let new = app.services().sign_in(form, client).await?;
    Ok((cookies(&app, &new), Json(new.user)).into_response())
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

/// Change your name or the address that you sign in with; other open tabs follow.
#[utoipa::path(patch, path = "/api/auth/profile", tag = "account", request_body = ProfileBody,
    responses((status = 200, body = User), (status = 401, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn profile(
    State(app): State<AppState>,
    SignedIn(who): SignedIn,
    FromClient(client): FromClient,
    Json(body): Json<ProfileBody>,
) -> ApiResult<Response> {
    let form = ProfileForm { full_name: body.full_name, email: body.email };
    let changed = app.services().edit_profile(&who, form, &client).await?;
    let device =
        changed.device.map(|mark| [(header::SET_COOKIE, session::device_cookie(app.public_url(), &mark))]);
    Ok((device.map(AppendHeaders), Json(changed.user)).into_response())
}

/// Change the password. All other sessions end, with their sockets and streams; this one gets a new cookie, and its old
/// one is worth nothing from then on.
#[utoipa::path(post, path = "/api/auth/change-password", tag = "account", request_body = ChangePasswordBody,
    responses((status = 200, body = SessionsEnded), (status = 401, body = Problem),
        (status = 403, body = Problem, description = "the current password is another one"), (status = 422, body = Problem),
        (status = 429, body = Problem, headers(("Retry-After" = u64, description = "seconds")))))]
pub async fn change_password(
    State(app): State<AppState>,
    SignedIn(who): SignedIn,
    FromClient(client): FromClient,
    Json(body): Json<ChangePasswordBody>,
) -> ApiResult<Response> {
    let ChangePasswordBody { current_password, new_password } = body;
    let form = ChangePassword { current_password, new_password };
    let changed = app.services().change_password(&who, form, &client).await?;
    let cookies = changed.renewed.map(|renewed| cookies(&app, &renewed));
    Ok((cookies, Json(SessionsEnded::new(changed.sessions_ended))).into_response())
}

/// Change how things look and of what you are told; other open tabs follow.
#[utoipa::path(patch, path = "/api/auth/preferences", tag = "account", request_body = PreferencesBody,
    responses((status = 200, body = User), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub async fn preferences(
    State(app): State<AppState>,
    SignedIn(who): SignedIn,
    Json(body): Json<PreferencesBody>,
) -> ApiResult<Json<User>> {
    let PreferencesBody { theme, density, language, notifications } = body;
    let NotificationsBody { done, failed, stalled, sign_ins, desktop } = notifications.unwrap_or_default();
    let notifications = NotificationsEdit { done, failed, stalled, sign_ins, desktop };
    let form = PreferencesForm { theme, density, language, notifications };
    Ok(Json(app.services().edit_preferences(who.user.id, form).await?))
}

/// What the browser has to hold from now on.
fn cookies(app: &AppState, new: &NewSession) -> AppendHeaders<Vec<(HeaderName, HeaderValue)>> {
    let seconds = u64::from(app.services().limits.session_days) * 86_400;
    let session = session::cookie(app.public_url(), &new.token, seconds);
    let device = new.device.as_deref().map(|mark| session::device_cookie(app.public_url(), mark));
    AppendHeaders([Some(session), device].into_iter().flatten().map(|c| (header::SET_COOKIE, c)).collect())
}
