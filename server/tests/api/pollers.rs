//! Clients that poll: the loops of the older status guide, unchanged in meaning, against a real server.

use crate::common::{Client, PATIENCE, Server, Setup, eventually, form, prose};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// The guide polls every second; a test need not.
const EVERY: Duration = Duration::from_millis(40);
const LONGEST: Duration = Duration::from_millis(640);

/// What a loop did: every status that it showed, and the pauses that it made after failed requests.
#[derive(Default)]
struct Shown {
    statuses: Vec<Value>,
    pauses: Vec<Duration>,
}

/// The loop of the guide: asks at an interval, shows what it is told, and stops when the document is no longer
/// `processing`. A failed request makes it wait, twice as long each time, until one succeeds.
async fn poll(client: &Client, document: &str, failed: &AtomicUsize) -> Shown {
    let path = format!("/v1/documents/{document}/status");
    let mut shown = Shown::default();
    let mut pause = EVERY;
    let polling = async {
        loop {
            match client.request("GET", &path).send().await {
                Ok(response) if response.status() == 200 => {
                    pause = EVERY;
                    let status: Value = response.json().await.expect("JSON");
                    let goes_on = status["processing_status"] == "processing";
                    shown.statuses.push(status);
                    if !goes_on {
                        return;
                    }
                }
                Ok(response) => panic!("the server answered {response:?}"),
                Err(_) => {
                    pause = (pause * 2).min(LONGEST);
                    shown.pauses.push(pause);
                    failed.fetch_add(1, Ordering::SeqCst);
                }
            }
            tokio::time::sleep(pause).await;
        }
    };
    tokio::time::timeout(PATIENCE, polling).await.expect("the loop stops by itself");
    shown
}

/// Uploads as the guide does: no workspace is named, and the answer has the document's id.
async fn upload(client: &Client, name: &str, bytes: &[u8]) -> String {
    let answer =
        client.send(client.request("POST", "/v1/documents/").multipart(form(&[(name, bytes)]))).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["document_id"].as_str().expect("an id").to_owned()
}

fn check_shape(status: &Value, document: &str) {
    assert_eq!(status["document_id"], document);
    let state = status["processing_status"].as_str().expect("a status");
    assert!(["processing", "completed", "failed"].contains(&state), "{status}");
    let step = status["processing_step"].as_str().expect("a step");
    let steps = [
        "validating",
        "extracting_text",
        "chunking_text",
        "creating_embeddings",
        "storing_metadata",
        "finished",
    ];
    assert!(steps.contains(&step), "{status}");
    let percents = [0, 10, 25, 50, 75, 95, 100];
    assert!(status["progress_percentage"].as_u64().is_some_and(|p| percents.contains(&p)), "{status}");
    assert!(status["status_message"].as_str().is_some_and(|m| !m.is_empty()), "{status}");
    assert!(status["updated_at"].as_str().is_some_and(|t| t.ends_with('Z')), "{status}");
    assert!(status["status_metadata"]["chunks_created"].is_u64(), "{status}");
}

#[tokio::test]
async fn the_loop_of_the_guide_shows_the_steps_and_stops_on_completed() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let document = upload(&client, "document.txt", &prose(1, 3_000)).await;
    let shown = poll(&client, &document, &AtomicUsize::new(0)).await;
    let mut last = 0;
    for status in &shown.statuses {
        check_shape(status, &document);
        let percent = status["progress_percentage"].as_u64().expect("a number");
        assert!(percent >= last, "the bar falls: {:?}", shown.statuses);
        last = percent;
    }
    let end = shown.statuses.last().expect("a status");
    assert_eq!(
        (&end["processing_status"], &end["processing_step"], &end["progress_percentage"]),
        (&json!("completed"), &json!("finished"), &json!(100))
    );
    let read = client.read(&format!("/api/documents/{document}")).await;
    assert_eq!(end["status_metadata"]["chunks_created"], read["chunk_count"]);
    assert_eq!(end["updated_at"], read["updated_at"]);
    assert!(end["status_metadata"]["total_tokens"].as_u64() > Some(1_000), "{end}");
    assert!(shown.pauses.is_empty(), "no request failed");
}

/// Polls as often as it can, and answers the steps that it saw, each once. Whatever is told in between, the bar rises.
async fn rising(client: &Client, document: &str) -> Vec<String> {
    let path = format!("/v1/documents/{document}/status");
    let (mut last, mut steps) = (0, vec![]);
    eventually("the document is through", async || {
        let status = client.read(&path).await;
        check_shape(&status, document);
        let percent = status["progress_percentage"].as_u64().expect("a number");
        assert!(percent >= last, "the bar falls from {last}: {status}");
        last = percent;
        let step = status["processing_step"].as_str().expect("a step").to_owned();
        if steps.last() != Some(&step) {
            steps.push(step);
        }
        (status["processing_status"] != "processing").then_some(())
    })
    .await;
    let mut once = steps.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), steps.len(), "a step comes back: {steps:?}");
    steps
}

#[tokio::test]
async fn what_is_told_between_the_six_steps_takes_nothing_back() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let table = |rows: usize| {
        let rows: String = (0..rows).map(|n| format!("{n},Ada Lindqvist {n},Oslo\n")).collect();
        format!("id,name,city\n{rows}").into_bytes()
    };
    let words = prose(1, 3_000);
    let mut alike = words.clone();
    alike.extend_from_slice(b" And one more sentence that only this one has.");
    let files: [(&str, Vec<u8>, &str); 4] = [
        ("people.csv", table(300), "field_detection"),
        ("people.csv", table(400), "delta_analysis_complete"),
        ("first.txt", words, "chunking_text"),
        ("second.txt", alike, "near_duplicate_found"),
    ];
    for (name, bytes, step) in files {
        let document = client.upload_one(&workspace, name, &bytes).await;
        let steps = rising(&client, &document).await;
        assert_eq!(steps.last().map(String::as_str), Some("finished"));
        told_step(&client, &document, step).await;
    }

    let made = client.post("/api/workspaces", json!({ "name": "Library" })).await.json();
    let workspace = made["id"].as_str().expect("an id");
    let config = json!({ "retriever_type": "graph" });
    let path = format!("/api/workspaces/{workspace}/rag-config");
    assert_eq!(client.send(client.request("PUT", &path).json(&config)).await.status, 200);
    let document = client.upload_one(workspace, "graph.txt", &prose(2, 3_000)).await;
    rising(&client, &document).await;
    told_step(&client, &document, "entity_resolution").await;
}

/// What the test is about did happen.
async fn told_step(client: &Client, document: &str, step: &str) {
    let history = client.read(&format!("/api/documents/{document}/history?limit=200")).await;
    let items = history["items"].as_array().expect("items");
    assert!(items.iter().any(|item| item["data"]["step"] == step), "{step}: {history}");
}

#[tokio::test]
async fn a_worker_with_steps_of_its_own_moves_the_bar() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let made =
        client.post("/api/workspaces", json!({ "name": "Outside", "processor": "external" })).await.json();
    let workspace = made["id"].as_str().expect("an id");
    let document = client.upload_one(workspace, "scan.txt", &prose(1, 20)).await;
    let reports = [
        (json!({ "status": "processing", "step": "reading_handwriting", "progress": 5 }), "validating", 10),
        (json!({ "status": "processing", "progress": 30 }), "extracting_text", 25),
        (json!({ "status": "processing", "step": "straightening", "progress": 61 }), "chunking_text", 50),
        (json!({ "status": "processing", "step": "creating_embeddings" }), "creating_embeddings", 75),
        (json!({ "status": "processing", "step": "polishing" }), "creating_embeddings", 75),
        // It goes back, and the bar does not.
        (json!({ "status": "processing", "step": "validating" }), "creating_embeddings", 75),
        (json!({ "status": "pending" }), "creating_embeddings", 75),
        (json!({ "status": "processing", "step": "sealing", "progress": 99 }), "storing_metadata", 95),
        (json!({ "status": "ready", "chunk_count": 1 }), "finished", 100),
    ];
    for (report, step, percent) in reports {
        let answer = client.post(&format!("/api/status/documents/{document}"), report.clone()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let told = client.read(&format!("/v1/documents/{document}/status")).await;
        assert_eq!(
            (&told["processing_step"], &told["progress_percentage"]),
            (&json!(step), &json!(percent)),
            "{report}"
        );
    }
}

#[tokio::test]
async fn a_document_whose_job_is_paused_says_that_and_not_what_went_on_before() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let made =
        client.post("/api/workspaces", json!({ "name": "Outside", "processor": "external" })).await.json();
    let workspace = made["id"].as_str().expect("an id");
    let sent = client.upload(workspace, &[("scan.txt", &prose(1, 20))]).await.json();
    let (job, document) = (&sent["job_id"], &sent["documents"][0]["document_id"]);
    let (job, document) = (job.as_str().expect("an id"), document.as_str().expect("an id"));
    let report = json!({ "status": "processing", "step": "extracting_text", "message": "Reading page 1…" });
    assert_eq!(client.post(&format!("/api/status/documents/{document}"), report).await.status, 200);
    let path = format!("/v1/documents/{document}/status");
    assert_eq!(client.read(&path).await["status_message"], "Reading page 1…");
    assert_eq!(client.post(&format!("/api/jobs/{job}/pause"), json!({})).await.status, 202);
    let told = eventually("it says that it is paused", async || {
        let told = client.read(&path).await;
        told["status_message"].as_str().is_some_and(|said| said.starts_with("Paused")).then_some(told)
    })
    .await;
    assert_eq!(told["processing_status"], "processing", "a poller goes on: it may be resumed");
}

#[tokio::test]
async fn the_loop_of_the_guide_stops_on_failed_and_shows_why() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let document = upload(&client, "empty.html", b"<html><body><script>1</script></body></html>").await;
    let shown = poll(&client, &document, &AtomicUsize::new(0)).await;
    let end = shown.statuses.last().expect("a status");
    check_shape(end, &document);
    assert_eq!(end["processing_status"], "failed");
    let read = client.read(&format!("/api/documents/{document}")).await;
    assert_eq!(
        (&end["status_message"], &end["status_metadata"]["error_code"]),
        (&read["error"], &read["error_code"])
    );
    assert_eq!(read["error_code"], "no_text");
}

#[tokio::test]
async fn the_loop_backs_off_while_the_server_is_away_and_goes_on_after() {
    // At an address of this machine that nothing else uses: while the server is away nobody takes its port.
    let mut server = Setup::new().env("INSIGHTHUB_ADDR", "127.0.0.5:0").start().await;
    let client = server.user("ada").await;
    let document = upload(&client, "report.txt", &prose(1, 20_000)).await;
    let address = server.base.trim_start_matches("http://").to_owned();
    server.kill();
    let failed = Arc::new(AtomicUsize::new(0));
    let polling = {
        let (client, document, failed) = (client.clone(), document.clone(), failed.clone());
        tokio::spawn(async move { poll(&client, &document, &failed).await })
    };
    eventually("the longest pause is reached", async || (failed.load(Ordering::SeqCst) >= 5).then_some(()))
        .await;
    let server = Setup::new().dir(&server.dir).env("INSIGHTHUB_ADDR", &address).start().await;
    let shown = polling.await.expect("the loop ends");
    assert_eq!(shown.statuses.last().expect("a status")["processing_status"], "completed");
    let expected: Vec<Duration> = [80, 160, 320, 640, 640].map(Duration::from_millis).to_vec();
    assert_eq!(shown.pauses[..5], expected);
    drop(server);
}

#[tokio::test]
async fn many_documents_are_asked_for_at_once_and_only_when_something_changed() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let made =
        client.post("/api/workspaces", json!({ "name": "Outside", "processor": "external" })).await.json();
    let workspace = made["id"].as_str().expect("an id");
    let bytes = prose(1, 20);
    let names: Vec<String> = (0..98).map(|n| format!("{n}.txt")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &bytes[..])).collect();
    let answer = client.upload(workspace, &files).await.json();
    let ids: Vec<String> = answer["documents"]
        .as_array()
        .expect("documents")
        .iter()
        .map(|d| d["document_id"].as_str().expect("an id").to_owned())
        .collect();
    let stranger = server.user("bob").await;
    let mine = stranger.first_workspace().await;
    let foreign = stranger.upload_one(&mine, "b.txt", &bytes).await;

    let list = format!("{},{foreign},nonsense", ids.join(","));
    let path = format!("/v1/documents/status?ids={list}");
    let first = client.get(&path).await;
    let body = first.json();
    let order: Vec<&str> =
        body["items"].as_array().expect("items").iter().filter_map(|i| i["document_id"].as_str()).collect();
    assert_eq!(order, ids.iter().map(String::as_str).collect::<Vec<_>>(), "in the order of the question");
    assert_eq!(body["missing"], json!([foreign, "nonsense"]));
    assert_eq!(first.header("cache-control"), "private, no-cache");
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");

    let again = client.request("GET", &path).header("if-none-match", &tag);
    let again = client.send(again).await;
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, &*tag));
    assert_eq!(again.header("cache-control"), "private, no-cache");
    let report = json!({ "status": "processing", "step": "chunking_text" });
    assert_eq!(client.post(&format!("/api/status/documents/{}", ids[5]), report).await.status, 200);
    let changed = client.send(client.request("GET", &path).header("if-none-match", &tag)).await;
    assert_eq!(changed.status, 200);
    let item = &changed.json()["items"][5];
    assert_eq!(
        (&item["processing_step"], &item["progress_percentage"]),
        (&json!("chunking_text"), &json!(50))
    );

    let (upper, bare, strange) = (ids[0].to_uppercase(), ids[0].replace('-', ""), foreign.to_uppercase());
    let often = format!("{0},{0},{upper},{bare},{foreign},{strange},nonsense,nonsense", ids[0]);
    let often = client.read(&format!("/v1/documents/status?ids={often}")).await;
    assert_eq!(often["items"].as_array().map(Vec::len), Some(1), "asked for often, told once");
    assert_eq!(often["missing"], json!([foreign, "nonsense"]));
    client.get(&format!("{path},{}", ids[0])).await.problem(422, "invalid");
    client.get("/v1/documents/status").await.problem(422, "invalid");
}

#[tokio::test]
async fn what_is_polled_has_a_tag_and_is_sent_again_only_when_it_changed() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let made =
        client.post("/api/workspaces", json!({ "name": "Outside", "processor": "external" })).await.json();
    let workspace = made["id"].as_str().expect("an id").to_owned();
    eventually("the workspace is ready", async || {
        (client.read(&format!("/api/workspaces/{workspace}")).await["status"] == "ready").then_some(())
    })
    .await;
    let answer = client.upload(&workspace, &[("a.txt", &prose(1, 20))]).await.json();
    let (job, document) = (&answer["job_id"], &answer["documents"][0]["document_id"]);
    let (job, document) = (job.as_str().expect("an id"), document.as_str().expect("an id"));
    let paths = [
        format!("/api/documents/{document}"),
        format!("/v1/documents/{document}/status"),
        format!("/api/jobs/{job}"),
        format!("/api/workspaces/{workspace}"),
        format!("/api/ingestion/kb/{workspace}/status"),
    ];
    let mut tags = vec![];
    for path in &paths {
        let first = client.get(path).await;
        assert_eq!(first.header("cache-control"), "private, no-cache", "{path}");
        let tag = first.header("etag").to_owned();
        for sent in
            [tag.clone(), format!("\"other\", {tag}"), tag.trim_start_matches("W/").to_owned(), "*".into()]
        {
            let same = client.send(client.request("GET", path).header("if-none-match", &sent)).await;
            assert_eq!((same.status, same.body.len(), same.header("etag")), (304, 0, &*tag), "{path} {sent}");
        }
        let other = client.send(client.request("GET", path).header("if-none-match", "W/\"other\"")).await;
        assert_eq!((other.status, other.json()), (200, first.json()), "{path}");
        tags.push(tag);
    }
    let ended =
        client.post(&format!("/api/status/documents/{document}"), json!({ "status": "failed" })).await;
    assert_eq!(ended.status, 200);
    for (path, tag) in paths.iter().zip(&tags) {
        let now = client.send(client.request("GET", path).header("if-none-match", tag)).await;
        assert_eq!(now.status, 200, "{path}");
        assert_ne!(now.header("etag"), tag);
    }
    let stranger = server.user("bob").await;
    for (path, tag) in paths.iter().zip(&tags) {
        let answer = stranger.send(stranger.request("GET", path).header("if-none-match", tag)).await;
        answer.problem(404, "not_found");
    }
}
