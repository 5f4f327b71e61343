//! RAG configurations: the default and its snapshots, what is refused and how, stale documents and indexing them anew,
//! estimates, previews, and models of an embedding server.

use crate::{
    common::{Client, PASSWORD, Server, Setup, eventually, fixture, messages, prose},
    embeddings::{Embeddings, KEY},
};
use domain::rag::{RagField, RagForm, RagOptions, bad_values};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

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
    for bad in &table {
        let body = serde_json::to_value(bad.body()).expect("a body");
        for path in [DEFAULT.to_owned(), config_of(&workspace)] {
            let problem = put(&ada, &path, &body).await.problem(422, "invalid");
            let expected = json!({ bad.field.as_str(): [bad.sentence.as_str()] });
            assert_eq!(problem["errors"], expected, "{path}: {bad:?}");
        }
    }
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
    for (field, value) in [
        (RagField::ChunkSize, 5000),
        (RagField::ChunkSize, 201),
        (RagField::ChunkOverlap, 0),
        (RagField::ChunkOverlap, 999),
        (RagField::TopK, 1),
        (RagField::TopK, 50),
    ] {
        let mut form = RagForm::default();
        form.0.insert(field.as_str().to_owned(), value.into());
        saved(&ada, DEFAULT, serde_json::to_value(form).expect("a body")).await;
    }
}

#[tokio::test]
async fn a_change_makes_documents_stale_and_one_call_indexes_just_those_anew() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let ids = upload_all(&ada, &workspace).await;
    for id in &ids {
        assert_eq!(ada.settled(id).await["status"], "ready");
    }
    let base = format!("/api/workspaces/{workspace}");
    let nothing = ada.post(&format!("{base}/reindex"), json!({})).await;
    nothing.problem(409, "nothing_stale");
    let none = ada.read(&format!("{base}/reindex/estimate")).await;
    assert_eq!((&none["documents"], &none["chunks"]), (&json!(0), &json!(0)));
    let mut socket = ada.socket().await;
    socket.hello(Value::Null, Value::Null).await;

    let candidate = with(builtin(), json!({ "chunk_size": 300, "chunk_overlap": 60 }));
    let before = ada.post(&format!("{base}/reindex/estimate"), candidate.clone()).await.json();
    assert_eq!(before["documents"], 5);
    let problem = ada.post(&format!("{base}/reindex/estimate"), json!({ "top_k": 0 })).await;
    assert_eq!(messages(&problem.problem(422, "invalid"), "top_k").len(), 1);
    assert!(documents(&ada, &workspace).await.iter().all(|d| d["stale"] == false), "nothing was saved");

    saved(&ada, &config_of(&workspace), candidate).await;
    for document in documents(&ada, &workspace).await {
        assert_eq!((&document["stale"], &document["status"]), (&json!(true), &json!("ready")), "{document}");
        assert_eq!(
            document["indexed_with"],
            json!({ "embedding_model": "all-MiniLM-L6-v2", "chunking_strategy": "sentence", "chunk_size": 1000, "chunk_overlap": 200 })
        );
    }
    assert_eq!(ada.read(&base).await["counts"]["stale"], 5);
    let mut stale = 0;
    socket
        .events_until(|e| {
            stale += usize::from(e["event"] == "document_status" && e["data"]["stale"] == true);
            stale == 5
        })
        .await;
    assert_eq!(ada.read(&format!("{base}/reindex/estimate")).await, before);

    // One more document, which is right already.
    let fresh = ada.upload_one(&workspace, "fresh.txt", &prose(7, 300)).await;
    assert_eq!(ada.settled(&fresh).await["stale"], false);
    let found = async || {
        let hits = ada.read(&format!("{base}/search?q=how+does+it+work")).await;
        hits["items"].as_array().expect("items").len()
    };
    assert_eq!(found().await, 8);
    let send = async |key: &str| {
        let request = ada.request("POST", &format!("{base}/reindex")).header("idempotency-key", key);
        ada.send(request).await
    };
    let started = send("one").await;
    assert_eq!(started.status, 202, "{started:?}");
    assert_eq!(started.json()["documents"], 5);
    assert_eq!(send("one").await.json(), started.json(), "the same command, the same job");
    assert_eq!(found().await, 8, "they are found as before meanwhile");
    let job = over(&ada, &started.json()["job_id"]).await;
    assert_eq!((&job["kind"], &job["status"]), (&json!("reindex"), &json!("completed")), "{job}");
    assert_eq!(found().await, 8);
    for document in documents(&ada, &workspace).await {
        assert_eq!((&document["stale"], &document["status"]), (&json!(false), &json!("ready")), "{document}");
        assert_eq!(document["indexed_with"]["chunk_size"], 300);
        assert_eq!(document["attempt"], if document["id"] == *fresh { 1 } else { 2 });
    }
    // What was expected came true, within the error that was stated.
    for (expected, real) in [("chunks", "chunks_created"), ("tokens", "tokens")] {
        let (expected, real) =
            (before[expected].as_f64().expect("a number"), job["metrics"][real].as_f64().expect("a number"));
        let error = before["error_percent"].as_f64().expect("a number") / 100.0;
        println!("{expected} expected, {real} real, {error} stated");
        assert!((expected - real).abs() <= real * error, "{expected} expected, {real} real, {error} stated");
    }
    assert_eq!(send("two").await.status, 409);
    server.user("bob").await.post(&format!("{base}/reindex"), json!({})).await.problem(404, "not_found");
}

#[tokio::test]
async fn an_estimate_of_many_documents_is_made_from_a_few() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    // Found by keyword, so that making them takes no time.
    saved(&ada, &config_of(&workspace), json!({ "retriever_type": "keyword" })).await;
    let texts: Vec<(String, Vec<u8>)> =
        (0..60).map(|n| (format!("{n}.txt"), prose(n, 100 + n * 37))).collect();
    let parts: Vec<(&str, &[u8])> = texts.iter().map(|(n, t)| (n.as_str(), t.as_slice())).collect();
    let job = over(&ada, &ada.upload(&workspace, &parts).await.json()["job_id"]).await;
    assert_eq!(job["metrics"]["documents_done"], 60);
    let base = format!("/api/workspaces/{workspace}");
    for change in [
        json!({ "chunking_strategy": "character", "chunk_size": 500 }),
        json!({ "chunking_strategy": "token", "chunk_size": 120, "chunk_overlap": 20 }),
        json!({ "chunking_strategy": "markdown", "chunk_size": 2000 }),
        json!({ "chunking_strategy": "sentence", "chunk_size": 250, "chunk_overlap": 100 }),
    ] {
        let config = with(change, json!({ "retriever_type": "keyword" }));
        let expected = ada.post(&format!("{base}/reindex/estimate"), config.clone()).await.json();
        assert_eq!((&expected["documents"], &expected["embeds"]), (&json!(60), &json!(false)));
        saved(&ada, &config_of(&workspace), config).await;
        let started = ada.post(&format!("{base}/reindex"), json!({})).await.json();
        let job = over(&ada, &started["job_id"]).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["phase_details"][2]["status"], "skipped");
        for (name, real) in [("chunks", "chunks_created"), ("tokens", "tokens")] {
            let (expected, real, error) = (
                expected[name].as_f64().expect("a number"),
                job["metrics"][real].as_f64().expect("a number"),
                expected["error_percent"].as_f64().expect("a number") / 100.0,
            );
            println!("{name}: {expected} expected, {real} real, {error} stated");
            assert!((expected - real).abs() <= real * error, "{name}: {expected} expected, {real} real");
            assert!(error > 0.0 && error < 0.5, "{error}");
        }
    }
}

#[tokio::test]
async fn a_preview_is_cut_by_the_chunker_of_the_pipeline() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let text = String::from_utf8(fixture("glossary.txt")).expect("text");
    for strategy in ["sentence", "character", "token", "markdown", "semantic"] {
        let cut = json!({ "chunking_strategy": strategy, "chunk_size": 150, "chunk_overlap": 30 });
        let text: String =
            if strategy == "semantic" { text.chars().take(3_000).collect() } else { text.clone() };
        saved(&ada, &config_of(&workspace), cut.clone()).await;
        let id = ada.upload_one(&workspace, "glossary.txt", text.as_bytes()).await;
        let document = ada.settled(&id).await;
        assert_eq!(document["indexed_with"]["chunking_strategy"], strategy);
        let chunks = ada.read(&format!("/api/documents/{id}/chunks?limit=200")).await["items"].clone();
        let preview = ada.post("/api/rag/preview", with(cut, json!({ "text": text }))).await.json();
        let (chunks, previewed) =
            (chunks.as_array().expect("items"), preview["chunks"].as_array().expect("chunks"));
        assert_eq!(preview["count"], document["chunk_count"], "{strategy}");
        for (n, (chunk, previewed)) in chunks.iter().zip(previewed).enumerate() {
            assert_eq!(previewed["ordinal"], n);
            assert_eq!(chunk["text"], previewed["text"], "{strategy}");
            assert_eq!(chunk["token_count"], previewed["tokens"]);
            let chars = previewed["text"].as_str().expect("a text").chars().count();
            assert_eq!(previewed["chars"], chars);
            let size = if strategy == "token" { previewed["tokens"].as_u64() } else { Some(chars as u64) };
            assert!(size <= Some(150), "{strategy}: {previewed}");
        }
    }
}

#[tokio::test]
async fn a_preview_tells_what_is_wrong_with_the_cut_and_the_text_alone() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let preview = async |body: Value| ada.post("/api/rag/preview", body).await;
    // How passages are found does not matter here.
    let odd =
        json!({ "text": "One. Two.", "top_k": 0, "retriever_type": "graph", "embedding_model": "no such" });
    assert_eq!(preview(odd).await.json()["count"], 1);
    let wrong = json!({ "text": "", "chunk_size": 99, "chunking_strategy": "magic", "top_k": 0 });
    let problem = preview(wrong).await.problem(422, "invalid");
    let fields: Vec<&String> = problem["errors"].as_object().expect("errors").keys().collect();
    assert_eq!(fields, ["chunk_size", "chunking_strategy", "text"]);
    for (text, said) in [
        (json!(" \n "), "Enter some text."),
        (json!("a ".repeat(50_001)), "Use at most 100 kB of text."),
        (json!(7), "Send a text."),
        (Value::Null, "Send a text."),
    ] {
        let problem = preview(json!({ "text": text })).await.problem(422, "invalid");
        assert_eq!(messages(&problem, "text"), [said]);
    }
    let problem = preview(json!({})).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "text"), ["This field is required."]);
    let long = json!({ "text": "a ".repeat(10_001), "chunking_strategy": "semantic" });
    assert_eq!(
        messages(&preview(long).await.problem(422, "invalid"), "text"),
        ["Use at most 20 kB of text."]
    );
    assert_eq!(preview(json!({ "text": "a ".repeat(49_999) })).await.status, 200);
    server.visitor().post("/api/rag/preview", json!({ "text": "a" })).await.problem(401, "unauthorized");
}

async fn model(client: &Client, name: &str) -> Value {
    let models = client.read("/api/rag/models").await;
    let found = models.as_array().expect("models").iter().find(|m| m["name"] == name).cloned();
    found.unwrap_or(Value::Null)
}

/// Waits until the model is said to be in that state.
async fn model_turns(client: &Client, name: &str, state: &str) -> Value {
    eventually(&format!("{name} is {state}"), async || {
        Some(model(client, name).await).filter(|m| m["state"] == state)
    })
    .await
}

#[tokio::test]
async fn without_an_embedding_server_other_models_tell_what_they_need() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let own = model(&ada, "all-MiniLM-L6-v2").await;
    assert_eq!(
        (&own["state"], &own["dim"], &own["provider"]),
        (&json!("ready"), &json!(384), &json!("builtin"))
    );
    let nomic = model(&ada, "nomic-embed-text").await;
    assert_eq!((&nomic["state"], &nomic["dim"]), (&json!("needs_configuration"), &json!(768)));
    let problem = put(&ada, DEFAULT, &json!({ "embedding_model": "nomic-embed-text" })).await;
    let problem = problem.problem(422, "invalid");
    assert_eq!(messages(&problem, "embedding_model"), [nomic["detail"].as_str().expect("a sentence")]);
    let options = ada.read("/api/rag/options").await;
    let of = |list: &str, name: &str| {
        let all = options[list].as_array().expect("choices");
        all.iter().find(|c| c["name"] == name).expect("the choice").clone()
    };
    assert_eq!(of("retriever_types", "graph")["available"], false);
    assert_eq!(of("rerank_models", "cross-encoder")["available"], false);
    assert_eq!(of("rerank_models", "bm25")["available"], true);
    assert_eq!(options["chunking_strategies"].as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn a_workspace_can_use_a_model_of_an_embedding_server() {
    let mut embeddings = Embeddings::start().await;
    let server =
        Setup::new().env("EMBEDDINGS_URL", embeddings.url()).env("EMBEDDINGS_KEY", KEY).start().await;
    let ada = server.user("ada").await;
    // Of its list, what looks like it; the built-in one stays the built-in one.
    let models = ada.read("/api/rag/models").await;
    let names: Vec<&str> =
        models.as_array().expect("models").iter().map(|m| m["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["all-MiniLM-L6-v2", "words-embed", "nomic-embed-text"]);
    let words = model(&ada, "words-embed").await;
    assert_eq!(
        (&words["state"], &words["dim"], &words["provider"]),
        (&json!("ready"), &json!(64), &json!("server"))
    );
    let problem =
        put(&ada, DEFAULT, &json!({ "embedding_model": "words-embed", "embedding_dim": 384 })).await;
    assert_eq!(
        messages(&problem.problem(422, "invalid"), "embedding_dim"),
        ["words-embed has 64 dimensions."]
    );

    // A workspace that has documents of the built-in model changes over.
    let workspace = ada.first_workspace().await;
    let base = format!("/api/workspaces/{workspace}");
    let first = ada.upload_one(&workspace, "lantern.txt", b"The lantern keeper writes the ledger.").await;
    assert_eq!(ada.settled(&first).await["status"], "ready");
    let words = json!({ "embedding_model": "words-embed" });
    assert_eq!(
        saved(&ada, &config_of(&workspace), words.clone()).await["overrides"],
        json!(["embedding_model"])
    );
    let stale = ada.read(&format!("/api/documents/{first}")).await;
    assert_eq!(
        (&stale["stale"], &stale["indexed_with"]["embedding_model"]),
        (&json!(true), &json!("all-MiniLM-L6-v2"))
    );
    let second = ada.upload_one(&workspace, "ferry.txt", b"The ferry leaves the harbour at noon.").await;
    let ready = ada.settled(&second).await;
    assert_eq!(
        (&ready["status"], &ready["indexed_with"]["embedding_model"]),
        (&json!("ready"), &json!("words-embed"))
    );
    let asked = embeddings.how.texts.load(Ordering::SeqCst);
    assert!(asked >= 2, "{asked}");
    // Passages of both models are found, each asked in its own.
    let hits = ada.read(&format!("{base}/search?q=the+ferry+leaves+the+harbour")).await;
    let mut found: Vec<&str> = hits["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|h| h["document"]["filename"].as_str().expect("a name"))
        .collect();
    found.sort_unstable();
    assert_eq!(found, ["ferry.txt", "lantern.txt"]);
    let started = ada.post(&format!("{base}/reindex"), json!({})).await.json();
    assert_eq!(started["documents"], 1);
    assert_eq!(over(&ada, &started["job_id"]).await["status"], "completed");
    let hits = ada.read(&format!("{base}/search?q=lantern+keeper+ledger")).await;
    assert_eq!(hits["items"][0]["document"]["filename"], "lantern.txt");

    // The server goes away: the model may stay, but nobody can choose it.
    embeddings.stop().await;
    let silent = model_turns(&ada, "words-embed", "unreachable").await;
    assert_eq!(silent["detail"], "The embedding server does not answer.");
    saved(&ada, &config_of(&workspace), with(words.clone(), json!({ "top_k": 3 }))).await;
    let problem = put(&ada, DEFAULT, &words).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "embedding_model"), ["The embedding server does not answer."]);
    ada.get(&format!("{base}/search?q=lantern")).await.problem(503, "model_unreachable");
    let id = ada.upload_one(&workspace, "away.txt", b"Nobody embeds this.").await;
    let failed = ada.settled(&id).await;
    assert_eq!((&failed["status"], &failed["error_code"]), (&json!("failed"), &json!("model_unreachable")));

    // It comes back with other vectors under the same name.
    embeddings.how.dim.store(32, Ordering::SeqCst);
    embeddings.start_again().await;
    model_turns(&ada, "words-embed", "ready").await;
    let id = ada.upload_one(&workspace, "other.txt", b"Now there are fewer numbers.").await;
    let failed = ada.settled(&id).await;
    assert_eq!(failed["error_code"], "model_wrong_dimension", "{failed}");
    assert_eq!(failed["error"], "words-embed answered vectors with 32 dimensions instead of 64.");
    let log = server.log();
    assert!(!log.contains(KEY) && !log.contains(PASSWORD), "no secret is in the log");
}

#[tokio::test]
async fn a_busy_embedding_server_is_asked_again_and_a_wrong_key_is_named() {
    let embeddings = Embeddings::start().await;
    let server =
        Setup::new().env("EMBEDDINGS_URL", embeddings.url()).env("EMBEDDINGS_KEY", "sk-wrong").start().await;
    let ada = server.user("ada").await;
    let nomic = model(&ada, "nomic-embed-text").await;
    assert_eq!(nomic["state"], "needs_configuration", "{nomic}");
    assert!(nomic["detail"].as_str().is_some_and(|d| d.contains("EMBEDDINGS_KEY")), "{nomic}");
    drop(server);

    let server = Setup::new()
        .env("EMBEDDINGS_URL", format!("{}/v1", embeddings.url()))
        .env("EMBEDDINGS_KEY", KEY)
        .env("EMBEDDINGS_MODELS", "words-embed, missing-embed")
        .start()
        .await;
    let ada = server.user("ada").await;
    assert_eq!(model(&ada, "words-embed").await["state"], "ready");
    let missing = model(&ada, "missing-embed").await;
    assert_eq!(missing["state"], "needs_configuration", "{missing}");
    let workspace = ada.first_workspace().await;
    saved(&ada, &config_of(&workspace), json!({ "embedding_model": "words-embed" })).await;
    embeddings.how.overloaded.store(true, Ordering::SeqCst);
    let id = ada.upload_one(&workspace, "busy.txt", b"It has too much to do.").await;
    let log = async || server.log().contains("will be asked again").then_some(());
    eventually("the busy server is asked again", log).await;
    embeddings.how.overloaded.store(false, Ordering::SeqCst);
    assert_eq!(ada.settled(&id).await["status"], "ready");
}

#[tokio::test]
async fn a_kill_in_the_middle_of_indexing_anew_loses_nothing_and_the_rest_is_found_meanwhile() {
    let mut server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let base = format!("/api/workspaces/{workspace}");
    let ids = upload_all(&ada, &workspace).await;
    for id in &ids {
        ada.settled(id).await;
    }
    saved(&ada, &config_of(&workspace), json!({ "chunk_size": 400, "chunk_overlap": 50 })).await;
    let started = ada.post(&format!("{base}/reindex"), json!({})).await.json();
    assert_eq!(started["documents"], 5);
    let job = format!("/api/jobs/{}", started["job_id"].as_str().expect("an id"));
    let mut kills = 0;
    while kills < 4 {
        // Somewhere in the middle, each time a little further.
        let before = ada_at(&server, &ada).read(&job).await["metrics"]["chunks_embedded"].clone();
        let client = ada_at(&server, &ada);
        let moved = eventually("it goes on", async || {
            let job = client.read(&job).await;
            let over = job["status"] == "completed";
            (over || job["metrics"]["chunks_embedded"].as_u64() > before.as_u64()).then_some(over)
        })
        .await;
        if moved {
            break;
        }
        server.kill();
        let dir = server.dir.clone();
        server = Setup::new().dir(&dir).start().await;
        kills += 1;
        let hits = ada_at(&server, &ada).read(&format!("{base}/search?q=how+does+it+work")).await;
        assert_eq!(hits["items"].as_array().map(Vec::len), Some(8), "found after kill {kills}");
    }
    assert!(kills > 0, "it was over before the first kill");
    let ada = ada_at(&server, &ada);
    let job = over(&ada, &started["job_id"]).await;
    assert_eq!(job["status"], "completed", "{job}");
    let mut chunks = 0;
    for document in documents(&ada, &workspace).await {
        assert_eq!((&document["status"], &document["stale"]), (&json!("ready"), &json!(false)), "{document}");
        let id = document["id"].as_str().expect("an id");
        let text = ada.read(&format!("/api/documents/{id}/chunks?limit=200")).await;
        let list = text["items"].as_array().expect("items").len();
        chunks += document["chunk_count"].as_u64().expect("a number");
        assert_eq!(document["chunk_count"].as_u64().map(|n| n.min(200)), Some(list as u64));
    }
    assert_eq!(job["metrics"]["chunks_created"], chunks);
    assert_eq!(job["metrics"]["chunks_embedded"], chunks);
}

/// The same person at the server that was started again.
fn ada_at(server: &Server, ada: &Client) -> Client {
    Client { base: server.base.clone(), ..ada.clone() }
}
