//! The OpenAPI document and the routes are one thing.

use crate::common::Server;
use serde_json::Value;
use std::collections::BTreeSet;

/// What the interface promises today.
const ROUTES: &[(&str, &str)] = &[
    ("post", "/api/auth/signup"),
    ("post", "/api/auth/login"),
    ("post", "/api/auth/logout"),
    ("get", "/api/auth/me"),
    ("patch", "/api/auth/profile"),
    ("post", "/api/auth/change-password"),
    ("patch", "/api/auth/preferences"),
    ("get", "/api/auth/sessions"),
    ("delete", "/api/auth/sessions"),
    ("delete", "/api/auth/sessions/{id}"),
    ("get", "/api/auth/api-keys"),
    ("post", "/api/auth/api-keys"),
    ("delete", "/api/auth/api-keys/{id}"),
    ("get", "/api/auth/export"),
    ("post", "/api/auth/export"),
    ("get", "/api/auth/export/content"),
    ("delete", "/api/auth/account"),
    ("get", "/api/workspaces"),
    ("post", "/api/workspaces"),
    ("get", "/api/workspaces/{id}"),
    ("patch", "/api/workspaces/{id}"),
    ("delete", "/api/workspaces/{id}"),
    ("post", "/api/workspaces/{id}/restore"),
    ("post", "/api/workspaces/{id}/pause"),
    ("post", "/api/workspaces/{id}/resume"),
    ("post", "/api/workspaces/{id}/retry"),
    ("get", "/api/rag/models"),
    ("get", "/api/rag/options"),
    ("post", "/api/rag/preview"),
    ("get", "/api/auth/default-rag-config"),
    ("put", "/api/auth/default-rag-config"),
    ("delete", "/api/auth/default-rag-config"),
    ("get", "/api/workspaces/{id}/rag-config"),
    ("put", "/api/workspaces/{id}/rag-config"),
    ("delete", "/api/workspaces/{id}/rag-config"),
    ("post", "/api/workspaces/{id}/reindex"),
    ("get", "/api/workspaces/{id}/reindex/estimate"),
    ("post", "/api/workspaces/{id}/reindex/estimate"),
    ("get", "/api/workspaces/{id}/documents"),
    ("post", "/api/workspaces/{id}/documents"),
    ("post", "/api/workspaces/{id}/files"),
    ("post", "/api/workspaces/{id}/files/check"),
    ("delete", "/api/files/{id}"),
    ("post", "/api/uploads"),
    ("get", "/api/uploads/{id}"),
    ("patch", "/api/uploads/{id}"),
    ("delete", "/api/uploads/{id}"),
    ("post", "/api/uploads/{id}"),
    ("get", "/api/workspaces/{id}/search"),
    ("get", "/api/workspaces/{id}/retrieval-cases"),
    ("post", "/api/workspaces/{id}/retrieval-cases"),
    ("post", "/api/workspaces/{id}/retrieval-cases/run"),
    ("delete", "/api/workspaces/{id}/retrieval-cases/{case_id}"),
    ("get", "/api/documents/{id}"),
    ("patch", "/api/documents/{id}"),
    ("delete", "/api/documents/{id}"),
    ("post", "/api/documents/{id}/restore"),
    ("get", "/api/documents/{id}/chunks"),
    ("get", "/api/documents/{id}/chunks/{chunk_id}"),
    ("patch", "/api/documents/{id}/chunks/{chunk_id}"),
    ("post", "/api/documents/{id}/chunks/{chunk_id}/embed"),
    ("get", "/api/documents/{id}/content"),
    ("get", "/api/documents/{id}/preview"),
    ("get", "/api/documents/{id}/versions"),
    ("get", "/api/documents/{id}/history"),
    ("get", "/api/workspaces/{id}/history"),
    ("get", "/api/jobs/{id}/history"),
    ("get", "/api/workspaces/{id}/analytics"),
    ("get", "/api/errors"),
    ("post", "/api/errors/retry"),
    ("post", "/api/errors/resolve"),
    ("get", "/api/jobs"),
    ("get", "/api/jobs/{id}"),
    ("get", "/api/jobs/{id}/attempts"),
    ("get", "/api/jobs/{id}/pages"),
    ("post", "/api/workspaces/{id}/crawls"),
    ("post", "/api/jobs/{id}/first"),
    ("post", "/api/jobs/{id}/pause"),
    ("post", "/api/jobs/{id}/resume"),
    ("post", "/api/jobs/{id}/cancel"),
    ("post", "/api/jobs/{id}/skip-embedding"),
    ("post", "/api/jobs/{id}/retry"),
    ("post", "/api/documents/{id}/pause"),
    ("post", "/api/documents/{id}/resume"),
    ("post", "/api/documents/{id}/cancel"),
    ("post", "/api/documents/{id}/skip-embedding"),
    ("post", "/api/documents/{id}/retry"),
    ("post", "/api/workspaces/{id}/bulk"),
    ("get", "/api/bulk/{id}"),
    ("post", "/api/bulk/{id}/undo"),
    ("get", "/api/ingestion/kb/{id}/status"),
    ("post", "/v1/documents/"),
    ("get", "/v1/documents/{id}/status"),
    ("get", "/v1/documents/status"),
    ("post", "/v1/chat/"),
    ("get", "/v1/chat/turns/{id}"),
    ("get", "/v1/chat/turns/{id}/stream"),
    ("post", "/v1/chat/turns/{id}/stop"),
    ("post", "/v1/chat/turns/{id}/retry"),
    ("get", "/v1/chat/conversations"),
    ("post", "/v1/chat/conversations"),
    ("get", "/v1/chat/conversations/{user_id}/{conversation_id}"),
    ("patch", "/v1/chat/conversations/{user_id}/{conversation_id}"),
    ("delete", "/v1/chat/conversations/{user_id}/{conversation_id}"),
    ("post", "/v1/chat/conversations/{user_id}/{conversation_id}/restore"),
    ("get", "/v1/chat/conversations/{user_id}/{conversation_id}/status"),
    ("get", "/v1/chat/conversations/{user_id}/{conversation_id}/export"),
    ("post", "/api/status/documents/{id}"),
    ("post", "/api/status/workspaces/{id}"),
    ("get", "/api/status/ws"),
    ("get", "/api/status/events"),
    ("get", "/api/status/changes"),
    ("get", "/health/live"),
    ("get", "/health/ready"),
    ("get", "/metrics"),
    ("get", "/api/openapi.json"),
    ("get", "/api/docs"),
];

fn operations(api: &Value) -> Vec<(String, String, Value)> {
    let paths = api["paths"].as_object().expect("paths");
    let methods = ["get", "put", "post", "delete", "patch"];
    let all = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().expect("an item");
        item.iter()
            .filter(|(m, _)| methods.contains(&m.as_str()))
            .map(move |(m, op)| (m.clone(), path.clone(), op.clone()))
    });
    all.collect()
}

#[tokio::test]
async fn the_document_lists_every_route_and_nothing_else() {
    let server = Server::start().await;
    let api = server.visitor().read("/api/openapi.json").await;
    let told: BTreeSet<(String, String)> = operations(&api).into_iter().map(|(m, p, _)| (m, p)).collect();
    let promised = ROUTES.iter().map(|(m, p)| ((*m).to_owned(), (*p).to_owned())).collect();
    assert_eq!(told, promised);
}

#[tokio::test]
async fn every_route_of_the_document_is_there() {
    let server = Server::start().await;
    let api = server.visitor().read("/api/openapi.json").await;
    let client = server.user("ada").await;
    for (method, path, operation) in operations(&api) {
        if path == "/api/auth/logout" {
            continue;
        }
        // A request that the route itself refuses or answers, never the router.
        let path = path.replace("{id}", "0197a000-0000-7000-8000-000000000001");
        if path == "/api/status/events" {
            continue;
        }
        let answer = client.send(client.request(&method.to_uppercase(), &path)).await;
        assert!(answer.status != 405 && answer.status < 500, "{method} {path}: {answer:?}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains("nothing at this address"), "{method} {path}: {text}");
        // And each answer is one that the document tells of.
        let told = operation["responses"].as_object().expect("responses");
        let known = told.contains_key(&answer.status.to_string()) || matches!(answer.status, 400 | 415);
        assert!(known, "{method} {path}: {} is not among {:?}", answer.status, told.keys());
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_second_names_are_told() {
    let server = Server::start().await;
    let api = server.visitor().read("/api/openapi.json").await;
    let mut open = vec![&api];
    let mut seen = 0;
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => {
                if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.strip_prefix('#').expect("a local reference");
                    assert!(api.pointer(pointer).is_some(), "{reference} leads nowhere");
                    seen += 1;
                }
                open.extend(map.values());
            }
            Value::Array(all) => open.extend(all),
            _ => {}
        }
    }
    assert!(seen > 20, "{seen}");
    let schemas = &api["components"]["schemas"];
    for (schema, fields) in [
        ("Document", &["id", "document_id", "status", "processing_status", "rev", "progress"][..]),
        ("Workspace", &["id", "workspace_id", "counts", "message"]),
        ("Job", &["job_id", "kb_id", "workspace_id", "phase_details", "metrics"]),
        ("Problem", &["type", "title", "status", "detail", "code", "errors"]),
    ] {
        for field in fields {
            assert!(
                schemas[schema]["properties"].get(field).is_some(),
                "{schema}.{field}: {}",
                schemas[schema]
            );
        }
    }
    assert_eq!(api["components"]["securitySchemes"]["session"]["in"], "cookie");
    assert_eq!(api["components"]["securitySchemes"]["api_key"]["scheme"], "bearer");
}

/// What makes something takes a key, so that it can be sent again; the one exception says so.
#[tokio::test]
async fn every_operation_that_makes_something_takes_an_idempotency_key() {
    let server = Server::start().await;
    let api = server.visitor().read("/api/openapi.json").await;
    let mut making = 0;
    for (method, path, operation) in operations(&api) {
        let responses = operation["responses"].as_object().expect("responses");
        let makes = responses.contains_key("201") || responses.contains_key("202");
        // A report tells of what is there already, and so do those who steer it: two of the same are one.
        let steers = ["pause", "resume", "cancel", "skip-embedding", "retry", "undo", "first"]
            .iter()
            .any(|verb| path.ends_with(verb));
        if method != "post" || !makes || path.starts_with("/api/status/") || steers {
            continue;
        }
        making += 1;
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let takes = parameters.iter().any(|p| p["name"] == "Idempotency-Key" && p["in"] == "header");
        if path == "/api/auth/signup" {
            let about = operation["summary"].to_string() + &operation["description"].to_string();
            assert!(!takes && about.contains("takes no `Idempotency-Key`"), "{operation}");
        } else {
            assert!(takes, "{path}");
        }
    }
    assert!(making >= 7, "{making}");
    let visitor = server.visitor();
    let sign_up = async || {
        let request = visitor.request("POST", "/api/auth/signup").header("idempotency-key", "press-1");
        visitor.send(request.json(&crate::common::sign_up("ada"))).await
    };
    assert_eq!(sign_up().await.status, 201);
    sign_up().await.problem(409, "username_taken");
}

/// Each of the three takes the name of whose stream is meant, so each of them tells of it.
#[tokio::test]
async fn every_live_stream_tells_that_it_takes_the_id_of_its_user() {
    let server = Server::start().await;
    let api = server.visitor().read("/api/openapi.json").await;
    for stream in ["ws", "events", "changes"] {
        let path = format!("/api/status/{stream}");
        let parameters = api["paths"][path.as_str()]["get"]["parameters"].as_array().cloned();
        let takes = |p: &Value| p["name"] == "user_id" && p["in"] == "query" && p["required"] == false;
        assert!(parameters.as_ref().is_some_and(|all| all.iter().any(takes)), "{path}: {parameters:?}");
    }
}

#[tokio::test]
async fn the_interface_is_a_page_that_needs_no_script_and_nothing_from_elsewhere() {
    let server = Server::start().await;
    let visitor = server.visitor();
    let page = visitor.get("/api/docs").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let html = String::from_utf8(page.body.clone()).expect("text");
    assert!(html.contains("/api/workspaces/{id}/retry") && html.contains("id=\"shape-Workspace\""), "{html}");
    assert!(!html.contains("<script") && !html.contains(" style=") && !html.contains("://"), "{html}");
    assert!(page.header("content-security-policy").contains("default-src 'self'"));
    let style = visitor.get("/api/docs.css").await;
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
}

#[tokio::test]
async fn every_operation_tells_its_answers_and_each_of_its_errors_is_a_problem() {
    let server = Server::start().await;
    let api = server.visitor().read("/api/openapi.json").await;
    let mut told = BTreeSet::new();
    for (method, path, operation) in operations(&api) {
        let name = format!("{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{name} has no summary");
        let id = operation["operationId"].as_str().expect("an id").to_owned();
        assert!(told.insert(id), "{name} shares its id");
        let responses = operation["responses"].as_object().expect("responses");
        let mut needed = vec![];
        if path.contains("{id}") {
            needed.push("404");
        }
        if operation["requestBody"]["content"]["application/json"].is_object() {
            needed.extend(["400", "413", "415", "422"]);
        }
        if operation["requestBody"]["content"]["multipart/form-data"].is_object() {
            needed.push("400");
        }
        let ways_in = operation["security"].as_array().expect("who may ask");
        if ways_in.iter().any(|way| way.as_object().is_some_and(|way| !way.is_empty())) {
            needed.push("503");
            if method != "get" {
                needed.push("403");
            }
        }
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        if parameters.iter().any(|p| p["name"] == "limit" || p["name"] == "Idempotency-Key") {
            needed.push("422");
        }
        if parameters.iter().any(|p| p["name"] == "If-None-Match") {
            needed.push("304");
        }
        if path.starts_with("/api/status/documents") || path.starts_with("/api/status/workspaces") {
            needed.push("409");
        }
        for status in needed {
            assert!(responses.contains_key(status), "{name} lacks {status}: {:?}", responses.keys());
        }
        // Who checks such documents takes none with an answer that says nothing.
        for (status, response) in responses {
            assert!(response["description"].as_str().is_some_and(|d| !d.is_empty()), "{name} {status}");
        }
        // Which part of the server is not well stands in its answer.
        let errors =
            responses.iter().filter(|(status, _)| status.as_str() >= "400" && path != "/health/ready");
        for (status, response) in errors {
            let kinds: Vec<&String> =
                response["content"].as_object().map(|c| c.keys().collect()).unwrap_or_default();
            assert!(
                kinds.iter().all(|kind| *kind == "application/problem+json"),
                "{name} {status} is answered as {kinds:?}"
            );
        }
    }
}
