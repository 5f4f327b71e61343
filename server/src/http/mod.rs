//! Everything that speaks HTTP. Handlers read the request, call one use case and shape its answer; what may be done is
//! decided in `services`, never here.

pub mod access;
mod account;
mod analytics;
mod api_keys;
mod auth;
mod bulk;
mod chat;
mod chunks;
mod client;
mod controls;
mod conversations;
mod crawls;
mod docs;
mod documents;
mod download;
mod errors;
mod event_stream;
mod extract;
mod filename;
mod health;
mod held_files;
mod history;
mod ingestion;
mod jobs;
mod linger;
mod observe;
mod openapi;
mod patience;
mod problem;
mod rag;
mod reports;
mod retrieval_cases;
mod search;
mod security;
mod sent_files;
mod session;
mod sessions;
mod site;
mod status_stream;
mod status_ws;
mod tagged;
mod tus;
mod upload;
mod uploads;
mod workspaces;

pub use client::Proxies;
pub use observe::RequestId;
pub use security::CspNonce;
pub use session::{Token, client_of, cookie, device_cookie, no_cookie};
pub use site::Site;

use crate::{
    adapters::{FormSeal, SharedFolder},
    config::PublicUrl,
};
use axum::{
    Router,
    extract::Request,
    middleware,
    response::{Redirect, Response},
    routing::MethodRouter,
};
use bytes::Bytes;
use domain::Problem;
use http::Method;
use metrics_exporter_prometheus::PrometheusHandle;
use problem::ApiError;
use services::Services;
use std::{sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::{
    CompressionLevel,
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, Predicate},
};
use utoipa_axum::{router::OpenApiRouter, routes};

/// What handlers share. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

pub struct Shared {
    pub services: Services,
    pub public_url: Option<PublicUrl>,
    /// Cancelled when the server is to stop: a balancer should send nobody any more, and everything still works.
    pub leaving: CancellationToken,
    /// Cancelled when the server begins to stop.
    pub stopping: CancellationToken,
    /// Counts the sockets, so that a stop waits until each was told.
    pub sockets: TaskTracker,
    pub metrics: PrometheusHandle,
    pub site: Site,
    pub proxies: Proxies,
    pub forms: FormSeal,
    /// Where files lie, when other servers are to have them in the same folder.
    pub folder: Option<SharedFolder>,
    /// How long the next piece of a request may take.
    pub patience: Duration,
}

impl AppState {
    pub fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    pub fn services(&self) -> &Services {
        &self.0.services
    }

    pub fn public_url(&self) -> Option<&PublicUrl> {
        self.0.public_url.as_ref()
    }

    pub fn forms(&self) -> &FormSeal {
        &self.0.forms
    }

    pub fn folder(&self) -> Option<&SharedFolder> {
        self.0.folder.as_ref()
    }

    pub fn leaving(&self) -> &CancellationToken {
        &self.0.leaving
    }

    pub fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    pub fn patience(&self) -> Duration {
        self.0.patience
    }

    pub fn site(&self) -> &Site {
        &self.0.site
    }

    pub fn proxies(&self) -> &Proxies {
        &self.0.proxies
    }
}

impl axum::extract::FromRef<AppState> for Services {
    fn from_ref(app: &AppState) -> Self {
        app.0.services.clone()
    }
}

/// Paths whose answers are for programs.
pub fn is_api(path: &str) -> bool {
    path.starts_with("/api/")
        || path.starts_with("/v1/")
        || path.starts_with("/health/")
        || path == "/metrics"
}

/// The routes for operations; every role serves them.
fn operations() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .routes(routes!(openapi::document))
        .routes(routes!(docs::page))
        .route(docs::STYLE_PATH, axum::routing::get(docs::style))
}

/// The REST interface and the streams.
fn interface() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(auth::sign_up))
        .routes(routes!(auth::login))
        .routes(routes!(auth::logout))
        .routes(routes!(auth::me))
        .routes(routes!(auth::profile))
        .routes(routes!(auth::change_password))
        .routes(routes!(auth::preferences))
        .routes(routes!(sessions::list, sessions::end_others))
        .routes(routes!(sessions::end))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::revoke))
        .routes(routes!(account::export, account::start_export))
        .routes(routes!(account::export_content))
        .routes(routes!(account::delete))
        .routes(routes!(workspaces::list, workspaces::create))
        .routes(routes!(workspaces::read, workspaces::edit, workspaces::delete))
        .routes(routes!(workspaces::restore))
        .routes(routes!(workspaces::pause))
        .routes(routes!(workspaces::resume))
        .routes(routes!(workspaces::retry))
        .routes(routes!(rag::models))
        .routes(routes!(rag::options))
        .routes(routes!(rag::preview))
        .routes(routes!(rag::default_config, rag::save_default_config, rag::reset_default_config))
        .routes(routes!(rag::workspace_config, rag::save_workspace_config, rag::reset_workspace_config))
        .routes(routes!(rag::reindex))
        .routes(routes!(rag::estimate, rag::estimate_candidate))
        .routes(routes!(documents::list, upload::upload))
        .routes(routes!(held_files::check))
        .routes(routes!(sent_files::send))
        .routes(routes!(sent_files::remove))
        .merge(resumable())
        .routes(routes!(documents::read, documents::edit, documents::delete))
        .routes(routes!(documents::restore))
        .routes(routes!(chunks::list))
        .routes(routes!(chunks::read, chunks::edit))
        .routes(routes!(chunks::embed))
        .routes(routes!(documents::content))
        .routes(routes!(documents::preview))
        .routes(routes!(documents::versions))
        .routes(routes!(history::document))
        .routes(routes!(history::job))
        .routes(routes!(history::workspace))
        .routes(routes!(analytics::workspace))
        .routes(routes!(errors::list))
        .routes(routes!(errors::retry))
        .routes(routes!(errors::resolve))
        .routes(routes!(search::search))
        .routes(routes!(retrieval_cases::list, retrieval_cases::add))
        .routes(routes!(retrieval_cases::run))
        .routes(routes!(retrieval_cases::remove))
        .routes(routes!(chat::ask))
        .routes(routes!(chat::read))
        .routes(routes!(chat::stream))
        .routes(routes!(chat::stop))
        .routes(routes!(chat::retry))
        .routes(routes!(conversations::list, conversations::create))
        .routes(routes!(conversations::read, conversations::rename, conversations::delete))
        .routes(routes!(conversations::restore))
        .routes(routes!(conversations::status))
        .routes(routes!(conversations::export))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::read))
        .routes(routes!(crawls::start))
        .routes(routes!(crawls::pages))
        .routes(routes!(controls::put_job_first))
        .routes(routes!(controls::pause_job))
        .routes(routes!(controls::resume_job))
        .routes(routes!(controls::cancel_job))
        .routes(routes!(controls::retry_job))
        .routes(routes!(controls::skip_embedding_of_job))
        .routes(routes!(controls::attempts))
        .routes(routes!(controls::pause_document))
        .routes(routes!(controls::resume_document))
        .routes(routes!(controls::cancel_document))
        .routes(routes!(controls::retry_document))
        .routes(routes!(controls::skip_embedding))
        .routes(routes!(bulk::begin))
        .routes(routes!(bulk::read))
        .routes(routes!(bulk::undo))
        .routes(routes!(ingestion::workspace_status))
        .routes(routes!(upload::upload_one))
        .routes(routes!(ingestion::document_status))
        .routes(routes!(ingestion::document_statuses))
        .routes(routes!(reports::document))
        .routes(routes!(reports::workspace))
        .routes(routes!(status_ws::socket))
        .routes(routes!(status_stream::events))
        .routes(routes!(status_stream::changes))
}

/// The routes of the tus protocol.
fn resumable() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(uploads::capabilities, uploads::create))
        .routes(routes!(uploads::read, uploads::extend, uploads::give_up, uploads::overridden))
        .layer(middleware::from_fn(uploads::name_version))
}

/// Routes beside the interface: an address that older clients use, the form of a page, and where settings begin.
fn beside() -> [(Method, &'static str, MethodRouter<AppState>); 4] {
    let first_tab = || async { Redirect::to(app::paths::SETTINGS_PROFILE) };
    [
        // Older clients leave the last slash out.
        (Method::POST, "/v1/documents", axum::routing::post(upload::upload_one)),
        (Method::POST, "/v1/chat", axum::routing::post(chat::ask)),
        (Method::POST, "/w/{id}/files", axum::routing::post(upload::upload_from_page)),
        (Method::GET, "/settings", axum::routing::get(first_tab)),
    ]
}

/// Method and path of every route but those of the screens: what a test of who may call what goes through.
pub fn addresses() -> Vec<(Method, String)> {
    let mut all = access::addresses(&mut openapi());
    all.extend(beside().into_iter().map(|(method, path, _)| (method, path.to_owned())));
    all.push((Method::GET, docs::STYLE_PATH.to_owned()));
    all
}

/// The OpenAPI document of everything that is served.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, api) = OpenApiRouter::<AppState>::new().merge(operations()).merge(interface()).split_for_parts();
    openapi::complete(api)
}

/// The whole site: operations, interface and, through `pages`, the screens.
pub fn full(app: AppState, pages: Router<AppState>) -> Router {
    let (routes, _) = OpenApiRouter::new().merge(operations()).merge(interface()).split_for_parts();
    let routes = beside().into_iter().fold(routes, |routes, (_, path, handler)| routes.route(path, handler));
    wrap(app, routes.merge(pages).fallback(site::fallback))
}

/// What a process that only works on documents serves.
pub fn operations_only(app: AppState) -> Router {
    let (routes, _) = operations().split_for_parts();
    wrap(app, routes.fallback(nothing_here))
}

async fn nothing_here() -> ApiError {
    ApiError::from(Problem::new(404, "not_found", "There is nothing at this address."))
}

/// The layers, outermost last.
fn wrap(app: AppState, routes: Router<AppState>) -> Router {
    let ids = app.services().ids.clone();
    // At its usual quality Brotli took nearly half of the time of a page, for a sixth fewer bytes.
    let compression = CompressionLayer::new().no_deflate().no_zstd().quality(CompressionLevel::Precise(2));
    let compression = compression.compress_when(Compressible);
    routes
        .layer(middleware::from_fn_with_state(app.clone(), session::identify))
        .layer(middleware::from_fn_with_state(app.clone(), security::check_origin))
        .layer(CatchPanicLayer::custom(problem::after_panic))
        .layer(middleware::from_fn(problem::finish))
        .layer(middleware::from_fn_with_state(app.clone(), security::headers))
        .layer(middleware::from_fn(move |request: Request, next| {
            observe::observe(ids.clone(), request, next)
        }))
        .layer(middleware::from_fn(linger::linger))
        .layer(middleware::from_fn_with_state(app.clone(), patience::patience))
        .layer(compression)
        .with_state(app)
}

/// Text that is made on the fly. Streams of events would wait in the compressor; files are compressed beforehand or
/// not worth it; downloads keep their length.
#[derive(Clone, Copy)]
struct Compressible;

impl Predicate for Compressible {
    fn should_compress<B: axum::body::HttpBody>(&self, response: &http::Response<B>) -> bool {
        let header = |name| response.headers().get(name).and_then(|v: &http::HeaderValue| v.to_str().ok());
        let kind = header(http::header::CONTENT_TYPE).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let textual = matches!(
            kind,
            "text/html"
                | "text/css"
                | "text/javascript"
                | "text/plain"
                | "application/javascript"
                | "image/svg+xml"
                | "application/json"
                | "application/problem+json"
        );
        let small = response.body().size_hint().upper().is_some_and(|n| n < 256);
        textual && !small && header(http::header::CONTENT_DISPOSITION).is_none()
    }
}

/// Answers with prepared bytes.
fn bytes(kind: &'static str, body: Bytes) -> Response {
    let mut response = Response::new(axum::body::Body::from(body));
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}
