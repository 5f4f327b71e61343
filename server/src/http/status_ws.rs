//! The live stream over WebSocket: one task a socket, which carries what the hub hands it. The client speaks first.
//!
//! What a client may do is little: say hello once, then pong. Everything else ends the link with a code that says why.

use super::{AppState, extract::Params, problem::ApiError, session::Token, status_stream::is_anothers};
use axum::{
    extract::{
        Extension, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use domain::{
    ClientFrame, Problem,
    event::{MAX_CLIENT_FRAME, MAX_GATHER_MS, PING_SECONDS, SILENCE_SECONDS, close},
};
use futures::{Sink, Stream};
use http::header;
use services::{
    Caller, Standing,
    live::{ConnectError, Connection, Outgoing, Resume},
};
use std::{collections::VecDeque, future::poll_fn, pin::Pin, task::Poll, time::Duration};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long a client may take to say hello.
const HELLO: Duration = Duration::from_secs(10);
/// How long the closing handshake may take.
const GOODBYE: Duration = Duration::from_secs(2);
const PING: Duration = Duration::from_secs(PING_SECONDS);
const SILENCE: Duration = Duration::from_secs(SILENCE_SECONDS);
/// What a socket reads at once, in bytes: a client says hello and pongs. It lies there as long as the socket does, so with
/// the library's own default, 128 KiB, it would be most of what a socket costs, and with 4 KiB still half.
const READ_BUFFER: usize = 512;
/// What is written before it is flushed, in bytes.
const WRITE_BUFFER: usize = 4 * 1024;
/// Gathered frames are no longer than this together, in bytes, save a single one that is: what was missed overnight
/// comes in messages that a client can take one by one.
const GATHERED: usize = 64 * 1024;

/// The live stream, as `docs/PROTOCOL.md` describes it. A socket without a valid session is accepted and closed with
/// 4401, since a browser cannot see why an upgrade failed; with an API key that is not valid there is no upgrade.
#[utoipa::path(get, path = "/api/status/ws", tag = "status",
    params(("user_id" = Option<String>, Query, description = "whose stream is meant: one's own id, or `me`; with any other the socket is closed with 1008")),
    responses((status = 101, description = "the stream begins"), (status = 401, body = Problem, description = "an API key that is not valid"), (status = 403, body = Problem, description = "a foreign origin, or an API key without the scope"), (status = 426, body = Problem)))]
pub async fn socket(
    State(app): State<AppState>,
    who: Option<Extension<Caller>>,
    token: Option<Extension<Token>>,
    params: Params,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        return not_a_socket();
    };
    let asked = who.zip(token).map(|(Extension(who), Extension(token))| (who, token));
    let is_anothers = asked.as_ref().is_some_and(|(who, _)| is_anothers(params.text("user_id"), who));
    let sockets = app.0.sockets.clone();
    let counted = sockets.token();
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(MAX_CLIENT_FRAME)
        .max_frame_size(MAX_CLIENT_FRAME)
        .on_upgrade(move |socket| async move {
            let _counted = counted;
            let mut link = Link::new(socket);
            let ending = match asked {
                Some((who, token)) => {
                    let user_id = who.user.id;
                    let ending =
                        if is_anothers { ANOTHERS } else { serve(&app, &mut link, who, &token).await };
                    if let Ending::Foul(reason) = ending {
                        tracing::info!(%user_id, reason, "cut off a client that broke the protocol of the live stream");
                    }
                    ending
                }
                None => Ending::Close(close::SESSION_ENDED, "sign in first"),
            };
            link.end(ending).await;
        })
}

/// RFC 9110 wants a 426 to name what to upgrade to.
fn not_a_socket() -> Response {
    let problem = ApiError::new(426, "upgrade_required", "This address speaks WebSocket only.");
    let names = [(header::UPGRADE, "websocket"), (header::CONNECTION, "Upgrade")];
    (names, problem).into_response()
}

/// Why a socket ends.
#[derive(Debug, PartialEq)]
enum Ending {
    Close(u16, &'static str),
    /// The client sent what the protocol does not have, or wants somebody else's stream. Of our pages one does so alone that
    /// comes back when another person is signed in by then.
    Foul(&'static str),
    /// The client said goodbye, and is answered.
    Closed,
    /// The client is gone.
    Gone,
}

const GOING_AWAY: Ending = Ending::Close(close::GOING_AWAY, "the server is going away");
/// The session has a new token. Its own browser holds that by now and comes back with it at once; whoever only copied
/// the old one does not.
const RENEWED: Ending = Ending::Close(close::GOING_AWAY, "the session was renewed");
const ANOTHERS: Ending = Ending::Foul("asked for the stream of somebody else");
const SESSION_ENDED: Ending = Ending::Close(close::SESSION_ENDED, "the session ended");

async fn serve(app: &AppState, link: &mut Link, who: Caller, token: &Token) -> Ending {
    let resume = tokio::select! {
        hello = timeout(HELLO, link.hello(&who)) => match hello {
            Ok(Ok(resume)) => resume,
            Ok(Err(ending)) => return ending,
            Err(_) => return Ending::Close(close::HELLO_TIMEOUT, "no hello came"),
        },
        () = app.stopping().cancelled() => return GOING_AWAY,
    };
    let mut connection = match app.services().open_stream(&who, &token.0, resume).await {
        Ok(connection) => connection,
        Err(ConnectError::TooMany) => return Ending::Close(close::TOO_MANY, "too many connections"),
        Err(ConnectError::GoingAway) => return GOING_AWAY,
        Err(ConnectError::Ended) => return SESSION_ENDED,
        Err(ConnectError::Store(e)) => return store_failed(&e),
    };
    let ending = carry(app, link, &mut connection, &who, token).await;
    if ending == SESSION_ENDED {
        link.farewell = connection.farewell(app.services().clock.now());
    }
    ending
}

/// The client comes back and resumes where it was.
fn store_failed(e: &services::ports::StoreError) -> Ending {
    tracing::warn!(error = format!("{e:?}"), "a live stream could not read the log");
    Ending::Close(1011, "the event log cannot be read now")
}

/// Carries frames until something ends it.
async fn carry(
    app: &AppState,
    link: &mut Link,
    connection: &mut Connection,
    who: &Caller,
    token: &Token,
) -> Ending {
    // The welcome is asked for apart: it must not be broken off halfway.
    match connection.next().await {
        Ok(Outgoing::Frames(frames)) => link.queue(frames),
        // Looked at when the stream was opened, after the hub knew of this connection.
        Ok(Outgoing::Unsure) => {}
        Ok(Outgoing::SessionEnded) => return SESSION_ENDED,
        Ok(Outgoing::GoingAway) => return GOING_AWAY,
        Err(e) => return store_failed(&e),
    }
    let mut next_ping = Instant::now() + PING;
    loop {
        // While frames still wait for the client, no more are taken: they wait in the hub, which conflates them.
        let flushed = link.is_flushed();
        let rested = link.rested;
        let idle = flushed && rested <= Instant::now();
        let wake = next_ping.min(link.heard + SILENCE);
        tokio::select! {
            progress = link.drive() => match progress {
                Progress::Sent => {}
                Progress::Heard(_) => return Ending::Foul("hello was said already"),
                Progress::Ended(ending) => return ending,
            },
            frames = connection.next_when(idle) => match frames {
                Ok(Outgoing::Frames(frames)) => link.queue(frames),
                Ok(Outgoing::Unsure) => if let Some(ending) = look_at_session(app, who, token).await {
                    return ending;
                },
                Ok(Outgoing::SessionEnded) => return SESSION_ENDED,
                Ok(Outgoing::GoingAway) => return GOING_AWAY,
                Err(e) => return store_failed(&e),
            },
            // What came meanwhile is taken together.
            () = sleep_until(rested), if flushed && !idle => {}
            () = sleep_until(wake) => {
                let now = Instant::now();
                if now >= link.heard + SILENCE {
                    return Ending::Close(close::POLICY, "nothing was heard for too long");
                }
                next_ping = now + PING;
                if let Some(ending) = look_at_session(app, who, token).await {
                    return ending;
                }
                // Also behind frames that still wait: a client that is slow, not gone, has to have something to answer.
                link.queue(vec![app.services().hub.ping()]);
            }
            // The hub says so too; this also ends a socket whose client takes nothing any more.
            () = app.stopping().cancelled() => return GOING_AWAY,
        }
    }
}

/// Why the session's state ends the socket, when it does.
async fn look_at_session(app: &AppState, who: &Caller, token: &Token) -> Option<Ending> {
    match app.services().standing(who, &token.0).await {
        Ok(Standing::Good) => None,
        Ok(Standing::Renewed) => Some(RENEWED),
        Ok(Standing::Ended) => Some(SESSION_ENDED),
        // The database is away for a moment; the next ping asks again.
        Err(e) => {
            tracing::warn!(error = %e, "a session could not be looked up");
            None
        }
    }
}

/// Frames as messages of several lines. JSON escapes the ends of lines that it holds.
fn as_lines(frames: Vec<Bytes>) -> Vec<Bytes> {
    let mut messages = vec![];
    let mut rest = frames.as_slice();
    while let Some(first) = rest.first() {
        let mut length = first.len();
        let fits = |frame: &&Bytes| {
            length += frame.len() + 1;
            length <= GATHERED
        };
        let more = rest[1..].iter().take_while(fits).count();
        let (message, others) = rest.split_at(1 + more);
        messages.push(match message {
            [alone] => alone.clone(),
            several => Bytes::from(several.join(&b'\n')),
        });
        rest = others;
    }
    messages
}

/// A socket, read and written by one task without either waiting for the other.
struct Link {
    socket: WebSocket,
    outbox: VecDeque<Bytes>,
    /// How long the client lets frames be gathered, when it does.
    gather: Option<Duration>,
    /// Until then nothing more is taken, since the client was just sent something.
    rested: Instant,
    /// Something was written that may still sit in a buffer.
    dirty: bool,
    line: Line,
    /// The client has said hello.
    greeted: bool,
    /// When the client last gave a sign of life.
    heard: Instant,
    /// Said before the link is closed, in the place of all that still waits.
    farewell: Option<Bytes>,
}

/// Whether the client takes what it is sent. As long as there is room on the line the system takes it, which says nothing
/// of anybody; on one that is full, only a client that takes something makes room. A slow one does not come to the ping
/// behind all that waits for it, and is there all the same.
#[derive(Debug, Default)]
struct Line {
    is_full: bool,
}

impl Line {
    /// It took something; whether that is a sign of life.
    fn took(&mut self) -> bool {
        std::mem::take(&mut self.is_full)
    }
}

enum Progress {
    /// The outbox went down or was flushed.
    Sent,
    Heard(ClientFrame),
    Ended(Ending),
}

impl Link {
    fn new(socket: WebSocket) -> Self {
        let now = Instant::now();
        Self {
            socket,
            outbox: VecDeque::new(),
            gather: None,
            rested: now,
            dirty: false,
            line: Line::default(),
            greeted: false,
            heard: now,
            farewell: None,
        }
    }

    fn queue(&mut self, frames: Vec<Bytes>) {
        match self.gather {
            None => self.outbox.extend(frames),
            Some(time) => {
                self.rested = Instant::now() + time;
                self.outbox.extend(as_lines(frames));
            }
        }
    }

    fn is_flushed(&self) -> bool {
        self.outbox.is_empty() && !self.dirty
    }

    /// The first frame, which has to be a hello.
    async fn hello(&mut self, who: &Caller) -> Result<Resume, Ending> {
        loop {
            match self.drive().await {
                Progress::Heard(ClientFrame::Hello { epoch, last_seq, gather_ms, user_id }) => {
                    if is_anothers(user_id.as_deref(), who) {
                        return Err(ANOTHERS);
                    }
                    self.gather = gather_ms.map(|ms| Duration::from_millis(ms.min(MAX_GATHER_MS)));
                    self.greeted = true;
                    return Ok(Resume { epoch, last_seq });
                }
                Progress::Heard(ClientFrame::Pong) => {
                    return Err(Ending::Foul("say hello first"));
                }
                Progress::Ended(ending) => return Err(ending),
                Progress::Sent => {}
            }
        }
    }

    /// Waits until something was read or everything waiting was written. Safe to break off: nothing is lost.
    async fn drive(&mut self) -> Progress {
        loop {
            let turn = poll_fn(|cx| {
                if let Poll::Ready(message) = Pin::new(&mut self.socket).poll_next(cx) {
                    return Poll::Ready(Turn::Read(message));
                }
                let mut socket = Pin::new(&mut self.socket);
                while !self.outbox.is_empty() {
                    match socket.as_mut().poll_ready(cx) {
                        Poll::Pending => {
                            self.line.is_full = true;
                            return Poll::Pending;
                        }
                        Poll::Ready(Err(_)) => return Poll::Ready(Turn::Broken),
                        Poll::Ready(Ok(())) => {}
                    }
                    if self.line.took() {
                        self.heard = Instant::now();
                    }
                    let Some(frame) = self.outbox.pop_front() else { break };
                    // Frames are JSON that we made; one that is not text is not worth a socket.
                    let Ok(text) = Utf8Bytes::try_from(frame) else { continue };
                    self.dirty = true;
                    if socket.as_mut().start_send(Message::Text(text)).is_err() {
                        return Poll::Ready(Turn::Broken);
                    }
                }
                if !self.dirty {
                    return Poll::Pending;
                }
                match socket.poll_flush(cx) {
                    Poll::Pending => {
                        self.line.is_full = true;
                        Poll::Pending
                    }
                    Poll::Ready(Err(_)) => Poll::Ready(Turn::Broken),
                    Poll::Ready(Ok(())) => {
                        if self.line.took() {
                            self.heard = Instant::now();
                        }
                        self.dirty = false;
                        Poll::Ready(Turn::Flushed)
                    }
                }
            })
            .await;
            let message = match turn {
                Turn::Flushed => return Progress::Sent,
                Turn::Broken | Turn::Read(None) => return Progress::Ended(Ending::Gone),
                Turn::Read(Some(Err(e))) => return Progress::Ended(ending_of(&e)),
                Turn::Read(Some(Ok(message))) => message,
            };
            self.heard = Instant::now();
            match message {
                Message::Text(text) => match serde_json::from_str(&text) {
                    // It was heard, and that is all: no reading of the log is broken off for it.
                    Ok(ClientFrame::Pong) if self.greeted => {}
                    Ok(frame) => return Progress::Heard(frame),
                    Err(_) => return Progress::Ended(Ending::Foul("this is no frame of the protocol")),
                },
                Message::Binary(_) => {
                    return Progress::Ended(Ending::Foul("frames are text"));
                }
                // Answered by the library; heard all the same.
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Close(_) => return Progress::Ended(Ending::Closed),
            }
        }
    }

    /// Says why, and waits a moment for the client's own goodbye: a socket that is dropped with unread input is reset,
    /// and the reset can overtake the code.
    async fn end(mut self, ending: Ending) {
        let (code, reason) = match ending {
            Ending::Close(code, reason) => (code, reason),
            Ending::Foul(reason) => (close::POLICY, reason),
            Ending::Closed => {
                // The library has its answer ready, and sends it when it is asked for more. Without it a browser takes the link
                // for one that broke.
                let answered = async { while let Some(Ok(_)) = self.socket.recv().await {} };
                let _ = timeout(GOODBYE, answered).await;
                return;
            }
            Ending::Gone => return,
        };
        let goodbye = async {
            if let Some(text) = self.farewell.take().and_then(|frame| Utf8Bytes::try_from(frame).ok())
                && self.socket.send(Message::Text(text)).await.is_err()
            {
                return;
            }
            let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
            if self.socket.send(Message::Close(Some(frame))).await.is_err() {
                return;
            }
            while let Some(message) = self.socket.recv().await {
                if message.is_err() {
                    // Nothing more can be read after an oversized frame; leave the client the time to read the code.
                    sleep(GOODBYE).await;
                }
            }
        };
        let _ = timeout(GOODBYE, goodbye).await;
    }
}

enum Turn {
    Read(Option<Result<Message, axum::Error>>),
    Flushed,
    Broken,
}

/// The library tells what was wrong in words only.
fn ending_of(e: &axum::Error) -> Ending {
    let text = e.to_string();
    if text.contains("too long") || text.contains("too large") || text.contains("Space limit") {
        return Ending::Close(close::TOO_BIG, "the frame is too large");
    }
    if text.contains("UTF-8") {
        return Ending::Close(1007, "frames are UTF-8");
    }
    Ending::Gone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_from_a_line_that_was_full_what_is_taken_is_a_sign_of_life() {
        let mut line = Line::default();
        assert!(!line.took(), "the system took it");
        line.is_full = true;
        assert!(line.took(), "somebody made room");
        assert!(!line.took());
    }

    #[test]
    fn gathered_frames_are_lines_and_no_message_is_too_long() {
        let frame = |n: usize| Bytes::from(vec![b'a'; n]);
        assert!(as_lines(vec![]).is_empty());
        assert_eq!(as_lines(vec![frame(3)]), [frame(3)]);
        assert_eq!(as_lines(vec![frame(1), frame(2)]), [Bytes::from_static(b"a\naa")]);
        let sizes = |frames: Vec<Bytes>| as_lines(frames).iter().map(Bytes::len).collect::<Vec<_>>();
        // One that is longer than a message goes alone.
        assert_eq!(sizes(vec![frame(5), frame(GATHERED + 1), frame(5)]), [5, GATHERED + 1, 5]);
        assert_eq!(sizes(vec![frame(GATHERED / 2); 3]), [GATHERED / 2, GATHERED / 2, GATHERED / 2]);
        assert_eq!(sizes(vec![frame(GATHERED / 2 - 1); 3]), [GATHERED - 1, GATHERED / 2 - 1]);
    }
}
