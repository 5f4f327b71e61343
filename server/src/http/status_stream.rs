//! The live stream for those who cannot open a socket: server-sent events, and long polling. Both carry the frames of
//! the socket, from the same hub.

use super::{
    AppState, bytes,
    event_stream::event_stream,
    extract::Params,
    problem::{ApiError, ApiResult},
    session::{Allowed, Token},
};
use axum::{
    extract::{Extension, State},
    response::Response,
};
use bytes::{BufMut, Bytes, BytesMut};
use domain::{
    Epoch, Problem, Timestamp, UserId,
    event::{FOREIGN_STREAM, PING_SECONDS},
};
use futures::stream;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use services::{
    Caller, Standing,
    live::{ConnectError, Connection, Outgoing, RENEWAL_TAKES, Resume},
};
use std::{convert::Infallible, time::Duration};
use tokio::time::{Instant, sleep, sleep_until};
use utoipa::ToSchema;

const PING: Duration = Duration::from_secs(PING_SECONDS);
/// Longest that a long poll waits, in seconds.
const MAX_WAIT: u32 = 25;

/// Whether the stream of another person is asked for. Whose it is, the session or the key says alone.
pub(super) fn is_anothers(asked: Option<&str>, who: &Caller) -> bool {
    asked.is_some_and(|id| id != "me" && id.parse::<UserId>().ok() != Some(who.user.id))
}

fn refuse_anothers(params: &Params, who: &Caller) -> ApiResult<()> {
    if !is_anothers(params.text("user_id"), who) {
        return Ok(());
    }
    tracing::info!(user_id = %who.user.id, "refused a live stream of somebody else");
    Err(ApiError::new(403, FOREIGN_STREAM, "A stream is that of whoever opens it; leave `user_id` out."))
}

/// Where the client left off, from `?epoch=&after=`. One without the other says nothing.
fn place(params: &Params) -> ApiResult<Resume> {
    let epoch = params.text("epoch").map(|e| Epoch(e.to_owned()));
    let last_seq = match params.text("after") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| ApiError::field("after", "Use the seq of an event."))?),
    };
    Ok(Resume { epoch, last_seq })
}

/// `<epoch>.<seq>`, as it stood in the `id:` of the last event.
fn last_event_id(headers: &HeaderMap) -> Option<Resume> {
    Resume::of_event_id(headers.get("last-event-id")?.to_str().ok()?)
}

async fn connect(app: &AppState, who: &Caller, token: &Token, resume: Resume) -> ApiResult<Connection> {
    app.services().open_stream(who, &token.0, resume).await.map_err(|e| match e {
        ConnectError::TooMany => {
            ApiError::new(429, "too_many_connections", "This account has too many open streams.")
        }
        ConnectError::GoingAway => going_away(),
        ConnectError::Ended => Problem::unauthorized().into(),
        ConnectError::Store(e) => services::Error::from(e).into(),
    })
}

/// Whether a long poll is still told something. One of an old token is not; its browser asks again with the new one.
async fn still_told(app: &AppState, who: &Caller, token: &Token) -> ApiResult<bool> {
    match app.services().standing(who, &token.0).await? {
        Standing::Good => Ok(true),
        Standing::Renewed => Ok(false),
        Standing::Ended => Err(Problem::unauthorized().into()),
    }
}

fn going_away() -> ApiError {
    ApiError::new(503, "going_away", "The server is going away. Try again at once.")
}

/// What of a frame is needed here.
#[derive(Deserialize)]
struct Peek {
    #[serde(rename = "type")]
    kind: String,
    seq: u64,
    #[serde(default)]
    resumed: bool,
}

fn peek(frame: &[u8]) -> Option<Peek> {
    serde_json::from_slice(frame).ok()
}

/// The live stream as server-sent events; the first message is the welcome. `Last-Event-ID` goes before the parameters.
#[utoipa::path(get, path = "/api/status/events", tag = "status",
    params(("epoch" = Option<String>, Query), ("after" = Option<u64>, Query, description = "seq of the last event that was seen"),
        ("user_id" = Option<String>, Query, description = "whose stream is meant: one's own id, or `me`; any other is 403 `foreign_stream`"),
        ("Last-Event-ID" = Option<String>, Header, description = "`<epoch>.<seq>`")),
    responses((status = 200, description = "frames as in docs/PROTOCOL.md", content_type = "text/event-stream", body = String),
        (status = 401, body = Problem), (status = 403, body = Problem, description = "`foreign_stream`, or `missing_scope` of an API key"),
        (status = 422, body = Problem), (status = 429, body = Problem, description = "`too_many_connections`")))]
pub async fn events(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    Extension(token): Extension<Token>,
    headers: HeaderMap,
    params: Params,
) -> ApiResult<Response> {
    refuse_anothers(&params, &who)?;
    let resume = match last_event_id(&headers) {
        Some(resume) => resume,
        None => place(&params)?,
    };
    let mut connection = connect(&app, &who, &token, resume).await?;
    let Outgoing::Frames(first) = connection.next().await.map_err(services::Error::from)? else {
        return Err(going_away());
    };
    let epoch = app.services().events.epoch();
    let first = messages(&epoch, &first);
    let stream = stream::unfold(
        Some((Stream { app, who, token, connection, epoch, next_ping: Instant::now() + PING }, Some(first))),
        step,
    );
    Ok(event_stream(stream))
}

struct Stream {
    app: AppState,
    who: Caller,
    token: Token,
    connection: Connection,
    epoch: Epoch,
    next_ping: Instant,
}

type Step = Option<(Stream, Option<Bytes>)>;

/// The next piece of the body; the stream ends when the session does, or the server.
async fn step(state: Step) -> Option<(Result<Bytes, Infallible>, Step)> {
    let (mut stream, waiting) = state?;
    if let Some(first) = waiting {
        return Some((Ok(first), Some((stream, None))));
    }
    let piece = loop {
        tokio::select! {
            outgoing = stream.connection.next() => match outgoing {
                Ok(Outgoing::Frames(frames)) => break messages(&stream.epoch, &frames),
                Ok(Outgoing::Unsure) => match stream.standing().await {
                    Standing::Good => {}
                    Standing::Renewed => return None,
                    Standing::Ended => return stream.farewell(),
                },
                Ok(Outgoing::SessionEnded) => return stream.farewell(),
                Ok(Outgoing::GoingAway) => return None,
                Err(e) => {
                    tracing::warn!(error = format!("{e:?}"), "a live stream could not read the log");
                    return None;
                }
            },
            () = sleep_until(stream.next_ping) => {
                stream.next_ping = Instant::now() + PING;
                match stream.standing().await {
                    Standing::Good => {}
                    Standing::Renewed => return None,
                    Standing::Ended => return stream.farewell(),
                }
                break messages(&stream.epoch, &[stream.app.services().hub.ping()]);
            }
        }
    };
    Some((Ok(piece), Some((stream, None))))
}

impl Stream {
    /// How the session stands. Of one that was renewed the browser opens the stream again, with its new token.
    async fn standing(&self) -> Standing {
        match self.app.services().standing(&self.who, &self.token.0).await {
            Ok(standing) => standing,
            Err(e) => {
                tracing::warn!(error = %e, "a session could not be looked up");
                Standing::Good
            }
        }
    }

    /// The last piece of a stream whose session ended; nothing follows it. It has no id, since nothing goes on from it.
    fn farewell(&self) -> Option<(Result<Bytes, Infallible>, Step)> {
        let frame = self.connection.farewell(self.app.services().clock.now())?;
        let mut last = BytesMut::new();
        put_message(&mut last, &frame);
        Some((Ok(last.freeze()), None))
    }
}

/// A message without an id. One line: JSON escapes its line ends.
fn put_message(out: &mut BytesMut, frame: &[u8]) {
    out.put_slice(b"data: ");
    out.put_slice(frame);
    out.put_slice(b"\n\n");
}

/// Frames as messages. A welcome that announces missed events has no id: a client that is cut off right after it must
/// not believe that it has them.
fn messages(epoch: &Epoch, frames: &[Bytes]) -> Bytes {
    let mut out = BytesMut::new();
    for frame in frames {
        if let Some(peek) = peek(frame).filter(|p| p.kind == "event" || !p.resumed) {
            out.put_slice(format!("id: {epoch}.{}\n", peek.seq).as_bytes());
        }
        put_message(&mut out, frame);
    }
    out.freeze()
}

/// What changed after a place in the log; of what was missed at most 500 events.
#[derive(Serialize, ToSchema)]
#[allow(
    dead_code,
    reason = "it only describes the answer in the OpenAPI document; the frames are encoded already"
)]
pub struct Changes {
    epoch: Epoch,
    /// Goes into `after` of the next question.
    seq: u64,
    /// False: refetch what is on screen, and go on from `seq`.
    resumed: bool,
    /// The server's time.
    at: Timestamp,
    /// Only when so: what is changed at other servers comes up to a second late just now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    late: bool,
    /// Only when so: there is more already. Ask again at once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
    /// Event frames in order.
    #[schema(value_type = Vec<Object>)]
    events: Vec<serde_json::Value>,
}

/// The next frames of a long poll, save pings, which are no news; none when it has to be asked again, since the server goes
/// away or the session has a new token.
async fn news(
    app: &AppState,
    who: &Caller,
    token: &Token,
    connection: &mut Connection,
) -> ApiResult<Vec<Bytes>> {
    loop {
        match connection.next().await.map_err(services::Error::from)? {
            Outgoing::Frames(mut frames) => {
                // A ping has no seq.
                frames.retain(|frame| peek(frame).is_some());
                if frames.is_empty() {
                    continue;
                }
                // The end of a session and what is told of it are one commit: whoever reads the one can see the other.
                if still_told(app, who, token).await? {
                    return Ok(frames);
                }
                // Its browser may not have the new token yet, and would come back with the old one.
                sleep(RENEWAL_TAKES).await;
                return Ok(vec![]);
            }
            Outgoing::GoingAway => return Ok(vec![]),
            Outgoing::SessionEnded => return Err(Problem::unauthorized().into()),
            Outgoing::Unsure => {
                if !still_told(app, who, token).await? {
                    return Ok(vec![]);
                }
            }
        }
    }
}

/// Long polling: what changed since `after`, or, when nothing did, what changes within `wait` seconds.
#[utoipa::path(get, path = "/api/status/changes", tag = "status",
    params(("epoch" = Option<String>, Query), ("after" = Option<u64>, Query), ("wait" = Option<u32>, Query, description = "seconds, at most 25"),
        ("user_id" = Option<String>, Query, description = "whose stream is meant: one's own id, or `me`; any other is 403 `foreign_stream`")),
    responses((status = 200, body = Changes), (status = 401, body = Problem),
        (status = 403, body = Problem, description = "`foreign_stream`, or `missing_scope` of an API key"),
        (status = 422, body = Problem), (status = 429, body = Problem, description = "`too_many_connections`")))]
pub async fn changes(
    State(app): State<AppState>,
    Allowed(who): Allowed,
    Extension(token): Extension<Token>,
    mut params: Params,
) -> ApiResult<Response> {
    refuse_anothers(&params, &who)?;
    let resume = place(&params)?;
    let wait = params.number("wait", 0, MAX_WAIT).unwrap_or(0);
    params.check()?;
    let until = Instant::now() + Duration::from_secs(u64::from(wait));
    let mut connection = connect(&app, &who, &token, resume.clone()).await?;
    let Outgoing::Frames(mut frames) = connection.next().await.map_err(services::Error::from)? else {
        return Err(going_away());
    };
    let welcome = (!frames.is_empty()).then(|| frames.remove(0));
    let welcome = welcome.and_then(|w| peek(&w)).ok_or_else(|| ApiError::from(Problem::internal()))?;
    if welcome.resumed && frames.is_empty() {
        frames = tokio::select! {
            frames = news(&app, &who, &token, &mut connection) => frames?,
            () = sleep_until(until) => vec![],
        };
    }
    let mut seq = if welcome.resumed { resume.last_seq.unwrap_or(welcome.seq) } else { welcome.seq };
    let mut resumed = welcome.resumed;
    let mut events = BytesMut::new();
    for frame in &frames {
        let Some(peek) = peek(frame) else { continue };
        seq = peek.seq;
        if peek.kind != "event" {
            // The queue was overrun while we waited.
            resumed = false;
            events.clear();
            continue;
        }
        if !events.is_empty() {
            events.put_u8(b',');
        }
        events.put_slice(frame);
    }
    let (epoch, at) = (app.services().events.epoch(), app.services().clock.now());
    let mut body = BytesMut::new();
    let late = if app.services().hub.is_late() { "\"late\":true," } else { "" };
    let more = if connection.is_behind() { "\"more\":true," } else { "" };
    let head = format!(
        "{{\"epoch\":{},\"seq\":{seq},\"resumed\":{resumed},\"at\":\"{at}\",{late}{more}\"events\":[",
        serde_json::Value::from(epoch.0)
    );
    body.put_slice(head.as_bytes());
    body.put_slice(&events);
    body.put_slice(b"]}");
    Ok(bytes("application/json", body.freeze()))
}
