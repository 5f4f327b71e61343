//! Reading documents over REST: the list, one, and its original file.

use super::{
    AppState,
    download::{Asked, hand_out},
    extract::{Json, Params, PathId},
    problem::ApiResult,
    session::Allowed,
    tagged::tagged,
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{
    Document, DocumentId, Problem, WorkspaceId,
    event::DocumentDeleted,
    labels::Edit,
    resource::{Page, Version},
};
use http::{HeaderMap, Method, StatusCode};
use serde::{Deserialize, Serialize};
use services::Preview;
use utoipa::ToSchema;

/// The documents of a workspace, newest first.
#[utoipa::path(get, path = "/api/workspaces/{id}/documents", tag = "documents",
    params(("id" = String, Path), ("tag" = Option<String>, Query, description = "only those with this tag"),
        ("limit" = Option<u32>, Query, description = "1–200"), ("after" = Option<String>, Query)),
    responses((status = 200, body = Page<Document>), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    mut params: Params,
) -> ApiResult<Json<Page<Document>>> {
    let page = params.page();
    let tag = params.text("tag").map(str::to_owned);
    params.check()?;
    Ok(Json(app.services().list_documents(who.user.id, id, tag.as_deref(), page).await?))
}

/// One document.
#[utoipa::path(get, path = "/api/documents/{id}", tag = "documents",
    params(("id" = String, Path), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = Document), (status = 304), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn read(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    tagged(&headers, &app.services().document(who.user.id, id).await?)
}

#[derive(Deserialize, ToSchema)]
pub struct EditBody {
    /// What it is called. Its file keeps the name that it came with.
    filename: Option<String>,
    /// False: it is kept, and no search finds it.
    enabled: Option<bool>,
    /// All of its tags; at most 20.
    tags: Option<Vec<String>>,
    add_tags: Option<Vec<String>>,
    remove_tags: Option<Vec<String>>,
}

/// Rename a document, tag it, or keep it from being found. What is not named stays as it is.
#[utoipa::path(patch, path = "/api/documents/{id}", tag = "documents", request_body = EditBody, params(("id" = String, Path)),
    responses((status = 200, body = Document), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "`too_many_tags`, `workspace_deleting`"), (status = 422, body = Problem)))]
pub async fn edit(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
    Json(body): Json<EditBody>,
) -> ApiResult<Json<Document>> {
    let EditBody { filename, enabled, tags, add_tags, remove_tags } = body;
    let (add_tags, remove_tags) = (add_tags.unwrap_or_default(), remove_tags.unwrap_or_default());
    let edit = Edit { filename, enabled, tags, add_tags, remove_tags };
    Ok(Json(app.services().edit_document(who.user.id, id, edit).await?))
}

/// The versions of a document's content, the newest first and all at once. One is the current one; a replacement that is under way, or did not get through,
/// is listed as well.
#[utoipa::path(get, path = "/api/documents/{id}/versions", tag = "documents", params(("id" = String, Path)),
    responses((status = 200, body = Page<Version>), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn versions(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
) -> ApiResult<Json<Page<Version>>> {
    Ok(Json(Page { items: app.services().versions(who.user.id, id).await?, next: None }))
}

#[derive(Serialize, ToSchema)]
pub struct PreviewBody {
    /// Of its content.
    version: u32,
    /// Its text, as it was read. Of a plain text and of a PDF it is `text`; of all others `html`, which holds nothing but text
    /// and its structure.
    #[schema(value_type = String, example = "text")]
    kind: &'static str,
    body: String,
    /// Whether there is no more of it than this.
    whole: bool,
}

/// The beginning of a document's text, for showing it. 404 `not_read` before it was read.
#[utoipa::path(get, path = "/api/documents/{id}/preview", tag = "documents",
    params(("id" = String, Path), ("version" = Option<u32>, Query, description = "the current one when absent")),
    responses((status = 200, body = PreviewBody), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn preview(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
    mut params: Params,
) -> ApiResult<Json<PreviewBody>> {
    let version = params.number("version", 1, u32::MAX);
    params.check()?;
    let preview = app.services().preview(who.user.id, id, version).await?;
    let kind = if preview.is_html { "html" } else { "text" };
    let Preview { version, body, whole, .. } = preview;
    Ok(Json(PreviewBody { version, kind, body, whole }))
}

/// Delete a document: it is gone from lists, counts and search at once, and its work stops. For 8 seconds it can be
/// restored; then its passages, vectors and file go as well.
#[utoipa::path(delete, path = "/api/documents/{id}", tag = "documents", params(("id" = String, Path)),
    responses((status = 202, body = DocumentDeleted), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem, description = "`workspace_deleting`")))]
pub async fn delete(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
) -> ApiResult<Response> {
    let deleted = app.services().delete_document(who.user.id, id).await?;
    Ok((StatusCode::ACCEPTED, Json(deleted)).into_response())
}

/// Bring a document back that was just deleted, with everything that was made of it; what was to be done with it goes on.
#[utoipa::path(post, path = "/api/documents/{id}/restore", tag = "documents", params(("id" = String, Path)),
    responses((status = 200, body = Document), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem, description = "`undo_over`, `workspace_deleting`")))]
pub async fn restore(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
) -> ApiResult<Json<Document>> {
    Ok(Json(app.services().restore_document(who.user.id, id).await?))
}

/// The file as it was uploaded, or that of an earlier version. It is never shown as part of the site: a document may hold
/// script.
#[utoipa::path(get, path = "/api/documents/{id}/content", tag = "documents",
    params(("id" = String, Path), ("version" = Option<u32>, Query, description = "the current one when absent")),
    responses((status = 200, description = "the bytes, as the type that the file is of", content_type = "*/*", headers(("Last-Modified" = String))),
        (status = 206, description = "a range of them", content_type = "*/*", headers(("Last-Modified" = String), ("Content-Range" = String))),
        (status = 304, description = "it is no newer than `If-Modified-Since`"), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 412, body = Problem, description = "it is newer than `If-Unmodified-Since`"),
        (status = 416, body = Problem, description = "nothing of it lies in the range"), (status = 422, body = Problem)))]
pub async fn content(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
    mut params: Params,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let version = params.number("version", 1, u32::MAX);
    params.check()?;
    let file = app.services().content(who.user.id, id, version).await?;
    let asked = Asked { method, headers };
    hand_out(app.services(), &file.key, &file.mime_type, &file.filename, &asked).await
}
