//! What an answer cites stays at hand, whatever becomes of the document.

use super::Desk;
use crate::common::{Setup, eventually, form};
use serde_json::{Value, json};

/// Asks; answers the first source, its address, and what stands there.
async fn cited(desk: &Desk) -> (Value, String, Value) {
    let answer = desk.ask("Where does the lantern hang?").await;
    let source = answer["sources"][0].clone();
    let chunk = source["chunk_id"].as_str().expect("an id");
    let address = format!("/api/documents/{}/chunks/{chunk}", desk.document);
    let shown = desk.ada.read(&address).await;
    assert_eq!((&shown["is_gone"], &shown["chunk"]["text"]), (&json!(false), &source["text"]));
    let place = |chunk: &Value| (chunk["char_start"].clone(), chunk["char_end"].clone());
    assert_eq!(place(&source), place(&shown["chunk"]));
    (source, address, shown)
}

#[tokio::test]
async fn what_an_answer_cites_is_at_hand_when_its_document_was_replaced() {
    let desk = Desk::new(Setup::new()).await;
    let (source, address, before) = cited(&desk).await;
    let path = format!("/api/workspaces/{}/documents", desk.workspace);
    let next = form(&[("harbour.txt", b"The harbour was filled in.")]).text("on_duplicate", "replace");
    let sent = desk.ada.send(desk.ada.request("POST", &path).multipart(next)).await;
    assert_eq!(sent.status, 202, "{sent:?}");
    let document = format!("/api/documents/{}", desk.document);
    eventually("the next version is there", async || {
        (desk.ada.read(&document).await["version"] == 2).then_some(())
    })
    .await;
    assert_eq!(source["document_version"], 1);
    assert_eq!(desk.ada.read(&address).await, before, "of the version that it was of");
    desk.ada.patch(&address, json!({ "enabled": false })).await.problem(404, "not_found");
    desk.server.user("bob").await.get(&address).await.problem(404, "not_found");
}

#[tokio::test]
async fn what_an_answer_cites_is_at_hand_when_its_document_was_indexed_anew() {
    let desk = Desk::new(Setup::new()).await;
    let (source, address, before) = cited(&desk).await;
    let turn = desk.turn().await["turn_id"].as_str().expect("an id").to_owned();
    let base = format!("/api/workspaces/{}", desk.workspace);
    let mut config = desk.ada.read(&format!("{base}/rag-config")).await;
    (config["chunk_size"], config["chunk_overlap"]) = (json!(100), json!(0));
    let request = desk.ada.request("PUT", &format!("{base}/rag-config")).json(&config);
    let saved = desk.ada.send(request).await;
    assert_eq!(saved.status, 200, "{saved:?}");
    let begun = desk.ada.post(&format!("{base}/reindex"), json!({})).await.json();
    let job = format!("/api/jobs/{}", begun["job_id"].as_str().expect("an id"));
    eventually("it is indexed anew", async || {
        (desk.ada.read(&job).await["status"] == "completed").then_some(())
    })
    .await;
    desk.ada.get(&address).await.problem(404, "not_found");
    let named = format!("{address}?turn={turn}");
    let shown = desk.ada.read(&named).await;
    assert_eq!(shown["is_gone"], true);
    for part in ["before", "passage", "behind", "is_start", "is_end"] {
        assert_eq!(shown[part], before[part], "{part}");
    }
    assert_eq!(
        (&shown["chunk"]["text"], &shown["chunk"]["version"]),
        (&source["text"], &source["document_version"])
    );
    // The page says so, and offers nothing to do with it.
    let page = desk.ada.get(&named.replace("/api/documents/", "/d/")).await;
    let page = String::from_utf8(page.body).expect("text");
    assert!(page.contains("was indexed anew since an answer named this passage"), "{page}");
    assert!(!page.contains("/_fn/documents/change"), "{page}");
    desk.server.user("bob").await.get(&named).await.problem(404, "not_found");
}
