//! Two servers on one PostgreSQL: an answer that one of them makes is followed, stopped and, when that one dies, ended at the
//! other.

use super::{Desk, Stream, check_ids, text_of};
use crate::{
    broker::Installation,
    chat::model::{Model, Piece, say},
    common::{Client, eventually},
    servers::database::Place,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const QUESTION: &str = "Where does the lantern hang?";

/// Asks and waits for the first words; answers the stream, what was told, and the id of the turn.
async fn begun(client: &Client) -> (Stream, Vec<(u64, Value)>, String) {
    let mut stream = Stream::ask(client, QUESTION).await;
    let told = stream.until(|message| message["type"] == "chunk").await;
    let turn = told[0].1["turn_id"].as_str().expect("an id").to_owned();
    (stream, told, turn)
}

#[tokio::test]
async fn an_answer_of_one_server_is_followed_stopped_and_ended_at_the_other() {
    let place = Place::postgres().await;
    let model = Model::speaking(&[say("On the north"), Piece::Gate(1), say(" quay.")]).await;
    let setup = || model.setup().env("DATABASE_URL", place.url());
    let mut desk = Desk::new(setup()).await;
    // Files lie with the server that took them: the other one starts when there is nothing left to do with them.
    let there = setup().start().await;
    let other = Client { base: there.base.clone(), ..desk.ada.clone() };

    let (mut stream, mut told, turn) = begun(&desk.ada).await;
    let mut followed = Stream::resume(&other, &turn, 0).await;
    let mut seen = followed.until(|message| message["type"] == "chunk").await;
    assert_eq!(seen, told);
    let stopped = other.post(&format!("/v1/chat/turns/{turn}/stop"), json!({})).await.json();
    assert_eq!((&stopped["status"], &stopped["answer"]), (&json!("stopped"), &json!("On the north")));
    seen.extend(followed.rest().await);
    told.extend(stream.rest().await);
    check_ids(&told, 0);
    assert_eq!(seen, told, "both are told the same end");
    eventually("the model is not listened to any more", async || (model.ended() == 1).then_some(())).await;

    let (mut stream, mut told, turn) = begun(&desk.ada).await;
    desk.server.kill();
    told.extend(stream.rest().await);
    let after = told.last().expect("a message").0;
    told.extend(Stream::resume(&other, &turn, after).await.rest().await);
    check_ids(&told, 0);
    let last = &told.last().expect("a message").1;
    assert_eq!((&last["type"], &last["code"]), (&json!("error"), &json!("interrupted")));
    assert_eq!(last["answer"], text_of(&told));
}

#[tokio::test]
async fn whoever_follows_an_answer_sees_at_once_that_it_was_stopped_at_another_server() {
    let installation = Installation::new().await;
    let model = Model::speaking(&[say("On the north"), Piece::Gate(1), say(" quay.")]).await;
    let node = || installation.node_with("all", |setup| model.told_to(setup));
    let (here, there) = (node().await, node().await);
    let ada = here.user("ada").await;
    let workspace = ada.first_workspace().await;
    let document = ada.upload_one(&workspace, "harbour.txt", super::HARBOUR.as_bytes()).await;
    assert_eq!(ada.settled(&document).await["status"], "ready");
    let other = Client { base: there.base.clone(), ..ada.clone() };
    // The model is silent, so the server that listens to it has nothing to write and learns of the end by the broker. A
    // look at the leases would find it within three seconds: a second is enough for that by luck, but not nine times out of
    // twelve. A machine that stands still for a moment makes some of them late, and one that is slow all the time has more than a
    // second: three times as long as something else that comes by the broker just then.
    let mut page = ada.socket().await;
    page.hello(Value::Null, Value::Null).await;
    let mut late = vec![];
    for round in 0..12 {
        let theme = if round % 2 == 0 { "dark" } else { "light" };
        let changed = Instant::now();
        assert_eq!(other.patch("/api/auth/preferences", json!({ "theme": theme })).await.status, 200);
        page.events_until(|event| event["data"]["user"]["theme"] == theme).await;
        let most = Duration::from_secs(1).max(changed.elapsed() * 3);

        let (mut stream, mut told, turn) = begun(&ada).await;
        let stopped = Instant::now();
        other.post(&format!("/v1/chat/turns/{turn}/stop"), json!({})).await;
        told.extend(stream.rest().await);
        late.extend(Some((stopped.elapsed(), most)).filter(|(took, most)| took >= most));
        check_ids(&told, 0);
        let last = &told.last().expect("a message").1;
        assert_eq!((&last["type"], &last["metadata"]["status"]), (&json!("complete"), &json!("stopped")));
    }
    assert!(late.len() <= 3, "these took so long, and had so long: {late:?}");
    eventually("the model is not listened to any more", async || (model.ended() == 12).then_some(())).await;
}
