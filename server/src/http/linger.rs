//! Reading on after a refusal. When a handler answers before it has read the body (401, 404, 413), the server would
//! close a connection on which the client is still sending; the client is reset and never sees the answer. So the rest
//! is read and thrown away, within bounds.

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

/// The most that is thrown away, in bytes, and the longest that it may take.
const MOST: usize = 64 << 20;
const LONGEST: Duration = Duration::from_secs(10);

pub async fn linger(request: Request, next: Next) -> Response {
    next.run(request.map(|body| if body.is_end_stream() { body } else { Body::new(Lingering(Some(body))) }))
        .await
}

/// A body that is read on when it is dropped before its end.
struct Lingering(Option<Body>);

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            // The end, or a connection that broke: nothing is left to read.
            self.0 = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        // Outside of a runtime the process is ending, and nobody waits for an answer.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(tokio::time::timeout(LONGEST, throw_away(body)));
    }
}

async fn throw_away(mut body: Body) {
    let mut read = 0;
    while read < MOST {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let Some(Ok(frame)) = frame else { return };
        read += frame.data_ref().map_or(0, Bytes::len);
    }
}
