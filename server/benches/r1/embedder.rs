//! An embedding server that answers the same text with the same vector, late now and then, and now and then not at all.

use axum::{
    Json, Router, extract,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use measure::{Failure, dice::Dice};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;

pub const MODEL: &str = "words-embed";
const DIM: usize = 16;
/// An answer takes up to so many milliseconds.
const LATE: u64 = 60;
/// One of so many requests is refused.
const REFUSED: u64 = 40;

pub struct Embedder {
    pub url: String,
    state: Arc<State>,
}

struct State {
    dice: Mutex<Dice>,
    /// Texts that it has answered.
    texts: AtomicU64,
}

impl Embedder {
    /// Serves until the program ends.
    pub async fn start(dice: Dice) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(State { dice: Mutex::new(dice), texts: AtomicU64::new(0) });
        let routes = Router::new()
            .route("/v1/models", get(models))
            .route("/v1/embeddings", post(embeddings))
            .with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { url, state })
    }

    /// Texts that it has answered so far.
    pub fn texts(&self) -> u64 {
        self.state.texts.load(Ordering::SeqCst)
    }
}

async fn models() -> Json<Value> {
    Json(json!({ "object": "list", "data": [{ "id": MODEL, "object": "model" }] }))
}

async fn embeddings(extract::State(state): extract::State<Arc<State>>, Json(body): Json<Value>) -> Response {
    let (late, refused) = {
        let mut dice = state.dice.lock().unwrap_or_else(PoisonError::into_inner);
        (dice.below(LATE), dice.below(REFUSED) == 0)
    };
    tokio::time::sleep(Duration::from_millis(late)).await;
    let Some(texts) = body["input"].as_array() else { return StatusCode::BAD_REQUEST.into_response() };
    if refused {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    state.texts.fetch_add(texts.len() as u64, Ordering::SeqCst);
    let texts = texts.iter().enumerate();
    let vector =
        |(index, text): (usize, &Value)| json!({ "index": index, "embedding": vector(text.as_str()) });
    Json(json!({ "object": "list", "data": texts.map(vector).collect::<Vec<_>>() })).into_response()
}

/// Letters counted: one that another text does not have.
fn vector(text: Option<&str>) -> Vec<f32> {
    let mut vector = vec![1.0_f32; DIM];
    for (place, byte) in text.unwrap_or_default().bytes().enumerate() {
        vector[usize::from(byte) % DIM] += 1.0 + (place % 7) as f32 / 8.0;
    }
    vector
}
