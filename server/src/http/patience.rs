//! Patience with those who send: a body of which nothing comes for too long ends with 408, so that a stalled upload
//! keeps neither its half-written file nor a stop of the server.

use super::AppState;
use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

/// How long a stopping server waits for the next piece of a body.
pub const WHILE_STOPPING: Duration = Duration::from_secs(2);

/// In the extensions of a request: whether its body stalled. What the handler made of that is answered as 408.
#[derive(Clone, Debug, Default)]
pub struct Stalled(Arc<AtomicBool>);

impl Stalled {
    pub fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("nothing came for too long")]
struct Silence;

pub async fn patience(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let stalled = Stalled::default();
    request.extensions_mut().insert(stalled.clone());
    let awaited = |body| {
        Body::new(Awaited {
            body,
            patience: app.patience(),
            silence: Box::pin(sleep(app.patience())),
            waiting: false,
            stopping: Some(Box::pin(app.stopping().clone().cancelled_owned())),
            stalled,
        })
    };
    next.run(request.map(awaited)).await
}

/// A body whose next piece is waited for only so long. While nobody asks for it, no time passes.
struct Awaited {
    body: Body,
    patience: Duration,
    silence: Pin<Box<Sleep>>,
    waiting: bool,
    /// `None` once the server is stopping.
    stopping: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    stalled: Stalled,
}

impl HttpBody for Awaited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.waiting = false;
            return Poll::Ready(frame);
        }
        if let Some(stopping) = &mut self.stopping
            && stopping.as_mut().poll(cx).is_ready()
        {
            self.stopping = None;
            self.patience = self.patience.min(WHILE_STOPPING);
            self.waiting = false;
        }
        if !self.waiting {
            let until = Instant::now() + self.patience;
            self.silence.as_mut().reset(until);
            self.waiting = true;
        }
        ready!(self.silence.as_mut().poll(cx));
        self.waiting = false;
        self.stalled.0.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err(axum::Error::new(Silence))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
