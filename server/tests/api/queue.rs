//! The place in the queue: told at the upload, and again when it falls.

use crate::{
    common::Setup,
    embeddings::{Embeddings, choose},
};
use serde_json::{Value, json};

#[tokio::test]
async fn those_who_wait_hear_their_place_fall() {
    let embeddings = Embeddings::start().await;
    let server = embeddings.told_to(Setup::new()).env("INSIGHTHUB_WORKERS", "1").start().await;
    let (ada, ben, eve) = (server.user("ada").await, server.user("ben").await, server.user("eve").await);
    let mut socket = eve.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    // The first two stay in the hands of the only worker until they are let go.
    embeddings.hold(Some("lantern"));
    for (client, text) in [(&ada, "A lantern."), (&ben, "A bridge."), (&eve, "A ledger.")] {
        let workspace = client.first_workspace().await;
        choose(client, &workspace).await;
        client.upload_one(&workspace, "a.txt", text.as_bytes()).await;
    }
    // The row, the panel and the tray say it, also without a script.
    let page = eve.get(&format!("/w/{}", eve.first_workspace().await)).await;
    let page = String::from_utf8(page.body).expect("text");
    assert!(page.matches("Pending · behind 2").count() >= 3, "{page}");
    embeddings.hold(Some("bridge"));
    let of_job = |e: &Value| e["event"].as_str().is_some_and(|name| name.starts_with("job_"));
    let mut events = socket.events_until(|e| of_job(e) && e["data"]["queue_position"] == 1).await;
    embeddings.hold(None);
    events.extend(socket.events_until(|e| e["event"] == "job_complete").await);
    let jobs = events.iter().filter(|e| of_job(e));
    let mut told: Vec<(Value, Value)> =
        jobs.map(|e| (e["data"]["status"].clone(), e["data"]["queue_position"].clone())).collect();
    let pending: Vec<Value> =
        told.extract_if(.., |(status, _)| status == "pending").map(|(_, place)| place).collect();
    assert!(pending.starts_with(&[json!(2), json!(1)]), "{pending:?}");
    assert!(told.iter().all(|(_, place)| place.is_null()), "who runs has no place: {told:?}");
}
