//! Several servers on one PostgreSQL and one RabbitMQ: what one of them does is seen at the others, workers of somebody's
//! own hear and report over the broker, and a broker that goes away costs nothing but time.

mod installation;

pub(crate) use installation::{
    Installation, broker_check, broker_of_the_run, is_heard_over_the_broker, moved,
};

use crate::{
    common::{PASSWORD, Server, Socket, eventually, prose},
    embeddings::{Embeddings, choose},
};
use installation::Listener;
use measure::{broker::Broker, peer};
use serde_json::{Value, json};
use sqlx::Row;
use std::{
    path::Path,
    pin::pin,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The next sign of life of a stream, which is answered.
async fn ping(socket: &mut Socket) -> Value {
    loop {
        let frame = socket.raw_frame().await;
        if frame["type"] == "ping" {
            lives(socket).await;
            return frame;
        }
    }
}

async fn lives(socket: &mut Socket) {
    socket.send(json!({ "type": "pong" })).await;
}

/// Does that while nobody reads these streams, which are not given up for it, however long it takes.
async fn meanwhile<T>(unread: &mut [&mut Socket], work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        for socket in unread.iter_mut() {
            lives(socket).await;
        }
    }
}

/// Each event came once, in order. There may be gaps: progress that waits is replaced by its successor.
fn once_and_in_order(told: &[Value]) {
    let seqs: Vec<u64> = told.iter().map(|frame| frame["seq"].as_u64().expect("a seq")).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "{seqs:?}");
}

#[tokio::test]
async fn two_servers_and_two_workers_hear_of_each_other() {
    let installation = Installation::new().await;
    let (here, there) = (installation.node("web").await, installation.node("web").await);
    let _workers = (installation.node("worker").await, installation.node("worker").await);
    for server in [&here, &there] {
        let metrics = String::from_utf8(server.visitor().get("/metrics").await.body).expect("text");
        assert!(metrics.contains("insighthub_broker_up 1"), "{metrics}");
    }
    let ada = here.user("ada").await;
    let ada_there = moved(&ada, &there);
    let workspace = ada.first_workspace().await;
    let (mut socket, mut socket_there) = (ada.socket().await, ada_there.socket().await);
    socket.hello(Value::Null, Value::Null).await;
    socket_there.hello(Value::Null, Value::Null).await;

    let bytes = prose(2, 100);
    let files: Vec<(String, &[u8])> = (0..8).map(|n| (format!("{n}.txt"), &bytes[..])).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    let answer = ada.upload(&workspace, &files).await;
    assert_eq!(answer.status, 202);
    for stream in [&mut socket, &mut socket_there] {
        let told = stream.events_until(|event| event["event"] == "job_complete").await;
        once_and_in_order(&told);
        let ready: std::collections::BTreeSet<&str> = told
            .iter()
            .filter(|event| event["event"] == "document_status" && event["data"]["status"] == "ready")
            .filter_map(|event| event["data"]["document_id"].as_str())
            .collect();
        assert_eq!(ready.len(), 8);
    }
    // From the id of the request, which the answer has, the log leads to the id of the work at whichever server.
    let request = answer.header("x-request-id").to_owned();
    let document = answer.json()["documents"][0]["document_id"].as_str().expect("an id").to_owned();
    let leads = |line: &str| line.contains(&request) && line.contains(&format!("correlation_id={document}"));
    assert!(here.log().lines().any(leads), "{request} to {document}");

    // And the other way round.
    is_heard_over_the_broker(&ada_there, &mut socket).await;
}

#[tokio::test]
async fn a_broker_that_is_killed_in_the_middle_of_a_job_costs_no_event() {
    let mut broker =
        tokio::task::spawn_blocking(|| Broker::start().expect("a broker")).await.expect("started");
    let installation = Installation::at(broker.url()).await;
    let (here, there) = (installation.node("web").await, installation.node("web").await);
    let _worker = installation.node("worker").await;
    let ada = here.user("ada").await;
    let ada_there = moved(&ada, &there);
    let workspace = ada.first_workspace().await;
    let mut socket = ada_there.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    let bytes = prose(3, 100);
    let names: Vec<String> = (0..20).map(|n| format!("{n}.txt")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &bytes[..])).collect();
    assert_eq!(ada.upload(&workspace, &files).await.status, 202);
    socket.events_until(|event| event["data"]["status"] == "processing").await;

    broker = tokio::task::spawn_blocking(move || {
        broker.kill();
        broker
    })
    .await
    .expect("killed");
    let away = eventually("it is told", async || {
        Some(broker_check(&ada_there).await).filter(|check| check["ok"] == false)
    })
    .await;
    assert!(away["detail"].as_str().expect("words").contains("Nothing is lost"), "{away}");
    assert_eq!(ada_there.get("/health/ready").await.status, 200, "people are served without it");
    // The page goes on meanwhile, a little later than usual, and says so.
    let mut page = ada_there.socket().await;
    page.hello(Value::Null, Value::Null).await;
    assert_eq!(ping(&mut page).await, json!({ "type": "ping", "late": true }));
    let ends = socket.events_until(|event| event["event"] == "job_complete");
    let told = meanwhile(&mut [&mut page], ends).await;
    once_and_in_order(&told);
    let begin = tokio::task::spawn_blocking(move || {
        broker.begin().expect("it starts again");
        broker
    });
    let _broker = meanwhile(&mut [&mut page, &mut socket], begin).await.expect("started");
    let connected = eventually("it is connected again", async || {
        broker_check(&ada_there).await["ok"].as_bool().filter(|ok| *ok)
    });
    meanwhile(&mut [&mut page, &mut socket], connected).await;
    while ping(&mut page).await["late"] == true {}
    assert_eq!(ada.patch("/api/auth/preferences", json!({ "theme": "dark" })).await.status, 200);
    socket.events_until(|event| event["data"]["user"]["theme"] == "dark").await;
    let counts = ada_there.read(&format!("/api/workspaces/{workspace}")).await["counts"].clone();
    assert_eq!((&counts["ready"], &counts["documents"]), (&json!(20), &json!(20)));
}

#[tokio::test]
async fn without_a_broker_a_long_poll_says_that_others_are_heard_late_and_waits_all_the_same() {
    let mut broker =
        tokio::task::spawn_blocking(|| Broker::start().expect("a broker")).await.expect("started");
    let installation = Installation::at(broker.url()).await;
    let node = installation.node("web").await;
    let ada = node.user("ada").await;
    let place = eventually("all is well", async || {
        Some(ada.read("/api/status/changes").await).filter(|changes| changes.get("late").is_none())
    })
    .await;
    let _broker = tokio::task::spawn_blocking(move || {
        broker.kill();
        broker
    })
    .await
    .expect("killed");
    eventually("it is told", async || {
        Some(ada.read("/api/status/changes").await).filter(|changes| changes["late"] == true)
    })
    .await;
    let poll = {
        let client = ada.clone();
        let epoch = place["epoch"].as_str().expect("an epoch");
        let path = format!("/api/status/changes?epoch={epoch}&after={}&wait=25", place["seq"]);
        tokio::spawn(async move { client.read(&path).await })
    };
    let waits = async || {
        let metrics = String::from_utf8(ada.get("/metrics").await.body).expect("text");
        metrics.contains("live_connections 1").then_some(())
    };
    eventually("the poll waits", waits).await;
    ada.patch("/api/auth/preferences", json!({ "theme": "dark" })).await;
    let came = poll.await.expect("an answer");
    assert_eq!(
        (&came["events"][0]["data"]["user"]["theme"], &came["late"]),
        (&json!("dark"), &json!(true)),
        "{came}"
    );
}

/// Whether the document is in somebody's hands, and how often it was taken.
async fn hold(installation: &Installation, document: &str) -> (bool, i64) {
    let sql = "SELECT status, fence FROM tasks WHERE document_id = $1";
    let mut conn = installation.place.as_ref().expect("a database of the run").connect().await;
    let row = sqlx::query(sql).bind(document).fetch_one(&mut conn).await.expect("a task");
    (row.get::<&str, _>(0) == "running", row.get(1))
}

#[tokio::test]
async fn the_work_of_a_worker_that_is_killed_is_taken_over_by_another() {
    let installation = Installation::new().await;
    let embeddings = Embeddings::start().await;
    let node = |role| installation.node_with(role, |setup| embeddings.told_to(setup));
    let (web, mut first) = (node("web").await, node("worker").await);
    let ada = web.user("ada").await;
    let workspace = ada.first_workspace().await;
    choose(&ada, &workspace).await;
    embeddings.hold(Some("lantern"));
    let document = ada.upload_one(&workspace, "held.txt", b"A lantern on the bridge.").await;
    let taken = async || hold(&installation, &document).await.0.then_some(());
    eventually("it is in the hands of the first", taken).await;
    let _second = node("worker").await;
    assert_eq!(hold(&installation, &document).await, (true, 1), "in the middle of it");
    first.kill();
    // How soon that is, `cargo xtask bench p7` measures.
    let taken = async || (hold(&installation, &document).await.1 > 1).then_some(());
    eventually("the second has taken it", taken).await;
    embeddings.hold(None);
    assert_eq!(ada.settled(&document).await["status"], "ready");
}

#[tokio::test]
async fn what_a_server_committed_before_it_stopped_or_was_killed_is_heard_at_the_others() {
    let installation = Installation::new().await;
    let there = installation.node("web").await;
    let ada = there.user("ada").await;
    let mut socket = ada.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    for (name, killed) in [("Ada, stopped", false), ("Ada, killed", true)] {
        let mut here = installation.node("web").await;
        let form = json!({ "full_name": name });
        assert_eq!(moved(&ada, &here).patch("/api/auth/profile", form).await.status, 200);
        // At once, with the event perhaps still in its hands.
        if killed {
            here.kill();
        } else {
            here.terminate();
            assert!(here.ended().await.success());
        }
        socket.events_until(|event| event["data"]["user"]["full_name"] == name).await;
    }
}

/// The example of the documentation.
const EXAMPLE: &str = include_str!("../../../../docs/examples/outside_worker.py");

/// Runs it. Ended when dropped.
struct Example(Child);

impl Example {
    fn start(installation: &Installation, server: &Server, key: &Value) -> Self {
        let python = peer::with_pika().expect("Python with pika");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/outside_worker.py");
        let child = Command::new(python)
            .arg("-B")
            .arg(script)
            .env("RABBITMQ_URL", installation.broker())
            .env("RABBITMQ_EXCHANGE", installation.exchange())
            .env("WORKER_QUEUE", format!("{}-example", installation.exchange()))
            .env("INSIGHTHUB_URL", &server.base)
            .env("INSIGHTHUB_KEY", key["secret"].as_str().expect("a secret"))
            .stdout(Stdio::null())
            .spawn();
        Self(child.expect("the example starts"))
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_example_of_an_outside_worker_turns_documents_ready() {
    let installation = Installation::new().await;
    let (here, there) = (installation.node("all").await, installation.node("web").await);
    let ada = here.user("ada").await;
    let made = ada.post("/api/workspaces", json!({ "name": "Scans", "processor": "external" })).await.json();
    let workspace = made["id"].as_str().expect("an id").to_owned();
    let mut socket = moved(&ada, &there).socket().await;
    socket.hello(Value::Null, Value::Null).await;
    // Before there is any worker: it is told when it comes.
    let early = ada.upload_one(&workspace, "early.txt", b"One.\n\nTwo.\n\nThree.").await;
    let key = ada.new_key("reader", &["read"]).await;
    assert!(EXAMPLE.lines().count() <= 80, "it is to be read at a glance");
    let _example = Example::start(&installation, &here, &key);
    let ready = ada.settled(&early).await;
    assert_eq!((&ready["status"], &ready["chunk_count"]), (&json!("ready"), &json!(3)), "{ready}");
    assert_eq!(ready["metadata"]["words"], 3);
    // In Latin-1, which the example does not read.
    let late = ada.upload_one(&workspace, "late.txt", b"Two caf\xe9s by the sea.\n").await;
    let failed = ada.settled(&late).await;
    assert_eq!((&failed["status"], &failed["error_code"]), (&json!("failed"), &json!("no_text")), "{failed}");
    let is_ready = |event: &Value| event["event"] == "document_status" && event["data"]["status"] == "ready";
    socket.events_until(is_ready).await;

    let history = ada.read(&format!("/api/documents/{early}/history?transitions=true&limit=200")).await;
    let last = history["items"].as_array().expect("items").last().expect("an entry").clone();
    assert_eq!(
        (&last["actor"]["kind"], &last["actor"]["key"]),
        (&json!("external_worker"), &json!("over RabbitMQ")),
        "{last}"
    );
}

#[tokio::test]
async fn a_bad_report_blocks_nobody_and_an_operator_sees_it() {
    let installation = Installation::new().await;
    let server = installation.node("all").await;
    let ada = server.user("ada").await;
    let made = ada.post("/api/workspaces", json!({ "name": "Scans", "processor": "external" })).await.json();
    let workspace = made["id"].as_str().expect("an id").to_owned();
    let document = ada.upload_one(&workspace, "a.txt", &prose(1, 50)).await;
    let outside = installation.reporter().await;
    // A move that the table does not have, a document that is not there, and something that is no report.
    outside.say(json!({ "document_id": document, "status": "ready" })).await;
    outside.say(json!({ "document_id": workspace, "status": "processing" })).await;
    outside.say(json!([1, 2])).await;
    outside.say(json!({ "document_id": document, "status": "processing", "step": "reading" })).await;
    outside.say(json!({ "document_id": document, "status": "ready", "chunk_count": 4 })).await;
    let ready = ada.settled(&document).await;
    assert_eq!((&ready["status"], &ready["chunk_count"]), (&json!("ready"), &json!(4)));

    eventually("all three are put aside", async || {
        let metrics = server.visitor().get("/metrics").await;
        let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
        metrics.contains("insighthub_outside_reports_total{outcome=\"refused\"} 3").then_some(())
    })
    .await;
    let check = installation.setup(&["check"]).command().output().expect("it runs");
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(!check.status.success(), "{said}");
    let counted = "messages to the broker that nobody could use: 3; mend who sent them";
    for part in [counted, "illegal_move", "not_found", "send a JSON object"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[tokio::test]
async fn what_was_not_theirs_or_was_refused_while_it_stood_outside_workers_hear_of_again() {
    let installation = Installation::new().await;
    // Nobody works here.
    let server = installation.node("web").await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let mut listener = Listener::at(&installation).await;
    let outside = installation.reporter().await;
    let document = ada.upload_one(&workspace, "a.txt", &prose(1, 50)).await;
    assert_eq!(listener.document().await, document, "it is nothing that this worker could take");
    let path = format!("/api/workspaces/{workspace}");
    assert_eq!(ada.patch(&path, json!({ "processor": "external" })).await.status, 200);
    assert_eq!(listener.document().await, document, "it is now");

    outside.say(json!({ "document_id": document, "status": "processing", "step": "reading" })).await;
    let path = format!("/api/documents/{document}");
    let begun = eventually("it is begun", async || {
        Some(ada.read(&path).await).filter(|now| now["status"] == "processing")
    })
    .await;
    let job = begun["job_id"].as_str().expect("its job").to_owned();
    assert_eq!(ada.post(&format!("/api/jobs/{job}/pause"), json!({})).await.status, 202);
    let ready = json!({ "document_id": document, "status": "ready", "chunk_count": 4 });
    outside.say(ready.clone()).await;
    eventually("that is refused while the job is paused", async || {
        let metrics = server.visitor().get("/metrics").await;
        let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
        metrics.contains("insighthub_outside_reports_total{outcome=\"refused\"} 1").then_some(())
    })
    .await;
    assert_eq!(ada.post(&format!("/api/jobs/{job}/resume"), json!({})).await.status, 202);
    assert_eq!(listener.document().await, document, "it is to be said again");
    outside.say(ready).await;
    let ready = ada.settled(&document).await;
    assert_eq!((&ready["status"], &ready["chunk_count"]), (&json!("ready"), &json!(4)));
}

#[tokio::test]
async fn reports_about_a_state_that_is_lost_are_taken_from_the_broker() {
    let installation = Installation::new().await;
    let mut server = installation.node("all").await;
    let ada = server.user("ada").await;
    let made = ada.post("/api/workspaces", json!({ "name": "Scans", "processor": "external" })).await.json();
    let workspace = made["id"].as_str().expect("an id").to_owned();
    let document = ada.upload_one(&workspace, "a.txt", &prose(1, 50)).await;
    let outside = installation.reporter().await;
    let begin = json!({ "document_id": document, "status": "processing", "step": "reading" });
    outside.say(begin.clone()).await;
    eventually("it is begun", async || {
        let now = ada.read(&format!("/api/documents/{document}")).await;
        (now["status"] == "processing").then_some(())
    })
    .await;
    server.terminate();
    assert!(server.ended().await.success());
    let mut listener = Listener::at(&installation).await;
    outside.say(begin.clone()).await;
    outside.say(json!({ "document_id": document, "status": "ready", "chunk_count": 9 })).await;
    let restored = installation.setup(&["restored"]).command().output().expect("it runs");
    let said = String::from_utf8_lossy(&restored.stdout).into_owned();
    assert!(restored.status.success() && said.contains("2 reports of outside workers taken"), "{said}");

    let server = installation.node("all").await;
    let ada = server.sign_in("ada", PASSWORD).await;
    assert_eq!(listener.document().await, document, "what was said of it is lost");
    outside.say(begin).await;
    outside.say(json!({ "document_id": document, "status": "ready", "chunk_count": 4 })).await;
    let ready = ada.settled(&document).await;
    assert_eq!((&ready["status"], &ready["chunk_count"]), (&json!("ready"), &json!(4)));
}
