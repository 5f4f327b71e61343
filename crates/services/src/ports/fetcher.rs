//! Asking web sites.

use crate::crawl::address::AddressError;
use async_trait::async_trait;
use bytes::Bytes;
use std::time::Duration;
use url::Url;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    pub url: Url,
    /// Of what is known of it: the site may answer that it is still so.
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    /// More than that is not taken, unpacked.
    pub most_bytes: u64,
    /// Of what is longer its beginning is an answer.
    pub in_part: bool,
}

/// What a site answered. A redirect is an answer: nobody follows it here.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    pub status: u16,
    pub location: Option<String>,
    pub content_type: Option<String>,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    /// For how long the site wants to be left alone.
    pub retry_after: Option<Duration>,
    pub body: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address, or what its name leads to, is none that may be asked. Nobody was.
    #[error("the address is not allowed")]
    NotAllowed,
    /// With `https`, where the system has no certificate by which a site could be known. Nobody was asked.
    #[error("the system has no certificates by which the site could be known")]
    NoCertificates,
    #[error("the site cannot be reached: {0}")]
    Unreachable(String),
    #[error("the site takes too long")]
    TookTooLong,
    #[error("the answer is too large")]
    TooLarge,
    #[error("the answer is damaged: {0}")]
    Broken(String),
}

#[async_trait]
pub trait Fetcher: Send + Sync {
    /// Whether an address may be asked, as far as it tells by itself.
    ///
    /// # Errors
    /// Why not.
    fn check(&self, url: &Url) -> Result<(), AddressError>;

    /// Asks for one page. The address that is connected to is the one that was looked at, whatever its name says a moment
    /// later. Takes a bounded time.
    async fn fetch(&self, request: FetchRequest) -> Result<Fetched, FetchError>;
}
