//! The one error of every server function: the same problem details that the REST routes answer with, so that a form
//! finds its messages by field and a page finds its status.

use crate::wire::{FromJson, WireJson};
use domain::Problem;
use leptos::prelude::{FromServerFnError, ServerFnErrorErr};
use serde::Serialize;
use serde_json::Value;
use std::fmt;

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct AppError(pub Box<Problem>);

impl FromJson for AppError {
    fn from_json(value: &Value) -> Option<Self> {
        Problem::from_json(value).map(|problem| Self(Box::new(problem)))
    }
}

/// Code of a request that never reached the server, or whose answer never came back.
pub const UNREACHABLE: &str = "unreachable";

impl From<Problem> for AppError {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl AppError {
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// What stands in the browser's tab when a page cannot be shown for it.
    pub fn title(&self) -> &'static str {
        match self.status() {
            404 => "Not found",
            401 => "Signed out",
            403 => "No access",
            _ if self.0.code == UNREACHABLE => "Not reached",
            _ => "Not read",
        }
    }

    /// The messages of one field.
    pub fn field(&self, name: &str) -> &[String] {
        self.0.errors.of(name)
    }

    /// Trying again, unchanged, may help.
    pub fn may_pass(&self) -> bool {
        self.0.code == UNREACHABLE || matches!(self.0.status, 408 | 429 | 500..)
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.detail)
    }
}

impl std::error::Error for AppError {}

impl FromServerFnError for AppError {
    type Encoder = WireJson;

    fn from_server_fn_error(e: ServerFnErrorErr) -> Self {
        let problem = match e {
            // What the server cannot read is the request.
            ServerFnErrorErr::Deserialization(_) if cfg!(feature = "ssr") => {
                Problem::new(422, "invalid", "The request could not be understood.")
            }
            ServerFnErrorErr::Args(_)
            | ServerFnErrorErr::MissingArg(_)
            | ServerFnErrorErr::UnsupportedRequestMethod(_) => {
                Problem::new(422, "invalid", "The request could not be understood.")
            }
            ServerFnErrorErr::Request(_) => Problem::new(
                503,
                UNREACHABLE,
                "The server cannot be reached. Check the connection and try again.",
            ),
            ServerFnErrorErr::Deserialization(_) => {
                Problem::new(502, UNREACHABLE, "The answer of the server could not be read. Reload the page.")
            }
            _ => Problem::internal(),
        };
        // Without this the framework answers 500 whatever went wrong.
        #[cfg(feature = "ssr")]
        crate::ssr::set_status(problem.status);
        problem.into()
    }
}
