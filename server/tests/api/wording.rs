//! Steps of outside workers that the catalogue does not know, worded by a language model: once, apart from the work, and
//! without a word about anybody's file.

use crate::common::{Client, Server, Setup, eventually, prose};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

const KEY: &str = "sk-of-the-tests";
const BY_RULE: &str = "Reticulating splines…";
const STEP: &str = "reticulating_splines";

/// A language model that says what it is told to, when it is allowed to.
struct Model {
    url: String,
    asked: Arc<Mutex<Vec<Value>>>,
    open: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Said {
    text: &'static str,
    asked: Arc<Mutex<Vec<Value>>>,
    open: watch::Receiver<bool>,
}

impl Model {
    async fn saying(text: &'static str, at_once: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::default());
        let (open, is_open) = watch::channel(at_once);
        let said = Said { text, asked: Arc::clone(&asked), open: is_open };
        let routes = Router::new().route("/v1/chat/completions", post(answer)).with_state(said);
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.expect("served") });
        Self { url, asked, open, serving }
    }

    fn setup(&self) -> Setup {
        Setup::new().env("LLM_URL", &self.url).env("LLM_MODEL", "words").env("LLM_KEY", KEY)
    }

    fn asked(&self) -> Vec<Value> {
        self.asked.lock().expect("no test panics meanwhile").clone()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(mut said): State<Said>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    if headers.get("authorization").is_none_or(|v| v.as_bytes() != format!("Bearer {KEY}").as_bytes()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    said.asked.lock().expect("no test panics meanwhile").push(body);
    if said.open.wait_for(|open| *open).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    Json(json!({ "choices": [{ "message": { "role": "assistant", "content": said.text } }] })).into_response()
}

/// An account with an external workspace, whose documents it reports about itself.
struct Desk {
    server: Server,
    ada: Client,
    workspace: String,
}

impl Desk {
    async fn new(setup: Setup) -> Self {
        let server = setup.start().await;
        let ada = server.user("ada").await;
        let made = ada.post("/api/workspaces", json!({ "name": "Scans", "processor": "external" })).await;
        let workspace = made.json()["id"].as_str().expect("an id").to_owned();
        Self { server, ada, workspace }
    }

    async fn upload(&self, name: &str) -> String {
        self.ada.upload_one(&self.workspace, name, &prose(1, 50)).await
    }

    /// Says what the worker is at; answers the sentence that stands there then.
    async fn report(&self, document: &str, step: &str) -> String {
        let body = json!({ "status": "processing", "step": step });
        let answer = self.ada.post(&format!("/api/status/documents/{document}"), body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["message"].as_str().expect("a sentence").to_owned()
    }

    async fn message(&self, document: &str) -> Value {
        self.ada.read(&format!("/api/documents/{document}")).await["message"].clone()
    }
}

#[tokio::test]
async fn a_foreign_step_is_asked_about_once_and_its_sentence_reaches_open_screens_and_outlives_a_restart() {
    let model = Model::saying("“Untangling the curves of {file}…”", false).await;
    let mut desk = Desk::new(model.setup()).await;
    let (first, second) = (desk.upload("net.txt").await, desk.upload("rope.txt").await);
    let mut socket = desk.ada.socket().await;
    socket.hello(Value::Null, Value::Null).await;

    // While the model is silent, the rule speaks, and nobody waits.
    assert_eq!(desk.report(&first, STEP).await, BY_RULE);
    eventually("the model is asked", async || (!model.asked().is_empty()).then_some(())).await;
    assert_eq!(desk.report(&second, STEP).await, BY_RULE);
    for _ in 0..5 {
        assert_eq!(desk.report(&first, "validating").await, "Checking net.txt…");
        assert_eq!(desk.report(&first, STEP).await, BY_RULE);
    }

    model.open.send(true).expect("it listens");
    let told = |document: &str, message: &str| {
        let (document, message) = (json!(document), json!(message));
        move |e: &Value| {
            let data = &e["data"];
            e["event"] == "file_progress" && data["document_id"] == document && data["message"] == message
        }
    };
    let (net, rope) = (
        told(&first, "Untangling the curves of net.txt…"),
        told(&second, "Untangling the curves of rope.txt…"),
    );
    let (mut saw_net, mut saw_rope) = (false, false);
    socket
        .events_until(|e| {
            saw_net |= net(e);
            saw_rope |= rope(e);
            saw_net && saw_rope
        })
        .await;
    assert_eq!(desk.message(&first).await, "Untangling the curves of net.txt…");

    // From here on reports take it at once, also in another life of the server.
    let third = desk.upload("sail.txt").await;
    assert_eq!(desk.report(&third, STEP).await, "Untangling the curves of sail.txt…");
    desk.server.kill();
    desk.server = model.setup().dir(&desk.server.dir).start().await;
    desk.ada.base.clone_from(&desk.server.base);
    let fourth = desk.upload("kite.txt").await;
    assert_eq!(desk.report(&fourth, STEP).await, "Untangling the curves of kite.txt…");
    // A worker's own sentence goes before it.
    let own = json!({ "status": "processing", "step": "folding", "message": "Folding it." });
    desk.ada.post(&format!("/api/status/documents/{fourth}"), own).await;
    assert_eq!(desk.message(&fourth).await, "Folding it.");

    // The next one that it is asked about shows that nothing else was asked between.
    desk.report(&fourth, "stretching").await;
    eventually("the model is asked about the other step", async || (model.asked().len() > 1).then_some(()))
        .await;
    let asked = model.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(asked[0]["model"], "words");
    for (question, step) in asked.iter().zip([STEP, "stretching"]) {
        let text = question.to_string();
        assert!(text.contains(step), "{text}");
        for private in ["net", "rope", "sail", "kite", "ada"] {
            let words = text.split(|c: char| !c.is_alphanumeric());
            assert!(words.clone().all(|word| word != private), "{private}: {text}");
        }
    }
    assert!(!desk.server.log().contains(KEY));
}

#[tokio::test]
async fn what_cannot_be_shown_is_refused_and_not_asked_for_again_at_once() {
    let model = Model::saying("<b>Untangling</b> the curves", true).await;
    let desk = Desk::new(model.setup()).await;
    let document = desk.upload("net.txt").await;
    assert_eq!(desk.report(&document, STEP).await, BY_RULE);
    eventually("the answer was refused", async || {
        desk.server.log().contains("cannot be shown").then_some(())
    })
    .await;
    desk.report(&document, "validating").await;
    assert_eq!(desk.report(&document, STEP).await, BY_RULE);
    desk.report(&document, "stretching").await;
    eventually("the other step is asked about", async || (model.asked().len() > 1).then_some(())).await;
    assert_eq!(model.asked().len(), 2, "one try each");
}

#[tokio::test]
async fn the_name_of_a_file_goes_out_only_where_the_operator_allows_it() {
    let model = Model::saying("Untangling the curves of {file}…", true).await;
    let desk = Desk::new(model.setup().env("LLM_FILE_NAMES", "true")).await;
    let document = desk.upload("net.txt").await;
    desk.report(&document, STEP).await;
    eventually("the sentence is there", async || {
        (desk.message(&document).await == "Untangling the curves of net.txt…").then_some(())
    })
    .await;
    let asked = model.asked()[0]["messages"].to_string();
    assert!(asked.contains("net.txt"), "{asked}");
}

#[tokio::test]
async fn without_a_model_foreign_steps_are_said_by_the_rule() {
    let desk = Desk::new(Setup::new()).await;
    let document = desk.upload("net.txt").await;
    assert_eq!(desk.report(&document, STEP).await, BY_RULE);
}
