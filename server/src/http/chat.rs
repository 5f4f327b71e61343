//! Questions over REST: asking, following an answer as server-sent events, stopping it, asking again.

use super::{
    AppState,
    event_stream::event_stream,
    extract::{CommandId, Json, MaybeJson, Params, PathId},
    problem::{ApiError, ApiResult},
    session::{Allowed, Token},
};
use axum::{
    extract::{Extension, State},
    response::{IntoResponse, Response},
};
use bytes::{BufMut, Bytes, BytesMut};
use domain::{
    Problem, TurnId, UserId, WorkspaceId,
    chat::{
        ConversationId, Source, Turn, TurnError,
        message::{Ending, TurnMessage},
    },
};
use futures::stream;
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use services::{AskForm, Caller, Followed, Following, Standing, live::Place};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use utoipa::ToSchema;

/// How often it is looked at whether whoever follows an answer still may.
const LOOK: Duration = Duration::from_millis(500);
/// Bytes of HTML a millisecond, at most: the whole answer comes anew with what was added.
const HTML_PACE: usize = 64;
/// Of so many looks one shows that a stream which has nothing to say is there.
const PING_EVERY: u32 = 30;

#[derive(Deserialize, ToSchema)]
pub struct Question {
    #[schema(min_length = 1, max_length = 4000)]
    query: String,
    /// That of the conversation when absent, or the first one.
    workspace_id: Option<WorkspaceId>,
    /// The client's own name for the conversation, which is its `conversation_id`; a new one is drawn when absent.
    #[schema(max_length = 200)]
    session_id: Option<String>,
    /// `true` asks for server-sent events and `false` for JSON; when absent, `Accept` says which.
    stream: Option<bool>,
    /// `true`: a language model answers out of what it knows, and nothing is looked for.
    #[serde(default)]
    without_sources: bool,
}

/// How a question is asked again.
#[derive(Default, Deserialize, ToSchema)]
pub struct Again {
    stream: Option<bool>,
    #[serde(default)]
    without_sources: bool,
}

/// An answer that is whole, or was stopped.
#[derive(Serialize, ToSchema)]
pub struct Answered {
    turn_id: TurnId,
    conversation_id: ConversationId,
    /// Markdown; `[n]` names the n-th source.
    answer: String,
    sources: Vec<Source>,
    metadata: Ending,
}

/// Whether the client wants events.
fn wants_events(headers: &HeaderMap, stream: Option<bool>) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    stream.unwrap_or_else(|| accept.contains("text/event-stream"))
}

/// Ask a question over a workspace. As server-sent events: `status` at each step, `chunk` for the answer as it is made, then
/// `complete`, or `error`; as JSON the answer once it is whole. It is made whoever listens.
#[utoipa::path(post, path = "/v1/chat/", tag = "chat", request_body = Question,
    params(("Idempotency-Key" = Option<String>, Header, description = "a second request with the same key follows the first one's answer")),
    responses((status = 200, description = "The whole answer as JSON; as server-sent events messages of the schema TurnMessage, each with an `id:`",
            content((Answered = "application/json"), (TurnMessage = "text/event-stream"))),
        (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem, description = "`other_workspace`, `workspace_provisioning`, `workspace_error`, `workspace_deleting`"),
        (status = 422, body = Problem), (status = 429, body = Problem, description = "`too_many_turns`", headers(("Retry-After" = u64, description = "seconds"))),
        (status = 502, body = Problem, description = "the language model refused"),
        (status = 503, body = Problem, description = "a model does not answer; trying again may help")))]
pub async fn ask(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    Extension(token): Extension<Token>,
    CommandId(command_id): CommandId,
    headers: HeaderMap,
    Json(question): Json<Question>,
) -> ApiResult<Response> {
    let form = AskForm {
        query: question.query,
        workspace_id: question.workspace_id,
        session_id: question.session_id,
        without_sources: question.without_sources,
    };
    let turn = app.services().ask(who.user.id, form, command_id).await?;
    answer(app, who, token, &turn, wants_events(&headers, question.stream)).await
}

/// Ask the question of a turn that has ended once more. The new turn takes the place of the old one, which stays.
#[utoipa::path(post, path = "/v1/chat/turns/{id}/retry", tag = "chat", request_body = Again,
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, description = "as of `POST /v1/chat/`", content((Answered = "application/json"), (TurnMessage = "text/event-stream"))),
        (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem, description = "`turn_running`, `asked_again`, `workspace_provisioning`, `workspace_error`, `workspace_deleting`"),
        (status = 422, body = Problem), (status = 429, body = Problem, description = "`too_many_turns`", headers(("Retry-After" = u64, description = "seconds"))),
        (status = 502, body = Problem), (status = 503, body = Problem)))]
pub async fn retry(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    Extension(token): Extension<Token>,
    CommandId(command_id): CommandId,
    PathId(id): PathId<TurnId>,
    headers: HeaderMap,
    MaybeJson(again): MaybeJson<Again>,
) -> ApiResult<Response> {
    let again = again.unwrap_or_default();
    let turn = app.services().ask_again(who.user.id, id, again.without_sources, command_id).await?;
    answer(app, who, token, &turn, wants_events(&headers, again.stream)).await
}

async fn answer(app: AppState, who: Caller, token: Token, turn: &Turn, events: bool) -> ApiResult<Response> {
    let following = app.services().follow_turn(who.user.id, turn.turn_id, 0).await?;
    if events {
        return Ok(streamed(Stream::new(app, who, token, following, None)));
    }
    whole(following).await
}

/// The answer once it is whole.
async fn whole(mut following: Following) -> ApiResult<Response> {
    let mut last = None;
    while !following.is_over() {
        last = following.next().await?.pop().or(last);
    }
    match last.map(|followed| followed.message) {
        Some(TurnMessage::Complete { turn_id, conversation_id, answer, sources, metadata }) => {
            Ok(Json(Answered { turn_id, conversation_id, answer, sources, metadata }).into_response())
        }
        Some(TurnMessage::Error { error, .. }) => Err(failed(&error)),
        _ => Err(Problem::internal().into()),
    }
}

fn failed(error: &TurnError) -> ApiError {
    let status = if error.retryable { 503 } else { 502 };
    ApiError::new(status, &error.code, error.message.clone())
}

/// A question with its answer, as far as it came.
#[utoipa::path(get, path = "/v1/chat/turns/{id}", tag = "chat", params(("id" = String, Path)),
    responses((status = 200, body = Turn), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn read(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<TurnId>,
) -> ApiResult<Json<Turn>> {
    Ok(Json(app.services().turn(who.user.id, id).await?))
}

/// End an answer; what came by then is kept. One that has ended is answered as it is.
#[utoipa::path(post, path = "/v1/chat/turns/{id}/stop", tag = "chat", params(("id" = String, Path)),
    responses((status = 200, body = Turn), (status = 401, body = Problem), (status = 404, body = Problem)))]
pub async fn stop(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    PathId(id): PathId<TurnId>,
) -> ApiResult<Json<Turn>> {
    Ok(Json(app.services().stop_turn(who.user.id, id).await?))
}

/// Follow an answer from its beginning, or from behind the message that was seen last; also after a cut, a reload, or a
/// restart of the server. 204 when that was the last one. A day after its end only the last message is left, which has the
/// whole answer. With `html`, pieces of the answer come with all of it so far as HTML that is safe to show.
#[utoipa::path(get, path = "/v1/chat/turns/{id}/stream", tag = "chat",
    params(("id" = String, Path), ("after" = Option<u64>, Query, description = "id of the last message that was seen"),
        ("html" = Option<String>, Query, description = "`[n]` of the answer leads to `#{html}-{n}`: letters, digits, `-` and `_`, at most 80"),
        ("Last-Event-ID" = Option<String>, Header, description = "the same; it goes before `after`")),
    responses((status = 200, description = "messages, each with an `id:`", content_type = "text/event-stream", body = TurnMessage),
        (status = 204, description = "nothing follows"), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem, description = "`too_many_connections`")))]
pub async fn stream(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    Extension(token): Extension<Token>,
    PathId(id): PathId<TurnId>,
    headers: HeaderMap,
    params: Params,
) -> ApiResult<Response> {
    let after = place(&headers, &params)?;
    let anchor = anchor(&params)?;
    let following = app.services().follow_turn(who.user.id, id, after).await?;
    if following.is_over() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // It counts with the user's live streams. One that a question opens is bounded by the questions at once.
    let taken =
        app.services().hub.take_place(who.user.id).map_err(|_| {
            ApiError::new(429, "too_many_connections", "This account has too many open streams.")
        })?;
    let following = match anchor {
        None => following,
        // What was seen is read once more, since the HTML is that of the whole answer.
        Some(_) => app.services().follow_turn(who.user.id, id, 0).await?,
    };
    let mut stream = Stream::new(app, who, token, following, Some(taken));
    stream.pages = anchor.map(|anchor| Pages { anchor, after, ..Pages::default() });
    Ok(streamed(stream))
}

/// What citations in the HTML lead to, when HTML is asked for.
fn anchor(params: &Params) -> ApiResult<Option<String>> {
    let Some(anchor) = params.text("html") else { return Ok(None) };
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if anchor.len() > 80 || !anchor.bytes().all(fits) {
        return Err(ApiError::field("html", "Use at most 80 letters, digits, - and _."));
    }
    Ok(Some(anchor.to_owned()))
}

/// The id of the last message that was seen; 0: none.
fn place(headers: &HeaderMap, params: &Params) -> ApiResult<u64> {
    let wrong = |field| ApiError::field(field, "Use the id of a message of this turn.");
    if let Some(id) = headers.get("last-event-id") {
        let id = id.to_str().ok().map(str::trim).filter(|id| !id.is_empty());
        return id.map_or(Ok(0), |id| id.parse().map_err(|_| wrong("Last-Event-ID")));
    }
    params.text("after").map_or(Ok(0), |id| id.parse().map_err(|_| wrong("after")))
}

struct Stream {
    following: Following,
    watch: Watch,
    pages: Option<Pages>,
    /// Free again when nobody reads the stream any more.
    _place: Option<Place>,
}

/// Looks now and then whether whoever follows an answer still may.
struct Watch {
    app: AppState,
    who: Caller,
    token: Token,
    next: Instant,
    looks: u32,
}

/// What a look brought to light.
enum Seen {
    Nothing,
    /// It is time to show that the stream is there.
    Quiet,
    /// With a new token, if there is one, the client comes again.
    Over,
}

impl Watch {
    async fn look(&mut self) -> Seen {
        self.next = Instant::now() + LOOK;
        self.looks += 1;
        match self.app.services().standing(&self.who, &self.token.0).await {
            Ok(Standing::Good) if self.looks.is_multiple_of(PING_EVERY) => Seen::Quiet,
            Ok(Standing::Good) => Seen::Nothing,
            Ok(Standing::Renewed | Standing::Ended) => Seen::Over,
            Err(error) => {
                tracing::warn!(%error, "a session could not be looked up");
                Seen::Nothing
            }
        }
    }
}

/// The answer so far, for whoever wants its HTML.
#[derive(Default)]
struct Pages {
    anchor: String,
    /// Id of the last message that was seen before.
    after: u64,
    answer: String,
    /// Pieces of the answer that wait for the next HTML, and when that may be.
    held: Vec<Followed>,
    due: Option<Instant>,
}

impl Pages {
    /// What is sent now of what was told: pieces of the answer wait until its HTML may come again.
    fn take(&mut self, told: Vec<Followed>, following: &Following) -> Vec<Followed> {
        let mut is_text = true;
        for followed in told {
            is_text = matches!(followed.message, TurnMessage::Chunk { .. });
            if let TurnMessage::Chunk { content, .. } = &followed.message {
                self.answer.push_str(content);
            }
            if followed.id > self.after {
                self.held.push(followed);
            }
        }
        let may_wait = is_text && self.due.is_some_and(|due| Instant::now() < due);
        if may_wait { vec![] } else { self.flush(following) }
    }

    /// What waits, with the HTML at its last piece.
    fn flush(&mut self, following: &Following) -> Vec<Followed> {
        let text = self.held.iter_mut().rev().find_map(|followed| match &mut followed.message {
            TurnMessage::Chunk { html, .. } => Some(html),
            _ => None,
        });
        if let Some(text) = text {
            let html = following.html_so_far(&self.answer, &self.anchor);
            let pause = Duration::from_millis((html.len() / HTML_PACE) as u64);
            *text = Some(html);
            self.due = Some(Instant::now() + pause);
        }
        std::mem::take(&mut self.held)
    }

    /// When what waits may be sent.
    fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.held.is_empty())
    }
}

fn streamed(stream: Stream) -> Response {
    event_stream(stream::unfold(Some(stream), |stream| async move {
        let mut stream = stream?;
        let piece = stream.next().await?;
        let rest = (!stream.following.is_over()).then_some(stream);
        Some((Ok(piece), rest))
    }))
}

impl Stream {
    fn new(app: AppState, who: Caller, token: Token, following: Following, place: Option<Place>) -> Self {
        let watch = Watch { app, who, token, next: Instant::now() + LOOK, looks: 0 };
        Self { following, watch, pages: None, _place: place }
    }

    /// The next piece of the body. None at the end, and when whoever asked may not any more.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let due = self.pages.as_ref().and_then(Pages::due);
            let told = {
                // It goes on over a look: a store that is slower than the looks are frequent is waited for.
                let mut next = std::pin::pin!(self.following.next());
                loop {
                    tokio::select! {
                        told = &mut next => break Some(told),
                        () = sleep_until(due.unwrap_or(self.watch.next)), if due.is_some() => break None,
                        () = sleep_until(self.watch.next) => match self.watch.look().await {
                            Seen::Nothing => {}
                            Seen::Quiet => return Some(Bytes::from_static(b": still here\n\n")),
                            Seen::Over => return None,
                        }
                    }
                }
            };
            let told = match (told, &mut self.pages) {
                (Some(Ok(told)), _) if told.is_empty() => return None,
                (Some(Ok(told)), None) => told,
                (Some(Ok(told)), Some(pages)) => pages.take(told, &self.following),
                (Some(Err(error)), _) => {
                    // Deleted while it was followed, or a store that fails: the client comes again and is told.
                    tracing::debug!(%error, "an answer is not followed any more");
                    return None;
                }
                (None, pages) => pages.as_mut().map(|pages| pages.flush(&self.following)).unwrap_or_default(),
            };
            if !told.is_empty() {
                return Some(messages(&told));
            }
        }
    }
}

fn messages(told: &[Followed]) -> Bytes {
    let mut out = BytesMut::new();
    for Followed { id, message } in told {
        let Ok(json) = serde_json::to_vec(message) else { continue };
        out.put_slice(format!("id: {id}\ndata: ").as_bytes());
        // One line: JSON escapes its line ends.
        out.put_slice(&json);
        out.put_slice(b"\n\n");
    }
    out.freeze()
}

/// The one who asks, when a path names that user.
pub(super) fn own(who: &Caller, user: &str, what: &str) -> ApiResult<UserId> {
    let is_own = user == "me" || user.parse::<UserId>().is_ok_and(|id| id == who.user.id);
    if is_own { Ok(who.user.id) } else { Err(Problem::not_found(what).into()) }
}
