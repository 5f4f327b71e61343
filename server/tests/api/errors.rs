//! Failures by what they have in common: over REST, and on the page.

use crate::common::{Client, Server, eventually};
use serde_json::{Value, json};

/// Not a PDF, although it begins like one.
const TORN: &[u8] = b"%PDF-1.7\nThis is all that is left of it.";

async fn groups(client: &Client, query: &str) -> Vec<Value> {
    let answer = client.read(&format!("/api/errors{query}")).await;
    answer["items"].as_array().expect("items").clone()
}

#[tokio::test]
async fn what_failed_is_told_in_groups_tried_again_and_put_aside() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    assert!(groups(&ada, "").await.is_empty());
    for name in ["a.pdf", "b.pdf"] {
        let id = ada.upload_one(&workspace, name, TORN).await;
        assert_eq!(ada.settled(&id).await["status"], "failed");
    }
    let id = ada.upload_one(&workspace, "fine.txt", b"This one can be read.").await;
    assert_eq!(ada.settled(&id).await["status"], "ready");
    let found = groups(&ada, "").await;
    assert_eq!(found.len(), 1, "{found:?}");
    let group = &found[0];
    assert_eq!(
        (&group["count"], &group["phase"], &group["type"]),
        (&json!(2), &json!("loading"), &json!("application/pdf"))
    );
    assert_eq!((&group["workspaces"], &group["workspace_id"]), (&json!(1), &json!(workspace)));
    let code = group["code"].as_str().expect("a code").to_owned();

    assert_eq!(groups(&ada, &format!("?workspace={workspace}&phase=loading&days=1")).await.len(), 1);
    assert!(groups(&ada, "?phase=indexing").await.is_empty());
    assert!(groups(&ada, "?type=text/plain").await.is_empty());
    ada.get("/api/errors?phase=crawling").await.problem(422, "invalid");
    ada.get("/api/errors?days=0").await.problem(422, "invalid");
    let bob = server.user("bob").await;
    assert!(groups(&bob, "").await.is_empty());
    bob.get(&format!("/api/errors?workspace={workspace}")).await.problem(404, "not_found");

    // The page says the same, and its choices are addresses.
    let html = ada.page_after("/errors", None).await;
    for part in ["2 documents failed", &code, "Loading · PDF", "phase=embedding", "type=application%2Fpdf"] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    assert!(ada.page_after("/errors?phase=indexing", None).await.contains("Nothing has failed"));

    // A group is tried again by one action in each workspace; a second time finds nothing before it failed again.
    let retried = ada.post("/api/errors/retry", json!({ "code": code })).await;
    assert_eq!(retried.status, 202);
    let actions = retried.json()["actions"].as_array().expect("actions").clone();
    assert_eq!(actions.len(), 1);
    assert_eq!((&actions[0]["action"], &actions[0]["total"]), (&json!("retry"), &json!(2)));
    let again = eventually("both have failed again", async || {
        let page = ada.read(&format!("/api/workspaces/{workspace}/documents")).await;
        let all = page["items"].as_array().expect("documents").clone();
        let tried = |d: &&Value| d["status"] == "failed" && d["attempt"] == 2;
        (all.iter().filter(tried).count() == 2).then_some(all)
    })
    .await;
    assert_eq!(again.len(), 3);
    assert_eq!(groups(&ada, "").await[0]["count"], 2);

    let mut other_tab = ada.socket().await;
    other_tab.hello(Value::Null, Value::Null).await;
    let body = json!({ "code": code, "phase": "loading" });
    let resolved = ada.post("/api/errors/resolve", body.clone()).await.json();
    assert_eq!(resolved["resolved"], 2);
    // Every open page hears of it, and nothing of a second time, where nothing was left.
    assert_eq!(ada.post("/api/errors/resolve", body).await.json()["resolved"], 0);
    let edit = json!({ "description": "Seen to." });
    assert_eq!(ada.patch(&format!("/api/workspaces/{workspace}"), edit).await.status, 200);
    let told = other_tab.events_until(|e| e["data"]["description"] == "Seen to.").await;
    let of_workspace = told.iter().filter(|e| e["event"] == "workspace_status");
    let told: Vec<_> = of_workspace.map(|e| (&e["data"]["id"], &e["data"]["counts"]["failed"])).collect();
    let failed = (&json!(workspace), &json!(2));
    assert_eq!(told, [failed, failed]);
    assert!(groups(&ada, "").await.is_empty());
    assert_eq!(groups(&ada, "?resolved=true").await[0]["count"], 2);
    ada.post("/api/errors/resolve", json!({ "phase": "crawling" })).await.problem(422, "invalid");
    bob.post("/api/errors/retry", json!({ "workspace": workspace })).await.problem(404, "not_found");
}
