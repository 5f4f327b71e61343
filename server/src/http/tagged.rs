//! Answers with a tag: whoever polls is told in a few bytes that nothing changed.

use super::problem::{ApiError, ApiResult};
use axum::response::{IntoResponse, Response};
use domain::Problem;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use services::hex::hex;
use sha2::{Digest, Sha256};

/// The value as JSON with a weak tag over it, or 304 without a body when that is what the client has.
pub fn tagged(headers: &HeaderMap, value: &impl Serialize) -> ApiResult<Response> {
    let body = serde_json::to_vec(value).map_err(|_| ApiError::from(Problem::internal()))?;
    let digest = hex(&Sha256::digest(&body)[..16]);
    let mut response = if is_known(headers, &digest) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        super::bytes("application/json", body.into())
    };
    // Hexadecimal, so it is a header.
    if let Ok(tag) = HeaderValue::from_str(&format!("W/\"{digest}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// Compared weakly, as RFC 9110 asks for `If-None-Match`.
fn is_known(headers: &HeaderMap, digest: &str) -> bool {
    let sent = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    sent.flat_map(|v| v.split(',')).map(str::trim).any(|tag| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*" || tag.trim_matches('"') == digest
    })
}
