//! Stale documents: indexing just those anew, what that will take, and a crash in the middle of it.

use super::*;
use crate::common::{Setup, prose};

#[tokio::test]
async fn what_a_reindex_will_take_stands_on_a_page_without_a_script() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let id = ada.upload_one(&workspace, "notes.txt", &prose(3, 400)).await;
    ada.settled(&id).await;
    let page = async |path: String| {
        let answer = ada.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        String::from_utf8(answer.body).expect("text")
    };
    let asked = format!("/w/{workspace}/rag?reindex");
    assert!(!page(asked.clone()).await.contains("data-estimate"), "nothing is stale");
    saved(&ada, &config_of(&workspace), with(builtin(), json!({ "chunk_size": 300, "chunk_overlap": 0 })))
        .await;
    let estimate = ada.read(&format!("/api/workspaces/{workspace}/reindex/estimate")).await;
    assert_eq!(estimate["documents"], 1);
    // From the documents and from the config, a link leads to it; only there, a form starts the work.
    for path in [format!("/w/{workspace}"), format!("/w/{workspace}/rag")] {
        let html = page(path.clone()).await;
        assert!(html.contains(&format!("href=\"{asked}\"")), "{path}");
        assert!(!html.contains("data-estimate"), "{path}");
    }
    let html = page(asked).await;
    let (_, panel) = html.split_once("data-estimate").expect("the estimate");
    let figure = |name: &str| domain::message::number(estimate[name].as_u64().expect("a number"));
    let sentence = format!("{} chunks and {} tokens", figure("chunks"), figure("tokens"));
    assert!(panel.contains(&sentence), "{sentence}");
    assert!(panel.contains("/_fn/rag/reindex"), "the button");
    let form = ada.request("POST", "/_fn/rag/reindex").header("accept", "text/html");
    let form = form.header("content-type", "application/x-www-form-urlencoded").header("origin", &ada.base);
    let answer = ada.send(form.body(format!("id={workspace}"))).await;
    assert_eq!((answer.status, answer.header("location")), (302, format!("/w/{workspace}").as_str()));
    assert_eq!(ada.settled(&id).await["status"], "ready");
}

#[tokio::test]
async fn a_change_makes_documents_stale_and_one_call_indexes_just_those_anew() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let ids = upload_all(&ada, &workspace).await;
    for id in &ids {
        assert_eq!(ada.settled(id).await["status"], "ready");
    }
    let base = format!("/api/workspaces/{workspace}");
    let nothing = ada.post(&format!("{base}/reindex"), json!({})).await;
    nothing.problem(409, "nothing_stale");
    let none = ada.read(&format!("{base}/reindex/estimate")).await;
    assert_eq!((&none["documents"], &none["chunks"]), (&json!(0), &json!(0)));
    let mut socket = ada.socket().await;
    socket.hello(Value::Null, Value::Null).await;

    let candidate = with(builtin(), json!({ "chunk_size": 300, "chunk_overlap": 60 }));
    let before = ada.post(&format!("{base}/reindex/estimate"), candidate.clone()).await.json();
    assert_eq!(before["documents"], 5);
    let problem = ada.post(&format!("{base}/reindex/estimate"), json!({ "top_k": 0 })).await;
    assert_eq!(messages(&problem.problem(422, "invalid"), "top_k").len(), 1);
    assert!(documents(&ada, &workspace).await.iter().all(|d| d["stale"] == false), "nothing was saved");

    saved(&ada, &config_of(&workspace), candidate).await;
    for document in documents(&ada, &workspace).await {
        assert_eq!((&document["stale"], &document["status"]), (&json!(true), &json!("ready")), "{document}");
        assert_eq!(
            document["indexed_with"],
            json!({
                "embedding_model": "all-MiniLM-L6-v2",
                "chunking_strategy": "sentence",
                "chunk_size": 1000,
                "chunk_overlap": 200,
                "other_length": false,
            })
        );
    }
    assert_eq!(ada.read(&base).await["counts"]["stale"], 5);
    let mut stale = 0;
    socket
        .events_until(|e| {
            stale += usize::from(e["event"] == "document_status" && e["data"]["stale"] == true);
            stale == 5
        })
        .await;
    assert_eq!(ada.read(&format!("{base}/reindex/estimate")).await, before);

    // One more document, which is right already.
    let fresh = ada.upload_one(&workspace, "fresh.txt", &prose(7, 300)).await;
    assert_eq!(ada.settled(&fresh).await["stale"], false);
    // On the page, each stale row says what it was made with, and the fresh one does not.
    let page = String::from_utf8(ada.get(&format!("/w/{workspace}")).await.body).expect("text");
    let rows: Vec<&str> = page.split("role=\"row\" data-document-id=").skip(1).collect();
    assert_eq!(rows.len(), 6, "{page}");
    for row in rows {
        let is_fresh = row.contains("title=\"fresh.txt\"");
        assert_eq!(row.contains("data-status=\"stale\""), !is_fresh, "{row}");
        assert_eq!(row.contains("embedded with all-MiniLM-L6-v2"), !is_fresh, "{row}");
    }
    let found = async || {
        let hits = ada.read(&format!("{base}/search?q=how+does+it+work")).await;
        hits["items"].as_array().expect("items").len()
    };
    assert_eq!(found().await, 8);
    let send = async |key: &str| {
        let request = ada.request("POST", &format!("{base}/reindex")).header("idempotency-key", key);
        ada.send(request).await
    };
    let started = send("one").await;
    assert_eq!(started.status, 202, "{started:?}");
    assert_eq!(started.json()["documents"], 5);
    assert_eq!(send("one").await.json(), started.json(), "the same command, the same job");
    assert_eq!(found().await, 8, "they are found as before meanwhile");
    let job = over(&ada, &started.json()["job_id"]).await;
    assert_eq!((&job["kind"], &job["status"]), (&json!("reindex"), &json!("completed")), "{job}");
    assert_eq!(found().await, 8);
    for document in documents(&ada, &workspace).await {
        assert_eq!((&document["stale"], &document["status"]), (&json!(false), &json!("ready")), "{document}");
        assert_eq!(document["indexed_with"]["chunk_size"], 300);
        assert_eq!(document["attempt"], if document["id"] == *fresh { 1 } else { 2 });
    }
    // What was expected came true, within the error that was stated.
    for (expected, real) in [("chunks", "chunks_created"), ("tokens", "tokens")] {
        let (expected, real) =
            (before[expected].as_f64().expect("a number"), job["metrics"][real].as_f64().expect("a number"));
        let error = before["error_percent"].as_f64().expect("a number") / 100.0;
        println!("{expected} expected, {real} real, {error} stated");
        assert!((expected - real).abs() <= real * error, "{expected} expected, {real} real, {error} stated");
    }
    assert_eq!(send("two").await.status, 409);
    server.user("bob").await.post(&format!("{base}/reindex"), json!({})).await.problem(404, "not_found");
}

#[tokio::test]
async fn an_estimate_of_many_documents_is_made_from_a_few() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    // Found by keyword, so that making them takes no time.
    saved(&ada, &config_of(&workspace), json!({ "retriever_type": "keyword" })).await;
    let texts: Vec<(String, Vec<u8>)> =
        (0..60).map(|n| (format!("{n}.txt"), prose(n, 100 + n * 37))).collect();
    let parts: Vec<(&str, &[u8])> = texts.iter().map(|(n, t)| (n.as_str(), t.as_slice())).collect();
    let job = over(&ada, &ada.upload(&workspace, &parts).await.json()["job_id"]).await;
    assert_eq!(job["metrics"]["documents_done"], 60);
    let base = format!("/api/workspaces/{workspace}");
    for change in [
        json!({ "chunking_strategy": "character", "chunk_size": 500 }),
        json!({ "chunking_strategy": "token", "chunk_size": 120, "chunk_overlap": 20 }),
        json!({ "chunking_strategy": "markdown", "chunk_size": 2000 }),
        json!({ "chunking_strategy": "sentence", "chunk_size": 250, "chunk_overlap": 100 }),
    ] {
        let config = with(change, json!({ "retriever_type": "keyword" }));
        let expected = ada.post(&format!("{base}/reindex/estimate"), config.clone()).await.json();
        assert_eq!((&expected["documents"], &expected["embeds"]), (&json!(60), &json!(false)));
        saved(&ada, &config_of(&workspace), config).await;
        let started = ada.post(&format!("{base}/reindex"), json!({})).await.json();
        let job = over(&ada, &started["job_id"]).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["phase_details"][2]["status"], "skipped");
        for (name, real) in [("chunks", "chunks_created"), ("tokens", "tokens")] {
            let (expected, real, error) = (
                expected[name].as_f64().expect("a number"),
                job["metrics"][real].as_f64().expect("a number"),
                expected["error_percent"].as_f64().expect("a number") / 100.0,
            );
            println!("{name}: {expected} expected, {real} real, {error} stated");
            assert!((expected - real).abs() <= real * error, "{name}: {expected} expected, {real} real");
            assert!(error > 0.0 && error < 0.5, "{error}");
        }
    }
}

#[tokio::test]
async fn a_kill_in_the_middle_of_indexing_anew_loses_nothing_and_the_rest_is_found_meanwhile() {
    let mut server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let base = format!("/api/workspaces/{workspace}");
    let ids = upload_all(&ada, &workspace).await;
    for id in &ids {
        ada.settled(id).await;
    }
    saved(&ada, &config_of(&workspace), json!({ "chunk_size": 400, "chunk_overlap": 50 })).await;
    let started = ada.post(&format!("{base}/reindex"), json!({})).await.json();
    assert_eq!(started["documents"], 5);
    let job = format!("/api/jobs/{}", started["job_id"].as_str().expect("an id"));
    let mut kills = 0;
    while kills < 4 {
        // The first time at once, since whoever looks may find it through; then in the middle, each time a little further.
        if kills > 0 {
            let before = ada_at(&server, &ada).read(&job).await["metrics"]["chunks_embedded"].clone();
            let client = ada_at(&server, &ada);
            let is_over = eventually("it goes on", async || {
                let job = client.read(&job).await;
                let over = job["status"] == "completed";
                (over || job["metrics"]["chunks_embedded"].as_u64() > before.as_u64()).then_some(over)
            })
            .await;
            if is_over {
                break;
            }
        }
        server.kill();
        let dir = server.dir.clone();
        server = Setup::new().dir(&dir).start().await;
        kills += 1;
        let hits = ada_at(&server, &ada).read(&format!("{base}/search?q=how+does+it+work")).await;
        assert_eq!(hits["items"].as_array().map(Vec::len), Some(8), "found after kill {kills}");
    }
    let ada = ada_at(&server, &ada);
    let job = over(&ada, &started["job_id"]).await;
    assert_eq!(job["status"], "completed", "{job}");
    let mut chunks = 0;
    for document in documents(&ada, &workspace).await {
        assert_eq!((&document["status"], &document["stale"]), (&json!("ready"), &json!(false)), "{document}");
        let id = document["id"].as_str().expect("an id");
        let text = ada.read(&format!("/api/documents/{id}/chunks?limit=200")).await;
        let list = text["items"].as_array().expect("items").len();
        chunks += document["chunk_count"].as_u64().expect("a number");
        assert_eq!(document["chunk_count"].as_u64().map(|n| n.min(200)), Some(list as u64));
    }
    assert_eq!(job["metrics"]["chunks_created"], chunks);
    assert_eq!(job["metrics"]["chunks_embedded"], chunks);
}

/// The same person at the server that was started again.
fn ada_at(server: &Server, ada: &Client) -> Client {
    Client { base: server.base.clone(), ..ada.clone() }
}
