//! Server-sent events and long polling: the frames of the socket by other ways.

use crate::common::{Client, PATIENCE, Server, prose};
use futures::StreamExt;
use serde_json::{Value, json};

/// Messages of an event stream: (id, frame).
pub struct Events {
    body: futures::stream::BoxStream<'static, reqwest::Result<axum::body::Bytes>>,
    text: String,
}

impl Events {
    pub async fn open(client: &Client, path: &str, last_id: Option<&str>) -> Self {
        let request = client.request("GET", path);
        let request = last_id.into_iter().fold(request, |r, id| r.header("last-event-id", id));
        let response = request.header("accept-encoding", "gzip, br").send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(!response.headers().contains_key("content-encoding"), "a compressed stream waits");
        Self { body: response.bytes_stream().boxed(), text: String::new() }
    }

    pub async fn next(&mut self) -> Option<(Option<String>, Value)> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let message: String = self.text.drain(..end + 2).collect();
                let id = message.lines().find_map(|l| l.strip_prefix("id: ")).map(str::to_owned);
                let data = message.lines().find_map(|l| l.strip_prefix("data: ")).expect("data");
                return Some((id, serde_json::from_str(data).expect("JSON")));
            }
            let piece = tokio::time::timeout(PATIENCE, self.body.next()).await.expect("in time")?;
            self.text.push_str(std::str::from_utf8(&piece.expect("a piece")).expect("text"));
        }
    }
}

#[tokio::test]
async fn an_event_stream_welcomes_then_tells_what_changes_and_resumes_by_its_last_id() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let mut events = Events::open(&client, "/api/status/events", None).await;
    let (id, welcome) = events.next().await.expect("a message");
    assert_eq!((&welcome["type"], &welcome["resumed"]), (&json!("welcome"), &json!(false)));
    let epoch = welcome["epoch"].as_str().expect("an epoch").to_owned();
    assert_eq!(id, Some(format!("{epoch}.{}", welcome["seq"])));

    client.upload_one(&workspace, "a.txt", &prose(1, 300)).await;
    let (first_id, first) = events.next().await.expect("a message");
    assert_eq!(first_id, Some(format!("{epoch}.{}", first["seq"])));
    assert_eq!(first["seq"].as_u64(), welcome["seq"].as_u64().map(|s| s + 1));
    drop(events);

    for path in
        ["/api/status/events".to_owned(), format!("/api/status/events?epoch={epoch}&after={}", first["seq"])]
    {
        let by_header = path.ends_with("events").then_some(first_id.as_deref()).flatten();
        let mut events = Events::open(&client, &path, by_header).await;
        let (id, welcome) = events.next().await.expect("a message");
        assert_eq!((id, &welcome["resumed"]), (None, &json!(true)), "what was missed is not seen yet");
        let mut last = first["seq"].as_u64();
        loop {
            let (_, event) = events.next().await.expect("a message");
            assert!(event["seq"].as_u64() > last, "{event}");
            last = event["seq"].as_u64();
            if event["event"] == "job_complete" {
                break;
            }
        }
    }
}

#[tokio::test]
async fn an_id_that_is_none_or_of_another_log_or_beyond_it_is_never_resumed() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let place = client.read("/api/status/changes").await;
    let (epoch, seq) = (place["epoch"].as_str().expect("text"), place["seq"].as_u64().expect("a number"));
    let beyond = seq + 1_000;
    let ids = [
        "nonsense".to_owned(),
        ".".to_owned(),
        format!("{epoch}."),
        format!("{epoch}.-1"),
        format!("{epoch}.99999999999999999999"),
        format!("another.{seq}"),
        format!("{epoch}.{beyond}"),
    ];
    for id in ids {
        let mut events = Events::open(&client, "/api/status/events", Some(&id)).await;
        let (at, welcome) = events.next().await.expect("a message");
        assert_eq!((&welcome["resumed"], &welcome["seq"]), (&json!(false), &json!(seq)), "{id}");
        assert_eq!(at, Some(format!("{epoch}.{seq}")), "{id}: it goes on from there");
    }
    // Where the header says nothing, the address does.
    let path = format!("/api/status/events?epoch={epoch}&after={seq}");
    let (_, welcome) = Events::open(&client, &path, Some("nonsense")).await.next().await.expect("a message");
    assert_eq!(welcome["resumed"], true);
    let poll = format!("/api/status/changes?epoch={epoch}&after={beyond}&wait=25");
    let answer = client.read(&poll).await;
    assert_eq!((&answer["resumed"], &answer["seq"]), (&json!(false), &json!(seq)), "and it does not wait");
}

#[tokio::test]
async fn signing_out_ends_the_event_stream_and_a_long_poll() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let mut events = Events::open(&client, "/api/status/events", None).await;
    events.next().await.expect("the welcome");
    let place = client.read("/api/status/changes").await;
    let path = format!(
        "/api/status/changes?epoch={}&after={}&wait=25",
        place["epoch"].as_str().expect("text"),
        place["seq"]
    );
    let poll = {
        let client = client.clone();
        tokio::spawn(async move { client.get(&path).await })
    };
    let connections = async || {
        String::from_utf8(client.get("/metrics").await.body).expect("text").contains("live_connections 2")
    };
    crate::common::eventually("both are open", async || connections().await.then_some(())).await;
    let session = crate::sessions::own_id(&client).await;
    client.send(client.request("POST", "/api/auth/logout")).await;
    // Its last message says why, and has no id: nothing goes on from it.
    let (id, last) = events.next().await.expect("the last message");
    assert_eq!(
        (id, &last["event"], &last["data"]),
        (None, &json!("session_ended"), &json!({ "session_id": session }))
    );
    assert_eq!(last["seq"], place["seq"], "and no event is passed over");
    assert!(events.next().await.is_none(), "the stream ends");
    poll.await.expect("an answer").problem(401, "unauthorized");
}

#[tokio::test]
async fn a_long_poll_answers_what_was_missed_or_waits_for_what_comes() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let start = client.read("/api/status/changes").await;
    assert_eq!((&start["resumed"], &start["events"]), (&json!(false), &json!([])));
    let epoch = start["epoch"].as_str().expect("text");
    let after = |seq: &Value, wait: u32| format!("/api/status/changes?epoch={epoch}&after={seq}&wait={wait}");

    client.patch("/api/auth/preferences", json!({ "theme": "dark" })).await;
    let missed = client.read(&after(&start["seq"], 25)).await;
    assert_eq!(
        (&missed["resumed"], missed["events"].as_array().map(Vec::len)),
        (&json!(true), Some(1)),
        "{missed}"
    );
    assert_eq!(missed["events"][0]["seq"], missed["seq"]);

    assert_eq!(client.read(&after(&missed["seq"], 0)).await["events"], json!([]), "nothing new");
    let poll = {
        let (client, path) = (client.clone(), after(&missed["seq"], 25));
        tokio::spawn(async move { client.read(&path).await })
    };
    let connected = async || {
        String::from_utf8(client.get("/metrics").await.body).expect("text").contains("live_connections 1")
    };
    crate::common::eventually("the poll waits", async || connected().await.then_some(())).await;
    client.patch("/api/auth/preferences", json!({ "theme": "light" })).await;
    let came = poll.await.expect("an answer");
    assert_eq!(came["events"][0]["data"]["theme"], "light");
    assert_eq!(came["seq"].as_u64(), missed["seq"].as_u64().map(|s| s + 1));
    assert_eq!(
        client.read(&format!("/api/status/changes?epoch=other&after={}", came["seq"])).await["resumed"],
        false
    );
    client.get("/api/status/changes?wait=26").await.problem(422, "invalid");
    client.get("/api/status/changes?after=x").await.problem(422, "invalid");
}

#[tokio::test]
async fn an_event_that_cannot_be_read_freezes_no_stream_and_is_counted() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let start = client.read("/api/status/changes").await;
    let epoch = start["epoch"].as_str().expect("text");
    client.patch("/api/auth/preferences", json!({ "theme": "dark" })).await;
    let broken = start["seq"].as_u64().expect("a number") + 1;
    let mut database = server.dir.connect().await;
    sqlx::query("UPDATE events SET data = 'nonsense' WHERE seq = $1")
        .bind(broken as i64)
        .execute(&mut database)
        .await
        .expect("broken");

    let from_before_it = format!("epoch={epoch}&after={}", start["seq"]);
    let changes = client.read(&format!("/api/status/changes?{from_before_it}")).await;
    assert_eq!(
        (&changes["resumed"], &changes["seq"], &changes["events"]),
        (&json!(false), &json!(broken), &json!([])),
        "{changes}"
    );
    let mut events = Events::open(&client, &format!("/api/status/events?{from_before_it}"), None).await;
    events.next().await.expect("the welcome");
    let (id, again) = events.next().await.expect("another one");
    assert_eq!((id, &again["type"]), (Some(format!("{epoch}.{broken}")), &json!("welcome")));
    assert_eq!(again["resumed"], false, "it is not there to be had");
    client.patch("/api/auth/preferences", json!({ "theme": "light" })).await;
    let (_, next) = events.next().await.expect("a message");
    assert_eq!(next["seq"].as_u64(), Some(broken + 1));
    let metrics = String::from_utf8(client.get("/metrics").await.body).expect("text");
    assert!(metrics.contains("insighthub_unreadable_events_total 2"), "{metrics}");
}
