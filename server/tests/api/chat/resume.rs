//! Following an answer after a cut, a reload and a restart: no gap, no double, and nothing that was shown is lost.

use super::{Desk, STEPS, Stream, check_ids, steps_of, text_of};
use crate::{
    chat::model::{Model, Piece, Plan, say},
    common::{Client, Server, eventually},
};
use serde_json::json;

const QUESTION: &str = "Where does the lantern hang?";

/// An answer in many pieces, with a gate before the last few.
fn long() -> Vec<Piece> {
    let mut pieces: Vec<Piece> = vec![];
    for n in 0..40 {
        pieces.push(say(&format!("word{n} ")));
        if n % 5 == 4 {
            pieces.push(Piece::Pause(35));
        }
    }
    pieces.push(Piece::Gate(1));
    pieces.extend((40..50).map(|n| say(&format!("word{n} "))));
    pieces
}

fn spoken(words: std::ops::Range<usize>) -> String {
    words.map(|n| format!("word{n} ")).collect()
}

/// What is shown of the words before the gate: a space at the end is held back, since a citation may follow.
fn before_the_gate() -> String {
    spoken(0..40).trim_end().to_owned()
}

#[tokio::test]
async fn whoever_comes_back_goes_on_where_they_were() {
    let model = Model::speaking(&long()).await;
    let desk = Desk::new(model.setup()).await;
    let mut first = Stream::ask(&desk.ada, QUESTION).await;
    let mut told = first.until(|m| m["content"].as_str().is_some_and(|text| text.contains("word9"))).await;
    let turn = told[0].1["turn_id"].as_str().expect("an id").to_owned();
    // The line breaks; what is made meanwhile is not lost.
    drop(first);
    let seen = told.last().expect("a message").0;
    let mut second = Stream::resume(&desk.ada, &turn, seen).await;
    told.extend(second.until(|m| m["content"].as_str().is_some_and(|text| text.contains("word39"))).await);
    // As after a reload: another one reads what there is, and follows from there.
    let now = desk.turn().await;
    assert_eq!((&now["status"], &now["answer"]), (&json!("processing"), &json!(before_the_gate())));
    let mut third = Stream::resume(&desk.ada, &turn, now["last_event"].as_u64().expect("a number")).await;
    model.open(1);
    told.extend(second.rest().await);
    let late = third.rest().await;
    check_ids(&told, 0);
    check_ids(&late, now["last_event"].as_u64().expect("a number"));
    assert_eq!((steps_of(&told), text_of(&told)), (STEPS.to_vec(), spoken(0..50)));
    assert_eq!(text_of(&late), format!(" {}", spoken(40..50)));
    // Everything once more, from any place, after the end.
    for after in [0, 3, seen, told.len() as u64 - 1] {
        let again = Stream::resume(&desk.ada, &turn, after).await.rest().await;
        let expected = &told[usize::try_from(after).expect("small")..];
        assert_eq!(again, expected);
    }
    let done = desk
        .ada
        .request("GET", &format!("/v1/chat/turns/{turn}/stream"))
        .header("last-event-id", told.len().to_string());
    assert_eq!(desk.ada.send(done).await.status, 204, "so that a browser stops asking");
    let bad = desk.ada.request("GET", &format!("/v1/chat/turns/{turn}/stream")).header("last-event-id", "x");
    desk.ada.send(bad).await.problem(422, "invalid");
}

#[tokio::test]
async fn an_answer_goes_on_when_nobody_listens() {
    let model = Model::speaking(&long()).await;
    let desk = Desk::new(model.setup()).await;
    let mut stream = Stream::ask(&desk.ada, QUESTION).await;
    let told = stream.until(|m| m["type"] == "chunk").await;
    drop(stream);
    let turn = told[0].1["turn_id"].as_str().expect("an id");
    let mut ahead = Stream::resume(&desk.ada, turn, 9_999).await;
    model.open(1);
    let late = ahead.rest().await;
    assert_eq!(
        late.last().map(|(_, m)| &m["type"]),
        Some(&json!("complete")),
        "an id that no message has had"
    );
    let all = Stream::resume(&desk.ada, turn, 0).await.rest().await;
    assert_eq!(text_of(&all), spoken(0..50));
}

/// The same client at the server that came back.
fn moved(client: &Client, server: &Server) -> Client {
    Client { base: server.base.clone(), ..client.clone() }
}

#[tokio::test]
async fn after_a_kill_what_was_shown_is_there_and_the_answer_is_marked() {
    let model = Model::with([Plan::Speak(long()), Plan::Speak(vec![say("On the quay.")])]).await;
    let Desk { mut server, ada, .. } = Desk::new(model.setup()).await;
    let mut stream = Stream::ask(&ada, QUESTION).await;
    // The last moment before the gate, and one in the midst of the pieces.
    let mut told = stream.until(|m| m["content"].as_str().is_some_and(|text| text.contains("word22"))).await;
    server.kill();
    // Whatever was on its way counts as shown.
    told.extend(stream.rest().await);
    let turn = told[0].1["turn_id"].as_str().expect("an id").to_owned();
    let shown = text_of(&told);

    let server = model.setup().dir(&server.dir).start().await;
    let ada = moved(&ada, &server);
    let seen = told.last().expect("a message").0;
    told.extend(Stream::resume(&ada, &turn, seen).await.rest().await);
    check_ids(&told, 0);
    let last = &told.last().expect("a message").1;
    assert_eq!(
        (&last["type"], &last["code"], &last["retryable"]),
        (&json!("error"), &json!("interrupted"), &json!(true))
    );
    let kept = ada.read(&format!("/v1/chat/turns/{turn}")).await;
    assert_eq!((&kept["status"], &kept["answer"]), (&json!("failed"), &json!(text_of(&told))));
    assert!(text_of(&told).starts_with(&shown) && spoken(0..50).starts_with(&text_of(&told)), "{kept}");
    let again = ada.post(&format!("/v1/chat/turns/{turn}/retry"), json!({})).await.json();
    assert_eq!(again["answer"], "On the quay.");
}

#[tokio::test]
async fn a_server_that_stops_tells_so_and_keeps_what_there_is() {
    let model = Model::speaking(&long()).await;
    let Desk { mut server, ada, .. } = Desk::new(model.setup()).await;
    let mut stream = Stream::ask(&ada, QUESTION).await;
    let mut told = stream.until(|m| m["content"].as_str().is_some_and(|text| text.contains("word39"))).await;
    server.terminate();
    told.extend(stream.rest().await);
    check_ids(&told, 0);
    let last = &told.last().expect("a message").1;
    assert_eq!(
        (&last["type"], &last["code"], &last["answer"]),
        (&json!("error"), &json!("interrupted"), &json!(before_the_gate()))
    );
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn whoever_follows_an_answer_takes_one_of_the_streams_of_the_account() {
    let model = Model::speaking(&[say("On the north"), Piece::Gate(1), say(" quay.")]).await;
    let desk = Desk::new(model.setup().env("INSIGHTHUB_MAX_STREAMS", "1")).await;
    let mut asked = Stream::ask(&desk.ada, QUESTION).await;
    let told = asked.until(|m| m["type"] == "chunk").await;
    let turn = told[0].1["turn_id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/chat/turns/{turn}/stream");
    let mut followed = Stream::resume(&desk.ada, &turn, 0).await;
    followed.until(|m| m["type"] == "chunk").await;
    desk.ada.get(&path).await.problem(429, "too_many_connections");
    let mut socket = desk.ada.socket().await;
    socket.send(json!({ "type": "hello", "epoch": null, "last_seq": null })).await;
    assert_eq!(socket.close_code().await, 4429);
    drop(followed);
    eventually("its place is free", async || {
        let answer = desk.ada.request("GET", &path).send().await.expect("an answer");
        (answer.status() == 200).then_some(())
    })
    .await;
    model.open(1);
    asked.rest().await;
    assert_eq!(desk.ada.get(&path).await.status, 200, "one that has ended is told from its beginning");
}

#[tokio::test]
async fn a_page_is_sent_the_answer_so_far_as_html() {
    let pieces =
        [say("On the **north** "), Piece::Gate(1), say("quay [1]:\n\n-"), Piece::Gate(2), say(" a <b>")];
    let model = Model::speaking(&pieces).await;
    let desk = Desk::new(model.setup()).await;
    let told = Stream::ask(&desk.ada, QUESTION).await.until(|m| m["type"] == "chunk").await;
    let turn = told[0].1["turn_id"].as_str().expect("an id").to_owned();
    let page = |last: u64| {
        let request = desk.ada.request("GET", &format!("/v1/chat/turns/{turn}/stream?html=s"));
        request.header("last-event-id", last.to_string())
    };
    let mut stream = Stream::of(page(0)).await;
    let mut seen = stream.until(|m| m["html"] == "<p>On the <strong>north</strong></p>").await;
    model.open(1);
    let cited = "<p>On the <strong>north</strong> quay \
        <a class=\"answer-cite\" href=\"#s-1\" rel=\"external\" aria-label=\"Source 1\">1</a>:</p>";
    seen.extend(stream.until(|m| m["html"] == cited).await);
    // Whoever comes back has all of it with the next piece.
    drop(stream);
    let mut stream = Stream::of(page(seen.last().expect("a message").0)).await;
    model.open(2);
    let whole = format!("{cited}<ul><li>a &lt;b&gt;</li></ul>");
    seen.extend(stream.until(|m| m["html"] == whole).await);
    seen.extend(stream.rest().await);
    check_ids(&seen, 0);
    assert_eq!(steps_of(&seen), STEPS);
    assert_eq!(text_of(&seen), "On the **north** quay [1]:\n\n- a <b>");
    let path = format!("/v1/chat/turns/{turn}/stream?html=%22%3E");
    desk.ada.get(&path).await.problem(422, "invalid");
}
