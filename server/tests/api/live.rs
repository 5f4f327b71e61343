//! The live socket: who may open it, what it says, and that nothing is missed.

use crate::{
    common::{AT_ONCE, Client, PATIENCE, Server, Setup, Socket, eventually, prose},
    embeddings::{Embeddings, KEY},
};
use domain::Timestamp;
use serde_json::{Value, json};
use std::time::Instant;
use tokio_tungstenite::tungstenite;

#[tokio::test]
async fn a_first_hello_is_welcomed_and_followed_by_what_changes() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let mut socket = client.socket().await;
    let welcome = socket.hello(Value::Null, Value::Null).await;
    assert_eq!(welcome["resumed"], false);
    let start = welcome["seq"].as_u64().expect("a seq");
    client.patch("/api/auth/preferences", json!({ "theme": "dark" })).await;
    let frame = socket.frame().await;
    assert_eq!(
        (&frame["type"], &frame["event"], &frame["seq"]),
        (&json!("event"), &json!("settings_changed"), &json!(start + 1))
    );
    assert_eq!(frame["data"]["theme"], "dark");
    assert!(frame["at"].is_string());
}

#[tokio::test]
async fn a_documents_way_to_ready_is_seen_live_without_a_gap() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let mut socket = client.socket().await;
    let mut seq = socket.hello(Value::Null, Value::Null).await["seq"].as_u64().expect("a seq");
    let id = client.upload_one(&workspace, "a.txt", &prose(1, 2_000)).await;
    let events = socket.events_until(|e| e["event"] == "job_complete").await;
    let (mut statuses, mut progress) = (vec![], 0.0);
    for event in &events {
        let next = event["seq"].as_u64().expect("a seq");
        assert!(next > seq, "{seq} then {event}");
        seq = next;
        if event["event"] == "document_status" {
            let data = &event["data"];
            assert_eq!((&data["document_id"], &data["rev"]), (&json!(id), &event["seq"]));
            statuses.push(data["status"].as_str().expect("a status").to_owned());
            let now = data["progress"].as_f64().expect("a number");
            assert!(now >= progress, "{progress} then {now}");
            progress = now;
        }
    }
    statuses.dedup();
    assert_eq!(statuses, ["pending", "processing", "ready"]);
    let last = events.last().expect("an event");
    assert_eq!((&last["data"]["status"], &last["data"]["progress"]), (&json!("completed"), &json!(100.0)));
    assert_eq!(client.read(&format!("/api/documents/{id}")).await["status"], "ready");
}

#[tokio::test]
async fn ten_thousand_chunks_are_told_five_times_a_second_at_most_and_their_end_at_once() {
    // A model that answers at once, so that there is much more to tell than is told.
    let embeddings = Embeddings::start().await;
    let setup = Setup::new().env("EMBEDDINGS_URL", embeddings.url()).env("EMBEDDINGS_KEY", KEY);
    let server = setup.start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let path = format!("/api/workspaces/{workspace}/rag-config");
    let config = json!({ "embedding_model": "words-embed", "chunk_size": 100, "chunk_overlap": 0 });
    let saved = client.send(client.request("PUT", &path).json(&config)).await;
    assert_eq!(saved.status, 200, "{saved:?}");
    let mut socket = client.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    let id = client.upload_one(&workspace, "a.txt", &prose(1, 170_000)).await;
    let events = socket.events_until(|e| e["event"] == "job_complete").await;
    let chunks = client.read(&format!("/api/documents/{id}")).await["chunk_count"].clone();
    assert!(chunks.as_u64() >= Some(10_000), "{chunks}");
    let at = |event: &Value| -> i64 {
        Timestamp::parse(event["at"].as_str().expect("a time")).expect("a time").micros()
    };
    let told: Vec<i64> = events.iter().filter(|e| e["event"] == "job_update").map(at).collect();
    assert!(told.len() > 10, "{told:?}");
    for (n, first) in told.iter().enumerate() {
        let same_second = told[n..].iter().take_while(|next| *next - first < 1_000_000).count();
        assert!(same_second <= 5, "{same_second} in the second from {first}: {told:?}");
    }
    println!("{} updates of {chunks} chunks", told.len());
    // However much is told just then, nothing holds the end back: the commit that makes the document ready tells it, in
    // the very next frame. How soon frames arrive is measured by `cargo xtask bench p4`.
    let [.., ready, end] = events.as_slice() else { panic!("{events:?}") };
    let seq = |event: &Value| event["seq"].as_u64().expect("a seq");
    assert_eq!((&ready["event"], &ready["data"]["status"]), (&json!("document_status"), &json!("ready")));
    assert_eq!((seq(end), &end["at"]), (seq(ready) + 1, &ready["at"]));
    // Nor does anything of what was held back come after it.
    client.patch("/api/auth/preferences", json!({ "theme": "dark" })).await;
    let rest = socket.events_until(|e| e["event"] == "settings_changed").await;
    let is_progress = |e: &&Value| e["event"] == "job_update" || e["event"] == "file_progress";
    assert_eq!(rest.iter().find(is_progress), None);
}

/// All events of an account, as a client sees them that was never cut off; progress frames may have been conflated.
async fn log_of(client: &Client, epoch: &Value) -> Vec<Value> {
    let head = client.read("/api/status/changes").await["seq"].clone();
    let mut socket = client.socket().await;
    assert_eq!(socket.hello(epoch.clone(), json!(0)).await["resumed"], true);
    socket.events_until(|e| e["seq"] == head).await
}

#[tokio::test]
async fn a_client_that_is_cut_off_again_and_again_misses_no_step() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let mut socket = client.socket().await;
    let welcome = socket.hello(Value::Null, Value::Null).await;
    let (epoch, start) = (welcome["epoch"].clone(), welcome["seq"].as_u64().expect("a seq"));
    let files: Vec<Vec<u8>> = (0..4).map(|n| prose(n, 1_500)).collect();
    let named: Vec<(&str, &[u8])> =
        ["a.txt", "b.txt", "c.txt", "d.txt"].into_iter().zip(files.iter().map(Vec::as_slice)).collect();
    client.upload(&workspace, &named).await;

    let (mut seen, mut last, mut complete, mut cuts) = (vec![], start, false, 0);
    while !complete {
        // A few events, then the cut; from the client's side the link is simply gone.
        for _ in 0..5 {
            let event = socket.frame().await;
            last = event["seq"].as_u64().expect("a seq");
            complete = event["event"] == "job_complete";
            seen.push(event);
            if complete {
                break;
            }
        }
        drop(socket);
        socket = client.socket().await;
        let welcome = socket.hello(epoch.clone(), json!(last)).await;
        assert_eq!((&welcome["resumed"], &welcome["epoch"]), (&json!(true), &epoch));
        cuts += 1;
    }
    assert!(cuts > 2, "{cuts}");
    let seqs: Vec<u64> = seen.iter().map(|e| e["seq"].as_u64().expect("a seq")).collect();
    assert!(seqs.windows(2).all(|w| w[0] < w[1]), "in order, each once: {seqs:?}");
    let log: Vec<Value> =
        log_of(&client, &epoch).await.into_iter().filter(|e| e["seq"].as_u64() > Some(start)).collect();
    for event in log.iter().filter(|e| e["seq"].as_u64() <= Some(last)) {
        let progress = event["event"] == "job_update" || event["data"]["status"] == "in_progress";
        assert!(progress || seqs.contains(&event["seq"].as_u64().expect("a seq")), "missed: {event}");
    }
}

#[tokio::test]
async fn a_client_of_another_log_or_of_the_future_starts_over() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let mut socket = client.socket().await;
    let welcome = socket.hello(Value::Null, Value::Null).await;
    let (epoch, seq) = (welcome["epoch"].clone(), welcome["seq"].as_u64().expect("a seq"));
    for (epoch, last_seq, resumed) in [
        (epoch.clone(), json!(seq), true),
        (epoch.clone(), json!(0), true),
        (epoch.clone(), json!(seq + 1), false),
        (json!("another"), json!(seq), false),
        (Value::Null, json!(seq), false),
        (epoch, Value::Null, false),
    ] {
        let welcome = client.socket().await.hello(epoch.clone(), last_seq.clone()).await;
        assert_eq!(
            (&welcome["resumed"], &welcome["seq"]),
            (&json!(resumed), &json!(seq)),
            "{epoch} {last_seq}"
        );
    }
}

#[tokio::test]
async fn two_tabs_of_one_account_agree_and_nobody_else_hears() {
    let server = Server::start().await;
    let (ada, bob) = (server.user("ada").await, server.user("bob").await);
    let (mut one, mut two, mut other) = (ada.socket().await, ada.socket().await, bob.socket().await);
    for socket in [&mut one, &mut two, &mut other] {
        socket.hello(Value::Null, Value::Null).await;
    }
    let id = ada.upload_one(&ada.first_workspace().await, "a.txt", &prose(1, 300)).await;
    let final_state = |events: Vec<Value>| {
        let mut of_document =
            events.into_iter().filter(|e| e["event"] == "document_status" && e["data"]["id"] == id.as_str());
        of_document.next_back().map(|e| e["data"].clone())
    };
    let (first, second) = (
        final_state(one.events_until(|e| e["event"] == "job_complete").await),
        final_state(two.events_until(|e| e["event"] == "job_complete").await),
    );
    assert!(first.is_some() && first == second, "{first:?} {second:?}");
    bob.patch("/api/auth/preferences", json!({ "theme": "light" })).await;
    assert_eq!(other.frame().await["event"], "settings_changed", "the first thing that Bob hears is his own");
}

async fn code_of(client: &Client) -> u16 {
    client.socket().await.close_code().await
}

#[tokio::test]
async fn a_socket_without_a_session_is_accepted_and_closed_with_its_code() {
    let server = Server::start().await;
    let mut visitor = server.visitor();
    assert_eq!(code_of(&visitor).await, 4401);
    visitor.cookie = Some(format!("insighthub_session={}", "0".repeat(64)));
    assert_eq!(code_of(&visitor).await, 4401);
    // A hello on the way does not get in between.
    let mut socket = visitor.socket().await;
    socket.send(json!({ "type": "hello", "epoch": null, "last_seq": null })).await;
    assert_eq!(socket.close_code().await, 4401);
}

#[tokio::test]
async fn signing_out_ends_the_sockets_of_that_session_alone() {
    let server = Server::start().await;
    let first = server.user("ada").await;
    let mut second = server.visitor();
    let form = json!({ "email": "ada@example.org", "password": crate::common::PASSWORD });
    second.cookie = second.post("/api/auth/login", form).await.session_cookie();
    let (mut ended, mut kept) = (first.socket().await, second.socket().await);
    ended.hello(Value::Null, Value::Null).await;
    kept.hello(Value::Null, Value::Null).await;
    let session = crate::sessions::own_id(&first).await;
    first.send(first.request("POST", "/api/auth/logout")).await;
    let told = ended.events_until(|e| e["event"] == "session_ended").await;
    assert_eq!(told.last().expect("an event")["data"], json!({ "session_id": session }));
    let code = tokio::time::timeout(AT_ONCE, ended.close_code()).await;
    assert_eq!(code.expect("at once"), 4401);
    second.patch("/api/auth/preferences", json!({ "theme": "dark" })).await;
    assert_eq!(kept.frame().await["event"], "settings_changed");
}

#[tokio::test]
async fn a_foreign_page_gets_no_upgrade() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    for headers in [
        &[("origin", "http://evil.example")][..],
        &[("origin", "null")],
        &[("origin", &server.base), ("sec-fetch-site", "cross-site")],
        // A browser always sends an origin with a socket; with a cookie and without one it is none.
        &[],
    ] {
        match client.socket_with(headers).await {
            Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 403, "{headers:?}"),
            Err(e) => panic!("{headers:?}: {e}"),
            Ok(_) => panic!("{headers:?}: accepted"),
        }
    }
    let plain = client.get("/api/status/ws").await;
    assert_eq!((plain.header("upgrade"), plain.header("connection")), ("websocket", "Upgrade"));
    assert_eq!(plain.problem(426, "upgrade_required")["title"], "Upgrade required");
}

async fn closes_with(client: &Client, code: u16, speak: impl AsyncFnOnce(&mut Socket)) {
    let mut socket = client.socket().await;
    speak(&mut socket).await;
    assert_eq!(socket.close_code().await, code);
}

#[tokio::test]
async fn a_client_that_says_goodbye_is_answered() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    closes_with(&client, 1000, async |s| s.say_goodbye(1000).await).await;
    closes_with(&client, 1001, async |s| {
        s.hello(Value::Null, Value::Null).await;
        s.say_goodbye(1001).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_not_of_the_protocol_ends_the_link() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    closes_with(&client, 1008, async |s| s.send_text("{".into()).await).await;
    closes_with(&client, 1008, async |s| s.send(json!({ "type": "subscribe", "user": "bob" })).await).await;
    closes_with(&client, 1008, async |s| s.send(json!({ "type": "pong" })).await).await;
    closes_with(&client, 1008, async |s| s.send_binary(vec![1, 2, 3]).await).await;
    let others = server.user("eve").await.read("/api/auth/me").await["id"].clone();
    closes_with(&client, 1008, async |s| {
        s.send(json!({ "type": "hello", "epoch": null, "last_seq": null, "user_id": others })).await;
    })
    .await;
    let query = format!("?user_id={}", others.as_str().expect("an id"));
    assert_eq!(client.socket_asking(&query).await.close_code().await, 1008);
    closes_with(&client, 1008, async |s| {
        s.hello(Value::Null, Value::Null).await;
        s.send(json!({ "type": "hello", "epoch": null, "last_seq": null })).await;
    })
    .await;
    // The operator learns of each, and of whose session it was; what was sent is nobody's business.
    let user = client.read("/api/auth/me").await["id"].as_str().expect("an id").to_owned();
    let log = server.log();
    let told: Vec<&str> = log
        .lines()
        .filter(|l| {
            l.contains("cut off a client that broke the protocol of the live stream") && l.contains(&user)
        })
        .collect();
    let reasons = [
        "this is no frame of the protocol",
        "this is no frame of the protocol",
        "say hello first",
        "frames are text",
        "asked for the stream of somebody else",
        "asked for the stream of somebody else",
        "hello was said already",
    ];
    assert_eq!(told.len(), reasons.len(), "{log}");
    for (line, reason) in told.iter().zip(reasons) {
        assert!(line.contains("INFO") && line.contains(reason), "{line} for {reason}");
        assert!(!line.contains("bob") && !line.contains("subscribe"), "{line}");
        assert!(!line.contains(others.as_str().expect("an id")), "{line}");
    }
}

#[tokio::test]
async fn a_welcome_and_the_answer_of_a_poll_tell_the_time_of_the_server() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let mut socket = client.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    let mut told = vec![];
    client.patch("/api/auth/preferences", json!({ "theme": "dark" })).await;
    let before = socket.frame().await;
    told.push(before["at"].clone());
    // Whether it begins from now or asks for a place that nobody knows, and though nothing happened since.
    for (epoch, seq) in [(Value::Null, Value::Null), (json!("another"), json!(1))] {
        let mut later = client.socket().await;
        told.push(later.hello(epoch, seq).await["at"].clone());
    }
    told.push(client.read("/api/status/changes").await["at"].clone());
    client.patch("/api/auth/preferences", json!({ "theme": "light" })).await;
    told.push(socket.frame().await["at"].clone());
    let times: Vec<Timestamp> = told
        .iter()
        .map(|at| Timestamp::parse(at.as_str().expect("a time")).expect("as RFC 3339 has it"))
        .collect();
    assert!(times.is_sorted(), "{told:?}");
    assert!(times[0] < times[1], "the time of the word, not of the last event: {told:?}");
}

#[tokio::test]
async fn who_asks_for_a_stream_by_name_gets_no_other_than_its_own() {
    let server = Server::start().await;
    let (client, eve) = (server.user("ada").await, server.user("eve").await);
    let id = async |of: &Client| of.read("/api/auth/me").await["id"].as_str().expect("an id").to_owned();
    let (own, others) = (id(&client).await, id(&eve).await);
    for path in ["/api/status/changes", "/api/status/events"] {
        for asked in [others.as_str(), "eve"] {
            client.get(&format!("{path}?user_id={asked}")).await.problem(403, "foreign_stream");
        }
    }
    let log = server.log();
    let told = log.lines().filter(|l| l.contains("refused a live stream of somebody else"));
    assert_eq!(told.filter(|l| l.contains(&own) && !l.contains(&others)).count(), 4, "{log}");
    // One's own name does no harm.
    for asked in [own.as_str(), "me"] {
        client.read(&format!("/api/status/changes?user_id={asked}")).await;
        let mut socket = client.socket_asking(&format!("?user_id={asked}")).await;
        socket.send(json!({ "type": "hello", "epoch": null, "last_seq": null, "user_id": asked })).await;
        assert_eq!(socket.frame().await["type"], "welcome");
    }
}

#[tokio::test]
async fn a_frame_over_four_kilobytes_ends_the_link_and_one_of_that_size_does_not() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let padded = |size: usize| {
        let frame = r#"{"type":"hello","epoch":null,"last_seq":null}"#;
        format!("{frame}{}", " ".repeat(size - frame.len()))
    };
    let mut socket = client.socket().await;
    socket.send_text(padded(4096)).await;
    assert_eq!(socket.frame().await["type"], "welcome");
    closes_with(&client, 1009, async |s| s.send_text(padded(4097)).await).await;
    assert_eq!(client.socket().await.refused_text(padded(1_000_000)).await, 1009);
}

#[tokio::test]
async fn who_says_no_hello_is_closed_and_who_says_it_is_pinged() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    // Each has its whole time; how much later the word comes depends on the machine alone.
    let began = Instant::now();
    let (mut silent, mut live) = (client.socket().await, client.socket().await);
    live.hello(Value::Null, Value::Null).await;
    assert_eq!(silent.close_code().await, 4408);
    assert!(began.elapsed().as_secs() >= 10, "{:?}", began.elapsed());
    assert_eq!(live.raw_frame().await, json!({ "type": "ping" }));
    assert!(began.elapsed().as_secs() >= domain::event::PING_SECONDS, "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_account_has_a_bounded_number_of_sockets() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let mut open = vec![];
    for _ in 0..services::live::MAX_CONNECTIONS {
        let mut socket = client.socket().await;
        socket.hello(Value::Null, Value::Null).await;
        open.push(socket);
    }
    let mut refused = client.socket().await;
    refused.send(json!({ "type": "hello", "epoch": null, "last_seq": null })).await;
    assert_eq!(refused.close_code().await, 4429);
    drop(open.pop());
    let metrics = async || String::from_utf8(client.get("/metrics").await.body).expect("text");
    let expected = format!("insighthub_live_connections {}", open.len());
    eventually("the closed one is forgotten", async || metrics().await.contains(&expected).then_some(()))
        .await;
    client.socket().await.hello(Value::Null, Value::Null).await;
}

#[tokio::test]
async fn the_operator_says_how_many_sockets_an_account_may_have() {
    let server = Setup::new().env("INSIGHTHUB_MAX_STREAMS", "1").start().await;
    let client = server.user("ada").await;
    let mut only = client.socket().await;
    only.hello(Value::Null, Value::Null).await;
    let mut refused = client.socket().await;
    refused.send(json!({ "type": "hello", "epoch": null, "last_seq": null })).await;
    assert_eq!(refused.close_code().await, 4429);
    // It is counted for each account by itself.
    server.user("bob").await.socket().await.hello(Value::Null, Value::Null).await;
}

#[tokio::test]
async fn after_a_crash_work_goes_on_and_the_client_resumes() {
    let mut server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let mut socket = client.socket().await;
    let welcome = socket.hello(Value::Null, Value::Null).await;
    let id = client.upload_one(&workspace, "a.txt", &prose(1, 20_000)).await;
    let before =
        socket.events_until(|e| e["event"] == "document_status" && e["data"]["status"] == "processing").await;
    let last = before.last().expect("an event")["seq"].clone();
    server.kill();
    let again = crate::common::Setup::new().dir(&server.dir).start().await;
    let back = Client { base: again.base.clone(), ..client };
    let mut socket = back.socket().await;
    assert_eq!(socket.hello(welcome["epoch"].clone(), last).await["resumed"], true);
    let rest = tokio::time::timeout(PATIENCE, socket.events_until(|e| e["event"] == "job_complete"))
        .await
        .expect("in time");
    let states: Vec<&Value> =
        rest.iter().filter(|e| e["event"] == "document_status").map(|e| &e["data"]["status"]).collect();
    assert_eq!(states.last(), Some(&&json!("ready")));
    assert_eq!(back.settled(&id).await["attempt"], 1, "a takeover is the same attempt");
}
