//! Profile, preferences and password.

use crate::{
    common::{AT_ONCE, Answer, Client, PASSWORD, Server, messages},
    sessions::Streams,
};
use serde_json::{Value, json};

const NEW: &str = "Better2horses";

async fn change(client: &Client, current: &str, new: &str) -> Answer {
    let body = json!({ "current_password": current, "new_password": new });
    client.post("/api/auth/change-password", body).await
}

/// The next change of the settings that a stream tells.
async fn settings_changed(socket: &mut crate::common::Socket) -> Value {
    socket.events_until(|e| e["event"] == "settings_changed").await.pop().expect("an event")["data"].clone()
}

#[tokio::test]
async fn a_new_name_and_address_reach_every_open_tab() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let mut tab = client.socket().await;
    tab.hello(Value::Null, Value::Null).await;
    let body = json!({ "full_name": " Ada Lovelace ", "email": "Countess@Example.org" });
    let answer = client.patch("/api/auth/profile", body.clone()).await;
    assert_eq!(answer.status, 200);
    let user = answer.json();
    assert_eq!(
        (&user["full_name"], &user["email"]),
        (&json!("Ada Lovelace"), &json!("countess@example.org"))
    );
    assert_eq!(settings_changed(&mut tab).await["user"], user);
    assert_eq!(client.read("/api/auth/me").await, user);

    // A second click changes nothing and tells nothing.
    assert_eq!(client.patch("/api/auth/profile", body).await.json(), user);
    assert_eq!(client.patch("/api/auth/profile", json!({})).await.json(), user);
    client.patch("/api/auth/profile", json!({ "full_name": "Ada" })).await;
    let next = settings_changed(&mut tab).await;
    assert_eq!((&next["user"]["full_name"], &next["user"]["email"]), (&json!("Ada"), &user["email"]));

    let login = |email: &str| {
        let (visitor, body) = (server.visitor(), json!({ "email": email, "password": PASSWORD }));
        async move { visitor.post("/api/auth/login", body).await.status }
    };
    assert_eq!((login("countess@example.org").await, login("ada@example.org").await), (200, 401));
}

#[tokio::test]
async fn an_empty_name_or_null_takes_the_name_away() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    for empty in [json!(""), json!("  "), Value::Null] {
        client.patch("/api/auth/profile", json!({ "full_name": "Ada" })).await;
        let user = client.patch("/api/auth/profile", json!({ "full_name": empty })).await.json();
        assert_eq!(user["full_name"], Value::Null, "{empty}");
    }
}

#[tokio::test]
async fn a_profile_is_refused_field_by_field() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    server.user("eve").await;
    let taken =
        client.patch("/api/auth/profile", json!({ "full_name": "Ada", "email": "EVE@example.org" })).await;
    let problem = taken.problem(409, "email_taken");
    assert_eq!(messages(&problem, "email"), ["This e-mail address is taken."]);
    assert_eq!(client.read("/api/auth/me").await["full_name"], Value::Null, "all or nothing");
    let body = json!({ "full_name": "x".repeat(101), "email": "nowhere" });
    let problem = client.patch("/api/auth/profile", body).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "full_name"), ["Use at most 100 characters."]);
    assert_eq!(messages(&problem, "email"), ["Enter an e-mail address, such as ada@example.org."]);
    let problem = client.patch("/api/auth/profile", json!({ "email": 7 })).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "email").len(), 1);
    // One's own address is not taken.
    assert_eq!(client.patch("/api/auth/profile", json!({ "email": "ADA@example.org" })).await.status, 200);
}

#[tokio::test]
async fn preferences_go_with_the_person_to_every_browser() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let before = client.read("/api/auth/me").await;
    assert_eq!((&before["density"], &before["language"]), (&json!("comfortable"), &json!("en")));
    let mut tab = client.socket().await;
    tab.hello(Value::Null, Value::Null).await;
    let body = json!({ "theme": "dark", "density": "compact", "language": "en" });
    let user = client.patch("/api/auth/preferences", body).await.json();
    assert_eq!(
        (&user["theme"], &user["density"], &user["language"]),
        (&json!("dark"), &json!("compact"), &json!("en"))
    );
    assert_eq!(settings_changed(&mut tab).await["user"], user);
    let user = client.patch("/api/auth/preferences", json!({ "density": "comfortable" })).await.json();
    assert_eq!((&user["theme"], &user["density"]), (&json!("dark"), &json!("comfortable")), "the rest stays");
    assert_eq!(server.sign_in("ada", PASSWORD).await.read("/api/auth/me").await, user);

    let wrong = json!({ "theme": "pink", "density": "huge", "language": "tlh" });
    let problem = client.patch("/api/auth/preferences", wrong).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "theme"), ["Use one of light, dark, system."]);
    assert_eq!(messages(&problem, "density"), ["Use one of comfortable, compact."]);
    assert_eq!(messages(&problem, "language"), ["Use en."]);
    assert_eq!(client.read("/api/auth/me").await, user, "nothing of it stays");
}

#[tokio::test]
async fn what_somebody_is_told_is_kept_for_all_their_browsers() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let all = json!({ "done": true, "failed": true, "stalled": true, "sign_ins": true, "desktop": false });
    assert_eq!(client.read("/api/auth/me").await["notifications"], all);
    let mut tab = client.socket().await;
    tab.hello(Value::Null, Value::Null).await;
    let chosen = json!({ "notifications": { "done": false, "desktop": true } });
    let user = client.patch("/api/auth/preferences", chosen).await.json();
    let kept = json!({ "done": false, "failed": true, "stalled": true, "sign_ins": true, "desktop": true });
    assert_eq!(user["notifications"], kept, "the rest stays");
    assert_eq!(settings_changed(&mut tab).await["user"], user);
    let user = client.patch("/api/auth/preferences", json!({ "theme": "dark" })).await.json();
    assert_eq!(user["notifications"], kept);
    assert_eq!(server.sign_in("ada", PASSWORD).await.read("/api/auth/me").await["notifications"], kept);

    let wrong = json!({ "notifications": { "failed": "perhaps" } });
    let problem = client.patch("/api/auth/preferences", wrong).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "notifications.failed").len(), 1, "{problem}");
    assert_eq!(client.read("/api/auth/me").await, user, "nothing of it stays");

    // The form sends the boxes that are ticked, and no others.
    let answer = client.submit("/_fn/settings/save_notifications", &[("stalled", "true")]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let one = json!({ "done": false, "failed": false, "stalled": true, "sign_ins": false, "desktop": false });
    assert_eq!(client.read("/api/auth/me").await["notifications"], one);
}

#[tokio::test]
async fn what_is_typed_with_marks_apart_is_the_same() {
    let server = Server::start().await;
    let visitor = server.visitor();
    // The same texts: each letter with its mark as one character, and as two.
    let (whole, apart) = ("Zo\u{eb}s1Schl\u{fc}ssel", "Zoe\u{308}s1Schlu\u{308}ssel");
    let (whole_name, apart_name) = ("Zo\u{eb}", "Zoe\u{308}");
    let email = |name: &str| format!("{name}@example.org");
    let body = json!({
        "username": apart_name, "email": email(apart_name), "password": apart, "full_name": apart_name,
    });
    let made = visitor.post("/api/auth/signup", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let user = made.json();
    assert_eq!((&user["username"], &user["full_name"]), (&json!(whole_name), &json!(whole_name)));
    assert_eq!(user["email"], json!(email("zo\u{eb}")));
    let client = Client { cookie: made.session_cookie(), ..visitor.clone() };
    let login = |name: &str, password: &str| {
        let (visitor, body) = (visitor.clone(), json!({ "email": email(name), "password": password }));
        async move { visitor.post("/api/auth/login", body).await }
    };
    for (name, password) in
        [(whole_name, whole), (apart_name, whole), (whole_name, apart), (apart_name, apart)]
    {
        assert_eq!(login(name, password).await.status, 200, "{name:?} {password:?}");
    }
    // A name and an address are taken however they are typed.
    let again = json!({ "username": whole_name, "email": email(whole_name), "password": PASSWORD });
    let problem = visitor.post("/api/auth/signup", again).await.problem(409, "username_taken");
    assert_eq!(messages(&problem, "email"), ["This e-mail address is taken."]);
    // So is the present password, and a new one is another one only if it looks so.
    let same = change(&client, whole, apart).await.problem(422, "invalid");
    assert_eq!(messages(&same, "new_password"), ["This is your current password. Choose another one."]);
    let changed = change(&client, whole, "Ne\u{301}w1password").await;
    assert_eq!(changed.status, 200, "{changed:?}");
    login(whole_name, whole).await.problem(401, "wrong_credentials");
    let renewed = login(whole_name, "N\u{e9}w1password").await;
    assert_eq!(renewed.status, 200);
    let client = Client { cookie: renewed.session_cookie(), ..client };
    let named = client.patch("/api/auth/profile", json!({ "full_name": "Rene\u{301}" })).await.json();
    assert_eq!(named["full_name"], json!("Ren\u{e9}"));
    let made = client.post("/api/workspaces", json!({ "name": "U\u{308}ber Ma\u{308}rkte" })).await;
    assert_eq!(made.json()["name"], json!("\u{dc}ber M\u{e4}rkte"), "{made:?}");
    let key = client.post("/api/auth/api-keys", json!({ "name": "Cafe\u{301}", "scopes": ["read"] })).await;
    assert_eq!(key.json()["name"], json!("Caf\u{e9}"), "{key:?}");
    let body = json!({ "name": "Caf\u{e9}", "scopes": ["read"] });
    client.post("/api/auth/api-keys", body).await.problem(409, "name_taken");
    let body = json!({ "password": "Ne\u{301}w1password" });
    let gone = client.send(client.request("DELETE", "/api/auth/account").json(&body)).await;
    assert_eq!(gone.status, 202, "{gone:?}");
}

#[tokio::test]
async fn a_change_of_the_password_is_refused_field_by_field() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let problem = change(&client, "Wrong1horse", NEW).await.problem(403, "wrong_password");
    assert_eq!(messages(&problem, "current_password"), ["This is not your current password."]);
    let problem = change(&client, PASSWORD, "short").await.problem(422, "invalid");
    let broken = ["Use 8 to 128 characters.", "Use an upper-case letter.", "Use a digit."];
    assert_eq!(messages(&problem, "new_password"), broken);
    let problem = change(&client, PASSWORD, PASSWORD).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "new_password"), ["This is your current password. Choose another one."]);
    let problem = client.post("/api/auth/change-password", json!({})).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "current_password"), ["Enter your current password."]);
    assert_eq!(messages(&problem, "new_password").len(), 4);
    // A session that was never renewed gets no second chance: what is wrong stays wrong.
    change(&client, "Wrong1horse", PASSWORD).await.problem(403, "wrong_password");
    client.read("/api/auth/me").await;
    assert!(server.log().contains("change-password") && !server.log().contains("Wrong1horse"));
}

#[tokio::test]
async fn a_new_password_ends_all_other_sessions_with_their_sockets_and_streams() {
    let server = Server::start().await;
    let mut own = server.user("ada").await;
    let others = [server.sign_in("ada", PASSWORD).await, server.sign_in("ada", PASSWORD).await];
    let bystander = server.user("eve").await;
    let mut streams = vec![Streams::open(&others[0]).await, Streams::open(&others[1]).await];
    let mut own_socket = own.socket().await;
    own_socket.hello(Value::Null, Value::Null).await;

    let answer = change(&own, PASSWORD, NEW).await;
    let answered = std::time::Instant::now();
    assert_eq!((answer.status, answer.json()), (200, json!({ "sessions_ended": 2 })));
    for stream in &mut streams {
        stream.all_end().await;
    }
    println!(
        "S8: after a new password all sockets and streams had ended {:?} behind the answer",
        answered.elapsed()
    );
    for other in &others {
        other.get("/api/auth/me").await.problem(401, "unauthorized");
    }
    own.get("/api/auth/me").await.problem(401, "unauthorized");
    let renewed = answer.session_cookie().expect("a new cookie");
    assert_ne!(own.cookie.as_ref(), Some(&renewed));
    own.cookie = Some(renewed);
    own.read("/api/auth/me").await;
    bystander.read("/api/auth/me").await;

    // The own tabs come back with the new cookie, and go on.
    assert_eq!(own_socket.close_code().await, 1001);
    let mut own_socket = own.socket().await;
    own_socket.hello(Value::Null, Value::Null).await;
    own.patch("/api/auth/preferences", json!({ "theme": "dark" })).await;
    assert_eq!(settings_changed(&mut own_socket).await["theme"], "dark");

    let form = json!({ "email": "ada@example.org", "password": PASSWORD });
    server.visitor().post("/api/auth/login", form).await.problem(401, "wrong_credentials");
    server.sign_in("ada", NEW).await.read("/api/auth/me").await;
}

#[tokio::test]
async fn a_socket_of_the_old_token_has_to_come_back_with_the_new_one() {
    let server = Server::start().await;
    let mut own = server.user("ada").await;
    let thief = own.clone();
    let (mut own_socket, mut stolen_socket) = (own.socket().await, thief.socket().await);
    let welcome = own_socket.hello(Value::Null, Value::Null).await;
    stolen_socket.hello(Value::Null, Value::Null).await;
    own.cookie = change(&own, PASSWORD, NEW).await.session_cookie();

    // Both are told to reconnect, as at a restart of the server, as soon as the own browser has its new cookie.
    assert_eq!(own_socket.close_code().await, 1001);
    assert_eq!(stolen_socket.close_code().await, 1001);
    let mut again = own.socket().await;
    let resumed = again.hello(welcome["epoch"].clone(), welcome["seq"].clone()).await;
    assert_eq!(resumed["resumed"], true);
    assert_eq!(thief.socket().await.close_code().await, 4401);
}

#[tokio::test]
async fn a_socket_that_says_hello_after_its_token_was_renewed_is_sent_back_as_well() {
    let server = Server::start().await;
    let mut own = server.user("ada").await;
    let (mut open, mut late) = (own.socket().await, own.socket().await);
    open.hello(Value::Null, Value::Null).await;
    own.cookie = change(&own, PASSWORD, NEW).await.session_cookie();
    assert_eq!(open.close_code().await, 1001, "all that was open then has been looked at");
    late.hello(Value::Null, Value::Null).await;
    let code = tokio::time::timeout(AT_ONCE, late.close_code()).await;
    assert_eq!(code.expect("at once"), 1001);
}

#[tokio::test]
async fn streams_of_the_old_token_end_and_a_long_poll_of_it_is_told_nothing_more() {
    let server = Server::start().await;
    let mut own = server.user("ada").await;
    let thief = own.clone();
    let mut stolen = Streams::open(&thief).await;
    own.cookie = change(&own, PASSWORD, NEW).await.session_cookie();
    assert_eq!(own.patch("/api/auth/preferences", json!({ "theme": "dark" })).await.status, 200);
    stolen.all_are_sent_back().await;
    thief.get("/api/status/changes").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_double_click_changes_the_password_once() {
    let server = Server::start().await;
    let mut client = server.user("ada").await;
    server.sign_in("ada", PASSWORD).await;
    let answers = futures::future::join_all((0..3).map(|_| change(&client, PASSWORD, NEW))).await;
    let done: Vec<&Answer> = answers.iter().filter(|a| a.status == 200).collect();
    assert!(!done.is_empty(), "{answers:?}");
    // One that arrived after the change had the old cookie, which is worth nothing by then.
    answers.iter().filter(|a| a.status != 200).for_each(|late| drop(late.problem(401, "unauthorized")));
    let ended: u64 = done.iter().map(|a| a.json()["sessions_ended"].as_u64().expect("a number")).sum();
    assert_eq!(ended, 1);
    let mut cookies: Vec<String> = done.iter().filter_map(|a| a.session_cookie()).collect();
    cookies.dedup();
    assert_eq!(cookies.len(), 1, "whichever answer comes last, the browser holds the same cookie");
    client.cookie = cookies.pop();
    client.read("/api/auth/me").await;

    // The same form once more, with the new cookie, is done already.
    let again = change(&client, PASSWORD, NEW).await;
    assert_eq!((again.status, again.json()), (200, json!({ "sessions_ended": 0 })));
    assert!(again.session_cookie().is_none(), "the browser has it");
    change(&client, PASSWORD, "Another3horses").await.problem(403, "wrong_password");
    client.read("/api/auth/me").await;
    server.sign_in("ada", NEW).await;
}

#[tokio::test]
async fn guesses_at_the_current_password_have_to_wait_and_keep_no_other_session_out() {
    let server = Server::start().await;
    let stolen = server.user("ada").await;
    let own = server.sign_in("ada", PASSWORD).await;
    for _ in 0..5 {
        change(&stolen, "Wrong1horse", NEW).await.problem(403, "wrong_password");
    }
    let refused = change(&stolen, PASSWORD, NEW).await;
    let problem = refused.problem(429, "too_many_attempts");
    let seconds: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&seconds) && problem["retry_after"] == seconds, "{problem}");
    assert_eq!(change(&own, PASSWORD, NEW).await.json(), json!({ "sessions_ended": 1 }));
    stolen.get("/api/auth/me").await.problem(401, "unauthorized");
}
