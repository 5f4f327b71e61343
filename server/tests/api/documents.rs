//! Documents: their lists, their parts, what pollers see of them, and what is told of one that failed.

use crate::common::{Server, messages, prose};
use serde_json::json;

#[tokio::test]
async fn a_file_that_cannot_be_read_fails_alone_with_a_reason() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let uploaded = client
        .upload(&workspace, &[("broken.pdf", b"%PDF-1.7\nthis is no real PDF"), ("a.txt", &prose(1, 60))])
        .await
        .json();
    let id = |n: usize| uploaded["documents"][n]["document_id"].as_str().expect("an id").to_owned();
    let broken = client.settled(&id(0)).await;
    assert_eq!(broken["status"], "failed");
    for field in ["error", "error_code", "error_hint"] {
        assert!(broken[field].as_str().is_some_and(|t| !t.is_empty()), "{field}: {broken}");
    }
    assert_eq!(client.settled(&id(1)).await["status"], "ready");
    let polled = client.read(&format!("/v1/documents/{}/status", id(0))).await;
    assert_eq!(
        (&polled["processing_status"], &polled["status_message"]),
        (&json!("failed"), &broken["error"])
    );
}

#[tokio::test]
async fn documents_are_listed_newest_first_page_by_page() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let names: Vec<String> = (0..5).map(|n| format!("{n}.txt")).collect();
    for name in &names {
        client.upload_one(&workspace, name, b"a lantern").await;
    }
    let (mut seen, mut after) = (vec![], String::new());
    loop {
        let page = client.read(&format!("/api/workspaces/{workspace}/documents?limit=2{after}")).await;
        seen.extend(
            page["items"]
                .as_array()
                .expect("items")
                .iter()
                .map(|d| d["filename"].as_str().expect("a name").to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, names.into_iter().rev().collect::<Vec<_>>());
    for list in [
        format!("/api/workspaces/{workspace}/documents"),
        "/api/workspaces".to_owned(),
        "/api/jobs".to_owned(),
        "/api/auth/sessions".to_owned(),
    ] {
        for after in ["nonsense", "%00", "1.%27"] {
            let problem = client.get(&format!("{list}?after={after}")).await.problem(422, "invalid");
            assert_eq!(messages(&problem, "after"), ["This is no place in the list."]);
        }
    }
}

#[tokio::test]
async fn a_place_in_a_list_is_none_in_another_and_none_when_it_is_damaged() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let document = client.upload_one(&workspace, "a.txt", b"a lantern").await;
    client.settled(&document).await;
    client.upload_one(&workspace, "b.txt", b"a lantern on the bridge").await;
    let list = format!("/api/workspaces/{workspace}/documents");
    let next = client.read(&format!("{list}?limit=1")).await["next"].as_str().expect("more").to_owned();
    let rest = client.read(&format!("{list}?after={next}")).await;
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(1), "{rest}");
    for other in [
        "/api/workspaces".to_owned(),
        "/api/jobs".to_owned(),
        "/api/auth/sessions".to_owned(),
        "/v1/chat/conversations".to_owned(),
        format!("/api/documents/{document}/chunks"),
        format!("/api/documents/{document}/history"),
        format!("/api/workspaces/{workspace}/history"),
    ] {
        let problem = client.get(&format!("{other}?after={next}")).await.problem(422, "invalid");
        assert_eq!(messages(&problem, "after"), ["This is no place in the list."], "{other}");
    }
    for damaged in [format!("{next}0"), next[..next.len() - 1].to_owned(), next[1..].to_owned()] {
        let problem = client.get(&format!("{list}?after={damaged}")).await.problem(422, "invalid");
        assert_eq!(messages(&problem, "after"), ["This is no place in the list."], "{damaged}");
    }
    let history = format!("/api/documents/{document}/history");
    let of_history = client.read(&format!("{history}?limit=1")).await;
    let next = of_history["next"].as_str().expect("more").to_owned();
    assert_eq!(client.get(&format!("{history}?after={next}")).await.status, 200);
    client.get(&format!("{list}?after={next}")).await.problem(422, "invalid");
}

#[tokio::test]
async fn a_list_that_answers_all_at_once_says_that_no_page_follows() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let document = client.upload_one(&workspace, "a.txt", b"a lantern").await;
    for list in [
        "/api/auth/api-keys".to_owned(),
        format!("/api/documents/{document}/versions"),
        format!("/api/workspaces/{workspace}/retrieval-cases"),
        "/api/errors".to_owned(),
    ] {
        let answer = client.read(&list).await;
        assert!(answer["items"].is_array(), "{list}: {answer}");
        assert_eq!(answer.get("next"), Some(&json!(null)), "{list}: {answer}");
    }
}

#[tokio::test]
async fn a_part_of_the_file_can_be_asked_for() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let id = client.upload_one(&workspace, "Übersicht \"1\".txt", b"0123456789").await;
    let path = format!("/api/documents/{id}/content");
    let part = client.send(client.request("GET", &path).header("range", "bytes=2-5")).await;
    assert_eq!((part.status, part.body.as_slice()), (206, b"2345".as_slice()));
    let disposition = part.header("content-disposition").to_owned();
    assert!(disposition.contains("filename*=UTF-8''%C3%9Cbersicht%20%221%22.txt"), "{disposition}");
    let head = client.send(client.request("HEAD", &path)).await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "10", 0));
}

#[tokio::test]
async fn a_poller_sees_the_six_steps_and_stops() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let id = client.upload_one(&workspace, "a.txt", &prose(3, 3_000)).await;
    let percents = json!({ "validating": 10, "extracting_text": 25, "chunking_text": 50, "creating_embeddings": 75, "storing_metadata": 95, "finished": 100 });
    let mut last = 0;
    let polled = crate::common::eventually("the poller sees the end", async || {
        let now = client.read(&format!("/v1/documents/{id}/status")).await;
        let (step, percent) = (
            now["processing_step"].as_str().expect("a step").to_owned(),
            now["progress_percentage"].as_u64().expect("a number"),
        );
        assert!(percent == 0 || percents[&step] == percent, "{now}");
        assert!(percent >= last, "{last} → {now}");
        last = percent;
        assert!(
            now["status_message"].as_str().is_some_and(|m| !m.is_empty()) && now["updated_at"].is_string()
        );
        (now["processing_status"] == "completed").then_some(now)
    })
    .await;
    assert_eq!((&polled["document_id"], &polled["progress_percentage"]), (&json!(id), &json!(100)));
    assert!(polled["status_metadata"]["chunks_created"].as_u64() > Some(1), "{polled}");
}

#[tokio::test]
async fn many_documents_are_polled_at_once_and_an_unchanged_answer_is_not_sent_again() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let a = client.upload_one(&workspace, "a.txt", b"a lantern").await;
    let b = client.upload_one(&workspace, "b.txt", b"a bridge").await;
    client.settled(&a).await;
    client.settled(&b).await;
    let gone = "0197a000-0000-7000-8000-000000000001";
    let path = format!("/v1/documents/status?ids={b},{gone},{a},nonsense");
    let answer = client.get(&path).await;
    let body = answer.json();
    assert_eq!(body["items"].as_array().map(Vec::len), Some(2));
    assert_eq!((&body["items"][0]["document_id"], &body["items"][1]["document_id"]), (&json!(b), &json!(a)));
    assert_eq!(body["missing"], json!([gone, "nonsense"]));
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    let tag = answer.header("etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    let again = client.send(client.request("GET", &path).header("if-none-match", &tag)).await;
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, tag.as_str()));

    let many = vec![gone; 101].join(",");
    client.get(&format!("/v1/documents/status?ids={many}")).await.problem(422, "invalid");
    client.get("/v1/documents/status").await.problem(422, "invalid");
}

#[tokio::test]
async fn the_correlation_id_of_a_failed_document_leads_to_its_lines_in_the_log() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let good = client.upload_one(&workspace, "a.txt", b"A lantern.").await;
    assert_eq!(client.settled(&good).await["correlation_id"], serde_json::Value::Null);
    let bad = client.upload_one(&workspace, "a.pdf", b"%PDF-1.7\nnothing of the kind").await;
    let failed = client.settled(&bad).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    let (id, code) = (failed["correlation_id"].as_str().expect("an id"), failed["error_code"].as_str());
    let log = server.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(id)).collect();
    let told = |line: &&str| line.contains("a document failed") && line.contains(code.expect("a code"));
    assert!(lines.iter().any(told), "{lines:?}");
}
