//! Documents whose work hangs: said to be stalled, tried again, and in the end failed; while those that wait are neither.
//! And those whose worker is gone.

use crate::{
    common::{Client, Server, Setup, eventually, prose},
    embeddings::{Embeddings, choose},
};
use serde_json::{Value, json};
use server::adapters::SystemClock;
use services::ports::Clock;
use std::sync::atomic::Ordering;

struct Hung {
    embeddings: Embeddings,
    server: Server,
    ada: Client,
    workspace: String,
}

impl Hung {
    /// A workspace whose embedding server was there when it was chosen, and does not answer any more.
    async fn new() -> Self {
        Self::with(|setup| setup).await
    }

    async fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let embeddings = Embeddings::start().await;
        let server = change(Self::setup(&embeddings)).start().await;
        let ada = server.user("ada").await;
        let workspace = ada.first_workspace().await;
        choose(&ada, &workspace).await;
        embeddings.how.hangs.store(true, Ordering::SeqCst);
        Self { embeddings, server, ada, workspace }
    }

    fn setup(embeddings: &Embeddings) -> Setup {
        embeddings.told_to(Setup::new()).env("INSIGHTHUB_STALL_SECONDS", "5")
    }

    /// Kills the server and starts it again on the same data, with these arguments.
    async fn restart(&mut self, args: &[&'static str]) {
        self.server.kill();
        let setup = Self::setup(&self.embeddings).dir(&self.server.dir).args(args);
        self.server = setup.start().await;
        self.ada.base.clone_from(&self.server.base);
    }

    /// The one document, the job in the panel and the job in the tray say that word, and nothing says a percentage.
    async fn shows(&self, state: &str, word: &str) {
        let page = self.ada.get(&format!("/w/{}", self.workspace)).await;
        let page = String::from_utf8(page.body).expect("text");
        for place in ["class=\"doc-row", "aria-label=\"Latest job\"", "class=\"tray-job\""] {
            let tags = page.split('<').filter(|tag| tag.contains(place) && tag.contains("data-status"));
            let states: Vec<&str> =
                tags.filter_map(|tag| tag.split("data-status=\"").nth(1)?.split('"').next()).collect();
            assert_eq!(states, [state], "{place}: {page}");
        }
        assert!(page.contains(&format!(">{word}<")) && !page.contains("Processing · "), "{page}");
    }

    async fn document(&self, id: &str) -> Value {
        self.ada.read(&format!("/api/documents/{id}")).await
    }
}

fn reason(document: &Value) -> Option<&str> {
    warning(document, "stalled")
}

fn warning<'a>(document: &'a Value, code: &str) -> Option<&'a str> {
    let warnings = document["warnings"].as_array().expect("warnings");
    let found = warnings.iter().find(|w| w["code"] == code);
    found.map(|w| w["message"].as_str().expect("a sentence"))
}

#[tokio::test]
async fn a_document_whose_work_hangs_is_told_as_stalled_and_becomes_ready_when_it_goes_on() {
    let hung = Hung::new().await;
    let mut socket = hung.ada.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    let id = hung.ada.upload_one(&hung.workspace, "lantern.txt", b"The lantern keeper writes.").await;
    let told = socket.events_until(|e| e["event"] == "document_status" && reason(&e["data"]).is_some()).await;
    let stalled = &told.last().expect("an event")["data"];
    assert_eq!(stalled["status"], "processing", "no status of its own: clients of old know none");
    assert_eq!(
        reason(stalled),
        Some("There was no progress for 5 seconds while creating embeddings. Trying again (2 of 3).")
    );
    assert_eq!(stalled["message"].as_str(), reason(stalled));
    let job = stalled["job_id"].as_str().expect("a job");
    let job = hung.ada.read(&format!("/api/jobs/{job}")).await;
    assert_eq!(
        (&job["status"], &job["rate"], &job["eta_seconds"], &job["halted"]),
        (&json!("running"), &Value::Null, &Value::Null, &json!("stalled"))
    );
    assert!(paces(&job).iter().all(|pace| *pace == (None, None)), "{job}");
    hung.shows("stalled", "Stalled").await;
    let id_of_job = job["job_id"].as_str().expect("an id").to_owned();

    hung.embeddings.how.hangs.store(false, Ordering::SeqCst);
    let ready = hung.ada.settled(&id).await;
    assert_eq!(
        (&ready["status"], &ready["warnings"], &ready["error"]),
        (&json!("ready"), &json!([]), &Value::Null)
    );
    assert_eq!(ready["attempt"], 1, "a try again is no new attempt");
    let job = hung.ada.read(&format!("/api/jobs/{id_of_job}")).await;
    assert_eq!((&job["status"], &job["halted"]), (&json!("completed"), &Value::Null));
}

/// Rate and remaining seconds of each phase.
fn paces(job: &Value) -> Vec<(Option<f64>, Option<u64>)> {
    let phases = job["phase_details"].as_array().expect("phases");
    assert!(phases.iter().all(|p| p.get("rate").is_some() && p.get("eta_seconds").is_some()), "{job}");
    phases.iter().map(|p| (p["rate"].as_f64(), p["eta_seconds"].as_u64())).collect()
}

#[tokio::test]
async fn a_job_at_work_tells_the_pace_of_the_phase_that_runs_and_what_is_left_of_it() {
    // Nothing is to stall here, however long a busy machine cuts this text.
    let hung = Hung::with(|setup| setup.env("INSIGHTHUB_STALL_SECONDS", "600")).await;
    hung.embeddings.how.hangs.store(false, Ordering::SeqCst);
    hung.embeddings.how.takes.store(400, Ordering::SeqCst);
    let mut socket = hung.ada.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    let text = prose(1, 60_000);
    let id = hung.ada.upload_one(&hung.workspace, "long.txt", &text).await;
    let has_pace = |job: &Value| {
        let (rate, eta) = paces(job)[2];
        rate.is_some_and(|rate| rate > 0.0) && eta.is_some()
    };
    let told = socket
        .events_until(|e| e["event"] == "job_complete" || e["event"] == "job_update" && has_pace(&e["data"]))
        .await;
    let job = &told.last().expect("an event")["data"];
    assert_eq!((&job["status"], &job["phase"]), (&json!("running"), &json!("embedding")), "{job}");
    assert!(job["rate"].is_number() && job["eta_seconds"].is_u64(), "{job}");
    let moment = |value: &Value| serde_json::from_value::<domain::Timestamp>(value.clone()).expect("a time");
    let began = moment(&job["phase_details"][2]["started_at"]);
    let at = moment(&told.last().expect("an event")["at"]);
    assert!(at.seconds_since(began) >= 3, "not before the warm-up: {job}");
    for other in [0, 1, 3] {
        assert_eq!(paces(job)[other], (None, None), "it does not run: {job}");
    }
    let path = format!("/api/jobs/{}", job["job_id"].as_str().expect("an id"));
    assert!(has_pace(&hung.ada.read(&path).await), "REST tells the same");
    hung.embeddings.how.takes.store(0, Ordering::SeqCst);
    assert_eq!(hung.ada.settled(&id).await["status"], "ready");
    let ended = eventually("the job is over", async || {
        let job = hung.ada.read(&path).await;
        (job["status"] == "completed").then_some(job)
    })
    .await;
    assert!(paces(&ended).iter().all(|pace| *pace == (None, None)), "{ended}");
}

#[tokio::test]
async fn a_document_that_hangs_again_and_again_fails_and_one_that_waited_for_it_does_not() {
    let hung = Hung::new().await;
    let first = hung.ada.upload_one(&hung.workspace, "lantern.txt", b"The lantern keeper writes.").await;
    eventually("the first is at the model", async || {
        (hung.document(&first).await["step"] == "creating_embeddings").then_some(())
    })
    .await;
    let second = hung.ada.upload_one(&hung.workspace, "ferry.txt", b"The ferry leaves at noon.").await;
    let failed = eventually("one of them fails", async || {
        for id in [&first, &second] {
            let document = hung.document(id).await;
            if document["status"] == "failed" {
                return Some(document);
            }
        }
        None
    })
    .await;
    assert_eq!(failed["error_code"], "stalled", "{failed}");
    assert_eq!(
        failed["error"],
        "There was no progress for 5 seconds while creating embeddings, 3 times in a row."
    );
    assert_eq!(failed["warnings"], json!([]));
    hung.embeddings.how.hangs.store(false, Ordering::SeqCst);
    let other = if failed["id"] == json!(first) { &second } else { &first };
    let other = hung.ada.settled(other).await;
    assert_eq!(other["status"], "ready", "{other}");
}

#[tokio::test]
async fn a_document_whose_worker_is_gone_is_told_as_interrupted_and_goes_on_with_the_next_worker() {
    let mut hung = Hung::new().await;
    let id = hung.ada.upload_one(&hung.workspace, "lantern.txt", b"The lantern keeper writes.").await;
    eventually("it is at the model", async || {
        (hung.document(&id).await["step"] == "creating_embeddings").then_some(())
    })
    .await;
    // A server that shows everything and works on nothing.
    hung.restart(&["serve", "--role", "web"]).await;
    let mut socket = hung.ada.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    let is_told = |e: &Value| e["event"] == "document_status" && warning(&e["data"], "interrupted").is_some();
    let told = socket.events_until(is_told).await;
    let told = &told.last().expect("an event")["data"];
    assert_eq!(told["status"], "processing", "no status of its own: clients of old know none");
    assert_eq!(
        warning(told, "interrupted"),
        Some(
            "The work was interrupted, and nobody is at it just now. It goes on by itself, from where it stopped, as soon \
             as a worker is free."
        )
    );
    let job = told["job_id"].as_str().expect("a job");
    let job = hung.ada.read(&format!("/api/jobs/{job}")).await;
    assert_eq!((&job["rate"], &job["eta_seconds"]), (&Value::Null, &Value::Null));
    assert_eq!((&job["status"], &job["halted"]), (&json!("running"), &json!("interrupted")));
    hung.shows("interrupted", "Interrupted").await;

    hung.embeddings.how.hangs.store(false, Ordering::SeqCst);
    hung.restart(&["serve"]).await;
    let ready = hung.ada.settled(&id).await;
    assert_eq!((&ready["status"], &ready["warnings"]), (&json!("ready"), &json!([])));
    assert_eq!(ready["attempt"], 1, "it was never given up");
}

/// What the answer to a claim looks like in the database that was lost on its way: the worker has the document by its row,
/// and does not know it. As long as that worker had other work, it kept the lease of such a document alive.
#[tokio::test]
async fn a_document_of_whose_claim_its_worker_never_heard_is_taken_when_the_lease_is_over() {
    let hung = Hung::with(|setup| setup.env("INSIGHTHUB_STALL_SECONDS", "600")).await;
    let quick = hung.ada.post("/api/workspaces", json!({ "name": "Quick" })).await.json();
    let quick = quick["id"].as_str().expect("an id");
    let path = format!("/api/workspaces/{quick}/rag-config");
    let saved =
        hung.ada.send(hung.ada.request("PUT", &path).json(&json!({ "retriever_type": "keyword" }))).await;
    assert_eq!(saved.status, 200, "{saved:?}");
    // All hands are full, and one stays so.
    let mut busy = vec![];
    for n in 0..4 {
        busy.push(hung.ada.upload_one(&hung.workspace, &format!("{n}.txt"), b"The keeper writes.").await);
    }
    let mut database = hung.server.dir.connect().await;
    eventually("all hands are full", async || {
        let sql = "SELECT COUNT(*) FROM tasks WHERE status = 'running'";
        let held: i64 = sqlx::query_scalar(sql).fetch_one(&mut database).await.expect("a count");
        (held == 4).then_some(())
    })
    .await;
    let lost = hung.ada.upload_one(quick, "lost.txt", b"The answer to this claim was lost.").await;
    let over = SystemClock.now().plus_micros(4_000_000).micros();
    let claimed = sqlx::query(
        "UPDATE tasks SET status = 'running', fence = fence + 1, lease_until = $2, \
         owner = (SELECT owner FROM tasks WHERE document_id = $3) WHERE document_id = $1 AND status = 'pending'",
    )
    .bind(&lost)
    .bind(over)
    .bind(&busy[0])
    .execute(&mut database)
    .await
    .expect("written");
    assert_eq!(claimed.rows_affected(), 1);
    for id in &busy[1..] {
        let deleted = hung.ada.delete(&format!("/api/documents/{id}")).await;
        assert_eq!(deleted.status, 202, "{deleted:?}");
    }
    assert_eq!(hung.ada.settled(&lost).await["status"], "ready");
    assert_eq!(
        hung.document(&busy[0]).await["status"],
        "processing",
        "its worker had that in hand all the time"
    );
}
