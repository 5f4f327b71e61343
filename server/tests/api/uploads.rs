//! Resumable uploads as a client of the tus protocol makes them, also one whose server is killed in the middle.

use crate::{
    common::{Answer, Client, Home, Server, Setup, eventually, prose},
    servers::database::Place,
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use futures::{StreamExt, stream};
use reqwest::RequestBuilder;
use ring::digest;
use serde_json::json;
use sqlx::{AnyConnection, Connection};
use std::path::PathBuf;

const PART: &str = "application/offset+octet-stream";

fn tus(client: &Client, method: &str, path: &str) -> RequestBuilder {
    client.request(method, path).header("tus-resumable", "1.0.0")
}

fn metadata(pairs: &[(&str, &str)]) -> String {
    let pair = |(key, value): &(&str, &str)| format!("{key} {}", BASE64.encode(value));
    pairs.iter().map(pair).collect::<Vec<_>>().join(",")
}

/// Announces a file; answers its address.
pub(crate) async fn announce(client: &Client, size: usize, pairs: &[(&str, &str)]) -> String {
    let request = tus(client, "POST", "/api/uploads").header("upload-length", size);
    let answer = client.send(request.header("upload-metadata", metadata(pairs))).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!((answer.header("tus-resumable"), answer.header("upload-offset")), ("1.0.0", "0"));
    answer.header("location").to_owned()
}

pub fn part(client: &Client, path: &str, offset: usize) -> RequestBuilder {
    tus(client, "PATCH", path).header("content-type", PART).header("upload-offset", offset)
}

pub(crate) async fn extend(client: &Client, path: &str, offset: usize, bytes: &[u8]) -> Answer {
    client.send(part(client, path, offset).body(bytes.to_vec())).await
}

/// Where the upload stands.
pub(crate) async fn offset(client: &Client, path: &str) -> usize {
    let answer = client.send(tus(client, "HEAD", path)).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{answer:?}");
    answer.header("upload-offset").parse().expect("a number")
}

pub(crate) fn id(path: &str) -> &str {
    path.rsplit('/').next().expect("an id")
}

/// What is being written just now.
fn coming(server: &Server) -> Vec<PathBuf> {
    let is_coming = |file: &PathBuf| file.parent().is_some_and(|above| above.ends_with("incoming"));
    server.all_files().into_iter().filter(is_coming).collect()
}

/// A body of which a piece comes, and then nothing any more.
pub fn stuck(bytes: Vec<u8>) -> reqwest::Body {
    let piece = stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes))]);
    reqwest::Body::wrap_stream(piece.chain(stream::pending()))
}

#[tokio::test]
async fn who_can_send_nothing_but_post_says_what_is_meant() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let text = prose(4, 200);
    let meant =
        |path: &str, method: &str| tus(&client, "POST", path).header("x-http-method-override", method);
    let path = announce(&client, text.len(), &[("filename", "a.txt")]).await;
    client.send(tus(&client, "POST", &path)).await.problem(422, "invalid");
    client.send(meant(&path, "PUT")).await.problem(422, "invalid");
    let part =
        |offset: usize| meant(&path, "PATCH").header("content-type", PART).header("upload-offset", offset);
    let first = client.send(part(0).body(text[..500].to_vec())).await;
    assert_eq!((first.status, first.header("upload-offset")), (204, "500"), "{first:?}");
    // What is refused names the version as well.
    let wrong = client.send(part(0).body(text[..500].to_vec())).await;
    assert_eq!(wrong.header("tus-resumable"), "1.0.0", "{wrong:?}");
    wrong.problem(409, "wrong_offset");
    assert_eq!(client.send(part(500).body(text[500..].to_vec())).await.status, 204);
    assert_eq!(client.settled(id(&path)).await["status"], "ready");
    let path = announce(&client, 9, &[("filename", "b.txt")]).await;
    assert_eq!(client.send(meant(&path, "DELETE")).await.status, 204);
    client.get(&path).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_file_that_comes_in_parts_becomes_a_document() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let offers = client.send(client.request("OPTIONS", "/api/uploads")).await;
    assert_eq!((offers.status, offers.header("tus-version")), (204, "1.0.0"));
    for extension in ["creation", "creation-with-upload", "checksum", "termination", "expiration"] {
        assert!(offers.header("tus-extension").split(',').any(|e| e == extension), "{extension}");
    }
    let text = prose(1, 400);
    let path = announce(&client, text.len(), &[("filename", "../räv.txt"), ("filetype", "text/plain")]).await;
    let first = extend(&client, &path, 0, &text[..1_000]).await;
    assert_eq!((first.status, first.header("upload-offset")), (204, "1000"), "{first:?}");
    assert!(first.header("upload-expires").ends_with("GMT"));
    assert_eq!(offset(&client, &path).await, 1_000);
    assert_eq!(client.read(&path).await["received_bytes"], 1_000);
    let documents =
        client.read(&format!("/api/workspaces/{}/documents", client.first_workspace().await)).await;
    assert_eq!(documents["items"], json!([]), "it is not whole");
    // A client that is wrong about where it stands is told.
    extend(&client, &path, 0, &text).await.problem(409, "wrong_offset");
    let last = extend(&client, &path, 1_000, &text[1_000..]).await;
    assert_eq!((last.status, last.header("upload-offset")), (204, &*text.len().to_string()), "{last:?}");
    let document = client.settled(id(&path)).await;
    assert_eq!(
        (&document["status"], &document["filename"]),
        (&json!("ready"), &json!("räv.txt")),
        "{document}"
    );
    assert_eq!(client.get(&format!("/api/documents/{}/content", id(&path))).await.body, text);
    // The answer may have been lost: asking or sending again makes nothing twice.
    assert_eq!(offset(&client, &path).await, text.len());
    assert_eq!(extend(&client, &path, text.len(), b"").await.status, 204);
    assert_eq!(client.read("/api/jobs").await["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_was_said_of_a_file_is_given_back_as_it_was_said() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let text = prose(2, 60);
    let announce = async |said: Option<&str>| {
        let request = tus(&client, "POST", "/api/uploads").header("upload-length", text.len());
        let request = said.into_iter().fold(request, |request, said| request.header("upload-metadata", said));
        let answer = client.send(request).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.header("location").to_owned()
    };
    // Keys that mean nothing here, one without a value and one whose value is no text; and spaces where this server would
    // write none.
    let (kind, name) = (BASE64.encode("text/plain"), BASE64.encode("../a.txt"));
    let thumb = BASE64.encode([0xff_u8, 0]);
    let said = format!("filetype {kind}, is_confidential,thumb {thumb},filename {name}");
    let path = announce(Some(&said)).await;
    let check = async |when: &str| {
        let answer = client.send(tus(&client, "HEAD", &path)).await;
        assert_eq!((answer.status, answer.header("upload-metadata")), (200, &*said), "{when}: {answer:?}");
    };
    check("announced").await;
    assert_eq!(extend(&client, &path, 0, &text[..100]).await.status, 204);
    check("begun").await;
    assert_eq!(extend(&client, &path, 100, &text[100..]).await.status, 204);
    check("whole").await;
    assert_eq!(client.settled(id(&path)).await["filename"], "a.txt");
    check("a document").await;
    // Nothing is made up for who said nothing.
    let path = announce(None).await;
    let answer = client.send(tus(&client, "HEAD", &path)).await;
    assert_eq!((answer.status, answer.headers.contains_key("upload-metadata")), (200, false), "{answer:?}");
}

#[tokio::test]
async fn files_in_parts_may_wait_for_the_upload_that_makes_one_job_of_them() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let mut named = reqwest::multipart::Form::new();
    for name in ["a.txt", "b.txt"] {
        let pairs = [("filename", name), ("workspace_id", &*workspace), ("wait", "")];
        let request =
            tus(&client, "POST", "/api/uploads").header("upload-length", 10).header("content-type", PART);
        let request = request.header("upload-metadata", metadata(&pairs)).body("A lantern.");
        let answer = client.send(request).await;
        assert_eq!((answer.status, answer.header("upload-offset")), (201, "10"), "{answer:?}");
        named = named.text("sent", id(answer.header("location")).to_owned());
    }
    let path = format!("/api/workspaces/{workspace}/documents");
    assert_eq!(client.read(&path).await["items"], json!([]), "they wait");
    let answer = client.send(client.request("POST", &path).multipart(named)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.json()["documents"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_killed_server_goes_on_from_the_last_acknowledged_byte() {
    let mut server = Setup::new().start().await;
    let client = server.user("ada").await;
    // Found by its words alone: the bytes are what counts here, and vectors for all of them would take a while.
    let config = format!("/api/workspaces/{}/rag-config", client.first_workspace().await);
    let keyword = client.request("PUT", &config).json(&json!({ "retriever_type": "keyword" }));
    assert_eq!(client.send(keyword).await.status, 200);
    let text = prose(2, 200_000);
    assert!(text.len() > 1_000_000);
    let path = announce(&client, text.len(), &[("filename", "long.txt")]).await;
    let half = text.len() / 2;
    assert_eq!(extend(&client, &path, 0, &text[..half]).await.status, 204);
    // One that is killed while a part comes: the part is lost at most from its last acknowledged piece on.
    let piece = text[half..half + 300_000].to_vec();
    let sending = tokio::spawn(part(&client, &path, half).body(stuck(piece)).send());
    eventually("a piece lies on the disk", async || {
        let mut lengths = coming(&server).into_iter().filter_map(|f| Some(std::fs::metadata(f).ok()?.len()));
        lengths.any(|length| length > 0).then_some(())
    })
    .await;
    server.kill();
    assert!(sending.await.expect("sent").is_err());
    let server = Setup::new().dir(&server.dir).start().await;
    let client = Client { base: server.base.clone(), ..client };
    let at = offset(&client, &path).await;
    assert!((half..=half + 300_000).contains(&at), "{at}");
    assert_eq!(extend(&client, &path, at, &text[at..]).await.status, 204);
    let document = client.settled(id(&path)).await;
    assert_eq!(document["status"], "ready", "{document}");
    assert_eq!(client.get(&format!("/api/documents/{}/content", id(&path))).await.body, text);
}

#[tokio::test]
async fn what_came_of_a_part_that_broke_off_is_kept() {
    let server = Setup::new().env("INSIGHTHUB_PATIENCE_SECONDS", "1").start().await;
    let client = server.user("ada").await;
    let text = prose(3, 2_000);
    let path = announce(&client, text.len(), &[("filename", "a.txt")]).await;
    eventually("what came is kept", async || {
        // A sender that stands still before its bytes are on the way is given up with nothing.
        if offset(&client, &path).await == 0 {
            let sending = tokio::spawn(part(&client, &path, 0).body(stuck(text[..5_000].to_vec())).send());
            let _ = sending.await;
        }
        (offset(&client, &path).await == 5_000).then_some(())
    })
    .await;
    assert_eq!(extend(&client, &path, 5_000, &text[5_000..]).await.status, 204);
    assert_eq!(client.settled(id(&path)).await["status"], "ready");
}

#[tokio::test]
async fn a_sender_that_comes_back_on_a_new_line_need_not_wait_for_the_old_one() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let text = prose(3, 2_000);
    let path = announce(&client, text.len(), &[("filename", "a.txt")]).await;
    let sending = tokio::spawn(part(&client, &path, 0).body(stuck(text[..5_000].to_vec())).send());
    eventually("it is under way", async || (!coming(&server).is_empty()).then_some(())).await;
    // The old line is still open, but nothing comes there any more. Where it ends the new one learns, and goes on.
    let other = extend(&client, &path, 0, &text).await;
    if other.status == 409 {
        let at = offset(&client, &path).await;
        assert!((1..=5_000).contains(&at), "{at}");
        assert_eq!(extend(&client, &path, at, &text[at..]).await.status, 204);
    } else {
        assert_eq!(other.status, 204, "{other:?}");
    }
    let document = client.settled(id(&path)).await;
    assert_eq!(client.get(&format!("/api/documents/{}/content", id(&path))).await.body, text, "{document}");
    sending.abort();
}

#[tokio::test]
async fn what_was_damaged_in_transfer_is_not_taken() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let text = b"A lantern on the bridge.".to_vec();
    let hash: String =
        digest::digest(&digest::SHA256, &text).as_ref().iter().map(|b| format!("{b:02X}")).collect();
    let path = announce(&client, text.len(), &[("filename", "a.txt"), ("sha256", &hash)]).await;
    let sum = |bytes: &[u8]| {
        format!("sha1 {}", BASE64.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes)))
    };
    let send = async |bytes: &[u8], sum: String| {
        let request = part(&client, &path, 0).header("upload-checksum", sum);
        client.send(request.body(bytes.to_vec())).await
    };
    let problem = send(b"A lantern", sum(b"A lanterm")).await.problem(460, "damaged_in_transfer");
    assert_eq!(problem["title"], "Damaged in transfer");
    assert_eq!(offset(&client, &path).await, 0, "the part does not count");
    send(b"A lantern", "md5 x".into()).await.problem(400, "bad_checksum");
    assert_eq!(send(b"A lantern", sum(b"A lantern")).await.status, 204);
    // The parts came as they were sent, but they are not the file.
    let problem = extend(&client, &path, 9, b" on the fridge.").await.problem(460, "damaged_in_transfer");
    assert_eq!(problem["detail"], "The file was damaged in transfer. Send it again.");
    client.get(&path).await.problem(404, "not_found");
    assert_eq!(server.files("documents"), 0);
    let path = announce(&client, text.len(), &[("filename", "a.txt"), ("sha256", &hash)]).await;
    assert_eq!(extend(&client, &path, 0, &text).await.status, 204);
    assert_eq!(client.settled(id(&path)).await["status"], "ready");
}

#[tokio::test]
async fn what_is_refused_or_given_up_leaves_nothing() {
    let server = Setup::new().env("INSIGHTHUB_MAX_FILE_BYTES", "1000").start().await;
    let client = server.user("ada").await;
    let other = server.user("bob").await;
    let create = |length: &str| tus(&client, "POST", "/api/uploads").header("upload-length", length);
    client.send(create("1001")).await.problem(413, "too_large");
    client.send(create("0")).await.problem(422, "empty_file");
    client.send(create("x")).await.problem(422, "invalid");
    for concat in ["partial", "final;/api/uploads/a /api/uploads/b"] {
        let problem = client.send(create("9").header("upload-concat", concat)).await.problem(422, "invalid");
        assert!(problem["errors"]["Upload-Concat"].is_array(), "{problem}");
    }
    let old = client.request("POST", "/api/uploads").header("tus-resumable", "0.2.0");
    let old = client.send(old).await;
    assert_eq!((old.header("tus-version"), old.header("tus-resumable")), ("1.0.0", "1.0.0"), "{old:?}");
    old.problem(412, "unsupported_version");
    // Told by its content, once that is here.
    let path = announce(&client, 8, &[("filename", "a.txt")]).await;
    extend(&client, &path, 0, b"\x7fELF\x02\x01\x01\x00").await.problem(415, "unsupported_type");
    client.get(&path).await.problem(404, "not_found");
    let path = announce(&client, 8, &[("filename", "a.txt")]).await;
    extend(&client, &path, 0, b"more than that").await.problem(413, "too_long");
    assert_eq!(offset(&client, &path).await, 0);
    client
        .send(tus(&client, "PATCH", &path).header("upload-offset", 0).body("x"))
        .await
        .problem(415, "unsupported_media_type");
    other.get(&path).await.problem(404, "not_found");
    extend(&other, &path, 0, b"12345678").await.problem(404, "not_found");
    other.send(tus(&other, "DELETE", &path)).await.problem(404, "not_found");
    assert_eq!(extend(&client, &path, 0, b"1234").await.status, 204);
    assert_eq!(client.send(tus(&client, "DELETE", &path)).await.status, 204);
    client.get(&path).await.problem(404, "not_found");
    assert_eq!(server.files("documents"), 0);
    // A key answers the same upload, also once it is whole, and takes no byte of it twice.
    let key = |length: &str| create(length).header("idempotency-key", "one").header("content-type", PART);
    let first = client.send(key("8").body("1234")).await;
    let again = client.send(key("8").body("1234")).await;
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!((first.header("upload-offset"), again.header("upload-offset")), ("4", "4"));
    let path = first.header("location");
    assert_eq!(extend(&client, path, 4, b"5678").await.status, 204);
    client.settled(id(path)).await;
    let whole = client.send(key("8").body("1234")).await;
    assert_eq!((whole.header("location"), whole.header("upload-offset")), (path, "8"));
    client.send(key("9")).await.problem(422, "idempotency_key_reused");
    assert_eq!(client.read("/api/jobs").await["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn one_key_does_not_stand_for_a_file_of_two_workspaces() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let first = client.first_workspace().await;
    let made = client.post("/api/workspaces", json!({ "name": "Papers" })).await.json();
    let second = made["id"].as_str().expect("an id");
    let create = |workspace: &str| {
        let pairs = metadata(&[("filename", "a.txt"), ("workspace_id", workspace)]);
        let request = tus(&client, "POST", "/api/uploads").header("idempotency-key", "k");
        client.send(request.header("upload-length", "10").header("upload-metadata", pairs))
    };
    let made = create(&first).await;
    assert_eq!(made.status, 201, "{made:?}");
    create(second).await.problem(422, "idempotency_key_reused");
    // Also once it is a document.
    let path = made.header("location");
    assert_eq!(extend(&client, path, 0, b"A lantern.").await.status, 204);
    create(second).await.problem(422, "idempotency_key_reused");
    assert_eq!(create(&first).await.header("location"), path);
}

/// Its name is the person's to change, and where the workspace had the file already it is the document that has it.
#[tokio::test]
async fn a_key_answers_the_same_upload_whatever_became_of_it() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let had = client.upload_one(&workspace, "had.txt", b"A bridge.").await;
    client.settled(&had).await;
    for (key, text, way) in [("one", "A lantern.", "keep_both"), ("two", "A bridge.", "skip")] {
        let create = |name: &str| {
            let pairs = metadata(&[("filename", name), ("on_duplicate", way)]);
            let request = tus(&client, "POST", "/api/uploads").header("idempotency-key", key);
            client.send(request.header("upload-length", text.len()).header("upload-metadata", pairs))
        };
        let made = create("sent.txt").await;
        assert_eq!(made.status, 201, "{made:?}");
        let path = made.header("location");
        assert_eq!(extend(&client, path, 0, text.as_bytes()).await.status, 204);
        let standing = client.read(path).await;
        let document = standing["document_id"].as_str().expect("a document");
        assert_eq!(document == had, way == "skip", "{standing}");
        client.settled(document).await;
        let name = json!({ "filename": "new.txt" });
        let renamed = client.patch(&format!("/api/documents/{document}"), name).await;
        assert_eq!(renamed.status, 200, "{renamed:?}");
        let again = create("sent.txt").await;
        assert_eq!((again.status, again.header("location")), (201, path), "{again:?}");
        create("new.txt").await.problem(422, "idempotency_key_reused");
    }
}

/// Kills the server at the end of three uploads, of which it told nobody: two files are whole, and of one the last bytes
/// are there. More than a day ago, and their sender asks no more. `past_it` leads to its database. Answers where they are
/// and what they say.
async fn left_behind(
    server: &mut Server,
    client: &Client,
    mut past_it: AnyConnection,
) -> Vec<(String, Vec<u8>)> {
    let mut left = vec![];
    for (seed, name, is_whole) in [(1, "a.txt", true), (2, "b.txt", true), (3, "c.txt", false)] {
        let text = prose(seed, 200);
        // Those that wait have the row that a file which was to be a document by then would have.
        let wait = is_whole.then_some(("wait", ""));
        let pairs: Vec<_> = [("filename", name)].into_iter().chain(wait).collect();
        let path = announce(client, text.len(), &pairs).await;
        let come = if is_whole { text.len() } else { text.len() / 2 };
        assert_eq!(extend(client, &path, 0, &text[..come]).await.status, 204);
        left.push((path, text));
    }
    server.kill();
    let (path, text) = &left[2];
    let folder = format!("/.parts/{}.", id(path));
    let is_of = |file: &PathBuf| file.to_string_lossy().contains(&folder);
    let piece = server.all_files().into_iter().find(is_of).expect("its first part");
    let name = piece.file_name().expect("a name").to_string_lossy();
    let (half, turn) = (text.len() / 2, name.rsplit('-').next().expect("a turn"));
    let rest = piece.with_file_name(format!("{:016x}-{half:016x}-{turn}", text.len()));
    std::fs::write(rest, &text[half..]).expect("the rest of it");
    for (sql, rows) in [
        ("UPDATE sent_files SET alone = 1, created_at = created_at - 90000000000", 2),
        ("UPDATE partial_files SET received_bytes = size_bytes, updated_at = updated_at - 90000000000", 1),
    ] {
        let aged = sqlx::query(sql).execute(&mut past_it).await.expect("aged");
        assert_eq!(aged.rows_affected(), rows, "{sql}");
    }
    past_it.close().await.expect("closed");
    left
}

/// Each became one document, by one job, and says what was sent.
async fn have_become_documents(client: &Client, left: &[(String, Vec<u8>)]) {
    for (path, text) in left {
        let document = format!("/api/documents/{}", id(path));
        eventually("it is a document", async || (client.get(&document).await.status == 200).then_some(()))
            .await;
        assert_eq!(client.settled(id(path)).await["status"], "ready");
        assert_eq!(client.get(&format!("{document}/content")).await.body, *text);
    }
    assert_eq!(client.read("/api/jobs").await["items"].as_array().map(Vec::len), Some(left.len()));
}

#[tokio::test]
async fn a_file_that_came_whole_becomes_a_document_though_its_server_was_killed_and_nobody_asks_again() {
    let mut server = Setup::new().start().await;
    let client = server.user("ada").await;
    let past_it = server.dir.connect().await;
    let left = left_behind(&mut server, &client, past_it).await;
    let server = Setup::new().dir(&server.dir).start().await;
    let client = Client { base: server.base.clone(), ..client };
    have_become_documents(&client, &left).await;
}

#[tokio::test]
async fn two_servers_that_find_a_file_that_came_whole_make_one_job_of_it() {
    let place = Place::postgres().await;
    let dir = Home::new();
    let start = || Setup::new().dir(&dir).env("DATABASE_URL", place.url()).start();
    let mut server = start().await;
    let client = server.user("ada").await;
    sqlx::any::install_default_drivers();
    let past_it = AnyConnection::connect(&place.url()).await.expect("its database");
    let left = left_behind(&mut server, &client, past_it).await;
    // Both look as soon as they start.
    let (here, there) = tokio::join!(start(), start());
    for server in [&here, &there] {
        let client = Client { base: server.base.clone(), ..client.clone() };
        have_become_documents(&client, &left).await;
    }
}

mod two_servers {
    use super::*;
    use crate::broker::{Installation, moved};

    /// Waits until somebody else than in that turn has begun to send a part of the only file there is; answers the new turn.
    async fn has_begun(installation: &Installation, before: i64) -> i64 {
        sqlx::any::install_default_drivers();
        let mut conn = AnyConnection::connect(installation.database()).await.expect("a database");
        eventually("a part is taken", async || {
            let turn: i64 = sqlx::query_scalar("SELECT turn FROM partial_files")
                .fetch_one(&mut conn)
                .await
                .expect("a file of which a part came");
            (turn != before).then_some(turn)
        })
        .await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_sender_who_was_overtaken_at_one_of_two_servers_is_promised_nothing() {
        let installation = Installation::new().await;
        let (here, there) = (installation.node("web").await, installation.node("web").await);
        let ada = here.user("ada").await;
        let text = prose(1, 400);
        let path = announce(&ada, text.len(), &[("filename", "a.txt"), ("filetype", "text/plain")]).await;
        let begin = |client: &Client| {
            let (bytes, body) = futures::channel::mpsc::unbounded::<Result<Vec<u8>, std::io::Error>>();
            bytes.unbounded_send(Ok(text[..10].to_vec())).expect("sent");
            let request = part(client, &path, 0).body(reqwest::Body::wrap_stream(body));
            (bytes, tokio::spawn(request.send()))
        };
        let (old, old_answer) = begin(&ada);
        let first = has_begun(&installation, 0).await;
        // The line broke, and the client comes back over another one before the first server knows.
        let (new, new_answer) = begin(&moved(&ada, &there));
        has_begun(&installation, first).await;

        old.unbounded_send(Ok(text[10..1_000].to_vec())).expect("sent");
        drop(old);
        let refused = old_answer.await.expect("joined").expect("an answer");
        assert_eq!(refused.status(), 409, "the other one goes on with it");
        assert_eq!(offset(&ada, &path).await, 0);
        new.unbounded_send(Ok(text[10..].to_vec())).expect("sent");
        drop(new);
        assert_eq!(new_answer.await.expect("joined").expect("an answer").status(), 204);
        assert_eq!(ada.get(&format!("/api/documents/{}/content", id(&path))).await.body, text);
    }
}
