//! Versions of a document: the one before is found until the next one is indexed, and is at hand from then on; whatever
//! happens to the server meanwhile. And what a person changes of a document beside its content.

use crate::common::{Client, Server, Setup, eventually, form, prose};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) async fn replace(client: &Client, workspace: &str, name: &str, bytes: &[u8]) -> Value {
    let path = format!("/api/workspaces/{workspace}/documents");
    let form = form(&[(name, bytes)]).text("on_duplicate", "replace");
    let answer = client.send(client.request("POST", &path).multipart(form)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let answer = answer.json();
    assert_eq!(answer["documents"][0]["outcome"], "replaced", "{answer}");
    answer
}

/// Its passages without what differs from run to run.
async fn passages(client: &Client, id: &str, version: &str) -> Vec<Value> {
    let (mut all, mut after) = (vec![], String::new());
    loop {
        let page = client.read(&format!("/api/documents/{id}/chunks?limit=200{version}{after}")).await;
        for chunk in page["items"].as_array().expect("items") {
            let mut chunk = chunk.clone();
            let fields = chunk.as_object_mut().expect("an object");
            fields.remove("id");
            fields.remove("document_id");
            all.push(chunk);
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
    }
}

fn without_version(passages: &[Value]) -> Vec<Value> {
    let bare = |passage: &Value| {
        let mut passage = passage.clone();
        passage.as_object_mut().expect("an object").remove("version");
        passage
    };
    passages.iter().map(bare).collect()
}

async fn content(client: &Client, id: &str, query: &str) -> Vec<u8> {
    let answer = client.get(&format!("/api/documents/{id}/content{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.header("content-disposition").starts_with("attachment"));
    answer.body
}

#[tokio::test]
async fn the_version_before_is_found_until_the_next_one_is_and_stays_at_hand() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let text = prose(1, 3_000);
    let id = ada.upload_one(&workspace, "report.txt", &text).await;
    let first = ada.settled(&id).await;
    let before = passages(&ada, &id, "").await;
    let alone = ada.read(&format!("/api/documents/{id}/versions")).await;
    assert_eq!(alone["items"].as_array().map(Vec::len), Some(1), "{alone}");

    // The end is another one: all that is the same is not embedded again.
    let mut longer = text.clone();
    longer.extend(b"\n\nThe zeppelin landed on the moon. ");
    let answer = replace(&ada, &workspace, "report.txt", &longer).await;
    let second = eventually("the next version is ready", async || {
        let document = ada.read(&format!("/api/documents/{id}")).await;
        (document["version"] == 2).then_some(document)
    })
    .await;
    assert_eq!((&second["status"], &second["created_at"]), (&json!("ready"), &first["created_at"]));
    assert_eq!(second["size_bytes"], longer.len());
    let job = ada.read(&format!("/api/jobs/{}", answer["job_id"].as_str().expect("a job"))).await;
    let skipped = job["metrics"]["chunks_skipped"].as_u64().expect("a number");
    assert!(skipped > 0, "{job}");

    let found = ada.read(&format!("/api/workspaces/{workspace}/search?q=zeppelin+moon&top_k=1")).await;
    assert_eq!(found["items"][0]["chunk"]["version"], 2, "{found}");
    assert_eq!(passages(&ada, &id, "&version=1").await, before);
    ada.get(&format!("/api/documents/{id}/chunks?version=1&q=a")).await.problem(422, "invalid");
    assert!(before.iter().all(|passage| passage["version"] == 1));
    let versions = ada.read(&format!("/api/documents/{id}/versions")).await;
    let items = versions["items"].as_array().expect("items");
    let states: Vec<_> = items.iter().map(|v| (v["version"].as_u64(), v["state"].as_str())).collect();
    assert_eq!(states, [(Some(2), Some("current")), (Some(1), Some("replaced"))]);
    assert_eq!(
        (&items[1]["content_hash"], &items[1]["chunk_count"]),
        (&first["content_hash"], &first["chunk_count"])
    );
    assert!(items.iter().all(|v| v["actor"]["kind"] == "user"), "{versions}");
    assert_eq!(content(&ada, &id, "").await, longer);
    assert_eq!(content(&ada, &id, "?version=1").await, text);
    ada.get(&format!("/api/documents/{id}/content?version=3")).await.problem(404, "not_found");
    ada.get(&format!("/api/documents/{id}/content?version=x")).await.problem(422, "invalid");
    let old = ada.read(&format!("/api/documents/{id}/preview?version=1")).await;
    assert!(!old["body"].as_str().expect("a text").contains("zeppelin"), "{old}");

    // Its history tells of it.
    let history = ada.read(&format!("/api/documents/{id}/history?limit=200")).await;
    let told = |next: Value, version: u64| {
        let entries = history["items"].as_array().expect("items").iter();
        let of =
            |entry: &&Value| entry["data"]["next_version"] == next && entry["data"]["version"] == version;
        entries.filter(|entry| entry["event"] == "document_status").any(|entry| of(&entry))
    };
    assert!(told(json!(2), 1) && told(Value::Null, 2), "{history}");

    // Deleted, nothing of any version is left.
    let key = |version: &str| {
        format!("files/users/{}/documents/{id}{version}", first["user_id"].as_str().expect("an id"))
    };
    assert!(server.dir.path().join(key("")).exists());
    ada.delete(&format!("/api/documents/{id}")).await;
    eventually("its files are gone", async || {
        let folder = server.dir.path().join("files/users").join(first["user_id"].as_str().expect("an id"));
        let files = std::fs::read_dir(folder.join("documents")).map_or(0, Iterator::count);
        let texts = folder.join("texts").join(&id).exists();
        (files == 0 && !texts).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_version_that_cannot_be_read_leaves_the_one_before_and_says_so() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let id =
        ada.upload_one(&workspace, "paper.pdf", &crate::pdf::simple(&["A lantern on the bridge."])).await;
    let first = ada.settled(&id).await;
    assert_eq!(first["status"], "ready", "{first}");
    let broken = b"%PDF-1.7\nnothing of what a PDF has".to_vec();
    let answer = replace(&ada, &workspace, "paper.pdf", &broken).await;
    let job = format!("/api/jobs/{}", answer["job_id"].as_str().expect("a job"));
    eventually("its job has failed", async || (ada.read(&job).await["status"] == "failed").then_some(()))
        .await;
    let kept = ada.read(&format!("/api/documents/{id}")).await;
    assert_eq!(
        (&kept["status"], &kept["version"], &kept["next_version"]),
        (&json!("ready"), &json!(1), &json!(2))
    );
    assert_eq!((&kept["content_hash"], &kept["metadata"]), (&first["content_hash"], &first["metadata"]));
    let warning = &kept["warnings"][0];
    assert_eq!(warning["code"], "replace_failed", "{kept}");
    let sentence = warning["message"].as_str().expect("a sentence");
    assert!(
        sentence.starts_with("Version 2 could not be processed, and version 1 is found as before."),
        "{sentence}"
    );
    let found = ada.read(&format!("/api/workspaces/{workspace}/search?q=lantern")).await;
    assert_eq!(found["items"][0]["chunk"]["version"], 1, "{found}");
    let versions = ada.read(&format!("/api/documents/{id}/versions")).await;
    assert_eq!(versions["items"][0]["state"], "failed", "{versions}");
}

#[tokio::test]
async fn after_any_kill_a_version_is_whole_or_the_one_before_is() {
    const KILLS: u64 = 8;
    let mut server = Server::start().await;
    let mut ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let next = prose(2, 12_000);
    // What the passages of the next version have to be in the end.
    let calm = ada.upload_one(&workspace, "calm.txt", &next).await;
    ada.settled(&calm).await;
    let expected = without_version(&passages(&ada, &calm, "").await);
    ada.delete(&format!("/api/documents/{calm}")).await;
    let id = ada.upload_one(&workspace, "report.txt", &prose(1, 1_000)).await;
    ada.settled(&id).await;
    let first = passages(&ada, &id, "").await;
    replace(&ada, &workspace, "report.txt", &next).await;
    for kill in 0..KILLS {
        // Anywhere in the work.
        tokio::time::sleep(Duration::from_millis(37 * (kill * kill % 11) + 20)).await;
        server.kill();
        let dir = server.dir.clone();
        server = Setup::new().dir(&dir).start().await;
        ada.base.clone_from(&server.base);
        let document = ada.read(&format!("/api/documents/{id}")).await;
        let found = passages(&ada, &id, "").await;
        match document["version"].as_u64() {
            Some(1) => assert_eq!(found, first, "{document}"),
            _ => assert_eq!(without_version(&found), expected, "{document}"),
        }
    }
    let document = eventually("the next version is ready", async || {
        let document = ada.read(&format!("/api/documents/{id}")).await;
        (document["version"] == 2).then_some(document)
    })
    .await;
    assert_eq!((&document["status"], &document["next_version"]), (&json!("ready"), &Value::Null));
    assert_eq!(without_version(&passages(&ada, &id, "").await), expected);
    assert_eq!(passages(&ada, &id, "&version=1").await, first, "none is lost on its way to the old ones");
    let versions = ada.read(&format!("/api/documents/{id}/versions")).await;
    assert_eq!(versions["items"].as_array().map(Vec::len), Some(2), "{versions}");
    server.kill();
    let check = Setup::new().dir(&server.dir.clone()).args(&["check"]).command().output().expect("it runs");
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && said.contains("0 faults"), "{said}");
}

#[tokio::test]
async fn a_document_is_renamed_tagged_disabled_and_previewed() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let markdown = b"# Lanterns\n\nA **lantern** on the <script>alert(1)</script> bridge.\n";
    let id = ada.upload_one(&workspace, "notes.md", markdown).await;
    ada.settled(&id).await;
    let path = format!("/api/documents/{id}");
    let mut socket = ada.socket().await;
    socket.hello(Value::Null, Value::Null).await;

    let edited = ada
        .patch(&path, json!({ "filename": "Lanterns", "add_tags": ["Night", "#bridges", "night "] }))
        .await;
    assert_eq!(edited.status, 200, "{edited:?}");
    let edited = edited.json();
    assert_eq!((&edited["filename"], &edited["tags"]), (&json!("Lanterns"), &json!(["bridges", "night"])));
    let told = socket.events_until(|event| event["event"] == "document_status").await;
    let told = &told.last().expect("an event")["data"];
    assert_eq!((&told["filename"], &told["tags"]), (&edited["filename"], &edited["tags"]));
    let named = async |tag: &str| {
        let list = ada.read(&format!("/api/workspaces/{workspace}/documents?tag={tag}")).await;
        list["items"].as_array().map(Vec::len)
    };
    assert_eq!((named("NIGHT").await, named("day").await), (Some(1), Some(0)));
    ada.get(&format!("/api/workspaces/{workspace}/documents?tag=%22")).await.problem(422, "invalid");
    let wrong = ada.patch(&path, json!({ "filename": " ", "tags": ["?"] })).await.problem(422, "invalid");
    assert_eq!(wrong["errors"]["filename"][0], "Enter a name.");
    assert!(
        wrong["errors"]["tags"][0].as_str().is_some_and(|text| text.contains("letters, digits")),
        "{wrong}"
    );
    ada.patch(&path, json!({ "remove_tags": ["night"] })).await;
    assert_eq!(named("night").await, Some(0));

    // A disabled one is found by nothing, by its words and by its meaning.
    let found = async || {
        let mut hits = 0;
        for retriever in ["keyword", "vector", "hybrid"] {
            let config = ada.read(&format!("/api/workspaces/{workspace}/rag-config")).await;
            let mut config = config.clone();
            config["retriever_type"] = retriever.into();
            let saved = ada
                .send(ada.request("PUT", &format!("/api/workspaces/{workspace}/rag-config")).json(&config))
                .await;
            assert_eq!(saved.status, 200, "{saved:?}");
            let found = ada.read(&format!("/api/workspaces/{workspace}/search?q=lantern")).await;
            hits += found["items"].as_array().map_or(0, Vec::len);
        }
        hits
    };
    assert_eq!(found().await, 3);
    assert_eq!(ada.patch(&path, json!({ "enabled": false })).await.json()["enabled"], false);
    assert_eq!(found().await, 0);
    ada.patch(&path, json!({ "enabled": true })).await;
    assert_eq!(found().await, 3);

    // Its file keeps the name that it came with, and what is shown of it holds no tag of its own.
    let preview = ada.read(&format!("{path}/preview")).await;
    assert_eq!(
        (&preview["kind"], &preview["whole"], &preview["version"]),
        (&json!("html"), &json!(true), &json!(1))
    );
    let body = preview["body"].as_str().expect("HTML");
    assert!(body.contains("<h3>Lanterns</h3>") && body.contains("<strong>lantern</strong>"), "{body}");
    assert!(body.contains("&lt;script&gt;") && !body.contains("<script"), "{body}");
    assert_eq!(content(&ada, &id, "").await, markdown);

    let bob = server.user("bob").await;
    for answer in [
        bob.patch(&path, json!({ "enabled": false })).await,
        bob.get(&format!("{path}/versions")).await,
        bob.get(&format!("{path}/preview")).await,
    ] {
        answer.problem(404, "not_found");
    }
}

#[tokio::test]
async fn many_are_disabled_and_tagged_at_once() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let mut ids = vec![];
    for n in 0..3 {
        ids.push(ada.upload_one(&workspace, &format!("{n}.txt"), &prose(n, 50)).await);
    }
    for id in &ids {
        ada.settled(id).await;
    }
    let bulk = async |body: Value| {
        let answer = ada.post(&format!("/api/workspaces/{workspace}/bulk"), body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let handle = format!("/api/bulk/{}", answer.json()["id"].as_str().expect("an id"));
        eventually("the action is through", async || {
            let bulk = ada.read(&handle).await;
            (bulk["status"] == "completed").then_some(bulk)
        })
        .await
    };
    let tagged = bulk(json!({ "action": "tag", "tag": "Old", "ids": ids[..2] })).await;
    assert_eq!((&tagged["done"], &tagged["total"]), (&json!(2), &json!(2)), "{tagged}");
    let disabled = bulk(json!({ "action": "disable", "filter": { "tag": "old" } })).await;
    assert_eq!(disabled["done"], 2, "{disabled}");
    let list = ada.read(&format!("/api/workspaces/{workspace}/documents?tag=old")).await;
    assert!(list["items"].as_array().expect("items").iter().all(|d| d["enabled"] == false), "{list}");
    bulk(json!({ "action": "untag", "tag": "old", "filter": {} })).await;
    bulk(json!({ "action": "enable", "filter": {} })).await;
    let list = ada.read(&format!("/api/workspaces/{workspace}/documents")).await;
    let items = list["items"].as_array().expect("items");
    assert!(items.iter().all(|d| d["enabled"] == true && d["tags"] == json!([])), "{list}");
    let wrong = ada
        .post(&format!("/api/workspaces/{workspace}/bulk"), json!({ "action": "tag", "filter": {} }))
        .await;
    assert_eq!(wrong.problem(422, "invalid")["errors"]["tag"][0], "Enter a tag.");
}
