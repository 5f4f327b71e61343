//! The connections: accepted until the server stops, ended when their client lets them wait, and at a stop as soon as
//! nothing is under way on them.

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::ConnectInfo,
    serve::Listener,
};
use bytes::Bytes;
use futures::FutureExt;
use http::{Request, Response, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

/// How long a stopping server keeps a connection on which nothing is under way: for an answer that is on its way out,
/// and a request that is on its way in.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long it keeps an event stream, which the stop ends, for a client that does not take that end.
const FAREWELL: Duration = Duration::from_secs(5);

/// Serves until `stopping`, and then until all connections ended. The head of a request has to come within `patience`;
/// so long an idle connection is kept, too.
pub async fn serve(
    mut listener: TcpListener,
    router: Router,
    patience: Duration,
    stopping: CancellationToken,
) {
    let open = TaskTracker::new();
    while let Some((stream, peer)) = stopping.run_until_cancelled(Listener::accept(&mut listener)).await {
        // A status that waits for a full packet is late.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        open.spawn(connection(stream, peer, router.clone(), patience, stopping.clone()));
    }
    // Nobody new is to wait for an answer that never comes.
    drop(listener);
    open.close();
    open.wait().await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    patience: Duration,
    stopping: CancellationToken,
) {
    let (under_way, mut watched) = watch::channel(UnderWay::default());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let turn = Turn::begin(&under_way);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.clone().oneshot(request.map(Body::new));
        answer.map(|answer| {
            let Ok::<_, Infallible>(answer) = answer;
            let turn = if is_stream(&answer) { turn.of_stream() } else { turn };
            Ok::<_, Infallible>(Response::map(answer, |body| Answer { body, _turn: turn }))
        })
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = nothing_under_way(&mut watched) => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        // Whoever goes away in the middle of a request is no fault of ours.
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Waits until no request was under way for a moment.
async fn nothing_under_way(watched: &mut watch::Receiver<UnderWay>) {
    // Each is told its end. One that is not read never comes to it, and is no reason to wait for it.
    let _ = timeout(FAREWELL, watched.wait_for(|now| now.streams == 0)).await;
    loop {
        // An error says that the connection is gone with its service: then nothing is under way either.
        let _ = watched.wait_for(|now| now.requests == 0).await;
        if timeout(LAST_WORDS, watched.wait_for(|now| now.requests > 0)).await.is_err() {
            return;
        }
    }
}

/// What is under way on a connection.
#[derive(Clone, Copy, Debug, Default)]
struct UnderWay {
    requests: usize,
    /// Those of which the answer is a stream of events, and has no end of its own.
    streams: usize,
}

fn is_stream(answer: &Response<Body>) -> bool {
    let kind = answer.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// A request, from its head to the end of its answer.
struct Turn {
    under_way: watch::Sender<UnderWay>,
    is_stream: bool,
}

impl Turn {
    fn begin(under_way: &watch::Sender<UnderWay>) -> Self {
        under_way.send_modify(|now| now.requests += 1);
        Self { under_way: under_way.clone(), is_stream: false }
    }

    fn of_stream(mut self) -> Self {
        self.is_stream = true;
        self.under_way.send_modify(|now| {
            now.requests -= 1;
            now.streams += 1;
        });
        self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.under_way.send_modify(|now| {
            let those = if self.is_stream { &mut now.streams } else { &mut now.requests };
            *those -= 1;
        });
    }
}

/// The body of an answer; the request is under way as long as it is.
struct Answer {
    body: Body,
    _turn: Turn,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
