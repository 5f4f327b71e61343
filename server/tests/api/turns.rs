//! Whose turn it is among the jobs of a person.

use crate::common::{Client, Setup};
use serde_json::{Value, json};

async fn first(client: &Client, job: &Value) -> Value {
    let id = job["job_id"].as_str().expect("a job");
    let answer = client.post(&format!("/api/jobs/{id}/first"), json!({})).await;
    assert_eq!(answer.status, 202);
    answer.json()
}

#[tokio::test]
async fn a_job_that_waits_can_be_put_first() {
    // Without a worker everything waits.
    let server = Setup::new().args(&["serve", "--role", "web"]).start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let mut jobs = vec![];
    for name in ["a.txt", "b.txt", "c.txt"] {
        let id = ada.upload_one(&workspace, name, name.as_bytes()).await;
        let job = ada.read(&format!("/api/documents/{id}")).await["job_id"].clone();
        jobs.push(ada.read(&format!("/api/jobs/{}", job.as_str().expect("an id"))).await);
    }
    let told: Vec<_> =
        jobs.iter().map(|job| (job["queue_position"].clone(), job["priority"].clone())).collect();
    assert_eq!(told, [0, 1, 2].map(|n| (json!(n), json!("normal"))));
    let put = first(&ada, &jobs[2]).await;
    assert_eq!((&put["queue_position"], &put["priority"]), (&json!(0), &json!("first")));
    let behind = ada.read(&format!("/api/jobs/{}", jobs[0]["job_id"].as_str().expect("an id"))).await;
    assert_eq!((&behind["queue_position"], &behind["priority"]), (&json!(1), &json!("normal")));
    assert_eq!(first(&ada, &jobs[2]).await["rev"], put["rev"], "a second click changes nothing");
    let bob = server.user("bob").await;
    let id = jobs[0]["job_id"].as_str().expect("an id");
    bob.post(&format!("/api/jobs/{id}/first"), json!({})).await.problem(404, "not_found");
    ada.post(&format!("/api/jobs/{id}/cancel"), json!({})).await;
    let refused = ada.post(&format!("/api/jobs/{id}/first"), json!({})).await;
    refused.problem(409, "illegal_move");
}
