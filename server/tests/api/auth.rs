//! Signing up, in and out; who is asked; preferences.

use crate::common::{PASSWORD, Server, Setup, messages, sign_up};
use serde_json::json;

#[tokio::test]
async fn signing_up_signs_in_and_makes_the_first_workspace() {
    let server = Server::start().await;
    let mut client = server.visitor();
    let answer = client
        .post("/api/auth/signup", json!({ "username": "ada", "email": "Ada@Example.org", "password": PASSWORD, "full_name": "Ada L" }))
        .await;
    assert_eq!(answer.status, 201);
    let user = answer.json();
    assert_eq!(
        (&user["username"], &user["email"], &user["full_name"]),
        (&json!("ada"), &json!("ada@example.org"), &json!("Ada L"))
    );
    assert_eq!(user["theme"], "system");
    assert!(!String::from_utf8_lossy(&answer.body).contains(PASSWORD) && user.get("password_hash").is_none());

    client.cookie = answer.session_cookie();
    assert_eq!(client.read("/api/auth/me").await, user);
    let workspaces = client.read("/api/workspaces").await;
    assert_eq!(workspaces["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(workspaces["items"][0]["name"], "My documents");
    assert_eq!(workspaces["items"][0]["status"], "ready");
}

#[tokio::test]
async fn the_session_cookie_has_its_flags() {
    let server = Server::start().await;
    let answer = server.visitor().post("/api/auth/signup", sign_up("ada")).await;
    let cookie = answer.header("set-cookie");
    for flag in ["insighthub_session=", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains("Domain"), "{cookie}");
}

#[tokio::test]
async fn over_tls_the_cookie_is_secure_and_bound_to_the_host() {
    let server = Setup::new().env("INSIGHTHUB_PUBLIC_URL", "https://hub.example.org").start().await;
    let mut client = server.visitor();
    let answer = client.post("/api/auth/signup", sign_up("ada")).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Host-insighthub_session=") && cookie.ends_with("; Secure"), "{cookie}");
    assert!(answer.header("strict-transport-security").contains("max-age="));
    client.cookie = answer.session_cookie();
    client.read("/api/auth/me").await;
}

#[tokio::test]
async fn what_is_taken_is_told_at_its_field() {
    let server = Server::start().await;
    server.user("ada").await;
    let visitor = server.visitor();
    let same_name = json!({ "username": "ADA", "email": "other@example.org", "password": PASSWORD });
    let problem = visitor.post("/api/auth/signup", same_name).await.problem(409, "username_taken");
    assert_eq!(messages(&problem, "username").len(), 1);
    let same_email = json!({ "username": "lovelace", "email": "ADA@example.org", "password": PASSWORD });
    let problem = visitor.post("/api/auth/signup", same_email).await.problem(409, "email_taken");
    assert_eq!(messages(&problem, "email").len(), 1);
    let problem = visitor.post("/api/auth/signup", sign_up("ADA")).await.problem(409, "username_taken");
    assert_eq!(messages(&problem, "username"), ["This username is taken."], "{problem}");
    assert_eq!(messages(&problem, "email"), ["This e-mail address is taken."], "{problem}");
}

#[tokio::test]
async fn a_weak_sign_up_names_every_broken_rule_at_its_field() {
    let server = Server::start().await;
    let form = json!({ "username": "a b", "email": "nowhere", "password": "short" });
    let problem = server.visitor().post("/api/auth/signup", form).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "username"), ["Use letters, digits, - and _ only."]);
    assert_eq!(messages(&problem, "email").len(), 1);
    let password = ["Use 8 to 128 characters.", "Use an upper-case letter.", "Use a digit."];
    assert_eq!(messages(&problem, "password"), password);
    let problem = server.visitor().post("/api/auth/signup", json!({})).await.problem(422, "invalid");
    assert_eq!(problem["errors"].as_object().map(serde_json::Map::len), Some(3), "{problem}");
}

#[tokio::test]
async fn a_wrong_address_and_a_wrong_password_look_the_same() {
    let server = Server::start().await;
    server.user("ada").await;
    let visitor = server.visitor();
    let mut told = vec![];
    for (email, password) in
        [("ada@example.org", "Wrong1horse"), ("bob@example.org", PASSWORD), ("nowhere", PASSWORD)]
    {
        let answer = visitor.post("/api/auth/login", json!({ "email": email, "password": password })).await;
        assert!(answer.session_cookie().is_none());
        let mut problem = answer.problem(401, "wrong_credentials");
        problem["correlation_id"].take();
        told.push(problem);
    }
    assert!(told.windows(2).all(|w| w[0] == w[1]), "{told:?}");
}

#[tokio::test]
async fn after_sign_out_the_old_cookie_is_worth_nothing() {
    let server = Server::start().await;
    let first = server.user("ada").await;
    let mut second = server.visitor();
    let answer =
        second.post("/api/auth/login", json!({ "email": "ada@example.org", "password": PASSWORD })).await;
    assert_eq!(answer.status, 200);
    second.cookie = answer.session_cookie();
    assert_ne!(first.cookie, second.cookie);

    let answer = first.send(first.request("POST", "/api/auth/logout")).await;
    assert_eq!(answer.status, 204);
    assert!(answer.header("set-cookie").contains("Max-Age=0"), "{answer:?}");
    first.get("/api/auth/me").await.problem(401, "unauthorized");
    first.send(first.request("POST", "/api/auth/logout")).await.problem(401, "unauthorized");
    // The other browser stays signed in.
    second.read("/api/auth/me").await;
}

#[tokio::test]
async fn every_protected_route_wants_a_session() {
    let server = Server::start().await;
    let mut visitor = server.visitor();
    let id = "0197a000-0000-7000-8000-000000000001";
    let routes = [
        ("GET", "/api/auth/me".to_owned()),
        ("POST", "/api/auth/logout".to_owned()),
        ("PATCH", "/api/auth/preferences".to_owned()),
        ("GET", "/api/workspaces".to_owned()),
        ("POST", "/api/workspaces".to_owned()),
        ("GET", format!("/api/workspaces/{id}")),
        ("GET", format!("/api/workspaces/{id}/documents")),
        ("POST", format!("/api/workspaces/{id}/documents")),
        ("GET", format!("/api/workspaces/{id}/search?q=a")),
        ("GET", format!("/api/documents/{id}")),
        ("GET", format!("/api/documents/{id}/chunks")),
        ("GET", format!("/api/documents/{id}/content")),
        ("GET", "/api/jobs".to_owned()),
        ("GET", format!("/api/jobs/{id}")),
        ("GET", format!("/api/ingestion/kb/{id}/status")),
        ("POST", "/v1/documents/".to_owned()),
        ("GET", format!("/v1/documents/{id}/status")),
        ("GET", format!("/v1/documents/status?ids={id}")),
        ("GET", "/api/status/events".to_owned()),
        ("GET", "/api/status/changes".to_owned()),
    ];
    for cookie in [
        None,
        Some(format!("insighthub_session={}", "0".repeat(64))),
        Some("insighthub_session=odd".to_owned()),
    ] {
        visitor.cookie = cookie;
        for (method, path) in &routes {
            let answer = visitor.send(visitor.request(method, path)).await;
            assert_eq!(answer.status, 401, "{method} {path}");
            answer.problem(401, "unauthorized");
        }
    }
}

#[tokio::test]
async fn the_theme_is_kept_and_an_unknown_one_is_refused() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let answer = client.patch("/api/auth/preferences", json!({ "theme": "dark" })).await;
    assert_eq!((answer.status, &answer.json()["theme"]), (200, &json!("dark")));
    assert_eq!(client.read("/api/auth/me").await["theme"], "dark");
    let problem =
        client.patch("/api/auth/preferences", json!({ "theme": "pink" })).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "theme").len(), 1, "{problem}");
    assert_eq!(client.patch("/api/auth/preferences", json!({})).await.json()["theme"], "dark");
}
