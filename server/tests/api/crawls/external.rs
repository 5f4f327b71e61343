//! A crawl in a workspace of an outside worker: the site is read here, and what becomes of its pages that worker says.

use super::*;

#[tokio::test]
async fn the_pages_of_a_crawl_wait_for_the_outside_worker_of_their_workspace() {
    let site = Site::start().await;
    site.set("/docs/", Reply::page("Start", &["a"]));
    site.set("/docs/a", Reply::page("Page a", &[]));
    let server = setup().start().await;
    let ada = server.user("ada").await;
    let made = ada.post("/api/workspaces", json!({ "name": "Scans", "processor": "external" })).await.json();
    let workspace = made["id"].as_str().expect("an id");
    let worker = ada.program(&ada.new_key("OCR box", &["status:write"]).await);
    let id = begin(&ada, workspace, json!({ "url": site.url("/docs/") })).await;
    // The site is read by this server, whoever works on its pages.
    let found = eventually("both pages are documents", async || {
        let all = documents(&ada, workspace).await;
        (all.len() == 2).then_some(all)
    })
    .await;
    assert!(found.iter().all(|document| document["status"] == "pending"), "{found:?}");
    let read = job(&ada, &id).await;
    assert_eq!((metric(&read, "pages_fetched"), &read["status"]), (2, &json!("running")));
    for document in &found {
        let id = document["id"].as_str().expect("an id");
        assert!(
            ada.get(&format!("/api/documents/{id}/content")).await.body.starts_with(b"<"),
            "it can be fetched"
        );
        for status in ["processing", "ready"] {
            let path = format!("/api/status/documents/{id}");
            assert_eq!(worker.post(&path, json!({ "status": status })).await.status, 200);
        }
    }
    let ended = ended(&ada, &id).await;
    assert_eq!((&ended["status"], metric(&ended, "documents_done")), (&json!("completed"), 2), "{ended}");
}
