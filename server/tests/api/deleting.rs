//! Deleting documents and workspaces: out of view at once, undone within seconds, gone for good after, whatever happens to
//! the server meanwhile.

use crate::common::{Client, Server, Setup, eventually, prose};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row};

async fn count(server: &Server, sql: &str) -> i64 {
    let mut database = server.dir.connect().await;
    let row = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut database).await.expect("a row");
    row.try_get(0).expect("a number")
}

/// What was deleted by now can be brought back for a minute more, whatever the machine does in the seconds that people have.
pub(crate) async fn leave_time_for_undo(server: &Server) {
    let mut database = server.dir.connect().await;
    for sql in [
        "UPDATE documents SET deleted_at = deleted_at + 60000000 WHERE deleted_at IS NOT NULL",
        "UPDATE conversations SET deleted_at = deleted_at + 60000000 WHERE deleted_at IS NOT NULL",
        "UPDATE deletions SET created_at = created_at + 60000000, not_before = not_before + 60000000 \
         WHERE completed_at IS NULL",
    ] {
        sqlx::query(sql).execute(&mut database).await.expect("put off");
    }
}

/// Kills the server as a power cut would, and starts it anew.
async fn crash(server: &mut Server, clients: &mut [&mut Client]) {
    server.kill();
    start_again(server, clients).await;
}

/// The same in the time that there is for an undo, which a start on a busy machine may take up.
async fn crash_before_undo(server: &mut Server, clients: &mut [&mut Client]) {
    server.kill();
    leave_time_for_undo(server).await;
    start_again(server, clients).await;
}

async fn start_again(server: &mut Server, clients: &mut [&mut Client]) {
    let dir = server.dir.clone();
    *server = Setup::new().dir(&dir).start().await;
    clients.iter_mut().for_each(|client| client.base.clone_from(&server.base));
}

async fn listed(client: &Client, workspace: &str) -> Vec<String> {
    let list = client.read(&format!("/api/workspaces/{workspace}/documents")).await;
    let items = list["items"].as_array().expect("items").iter();
    items.map(|d| d["id"].as_str().expect("an id").to_owned()).collect()
}

async fn found(client: &Client, workspace: &str, query: &str) -> usize {
    let hits = client.read(&format!("/api/workspaces/{workspace}/search?q={query}")).await;
    hits["items"].as_array().expect("items").len()
}

async fn delete(client: &Client, document: &str) -> Value {
    let answer = client.delete(&format!("/api/documents/{document}")).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()
}

async fn restore(client: &Client, what: &str) -> crate::common::Answer {
    client.post(&format!("/api/{what}/restore"), json!({})).await
}

#[tokio::test]
async fn a_deleted_document_is_nowhere_at_once_and_undo_brings_all_of_it_back() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let first = ada.upload_one(&workspace, "lantern.txt", b"A lantern on the quay.").await;
    let second = ada.upload_one(&workspace, "bridge.txt", b"A bridge over the river.").await;
    let before = ada.settled(&first).await;
    ada.settled(&second).await;
    let chunks = ada.read(&format!("/api/documents/{first}/chunks")).await;
    let hits = found(&ada, &workspace, "lantern").await;
    let mut other_tab = ada.socket().await;
    other_tab.hello(Value::Null, Value::Null).await;

    let deleted = delete(&ada, &first).await;
    leave_time_for_undo(&server).await;
    assert_eq!((&deleted["id"], &deleted["filename"]), (&json!(first), &json!("lantern.txt")));
    let told = other_tab.events_until(|e| e["event"] == "workspace_status").await;
    let gone = told.iter().find(|e| e["event"] == "document_deleted").expect("it is told");
    assert_eq!((&gone["data"]["id"], &gone["data"]["undo_until"]), (&json!(first), &deleted["undo_until"]));
    assert_eq!(told.last().expect("one")["data"]["counts"]["documents"], 1);
    for path in ["", "/chunks", "/content", "/history"] {
        ada.get(&format!("/api/documents/{first}{path}")).await.problem(404, "not_found");
    }
    assert_eq!(listed(&ada, &workspace).await, [second.as_str()]);
    let left = ada.read(&format!("/api/workspaces/{workspace}/search?q=lantern")).await;
    assert!(left["items"].as_array().expect("items").iter().all(|h| h["document"]["id"] != first));
    ada.delete(&format!("/api/documents/{first}")).await.problem(404, "not_found");
    let eve = server.user("eve").await;
    restore(&eve, &format!("documents/{first}")).await.problem(404, "not_found");

    let answer = restore(&ada, &format!("documents/{first}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let back = answer.json();
    assert!(back["rev"].as_u64() > deleted["rev"].as_u64());
    for field in ["status", "chunk_count", "content_hash", "created_at", "job_id"] {
        assert_eq!(back[field], before[field], "{field}");
    }
    let told = other_tab.events_until(|e| e["event"] == "workspace_status").await;
    assert!(told.iter().any(|e| e["event"] == "document_status" && e["data"]["id"] == first));
    assert_eq!(listed(&ada, &workspace).await, [second, first.clone()], "in its old place");
    assert_eq!(ada.read(&format!("/api/documents/{first}/chunks")).await, chunks);
    assert_eq!(found(&ada, &workspace, "lantern").await, hits);
    let content = ada.get(&format!("/api/documents/{first}/content")).await;
    assert_eq!(content.body, b"A lantern on the quay.");
    assert_eq!(
        restore(&ada, &format!("documents/{first}")).await.status,
        200,
        "a second click changes nothing"
    );
}

#[tokio::test]
async fn a_document_in_work_stops_its_job_ends_and_after_a_crash_undo_lets_it_go_on() {
    let mut server = Server::start().await;
    let mut ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let files = [("short.txt", prose(2, 400)), ("long.txt", prose(1, 30_000))];
    let parts: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_slice())).collect();
    let upload = ada.upload(&workspace, &parts).await.json();
    let job = format!("/api/jobs/{}", upload["job_id"].as_str().expect("an id"));
    let long = upload["documents"][1]["document_id"].as_str().expect("an id").to_owned();
    eventually("the long one is being embedded", async || {
        let now = ada.read(&job).await;
        let m = &now["metrics"];
        (m["documents_done"] == 1 && m["chunks_embedded"].as_u64() > Some(20)).then_some(())
    })
    .await;
    delete(&ada, &long).await;
    let ended = ada.read(&job).await;
    assert_eq!(
        (&ended["status"], &ended["metrics"]["documents_total"]),
        (&json!("completed"), &json!(1)),
        "{ended}"
    );
    assert_eq!(ended["metrics"]["chunks_embedded"], ended["metrics"]["chunks_created"]);
    let embedded = async |server: &Server| {
        let sql =
            "SELECT COUNT(*) FROM chunk_vectors v JOIN chunks c ON c.id = v.chunk_id WHERE c.document_id = ";
        count(server, &format!("{sql}'{long}'")).await
    };
    let mut last = embedded(&server).await;
    eventually("nobody works on it any more", async || {
        let now = embedded(&server).await;
        (std::mem::replace(&mut last, now) == now).then_some(())
    })
    .await;

    crash_before_undo(&mut server, &mut [&mut ada]).await;
    ada.get(&format!("/api/documents/{long}")).await.problem(404, "not_found");
    let answer = restore(&ada, &format!("documents/{long}")).await;
    assert_eq!((answer.status, answer.json()["status"].clone()), (200, json!("pending")), "{answer:?}");
    assert!(embedded(&server).await >= last, "what was done of it is kept");
    let ready = ada.settled(&long).await;
    assert_eq!(ready["status"], "ready");
    assert_eq!(ready["chunk_count"], embedded(&server).await);
    let own = ada.read(&format!("/api/jobs/{}", ready["job_id"].as_str().expect("an id"))).await;
    assert_eq!((&own["status"], &own["metrics"]["documents_total"]), (&json!("completed"), &json!(1)));
}

#[tokio::test]
async fn when_its_time_is_over_nothing_of_a_document_is_left_also_when_the_server_was_down_meanwhile() {
    let mut server = Server::start().await;
    let mut ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let gone = ada.upload_one(&workspace, "gone.txt", &prose(1, 2_000)).await;
    let stays = ada.upload_one(&workspace, "stays.txt", &prose(2, 400)).await;
    ada.settled(&gone).await;
    let kept = ada.settled(&stays).await;
    delete(&ada, &gone).await;
    assert_eq!(server.files("documents"), 2, "there is time");
    crash(&mut server, &mut [&mut ada]).await;
    eventually("it is gone for good", async || {
        (count(&server, "SELECT COUNT(*) FROM documents").await == 1).then_some(())
    })
    .await;
    let chunks = kept["chunk_count"].as_i64().expect("a number");
    for table in ["chunks", "chunk_vectors", "chunk_text"] {
        assert_eq!(count(&server, &format!("SELECT COUNT(*) FROM {table}")).await, chunks, "{table}");
    }
    assert_eq!(count(&server, &format!("SELECT COUNT(*) FROM tasks WHERE document_id = '{gone}'")).await, 0);
    assert!(server.all_files().iter().all(|file| !file.to_string_lossy().contains(&gone)));
    assert_eq!(server.files("documents"), 1);
    restore(&ada, &format!("documents/{gone}")).await.problem(404, "not_found");
    assert_eq!(ada.read(&format!("/api/documents/{stays}")).await["status"], "ready");
}

async fn full_workspace(ada: &Client, documents: usize) -> String {
    let made = ada.post("/api/workspaces", json!({ "name": "Papers" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let workspace = made.json()["id"].as_str().expect("an id").to_owned();
    let texts: Vec<(String, Vec<u8>)> = (0..documents)
        .map(|n| (format!("{n}.txt"), format!("Paper {n} about lanterns.").into_bytes()))
        .collect();
    let files: Vec<(&str, &[u8])> =
        texts.iter().map(|(name, text)| (name.as_str(), text.as_slice())).collect();
    let upload = ada.upload(&workspace, &files).await.json();
    let job = format!("/api/jobs/{}", upload["job_id"].as_str().expect("an id"));
    eventually("all are ready", async || (ada.read(&job).await["status"] == "completed").then_some(())).await;
    workspace
}

#[tokio::test]
async fn a_workspace_goes_live_document_by_document_over_a_kill_and_nothing_of_it_is_left() {
    let mut server = Server::start().await;
    let mut ada = server.user("ada").await;
    let first = ada.first_workspace().await;
    let stays = ada.upload_one(&first, "stays.txt", b"A lantern that stays.").await;
    ada.settled(&stays).await;
    let workspace = full_workspace(&ada, 60).await;
    // Something under way as well, and files that are no documents yet.
    ada.upload_one(&workspace, "long.txt", &prose(1, 60_000)).await;
    let path = format!("/api/workspaces/{workspace}/files");
    let sent =
        ada.send(ada.request("POST", &path).multipart(crate::common::form(&[("b.txt", b"A bridge.")]))).await;
    assert_eq!(sent.status, 201, "{sent:?}");

    let place = format!("/api/workspaces/{workspace}");
    let answer = ada.delete(&place).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let job = answer.json()["job_id"].as_str().expect("an id").to_owned();
    assert_eq!(ada.delete(&place).await.json()["job_id"], *job, "a second click is the first");
    let shown = ada.read(&place).await;
    assert_eq!((&shown["status"], &shown["counts"]["documents"]), (&json!("deleting"), &json!(61)));
    ada.upload(&workspace, &[("late.txt", b"Late.")]).await.problem(409, "workspace_deleting");
    let question = json!({ "query": "Where?", "workspace_id": workspace });
    ada.post("/v1/chat/", question).await.problem(409, "workspace_deleting");
    assert_eq!(found(&ada, &workspace, "lanterns").await, 0);
    let cancelled = ada.post(&format!("/api/jobs/{job}/cancel"), json!({})).await;
    assert_eq!(cancelled.problem(409, "job_deletes")["allowed"], json!([]));

    let job_path = format!("/api/jobs/{job}");
    // Whoever was kept from looking for a moment finds it through, and kills the server all the same.
    let midway = eventually("it has begun", async || {
        let now = ada.read(&job_path).await;
        (now["metrics"]["documents_done"].as_u64() > Some(0)).then_some(now)
    })
    .await;
    if midway["status"] == "running" {
        let told = midway["message"].as_str().expect("a sentence");
        assert!(told.starts_with("Deleting ") && told.ends_with(" of 61 documents"), "{told}");
    }
    crash(&mut server, &mut [&mut ada]).await;
    let mut other_tab = ada.socket().await;
    other_tab.hello(Value::Null, Value::Null).await;
    let now = ada.get(&job_path).await.json();
    if now["status"] == "running" {
        assert!(now["metrics"]["documents_done"].as_u64() >= midway["metrics"]["documents_done"].as_u64());
        let told = other_tab.events_until(|e| e["event"] == "job_complete").await;
        assert!(told.iter().any(|e| e["event"] == "workspace_deleted" && e["data"]["id"] == *workspace));
        let last = told.last().expect("one");
        assert_eq!((&last["data"]["job_id"], &last["data"]["progress"]), (&json!(job), &json!(100.0)));
    }
    ada.get(&place).await.problem(404, "not_found");
    restore(&ada, &format!("workspaces/{workspace}")).await.problem(404, "not_found");
    let ended = ada.read(&job_path).await;
    assert_eq!((&ended["status"], &ended["message"]), (&json!("completed"), &json!("61 documents deleted")));
    for (table, column) in [
        ("workspaces", "id"),
        ("documents", "workspace_id"),
        ("sent_files", "workspace_id"),
        ("index_versions", "workspace_id"),
    ] {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE {column} = '{workspace}'");
        assert_eq!(count(&server, &sql).await, 0, "{table}");
    }
    let sql = format!("SELECT COUNT(*) FROM jobs WHERE workspace_id = '{workspace}' AND id <> '{job}'");
    assert_eq!(count(&server, &sql).await, 0);
    for table in ["chunks", "chunk_vectors", "chunk_text"] {
        assert_eq!(count(&server, &format!("SELECT COUNT(*) FROM {table}")).await, 1, "{table}");
    }
    eventually("its files are gone", async || (server.files("documents") == 1).then_some(())).await;
    assert!(server.all_files().iter().filter(|f| f.to_string_lossy().contains("texts")).count() <= 1);
    assert_eq!(found(&ada, &first, "lantern").await, 1);
    eventually("the words are gone from the pages, too", async || {
        let sql =
            format!("SELECT COUNT(*) FROM deletions WHERE job_id = '{job}' AND completed_at IS NOT NULL");
        (count(&server, &sql).await == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_deletion_of_a_workspace_is_undone_within_its_time_and_its_work_goes_on() {
    let mut server = Server::start().await;
    let mut ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let long = ada.upload_one(&workspace, "long.txt", &prose(1, 20_000)).await;
    let path = format!("/api/documents/{long}");
    eventually("it is begun", async || (ada.read(&path).await["status"] != "pending").then_some(())).await;
    let place = format!("/api/workspaces/{workspace}");
    let job = ada.delete(&place).await.json()["job_id"].as_str().expect("an id").to_owned();
    crash_before_undo(&mut server, &mut [&mut ada]).await;
    assert_eq!(ada.read(&place).await["status"], "deleting");
    let answer = restore(&ada, &format!("workspaces/{workspace}")).await;
    assert_eq!((answer.status, answer.json()["status"].clone()), (200, json!("ready")), "{answer:?}");
    assert_eq!(ada.read(&format!("/api/jobs/{job}")).await["status"], "cancelled");
    let ready = ada.settled(&long).await;
    assert_eq!((&ready["status"], &ready["attempt"]), (&json!("ready"), &json!(1)));
    let done = ada.read(&format!("/api/jobs/{}", ready["job_id"].as_str().expect("an id"))).await;
    assert_eq!(done["metrics"]["chunks_embedded"], done["metrics"]["chunks_created"], "nothing twice");
    assert_eq!(restore(&ada, &format!("workspaces/{workspace}")).await.status, 200, "it is there");
}
