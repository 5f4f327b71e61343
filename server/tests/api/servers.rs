//! Two servers on one PostgreSQL: what ends at one of them ends at the other.

#[allow(dead_code, clippy::unwrap_used, reason = "it is a part of tests, of which each uses its own part")]
#[path = "../../../crates/storage/tests/support/database.rs"]
pub mod database;

use crate::{
    common::{AT_ONCE, Client, Home, PASSWORD, Server, Setup, eventually},
    sessions::{Streams, own_id},
};
use database::Place;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor, raw_sql};
use std::sync::Arc;

#[tokio::test]
async fn what_ends_at_one_server_is_out_at_the_other_at_once() {
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
    assert_eq!(code.expect("at once"), 4401);

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
async fn a_copy_of_a_token_that_one_server_renewed_is_out_at_the_other_at_once() {
    let place = Place::postgres().await;
    let start = || Setup::new().env("DATABASE_URL", place.url()).start();
    let (here, there) = (start().await, start().await);
    let mut own = here.user("ada").await;
    let renew = async |own: &mut Client, from: &str, to: &str| {
        let thief = Client { base: there.base.clone(), ..own.clone() };
        let mut stolen = Streams::open(&thief).await;
        let form = json!({ "current_password": from, "new_password": to });
        let answer = own.post("/api/auth/change-password", form).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        own.cookie = answer.session_cookie();
        stolen.all_are_sent_back().await;
        thief.get("/api/status/changes").await.problem(401, "unauthorized");
    };
    renew(&mut own, PASSWORD, "Better2horses").await;
    // What has the token of now goes on, and the next new one ends that as well.
    let mut socket = Client { base: there.base.clone(), ..own.clone() }.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    own.patch("/api/auth/preferences", json!({ "theme": "dark" })).await;
    socket.events_until(|event| event["data"]["user"]["theme"] == "dark").await;
    renew(&mut own, "Better2horses", "Another3horses").await;
    assert_eq!(socket.close_code().await, 1001);
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
        let told = socket.events_until(|event| event["data"]["user"]["theme"] == theme).await;
        assert_eq!(told.len(), 1, "once: {told:?}");
    }
}

/// What a server says of something that it could be without, when it is asked whether it is ready.
async fn says(server: &Server, name: &str) -> Value {
    let ready = server.visitor().read("/health/ready").await;
    let checks = ready["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == name).expect("the check").clone();
    assert!(check["ok"] == true || ready["status"] == "degraded", "{ready}");
    check
}

async fn shares_its_files(server: &Server) -> bool {
    says(server, "shared_files").await["ok"].as_bool().expect("yes or no")
}

#[tokio::test]
async fn a_server_whose_clock_differs_from_that_of_the_database_says_so() {
    let place = Place::postgres().await;
    let url = place.url();
    let name = url.rsplit('/').next().expect("a name");
    let mut conn = place.connect().await;
    // As far as anybody can see who asks this database, it is so much later.
    let later = |seconds: u32| {
        format!(
            "CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS \
             'SELECT pg_catalog.clock_timestamp() + make_interval(secs => {seconds})'"
        )
    };
    for sql in [later(30), format!("ALTER DATABASE {name} SET search_path = public, pg_catalog")] {
        conn.execute(raw_sql(AssertSqlSafe(sql))).await.expect("done");
    }
    let server = Setup::new().env("DATABASE_URL", url.as_str()).start().await;
    eventually("it is told", async || {
        let check = says(&server, "clock").await;
        // A look that was held up is sure of less than that; the next one comes within a second.
        let words = check["detail"].as_str().unwrap_or_default();
        let is_right = words.contains("30 seconds apart") || words.contains("29 seconds apart");
        (check["ok"] == false && is_right).then_some(())
    })
    .await;
    assert!(server.log().contains("that of the database differ"), "{}", server.log());
    conn.execute(raw_sql(AssertSqlSafe(later(0)))).await.expect("done");
    eventually("it is over", async || (says(&server, "clock").await["ok"] == true).then_some(())).await;
}

#[tokio::test]
async fn a_server_with_a_folder_of_its_own_says_so_until_it_has_that_of_the_others() {
    let place = Place::postgres().await;
    let (shared, own) = (Home::new(), Home::new());
    let on = |dir: &Arc<Home>| Setup::new().dir(dir).env("DATABASE_URL", place.url());
    // A command from elsewhere decides nothing.
    let migrated = on(&own).args(&["migrate"]).command().output().expect("it runs");
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    // All at once, as they are started after a power cut.
    let (first, second, third) = tokio::join!(on(&shared).start(), on(&shared).start(), on(&shared).start());
    for server in [&first, &second, &third] {
        assert!(shares_its_files(server).await);
    }
    let ada = first.user("ada").await;
    let document = ada.upload_one(&ada.first_workspace().await, "a.txt", b"A gull sleeps.").await;

    let apart = on(&own).start().await;
    assert!(!shares_its_files(&apart).await);
    assert!(apart.log().contains("is not that of the other servers"), "{}", apart.log());
    let there = Client { base: apart.base.clone(), ..ada.clone() };
    assert_ne!(there.get(&format!("/api/documents/{document}/content")).await.status, 200, "as it says");
    let check = |dir: &Arc<Home>| {
        let out = on(dir).args(&["check"]).command().output().expect("it runs");
        String::from_utf8(out.stdout).expect("text")
    };
    assert!(!check(&shared).contains("not that of the servers"));
    let said = check(&own);
    assert!(said.contains("not that of the servers: 1"), "{said}");
    // What it says of the right folder is true of that.
    let mark = std::fs::read_to_string(shared.path().join("files/.folder")).expect("its mark");
    assert!(said.contains(&format!("would have to say {mark}")), "{mark} in {said}");

    // The share is mounted at last.
    let (files, away) = (own.path().join("files"), own.path().join("aside"));
    std::fs::rename(&files, away).expect("moved");
    std::os::unix::fs::symlink(shared.path().join("files"), &files).expect("a link");
    assert!(shares_its_files(&apart).await);
    assert_eq!(there.get(&format!("/api/documents/{document}/content")).await.status, 200);
}

#[tokio::test]
async fn a_worker_takes_up_nothing_until_it_has_the_folder_of_the_others() {
    let place = Place::postgres().await;
    let (shared, own) = (Home::new(), Home::new());
    let start = |dir: &Arc<Home>, role: &'static str| {
        Setup::new().dir(dir).env("DATABASE_URL", place.url()).args(&["serve", "--role", role]).start()
    };
    let web = start(&shared, "web").await;
    let worker = start(&own, "worker").await;
    assert!(!shares_its_files(&worker).await);
    let ada = web.user("ada").await;
    let document = ada.upload_one(&ada.first_workspace().await, "a.txt", b"A gull sleeps.").await;
    // It works on what needs none of their files, and would have come to the document before that.
    let made = ada.post("/api/workspaces", json!({ "name": "Papers" })).await.json();
    let path = format!("/api/workspaces/{}", made["id"].as_str().expect("an id"));
    eventually("it is at work", async || (ada.read(&path).await["status"] == "ready").then_some(())).await;
    assert_eq!(ada.read(&format!("/api/documents/{document}")).await["status"], "pending");
    assert!(!worker.log().contains("a stored file could not be read"), "{}", worker.log());

    // The share is mounted at last.
    let files = own.path().join("files");
    std::fs::rename(&files, own.path().join("aside")).expect("moved");
    std::os::unix::fs::symlink(shared.path().join("files"), &files).expect("a link");
    assert_eq!(ada.settled(&document).await["status"], "ready");
    assert!(shares_its_files(&worker).await);
}

#[tokio::test]
async fn an_installation_that_is_moved_from_sqlite_is_the_same_one_to_its_people() {
    let place = Place::postgres().await;
    let dir = Home::new();
    let mut old = Setup::new().dir(&dir).start().await;
    let ada = old.user("ada").await;
    let workspace = ada.first_workspace().await;
    let document = ada.upload_one(&workspace, "a.txt", b"The ledger of the harbour.").await;
    assert_eq!(ada.settled(&document).await["status"], "ready");
    let welcome = ada.socket().await.hello(Value::Null, Value::Null).await;
    let from = format!("sqlite:{}", dir.path().join("insighthub.db").display());
    let to = place.url();
    let moved = || {
        let mut command = Setup::new().dir(&dir).args(&["migrate"]).command();
        command.args(["--from", from.as_str(), "--to", to.as_str()]).output().expect("it runs")
    };
    let refused = moved();
    assert!(!refused.status.success(), "its server still runs");
    old.terminate();
    assert!(old.ended().await.success());
    let done = moved();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let new = Setup::new().dir(&dir).env("DATABASE_URL", to.as_str()).start().await;
    let ada = Client { base: new.base.clone(), ..ada };
    assert_eq!(ada.read(&format!("/api/documents/{document}")).await["status"], "ready");
    let found = ada.read(&format!("/api/workspaces/{workspace}/search?q=ledger")).await;
    assert_eq!(found["items"][0]["document"]["id"], document.as_str(), "{found}");
    assert_eq!(
        ada.get(&format!("/api/documents/{document}/content")).await.body,
        b"The ledger of the harbour."
    );
    // A page that was open goes on where it was.
    let resumed = ada.socket().await.hello(welcome["epoch"].clone(), welcome["seq"].clone()).await;
    assert_eq!(resumed["resumed"], true, "{resumed}");

    // Whoever names no database gets the old one, to which what came since are files of nothing.
    let since = ada.upload_one(&workspace, "b.txt", b"A gull sleeps.").await;
    assert_eq!(ada.settled(&since).await["status"], "ready");
    let commands: [&[&'static str]; 3] = [&["check", "--repair"], &["migrate"], &["serve"]];
    for command in commands {
        let out = Setup::new().dir(&dir).args(command).command().output().expect("it runs");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success() && said.contains("was moved to a PostgreSQL"), "{command:?}: {said}");
    }
    assert_eq!(ada.get(&format!("/api/documents/{since}/content")).await.body, b"A gull sleeps.");
}

#[tokio::test]
async fn an_installation_is_not_moved_to_where_somebody_else_keeps_something() {
    let (place, dir) = (Place::postgres().await, Home::new());
    let from = format!("sqlite:{}", dir.path().join("insighthub.db").display());
    let mut command = Setup::new().dir(&dir).env("DATABASE_URL", from.as_str()).args(&["migrate"]).command();
    let made = command.output().expect("it runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let moved = || {
        let mut command = Setup::new().dir(&dir).args(&["migrate"]).command();
        command.args(["--from", from.as_str(), "--to", place.url().as_str()]).output().expect("it runs")
    };
    let mut rows = place.connect().await;
    sqlx::query("CREATE TABLE theirs (a INT)").execute(&mut rows).await.expect("a table");
    let refused = moved();
    let said = String::from_utf8_lossy(&refused.stderr);
    let sentence =
        "the new database is not empty: its table theirs is none of InsightHub's; name an empty one";
    assert!(!refused.status.success() && said.contains(sentence), "{said}");
    sqlx::query("DROP TABLE theirs").execute(&mut rows).await.expect("dropped");
    let done = moved();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test]
async fn an_installation_is_not_moved_under_a_server_whose_database_lies_outside_of_its_data_folder() {
    let (place, outside) = (Place::postgres().await, tempfile::tempdir().expect("a folder"));
    let dir = Home::new();
    let from = format!("sqlite:{}", outside.path().join("x.db").display());
    let mut server = Setup::new().dir(&dir).env("DATABASE_URL", from.as_str()).start().await;
    server.user("ada").await;
    let moved = || {
        let mut command = Setup::new().dir(&dir).args(&["migrate"]).command();
        command.args(["--from", from.as_str(), "--to", place.url().as_str()]).output().expect("it runs")
    };
    let refused = moved();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("another insighthub is using"), "{said}");
    server.terminate();
    assert!(server.ended().await.success());
    let done = moved();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
