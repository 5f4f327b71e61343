//! Uploading: what is taken, what is refused, and that one bad file never stops the others.

use crate::common::{Server, Setup, eventually, form, messages, prose};
use serde_json::{Value, json};

#[tokio::test]
async fn good_files_are_taken_beside_bad_ones_which_are_told() {
    let server = Setup::new().env("INSIGHTHUB_MAX_FILE_BYTES", "20000").start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00";
    let answer = client
        .upload(
            &workspace,
            &[
                ("notes.txt", &prose(1, 100)),
                ("empty.txt", b""),
                ("picture.txt", png),
                ("large.txt", &prose(2, 8_000)),
                ("../../readme.md", b"# Read me\n\nA lantern."),
            ],
        )
        .await;
    assert_eq!(answer.status, 202);
    let body = answer.json();
    let names = |list: &Value, field: &str| -> Vec<String> {
        list.as_array().expect("a list").iter().map(|d| d[field].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(names(&body["documents"], "filename"), ["notes.txt", "readme.md"]);
    // A quick worker may have begun already.
    let begun = |status: &String| matches!(status.as_str(), "pending" | "processing");
    assert!(names(&body["documents"], "status").iter().all(begun), "{body}");
    assert_eq!(names(&body["rejected"], "filename"), ["empty.txt", "picture.txt", "large.txt"]);
    assert_eq!(names(&body["rejected"], "code"), ["empty_file", "unsupported_type", "too_large"]);
    assert!(
        body["rejected"][1]["detail"].as_str().is_some_and(|d| d.contains("PDF")),
        "the taken kinds are named: {body}"
    );
    // Nothing is left of what was refused.
    assert_eq!((server.files("documents"), server.files("incoming")), (2, 0));
}

#[tokio::test]
async fn when_all_files_are_refused_the_first_reason_is_the_status() {
    let server = Setup::new().env("INSIGHTHUB_MAX_FILE_BYTES", "1048576").start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let large = prose(1, 300_000);
    let problem = client.upload(&workspace, &[("large.txt", &large)]).await.problem(413, "too_large");
    assert_eq!(messages(&problem, "file"), ["large.txt: The file is larger than 1 MB."]);
    client
        .upload(&workspace, &[("a.bin", b"\x7fELF\x02\x01\x01\x00")])
        .await
        .problem(415, "unsupported_type");
    client.upload(&workspace, &[("empty.txt", b"")]).await.problem(422, "empty_file");
    let problem =
        client.upload(&workspace, &[("empty.txt", b""), ("a.bin", b"\x7fELF\x02\x01\x01\x00")]).await;
    assert_eq!(messages(&problem.problem(422, "empty_file"), "file").len(), 2);
    let nothing = reqwest::multipart::Form::new().text("other", "x");
    let path = format!("/api/workspaces/{workspace}/documents");
    let problem = client.send(client.request("POST", &path).multipart(nothing)).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "file"), ["Choose at least one file."]);
    assert_eq!(client.read("/api/jobs").await["items"], json!([]));
}

#[tokio::test]
async fn a_body_that_is_no_form_is_refused() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let path = format!("/api/workspaces/{}/documents", client.first_workspace().await);
    client.post(&path, json!({})).await.problem(415, "unsupported_media_type");
    let broken = client.request("POST", &path).header("content-type", "multipart/form-data; boundary=x");
    client
        .send(
            broken
                .body("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhalf"),
        )
        .await
        .problem(400, "broken_off");
    let odd = client.request("POST", &path).header("content-type", "multipart/form-data; boundary=x");
    client.send(odd.body("no boundary at all")).await.problem(400, "bad_form");
}

#[tokio::test]
async fn a_file_is_called_what_its_part_says_in_either_notation() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let path = format!("/api/workspaces/{}/documents", client.first_workspace().await);
    let part = |disposition: &str, text: &str| {
        format!(
            "--x\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: text/plain\r\n\r\n\
             {text}\r\n"
        )
    };
    let body = [
        part("name=\"file\"; filename=\"plain.txt\"", "A lantern."),
        part("name=\"file\"; filename*=utf-8''na%C3%AFve.txt", "A gull."),
        part("name=\"file\"", "Nobody says what this is called."),
        part("name=\"file\"; filename=\"\"", ""),
        "--x--\r\n".to_owned(),
    ];
    let form = client.request("POST", &path).header("content-type", "multipart/form-data; boundary=x");
    let answer = client.send(form.body(body.concat())).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let answer = answer.json();
    let documents = answer["documents"].as_array().expect("documents").iter();
    let names: Vec<&str> = documents.filter_map(|d| d["filename"].as_str()).collect();
    assert_eq!((names, &answer["rejected"]), (vec!["plain.txt", "naïve.txt", "untitled"], &json!([])));
}

#[tokio::test]
async fn more_files_than_the_limit_are_left_out_and_told_once() {
    let server = Setup::new().env("INSIGHTHUB_MAX_FILES", "3").start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let text = b"one two three".as_slice();
    let files: Vec<(&str, &[u8])> =
        ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"].map(|name| (name, text)).to_vec();
    let body = client.upload(&workspace, &files).await.json();
    assert_eq!(body["documents"].as_array().map(Vec::len), Some(3));
    assert_eq!(body["rejected"].as_array().map(Vec::len), Some(1), "{body}");
    assert_eq!(body["rejected"][0]["code"], "too_many_files");
}

#[tokio::test]
async fn who_is_refused_in_the_middle_of_sending_still_gets_the_answer() {
    let server = Server::start().await;
    let (ada, bob) = (server.user("ada").await, server.user("bob").await);
    let path = format!("/api/workspaces/{}/documents", ada.first_workspace().await);
    let large = vec![b'a'; 8 << 20];
    // The client sends all before it reads, as some do.
    for (client, status, code) in [(&bob, 404, "not_found"), (&server.visitor(), 401, "unauthorized")] {
        for _ in 0..5 {
            client
                .send(client.request("POST", &path).multipart(form(&[("a.txt", &large)])))
                .await
                .problem(status, code);
        }
    }
}

#[tokio::test]
async fn the_same_key_uploads_once() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let path = format!("/api/workspaces/{workspace}/documents");
    let send = || {
        let request = client.request("POST", &path).header("idempotency-key", "batch-1");
        client.send(request.multipart(form(&[("notes.txt", &prose(1, 80))])))
    };
    let (first, again) = (send().await.json(), send().await.json());
    assert_eq!(
        (&first["job_id"], &first["documents"][0]["document_id"]),
        (&again["job_id"], &again["documents"][0]["document_id"])
    );
    assert_eq!(client.read("/api/jobs").await["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(client.read(&path).await["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.files("documents"), 1, "the second copy of the file is gone");
}

#[tokio::test]
async fn a_key_that_was_used_for_something_else_is_refused() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let path = format!("/api/workspaces/{workspace}/documents");
    let upload = |key: &str, files: &[(&str, &[u8])]| {
        client.send(client.request("POST", &path).header("idempotency-key", key).multipart(form(files)))
    };
    assert_eq!(upload("k", &[("a.txt", b"A lantern.")]).await.status, 202);
    for other in [("a.txt", &b"A bridge."[..]), ("b.txt", b"A lantern.")] {
        let problem = upload("k", &[other]).await.problem(422, "idempotency_key_reused");
        assert_eq!(messages(&problem, "Idempotency-Key").len(), 1, "{problem}");
    }
    assert_eq!(server.files("documents"), 1, "nothing of the refused ones is left");
    let make = |path: &'static str, body: Value| {
        client.send(client.request("POST", path).header("idempotency-key", "k").json(&body))
    };
    let paths = [
        ("/api/workspaces", json!({ "name": "Papers" }), json!({ "name": "Notes" })),
        (
            "/api/auth/api-keys",
            json!({ "name": "one", "scopes": ["read"] }),
            json!({ "name": "one", "scopes": ["read", "write"] }),
        ),
    ];
    for (path, first, other) in paths {
        let made = make(path, first.clone()).await;
        assert_eq!(made.status, 201, "{made:?}");
        let again = make(path, first).await;
        let id = |answer: &crate::common::Answer| {
            let body = answer.json();
            [&body["id"], &body["key"]["id"]].into_iter().find(|id| id.is_string()).cloned()
        };
        assert!(matches!(again.status, 200 | 201), "{again:?}");
        assert_eq!(id(&again), id(&made));
        make(path, other).await.problem(422, "idempotency_key_reused");
    }
}

/// The address of older clients names no workspace, so it is the same for all of them.
#[tokio::test]
async fn one_key_does_not_stand_for_uploads_into_two_workspaces() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let first = client.first_workspace().await;
    let made = client.post("/api/workspaces", json!({ "name": "Papers" })).await.json();
    let second = made["id"].as_str().expect("an id");
    let upload = |workspace: &str| {
        let form = form(&[("a.txt", b"A lantern.")]).text("workspace_id", workspace.to_owned());
        client.send(client.request("POST", "/v1/documents/").header("idempotency-key", "k").multipart(form))
    };
    let taken = upload(&first).await;
    assert_eq!(taken.status, 202, "{taken:?}");
    assert_eq!(upload(&first).await.json()["job_id"], taken.json()["job_id"]);
    upload(second).await.problem(422, "idempotency_key_reused");
    assert_eq!(client.read(&format!("/api/workspaces/{second}/documents")).await["items"], json!([]));
}

#[tokio::test]
async fn one_key_does_not_stand_for_uploads_that_do_otherwise_with_duplicates() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let path = format!("/api/workspaces/{}/documents", client.first_workspace().await);
    let upload = |way: &str| {
        let form = form(&[("a.txt", b"A lantern.")]).text("on_duplicate", way.to_owned());
        client.send(client.request("POST", &path).header("idempotency-key", "k").multipart(form))
    };
    let taken = upload("replace").await;
    assert_eq!(taken.status, 202, "{taken:?}");
    assert_eq!(upload("replace").await.json()["job_id"], taken.json()["job_id"]);
    upload("keep_both").await.problem(422, "idempotency_key_reused");
    upload("skip").await.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn the_server_needs_little_memory_for_a_large_upload() {
    // Without a worker, so that only the upload is measured.
    let server = Setup::new().args(&["serve", "--role", "web"]).start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let peak = || {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("Linux tells it");
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("the peak");
        line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") << 10
    };
    client.upload(&workspace, &[("small.txt", &prose(1, 100))]).await;
    let before = peak();
    let large = prose(2, 9_000_000);
    let large = &large[..large.len().min(100 << 20)];
    assert!(large.len() > 50 << 20, "{}", large.len());
    let answer = client.upload(&workspace, &[("large.txt", large)]).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let grown = peak().saturating_sub(before);
    assert!(grown < 32 << 20, "it grew by {} MB for {} MB", grown >> 20, large.len() >> 20);
}

#[tokio::test]
async fn a_broken_off_upload_leaves_nothing() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let head = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n";
    let incoming = server.dir.path().join("files/incoming");
    let left = || std::fs::read_dir(&incoming).expect("a folder").count();
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Vec<u8>, std::io::Error>>();
    sender.unbounded_send(Ok([head.as_bytes(), &prose(1, 60_000)].concat())).expect("sent");
    let request = client
        .request("POST", &format!("/api/workspaces/{workspace}/documents"))
        .header("content-type", "multipart/form-data; boundary=x")
        .body(reqwest::Body::wrap_stream(receiver));
    let sending = tokio::spawn(request.send());
    eventually("the file is being written", async || (left() == 1).then_some(())).await;
    sending.abort();
    drop(sender);
    eventually("nothing is left", async || (left() == 0).then_some(())).await;
    assert_eq!(client.read("/api/jobs").await["items"], json!([]));
}

#[tokio::test]
async fn an_upload_given_up_after_its_first_file_leaves_nothing_of_that_either() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let part = |name: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n")
            .into_bytes()
    };
    let count = |folder: &str| server.files(folder);
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Vec<u8>, std::io::Error>>();
    let begun = [part("a.txt"), prose(1, 500), b"\r\n".to_vec(), part("b.txt"), prose(2, 60_000)].concat();
    sender.unbounded_send(Ok(begun)).expect("sent");
    let request = client
        .request("POST", &format!("/api/workspaces/{workspace}/documents"))
        .header("content-type", "multipart/form-data; boundary=x")
        .body(reqwest::Body::wrap_stream(receiver));
    let sending = tokio::spawn(request.send());
    eventually("the second file is being written", async || {
        (count("documents") == 1 && count("incoming") == 1).then_some(())
    })
    .await;
    sending.abort();
    drop(sender);
    eventually("nothing is left", async || (count("documents") + count("incoming") == 0).then_some(())).await;
    assert_eq!(client.read("/api/jobs").await["items"], json!([]));
}

#[tokio::test]
async fn the_limit_is_named_also_when_it_is_no_whole_number() {
    let server = Setup::new().env("INSIGHTHUB_MAX_FILE_BYTES", "1572864").start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let large = vec![b'a'; 1_572_865];
    let problem = client.upload(&workspace, &[("large.txt", &large)]).await.problem(413, "too_large");
    assert_eq!(messages(&problem, "file"), ["large.txt: The file is larger than 1.5 MB."]);
    assert_eq!(problem["detail"], "The file is larger than 1.5 MB.");
    let body = client.upload(&workspace, &[("large.txt", &large), ("a.txt", b"A lantern.")]).await.json();
    assert_eq!(body["rejected"][0]["detail"], "The file is larger than 1.5 MB.");
    assert_eq!(body["documents"][0]["filename"], "a.txt", "the others go on");
}

#[tokio::test]
async fn the_older_upload_names_its_workspace_or_means_the_first() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let first = client.first_workspace().await;
    let other = client.post("/api/workspaces", json!({ "name": "Papers" })).await.json()["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let part = || reqwest::multipart::Part::bytes(b"A lantern on the bridge.".to_vec()).file_name("a.txt");
    let plain = reqwest::multipart::Form::new().part("file", part());
    // The workspace may also come after the file.
    let named = reqwest::multipart::Form::new().part("file", part()).text("workspace_id", other.clone());
    for (form, workspace, path) in [(plain, first, "/v1/documents/"), (named, other, "/v1/documents")] {
        let answer = client.send(client.request("POST", path).multipart(form)).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let body = answer.json();
        let id = body["document_id"].as_str().expect("an id");
        let document = client.read(&format!("/api/documents/{id}")).await;
        assert_eq!((&document["workspace_id"], &document["job_id"]), (&json!(workspace), &body["job_id"]));
    }
}
