//! Who may send what, and what a browser may do with the answer: the origin rule, the content security policy with its
//! nonce, and the other headers.

use super::{AppState, is_api, problem::ApiError, session};
use crate::{adapters::random, config::PublicUrl, pages::RELOAD_PORT};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use services::hex::hex;
use std::sync::Arc;

/// How a request relates to the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    SameOrigin,
    Foreign,
    /// No browser said anything: curl, a script, a native client.
    Unknown,
}

/// Reads `Origin` and `Sec-Fetch-Site`, which a page cannot forge. With a public address the origin must be that one;
/// without, it must be the host that was asked.
pub fn provenance(headers: &HeaderMap, public: Option<&PublicUrl>) -> Provenance {
    let text = |name: HeaderName| headers.get(name).map(|v| v.to_str().unwrap_or("null"));
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let origin = text(header::ORIGIN).map(str::to_ascii_lowercase);
    match (origin.as_deref(), public) {
        (Some("null"), _) => Provenance::Foreign,
        (Some(origin), Some(public)) if origin != public.origin => Provenance::Foreign,
        (Some(_), Some(_)) => by_site(site, Provenance::SameOrigin),
        (Some(origin), None) => {
            let host = text(header::HOST).unwrap_or_default().to_ascii_lowercase();
            let same = origin.split_once("://").is_some_and(|(_, rest)| rest == host);
            // Behind a proxy that changes the host, the browser's own verdict is what is left.
            by_site(site, if same { Provenance::SameOrigin } else { Provenance::Foreign })
        }
        (None, _) => by_site(site, Provenance::Unknown),
    }
}

fn by_site(site: Option<&str>, otherwise: Provenance) -> Provenance {
    match site {
        // `none`: the person typed the address or opened a bookmark.
        Some("same-origin" | "none") => Provenance::SameOrigin,
        Some(_) => Provenance::Foreign,
        None => otherwise,
    }
}

/// Routes that give a session to whoever calls them: a foreign page must not sign its visitor in as somebody else.
fn opens_a_session(path: &str) -> bool {
    matches!(path, "/api/auth/signup" | "/api/auth/login") || path.starts_with("/_fn/auth/")
}

/// Refuses what a foreign page sends in a visitor's name.
pub async fn check_origin(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let public = app.public_url();
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    // A page cannot make its visitor's browser send a key, and a request with one never uses the cookie.
    let by_key = session::bearer(request.headers()).is_some();
    let has_cookie = !by_key && session::token(request.headers(), public).is_some();
    let found = provenance(request.headers(), public);
    let refused = match found {
        _ if is_upgrade(request.headers()) => {
            (!by_key && found == Provenance::Foreign) || (found == Provenance::Unknown && has_cookie)
        }
        Provenance::Foreign => !safe && (has_cookie || opens_a_session(request.uri().path())),
        Provenance::SameOrigin | Provenance::Unknown => false,
    };
    if refused {
        tracing::info!(path = request.uri().path(), "refused a request from a foreign origin");
        return ApiError::new(403, "foreign_origin", "This request came from another site.").into_response();
    }
    next.run(request).await
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Lets the inline scripts of one page run, and no others.
#[derive(Clone, Debug)]
pub struct CspNonce(pub Arc<str>);

impl CspNonce {
    fn new() -> Self {
        Self(hex(&random::<16>()).into())
    }
}

fn policy(nonce: &str) -> String {
    // While somebody works on the pages these are told to reload by another port of the machine.
    let reload = RELOAD_PORT.map(|port| format!(" ws://127.0.0.1:{port} ws://localhost:{port}"));
    let reload = reload.unwrap_or_default();
    format!(
        "default-src 'self'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; \
         connect-src 'self'{reload}; worker-src 'self'; form-action 'self'; img-src 'self'; object-src 'none'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
}

/// Sets the headers of every answer; one that a handler has set already stays.
pub async fn headers(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let nonce = CspNonce::new();
    request.extensions_mut().insert(nonce.clone());
    let private = is_private(request.uri().path());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    if let Ok(policy) = HeaderValue::from_str(&policy(&nonce.0)) {
        set(header::CONTENT_SECURITY_POLICY, policy);
    }
    set(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Never `no-referrer`: forms would then post with a null origin.
    set(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    set(
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    );
    if app.public_url().is_some_and(|p| p.https) {
        set(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    if private {
        set(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Whether the answer may hold somebody's data: everything but the site's own files.
fn is_private(path: &str) -> bool {
    is_api(path) || path.starts_with("/_fn/") || !session::is_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn the_host_decides_when_no_public_address_is_set() {
        let of = |pairs: &[(&'static str, &'static str)]| provenance(&headers(pairs), None);
        let host = ("host", "localhost:3000");
        assert_eq!(of(&[host, ("origin", "http://localhost:3000")]), Provenance::SameOrigin);
        assert_eq!(of(&[host, ("origin", "http://localhost:3001")]), Provenance::Foreign);
        assert_eq!(of(&[host, ("origin", "http://evil.example")]), Provenance::Foreign);
        assert_eq!(of(&[host, ("origin", "null")]), Provenance::Foreign);
        assert_eq!(of(&[host, ("origin", "null"), ("sec-fetch-site", "same-origin")]), Provenance::Foreign);
        assert_eq!(of(&[host]), Provenance::Unknown);
        assert_eq!(of(&[host, ("sec-fetch-site", "same-origin")]), Provenance::SameOrigin);
        for site in ["cross-site", "same-site", "odd"] {
            let value = HeaderValue::from_static(site);
            let mut map = headers(&[host, ("origin", "http://localhost:3000")]);
            map.insert("sec-fetch-site", value);
            assert_eq!(provenance(&map, None), Provenance::Foreign, "{site}");
        }
    }

    #[test]
    fn the_public_address_decides_when_it_is_set() {
        let public: PublicUrl = "https://hub.example.org".parse().expect("an address");
        let of = |pairs: &[(&'static str, &'static str)]| provenance(&headers(pairs), Some(&public));
        let host = ("host", "10.0.0.7:3000");
        assert_eq!(of(&[host, ("origin", "https://hub.example.org")]), Provenance::SameOrigin);
        assert_eq!(of(&[host, ("origin", "http://10.0.0.7:3000")]), Provenance::Foreign);
        assert_eq!(of(&[host, ("origin", "http://hub.example.org")]), Provenance::Foreign);
    }
}
