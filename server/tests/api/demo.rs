//! The demonstration: what a newcomer finds after `serve --demo`.

use crate::common::{Client, Server, Setup, eventually};
use serde_json::{Value, json};

const EMAIL: &str = "demo@insighthub.example";
const PASSWORD: &str = "Harbour-Lantern-7";

async fn visitor_of(server: &Server) -> Client {
    let mut client = server.visitor();
    let cookie = eventually("the account is there", async || {
        let answer = client.post("/api/auth/login", json!({ "email": EMAIL, "password": PASSWORD })).await;
        answer.session_cookie()
    })
    .await;
    client.cookie = Some(cookie);
    client
}

async fn workspace(client: &Client, name: &str) -> String {
    eventually("the workspace is there", async || {
        let list = client.read("/api/workspaces").await;
        let found = list["items"].as_array()?.iter().find(|w| w["name"] == name)?["id"].as_str()?.to_owned();
        Some(found)
    })
    .await
}

async fn documents(client: &Client, workspace: &str) -> Vec<Value> {
    let list = client.read(&format!("/api/workspaces/{workspace}/documents?limit=200")).await;
    list["items"].as_array().expect("items").clone()
}

#[tokio::test]
async fn a_newcomer_finds_documents_a_failure_and_a_job_under_way() {
    // Bad tries while the account is being made must not count against the visitor.
    let setup = || Setup::new().args(&["serve", "--demo"]).env("INSIGHTHUB_MAX_BAD_SIGN_INS", "0");
    let mut server = setup().in_an_empty_folder().start().await;
    let client = visitor_of(&server).await;
    let harbour = workspace(&client, "Harbour office").await;
    let settled = eventually("the small library is through", async || {
        let all = documents(&client, &harbour).await;
        let through = all.iter().all(|d| matches!(d["status"].as_str(), Some("ready" | "failed")));
        (all.len() == 6 && through).then_some(all)
    })
    .await;
    for document in &settled {
        let torn = document["filename"] == "torn-map.pdf";
        assert_eq!(document["status"], if torn { "failed" } else { "ready" }, "{document}");
        assert_eq!(torn, document["error_code"].is_string() && document["error"].is_string(), "{document}");
    }
    let hits =
        client.read(&format!("/api/workspaces/{harbour}/search?q=how+fast+may+I+go+in+the+port")).await;
    assert_eq!(hits["items"][0]["document"]["filename"], "regulations.pdf", "{hits}");

    let handbook = workspace(&client, "InsightHub handbook").await;
    let job = eventually("the job is under way", async || {
        let answer = client.get(&format!("/api/ingestion/kb/{handbook}/status")).await;
        (answer.status == 200).then(|| answer.json()).filter(|job| job["status"] == "running")
    })
    .await;
    let total = job["metrics"]["documents_total"].as_u64().expect("a number");
    assert!(total > 15, "{job}");
    eventually("it moves on, while others wait", async || {
        let all = documents(&client, &handbook).await;
        let count = |status| all.iter().filter(|d| d["status"] == status).count();
        (count("ready") > 0 && count("pending") > 0).then_some(())
    })
    .await;

    // Killed in the middle and started again: nothing is made twice, and the job goes on.
    server.kill();
    let dir = server.dir.clone();
    drop(server);
    let server = setup().dir(&dir).start().await;
    let client = Client { base: server.base.clone(), ..client };
    eventually("the job is through", async || {
        let job = client.read(&format!("/api/ingestion/kb/{handbook}/status")).await;
        (job["status"] == "completed").then_some(())
    })
    .await;
    assert_eq!(client.read("/api/workspaces").await["items"].as_array().map(Vec::len), Some(3));
    assert_eq!(client.read("/api/jobs").await["items"].as_array().map(Vec::len), Some(3));
    assert_eq!(documents(&client, &handbook).await.len() as u64, total);
}

#[tokio::test]
async fn it_is_refused_where_others_could_reach_it() {
    for (name, value) in
        [("INSIGHTHUB_ADDR", "0.0.0.0:0"), ("INSIGHTHUB_PUBLIC_URL", "https://hub.example.org")]
    {
        let out =
            Setup::new().args(&["serve", "--demo"]).env(name, value).command().output().expect("it runs");
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && said.contains("reached from outside"), "{said}");
    }
}
