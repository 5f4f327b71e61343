//! Resumable uploads: the tus protocol, version 1.0.0, with its extensions `creation`, `creation-with-upload`,
//! `checksum`, `termination` and `expiration`. <https://tus.io/protocols/resumable-upload> is its source.

use super::{
    AppState,
    extract::{CommandId, Json, PathId},
    problem::{ApiError, ApiResult},
    session::Allowed,
    tus::{self, Algorithm, Refused},
};
use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use domain::{DocumentId, Problem, Timestamp};
use futures::{StreamExt, stream::BoxStream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use ring::digest;
use serde::Serialize;
use services::{Announced, Part, UploadStanding, ports::BlobError};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, UNIX_EPOCH},
};
use utoipa::ToSchema;

const VERSION: &str = "1.0.0";
const EXTENSIONS: &str = "creation,creation-with-upload,checksum,termination,expiration";
const PART: &str = "application/offset+octet-stream";

const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const UPLOAD_CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
const UPLOAD_CONCAT: HeaderName = HeaderName::from_static("upload-concat");

/// How far a file is that comes in parts.
#[derive(Serialize, ToSchema)]
pub struct UploadStandingBody {
    /// Of the document that it becomes. Once it is whole: of the one that has it, which is another one where the workspace
    /// had it already and `on_duplicate` says so.
    document_id: DocumentId,
    filename: String,
    size_bytes: u64,
    /// What is durable of it: the next part begins here.
    received_bytes: u64,
    /// When it is forgotten unless a part comes; null when it is whole.
    expires_at: Option<Timestamp>,
}

impl From<UploadStanding> for UploadStandingBody {
    fn from(s: UploadStanding) -> Self {
        Self {
            document_id: s.document_id,
            filename: s.filename,
            size_bytes: s.size_bytes,
            received_bytes: s.received_bytes,
            expires_at: s.expires_at,
        }
    }
}

/// What this server can do of the tus protocol.
#[utoipa::path(options, path = "/api/uploads", tag = "documents",
    responses((status = 204, description = "What it can do stands in the headers", headers(("Tus-Version" = String), ("Tus-Extension" = String),
        ("Tus-Max-Size" = u64, description = "bytes"), ("Tus-Checksum-Algorithm" = String)))))]
pub async fn capabilities(State(app): State<AppState>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(TUS_VERSION, HeaderValue::from_static(VERSION));
    headers.insert("tus-extension", HeaderValue::from_static(EXTENSIONS));
    headers.insert("tus-checksum-algorithm", HeaderValue::from_static("sha1,sha256"));
    headers.insert("tus-max-size", HeaderValue::from(app.services().limits.file_bytes));
    response
}

/// Announce a file that comes in parts. `Upload-Metadata` has `filename`, and may have `workspace_id` (the first
/// workspace when absent), `sha256` (of the whole file, hexadecimal) and `wait` (the whole file waits until an upload
/// names it in `sent`; without it, it becomes a document by itself) and `on_duplicate` (`skip`, `replace` or `keep_both`,
/// of one that does). With the content type
/// `application/offset+octet-stream` the body is its first part.
#[utoipa::path(post, path = "/api/uploads", tag = "documents",
    request_body(content = Option<Vec<u8>>, content_type = "application/offset+octet-stream"),
    params(("Tus-Resumable" = Option<String>, Header), ("Upload-Length" = u64, Header), ("Upload-Metadata" = Option<String>, Header),
        ("Idempotency-Key" = Option<String>, Header, description = "a second request with the same key answers the first one's upload")),
    responses((status = 201, description = "`Location` names the upload; its last part is the id of the document that it becomes",
            headers(("Location" = String, description = "of the upload"), ("Upload-Offset" = u64, description = "how far it is"),
            ("Upload-Expires" = String, description = "when it is forgotten; absent once it is whole"))),
        (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 460, body = Problem),
        (status = 507, body = Problem)))]
pub async fn create(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    CommandId(command_id): CommandId,
    request: Request,
) -> ApiResult<Response> {
    spoken_to(request.headers())?;
    let announced = announced(request.headers())?;
    let services = app.services();
    let mut standing = services.announce_upload(who.user.id, announced, command_id).await?;
    // The body begins at the file's first byte. Where an earlier request left some of it, the client goes on from there.
    if is_part(request.headers()) && standing.received_bytes == 0 {
        let part = part(request, 0)?;
        standing = services.extend_upload(who.user.id, standing.id, part).await?;
    }
    let mut response = StatusCode::CREATED.into_response();
    let place = format!("/api/uploads/{}", standing.id);
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(told(response, &standing))
}

/// How far an upload is. `HEAD` answers the same in headers alone.
#[utoipa::path(get, path = "/api/uploads/{id}", tag = "documents", params(("id" = String, Path)),
    responses((status = 200, body = UploadStandingBody, headers(("Upload-Offset" = u64, description = "how far it is"),
            ("Upload-Expires" = String, description = "when it is forgotten; absent once it is whole"),
            ("Upload-Length" = u64, description = "bytes of the whole file"), ("Upload-Metadata" = String, description = "as it was sent"))),
        (status = 401, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem), (status = 415, body = Problem),
        (status = 460, body = Problem)))]
pub async fn read(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    spoken_to(&headers)?;
    let standing = app.services().upload_standing(who.user.id, id).await?;
    let metadata = app.services().upload_metadata(who.user.id, &standing).await?;
    let mut response = told(Json(()).into_response(), &standing);
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(UPLOAD_LENGTH, HeaderValue::from(standing.size_bytes));
    // As its sender wrote it, and nothing where it said nothing.
    if let Some(metadata) = metadata.and_then(|told| HeaderValue::from_str(&told).ok()) {
        headers.insert(UPLOAD_METADATA, metadata);
    }
    // Plain data: encoding it cannot fail.
    let body = serde_json::to_vec(&UploadStandingBody::from(standing)).unwrap_or_default();
    *response.body_mut() = Body::from(body);
    Ok(response)
}

/// The next part of an upload, from where it stands. The last one makes the file whole: it is looked at like any other,
/// and refused with the same words. With `Upload-Checksum` a part counts only when it came as it was sent.
#[utoipa::path(patch, path = "/api/uploads/{id}", tag = "documents",
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream"),
    params(("id" = String, Path), ("Tus-Resumable" = Option<String>, Header), ("Upload-Offset" = u64, Header),
        ("Upload-Checksum" = Option<String>, Header, description = "`sha1` or `sha256`, a space, and the digest in Base64")),
    responses((status = 204, description = "`Upload-Offset` says how far it is", headers(("Upload-Offset" = u64, description = "how far it is"),
            ("Upload-Expires" = String, description = "when it is forgotten; absent once it is whole"))),
        (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 408, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 423, body = Problem),
        (status = 460, body = Problem), (status = 507, body = Problem)))]
pub async fn extend(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
    request: Request,
) -> ApiResult<Response> {
    spoken_to(request.headers())?;
    if !is_part(request.headers()) {
        return Err(ApiError::new(415, "unsupported_media_type", format!("Send a part as {PART}.")));
    }
    let offset = text(request.headers(), &UPLOAD_OFFSET)
        .and_then(tus::number)
        .ok_or_else(|| ApiError::field("Upload-Offset", "Say where the part begins."))?;
    let part = part(request, offset)?;
    let standing = app.services().extend_upload(who.user.id, id, part).await?;
    Ok(told(StatusCode::NO_CONTENT.into_response(), &standing))
}

/// Give an upload up. What came of it goes.
#[utoipa::path(delete, path = "/api/uploads/{id}", tag = "documents", params(("id" = String, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem)))]
pub async fn give_up(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    spoken_to(&headers)?;
    app.services().give_up_upload(who.user.id, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The next part of an upload, or its end, for who can send neither `PATCH` nor `DELETE`.
///
/// `X-HTTP-Method-Override` says which of them is meant.
#[utoipa::path(post, path = "/api/uploads/{id}", tag = "documents",
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream"),
    params(("id" = String, Path), ("X-HTTP-Method-Override" = String, Header, description = "`PATCH` or `DELETE`"),
        ("Tus-Resumable" = Option<String>, Header), ("Upload-Offset" = Option<u64>, Header, description = "of a part"),
        ("Upload-Checksum" = Option<String>, Header, description = "of a part")),
    responses((status = 204, description = "as of that method; the headers of a part", headers(("Upload-Offset" = u64, description = "how far it is"),
            ("Upload-Expires" = String, description = "when it is forgotten; absent once it is whole"))),
        (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 408, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 423, body = Problem),
        (status = 460, body = Problem), (status = 507, body = Problem)))]
pub async fn overridden(
    app: State<AppState>,
    who: Allowed,
    id: PathId<DocumentId>,
    request: Request,
) -> ApiResult<Response> {
    match text(request.headers(), &METHOD_OVERRIDE).map(str::to_ascii_uppercase).as_deref() {
        Some("PATCH") => extend(app, who, id, request).await,
        Some("DELETE") => give_up(app, who, id, request.headers().clone()).await,
        _ => Err(ApiError::field("X-HTTP-Method-Override", "Say PATCH or DELETE.")),
    }
}

/// Every answer names the version that is spoken, a refusal as well; whoever speaks another one is told which there are.
pub async fn name_version(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let is_other = response.status() == StatusCode::PRECONDITION_FAILED;
    let headers = response.headers_mut();
    headers.insert(TUS_RESUMABLE, HeaderValue::from_static(VERSION));
    if is_other {
        headers.insert(TUS_VERSION, HeaderValue::from_static(VERSION));
    }
    response
}

/// A client that speaks another version cannot be understood; one that says nothing is taken at its word.
fn spoken_to(headers: &HeaderMap) -> ApiResult<()> {
    match headers.get(TUS_RESUMABLE) {
        Some(version) if version != VERSION => Err(ApiError::new(
            412,
            "unsupported_version",
            format!("This server speaks version {VERSION} of tus."),
        )),
        _ => Ok(()),
    }
}

fn told(mut response: Response, standing: &UploadStanding) -> Response {
    let headers = response.headers_mut();
    headers.insert(UPLOAD_OFFSET, HeaderValue::from(standing.received_bytes));
    if let Some(at) = standing.expires_at.and_then(http_date) {
        headers.insert(UPLOAD_EXPIRES, at);
    }
    response
}

fn http_date(at: Timestamp) -> Option<HeaderValue> {
    let at = UNIX_EPOCH + Duration::from_micros(u64::try_from(at.micros()).ok()?);
    HeaderValue::from_str(&httpdate::fmt_http_date(at)).ok()
}

fn is_part(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == PART)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn announced(headers: &HeaderMap) -> ApiResult<Announced> {
    // A piece of a file would become a document by itself.
    if headers.contains_key(UPLOAD_CONCAT) {
        return Err(ApiError::field(
            "Upload-Concat",
            "Send each file whole: pieces are not put together here.",
        ));
    }
    let (length, metadata) = (text(headers, &UPLOAD_LENGTH), text(headers, &UPLOAD_METADATA));
    tus::announced(length, metadata).map_err(|refused| match refused {
        Refused::Fields(errors) => errors.into(),
        Refused::NoWorkspace => Problem::not_found("workspace").into(),
    })
}

/// The part in the body of a request, with its checksum where the client told one.
fn part(request: Request, offset: u64) -> ApiResult<Part> {
    let wanted = request.headers().get(UPLOAD_CHECKSUM).map(checksum).transpose()?;
    let body = request.into_body().into_data_stream();
    let body: BoxStream<'static, Result<Bytes, BlobError>> =
        body.map(|chunk| chunk.map_err(|e| BlobError::BrokenOff(e.to_string()))).boxed();
    let Some((algorithm, wanted)) = wanted else { return Ok(Part { offset, body, verify: None }) };
    let seen = Arc::new(Mutex::new(digest::Context::new(algorithm)));
    let digest = seen.clone();
    let body = body.inspect(move |chunk| {
        if let Ok(bytes) = chunk {
            digest.lock().unwrap_or_else(PoisonError::into_inner).update(bytes);
        }
    });
    let is_right = move || {
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        seen.finish().as_ref() == wanted
    };
    Ok(Part { offset, body: body.boxed(), verify: Some(Box::new(is_right)) })
}

fn checksum(value: &HeaderValue) -> ApiResult<(&'static digest::Algorithm, Vec<u8>)> {
    let unknown =
        || ApiError::new(400, "bad_checksum", "Send `sha1` or `sha256`, a space, and the digest in Base64.");
    let (algorithm, wanted) = value.to_str().ok().and_then(tus::checksum).ok_or_else(unknown)?;
    let algorithm = match algorithm {
        // The protocol asks for it; it guards against accidents, not against anybody.
        Algorithm::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        Algorithm::Sha256 => &digest::SHA256,
    };
    Ok((algorithm, wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_str(v).expect("a value")))
            .collect()
    }

    #[test]
    fn metadata_is_read_and_what_cannot_be_read_is_named() {
        let name = BASE64.encode("räksmörgås.pdf");
        let all = format!("filename {name},wait, sha256 {}", BASE64.encode("a".repeat(64)));
        let read = announced(&headers(&[("upload-length", "7"), ("upload-metadata", &all)])).expect("read");
        assert_eq!((&*read.filename, read.size_bytes, read.alone), ("räksmörgås.pdf", 7, false));
        assert!(read.sha256.is_some() && read.workspace.is_none());
        for (length, metadata, field) in [
            ("", "", "Upload-Length"),
            ("-1", "", "Upload-Length"),
            ("1", "filename ???", "Upload-Metadata"),
            ("1", "sha256 YWI=", "Upload-Metadata"),
        ] {
            let refused = announced(&headers(&[("upload-length", length), ("upload-metadata", metadata)]));
            let problem = refused.err().expect("refused").problem().clone();
            assert!(!problem.errors.of(field).is_empty(), "{length} {metadata}: {problem:?}");
        }
    }

    #[test]
    fn a_checksum_names_its_algorithm() {
        let read = |text: &str| checksum(&HeaderValue::from_str(text).expect("a value"));
        assert!(read("sha1 YWI=").is_ok() && read("sha256 YWI=").is_ok());
        for bad in ["", "sha1", "md5 YWI=", "sha1 ???"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
