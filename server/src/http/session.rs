//! The session cookie: setting it, reading it, and finding out who asks before any handler runs.

use super::{AppState, access, access::Access, is_api, problem::ApiError};
use crate::config::PublicUrl;
use app::paths;
use axum::{
    extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use domain::Problem;
use http::{HeaderMap, HeaderValue, Method, header, request::Parts};
use services::{Client, Held, Services, Who, actor::acting};
use std::{convert::Infallible, net::SocketAddr};

/// The token that came with the request; the live socket looks the session up again with it.
#[derive(Clone)]
pub struct Token(pub String);

/// Name of the cookie: over TLS with the prefix that ties it to this host and path.
pub fn cookie_name(public: Option<&PublicUrl>) -> &'static str {
    if public.is_some_and(|p| p.https) { "__Host-insighthub_session" } else { "insighthub_session" }
}

/// Name of the cookie that holds the mark of an earlier sign-in.
fn device_cookie_name(public: Option<&PublicUrl>) -> &'static str {
    if public.is_some_and(|p| p.https) { "__Host-insighthub_device" } else { "insighthub_device" }
}

/// How long a browser is known after a sign-in, in seconds: a year.
const DEVICE_SECONDS: u64 = 365 * 86_400;

/// The `Set-Cookie` of a new session; `seconds` is how long it lasts.
pub fn cookie(public: Option<&PublicUrl>, token: &str, seconds: u64) -> HeaderValue {
    set_cookie(public, cookie_name(public), token, seconds)
}

/// The `Set-Cookie` of the mark by which a browser is known at its next sign-in.
pub fn device_cookie(public: Option<&PublicUrl>, mark: &str) -> HeaderValue {
    set_cookie(public, device_cookie_name(public), mark, DEVICE_SECONDS)
}

fn set_cookie(public: Option<&PublicUrl>, name: &str, value: &str, seconds: u64) -> HeaderValue {
    let secure = if public.is_some_and(|p| p.https) { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    // Tokens and marks are hexadecimal.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// The `Set-Cookie` that removes it.
pub fn no_cookie(public: Option<&PublicUrl>) -> HeaderValue {
    cookie(public, "", 0)
}

/// The session token of a request, when it could be one.
pub fn token(headers: &HeaderMap, public: Option<&PublicUrl>) -> Option<String> {
    values(headers, cookie_name(public))
        .find(|v| v.len() == 64 && v.bytes().all(|b| b.is_ascii_hexdigit()))
        .map(str::to_owned)
}

/// What the cookies of that name hold.
fn values<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(move |(k, v)| (k == name).then_some(v))
}

/// Where the request comes from, and what it holds of earlier sign-ins.
pub fn client_of(app: &AppState, parts: &Parts) -> Client {
    let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let (who, token) = (parts.extensions.get::<Who>(), parts.extensions.get::<Token>());
    let session = who.zip(token).map(|(who, token)| Held {
        user_id: who.user.id,
        session_id: who.session_id,
        token: token.0.clone(),
    });
    let device = values(&parts.headers, device_cookie_name(app.public_url())).next().map(str::to_owned);
    Client { session, device, ..app.proxies().client(&parts.headers, address.map(|a| a.0)) }
}

/// Where the request comes from, as a handler asks for it.
pub struct FromClient(pub Client);

impl FromRequestParts<AppState> for FromClient {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Infallible> {
        Ok(Self(client_of(app, parts)))
    }
}

/// A path that names a file of the site, not a page: its last part has a dot.
pub fn is_file(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|last| last.contains('.'))
}

/// Pages that need nobody.
fn is_public_page(path: &str) -> bool {
    matches!(path, "/signin" | "/signup") || (cfg!(debug_assertions) && path == "/components")
}

/// Puts [`Who`] and [`Token`] into the extensions, and sends people to the page where they belong. Redirects happen
/// here, since a page has begun to stream when it could notice.
pub async fn identify(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path.starts_with("/health/") || path == "/metrics" || (is_file(path) && !is_api(path)) {
        return next.run(request).await;
    }
    if let Some(key) = bearer(request.headers()) {
        let (key, access) = (key.to_owned(), asked_for(&request));
        return match by_key(app.services(), &key, access).await {
            Ok(caller) => {
                // A public route asks nobody, so it does not look at the key either.
                let Some(caller) = caller else { return next.run(request).await };
                let actor = caller.actor();
                request.extensions_mut().insert(caller);
                request.extensions_mut().insert(Token(key));
                acting(actor, next.run(request)).await
            }
            Err(problem) => problem.into_response(),
        };
    }
    let who = match token(request.headers(), app.public_url()) {
        None => None,
        Some(token) => match app.services().authenticate(&token).await {
            Ok(who) => who.map(|who| (who, Token(token))),
            Err(e) => return ApiError::from(e).into_response(),
        },
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads && !is_api(path) && !path.starts_with("/_fn/") {
        match (&who, is_public_page(path)) {
            (None, false) => {
                let wanted = request.uri().path_and_query().map_or("/", |p| p.as_str());
                return Redirect::to(&paths::sign_in(wanted)).into_response();
            }
            (Some(_), true) if path != "/components" => {
                return Redirect::to(&next_address(request.uri().query())).into_response();
            }
            _ => {}
        }
    }
    if let Some((who, token)) = who {
        let caller = services::Caller::from(who.clone());
        let actor = caller.actor();
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(who);
        request.extensions_mut().insert(token);
        return acting(actor, next.run(request)).await;
    }
    next.run(request).await
}

/// The API key of a request, or what stands in its place. Another scheme than Bearer is none of ours: a proxy in front may
/// ask for a password of its own.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?;
    let (scheme, key) = value.as_bytes().split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return None;
    }
    Some(std::str::from_utf8(key).unwrap_or_default().trim())
}

/// What the route of the request asks of its caller.
fn asked_for(request: &Request) -> Access {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    path.map_or(Access::Session, |path| access::of(request.method(), path))
}

/// Who calls with that key. It never falls back to a cookie: a program that sends a key means it.
async fn by_key(
    services: &Services,
    key: &str,
    access: Access,
) -> Result<Option<services::Caller>, ApiError> {
    if access == Access::Public {
        return Ok(None);
    }
    let caller =
        services.key_caller(key).await.map_err(|e| ApiError::from(e).challenge("invalid_token", None))?;
    match access {
        Access::Scope(scope) => caller
            .require(scope)
            .map_err(|e| ApiError::from(e).challenge("insufficient_scope", Some(scope.as_str())))?,
        Access::Session | Access::Public => caller.require_session()?,
    }
    Ok(Some(caller))
}

/// Where a person who is signed in already goes from the sign-in page: to `next`, when it is a page of this site.
fn next_address(query: Option<&str>) -> String {
    let next = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("next="));
    let next = next.and_then(paths::decode);
    next.as_deref().and_then(paths::local_path).unwrap_or("/").to_owned()
}

/// The one who asks for data, by a session or by an API key that may; 401 without.
pub struct Allowed(pub services::Caller);

impl<S: Sync> FromRequestParts<S> for Allowed {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<services::Caller>().cloned();
        caller.map(Self).ok_or_else(|| ApiError::from(Problem::unauthorized()))
    }
}

/// The signed-in person; 401 without. API keys do not come this far.
pub struct SignedIn(pub Who);

impl<S: Sync> FromRequestParts<S> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts
            .extensions
            .get::<Who>()
            .cloned()
            .map(Self)
            .ok_or_else(|| ApiError::from(Problem::unauthorized()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_cookie(text: &str) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.insert(header::COOKIE, HeaderValue::from_str(text).expect("a header"));
        map
    }

    #[test]
    fn the_cookie_has_its_flags() {
        let plain = cookie(None, "ab", 60);
        assert_eq!(plain, "insighthub_session=ab; Path=/; HttpOnly; SameSite=Lax; Max-Age=60");
        let public: PublicUrl = "https://hub.example.org".parse().expect("an address");
        let secure = cookie(Some(&public), "ab", 60);
        assert_eq!(
            secure,
            "__Host-insighthub_session=ab; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure"
        );
    }

    #[test]
    fn only_a_well_formed_token_is_looked_up() {
        let good = "a1".repeat(32);
        assert_eq!(token(&with_cookie(&format!("x=1; insighthub_session={good}")), None), Some(good.clone()));
        for bad in ["insighthub_session=", "insighthub_session=zz", &format!("other={good}")] {
            assert_eq!(token(&with_cookie(bad), None), None, "{bad}");
        }
        // Over TLS the name without the prefix counts for nothing: a neighbour host could have set it.
        let public: PublicUrl = "https://hub.example.org".parse().expect("an address");
        assert_eq!(token(&with_cookie(&format!("insighthub_session={good}")), Some(&public)), None);
    }

    #[test]
    fn next_stays_on_this_site() {
        let go = |q: &str| next_address(Some(q));
        assert_eq!(go("a=1&next=%2Fw%2F1%3Ftab%3Da%26b%3D2"), "/w/1?tab=a&b=2");
        for bad in [
            "next=//evil.example",
            "next=https://evil.example",
            "next=/%5Cevil.example",
            "next=/a%0d%0ab",
            "",
        ] {
            assert_eq!(go(bad), "/", "{bad}");
        }
    }
}
