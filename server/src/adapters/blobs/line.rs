//! How an object store is asked: over an HTTP client of this program, as everything else is, and what its answers mean.
//! `object_store` signs, repeats and reads; it brings no client of its own, so TLS stays one and the same.

use crate::adapters::tls;
use async_trait::async_trait;
use http::StatusCode;
use http_body_util::BodyExt;
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use reqwest::{Client, Url, redirect};
use services::ports::BlobError;
use std::{error::Error, io, time::Duration};

/// A store is there within this time, or it is not there.
const CONNECT: Duration = Duration::from_secs(5);
/// Time for one part to go and to be acknowledged, and between two pieces of what comes.
const SILENCE: Duration = Duration::from_secs(60);
/// A line that was idle for longer may have been cut by whatever stands between.
const IDLE: Duration = Duration::from_secs(20);

/// What a store says that is about no single object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    #[error("there is no bucket of that name")]
    NoBucket,
    #[error("it has no room left")]
    Full,
}

#[derive(Clone, Debug)]
pub(super) struct Line(Client);

impl Line {
    /// # Errors
    /// A sentence, when the client cannot be made.
    pub(super) fn new() -> Result<Self, String> {
        let made = tls::client(|| {
            Client::builder()
                .connect_timeout(CONNECT)
                .read_timeout(SILENCE)
                .pool_idle_timeout(IDLE)
                // What is signed is signed for one address.
                .redirect(redirect::Policy::none())
                // Bytes are kept as they are.
                .no_gzip()
                .no_brotli()
                .user_agent(concat!("insighthub/", env!("CARGO_PKG_VERSION")))
        });
        made.map(|(client, _)| Self(client))
            .map_err(|e| format!("the client for INSIGHTHUB_BLOB_URL could not be made: {e}"))
    }
}

impl HttpConnector for Line {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Line {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let url =
            Url::parse(&parts.uri.to_string()).map_err(|e| HttpError::new(HttpErrorKind::Unknown, e))?;
        let mut request = reqwest::Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        let whole = body.as_bytes().cloned();
        *request.body_mut() = Some(match whole {
            Some(bytes) => bytes.into(),
            None => reqwest::Body::wrap(body),
        });
        let response: http::Response<reqwest::Body> = self.0.execute(request).await.map_err(broken)?.into();
        let (parts, body) = response.into_parts();
        let body = HttpResponseBody::new(body.map_err(broken));
        // To ask a full store once more would be of no use.
        if parts.status == StatusCode::INSUFFICIENT_STORAGE {
            return Err(HttpError::new(HttpErrorKind::Unknown, Trouble::Full));
        }
        if !parts.status.is_client_error() {
            return Ok(HttpResponse::from_parts(parts, body));
        }
        let said = body.bytes().await?;
        match trouble(&said) {
            Some(trouble) => Err(HttpError::new(HttpErrorKind::Unknown, trouble)),
            None => Ok(HttpResponse::from_parts(parts, said.into())),
        }
    }
}

/// Why there was no answer. Nothing that we ask for does harm when it is asked for twice, so all of it may be repeated.
fn broken(e: reqwest::Error) -> HttpError {
    let kind = if e.is_connect() {
        HttpErrorKind::Connect
    } else if e.is_timeout() {
        HttpErrorKind::Timeout
    } else {
        HttpErrorKind::Request
    };
    HttpError::new(kind, e.without_url())
}

/// What the code in a refusal says, where that is more than its status.
fn trouble(said: &[u8]) -> Option<Trouble> {
    let said = String::from_utf8_lossy(said);
    let (_, rest) = said.split_once("<Code>")?;
    match rest.split_once("</Code>")?.0 {
        "NoSuchBucket" => Some(Trouble::NoBucket),
        "QuotaExceeded" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded" => Some(Trouble::Full),
        _ => None,
    }
}

/// What an error means that came of asking for one object.
pub(super) fn fault(e: object_store::Error) -> BlobError {
    if matches!(e, object_store::Error::NotFound { .. }) && find(&e).is_none() {
        return BlobError::NotFound;
    }
    fault_of_store(e)
}

/// The same where no single object could be missing.
pub(super) fn fault_of_store(e: object_store::Error) -> BlobError {
    use object_store::Error as E;
    let is_refused = matches!(e, E::PermissionDenied { .. } | E::Unauthenticated { .. });
    match find(&e) {
        Some(Trouble::Full) => BlobError::Full(io::Error::new(io::ErrorKind::StorageFull, e)),
        Some(Trouble::NoBucket) => BlobError::Refused(e.into()),
        None if is_refused => BlobError::Refused(e.into()),
        None => BlobError::Away(e.into()),
    }
}

/// Looks for the trouble at the root of an error.
fn find(e: &(dyn Error + 'static)) -> Option<Trouble> {
    let mut cause = Some(e);
    while let Some(e) = cause {
        if let Some(trouble) = e.downcast_ref::<Trouble>() {
            return Some(*trouble);
        }
        cause = e.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_what_is_wrong_with_the_store() {
        let said = |code: &str| {
            format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>No.</Message></Error>")
        };
        assert_eq!(trouble(said("NoSuchBucket").as_bytes()), Some(Trouble::NoBucket));
        assert_eq!(trouble(said("QuotaExceeded").as_bytes()), Some(Trouble::Full));
        assert_eq!(trouble(said("NoSuchKey").as_bytes()), None);
        assert_eq!(trouble(b""), None);
        assert_eq!(trouble(b"<Code>"), None);
    }
}
