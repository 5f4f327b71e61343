//! Files in an object store: the whole way of a document, and what happens when a server is killed, when another one goes
//! on, and when the store fails.

use crate::{
    common::{Client, Home, PASSWORD, Server, Setup, eventually, prose},
    office,
    s3::{Fault, S3},
    servers::database::Place,
    uploads::{announce, extend, id, offset, part, stuck},
};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::json;
use std::process::Output;

fn setup(s3: &S3) -> Setup {
    s3.settings().into_iter().fold(Setup::new(), |setup, (name, value)| setup.env(name, value))
}

/// Kills the server as a power cut would, and starts it anew.
async fn crash(server: &mut Server, s3: &S3, client: &mut Client) {
    server.kill();
    let dir = server.dir.clone();
    *server = setup(s3).dir(&dir).start().await;
    client.base.clone_from(&server.base);
}

/// Found by their words alone: the bytes are what counts here, and vectors for all of them would take a while.
async fn by_words_alone(client: &Client) -> String {
    let workspace = client.first_workspace().await;
    let config = format!("/api/workspaces/{workspace}/rag-config");
    let keyword = client.request("PUT", &config).json(&json!({ "retriever_type": "keyword" }));
    assert_eq!(client.send(keyword).await.status, 200);
    workspace
}

/// What a command comes to. On a thread of its own, since it asks the store, which is served by this one.
async fn output(setup: Setup) -> Output {
    let mut command = setup.command();
    tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it runs")
}

async fn check(s3: &S3, server: &Server) -> (bool, String) {
    let out = output(setup(s3).dir(&server.dir).args(&["check"])).await;
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.success(), said)
}

#[tokio::test]
async fn a_document_goes_its_whole_way_through_a_bucket() {
    let s3 = S3::start().await;
    let mut server = setup(&s3).start().await;
    let mut ada = server.user("ada").await;
    let workspace = by_words_alone(&ada).await;
    let text = prose(1, 400);
    let book = office::docx(&office::p("", "The lantern of the northern bridge."));
    let note = ada.upload_one(&workspace, "note.txt", &text).await;
    // What an archive is can only be told from its end.
    let bound = ada.upload_one(&workspace, "book.docx", &book).await;
    for document in [&note, &bound] {
        let settled = ada.settled(document).await;
        assert_eq!(settled["status"], "ready", "{settled}");
    }
    assert_eq!(s3.keys("/documents/").len(), 2);
    assert_eq!(s3.keys("/texts/").len(), 2);
    assert_eq!(server.all_files().len(), 0, "nothing lies in the folder of the files");
    let hits = ada.read(&format!("/api/workspaces/{workspace}/search?q=lantern")).await;
    assert!(hits.to_string().contains("book.docx"), "{hits}");

    let content = format!("/api/documents/{note}/content");
    let whole = ada.get(&content).await;
    assert_eq!((whole.status, &whole.body), (200, &text));
    let cut = ada.send(ada.request("GET", &content).header("range", "bytes=10-19")).await;
    assert_eq!((cut.status, &*cut.body), (206, &text[10..20]));
    assert_eq!(cut.header("content-range"), format!("bytes 10-19/{}", text.len()));
    let head = ada.send(ada.request("HEAD", &content)).await;
    assert_eq!((head.status, head.header("content-length")), (200, &*text.len().to_string()));
    let again = ada.request("GET", &content).header("if-modified-since", whole.header("last-modified"));
    assert_eq!(ada.send(again).await.status, 304);
    let preview = ada.send(ada.request("GET", &format!("/d/{note}")).header("accept", "text/html")).await;
    assert_eq!(preview.status, 200);

    // The export of the account lies there as well.
    assert_eq!(ada.send(ada.request("POST", "/api/auth/export")).await.status, 202);
    eventually("the export is ready", async || {
        (ada.read("/api/auth/export").await["status"] == "ready").then_some(())
    })
    .await;
    assert_eq!(ada.read("/api/auth/export/content").await["account"]["username"], "ada");
    assert_eq!(s3.keys("/exports/").len(), 1);

    server.terminate();
    assert!(server.ended().await.success(), "{}", server.log());
    let (good, said) = check(&s3, &server).await;
    assert!(good && said.contains("2 documents looked at"), "{said}");
    server = setup(&s3).dir(&server.dir).start().await;
    ada.base.clone_from(&server.base);
    assert_eq!(ada.delete(&format!("/api/documents/{bound}")).await.status, 202);
    eventually("its file and its text are gone", async || s3.keys(&bound).is_empty().then_some(())).await;
    assert_eq!(s3.keys(&note).len(), 2);
    let leave = ada.request("DELETE", "/api/auth/account").json(&json!({ "password": PASSWORD }));
    assert_eq!(ada.send(leave).await.status, 202);
    eventually("nothing of ada is left", async || s3.keys("/users/").is_empty().then_some(())).await;
    assert_eq!((s3.unfinished(), s3.unsigned()), ((0, 0), vec![]));
}

#[tokio::test]
async fn a_killed_server_goes_on_from_the_last_acknowledged_byte() {
    let s3 = S3::start().await;
    let mut server = setup(&s3).start().await;
    let mut ada = server.user("ada").await;
    by_words_alone(&ada).await;
    let text = prose(2, 200_000);
    assert!(text.len() > 1_000_000);
    let path = announce(&ada, text.len(), &[("filename", "long.txt")]).await;
    let half = text.len() / 2;
    assert_eq!(extend(&ada, &path, 0, &text[..half]).await.status, 204);
    s3.asked();
    let sending =
        tokio::spawn(part(&ada, &path, half).body(stuck(text[half..half + 300_000].to_vec())).send());
    eventually("the part is being taken", async || {
        s3.asked().iter().any(|asked| asked.contains("start-after=")).then_some(())
    })
    .await;
    crash(&mut server, &s3, &mut ada).await;
    assert!(sending.await.expect("sent").is_err());
    assert_eq!(offset(&ada, &path).await, half, "what was acknowledged, and no more");
    assert_eq!(extend(&ada, &path, half, &text[half..]).await.status, 204);
    let document = ada.settled(id(&path)).await;
    assert_eq!(document["status"], "ready", "{document}");
    assert_eq!(ada.get(&format!("/api/documents/{}/content", id(&path))).await.body, text);
    assert_eq!(s3.keys("/.parts/"), [""; 0], "the pieces became one file");
}

/// Its last bytes are on their way when the upload is given up, and come to lie in the bucket after it was cleared.
#[tokio::test]
async fn of_an_upload_that_is_given_up_while_a_part_comes_nothing_stays() {
    let s3 = S3::start().await;
    let server = setup(&s3).env("INSIGHTHUB_PATIENCE_SECONDS", "1").start().await;
    let ada = server.user("ada").await;
    let text = prose(2, 20_000);
    let path = announce(&ada, text.len(), &[("filename", "long.txt")]).await;
    let half = text.len() / 2;
    assert_eq!(extend(&ada, &path, 0, &text[..half]).await.status, 204);
    s3.asked();
    let sending = tokio::spawn(part(&ada, &path, half).body(stuck(text[half..half + 5_000].to_vec())).send());
    eventually("the part is being taken", async || {
        s3.asked().iter().any(|asked| asked.contains("start-after=")).then_some(())
    })
    .await;
    assert_eq!(ada.delete(&path).await.status, 204);
    // Nothing more comes, so the server gives the part up, and does not answer before nothing of it is left.
    let _ = sending.await;
    assert_eq!(s3.keys(id(&path)), [""; 0]);
    ada.get(&path).await.problem(404, "not_found");
}

/// A start clears away what is left at once where nobody else can be writing it. Elsewhere a day has to be over.
mod on_sqlite {
    use super::*;

    #[tokio::test]
    async fn what_a_killed_server_was_writing_and_what_belongs_to_nothing_goes() {
        let s3 = S3::start().await;
        let mut server = setup(&s3).start().await;
        let mut ada = server.user("ada").await;
        let workspace = by_words_alone(&ada).await;
        let note = ada.upload_one(&workspace, "note.txt", b"A lantern on the bridge.").await;
        ada.settled(&note).await;
        let kept = s3.keys("");
        // Killed in the middle of a long file, of which a part lies there already.
        let head = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n";
        let pieces = [Bytes::from(head), Bytes::from(prose(3, 2_000_000))].map(Ok::<_, std::io::Error>);
        let endless = futures::stream::iter(pieces).chain(futures::stream::pending());
        let request = ada
            .request("POST", &format!("/api/workspaces/{workspace}/documents"))
            .header("content-type", "multipart/form-data; boundary=x")
            .body(reqwest::Body::wrap_stream(endless));
        let sending = tokio::spawn(request.send());
        eventually("a part lies there", async || (s3.unfinished().1 > 0).then_some(())).await;
        server.kill();
        assert!(sending.await.expect("sent").is_err());
        assert_eq!(s3.unfinished().0, 1);
        // And what others left that were killed between the file and its row.
        let file = kept.iter().find(|key| key.contains("/documents/")).expect("a file");
        let folder = file.strip_suffix(note.as_str()).expect("its folder");
        let (orphan, fresh) =
            ("0197a000-0000-7000-8000-000000000001", "0197a000-0000-7000-8000-000000000002");
        s3.put(&format!("{folder}{orphan}"), "left behind");
        s3.put(&format!("{folder}.parts/{orphan}/000000000000000b-0000000000000000"), "left behind");
        s3.age(4_000);
        s3.put(&format!("{folder}{fresh}"), "its upload may be under way");
        let dir = server.dir.clone();
        let server = setup(&s3).dir(&dir).start().await;
        ada.base.clone_from(&server.base);
        eventually("all of it is gone", async || {
            (s3.unfinished().0 == 0 && s3.keys(orphan).is_empty() && s3.keys("/incoming/").is_empty())
                .then_some(())
        })
        .await;
        assert_eq!(s3.keys(fresh).len(), 1);
        for key in &kept {
            assert!(s3.object(key).is_some(), "{key}");
        }
        assert_eq!(
            ada.get(&format!("/api/documents/{note}/content")).await.body,
            b"A lantern on the bridge."
        );
    }
}

#[tokio::test]
async fn while_the_store_is_away_it_is_said_so_and_work_goes_on_afterwards() {
    let s3 = S3::start().await;
    let server = setup(&s3).start().await;
    let ada = server.user("ada").await;
    let workspace = by_words_alone(&ada).await;
    let visitor = server.visitor();
    assert_eq!(visitor.read("/health/ready").await["checks"][1]["ok"], true);
    let note = ada.upload_one(&workspace, "note.txt", b"A lantern on the bridge.").await;
    ada.settled(&note).await;

    s3.fail("", Fault::Refused(503, "ServiceUnavailable"), usize::MAX);
    ada.upload(&workspace, &[("b.txt", b"A gull.")]).await.problem(503, "files_away");
    ada.get(&format!("/api/documents/{note}/content")).await.problem(503, "files_away");
    let unready = visitor.get("/health/ready").await;
    let body = unready.json();
    assert_eq!((unready.status, &body["checks"][1]["ok"]), (503, &json!(false)), "{body}");
    // The list of documents, and all that stands in the database, is there all the same.
    assert_eq!(ada.read(&format!("/api/documents/{note}")).await["status"], "ready");
    s3.heal();
    s3.fail("", Fault::Refused(403, "AccessDenied"), usize::MAX);
    let body = visitor.get("/health/ready").await.json();
    let detail = body["checks"][1]["detail"].as_str().expect("a sentence");
    assert!(detail.contains("refuses this server"), "{detail}");
    ada.get(&format!("/api/documents/{note}/content")).await.problem(500, "internal");
    s3.heal();
    assert_eq!(visitor.get("/health/ready").await.status, 200);

    // A document whose file cannot be read is tried again by itself.
    s3.fail("HEAD", Fault::Refused(503, "ServiceUnavailable"), usize::MAX);
    let gull = ada.upload_one(&workspace, "gull.txt", b"A gull sleeps on the quiet stones.").await;
    eventually("it was tried", async || {
        server.log().contains("a stored file could not be read").then_some(())
    })
    .await;
    s3.heal();
    assert_eq!(ada.settled(&gull).await["status"], "ready");
    assert_eq!(ada.get(&format!("/api/documents/{note}/content")).await.body, b"A lantern on the bridge.");
}

/// On databases that it names itself, whichever engine the others are on.
mod on_postgres {
    use super::*;

    #[tokio::test]
    async fn two_servers_share_the_files_and_another_installation_is_kept_out() {
        let (s3, place) = (S3::start().await, Place::postgres().await);
        let start = |role: &'static str| {
            setup(&s3).env("DATABASE_URL", place.url()).args(&["serve", "--role", role]).start()
        };
        let (web, other, _worker) = (start("web").await, start("web").await, start("worker").await);
        let ada = web.user("ada").await;
        by_words_alone(&ada).await;
        let there = Client { base: other.base.clone(), ..ada.clone() };
        let text = prose(4, 60_000);
        let path = announce(&ada, text.len(), &[("filename", "long.txt")]).await;
        // One part here, one there, and so on.
        let mut at = 0;
        for (n, part) in text.chunks(100_000).enumerate() {
            let client = if n % 2 == 0 { &ada } else { &there };
            let answer = extend(client, &path, at, part).await;
            assert_eq!(answer.status, 204, "{answer:?}");
            at += part.len();
        }
        let document = ada.settled(id(&path)).await;
        assert_eq!(document["status"], "ready", "{document}");
        for client in [&ada, &there] {
            assert_eq!(client.get(&format!("/api/documents/{}/content", id(&path))).await.body, text);
        }

        let stranger = Home::new();
        let out = output(setup(&s3).dir(&stranger)).await;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && said.contains("another installation"), "{said}");
    }
}

/// Two servers may be at the same step of the same workspace.
#[tokio::test]
async fn no_trial_of_the_place_for_files_meets_the_file_of_another() {
    let s3 = S3::start().await;
    let server = setup(&s3).start().await;
    let ada = server.user("ada").await;
    s3.asked();
    // As if somebody else had removed it.
    s3.fail("GET /files/hub/probes", Fault::Refused(404, "NoSuchKey"), 1);
    let made = ada.post("/api/workspaces", json!({ "name": "Papers" })).await.json();
    let path = format!("/api/workspaces/{}", made["id"].as_str().expect("an id"));
    let becomes = async |status: &str| {
        eventually(status, async || (ada.read(&path).await["status"] == status).then_some(())).await;
    };
    becomes("error").await;
    assert_eq!(s3.keys("probes/"), [""; 0], "also of a trial that failed nothing is left");
    assert_eq!(ada.post(&format!("{path}/retry"), json!({})).await.status, 202);
    becomes("ready").await;
    let asked = s3.asked();
    let written: Vec<_> = asked.iter().filter(|asked| asked.starts_with("PUT /files/hub/probes")).collect();
    assert!(written.len() == 2 && written[0] != written[1], "{written:?}");
    assert_eq!(s3.keys("probes/"), [""; 0]);
}

#[tokio::test]
async fn a_copy_of_the_database_keeps_off_the_files_until_it_is_told_that_they_are_its_own() {
    let s3 = S3::start().await;
    let mut server = setup(&s3).start().await;
    let ada = server.user("ada").await;
    let workspace = by_words_alone(&ada).await;
    let note = ada.upload_one(&workspace, "note.txt", b"A lantern on the bridge.").await;
    ada.settled(&note).await;
    server.terminate();
    assert!(server.ended().await.success(), "{}", server.log());
    let kept = s3.keys("");

    let out = output(setup(&s3).dir(&server.dir).args(&["restored"])).await;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success() && said.contains("not taken for this installation's own"), "{said}");
    let out = output(setup(&s3).dir(&server.dir)).await;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && said.contains("another installation"), "{said}");
    assert_eq!(s3.keys(""), kept);

    s3.remove("hub/.insighthub");
    let server = setup(&s3).dir(&server.dir).start().await;
    let ada = server.sign_in("ada", PASSWORD).await;
    assert_eq!(ada.get(&format!("/api/documents/{note}/content")).await.body, b"A lantern on the bridge.");
    assert_eq!(s3.keys(""), kept, "marked once more");
}
