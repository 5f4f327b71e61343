//! What a foreign page may do in a visitor's name: nothing.

use crate::common::{Server, Setup, sign_up};
use http::Method;
use serde_json::json;

#[tokio::test]
async fn an_unsafe_request_with_a_cookie_must_come_from_this_site() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let send = |headers: &[(&'static str, &str)]| {
        let request = client.request("PATCH", "/api/auth/preferences").json(&json!({ "theme": "dark" }));
        client.send(headers.iter().fold(request, |r, (k, v)| r.header(*k, *v)))
    };
    for foreign in [
        &[("origin", "http://evil.example")][..],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", &server.base), ("sec-fetch-site", "cross-site")],
        &[("origin", "http://127.0.0.1:1")],
    ] {
        send(foreign).await.problem(403, "foreign_origin");
    }
    for own in [&[][..], &[("origin", server.base.as_str())], &[("sec-fetch-site", "same-origin")]] {
        assert_eq!(send(own).await.status, 200, "{own:?}");
    }
}

#[tokio::test]
async fn a_foreign_page_can_neither_sign_its_visitor_in_nor_up() {
    let server = Server::start().await;
    let visitor = server.visitor();
    let signup = visitor
        .request("POST", "/api/auth/signup")
        .json(&sign_up("ada"))
        .header("origin", "http://evil.example");
    visitor.send(signup).await.problem(403, "foreign_origin");
    let login =
        visitor.request("POST", "/api/auth/login").json(&json!({ "email": "a@b.org", "password": "x" }));
    visitor.send(login.header("sec-fetch-site", "cross-site")).await.problem(403, "foreign_origin");
    let form = visitor.request("POST", "/_fn/auth/sign_in").body("email=a%40b.org&password=x");
    let form = form.header("content-type", "application/x-www-form-urlencoded").header("origin", "null");
    visitor.send(form).await.problem(403, "foreign_origin");
}

#[tokio::test]
async fn no_route_and_no_server_function_takes_an_unsafe_request_from_a_foreign_page() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    // Every address that the program serves, as it knows them itself.
    let is_unsafe = |method: &Method| !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let all = server::http::addresses().into_iter().chain(server::pages::addresses());
    let routes: Vec<(Method, String)> = all
        .filter(|(method, _)| is_unsafe(method))
        .map(|(method, path)| (method, path.replace("{id}", "0197a000-0000-7000-8000-000000000001")))
        .collect();
    for known in ["/api/auth/login", "/_fn/auth/sign_in", "/w/0197a000-0000-7000-8000-000000000001/files"] {
        assert!(routes.iter().any(|(_, path)| path == known), "{known}: {routes:?}");
    }
    println!("S9: {} addresses", routes.len());
    for (method, path) in &routes {
        for foreign in
            [("origin", "http://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")]
        {
            let answer =
                client.send(client.request(method.as_str(), path).header(foreign.0, foreign.1)).await;
            assert_eq!(answer.status, 403, "{method} {path} {foreign:?}: {answer:?}");
            answer.problem(403, "foreign_origin");
        }
    }
    // Nothing of it was done.
    client.read("/api/auth/me").await;
    assert_eq!(client.read("/api/auth/sessions").await["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_foreign_page_gets_no_socket() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    for foreign in [
        &[("origin", "http://evil.example")][..],
        &[("origin", "null")],
        &[("origin", server.base.as_str()), ("sec-fetch-site", "cross-site")],
        // No browser opens a socket without saying where from.
        &[],
    ] {
        let Err(tokio_tungstenite::tungstenite::Error::Http(answer)) = client.socket_with(foreign).await
        else {
            panic!("upgraded: {foreign:?}")
        };
        assert_eq!(answer.status(), 403, "{foreign:?}");
    }
    client.socket().await.hello(serde_json::Value::Null, serde_json::Value::Null).await;
}

#[tokio::test]
async fn reading_from_elsewhere_is_no_attack() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let request = client.request("GET", "/api/auth/me").header("sec-fetch-site", "cross-site");
    assert_eq!(client.send(request).await.status, 200);
}

#[tokio::test]
async fn with_a_public_address_only_that_origin_counts() {
    let server = Setup::new().env("INSIGHTHUB_PUBLIC_URL", "http://hub.example.org/").start().await;
    let client = server.user("ada").await;
    let send = |origin: String| {
        client.send(
            client
                .request("POST", "/api/workspaces")
                .json(&json!({ "name": "Papers" }))
                .header("origin", origin),
        )
    };
    send(server.base.clone()).await.problem(403, "foreign_origin");
    assert_eq!(send("http://hub.example.org".to_owned()).await.status, 201);
}
