//! RAG configurations over REST: what can be chosen, the user's default, a workspace's own, trying a cut out, and
//! indexing stale documents anew.

use super::{
    AppState,
    extract::{CommandId, Json, Params, PathId},
    problem::{ApiError, ApiResult},
    session::{Allowed, SignedIn},
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{
    JobId, Problem, WorkspaceId,
    rag::{
        ChunkingStrategy, DefaultRagConfig, EmbeddingModel, Estimate, RagChoice, RagField, RagForm,
        RerankModel, RetrieverType, WorkspaceRagConfig,
    },
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A configuration to save. A wrong value is told at its field, all of them at once.
#[derive(Deserialize, ToSchema)]
#[allow(dead_code, reason = "it only describes the body in the OpenAPI document")]
pub struct RagConfigBody {
    #[schema(example = "all-MiniLM-L6-v2")]
    embedding_model: Option<String>,
    /// `null`: the model's own.
    embedding_dim: Option<u32>,
    retriever_type: Option<RetrieverType>,
    chunking_strategy: Option<ChunkingStrategy>,
    /// Characters, with the strategy `token` tokens.
    #[schema(minimum = 100, maximum = 5000)]
    chunk_size: Option<u32>,
    /// In the unit of the size, and less than it.
    #[schema(minimum = 0, maximum = 1000)]
    chunk_overlap: Option<u32>,
    #[schema(minimum = 1, maximum = 50)]
    top_k: Option<u32>,
    rerank_enabled: Option<bool>,
    /// Needed when reranking is on.
    rerank_model: Option<RerankModel>,
}

/// A configuration and a text to try it on.
#[derive(Deserialize, ToSchema)]
#[allow(dead_code, reason = "it only describes the body in the OpenAPI document")]
pub struct PreviewBody {
    #[schema(inline)]
    #[serde(flatten)]
    config: RagConfigBody,
    /// At most 100 kB; with the strategy `semantic` 20 kB.
    text: String,
}

#[derive(Serialize, ToSchema)]
pub struct PreviewAnswer {
    count: usize,
    chunks: Vec<PreviewedChunkBody>,
}

#[derive(Serialize, ToSchema)]
pub struct PreviewedChunkBody {
    ordinal: u32,
    text: String,
    chars: u64,
    tokens: u64,
}

#[derive(Serialize, ToSchema)]
pub struct RagOptionsBody {
    models: Vec<EmbeddingModel>,
    retriever_types: Vec<RagChoice>,
    chunking_strategies: Vec<RagChoice>,
    rerank_models: Vec<RagChoice>,
}

#[derive(Serialize, ToSchema)]
pub struct ReindexBody {
    job_id: JobId,
    /// How many are indexed anew.
    documents: u64,
}

/// The embedding models that are offered, each with its state as it is now.
#[utoipa::path(get, path = "/api/rag/models", tag = "rag",
    responses((status = 200, body = Vec<EmbeddingModel>), (status = 401, body = Problem)))]
pub async fn models(State(app): State<AppState>, Allowed(_who): Allowed) -> Json<Vec<EmbeddingModel>> {
    Json(app.services().rag_options().await.models)
}

/// Everything that a configuration can name, what of it this server can run, and why not the rest.
#[utoipa::path(get, path = "/api/rag/options", tag = "rag",
    responses((status = 200, body = RagOptionsBody), (status = 401, body = Problem)))]
pub async fn options(State(app): State<AppState>, Allowed(_who): Allowed) -> Json<RagOptionsBody> {
    let options = app.services().rag_options().await;
    Json(RagOptionsBody {
        models: options.models,
        retriever_types: options.retriever_types,
        chunking_strategies: options.chunking_strategies,
        rerank_models: options.rerank_models,
    })
}

/// Your default configuration, of which new workspaces take a snapshot.
#[utoipa::path(get, path = "/api/auth/default-rag-config", tag = "rag",
    responses((status = 200, body = DefaultRagConfig), (status = 401, body = Problem)))]
pub async fn default_config(
    State(app): State<AppState>,
    SignedIn(who): SignedIn,
) -> ApiResult<Json<DefaultRagConfig>> {
    Ok(Json(app.services().default_rag_config(who.user.id).await?))
}

/// Replace your default configuration as a whole: a field that is absent takes the value that the product comes with.
/// Workspaces that are there keep theirs; other open tabs hear of it.
#[utoipa::path(put, path = "/api/auth/default-rag-config", tag = "rag", request_body = RagConfigBody,
    responses((status = 200, body = DefaultRagConfig), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub async fn save_default_config(
    State(app): State<AppState>,
    SignedIn(who): SignedIn,
    Json(form): Json<RagForm>,
) -> ApiResult<Json<DefaultRagConfig>> {
    Ok(Json(app.services().save_default_rag_config(who.user.id, &form).await?))
}

/// Go back to the configuration that the product comes with; answers it.
#[utoipa::path(delete, path = "/api/auth/default-rag-config", tag = "rag",
    responses((status = 200, body = DefaultRagConfig), (status = 401, body = Problem)))]
pub async fn reset_default_config(
    State(app): State<AppState>,
    SignedIn(who): SignedIn,
) -> ApiResult<Json<DefaultRagConfig>> {
    Ok(Json(app.services().reset_default_rag_config(who.user.id).await?))
}

/// The configuration of a workspace, and the fields in which it differs from your default.
#[utoipa::path(get, path = "/api/workspaces/{id}/rag-config", tag = "rag", params(("id" = String, Path)),
    responses((status = 200, body = WorkspaceRagConfig), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn workspace_config(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
) -> ApiResult<Json<WorkspaceRagConfig>> {
    Ok(Json(app.services().workspace_rag_config(who.user.id, id).await?))
}

/// Replace the configuration of a workspace as a whole: a field that is absent takes the value of your default.
/// Documents that were indexed with other settings turn stale; every open tab hears of them.
#[utoipa::path(put, path = "/api/workspaces/{id}/rag-config", tag = "rag", request_body = RagConfigBody, params(("id" = String, Path)),
    responses((status = 200, body = WorkspaceRagConfig), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn save_workspace_config(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    Json(form): Json<RagForm>,
) -> ApiResult<Json<WorkspaceRagConfig>> {
    Ok(Json(app.services().save_workspace_rag_config(who.user.id, id, &form).await?))
}

/// Take one field of a workspace back to your default, or without `field` all of them; answers the configuration.
#[utoipa::path(delete, path = "/api/workspaces/{id}/rag-config", tag = "rag",
    params(("id" = String, Path), ("field" = Option<RagField>, Query)),
    responses((status = 200, body = WorkspaceRagConfig), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn reset_workspace_config(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    mut params: Params,
) -> ApiResult<Json<WorkspaceRagConfig>> {
    let field = params.one_of("field", RagField::ALL);
    params.check()?;
    let fields: Vec<RagField> = field.into_iter().collect();
    Ok(Json(app.services().reset_workspace_rag_config(who.user.id, id, &fields).await?))
}

/// Cut a text as a document would be cut, by the very same code. A field that is absent takes the value of your
/// default.
#[utoipa::path(post, path = "/api/rag/preview", tag = "rag", request_body = PreviewBody,
    responses((status = 200, body = PreviewAnswer), (status = 401, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn preview(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    Json(mut form): Json<RagForm>,
) -> ApiResult<Json<PreviewAnswer>> {
    let text = match form.0.remove("text") {
        Some(Value::String(text)) => text,
        Some(_) => return Err(ApiError::field("text", "Send a text.")),
        None => return Err(ApiError::field("text", "This field is required.")),
    };
    let preview = app.services().preview_chunks(who.user.id, &form, text).await?;
    let chunks = preview.chunks.into_iter().map(|c| PreviewedChunkBody {
        ordinal: c.ordinal,
        text: c.text,
        chars: c.chars,
        tokens: c.tokens,
    });
    let chunks: Vec<_> = chunks.collect();
    Ok(Json(PreviewAnswer { count: chunks.len(), chunks }))
}

/// Index the stale documents of a workspace anew. They are found as before until each is through.
#[utoipa::path(post, path = "/api/workspaces/{id}/reindex", tag = "rag",
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "a second request with the same key answers the first one's job")),
    responses((status = 202, body = ReindexBody), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "`nothing_stale` when there is none"), (status = 422, body = Problem)))]
pub async fn reindex(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    CommandId(command_id): CommandId,
) -> ApiResult<Response> {
    let made = app.services().reindex(who.user.id, id, command_id).await?;
    let body = ReindexBody { job_id: made.job_id, documents: made.documents };
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

/// What indexing the stale documents anew will take. Nothing is embedded for it.
#[utoipa::path(get, path = "/api/workspaces/{id}/reindex/estimate", tag = "rag", params(("id" = String, Path)),
    responses((status = 200, body = Estimate), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn estimate(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
) -> ApiResult<Json<Estimate>> {
    Ok(Json(app.services().estimate_reindex(who.user.id, id, None).await?))
}

/// What it would take if the workspace had another configuration. Nothing is saved.
#[utoipa::path(post, path = "/api/workspaces/{id}/reindex/estimate", tag = "rag", request_body = RagConfigBody, params(("id" = String, Path)),
    responses((status = 200, body = Estimate), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn estimate_candidate(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    Json(form): Json<RagForm>,
) -> ApiResult<Json<Estimate>> {
    Ok(Json(app.services().estimate_reindex(who.user.id, id, Some(&form)).await?))
}
