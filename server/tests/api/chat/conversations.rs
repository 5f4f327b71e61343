//! Conversations over REST: beginning, naming, finding, taking along and deleting them, and bringing them back.

use super::{
    Desk, Stream,
    model::{Model, Piece, say},
};
use crate::{
    common::{Client, Setup, Socket, eventually, form_of, messages},
    deleting::leave_time_for_undo,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row};

async fn titles(client: &Client, query: &str) -> Vec<String> {
    let list = client.read(&format!("/v1/chat/conversations{query}")).await;
    let title = |c: &Value| c["title"].as_str().expect("a title").to_owned();
    list["items"].as_array().expect("items").iter().map(title).collect()
}

#[tokio::test]
async fn a_conversation_is_named_found_taken_along_and_deleted() {
    let desk = Desk::new(Setup::new()).await;
    let ada = &desk.ada;
    let ask = async |session: &str, query: &str| {
        let answer = ada.post("/v1/chat/", json!({ "query": query, "session_id": session })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    ask("a/b c?#1", "Where does the lantern hang?").await;
    ask("second", "When is tea served?").await;
    assert_eq!(titles(ada, "").await, ["When is tea served?", "Where does the lantern hang?"]);
    assert_eq!(titles(ada, "?q=LANTERN+hang").await, ["Where does the lantern hang?"]);
    assert_eq!(titles(ada, "?q=in+the+cabin").await, ["When is tea served?"], "also by what was answered");
    assert!(titles(ada, "?q=%25").await.is_empty(), "a sign is a sign");
    assert_eq!(titles(ada, &format!("?workspace_id={}", desk.workspace)).await.len(), 2);
    let page = ada.read("/v1/chat/conversations?limit=1").await;
    let next = page["next"].as_str().expect("more");
    assert_eq!(titles(ada, &format!("?limit=1&after={next}")).await, ["Where does the lantern hang?"]);

    let path = "/v1/chat/conversations/me/a%2Fb%20c%3F%231";
    let renamed = ada.patch(path, json!({ "title": " The  lantern " })).await.json();
    assert_eq!((&renamed["title"], &renamed["turns"]), (&json!("The lantern"), &json!(1)));
    let problem = ada.patch(path, json!({ "title": "" })).await.problem(422, "invalid");
    assert!(!messages(&problem, "title").is_empty());
    assert_eq!(titles(ada, "").await, ["When is tea served?", "The lantern"], "in their order");

    let file = ada.get(&format!("{path}/export")).await;
    assert!(
        file.header("content-disposition").contains("filename=\"The-lantern.md\""),
        "{}",
        file.header("content-disposition")
    );
    let text = String::from_utf8(file.body).expect("text");
    assert!(text.starts_with("# The lantern\n\n## Where does the lantern hang?\n\nAn extract"), "{text}");
    assert!(text.contains("1. harbour.txt, version 1"), "{text}");
    let json = ada.read(&format!("{path}/export?format=json")).await;
    assert_eq!(
        (&json["conversation_id"], &json["items"][0]["status"]),
        (&json!("a/b c?#1"), &json!("completed"))
    );
    ada.get(&format!("{path}/export?format=exe")).await.problem(422, "invalid");

    let bob = desk.server.user("bob").await;
    for answer in [
        bob.get(path).await,
        bob.patch(path, json!({ "title": "x" })).await,
        bob.delete(path).await,
        bob.post(&format!("{path}/restore"), json!({})).await,
    ] {
        answer.problem(404, "not_found");
    }
    assert!(titles(&bob, "").await.is_empty());
    assert_eq!(ada.delete(path).await.status, 202);
    ada.get(path).await.problem(404, "not_found");
    ada.delete(path).await.problem(404, "not_found");
    assert_eq!(titles(ada, "").await, ["When is tea served?"]);
}

#[tokio::test]
async fn a_deleted_conversation_is_nowhere_at_once_and_undo_brings_all_of_it_back() {
    let desk = Desk::new(Setup::new()).await;
    let ada = &desk.ada;
    let turn = desk.ask("Where does the lantern hang?").await["turn_id"].as_str().expect("an id").to_owned();
    let path = "/v1/chat/conversations/me/s";
    let (whole, history) = (ada.read(path).await, ada.read(&format!("{path}/status")).await);
    let counted = async || {
        let counts = ada.read(&format!("/api/workspaces/{}", desk.workspace)).await["counts"].clone();
        (counts["conversations"].as_u64(), counts["messages"].as_u64())
    };
    let mut other_tab = ada.socket().await;
    other_tab.hello(Value::Null, Value::Null).await;

    let answer = ada.delete(path).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    leave_time_for_undo(&desk.server).await;
    let deleted = answer.json();
    assert_eq!(
        (&deleted["conversation_id"], &deleted["workspace_id"], &deleted["title"]),
        (&json!("s"), &json!(desk.workspace), &json!("Where does the lantern hang?"))
    );
    assert!(deleted["undo_until"].is_string(), "{deleted}");
    assert_eq!(heard(&mut other_tab, "deleted").await["data"]["conversation_id"], "s");
    let of_turn = format!("/v1/chat/turns/{turn}");
    for gone in [
        path.to_owned(),
        format!("{path}/status"),
        format!("{path}/export"),
        of_turn.clone(),
        format!("{of_turn}/stream"),
    ] {
        ada.get(&gone).await.problem(404, "not_found");
    }
    for gone in [format!("{of_turn}/stop"), format!("{of_turn}/retry")] {
        ada.post(&gone, json!({})).await.problem(404, "not_found");
    }
    ada.patch(path, json!({ "title": "x" })).await.problem(404, "not_found");
    ada.delete(path).await.problem(404, "not_found");
    assert!(titles(ada, "").await.is_empty());
    assert!(titles(ada, "?q=lantern").await.is_empty());
    assert_eq!(counted().await, (Some(0), Some(0)));

    for _ in 0..2 {
        let answer = ada.post(&format!("{path}/restore"), json!({})).await;
        assert_eq!((answer.status, &answer.json()["conversation_id"]), (200, &json!("s")), "{answer:?}");
    }
    assert_eq!(heard(&mut other_tab, "created").await["data"]["conversation_id"], "s");
    assert_eq!(ada.read(path).await, whole);
    assert_eq!(ada.read(&format!("{path}/status")).await, history);
    assert_eq!(ada.read(&of_turn).await, whole["items"][0]);
    assert_eq!(titles(ada, "?q=lantern").await, ["Where does the lantern hang?"]);
    assert_eq!(counted().await, (Some(1), Some(1)));
}

#[tokio::test]
async fn what_is_being_answered_in_a_deleted_conversation_is_stopped_and_undo_brings_back_what_there_was() {
    let model = Model::speaking(&[say("On the north"), Piece::Gate(1), say(" quay.")]).await;
    let desk = Desk::new(model.setup()).await;
    let mut stream = Stream::ask(&desk.ada, "Where does the lantern hang?").await;
    stream.until(|m| m["type"] == "chunk").await;
    let path = "/v1/chat/conversations/me/s";
    assert_eq!(desk.ada.delete(path).await.status, 202);
    leave_time_for_undo(&desk.server).await;
    eventually("the model is not listened to any more", async || (model.ended() == 1).then_some(())).await;
    model.open(1);
    // Whoever followed it is told nothing more of it.
    let rest = stream.rest().await;
    assert!(rest.iter().all(|(_, m)| m["type"] != "chunk" && m["type"] != "complete"), "{rest:?}");
    assert_eq!(desk.ada.post(&format!("{path}/restore"), json!({})).await.status, 200);
    let turn = desk.turn().await;
    assert_eq!((&turn["status"], &turn["answer"]), (&json!("stopped"), &json!("On the north")));
}

#[tokio::test]
async fn when_its_time_is_over_nothing_of_a_conversation_is_left_also_when_the_server_was_down_meanwhile() {
    let mut desk = Desk::new(Setup::new()).await;
    desk.ask("Where does the lantern hang?").await;
    let stays = json!({ "query": "When is tea served?", "session_id": "stays" });
    assert_eq!(desk.ada.post("/v1/chat/", stays).await.status, 200);
    let path = "/v1/chat/conversations/me/s";
    assert_eq!(desk.ada.delete(path).await.status, 202);
    desk.server.kill();
    let dir = desk.server.dir.clone();
    desk.server = Setup::new().dir(&dir).start().await;
    desk.ada.base.clone_from(&desk.server.base);
    desk.ada.get(path).await.problem(404, "not_found");
    let count = async |sql: &str| -> i64 {
        let mut database = dir.connect().await;
        let row = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut database).await.expect("a row");
        row.try_get(0).expect("a number")
    };
    eventually("it is gone for good", async || {
        (count("SELECT COUNT(*) FROM conversations").await == 1).then_some(())
    })
    .await;
    assert_eq!(count("SELECT COUNT(*) FROM turns").await, 1);
    assert_eq!(count("SELECT COUNT(DISTINCT turn_id) FROM turn_events").await, 1);
    desk.ada.post(&format!("{path}/restore"), json!({})).await.problem(404, "not_found");
    assert_eq!(titles(&desk.ada, "").await, ["When is tea served?"]);
}

#[tokio::test]
async fn another_conversation_takes_the_name_of_one_that_was_deleted() {
    let desk = Desk::new(Setup::new()).await;
    let ask = async || {
        let body = json!({ "query": "Where does the lantern hang?", "session_id": "s" });
        let request = desk.ada.request("POST", "/v1/chat/").header("idempotency-key", "k").json(&body);
        desk.ada.send(request).await.json()
    };
    let first = ask().await;
    let path = "/v1/chat/conversations/me/s";
    assert_eq!(desk.ada.delete(path).await.status, 202);
    let second = ask().await;
    assert_ne!(second["turn_id"], first["turn_id"], "also under the key of the one that is gone");
    assert_eq!(second["turn_id"], ask().await["turn_id"]);
    // That one is there, so there is nothing to bring back.
    assert_eq!(desk.ada.post(&format!("{path}/restore"), json!({})).await.status, 200);
    assert_eq!(desk.turn().await["turn_id"], second["turn_id"]);
    assert_eq!(desk.ada.read(path).await["turns"], 1);
}

#[tokio::test]
async fn without_a_script_a_form_deletes_a_conversation_and_leads_to_the_chat() {
    let desk = Desk::new(Setup::new()).await;
    desk.ask("Where does the lantern hang?").await;
    let (page, action) = (format!("/w/{}/chat", desk.workspace), "/_fn/chat/delete");
    let html = desk.ada.page_after(&format!("{page}?c=s"), None).await;
    assert!(form_of(&html, action).contains("value=\"s\""), "{html}");
    let fields = [("id", &*desk.workspace), ("conversation", "s")];
    let answer = desk.ada.post_form(action, &fields).await;
    assert_eq!((answer.status, answer.header("location")), (302, &*page), "{answer:?}");
    leave_time_for_undo(&desk.server).await;
    let html = desk.ada.page_after(&page, None).await;
    assert!(html.contains("No conversation yet."), "{html}");
    assert_eq!(desk.ada.submit("/_fn/chat/restore", &fields).await.status, 200);
    assert_eq!(titles(&desk.ada, "").await, ["Where does the lantern hang?"]);
}

/// Waits until the stream tells that of a conversation.
async fn heard(socket: &mut Socket, status: &str) -> Value {
    let is_it = |e: &Value| e["event"] == "conversation_changed" && e["data"]["status"] == status;
    socket.events_until(is_it).await.pop().expect("an event")
}

#[tokio::test]
async fn whoever_listens_hears_of_each_change_of_a_conversation() {
    let desk = Desk::new(Setup::new()).await;
    let mut socket = desk.ada.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    let turn = desk.ask("Where does the lantern hang?").await["turn_id"].clone();
    let ended = heard(&mut socket, "completed").await;
    assert_eq!(
        ended["data"],
        json!({
            "conversation_id": "s", "workspace_id": desk.workspace, "turn_id": turn, "status": "completed",
            "rev": ended["seq"],
        })
    );
    let path = "/v1/chat/conversations/me/s";
    desk.ada.patch(path, json!({ "title": "The lantern" })).await;
    assert_eq!(heard(&mut socket, "renamed").await["data"]["turn_id"], Value::Null);
    assert_eq!(desk.ada.delete(path).await.status, 202);
    assert_eq!(heard(&mut socket, "deleted").await["data"]["conversation_id"], "s");
    desk.ada.post("/v1/chat/conversations", json!({ "session_id": "empty" })).await;
    assert_eq!(heard(&mut socket, "created").await["data"]["conversation_id"], "empty");
    // Whoever comes later is told what was missed, and the history of the workspace is about its documents.
    let mut late = desk.ada.socket().await;
    late.hello(json!(desk.ada.read("/api/status/changes").await["epoch"]), json!(ended["seq"])).await;
    heard(&mut late, "deleted").await;
    let history = desk.ada.read(&format!("/api/workspaces/{}/history?limit=200", desk.workspace)).await;
    let events = history["items"].as_array().expect("a list");
    assert!(events.iter().all(|e| e["event"] != "conversation_changed"), "{history}");
}

#[tokio::test]
async fn a_new_conversation_is_called_by_its_first_question() {
    let desk = Desk::new(Setup::new()).await;
    let made = desk.ada.post("/v1/chat/conversations", json!({})).await;
    assert_eq!(made.status, 201);
    let id = made.json()["conversation_id"].as_str().expect("an id").to_owned();
    let body = json!({ "query": "Where does the lantern hang?", "session_id": id });
    assert_eq!(desk.ada.post("/v1/chat/", body).await.json()["conversation_id"], *id);
    assert_eq!(titles(&desk.ada, "").await, ["Where does the lantern hang?"]);
    // What is sent twice is made once.
    let again = async || {
        let request = desk.ada.request("POST", "/v1/chat/conversations").header("idempotency-key", "k");
        desk.ada.send(request.json(&json!({ "title": "Twice" }))).await.json()
    };
    assert_eq!(again().await, again().await);
    let named = json!({ "title": "Mine", "session_id": "m" });
    assert_eq!(desk.ada.post("/v1/chat/conversations", named).await.json()["title"], "Mine");
    let body = json!({ "query": "Where does the lantern hang?", "session_id": "m" });
    desk.ada.post("/v1/chat/", body).await;
    assert_eq!(titles(&desk.ada, "").await[0], "Mine");
}

#[tokio::test]
async fn the_list_goes_on_behind_the_longest_id_that_a_client_may_choose() {
    let desk = Desk::new(Setup::new()).await;
    for (title, id) in [("First", "short".to_owned()), ("Second", "\u{1d11e}".repeat(200))] {
        let named = json!({ "title": title, "session_id": id });
        let made = desk.ada.post("/v1/chat/conversations", named).await;
        assert_eq!((made.status, &made.json()["title"]), (201, &json!(title)), "{made:?}");
    }
    let page = desk.ada.read("/v1/chat/conversations?limit=1").await;
    let next = page["next"].as_str().expect("more");
    assert_eq!(titles(&desk.ada, &format!("?limit=1&after={next}")).await, ["First"]);
    desk.ada.get(&format!("/v1/chat/conversations?after={next}0")).await.problem(422, "invalid");
}

#[tokio::test]
async fn the_numbers_of_a_workspace_have_its_chats_and_questions_are_activity() {
    let desk = Desk::new(Setup::new()).await;
    let path = format!("/api/workspaces/{}", desk.workspace);
    let numbers = async || {
        let workspace = desk.ada.read(&path).await;
        let last = workspace["last_activity_at"].as_str().expect("a time").to_owned();
        let counts = &workspace["counts"];
        let number = |name: &str| counts[name].as_u64().expect("a number");
        ((number("conversations"), number("messages")), last, workspace["updated_at"].clone())
    };
    let document = desk.ada.read(&format!("/api/documents/{}", desk.document)).await;
    let (chats, last, updated) = numbers().await;
    assert_eq!((chats, &*last), ((0, 0), document["updated_at"].as_str().expect("a time")), "its end");
    let mut socket = desk.ada.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    desk.ask("Where does the lantern hang?").await;
    desk.ask("When is tea served?").await;
    let (chats, asked, still) = numbers().await;
    assert_eq!(chats, (1, 2));
    assert_ne!(asked, last, "a question is activity");
    assert_eq!(still, updated, "the workspace itself is as it was");
    let told = socket.events_until(|e| e["data"]["counts"]["messages"] == 2).await;
    assert_eq!(told.last().expect("one")["data"]["last_activity_at"], asked, "every open page has it too");

    let gone = "/v1/chat/conversations/me/s";
    assert_eq!(desk.ada.delete(gone).await.status, 202);
    assert_eq!(numbers().await.0, (0, 0));
    socket.events_until(|e| e["data"]["counts"]["conversations"] == 0).await;
}
