//! Files that a workspace has already: skipped, made the next version of a document, or kept twice; by a form, by the tus
//! protocol, and ahead of everything by a question. Nobody learns what others have.

use crate::common::{Answer, Client, Server, form, prose};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn send(client: &Client, workspace: &str, files: &[(&str, &[u8])], way: &str) -> Answer {
    let path = format!("/api/workspaces/{workspace}/documents");
    let form = form(files).text("on_duplicate", way.to_owned());
    client.send(client.request("POST", &path).multipart(form)).await
}

async fn listed(client: &Client, workspace: &str) -> Vec<Value> {
    let list = client.read(&format!("/api/workspaces/{workspace}/documents?limit=200")).await;
    list["items"].as_array().expect("items").clone()
}

fn outcomes(answer: &Value) -> Vec<(&str, &str)> {
    let documents = answer["documents"].as_array().expect("documents").iter();
    documents
        .map(|d| (d["filename"].as_str().expect("a name"), d["outcome"].as_str().expect("an outcome")))
        .collect()
}

#[tokio::test]
async fn a_name_and_a_word_are_found_however_their_marks_were_written() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    // As macOS names files, and some programs write.
    let text = "The cafe\u{301} on the quay keeps a lantern.";
    let id = ada.upload_one(&workspace, "Zoe\u{308}.txt", text.as_bytes()).await;
    assert_eq!(ada.settled(&id).await["filename"], "Zo\u{eb}.txt");
    for typed in ["caf%C3%A9", "cafe%CC%81"] {
        let search = format!("/api/workspaces/{workspace}/search?q={typed}&retriever_type=keyword");
        let found = ada.read(&search).await;
        assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{typed}: {found}");
        assert!(
            found["items"][0]["chunk"]["text"].as_str().is_some_and(|text| text.contains("caf\u{e9}")),
            "{found}"
        );
        let looked = ada.read(&format!("/api/documents/{id}/chunks?q={typed}")).await;
        assert_eq!(looked["items"].as_array().map(Vec::len), Some(1), "{typed}: {looked}");
    }
    let replaced = send(&ada, &workspace, &[("Zo\u{eb}.txt", b"Another lantern.")], "replace").await.json();
    assert_eq!(outcomes(&replaced), [("Zo\u{eb}.txt", "replaced")]);
    let edited = ada.patch(&format!("/api/documents/{id}"), json!({ "add_tags": ["cafe\u{301}"] })).await;
    assert_eq!(edited.json()["tags"], json!(["caf\u{e9}"]), "{edited:?}");
}

#[tokio::test]
async fn an_upload_says_what_becomes_of_what_is_here_already() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let (text, other) = (prose(1, 400), prose(2, 400));
    let id = ada.upload_one(&workspace, "report.txt", &text).await;
    ada.settled(&id).await;

    // Who says nothing gets a document for each file, and is told that it is known.
    let kept = ada.upload(&workspace, &[("again.txt", &text)]).await.json();
    assert_eq!(outcomes(&kept), [("again.txt", "added")]);
    let again = kept["documents"][0]["document_id"].as_str().expect("an id");
    ada.settled(again).await;
    let history = ada.read(&format!("/api/documents/{again}/history?limit=200")).await.to_string();
    assert!(history.contains("Found an exact match: report.txt has the same content"), "{history}");
    ada.delete(&format!("/api/documents/{again}")).await;

    let skipped = send(&ada, &workspace, &[("copy.txt", &text), ("new.txt", &other)], "skip").await;
    assert_eq!(skipped.status, 202, "{skipped:?}");
    let skipped = skipped.json();
    assert_eq!(outcomes(&skipped), [("report.txt", "skipped"), ("new.txt", "added")]);
    assert_eq!(skipped["documents"][0]["document_id"], id, "the one that has it");
    assert_eq!(listed(&ada, &workspace).await.len(), 2);
    // All of it is here: nothing is to be done, and the job is the one that it came with.
    let all = send(&ada, &workspace, &[("copy.txt", &text)], "skip").await;
    assert_eq!(all.status, 202, "{all:?}");
    let document = ada.read(&format!("/api/documents/{id}")).await;
    assert_eq!(all.json()["job_id"], document["job_id"]);

    let replaced = send(&ada, &workspace, &[("report.txt", &prose(3, 400))], "replace").await.json();
    assert_eq!(outcomes(&replaced), [("report.txt", "replaced")]);
    assert_eq!(
        (&replaced["documents"][0]["document_id"], &replaced["documents"][0]["version"]),
        (&json!(id), &json!(2))
    );
    let settled = ada.settled(&id).await;
    assert_eq!(
        (&settled["status"], &settled["version"], &settled["next_version"]),
        (&json!("ready"), &json!(2), &Value::Null)
    );
    assert_eq!(listed(&ada, &workspace).await.len(), 2);

    let wrong = send(&ada, &workspace, &[("x.txt", &text)], "overwrite").await;
    let problem = wrong.problem(422, "invalid");
    assert_eq!(problem["errors"]["on_duplicate"][0], "One of: skip, replace, keep_both.");

    // The older address takes the same word.
    let form = form(&[("y.txt", other.as_slice())]).text("on_duplicate", "skip");
    let one = ada.send(ada.request("POST", "/v1/documents/").multipart(form)).await.json();
    assert_eq!(one["documents"][0]["outcome"], "skipped", "{one}");
    assert_eq!(one["document_id"], skipped["documents"][1]["document_id"]);
}

#[tokio::test]
async fn a_skipped_file_leaves_nothing_on_the_disk() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let text = prose(1, 200);
    let id = ada.upload_one(&workspace, "a.txt", &text).await;
    ada.settled(&id).await;
    let files = || {
        let users = std::fs::read_dir(server.dir.path().join("files/users")).expect("a folder");
        let of = |user: std::fs::DirEntry| {
            std::fs::read_dir(user.path().join("documents")).expect("a folder").count()
        };
        users.map(|user| of(user.expect("an entry"))).sum::<usize>()
    };
    let before = files();
    for name in ["b.txt", "a.txt"] {
        let skipped = send(&ada, &workspace, &[(name, &text)], "skip").await;
        assert_eq!(skipped.json()["documents"][0]["outcome"], "skipped");
    }
    assert_eq!(files(), before);
}

#[tokio::test]
async fn files_that_are_sent_ahead_and_tus_uploads_say_it_too_and_a_lost_answer_costs_nothing() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let text = prose(1, 200);
    let id = ada.upload_one(&workspace, "a.txt", &text).await;
    ada.settled(&id).await;

    let path = format!("/api/workspaces/{workspace}/files");
    let sent =
        ada.send(ada.request("POST", &path).multipart(form(&[("b.txt", text.as_slice())]))).await.json();
    let file = sent["document_id"].as_str().expect("an id").to_owned();
    let join = async |way: &'static str| {
        let form = reqwest::multipart::Form::new().text("sent", file.clone()).text("on_duplicate", way);
        let path = format!("/api/workspaces/{workspace}/documents");
        ada.send(ada.request("POST", &path).multipart(form)).await
    };
    for _ in 0..2 {
        let answer = join("skip").await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let answer = answer.json();
        let one = &answer["documents"][0];
        assert_eq!(
            (&one["file_id"], &one["document_id"], &one["outcome"]),
            (&json!(file), &json!(id), &json!("skipped"))
        );
    }

    for (way, bytes, document) in [
        ("skip", text.clone(), Some(&id)),
        ("replace", prose(2, 200), Some(&id)),
        ("keep_both", text.clone(), None),
    ] {
        let pair = |(key, value): (&str, &str)| format!("{key} {}", BASE64.encode(value));
        let metadata = [("filename", "a.txt"), ("on_duplicate", way)].map(pair).join(",");
        let request = ada.request("POST", "/api/uploads").header("upload-length", bytes.len());
        let request = request
            .header("upload-metadata", metadata)
            .header("content-type", "application/offset+octet-stream");
        let made = ada.send(request.body(bytes)).await;
        assert_eq!(made.status, 201, "{way}: {made:?}");
        let place = made.header("location").to_owned();
        // Asked after it is through, as by one whose last answer was lost.
        let standing = ada.read(&place).await;
        let own = place.rsplit('/').next().expect("an id");
        let wanted = document.map_or(own, String::as_str);
        assert_eq!(standing["document_id"], wanted, "{way}: {standing}");
        assert_eq!(standing["received_bytes"], standing["size_bytes"]);
        ada.settled(wanted).await;
    }
    assert_eq!(ada.read(&format!("/api/documents/{id}")).await["version"], 2);
    let request = ada.request("POST", "/api/uploads").header("upload-length", 1);
    let metadata = format!("filename {},on_duplicate {}", BASE64.encode("a.txt"), BASE64.encode("no"));
    ada.send(request.header("upload-metadata", metadata)).await.problem(422, "invalid");
}

#[tokio::test]
async fn a_thousand_files_are_asked_for_in_one_request_and_others_are_never_looked_at() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let (text, other) = (prose(1, 200), prose(2, 150));
    let first = ada.upload_one(&workspace, "a.txt", &text).await;
    ada.upload_one(&workspace, "b.txt", &other).await;
    let file = |name: String, bytes: &[u8]| json!({ "filename": name, "size_bytes": bytes.len(), "sha256": sha256(bytes) });
    let mut files: Vec<Value> =
        (0..997).map(|n| file(format!("{n}.txt"), n.to_string().as_bytes())).collect();
    files.push(file("copy.txt".into(), &text));
    files.push(file("b.txt".into(), &text));
    files.push(json!({ "filename": "c.txt", "size_bytes": text.len() }));
    let path = format!("/api/workspaces/{workspace}/files/check");
    let answer = ada.post(&path, json!({ "files": files })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let items = answer.json()["items"].as_array().expect("items").clone();
    assert_eq!(items.len(), 1_000);
    assert!(
        items[..997]
            .iter()
            .all(|i| i["same"].is_null() && i["namesake"].is_null() && i["same_size"] == false)
    );
    assert_eq!((&items[997]["same"]["document_id"], &items[997]["namesake"]), (&json!(first), &Value::Null));
    assert_eq!(
        (&items[998]["same"]["filename"], &items[998]["namesake"]["filename"]),
        (&json!("a.txt"), &json!("b.txt"))
    );
    assert_eq!(
        (&items[999]["same"], &items[999]["same_size"]),
        (&Value::Null, &json!(true)),
        "its hash would tell"
    );

    files.push(file("one too many".into(), b"x"));
    ada.post(&path, json!({ "files": files })).await.problem(422, "invalid");
    let wrong = ada.post(&path, json!({ "files": [{ "filename": "a", "sha256": "xyz" }] })).await;
    assert_eq!(
        wrong.problem(422, "invalid")["errors"]["files[0].sha256"][0],
        "It has 64 hexadecimal digits."
    );

    // Of another workspace, and of another person, nothing is told.
    let bob = server.user("bob").await;
    let theirs = bob.first_workspace().await;
    let elsewhere = ada.post("/api/workspaces", json!({ "name": "Elsewhere" })).await.json();
    let elsewhere = elsewhere["id"].as_str().expect("an id").to_owned();
    for (client, workspace) in [(&bob, &theirs), (&ada, &elsewhere)] {
        let path = format!("/api/workspaces/{workspace}/files/check");
        let answer = client.post(&path, json!({ "files": [file("a.txt".into(), &text)] })).await.json();
        let nothing = json!([{ "same": null, "namesake": null, "same_size": false }]);
        assert_eq!(answer["items"], nothing);
        let taken = send(client, workspace, &[("a.txt", &text)], "skip").await.json();
        assert_eq!(outcomes(&taken), [("a.txt", "added")]);
    }
    bob.post(&path, json!({ "files": [] })).await.problem(404, "not_found");
}
