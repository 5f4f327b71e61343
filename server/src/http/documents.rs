//! Reading documents over REST: the list, one, and its original file.

use super::{
    AppState,
    extract::{Json, Params, PathId},
    problem::{ApiError, ApiResult},
    session::Allowed,
    tagged::tagged,
};
use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use domain::{Document, DocumentId, Problem, WorkspaceId, event::DocumentDeleted, resource::Page};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::path::Path;
use tower::ServiceExt;
use tower_http::services::ServeFile;

/// The documents of a workspace, newest first.
#[utoipa::path(get, path = "/api/workspaces/{id}/documents", tag = "documents",
    params(("id" = String, Path), ("limit" = Option<u32>, Query, description = "1–200"), ("after" = Option<String>, Query)),
    responses((status = 200, body = Page<Document>), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    mut params: Params,
) -> ApiResult<Json<Page<Document>>> {
    let page = params.page();
    params.check()?;
    Ok(Json(app.services().list_documents(who.user.id, id, page).await?))
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

/// The file as it was uploaded. It is never shown as part of the site: a document may hold script.
#[utoipa::path(get, path = "/api/documents/{id}/content", tag = "documents", params(("id" = String, Path)),
    responses((status = 200, description = "the bytes", content_type = "application/octet-stream"), (status = 206, description = "a range of them"),
        (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn content(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
    request: Request,
) -> ApiResult<Response> {
    let (document, path) = app.services().content(who.user.id, id).await?;
    serve_file(&path, &document.mime_type, &document.filename, request).await
}

/// A stored file as a download.
pub(super) async fn serve_file(
    path: &Path,
    mime_type: &str,
    filename: &str,
    request: Request,
) -> ApiResult<Response> {
    // Ranges, conditions and HEAD come with it.
    let served = ServeFile::new(path).oneshot(request).await;
    let mut response = match served {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    };
    if response.status() == StatusCode::NOT_FOUND {
        return Err(ApiError::from(Problem::not_found("file")));
    }
    let headers = response.headers_mut();
    let kind = HeaderValue::from_str(mime_type);
    headers
        .insert(header::CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    headers.insert(header::CONTENT_DISPOSITION, attachment(filename));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// What RFC 5987 lets stand unencoded.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// `Content-Disposition` with the name twice: for old clients in ASCII, and whole.
fn attachment(filename: &str) -> HeaderValue {
    let ascii: String = filename
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' })
        .collect();
    let text = format!(
        "attachment; filename=\"{ascii}\"; filename*=UTF-8''{}",
        utf8_percent_encode(filename, PLAIN)
    );
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        assert_eq!(
            attachment("Müller \"1\";\r\nX: y.pdf"),
            "attachment; filename=\"M_ller _1_;__X: y.pdf\"; filename*=UTF-8''M%C3%BCller%20%221%22%3B%0D%0AX%3A%20y.pdf"
        );
    }
}
