//! An embedding server for the tests: it speaks the interface of OpenAI, and does as it is told.

use crate::common::{Client, Setup, eventually};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering},
    },
};
use tokio::{net::TcpListener, task::JoinHandle};

pub const KEY: &str = "sk-of-the-tests";

pub struct Embeddings {
    pub address: SocketAddr,
    pub how: Arc<How>,
    serving: Option<JoinHandle<()>>,
}

/// How it answers.
pub struct How {
    pub dim: AtomicUsize,
    pub overloaded: AtomicBool,
    /// It takes what comes, and does not answer before this is over.
    pub hangs: AtomicBool,
    /// The same for those who ask for a text with this word in it.
    pub hangs_at: Mutex<Option<&'static str>>,
    /// Milliseconds that each answer takes.
    pub takes: AtomicUsize,
    /// Microseconds that each text of it takes besides.
    pub takes_each: AtomicUsize,
    /// Texts that it was asked for, answered or not.
    pub asked: AtomicUsize,
    /// Texts that it has answered.
    pub texts: AtomicUsize,
    /// Texts that it takes in one request; it refuses more with this status, and says why with 400.
    pub most: AtomicUsize,
    pub refuses_more_with: AtomicU16,
    pub fault: Mutex<Option<Fault>>,
    /// It fails whenever a text has this word in it.
    pub chokes_at: Mutex<Option<&'static str>>,
}

/// How it fails.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Status(u16),
    /// 429, with so many seconds to wait.
    Busy(u64),
    /// It breaks off in the middle of its answer.
    Cut,
    /// Its answer, with that status, never ends.
    Endless(u16),
}

impl Fault {
    fn answer(self) -> Response {
        match self {
            Fault::Status(status) => StatusCode::from_u16(status).expect("a status").into_response(),
            Fault::Busy(seconds) => {
                (StatusCode::TOO_MANY_REQUESTS, [("retry-after", seconds.to_string())]).into_response()
            }
            Fault::Cut => {
                let parts = [Ok("{\"data\": ["), Err(std::io::Error::other("broken off"))];
                axum::body::Body::from_stream(futures::stream::iter(parts)).into_response()
            }
            Fault::Endless(status) => {
                let part = axum::body::Bytes::from(vec![b' '; 1 << 20]);
                let parts = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(part.clone()));
                let status = StatusCode::from_u16(status).expect("a status");
                (status, axum::body::Body::from_stream(parts)).into_response()
            }
        }
    }
}

impl Embeddings {
    pub async fn start() -> Self {
        // At an address of this machine that nothing else uses: while it is away nobody takes its port.
        let listener = TcpListener::bind("127.0.0.6:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let how = Arc::new(How {
            dim: AtomicUsize::new(64),
            overloaded: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
            hangs_at: Mutex::new(None),
            takes: AtomicUsize::new(0),
            takes_each: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
            texts: AtomicUsize::new(0),
            most: AtomicUsize::new(usize::MAX),
            refuses_more_with: AtomicU16::new(413),
            fault: Mutex::new(None),
            chokes_at: Mutex::new(None),
        });
        let mut server = Self { address, how, serving: None };
        server.serve(listener);
        server
    }

    fn serve(&mut self, listener: TcpListener) {
        let routes = Router::new()
            .route("/v1/models", get(models))
            .route("/v1/embeddings", post(embeddings))
            .with_state(self.how.clone());
        self.serving = Some(tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("served");
        }));
    }

    /// From now on it fails like this, or not any more.
    pub fn fail(&self, fault: Option<Fault>) {
        *self.how.fault.lock().expect("no panic") = fault;
    }

    /// From now on whoever asks for a text with that word waits, or nobody any more.
    pub fn hold(&self, word: Option<&'static str>) {
        *self.how.hangs_at.lock().expect("no panic") = word;
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// That server asks this one.
    pub fn told_to(&self, setup: Setup) -> Setup {
        setup.env("EMBEDDINGS_URL", self.url()).env("EMBEDDINGS_KEY", KEY)
    }

    /// Nobody listens there any more.
    pub async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    pub async fn start_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("the same port");
        self.serve(listener);
    }
}

/// From now on the workspace has its vectors from the embedding server. One that did not answer in time is asked again.
pub async fn choose(client: &Client, workspace: &str) {
    let path = format!("/api/workspaces/{workspace}/rag-config");
    let config = json!({ "embedding_model": "words-embed" });
    eventually("the model can be chosen", async || {
        let saved = client.send(client.request("PUT", &path).json(&config)).await;
        assert!(matches!(saved.status, 200 | 422), "{saved:?}");
        (saved.status == 200).then_some(())
    })
    .await;
}

fn allowed(headers: &HeaderMap) -> bool {
    headers.get("authorization").is_some_and(|v| v.as_bytes() == format!("Bearer {KEY}").as_bytes())
}

async fn models(headers: HeaderMap) -> Response {
    if !allowed(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let names = ["words-embed:latest", "llama3:8b", "all-MiniLM-L6-v2"];
    Json(json!({ "object": "list", "data": names.map(|id| json!({ "id": id, "object": "model" })) }))
        .into_response()
}

async fn embeddings(State(how): State<Arc<How>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    if !allowed(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if how.overloaded.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let texts = body["input"].as_array().expect("texts");
    how.asked.fetch_add(texts.len(), Ordering::SeqCst);
    let fault = *how.fault.lock().expect("no panic");
    if let Some(fault) = fault {
        return fault.answer();
    }
    if texts.len() > how.most.load(Ordering::SeqCst) {
        let status = how.refuses_more_with.load(Ordering::SeqCst);
        let reason = if status == 400 { "This model's maximum context length is 512 tokens." } else { "" };
        return (StatusCode::from_u16(status).expect("a status"), reason).into_response();
    }
    let chokes_at = *how.chokes_at.lock().expect("no panic");
    let has = |text: &Value, word: &str| text.as_str().is_some_and(|text| text.contains(word));
    if chokes_at.is_some_and(|word| texts.iter().any(|text| has(text, word))) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let hangs = || {
        let word = *how.hangs_at.lock().expect("no panic");
        how.hangs.load(Ordering::SeqCst) || word.is_some_and(|word| texts.iter().any(|text| has(text, word)))
    };
    while hangs() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let each = how.takes_each.load(Ordering::SeqCst) * texts.len();
    let takes = how.takes.load(Ordering::SeqCst) * 1_000 + each;
    tokio::time::sleep(std::time::Duration::from_micros(takes as u64)).await;
    if body["model"] != "words-embed" {
        return (StatusCode::NOT_FOUND, "no such model").into_response();
    }
    how.texts.fetch_add(texts.len(), Ordering::SeqCst);
    let dim = how.dim.load(Ordering::SeqCst);
    // The last one first: only the index tells which is which.
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .rev()
        .map(|(index, text)| json!({ "index": index, "embedding": by_words(text.as_str().expect("a text"), dim) }))
        .collect();
    Json(json!({ "object": "list", "data": data })).into_response()
}

/// Texts with the same words point the same way.
fn by_words(text: &str, dim: usize) -> Vec<f32> {
    let mut vector = vec![0.0f32; dim];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
        let place = word.to_lowercase().bytes().fold(7usize, |h, b| h.wrapping_mul(31) + usize::from(b));
        vector[place % dim] += 3.0;
    }
    vector[0] += 0.5;
    vector
}
