//! A language model for the tests: it speaks the interface of OpenAI and says what it is told to, piece by piece. Where it
//! waits it waits for the test, never for a time.

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::common::Setup;

const KEY: &str = "sk-of-the-tests";

/// A piece of an answer.
#[derive(Clone, Debug)]
pub enum Piece {
    Say(String),
    /// Goes on when the test has opened so many gates.
    Gate(usize),
    /// A slow drip, in milliseconds.
    Pause(u64),
    /// The line breaks.
    Cut,
    /// An error in the stream.
    Error,
    Usage(u64, u64),
}

pub fn say(text: &str) -> Piece {
    Piece::Say(text.to_owned())
}

/// What is answered to one question.
#[derive(Clone, Debug)]
pub enum Plan {
    Speak(Vec<Piece>),
    Status(u16),
    /// Not a stream, but the whole at once.
    Whole(&'static str),
}

pub struct Model {
    address: SocketAddr,
    told: Arc<Told>,
    serving: JoinHandle<()>,
}

struct Told {
    /// The next ones first; the last one is kept for all that follow.
    plans: Mutex<VecDeque<Plan>>,
    asked: Mutex<Vec<Value>>,
    gates: watch::Sender<usize>,
    /// Answers whose listener went away, or that came to their end.
    ended: AtomicUsize,
}

impl Model {
    pub async fn with(plans: impl IntoIterator<Item = Plan>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let told = Arc::new(Told {
            plans: Mutex::new(plans.into_iter().collect()),
            asked: Mutex::default(),
            gates: watch::Sender::new(0),
            ended: AtomicUsize::new(0),
        });
        let routes = Router::new().route("/v1/chat/completions", post(answer)).with_state(told.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.expect("served") });
        Self { address, told, serving }
    }

    pub async fn speaking(pieces: &[Piece]) -> Self {
        Self::with([Plan::Speak(pieces.to_vec())]).await
    }

    pub fn setup(&self) -> Setup {
        self.told_to(Setup::new())
    }

    /// That server asks this model.
    pub fn told_to(&self, setup: Setup) -> Setup {
        let url = format!("http://{}", self.address);
        setup.env("LLM_URL", url).env("LLM_MODEL", "words").env("LLM_KEY", KEY)
    }

    pub fn open(&self, gates: usize) {
        self.told.gates.send_replace(gates);
    }

    pub fn asked(&self) -> Vec<Value> {
        self.told.asked.lock().expect("no test panics meanwhile").clone()
    }

    pub fn ended(&self) -> usize {
        self.told.ended.load(Ordering::SeqCst)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Counts an answer when it is dropped.
struct Counted(Arc<Told>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

fn event(data: &Value) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

async fn answer(State(told): State<Arc<Told>>, headers: HeaderMap, Json(question): Json<Value>) -> Response {
    if headers.get("authorization").is_none_or(|v| v.as_bytes() != format!("Bearer {KEY}").as_bytes()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    assert_eq!(question["stream"], true);
    told.asked.lock().expect("no test panics meanwhile").push(question);
    let plan = {
        let mut plans = told.plans.lock().expect("no test panics meanwhile");
        let next = plans.pop_front().expect("a plan");
        if plans.is_empty() {
            plans.push_back(next.clone());
        }
        next
    };
    let mut pieces = match plan {
        Plan::Speak(pieces) => pieces,
        Plan::Status(status) => return StatusCode::from_u16(status).expect("a status").into_response(),
        Plan::Whole(text) => {
            let message = json!({ "role": "assistant", "content": text });
            return Json(json!({ "choices": [{ "message": message }] })).into_response();
        }
    };
    pieces.reverse();
    let counted = Counted(told.clone());
    let body = stream::unfold(Some((pieces, counted)), |state| async move {
        let (mut pieces, counted) = state?;
        loop {
            let piece = pieces.pop();
            let sent: io::Result<Bytes> = match piece {
                None => return Some((Ok(Bytes::from_static(b"data: [DONE]\n\n")), None)),
                Some(Piece::Say(text)) => {
                    Ok(event(&json!({ "choices": [{ "delta": { "content": text } }] })))
                }
                Some(Piece::Usage(prompt, completion)) => {
                    let usage = json!({ "prompt_tokens": prompt, "completion_tokens": completion });
                    Ok(event(&json!({ "choices": [], "usage": usage })))
                }
                Some(Piece::Error) => Ok(event(&json!({ "error": { "message": "out of memory" } }))),
                Some(Piece::Cut) => Err(io::Error::other("broken off")),
                Some(Piece::Pause(millis)) => {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    continue;
                }
                Some(Piece::Gate(number)) => {
                    let mut gates = counted.0.gates.subscribe();
                    gates.wait_for(|open| *open >= number).await.ok()?;
                    continue;
                }
            };
            let is_over = sent.is_err();
            return Some((sent, (!is_over).then_some((pieces, counted))));
        }
    });
    ([("content-type", "text/event-stream")], Body::from_stream(body.boxed())).into_response()
}
