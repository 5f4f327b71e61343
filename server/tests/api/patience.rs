//! Clients that begin and do not go on: they are let go in time, and keep no stop of the server waiting.

use crate::common::{Client, Server, Setup, eventually, prose};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn half_a_head(server: &Server) -> TcpStream {
    let host = server.base.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(host).await.expect("a connection");
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: exam").await.expect("sent");
    stream
}

/// Reads to the end of what the server sends.
async fn rest(mut stream: TcpStream) -> String {
    let mut answer = vec![];
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// An upload of which the head and a piece of the first file come, and nothing more.
async fn stalled_upload(server: &Server, client: &Client) -> TcpStream {
    let path = format!("/api/workspaces/{}/documents", client.first_workspace().await);
    let host = server.base.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(host).await.expect("a connection");
    let mut sent = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {}\r\nContent-Type: multipart/form-data; boundary=x\r\n\
         Content-Length: 50000000\r\n\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n",
        client.cookie.as_deref().expect("a session")
    )
    .into_bytes();
    sent.extend(prose(1, 60_000));
    stream.write_all(&sent).await.expect("sent");
    stream
}

async fn is_being_written(server: &Server) {
    eventually("the file is being written", async || (server.files("incoming") == 1).then_some(())).await;
}

#[tokio::test]
async fn half_a_head_is_let_go() {
    let server = Setup::new().env("INSIGHTHUB_PATIENCE_SECONDS", "1").start().await;
    let stream = half_a_head(&server).await;
    assert_eq!(rest(stream).await, "", "it is closed, without an answer to what was not asked");
    server.visitor().read("/health/live").await;
}

#[tokio::test]
async fn a_stalled_upload_is_answered_and_leaves_nothing() {
    // Longer than this machine stands still in the middle of what is sent.
    let server = Setup::new().env("INSIGHTHUB_PATIENCE_SECONDS", "6").start().await;
    let client = server.user("ada").await;
    let upload = stalled_upload(&server, &client).await;
    is_being_written(&server).await;
    let answer = rest(upload).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let problem: Value =
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).expect("a body")).expect("a problem");
    assert_eq!((&problem["status"], &problem["code"]), (&json!(408), &json!("stalled")), "{problem}");
    eventually("nothing is left", async || server.all_files().is_empty().then_some(())).await;
    assert_eq!(client.read("/api/jobs").await["items"], json!([]));
}

#[tokio::test]
async fn a_slow_upload_that_goes_on_is_taken() {
    let server = Setup::new().env("INSIGHTHUB_PATIENCE_SECONDS", "6").start().await;
    let client = server.user("ada").await;
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Vec<u8>, std::io::Error>>();
    let request = client
        .request("POST", &format!("/api/workspaces/{}/documents", client.first_workspace().await))
        .header("content-type", "multipart/form-data; boundary=x")
        .body(reqwest::Body::wrap_stream(receiver));
    let sending = tokio::spawn(request.send());
    let head = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n";
    sender.unbounded_send(Ok(head.into())).expect("sent");
    // Longer than the patience as a whole, never longer between two pieces: here time is what is tested. A machine that
    // stands still for seconds does not make a pause too long.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        tokio::time::sleep(Duration::from_millis(250)).await;
        sender.unbounded_send(Ok(b"A lantern on the bridge. ".to_vec())).expect("sent");
    }
    sender.unbounded_send(Ok(b"\r\n--x--\r\n".to_vec())).expect("sent");
    drop(sender);
    assert_eq!(sending.await.expect("joined").expect("an answer").status().as_u16(), 202);
}

#[tokio::test]
async fn a_stop_waits_neither_for_half_a_request_nor_for_a_stalled_upload() {
    let mut server = Server::start().await;
    let client = server.user("ada").await;
    let (head, upload) = (half_a_head(&server).await, stalled_upload(&server, &client).await);
    is_being_written(&server).await;
    server.terminate();
    assert!(server.ended().await.success(), "{}", server.log());
    // It waits 30 seconds for what is under way, and then says so; nothing here is.
    assert!(!server.log().contains("not everything ended in time"), "{}", server.log());
    assert_eq!(server.all_files().len(), 0, "{:?}", server.all_files());
    drop((head, upload));
}
