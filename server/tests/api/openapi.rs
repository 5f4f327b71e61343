//! The OpenAPI document and the routes are one thing.

use crate::common::{Answer, Server, prose};
use serde_json::{Value, json};
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
            for status in ["200", "304"] {
                assert!(responses[status]["headers"]["ETag"].is_object(), "{name} {status} tells of no tag");
            }
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

/// What a reference leads to.
fn followed<'a>(api: &'a Value, reference: &Value) -> &'a Value {
    let pointer = reference["$ref"].as_str().and_then(|r| r.strip_prefix('#'));
    pointer.and_then(|pointer| api.pointer(pointer)).unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

/// What is answered as JSON with 200 at that address.
fn told<'a>(api: &'a Value, path: &str) -> &'a Value {
    &api["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
}

/// A program whose types are made from the document knows every field that lists send.
#[tokio::test]
async fn items_of_lists_are_what_the_document_tells_of_one_of_them() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    // Ready, and failed: either has what the other has not.
    for (name, bytes) in [("a.txt", &prose(1, 60)[..]), ("b.pdf", &b"%PDF-1.7\nthis is no real PDF"[..])] {
        ada.settled(&ada.upload_one(&workspace, name, bytes).await).await;
    }
    let api = server.visitor().read("/api/openapi.json").await;
    for (list, one, least, second) in [
        ("/api/workspaces", "/api/workspaces/{id}", 1, "message"),
        ("/api/workspaces/{id}/documents", "/api/documents/{id}", 2, "correlation_id"),
        ("/api/jobs", "/api/jobs/{id}", 2, "workspace_id"),
    ] {
        let page = followed(&api, told(&api, list));
        let item = &page["properties"]["items"]["items"];
        assert_eq!(item["$ref"], told(&api, one)["$ref"], "{list}");
        let item = followed(&api, item);
        let answered = ada.read(&list.replace("{id}", &workspace)).await;
        let items = answered["items"].as_array().expect("items");
        assert!(items.len() >= least, "{list}: {answered}");
        for (value, schema) in items.iter().map(|value| (value, item)).chain([(&answered, page)]) {
            let sent = value.as_object().expect("an object");
            for field in sent.keys() {
                assert!(schema["properties"].get(field).is_some(), "{list}: nothing is told of {field}");
            }
            for field in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                assert!(sent.contains_key(field), "{list}: {field} is promised, and not sent");
            }
        }
        assert!(items.iter().all(|item| item.get(second).is_some()), "{list}: {second} is not sent");
    }
    // No other list spells its items out either.
    for (name, schema) in api["components"]["schemas"].as_object().expect("schemas") {
        if name.starts_with("Page_") {
            assert!(schema["properties"]["items"]["items"]["$ref"].is_string(), "{name}: {schema}");
        }
    }
}

/// Where the kind of an answer is for the client to choose, each kind is told.
#[tokio::test]
async fn each_kind_of_an_answer_is_told() {
    let server = Server::start().await;
    let api = server.visitor().read("/api/openapi.json").await;
    let kinds = |method: &str, path: &str, status: &str| -> Vec<String> {
        let content = &api["paths"][path][method]["responses"][status]["content"];
        let mut kinds: Vec<String> = content.as_object().expect("content").keys().cloned().collect();
        kinds.sort();
        kinds
    };
    for path in ["/v1/chat/", "/v1/chat/turns/{id}/retry"] {
        assert_eq!(kinds("post", path, "200"), ["application/json", "text/event-stream"], "{path}");
    }
    let export = "/v1/chat/conversations/{user_id}/{conversation_id}/export";
    assert_eq!(kinds("get", export, "200"), ["application/json", "text/markdown"]);
    for status in ["200", "206"] {
        assert_eq!(kinds("get", "/api/documents/{id}/content", status), ["*/*"], "{status}");
    }
    for of in ["documents", "jobs", "workspaces"] {
        let path = format!("/api/{of}/{{id}}/history");
        assert_eq!(kinds("get", &path, "200"), ["application/json", "text/csv"], "{path}");
        let entry = json!({ "$ref": "#/components/schemas/HistoryEntry" });
        let page = json!({ "$ref": "#/components/schemas/Page_HistoryEntry" });
        let either = json!([page, { "type": "array", "items": entry }]);
        assert_eq!(told(&api, &path)["oneOf"], either, "{path}");
    }
}

#[tokio::test]
async fn headers_that_are_sent_are_told() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let document = ada.upload_one(&workspace, "a.txt", &prose(1, 60)).await;
    let api = server.visitor().read("/api/openapi.json").await;
    let check = |method: &str, path: &str, answer: &Answer, names: &[&str]| {
        let status = answer.status.to_string();
        let headers = &api["paths"][path][method]["responses"][status.as_str()]["headers"];
        for name in names {
            assert!(!answer.header(name).is_empty(), "{method} {path} sends no {name}: {answer:?}");
            assert!(headers[*name].is_object(), "{method} {path} {status} tells of no {name}: {headers}");
        }
    };
    let path = format!("/api/documents/{document}");
    let answer = ada.get(&path).await;
    check("get", "/api/documents/{id}", &answer, &["ETag"]);
    let content = format!("{path}/content");
    let part = ada.send(ada.request("GET", &content).header("range", "bytes=0-3")).await;
    assert_eq!(part.status, 206, "{part:?}");
    check("get", "/api/documents/{id}/content", &part, &["Content-Range", "Last-Modified"]);
    let made = ada.post("/api/workspaces", json!({ "name": "Papers" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    check("post", "/api/workspaces", &made, &["Location"]);

    // Of a file that comes in parts nothing but its length has to be said.
    let parameters = api["paths"]["/api/uploads"]["post"]["parameters"].as_array().expect("parameters");
    let needed = parameters.iter().filter(|p| p["required"] == true).map(|p| &p["name"]);
    assert_eq!(needed.collect::<Vec<_>>(), ["Upload-Length"]);
    let begun = ada.send(ada.request("POST", "/api/uploads").header("upload-length", 10)).await;
    assert_eq!(begun.status, 201, "{begun:?}");
    check("post", "/api/uploads", &begun, &["Location", "Upload-Offset", "Upload-Expires"]);
    let upload = begun.header("location").to_owned();
    let standing = ada.get(&upload).await;
    check("get", "/api/uploads/{id}", &standing, &["Upload-Offset", "Upload-Expires", "Upload-Length"]);
    let request = ada.request("PATCH", &upload).header("upload-offset", 0);
    let request = request.header("content-type", "application/offset+octet-stream");
    let extended = ada.send(request.body("A lan")).await;
    assert_eq!(extended.status, 204, "{extended:?}");
    check("patch", "/api/uploads/{id}", &extended, &["Upload-Offset", "Upload-Expires"]);
}
