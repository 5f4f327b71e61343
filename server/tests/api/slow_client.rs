//! A client of the live socket that does not read for a while: what waits for it is conflated, or, when that is too
//! much, it is told to refetch. It is never dropped.

use crate::common::{Client, Server, Socket, eventually, form};
use serde_json::{Value, json};
use services::live::BOUND;

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

    async fn add(&self, count: usize) -> Vec<String> {
        let names: Vec<String> = (0..count).map(|n| format!("{n}.txt")).collect();
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

    /// More than the line holds: whatever comes after it waits in the hub.
    async fn fill(&self) {
        let ballast = json!({ "ballast": "x".repeat(15_000) });
        for _ in 0..2 {
            for document in self.add(FILLING / 2).await {
                self.report(&document, json!({ "status": "processing", "metadata": ballast })).await;
            }
        }
    }
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
    scans.fill().await;
    let document = scans.add(1).await.remove(0);
    scans.report(&document, json!({ "status": "processing", "step": "reading_pages" })).await;
    const WORDS: u64 = 5;
    for n in 1..=WORDS {
        let before = scans.head().await;
        scans.report(&document, json!({ "status": "processing", "progress": 10 * n })).await;
        // Told at most twice a second; the next one waits until this one is in the log.
        eventually("it was told", async || (scans.head().await > before).then_some(())).await;
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
    scans.fill().await;
    for _ in 0..=BOUND / 500 {
        scans.add(500).await;
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
