//! Files that are sent ahead, one a request, and the upload that makes one job of them.

use crate::{
    common::{Answer, Client, Server, Setup, eventually, form, messages, prose},
    sweep::age,
};
use serde_json::{Value, json};

async fn send(client: &Client, workspace: &str, name: &str, bytes: &[u8]) -> Answer {
    let path = format!("/api/workspaces/{workspace}/files");
    client.send(client.request("POST", &path).multipart(form(&[(name, bytes)]))).await
}

/// Sends a file that has to be taken; answers its id.
async fn sent(client: &Client, workspace: &str, name: &str, bytes: &[u8]) -> String {
    let answer = send(client, workspace, name, bytes).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["document_id"].as_str().expect("an id").to_owned()
}

async fn name(client: &Client, workspace: &str, ids: &[&str], key: Option<&str>) -> Answer {
    let named = ids.iter().fold(reqwest::multipart::Form::new(), |f, id| f.text("sent", (*id).to_owned()));
    let mut request = client.request("POST", &format!("/api/workspaces/{workspace}/documents"));
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    client.send(request.multipart(named)).await
}

fn ids(body: &Value) -> Vec<&str> {
    let documents = body["documents"].as_array().expect("documents");
    documents.iter().map(|d| d["document_id"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn files_that_were_sent_one_by_one_become_one_job_in_the_order_of_the_upload() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let answer = send(&client, &workspace, "../a.txt", b"A lantern on the bridge.").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let a = answer.json();
    assert_eq!(
        (&a["filename"], &a["mime_type"], &a["size_bytes"]),
        (&json!("a.txt"), &json!("text/plain"), &json!(24))
    );
    let a = a["document_id"].as_str().expect("an id").to_owned();
    let b = sent(&client, &workspace, "b.txt", &prose(1, 100)).await;
    let documents = format!("/api/workspaces/{workspace}/documents");
    assert_eq!(client.read(&documents).await["items"], json!([]), "they are no documents yet");
    client.get(&format!("/api/documents/{a}")).await.problem(404, "not_found");

    let answer = name(&client, &workspace, &[&b, &a], None).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let body = answer.json();
    assert_eq!((ids(&body), &body["rejected"]), (vec![&*b, &*a], &json!([])));
    let jobs = client.read("/api/jobs").await;
    assert_eq!(jobs["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&jobs["items"][0]["job_id"], &jobs["items"][0]["metrics"]["documents_total"]),
        (&body["job_id"], &json!(2))
    );
    for id in [&a, &b] {
        assert_eq!(client.settled(id).await["status"], "ready");
    }
    assert_eq!(client.get(&format!("/api/documents/{a}/content")).await.body, b"A lantern on the bridge.");
    assert_eq!(server.files("documents"), 2);
}

#[tokio::test]
async fn an_upload_that_is_sent_again_answers_the_same_documents_with_a_key_and_without() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let a = sent(&client, &workspace, "a.txt", b"A lantern.").await;
    let first = name(&client, &workspace, &[&a, &a], Some("batch")).await.json();
    assert_eq!(ids(&first), [&*a], "a file that is named twice is one document");
    for key in [Some("batch"), None] {
        let again = name(&client, &workspace, &[&a], key).await;
        assert_eq!(again.status, 202, "{again:?}");
        assert_eq!((ids(&again.json()), &again.json()["job_id"]), (vec![&*a], &first["job_id"]));
    }
    // With more files it is another upload.
    let b = sent(&client, &workspace, "b.txt", b"A bridge.").await;
    name(&client, &workspace, &[&a, &b], Some("batch")).await.problem(422, "idempotency_key_reused");
    let more = name(&client, &workspace, &[&a, &b], None).await.json();
    assert_ne!(more["job_id"], first["job_id"]);
    assert_eq!(ids(&more), [&*b, &*a]);
    assert_eq!(client.read("/api/jobs").await["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(server.files("documents"), 2);
}

#[tokio::test]
async fn a_file_is_refused_by_itself_and_leaves_nothing() {
    let server = Setup::new().env("INSIGHTHUB_MAX_FILE_BYTES", "1000").start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let large = send(&client, &workspace, "large.txt", &prose(1, 1_000)).await.problem(413, "too_large");
    assert_eq!(messages(&large, "file").len(), 1, "{large}");
    send(&client, &workspace, "a.bin", b"\x7fELF\x02\x01\x01\x00").await.problem(415, "unsupported_type");
    send(&client, &workspace, "empty.txt", b"").await.problem(422, "empty_file");
    let path = format!("/api/workspaces/{workspace}/files");
    let files: [(&str, &[u8]); 2] = [("a.txt", b"one"), ("b.txt", b"two")];
    let two = client.send(client.request("POST", &path).multipart(form(&files))).await;
    assert_eq!(messages(&two.problem(422, "invalid"), "file"), ["Send one file at a time."]);
    let none = reqwest::multipart::Form::new().text("other", "x");
    let none = client.send(client.request("POST", &path).multipart(none)).await;
    assert_eq!(messages(&none.problem(422, "invalid"), "file"), ["Choose a file."]);
    eventually("nothing is left", async || {
        (server.files("documents") + server.files("incoming") == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_that_is_gone_is_told_and_the_others_go_on() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let kept = sent(&client, &workspace, "a.txt", b"A lantern.").await;
    let gone = sent(&client, &workspace, "b.txt", b"A bridge.").await;
    let path = format!("/api/files/{gone}");
    assert_eq!(client.delete(&path).await.status, 204);
    assert_eq!(server.files("documents"), 1, "its file is gone with it");
    client.delete(&path).await.problem(404, "not_found");
    name(&client, &workspace, &[&gone], None).await.problem(422, "file_gone");
    let body = name(&client, &workspace, &[&gone, &kept], None).await.json();
    assert_eq!(ids(&body), [&*kept]);
    let rejected = &body["rejected"][0];
    assert_eq!((&rejected["filename"], &rejected["code"]), (&json!(gone), &json!("file_gone")));
    // A document is not taken back in this way.
    client.delete(&format!("/api/files/{kept}")).await.problem(404, "not_found");
    client.settled(&kept).await;
}

#[tokio::test]
async fn what_was_sent_elsewhere_or_by_somebody_else_is_not_there() {
    let server = Server::start().await;
    let (ada, bob) = (server.user("ada").await, server.user("bob").await);
    let first = ada.first_workspace().await;
    let made = ada.post("/api/workspaces", json!({ "name": "Papers" })).await.json();
    let papers = made["id"].as_str().expect("an id");
    let file = sent(&ada, &first, "a.txt", b"A lantern.").await;
    name(&ada, papers, &[&file], None).await.problem(422, "file_gone");
    name(&bob, &bob.first_workspace().await, &[&file], None).await.problem(422, "file_gone");
    bob.delete(&format!("/api/files/{file}")).await.problem(404, "not_found");
    let odd = name(&ada, &first, &["none"], None).await.problem(422, "invalid");
    assert_eq!(messages(&odd, "sent").len(), 1, "{odd}");
    let part = reqwest::multipart::Part::bytes(b"A bridge.".to_vec()).file_name("b.txt");
    let both = reqwest::multipart::Form::new().text("sent", file.clone()).part("file", part);
    let path = format!("/api/workspaces/{first}/documents");
    let both = ada.send(ada.request("POST", &path).multipart(both)).await.problem(422, "invalid");
    assert_eq!(messages(&both, "sent"), ["Send files or name them, not both in one form."]);
    assert_eq!(ids(&name(&ada, &first, &[&file], None).await.json()), [&*file]);
}

#[tokio::test]
async fn a_file_that_was_sent_ahead_outlives_a_killed_server() {
    let mut server = Setup::new().start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let file = sent(&client, &workspace, "a.txt", b"A lantern on the bridge.").await;
    server.kill();
    let kept = server.all_files();
    let orphan = kept[0].with_file_name("0197a000-0000-7000-8000-000000000001");
    std::fs::write(&orphan, "left behind").expect("written");
    for path in kept.iter().chain([&orphan]) {
        age(path, 100_000);
    }
    let server = Setup::new().dir(&server.dir).start().await;
    eventually("the server has swept", async || (!orphan.exists()).then_some(())).await;
    let client = Client { base: server.base.clone(), ..client };
    assert_eq!(ids(&name(&client, &workspace, &[&file], None).await.json()), [&*file]);
    assert_eq!(client.settled(&file).await["status"], "ready");
}
