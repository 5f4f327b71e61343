//! A disk without room: an upload is refused with its reason, leaves nothing, and harms nothing else.

use crate::common::{Server, Setup, form, messages, prose};
use serde_json::json;

/// More than a file of the server may have, and less than an upload may.
const TOO_MUCH: usize = 9 << 20;

async fn server() -> Server {
    Setup::new().longest_file(8 << 20).start().await
}

#[tokio::test]
async fn a_file_for_which_there_is_no_room_is_refused_and_the_others_go_on() {
    let server = server().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let large = vec![b'a'; TOO_MUCH];
    let files: [(&str, &[u8]); 3] =
        [("a.txt", b"A lantern."), ("large.txt", &large), ("b.txt", &prose(1, 80))];
    let answer = client.upload(&workspace, &files).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let body = answer.json();
    assert_eq!(body["documents"].as_array().map(Vec::len), Some(2), "{body}");
    let refused = &body["rejected"][0];
    assert_eq!((&refused["filename"], &refused["code"]), (&json!("large.txt"), &json!("storage_full")));
    for document in body["documents"].as_array().expect("documents") {
        let settled = client.settled(document["document_id"].as_str().expect("an id")).await;
        assert_eq!(settled["status"], "ready", "{settled}");
    }
    assert_eq!((server.files("documents"), server.files("incoming")), (2, 0));
}

#[tokio::test]
async fn when_there_is_no_room_for_any_the_answer_is_507() {
    let server = server().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let large = vec![b'a'; TOO_MUCH];
    for path in [format!("/api/workspaces/{workspace}/documents"), "/v1/documents/".to_owned()] {
        let answer =
            client.send(client.request("POST", &path).multipart(form(&[("large.txt", &large)]))).await;
        let problem = answer.problem(507, "storage_full");
        let sentence = "The server has no room left for this file. Tell its operator, or try again later.";
        assert_eq!(problem["detail"], sentence);
        assert_eq!(messages(&problem, "file"), [format!("large.txt: {sentence}")]);
    }
    assert_eq!(server.all_files().len(), 0, "{:?}", server.all_files());
    assert_eq!(client.read("/api/jobs").await["items"], json!([]));
    assert!(server.log().contains("the disk is full"));
}
