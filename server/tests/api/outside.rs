//! Workers of somebody's own: they report how far documents of an external workspace are, by the tables that hold for
//! the built-in workers.

use crate::common::{Client, Server, Setup, eventually, messages, prose};
use serde_json::{Value, json};

/// An account with an external workspace and a worker that may report.
struct Outside {
    server: Server,
    ada: Client,
    worker: Client,
    workspace: String,
}

impl Outside {
    async fn new() -> Self {
        Self::with(Setup::new()).await
    }

    async fn with(setup: Setup) -> Self {
        let server = setup.start().await;
        let ada = server.user("ada").await;
        let made = ada.post("/api/workspaces", json!({ "name": "Scans", "processor": "external" })).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(made.json()["processor"], "external");
        let workspace = made.json()["id"].as_str().expect("an id").to_owned();
        let key = ada.new_key("OCR box", &["status:write"]).await;
        let worker = ada.program(&key);
        Self { server, ada, worker, workspace }
    }

    async fn upload(&self, names: &[&str]) -> (String, Vec<String>) {
        let bytes = prose(1, 100);
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, &bytes[..])).collect();
        let answer = self.ada.upload(&self.workspace, &files).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let answer = answer.json();
        let ids = answer["documents"].as_array().expect("documents").iter();
        let ids = ids.map(|d| d["document_id"].as_str().expect("an id").to_owned()).collect();
        (answer["job_id"].as_str().expect("an id").to_owned(), ids)
    }

    async fn report(&self, document: &str, body: Value) -> Value {
        let answer = self.worker.post(&format!("/api/status/documents/{document}"), body).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    async fn refused(&self, document: &str, body: Value, status: u16, code: &str) -> Value {
        self.worker.post(&format!("/api/status/documents/{document}"), body).await.problem(status, code)
    }

    async fn job(&self, id: &str) -> Value {
        self.ada.read(&format!("/api/jobs/{id}")).await
    }

    async fn head(&self) -> u64 {
        self.ada.read("/api/status/changes").await["seq"].as_u64().expect("a number")
    }
}

#[tokio::test]
async fn an_outside_worker_takes_a_document_from_its_first_step_to_its_end() {
    let o = Outside::new().await;
    let (job, ids) = o.upload(&["a.txt", "b.txt"]).await;
    let document = &ids[0];
    let mut socket = o.ada.socket().await;
    socket.hello(Value::Null, Value::Null).await;

    let begun = o.report(document, json!({ "status": "processing", "step": "extracting_text" })).await;
    assert_eq!(
        (&begun["status"], &begun["step"], &begun["progress"]),
        (&json!("processing"), &json!("extracting_text"), &json!(25.0))
    );
    let running = o.job(&job).await;
    assert_eq!((&running["status"], &running["phase"]), (&json!("running"), &json!("loading")));
    assert!(running["started_at"].is_string());
    for path in [format!("/api/jobs/{job}"), format!("/api/documents/{document}")] {
        // The worker would go on with it.
        o.ada.post(&format!("{path}/skip-embedding"), json!({})).await.problem(409, "external_workspace");
    }
    assert_eq!(running["queue_position"], Value::Null, "it waits in no queue of the built-in workers");

    let more = json!({
        "status": "processing", "step": "reading_handwriting", "message": "Reading page 3 of 12…",
        "progress": 60, "chunk_count": 7, "metadata": { "engine": "quill" },
    });
    let now = o.report(document, more.clone()).await;
    assert_eq!((&now["progress"], &now["chunk_count"]), (&json!(60.0), &json!(7)));
    assert_eq!(now["metadata"]["engine"], "quill");
    assert_eq!(now["message"], "Reading page 3 of 12…");
    // The last word about its job, of which that document is a half.
    let half = |e: &Value| e["event"] == "job_update" && e["data"]["progress"] == json!(30.0);
    let mut told = socket.events_until(half).await;
    let head = o.head().await;
    assert_eq!(o.report(document, more).await, now, "said twice is said once");
    let fallen = o.report(document, json!({ "status": "processing", "progress": 10 })).await;
    assert_eq!(fallen, now, "progress never falls");
    assert_eq!(o.head().await, head, "and nothing was told");

    let poll = o.ada.read(&format!("/v1/documents/{document}/status")).await;
    assert_eq!(
        (&poll["processing_status"], &poll["status_metadata"]["chunks_created"]),
        (&json!("processing"), &json!(7))
    );

    let done = json!({ "status": "ready", "chunk_count": 12, "metadata": { "pages": 12 } });
    let ready = o.report(document, done.clone()).await;
    assert_eq!(
        (&ready["status"], &ready["progress"], &ready["chunk_count"]),
        (&json!("ready"), &json!(100.0), &json!(12))
    );
    assert_eq!((&ready["metadata"]["engine"], &ready["metadata"]["pages"]), (&json!("quill"), &json!(12)));
    assert_eq!(o.report(document, done).await, ready);
    let half = o.job(&job).await;
    assert_eq!((&half["status"], &half["metrics"]["documents_done"]), (&json!("running"), &json!(1)));

    let failed = o
        .report(
            &ids[1],
            json!({ "status": "failed", "error": "Page 2 is missing.", "error_code": "no_page" }),
        )
        .await;
    assert_eq!(
        (&failed["status"], &failed["error"], &failed["error_code"]),
        (&json!("failed"), &json!("Page 2 is missing."), &json!("no_page"))
    );
    let ended = o.job(&job).await;
    assert_eq!((&ended["status"], &ended["progress"]), (&json!("completed"), &json!(100.0)));
    let metrics = &ended["metrics"];
    assert_eq!(
        (&metrics["documents_done"], &metrics["documents_failed"], &metrics["chunks_created"]),
        (&json!(1), &json!(1), &json!(12))
    );
    for phase in ended["phase_details"].as_array().expect("phases") {
        assert_eq!(phase["status"], "completed", "{ended}");
        assert_eq!(phase["items_processed"], phase["items_total"], "{ended}");
    }
    let counts = o.ada.read(&format!("/api/workspaces/{}", o.workspace)).await["counts"].clone();
    assert_eq!((&counts["ready"], &counts["failed"], &counts["chunks"]), (&json!(1), &json!(1), &json!(12)));

    told.extend(socket.events_until(|e| e["event"] == "job_complete").await);
    let steps: Vec<String> = told
        .iter()
        .filter(|e| e["event"] == "file_progress" && e["data"]["document_id"] == **document)
        .map(|e| {
            format!(
                "{} {}",
                e["data"]["step"].as_str().expect("a step"),
                e["data"]["status"].as_str().expect("a status")
            )
        })
        .collect();
    assert_eq!(
        steps,
        [
            "extracting_text in_progress",
            "extracting_text complete",
            "reading_handwriting in_progress",
            "reading_handwriting complete",
            "finished complete"
        ]
    );
    let friendly = told.iter().find(|e| e["data"]["step"] == "extracting_text").expect("the step");
    assert_eq!(friendly["data"]["message"], "Reading the text of a.txt…");

    let history = o.ada.read(&format!("/api/documents/{document}/history?transitions=true&limit=200")).await;
    let entries = history["items"].as_array().expect("items");
    assert_eq!(entries[0]["actor"]["kind"], "user");
    for entry in &entries[1..] {
        assert_eq!(
            (&entry["actor"]["kind"], &entry["actor"]["name"], &entry["actor"]["key"]),
            (&json!("external_worker"), &json!("ada"), &json!("OCR box")),
            "{entry}"
        );
    }
    let last = entries.last().expect("an entry");
    assert_eq!((&last["from"], &last["to"]), (&json!("processing"), &json!("ready")));
}

#[tokio::test]
async fn a_move_that_the_table_does_not_have_is_refused_with_what_would_be_possible() {
    let o = Outside::new().await;
    let (job, ids) = o.upload(&["a.txt", "b.txt"]).await;
    let problem = o.refused(&ids[0], json!({ "status": "ready" }), 409, "illegal_move").await;
    assert_eq!(problem["allowed"], json!(["processing", "failed"]));
    let before = o.ada.read(&format!("/api/documents/{}", ids[0])).await;
    assert_eq!(before["status"], "pending", "nothing was changed");
    assert_eq!(o.job(&job).await["status"], "pending");

    o.report(&ids[0], json!({ "status": "processing", "step": "validating" })).await;
    let back = o.report(&ids[0], json!({ "status": "pending" })).await;
    assert_eq!((&back["status"], &back["step"]), (&json!("pending"), &Value::Null));
    o.report(&ids[0], json!({ "status": "processing" })).await;
    o.report(&ids[0], json!({ "status": "ready" })).await;
    for status in ["processing", "failed", "pending"] {
        let problem = o.refused(&ids[0], json!({ "status": status }), 409, "illegal_move").await;
        assert_eq!(problem["allowed"], json!([]), "its run is over");
    }
    let ready = o.ada.read(&format!("/api/documents/{}", ids[0])).await;
    assert_eq!((&ready["status"], &ready["error"]), (&json!("ready"), &Value::Null));
    o.report(&ids[1], json!({ "status": "failed" })).await;
    let failed = o.report(&ids[1], json!({ "status": "failed", "error": "another reason" })).await;
    assert_eq!(failed["error_code"], "worker_failed");
    assert_ne!(failed["error"], "another reason", "the first word about an end holds");
    assert_eq!(o.job(&job).await["metrics"]["documents_failed"], 1);
}

#[tokio::test]
async fn a_report_that_says_nonsense_is_refused_at_its_field() {
    let o = Outside::new().await;
    let (_, ids) = o.upload(&["a.txt"]).await;
    for (body, field) in [
        (json!({}), "status"),
        (json!({ "status": "done" }), "status"),
        (json!({ "status": "processing", "progress": 101 }), "progress"),
        (json!({ "status": "processing", "progress": "half" }), "progress"),
        (json!({ "status": "processing", "step": "two words" }), "step"),
        (json!({ "status": "processing", "chunk_count": -1 }), "chunk_count"),
        (json!({ "status": "processing", "metadata": [1] }), "metadata"),
        (json!({ "status": "failed", "error_code": "no spaces" }), "error_code"),
        (json!({ "status": "failed", "error": "x".repeat(1_001) }), "error"),
    ] {
        let problem = o.refused(&ids[0], body.clone(), 422, "invalid").await;
        assert!(!messages(&problem, field).is_empty(), "{body}: {problem}");
    }
    let unknown = json!({ "status": "processing", "mood": "good" });
    o.report(&ids[0], unknown).await;
    let path = format!("/api/status/workspaces/{}", o.workspace);
    for (body, field) in [
        (json!({ "message": "x" }), "status"),
        (json!({ "status": "fine" }), "status"),
        (json!({ "status": "error", "message": "x".repeat(1_001) }), "message"),
        (json!({ "status": "error", "metadata": "text" }), "metadata"),
    ] {
        let problem = o.worker.post(&path, body.clone()).await.problem(422, "invalid");
        assert!(!messages(&problem, field).is_empty(), "{body}: {problem}");
    }
}

#[tokio::test]
async fn the_built_in_workers_leave_an_external_workspace_alone_and_take_it_when_it_is_theirs_again() {
    let o = Outside::new().await;
    let (outside_job, ids) = o.upload(&["a.txt", "b.txt"]).await;
    // Work of the built-in workers goes past it.
    let mine = o.ada.first_workspace().await;
    let built_in = o.ada.upload_one(&mine, "c.txt", &prose(2, 100)).await;
    assert_eq!(o.ada.settled(&built_in).await["status"], "ready");
    let job = o.job(&outside_job).await;
    assert_eq!((&job["status"], &job["queue_position"]), (&json!("pending"), &Value::Null));
    o.report(&ids[0], json!({ "status": "processing", "step": "extracting_text", "progress": 40 })).await;

    // A report about a document of a workspace that is not external is refused.
    o.refused(&built_in, json!({ "status": "processing" }), 409, "not_external").await;
    let path = format!("/api/workspaces/{}", o.workspace);
    let changed = o.ada.patch(&path, json!({ "processor": "builtin" })).await;
    assert_eq!((changed.status, &changed.json()["processor"]), (200, &json!("builtin")));
    for id in &ids {
        let document = o.ada.settled(id).await;
        assert_eq!((&document["status"], &document["attempt"]), (&json!("ready"), &json!(1)), "{document}");
    }
    eventually("the job completes", async || {
        (o.job(&outside_job).await["status"] == "completed").then_some(())
    })
    .await;
    let job = o.job(&outside_job).await;
    assert_eq!(job["metrics"]["documents_done"], 2);
    for phase in job["phase_details"].as_array().expect("phases") {
        assert_eq!(phase["items_processed"], phase["items_total"], "{job}");
    }
    o.refused(&ids[0], json!({ "status": "failed" }), 409, "not_external").await;
    o.ada.patch(&path, json!({ "processor": "nobody" })).await.problem(422, "invalid");
}

#[tokio::test]
async fn what_an_outside_worker_made_ready_is_offered_for_indexing_here() {
    let o = Outside::new().await;
    let (_, ids) = o.upload(&["a.txt"]).await;
    o.report(&ids[0], json!({ "status": "processing" })).await;
    o.report(&ids[0], json!({ "status": "ready", "chunk_count": 12 })).await;
    let path = format!("/api/workspaces/{}", o.workspace);
    let search = format!("{path}/search?q=the");
    let document = async || o.ada.read(&format!("/api/documents/{}", ids[0])).await;
    assert_eq!(document().await["stale"], false);
    let turned = o.ada.patch(&path, json!({ "processor": "builtin" })).await.json();
    assert_eq!(turned["counts"]["stale"], 1, "{turned}");
    assert_eq!(document().await["stale"], true, "nothing of it lies here");
    assert_eq!(o.ada.read(&search).await["items"], json!([]));

    let estimate = o.ada.read(&format!("{path}/reindex/estimate")).await;
    assert_eq!(estimate["documents"], 1, "{estimate}");
    let reindex = o.ada.send(o.ada.request("POST", &format!("{path}/reindex"))).await;
    assert_eq!(reindex.status, 202, "{reindex:?}");
    eventually("it is indexed here", async || {
        let now = document().await;
        assert_ne!(now["status"], "failed", "{now}");
        (now["status"] == "ready" && now["stale"] == false).then_some(())
    })
    .await;
    assert!(!o.ada.read(&search).await["items"].as_array().expect("items").is_empty());
}

#[tokio::test]
async fn what_waits_goes_to_the_outside_worker_when_the_processor_is_changed() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let path = format!("/api/workspaces/{workspace}");
    assert_eq!(ada.patch(&path, json!({ "processor": "external" })).await.status, 200);
    let document = ada.upload_one(&workspace, "a.txt", &prose(1, 50)).await;
    // Nobody but a worker with the scope may report; a person may as well.
    let reader = ada.program(&ada.new_key("reader", &["read", "write"]).await);
    let report = format!("/api/status/documents/{document}");
    let body = json!({ "status": "processing" });
    reader.post(&report, body.clone()).await.problem(403, "missing_scope");
    server.user("bob").await.post(&report, body.clone()).await.problem(404, "not_found");
    assert_eq!(ada.post(&report, body).await.json()["status"], "processing");
    let reindex = ada.send(ada.request("POST", &format!("{path}/reindex"))).await;
    reindex.problem(409, "external_workspace");
}

#[tokio::test]
async fn an_outside_worker_says_how_its_workspace_is() {
    let o = Outside::new().await;
    let path = format!("/api/status/workspaces/{}", o.workspace);
    eventually("the workspace is ready", async || {
        let now = o.ada.read(&format!("/api/workspaces/{}", o.workspace)).await;
        (now["status"] == "ready").then_some(())
    })
    .await;
    let body = json!({ "status": "error", "message": "The index is full.", "metadata": { "free": 0 } });
    let told = o.worker.post(&path, body.clone()).await.json();
    assert_eq!(
        (&told["status"], &told["message"], &told["metadata"]),
        (&json!("error"), &json!("The index is full."), &json!({ "free": 0 }))
    );
    let head = o.head().await;
    assert_eq!(o.worker.post(&path, body).await.json(), told);
    assert_eq!(o.head().await, head, "said twice is said once");
    let problem = o.worker.post(&path, json!({ "status": "ready" })).await.problem(409, "illegal_move");
    assert_eq!(problem["allowed"], json!(["provisioning"]));
    let problem = o.worker.post(&path, json!({ "status": "deleting" })).await.problem(409, "illegal_move");
    assert_eq!(problem["allowed"], json!(["provisioning"]), "a workspace is deleted by its owner");
    assert_eq!(o.worker.post(&path, json!({ "status": "provisioning" })).await.status, 200);
    eventually("the workspace is ready again", async || {
        let now = o.ada.read(&format!("/api/workspaces/{}", o.workspace)).await;
        (now["status"] == "ready" && now["message"] == Value::Null).then_some(())
    })
    .await;
    assert_eq!(o.worker.post(&path, json!({ "status": "ready" })).await.status, 200);
    let mine = o.ada.first_workspace().await;
    o.worker
        .post(&format!("/api/status/workspaces/{mine}"), json!({ "status": "error" }))
        .await
        .problem(409, "not_external");
    let bob = o.server.user("bob").await;
    bob.post(&path, json!({ "status": "error" })).await.problem(404, "not_found");
}

#[tokio::test]
async fn the_last_word_comes_out_however_soon_it_came_after_another_and_however_still_it_is_then() {
    let o = Outside::new().await;
    let (_, ids) = o.upload(&["a.txt"]).await;
    let document = &ids[0];
    let mut socket = o.ada.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    let says = |progress: u32| {
        let message = format!("Reading page {progress} of 40…");
        json!({ "status": "processing", "step": "reading_pages", "progress": progress, "message": message })
    };
    // Faster than anything is told. After the last one nothing happens any more.
    for page in 1..=20 {
        o.report(document, says(page)).await;
    }
    let is_last = |e: &Value| e["event"] == "file_progress" && e["data"]["progress"] == json!(20.0);
    let told = socket.events_until(is_last).await;
    let last = &told.last().expect("an event")["data"];
    assert_eq!(last["message"], "Reading page 20 of 40…");
    assert_eq!(last["rev"], o.ada.read(&format!("/api/documents/{document}")).await["rev"]);
}

#[tokio::test]
async fn a_document_of_which_its_worker_says_nothing_more_is_told_as_stalled_until_the_next_report() {
    // Longer than this test takes to look at what the next report changed.
    let o = Outside::with(Setup::new().env("INSIGHTHUB_STALL_SECONDS", "15")).await;
    let (job, ids) = o.upload(&["a.txt"]).await;
    let document = &ids[0];
    let mut socket = o.ada.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    let says = json!({ "status": "processing", "step": "reading_pages", "progress": 40 });
    o.report(document, says.clone()).await;
    let stalls =
        |e: &Value| e["event"] == "document_status" && e["data"]["warnings"][0]["code"] == json!("stalled");
    let told = socket.events_until(stalls).await;
    let stalled = &told.last().expect("an event")["data"];
    assert_eq!(
        (&stalled["status"], &stalled["step"], &stalled["progress"], &stalled["attempt"]),
        (&json!("processing"), &json!("reading_pages"), &json!(40.0), &json!(1)),
        "nothing is done about it"
    );
    let why = stalled["warnings"][0]["message"].as_str().expect("a sentence");
    assert!(why.starts_with("Nothing was heard of it from the outside worker since "), "{why}");
    let halted = o.job(&job).await;
    assert_eq!((&halted["status"], &halted["halted"]), (&json!("running"), &json!("stalled")));
    let poll = o.ada.read(&format!("/v1/documents/{document}/status")).await;
    assert_eq!(poll["status_message"].as_str(), Some(why));

    // The very same report is a word, too.
    let now = o.report(document, says).await;
    assert_eq!((&now["status"], &now["warnings"]), (&json!("processing"), &json!([])));
    assert_eq!(o.job(&job).await["halted"], Value::Null);
    let ready = o.report(document, json!({ "status": "ready", "chunk_count": 3 })).await;
    assert_eq!((&ready["status"], &ready["warnings"]), (&json!("ready"), &json!([])));
    assert_eq!(o.job(&job).await["status"], "completed");
}
