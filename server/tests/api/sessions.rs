//! The browsers that are signed in: their list, and that an ended one is out everywhere.

use crate::{
    common::{AT_ONCE, Answer, Client, PASSWORD, Server, Socket, eventually, sign_up},
    stream::Events,
};
use serde_json::{Value, json};
use std::time::Instant;
use tokio::task::JoinHandle;

/// A socket, an event stream and a long poll of one session, all open.
pub struct Streams {
    socket: Socket,
    events: Events,
    poll: JoinHandle<Answer>,
}

impl Streams {
    pub async fn open(client: &Client) -> Self {
        let before = connections(client).await;
        let mut socket = client.socket().await;
        let welcome = socket.hello(Value::Null, Value::Null).await;
        let mut events = Events::open(client, "/api/status/events", None).await;
        events.next().await.expect("the welcome");
        let epoch = welcome["epoch"].as_str().expect("an epoch");
        let path = format!("/api/status/changes?epoch={epoch}&after={}&wait=25", welcome["seq"]);
        let client_of_poll = client.clone();
        let poll = tokio::spawn(async move { client_of_poll.get(&path).await });
        let open = async || (connections(client).await >= before + 3).then_some(());
        eventually("all three are open", open).await;
        Self { socket, events, poll }
    }

    /// Waits until each was ended by the server, in its own way, which has to be at once.
    pub async fn all_end(&mut self) {
        tokio::time::timeout(AT_ONCE, self.ends()).await.expect("all ended at once");
    }

    /// Waits until each was sent away by the server, to come back with the new token of its session, which has to be at
    /// once. A long poll is told nothing any more.
    pub async fn all_are_sent_back(&mut self) {
        let sent_back = async {
            assert_eq!(self.socket.close_code().await, 1001);
            while self.events.next().await.is_some() {}
            let answer = (&mut self.poll).await.expect("an answer");
            assert_eq!((answer.status, &answer.json()["events"]), (200, &json!([])));
        };
        tokio::time::timeout(AT_ONCE, sent_back).await.expect("all were sent back at once");
    }

    async fn ends(&mut self) {
        assert_eq!(self.socket.close_code().await, 4401);
        while self.events.next().await.is_some() {}
        let answer = (&mut self.poll).await.expect("an answer");
        answer.problem(401, "unauthorized");
    }
}

async fn connections(client: &Client) -> u64 {
    let metrics = String::from_utf8(client.get("/metrics").await.body).expect("text");
    let line = metrics.lines().find_map(|l| l.strip_prefix("insighthub_live_connections "));
    line.expect("the metric").parse().expect("a number")
}

async fn list(client: &Client) -> Vec<Value> {
    client.read("/api/auth/sessions").await["items"].as_array().expect("items").clone()
}

/// Id of the session that asks.
pub async fn own_id(client: &Client) -> String {
    let own: Vec<Value> = list(client).await.into_iter().filter(|s| s["current"] == true).collect();
    assert_eq!(own.len(), 1, "{own:?}");
    own[0]["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn the_list_tells_which_browsers_are_signed_in() {
    let server = Server::start().await;
    let own = server.user("ada").await;
    server.user("eve").await;
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let form = json!({ "email": "ada@example.org", "password": PASSWORD });
    let visitor = server.visitor();
    visitor.send(visitor.request("POST", "/api/auth/login").header("user-agent", agent).json(&form)).await;

    let sessions = list(&own).await;
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    let (newer, older) = (&sessions[0], &sessions[1]);
    assert_eq!((&newer["device"], &newer["user_agent"]), (&json!("Firefox on Linux"), &json!(agent)));
    assert_eq!(
        (&newer["ip"], &newer["current"], &older["current"]),
        (&json!("127.0.0.1"), &json!(false), &json!(true))
    );
    for field in ["created_at", "last_seen_at", "expires_at"] {
        assert!(newer[field].as_str().is_some_and(|t| t.ends_with('Z')), "{newer}");
    }
    assert!(newer.get("token_hash").is_none() && newer["expires_at"].as_str() > newer["created_at"].as_str());

    let first = own.read("/api/auth/sessions?limit=1").await;
    assert_eq!(first["items"][0]["id"], newer["id"]);
    let next = first["next"].as_str().expect("more");
    let second = own.read(&format!("/api/auth/sessions?limit=1&after={next}")).await;
    assert_eq!((&second["items"][0]["id"], &second["next"]), (&older["id"], &Value::Null));
    own.get("/api/auth/sessions?limit=0").await.problem(422, "invalid");
}

#[tokio::test]
async fn an_ended_session_is_out_everywhere() {
    let server = Server::start().await;
    let own = server.user("ada").await;
    let lost = server.sign_in("ada", PASSWORD).await;
    let mut streams = Streams::open(&lost).await;
    let mut own_socket = own.socket().await;
    own_socket.hello(Value::Null, Value::Null).await;
    let path = format!("/api/auth/sessions/{}", own_id(&lost).await);

    let answer = own.delete(&path).await;
    let answered = Instant::now();
    assert_eq!((answer.status, answer.header("set-cookie")), (204, ""));
    streams.all_end().await;
    println!(
        "S8: after the end of a session its socket and streams had ended {:?} behind the answer",
        answered.elapsed()
    );
    lost.get("/api/auth/me").await.problem(401, "unauthorized");
    assert_eq!(lost.socket().await.close_code().await, 4401);
    own.delete(&path).await.problem(404, "not_found");
    assert_eq!(list(&own).await.len(), 1);
    own.patch("/api/auth/preferences", json!({ "theme": "dark" })).await;
    assert_eq!(own_socket.frame().await["event"], "settings_changed", "the asking one goes on");
    for client in [&own, &lost] {
        let token = client.cookie.as_deref().and_then(|c| c.split_once('=')).expect("a cookie").1;
        assert!(!server.log().contains(token), "a token stands in the log");
    }
}

#[tokio::test]
async fn a_session_that_ends_before_its_socket_says_hello_gets_no_welcome() {
    let server = Server::start().await;
    let own = server.user("ada").await;
    let lost = server.sign_in("ada", PASSWORD).await;
    let mut socket = lost.socket().await;
    own.delete(&format!("/api/auth/sessions/{}", own_id(&lost).await)).await;
    socket.send(json!({ "type": "hello", "epoch": null, "last_seq": null })).await;
    assert_eq!(socket.close_code().await, 4401);
}

#[tokio::test]
async fn ending_ones_own_session_is_signing_out() {
    let server = Server::start().await;
    let own = server.user("ada").await;
    let other = server.sign_in("ada", PASSWORD).await;
    let answer = own.delete(&format!("/api/auth/sessions/{}", own_id(&own).await)).await;
    assert_eq!(answer.status, 204);
    assert!(answer.header("set-cookie").contains("Max-Age=0"), "{answer:?}");
    own.get("/api/auth/me").await.problem(401, "unauthorized");
    other.read("/api/auth/me").await;
}

#[tokio::test]
async fn open_pages_hear_of_each_browser_that_comes_or_goes() {
    let server = Server::start().await;
    let own = server.user("ada").await;
    let eve = server.user("eve").await;
    let (mut tab, mut hers) = (own.socket().await, eve.socket().await);
    tab.hello(Value::Null, Value::Null).await;
    hers.hello(Value::Null, Value::Null).await;
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let form = json!({ "email": "ada@example.org", "password": PASSWORD });
    let visitor = server.visitor();
    let sign_in = visitor.request("POST", "/api/auth/login").header("user-agent", agent).json(&form);
    let answer = visitor.send(sign_in).await;
    let answered = Instant::now();
    let told = tab.frame().await;
    println!("A7: another sign-in was told {:?} behind its answer", answered.elapsed());
    assert_eq!(told["event"], "settings_changed");
    assert_eq!(told["data"]["sessions"], json!({ "signed_in": "Firefox on Linux" }));
    assert_eq!(told["data"]["user"]["username"], "ada");
    assert_eq!(list(&own).await.len(), 2);

    // Each way out is told: signing out, being signed out, all at once, and a new password.
    let ended = json!({ "signed_in": null });
    let there = Client { cookie: answer.session_cookie(), ..visitor };
    assert_eq!(there.post("/api/auth/logout", json!({})).await.status, 204);
    assert_eq!(tab.frame().await["data"]["sessions"], ended);
    let one = server.sign_in("ada", PASSWORD).await;
    let id = own_id(&one).await;
    assert!(tab.frame().await["data"]["sessions"]["signed_in"].is_string());
    assert_eq!(own.delete(&format!("/api/auth/sessions/{id}")).await.status, 204);
    assert_eq!(tab.frame().await["data"]["sessions"], ended);
    server.sign_in("ada", PASSWORD).await;
    server.sign_in("ada", PASSWORD).await;
    tab.frame().await;
    tab.frame().await;
    assert_eq!(own.delete("/api/auth/sessions").await.json(), json!({ "sessions_ended": 2 }));
    assert_eq!(tab.frame().await["data"]["sessions"], ended);
    // Where nothing ends, nothing is told; and nobody hears of other people's browsers.
    own.delete("/api/auth/sessions").await;
    own.patch("/api/auth/preferences", json!({ "theme": "dark" })).await;
    let next = tab.frame().await;
    assert_eq!((&next["data"]["theme"], next["data"].get("sessions")), (&json!("dark"), None));
    eve.patch("/api/auth/preferences", json!({ "theme": "light" })).await;
    assert_eq!(hers.frame().await["data"]["user"]["username"], "eve");
}

#[tokio::test]
async fn all_others_end_at_once() {
    let server = Server::start().await;
    let own = server.user("ada").await;
    let others = [server.sign_in("ada", PASSWORD).await, server.sign_in("ada", PASSWORD).await];
    let eve = server.user("eve").await;
    let mut streams = Streams::open(&others[1]).await;
    assert_eq!(own.delete("/api/auth/sessions").await.json(), json!({ "sessions_ended": 2 }));
    streams.all_end().await;
    for other in &others {
        other.get("/api/auth/me").await.problem(401, "unauthorized");
    }
    assert_eq!(own.delete("/api/auth/sessions").await.json(), json!({ "sessions_ended": 0 }));
    own.read("/api/auth/me").await;
    eve.read("/api/auth/me").await;
}

#[tokio::test]
async fn nobody_ends_the_session_of_another_person() {
    let server = Server::start().await;
    let (ada, eve) = (server.user("ada").await, server.user("eve").await);
    let id = own_id(&ada).await;
    eve.delete(&format!("/api/auth/sessions/{id}")).await.problem(404, "not_found");
    eve.delete("/api/auth/sessions/nothing").await.problem(404, "not_found");
    ada.read("/api/auth/me").await;
}

#[tokio::test]
async fn signing_in_ends_the_session_that_the_browser_had() {
    let server = Server::start().await;
    let eve = server.user("eve").await;
    let old = server.user("ada").await;
    let login = |client: &Client, name: &str| {
        let body = json!({ "email": format!("{name}@example.org"), "password": PASSWORD });
        let client = client.clone();
        async move { client.post("/api/auth/login", body).await }
    };
    let mut socket = old.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    let answer = login(&old, "ada").await;
    let new = Client { cookie: answer.session_cookie(), ..old.clone() };
    assert_ne!(new.cookie, old.cookie);
    assert_eq!(socket.close_code().await, 4401);
    old.get("/api/auth/me").await.problem(401, "unauthorized");
    assert_eq!(list(&new).await.len(), 1);

    // Also by the form, and when it was another person's.
    let form = new.request("POST", "/_fn/auth/sign_in").header("origin", &new.base);
    let form = form.header("content-type", "application/x-www-form-urlencoded").header("accept", "text/html");
    let answer = new.send(form.body(format!("email=eve%40example.org&password={PASSWORD}"))).await;
    assert_eq!(answer.status, 302, "{answer:?}");
    assert!(answer.device_cookie().is_some());
    new.get("/api/auth/me").await.problem(401, "unauthorized");
    let second = Client { cookie: answer.session_cookie(), ..new.clone() };
    assert_eq!(second.read("/api/auth/me").await["username"], "eve");

    // A wrong password ends nothing; a sign-up does what a sign-in does.
    second.post("/api/auth/login", json!({ "email": "eve@example.org", "password": "Wrong1horse" })).await;
    second.read("/api/auth/me").await;
    assert_eq!(second.post("/api/auth/signup", sign_up("bob")).await.status, 201);
    second.get("/api/auth/me").await.problem(401, "unauthorized");
    eve.read("/api/auth/me").await;
}

#[tokio::test]
async fn when_a_session_was_used_last_is_noted_a_little_later() {
    let server = Server::start().await;
    let own = server.user("ada").await;
    let mut database = server.dir.connect().await;
    sqlx::query("UPDATE sessions SET last_seen_at = created_at - 3600000000")
        .execute(&mut database)
        .await
        .expect("an hour ago");
    eventually("it is seen again", async || {
        let now = list(&own).await.remove(0);
        // Up to the hour.
        let hour = |field: &str| now[field].as_str().expect("a moment")[..13].to_owned();
        (hour("last_seen_at") >= hour("created_at")).then_some(())
    })
    .await;
}
