//! How a workspace is made ready: its steps on the stream, a failure with its reason, the retry, and what may be done
//! meanwhile.

use crate::common::{Client, Server, Setup, eventually, messages};
use serde_json::{Value, json};

async fn make(client: &Client, name: &str) -> String {
    let answer = client.post("/api/workspaces", json!({ "name": name })).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_str().expect("an id").to_owned()
}

async fn settled(client: &Client, id: &str) -> Value {
    eventually("the workspace is ready or in error", async || {
        let now = client.read(&format!("/api/workspaces/{id}")).await;
        (now["status"] != "provisioning").then_some(now)
    })
    .await
}

fn steps(workspace: &Value) -> Vec<(String, String)> {
    let steps = workspace["provisioning"]["steps"].as_array().cloned().unwrap_or_default();
    let text = |step: &Value, field: &str| step[field].as_str().expect("text").to_owned();
    steps.iter().map(|s| (text(s, "name"), text(s, "status"))).collect()
}

/// Spoils the place for files for every workspace that is made from now on; gone when it is removed.
fn spoil_storage(server: &Server) -> std::path::PathBuf {
    let place = server.dir.path().join("files/probes");
    let _ = std::fs::remove_dir_all(&place);
    std::fs::write(&place, "in the way").expect("written");
    place
}

#[tokio::test]
async fn each_step_is_told_on_the_stream_in_its_order() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let mut socket = client.socket().await;
    socket.hello(Value::Null, Value::Null).await;
    let id = make(&client, "Papers").await;
    let events = socket.events_until(|e| e["data"]["status"] == "ready").await;
    assert!(
        events.iter().all(|e| e["event"] == "workspace_status" && e["data"]["id"] == json!(id)),
        "{events:?}"
    );
    let first = steps(&events[0]["data"]);
    let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["settings", "storage", "model", "index"]);
    assert!(first.iter().all(|(_, status)| status == "pending"), "{first:?}");
    // One thing after the other: what is through, then at most one that runs, then what waits.
    for event in &events[..events.len() - 1] {
        let ranks: Vec<usize> = steps(&event["data"])
            .iter()
            .map(|(_, s)| ["completed", "running", "pending"].iter().position(|r| r == s).expect(s))
            .collect();
        assert!(ranks.is_sorted() && ranks.iter().filter(|r| **r == 1).count() <= 1, "{event}");
    }
    for name in names {
        let ran = |e: &Value| steps(&e["data"]).contains(&(name.to_owned(), "running".to_owned()));
        assert!(events.iter().any(ran), "{name} was not seen running");
    }
    let last = &events.last().expect("an event")["data"];
    assert_eq!((&last["provisioning"], &last["status_message"]), (&Value::Null, &Value::Null));
    // Nothing is left of the trials.
    assert_eq!(std::fs::read_dir(server.dir.path().join("files/probes")).expect("a folder").count(), 0);
}

#[tokio::test]
async fn a_failure_says_why_and_what_to_do_and_a_retry_clears_it() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let in_the_way = spoil_storage(&server);
    let id = make(&client, "Papers").await;
    let failed = settled(&client, &id).await;
    assert_eq!(
        (&failed["status"], &failed["message"]),
        (&json!("error"), &json!("The server cannot store files."))
    );
    let told = &failed["provisioning"];
    assert_eq!((&told["error_code"], &told["attempt"]), (&json!("storage_failed"), &json!(1)));
    assert!(told["error_hint"].as_str().is_some_and(|h| h.contains("data directory")), "{told}");
    let statuses: Vec<String> = steps(&failed).into_iter().map(|(_, status)| status).collect();
    assert_eq!(statuses, ["completed", "failed", "pending", "pending"]);

    let problem = client.upload(&id, &[("a.txt", b"one two")]).await.problem(409, "workspace_error");
    assert_eq!(problem["detail"], "This workspace could not be made ready. Retry that first.");
    let question = json!({ "query": "Where is the lantern?", "workspace_id": id });
    let problem = client.post("/v1/chat/", question.clone()).await.problem(409, "workspace_error");
    assert_eq!(problem["detail"], "This workspace could not be made ready. Retry that first.");
    assert_eq!(client.read("/v1/chat/conversations").await["items"], json!([]), "nothing was begun");

    // As long as the cause is there, each attempt ends the same way.
    let retry = format!("/api/workspaces/{id}/retry");
    let again = client.post(&retry, json!({})).await;
    assert_eq!((again.status, &again.json()["status"]), (202, &json!("provisioning")));
    assert_eq!(again.json()["status_message"], Value::Null);
    assert_eq!(settled(&client, &id).await["provisioning"]["attempt"], 2);

    std::fs::remove_file(in_the_way).expect("removed");
    assert_eq!(client.post(&retry, json!({})).await.status, 202);
    let ready = settled(&client, &id).await;
    assert_eq!(
        (&ready["status"], &ready["status_message"], &ready["provisioning"]),
        (&json!("ready"), &Value::Null, &Value::Null)
    );
    assert_eq!(client.post("/v1/chat/", question).await.status, 200);
    client.upload_one(&id, "a.txt", b"A lantern on the bridge.").await;
}

#[tokio::test]
async fn without_a_script_the_form_of_the_panel_retries_and_leads_back_to_the_page() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let in_the_way = spoil_storage(&server);
    let id = make(&client, "Papers").await;
    assert_eq!(settled(&client, &id).await["status"], "error");
    let page = async || {
        let page =
            client.send(client.request("GET", &format!("/w/{id}")).header("accept", "text/html")).await;
        String::from_utf8(page.body).expect("text")
    };
    let html = page().await;
    let panel = html.split("error-panel").nth(1).unwrap_or_default();
    // Why, in which step, the code, and what finds the lines in the log.
    for told in [
        "The server cannot store files.",
        "Step: Prepare the place for files",
        "storage_failed",
        &id,
        "Retry",
    ] {
        assert!(panel.contains(told), "{told}: {panel}");
    }
    assert!(panel.contains(r#"action="/_fn/workspaces/retry""#), "{panel}");
    assert!(server.log().lines().any(|line| line.contains(&id) && line.contains("could not be made ready")));

    std::fs::remove_file(in_the_way).expect("removed");
    let form = client.request("POST", "/_fn/workspaces/retry").header("origin", &client.base);
    let form = form.header("content-type", "application/x-www-form-urlencoded").header("accept", "text/html");
    let answer = client.send(form.body(format!("id={id}"))).await;
    assert_eq!((answer.status, answer.header("location")), (302, format!("/w/{id}").as_str()), "{answer:?}");
    assert_eq!(settled(&client, &id).await["status"], "ready");
    assert!(!page().await.contains("could not be made ready"));
}

#[tokio::test]
async fn without_the_model_the_reason_names_it_and_no_paths_leave_the_server() {
    let nothing = tempfile::tempdir().expect("a folder");
    let path = nothing.path().display().to_string();
    let server = Setup::new().env("INSIGHTHUB_MODELS_DIR", path.clone()).start().await;
    let client = server.user("ada").await;
    let failed = settled(&client, &make(&client, "Papers").await).await;
    assert_eq!(failed["provisioning"]["error_code"], "model_missing");
    assert_eq!(failed["status_message"], "The embedding model all-MiniLM-L6-v2 is not on this server.");
    assert!(failed["provisioning"]["error_hint"].as_str().is_some_and(|h| h.contains("cargo xtask setup")));
    assert!(!failed.to_string().contains(&path), "{failed}");
}

#[tokio::test]
async fn there_is_nothing_to_retry_in_a_ready_workspace_nor_in_anothers() {
    let server = Server::start().await;
    let (ada, bob) = (server.user("ada").await, server.user("bob").await);
    let retry = format!("/api/workspaces/{}/retry", ada.first_workspace().await);
    let problem = ada.post(&retry, json!({})).await.problem(409, "workspace_ready");
    assert_eq!(problem["allowed"], json!(["error", "deleting"]));
    bob.post(&retry, json!({})).await.problem(404, "not_found");
    server.visitor().post(&retry, json!({})).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_server_that_was_killed_on_the_way_goes_on() {
    let mut server = Server::start().await;
    let client = server.user("ada").await;
    let mut made = vec![];
    for n in 0..8 {
        made.push(make(&client, &format!("Workspace {n}")).await);
    }
    server.kill();
    let dir = server.dir.clone();
    drop(server);
    let server = Setup::new().dir(&dir).start().await;
    let client = Client { base: server.base.clone(), ..client };
    for id in made {
        assert_eq!(settled(&client, &id).await["status"], "ready");
    }
}

#[tokio::test]
async fn an_upload_right_after_the_making_waits_until_the_workspace_is_ready() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let id = make(&client, "Papers").await;
    client.upload_one(&id, "a.txt", b"A lantern on the bridge.").await;
    assert_eq!(client.read(&format!("/api/workspaces/{id}")).await["status"], "ready");
}

#[tokio::test]
async fn a_workspace_is_renamed_in_every_open_tab() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let id = client.first_workspace().await;
    let mut other_tab = client.socket().await;
    other_tab.hello(Value::Null, Value::Null).await;
    let path = format!("/api/workspaces/{id}");
    let answer = client.patch(&path, json!({ "name": " Letters ", "description": "From the island" })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let renamed = answer.json();
    assert_eq!((&renamed["name"], &renamed["description"]), (&json!("Letters"), &json!("From the island")));
    let event = other_tab.frame().await;
    assert_eq!((&event["event"], &event["data"]), (&json!("workspace_status"), &renamed));
    assert_eq!(client.read(&path).await, renamed);
    // What is not named stays; what is like that already is no change.
    let described = client.patch(&path, json!({ "description": "" })).await.json();
    assert_eq!((&described["name"], &described["description"]), (&json!("Letters"), &json!("")));
    assert_eq!(client.patch(&path, json!({ "name": "Letters" })).await.json(), described);
    assert_eq!(client.patch(&path, json!({})).await.json(), described);
}

#[tokio::test]
async fn a_bad_rename_is_refused_like_a_bad_making() {
    let server = Server::start().await;
    let (ada, bob) = (server.user("ada").await, server.user("bob").await);
    let path = format!("/api/workspaces/{}", ada.first_workspace().await);
    for name in ["ab", "<script>", &"a".repeat(101)] {
        let made = ada.post("/api/workspaces", json!({ "name": name })).await.problem(422, "invalid");
        let renamed = ada.patch(&path, json!({ "name": name })).await.problem(422, "invalid");
        assert_eq!(messages(&made, "name"), messages(&renamed, "name"));
    }
    let both = json!({ "name": "", "description": "a".repeat(501) });
    let problem = ada.patch(&path, both).await.problem(422, "invalid");
    assert_eq!((messages(&problem, "name").len(), messages(&problem, "description").len()), (1, 1));
    ada.patch(&path, json!({ "name": 7 })).await.problem(422, "invalid");
    bob.patch(&path, json!({ "name": "Mine now" })).await.problem(404, "not_found");
    assert_eq!(ada.read(&path).await["name"], "My documents");
}
