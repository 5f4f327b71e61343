//! Workspaces that are too large for the memory of a server: PostgreSQL with pgvector searches them, a server without it
//! reads all vectors anew, and the answers are those of a server that has them in memory. These tests fail where PostgreSQL
//! has no pgvector; `cargo xtask test` brings one that has, or leaves them out and says so.

use crate::{
    backup::{done, names, stopped, text},
    common::{Client, Home, PASSWORD, Server, Setup, eventually, prose},
    embeddings::{Embeddings, KEY},
    servers::database::Place,
};
use domain::rag::BUILTIN_MODEL;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, raw_sql};
use std::{
    path::PathBuf,
    process::{Command, Output},
};

const WAYS: [&str; 6] = [
    "retriever_type=vector",
    "retriever_type=vector&rerank_model=bm25",
    "retriever_type=keyword&rerank_model=rrf",
    "retriever_type=hybrid",
    "retriever_type=graph",
    "retriever_type=graph&rerank_model=rrf",
];

const QUESTIONS: [&str; 3] = ["the+ledger+of+the+northern+bridge", "gulls+slept", "zebra"];

fn at(client: &Client, server: &Server) -> Client {
    Client { base: server.base.clone(), ..client.clone() }
}

/// Asks all of them in every way, and answers the passage that is nearest to the first question.
async fn assert_all_answer_alike(
    ada: &Client,
    others: &[&Server],
    workspace: &str,
    warnings: &[&str],
) -> Value {
    let mut first = Value::Null;
    for way in WAYS {
        for question in QUESTIONS {
            for top_k in [3, 50] {
                let path = format!("/api/workspaces/{workspace}/search?q={question}&top_k={top_k}&{way}");
                let found = ada.read(&path).await;
                let hits = found["items"].as_array().expect("hits");
                assert_eq!(hits.len(), top_k, "{path}");
                for other in others {
                    assert_eq!(at(ada, other).read(&path).await, found, "{path}");
                }
                if way == "retriever_type=vector" {
                    let told = found["warnings"].as_array().expect("warnings");
                    let told: Vec<&str> = told.iter().filter_map(|w| w["code"].as_str()).collect();
                    assert_eq!(told, warnings, "{path}");
                    if first.is_null() {
                        first = hits[0].clone();
                    }
                }
            }
        }
    }
    first
}

#[tokio::test]
async fn whoever_searches_the_answers_are_the_same() {
    let place = Place::postgres().await;
    let embeddings = Embeddings::start().await;
    let setup = |memory: &str, pgvector: &str| {
        Setup::new()
            .env("DATABASE_URL", place.url())
            .env("EMBEDDINGS_URL", embeddings.url())
            .env("EMBEDDINGS_KEY", KEY)
            .env("INSIGHTHUB_VECTOR_CACHE_BYTES", memory)
            .env("INSIGHTHUB_PGVECTOR", pgvector)
    };
    let web = &["serve", "--role", "web"];
    let in_memory = setup("100000000", "true").start().await;
    let by_pgvector = setup("0", "true").args(web).start().await;
    let anew = setup("0", "false").args(web).start().await;
    let others = [&by_pgvector, &anew];
    // The start says which of the two it is.
    let (said, why) = (by_pgvector.log(), anew.log());
    assert!(said.contains("are searched by pgvector"), "the PostgreSQL of the tests has no pgvector: {said}");
    assert!(
        why.contains("are read anew for each search") && why.contains("pgvector is switched off"),
        "{why}"
    );

    let ada = in_memory.user("ada").await;
    let made = ada.post("/api/workspaces", json!({ "name": "Library" })).await.json();
    let workspace = made["id"].as_str().expect("an id").to_owned();
    let choose = async |retriever: &str, model: &str| {
        let config = json!({
            "retriever_type": retriever, "embedding_model": model, "chunk_size": 150, "chunk_overlap": 20,
        });
        let path = format!("/api/workspaces/{workspace}/rag-config");
        let saved = ada.send(ada.request("PUT", &path).json(&config)).await;
        assert_eq!(saved.status, 200, "{:?}", saved.json());
    };
    let ready = async |name: &str, text: &[u8]| {
        let document = ada.upload_one(&workspace, name, text).await;
        assert_eq!(ada.settled(&document).await["status"], "ready");
        document
    };
    // One of which only the words are found; two that say much the same, and so have the same vectors many times.
    choose("keyword", "words-embed").await;
    let bare = ready("bare.txt", &prose(1, 300)).await;
    choose("graph", "words-embed").await;
    let long = prose(2, 2_000);
    let kept = ready("a.txt", &long).await;
    let twice = ready("twice.txt", &[long, b" The end.".to_vec()].concat()).await;
    let gone = ready("gone.txt", &prose(7, 1_000)).await;
    let hit = assert_all_answer_alike(&ada, &others, &workspace, &["without_vectors"]).await;

    let text = |hit: &Value, of: &str| hit[of]["id"].as_str().expect("an id").to_owned();
    let passage = format!("/api/documents/{}/chunks/{}", text(&hit, "document"), text(&hit, "chunk"));
    assert_eq!(ada.patch(&passage, json!({ "enabled": false })).await.status, 200);
    let deleted = ada.delete(&format!("/api/documents/{gone}")).await;
    assert!((200..300).contains(&deleted.status), "{deleted:?}");
    let next = assert_all_answer_alike(&ada, &others, &workspace, &["without_vectors"]).await;
    assert_ne!(text(&next, "chunk"), text(&hit, "chunk"));

    // Vectors of two models, of different lengths, side by side; and then of the second one alone.
    choose("graph", BUILTIN_MODEL).await;
    let other = ready("other.txt", &prose(3, 500)).await;
    assert_all_answer_alike(&ada, &others, &workspace, &["without_vectors"]).await;
    assert_eq!(ada.post(&format!("/api/workspaces/{workspace}/reindex"), json!({})).await.status, 202);
    for document in [&bare, &kept, &twice, &other] {
        eventually("it is indexed anew", async || {
            (ada.read(&format!("/api/documents/{document}")).await["stale"] == false).then_some(())
        })
        .await;
    }
    assert_all_answer_alike(&ada, &others, &workspace, &[]).await;

    for (server, is_told) in [(&by_pgvector, true), (&in_memory, false), (&anew, false)] {
        assert_eq!(server.log().contains("the nearest vectors were told by pgvector"), is_told);
    }
}

/// Runs a program of the PostgreSQL of the tests.
fn postgres(program: &str, args: &[&str]) -> Output {
    let folder = std::env::var_os("INSIGHTHUB_TEST_POSTGRES_BIN").map(PathBuf::from).unwrap_or_default();
    Command::new(folder.join(program)).args(args).output().expect("it runs")
}

fn well(program: &str, args: &[&str]) {
    let out = postgres(program, args);
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

#[tokio::test]
async fn a_dump_without_pgvector_is_put_in_the_place_of_a_database_that_has_it() {
    let place = Place::postgres().await;
    let url = place.url();
    let (_, name) = url.rsplit_once('/').expect("the URL names a database");
    let any = std::env::var("INSIGHTHUB_TEST_POSTGRES_URL").expect("set by `cargo xtask test`");
    let dir = Home::new();
    let on = || Setup::new().dir(&dir).env("DATABASE_URL", url.clone());
    let mut conn = place.connect().await;
    let without = "DROP EXTENSION vector CASCADE; DROP TABLE searchable_vectors";
    conn.execute(raw_sql(without)).await.expect("the PostgreSQL of the tests has pgvector");
    conn.close().await.expect("closed");

    let mut server = on().env("INSIGHTHUB_PGVECTOR", "false").start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let kept = ada.upload_one(&workspace, "kept.txt", b"A lantern on the bridge.").await;
    ada.settled(&kept).await;
    stopped(&mut server).await;
    let dump = dir.path().join("hub.dump");
    well("pg_dump", &["--format=custom", "--file", text(&dump), "--dbname", &url]);

    // From here on there is a table that the dump does not name, and that refers to one of those that it names.
    let mut server = on().start().await;
    let ada = Client { base: server.base.clone(), ..ada };
    let late = ada.upload_one(&workspace, "late.txt", b"A ledger in the harbour.").await;
    ada.settled(&late).await;
    stopped(&mut server).await;
    let cleaned = postgres("pg_restore", &["--clean", "--if-exists", "--dbname", &url, text(&dump)]);
    assert!(!cleaned.status.success(), "the manual warns of it for nothing");

    well("dropdb", &["--maintenance-db", &any, name]);
    well("createdb", &["--maintenance-db", &any, name]);
    well("pg_restore", &["--exit-on-error", "--dbname", &url, text(&dump)]);
    let said = done(&on().args(&[]), &["restored"]);
    assert!(said.contains("new epoch"), "{said}");
    let server = on().start().await;
    // The log goes on over all lives; the first one did without.
    assert_eq!(server.log().matches("are searched by pgvector").count(), 2, "{}", server.log());
    let ada = server.sign_in("ada", PASSWORD).await;
    assert_eq!(names(&ada, &workspace).await, ["kept.txt"]);
    let again = ada.upload_one(&workspace, "again.txt", b"A ledger in the harbour.").await;
    assert_eq!(ada.settled(&again).await["status"], "ready");
}
