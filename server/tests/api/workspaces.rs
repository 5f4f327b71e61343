//! Making, listing and reading workspaces.

use crate::common::{Server, eventually, messages};
use serde_json::json;

#[tokio::test]
async fn a_workspace_is_made_at_once_and_turns_ready_by_itself() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let answer =
        client.post("/api/workspaces", json!({ "name": " Papers ", "description": "To read" })).await;
    assert_eq!(answer.status, 201);
    let made = answer.json();
    assert_eq!(
        (&made["name"], &made["description"], &made["status"]),
        (&json!("Papers"), &json!("To read"), &json!("provisioning"))
    );
    let id = made["id"].as_str().expect("an id");
    assert_eq!(answer.header("location"), format!("/api/workspaces/{id}"));
    let ready = eventually("the workspace is ready", async || {
        let now = client.read(&format!("/api/workspaces/{id}")).await;
        assert_ne!(now["status"], "error", "{now}");
        (now["status"] == "ready").then_some(now)
    })
    .await;
    assert!(ready["rev"].as_u64() > made["rev"].as_u64());
    let counts = json!({ "documents": 0, "ready": 0, "processing": 0, "failed": 0, "stale": 0, "chunks": 0, "bytes": 0, "conversations": 0, "messages": 0 });
    assert_eq!(ready["counts"], counts);
    assert_eq!(ready["workspace_id"], ready["id"]);
}

#[tokio::test]
async fn a_bad_name_is_told_at_its_field() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    for name in ["ab", "<script>", &"a".repeat(101)] {
        let problem = client.post("/api/workspaces", json!({ "name": name })).await.problem(422, "invalid");
        assert_eq!(messages(&problem, "name").len(), 1, "{problem}");
    }
    let both = json!({ "name": "", "description": "a".repeat(501) });
    let problem = client.post("/api/workspaces", both).await.problem(422, "invalid");
    assert_eq!((messages(&problem, "name").len(), messages(&problem, "description").len()), (1, 1));
}

#[tokio::test]
async fn the_same_key_makes_one_workspace() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    let send = |key: String| {
        let request = client.request("POST", "/api/workspaces").json(&json!({ "name": "Papers" }));
        client.send(request.header("idempotency-key", key))
    };
    let first = send("one".into()).await.json();
    let again = send("one".into()).await;
    assert_eq!((again.status, &again.json()["id"]), (201, &first["id"]));
    assert_ne!(send("two".into()).await.json()["id"], first["id"]);
    assert_eq!(client.read("/api/workspaces").await["items"].as_array().map(Vec::len), Some(3));
    for key in ["k".repeat(201), "a b".into(), "a\tb".into()] {
        let problem = send(key).await.problem(422, "invalid");
        assert_eq!(messages(&problem, "Idempotency-Key"), ["Use 1 to 200 visible characters."]);
    }
    // The key is the client's own: somebody else's is another.
    let bob = server.user("bob").await;
    let request = bob.request("POST", "/api/workspaces").json(&json!({ "name": "Papers" }));
    assert_ne!(bob.send(request.header("idempotency-key", "one")).await.json()["id"], first["id"]);
}

#[tokio::test]
async fn a_list_is_walked_page_by_page_newest_first() {
    let server = Server::start().await;
    let client = server.user("ada").await;
    for n in 1..=6 {
        assert_eq!(
            client.post("/api/workspaces", json!({ "name": format!("Workspace {n}") })).await.status,
            201
        );
    }
    let (mut seen, mut after) = (vec![], String::new());
    loop {
        let page = client.read(&format!("/api/workspaces?limit=3{after}")).await;
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= 3);
        seen.extend(items.iter().map(|w| w["name"].as_str().expect("a name").to_owned()));
        match page["next"].as_str() {
            Some(next) => {
                assert!(
                    next.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b)),
                    "URL-safe: {next}"
                );
                after = format!("&after={next}");
            }
            None => break,
        }
    }
    let expected: Vec<String> =
        (1..=6).rev().map(|n| format!("Workspace {n}")).chain(["My documents".to_owned()]).collect();
    assert_eq!(seen, expected);
}
