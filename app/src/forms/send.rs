//! Sends a form the way the browser would, and reads what the server function behind it answers. One code for all
//! forms, whatever their fields are.

use crate::{AppError, error::UNREACHABLE, wire};
use domain::Problem;
use gloo_net::http::Request;
use serde_json::Value;
use web_sys::{FormData, HtmlFormElement, UrlSearchParams};

pub async fn send(form: &HtmlFormElement, action: &str) -> Result<Value, AppError> {
    let fields =
        FormData::new_with_form(form).and_then(|d| UrlSearchParams::new_with_str_sequence_sequence(&d));
    let fields = fields.map_err(|_| unreachable())?;
    post(action, fields).await
}

async fn post(action: &str, fields: UrlSearchParams) -> Result<Value, AppError> {
    let request = Request::post(action).header("accept", "application/json").body(fields);
    let answer = request.map_err(|_| unreachable())?.send().await.map_err(|_| unreachable())?;
    let text = answer.text().await.map_err(|_| unreachable())?;
    if answer.ok() {
        return Ok(wire::from_json(&text).unwrap_or(Value::Null));
    }
    Err(wire::from_json::<Problem>(&text).map_or_else(unreachable, Into::into))
}

fn unreachable() -> AppError {
    Problem::new(503, UNREACHABLE, "The server cannot be reached. Check the connection and try again.").into()
}
