//! The one shape of an error that leaves the server: RFC 9457 problem details, with a stable `code` and, where a form
//! or a body was wrong, the messages field by field.

use crate::{provision::Refusal, status::IllegalMove, validate::FieldErrors};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Largest body of JSON that anybody may send, in bytes.
pub const MAX_JSON: usize = 1024 * 1024;

/// `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `urn:insighthub:problem:<code>`; `about:blank` is never used, so that a client can match on it.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// One sentence for people.
    pub detail: String,
    /// Stable word for programs.
    pub code: String,
    /// Messages by field of the request.
    #[serde(default, skip_serializing_if = "FieldErrors::is_empty")]
    pub errors: FieldErrors,
    /// Of a 409 about the state of a job or a document, and after any other illegal move: what it may become now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Vec<String>>,
    /// Seconds after which trying again may help; also in the header `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Finds the server's log lines about this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
}

impl Problem {
    pub fn new(status: u16, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:insighthub:problem:{code}"),
            title: title(status).to_owned(),
            status,
            detail: detail.into(),
            code: code.to_owned(),
            errors: FieldErrors::default(),
            allowed: None,
            retry_after: None,
            correlation_id: None,
        }
    }

    /// 422 with the messages by field.
    pub fn invalid(errors: FieldErrors) -> Self {
        let detail = match errors.count() {
            1 => "One field needs attention.".to_owned(),
            n => format!("{n} fields need attention."),
        };
        Self { errors, ..Self::new(422, "invalid", detail) }
    }

    /// 409 that belongs to one field, such as a name that is taken.
    pub fn conflict(code: &str, field: &str, message: &str) -> Self {
        Self { errors: FieldErrors::one(field, message), ..Self::new(409, code, message) }
    }

    pub fn unauthorized() -> Self {
        Self::new(401, "unauthorized", "Sign in first.")
    }

    /// 413: a body of JSON that is larger than [`MAX_JSON`].
    pub fn too_much_json() -> Self {
        Self::new(413, "too_large", "The body is larger than 1 MB.")
    }

    /// 429: too often; `seconds` tells when it may be tried again.
    pub fn too_often(code: &str, detail: impl Into<String>, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(429, code, detail) }
    }

    /// What is not there and what is not yours look the same.
    pub fn not_found(what: &str) -> Self {
        Self::new(404, "not_found", format!("There is no such {what}."))
    }

    pub fn internal() -> Self {
        Self::new(
            500,
            "internal",
            "The server could not do this. It is not your fault; the log has the details.",
        )
    }
}

impl From<IllegalMove> for Problem {
    fn from(e: IllegalMove) -> Self {
        let allowed = Some(e.allowed.iter().map(|s| (*s).to_owned()).collect());
        Self { allowed, ..Self::new(409, "illegal_move", e.to_string()) }
    }
}

impl From<Refusal> for Problem {
    fn from(r: Refusal) -> Self {
        let allowed = r.allowed.map(|allowed| allowed.iter().map(|s| (*s).to_owned()).collect());
        Self { allowed, ..Self::new(409, r.code, r.sentence) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

const fn title(status: u16) -> &'static str {
    match status {
        401 => "Not signed in",
        403 => "Not allowed",
        404 => "Not found",
        405 => "Method not allowed",
        408 => "Took too long",
        409 => "Conflict",
        412 => "Unsupported version",
        413 => "Too large",
        415 => "Unsupported type",
        416 => "No such part",
        422 => "Not valid",
        423 => "Locked",
        426 => "Upgrade required",
        429 => "Too many requests",
        460 => "Damaged in transfer",
        // 400, and what else the framework refuses.
        400..=499 => "Bad request",
        503 => "Not available",
        507 => "No room left",
        _ => "Server error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_of_the_client_is_not_titled_one_of_the_server() {
        for status in 400..500 {
            assert_ne!(Problem::new(status, "x", "").title, "Server error", "{status}");
        }
        let titles = [412, 426, 460].map(|status| Problem::new(status, "x", "").title);
        assert_eq!(titles, ["Unsupported version", "Upgrade required", "Damaged in transfer"]);
        assert_eq!(Problem::internal().title, "Server error");
    }
}
