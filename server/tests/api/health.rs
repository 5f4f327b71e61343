//! For those who run it.

use crate::common::{Server, Setup, eventually};
use serde_json::json;

#[tokio::test]
async fn it_is_alive_and_tells_what_it_needs() {
    let server = Server::start().await;
    let visitor = server.visitor();
    assert_eq!(visitor.read("/health/live").await, json!({ "status": "alive" }));
    let ready = visitor.read("/health/ready").await;
    assert_eq!(ready["status"], "ready", "{ready}");
    let names: Vec<&str> =
        ready["checks"].as_array().expect("checks").iter().filter_map(|c| c["name"].as_str()).collect();
    assert_eq!(names[..3], ["database", "files", "running"]);
    assert_eq!(names[3..], ["embedding_model", "embedding_server", "broker", "shared_files", "clock"]);
}

#[tokio::test]
async fn without_a_model_it_says_what_to_do() {
    let empty = tempfile::tempdir().expect("a folder");
    let server = Setup::new().env("INSIGHTHUB_MODELS_DIR", empty.path().display().to_string()).start().await;
    let ready = server.visitor().read("/health/ready").await;
    assert_eq!(ready["status"], "degraded");
    let check = &ready["checks"][3];
    assert_eq!(check["ok"], false);
    assert!(check["detail"].as_str().is_some_and(|d| d.contains("cargo xtask setup")), "{check}");
    // A new workspace says so, too, instead of failing its first document.
    let client = server.user("ada").await;
    let made = client.post("/api/workspaces", json!({ "name": "Papers" })).await.json();
    let id = made["id"].as_str().expect("an id");
    let failed = eventually("the workspace is settled", async || {
        let now = client.read(&format!("/api/workspaces/{id}")).await;
        (now["status"] != "provisioning").then_some(now)
    })
    .await;
    assert_eq!(failed["status"], "error", "{failed}");
    let hint = &failed["provisioning"]["error_hint"];
    assert!(hint.as_str().is_some_and(|h| h.contains("cargo xtask setup")), "{failed}");
}

#[tokio::test]
async fn a_data_directory_that_takes_no_files_is_not_ready() {
    let server = Server::start().await;
    let files = server.dir.path().join("files");
    // Root may write anywhere, so the folder goes instead of its permissions.
    std::fs::remove_dir_all(&files).expect("removed");
    std::fs::write(&files, "in the way").expect("written");
    let answer = server.visitor().get("/health/ready").await;
    assert_eq!(answer.status, 503);
    let ready = answer.json();
    assert_eq!((&ready["status"], &ready["checks"][1]["ok"]), (&json!("not_ready"), &json!(false)));
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_never_by_id() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    client.read(&format!("/api/workspaces/{workspace}")).await;
    let text = String::from_utf8(client.get("/metrics").await.body).expect("text");
    assert!(
        text.contains(
            "insighthub_http_requests_total{method=\"GET\",route=\"/api/workspaces/{id}\",status=\"200\"} 1"
        ),
        "{text}"
    );
    assert!(text.contains("insighthub_http_request_seconds_bucket"), "{text}");
    assert!(!text.contains(&workspace));
}

#[tokio::test]
async fn a_worker_serves_operations_only() {
    let server = Setup::new().args(&["serve", "--role", "worker"]).start().await;
    let visitor = server.visitor();
    assert_eq!(visitor.read("/health/ready").await["status"], "ready");
    assert_eq!(visitor.get("/metrics").await.status, 200);
    assert_eq!(visitor.get("/api/openapi.json").await.status, 200);
    visitor.get("/api/workspaces").await.problem(404, "not_found");
}
