//! Sends what was gathered to the collector, on a task of its own that nobody ever waits for. While the collector is away one
//! batch is tried again and again, others wait in a bounded queue, and what does not fit there is dropped.

use super::{
    collector::Collector,
    layer::Ended,
    wire::{self, Resource},
};
use crate::adapters::{SystemClock, TimeOrderedIds, tls};
use bytes::Bytes;
use reqwest::{Client, StatusCode, header::CONTENT_TYPE, redirect};
use services::ports::Ids;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// Spans of one call, at most.
const BATCH: usize = 512;
/// How long a span waits for others that go along.
const GATHERS: Duration = Duration::from_millis(500);
const CONNECT: Duration = Duration::from_secs(3);
/// For the whole answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Before the second try of a batch; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a stop waits for the last of them.
const LAST: Duration = Duration::from_secs(3);

pub struct Sender {
    collector: Collector,
    http: Client,
    resource: Resource,
    waiting: mpsc::Receiver<Ended>,
    /// The last call went wrong, and that was said.
    is_away: bool,
}

/// A sender at work.
pub struct Sending {
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

/// Why a call went wrong.
struct Failure {
    reason: String,
    /// It may go well later.
    passes: bool,
}

impl Sender {
    pub(super) fn new(collector: Collector, waiting: mpsc::Receiver<Ended>) -> Result<Self, String> {
        let made = tls::client(|| {
            Client::builder()
                .connect_timeout(CONNECT)
                // The headers are for that server alone.
                .redirect(redirect::Policy::none())
                .user_agent(concat!("insighthub/", env!("CARGO_PKG_VERSION")))
        });
        let (http, _) =
            made.map_err(|e| format!("the client for OTEL_EXPORTER_OTLP_ENDPOINT could not be made: {e}"))?;
        let instance = TimeOrderedIds::new(Arc::new(SystemClock)).uuid().to_string();
        let resource = Resource { service: collector.service.clone(), instance };
        Ok(Self { collector, http, resource, waiting, is_away: false })
    }

    /// Begins to send. Called within the runtime.
    pub fn start(self) -> Sending {
        tracing::info!(host = self.collector.url.host_str(), "traces are sent to a collector");
        let stopping = CancellationToken::new();
        let task = tokio::spawn(self.run(stopping.clone()));
        Sending { stopping, task }
    }

    async fn run(mut self, stopping: CancellationToken) {
        loop {
            let batch = self.gather(&stopping).await;
            if batch.is_empty() {
                return;
            }
            self.deliver(&batch, &stopping).await;
            if self.is_away && stopping.is_cancelled() {
                return;
            }
        }
    }

    /// What is to be sent next; nothing when the server stops and nothing is left.
    async fn gather(&mut self, stopping: &CancellationToken) -> Vec<Ended> {
        let mut batch = Vec::new();
        tokio::select! {
            _ = self.waiting.recv_many(&mut batch, BATCH) => {}
            () = stopping.cancelled() => {}
        }
        let full = sleep_until(Instant::now() + GATHERS);
        tokio::pin!(full);
        while batch.len() < BATCH && !stopping.is_cancelled() {
            let room = BATCH - batch.len();
            tokio::select! {
                more = self.waiting.recv_many(&mut batch, room) => {
                    if more == 0 {
                        break;
                    }
                }
                () = &mut full => break,
                () = stopping.cancelled() => break,
            }
        }
        while batch.len() < BATCH
            && let Ok(span) = self.waiting.try_recv()
        {
            batch.push(span);
        }
        batch
    }

    /// Until the collector has taken it or will never do so; when the server stops, one more try.
    async fn deliver(&mut self, batch: &[Ended], stopping: &CancellationToken) {
        let body = wire::body(&self.resource, batch);
        let mut pause = FIRST_PAUSE;
        loop {
            let is_last = stopping.is_cancelled();
            let failure = match self.post(body.clone()).await {
                Ok(()) => {
                    if std::mem::take(&mut self.is_away) {
                        tracing::info!("traces are sent again");
                    }
                    return;
                }
                Err(failure) => failure,
            };
            if !std::mem::replace(&mut self.is_away, true) {
                let reason = failure.reason;
                tracing::warn!(
                    reason,
                    "traces cannot be sent; those that find no room meanwhile are dropped"
                );
            }
            if is_last || !failure.passes {
                metrics::counter!("insighthub_spans_dropped_total").increment(batch.len() as u64);
                return;
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = stopping.cancelled() => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn post(&self, body: Bytes) -> Result<(), Failure> {
        let request = self.http.post(self.collector.url.clone()).timeout(ANSWER);
        let request = request.headers(self.collector.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(e) => {
                // The address may hold a password, so nothing of the error but its kind is told.
                let in_time = if e.is_timeout() { " in time" } else { "" };
                return Err(Failure {
                    reason: format!("the collector does not answer{in_time}"),
                    passes: true,
                });
            }
        };
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let passes = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        Err(Failure { reason: format!("the collector answers with status {}", status.as_u16()), passes })
    }
}

impl Sending {
    /// Sends what is left, as far as that takes no long time.
    pub async fn finish(self) {
        self.stopping.cancel();
        if timeout(LAST, self.task).await.is_err() {
            tracing::warn!("the last traces could not be sent in time");
        }
    }
}
