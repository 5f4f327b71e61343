//! Actions over many documents, and workspaces whose work is paused as a whole.

use crate::common::{Client, Server, Setup, eventually, messages, prose};
use serde_json::{Value, json};

async fn begin(client: &Client, workspace: &str, body: Value) -> Value {
    let answer = client.post(&format!("/api/workspaces/{workspace}/bulk"), body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let bulk = answer.json();
    assert_eq!(answer.header("location"), format!("/api/bulk/{}", bulk["id"].as_str().expect("an id")));
    bulk
}

async fn ended(client: &Client, bulk: &Value) -> Value {
    let path = format!("/api/bulk/{}", bulk["id"].as_str().expect("an id"));
    eventually("the action is through", async || {
        let now = client.read(&path).await;
        (now["status"] == "completed").then_some(now)
    })
    .await
}

/// So many good files and bad ones, all through; answers the ids of both.
async fn mixed(ada: &Client, workspace: &str, good: usize, bad: usize) -> (String, Vec<String>, Vec<String>) {
    let good_files =
        (0..good).map(|n| (format!("good-{n}.txt"), format!("A lantern, number {n}.").into_bytes()));
    let bad_files = (0..bad).map(|n| (format!("bad-{n}.pdf"), b"%PDF-1.4 broken".to_vec()));
    let files: Vec<(String, Vec<u8>)> = good_files.chain(bad_files).collect();
    let parts: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let upload = ada.upload(workspace, &parts).await.json();
    let ids: Vec<String> = upload["documents"]
        .as_array()
        .expect("documents")
        .iter()
        .map(|d| d["document_id"].as_str().expect("an id").to_owned())
        .collect();
    let job = upload["job_id"].as_str().expect("an id").to_owned();
    let path = format!("/api/jobs/{job}");
    eventually("all are through", async || (ada.read(&path).await["status"] == "completed").then_some(()))
        .await;
    let (good, bad) = ids.split_at(good);
    (job, good.to_vec(), bad.to_vec())
}

#[tokio::test]
async fn all_that_failed_is_retried_by_one_request_and_the_counts_move_live() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let (job, good, bad) = mixed(&ada, &workspace, 2, 3).await;
    let mut other_tab = ada.socket().await;
    other_tab.hello(Value::Null, Value::Null).await;
    let bulk = begin(&ada, &workspace, json!({ "action": "retry", "filter": { "status": "failed" } })).await;
    assert_eq!(
        (&bulk["total"], &bulk["action"], &bulk["status"]),
        (&json!(3), &json!("retry"), &json!("running"))
    );
    let told = other_tab.events_until(|e| e["data"]["bulk"]["status"] == "completed").await;
    let handles: Vec<&Value> =
        told.iter().filter(|e| e["event"] == "workspace_status").map(|e| &e["data"]["bulk"]).collect();
    assert_eq!(handles.first().expect("one")["done"], 0);
    assert_eq!(
        (&handles.last().expect("one")["done"], &handles.last().expect("one")["id"]),
        (&json!(3), &bulk["id"])
    );
    let done = ended(&ada, &bulk).await;
    assert_eq!((&done["done"], &done["refused"], &done["failed"]), (&json!(3), &json!(0), &json!(0)));
    let again = ada.read(&format!("/api/jobs/{job}")).await;
    assert_eq!(again["attempt"], 2, "one attempt for all of them");
    for document in &bad {
        let path = format!("/api/documents/{document}");
        eventually("it was tried again", async || {
            let now = ada.read(&path).await;
            (now["attempt"] == 2 && now["status"] == "failed").then_some(())
        })
        .await;
    }
    // What is ready is not retried, whoever asks.
    let ids = json!({ "action": "retry", "ids": good });
    let done = ended(&ada, &begin(&ada, &workspace, ids).await).await;
    assert_eq!((&done["done"], &done["refused"]), (&json!(0), &json!(2)));
    let by_name = json!({ "action": "cancel", "filter": { "q": "GOOD-1" } });
    assert_eq!(begin(&ada, &workspace, by_name).await["total"], 1);
}

#[tokio::test]
async fn a_deletion_of_many_goes_on_over_a_kill_takes_each_once_and_is_undone_as_a_whole() {
    let mut server = Server::start().await;
    let mut ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let (_, good, _) = mixed(&ada, &workspace, 150, 0).await;
    let since = ada.read("/api/status/changes").await["seq"].as_u64().expect("a number");
    let epoch = ada.read("/api/status/changes").await["epoch"].as_str().expect("text").to_owned();
    let bulk = begin(&ada, &workspace, json!({ "action": "delete", "filter": {} })).await;
    assert_eq!(bulk["total"], 150);
    server.kill();
    let dir = server.dir.clone();
    server = Setup::new().dir(&dir).start().await;
    ada.base.clone_from(&server.base);
    let done = ended(&ada, &bulk).await;
    assert_eq!((&done["done"], &done["failed"], &done["refused"]), (&json!(150), &json!(0), &json!(0)));
    let list = ada.read(&format!("/api/workspaces/{workspace}/documents")).await;
    assert_eq!(list["items"], json!([]));

    let path = format!("/api/bulk/{}/undo", bulk["id"].as_str().expect("an id"));
    let answer = ada.post(&path, json!({})).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let undo = answer.json();
    assert_eq!(ada.post(&path, json!({})).await.json()["id"], undo["id"], "a second click is the first");
    let back = ended(&ada, &undo).await;
    let total = back["done"].as_u64().expect("a number") + back["refused"].as_u64().expect("a number");
    assert_eq!((back["failed"].as_u64(), total), (Some(0), 150), "{back}");
    let (mut told, mut after) = (vec![], since);
    loop {
        let more = ada.read(&format!("/api/status/changes?epoch={epoch}&after={after}")).await;
        assert_eq!(more["resumed"], true);
        after = more["seq"].as_u64().expect("a number");
        match more["events"].as_array().expect("events").as_slice() {
            [] => break,
            some => told.extend(some.iter().cloned()),
        }
    }
    let count = |name: &str| told.iter().filter(|e| e["event"] == name).count() as u64;
    assert_eq!(count("document_deleted"), 150, "each once");
    assert_eq!(count("document_status"), back["done"].as_u64().expect("a number"));
    let page = format!("/api/workspaces/{workspace}/documents?limit=200");
    let list = ada.read(&page).await["items"].as_array().expect("items").len() as u64;
    assert_eq!(list, back["done"].as_u64().expect("a number"));
    assert_eq!(good.len(), 150);
}

#[tokio::test]
async fn a_request_says_what_is_meant_and_is_carried_out_once() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let path = format!("/api/workspaces/{workspace}/bulk");
    let problem = ada.post(&path, json!({ "action": "restore", "filter": {} })).await.problem(422, "invalid");
    assert_eq!(
        messages(&problem, "action"),
        ["One of: retry, delete, cancel, pause, resume, reindex, enable, disable, tag, untag."]
    );
    for (body, field) in [
        (json!({ "action": "retry" }), "ids"),
        (json!({ "action": "retry", "ids": [] }), "ids"),
        (json!({ "action": "retry", "ids": ["x"] }), "ids"),
        (json!({ "action": "retry", "ids": [workspace], "filter": {} }), "filter"),
        (json!({ "action": "retry", "filter": { "status": "done" } }), "filter.status"),
        (json!({ "action": "delete", "filter": { "stauts": "failed" } }), "filter"),
    ] {
        let problem = ada.post(&path, body.clone()).await.problem(422, "invalid");
        assert!(!messages(&problem, field).is_empty(), "{body}: {problem}");
    }
    let misspelt = json!({ "action": "delete", "filter": { "stauts": "failed" } });
    let problem = ada.post(&path, misspelt).await.problem(422, "invalid");
    assert_eq!(
        messages(&problem, "filter"),
        ["Nothing here is called `stauts`, expected one of `status`, `q`, `tag`."]
    );
    let send = async |body: Value| {
        ada.send(ada.request("POST", &path).header("idempotency-key", "press-1").json(&body)).await
    };
    let first = send(json!({ "action": "pause", "filter": {} })).await;
    assert_eq!((first.status, first.json()["status"].clone()), (202, json!("completed")), "nothing is there");
    assert_eq!(send(json!({ "action": "pause", "filter": {} })).await.json()["id"], first.json()["id"]);
    send(json!({ "action": "delete", "filter": {} })).await.problem(422, "idempotency_key_reused");
    let eve = server.user("eve").await;
    let id = first.json()["id"].as_str().expect("an id").to_owned();
    eve.get(&format!("/api/bulk/{id}")).await.problem(404, "not_found");
    eve.post(&path, json!({ "action": "delete", "filter": {} })).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_paused_workspace_takes_files_and_begins_nothing_also_after_a_restart() {
    let mut server = Server::start().await;
    let mut ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let place = format!("/api/workspaces/{workspace}");
    let long = ada.upload_one(&workspace, "long.txt", &prose(1, 30_000)).await;
    let path = format!("/api/documents/{long}");
    eventually("it is in work", async || {
        (ada.read(&path).await["step"] == "creating_embeddings").then_some(())
    })
    .await;
    let answer = ada.post(&format!("{place}/pause"), json!({ "stop": "now" })).await;
    assert_eq!((answer.status, answer.json()["paused"].clone()), (202, json!(true)), "{answer:?}");
    ada.post(&format!("{place}/pause"), json!({ "stop": "later" })).await.problem(422, "invalid");
    let job = ada.read(&path).await["job_id"].as_str().expect("an id").to_owned();
    let job_path = format!("/api/jobs/{job}");
    eventually("its job stands", async || (ada.read(&job_path).await["status"] == "paused").then_some(()))
        .await;
    assert_ne!(ada.read(&path).await["status"], "ready", "in the middle of it");
    let late = ada.upload_one(&workspace, "late.txt", b"A lantern.").await;
    let late_path = format!("/api/documents/{late}");
    let late_job = ada.read(&late_path).await["job_id"].as_str().expect("an id").to_owned();
    eventually("what came meanwhile stands as well", async || {
        (ada.read(&format!("/api/jobs/{late_job}")).await["status"] == "paused").then_some(())
    })
    .await;
    ada.post(&format!("{job_path}/resume"), json!({})).await.problem(409, "workspace_paused");
    server.terminate();
    server.ended().await;
    let dir = server.dir.clone();
    server = Setup::new().dir(&dir).start().await;
    ada.base.clone_from(&server.base);
    assert_eq!(ada.read(&place).await["paused"], true);
    // Another workspace is worked on meanwhile.
    let made = ada.post("/api/workspaces", json!({ "name": "Papers" })).await.json();
    let other = ada.upload_one(made["id"].as_str().expect("an id"), "other.txt", b"A bridge.").await;
    assert_eq!(ada.settled(&other).await["status"], "ready");
    assert_eq!(ada.read(&late_path).await["status"], "pending");

    let answer = ada.post(&format!("{place}/resume"), json!({})).await;
    assert_eq!((answer.status, answer.json()["paused"].clone()), (202, json!(false)));
    assert_eq!(ada.settled(&late).await["status"], "ready");
    assert_eq!(ada.settled(&long).await["status"], "ready");
    drop(server);
}
