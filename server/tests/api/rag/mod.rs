//! RAG configurations: the default and its snapshots, what is refused and how, stale documents and indexing them anew,
//! estimates, previews, and models of an embedding server.

mod models;
mod preview;
mod reindex;

use crate::common::{Client, Server, eventually, fixture, messages};
use domain::rag::{RagConfig, RagField, RagForm, RagOptions, bad_values};
use serde_json::{Value, json};

const FILES: [&str; 5] =
    ["handbook.pdf", "how-it-works.pdf", "first-steps.md", "questions.html", "glossary.txt"];

async fn put(client: &Client, path: &str, body: &Value) -> crate::common::Answer {
    client.send(client.request("PUT", path).json(body)).await
}

async fn saved(client: &Client, path: &str, body: Value) -> Value {
    let answer = put(client, path, &body).await;
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

async fn deleted(client: &Client, path: &str) -> Value {
    let answer = client.send(client.request("DELETE", path)).await;
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

fn builtin() -> Value {
    json!({
        "embedding_model": "all-MiniLM-L6-v2", "embedding_dim": null, "retriever_type": "vector",
        "chunking_strategy": "sentence", "chunk_size": 1000, "chunk_overlap": 200, "top_k": 8,
        "rerank_enabled": false, "rerank_model": null,
    })
}

fn with(mut config: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().expect("an object") {
        config[name] = value.clone();
    }
    config
}

const DEFAULT: &str = "/api/auth/default-rag-config";

fn config_of(workspace: &str) -> String {
    format!("/api/workspaces/{workspace}/rag-config")
}

async fn upload_all(client: &Client, workspace: &str) -> Vec<String> {
    let files: Vec<(&str, Vec<u8>)> = FILES.iter().map(|name| (*name, fixture(name))).collect();
    let parts: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let answer = client.upload(workspace, &parts).await.json();
    let documents = answer["documents"].as_array().expect("documents");
    documents.iter().map(|d| d["document_id"].as_str().expect("an id").to_owned()).collect()
}

async fn documents(client: &Client, workspace: &str) -> Vec<Value> {
    let list = client.read(&format!("/api/workspaces/{workspace}/documents?limit=200")).await;
    list["items"].as_array().expect("items").clone()
}

/// Waits until the job is over; answers it.
async fn over(client: &Client, job: &Value) -> Value {
    let path = format!("/api/jobs/{}", job.as_str().expect("an id"));
    eventually("the job is over", async || {
        let job = client.read(&path).await;
        matches!(job["status"].as_str(), Some("completed" | "failed")).then_some(job)
    })
    .await
}

#[tokio::test]
async fn the_default_is_saved_read_back_told_and_taken_back() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let bob = server.user("bob").await;
    assert_eq!(ada.read(DEFAULT).await, with(builtin(), json!({ "is_default": true })));
    let mut socket = ada.socket().await;
    socket.hello(Value::Null, Value::Null).await;

    let mine = with(
        builtin(),
        json!({
            "embedding_dim": 384, "retriever_type": "hybrid", "chunking_strategy": "markdown", "chunk_size": 700,
            "chunk_overlap": 70, "top_k": 5, "rerank_enabled": true, "rerank_model": "bm25",
        }),
    );
    let shown = with(mine.clone(), json!({ "is_default": false }));
    assert_eq!(saved(&ada, DEFAULT, mine.clone()).await, shown);
    assert_eq!(ada.read(DEFAULT).await, shown);
    let told = socket.events_until(|e| e["event"] == "settings_changed").await;
    assert_eq!(told.last().expect("told")["data"]["rag_config"], shown);
    assert_eq!(told.last().expect("told")["data"]["user"]["username"], "ada");
    assert_eq!(bob.read(DEFAULT).await["is_default"], true, "it is one's own");

    // Whole: what is absent goes back to what the product comes with.
    let top_k = saved(&ada, DEFAULT, json!({ "top_k": 3, "colour": "red" })).await;
    assert_eq!(top_k, with(builtin(), json!({ "top_k": 3, "is_default": false })));
    assert_eq!(deleted(&ada, DEFAULT).await, with(builtin(), json!({ "is_default": true })));
    assert_eq!(ada.read(DEFAULT).await["is_default"], true);
    server.visitor().get(DEFAULT).await.problem(401, "unauthorized");
    put(&server.visitor(), DEFAULT, &mine).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_workspace_takes_a_snapshot_and_tells_where_it_differs() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let first = ada.first_workspace().await;
    let short = with(builtin(), json!({ "chunk_size": 400, "chunk_overlap": 40 }));
    saved(&ada, DEFAULT, short.clone()).await;
    let made = ada.post("/api/workspaces", json!({ "name": "Papers" })).await.json();
    let papers = made["id"].as_str().expect("an id");
    assert_eq!(ada.read(&config_of(papers)).await, with(short.clone(), json!({ "overrides": [] })));
    // The one that was there before is as it was.
    assert_eq!(
        ada.read(&config_of(&first)).await,
        with(builtin(), json!({ "overrides": ["chunk_size", "chunk_overlap"] }))
    );
    saved(&ada, DEFAULT, builtin()).await;
    assert_eq!(ada.read(&config_of(papers)).await["chunk_size"], 400, "later changes leave it alone");

    let mut socket = ada.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    let own = with(short, json!({ "top_k": 2, "retriever_type": "keyword" }));
    let shown = saved(&ada, &config_of(papers), own.clone()).await;
    let all = ["retriever_type", "chunk_size", "chunk_overlap", "top_k"];
    assert_eq!(shown, with(own, json!({ "overrides": all })));
    let told = socket.events_until(|e| e["event"] == "workspace_status" && e["data"]["id"] == papers).await;
    assert!(told.last().is_some());

    // One field, or all of them, back to the default.
    let path = config_of(papers);
    let one = deleted(&ada, &format!("{path}?field=top_k")).await;
    assert_eq!(
        (&one["top_k"], &one["overrides"]),
        (&json!(8), &json!(["retriever_type", "chunk_size", "chunk_overlap"]))
    );
    let answer = ada.send(ada.request("DELETE", &format!("{path}?field=colour"))).await;
    assert_eq!(messages(&answer.problem(422, "invalid"), "field").len(), 1);
    assert_eq!(deleted(&ada, &path).await, with(builtin(), json!({ "overrides": [] })));
    // A field of the default may not go with the rest.
    saved(&ada, &path, with(builtin(), json!({ "chunk_size": 150, "chunk_overlap": 10 }))).await;
    let answer = ada.send(ada.request("DELETE", &format!("{path}?field=chunk_overlap"))).await;
    assert_eq!(messages(&answer.problem(422, "invalid"), "chunk_overlap").len(), 1);

    let bob = server.user("bob").await;
    for (method, path) in [("GET", &path), ("PUT", &path), ("DELETE", &path)] {
        let request = bob.request(method, path);
        let request = if method == "PUT" { request.json(&builtin()) } else { request };
        bob.send(request).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn every_bad_value_is_told_at_its_field_with_the_sentence_of_the_form() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let options = ada.read("/api/rag/options").await;
    let options: RagOptions = serde_json::from_value(options).expect("options");
    assert_eq!(ada.read("/api/rag/models").await, serde_json::to_value(&options.models).expect("models"));
    let table = bad_values(&options);
    assert!(table.len() > 50, "{}", table.len());
    let good = RagConfig::default();
    let mut typed = 0;
    for bad in &table {
        let expected = json!({ bad.field.as_str(): [bad.sentence.as_str()] });
        let body = serde_json::to_value(bad.body()).expect("a body");
        for path in [DEFAULT.to_owned(), config_of(&workspace)] {
            let problem = put(&ada, &path, &body).await.problem(422, "invalid");
            assert_eq!(problem["errors"], expected, "{path}: {bad:?}");
        }
        // The same as it is typed: by the rules that the page has in the browser, then by the server function that it
        // is sent to.
        let Some(texts) = bad.text() else { continue };
        let texts: Vec<(&str, &str)> = texts.iter().map(|(f, text)| (f.as_str(), text.as_str())).collect();
        let here =
            RagForm::from_text(texts.iter().copied()).check(&good, &options, &good).expect_err(&bad.sentence);
        assert_eq!(serde_json::to_value(here).expect("errors"), expected, "{bad:?}");
        for whose in ["", workspace.as_str()] {
            let whose = (!whose.is_empty()).then_some(("workspace", whose));
            let fields: Vec<_> = whose.into_iter().chain(texts.iter().copied()).collect();
            let answer = ada.submit("/_fn/rag/save", &fields).await;
            assert_eq!((answer.status, &answer.json()["errors"]), (422, &expected), "{bad:?}");
        }
        typed += 1;
    }
    assert!(typed * 2 > table.len(), "{typed} of {}", table.len());
    // All at once.
    let body = json!({ "chunk_size": 1, "chunk_overlap": "x", "top_k": null, "rerank_model": "magic" });
    let problem = put(&ada, DEFAULT, &body).await.problem(422, "invalid");
    assert_eq!(problem["errors"].as_object().map(serde_json::Map::len), Some(4), "{problem}");
    assert_eq!(problem["detail"], "4 fields need attention.");
    // Nothing of it was saved.
    assert_eq!(ada.read(DEFAULT).await["is_default"], true);
    assert_eq!(ada.read(&config_of(&workspace)).await["overrides"], json!([]));
    for body in ["[]", "7", "null"] {
        let request = ada.request("PUT", DEFAULT).header("content-type", "application/json").body(body);
        ada.send(request).await.problem(422, "invalid");
    }
    // Every bound itself is good.
    for given in [
        &[(RagField::ChunkSize, 100), (RagField::ChunkOverlap, 0)][..],
        &[(RagField::ChunkSize, 100), (RagField::ChunkOverlap, 99)],
        &[(RagField::ChunkSize, 5000), (RagField::ChunkOverlap, 1000)],
        &[(RagField::ChunkSize, 1001), (RagField::ChunkOverlap, 1000)],
        &[(RagField::TopK, 1)],
        &[(RagField::TopK, 50)],
        &[(RagField::EmbeddingDim, 384)],
    ] {
        let mut form = RagForm::from(&good);
        for (field, value) in given {
            form.0.insert(field.as_str().to_owned(), (*value).into());
        }
        let body = serde_json::to_value(&form).expect("a body");
        saved(&ada, DEFAULT, body.clone()).await;
        saved(&ada, &config_of(&workspace), body.clone()).await;
        let texts: Vec<(&str, String)> = body
            .as_object()
            .expect("fields")
            .iter()
            .map(|(name, value)| {
                (name.as_str(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            })
            .map(|(name, text)| (name, if text == "null" { String::new() } else { text }))
            .collect();
        let fields: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let here = RagForm::from_text(fields.iter().copied()).check(&good, &options, &good);
        assert!(here.is_ok(), "{given:?}: {here:?}");
        assert_eq!(ada.submit("/_fn/rag/save", &fields).await.status, 200, "{given:?}");
        for (field, value) in given {
            assert_eq!(ada.read(DEFAULT).await[field.as_str()], *value, "{given:?}");
        }
    }
}
