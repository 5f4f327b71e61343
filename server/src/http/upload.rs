//! Uploads: a multipart body whose files go straight to the disk, one after the other. A file that cannot be taken is
//! told beside the others, which go on.

use super::{
    AppState,
    extract::{CommandId, Json},
    filename,
    problem::{ApiError, ApiResult},
    session::{Allowed, SignedIn},
};
use crate::pages::Cookies;
use axum::{
    extract::{FromRequest, Request, State},
    response::{IntoResponse, Redirect, Response},
};
use bytes::Bytes;
use domain::{
    DocumentId, DocumentStatus, JobId, OnDuplicate, Problem, UserId, WorkspaceId, duplicates::Taken,
};
use futures::{StreamExt, stream::BoxStream};
use http::{HeaderValue, StatusCode, header};
use multer::{Field, Multipart};
use serde::Serialize;
use services::{Accepted, ReceivedFile, Rejected, Services, UploadAnswer, ports::BlobError};
use utoipa::ToSchema;

/// Longest text field, in bytes.
const MAX_TEXT: usize = 1_024;

#[derive(Serialize, ToSchema)]
pub struct AcceptedBody {
    /// Of the file: as one that was sent ahead is named in `sent`.
    file_id: DocumentId,
    /// The document that has it now.
    document_id: DocumentId,
    /// What the document is called.
    filename: String,
    status: DocumentStatus,
    /// `added`: a document of its own; `replaced`: the next version of this one; `skipped`: this one has the very same.
    outcome: Taken,
    /// Of the document: the one that the file is.
    version: u32,
}

#[derive(Serialize, ToSchema)]
pub struct RejectedBody {
    filename: String,
    /// `too_large`, `unsupported_type`, `empty_file`, `storage_full`, `too_many_files` or `file_gone`.
    code: String,
    detail: String,
}

/// What became of an upload.
#[derive(Serialize, ToSchema)]
pub struct UploadBody {
    /// When all files were skipped, the job that the first of these documents came with.
    job_id: Option<JobId>,
    documents: Vec<AcceptedBody>,
    rejected: Vec<RejectedBody>,
}

/// What became of an upload, with its first document by itself.
#[derive(Serialize, ToSchema)]
pub struct UploadOneBody {
    document_id: Option<DocumentId>,
    #[serde(flatten)]
    upload: UploadBody,
}

impl From<UploadAnswer> for UploadBody {
    fn from(answer: UploadAnswer) -> Self {
        let accepted = answer.documents.into_iter().map(|d| AcceptedBody {
            file_id: d.file_id,
            document_id: d.document_id,
            filename: d.filename,
            status: d.status,
            outcome: d.outcome,
            version: d.version,
        });
        let rejected = answer.rejected.into_iter().map(|r| RejectedBody {
            filename: r.filename,
            code: r.code,
            detail: r.detail,
        });
        Self { job_id: answer.job_id, documents: accepted.collect(), rejected: rejected.collect() }
    }
}

/// The form of an upload.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it only describes the form in the OpenAPI document")]
pub struct UploadForm {
    /// May be repeated.
    #[schema(value_type = Option<Vec<String>>, format = Binary)]
    file: Vec<Vec<u8>>,
    /// Instead of files: the `document_id` of one that was sent ahead. May be repeated.
    sent: Option<Vec<DocumentId>>,
    /// What becomes of a file that the workspace has already; `keep_both` when absent. `skip`: what is the same byte by
    /// byte is not taken again. `replace`: the document of the same name, or else of the same bytes, gets it as its next
    /// version.
    on_duplicate: Option<OnDuplicate>,
}

/// The form of an upload that may name its workspace.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it only describes the form in the OpenAPI document")]
pub struct UploadOneForm {
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// The first workspace when absent.
    workspace_id: Option<WorkspaceId>,
    /// As in an upload into a workspace.
    on_duplicate: Option<OnDuplicate>,
}

/// Upload files into a workspace, or name such that were sent ahead. Each becomes a document of one job; a file that
/// cannot be taken is told in `rejected` and leaves the others alone.
#[utoipa::path(post, path = "/api/workspaces/{id}/documents", tag = "documents",
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "a second request with the same key answers the first one's job")),
    responses((status = 202, body = UploadBody), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 408, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
        (status = 507, body = Problem)))]
pub async fn upload(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    super::extract::PathId(workspace): super::extract::PathId<WorkspaceId>,
    CommandId(command_id): CommandId,
    Form(mut form): Form,
) -> ApiResult<Response> {
    let services = app.services();
    services.may_upload(who.user.id, workspace).await?;
    let mut upload = Upload::new(services, who.user.id);
    let mut sent = vec![];
    while let Some(field) = next(&mut form).await? {
        if field.name() != Some("sent") {
            upload.take(field).await?;
        } else if sent.len() >= services.limits.files {
            let most = services.limits.files;
            let detail = format!("At most {most} files are taken at once.");
            return Err(ApiError::new(422, "too_many_files", detail));
        } else {
            let id = short_text(field).await?.trim().parse();
            sent.push(id.map_err(|_| ApiError::field("sent", "This is no file that was sent ahead."))?);
        }
    }
    let carries = !upload.files.is_empty() || !upload.rejected.is_empty();
    if carries && !sent.is_empty() {
        return Err(ApiError::field("sent", "Send files or name them, not both in one form."));
    }
    let answer = if sent.is_empty() {
        upload.start(workspace, command_id).await?
    } else {
        let on_duplicate = upload.on_duplicate;
        services.start_upload_of(who.user.id, workspace, &sent, on_duplicate, command_id).await?
    };
    Ok((StatusCode::ACCEPTED, Json(UploadBody::from(answer))).into_response())
}

/// The form of the workspace's page, as a browser without scripts sends it: it leads back to the page, which tells what
/// was not taken.
pub async fn upload_from_page(
    State(app): State<AppState>,
    SignedIn(who): SignedIn,
    super::extract::PathId(workspace): super::extract::PathId<WorkspaceId>,
    Form(mut form): Form,
) -> ApiResult<Response> {
    let services = app.services();
    let mut upload = Upload::new(services, who.user.id);
    let taken = async {
        services.may_upload(who.user.id, workspace).await?;
        while let Some(field) = next(&mut form).await? {
            upload.take(field).await?;
        }
        ApiResult::Ok(())
    };
    let mut messages = vec![];
    match taken.await {
        Ok(()) if upload.files.is_empty() && upload.rejected.is_empty() => {
            messages.push("Choose the files to add first.".to_owned());
        }
        Ok(()) => {
            let rejected = upload.rejected.iter().map(|r| format!("{}: {}", r.filename, r.detail));
            messages.extend(rejected);
            // When all were refused, the list above tells why.
            match upload.start(workspace, None).await {
                Ok(answer) => messages.extend(answer.documents.iter().filter_map(was_skipped)),
                Err(e) if messages.is_empty() => messages.push(e.to_problem().detail),
                Err(_) => {}
            }
        }
        Err(e) => messages.push(e.problem().detail.clone()),
    }
    let page = app::paths::workspace(workspace);
    let mut answer = Redirect::to(&page).into_response();
    if let Some(cookie) = app::ssr::flash::refused(&page, "file", &messages, &Cookies(app.clone()))
        && !messages.is_empty()
        && let Ok(cookie) = HeaderValue::from_str(&cookie)
    {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(answer)
}

/// Upload into a workspace that the form may name; without, into the first one.
#[utoipa::path(post, path = "/v1/documents/", tag = "status",
    request_body(content = UploadOneForm, content_type = "multipart/form-data"),
    params(("Idempotency-Key" = Option<String>, Header, description = "a second request with the same key answers the first one's job")),
    responses((status = 202, body = UploadOneBody), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 408, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
        (status = 507, body = Problem)))]
pub async fn upload_one(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    CommandId(command_id): CommandId,
    Form(mut form): Form,
) -> ApiResult<Response> {
    let services = app.services();
    let mut upload = Upload::new(services, who.user.id);
    let mut workspace = None;
    while let Some(field) = next(&mut form).await? {
        if field.name() == Some("workspace_id") {
            workspace = Some(named_workspace(services, who.user.id, field).await?);
        } else {
            upload.take(field).await?;
        }
    }
    let workspace = match workspace {
        Some(workspace) => workspace,
        None => services.first_workspace(who.user.id).await?,
    };
    services.may_upload(who.user.id, workspace).await?;
    let answer = upload.start(workspace, command_id).await?;
    let body =
        UploadOneBody { document_id: answer.documents.first().map(|d| d.document_id), upload: answer.into() };
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

async fn named_workspace(services: &Services, user: UserId, field: Field<'static>) -> ApiResult<WorkspaceId> {
    let text = short_text(field).await?;
    let id = text.trim().parse().map_err(|_| ApiError::from(Problem::not_found("workspace")))?;
    // Asked as soon as it is known: what follows may be long.
    services.may_upload(user, id).await?;
    Ok(id)
}

/// What was taken and what was refused so far.
pub(super) struct Upload<'a> {
    services: &'a Services,
    user: UserId,
    pub(super) files: Vec<ReceivedFile>,
    pub(super) rejected: Vec<Rejected>,
    pub(super) on_duplicate: OnDuplicate,
}

/// What a person without scripts is told of a file that was not taken.
fn was_skipped(file: &Accepted) -> Option<String> {
    let sentence = || format!("{} is here already; the file was not taken again.", file.filename);
    (file.outcome == Taken::Skipped).then(sentence)
}

impl<'a> Upload<'a> {
    pub(super) fn new(services: &'a Services, user: UserId) -> Self {
        Self { services, user, files: vec![], rejected: vec![], on_duplicate: OnDuplicate::default() }
    }

    async fn start(
        self,
        workspace: WorkspaceId,
        command_id: Option<String>,
    ) -> Result<UploadAnswer, services::Error> {
        let Self { services, user, files, rejected, on_duplicate } = self;
        services.start_upload(user, workspace, files, rejected, on_duplicate, command_id).await
    }

    /// Takes a field named `file`, and `on_duplicate`; reads past any other.
    pub(super) async fn take(&mut self, field: Field<'static>) -> ApiResult<()> {
        if field.name() == Some("on_duplicate") {
            self.on_duplicate = on_duplicate(&short_text(field).await?)?;
            return Ok(());
        }
        if field.name() != Some("file") {
            return Ok(());
        }
        let said = filename::extended(field.headers()).or_else(|| field.file_name().map(str::to_owned));
        // A form without a chosen file sends an empty one with an empty name.
        if said.as_deref() == Some("") && field.content_type().is_some() {
            return Ok(());
        }
        let filename = said.unwrap_or_default();
        let most = self.services.limits.files;
        if self.files.len() + self.rejected.len() >= most {
            // Told once: the list of refusals must not grow with whatever is sent.
            if self.rejected.last().is_none_or(|r| r.code != "too_many_files") {
                self.rejected.push(Rejected {
                    filename: filename.chars().take(200).collect(),
                    code: "too_many_files".to_owned(),
                    detail: format!(
                        "At most {most} files are taken at once; this and the following were left out."
                    ),
                    status: 422,
                });
            }
            return Ok(());
        }
        let body: BoxStream<'static, Result<Bytes, BlobError>> =
            field.map(|chunk| chunk.map_err(|e| BlobError::BrokenOff(e.to_string()))).boxed();
        match self.services.receive_file(self.user, &filename, body).await? {
            Ok(file) => self.files.push(file),
            Err(rejected) => self.rejected.push(rejected),
        }
        Ok(())
    }
}

/// A form that leaves the field empty says nothing.
fn on_duplicate(text: &str) -> ApiResult<OnDuplicate> {
    match text.trim() {
        "" => Ok(OnDuplicate::default()),
        text => text.parse().map_err(|_| {
            let names: Vec<&str> = OnDuplicate::ALL.iter().map(|way| way.as_str()).collect();
            ApiError::field("on_duplicate", format!("One of: {}.", names.join(", ")))
        }),
    }
}

pub(super) async fn next(form: &mut Multipart<'static>) -> ApiResult<Option<Field<'static>>> {
    form.next_field().await.map_err(|e| malformed(&e))
}

async fn short_text(mut field: Field<'static>) -> ApiResult<String> {
    let mut text = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|e| malformed(&e))? {
        text.extend_from_slice(&chunk);
        if text.len() > MAX_TEXT {
            return Err(ApiError::new(413, "too_large", "A text field of the form is too long."));
        }
    }
    String::from_utf8(text)
        .map_err(|_| ApiError::new(400, "bad_form", "A text field of the form is not UTF-8."))
}

fn malformed(e: &multer::Error) -> ApiError {
    ApiError::new(400, "bad_form", format!("The form could not be read: {e}."))
}

/// A multipart body, read as it comes; there is no limit on the whole, only on each file.
pub struct Form(pub(super) Multipart<'static>);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> ApiResult<Self> {
        let kind =
            request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let boundary = multer::parse_boundary(kind).map_err(|_| {
            ApiError::new(
                415,
                "unsupported_media_type",
                "Send the files as multipart/form-data, in fields named `file`.",
            )
        })?;
        Ok(Self(Multipart::new(request.into_body().into_data_stream(), boundary)))
    }
}
