//! Errors on their way out. A handler answers [`ApiError`]; the outermost layer writes the body, so that each problem
//! carries the id of its request, and gives every bare error of the framework (405, 404, …) the same shape.

use super::{observe::RequestId, patience::Stalled};
use axum::{
    body::Body,
    extract::{OriginalUri, Request},
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::{FieldErrors, Problem};
use http::{HeaderValue, StatusCode, header};

pub const PROBLEM_JSON: &str = "application/problem+json";

/// The error of every handler.
#[derive(Debug)]
pub struct ApiError {
    problem: Box<Problem>,
    /// Beside a 401 or 403: what was wrong with the credentials.
    challenge: Option<HeaderValue>,
}

pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub fn new(status: u16, code: &str, detail: impl Into<String>) -> Self {
        Problem::new(status, code, detail).into()
    }

    /// 422 at one field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Problem::invalid(FieldErrors::one(field, message)).into()
    }

    /// Says to programs what is wrong with their API key, as RFC 6750 words it.
    pub fn challenge(mut self, error: &str, scope: Option<&str>) -> Self {
        let scope = scope.map(|s| format!(", scope=\"{s}\"")).unwrap_or_default();
        let text = format!("Bearer realm=\"insighthub\", error=\"{error}\"{scope}");
        self.challenge = HeaderValue::from_str(&text).ok();
        self
    }

    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self { problem: Box::new(problem), challenge: None }
    }
}

impl From<services::Error> for ApiError {
    fn from(e: services::Error) -> Self {
        e.to_problem().into()
    }
}

impl From<FieldErrors> for ApiError {
    fn from(errors: FieldErrors) -> Self {
        Problem::invalid(errors).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        if let Some(seconds) = self.problem.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            && let Some(challenge) = self.challenge
        {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response.extensions_mut().insert(*self.problem);
        response
    }
}

/// Writes the bodies of problems.
pub async fn finish(OriginalUri(uri): OriginalUri, request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let stalled = request.extensions().get::<Stalled>().cloned();
    let response = next.run(request).await;
    let problem = match response.extensions().get::<Problem>() {
        // Whatever the handler made of a body without an end.
        Some(_) if stalled.is_some_and(|stalled| stalled.is_so()) => Problem::new(
            408,
            "stalled",
            "Nothing more of the request came, so it was given up. Send it again.",
        ),
        Some(problem) => problem.clone(),
        None if is_bare_error(uri.path(), &response) => bare(response.status()),
        None => return response,
    };
    let problem = Problem { correlation_id: id.map(|id| id.0.to_string()), ..problem };
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::from_u16(problem.status).unwrap_or(parts.status);
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    // Plain data with text keys: encoding it cannot fail.
    Response::from_parts(parts, Body::from(serde_json::to_vec(&problem).unwrap_or_default()))
}

/// An error that no handler of ours worded: the framework answers in plain text, or says nothing. Server functions and pages have shapes of their own, unless they say
/// nothing at all.
fn is_bare_error(path: &str, response: &Response) -> bool {
    if response.status().as_u16() < 400 {
        return false;
    }
    match response.headers().get(header::CONTENT_TYPE) {
        None => true,
        Some(kind) => super::is_api(path) && kind.as_bytes().starts_with(b"text/plain"),
    }
}

fn bare(status: StatusCode) -> Problem {
    let (code, detail) = match status.as_u16() {
        404 => ("not_found", "There is nothing at this address."),
        405 => ("method_not_allowed", "This address does not take that method."),
        413 => ("too_large", "The request is too large."),
        415 => ("unsupported_media_type", "This address does not take that kind of content."),
        status if status < 500 => ("bad_request", "The request could not be understood."),
        503 => ("unavailable", "The server cannot do this now."),
        _ => return Problem { status: status.as_u16(), ..Problem::internal() },
    };
    Problem::new(status.as_u16(), code, detail)
}

/// A panic in a handler: logged with its text, told as one sentence.
pub fn after_panic(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no text");
    tracing::error!(panic = text, "a handler panicked");
    ApiError::from(Problem::internal()).into_response()
}
