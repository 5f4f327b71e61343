//! Finding passages over REST: every choice of a configuration changes the result and its columns, single passages can be
//! changed, and questions are kept as test cases.

use crate::{
    common::{Client, Server, Setup, eventually, messages},
    embeddings::{Embeddings, KEY},
};
use axum::{Json, Router, extract::State, http::HeaderMap, response::IntoResponse, routing::post};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

const TEXT: &str = "# Pumps\n\nThe Aurora 300 was built by Norvik Marine and moves three hundred cubic metres an hour. It \
    stands below the water line.\n\n# Firm\n\nNorvik Marine was founded by Ada Lindqvist in Bergen a long time ago. She \
    began with nine people and a shed.\n\n# Food\n\nOn Thursdays there is fish in the canteen, fresh from the auction of \
    the same morning.\n";

fn passage_config(retriever: &str) -> Value {
    json!({ "retriever_type": retriever, "chunk_size": 150, "chunk_overlap": 20, "chunking_strategy": "markdown" })
}

/// A workspace that is searched like that, with the text above in it.
async fn library(ada: &Client, config: Value) -> (String, String) {
    let made = ada.post("/api/workspaces", json!({ "name": "Library" })).await.json();
    let workspace = made["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/workspaces/{workspace}/rag-config");
    let saved = ada.send(ada.request("PUT", &path).json(&config)).await;
    assert_eq!(saved.status, 200, "{:?}", saved.json());
    let document = ada.upload_one(&workspace, "pumps.md", TEXT.as_bytes()).await;
    assert_eq!(ada.settled(&document).await["status"], "ready");
    (workspace, document)
}

async fn search(ada: &Client, workspace: &str, query: &str) -> Value {
    ada.read(&format!("/api/workspaces/{workspace}/search?{query}")).await
}

fn columns(hit: &Value) -> Vec<&str> {
    let all = ["vector", "keyword", "graph", "fused", "rerank"];
    all.into_iter().filter(|name| !hit["scores"][name].is_null()).collect()
}

#[tokio::test]
async fn each_choice_changes_the_result_and_its_columns() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let (workspace, _) = library(&ada, passage_config("graph")).await;
    let asked = "q=Who+founded+Norvik+Marine%3F&top_k=3";
    for (choice, expected) in [
        ("", &["vector", "graph", "fused"][..]),
        ("&retriever_type=vector", &["vector"]),
        ("&retriever_type=keyword", &["keyword"]),
        ("&retriever_type=hybrid", &["vector", "keyword", "fused"]),
        ("&retriever_type=vector&rerank_model=rrf", &["vector", "keyword", "rerank"]),
        ("&retriever_type=vector&rerank_model=bm25", &["vector", "rerank"]),
        ("&retriever_type=graph&rerank_model=bm25", &["vector", "graph", "fused", "rerank"]),
    ] {
        let found = search(&ada, &workspace, &format!("{asked}{choice}")).await;
        let first = &found["items"][0];
        assert!(
            first["chunk"]["text"].as_str().expect("a text").contains("founded by Ada"),
            "{choice}: {found}"
        );
        assert_eq!(columns(first), expected, "{choice}");
        let last = *expected.last().expect("a column");
        assert_eq!(first["score"], first["scores"][last]["score"], "{choice}");
        assert_eq!(first["scores"][last]["rank"], 1, "{choice}");
        assert_eq!(found["warnings"], json!([]), "{choice}");
    }
    let found = search(&ada, &workspace, &format!("{asked}&retriever_type=hybrid&rerank_model=bm25")).await;
    assert_eq!(
        (&found["retriever_type"], &found["rerank_model"], &found["top_k"]),
        (&json!("hybrid"), &json!("bm25"), &json!(3))
    );
    // Nothing of it was saved.
    let config = ada.read(&format!("/api/workspaces/{workspace}/rag-config")).await;
    assert_eq!((&config["retriever_type"], &config["rerank_enabled"]), (&json!("graph"), &json!(false)));
    // A question that names nothing is answered by meaning alone, and says so.
    let found = search(&ada, &workspace, "q=what+is+there+to+eat").await;
    assert_eq!(found["warnings"][0]["code"], "nothing_named", "{found}");
    assert!(found["items"][0]["chunk"]["text"].as_str().expect("a text").contains("fish"), "{found}");
    let path = format!(
        "/api/workspaces/{workspace}/search?q=x&retriever_type=magic&rerank_model=cross-encoder&top_k=7"
    );
    let problem = ada.get(&path).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "retriever_type"), ["Use one of vector, keyword, hybrid, graph."]);
    assert_eq!(messages(&problem, "rerank_model").len(), 1);
}

#[tokio::test]
async fn a_graph_is_built_with_its_steps_and_follows_what_is_said_of_things() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let (workspace, document) = library(&ada, passage_config("graph")).await;
    let history = ada.read(&format!("/api/documents/{document}/history?limit=200")).await;
    let steps: Vec<&str> = history["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|e| e["data"]["step"].as_str())
        .collect();
    for step in ["classification", "entity_resolution", "enrichment"] {
        assert!(steps.contains(&step), "{step}: {steps:?}");
    }
    // The question names the pump; its maker's founder stands in another passage, two steps away.
    let found = search(&ada, &workspace, "q=Aurora+300&top_k=3").await;
    let hits = found["items"].as_array().expect("hits");
    let founder = hits.iter().find(|h| h["chunk"]["text"].as_str().expect("a text").contains("founded by"));
    assert!(!founder.expect("it is found")["scores"]["graph"].is_null(), "{found}");
    let fish = hits.iter().find(|h| h["chunk"]["text"].as_str().expect("a text").contains("fish"));
    assert!(fish.is_none_or(|h| h["scores"]["graph"].is_null()), "nothing leads there: {found}");

    // Where it is wanted and not there, the document is stale, and indexing it anew makes it.
    let (plain, document) = library(&ada, passage_config("vector")).await;
    let path = format!("/api/workspaces/{plain}/rag-config");
    ada.send(ada.request("PUT", &path).json(&passage_config("graph"))).await;
    assert_eq!(ada.read(&format!("/api/documents/{document}")).await["stale"], true);
    assert_eq!(ada.post(&format!("/api/workspaces/{plain}/reindex"), json!({})).await.status, 202);
    eventually("the graph is there", async || {
        (ada.read(&format!("/api/documents/{document}")).await["stale"] == false).then_some(())
    })
    .await;
    let found = search(&ada, &plain, "q=Aurora+300&top_k=3").await;
    assert!(!found["items"][0]["scores"]["graph"].is_null(), "{found}");
}

/// A cross-encoder for the tests: what has the word "fish" in it comes first. It can be told to fail.
async fn cross_encoder() -> (String, Arc<AtomicBool>) {
    async fn rerank(
        State(fails): State<Arc<AtomicBool>>,
        headers: HeaderMap,
        Json(body): Json<Value>,
    ) -> axum::response::Response {
        if fails.load(Ordering::SeqCst) {
            return axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        assert_eq!(headers["authorization"], "Bearer rk-of-the-tests");
        assert_eq!(body["model"], "reader-1");
        let texts = body["documents"].as_array().expect("documents");
        let score = |text: &Value| if text.as_str().expect("a text").contains("fish") { 4.5 } else { -3.25 };
        let results: Vec<Value> = texts
            .iter()
            .enumerate()
            .rev()
            .map(|(index, text)| json!({ "index": index, "relevance_score": score(text) }))
            .collect();
        Json(json!({ "results": results })).into_response()
    }
    let fails = Arc::new(AtomicBool::new(false));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let routes = Router::new().route("/v1/rerank", post(rerank)).with_state(fails.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await.expect("served") });
    (url, fails)
}

#[tokio::test]
async fn a_cross_encoder_puts_passages_in_order_and_its_failure_is_told() {
    let (url, fails) = cross_encoder().await;
    let server = Setup::new()
        .env("RERANK_URL", url)
        .env("RERANK_MODEL", "reader-1")
        .env("RERANK_KEY", "rk-of-the-tests")
        .start()
        .await;
    let ada = server.user("ada").await;
    let options = ada.read("/api/rag/options").await;
    let choice =
        options["rerank_models"].as_array().expect("choices").iter().find(|c| c["name"] == "cross-encoder");
    assert_eq!(choice.expect("it is listed")["available"], true, "{options}");
    let mut config = passage_config("vector");
    config["rerank_enabled"] = true.into();
    config["rerank_model"] = "cross-encoder".into();
    let (workspace, _) = library(&ada, config).await;
    let asked = "q=Who+founded+Norvik+Marine%3F&top_k=3";
    let found = search(&ada, &workspace, asked).await;
    assert_eq!(found["items"][0]["scores"]["rerank"], json!({ "score": 4.5, "rank": 1 }), "{found}");
    assert!(found["items"][0]["chunk"]["text"].as_str().expect("a text").contains("fish"));

    fails.store(true, Ordering::SeqCst);
    let found = search(&ada, &workspace, asked).await;
    assert!(
        found["items"][0]["chunk"]["text"].as_str().expect("a text").contains("founded by Ada"),
        "{found}"
    );
    assert_eq!(found["warnings"][0]["code"], "rerank_failed");
    assert_eq!(columns(&found["items"][0]), ["vector"]);
}

#[tokio::test]
async fn words_are_found_while_the_model_that_would_put_them_in_order_is_away() {
    let mut embeddings = Embeddings::start().await;
    let server =
        Setup::new().env("EMBEDDINGS_URL", embeddings.url()).env("EMBEDDINGS_KEY", KEY).start().await;
    let ada = server.user("ada").await;
    let mut config = passage_config("vector");
    config["embedding_model"] = "words-embed".into();
    let (workspace, _) = library(&ada, config).await;
    let asked = "q=founded&retriever_type=keyword&rerank_model=rrf";
    let found = search(&ada, &workspace, asked).await;
    assert_eq!(columns(&found["items"][0]), ["vector", "keyword", "rerank"], "{found}");

    embeddings.stop().await;
    let found = search(&ada, &workspace, asked).await;
    assert_eq!(columns(&found["items"][0]), ["keyword"], "{found}");
    assert_eq!(found["warnings"][0]["code"], "rerank_failed");
}

#[tokio::test]
async fn a_passage_can_be_read_in_its_text_and_changed() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let ben = server.user("ben").await;
    let (workspace, document) = library(&ada, passage_config("vector")).await;
    let all = format!("/api/documents/{document}/chunks");
    let fish = ada.read(&format!("{all}?q=FISH")).await;
    assert_eq!(fish["items"].as_array().map(Vec::len), Some(1), "{fish}");
    let chunk = &fish["items"][0];
    let path = format!("{all}/{}", chunk["id"].as_str().expect("an id"));
    let place = ada.read(&path).await;
    let part = |name: &str| place[name].as_str().expect("a text").to_owned();
    assert_eq!(part("passage"), chunk["text"].as_str().expect("a text"));
    assert!(TEXT.ends_with(&(part("before") + &part("passage") + &part("behind"))), "{place}");
    assert_eq!((&place["is_start"], &place["is_end"]), (&json!(true), &json!(true)));

    let mut socket = ada.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    let edited = ada.patch(&path, json!({ "text": "On Fridays there is soup." })).await.json();
    assert_eq!((&edited["edited"], &edited["text"]), (&json!(true), &json!("On Fridays there is soup.")));
    let told = socket.events_until(|event| event["event"] == "document_status").await;
    assert_eq!(told.last().expect("an event")["data"]["id"], document.as_str());
    let words = |found: &Value| found["items"][0]["chunk"]["text"].as_str().unwrap_or_default().to_owned();
    let soup = "q=soup&retriever_type=keyword";
    assert!(words(&search(&ada, &workspace, soup).await).contains("soup"));
    assert_eq!(search(&ada, &workspace, "q=auction&retriever_type=keyword").await["items"], json!([]));
    assert!(
        words(&search(&ada, &workspace, "q=a+warm+liquid+meal+at+the+end+of+the+week&top_k=1").await)
            .contains("soup")
    );
    let place = ada.read(&path).await;
    assert!(place["passage"].as_str().expect("a text").contains("fish"), "the document says what it said");

    let off = ada.patch(&path, json!({ "enabled": false })).await.json();
    assert_eq!(off["enabled"], false);
    assert_eq!(search(&ada, &workspace, soup).await["items"], json!([]));
    assert_eq!(ada.patch(&path, json!({ "enabled": true })).await.status, 200);
    assert!(words(&search(&ada, &workspace, soup).await).contains("soup"));
    assert_eq!(ada.post(&format!("{path}/embed"), json!({})).await.status, 200);

    let problem = ada.patch(&path, json!({ "text": "  " })).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "text"), ["Enter some text, or switch the passage off instead."]);
    for refused in
        [ben.get(&path).await, ben.patch(&path, json!({ "enabled": false })).await, ben.get(&all).await]
    {
        refused.problem(404, "not_found");
    }
    // Indexing anew with the same settings keeps what was done.
    let config = format!("/api/workspaces/{workspace}/rag-config");
    let mut other = passage_config("vector");
    other["retriever_type"] = "graph".into();
    ada.send(ada.request("PUT", &config).json(&other)).await;
    assert_eq!(ada.post(&format!("/api/workspaces/{workspace}/reindex"), json!({})).await.status, 202);
    eventually("it is indexed anew", async || {
        (ada.read(&format!("/api/documents/{document}")).await["stale"] == false).then_some(())
    })
    .await;
    let kept = ada.read(&format!("{all}?q=soup")).await;
    assert_eq!(kept["items"][0]["edited"], true, "{kept}");
}

#[tokio::test]
async fn test_cases_tell_what_retrieval_finds_and_outlive_a_reindex() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let ben = server.user("ben").await;
    let (workspace, document) = library(&ada, passage_config("vector")).await;
    let cases = format!("/api/workspaces/{workspace}/retrieval-cases");
    let run = format!("{cases}/run");
    let empty = ada.post(&run, json!({})).await.json();
    assert_eq!((&empty["recall"], &empty["results"]), (&Value::Null, &json!([])));
    let chunk_with = async |words: &str| {
        let found = ada.read(&format!("/api/documents/{document}/chunks?q={words}")).await;
        found["items"][0]["id"].as_str().expect("an id").to_owned()
    };
    let (founder, fish) = (chunk_with("founded").await, chunk_with("fish").await);
    let add = async |question: &str, chunk: Option<&str>| {
        ada.post(&cases, json!({ "question": question, "document_id": document, "chunk_id": chunk })).await
    };
    assert_eq!(add("Who founded Norvik Marine?", Some(&founder)).await.status, 201);
    // Nobody who asks that wants the founder.
    let wrong = add("When is there fish?", Some(&founder)).await.json();
    let under_a_key = async |question: &str| {
        let new = json!({ "question": question, "document_id": document, "chunk_id": null });
        ada.send(ada.request("POST", &cases).header("idempotency-key", "k").json(&new)).await
    };
    let anything = under_a_key("Anything?").await;
    assert_eq!(anything.status, 201, "{anything:?}");
    assert_eq!(under_a_key("Anything?").await.json()["id"], anything.json()["id"]);
    under_a_key("Something else?").await.problem(422, "idempotency_key_reused");
    let tried = ada.post(&run, json!({ "top_k": 1 })).await.json();
    let passed: Vec<&Value> =
        tried["results"].as_array().expect("results").iter().map(|r| &r["passed"]).collect();
    assert_eq!(passed, [&json!(true), &json!(false), &json!(true)], "{tried}");
    assert_eq!((&tried["passed"], &tried["top_k"]), (&json!(2), &json!(1)));
    let wide = ada.post(&run, json!({ "top_k": 50 })).await.json();
    assert_eq!(wide["recall"], 1.0, "{wide}");
    assert!(wide["mrr"].as_f64() < Some(1.0));

    let problem = add("  ", Some(&fish)).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "question"), ["Enter what to look for."]);
    let elsewhere = json!({ "question": "x", "document_id": workspace });
    let problem = ada.post(&cases, elsewhere).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "document_id"), ["This workspace has no such document."]);
    ben.get(&cases).await.problem(404, "not_found");
    ben.post(&run, json!({})).await.problem(404, "not_found");
    let id = wrong["id"].as_str().expect("an id");
    ben.delete(&format!("{cases}/{id}")).await.problem(404, "not_found");
    assert_eq!(ada.delete(&format!("{cases}/{id}")).await.status, 204);

    // The passages are others after a re-index; what has to be found is the same place.
    let config = format!("/api/workspaces/{workspace}/rag-config");
    ada.send(ada.request("PUT", &config).json(&passage_config("graph"))).await;
    ada.post(&format!("/api/workspaces/{workspace}/reindex"), json!({})).await;
    eventually("it is indexed anew", async || {
        (ada.read(&format!("/api/documents/{document}")).await["stale"] == false).then_some(())
    })
    .await;
    let tried = ada.post(&run, json!({ "top_k": 1 })).await.json();
    assert_eq!((&tried["passed"], &tried["retriever_type"]), (&json!(2), &json!("graph")), "{tried}");
}

#[tokio::test]
async fn documents_that_are_ready_answer_while_others_are_worked_on() {
    let embeddings = Embeddings::start().await;
    let server = embeddings.told_to(Setup::new()).start().await;
    let ada = server.user("ada").await;
    let (workspace, _) = library(&ada, passage_config("hybrid")).await;
    // Another one is at its model until the end.
    let mut other = passage_config("hybrid");
    other["embedding_model"] = "words-embed".into();
    let config = format!("/api/workspaces/{workspace}/rag-config");
    assert_eq!(ada.send(ada.request("PUT", &config).json(&other)).await.status, 200);
    embeddings.hold(Some("zeppelin"));
    let uploaded = ada.upload(&workspace, &[("held.txt", b"A zeppelin over the harbour.")]).await.json();
    let job = uploaded["job_id"].as_str().expect("an id").to_owned();
    eventually("the other one is worked on", async || {
        (ada.read(&format!("/api/jobs/{job}")).await["status"] == "running").then_some(())
    })
    .await;
    let found = search(&ada, &workspace, "q=Who+founded+Norvik+Marine%3F&top_k=1").await;
    assert!(
        found["items"][0]["chunk"]["text"].as_str().expect("a text").contains("founded by Ada"),
        "{found}"
    );
    assert_eq!(ada.read(&format!("/api/jobs/{job}")).await["status"], "running", "it is not through yet");
    ada.post(&format!("/api/jobs/{job}/cancel"), json!({})).await;
}
