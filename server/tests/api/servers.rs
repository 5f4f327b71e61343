//! Two servers on one PostgreSQL: what ends at one of them ends at the other.

#[allow(dead_code, clippy::unwrap_used, reason = "it is a part of tests, of which each uses its own part")]
#[path = "../../../crates/storage/tests/support/database.rs"]
pub mod database;

use crate::{
    common::{AT_ONCE, Client, PASSWORD, Setup},
    sessions::{Streams, own_id},
};
use database::Place;
use serde_json::{Value, json};

#[tokio::test]
async fn what_ends_at_one_server_is_out_at_the_other_within_a_second() {
    let place = Place::postgres().await;
    let start = || Setup::new().env("DATABASE_URL", place.url()).start();
    let (here, there) = (start().await, start().await);
    let moved = |client: &Client| Client { base: there.base.clone(), ..client.clone() };
    let own = here.user("ada").await;
    let mut own_socket = moved(&own).socket().await;
    own_socket.hello(Value::Null, Value::Null).await;

    let lost = here.sign_in("ada", PASSWORD).await;
    let mut streams = Streams::open(&moved(&lost)).await;
    let id = own_id(&lost).await;
    assert_eq!(own.delete(&format!("/api/auth/sessions/{id}")).await.status, 204);
    streams.all_end().await;

    let key = own.new_key("nightly", &["read"]).await;
    let mut by_key = moved(&own.program(&key)).socket_with(&[]).await.expect("the upgrade");
    by_key.hello(Value::Null, Value::Null).await;
    let id = key["id"].as_str().expect("an id");
    assert_eq!(own.delete(&format!("/api/auth/api-keys/{id}")).await.status, 204);
    let code = tokio::time::timeout(AT_ONCE, by_key.close_code()).await;
    assert_eq!(code.expect("within a second"), 4401);

    // Whose session goes on hears nothing of it, and a new password ends all the others.
    moved(&own).patch("/api/auth/preferences", json!({ "theme": "dark" })).await;
    own_socket.events_until(|event| event["data"]["user"]["theme"] == "dark").await;
    let lost = here.sign_in("ada", PASSWORD).await;
    let mut streams = Streams::open(&moved(&lost)).await;
    let form = json!({ "current_password": PASSWORD, "new_password": "Better2horses" });
    assert_eq!(own.post("/api/auth/change-password", form).await.status, 200);
    streams.all_end().await;
}

#[tokio::test]
async fn what_is_done_at_one_server_is_told_at_the_other_without_a_broker() {
    let place = Place::postgres().await;
    let start = || Setup::new().env("DATABASE_URL", place.url()).start();
    let (here, there) = (start().await, start().await);
    let ada = here.user("ada").await;
    let ada_there = Client { base: there.base.clone(), ..ada.clone() };
    let mut socket = ada_there.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    for theme in ["dark", "light", "system"] {
        assert_eq!(ada.patch("/api/auth/preferences", json!({ "theme": theme })).await.status, 200);
        let told = socket.events_until(|event| event["data"]["user"]["theme"] == theme);
        let told = tokio::time::timeout(4 * AT_ONCE, told).await.expect("within a few seconds");
        assert_eq!(told.len(), 1, "once: {told:?}");
    }
}
