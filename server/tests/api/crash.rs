//! `kill -9` in the middle of an ingestion: the next start goes on by itself, and in the end the chunks are those of an
//! undisturbed run.

use crate::common::{Client, Server, Setup, engine, eventually, fixture, form};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use storage::Engine;

const FILES: [&str; 5] =
    ["handbook.pdf", "how-it-works.pdf", "first-steps.md", "questions.html", "glossary.txt"];

/// Kills that hit unfinished work. On PostgreSQL each takes five seconds more, since other servers could be there: what was
/// in hand waits for the end of its lease.
fn kills() -> usize {
    match engine() {
        Engine::Sqlite => 24,
        Engine::Postgres => 8,
    }
}

/// Numbers that look random and are the same in every run (Knuth's linear congruential generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Uploads the files into a workspace of their own: one takes the vectors of passages that it has already.
async fn upload_all(client: &Client) -> Value {
    let made = client.post("/api/workspaces", json!({ "name": "Crash" })).await.json();
    let workspace = made["id"].as_str().expect("an id");
    let files: Vec<(&str, Vec<u8>)> = FILES.iter().map(|name| (*name, fixture(name))).collect();
    let parts: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let path = format!("/api/workspaces/{workspace}/documents");
    let answer = client.send(client.request("POST", &path).multipart(form(&parts))).await;
    assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

async fn job(client: &Client, upload: &Value) -> Value {
    client.read(&format!("/api/jobs/{}", upload["job_id"].as_str().expect("an id"))).await
}

fn is_over(job: &Value) -> bool {
    matches!(job["status"].as_str(), Some("completed" | "failed" | "cancelled"))
}

/// Everything about the chunks that does not depend on when they were made, by file name.
async fn chunks(client: &Client, upload: &Value) -> BTreeMap<String, Vec<Value>> {
    let mut all = BTreeMap::new();
    for document in upload["documents"].as_array().expect("documents") {
        let id = document["document_id"].as_str().expect("an id");
        let settled = client.read(&format!("/api/documents/{id}")).await;
        assert_eq!(settled["status"], "ready", "{settled}");
        let (mut list, mut after) = (vec![], String::new());
        loop {
            let page = client.read(&format!("/api/documents/{id}/chunks?limit=200{after}")).await;
            for chunk in page["items"].as_array().expect("items") {
                let mut chunk = chunk.clone();
                let fields = chunk.as_object_mut().expect("an object");
                fields.remove("id");
                fields.remove("document_id");
                list.push(chunk);
            }
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(settled["chunk_count"], list.len());
        all.insert(document["filename"].as_str().expect("a name").to_owned(), list);
    }
    all
}

/// The vectors of an upload, by file name, in the order of their chunks.
async fn vectors(server: &Server, upload: &Value) -> BTreeMap<String, Vec<Vec<f32>>> {
    let mut database = server.dir.connect().await;
    let mut all = BTreeMap::new();
    for document in upload["documents"].as_array().expect("documents") {
        let stored: Vec<Option<Vec<u8>>> = sqlx::query_scalar(
            "SELECT v.vector FROM chunks c JOIN documents d ON d.id = c.document_id AND d.live = c.generation \
             LEFT JOIN chunk_vectors v ON v.chunk_id = c.id WHERE d.id = $1 ORDER BY c.ordinal",
        )
        .bind(document["document_id"].as_str().expect("an id"))
        .fetch_all(&mut database)
        .await
        .expect("rows");
        let number = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        let read = |bytes: Option<Vec<u8>>| bytes.expect("a vector").chunks(4).map(number).collect();
        let name = document["filename"].as_str().expect("a name").to_owned();
        all.insert(name, stored.into_iter().map(read).collect());
    }
    all
}

/// Nearly equal: what a text is embedded together with may change the last bits of its vector.
fn check_vectors(found: &BTreeMap<String, Vec<Vec<f32>>>, expected: &BTreeMap<String, Vec<Vec<f32>>>) {
    assert!(found.keys().eq(expected.keys()));
    for (name, expected) in expected {
        let found = &found[name];
        assert_eq!(found.len(), expected.len(), "{name}");
        for (ordinal, (f, e)) in found.iter().zip(expected).enumerate() {
            assert_eq!(f.len(), e.len());
            let far = f.iter().zip(e).map(|(f, e)| (f - e).abs()).fold(0.0, f32::max);
            assert!(far < 1e-4, "{name}, chunk {ordinal}: off by {far}");
        }
    }
}

/// The job came to its end as if nothing had happened: every chunk once, every number right.
async fn check_end(client: &Client, upload: &Value, expected: &BTreeMap<String, Vec<Value>>) {
    let job = eventually("the job is over", async || Some(job(client, upload).await).filter(is_over)).await;
    assert_eq!(job["status"], "completed", "{job}");
    let count: usize = expected.values().map(Vec::len).sum();
    let metrics = &job["metrics"];
    assert_eq!(metrics["documents_done"], FILES.len(), "{job}");
    assert_eq!(metrics["chunks_created"], count, "{job}");
    assert_eq!(metrics["chunks_embedded"], count, "{job}");
    for phase in job["phase_details"].as_array().expect("phases") {
        assert_eq!(phase["status"], "completed", "{phase}");
        assert_eq!(phase["items_processed"], phase["items_total"], "{phase}");
    }
    assert_eq!(&chunks(client, upload).await, expected);
}

#[tokio::test]
async fn after_any_kill_the_job_goes_on_and_the_chunks_are_those_of_an_undisturbed_run() {
    let mut server = Server::start().await;
    let ada = server.user("ada").await;

    let began = Instant::now();
    let calm = upload_all(&ada).await;
    eventually("the undisturbed job is over", async || Some(job(&ada, &calm).await).filter(is_over)).await;
    let whole = began.elapsed();
    let expected = chunks(&ada, &calm).await;
    let expected_vectors = vectors(&server, &calm).await;
    check_vectors(&expected_vectors, &expected_vectors);
    assert!(expected_vectors.values().flatten().all(|v| v.iter().any(|x| *x != 0.0)));
    assert!(expected.values().map(Vec::len).sum::<usize>() > 40, "too little work to be disturbed");

    let mut dice = Dice(20_261_122);
    let mut client = ada;
    let mut hits = 0;
    let mut upload = upload_all(&client).await;
    let mut starts = 0;
    while hits < kills() {
        starts += 1;
        assert!(starts < kills() * 4, "the kills do not hit the work");
        // The moment is random on purpose: anywhere from the first millisecond to a third of an undisturbed run.
        let moment = dice.below((whole.as_millis() as u64 / 3).max(50));
        tokio::time::sleep(Duration::from_millis(moment)).await;
        let before = job(&client, &upload).await;
        if is_over(&before) {
            check_end(&client, &upload, &expected).await;
            check_vectors(&vectors(&server, &upload).await, &expected_vectors);
            upload = upload_all(&client).await;
            continue;
        }
        server.kill();
        hits += 1;
        let dir = server.dir.clone();
        server = Setup::new().dir(&dir).start().await;
        client.base.clone_from(&server.base);
        // It moves again by itself, and what was reached is not lost. It moves from where this start found it: what the
        // server did between the look above and its end is no sign of life. How soon that is, R1 and P7 measure.
        let reached = before["progress"].as_f64().expect("a number");
        let found = job(&client, &upload).await;
        eventually("the job moves again", async || {
            let now = job(&client, &upload).await;
            assert!(now["progress"].as_f64().expect("a number") >= reached, "{before} fell to {now}");
            (is_over(&now) || now["rev"].as_u64() > found["rev"].as_u64()).then_some(())
        })
        .await;
    }
    check_end(&client, &upload, &expected).await;
    check_vectors(&vectors(&server, &upload).await, &expected_vectors);

    // The index is whole as well: a search finds each text once, never twice.
    let done = job(&client, &upload).await;
    let workspace = done["kb_id"].as_str().expect("a workspace");
    let hits = client.read(&format!("/api/workspaces/{workspace}/search?q=workspace&top_k=50")).await;
    let mut ids: Vec<&str> =
        hits["items"].as_array().expect("items").iter().filter_map(|h| h["chunk"]["id"].as_str()).collect();
    let found = ids.len();
    assert!(found > 0);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), found);
}
