//! One id, one span and one measurement a request. Paths are logged as their route (`/api/documents/{id}`), never with
//! their query, so that no id or search text of a person lands in the metrics.

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use http::HeaderValue;
use std::{sync::Arc, time::Duration};
use tracing::{Instrument, Span, field::Empty};

/// Finds the log lines of a request; given back in `X-Request-Id` and in each problem.
#[derive(Clone, Debug)]
pub struct RequestId(pub Arc<str>);

pub const HEADER: &str = "x-request-id";

/// A request that took longer than this is worth a line at `info`.
const SLOW: Duration = Duration::from_secs(2);

pub async fn observe(ids: Arc<dyn services::ports::Ids>, mut request: Request, next: Next) -> Response {
    // The id is ours: a client's own could forge lines in the log.
    let id = RequestId(ids.uuid().to_string().into());
    request.extensions_mut().insert(id.clone());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    // What came of it is noted by the use case, and by its end.
    let span = tracing::info_span!(
        "request",
        request_id = &*id.0,
        %method,
        route,
        status = Empty,
        began = Empty,
        concerns = Empty
    );
    async move {
        let began = tokio::time::Instant::now();
        let mut response = next.run(request).await;
        let (took, status) = (began.elapsed(), response.status().as_u16());
        let labels = [("method", method.to_string()), ("route", route), ("status", status.to_string())];
        metrics::counter!("insighthub_http_requests_total", &labels).increment(1);
        metrics::histogram!("insighthub_http_request_seconds", &labels[..2]).record(took);
        let millis = took.as_millis();
        if status >= 500 {
            tracing::warn!(status, millis, "answered with a server error");
        } else if took > SLOW {
            tracing::info!(status, millis, "answered slowly");
        } else {
            tracing::debug!(status, millis, "answered");
        }
        // After the line, which has it already.
        Span::current().record("status", status);
        if let Ok(value) = HeaderValue::from_str(&id.0) {
            response.headers_mut().insert(HEADER, value);
        }
        response
    }
    .instrument(span)
    .await
}
