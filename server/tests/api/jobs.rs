//! Reading jobs, and the status interface of older clients.

use crate::common::{Server, eventually, prose};
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
