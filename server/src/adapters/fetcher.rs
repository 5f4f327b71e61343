//! Asks web sites for pages, and keeps to the addresses that may be asked. A name is resolved by the guard alone, so the
//! address that was looked at is the one that is connected to, whatever the name says a moment later; nobody's proxy is
//! asked, and no redirect is followed here.

use super::tls;
use async_trait::async_trait;
use bytes::BytesMut;
use domain::crawl::{AGENT, Allowed};
use reqwest::{
    Client, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{self, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use services::{
    crawl::address::{self, AddressError},
    ports::{FetchError, FetchRequest, Fetched, Fetcher},
};
use std::{fmt, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};
use url::Url;

/// A site that is there answers a connection within this time.
const CONNECT: Duration = Duration::from_secs(10);
/// For a whole page.
const PAGE: Duration = Duration::from_secs(30);

type Found = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
/// Asks the system for the addresses of a name.
type LookUp = dyn Fn(String) -> Found + Send + Sync;

/// The only way from a name to an address.
struct Guard {
    allowed: Allowed,
    look_up: Box<LookUp>,
}

/// What the guard says instead of an address.
#[derive(Debug)]
struct NotAllowed;

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name leads to no address that may be asked")
    }
}

impl std::error::Error for NotAllowed {}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.look_up)(name.as_str().to_owned());
        let allowed = self.allowed.clone();
        Box::pin(async move {
            let found = found.await?;
            let any = !found.is_empty();
            let may: Vec<SocketAddr> = found.into_iter().filter(|a| allowed.may_reach(a.ip())).collect();
            if any && may.is_empty() {
                return Err(NotAllowed.into());
            }
            Ok(Box::new(may.into_iter()) as Addrs)
        })
    }
}

fn ask_the_system(name: String) -> Found {
    Box::pin(async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect()) })
}

pub struct WebFetcher {
    allowed: Allowed,
    http: Client,
    /// Whether the system has certificates by which a site can be known.
    trusts: bool,
}

impl WebFetcher {
    /// # Errors
    /// A sentence, when the client cannot be made.
    pub fn new(allowed: Allowed) -> Result<Self, String> {
        let fetcher = Self::with(allowed, Box::new(ask_the_system))?;
        if !fetcher.trusts {
            // The one place that says so: this client is made in every life of a server, and only once.
            tracing::warn!(
                "the system has no certificates of authorities: nothing can be asked with https, by crawls or for models, files and traces"
            );
        }
        Ok(fetcher)
    }

    fn with(allowed: Allowed, look_up: Box<LookUp>) -> Result<Self, String> {
        let guard = Arc::new(Guard { allowed: allowed.clone(), look_up });
        let made = tls::client(|| {
            Client::builder()
                .dns_resolver(guard.clone())
                .no_proxy()
                .redirect(redirect::Policy::none())
                .referer(false)
                .connect_timeout(CONNECT)
                .timeout(PAGE)
                .user_agent(format!("{AGENT}/{}", env!("CARGO_PKG_VERSION")))
        });
        let (http, trusts) = made.map_err(|e| format!("the client for crawls could not be made: {e}"))?;
        Ok(Self { allowed, http, trusts })
    }

    async fn answer(&self, request: FetchRequest) -> Result<Fetched, FetchError> {
        let mut asked = self
            .http
            .get(request.url)
            .header(header::ACCEPT, "text/html,application/xhtml+xml,application/pdf;q=0.9,*/*;q=0.5");
        // What a site called its page may be nothing that can be sent back.
        let sendable =
            |text: &Option<String>| text.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
        if let Some(etag) = sendable(&request.etag) {
            asked = asked.header(header::IF_NONE_MATCH, etag);
        }
        if let Some(date) = sendable(&request.last_modified) {
            asked = asked.header(header::IF_MODIFIED_SINCE, date);
        }
        let response = asked.send().await.map_err(|e| fault(&e))?;
        // The guard looked at it before; whatever else could lead elsewhere ends here.
        if response.remote_addr().is_some_and(|a| !self.allowed.may_reach(a.ip())) {
            return Err(FetchError::NotAllowed);
        }
        let headers = response.headers();
        let mut fetched = Fetched {
            status: response.status().as_u16(),
            location: text(headers, header::LOCATION),
            content_type: text(headers, header::CONTENT_TYPE),
            etag: text(headers, header::ETAG),
            last_modified: text(headers, header::LAST_MODIFIED),
            retry_after: wish(headers),
            ..Fetched::default()
        };
        if response.status().is_success() {
            fetched.body = body(response, request.most_bytes, request.in_part).await?.freeze();
        }
        Ok(fetched)
    }
}

/// A header that is a text, when it is none that is made to be long.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    // Addresses are sent as they are typed now and then.
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    (text.len() <= 4_096).then_some(text)
}

/// For how long the site wants to be left alone. Where it names a moment, its own clock says how far off that is.
fn wish(headers: &HeaderMap) -> Option<Duration> {
    let wish = text(headers, header::RETRY_AFTER)?;
    if let Ok(seconds) = wish.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| httpdate::parse_http_date(text.trim()).ok();
    let (until, now) = (date(&wish)?, date(&text(headers, header::DATE)?)?);
    Some(until.duration_since(now).unwrap_or_default())
}

/// The body, unpacked, as long as it is not too large: a small one may unpack to any size. `in_part`: what is too large ends
/// there.
async fn body(mut response: Response, most: u64, in_part: bool) -> Result<BytesMut, FetchError> {
    if !in_part && response.content_length().is_some_and(|length| length > most) {
        return Err(FetchError::TooLarge);
    }
    let mut body = BytesMut::new();
    while let Some(part) = response.chunk().await.map_err(|e| fault(&e))? {
        let room = most - body.len() as u64;
        if part.len() as u64 > room {
            if !in_part {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&part[..room as usize]);
            break;
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

fn fault(error: &reqwest::Error) -> FetchError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut last = error.to_string();
    while let Some(e) = cause {
        if e.is::<NotAllowed>() {
            return FetchError::NotAllowed;
        }
        last = e.to_string();
        cause = e.source();
    }
    if error.is_timeout() {
        FetchError::TookTooLong
    } else if error.is_body() || error.is_decode() {
        FetchError::Broken(last)
    } else {
        FetchError::Unreachable(last)
    }
}

#[async_trait]
impl Fetcher for WebFetcher {
    fn check(&self, url: &Url) -> Result<(), AddressError> {
        address::check(url, &self.allowed)
    }

    async fn fetch(&self, request: FetchRequest) -> Result<Fetched, FetchError> {
        // An address that is written out passes no resolver.
        self.check(&request.url).map_err(|_| FetchError::NotAllowed)?;
        if !self.trusts && request.url.scheme() == "https" {
            return Err(FetchError::NoCertificates);
        }
        // The client's own time does not run while a body is being unpacked.
        tokio::time::timeout(PAGE, self.answer(request)).await.unwrap_or(Err(FetchError::TookTooLong))
    }
}

#[cfg(test)]
mod tests;
