//! The mount of the screens: pages and server functions with what they need of a request, and the page for an address
//! that leads nowhere. The only module that knows Leptos; what is on a page is decided in `app`.

use crate::http::{AppState, CspNonce, RequestId, client_of, cookie, device_cookie, no_cookie};
use app::ssr::{SessionCookies, World, provide_world};
use axum::{
    Router,
    extract::{FromRef, Request, State},
    response::{IntoResponse, Response},
};
use http::{Method, request::Parts};
use leptos::{
    config::{Env, LeptosOptions},
    nonce::Nonce,
    prelude::{provide_context, use_context},
    server_fn::axum::server_fn_paths,
};
use leptos_axum::{AxumRouteListing, LeptosRoutes, generate_route_list};
use services::{SignedIn, Who};
use std::{
    path::Path,
    sync::{Arc, LazyLock},
};
use tower_http::limit::RequestBodyLimitLayer;

/// Largest body of a server function, in bytes: forms only, files go over REST.
const MAX_FORM: usize = 256 * 1024;

/// Name of the built files, as in `[workspace.metadata.leptos]`.
const OUTPUT_NAME: &str = "insighthub";

/// Where `cargo leptos watch` tells the pages to reload, when this is run by it.
pub static RELOAD_PORT: LazyLock<Option<u32>> = LazyLock::new(|| {
    std::env::var_os("LEPTOS_WATCH")?;
    Some(std::env::var("LEPTOS_RELOAD_PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(3001))
});

impl FromRef<AppState> for LeptosOptions {
    fn from_ref(app: &AppState) -> Self {
        options(app.site().root(), app.site().hash_file())
    }
}

/// What Leptos wants to know of the site. Names carry hashes when the build left a file that tells them.
fn options(root: &Path, hash_file: Option<&Path>) -> LeptosOptions {
    LeptosOptions::builder()
        .output_name(OUTPUT_NAME)
        .site_root(root.display().to_string())
        .env(if RELOAD_PORT.is_some() { Env::DEV } else { Env::PROD })
        .reload_port(RELOAD_PORT.unwrap_or_default())
        .hash_files(hash_file.is_some())
        // An absolute path: joined to the executable's folder it stays what it is.
        .hash_file(hash_file.map_or_else(Default::default, |path| path.display().to_string().into()))
        .build()
}

/// The pages and the server functions.
pub fn routes(app: &AppState) -> Router<AppState> {
    let options = LeptosOptions::from_ref(app);
    Router::new()
        .leptos_routes_with_context(app, listed(), context(app), move || app::shell(options.clone()))
        .layer(RequestBodyLimitLayer::new(MAX_FORM))
}

fn listed() -> Vec<AxumRouteListing> {
    let mut listed = generate_route_list(app::App);
    // The catch-all would take files and unknown API addresses as well; `not_found` stands in for it.
    listed.retain(|route| !route.path().contains('*'));
    listed
}

/// Method and path of every page and every server function: what a test of who may call what goes through.
pub fn addresses() -> Vec<(Method, String)> {
    let functions: Vec<_> = server_fn_paths().map(|(path, method)| (method, path.to_owned())).collect();
    let pages = listed().into_iter().map(|page| (Method::GET, page.path().to_owned()));
    let pages = pages.filter(|(_, path)| functions.iter().all(|(_, function)| function != path));
    pages.chain(functions.iter().cloned()).collect()
}

/// The page for an address that leads nowhere.
pub async fn not_found(State(app): State<AppState>, request: Request) -> Response {
    let options = LeptosOptions::from_ref(&app);
    let render = leptos_axum::render_app_to_stream_in_order_with_context(context(&app), move || {
        app::shell(options.clone())
    });
    render(request).await.into_response()
}

/// Hands a request to the app: the use cases, who asks, and the nonce that the policy's header names.
fn context(app: &AppState) -> impl Fn() + Clone + Send + Sync + 'static {
    let app = app.clone();
    move || {
        let parts = use_context::<Parts>();
        let of_request = parts.as_ref();
        let who = of_request.and_then(|p| p.extensions.get::<Who>().cloned());
        if let Some(nonce) = of_request.and_then(|p| p.extensions.get::<CspNonce>()) {
            provide_context(Nonce::from_value(nonce.0.clone()));
        }
        provide_world(World {
            services: app.services().clone(),
            who,
            client: of_request.map(|parts| client_of(&app, parts)).unwrap_or_default(),
            request_id: of_request.and_then(|p| p.extensions.get::<RequestId>()).map(|id| id.0.clone()),
            cookies: Arc::new(Cookies(app.clone())),
        });
    }
}

/// The same cookies as over REST.
pub struct Cookies(pub AppState);

impl SessionCookies for Cookies {
    fn set(&self, new: &SignedIn) -> String {
        let days = self.0.services().limits.session_days;
        text(&cookie(self.0.public_url(), &new.token, u64::from(days) * 86_400))
    }

    fn set_device(&self, mark: &str) -> String {
        text(&device_cookie(self.0.public_url(), mark))
    }

    fn clear(&self) -> String {
        text(&no_cookie(self.0.public_url()))
    }

    fn seal(&self, text: &str) -> Option<String> {
        self.0.forms().seal(text)
    }

    fn open(&self, sealed: &str) -> Option<String> {
        self.0.forms().open(sealed)
    }

    fn secure(&self) -> bool {
        self.0.public_url().is_some_and(|p| p.https)
    }
}

fn text(value: &http::HeaderValue) -> String {
    value.to_str().unwrap_or_default().to_owned()
}
