//! What is told of a document besides its steps to the index: where it comes from, what kind it is, what is in a table, and
//! what of it the workspace knows already; and that nobody knows what somebody else has.

use crate::common::{Client, Server, prose};
use serde_json::Value;

/// A table of so many rows, the first of which are the same in each.
fn table(rows: usize) -> Vec<u8> {
    let row = |n: usize| format!("{n},Lamp {n},{}\n", n * 3 % 17);
    let rows: String = (1..=rows).map(row).collect();
    format!("number,name,price\n{rows}").into_bytes()
}

async fn ready(client: &Client, workspace: &str, name: &str, bytes: &[u8]) -> (Value, Value) {
    let id = client.upload_one(workspace, name, bytes).await;
    let document = client.settled(&id).await;
    assert_eq!(document["status"], "ready", "{document}");
    let job = document["job_id"].as_str().expect("a job");
    (document.clone(), client.read(&format!("/api/jobs/{job}")).await)
}

/// What the steps of a document said, by name.
async fn said(client: &Client, document: &Value, step: &str) -> Vec<String> {
    let id = document["id"].as_str().expect("an id");
    let history = client.read(&format!("/api/documents/{id}/history?limit=200")).await;
    let steps = history["items"].as_array().expect("items").iter().map(|entry| &entry["data"]);
    let of = steps.filter(|data| data["step"] == step && data["status"] == "in_progress");
    of.map(|data| data["message"].as_str().expect("a sentence").to_owned()).collect()
}

#[tokio::test]
async fn of_a_table_the_columns_and_of_the_next_one_what_is_new_are_told() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let (first, _) = ready(&ada, &workspace, "lamps.csv", &table(60)).await;
    assert_eq!(
        (&first["metadata"]["columns"], &first["metadata"]["rows"]),
        (&3.into(), &60.into()),
        "{first}"
    );
    assert_eq!(said(&ada, &first, "field_detection").await, ["Found 3 columns in your data"]);
    assert!(said(&ada, &first, "delta_analysis_complete").await.is_empty());
    let (second, _) = ready(&ada, &workspace, "lamps.csv", &table(65)).await;
    assert_eq!(
        said(&ada, &second, "delta_analysis_complete").await,
        ["Spotted the differences: 5 new rows, 60 I already know"]
    );
    assert_eq!(said(&ada, &second, "extracting").await, ["Reading through 65 rows…"]);
    assert!(said(&ada, &first, "extracting").await.is_empty(), "nothing was there to compare with");
    for (document, name) in [(&first, "lamps.csv"), (&second, "lamps.csv")] {
        assert_eq!(
            said(&ada, document, "duplicate_check").await,
            [format!("Checking if I've seen {name} before…")]
        );
    }
    let found = &second["metadata"];
    assert_eq!((&found["new_rows"], &found["existing_rows"]), (&5.into(), &60.into()), "{second}");
}

#[tokio::test]
async fn where_a_page_comes_from_and_what_kind_of_text_it_is_are_told() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let page = "<!doctype html><html><head><meta name=\"generator\" content=\"WordPress 6.4\"><title>Soup</title></head>\
        <body><main><h1>Soup</h1><p>Ingredients: salt, a teaspoon of thyme. Preheat the oven. Serves four.</p></main></body></html>";
    let (soup, _) = ready(&ada, &workspace, "soup.html", page.as_bytes()).await;
    assert_eq!(said(&ada, &soup, "platform_detection").await, ["This comes from WordPress"]);
    assert_eq!(said(&ada, &soup, "document_classification").await, ["This looks like a recipe"]);
    assert_eq!(
        (&soup["metadata"]["origin"], &soup["metadata"]["kind"]),
        (&"WordPress".into(), &"a recipe".into())
    );
    // Of which nothing can be told, nothing is.
    let (plain, _) = ready(&ada, &workspace, "plain.txt", b"A lantern on the bridge.").await;
    for step in ["platform_detection", "field_detection", "document_classification", "near_duplicate_found"] {
        assert!(said(&ada, &plain, step).await.is_empty(), "{step}: {plain}");
    }
}

#[tokio::test]
async fn what_the_workspace_knows_is_told_and_not_embedded_again_and_others_know_nothing_of_it() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let text = prose(7, 3_000);
    let (first, job) = ready(&ada, &workspace, "report.txt", &text).await;
    assert_eq!(job["metrics"]["chunks_skipped"], 0);
    let mut longer = text.clone();
    longer.extend(prose(8, 300));
    let (second, job) = ready(&ada, &workspace, "report-2.txt", &longer).await;
    let metrics = &job["metrics"];
    let number = |value: &Value| value.as_u64().expect("a number");
    let (created, skipped) = (number(&metrics["chunks_created"]), number(&metrics["chunks_skipped"]));
    assert_eq!(number(&metrics["chunks_embedded"]), created);
    assert!(skipped * 2 > created && skipped < created, "{job}");
    let found = &second["metadata"];
    assert_eq!(
        (&found["similar_to"], &found["similar_name"]),
        (&first["id"], &first["filename"]),
        "{second}"
    );
    assert_eq!(number(&found["known_chunks"]), skipped);
    assert_eq!(number(&found["new_chunks"]) + number(&found["shared_chunks"]), created);
    let sentence = said(&ada, &second, "near_duplicate_found").await.concat();
    assert!(sentence.contains(" % match with report.txt: "), "{sentence}");
    // Both are found, each by itself.
    let hits = ada.read(&format!("/api/workspaces/{workspace}/search?q=lantern&top_k=50")).await.to_string();
    assert!(hits.contains("\"report.txt\"") && hits.contains("\"report-2.txt\""));

    // Another workspace of the same person, and another person.
    let made = ada.post("/api/workspaces", serde_json::json!({ "name": "Elsewhere" })).await.json();
    let bob = server.user("bob").await;
    let theirs = bob.first_workspace().await;
    let elsewhere = made["id"].as_str().expect("an id").to_owned();
    for (client, workspace) in [(&ada, &elsewhere), (&bob, &theirs)] {
        let (document, job) = ready(client, workspace, "report.txt", &text).await;
        assert_eq!(job["metrics"]["chunks_skipped"], 0, "{job}");
        assert!(document["metadata"].get("similar_to").is_none(), "{document}");
    }
}
