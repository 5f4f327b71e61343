//! API keys: made once, seen once, and refused as soon as they are no good any more.

use crate::common::{AT_ONCE, Client, PATIENCE, Server, eventually, in_millis, messages, prose};
use domain::Timestamp;
use futures::StreamExt;
use serde_json::{Value, json};
use server::adapters::SystemClock;
use services::ports::Clock;
use tokio_tungstenite::tungstenite;

const KEYS: &str = "/api/auth/api-keys";

async fn short_lived(client: &Client, millis: i64) -> Client {
    client.program(&client.new_short_key("short", &["read", "write"], millis).await)
}

#[tokio::test]
async fn a_key_is_shown_once_and_kept_nowhere() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let answer = ada
        .post(
            KEYS,
            json!({ "name": " nightly ", "scopes": ["write", "read", "read"], "expires_in_days": 30 }),
        )
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let key = answer.json();
    let secret = key["secret"].as_str().expect("a secret");
    assert_eq!((secret.len(), &secret[..4]), (68, "ihk_"));
    assert_eq!(key["prefix"], secret[..12]);
    assert_eq!(key["name"], "nightly");
    assert_eq!(key["scopes"], json!(["read", "write"]));
    assert_eq!(key["last_used_at"], Value::Null);
    assert_eq!(answer.header("location"), format!("{KEYS}/{}", key["id"].as_str().expect("an id")));

    let mut listed = ada.read(KEYS).await["items"][0].clone();
    assert!(listed.get("secret").is_none(), "{listed}");
    listed["secret"] = key["secret"].clone();
    assert_eq!(listed, key);
    let program = ada.program(&key);
    assert_eq!(program.read("/api/workspaces").await["items"].as_array().map(Vec::len), Some(1));
    let used = async || {
        let key = ada.read(KEYS).await["items"][0].clone();
        key["last_used_at"].is_string().then_some(())
    };
    eventually("it is told that it was used", used).await;
    assert!(!server.log().contains(&secret[4..]), "the key stands in the log");
    for entry in std::fs::read_dir(server.dir.path()).expect("a folder").flatten() {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        let found = bytes.windows(64).any(|part| part == &secret.as_bytes()[4..]);
        assert!(!found, "the key stands in {}", entry.path().display());
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_key_is_told_at_its_field() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let problem = ada.post(KEYS, json!({})).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "name"), ["Use 1 to 60 characters."]);
    assert_eq!(messages(&problem, "scopes"), ["Choose at least one thing that the key may do."]);
    for (field, wrong) in [
        ("name", json!({ "name": "x".repeat(61) })),
        ("name", json!({ "name": 7 })),
        ("scopes", json!({ "scopes": ["everything"] })),
        ("scopes", json!({ "scopes": "read" })),
        ("expires_in_days", json!({ "expires_in_days": 0 })),
        ("expires_in_days", json!({ "expires_in_days": 3651 })),
        ("expires_in_days", json!({ "expires_in_days": "soon" })),
        ("expires_at", json!({ "expires_at": "soon" })),
        ("expires_at", json!({ "expires_at": "2001-01-01T00:00:00Z" })),
        ("expires_at", json!({ "expires_at": in_millis(60_000), "expires_in_days": 1 })),
    ] {
        let mut body = json!({ "name": "x", "scopes": ["read"] });
        body.as_object_mut().expect("an object").extend(wrong.as_object().expect("an object").clone());
        let problem = ada.post(KEYS, body).await.problem(422, "invalid");
        assert!(!messages(&problem, field).is_empty(), "{wrong}: {problem}");
    }
    ada.new_key("Backup", &["read"]).await;
    let problem = ada.post(KEYS, json!({ "name": "backup", "scopes": ["read"] })).await;
    assert_eq!(messages(&problem.problem(409, "name_taken"), "name"), ["You have another key of this name."]);
    for n in 1..50 {
        ada.new_key(&format!("key {n}"), &["read"]).await;
    }
    let problem = ada.post(KEYS, json!({ "name": "one more", "scopes": ["read"] })).await;
    problem.problem(409, "too_many_keys");
    assert_eq!(ada.read(KEYS).await["items"].as_array().map(Vec::len), Some(50));
}

#[tokio::test]
async fn the_same_idempotency_key_makes_one_key_and_shows_its_secret_once() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let send = |name: &'static str| {
        let body = json!({ "name": name, "scopes": ["read"] });
        ada.send(ada.request("POST", KEYS).header("idempotency-key", "press-1").json(&body))
    };
    let (first, again) = futures::join!(send("backup"), send("backup"));
    let mut statuses = [first.status, again.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 201]);
    let (made, known) = if first.status == 201 { (first, again) } else { (again, first) };
    let (made, known) = (made.json(), known.json());
    assert_eq!((&made["id"], &known["secret"]), (&known["id"], &Value::Null));
    ada.program(&made).read("/api/workspaces").await;
    assert_eq!(ada.read(KEYS).await["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_key_that_is_no_good_is_refused_with_its_reason_and_never_falls_back_to_the_cookie() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let made = ada.new_key("x", &["read"]).await;
    let key = ada.program(&made);
    let secret = key.key.clone().expect("a key");
    assert_eq!(key.get("/api/jobs").await.status, 200);
    assert_eq!(ada.delete(&format!("{KEYS}/{}", made["id"].as_str().expect("an id"))).await.status, 204);
    ada.delete(&format!("{KEYS}/{}", made["id"].as_str().expect("an id"))).await.problem(404, "not_found");

    let unknown = format!("ihk_{}", "0".repeat(64));
    for bad in [&secret, "", "x", "ihk_", &unknown, &secret[..67], &secret.to_uppercase()] {
        // The cookie beside it would be good.
        let both = Client { key: Some((*bad).to_owned()), ..ada.clone() };
        let refused = both.get("/api/jobs").await;
        refused.problem(401, "unauthorized");
        assert_eq!(
            refused.header("www-authenticate"),
            "Bearer realm=\"insighthub\", error=\"invalid_token\""
        );
    }
    let brief = short_lived(&ada, 400).await;
    let expired = eventually("the key has expired", async || {
        let answer = brief.get("/api/jobs").await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    expired.problem(401, "key_expired");
    // Another scheme is not ours, and the cookie counts.
    let basic = ada.request("GET", "/api/jobs").header("authorization", "Basic YTpi");
    assert_eq!(ada.send(basic).await.status, 200);
    // The scheme is written in any case.
    let made = ada.new_key("y", &["read"]).await;
    let value = format!("bearer {}", made["secret"].as_str().expect("a secret"));
    let visitor = server.visitor();
    assert_eq!(
        visitor.send(visitor.request("GET", "/api/jobs").header("authorization", value)).await.status,
        200
    );
}

#[tokio::test]
async fn a_scope_opens_what_it_names_and_its_lack_is_told() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let reader = ada.program(&ada.new_key("reader", &["read"]).await);
    let writer = ada.program(&ada.new_key("writer", &["write"]).await);
    let refused = reader.post("/api/workspaces", json!({ "name": "Papers" })).await;
    let problem = refused.problem(403, "missing_scope");
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains("`write`")), "{problem}");
    assert_eq!(
        refused.header("www-authenticate"),
        "Bearer realm=\"insighthub\", error=\"insufficient_scope\", scope=\"write\""
    );
    assert_eq!(writer.post("/api/workspaces", json!({ "name": "Papers" })).await.status, 201);
    writer.get("/api/workspaces").await.problem(403, "missing_scope");
    // A program's requests come from anywhere.
    let foreign = writer
        .request("PATCH", &format!("/api/workspaces/{workspace}"))
        .header("origin", "https://elsewhere.example")
        .header("sec-fetch-site", "cross-site")
        .json(&json!({ "description": "changed by a program" }));
    assert_eq!(writer.send(foreign).await.status, 200);
    // What only a person may do.
    for (method, path) in [
        ("GET", "/api/auth/me"),
        ("GET", KEYS),
        ("POST", "/api/auth/logout"),
        ("GET", "/"),
        ("POST", "/_fn/shell/read"),
    ] {
        let all = ada.program(
            &ada.new_key(&format!("{method} {path}"), &["read", "write", "chat", "status:write"]).await,
        );
        all.send(all.request(method, path)).await.problem(403, "session_required");
    }
    // An address that nobody asks for looks at no key, but nobody gets in by it either.
    assert_eq!(reader.get("/health/live").await.status, 200);
    let sign_in = reader
        .request("POST", "/api/auth/login")
        .header("origin", "https://elsewhere.example")
        .json(&json!({ "email": "ada@example.org", "password": crate::common::PASSWORD }));
    reader.send(sign_in).await.problem(403, "foreign_origin");
}

async fn wait_for_the_end(mut body: futures::stream::BoxStream<'static, reqwest::Result<axum::body::Bytes>>) {
    let all = async { while body.next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, all).await.expect("the stream ends");
}

#[tokio::test]
async fn the_streams_of_a_key_tell_everything_and_end_with_it() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let made = ada.new_key("follower", &["read", "write"]).await;
    let key = ada.program(&made);
    let other = ada.program(&ada.new_key("other", &["read"]).await);

    // From a foreign page even: it cannot have the key.
    let mut socket = key.socket_with(&[("origin", "https://elsewhere.example")]).await.expect("the upgrade");
    let welcome = socket.hello(Value::Null, Value::Null).await;
    let mut others = other.socket().await;
    others.hello(Value::Null, Value::Null).await;
    let mut hers = ada.socket().await;
    hers.hello(Value::Null, Value::Null).await;
    key.upload_one(&workspace, "a.txt", &prose(1, 50)).await;
    socket.events_until(|e| e["event"] == "job_complete").await;

    let stream = key.request("GET", "/api/status/events").send().await.expect("an answer");
    assert_eq!(stream.status(), 200);
    let stream = tokio::spawn(wait_for_the_end(stream.bytes_stream().boxed()));
    let (epoch, seq) = (
        welcome["epoch"].as_str().expect("an epoch").to_owned(),
        ada.read("/api/status/changes").await["seq"].clone(),
    );
    let poller = key.clone();
    let waiting = tokio::spawn(async move {
        poller.get(&format!("/api/status/changes?epoch={epoch}&after={seq}&wait=25")).await
    });
    let metrics = async || String::from_utf8(server.visitor().get("/metrics").await.body).expect("text");
    eventually("all five streams are open", async || {
        metrics().await.contains("insighthub_live_connections 5\n").then_some(())
    })
    .await;

    assert_eq!(ada.delete(&format!("{KEYS}/{}", made["id"].as_str().expect("an id"))).await.status, 204);
    let all_end = async {
        assert_eq!(socket.close_code().await, 4401);
        stream.await.expect("ended");
        waiting.await.expect("answered").problem(401, "unauthorized");
    };
    tokio::time::timeout(AT_ONCE, all_end).await.expect("at once");
    // Those of others go on.
    ada.upload_one(&workspace, "b.txt", &prose(2, 50)).await;
    others.events_until(|e| e["event"] == "job_complete").await;
    hers.events_until(|e| e["event"] == "job_complete").await;
}

#[tokio::test]
async fn the_stream_of_a_key_that_expires_ends_at_that_moment() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    // Long enough for both streams to be open before its end, also on a machine that is busy.
    let made = ada.new_short_key("short", &["read", "write"], 8_000).await;
    let end = Timestamp::parse(made["expires_at"].as_str().expect("a moment")).expect("a moment");
    let key = ada.program(&made);
    let mut socket = key.socket_with(&[]).await.expect("the upgrade");
    socket.hello(Value::Null, Value::Null).await;
    let stream = key.request("GET", "/api/status/events").send().await.expect("an answer");
    wait_for_the_end(stream.bytes_stream().boxed()).await;
    assert_eq!(socket.close_code().await, 4401);
    let late = SystemClock.now().micros() - end.micros();
    assert!((-50_000..AT_ONCE.as_micros() as i64).contains(&late), "{late} µs behind its end");
}

#[tokio::test]
async fn a_socket_is_not_opened_for_a_key_that_may_not() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let refused = async |client: &Client| match client.socket_with(&[]).await {
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        other => panic!("an upgrade: {:?}", other.err()),
    };
    let writer = ada.program(&ada.new_key("writer", &["write", "chat", "status:write"]).await);
    assert_eq!(refused(&writer).await, 403);
    let unknown = Client { key: Some(format!("ihk_{}", "0".repeat(64))), ..ada.clone() };
    assert_eq!(refused(&unknown).await, 401, "and the cookie beside it does not count");
}
