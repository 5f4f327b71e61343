//! The site's own files: style, script, WASM, fonts, icons. Names that carry a hash are kept by browsers for ever.

use super::{AppState, is_api, problem::ApiError, session::is_file};
use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use domain::Problem;
use http::{HeaderValue, Method, StatusCode, header};
use std::path::{Path, PathBuf};
use tower::ServiceExt;
use tower_http::services::ServeDir;

/// Where the files lie, and which of their names carry a hash.
#[derive(Clone, Debug, Default)]
pub struct Site {
    root: PathBuf,
    hashes: Vec<String>,
    /// The file that tells the hashes, when there is one.
    hash_file: Option<PathBuf>,
}

impl Site {
    /// `hash_file` has lines such as `js: HASH`, as the build writes it.
    pub fn open(root: PathBuf, hash_file: &Path) -> Self {
        let lines = std::fs::read_to_string(hash_file).ok();
        let hashes = lines.as_deref().unwrap_or_default().lines().filter_map(|line| line.split_once(':'));
        Self {
            root,
            hashes: hashes.map(|(_, hash)| format!(".{}.", hash.trim())).filter(|h| h.len() > 2).collect(),
            hash_file: lines.map(|_| hash_file.to_owned()),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn hash_file(&self) -> Option<&Path> {
        self.hash_file.as_deref()
    }

    /// Whether the assets are there at all.
    pub fn is_there(&self) -> bool {
        self.root.join("pkg").is_dir()
    }

    fn is_immutable(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or_default();
        self.hashes.iter().any(|hash| name.contains(hash))
    }
}

/// Answers what no route did: a file of the site, or "not there", as a page for people.
pub async fn fallback(State(app): State<AppState>, request: Request) -> Response {
    // Such as `GET name`, which names a host and no address on it; a page could not be made for it.
    if request.uri().path_and_query().is_none() {
        return nothing_here();
    }
    let path = request.uri().path().to_owned();
    if is_api(&path) || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return nothing_here();
    }
    if !is_file(&path) {
        return crate::pages::not_found(State(app), request).await;
    }
    let site = app.site();
    let files = ServeDir::new(site.root()).precompressed_br().append_index_html_on_directories(false);
    let mut response = match files.oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    };
    match response.status() {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => return nothing_here(),
        status if status.is_client_error() || status.is_server_error() => return response,
        _ => {}
    }
    let keep = if site.is_immutable(&path) { "public, max-age=31536000, immutable" } else { "no-cache" };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    response
}

fn nothing_here() -> Response {
    ApiError::from(Problem::new(404, "not_found", "There is nothing at this address.")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_carry_a_hash_of_the_build_are_kept_for_ever() {
        let dir = tempfile::tempdir().expect("a folder");
        let hashes = dir.path().join("hash.txt");
        std::fs::write(&hashes, "css: aB3_\njs: Qw-9\n").expect("written");
        let site = Site::open(dir.path().to_owned(), &hashes);
        assert!(
            site.is_immutable("/pkg/insighthub.aB3_.css") && site.is_immutable("/pkg/insighthub.Qw-9.js")
        );
        for changing in ["/pkg/insighthub.css", "/favicon.svg", "/pkg/insighthub.other.js", "/aB3_/x.js"] {
            assert!(!site.is_immutable(changing), "{changing}");
        }
        assert!(Site::open(dir.path().to_owned(), &dir.path().join("none")).hash_file().is_none());
    }
}
