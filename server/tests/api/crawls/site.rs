//! A web site that a test makes: pages that can be changed while it stands, and a log of who asked for what.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

#[derive(Clone, Default)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Reply {
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// A web page of some length with those links, and a text of its own.
    pub fn page(title: &str, links: &[&str]) -> Self {
        let links: String = links.iter().map(|to| format!("<li><a href=\"{to}\">{to}</a></li>")).collect();
        let text: String = (0..6)
            .map(|n| format!("<p>The page {title} tells in its paragraph {n} of the harbour, the lanterns and the ledger.</p>"))
            .collect();
        let html = format!(
            "<!doctype html><html><head><title>{title}</title></head><body><main><h1>{title}</h1>{text}</main>\
             <ul>{links}</ul></body></html>"
        );
        Self::new(200).header("content-type", "text/html; charset=utf-8").body(html)
    }

    /// In trouble for the moment: it may be asked again at once.
    pub fn away(status: u16) -> Self {
        Self::new(status).header("retry-after", "0")
    }

    pub fn to(location: impl Into<String>) -> Self {
        Self::new(302).header("location", location)
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

#[derive(Default)]
struct Shared {
    pages: Mutex<BTreeMap<String, Reply>>,
    log: Mutex<Vec<String>>,
    /// Requests whose version was still the one that was asked for.
    unchanged: AtomicU64,
    slow_millis: AtomicU64,
    /// Of the page at the root.
    gate: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
pub struct Site {
    pub base: String,
    shared: Arc<Shared>,
}

impl Site {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared::default());
        let router = Router::new().fallback(answer).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, shared }
    }

    pub fn set(&self, path: &str, reply: Reply) {
        self.shared.pages.lock().expect("the pages").insert(path.to_owned(), reply);
    }

    pub fn remove(&self, path: &str) {
        self.shared.pages.lock().expect("the pages").remove(path);
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Each answer takes so long.
    pub fn slow(&self, each: Duration) {
        self.shared.slow_millis.store(each.as_millis() as u64, Ordering::SeqCst);
    }

    /// The page at the root is not answered as long as this is held.
    pub async fn hold(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.gate.lock().await
    }

    /// What was asked for, in its order.
    pub fn log(&self) -> Vec<String> {
        self.shared.log.lock().expect("the log").clone()
    }

    pub fn forget_log(&self) {
        self.shared.log.lock().expect("the log").clear();
        self.shared.unchanged.store(0, Ordering::SeqCst);
    }

    pub fn times(&self, path: &str) -> usize {
        self.log().iter().filter(|asked| *asked == path).count()
    }

    /// How many requests were repetitions of others.
    pub fn repeated(&self) -> usize {
        let log = self.log();
        let different: std::collections::BTreeSet<&String> = log.iter().collect();
        log.len() - different.len()
    }

    pub fn told_unchanged(&self) -> u64 {
        self.shared.unchanged.load(Ordering::SeqCst)
    }
}

async fn answer(State(site): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
    site.log.lock().expect("the log").push(path.clone());
    let slow = site.slow_millis.load(Ordering::SeqCst);
    if slow > 0 {
        tokio::time::sleep(Duration::from_millis(slow)).await;
    }
    if path == "/" {
        drop(site.gate.lock().await);
    }
    let known = site.pages.lock().expect("the pages").get(&path).cloned();
    let reply = known.or_else(|| endless(&path)).unwrap_or_else(|| Reply::new(404).body("nothing"));
    let etag = reply.headers.iter().find(|(name, _)| *name == "etag").map(|(_, etag)| etag.clone());
    let asked = request.headers().get("if-none-match").and_then(|v| v.to_str().ok());
    let reply = if etag.is_some() && etag.as_deref() == asked {
        site.unchanged.fetch_add(1, Ordering::SeqCst);
        Reply::new(304)
    } else {
        reply
    };
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).expect("an answer")
}

/// A part of the site that has always more: each page leads to three further ones.
fn endless(path: &str) -> Option<Reply> {
    let n: u64 = path.strip_prefix("/endless/")?.parse().ok()?;
    let links: Vec<String> = (1..=3).map(|more| format!("/endless/{}", n * 3 + more)).collect();
    let links: Vec<&str> = links.iter().map(String::as_str).collect();
    Some(Reply::page(&format!("endless {n}"), &links))
}
