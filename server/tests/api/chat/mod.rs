//! Questions and answers over HTTP, with the built-in answerer and with a language model that the test holds in its hand.

mod citations;
mod conversations;
pub mod model;
mod resume;
mod two_servers;

use crate::common::{Client, PATIENCE, Server, Setup, eventually, messages};
use futures::StreamExt;
use model::{Model, Piece, Plan, say};
use serde_json::{Value, json};

const HARBOUR: &str = "The harbour has two quays and a long breakwater.\n\nThe lantern hangs at the end of the north \
    quay. It is lit by the keeper at dusk.\n\nTea is served in the cabin at four.";
const STEPS: [&str; 6] = [
    "initializing",
    "retrieving_context",
    "selecting_model",
    "generating_response",
    "storing_response",
    "finished",
];

/// A server with an account whose workspace has one document.
struct Desk {
    server: Server,
    ada: Client,
    workspace: String,
    document: String,
}

impl Desk {
    async fn new(setup: Setup) -> Self {
        let server = setup.start().await;
        let ada = server.user("ada").await;
        let workspace = ada.first_workspace().await;
        let document = ada.upload_one(&workspace, "harbour.txt", HARBOUR.as_bytes()).await;
        assert_eq!(ada.settled(&document).await["status"], "ready");
        Self { server, ada, workspace, document }
    }

    async fn ask(&self, query: &str) -> Value {
        let answer = self.ada.post("/v1/chat/", json!({ "query": query, "session_id": "s" })).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// The only turn of the conversation `s`.
    async fn turn(&self) -> Value {
        let whole = self.ada.read("/v1/chat/conversations/me/s").await;
        whole["items"][0].clone()
    }
}

/// A stream of messages, each with its id.
struct Stream {
    body: futures::stream::BoxStream<'static, reqwest::Result<axum::body::Bytes>>,
    text: String,
}

impl Stream {
    async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.header("accept-encoding", "gzip, br").send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(!response.headers().contains_key("content-encoding"), "a compressed stream waits");
        Self { body: response.bytes_stream().boxed(), text: String::new() }
    }

    async fn ask(client: &Client, query: &str) -> Self {
        let body = json!({ "query": query, "session_id": "s", "stream": true });
        Self::of(client.request("POST", "/v1/chat/").json(&body)).await
    }

    async fn resume(client: &Client, turn: &str, last: u64) -> Self {
        let path = format!("/v1/chat/turns/{turn}/stream");
        Self::of(client.request("GET", &path).header("last-event-id", last.to_string())).await
    }

    /// None at the end, however it came.
    async fn next(&mut self) -> Option<(u64, Value)> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let message: String = self.text.drain(..end + 2).collect();
                // A ping.
                let Some(data) = message.lines().find_map(|l| l.strip_prefix("data: ")) else { continue };
                let id = message.lines().find_map(|l| l.strip_prefix("id: ")).expect("an id");
                return Some((id.parse().expect("a number"), serde_json::from_str(data).expect("JSON")));
            }
            let piece = tokio::time::timeout(PATIENCE, self.body.next()).await.expect("in time")?;
            self.text.push_str(std::str::from_utf8(&piece.ok()?).expect("text"));
        }
    }

    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Vec<(u64, Value)> {
        let mut all = vec![];
        while let Some(message) = self.next().await {
            let found = wanted(&message.1);
            all.push(message);
            if found {
                return all;
            }
        }
        panic!("it ended before that: {all:?}");
    }

    async fn rest(&mut self) -> Vec<(u64, Value)> {
        let mut all = vec![];
        while let Some(message) = self.next().await {
            all.push(message);
        }
        all
    }
}

fn text_of(told: &[(u64, Value)]) -> String {
    told.iter()
        .filter(|(_, m)| m["type"] == "chunk")
        .map(|(_, m)| m["content"].as_str().expect("text"))
        .collect()
}

fn steps_of(told: &[(u64, Value)]) -> Vec<&str> {
    told.iter()
        .filter(|(_, m)| m["type"] == "status")
        .map(|(_, m)| m["step"].as_str().expect("a step"))
        .collect()
}

/// Ids that follow one another without a gap or a double.
fn check_ids(told: &[(u64, Value)], after: u64) {
    let ids: Vec<u64> = told.iter().map(|(id, _)| *id).collect();
    let expected: Vec<u64> = (after + 1..).take(ids.len()).collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn without_a_model_the_answer_is_an_extract_and_says_so() {
    let desk = Desk::new(Setup::new()).await;
    let answer = desk.ask("Where does the lantern hang?").await;
    assert_eq!(answer["conversation_id"], "s");
    let text = answer["answer"].as_str().expect("text");
    assert!(text.starts_with("An extract of the sources"), "{text}");
    assert!(text.contains(" [1]"), "{text}");
    assert!(text.contains("The lantern hangs at the end of the north quay."), "{text}");
    let source = &answer["sources"][0];
    assert_eq!(source["document_id"], *desk.document);
    assert_eq!(
        (&source["filename"], &source["document_version"], &source["cited"]),
        (&json!("harbour.txt"), &json!(1), &json!(true))
    );
    assert!(source["text"].as_str().expect("text").contains("lantern") && source["score"].is_number());
    let chunk =
        format!("/api/documents/{}/chunks/{}", desk.document, source["chunk_id"].as_str().expect("an id"));
    assert_eq!(desk.ada.read(&chunk).await["chunk"]["text"], source["text"], "it leads to its passage");
    let metadata = &answer["metadata"];
    assert_eq!(
        (&metadata["status"], &metadata["kind"], &metadata["model"]),
        (&json!("completed"), &json!("extract"), &json!("extract"))
    );
    assert_eq!(metadata["response_length"], text.chars().count());
    assert_eq!((&metadata["documents_ready"], &metadata["documents_processing"]), (&json!(1), &json!(0)));
    assert_eq!(desk.ask("Where does the lantern hang?").await["answer"], answer["answer"], "always the same");

    let history = desk.ada.read("/v1/chat/conversations/me/s/status").await;
    let steps: Vec<&str> =
        history.as_array().expect("a list").iter().map(|e| e["step"].as_str().expect("a step")).collect();
    assert_eq!(steps, [STEPS, STEPS].concat());
    assert_eq!(
        (&history[5]["status"], &history[5]["metadata"]["kind"]),
        (&json!("completed"), &json!("extract"))
    );
    let me = desk.ada.read("/api/auth/me").await["id"].as_str().expect("an id").to_owned();
    assert_eq!(desk.ada.read(&format!("/v1/chat/conversations/{me}/s/status")).await, history);
    let bob = desk.server.user("bob").await;
    bob.get(&format!("/v1/chat/conversations/{me}/s/status")).await.problem(404, "not_found");
    bob.get("/v1/chat/conversations/me/s/status").await.problem(404, "not_found");
    bob.get(&format!("/v1/chat/turns/{}", answer["turn_id"].as_str().expect("an id")))
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn where_nothing_answers_that_is_said() {
    let model = Model::speaking(&[say("Of what I know.")]).await;
    let server = model.setup().start().await;
    let ada = server.user("ada").await;
    let answer = ada.post("/v1/chat/", json!({ "query": "Where does the lantern hang?" })).await.json();
    assert_eq!((&answer["metadata"]["kind"], &answer["sources"]), (&json!("nothing"), &json!([])));
    assert!(answer["answer"].as_str().expect("text").starts_with("Nothing"), "{answer}");
    assert_eq!(answer["metadata"]["documents_ready"], 0);
    assert!(model.asked().is_empty(), "nobody makes something up");
    // Unless the person wants to go on without passages.
    let path = format!("/v1/chat/turns/{}/retry", answer["turn_id"].as_str().expect("an id"));
    let again = ada.post(&path, json!({ "without_sources": true })).await.json();
    assert_eq!((&again["answer"], &again["metadata"]["kind"]), (&json!("Of what I know."), &json!("model")));
    let rules = model.asked()[0]["messages"][0]["content"].as_str().expect("text").to_owned();
    assert!(rules.contains("does not come from the documents"), "{rules}");
}

#[tokio::test]
async fn a_question_of_few_words_is_understood_by_the_one_before_it() {
    let model = Model::speaking(&[say("By the keeper [1].")]).await;
    let desk = Desk::new(model.setup()).await;
    let first = desk.ask("Where does the lantern hang?").await;
    let second = desk.ask("And why is that?").await;
    assert_eq!(
        (&second["metadata"]["kind"], &second["sources"][0]["cited"]),
        (&json!("model"), &json!(true))
    );
    assert_eq!(second["sources"][0]["chunk_id"], first["sources"][0]["chunk_id"]);
    let asked = model.asked();
    let messages = asked[1]["messages"].as_array().expect("messages");
    assert_eq!(messages[1]["content"], "Where does the lantern hang?", "what was said before goes along");
    assert!(messages[3]["content"].as_str().expect("text").ends_with("And why is that?"));
    // Nothing stands before the first one of a conversation.
    let body = json!({ "query": "And why is that?", "session_id": "other" });
    let answer = desk.ada.post("/v1/chat/", body).await.json();
    assert_eq!(answer["metadata"]["kind"], "nothing");
}

#[tokio::test]
async fn an_answer_is_told_step_by_step_and_as_it_is_made() {
    let pieces = [
        say("On the "),
        say("north quay [1"),
        Piece::Gate(1),
        say("] and [7] not elsewhere."),
        Piece::Usage(120, 9),
    ];
    let model = Model::speaking(&pieces).await;
    let desk = Desk::new(model.setup()).await;
    let mut stream = Stream::ask(&desk.ada, "Where does the lantern hang?").await;
    let mut told = stream.until(|m| m["type"] == "chunk").await;
    while text_of(&told) != "On the north quay" {
        told.push(stream.next().await.expect("the text up to what may become a citation"));
    }
    assert_eq!(steps_of(&told), STEPS[..4]);
    assert_eq!(told[0].1["conversation_id"], "s");
    model.open(1);
    told.extend(stream.rest().await);
    check_ids(&told, 0);
    assert_eq!(steps_of(&told), STEPS);
    assert_eq!(
        text_of(&told),
        "On the north quay [1] and not elsewhere.",
        "what names no source is left out"
    );
    let last = &told.last().expect("a message").1;
    assert_eq!((&last["type"], &last["answer"]), (&json!("complete"), &json!(text_of(&told))));
    let metadata = &last["metadata"];
    assert_eq!(
        (&metadata["prompt_tokens"], &metadata["completion_tokens"], &metadata["model"]),
        (&json!(120), &json!(9), &json!("words"))
    );
    assert!(metadata["first_chunk_ms"].as_u64() <= metadata["latency_ms"].as_u64(), "{metadata}");
    assert_eq!(last["sources"][0]["cited"], true);

    // What stands in documents is quoted to the model, and the rules come from the program alone.
    let asked = model.asked();
    let messages = asked[0]["messages"].as_array().expect("messages");
    assert_eq!(
        (&messages[0]["role"], &messages[1]["role"], messages.len()),
        (&json!("system"), &json!("user"), 2)
    );
    assert!(!messages[0]["content"].as_str().expect("text").contains("lantern"));
    let question = messages[1]["content"].as_str().expect("text");
    assert!(
        question.contains("The lantern hangs") && question.ends_with("Where does the lantern hang?"),
        "{question}"
    );
}

#[tokio::test]
async fn a_stopped_answer_ends_at_once_and_what_there_is_of_it_stays() {
    let model = Model::speaking(&[say("On the north"), Piece::Gate(1), say(" quay.")]).await;
    let desk = Desk::new(model.setup()).await;
    let mut stream = Stream::ask(&desk.ada, "Where does the lantern hang?").await;
    let mut told = stream.until(|m| m["type"] == "chunk").await;
    let turn = told[0].1["turn_id"].as_str().expect("an id").to_owned();
    let stopped = desk.ada.post(&format!("/v1/chat/turns/{turn}/stop"), json!({})).await.json();
    told.extend(stream.rest().await);
    check_ids(&told, 0);
    assert_eq!((&stopped["status"], &stopped["answer"]), (&json!("stopped"), &json!("On the north")));
    let last = &told.last().expect("a message").1;
    assert_eq!((&last["type"], &last["metadata"]["status"]), (&json!("complete"), &json!("stopped")));
    eventually("the model is not listened to any more", async || (model.ended() == 1).then_some(())).await;
    model.open(1);
    assert_eq!(desk.turn().await["answer"], "On the north");
    let again = desk.ada.post(&format!("/v1/chat/turns/{turn}/stop"), json!({})).await;
    assert_eq!(again.json()["status"], "stopped", "twice is once");
}

#[tokio::test]
async fn a_model_is_asked_again_only_before_its_first_word() {
    let plans = [Plan::Status(503), Plan::Speak(vec![Piece::Cut]), Plan::Speak(vec![say("On the quay.")])];
    let model = Model::with(plans).await;
    let desk = Desk::new(model.setup()).await;
    assert_eq!(desk.ask("Where does the lantern hang?").await["answer"], "On the quay.");
    assert_eq!(model.asked().len(), 3);

    let model = Model::with([
        Plan::Speak(vec![say("On the"), Piece::Pause(50), Piece::Cut]),
        Plan::Whole("On the quay."),
    ])
    .await;
    let desk = Desk::new(model.setup()).await;
    let told = Stream::ask(&desk.ada, "Where does the lantern hang?").await.rest().await;
    let last = &told.last().expect("a message").1;
    assert_eq!(
        (&last["type"], &last["code"], &last["retryable"]),
        (&json!("error"), &json!("model_broke_off"), &json!(true))
    );
    assert_eq!((text_of(&told).as_str(), model.asked().len()), ("On the", 1));
    // It stays, and is asked again in its place.
    let failed = desk.turn().await;
    assert_eq!(
        (&failed["status"], &failed["answer"], &failed["error"]["code"]),
        (&json!("failed"), &json!("On the"), &json!("model_broke_off"))
    );
    let path = format!("/v1/chat/turns/{}/retry", failed["turn_id"].as_str().expect("an id"));
    let again = desk.ada.post(&path, json!({})).await.json();
    assert_eq!(again["answer"], "On the quay.", "also of a server that does not stream");
    assert_eq!(desk.turn().await["again_as"], again["turn_id"]);
    desk.ada.post(&path, json!({})).await.problem(409, "asked_again");
}

#[tokio::test]
async fn what_a_model_fails_by_is_told_and_kept() {
    let model =
        Model::with([Plan::Status(401), Plan::Speak(vec![say("On"), Piece::Error]), Plan::Speak(vec![])])
            .await;
    let desk = Desk::new(model.setup()).await;
    let ask = async || {
        desk.ada
            .post("/v1/chat/", json!({ "query": "Where does the lantern hang?", "session_id": "s" }))
            .await
    };
    ask().await.problem(502, "model_key_refused");
    assert_eq!(desk.turn().await["error"]["code"], "model_key_refused");
    ask().await.problem(503, "model_broke_off");
    ask().await.problem(502, "model_said_nothing");
}

#[tokio::test]
async fn a_model_that_is_not_there_is_told_after_a_few_tries() {
    let nobody = Setup::new().env("LLM_URL", "http://ada:secret@127.0.0.1:9").env("LLM_MODEL", "words");
    let desk = Desk::new(nobody).await;
    let ask = async || {
        desk.ada
            .post("/v1/chat/", json!({ "query": "Where does the lantern hang?", "session_id": "s" }))
            .await
    };
    let problem = ask().await.problem(503, "model_unreachable");
    assert!(
        !problem.to_string().contains("127.0.0.1") && !problem.to_string().contains("secret"),
        "{problem}"
    );
    let failed = desk.turn().await;
    assert_eq!((&failed["status"], &failed["step"]), (&json!("failed"), &json!("generating_response")));
    // Nobody waits for tries that came to nothing a moment ago.
    let tries = || desk.server.log().matches("the language model will be asked again").count();
    let before = tries();
    assert!(before > 0, "{}", desk.server.log());
    ask().await.problem(503, "model_unreachable");
    assert_eq!(tries(), before, "{}", desk.server.log());
}

#[tokio::test]
async fn a_question_that_is_sent_twice_is_asked_once() {
    let desk = Desk::new(Setup::new()).await;
    let ask = async |query: &str| {
        let body = json!({ "query": query, "session_id": "s" });
        let request = desk.ada.request("POST", "/v1/chat/").header("idempotency-key", "k").json(&body);
        desk.ada.send(request).await
    };
    let (first, second) =
        (ask("Where does the lantern hang?").await.json(), ask("Where does the lantern hang?").await.json());
    assert_eq!(first, second);
    ask("And the tea?").await.problem(422, "idempotency_key_reused");
    let elsewhere = json!({ "query": "Where does the lantern hang?", "session_id": "elsewhere" });
    let request = desk.ada.request("POST", "/v1/chat/").header("idempotency-key", "k").json(&elsewhere);
    desk.ada.send(request).await.problem(422, "idempotency_key_reused");
    assert_eq!(desk.ada.read("/v1/chat/conversations/me/s").await["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_is_wrong_with_a_question_is_told_at_its_field() {
    let desk = Desk::new(Setup::new()).await;
    let ask = async |body: Value| desk.ada.post("/v1/chat/", body).await;
    let problem = ask(json!({ "query": " ", "session_id": "a\nb" })).await.problem(422, "invalid");
    assert!(
        !messages(&problem, "query").is_empty() && !messages(&problem, "session_id").is_empty(),
        "{problem}"
    );
    ask(json!({})).await.problem(422, "invalid");
    ask(json!({ "query": "x".repeat(4_001) })).await.problem(422, "invalid");
    ask(json!({ "query": "x", "workspace_id": desk.document })).await.problem(404, "not_found");
    let other = desk.ada.post("/api/workspaces", json!({ "name": "Other" })).await.json();
    desk.ask("Where does the lantern hang?").await;
    ask(json!({ "query": "x", "session_id": "s", "workspace_id": other["id"] }))
        .await
        .problem(409, "other_workspace");
    assert_eq!(
        ask(json!({ "query": "x", "session_id": "s", "workspace_id": desk.workspace })).await.status,
        200
    );
}
