//! A sample text, cut by the chunker of the pipeline.

use super::*;

#[tokio::test]
async fn a_preview_is_cut_by_the_chunker_of_the_pipeline() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let text = String::from_utf8(fixture("glossary.txt")).expect("text");
    for strategy in ["sentence", "character", "token", "markdown", "semantic"] {
        let cut = json!({ "chunking_strategy": strategy, "chunk_size": 150, "chunk_overlap": 30 });
        let text: String =
            if strategy == "semantic" { text.chars().take(3_000).collect() } else { text.clone() };
        saved(&ada, &config_of(&workspace), cut.clone()).await;
        let id = ada.upload_one(&workspace, "glossary.txt", text.as_bytes()).await;
        let document = ada.settled(&id).await;
        assert_eq!(document["indexed_with"]["chunking_strategy"], strategy);
        let chunks = ada.read(&format!("/api/documents/{id}/chunks?limit=200")).await["items"].clone();
        let preview = ada.post("/api/rag/preview", with(cut, json!({ "text": text }))).await.json();
        let (chunks, previewed) =
            (chunks.as_array().expect("items"), preview["chunks"].as_array().expect("chunks"));
        assert_eq!(preview["count"], document["chunk_count"], "{strategy}");
        for (n, (chunk, previewed)) in chunks.iter().zip(previewed).enumerate() {
            assert_eq!(previewed["ordinal"], n);
            assert_eq!(chunk["text"], previewed["text"], "{strategy}");
            assert_eq!(chunk["token_count"], previewed["tokens"]);
            let chars = previewed["text"].as_str().expect("a text").chars().count();
            assert_eq!(previewed["chars"], chars);
            let size = if strategy == "token" { previewed["tokens"].as_u64() } else { Some(chars as u64) };
            assert!(size <= Some(150), "{strategy}: {previewed}");
        }
    }
}

#[tokio::test]
async fn a_preview_tells_what_is_wrong_with_the_cut_and_the_text_alone() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let preview = async |body: Value| ada.post("/api/rag/preview", body).await;
    // How passages are found does not matter here.
    let odd =
        json!({ "text": "One. Two.", "top_k": 0, "retriever_type": "graph", "embedding_model": "no such" });
    assert_eq!(preview(odd).await.json()["count"], 1);
    let wrong = json!({ "text": "", "chunk_size": 99, "chunking_strategy": "magic", "top_k": 0 });
    let problem = preview(wrong).await.problem(422, "invalid");
    let fields: Vec<&String> = problem["errors"].as_object().expect("errors").keys().collect();
    assert_eq!(fields, ["chunk_size", "chunking_strategy", "text"]);
    for (text, said) in [
        (json!(" \n "), "Enter some text."),
        (json!("a ".repeat(50_001)), "Use at most 100 kB of text."),
        (json!(7), "Send a text."),
        (Value::Null, "Send a text."),
    ] {
        let problem = preview(json!({ "text": text })).await.problem(422, "invalid");
        assert_eq!(messages(&problem, "text"), [said]);
    }
    let problem = preview(json!({})).await.problem(422, "invalid");
    assert_eq!(messages(&problem, "text"), ["This field is required."]);
    let long = json!({ "text": "a ".repeat(10_001), "chunking_strategy": "semantic" });
    assert_eq!(
        messages(&preview(long).await.problem(422, "invalid"), "text"),
        ["Use at most 20 kB of text."]
    );
    assert_eq!(preview(json!({ "text": "a ".repeat(49_999) })).await.status, 200);
    server.visitor().post("/api/rag/preview", json!({ "text": "a" })).await.problem(401, "unauthorized");
}
