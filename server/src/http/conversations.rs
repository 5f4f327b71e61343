//! Conversations over REST. `{user_id}` is one's own id, or `me`.

use super::{
    AppState,
    chat::own,
    download::attachment,
    extract::{CommandId, Json, Params},
    problem::{ApiError, ApiResult},
    session::Allowed,
};
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use domain::{
    Problem, UserId, WorkspaceId,
    chat::{Conversation, ConversationDeleted, ConversationId, StatusEntry, Turn},
};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use services::{Caller, Format};
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub struct Conversations {
    /// The one that was asked in last first.
    items: Vec<Conversation>,
    next: Option<String>,
}

#[derive(Deserialize, ToSchema)]
pub struct NewConversation {
    /// The first one when absent.
    workspace_id: Option<WorkspaceId>,
    /// The client's own name for it; drawn when absent.
    session_id: Option<String>,
    /// Absent: the first question becomes the title.
    #[schema(max_length = 120)]
    title: Option<String>,
}

#[derive(Deserialize, ToSchema)]
pub struct Title {
    #[schema(min_length = 1, max_length = 120)]
    title: String,
}

#[derive(Serialize, ToSchema)]
pub struct WholeConversation {
    #[serde(flatten)]
    conversation: Conversation,
    /// The newest, the oldest of them first.
    items: Vec<Turn>,
    /// Leads to earlier ones.
    next: Option<String>,
}

/// Whose conversation a path means, and which.
type Named = Path<(String, String)>;

fn named(who: &Caller, Path((user, id)): Named) -> ApiResult<(UserId, ConversationId)> {
    let user = own(who, &user, "conversation")?;
    let id = id.parse().map_err(|_| ApiError::from(Problem::not_found("conversation")))?;
    Ok((user, id))
}

/// Conversations, the one that was asked in last first.
#[utoipa::path(get, path = "/v1/chat/conversations", tag = "chat",
    params(("workspace_id" = Option<String>, Query), ("q" = Option<String>, Query, description = "words of title, questions or answers"),
        ("limit" = Option<u32>, Query, description = "1–200"), ("after" = Option<String>, Query)),
    responses((status = 200, body = Conversations), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    mut params: Params,
) -> ApiResult<Json<Conversations>> {
    let workspace: Option<WorkspaceId> = match params.text("workspace_id") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| ApiError::field("workspace_id", "This is no id."))?),
    };
    let search = params.text("q").map(str::to_owned);
    let page = params.page();
    params.check()?;
    let found = app.services().conversations(who.user.id, workspace, search.as_deref(), page).await?;
    Ok(Json(Conversations { items: found.items, next: found.next }))
}

/// Begin a conversation without a question. One of that name is answered as it is.
#[utoipa::path(post, path = "/v1/chat/conversations", tag = "chat", request_body = NewConversation,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Conversation), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "`other_workspace`, `workspace_provisioning`, `workspace_error`, `workspace_deleting`"), (status = 422, body = Problem)))]
pub async fn create(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    CommandId(command_id): CommandId,
    Json(new): Json<NewConversation>,
) -> ApiResult<Response> {
    let (session, title) = (new.session_id.as_deref(), new.title.as_deref());
    let services = app.services();
    let made =
        services.create_conversation(who.user.id, new.workspace_id, session, title, command_id).await?;
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

/// A conversation with its turns.
#[utoipa::path(get, path = "/v1/chat/conversations/{user_id}/{conversation_id}", tag = "chat",
    params(("user_id" = String, Path), ("conversation_id" = String, Path),
        ("limit" = Option<u32>, Query, description = "1–200"), ("after" = Option<String>, Query)),
    responses((status = 200, body = WholeConversation), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn read(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    path: Named,
    mut params: Params,
) -> ApiResult<Json<WholeConversation>> {
    let (user, id) = named(&who, path)?;
    let page = params.page();
    params.check()?;
    let conversation = app.services().conversation(user, &id).await?;
    let turns = app.services().turns_of(user, &id, page).await?;
    Ok(Json(WholeConversation { conversation, items: turns.items, next: turns.next }))
}

/// Name a conversation.
#[utoipa::path(patch, path = "/v1/chat/conversations/{user_id}/{conversation_id}", tag = "chat", request_body = Title,
    params(("user_id" = String, Path), ("conversation_id" = String, Path)),
    responses((status = 200, body = Conversation), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn rename(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    path: Named,
    Json(new): Json<Title>,
) -> ApiResult<Json<Conversation>> {
    let (user, id) = named(&who, path)?;
    Ok(Json(app.services().rename_conversation(user, &id, &new.title).await?))
}

/// Delete a conversation with all its questions and answers: it is gone at once, and what is being answered in it is stopped.
/// For 8 seconds it can be restored.
#[utoipa::path(delete, path = "/v1/chat/conversations/{user_id}/{conversation_id}", tag = "chat",
    params(("user_id" = String, Path), ("conversation_id" = String, Path)),
    responses((status = 202, body = ConversationDeleted), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn delete(State(app): State<AppState>, Allowed(who): Allowed, path: Named) -> ApiResult<Response> {
    let (user, id) = named(&who, path)?;
    let deleted = app.services().delete_conversation(user, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(deleted)).into_response())
}

/// Bring a conversation back that was just deleted, with all its questions and answers.
#[utoipa::path(post, path = "/v1/chat/conversations/{user_id}/{conversation_id}/restore", tag = "chat",
    params(("user_id" = String, Path), ("conversation_id" = String, Path)),
    responses((status = 200, body = Conversation), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "`undo_over`")))]
pub async fn restore(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    path: Named,
) -> ApiResult<Json<Conversation>> {
    let (user, id) = named(&who, path)?;
    Ok(Json(app.services().restore_conversation(user, &id).await?))
}

/// The steps of its turns in the last 24 hours, in order.
#[utoipa::path(get, path = "/v1/chat/conversations/{user_id}/{conversation_id}/status", tag = "chat",
    params(("user_id" = String, Path), ("conversation_id" = String, Path)),
    responses((status = 200, body = Vec<StatusEntry>), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn status(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    path: Named,
) -> ApiResult<Json<Vec<StatusEntry>>> {
    let (user, id) = named(&who, path)?;
    Ok(Json(app.services().chat_status(user, &id).await?))
}

/// A conversation as a file to keep.
#[utoipa::path(get, path = "/v1/chat/conversations/{user_id}/{conversation_id}/export", tag = "chat",
    params(("user_id" = String, Path), ("conversation_id" = String, Path),
        ("format" = Option<String>, Query, description = "`md` (when absent) or `json`")),
    responses((status = 200, description = "Markdown, or JSON", content((String = "text/markdown"), ("application/json"))),
        (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn export(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    path: Named,
    params: Params,
) -> ApiResult<Response> {
    let (user, id) = named(&who, path)?;
    let (format, kind) = match params.text("format").unwrap_or("md") {
        "md" => (Format::Markdown, "text/markdown; charset=utf-8"),
        "json" => (Format::Json, "application/json"),
        _ => return Err(ApiError::field("format", "Use one of md, json.")),
    };
    let file = app.services().export_conversation(user, &id, format).await?;
    let mut response = Response::new(file.text.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, attachment(&file.filename));
    Ok(response)
}
