//! What is somebody else's is not there.

use crate::common::{Server, prose};
use serde_json::json;

#[tokio::test]
async fn nobody_sees_or_touches_what_is_somebody_elses() {
    let server = Server::start().await;
    let (ada, bob) = (server.user("ada").await, server.user("bob").await);
    let workspace = ada.first_workspace().await;
    let uploaded = ada.upload(&workspace, &[("notes.txt", &prose(1, 200))]).await.json();
    let job = uploaded["job_id"].as_str().expect("a job").to_owned();
    let document = uploaded["documents"][0]["document_id"].as_str().expect("a document").to_owned();
    ada.settled(&document).await;

    let paths = [
        format!("/api/workspaces/{workspace}"),
        format!("/api/workspaces/{workspace}/documents"),
        format!("/api/workspaces/{workspace}/search?q=lantern"),
        format!("/api/workspaces/{workspace}/rag-config"),
        format!("/api/workspaces/{workspace}/reindex/estimate"),
        format!("/api/documents/{document}"),
        format!("/api/documents/{document}/chunks"),
        format!("/api/documents/{document}/content"),
        format!("/api/jobs/{job}"),
        format!("/api/ingestion/kb/{workspace}/status"),
        format!("/v1/documents/{document}/status"),
    ];
    for path in &paths {
        assert_eq!(ada.get(path).await.status, 200, "{path}");
        bob.get(path).await.problem(404, "not_found");
    }
    bob.upload(&workspace, &[("b.txt", b"mine now")]).await.problem(404, "not_found");
    let form = reqwest::multipart::Form::new()
        .text("workspace_id", workspace.clone())
        .part("file", reqwest::multipart::Part::bytes(b"mine now".to_vec()).file_name("b.txt"));
    bob.send(bob.request("POST", "/v1/documents/").multipart(form)).await.problem(404, "not_found");
    let statuses = bob.read(&format!("/v1/documents/status?ids={document}")).await;
    assert_eq!(statuses, json!({ "items": [], "missing": [document] }));

    // Nor do lists and counts tell of it.
    assert_eq!(bob.read("/api/jobs").await["items"], json!([]));
    assert_eq!(bob.read("/api/workspaces").await["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(ada.read(&format!("/api/workspaces/{workspace}")).await["counts"]["documents"], 1);
}
