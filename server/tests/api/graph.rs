//! The graph of a workspace with a language model that reads the passages after the rules did.

use crate::{
    chat::model::{Model, Piece, Plan, say},
    common::{Client, Server, Setup, eventually},
};
use serde_json::{Value, json};

/// Without a capital letter: the rules find no name in it.
const TEXT: &str = "the borealis pump was built by norvik marine, and it moves three hundred cubic metres of water an hour \
    from the basin to the sea.\n\nnorvik marine was founded by ada lindqvist in a shed behind her house, with nine people \
    and a loan of her aunt.\n\non thursdays there is fish in the canteen, fresh from the auction of the same morning, with \
    potatoes and a salad.\n";

/// What the model says of every passage; of each only what stands in it is taken.
const READ: &str = r#"{"entities": [{"name": "Borealis Pump", "kind": "name"}, {"name": "Norvik Marine", "kind": "name"},
    {"name": "Ada Lindqvist", "kind": "name"}, {"name": "Somebody Else", "kind": "name"}],
    "relations": [{"source": "Borealis Pump", "kind": "made_by", "target": "Norvik Marine"},
    {"source": "Norvik Marine", "kind": "founded_by", "target": "Ada Lindqvist"},
    {"source": "Ada Lindqvist", "kind": "owned_by", "target": "Somebody Else"}]}"#;

fn reading(model: &Model) -> Setup {
    model.setup().env("LLM_GRAPH", "true")
}

/// A workspace that is searched by its graph, and a document that was sent there.
async fn begun(ada: &Client, text: &str) -> (String, String) {
    let made = ada.post("/api/workspaces", json!({ "name": "Library" })).await.json();
    let workspace = made["id"].as_str().expect("an id").to_owned();
    let config = json!({ "retriever_type": "graph", "chunk_size": 150, "chunk_overlap": 0, "chunking_strategy": "sentence" });
    let path = format!("/api/workspaces/{workspace}/rag-config");
    let saved = ada.send(ada.request("PUT", &path).json(&config)).await;
    assert_eq!(saved.status, 200, "{:?}", saved.json());
    let document = ada.upload_one(&workspace, "pumps.txt", text.as_bytes()).await;
    (workspace, document)
}

/// What the graph alone says of the passages, by their first words.
async fn found_by_graph(ada: &Client, workspace: &str) -> Vec<String> {
    let path = format!("/api/workspaces/{workspace}/search?q=who+is+behind+the+borealis+pump&top_k=9");
    let found = ada.read(&path).await;
    let hits = found["items"].as_array().expect("hits");
    let by_graph = hits.iter().filter(|hit| !hit["scores"]["graph"].is_null());
    let words = |hit: &Value| hit["chunk"]["text"].as_str().expect("a text").chars().take(13).collect();
    let mut found: Vec<String> = by_graph.map(words).collect();
    found.sort();
    found
}

fn warnings(document: &Value) -> Vec<&str> {
    let all = document["warnings"].as_array().expect("warnings");
    all.iter().map(|warning| warning["code"].as_str().expect("a code")).collect()
}

#[tokio::test]
async fn a_language_model_finds_what_no_rule_sees() {
    let model = Model::speaking(&[say(READ)]).await;
    let without = model.setup().start().await;
    let ada = without.user("ada").await;
    let (workspace, document) = begun(&ada, TEXT).await;
    assert_eq!(ada.settled(&document).await["status"], "ready");
    assert_eq!(found_by_graph(&ada, &workspace).await, [""; 0], "the rules know none of these names");
    assert_eq!(model.asked().len(), 0, "without the operator's word no passage is sent anywhere");

    let server = reading(&model).start().await;
    let ada = server.user("ada").await;
    let (workspace, document) = begun(&ada, TEXT).await;
    let ready = ada.settled(&document).await;
    assert_eq!((&ready["status"], warnings(&ready)), (&json!("ready"), vec![]), "{ready}");
    assert_eq!(ready["metadata"]["read_chunks"], ready["chunk_count"], "{ready}");
    assert_eq!(model.asked().len(), 3);
    // The founder stands two steps from the pump; what the model made up leads nowhere.
    assert_eq!(found_by_graph(&ada, &workspace).await, ["norvik marine", "the borealis "]);
    let history = ada.read(&format!("/api/documents/{document}/history?limit=200")).await;
    let told = history["items"].as_array().expect("items").iter();
    let told: Vec<&str> = told.filter_map(|entry| entry["data"]["message"].as_str()).collect();
    assert!(told.iter().any(|words| words.starts_with("Adding context to your data")), "{told:?}");
}

#[tokio::test]
async fn where_the_model_cannot_be_used_the_document_says_so_and_a_reindex_makes_it_good() {
    let model =
        Model::with([Plan::Status(401), Plan::Status(401), Plan::Status(401), Plan::Speak(vec![say(READ)])])
            .await;
    let server = reading(&model).start().await;
    let ada = server.user("ada").await;
    let (workspace, document) = begun(&ada, TEXT).await;
    let ready = ada.settled(&document).await;
    assert_eq!((&ready["status"], warnings(&ready)), (&json!("ready"), vec!["graph_by_rules"]), "{ready}");
    let bulk = json!({ "action": "reindex", "ids": [document] });
    let asked = ada.post(&format!("/api/workspaces/{workspace}/bulk"), bulk).await;
    assert!(asked.status < 300, "{}", String::from_utf8_lossy(&asked.body));
    eventually("it is read by the model", async || {
        let document = ada.read(&format!("/api/documents/{document}")).await;
        (document["status"] == "ready" && warnings(&document).is_empty()).then_some(())
    })
    .await;
    assert_eq!(found_by_graph(&ada, &workspace).await, ["norvik marine", "the borealis "]);
}

#[tokio::test]
async fn an_answer_that_is_none_leaves_one_passage_to_the_rules() {
    let nonsense = Plan::Speak(vec![say("I would rather write a poem.")]);
    let model = Model::with([nonsense, Plan::Speak(vec![say(READ)])]).await;
    let server = reading(&model).start().await;
    let ada = server.user("ada").await;
    let (_, document) = begun(&ada, TEXT).await;
    let ready = ada.settled(&document).await;
    let warning = &ready["warnings"][0];
    assert_eq!(warning["code"], "graph_by_rules", "{ready}");
    assert!(warning["message"].as_str().expect("words").contains("for 1 of 3 passages"), "{warning}");
}

#[tokio::test]
async fn over_a_kill_no_passage_is_asked_about_twice_once_it_is_committed() {
    let quick = Plan::Speak(vec![say(READ)]);
    let slow = Plan::Speak(vec![Piece::Gate(1), say(READ)]);
    let model = Model::with([quick.clone(), quick.clone(), quick.clone(), quick, slow]).await;
    let mut server = reading(&model).start().await;
    let mut ada = server.user("ada").await;
    let text: String = (0..12)
        .map(|n| format!("in its year number {n} the borealis pump of norvik marine ran for many hours without a stop, as the log says, and was oiled.\n\n"))
        .collect();
    let (_, document) = begun(&ada, &text).await;
    let path = format!("/api/documents/{document}");
    let all = eventually("the second batch is asked about", async || {
        let document = ada.read(&path).await;
        let is_there = document["metadata"]["read_chunks"] == 4 && model.asked().len() == 8;
        is_there.then(|| document["chunk_count"].as_u64().expect("a count"))
    })
    .await;
    assert!(all > 8, "{all}");
    server.kill();
    server = reading(&model).dir(&server.dir).start().await;
    ada.base.clone_from(&server.base);
    eventually("they are asked about again", async || (model.asked().len() >= 12).then_some(())).await;
    model.open(1);
    let ready = ada.settled(&document).await;
    assert_eq!((&ready["status"], warnings(&ready)), (&json!("ready"), vec![]), "{ready}");
    assert_eq!(ready["metadata"]["read_chunks"], all);
    assert_eq!(model.asked().len() as u64, all + 4, "those four whose answers were lost, and no others");
}

#[tokio::test]
async fn a_pause_does_not_wait_for_the_model() {
    let model = Model::speaking(&[Piece::Gate(1), say(READ)]).await;
    let server: Server = reading(&model).start().await;
    let ada = server.user("ada").await;
    let (_, document) = begun(&ada, TEXT).await;
    eventually("the model is asked", async || (model.asked().len() == 3).then_some(())).await;
    let job =
        ada.read(&format!("/api/documents/{document}")).await["job_id"].as_str().expect("a job").to_owned();
    assert!(ada.post(&format!("/api/jobs/{job}/pause"), json!({})).await.status < 300);
    eventually("the job is paused", async || {
        (ada.read(&format!("/api/jobs/{job}")).await["status"] == "paused").then_some(())
    })
    .await;
    eventually("nobody listens to the model", async || (model.ended() == 3).then_some(())).await;
    model.open(1);
    assert!(ada.post(&format!("/api/jobs/{job}/resume"), json!({})).await.status < 300);
    let ready = ada.settled(&document).await;
    assert_eq!((&ready["status"], warnings(&ready)), (&json!("ready"), vec![]), "{ready}");
}
