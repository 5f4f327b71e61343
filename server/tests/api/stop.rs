//! Stopping: everybody is told, nothing is lost.

use crate::{
    common::{Client, Server, Setup, eventually, prose},
    embeddings::{Embeddings, KEY},
};
use futures::channel::mpsc::UnboundedSender;
use serde_json::{Value, json};
use std::{sync::atomic::Ordering, time::Duration};
use tokio::task::JoinHandle;

#[tokio::test]
async fn a_stop_tells_every_socket_and_ends_well() {
    let mut server = Server::start().await;
    let client = server.user("ada").await;
    let (mut live, mut silent) = (client.socket().await, client.socket().await);
    live.hello(Value::Null, Value::Null).await;
    server.terminate();
    assert_eq!(live.close_code().await, 1001);
    assert_eq!(silent.close_code().await, 1001, "also one that has not said hello");
    assert!(server.ended().await.success(), "{}", server.log());
}

/// The last line of a server's log; its workers have one of their own.
const STOPPED: &str = "lifecycle: stopped";

/// Goes on sending a little at a time, until it is aborted: a server that is stopping waits two seconds for the next piece, which
/// would be all the time that a test has for what it does meanwhile.
fn goes_on(sender: &UnboundedSender<Result<Vec<u8>, std::io::Error>>) -> JoinHandle<()> {
    let sender = sender.clone();
    tokio::spawn(async move {
        while sender.unbounded_send(Ok(b"A lantern. ".to_vec())).is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
}

/// The order of the page on the architecture, "Stopping".
#[tokio::test]
async fn a_stop_sends_the_streams_away_first_and_lets_what_is_in_hand_end_before_the_store_closes() {
    let mut server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    // Found by its words alone: vectors for all of it would take a while.
    let config = format!("/api/workspaces/{workspace}/rag-config");
    let keyword = client.request("PUT", &config).json(&json!({ "retriever_type": "keyword" }));
    assert_eq!(client.send(keyword).await.status, 200);
    let mut live = client.socket().await;
    live.hello(Value::Null, Value::Null).await;
    // An upload that has begun and is far from its end.
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Vec<u8>, std::io::Error>>();
    let head = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n";
    // Enough that some of it is on the disk: an empty buffer would tell nothing.
    sender.unbounded_send(Ok([head.as_bytes(), &prose(1, 60_000)].concat())).expect("sent");
    let request = client
        .request("POST", &format!("/api/workspaces/{workspace}/documents"))
        .header("content-type", "multipart/form-data; boundary=x")
        .body(reqwest::Body::wrap_stream(receiver));
    let sending = tokio::spawn(request.send());
    let incoming = server.dir.path().join("files/incoming");
    let being_written = || std::fs::read_dir(&incoming).is_ok_and(|dir| dir.count() == 1);
    crate::common::eventually("the upload has begun", async || being_written().then_some(())).await;

    let going_on = goes_on(&sender);
    server.terminate();
    assert_eq!(live.close_code().await, 1001, "streams are sent away while the upload goes on");
    let address = client.base.trim_start_matches("http://").to_owned();
    let refused = async || match tokio::net::TcpStream::connect(&address).await {
        Err(_) => Some(()),
        // The last ones that the kernel took before the listener closed are closed without an answer.
        Ok(_) => None,
    };
    crate::common::eventually("nobody new is let in", refused).await;
    assert!(!server.log().contains(STOPPED), "it waits for what is in hand: {}", server.log());
    going_on.abort();
    let _ = going_on.await;
    sender.unbounded_send(Ok(b"\r\n--x--\r\n".to_vec())).expect("sent");
    drop(sender);
    let answer = sending.await.expect("joined").expect("an answer");
    assert_eq!(answer.status(), 202, "what was in hand came to its end");
    let uploaded: Value = answer.json().await.expect("JSON");
    assert!(server.ended().await.success(), "{}", server.log());
    let log = server.log();
    let at = |what: &str| log.find(what).unwrap_or_else(|| panic!("{what}: {log}"));
    assert!(at("stopping: no new requests") < at(STOPPED), "{log}");
    assert!(!log.contains("not everything ended in time"), "{log}");

    // The store was open to the last: the document is there, and is finished by the next server.
    let again = Setup::new().dir(&server.dir).start().await;
    let back = Client { base: again.base.clone(), ..client };
    let id = uploaded["documents"][0]["document_id"].as_str().expect("an id");
    assert_eq!(back.settled(id).await["status"], "ready");
}

#[tokio::test]
async fn a_stop_in_the_middle_of_the_work_loses_nothing() {
    let mut server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let files: Vec<Vec<u8>> = (0..3).map(|n| prose(n, 6_000)).collect();
    let named: Vec<(&str, &[u8])> =
        ["a.txt", "b.txt", "c.txt"].into_iter().zip(files.iter().map(Vec::as_slice)).collect();
    let mut socket = client.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    let uploaded = client.upload(&workspace, &named).await.json();
    socket.events_until(|e| e["event"] == "document_status" && e["data"]["status"] == "processing").await;
    server.terminate();
    assert!(server.ended().await.success(), "{}", server.log());

    let again = Setup::new().dir(&server.dir).start().await;
    let back = Client { base: again.base.clone(), ..client };
    for document in uploaded["documents"].as_array().expect("documents") {
        let id = document["document_id"].as_str().expect("an id");
        let settled = back.settled(id).await;
        assert_eq!((&settled["status"], &settled["attempt"]), (&json!("ready"), &json!(1)), "{settled}");
        let chunks = back.read(&format!("/api/documents/{id}/chunks?limit=200")).await;
        assert_eq!(chunks["items"].as_array().map(|c| c.len() as u64), settled["chunk_count"].as_u64());
    }
}

/// Vectors in the database of a server that has ended.
async fn stored_vectors(server: &Server) -> usize {
    let mut database = server.dir.connect().await;
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM chunk_vectors")
        .fetch_one(&mut database)
        .await
        .expect("a count");
    usize::try_from(count).expect("a count")
}

#[tokio::test]
async fn a_stop_finishes_the_batch_in_hand_and_begins_no_other() {
    let embeddings = Embeddings::start().await;
    let setup = || Setup::new().env("EMBEDDINGS_URL", embeddings.url()).env("EMBEDDINGS_KEY", KEY);
    let mut server = setup().start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let path = format!("/api/workspaces/{workspace}/rag-config");
    let config = json!({ "embedding_model": "words-embed", "chunk_size": 200, "chunk_overlap": 0 });
    let saved = client.send(client.request("PUT", &path).json(&config)).await;
    assert_eq!(saved.status, 200, "{saved:?}");

    // The model has the first batch in hand when the stop comes.
    let how = &embeddings.how;
    // When the model was chosen, it was tried, also by a name that it does not know.
    let (before, answered) = (how.asked.load(Ordering::SeqCst), how.texts.load(Ordering::SeqCst));
    how.hangs.store(true, Ordering::SeqCst);
    let id = client.upload_one(&workspace, "a.txt", &prose(1, 2_000)).await;
    let in_hand = || Some(how.asked.load(Ordering::SeqCst) - before).filter(|asked| *asked > 0);
    let batch = eventually("a batch is at the model", async || in_hand()).await;
    server.terminate();
    let stopping = || server.log().contains("stopping: no new requests").then_some(());
    eventually("it is stopping", async || stopping()).await;
    how.hangs.store(false, Ordering::SeqCst);
    assert!(server.ended().await.success(), "{}", server.log());
    assert!(!server.log().contains("not everything ended in time"), "{}", server.log());
    assert_eq!(how.asked.load(Ordering::SeqCst) - before, batch, "another batch was begun after the signal");
    assert_eq!(stored_vectors(&server).await, batch, "what was in hand is stored");

    let again = setup().dir(&server.dir).start().await;
    let back = Client { base: again.base.clone(), ..client };
    let settled = back.settled(&id).await;
    let chunks = settled["chunk_count"].as_u64().expect("a number") as usize;
    assert!(chunks > batch, "{batch} of {chunks}");
    assert_eq!((&settled["status"], &settled["attempt"]), (&json!("ready"), &json!(1)), "{settled}");
    assert_eq!(how.texts.load(Ordering::SeqCst) - answered, chunks, "no text went to the model twice");
}

#[tokio::test]
async fn a_stop_writes_which_keys_were_used_a_moment_ago() {
    let mut server = Server::start().await;
    let ada = server.user("ada").await;
    let key = ada.new_key("nightly", &["read"]).await;
    ada.program(&key).read("/api/workspaces").await;
    server.terminate();
    assert!(server.ended().await.success(), "{}", server.log());
    let again = Setup::new().dir(&server.dir).start().await;
    let back = Client { base: again.base.clone(), ..ada };
    let listed = back.read("/api/auth/api-keys").await["items"][0].clone();
    assert_eq!(listed["id"], key["id"]);
    assert!(listed["last_used_at"].is_string(), "{listed}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut server = Server::start().await;
    let client = server.user("ada").await;
    // An upload that never ends keeps the first stop waiting.
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Vec<u8>, std::io::Error>>();
    let head = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n";
    sender.unbounded_send(Ok([head.as_bytes(), &prose(1, 60_000)].concat())).expect("sent");
    let request = client
        .request("POST", &format!("/api/workspaces/{}/documents", client.first_workspace().await))
        .header("content-type", "multipart/form-data; boundary=x")
        .body(reqwest::Body::wrap_stream(receiver));
    let sending = tokio::spawn(request.send());
    let incoming = server.dir.path().join("files/incoming");
    let being_written = || std::fs::read_dir(&incoming).is_ok_and(|dir| dir.count() == 1);
    eventually("the upload has begun", async || being_written().then_some(())).await;
    let _going_on = goes_on(&sender);
    server.terminate();
    let said = || server.log().contains("stopping");
    eventually("it is stopping", async || said().then_some(())).await;
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(1));
    drop(sender);
    assert!(sending.await.expect("joined").is_err());
}
