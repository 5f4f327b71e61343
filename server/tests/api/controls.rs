//! Pausing, resuming, cancelling and retrying, while real work goes on.

use crate::{
    common::{Answer, Client, Server, Setup, eventually, prose, within},
    embeddings::{Embeddings, choose},
};
use serde_json::{Value, json};
use std::{sync::atomic::Ordering, time::Duration};

/// Of the time after which a model that does not answer is given up, half.
const WHILE_THE_MODEL_HANGS: Duration = Duration::from_secs(60);

async fn command(client: &Client, path: &str, body: Value) -> Answer {
    client.send(client.request("POST", path).json(&body)).await
}

async fn job(client: &Client, id: &str) -> Value {
    client.read(&format!("/api/jobs/{id}")).await
}

/// Gives a command that is taken; answers the job.
async fn control(client: &Client, job: &str, what: &str, body: Value) -> Value {
    let answer = command(client, &format!("/api/jobs/{job}/{what}"), body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()
}

async fn turns(client: &Client, id: &str, status: &str) -> Value {
    eventually(&format!("the job turns {status}"), async || {
        let now = job(client, id).await;
        assert!(
            now["status"] == status
                || !matches!(now["status"].as_str(), Some("completed" | "failed" | "cancelled")),
            "{now}"
        );
        (now["status"] == status).then_some(now)
    })
    .await
}

fn embedded(job: &Value) -> u64 {
    job["metrics"]["chunks_embedded"].as_u64().expect("a number")
}

async fn upload(client: &Client, workspace: &str, files: &[(&str, &[u8])]) -> (String, Vec<String>) {
    let answer = client.upload(workspace, files).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let answer = answer.json();
    let ids = answer["documents"].as_array().expect("documents").iter();
    let ids = ids.map(|d| d["document_id"].as_str().expect("an id").to_owned()).collect();
    (answer["job_id"].as_str().expect("an id").to_owned(), ids)
}

/// A job whose real embedding has begun and will take a while. A workspace does not embed twice what it knows word for
/// word, so each of its jobs needs another `seed`.
async fn at_work(client: &Client, seed: usize) -> (String, Vec<String>) {
    let workspace = client.first_workspace().await;
    let (long, short) = (prose(seed, 30_000), prose(seed + 1, 400));
    let (id, documents) = upload(client, &workspace, &[("short.txt", &short), ("long.txt", &long)]).await;
    eventually("the long one is being embedded", async || {
        let short = client.read(&format!("/api/documents/{}", documents[0])).await;
        (short["status"] == "ready" && embedded(&job(client, &id).await) > 20).then_some(())
    })
    .await;
    (id, documents)
}

#[tokio::test]
async fn a_running_job_pauses_in_the_middle_stays_so_over_a_restart_and_goes_on_where_it_was() {
    let mut server = Server::start().await;
    let mut ada = server.user("ada").await;
    let (id, documents) = at_work(&ada, 1).await;
    let asked = control(&ada, &id, "pause", json!({})).await;
    assert!(
        asked["requested"] == "pause" && asked["message"] == "Pausing…" || asked["status"] == "paused",
        "{asked}"
    );
    // A double click is one action.
    control(&ada, &id, "pause", json!({})).await;
    // How soon that is, `cargo xtask bench r8` measures.
    let paused = turns(&ada, &id, "paused").await;
    assert!(
        Some(embedded(&paused)) < paused["metrics"]["chunks_created"].as_u64(),
        "in the middle: {paused}"
    );
    assert_eq!((&paused["requested"], &paused["eta_seconds"]), (&Value::Null, &Value::Null));
    assert_eq!(paused["phase_details"][2]["status"], "paused");
    let answer = command(&ada, &format!("/api/jobs/{id}/retry"), json!({})).await;
    assert_eq!(answer.problem(409, "illegal_move")["allowed"], json!(["running", "cancelled"]));

    server.terminate();
    server.ended().await;
    let dir = server.dir.clone();
    server = Setup::new().dir(&dir).start().await;
    ada.base.clone_from(&server.base);
    let other = ada.upload_one(&ada.first_workspace().await, "other.txt", &prose(3, 60)).await;
    ada.settled(&other).await;
    assert_eq!(job(&ada, &id).await, paused, "another job was done meanwhile, and this one has not moved");

    let resumed = control(&ada, &id, "resume", json!({})).await;
    assert_eq!((&resumed["status"], &resumed["phase"]), (&json!("running"), &json!("embedding")));
    assert_eq!(embedded(&resumed), embedded(&paused));
    let done = turns(&ada, &id, "completed").await;
    assert_eq!(
        done["metrics"]["chunks_embedded"], done["metrics"]["chunks_created"],
        "nothing twice: {done}"
    );
    assert_eq!(done["attempt"], 1);
    for document in &documents {
        assert_eq!(ada.read(&format!("/api/documents/{document}")).await["status"], "ready");
    }
    // It ended well: there is nothing to retry either, also not from the beginning.
    for (what, body) in [("pause", json!({})), ("retry", json!({})), ("retry", json!({ "scope": "all" }))] {
        let answer = command(&ada, &format!("/api/jobs/{id}/{what}"), body).await;
        assert_eq!(answer.problem(409, "illegal_move")["allowed"], json!([]));
    }
}

#[tokio::test]
async fn a_kill_while_a_pause_is_requested_leaves_the_job_paused() {
    let mut server = Server::start().await;
    let mut ada = server.user("ada").await;
    let (id, _) = at_work(&ada, 1).await;
    control(&ada, &id, "pause", json!({})).await;
    server.kill();
    let dir = server.dir.clone();
    server = Setup::new().dir(&dir).start().await;
    ada.base.clone_from(&server.base);
    let paused = turns(&ada, &id, "paused").await;
    assert_eq!(paused["requested"], Value::Null);
    let cancelled = control(&ada, &id, "cancel", json!({})).await;
    assert_eq!(cancelled["status"], "cancelled", "what nobody works on changes at once");
}

#[tokio::test]
async fn a_cancel_keeps_what_is_ready_or_takes_it_back_and_a_retry_does_the_rest() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    for keep in [true, false] {
        let (id, documents) = at_work(&ada, if keep { 1 } else { 3 }).await;
        control(&ada, &id, "cancel", json!({ "keep_results": keep })).await;
        let cancelled = turns(&ada, &id, "cancelled").await;
        let [short, long] = [&documents[0], &documents[1]];
        let long_now = ada.read(&format!("/api/documents/{long}")).await;
        assert_eq!((&long_now["status"], &long_now["error_code"]), (&json!("failed"), &json!("cancelled")));
        let short_now = ada.read(&format!("/api/documents/{short}")).await;
        assert_eq!(short_now["status"], if keep { "ready" } else { "failed" });
        assert_eq!(short_now["progress"], json!(100.0), "no bar falls within an attempt");
        if !keep {
            eventually("nothing is left", async || {
                let mut left = 0;
                for document in &documents {
                    let chunks = ada.read(&format!("/api/documents/{document}/chunks")).await;
                    left += chunks["items"].as_array().expect("items").len();
                }
                (left == 0).then_some(())
            })
            .await;
        }
        assert_eq!(embedded(&job(&ada, &id).await), embedded(&cancelled), "it stands");
        if keep {
            let retried = control(&ada, &id, "retry", json!({ "scope": "failed", "attempt": 1 })).await;
            // It is read back once it is committed, and a worker may have begun by then.
            let (attempt, status) = (&retried["attempt"], retried["status"].as_str());
            assert!(*attempt == 2 && matches!(status, Some("pending" | "running")), "{retried}");
            assert_eq!(retried["phase_details"][0]["items_reused"], 1, "{retried}");
            assert_eq!(control(&ada, &id, "retry", json!({ "attempt": 1 })).await["attempt"], 2);
            let done = turns(&ada, &id, "completed").await;
            assert_eq!(done["metrics"]["documents_done"], 2);
            assert_eq!(done["metrics"]["chunks_embedded"], done["metrics"]["chunks_created"]);
            let attempts = ada.read(&format!("/api/jobs/{id}/attempts")).await;
            assert_eq!(
                (&attempts[0]["status"], &attempts[1]["status"]),
                (&json!("cancelled"), &json!("completed"))
            );
            assert_eq!(attempts[0]["errors"][0]["error_code"], "cancelled");
        }
    }
}

/// A workspace whose documents come as far as their embedding, and stay there for as long as the model hangs.
async fn at_a_model_that_hangs() -> (Embeddings, Server, Client, String) {
    let embeddings = Embeddings::start().await;
    let server = embeddings.told_to(Setup::new()).start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    choose(&ada, &workspace).await;
    embeddings.how.hangs.store(true, Ordering::SeqCst);
    (embeddings, server, ada, workspace)
}

#[tokio::test]
async fn a_pause_ends_a_unit_that_hangs_and_one_document_can_be_controlled_alone() {
    let (embeddings, _server, ada, workspace) = at_a_model_that_hangs().await;
    let files: [(&str, &[u8]); 2] = [("a.txt", b"A lantern."), ("b.txt", b"A bridge.")];
    let (id, documents) = upload(&ada, &workspace, &files).await;
    eventually("both are at the model", async || {
        for document in &documents {
            if ada.read(&format!("/api/documents/{document}")).await["step"] != "creating_embeddings" {
                return None;
            }
        }
        Some(())
    })
    .await;
    let [a, b] = [&documents[0], &documents[1]];
    let answer = command(&ada, &format!("/api/documents/{a}/pause"), json!({})).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let is_paused =
        |d: &Value| d["warnings"].as_array().expect("warnings").iter().any(|w| w["code"] == "paused");
    within(WHILE_THE_MODEL_HANGS, "the document is paused", async || {
        is_paused(&ada.read(&format!("/api/documents/{a}")).await).then_some(())
    })
    .await;
    assert_eq!(job(&ada, &id).await["status"], "running", "the other goes on");
    let skipped = command(&ada, &format!("/api/documents/{b}/skip-embedding"), json!({})).await;
    assert_eq!(skipped.status, 202, "{skipped:?}");
    let ready = ada.settled(b).await;
    assert_eq!(
        (&ready["status"], &ready["warnings"][0]["code"]),
        (&json!("ready"), &json!("embedding_skipped"))
    );
    turns(&ada, &id, "paused").await;
    embeddings.how.hangs.store(false, Ordering::SeqCst);
    // What has no vector is found by its words, whichever way is chosen, and the answer says so.
    for retriever in ["vector", "hybrid", "graph"] {
        let path = format!("/api/workspaces/{workspace}/search?q=bridge&retriever_type={retriever}");
        let found = ada.read(&path).await;
        assert_eq!(found["items"][0]["document"]["id"], **b, "{retriever}: {found}");
        let told =
            found["warnings"].as_array().expect("warnings").iter().find(|w| w["code"] == "without_vectors");
        let sentence = "1 passage has no vector, and only words find what stands there.";
        assert_eq!(told.map(|w| &w["message"]), Some(&json!(sentence)), "{retriever}: {found}");
    }
    let answer = command(&ada, &format!("/api/documents/{a}/resume"), json!({})).await;
    assert_eq!(answer.json()["status"], "running");
    let done = turns(&ada, &id, "completed").await;
    assert_eq!(done["message"], "2 documents ready");
    let hits = ada.read(&format!("/api/workspaces/{workspace}/search?q=lantern")).await;
    assert_eq!(hits["items"][0]["document"]["id"], **a);
}

/// Of a job's failures, those of one phase alone, and the embedding of a whole job.
#[tokio::test]
async fn what_failed_in_one_phase_is_retried_alone_and_a_job_does_without_its_embedding() {
    let (_embeddings, _server, ada, workspace) = at_a_model_that_hangs().await;
    let files: [(&str, &[u8]); 2] = [("a.txt", b"A lantern."), ("broken.pdf", b"%PDF-1.4 broken")];
    let (id, documents) = upload(&ada, &workspace, &files).await;
    let [a, broken] = [&documents[0], &documents[1]];
    eventually("one is at the model, and one cannot be read", async || {
        let at_model = ada.read(&format!("/api/documents/{a}")).await["step"] == "creating_embeddings";
        let failed = ada.read(&format!("/api/documents/{broken}")).await["status"] == "failed";
        (at_model && failed).then_some(())
    })
    .await;
    control(&ada, &id, "cancel", json!({})).await;
    turns(&ada, &id, "cancelled").await;
    // Nothing of it got as far as indexing.
    let other = json!({ "scope": "phase", "phase": "indexing" });
    let nothing = command(&ada, &format!("/api/jobs/{id}/retry"), other).await;
    assert_eq!(nothing.problem(409, "nothing_to_retry")["allowed"], json!(["pending"]));
    let retried = control(&ada, &id, "retry", json!({ "scope": "phase", "phase": "embedding" })).await;
    assert_eq!(retried["attempt"], 2);
    eventually("it is at the model again", async || {
        let now = ada.read(&format!("/api/documents/{a}")).await;
        (now["step"] == "creating_embeddings" && now["status"] == "processing").then_some(())
    })
    .await;
    let left = ada.read(&format!("/api/documents/{broken}")).await;
    assert_eq!(left["status"], "failed", "what failed in another phase is left alone: {left}");
    let skipped = control(&ada, &id, "skip-embedding", json!({})).await;
    assert_eq!(skipped["phase_details"][2]["status"], "skipped");
    let done = turns(&ada, &id, "completed").await;
    assert_eq!((&done["phase_details"][2]["status"], &done["attempt"]), (&json!("skipped"), &json!(2)));
    let attempts = ada.read(&format!("/api/jobs/{id}/attempts")).await;
    let again = attempts[1]["errors"].as_array().expect("errors").iter();
    assert!(again.clone().all(|e| e["document_id"] != **a), "{attempts}");
    let found = ada.read(&format!("/api/workspaces/{workspace}/search?q=lantern")).await;
    assert_eq!(found["items"][0]["document"]["id"], **a, "{found}");
}

/// A file that cannot be read fails at once, so an attempt is over before its answer could be lost and asked for again.
#[tokio::test]
async fn a_retry_under_the_same_key_is_one_attempt_however_soon_that_ends() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let (id, documents) = upload(&ada, &workspace, &[("bad.pdf", b"%PDF-1.4 broken")]).await;
    assert_eq!(turns(&ada, &id, "failed").await["phase"], "loading");
    let paths = [format!("/api/jobs/{id}/retry"), format!("/api/documents/{}/retry", documents[0])];
    for (path, attempt) in paths.iter().zip(2..) {
        let retry = async |body: Value| {
            ada.send(ada.request("POST", path).header("idempotency-key", "k").json(&body)).await
        };
        let first = retry(json!({})).await;
        assert_eq!((first.status, &first.json()["attempt"]), (202, &json!(attempt)), "{first:?}");
        turns(&ada, &id, "failed").await;
        let again = retry(json!({})).await;
        assert_eq!((again.status, &again.json()["attempt"]), (202, &json!(attempt)), "{again:?}");
    }
    let other = ada.request("POST", &paths[0]).header("idempotency-key", "k");
    ada.send(other.json(&json!({ "scope": "all" }))).await.problem(422, "idempotency_key_reused");
    assert_eq!(job(&ada, &id).await["attempt"], 3);
}

/// Without any other phase there is no job, so its cancel is the job's, with what is said of the results.
#[tokio::test]
async fn a_cancel_of_a_phase_that_no_job_does_without_takes_back_what_it_is_told_to() {
    let (_embeddings, _server, ada, workspace) = at_a_model_that_hangs().await;
    let files: [(&str, &[u8]); 2] = [("a.txt", b"A lantern."), ("b.txt", b"A bridge.")];
    let (id, documents) = upload(&ada, &workspace, &files).await;
    let a = &documents[0];
    let skipped = command(&ada, &format!("/api/documents/{a}/skip-embedding"), json!({})).await;
    assert_eq!(skipped.status, 202, "{skipped:?}");
    assert_eq!(ada.settled(a).await["status"], "ready");
    control(&ada, &id, "cancel", json!({ "phase": "indexing", "keep_results": false })).await;
    turns(&ada, &id, "cancelled").await;
    let gone = ada.read(&format!("/api/documents/{a}")).await;
    assert_eq!((&gone["status"], &gone["error_code"]), (&json!("failed"), &json!("cancelled")), "{gone}");
    assert_eq!(gone["chunk_count"], 0, "{gone}");
}

#[tokio::test]
async fn only_what_failed_is_retried() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let files: [(&str, &[u8]); 2] = [("good.txt", b"A lantern."), ("bad.pdf", b"%PDF-1.4 broken")];
    let (id, documents) = upload(&ada, &workspace, &files).await;
    let first = turns(&ada, &id, "completed").await;
    assert_eq!(first["message"], "1 of 2 documents ready, 1 failed");
    let good = ada.read(&format!("/api/documents/{}", documents[0])).await;
    let wrong = command(&ada, &format!("/api/jobs/{id}/retry"), json!({ "scope": "some" })).await;
    wrong.problem(422, "invalid");
    let answer = command(&ada, &format!("/api/documents/{}/retry", documents[1]), json!({})).await;
    assert_eq!((answer.status, answer.json()["attempt"].clone()), (202, json!(2)));
    let second = turns(&ada, &id, "completed").await;
    assert_eq!((&second["attempt"], &second["metrics"]["documents_failed"]), (&json!(2), &json!(1)));
    assert_eq!(
        ada.read(&format!("/api/documents/{}", documents[0])).await,
        good,
        "what is ready is left alone"
    );
    let attempts = ada.read(&format!("/api/jobs/{id}/attempts")).await;
    let told = |n: usize| attempts[n]["errors"][0]["document_id"].clone();
    assert_eq!((told(0), told(1)), (json!(documents[1]), json!(documents[1])));
    let stranger = server.user("eve").await;
    stranger.get(&format!("/api/jobs/{id}/attempts")).await.problem(404, "not_found");
    let path = format!("/api/jobs/{id}/retry");
    command(&stranger, &path, json!({})).await.problem(404, "not_found");
}
