//! Taking everything along, and leaving: exports and the deletion of an account.

use crate::common::{AT_ONCE, Client, PASSWORD, Server, Setup, engine, eventually, messages, prose};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row};
use std::time::Duration;
use storage::Engine;

const EXPORT: &str = "/api/auth/export";
const ACCOUNT: &str = "/api/auth/account";

/// Waits for the newest export to come to its end; answers it.
async fn exported(client: &Client) -> Value {
    eventually("the export is over", async || {
        let export = client.read(EXPORT).await;
        matches!(export["status"].as_str(), Some("ready" | "failed")).then_some(export)
    })
    .await
}

/// The file of an export that is ready.
async fn file(client: &Client) -> Value {
    let export = exported(client).await;
    assert_eq!(export["status"], "ready", "{export}");
    let answer = client.get(&format!("{EXPORT}/content")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(export["bytes"], answer.body.len());
    answer.json()
}

async fn leave(client: &Client, password: &str) -> crate::common::Answer {
    client.send(client.request("DELETE", ACCOUNT).json(&json!({ "password": password }))).await
}

#[tokio::test]
async fn an_export_has_everything_of_its_owner_and_nothing_else() {
    let server = Server::start().await;
    let (ada, bob) = (server.user("ada").await, server.user("bob").await);
    let workspace = ada.first_workspace().await;
    let text = prose(1, 400);
    let document = ada.upload_one(&workspace, "notes.txt", &text).await;
    bob.upload_one(&bob.first_workspace().await, "secret-of-bob.txt", &prose(2, 100)).await;
    ada.settled(&document).await;
    let key = ada.new_key("nightly", &["read"]).await;
    ada.get(EXPORT).await.problem(404, "no_export");
    ada.get(&format!("{EXPORT}/content")).await.problem(404, "no_export");

    let mut socket = ada.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    let started = ada.send(ada.request("POST", EXPORT)).await;
    assert_eq!((started.status, started.header("location")), (202, EXPORT));
    let id = started.json()["id"].clone();
    let told = socket.events_until(|e| e["data"]["export"]["status"] == "ready").await;
    let told: Vec<&Value> = told.iter().filter(|e| e["event"] == "settings_changed").collect();
    let statuses: Vec<&str> = told.iter().filter_map(|e| e["data"]["export"]["status"].as_str()).collect();
    assert_eq!(statuses, ["pending", "running", "ready"]);
    assert!(told.iter().all(|e| e["data"]["export"]["id"] == id && e["data"]["user"]["username"] == "ada"));

    let answer = ada.get(&format!("{EXPORT}/content")).await;
    assert!(answer.header("content-disposition").starts_with("attachment; filename=\"insighthub-export-20"));
    let whole = file(&ada).await;
    assert_eq!((&whole["format"], &whole["version"]), (&json!("insighthub-export"), &json!(1)));
    assert_eq!(whole["account"]["email"], "ada@example.org");
    assert_eq!(whole["preferences"]["theme"], "system");
    assert_eq!(whole["sessions"].as_array().map(Vec::len), Some(1));
    assert_eq!(whole["api_keys"][0]["name"], "nightly");
    assert_eq!(whole["workspaces"][0]["name"], "My documents");
    assert_eq!(whole["workspaces"][0]["rag_config"]["chunk_size"], 1000);
    let exported_document = &whole["workspaces"][0]["documents"][0];
    assert_eq!((&exported_document["id"], &exported_document["status"]), (&json!(document), &json!("ready")));
    let chunks = ada.read(&format!("/api/documents/{document}/chunks?limit=200")).await["items"].clone();
    assert!(chunks.as_array().is_some_and(|c| c.len() > 1));
    assert_eq!(exported_document["chunks"], chunks);
    assert_eq!(whole["jobs"][0]["status"], "completed");
    let seqs: Vec<u64> =
        whole["history"].as_array().expect("events").iter().filter_map(|e| e["seq"].as_u64()).collect();
    assert!(seqs.len() > 5 && seqs.iter().zip(1..).all(|(a, b)| *a == b), "{seqs:?}");

    let text = String::from_utf8(answer.body).expect("text");
    let secret = key["secret"].as_str().expect("a secret");
    let cookie = ada.cookie.as_deref().and_then(|c| c.split_once('=')).expect("a cookie").1;
    for hidden in [secret, cookie, "argon2", "token_hash", "secret_hash", "secret-of-bob"] {
        assert!(!text.contains(hidden), "{hidden}");
    }
    bob.get(EXPORT).await.problem(404, "no_export");
}

#[tokio::test]
async fn a_second_press_is_the_same_export_and_a_new_one_takes_the_place_of_the_old() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let press = || async { ada.send(ada.request("POST", EXPORT).header("idempotency-key", "press-1")).await };
    let first = press().await.json();
    file(&ada).await;
    let again = press().await;
    assert_eq!((again.status, &again.json()["id"]), (202, &first["id"]));
    let second = ada.send(ada.request("POST", EXPORT)).await.json();
    assert_ne!(second["id"], first["id"]);
    assert_eq!(file(&ada).await["account"]["username"], "ada");
    assert_eq!(ada.read(EXPORT).await["id"], second["id"]);
    eventually("the old file is gone", async || (server.files("exports") == 1).then_some(())).await;
    // A part of the file, for a download that goes on.
    let part = ada.request("GET", &format!("{EXPORT}/content")).header("range", "bytes=0-9");
    let part = ada.send(part).await;
    assert_eq!((part.status, part.body.as_slice()), (206, b"{\"format\":".as_slice()));
}

/// A start clears away what was half-written, and goes on at once, where nobody else can be at work on it. Elsewhere it
/// waits for leases and for a day to be over.
mod on_sqlite {
    use super::*;

    #[tokio::test]
    async fn an_export_that_a_crash_broke_off_is_made_all_the_same() {
        let mut server = Server::start().await;
        let mut ada = server.user("ada").await;
        let workspace = ada.first_workspace().await;
        let mut documents = vec![];
        for n in 0..6 {
            documents.push(ada.upload_one(&workspace, &format!("{n}.txt"), &prose(n, 4_000)).await);
        }
        for document in &documents {
            ada.settled(document).await;
        }
        let mut broken_off = 0;
        for round in 0..8u64 {
            let id = ada.send(ada.request("POST", EXPORT)).await.json()["id"].clone();
            // From the first millisecond on: some hit it waiting, some in the middle, some find it done.
            tokio::time::sleep(Duration::from_millis(round * 3)).await;
            server.kill();
            // The next one may be through with it before anybody asks.
            let mut database = server.dir.connect().await;
            let status: String = sqlx::query_scalar("SELECT status FROM exports WHERE id = $1")
                .bind(id.as_str().expect("an id"))
                .fetch_one(&mut database)
                .await
                .expect("the export");
            broken_off += u32::from(status != "ready");
            drop(database);
            let dir = server.dir.clone();
            server = Setup::new().dir(&dir).start().await;
            ada.base.clone_from(&server.base);
            let whole = file(&ada).await;
            assert_eq!(ada.read(EXPORT).await["id"], id);
            let found = whole["workspaces"][0]["documents"].as_array().expect("documents").len();
            assert_eq!(found, documents.len());
            eventually("one file is left, whole", async || {
                ((server.files("exports"), server.files("incoming")) == (1, 0)).then_some(())
            })
            .await;
        }
        assert!(broken_off > 0, "no kill hit an export");
    }
}

/// In which tables something names that id, in any column.
async fn mentions(server: &Server, id: &str) -> Vec<String> {
    let mut conn = server.dir.connect().await;
    let (all, place) = match engine() {
        Engine::Sqlite => (
            "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT LIKE '%chunk_text%' ORDER BY t.name, c.cid",
            "instr",
        ),
        // The Any driver does not know the type of these names.
        Engine::Postgres => (
            "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT) FROM information_schema.columns \
             WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
            "strpos",
        ),
    };
    let all = sqlx::query(all).fetch_all(&mut conn).await.expect("columns");
    let mut found = vec![];
    for row in all {
        let (table, column): (String, String) = (row.get(0), row.get(1));
        let sql =
            format!("SELECT COUNT(*) FROM \"{table}\" WHERE {place}(CAST(\"{column}\" AS TEXT), '{id}') > 0");
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut conn).await.expect("counted");
        if count > 0 {
            found.push(format!("{table}.{column}"));
        }
    }
    found
}

async fn rows(server: &Server, table: &str) -> i64 {
    let mut conn = server.dir.connect().await;
    sqlx::query_scalar(AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}")))
        .fetch_one(&mut conn)
        .await
        .expect("counted")
}

/// Nothing of the person is left but the ids of the deletion.
async fn assert_gone(server: &Server, user: &str, name: &str) {
    eventually("the deletion is through", async || {
        server.log().contains("a deletion is through").then_some(())
    })
    .await;
    let mentioned = mentions(server, user).await;
    assert_eq!(mentioned, ["deletions.doomed_id", "deletions.user_id"]);
    assert_eq!(mentions(server, name).await, Vec::<String>::new());
    let files = server.all_files();
    assert!(files.iter().all(|f| !f.display().to_string().contains(user)), "{files:?}");
    assert_eq!(server.files("incoming"), 0);
}

#[tokio::test]
async fn a_deleted_account_is_closed_at_once_and_then_nothing_of_it_is_left() {
    let mut server = Server::start().await;
    let (ada, bob) = (server.user("ada-lovelace").await, server.user("bob").await);
    let user = ada.read("/api/auth/me").await["id"].as_str().expect("an id").to_owned();
    let workspace = ada.first_workspace().await;
    ada.post("/api/workspaces", json!({ "name": "Papers" })).await;
    // With a word that nobody else has; what the index keeps of its beginning may be shared with another one.
    let notes = [prose(1, 600), b" Qzxwvkjpfq.".to_vec()].concat();
    let document = ada.upload_one(&workspace, "notes.txt", &notes).await;
    let his = bob.upload_one(&bob.first_workspace().await, "his.txt", &prose(2, 600)).await;
    ada.settled(&document).await;
    bob.settled(&his).await;
    let key = ada.program(&ada.new_key("nightly", &["read"]).await);
    ada.send(ada.request("POST", EXPORT)).await;
    exported(&ada).await;
    let hers = ada.read(&format!("/api/documents/{document}/chunks?limit=200")).await;
    let hers = i64::try_from(hers["items"].as_array().expect("chunks").len()).expect("few");
    let both = rows(&server, "chunks").await;
    assert_eq!(both, rows(&server, "chunk_text").await);
    let his_chunks = bob.read(&format!("/api/documents/{his}/chunks?limit=200")).await;
    let text = |value: Value| value.as_str().expect("an id").to_owned();
    let ids = [
        workspace.clone(),
        document.clone(),
        text(ada.read("/api/jobs").await["items"][0]["job_id"].clone()),
        text(ada.read("/api/auth/sessions").await["items"][0]["id"].clone()),
        text(ada.read("/api/auth/api-keys").await["items"][0]["id"].clone()),
        text(ada.read(EXPORT).await["id"].clone()),
    ];
    // And one that is being worked on.
    ada.upload_one(&workspace, "long.txt", &prose(3, 200_000)).await;

    let problem = leave(&ada, "Not-my-password-1").await.problem(403, "wrong_password");
    assert!(!messages(&problem, "password").is_empty(), "{problem}");
    leave(&ada, "").await.problem(422, "invalid");
    assert_eq!(ada.get("/api/auth/me").await.status, 200, "nothing happened");

    let mut sockets = vec![ada.socket().await, key.socket_with(&[]).await.expect("the upgrade")];
    for socket in &mut sockets {
        socket.hello(Value::Null, Value::Null).await;
    }
    let left = leave(&ada, PASSWORD).await;
    assert_eq!(left.status, 202, "{left:?}");
    assert!(left.json()["job_id"].is_string());
    assert!(left.header("set-cookie").contains("Max-Age=0"), "{left:?}");
    for socket in &mut sockets {
        let code = tokio::time::timeout(AT_ONCE, socket.close_code()).await;
        assert_eq!(code.expect("at once"), 4401);
    }
    ada.get("/api/auth/me").await.problem(401, "unauthorized");
    key.get("/api/jobs").await.problem(401, "unauthorized");
    let visitor = server.visitor();
    let sign_in = json!({ "email": "ada-lovelace@example.org", "password": PASSWORD });
    let refused = visitor.post("/api/auth/login", sign_in).await.problem(401, "wrong_credentials");
    let stranger = json!({ "email": "stranger@example.org", "password": PASSWORD });
    let unknown = visitor.post("/api/auth/login", stranger).await.problem(401, "wrong_credentials");
    assert_eq!(refused["detail"], unknown["detail"], "one message for both");

    assert_gone(&server, &user, "ada-lovelace").await;
    // Exactly what is Bob's is left.
    for (table, left) in [
        ("chunks", both - hers),
        ("chunk_text", both - hers),
        ("chunk_vectors", both - hers),
        ("documents", 1),
        ("workspaces", 1),
        ("users", 1),
        ("sessions", 1),
        ("api_keys", 0),
        ("exports", 0),
        ("jobs", 1),
    ] {
        assert_eq!(rows(&server, table).await, left, "{table}");
    }
    for id in &ids {
        assert_eq!(mentions(&server, id).await, Vec::<String>::new(), "{id}");
    }
    // Bob has all that he had.
    assert_eq!(bob.read(&format!("/api/documents/{his}/chunks?limit=200")).await, his_chunks);
    assert_eq!(bob.get(&format!("/api/documents/{his}/content")).await.body, prose(2, 600));
    let hits = bob.read(&format!("/api/workspaces/{}/search?q=lantern", bob.first_workspace().await)).await;
    assert!(hits["items"].as_array().is_some_and(|h| !h.is_empty()));
    // And the name is free for somebody new, who starts with nothing.
    let anew = server.user("ada-lovelace").await;
    assert_eq!(anew.read("/api/jobs").await["items"], json!([]));

    // Nor does the file of the database have her words any more, though nobody could find them.
    server.terminate();
    server.ended().await;
    for entry in std::fs::read_dir(server.dir.path()).expect("a folder").flatten() {
        let bytes = std::fs::read(entry.path()).unwrap_or_default().to_ascii_lowercase();
        let found = bytes.windows(8).any(|part| part == b"xwvkjpfq");
        assert!(!found, "{}", entry.path().display());
    }
}

#[tokio::test]
async fn guesses_at_the_password_are_slowed_down_here_as_well() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    for _ in 0..5 {
        leave(&ada, "Not-my-password-1").await.problem(403, "wrong_password");
    }
    let refused = leave(&ada, PASSWORD).await;
    refused.problem(429, "too_many_attempts");
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|s| (1..=60).contains(&s)));
    assert_eq!(ada.get("/api/auth/me").await.status, 200);
}

#[tokio::test]
async fn an_upload_that_is_under_way_when_the_account_goes_leaves_nothing() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let user = ada.read("/api/auth/me").await["id"].as_str().expect("an id").to_owned();
    let workspace = ada.first_workspace().await;
    let part = |name: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n")
            .into_bytes()
    };
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Vec<u8>, std::io::Error>>();
    let begun = [part("a.txt"), prose(1, 500), b"\r\n".to_vec(), part("b.txt"), prose(2, 60_000)].concat();
    sender.unbounded_send(Ok(begun)).expect("sent");
    let request = ada
        .request("POST", &format!("/api/workspaces/{workspace}/documents"))
        .header("content-type", "multipart/form-data; boundary=x")
        .body(reqwest::Body::wrap_stream(receiver));
    let sending = tokio::spawn(request.send());
    eventually("one file is there and one is coming", async || {
        ((server.files("documents"), server.files("incoming")) == (1, 1)).then_some(())
    })
    .await;
    assert_eq!(leave(&ada, PASSWORD).await.status, 202);
    eventually("the first file is gone", async || (server.files("documents") == 0).then_some(())).await;
    sender.unbounded_send(Ok(b"\r\n--x--\r\n".to_vec())).expect("sent");
    drop(sender);
    let answer = sending.await.expect("joined").expect("an answer");
    assert!(answer.status().is_client_error(), "{answer:?}");
    assert_gone(&server, &user, "ada@example.org").await;
    assert_eq!(server.files("documents"), 0);
}

#[tokio::test]
async fn a_deletion_that_a_crash_broke_off_goes_on_by_itself() {
    let mut server = Server::start().await;
    let ada = server.user("ada").await;
    let mut bob = server.user("bob").await;
    let user = ada.read("/api/auth/me").await["id"].as_str().expect("an id").to_owned();
    let workspace = ada.first_workspace().await;
    let his = bob.upload_one(&bob.first_workspace().await, "his.txt", &prose(2, 300)).await;
    bob.settled(&his).await;
    let names: Vec<(String, Vec<u8>)> = (0..120).map(|n| (format!("{n}.txt"), prose(n, 60))).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|(n, b)| (n.as_str(), b.as_slice())).collect();
    let uploaded = ada.upload(&workspace, &files).await;
    assert_eq!(uploaded.status, 202, "{uploaded:?}");
    let job = uploaded.json()["job_id"].as_str().expect("an id").to_owned();
    eventually("all are ready", async || {
        (ada.read(&format!("/api/jobs/{job}")).await["status"] == "completed").then_some(())
    })
    .await;
    let all = rows(&server, "documents").await;
    assert_eq!(all, 121);
    assert_eq!(leave(&ada, PASSWORD).await.status, 202);
    let mut broken_off: Vec<i64> = vec![];
    while broken_off.len() < 4 {
        // The first kill comes at once: whoever looked before could find that all of it is through.
        if let Some(before) = broken_off.last().copied() {
            eventually("some more are gone", async || {
                (rows(&server, "documents").await < before).then_some(())
            })
            .await;
        }
        server.kill();
        let left = rows(&server, "documents").await;
        broken_off.push(left);
        // Until then nobody comes in.
        let dir = server.dir.clone();
        server = Setup::new().dir(&dir).start().await;
        bob.base.clone_from(&server.base);
        let visitor = server.visitor();
        let sign_in = json!({ "email": "ada@example.org", "password": PASSWORD });
        visitor.post("/api/auth/login", sign_in).await.problem(401, "wrong_credentials");
        if left == 1 {
            break;
        }
    }
    assert!(broken_off[0] > 1, "no kill hit the deletion: {broken_off:?}");
    assert_gone(&server, &user, "ada@example.org").await;
    assert_eq!(rows(&server, "documents").await, 1);
    assert_eq!(server.files("documents"), 1);
    assert_eq!(bob.read(&format!("/api/documents/{his}")).await["status"], "ready");
}
