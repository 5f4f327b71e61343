//! Search over REST.

use super::{
    AppState,
    extract::{Json, Params, PathId},
    problem::ApiResult,
    session::Allowed,
};
use axum::extract::State;
use domain::{
    Problem, WorkspaceId,
    rag::{RagForm, RerankModel, RetrieverType},
    resource::{SearchHit, Warning},
};
use serde::Serialize;
use serde_json::{Map, Value};
use services::Tried;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub struct SearchAnswer {
    /// Best first.
    items: Vec<SearchHit>,
    /// How they were looked for: what the question named, else what the workspace has.
    retriever_type: RetrieverType,
    /// `null`: in the order of the retriever.
    rerank_model: Option<RerankModel>,
    top_k: u32,
    /// What went otherwise than it was asked for, such as `rerank_failed`.
    warnings: Vec<Warning>,
}

impl From<Tried> for SearchAnswer {
    fn from(tried: Tried) -> Self {
        Self {
            items: tried.found.hits,
            retriever_type: tried.config.retriever_type,
            rerank_model: tried.config.rerank_model.filter(|_| tried.config.rerank_enabled),
            top_k: tried.config.top_k,
            warnings: tried.found.warnings,
        }
    }
}

/// The passages that answer a question best, each with the score and the place that every way of looking gave it. The
/// workspace's settings hold, save for what the question names; nothing is saved.
#[utoipa::path(get, path = "/api/workspaces/{id}/search", tag = "search",
    params(("id" = String, Path), ("q" = String, Query), ("top_k" = Option<u32>, Query, description = "1–50"),
        ("retriever_type" = Option<RetrieverType>, Query),
        ("rerank_model" = Option<String>, Query, description = "`rrf`, `bm25`, `cross-encoder`, or `none`")),
    responses((status = 200, body = SearchAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn search(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    mut params: Params,
) -> ApiResult<Json<SearchAnswer>> {
    let query = params.text("q").unwrap_or_default().to_owned();
    let mut form = Map::new();
    if let Some(top_k) = params.number("top_k", 1, 50) {
        form.insert("top_k".to_owned(), top_k.into());
    }
    if let Some(retriever) = params.text("retriever_type") {
        form.insert("retriever_type".to_owned(), retriever.into());
    }
    if let Some(model) = params.text("rerank_model") {
        let model = if model == "none" { Value::Null } else { model.into() };
        form.insert("rerank_model".to_owned(), model);
    }
    params.check()?;
    Ok(Json(app.services().search(who.user.id, id, &query, &RagForm(form)).await?.into()))
}
