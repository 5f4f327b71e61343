//! What a foreign page may do in a visitor's name: nothing.

use crate::common::{Server, Setup, sign_up};
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
