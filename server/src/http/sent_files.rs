//! Files that are sent ahead over REST, one a request; an upload names them in the end.

use super::{
    AppState,
    extract::{CommandId, Json, PathId},
    problem::{ApiError, ApiResult},
    session::Allowed,
    upload::{Form, Upload, next},
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{DocumentId, Problem, WorkspaceId};
use http::StatusCode;
use serde::Serialize;
use services::ports::NewDocument;
use utoipa::ToSchema;

/// A file that is on the server and no document yet.
#[derive(Serialize, ToSchema)]
pub struct SentFileBody {
    /// Of the document that it becomes; until then the name of the file.
    document_id: DocumentId,
    filename: String,
    mime_type: String,
    size_bytes: u64,
}

impl From<NewDocument> for SentFileBody {
    fn from(d: NewDocument) -> Self {
        Self { document_id: d.id, filename: d.filename, mime_type: d.mime_type, size_bytes: d.size_bytes }
    }
}

/// The form of a file that is sent ahead.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it only describes the form in the OpenAPI document")]
pub struct SentFileForm {
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// Send one file ahead. It is kept for a day, and becomes a document once an upload names it in `sent`.
#[utoipa::path(post, path = "/api/workspaces/{id}/files", tag = "documents",
    request_body(content = SentFileForm, content_type = "multipart/form-data"),
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "a second request with the same key answers the first one's file")),
    responses((status = 201, body = SentFileBody), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 408, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
        (status = 507, body = Problem)))]
pub async fn send(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(workspace): PathId<WorkspaceId>,
    CommandId(command_id): CommandId,
    Form(mut form): Form,
) -> ApiResult<Response> {
    let services = app.services();
    services.may_upload(who.user.id, workspace).await?;
    let mut upload = Upload::new(services, who.user.id);
    while let Some(field) = next(&mut form).await? {
        upload.take(field).await?;
    }
    let received = match (upload.files.pop(), upload.rejected.pop()) {
        (Some(file), None) if upload.files.is_empty() => Ok(file),
        (None, Some(rejected)) if upload.rejected.is_empty() => Err(rejected),
        (None, None) => return Err(ApiError::field("file", "Choose a file.")),
        _ => return Err(ApiError::field("file", "Send one file at a time.")),
    };
    let kept = services.keep_file(who.user.id, workspace, received, command_id).await?;
    Ok((StatusCode::CREATED, Json(SentFileBody::from(kept))).into_response())
}

/// Take a file back that was sent ahead.
#[utoipa::path(delete, path = "/api/files/{id}", tag = "documents", params(("id" = String, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn remove(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
) -> ApiResult<StatusCode> {
    app.services().drop_file(who.user.id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
