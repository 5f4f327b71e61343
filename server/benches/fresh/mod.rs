//! A server with an empty database of its own, and the session of somebody who has signed up there: where several
//! benches begin.

use http::header;
use measure::Failure;
use reqwest::{Client, Response};
use serde_json::json;
use std::{path::Path, process::Command};

/// What starts it, with `dir` for all that is its own.
pub fn insighthub(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_insighthub"));
    command
        .arg("serve")
        .current_dir(dir)
        .env("INSIGHTHUB_ADDR", "127.0.0.1:0")
        .env("INSIGHTHUB_DATA_DIR", dir)
        .env("INSIGHTHUB_LOG", "error");
    command
}

/// The session's cookie of a new account.
pub async fn sign_up(http: &Client, base: &str, password: &str) -> Result<String, Failure> {
    let form = json!({ "username": "ada", "email": EMAIL, "password": password });
    session_of(&http.post(format!("{base}/api/auth/signup")).json(&form).send().await?.error_for_status()?)
}

/// Of the account.
pub const EMAIL: &str = "ada@example.org";

/// The session's cookie, of those that an answer sets.
pub fn session_of(answer: &Response) -> Result<String, Failure> {
    let cookies = answer.headers().get_all(header::SET_COOKIE).iter().filter_map(|v| v.to_str().ok());
    let pairs = cookies.filter_map(|cookie| cookie.split(';').next());
    let session = pairs.into_iter().find(|pair| pair.starts_with("insighthub_session="));
    session.map(str::to_owned).ok_or_else(|| "no session".into())
}
