//! Reading jobs, and the status interface of older clients.

use crate::common::{Client, Server, eventually, prose};
use serde_json::{Value, json};

#[tokio::test]
async fn a_workspace_without_a_job_says_so() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    client.get(&format!("/api/ingestion/kb/{workspace}/status")).await.problem(404, "no_job");
}

#[tokio::test]
async fn the_newest_job_tells_all_four_phases_in_order() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let answer =
        client.upload(&workspace, &[("a.txt", &prose(1, 400)), ("b.md", b"# Title\n\nA lantern.")]).await;
    let job = answer.json()["job_id"].clone();
    let done = eventually("the job completes", async || {
        let now = client.read(&format!("/api/ingestion/kb/{workspace}/status")).await;
        check_shape(&now, &job, &workspace);
        (now["status"] == "completed").then_some(now)
    })
    .await;
    assert_eq!((&done["progress"], &done["phase"]), (&json!(100.0), &json!("indexing")));
    assert!(
        done["phase_details"]
            .as_array()
            .expect("phases")
            .iter()
            .all(|p| p["status"] == "completed" && p["progress"] == 100.0),
        "{done}"
    );
    assert_eq!(
        (&done["metrics"]["documents_total"], &done["metrics"]["documents_done"]),
        (&json!(2), &json!(2))
    );
    assert!(done["metrics"]["chunks_embedded"].as_u64() >= Some(2), "{done}");
    assert_eq!(client.read(&format!("/api/jobs/{}", job.as_str().expect("an id"))).await, done);
}

async fn ended(client: &Client, job: &Value) {
    let path = format!("/api/jobs/{}", job.as_str().expect("an id"));
    eventually("the job ends", async || {
        let now = client.read(&path).await;
        matches!(now["status"].as_str(), Some("completed" | "failed")).then_some(())
    })
    .await;
}

/// What a page is told that is loaded now.
async fn told_away(client: &Client) -> Value {
    let place = client.read("/api/status/changes").await["seq"].to_string();
    let answer = client.submit("/_fn/shell/tell_away", &[("upto", &place)]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn who_comes_back_is_told_once_of_what_ended_meanwhile() {
    let server = Server::start().await;
    let (ada, ben) = (server.user("ada").await, server.user("ben").await);
    let workspace = ada.first_workspace().await;
    let good = ada.upload(&workspace, &[("a.txt", &prose(1, 300)), ("b.txt", &prose(2, 300))]).await;
    ended(&ada, &good.json()["job_id"]).await;
    let torn = ada.upload(&workspace, &[("c.pdf", b"%PDF-1.7\nthis is no real PDF")]).await;
    ended(&ada, &torn.json()["job_id"]).await;
    assert_eq!(told_away(&ben).await, Value::Null);
    // A page that was loaded before all this hears of it by its stream.
    let early = ada.submit("/_fn/shell/tell_away", &[("upto", "1")]).await;
    assert_eq!((early.status, early.json()), (200, Value::Null));
    assert_eq!(
        told_away(&ada).await,
        json!({
            "text": "While you were away: 2 documents became ready and 1 failed.",
            "failed": true,
            "to": "/errors",
        })
    );
    assert_eq!(told_away(&ada).await, Value::Null, "in whichever browser");

    // What a person does not want to be told is not told later either.
    for done in [false, true] {
        let choice = json!({ "notifications": { "done": done } });
        assert_eq!(ada.patch("/api/auth/preferences", choice).await.status, 200);
        if !done {
            let more = ada.upload(&workspace, &[("d.txt", &prose(3, 300))]).await;
            ended(&ada, &more.json()["job_id"]).await;
        }
        assert_eq!(told_away(&ada).await, Value::Null);
    }
    let more = ada.upload(&workspace, &[("e.txt", &prose(4, 300))]).await;
    ended(&ada, &more.json()["job_id"]).await;
    assert_eq!(
        told_away(&ada).await,
        json!({
            "text": "While you were away: 1 document became ready.",
            "failed": false,
            "to": format!("/w/{workspace}/jobs"),
        })
    );
}

fn check_shape(now: &Value, job: &Value, workspace: &str) {
    assert_eq!((&now["job_id"], &now["kb_id"]), (job, &json!(workspace)));
    for field in ["status", "phase", "message"] {
        assert!(now[field].is_string(), "{field}: {now}");
    }
    for field in ["error", "started_at", "completed_at"] {
        assert!(now.get(field).is_some(), "{field}: {now}");
    }
    assert!(now["progress"].as_f64().is_some_and(|p| (0.0..=100.0).contains(&p)), "{now}");
    assert!(now["metrics"].is_object());
    let phases = now["phase_details"].as_array().expect("phases");
    let names: Vec<&str> = phases.iter().filter_map(|p| p["name"].as_str()).collect();
    assert_eq!(names, ["loading", "chunking", "embedding", "indexing"]);
    for phase in phases {
        assert!(
            phase["progress"].is_number()
                && phase["items_processed"].is_u64()
                && phase["items_total"].is_u64()
        );
    }
}

/// The text of a page, without tags.
fn text_of(html: &str) -> String {
    let parts = html.split('<').map(|part| part.split_once('>').map_or("", |(_, text)| text));
    parts.collect::<Vec<_>>().join("")
}

#[tokio::test]
async fn a_jobs_page_shows_how_it_went_also_after_its_documents_were_indexed_anew() {
    let server = Server::start().await;
    let (ada, bob) = (server.user("ada").await, server.user("bob").await);
    let workspace = ada.first_workspace().await;
    let page = async |client: &crate::common::Client, path: &str| {
        let answer = client.get(path).await;
        (answer.status, String::from_utf8(answer.body.clone()).expect("text"))
    };
    let jobs = format!("/w/{workspace}/jobs");
    assert!(page(&ada, &jobs).await.1.contains("No jobs yet"));
    let answer = ada.upload(&workspace, &[("a.txt", &prose(1, 400)), ("b.txt", &prose(2, 300))]).await.json();
    for document in answer["documents"].as_array().expect("documents") {
        ada.settled(document["document_id"].as_str().expect("an id")).await;
    }
    let first = answer["job_id"].as_str().expect("an id").to_owned();
    let config = format!("/api/workspaces/{workspace}/rag-config");
    let mut wanted = ada.read(&config).await;
    (wanted["chunk_size"], wanted["chunk_overlap"]) = (json!(300), json!(30));
    assert_eq!(ada.send(ada.request("PUT", &config).json(&wanted)).await.status, 200);
    let again = eventually("they are stale and indexed anew", async || {
        let answer = ada.post(&format!("/api/workspaces/{workspace}/reindex"), json!({})).await;
        (answer.status == 202 && answer.json()["documents"] == 2).then(|| answer.json())
    })
    .await;
    let second = again["job_id"].as_str().expect("an id").to_owned();
    eventually("the second is over", async || {
        (ada.read(&format!("/api/jobs/{second}")).await["status"] == "completed").then_some(())
    })
    .await;

    for (job, title) in [(&first, "Upload of 2 files"), (&second, "Indexing 2 files anew")] {
        let (status, html) = page(&ada, &format!("{jobs}/{job}")).await;
        assert_eq!(status, 200);
        let text = text_of(&html);
        assert!(text.contains(title) && text.contains("2 documents ready"), "{text}");
        for phase in ["Loading", "Chunking", "Embedding", "Indexing"] {
            assert!(text.contains(&format!("{phase}, completed")), "{phase}: {text}");
            assert!(text.contains(&format!("{phase} · ")), "its bar: {text}");
        }
        // A line a document, as it went in this very job.
        assert!(text.contains("a.txt · ") && text.contains("b.txt · "), "{text}");
        assert!(!html.contains("data-part"), "all are shown");
    }
    let (_, list) = page(&ada, &jobs).await;
    let places = [&second, &first].map(|job| list.find(&format!("{jobs}/{job}")).expect("a link"));
    assert!(places[0] < places[1], "newest first");
    let (_, history) = page(&ada, &format!("/w/{workspace}/history")).await;
    assert!(history.contains(&format!("{jobs}/{first}")), "the history leads there");
    let (_, own) = page(&ada, &format!("/w/{workspace}")).await;
    assert!(
        own.contains(&format!("{jobs}/{second}")) && own.contains(&format!("\"{jobs}\"")),
        "the panel, too"
    );
    // Neither in another workspace nor for somebody else.
    let other = ada.post("/api/workspaces", json!({ "name": "Other" })).await.json();
    let elsewhere = format!("/w/{}/jobs/{first}", other["id"].as_str().expect("an id"));
    assert_eq!(page(&ada, &elsewhere).await.0, 404);
    assert_eq!(page(&bob, &format!("{jobs}/{first}")).await.0, 404);
    assert_eq!(page(&bob, &jobs).await.0, 404);
    assert_eq!(page(&ada, &format!("{jobs}/none")).await.0, 404);
}

#[tokio::test]
async fn of_a_job_of_many_documents_those_that_began_first_are_shown_and_the_page_says_so() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let made = ada.post("/api/workspaces", json!({ "name": "Scans", "processor": "external" })).await.json();
    let workspace = made["id"].as_str().expect("an id").to_owned();
    let names: Vec<String> = (0..60).map(|n| format!("{n}.txt")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
    let answer = ada.upload(&workspace, &files).await.json();
    for document in answer["documents"].as_array().expect("documents") {
        let path = format!("/api/status/documents/{}", document["document_id"].as_str().expect("an id"));
        let report = json!({ "status": "ready", "step": "extracting", "chunk_count": 2 });
        assert_eq!(ada.post(&path, json!({ "status": "processing" })).await.status, 200);
        assert_eq!(ada.post(&path, report).await.status, 200);
    }
    let job = answer["job_id"].as_str().expect("an id");
    let answer = ada.get(&format!("/w/{workspace}/jobs/{job}")).await;
    let text = text_of(&String::from_utf8(answer.body).expect("text"));
    assert!(text.contains("50 of 60 documents shown"), "{text}");
    assert!(text.contains("49.txt · ") && !text.contains("50.txt · "), "{text}");
}

#[tokio::test]
async fn jobs_are_listed_newest_first_and_by_status() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let mut made = vec![];
    for n in 0..3 {
        let answer = client.upload(&workspace, &[("a.txt", &prose(n, 60))]).await;
        made.push(answer.json()["job_id"].clone());
    }
    eventually("all jobs complete", async || {
        let done = client.read("/api/jobs?status=completed").await;
        (done["items"].as_array().map(Vec::len) == Some(3)).then_some(())
    })
    .await;
    let ids = |page: &Value| -> Vec<Value> {
        page["items"].as_array().expect("items").iter().map(|j| j["job_id"].clone()).collect()
    };
    made.reverse();
    let all = client.read("/api/jobs").await;
    assert_eq!(ids(&all), made);
    assert_eq!(client.read("/api/jobs?status=running").await["items"], json!([]));
    let first = client.read("/api/jobs?limit=2").await;
    let rest =
        client.read(&format!("/api/jobs?limit=2&after={}", first["next"].as_str().expect("more"))).await;
    assert_eq!([ids(&first), ids(&rest)].concat(), made);
    assert_eq!(rest["next"], Value::Null);
}
