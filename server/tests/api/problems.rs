//! Odd requests: every error is a problem with its status, its code and its field.

use crate::common::{Server, messages};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn an_unknown_address_of_the_interface_is_a_problem() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    for path in ["/api/nothing", "/v1/nothing", "/api/documents", "/health/nothing"] {
        client.get(path).await.problem(404, "not_found");
        server.visitor().get(path).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_method_that_an_address_does_not_take_is_a_problem_and_names_those_it_takes() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    for (method, path) in [("DELETE", "/api/workspaces"), ("PUT", "/api/auth/me"), ("POST", "/health/live")] {
        let answer = client.send(client.request(method, path)).await;
        assert!(!answer.header("allow").is_empty(), "{answer:?}");
        answer.problem(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_told_apart_from_one_that_is_wrong() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let post = |body: &'static str, kind: &'static str| {
        client.send(client.request("POST", "/api/workspaces").header("content-type", kind).body(body))
    };
    post("{\"name\":", "application/json").await.problem(400, "bad_json");
    post("", "application/json").await.problem(400, "bad_json");
    post("name=Papers", "application/x-www-form-urlencoded").await.problem(415, "unsupported_media_type");
    post("{\"name\":\"Papers\"}", "text/plain").await.problem(415, "unsupported_media_type");
    let problem = post("{\"name\":7}", "application/json").await.problem(422, "invalid");
    assert_eq!(messages(&problem, "name").len(), 1, "{problem}");
    let problem = post("[]", "application/json; charset=utf-8").await.problem(422, "invalid");
    assert!(problem["errors"].as_object().is_some_and(|e| !e.is_empty()), "{problem}");
    // A list has no names: nobody is to guess which field is meant.
    let problem = post("[\"Papers\",null,null]", "application/json").await.problem(422, "invalid");
    assert_eq!(messages(&problem, "body"), ["Send a JSON object, not a list."]);
    post("[\"Papers\"", "application/json").await.problem(400, "bad_json");
    // One of some words is wanted there.
    for wrong in ["5", "[]", "true", "[5]"] {
        let body = format!("{{\"name\":\"Papers\",\"processor\":{wrong}}}");
        let request = client.request("POST", "/api/workspaces").header("content-type", "application/json");
        let problem = client.send(request.body(body)).await.problem(422, "invalid");
        assert_eq!(messages(&problem, "processor").len(), 1, "{wrong}: {problem}");
    }
    let answer = post("{\"name\":\"Papers\",\"colour\":\"red\"}", "application/json").await;
    assert_eq!(answer.status, 201, "unknown fields are ignored");
    let large = format!("{{\"name\":\"{}\"}}", "a".repeat(2 << 20));
    let request =
        client.request("POST", "/api/workspaces").header("content-type", "application/json").body(large);
    client.send(request).await.problem(413, "too_large");
}

#[tokio::test]
async fn a_missing_field_of_the_sign_in_is_named() {
    let server = Server::start().await;
    let problem =
        server.visitor().post("/api/auth/login", json!({ "email": "a@b.org" })).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "password"), ["This field is required."]);
}

#[tokio::test]
async fn what_is_no_id_is_not_found() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    for path in [
        "/api/workspaces/1",
        "/api/workspaces/1/documents",
        "/api/documents/x/chunks",
        "/api/documents/%00",
        "/api/jobs/%FF",
        "/api/ingestion/kb/1/status",
        "/v1/documents/1/status",
    ] {
        client.get(path).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn wrong_parameters_are_named_all_at_once() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    for limit in ["0", "201", "-1", "many", "1.5"] {
        let problem = client.get(&format!("/api/workspaces?limit={limit}")).await.problem(422, "invalid");
        assert_eq!(messages(&problem, "limit"), ["Use a number from 1 to 200."]);
    }
    let problem = client.get("/api/jobs?status=odd&limit=0").await.problem(422, "invalid");
    assert_eq!((messages(&problem, "status").len(), messages(&problem, "limit").len()), (1, 1));
    let workspace = client.first_workspace().await;
    let problem =
        client.get(&format!("/api/workspaces/{workspace}/search?top_k=51&q=a")).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "top_k").len(), 1);
    let problem = client.get(&format!("/api/workspaces/{workspace}/search")).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "q").len(), 1);
}

/// PostgreSQL takes no text with a NUL in it, not even one that is looked for.
#[tokio::test]
async fn a_nul_in_what_is_looked_for_finds_nothing_and_is_no_error_of_the_server() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let document = client.upload_one(&workspace, "a.txt", b"A lantern.").await;
    let job = client.settled(&document).await["job_id"].as_str().expect("a job").to_owned();
    let many = json!({ "action": "disable", "filter": { "q": "a\0" } });
    let begun = client.post(&format!("/api/workspaces/{workspace}/bulk"), many).await;
    assert_eq!((begun.status, &begun.json()["total"]), (202, &json!(0)), "{begun:?}");
    for query in ["code=%00", "type=%00"] {
        assert_eq!(client.read(&format!("/api/errors?{query}")).await["items"], json!([]), "{query}");
    }
    let failures = json!({ "code": "\0", "type": "\0" });
    let retried = client.post("/api/errors/retry", failures.clone()).await;
    assert_eq!((retried.status, &retried.json()["actions"]), (202, &json!([])), "{retried:?}");
    let resolved = client.post("/api/errors/resolve", failures).await;
    assert_eq!((resolved.status, &resolved.json()["resolved"]), (200, &json!(0)), "{resolved:?}");
    let pages = json!({ "scope": "pages", "pages": ["\0"] });
    client.post(&format!("/api/jobs/{job}/retry"), pages).await.problem(409, "illegal_move");
}

#[tokio::test]
async fn answers_carry_the_security_headers_and_are_kept_by_no_cache() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let first = client.get("/api/auth/me").await;
    let policy = first.header("content-security-policy").to_owned();
    for part in [
        "default-src 'self';",
        "'strict-dynamic' 'wasm-unsafe-eval'",
        "connect-src 'self'",
        "worker-src 'self'",
        "form-action 'self'",
        "img-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{part}: {policy}");
    }
    assert_ne!(
        policy,
        client.get("/api/auth/me").await.header("content-security-policy"),
        "the nonce is new each time"
    );
    assert_eq!(first.header("x-content-type-options"), "nosniff");
    assert_eq!(first.header("referrer-policy"), "same-origin");
    assert!(first.header("permissions-policy").contains("camera=()"));
    assert_eq!(first.header("cache-control"), "no-store");
    assert!(first.header("strict-transport-security").is_empty(), "only over TLS");
}

#[tokio::test]
async fn an_error_of_a_screen_names_the_request_as_one_of_the_interface_does() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let answer = client.submit("/_fn/workspaces/retry", &[("id", &workspace)]).await;
    let problem = answer.json();
    assert_eq!((answer.status, &problem["code"]), (409, &json!("workspace_ready")), "{problem}");
    assert_eq!(problem["correlation_id"], answer.header("x-request-id"), "{problem}");
}

/// What no client library sends: a form that is no text, and a request that names a host instead of an address.
#[tokio::test]
async fn what_cannot_be_understood_is_refused_and_no_error_of_the_server() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let request = client.request("POST", "/_fn/workspaces/create");
    let form =
        request.header("content-type", "application/x-www-form-urlencoded").body(b"name=\xff\xfe".to_vec());
    let answer = client.send(form).await;
    assert_eq!((answer.status, &answer.json()["code"]), (422, &json!("invalid")), "{answer:?}");
    let mut line = client.narrow_line().await;
    let cookie = client.cookie.as_deref().expect("a cookie");
    let request = format!("GET name HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
    line.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    line.read_to_string(&mut answer).await.expect("read");
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("\"not_found\""), "{answer}");
}
