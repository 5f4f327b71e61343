//! Actions over many documents over REST: begun by one request, followed by their handle.

use super::{
    AppState,
    extract::{CommandId, Json, PathId},
    problem::{ApiError, ApiResult},
    session::Allowed,
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{
    BulkId, DocumentId, DocumentStatus, FieldErrors, Problem, WorkspaceId,
    bulk::{Bulk, BulkAction},
};
use http::{StatusCode, header};
use serde::Deserialize;
use services::{BulkForm, Matching};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
pub struct BulkBody {
    /// What is done to each: `retry`, `delete`, `cancel`, `pause`, `resume`, `reindex`, `enable`, `disable`, `tag` or `untag`.
    #[serde(default)]
    #[schema(required, example = "retry")]
    action: String,
    /// Of `tag` and `untag`: the tag.
    tag: Option<String>,
    /// These documents, at most 10,000.
    ids: Option<Vec<String>>,
    /// Or all that match. An empty filter means every document of the workspace.
    filter: Option<BulkFilter>,
}

// A name that is not known may have been meant as a bound, without which more documents would be taken.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkFilter {
    /// `pending`, `processing`, `ready` or `failed`.
    #[schema(example = "failed")]
    status: Option<String>,
    /// A part of the name.
    q: Option<String>,
    /// One of its tags.
    tag: Option<String>,
}

/// Do something to many documents. The handle is answered at once; it goes on in the background, also over a restart, and
/// takes each document once. `workspace_status` tells its counts.
#[utoipa::path(post, path = "/api/workspaces/{id}/bulk", tag = "documents", request_body = BulkBody,
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "a second request with the same key answers the first one's handle")),
    responses((status = 202, body = Bulk, headers(("Location" = String, description = "of the handle"))), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "`workspace_deleting`"), (status = 422, body = Problem)))]
pub async fn begin(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<WorkspaceId>,
    CommandId(command_id): CommandId,
    Json(body): Json<BulkBody>,
) -> ApiResult<Response> {
    let form = form_of(body)?;
    let bulk = app.services().begin_bulk(who.user.id, id, form, command_id).await?;
    Ok(accepted(bulk))
}

fn accepted(bulk: Bulk) -> Response {
    let place = format!("/api/bulk/{}", bulk.id);
    (StatusCode::ACCEPTED, [(header::LOCATION, place)], Json(bulk)).into_response()
}

fn form_of(body: BulkBody) -> Result<BulkForm, ApiError> {
    let mut errors = FieldErrors::default();
    let known = |action: &BulkAction| *action != BulkAction::Restore;
    let action = body.action.parse().ok().filter(known);
    if action.is_none() {
        let names: Vec<&str> =
            BulkAction::ALL.iter().filter(|action| known(action)).map(|action| action.as_str()).collect();
        errors.add("action", format!("One of: {}.", names.join(", ")));
    }
    let ids = body.ids.map(|ids| ids.iter().map(|id| id.parse()).collect::<Result<Vec<DocumentId>, _>>());
    if matches!(ids, Some(Err(_))) {
        errors.add("ids", "One of these is no id of a document.");
    }
    let mut matching = None;
    if let Some(filter) = body.filter {
        let status = filter.status.map(|status| status.parse::<DocumentStatus>());
        if matches!(status, Some(Err(_))) {
            let names: Vec<&str> = DocumentStatus::ALL.iter().map(|status| status.as_str()).collect();
            errors.add("filter.status", format!("One of: {}.", names.join(", ")));
        }
        let status = status.and_then(Result::ok);
        matching = Some(Matching { status, name: filter.q, tag: filter.tag });
    }
    match action {
        Some(action) if errors.is_empty() => {
            Ok(BulkForm { action, tag: body.tag, ids: ids.and_then(Result::ok), matching })
        }
        _ => Err(ApiError::from(Problem::invalid(errors))),
    }
}

/// How far an action over many documents is. A handle that is through is kept for a day.
#[utoipa::path(get, path = "/api/bulk/{id}", tag = "documents", params(("id" = String, Path)),
    responses((status = 200, body = Bulk), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn read(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<BulkId>,
) -> ApiResult<Json<Bulk>> {
    Ok(Json(app.services().bulk(who.user.id, id).await?))
}

/// Bring back what an action deleted, as far as it was within the last 8 seconds: a further action, with a handle of its
/// own. What the first one had not come to stays where it is.
#[utoipa::path(post, path = "/api/bulk/{id}/undo", tag = "documents", params(("id" = String, Path)),
    responses((status = 202, body = Bulk, headers(("Location" = String, description = "of the handle"))), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "`nothing_to_undo`")))]
pub async fn undo(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<BulkId>,
) -> ApiResult<Response> {
    Ok(accepted(app.services().undo_bulk(who.user.id, id).await?))
}
