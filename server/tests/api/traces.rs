//! Traces over OTLP/HTTP: what comes to a collector, what never leaves the server, and that nobody notices a collector that
//! is away.

use crate::{
    common::{PASSWORD, Server, Setup, eventually, prose},
    crawls::site::{Reply, Site},
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tokio::{net::TcpListener, task::JoinHandle};

/// Said when a call went wrong, when one goes well again, and when a stop did not wait any longer.
const AWAY: &str = "traces cannot be sent";
const BACK: &str = "traces are sent again";
const LEFT: &str = "the last traces could not be sent in time";

/// A collector that keeps what it hears, and does as it is told.
struct Collector {
    address: SocketAddr,
    heard: Arc<Heard>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Heard {
    /// The header `api-key` and the body of each call that was taken.
    calls: Mutex<Vec<(String, String)>>,
    /// Calls, taken or not.
    tries: AtomicUsize,
    /// So many further calls are refused for the time being.
    refuses: AtomicUsize,
    /// No call is answered.
    hangs: AtomicBool,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let heard = Arc::new(Heard::default());
        let routes = Router::new().route("/v1/traces", post(take)).with_state(heard.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.expect("served") });
        Self { address, heard, serving }
    }

    /// Nobody listens there any more.
    async fn stop(self) {
        self.serving.abort();
        let _ = self.serving.await;
    }

    fn setup(&self) -> Setup {
        Setup::new().env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", self.address))
    }

    fn spans(&self) -> Vec<Value> {
        let calls = self.heard.calls.lock().expect("no panic");
        let mut all = vec![];
        for (_, body) in calls.iter() {
            let body: Value = serde_json::from_str(body).expect("JSON");
            let resource = &body["resourceSpans"][0];
            assert_eq!(attribute(&resource["resource"], "service.name"), "insighthub");
            all.extend(resource["scopeSpans"][0]["spans"].as_array().expect("spans").iter().cloned());
        }
        all
    }

    /// The spans of the trace of that work, once all of these are there.
    async fn trace(&self, work: &str, names: &[&str]) -> Vec<Value> {
        let trace = work.replace('-', "");
        eventually("the trace is whole", async || {
            let spans: Vec<Value> = self.spans().into_iter().filter(|s| s["traceId"] == *trace).collect();
            names.iter().all(|name| spans.iter().any(|s| s["name"] == *name)).then_some(spans)
        })
        .await
    }

    /// The span of the request that was answered with that id.
    async fn request(&self, id: &str) -> Value {
        let is_it = |span: &Value| span["kind"] == 2 && attribute(span, "correlation_id") == id;
        eventually("the request is there", async || self.spans().into_iter().find(is_it)).await
    }
}

async fn take(State(heard): State<Arc<Heard>>, headers: HeaderMap, body: String) -> StatusCode {
    heard.tries.fetch_add(1, Ordering::SeqCst);
    if heard.hangs.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    let fewer = |left: usize| left.checked_sub(1);
    if heard.refuses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer).is_ok() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    assert_eq!(headers["content-type"], "application/json");
    let key = headers.get("api-key").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    heard.calls.lock().expect("no panic").push((key, body));
    StatusCode::OK
}

fn attribute<'a>(of: &'a Value, key: &str) -> &'a str {
    let found = of["attributes"].as_array().into_iter().flatten().find(|attribute| attribute["key"] == key);
    let value = found.map(|attribute| &attribute["value"]);
    value.and_then(|value| value["stringValue"].as_str().or(value["intValue"].as_str())).unwrap_or_default()
}

fn named<'a>(spans: &'a [Value], name: &str) -> &'a Value {
    spans.iter().find(|s| s["name"] == name).unwrap_or_else(|| panic!("no {name} in {spans:?}"))
}

fn times(server: &Server, line: &str) -> usize {
    server.log().matches(line).count()
}

#[tokio::test]
async fn an_upload_is_one_trace_from_the_request_to_the_steps_of_the_worker() {
    let collector = Collector::start().await;
    let mut server = collector.setup().start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let answer = client.upload(&workspace, &[("a.txt", &prose(1, 400))]).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let (uploaded, request_id) = (answer.json(), answer.header("x-request-id").to_owned());
    let job = uploaded["job_id"].as_str().expect("an id");
    let document_id = uploaded["documents"][0]["document_id"].as_str().expect("an id");
    assert_eq!(client.settled(document_id).await["status"], "ready");

    let upload = "POST /api/workspaces/{id}/documents";
    let spans = collector.trace(job, &[upload, "document", "load", "cut", "index"]).await;
    let (request, document) = (named(&spans, upload), named(&spans, "document"));
    assert_eq!((&request["kind"], &request["parentSpanId"]), (&json!(2), &Value::Null), "{request}");
    assert_eq!(attribute(request, "correlation_id"), request_id);
    assert_eq!(attribute(request, "http.response.status_code"), "202");
    assert_eq!(attribute(request, "http.route"), "/api/workspaces/{id}/documents");
    assert_eq!(document["parentSpanId"], request["spanId"]);
    assert_eq!((attribute(document, "correlation_id"), attribute(document, "job_id")), (document_id, job));
    let time =
        |span: &Value, at: &str| span[at].as_str().and_then(|t| t.parse::<u64>().ok()).expect("a time");
    for step in ["load", "cut", "index"].map(|name| named(&spans, name)) {
        assert_eq!(step["parentSpanId"], document["spanId"], "{step}");
        assert_eq!(attribute(step, "correlation_id"), document_id);
        assert!(time(step, "startTimeUnixNano") <= time(step, "endTimeUnixNano"), "{step}");
    }

    // What fails says so with its code, and what is asked of the job later stands in its trace.
    let broken = client.upload(&workspace, &[("b.pdf", b"%PDF-1.4 broken")]).await.json();
    let id = broken["documents"][0]["document_id"].as_str().expect("an id");
    assert_eq!(client.settled(id).await["status"], "failed");
    let job = broken["job_id"].as_str().expect("an id");
    let again = client.post(&format!("/api/documents/{id}/retry"), json!({})).await;
    assert_eq!(again.status, 202, "{again:?}");
    let retry = "POST /api/documents/{id}/retry";
    let spans = collector.trace(job, &[upload, "document", retry]).await;
    assert_eq!(named(&spans, "document")["status"]["code"], 2, "{spans:?}");
    assert_eq!(named(&spans, retry)["parentSpanId"], named(&spans, upload)["spanId"]);

    // What was not sent yet goes at the end.
    let last = client.get("/api/auth/me").await;
    server.terminate();
    assert!(server.ended().await.success(), "{}", server.log());
    collector.request(last.header("x-request-id")).await;
    assert_eq!((times(&server, AWAY), times(&server, LEFT)), (0, 0), "{}", server.log());
}

#[tokio::test]
async fn a_question_and_a_crawl_are_traces_as_well() {
    let collector = Collector::start().await;
    let server = collector.setup().env("INSIGHTHUB_CRAWL_ALLOW", "127.0.0.1/32").start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let question = json!({ "query": "What hangs at the quay?", "session_id": "s" });
    let asked = client.post("/v1/chat/", question).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    let request = collector.request(asked.header("x-request-id")).await;
    let turn = attribute(&request, "began");
    let spans = collector.trace(turn, &["POST /v1/chat/", "turn", "find"]).await;
    assert_eq!(named(&spans, "turn")["parentSpanId"], request["spanId"]);
    assert_eq!(attribute(named(&spans, "find"), "correlation_id"), turn);

    let site = Site::start().await;
    site.set("/hush/", Reply::page("Start", &["a?token=hush"]));
    site.set("/hush/a?token=hush", Reply::page("Page a", &[]));
    let crawls = format!("/api/workspaces/{workspace}/crawls");
    let begun = client.post(&crawls, json!({ "url": site.url("/hush/") })).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let job = begun.json()["job_id"].as_str().expect("an id").to_owned();
    let names = ["POST /api/workspaces/{id}/crawls", "crawl", "robots", "page", "document", "index"];
    let spans = collector.trace(&job, &names).await;
    assert_eq!(named(&spans, "page")["parentSpanId"], named(&spans, "crawl")["spanId"]);
    assert_eq!(attribute(named(&spans, "page"), "http.response.status_code"), "200");
    let told = json!(collector.spans()).to_string();
    assert!(!told.contains("hush") && !told.contains("quay"), "{told}");
}

#[tokio::test]
async fn nobody_notices_a_collector_that_is_not_there() {
    let collector = Collector::start().await;
    let setup = collector.setup();
    collector.stop().await;
    let mut server = setup.start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let id = client.upload_one(&workspace, "a.txt", &prose(1, 400)).await;
    assert_eq!(client.settled(&id).await["status"], "ready");
    eventually("it is said", async || (times(&server, AWAY) > 0).then_some(())).await;
    server.terminate();
    assert!(server.ended().await.success(), "{}", server.log());
    assert_eq!((times(&server, AWAY), times(&server, BACK)), (1, 0), "{}", server.log());
}

#[tokio::test]
async fn what_a_collector_could_not_take_it_gets_later_and_each_turn_is_said_once() {
    let collector = Collector::start().await;
    collector.heard.refuses.store(2, Ordering::SeqCst);
    let server = collector.setup().start().await;
    let client = server.user("ada").await;
    let asked = client.get("/api/auth/me").await;
    collector.request(asked.header("x-request-id")).await;
    let sign_up = |span: &Value| span["name"] == "POST /api/auth/signup";
    assert_eq!(collector.spans().iter().filter(|span| sign_up(span)).count(), 1, "sent once, and not lost");
    eventually("it is said", async || (times(&server, BACK) > 0).then_some(())).await;
    assert!(collector.heard.tries.load(Ordering::SeqCst) > 2);
    assert_eq!((times(&server, AWAY), times(&server, BACK)), (1, 1), "{}", server.log());
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_up_no_work_and_no_stop() {
    let collector = Collector::start().await;
    collector.heard.hangs.store(true, Ordering::SeqCst);
    let mut server = collector.setup().start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let id = client.upload_one(&workspace, "a.txt", &prose(1, 400)).await;
    assert_eq!(client.settled(&id).await["status"], "ready");
    let tries = || collector.heard.tries.load(Ordering::SeqCst);
    eventually("a call is in hand", async || (tries() > 0).then_some(())).await;
    server.terminate();
    assert!(server.ended().await.success(), "{}", server.log());
    assert_eq!(times(&server, LEFT), 1, "{}", server.log());
    assert!(!server.log().contains("not everything ended in time"), "{}", server.log());
}

#[tokio::test]
async fn nothing_that_people_typed_and_no_secret_is_in_a_trace() {
    let collector = Collector::start().await;
    let setup = collector.setup().env("OTEL_EXPORTER_OTLP_HEADERS", "api-key=header%20hush");
    let server = setup.start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let key = client.new_key("robot", &["read"]).await;
    client.program(&key).read("/api/workspaces").await;
    let id = client.upload_one(&workspace, "file-hush.txt", b"The text-hush is at the quay.").await;
    client.settled(&id).await;
    client.read(&format!("/api/workspaces/{workspace}/search?q=question-hush")).await;
    client.get("/path-hush?token=token-hush").await;
    client.post("/api/workspaces", json!({ "name": "name-hush" })).await;
    let visitor = server.visitor();
    visitor.post("/api/auth/login", json!({ "email": "ada@example.org", "password": "Wrong-hush-1" })).await;
    visitor.post("/api/auth/login", json!({ "email": "ada@example.org", "password": PASSWORD })).await;
    let last = client.get("/api/auth/me").await;
    // Spans are sent in the order in which they ended.
    collector.request(last.header("x-request-id")).await;

    let cookie = client.cookie.as_deref().and_then(|cookie| cookie.split_once('=')).expect("a cookie").1;
    let secret = key["secret"].as_str().expect("a secret");
    let calls = collector.heard.calls.lock().expect("no panic");
    for (sent_key, body) in calls.iter() {
        assert_eq!(sent_key, "header hush");
        for hidden in ["hush", "@example.org", PASSWORD, cookie, secret] {
            assert!(!body.contains(hidden), "{hidden}: {body}");
        }
    }
    assert!(!server.log().contains("header hush") && !server.log().contains("header%20hush"));
}
