//! Passages of a document over REST: the list, one where it stands in the text, and what a person does to it.

use super::{
    AppState,
    extract::{Json, Params, PathId},
    problem::{ApiError, ApiResult},
    session::Allowed,
};
use axum::extract::{Path, State};
use domain::{Chunk, ChunkId, DocumentId, Problem, resource::Page};
use serde::{Deserialize, Serialize};
use services::{InText, PassageForm};
use utoipa::ToSchema;

/// What is absent stays.
#[derive(Deserialize, ToSchema)]
pub struct ChunkEdit {
    /// Other words in place of the passage's; the words of the document put it back.
    text: Option<String>,
    /// False: kept, but found by no search.
    enabled: Option<bool>,
}

/// A passage in its document's text; `before`, `passage` and `behind` follow one another there.
#[derive(Serialize, ToSchema)]
pub struct ChunkInText {
    chunk: Chunk,
    before: String,
    /// The words of the document, also where somebody wrote others in their place.
    passage: String,
    behind: String,
    /// The text begins with `before`, and ends with `behind`.
    is_start: bool,
    is_end: bool,
    /// There is no such passage any more, since its document was indexed anew: this is what the answer of the turn had.
    is_gone: bool,
}

impl From<InText> for ChunkInText {
    fn from(found: InText) -> Self {
        let InText { chunk, is_start, before, passage, behind, is_end, is_gone } = found;
        Self { chunk, before, passage, behind, is_start, is_end, is_gone }
    }
}

/// The ids of a passage's address.
fn ids((document, chunk): (String, String)) -> ApiResult<(DocumentId, ChunkId)> {
    let missing = |what| ApiError::from(Problem::not_found(what));
    let document = document.parse().map_err(|_| missing("document"))?;
    Ok((document, chunk.parse().map_err(|_| missing("passage"))?))
}

/// The passages of a document, by ordinal; with `q` those that have these words. Those of a version that was replaced are at
/// hand under the ids that they had.
#[utoipa::path(get, path = "/api/documents/{id}/chunks", tag = "documents",
    params(("id" = String, Path), ("q" = Option<String>, Query, description = "words in heading or text"),
        ("version" = Option<u32>, Query, description = "the current one when absent; without `q`"),
        ("limit" = Option<u32>, Query, description = "1–200"), ("after" = Option<String>, Query)),
    responses((status = 200, body = Page<Chunk>), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<DocumentId>,
    mut params: Params,
) -> ApiResult<Json<Page<Chunk>>> {
    let page = params.page();
    let words = params.text("q").map(str::to_owned);
    let version = params.number("version", 1, u32::MAX);
    params.check()?;
    Ok(Json(app.services().find_chunks(who.user.id, id, version, words.as_deref(), page).await?))
}

/// A passage where it stands in the text of its document, in the version that it is of.
#[utoipa::path(get, path = "/api/documents/{id}/chunks/{chunk_id}", tag = "documents",
    params(("id" = String, Path), ("chunk_id" = String, Path),
        ("turn" = Option<String>, Query, description = "one whose answer named it, for when the document was indexed anew")),
    responses((status = 200, body = ChunkInText), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn read(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    Path(address): Path<(String, String)>,
    params: Params,
) -> ApiResult<Json<ChunkInText>> {
    let (document, chunk) = ids(address)?;
    let turn = params.text("turn").and_then(|id| id.parse().ok());
    Ok(Json(app.services().chunk_in_text(who.user.id, document, chunk, turn).await?.into()))
}

/// Write other words in place of a passage's, which are embedded at once, or take it out of what searches find. It holds
/// for whatever a later run cuts word for word like this passage; other settings cut other passages.
#[utoipa::path(patch, path = "/api/documents/{id}/chunks/{chunk_id}", tag = "documents", request_body = ChunkEdit,
    params(("id" = String, Path), ("chunk_id" = String, Path)),
    responses((status = 200, body = Chunk), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "`document_busy`"), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn edit(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    Path(address): Path<(String, String)>,
    Json(edit): Json<ChunkEdit>,
) -> ApiResult<Json<Chunk>> {
    let (document, chunk) = ids(address)?;
    let form = PassageForm { text: edit.text, enabled: edit.enabled };
    Ok(Json(app.services().change_chunk(who.user.id, document, chunk, form).await?))
}

/// Embed a passage anew, alone.
#[utoipa::path(post, path = "/api/documents/{id}/chunks/{chunk_id}/embed", tag = "documents",
    params(("id" = String, Path), ("chunk_id" = String, Path)),
    responses((status = 200, body = Chunk), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "`document_busy`, `not_embedded`"), (status = 503, body = Problem)))]
pub async fn embed(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    Path(address): Path<(String, String)>,
) -> ApiResult<Json<Chunk>> {
    let (document, chunk) = ids(address)?;
    Ok(Json(app.services().embed_chunk(who.user.id, document, chunk).await?))
}
