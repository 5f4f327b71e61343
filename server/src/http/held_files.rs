//! What a workspace has of files that somebody is about to send: asked before anything is sent, so that nothing is sent for
//! nothing.

use super::{
    AppState,
    extract::{Json, PathId},
    problem::{ApiError, ApiResult},
    session::Allowed,
};
use axum::extract::State;
use domain::{DocumentId, FieldErrors, Problem, WorkspaceId, duplicates::Known};
use serde::{Deserialize, Serialize};
use services::{HeldFile, Offered};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
pub struct OfferedBody {
    /// At most as many as one upload may have.
    files: Vec<OfferedFile>,
}

#[derive(Deserialize, ToSchema)]
pub struct OfferedFile {
    filename: String,
    size_bytes: Option<u64>,
    /// Of its bytes, hexadecimal. Without it only name and size are compared.
    sha256: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct HeldBody {
    /// In the order of the files.
    items: Vec<HeldFileBody>,
}

#[derive(Serialize, ToSchema)]
pub struct HeldFileBody {
    /// The newest document that has the very same bytes.
    same: Option<HeldDocument>,
    /// The newest one of the same name, with other bytes.
    namesake: Option<HeldDocument>,
    /// A document has as many bytes: it may be the same, which only its hash tells.
    same_size: bool,
}

#[derive(Serialize, ToSchema)]
pub struct HeldDocument {
    document_id: DocumentId,
    filename: String,
}

impl From<Known> for HeldDocument {
    fn from(known: Known) -> Self {
        Self { document_id: known.id, filename: known.filename }
    }
}

/// Ask which of some files the workspace has already, by their bytes and by their names. Other workspaces are not looked
/// at.
#[utoipa::path(post, path = "/api/workspaces/{id}/files/check", tag = "documents", request_body = OfferedBody,
    params(("id" = String, Path)),
    responses((status = 200, body = HeldBody), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn check(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(workspace): PathId<WorkspaceId>,
    Json(body): Json<OfferedBody>,
) -> ApiResult<Json<HeldBody>> {
    let mut errors = FieldErrors::default();
    for (place, file) in body.files.iter().enumerate() {
        let is_hash = |hash: &String| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        if file.sha256.as_ref().is_some_and(|hash| !is_hash(hash)) {
            errors.add(&format!("files[{place}].sha256"), "It has 64 hexadecimal digits.");
            break;
        }
    }
    if !errors.is_empty() {
        return Err(ApiError::from(Problem::invalid(errors)));
    }
    let offered = body.files.into_iter().map(|file| Offered {
        filename: file.filename,
        size_bytes: file.size_bytes,
        content_hash: file.sha256,
    });
    let held = app.services().held_files(who.user.id, workspace, offered.collect()).await?;
    let items = held.into_iter().map(|HeldFile { same, namesake, same_size }| HeldFileBody {
        same: same.map(HeldDocument::from),
        namesake: namesake.map(HeldDocument::from),
        same_size,
    });
    Ok(Json(HeldBody { items: items.collect() }))
}
