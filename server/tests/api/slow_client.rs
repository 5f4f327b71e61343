//! A client of the live stream that does not read for a while: what waits for it is conflated, or, when that is too
//! much, it is told to refetch. It is never dropped.

use crate::common::{Client, PATIENCE, Server, Socket, eventually, form};
use serde_json::{Value, json};
use services::live::BOUND;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
};

/// Documents whose events are more than the line and the server's own buffer of frames hold.
const FILLING: usize = 600;

/// A worker of somebody's own, in a workspace of its own.
struct Scans {
    ada: Client,
    workspace: String,
}

impl Scans {
    async fn new(server: &Server) -> Self {
        let ada = server.user("ada").await;
        let made = ada.post("/api/workspaces", json!({ "name": "Scans", "processor": "external" })).await;
        let workspace = made.json()["id"].as_str().expect("an id").to_owned();
        let path = format!("/api/workspaces/{workspace}");
        eventually("it is ready", async || (ada.read(&path).await["status"] == "ready").then_some(())).await;
        Self { ada, workspace }
    }

    /// Files that the workspace does not have yet.
    async fn add(&self, what: &str, count: usize) -> Vec<String> {
        let names: Vec<String> = (0..count).map(|n| format!("{what} {n}.txt")).collect();
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
        let path = format!("/api/workspaces/{}/documents", self.workspace);
        let answer = self.ada.send(self.ada.request("POST", &path).multipart(form(&files))).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let documents = answer.json()["documents"].as_array().expect("documents").clone();
        documents.iter().map(|d| d["document_id"].as_str().expect("an id").to_owned()).collect()
    }

    async fn report(&self, document: &str, report: Value) {
        let answer = self.ada.post(&format!("/api/status/documents/{document}"), report).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    async fn head(&self) -> u64 {
        self.ada.read("/api/status/changes").await["seq"].as_u64().expect("a seq")
    }

    /// More than the line holds: whatever comes after it waits in the hub. A socket is to be heard of meanwhile.
    async fn fill(&self, mut slow: Option<&mut Socket>) {
        let ballast = json!({ "ballast": "x".repeat(15_000) });
        for half in ["left", "right"] {
            for (n, document) in self.add(half, FILLING / 2).await.into_iter().enumerate() {
                if let Some(slow) = slow.as_deref_mut().filter(|_| n % 20 == 0) {
                    lives(slow).await;
                }
                self.report(&document, json!({ "status": "processing", "metadata": ballast })).await;
            }
        }
    }
}

/// It does not read, but it is there.
async fn lives(slow: &mut Socket) {
    slow.send(json!({ "type": "pong" })).await;
}

async fn open(ada: &Client) -> (Socket, u64) {
    let mut socket = ada.narrow_socket().await;
    let welcome = socket.hello(Value::Null, Value::Null).await;
    (socket, welcome["seq"].as_u64().expect("a seq"))
}

#[tokio::test]
async fn for_a_client_that_does_not_read_progress_is_conflated_to_its_newest_and_turns_are_all_kept() {
    let server = Server::start().await;
    let scans = Scans::new(&server).await;
    let (mut slow, start) = open(&scans.ada).await;
    scans.fill(Some(&mut slow)).await;
    let document = scans.add("watched", 1).await.remove(0);
    scans.report(&document, json!({ "status": "processing", "step": "reading_pages" })).await;
    const WORDS: u64 = 5;
    let path = format!("/api/documents/{document}");
    let rev = async || scans.ada.read(&path).await["rev"].as_u64().expect("a seq");
    for n in 1..=WORDS {
        let before = rev().await;
        scans.report(&document, json!({ "status": "processing", "progress": 10 * n })).await;
        // Told at most twice a second; the next one waits until this one is in the log.
        eventually("it was told", async || (rev().await > before).then_some(())).await;
    }
    scans.report(&document, json!({ "status": "ready" })).await;
    let log = format!("/api/documents/{document}/history?format=json");
    let log = scans.ada.read(&log).await;
    let log = log.as_array().expect("entries");
    let is_word = |e: &Value| e["event"] == "file_progress" && e["data"]["status"] == "in_progress";
    assert!(log.iter().filter(|e| is_word(e)).count() as u64 > WORDS, "all are in the log");

    let seen = slow
        .events_until(|e| e["event"] == "job_complete" && e["data"]["metrics"]["documents_total"] == 1)
        .await;
    let seqs: Vec<u64> = seen.iter().map(|e| e["seq"].as_u64().expect("a seq")).collect();
    assert!(seqs[0] > start && seqs.windows(2).all(|w| w[0] < w[1]), "in order, each once");
    let words: Vec<&Value> =
        seen.iter().filter(|e| is_word(e) && e["data"]["document_id"] == json!(document)).collect();
    assert_eq!(words.len(), 1, "the newest alone came: {words:?}");
    assert_eq!(words[0]["data"]["progress"].as_f64(), Some(10.0 * WORDS as f64));
    for turn in log.iter().filter(|e| !is_word(e)) {
        assert!(seqs.contains(&turn["seq"].as_u64().expect("a seq")), "{turn}");
    }
    // It was not dropped.
    scans.ada.patch("/api/auth/preferences", json!({ "theme": "dark" })).await;
    slow.events_until(|e| e["event"] == "settings_changed").await;
}

#[tokio::test]
async fn a_client_for_which_too_much_waits_is_told_to_refetch_on_the_same_socket() {
    let server = Server::start().await;
    let scans = Scans::new(&server).await;
    let (mut slow, _) = open(&scans.ada).await;
    scans.fill(Some(&mut slow)).await;
    // In so small parts that it is heard of in time, however slow the machine is.
    for n in 0..5 * (1 + BOUND / 500) {
        lives(&mut slow).await;
        scans.add(&format!("more {n}"), 100).await;
    }
    let head = scans.head().await;
    let welcome = loop {
        let frame = slow.frame().await;
        if frame["type"] == "welcome" {
            break frame;
        }
    };
    assert_eq!(welcome["resumed"], false, "{welcome}");
    let seq = welcome["seq"].as_u64().expect("a seq");
    assert!(seq <= head);
    scans.ada.patch("/api/auth/preferences", json!({ "theme": "dark" })).await;
    let after = slow.events_until(|e| e["event"] == "settings_changed").await;
    let seqs: Vec<u64> = after.iter().map(|e| e["seq"].as_u64().expect("a seq")).collect();
    assert!(seqs[0] > seq && seqs.windows(2).all(|w| w[0] < w[1]), "it goes on from there: {seqs:?}");
    // What it reads instead is whole.
    let shown = scans.ada.read(&format!("/api/workspaces/{}", scans.workspace)).await;
    assert_eq!(shown["counts"]["documents"], FILLING + 500 * (1 + BOUND / 500));
}

/// The frames of an event stream over a line that takes little at a time.
struct Events(Lines<BufReader<TcpStream>>);

impl Events {
    async fn open(ada: &Client) -> Self {
        let mut line = ada.narrow_line().await;
        let cookie = ada.cookie.as_deref().expect("a cookie");
        // In 1.0 the body comes as it is, without chunks.
        let request = format!("GET /api/status/events HTTP/1.0\r\ncookie: {cookie}\r\n\r\n");
        line.write_all(request.as_bytes()).await.expect("asked");
        Self(BufReader::new(line).lines())
    }

    async fn frame(&mut self) -> Value {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.0.next_line()).await.expect("in time");
            let line = line.expect("readable").expect("it goes on");
            if let Some(frame) = line.strip_prefix("data: ") {
                return serde_json::from_str(frame).expect("JSON");
            }
        }
    }

    async fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = vec![];
        loop {
            let frame = self.frame().await;
            let found = is_it(&frame);
            seen.extend(Some(frame).filter(|f| f["type"] == "event"));
            if found {
                return seen;
            }
        }
    }
}

#[tokio::test]
async fn an_event_stream_that_is_not_read_does_not_keep_the_server_from_ending() {
    let mut server = Server::start().await;
    let scans = Scans::new(&server).await;
    let mut slow = Events::open(&scans.ada).await;
    assert_eq!(slow.frame().await["type"], "welcome");
    scans.fill(None).await;
    server.terminate();
    assert!(server.ended().await.success(), "{}", server.log());
    assert!(!server.log().contains("not everything ended in time"), "{}", server.log());
}

#[tokio::test]
async fn an_event_stream_that_is_not_read_is_told_to_refetch_and_goes_on() {
    let server = Server::start().await;
    let scans = Scans::new(&server).await;
    let mut slow = Events::open(&scans.ada).await;
    assert_eq!(slow.frame().await["type"], "welcome");
    scans.fill(None).await;
    for n in 0..=BOUND / 500 {
        scans.add(&format!("more {n}"), 500).await;
    }
    let head = scans.head().await;
    let told = slow.until(|frame| frame["type"] == "welcome" && frame["resumed"] == false).await;
    assert!(told.windows(2).all(|w| w[0]["seq"].as_u64() < w[1]["seq"].as_u64()), "in order, each once");
    let last = told.last().and_then(|e| e["seq"].as_u64());
    assert!(last.is_none_or(|last| last < head), "something was left out");
    scans.ada.patch("/api/auth/preferences", json!({ "theme": "dark" })).await;
    let after = slow.until(|frame| frame["event"] == "settings_changed").await;
    let seqs: Vec<u64> = after.iter().map(|e| e["seq"].as_u64().expect("a seq")).collect();
    assert!(seqs.windows(2).all(|w| w[0] + 1 == w[1]), "nothing is left out any more: {seqs:?}");
}

#[tokio::test]
async fn what_was_missed_comes_in_parts_by_every_way_and_whole() {
    let server = Server::start().await;
    let scans = Scans::new(&server).await;
    let epoch = scans.ada.read("/api/status/changes").await["epoch"].as_str().expect("text").to_owned();
    for n in 0..3 {
        scans.add(&format!("many {n}"), 400).await;
    }
    let head = scans.head().await;
    let seqs =
        |events: &[Value]| -> Vec<u64> { events.iter().map(|e| e["seq"].as_u64().expect("a seq")).collect() };
    let all: Vec<u64> = (1..=head).collect();

    // A long poll answers a part, and where the next one begins.
    let (mut after, mut polled, mut parts) = (0, vec![], 0);
    loop {
        let path = format!("/api/status/changes?epoch={epoch}&after={after}&wait=25");
        let part = scans.ada.read(&path).await;
        let events = seqs(part["events"].as_array().expect("events"));
        assert!((1..=500).contains(&events.len()), "{}", events.len());
        assert_eq!((&part["resumed"], part["seq"].as_u64()), (&json!(true), events.last().copied()));
        after = part["seq"].as_u64().expect("a seq");
        polled.extend(events);
        parts += 1;
        if part.get("more").is_none() {
            break;
        }
    }
    assert_eq!(polled, (1..=after).collect::<Vec<_>>());
    assert!(parts > 2 && after >= head, "{parts} up to {after} of {head}");

    let mut socket = scans.ada.socket().await;
    assert_eq!(socket.hello(json!(epoch), json!(0)).await["resumed"], true);
    assert_eq!(seqs(&socket.events_until(|e| e["seq"] == json!(head)).await), all);

    let path = format!("/api/status/events?epoch={epoch}&after=0");
    let mut events = crate::stream::Events::open(&scans.ada, &path, None).await;
    events.next().await.expect("the welcome");
    let mut told = vec![];
    while told.last() != Some(&head) {
        told.push(events.next().await.expect("an event").1["seq"].as_u64().expect("a seq"));
    }
    assert_eq!(told, all);
}
