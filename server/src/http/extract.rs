//! Reading a request: bodies, paths, query parameters and the idempotency key, each with errors that name the field.

use super::problem::{ApiError, ApiResult};
use axum::{
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    response::{IntoResponse, Response},
};
use domain::{
    ApiKeyId, BulkId, ChunkId, DocumentId, FieldErrors, JobId, Problem, SessionId, TurnId, WorkspaceId,
    chat::MAX_CONVERSATION_ID, problem::MAX_JSON,
};
use http::{header, request::Parts};
use serde::{Serialize, de::DeserializeOwned};
use services::ports::PageQuery;
use std::{fmt::Display, str::FromStr};

/// Longest place in a list, in bytes. That of a conversation has each byte of the client's own id as two digits.
const MAX_CURSOR: usize = 100 + MAX_CONVERSATION_ID * 4 * 2;

/// A JSON body, both ways. Coming in: not JSON at all is 400, a wrong or missing field is 422 at that field.
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> ApiResult<Self> {
        let kind =
            request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        // Asked for, since a foreign form can send anything but this type without asking first.
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(ApiError::new(415, "unsupported_media_type", "Send the body as application/json."));
        }
        let bytes = axum::body::to_bytes(request.into_body(), MAX_JSON).await.map_err(|e| {
            if std::error::Error::source(&e).is_some_and(|s| s.to_string().contains("length limit")) {
                ApiError::from(Problem::too_much_json())
            } else {
                ApiError::new(400, "broken_off", "The body broke off before its end.")
            }
        })?;
        parse(&bytes).map(Self)
    }
}

/// A JSON body that may be left out: a command needs none.
pub struct MaybeJson<T>(pub Option<T>);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for MaybeJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        if says_nothing(request.headers()) {
            return Ok(Self(None));
        }
        Json::from_request(request, state).await.map(|Json(body)| Self(Some(body)))
    }
}

/// Whether a request has no body.
fn says_nothing(headers: &http::HeaderMap) -> bool {
    match headers.get(header::CONTENT_LENGTH) {
        Some(length) => length == "0",
        None => {
            !headers.contains_key(header::TRANSFER_ENCODING) && !headers.contains_key(header::CONTENT_TYPE)
        }
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> ApiResult<T> {
    // Derived code takes a list for a struct, its fields by their places. No body of ours is a list.
    if bytes.trim_ascii_start().starts_with(b"[") && is_json(bytes) {
        return Err(ApiError::field("body", "Send a JSON object, not a list."));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut reader).map_err(|e| {
        let path = e.path().to_string();
        let cause = e.into_inner();
        // What is no text where one of some words is wanted looks to the reader like broken JSON.
        if !cause.is_data() && !is_json(bytes) {
            return ApiError::new(400, "bad_json", format!("The body is no valid JSON: {cause}."));
        }
        let text = match cause.is_data() {
            true => without_place(&cause.to_string()),
            false => "it has a wrong type".to_owned(),
        };
        if let Some((field, message)) = unknown_key(&path, &text) {
            return ApiError::field(&field, message);
        }
        match text.strip_prefix("missing field `").and_then(|t| t.strip_suffix('`')) {
            Some(field) if path == "." => ApiError::field(field, "This field is required."),
            Some(field) => ApiError::field(&format!("{path}.{field}"), "This field is required."),
            None if path == "." => ApiError::field("body", format!("Send a JSON object: {text}.")),
            None => ApiError::field(&path, format!("This is not right: {text}.")),
        }
    })?;
    reader.end().map_err(|e| ApiError::new(400, "bad_json", format!("The body is no valid JSON: {e}.")))?;
    Ok(parsed)
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// Where a body may have no unknown keys: the field that has one (at the top, the key itself), and what to say of it.
fn unknown_key(path: &str, text: &str) -> Option<(String, String)> {
    let (key, expected) = text.strip_prefix("unknown field `")?.split_once('`')?;
    let within = path.strip_suffix(key).or_else(|| path.strip_suffix('?')).unwrap_or(path);
    let within = within.trim_end_matches('.');
    let field = if within.is_empty() { key } else { within };
    Some((field.to_owned(), format!("Nothing here is called `{key}`{expected}.")))
}

/// serde_json's message without " at line 1 column 2".
fn without_place(text: &str) -> String {
    text.split(" at line ").next().unwrap_or(text).to_owned()
}

/// Something with an id in the path, and its name in "There is no such …".
pub trait Named: FromStr {
    const WHAT: &'static str;
}

macro_rules! named {
    ($($id:ty = $what:literal),+) => { $(impl Named for $id { const WHAT: &'static str = $what; })+ };
}
named!(
    WorkspaceId = "workspace",
    DocumentId = "document",
    JobId = "job",
    ChunkId = "chunk",
    SessionId = "session",
    ApiKeyId = "API key",
    BulkId = "action",
    TurnId = "turn"
);

/// The one id in the path. What is no id cannot be there: 404.
pub struct PathId<T>(pub T);

impl<S: Send + Sync, T: Named> FromRequestParts<S> for PathId<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let not_found = || ApiError::from(Problem::not_found(T::WHAT));
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| not_found())?;
        text.parse().map(Self).map_err(|_| not_found())
    }
}

/// The query parameters. What is read wrong is gathered and told all at once.
pub struct Params {
    pairs: Vec<(String, String)>,
    errors: FieldErrors,
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::new(400, "bad_query", "The query of the address could not be read."))?;
        Ok(Self { pairs, errors: FieldErrors::default() })
    }
}

impl Params {
    /// The first value under that name; an empty one counts as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, v)| k == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    pub fn number(&mut self, name: &str, least: u32, most: u32) -> Option<u32> {
        let text = self.text(name)?;
        match text.parse() {
            Ok(n) if (least..=most).contains(&n) => Some(n),
            _ => {
                self.errors.add(name, format!("Use a number from {least} to {most}."));
                None
            }
        }
    }

    /// One of a set of names.
    pub fn one_of<T: FromStr + Copy + Display>(&mut self, name: &str, all: &[T]) -> Option<T> {
        let text = self.text(name)?;
        if let Ok(value) = text.parse() {
            return Some(value);
        }
        let names: Vec<String> = all.iter().map(ToString::to_string).collect();
        self.errors.add(name, format!("Use one of {}.", names.join(", ")));
        None
    }

    /// `?limit=` (1–200, 50 when absent) and `&after=`.
    pub fn page(&mut self) -> PageQuery {
        let limit = self.number("limit", 1, PageQuery::MAX).unwrap_or(50);
        let after = self.text("after").map(str::to_owned);
        // Whatever is longer was never ours.
        if after.as_ref().is_some_and(|a| a.len() > MAX_CURSOR) {
            self.errors.add("after", "This is no place in the list.");
        }
        PageQuery { limit, after }
    }

    pub fn check(self) -> ApiResult<()> {
        self.errors.check().map_err(ApiError::from)
    }
}

/// The client's `Idempotency-Key`, bound to the address, so that one key at two addresses names two commands.
pub struct CommandId(pub Option<String>);

/// Longest key, in characters.
const MAX_KEY: usize = 200;

impl<S: Send + Sync> FromRequestParts<S> for CommandId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        let Some(key) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let key = key.to_str().unwrap_or_default().trim();
        if key.is_empty() || key.len() > MAX_KEY || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ApiError::field(
                "Idempotency-Key",
                format!("Use 1 to {MAX_KEY} visible characters."),
            ));
        }
        Ok(Self(Some(format!("{} {} {key}", parts.method, parts.uri.path()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Body {
        name: String,
        #[serde(default)]
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Inner {
        count: u32,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Strict {
        status: Option<String>,
        inside: Option<Box<Strict>>,
    }

    #[test]
    fn an_unknown_key_is_named_where_none_may_be() {
        for (text, field, key) in [
            (r#"{"stauts":"a"}"#, "stauts", "stauts"),
            (r#"{"inside":{"stauts":"a"}}"#, "inside", "stauts"),
            (r#"{"inside":{"inside":{"":1}}}"#, "inside.inside", ""),
        ] {
            let problem = parse::<Strict>(text.as_bytes()).expect_err(text).problem().clone();
            let message = format!("Nothing here is called `{key}`, expected `status` or `inside`.");
            assert_eq!(problem.status, 422, "{text}: {problem:?}");
            assert_eq!(problem.errors.of(field), [message], "{text}: {problem:?}");
        }
        assert!(parse::<Strict>(br#"{"inside":{"status":"a"}}"#).is_ok());
    }

    fn fails(text: &str) -> Problem {
        parse::<Body>(text.as_bytes()).expect_err(text).problem().clone()
    }

    #[test]
    fn a_wrong_body_names_its_field() {
        for (text, status, field) in [
            ("{", 400, ""),
            ("", 400, ""),
            (r#"{"name":"a"} x"#, 400, ""),
            (r#"{}"#, 422, "name"),
            (r#"{"name":7}"#, 422, "name"),
            (r#"{"name":null}"#, 422, "name"),
            (r#"{"name":"a","inner":{"count":-1}}"#, 422, "inner.count"),
            (r#"{"name":"a","inner":{}}"#, 422, "inner.count"),
            (r#"[1]"#, 422, "body"),
            (r#""a""#, 422, "body"),
        ] {
            let problem = fails(text);
            assert_eq!(problem.status, status, "{text}: {problem:?}");
            assert!(field.is_empty() || !problem.errors.of(field).is_empty(), "{text}: {problem:?}");
        }
        assert!(parse::<Body>(br#"{"name":"a","unknown":1}"#).is_ok());
    }

    #[test]
    fn parameters_tell_all_that_is_wrong_at_once() {
        let mut params = Params {
            pairs: vec![("limit".into(), "0".into()), ("status".into(), "odd".into())],
            errors: FieldErrors::default(),
        };
        params.page();
        assert_eq!(params.one_of("status", domain::JobStatus::ALL), None);
        let problem = params.check().expect_err("refused").problem().clone();
        assert_eq!((problem.status, problem.errors.count()), (422, 2));
    }
}
