//! Models of an embedding server: found, used, out of reach, and refusing.

use super::*;
use crate::{
    common::{PASSWORD, Setup},
    embeddings::{Embeddings, KEY},
};
use std::sync::atomic::Ordering;

async fn model(client: &Client, name: &str) -> Value {
    let models = client.read("/api/rag/models").await;
    let found = models.as_array().expect("models").iter().find(|m| m["name"] == name).cloned();
    found.unwrap_or(Value::Null)
}

/// The choice of that name in the page's list, up to the next one.
fn option_of<'a>(html: &'a str, name: &str) -> &'a str {
    let mut options = html.split("<option ").skip(1);
    let found = options.find(|option| option.contains(&format!("value=\"{name}\"")));
    found.unwrap_or_else(|| panic!("{name} is not offered: {html}"))
}

/// Waits until the model is said to be in that state.
async fn model_turns(client: &Client, name: &str, state: &str) -> Value {
    eventually(&format!("{name} is {state}"), async || {
        Some(model(client, name).await).filter(|m| m["state"] == state)
    })
    .await
}

#[tokio::test]
async fn without_an_embedding_server_other_models_tell_what_they_need() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let own = model(&ada, "all-MiniLM-L6-v2").await;
    assert_eq!(
        (&own["state"], &own["dim"], &own["provider"]),
        (&json!("ready"), &json!(384), &json!("builtin"))
    );
    let nomic = model(&ada, "nomic-embed-text").await;
    assert_eq!((&nomic["state"], &nomic["dim"]), (&json!("needs_configuration"), &json!(768)));
    let html = ada.page_after("/settings/rag", None).await;
    let option = option_of(&html, "nomic-embed-text");
    assert!(option.contains("nomic-embed-text, 768 dimensions (needs configuration)"), "{option}");
    assert!(option.contains(" disabled"), "{option}");
    let option = option_of(&html, "all-MiniLM-L6-v2");
    assert!(option.contains("all-MiniLM-L6-v2, 384 dimensions<"), "{option}");
    assert!(!option.contains(" disabled"), "{option}");
    let problem = put(&ada, DEFAULT, &json!({ "embedding_model": "nomic-embed-text" })).await;
    let problem = problem.problem(422, "invalid");
    assert_eq!(messages(&problem, "embedding_model"), [nomic["detail"].as_str().expect("a sentence")]);
    let options = ada.read("/api/rag/options").await;
    let of = |list: &str, name: &str| {
        let all = options[list].as_array().expect("choices");
        all.iter().find(|c| c["name"] == name).expect("the choice").clone()
    };
    assert_eq!(of("retriever_types", "graph")["available"], true);
    assert_eq!(of("rerank_models", "cross-encoder")["available"], false);
    assert_eq!(of("rerank_models", "bm25")["available"], true);
    assert_eq!(options["chunking_strategies"].as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn a_workspace_can_use_a_model_of_an_embedding_server() {
    let mut embeddings = Embeddings::start().await;
    let server =
        Setup::new().env("EMBEDDINGS_URL", embeddings.url()).env("EMBEDDINGS_KEY", KEY).start().await;
    let ada = server.user("ada").await;
    // Of its list, what looks like it; the built-in one stays the built-in one.
    let models = ada.read("/api/rag/models").await;
    let names: Vec<&str> =
        models.as_array().expect("models").iter().map(|m| m["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["all-MiniLM-L6-v2", "words-embed", "nomic-embed-text"]);
    let words = model(&ada, "words-embed").await;
    assert_eq!(
        (&words["state"], &words["dim"], &words["provider"]),
        (&json!("ready"), &json!(64), &json!("server"))
    );
    let problem =
        put(&ada, DEFAULT, &json!({ "embedding_model": "words-embed", "embedding_dim": 384 })).await;
    assert_eq!(
        messages(&problem.problem(422, "invalid"), "embedding_dim"),
        ["words-embed has 64 dimensions."]
    );

    // A workspace that has documents of the built-in model changes over.
    let workspace = ada.first_workspace().await;
    let base = format!("/api/workspaces/{workspace}");
    let first = ada.upload_one(&workspace, "lantern.txt", b"The lantern keeper writes the ledger.").await;
    assert_eq!(ada.settled(&first).await["status"], "ready");
    let words = json!({ "embedding_model": "words-embed" });
    assert_eq!(
        saved(&ada, &config_of(&workspace), words.clone()).await["overrides"],
        json!(["embedding_model"])
    );
    let stale = ada.read(&format!("/api/documents/{first}")).await;
    assert_eq!(
        (&stale["stale"], &stale["indexed_with"]["embedding_model"]),
        (&json!(true), &json!("all-MiniLM-L6-v2"))
    );
    let second = ada.upload_one(&workspace, "ferry.txt", b"The ferry leaves the harbour at noon.").await;
    let ready = ada.settled(&second).await;
    assert_eq!(
        (&ready["status"], &ready["indexed_with"]["embedding_model"]),
        (&json!("ready"), &json!("words-embed"))
    );
    let asked = embeddings.how.texts.load(Ordering::SeqCst);
    assert!(asked >= 2, "{asked}");
    // Passages of both models are found, each asked in its own.
    let hits = ada.read(&format!("{base}/search?q=the+ferry+leaves+the+harbour")).await;
    let mut found: Vec<&str> = hits["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|h| h["document"]["filename"].as_str().expect("a name"))
        .collect();
    found.sort_unstable();
    assert_eq!(found, ["ferry.txt", "lantern.txt"]);
    let started = ada.post(&format!("{base}/reindex"), json!({})).await.json();
    assert_eq!(started["documents"], 1);
    assert_eq!(over(&ada, &started["job_id"]).await["status"], "completed");
    let hits = ada.read(&format!("{base}/search?q=lantern+keeper+ledger")).await;
    assert_eq!(hits["items"][0]["document"]["filename"], "lantern.txt");

    // The server goes away: the model may stay, but nobody can choose it.
    embeddings.stop().await;
    let silent = model_turns(&ada, "words-embed", "unreachable").await;
    assert_eq!(silent["detail"], "The embedding server does not answer.");
    // So it is on screen: the workspace that has it may keep it, the default cannot take it.
    for (path, is_disabled) in [(format!("/w/{workspace}/rag"), false), ("/settings/rag".to_owned(), true)] {
        let html = ada.page_after(&path, None).await;
        let option = option_of(&html, "words-embed");
        assert!(option.contains("words-embed, 64 dimensions (unreachable)"), "{option}");
        assert_eq!(option.contains(" disabled"), is_disabled, "{path}: {option}");
    }
    saved(&ada, &config_of(&workspace), with(words.clone(), json!({ "top_k": 3 }))).await;
    let problem = put(&ada, DEFAULT, &words).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "embedding_model"), ["The embedding server does not answer."]);
    ada.get(&format!("{base}/search?q=lantern")).await.problem(503, "model_unreachable");
    let id = ada.upload_one(&workspace, "away.txt", b"Nobody embeds this.").await;
    let waits = waiting(&ada, &id).await;
    assert!(waits["message"].as_str().is_some_and(|m| m.contains("unreachable since ")), "{waits}");
    let job = ada.read(&format!("/api/jobs/{}", waits["job_id"].as_str().expect("a job"))).await;
    assert_eq!((&job["status"], &job["halted"]), (&json!("running"), &json!("waiting")));
    assert!(job["message"].as_str().is_some_and(|m| m.contains("It is asked again at ")), "{job}");

    // It comes back with other vectors under the same name: what waited finds out.
    embeddings.how.dim.store(32, Ordering::SeqCst);
    embeddings.start_again().await;
    model_turns(&ada, "words-embed", "ready").await;
    assert_eq!(ada.settled(&id).await["error_code"], "model_wrong_dimension");
    let id = ada.upload_one(&workspace, "other.txt", b"Now there are fewer numbers.").await;
    let failed = ada.settled(&id).await;
    assert_eq!(failed["error_code"], "model_wrong_dimension", "{failed}");
    assert_eq!(failed["error"], "words-embed answered vectors with 32 dimensions instead of 64.");
    let hint = failed["error_hint"].as_str().unwrap_or_default();
    assert!(hint.contains("restarts this server"), "{failed}");
    let log = server.log();
    assert!(!log.contains(KEY) && !log.contains(PASSWORD), "no secret is in the log");
}

#[tokio::test]
async fn what_was_embedded_before_a_model_changed_its_dimensions_is_stale_and_embedded_anew() {
    let (embeddings, mut server, ada, workspace) = at_work().await;
    let text = b"The lantern keeper writes the ledger.";
    let before = ada.upload_one(&workspace, "before.txt", text).await;
    assert_eq!(ada.settled(&before).await["status"], "ready");
    let dir = server.dir.clone();
    server.terminate();
    server.ended().await;
    embeddings.how.dim.store(32, Ordering::SeqCst);
    let server = Setup::new()
        .env("EMBEDDINGS_URL", embeddings.url())
        .env("EMBEDDINGS_KEY", KEY)
        .dir(&dir)
        .start()
        .await;
    let ada = server.sign_in("ada", PASSWORD).await;
    // Whoever asks first finds it out, be it a search.
    let base = format!("/api/workspaces/{workspace}");
    ada.read(&format!("{base}/search?q=lantern+keeper")).await;
    let stale = eventually("the document is stale", async || {
        Some(ada.read(&format!("/api/documents/{before}")).await).filter(|d| d["stale"] == true)
    })
    .await;
    assert_eq!(
        (&stale["indexed_with"]["embedding_model"], &stale["indexed_with"]["other_length"]),
        (&json!("words-embed"), &json!(true))
    );
    // Other words of a passage would get a vector that nobody can compare with the others.
    let chunks = ada.read(&format!("/api/documents/{before}/chunks")).await;
    let id = chunks["items"][0]["id"].as_str().expect("an id");
    let passage = format!("/api/documents/{before}/chunks/{id}");
    let edit = json!({ "text": "The lantern keeper sleeps." });
    ada.patch(&passage, edit).await.problem(409, "document_stale");
    ada.post(&format!("{passage}/embed"), json!({})).await.problem(409, "document_stale");
    // The same words are embedded anew, and not copied.
    let asked = embeddings.how.texts.load(Ordering::SeqCst);
    let after = ada.upload_one(&workspace, "after.txt", b"The lantern keeper writes the ledger.\n").await;
    let ready = ada.settled(&after).await;
    assert_eq!((&ready["status"], &ready["stale"]), (&json!("ready"), &json!(false)), "{ready}");
    assert!(embeddings.how.texts.load(Ordering::SeqCst) > asked);
    let started = ada.post(&format!("{base}/reindex"), json!({})).await.json();
    assert_eq!(started["documents"], 1);
    assert_eq!(over(&ada, &started["job_id"]).await["status"], "completed");
    assert_eq!(ada.read(&format!("/api/documents/{before}")).await["stale"], false);
    let hits = ada.read(&format!("{base}/search?q=lantern+keeper&retriever_type=vector")).await;
    assert_eq!(hits["items"].as_array().map(Vec::len), Some(2), "{hits}");
}

/// The document, once it waits for the server of its model.
async fn waiting(client: &Client, id: &str) -> Value {
    eventually("the document waits for its model", async || {
        let document = client.read(&format!("/api/documents/{id}")).await;
        let waits =
            document["warnings"].as_array().is_some_and(|all| all.iter().any(|w| w["code"] == "waiting"));
        waits.then_some(document)
    })
    .await
}

async fn embedding_server(client: &Client) -> Value {
    let health = client.read("/health/ready").await;
    let checks = health["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == "embedding_server").expect("the check").clone()
}

/// A server of the embedding server's whole life, with a workspace that uses it.
async fn at_work() -> (Embeddings, Server, Client, String) {
    let embeddings = Embeddings::start().await;
    let server =
        Setup::new().env("EMBEDDINGS_URL", embeddings.url()).env("EMBEDDINGS_KEY", KEY).start().await;
    let ada = server.user("ada").await;
    assert_eq!(model(&ada, "words-embed").await["state"], "ready");
    let workspace = ada.first_workspace().await;
    saved(&ada, &config_of(&workspace), json!({ "embedding_model": "words-embed" })).await;
    (embeddings, server, ada, workspace)
}

#[tokio::test]
async fn whatever_its_embedding_server_fails_by_a_document_waits_and_goes_on_by_itself() {
    use crate::embeddings::Fault;
    let (embeddings, server, ada, workspace) = at_work().await;
    assert_eq!(embedding_server(&ada).await["ok"], true);
    for (fault, words) in [
        (Fault::Status(500), "unreachable since"),
        (Fault::Status(408), "unreachable since"),
        (Fault::Cut, "unreachable since"),
        (Fault::Busy(3), "too much to do since"),
    ] {
        embeddings.fail(Some(fault));
        let id = ada.upload_one(&workspace, "a.txt", format!("It meets {fault:?}.").as_bytes()).await;
        let waits = waiting(&ada, &id).await;
        assert!(waits["message"].as_str().is_some_and(|m| m.contains(words)), "{fault:?}: {waits}");
        let check = embedding_server(&ada).await;
        assert_eq!(check["ok"], false, "{fault:?}");
        assert!(check["detail"].as_str().is_some_and(|d| d.contains("It is asked again at ")), "{check}");
        // Nobody asks it while it is left alone, and whoever looks at the models is told.
        let asked = embeddings.how.asked.load(Ordering::SeqCst);
        let away = model_turns(&ada, "words-embed", "unreachable").await;
        assert!(away["detail"].as_str().is_some_and(|d| d.contains("It is asked again at ")), "{away}");
        assert!(embeddings.how.asked.load(Ordering::SeqCst) <= asked + 3, "trials alone");
        embeddings.fail(None);
        let ready = ada.settled(&id).await;
        assert_eq!((&ready["status"], &ready["attempt"]), (&json!("ready"), &json!(1)), "{fault:?}");
        assert_eq!(embedding_server(&ada).await["ok"], true);
    }
    let log = server.log();
    assert!(log.contains("left alone for a while") && log.contains("answers again"), "{log}");
}

#[tokio::test]
async fn a_text_that_its_embedding_server_always_fails_at_fails_its_document_alone() {
    let (embeddings, _server, ada, workspace) = at_work().await;
    *embeddings.how.chokes_at.lock().expect("no panic") = Some("zeppelin");
    let bad = ada.upload_one(&workspace, "bad.txt", b"A zeppelin over the harbour.").await;
    let good = ada.upload_one(&workspace, "good.txt", b"A lantern on the quay.").await;
    assert_eq!(ada.settled(&good).await["status"], "ready");
    let failed = ada.settled(&bad).await;
    assert_eq!(
        (&failed["status"], &failed["error_code"]),
        (&json!("failed"), &json!("embedding_failed")),
        "{failed}"
    );
    assert!(failed["error_hint"].as_str().is_some_and(|hint| hint.starts_with("Try again;")), "{failed}");
    assert_eq!(embedding_server(&ada).await["ok"], true, "it answers whatever else it is asked");
}

#[tokio::test]
async fn an_embedding_server_that_takes_few_texts_at_once_gets_few_at_once() {
    let (embeddings, _server, ada, workspace) = at_work().await;
    embeddings.how.most.store(1, Ordering::SeqCst);
    for status in [413, 400, 422] {
        embeddings.how.refuses_more_with.store(status, Ordering::SeqCst);
        let long: String = (0..400)
            .map(|n| format!("Sentence {n} of {status} tells of lantern {n} on the long quay. "))
            .collect();
        let id = ada.upload_one(&workspace, "long.txt", long.as_bytes()).await;
        let ready = ada.settled(&id).await;
        assert_eq!(ready["status"], "ready", "{status}: {ready}");
        assert!(ready["chunk_count"].as_u64().is_some_and(|n| n > 3), "{ready}");
    }
    // What it does not take alone, it never takes.
    embeddings.how.most.store(0, Ordering::SeqCst);
    for status in [413, 400] {
        embeddings.how.refuses_more_with.store(status, Ordering::SeqCst);
        let text = format!("A passage that is too large for {status}.");
        let id = ada.upload_one(&workspace, "large.txt", text.as_bytes()).await;
        let failed = ada.settled(&id).await;
        assert_eq!(failed["error_code"], "model_text_too_large", "{status}: {failed}");
        assert_eq!(failed["error"], "A passage of this document is larger than the embedding server takes.");
        assert_eq!(failed["error_hint"], "Choose a smaller chunk size, or another embedding model.");
    }
    embeddings.how.refuses_more_with.store(422, Ordering::SeqCst);
    let id = ada.upload_one(&workspace, "odd.txt", b"A passage that it does not like.").await;
    assert_eq!(ada.settled(&id).await["error_code"], "model_refused");
}

#[tokio::test]
async fn an_answer_of_an_embedding_server_that_never_ends_is_left() {
    use crate::embeddings::Fault;
    let (embeddings, _server, ada, workspace) = at_work().await;
    for (status, code) in [(200, "model_wrong_answer"), (400, "model_refused")] {
        embeddings.fail(Some(Fault::Endless(status)));
        let text = format!("The lantern keeper waits for {status}.");
        let id = ada.upload_one(&workspace, &format!("{status}.txt"), text.as_bytes()).await;
        let failed = ada.settled(&id).await;
        assert_eq!(failed["error_code"], code, "{failed}");
    }
    embeddings.fail(None);
    let id = ada.upload_one(&workspace, "fine.txt", b"The lantern keeper is back.").await;
    assert_eq!(ada.settled(&id).await["status"], "ready");
}

#[tokio::test]
async fn a_busy_embedding_server_is_asked_again_and_a_wrong_key_is_named() {
    let embeddings = Embeddings::start().await;
    let server =
        Setup::new().env("EMBEDDINGS_URL", embeddings.url()).env("EMBEDDINGS_KEY", "sk-wrong").start().await;
    let ada = server.user("ada").await;
    let nomic = model(&ada, "nomic-embed-text").await;
    assert_eq!(nomic["state"], "needs_configuration", "{nomic}");
    assert!(nomic["detail"].as_str().is_some_and(|d| d.contains("EMBEDDINGS_KEY")), "{nomic}");
    drop(server);

    let server = Setup::new()
        .env("EMBEDDINGS_URL", format!("{}/v1", embeddings.url()))
        .env("EMBEDDINGS_KEY", KEY)
        .env("EMBEDDINGS_MODELS", "words-embed, missing-embed")
        .start()
        .await;
    let ada = server.user("ada").await;
    assert_eq!(model(&ada, "words-embed").await["state"], "ready");
    let missing = model(&ada, "missing-embed").await;
    assert_eq!(missing["state"], "needs_configuration", "{missing}");
    let workspace = ada.first_workspace().await;
    saved(&ada, &config_of(&workspace), json!({ "embedding_model": "words-embed" })).await;
    embeddings.how.overloaded.store(true, Ordering::SeqCst);
    let id = ada.upload_one(&workspace, "busy.txt", b"It has too much to do.").await;
    let log = async || server.log().contains("will be asked again").then_some(());
    eventually("the busy server is asked again", log).await;
    embeddings.how.overloaded.store(false, Ordering::SeqCst);
    assert_eq!(ada.settled(&id).await["status"], "ready");
}
