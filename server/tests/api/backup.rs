//! Backup and restore: an older state of an installation is put back, and nobody is told a mixture of the two.

use crate::{
    common::{Client, Home, PASSWORD, Server, Setup, eventually, prose},
    servers::database::Place,
    uploads::{announce, extend, id, offset},
};
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, raw_sql};
use std::{
    path::{Path, PathBuf},
    process::Output,
    sync::Arc,
};

fn run(setup: &Setup, args: &[&str]) -> (bool, String) {
    let Output { status, stdout, stderr } = setup.command().args(args).output().expect("it runs");
    let said = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.success(), said)
}

/// A command on the installation in that folder.
fn command(dir: &Arc<Home>) -> Setup {
    Setup::new().dir(dir).args(&[])
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path of plain characters")
}

/// What has to go well.
pub fn done(setup: &Setup, args: &[&str]) -> String {
    let (good, said) = run(setup, args);
    assert!(good, "{args:?}: {said}");
    said
}

fn refused(setup: &Setup, args: &[&str], why: &str) {
    let (good, said) = run(setup, args);
    assert!(!good && said.contains(why), "{args:?}, {why}: {said}");
}

pub async fn stopped(server: &mut Server) {
    server.terminate();
    assert!(server.ended().await.success(), "{}", server.log());
}

fn at(client: &Client, server: &Server) -> Client {
    Client { base: server.base.clone(), ..client.clone() }
}

pub async fn names(client: &Client, workspace: &str) -> Vec<String> {
    let list = client.read(&format!("/api/workspaces/{workspace}/documents")).await;
    let mut names: Vec<String> = list["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|document| document["filename"].as_str().expect("a name").to_owned())
        .collect();
    names.sort();
    names
}

async fn theme(client: &Client) -> Value {
    client.read("/api/auth/me").await["theme"].clone()
}

/// That a client with this place in the log is told to fetch all anew, whichever way it comes; answers the new epoch and
/// where the log stands.
async fn begins_anew(program: &Client, epoch: &Value, seq: &Value) -> (Value, u64) {
    let welcome =
        program.socket_with(&[]).await.expect("the upgrade").hello(epoch.clone(), seq.clone()).await;
    assert_eq!(welcome["resumed"], false, "{welcome}");
    assert_ne!(&welcome["epoch"], epoch);
    let asked = format!("/api/status/changes?epoch={}&after={seq}", epoch.as_str().expect("text"));
    let changes = program.read(&asked).await;
    assert_eq!((&changes["resumed"], &changes["epoch"]), (&json!(false), &welcome["epoch"]), "{changes}");
    (welcome["epoch"].clone(), welcome["seq"].as_u64().expect("a seq"))
}

#[tokio::test]
async fn who_was_there_after_the_backup_fetches_anew_and_the_work_of_then_goes_on() {
    let mut server = Setup::new().env("INSIGHTHUB_WORKERS", "1").start().await;
    let dir = server.dir.clone();
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let program = ada.program(&ada.new_key("follower", &["read"]).await);
    let kept = ada.upload_one(&workspace, "kept.txt", b"A lantern on the bridge.").await;
    ada.settled(&kept).await;
    let parts = prose(9, 400);
    let upload = announce(&ada, parts.len(), &[("filename", "parts.txt")]).await;
    assert_eq!(extend(&ada, &upload, 0, &parts[..1_000]).await.status, 204);
    // Not all of these are through when the copy is made.
    let long: Vec<Vec<u8>> = (0..3).map(|seed| prose(seed, 6_000)).collect();
    let files: Vec<(String, &[u8])> =
        long.iter().enumerate().map(|(n, bytes)| (format!("long{n}.txt"), &bytes[..])).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    let answer = ada.upload(&workspace, &files).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let long: Vec<String> = answer.json()["documents"]
        .as_array()
        .expect("documents")
        .iter()
        .map(|document| document["document_id"].as_str().expect("an id").to_owned())
        .collect();
    eventually("one of them is begun", async || {
        let document = ada.read(&format!("/api/documents/{}", long[0])).await;
        (document["status"] != "pending").then_some(())
    })
    .await;
    let mut socket = program.socket_with(&[]).await.expect("the upgrade");
    let welcome = socket.hello(Value::Null, Value::Null).await;
    let (epoch, then) = (welcome["epoch"].clone(), welcome["seq"].clone());

    let outside = tempfile::tempdir().expect("a folder");
    let copy = outside.path().join("monday");
    done(&command(&dir), &["backup", "--to", text(&copy)]);
    // It does not read while these commands run, but it is there.
    socket.send(json!({ "type": "pong" })).await;
    refused(&command(&dir), &["backup", "--to", text(&copy)], "has something in it");
    let inside = dir.path().join("files/monday");
    refused(&command(&dir), &["backup", "--to", text(&inside)], "cannot lie in the folder");
    std::fs::remove_dir(&inside).expect("made, and empty");

    // What is lost with the later state.
    let later = ada.upload_one(&workspace, "later.txt", b"A gull sleeps.").await;
    assert_eq!(extend(&ada, &upload, 1_000, &parts[1_000..]).await.status, 204);
    assert_eq!(ada.delete(&format!("/api/documents/{kept}")).await.status, 202);
    assert_eq!(ada.patch("/api/auth/preferences", json!({ "theme": "dark" })).await.status, 200);
    let told = socket.events_until(|event| event["data"]["user"]["theme"] == "dark").await;
    let last = told.last().expect("an event")["seq"].clone();
    assert!(last.as_u64() > then.as_u64());

    let restore = ["restore", "--from", text(&copy)];
    refused(&command(&dir), &restore, "another insighthub is using");
    refused(&command(&dir), &["restored"], "another insighthub is using");
    stopped(&mut server).await;
    let said = done(&command(&dir), &restore);
    assert!(
        said.contains("new epoch") && said.contains("1 API key of the backup may be used again"),
        "{said}"
    );
    assert!(said.contains("what was there before is kept"), "{said}");

    let mut server = Setup::new().dir(&dir).start().await;
    ada_is_signed_out(&at(&ada, &server)).await;
    let program = at(&program, &server);
    let (second, stands) = begins_anew(&program, &epoch, &last).await;
    // Also with a place that the log still has under its old name.
    begins_anew(&program, &epoch, &then).await;
    let ada = server.sign_in("ada", PASSWORD).await;
    assert_eq!(theme(&ada).await, "system");
    assert_eq!(names(&ada, &workspace).await, ["kept.txt", "long0.txt", "long1.txt", "long2.txt"]);
    ada.get(&format!("/api/documents/{later}")).await.problem(404, "not_found");
    assert_eq!(ada.get(&format!("/api/documents/{kept}/content")).await.body, b"A lantern on the bridge.");
    for document in &long {
        assert_eq!(ada.settled(document).await["status"], "ready");
    }
    // The upload goes on where it was then.
    assert_eq!(offset(&ada, &upload).await, 1_000);
    assert_eq!(extend(&ada, &upload, 1_000, &parts[1_000..]).await.status, 204);
    ada.settled(id(&upload)).await;
    assert_eq!(ada.get(&format!("/api/documents/{}/content", id(&upload))).await.body, parts);

    // The new life of the log goes on behind the numbers of then.
    let mut socket = program.socket_with(&[]).await.expect("the upgrade");
    let resumed = socket.hello(second.clone(), json!(stands)).await;
    assert_eq!(resumed["resumed"], true, "{resumed}");
    assert_eq!(ada.patch("/api/auth/preferences", json!({ "theme": "light" })).await.status, 200);
    let told = socket.events_until(|event| event["data"]["user"]["theme"] == "light").await;
    let seqs: Vec<u64> = told.iter().map(|event| event["seq"].as_u64().expect("a seq")).collect();
    assert!(seqs[0] > stands && seqs.windows(2).all(|pair| pair[0] < pair[1]), "{stands}: {seqs:?}");
    drop(socket);
    stopped(&mut server).await;
    let said = done(&command(&dir), &["check"]);
    assert!(said.contains("0 faults"), "{said}");

    // The same copy once more is another life again.
    done(&command(&dir), &["restore", "--from", text(&copy), "--revoke-keys"]);
    let server = Setup::new().dir(&dir).start().await;
    at(&program, &server).get("/api/status/changes").await.problem(401, "unauthorized");
    let ada = server.sign_in("ada", PASSWORD).await;
    let program = ada.program(&ada.new_key("another", &["read"]).await);
    let (third, _) = begins_anew(&program, &second, &json!(stands)).await;
    assert_ne!(third, epoch);
}

async fn ada_is_signed_out(ada: &Client) {
    ada.get("/api/auth/me").await.problem(401, "unauthorized");
}

/// An installation with one document, stopped, and a backup of it.
async fn with_a_backup(outside: &Path) -> (Arc<Home>, PathBuf) {
    let mut server = Server::start().await;
    let ada = server.user("ada").await;
    let document =
        ada.upload_one(&ada.first_workspace().await, "gull.txt", b"A gull sleeps on the bridge.").await;
    ada.settled(&document).await;
    let (dir, copy) = (server.dir.clone(), outside.join("copy"));
    stopped(&mut server).await;
    let said = done(&command(&dir), &["backup", "--to", text(&copy)]);
    assert!(said.contains("the database, and"), "{said}");
    (dir, copy)
}

#[tokio::test]
async fn what_is_no_whole_backup_is_not_put_back_and_nothing_is_touched() {
    let outside = tempfile::tempdir().expect("a folder");
    let (dir, copy) = with_a_backup(outside.path()).await;
    let restore = ["restore", "--from", text(&copy)];
    let manifest = std::fs::read_to_string(copy.join("backup.json")).expect("a manifest");

    refused(&command(&dir), &["restore", "--from", text(outside.path())], "is no backup of InsightHub");
    let mut newer: Value = serde_json::from_str(&manifest).expect("JSON");
    newer["schema"] = json!(9_999);
    std::fs::write(copy.join("backup.json"), newer.to_string()).expect("written");
    refused(&command(&dir), &restore, "newer than this one");
    std::fs::remove_file(copy.join("backup.json")).expect("removed");
    refused(&command(&dir), &restore, "is no backup of InsightHub");
    std::fs::write(copy.join("backup.json"), &manifest).expect("written");

    // A bit of the database, and then a file.
    let database = std::fs::read(copy.join("insighthub.db")).expect("a database");
    let mut damaged = database.clone();
    damaged[database.len() / 2] ^= 1;
    std::fs::write(copy.join("insighthub.db"), damaged).expect("written");
    refused(&command(&dir), &restore, "is damaged");
    std::fs::write(copy.join("insighthub.db"), database).expect("written");
    let users = std::fs::read_dir(copy.join("files/users")).expect("users");
    let user = users.flatten().next().expect("a user").path();
    std::fs::rename(user.join("documents"), outside.path().join("documents")).expect("moved away");
    refused(&command(&dir), &restore, "is damaged");
    std::fs::rename(outside.path().join("documents"), user.join("documents")).expect("moved back");

    let elsewhere = command(&dir).env("DATABASE_URL", "postgres://127.0.0.1:1/hub");
    refused(&elsewhere, &["backup", "--to", text(&outside.path().join("other"))], "pg_dump");
    refused(&elsewhere, &restore, "pg_restore");
    // Nobody is told of a folder where there is a bucket, whatever the database is.
    for database in ["sqlite:hub.db", "postgres://127.0.0.1:1/hub"] {
        let store = command(&dir).env("DATABASE_URL", database).env("INSIGHTHUB_BLOB_URL", "s3://files");
        let why = "copy the bucket, the database, and the bucket once more";
        refused(&store, &["backup", "--to", text(&outside.path().join("other"))], why);
        refused(&store, &restore, why);
    }
    assert!(!dir.path().join("restoring").exists());
    let said = done(&command(&dir), &["check"]);
    assert!(said.contains("1 document looked at") && said.contains("0 faults"), "{said}");
}

#[tokio::test]
async fn a_backup_with_an_original_that_changed_is_put_back_only_where_that_is_accepted() {
    let outside = tempfile::tempdir().expect("a folder");
    let (dir, copy) = with_a_backup(outside.path()).await;
    let users = std::fs::read_dir(copy.join("files/users")).expect("users");
    let documents = users.flatten().next().expect("a user").path().join("documents");
    let original = std::fs::read_dir(documents).expect("documents").flatten().next().expect("a file").path();
    let words = std::fs::read_to_string(&original).expect("a text");
    assert!(words.contains("gull"), "{words}");
    std::fs::write(&original, words.replace("gull", "bull")).expect("written");
    let changed = "documents whose file has other bytes than it had: 1; upload them again";

    let (good, said) = run(&command(&dir), &["restore", "--from", text(&copy)]);
    assert!(!good && said.contains("is damaged") && said.contains("--even-damaged"), "{said}");
    assert!(said.contains(changed) && said.contains("gull.txt"), "{said}");
    assert!(!dir.path().join("restoring").exists());
    let said = done(&command(&dir), &["check"]);
    assert!(said.contains("0 faults"), "nothing was touched: {said}");

    let said = done(&command(&dir), &["restore", "--from", text(&copy), "--even-damaged"]);
    assert!(said.contains("put back: the database of") && said.contains(changed), "{said}");
    let (good, said) = run(&command(&dir), &["check"]);
    assert!(!good && said.contains(changed) && said.contains("gull.txt"), "{said}");
}

#[tokio::test]
async fn a_backup_comes_to_life_on_another_machine_and_a_restore_that_was_cut_off_is_done_again() {
    let outside = tempfile::tempdir().expect("a folder");
    let (first, copy) = with_a_backup(outside.path()).await;
    let restore = ["restore", "--from", text(&copy)];
    let dir = Home::new();
    // The database may lie elsewhere.
    let database = dir.path().join("rows/hub.db");
    let url = format!("sqlite:{}", database.display());
    let there = || command(&dir).env("DATABASE_URL", url.clone());
    let said = done(&there(), &restore);
    assert!(database.is_file() && !said.contains("what was there before"), "{said}");
    let said = done(&there(), &["check"]);
    assert!(said.contains("1 document looked at") && said.contains("0 faults"), "{said}");

    // As a power cut leaves it: the old state is out of its place, and the new one is not in it.
    std::fs::write(dir.path().join("restore-under-way"), "").expect("written");
    std::fs::rename(dir.path().join("files"), dir.path().join("files.before-1")).expect("moved");
    let other = outside.path().join("other");
    let move_it = ["migrate", "--from", &url, "--to", "postgres://127.0.0.1:1/hub"];
    let commands: [&[&str]; 4] = [&["check"], &["serve"], &["backup", "--to", text(&other)], &move_it];
    for command in commands {
        refused(&there(), command, "a restore was cut off");
    }
    // It looks in the folder of the database, too, wherever its own data lie.
    std::fs::write(first.path().join("restore-under-way"), "").expect("written");
    let url = format!("sqlite:{}", first.path().join("insighthub.db").display());
    let move_it = ["migrate", "--from", &url, "--to", "postgres://127.0.0.1:1/hub"];
    refused(&Setup::new().args(&[]), &move_it, "a restore was cut off");
    let said = done(&there(), &restore);
    assert!(said.contains("what was there before is kept") && said.contains(".before-"), "{said}");
    let server = there().args(&["serve"]).start().await;
    let ada = server.sign_in("ada", PASSWORD).await;
    assert_eq!(names(&ada, &ada.first_workspace().await).await, ["gull.txt"]);
}

#[tokio::test]
async fn the_folder_of_the_files_may_be_named_by_another_way_to_it_but_has_to_be_that_of_the_data() {
    let outside = tempfile::tempdir().expect("a folder");
    let (dir, copy) = with_a_backup(outside.path()).await;
    let restore = ["restore", "--from", text(&copy)];
    let (way, files) = (outside.path().join("way"), dir.path().join("files"));
    std::os::unix::fs::symlink(dir.path(), &way).expect("a link");
    let named = |path: &Path| command(&dir).env("INSIGHTHUB_BLOB_URL", format!("file://{}", text(path)));
    let said = done(&named(&way.join("files")), &restore);
    assert!(said.contains("put back: the database of"), "{said}");
    let said = done(&named(&files), &["check"]);
    assert!(said.contains("1 document looked at") && said.contains("0 faults"), "{said}");

    // The folder of the data has a link to the files: what would be moved aside is only the link.
    let elsewhere = outside.path().join("files");
    std::fs::rename(&files, &elsewhere).expect("moved");
    std::os::unix::fs::symlink(&elsewhere, &files).expect("a link");
    refused(&named(&elsewhere), &restore, "lie outside of the data folder");
}

/// What pg_dump and pg_restore do, in one step.
async fn put_copy(from: &Place, into: &Place) {
    let name = |place: &Place| place.url().rsplit('/').next().expect("a name").to_owned();
    let server = std::env::var("INSIGHTHUB_TEST_POSTGRES_URL").expect("set by `cargo xtask test`");
    let mut conn = AnyConnection::connect(&server).await.expect("PostgreSQL");
    for sql in [
        format!("DROP DATABASE {} WITH (FORCE)", name(into)),
        format!("CREATE DATABASE {} TEMPLATE {}", name(into), name(from)),
    ] {
        conn.execute(raw_sql(AssertSqlSafe(sql))).await.expect("done");
    }
    conn.close().await.expect("closed");
}

#[tokio::test]
async fn a_postgres_that_was_put_back_begins_a_new_life_when_no_server_is_running() {
    let (place, backup) = (Place::postgres().await, Place::postgres().await);
    let dir = Home::new();
    let on = |place: &Place| Setup::new().dir(&dir).env("DATABASE_URL", place.url());
    let mut server = on(&place).start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let program = ada.program(&ada.new_key("follower", &["read"]).await);
    let document = ada.upload_one(&workspace, "kept.txt", b"A lantern on the bridge.").await;
    ada.settled(&document).await;
    let welcome = program.socket_with(&[]).await.expect("the upgrade").hello(Value::Null, Value::Null).await;
    let (epoch, then) = (welcome["epoch"].clone(), welcome["seq"].clone());
    stopped(&mut server).await;
    put_copy(&place, &backup).await;

    let mut server = on(&place).start().await;
    let ada = at(&ada, &server);
    assert_eq!(ada.patch("/api/auth/preferences", json!({ "theme": "dark" })).await.status, 200);
    refused(&on(&place).args(&[]), &["restored"], "are running on this database");
    assert_eq!(theme(&ada).await, "dark", "nothing happened");
    let mut socket = at(&program, &server).socket_with(&[]).await.expect("the upgrade");
    let last = socket.hello(epoch.clone(), then.clone()).await["seq"].clone();
    assert!(last.as_u64() > then.as_u64());
    drop(socket);
    stopped(&mut server).await;

    // On a new machine nothing else tells that this is an older state.
    std::fs::remove_file(dir.path().join("high-water")).expect("it was there");
    let said = done(&on(&backup).args(&[]), &["restored"]);
    assert!(said.contains("new epoch") && said.contains("1 API key of the backup"), "{said}");
    let mut server = on(&backup).start().await;
    ada_is_signed_out(&at(&ada, &server)).await;
    let program = at(&program, &server);
    let (second, _) = begins_anew(&program, &epoch, &last).await;
    begins_anew(&program, &epoch, &then).await;
    let ada = server.sign_in("ada", PASSWORD).await;
    assert_eq!(
        (theme(&ada).await, names(&ada, &workspace).await),
        (json!("system"), vec!["kept.txt".to_owned()])
    );
    stopped(&mut server).await;
    let said = done(&on(&backup).args(&[]), &["check"]);
    assert!(said.contains("0 faults"), "{said}");
    assert_ne!(second, epoch);
}

#[tokio::test]
async fn a_server_under_which_the_database_was_put_back_stops_and_begins_anew() {
    let place = Place::postgres().await;
    let dir = Home::new();
    let on = || Setup::new().dir(&dir).env("DATABASE_URL", place.url());
    let mut server = on().start().await;
    let ada = server.user("ada").await;
    let program = ada.program(&ada.new_key("follower", &["read"]).await);
    let mut socket = program.socket_with(&[]).await.expect("the upgrade");
    let welcome = socket.hello(Value::Null, Value::Null).await;
    // Recovered to a moment before its last commit, and the server only lost its connections for a while.
    let mut conn = place.connect().await;
    conn.execute(raw_sql("UPDATE writers SET batch = batch - 1")).await.expect("put back");
    assert!(!server.ended().await.success());
    assert!(server.log().contains("put back to an older state under this"), "{}", server.log());
    assert_eq!(socket.close_code().await, 1001);

    let server = on().start().await;
    begins_anew(&at(&program, &server), &welcome["epoch"], &welcome["seq"]).await;
}
