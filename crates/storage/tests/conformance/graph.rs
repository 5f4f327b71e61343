//! The graph of a workspace: written with its passages, followed among those that searches find, and gone with them.

use crate::{
    desk::{Desk, JobSubject, new_chunk},
    on_every_database,
    subject::Database,
};
use domain::{
    ChunkId, UserId, WorkspaceId,
    graph::{ChunkGraph, EntityKind, Mention, Relation, RelationKind},
    ingest::{Checkpoint, Stage},
    rag::{RagConfig, RetrieverType},
};
use services::ports::{Claim, Index};
use std::ops::Deref;

fn by_graph() -> RagConfig {
    RagConfig { retriever_type: RetrieverType::Graph, ..RagConfig::default() }
}

fn names(entity: &str, surface: &str, times: u32) -> Mention {
    Mention {
        entity: entity.into(),
        surface: surface.into(),
        name: surface.to_uppercase(),
        kind: EntityKind::Name,
        times,
    }
}

fn says(source: &str, kind: RelationKind, target: &str) -> Relation {
    Relation { source: source.into(), kind, target: target.into() }
}

/// What three passages speak of: of Norvik and its founder, of Norvik alone by its short name, of Bergen.
fn graphs() -> Vec<ChunkGraph> {
    vec![
        ChunkGraph {
            mentions: vec![
                names("norvik marine", "norvik marine", 2),
                names("ada lovelace", "ada lovelace", 1),
            ],
            relations: vec![says("norvik marine", RelationKind::FoundedBy, "ada lovelace")],
        },
        ChunkGraph { mentions: vec![names("norvik marine", "norvik", 3)], relations: vec![] },
        ChunkGraph {
            mentions: vec![names("bergen", "bergen", 1), names("norvik marine", "norvik marine", 0)],
            relations: vec![says("bergen", RelationKind::OccursWith, "norvik marine")],
        },
    ]
}

/// A document with those passages, on its way up to `until`.
async fn put<S: JobSubject>(
    d: &Desk<S>,
    user: UserId,
    workspace: WorkspaceId,
    until: Stage,
) -> (Claim, Vec<ChunkId>) {
    d.upload(user, workspace, &["a.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work_until(&claim, 0, Stage::Chunking).await;
    let passages = (0..).zip(graphs());
    let chunks: Vec<_> = passages
        .map(|(n, graph)| domain::ingest::NewChunk {
            graph,
            ..new_chunk(d.chunk_id(), n, &format!("passage {n}"))
        })
        .collect();
    let ids = chunks.iter().map(|c| c.id).collect();
    d.check(&claim, Checkpoint::Chunked { chunks }).await.unwrap();
    d.work_until(&Claim { stage: Stage::Embedding, ..claim.clone() }, 0, until).await;
    (claim, ids)
}

fn asked(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

async fn things_are_found_by_any_of_their_names_and_followed<S: JobSubject + Deref<Target = Database>>(s: S) {
    let d = Desk::new(s);
    let user = d.s.user().await;
    let workspace = d.s.workspace(user, by_graph()).await;
    let (_, ids) = put(&d, user, workspace, Stage::Done).await;
    let index = &d.s.store;
    let found = index.entities(workspace, &asked(&["norvik", "bergen", "paris"])).await.unwrap();
    let found: Vec<_> = found.iter().map(|e| (e.entity.as_str(), e.surface.as_str(), e.passages)).collect();
    assert_eq!(found, [("bergen", "bergen", 1), ("norvik marine", "norvik", 3)]);
    // What a rule could tell comes first, either way round.
    let edges = index.edges(workspace, &asked(&["norvik marine"]), 9).await.unwrap();
    let edges: Vec<_> = edges.iter().map(|e| (e.source.as_str(), e.kind, e.target.as_str())).collect();
    assert_eq!(
        edges,
        [
            ("norvik marine", RelationKind::FoundedBy, "ada lovelace"),
            ("bergen", RelationKind::OccursWith, "norvik marine")
        ]
    );
    assert_eq!(index.edges(workspace, &asked(&["norvik marine"]), 1).await.unwrap().len(), 1);
    let mentions = index.mentions(workspace, &asked(&["norvik marine"]), 9).await.unwrap();
    let mentions: Vec<_> = mentions.iter().map(|m| (m.chunk_id, m.times)).collect();
    assert_eq!(mentions, [(ids[1], 3), (ids[0], 2), (ids[2], 0)]);
    for none in [
        index.entities(workspace, &[]).await.unwrap().len(),
        index.edges(workspace, &[], 9).await.unwrap().len(),
    ] {
        assert_eq!(none, 0);
    }
    // Another workspace knows nothing of it, nor does a document that is not ready.
    let (other, others) = d.home().await;
    assert!(index.entities(others, &asked(&["norvik"])).await.unwrap().is_empty());
    put(&d, other, others, Stage::Indexing).await;
    assert!(index.entities(others, &asked(&["norvik"])).await.unwrap().is_empty());
}

async fn a_graph_goes_with_its_passages<S: JobSubject + Deref<Target = Database>>(s: S) {
    let d = Desk::new(s);
    let user = d.s.user().await;
    let workspace = d.s.workspace(user, by_graph()).await;
    let (claim, ids) = put(&d, user, workspace, Stage::Done).await;
    let mut conn = d.s.place.connect().await;
    let count = "SELECT (SELECT COUNT(*) FROM chunk_entities) + (SELECT COUNT(*) FROM chunk_relations)";
    let all: i64 = sqlx::query_scalar(count).fetch_one(&mut conn).await.unwrap();
    assert_eq!(all, 7);
    let sql = format!("UPDATE chunks SET enabled = 0 WHERE id = '{}'", ids[0]);
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    let index = &d.s.store;
    assert!(
        index.entities(workspace, &asked(&["ada lovelace"])).await.unwrap().is_empty(),
        "not of a disabled one"
    );
    let sql = format!("DELETE FROM documents WHERE id = '{}'", claim.document_id);
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    let left: i64 = sqlx::query_scalar(count).fetch_one(&mut conn).await.unwrap();
    assert_eq!(left, 0);
}

async fn a_document_without_a_graph_is_stale_where_one_is_wanted<S: JobSubject + Deref<Target = Database>>(
    s: S,
) {
    use services::ports::RagConfigs;
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    d.upload(user, workspace, &["a.txt"]).await;
    let claim = d.claim_one("w").await;
    d.work(&claim, 2).await;
    let store = &d.s.store;
    assert_eq!(store.stale_documents(user, workspace, &by_graph()).await.unwrap().len(), 1);
    store.set_rag_config(user, workspace, by_graph(), d.now()).await.unwrap();
    assert_eq!(d.jobs.compare(workspace, 9, d.now()).await.unwrap(), 1);
    assert!(d.document(user, claim.document_id).await.stale);
    // The other way round nothing is missing.
    let (_, others) = (0, d.s.workspace(user, by_graph()).await);
    let (_, _) = put(&d, user, others, Stage::Done).await;
    assert!(store.stale_documents(user, others, &RagConfig::default()).await.unwrap().is_empty());
    assert!(store.stale_documents(user, others, &by_graph()).await.unwrap().is_empty());
}

async fn a_corpus_counts_what_searches_find<S: JobSubject + Deref<Target = Database>>(s: S) {
    let d = Desk::new(s);
    let (user, workspace) = d.home().await;
    let index = &d.s.store;
    let empty = index.corpus(workspace, &asked(&["passage"])).await.unwrap();
    assert_eq!((empty.passages, empty.tokens, empty.with_word), (0, 0, vec![0]));
    put(&d, user, workspace, Stage::Done).await;
    let corpus = index.corpus(workspace, &asked(&["passages", "2", "no such", "\"", "the"])).await.unwrap();
    assert_eq!((corpus.passages, corpus.tokens), (3, 20 + 21 + 22));
    assert_eq!(corpus.with_word[..4], [3, 1, 0, 0], "in any form of the word");
}

async fn what_a_model_read_is_kept_beside_what_the_rules_found<S: JobSubject + Deref<Target = Database>>(
    s: S,
) {
    let d = Desk::new(s);
    let user = d.s.user().await;
    let workspace = d.s.workspace(user, by_graph()).await;
    let (claim, ids) = put(&d, user, workspace, Stage::Indexing).await;
    let id = claim.document_id;
    let unread = d.jobs.unread(id, 2).await.unwrap();
    let of =
        |unread: &services::ports::Unread| (unread.passages.len(), unread.all, unread.asked, unread.in_vain);
    assert_eq!(of(&unread), (2, 3, 0, 0));
    assert_eq!(unread.passages[0].chunk.id, ids[0]);
    assert_eq!(unread.passages[1].known["norvik"], "norvik marine");
    let read = ChunkGraph {
        // The first of them the rules found as well.
        mentions: vec![names("norvik marine", "norvik marine", 9), names("harbour", "harbour", 1)],
        relations: vec![says("norvik marine", RelationKind::LocatedIn, "harbour")],
    };
    let checkpoint = Checkpoint::Read { passage: ids[0], graph: Some(read), asked: 1 };
    d.check(&claim, checkpoint.clone()).await.unwrap();
    // A passage is read once.
    d.check(&claim, Checkpoint::Read { passage: ids[0], graph: None, asked: 1 }).await.unwrap();
    d.check(&claim, Checkpoint::Read { passage: ids[1], graph: None, asked: 2 }).await.unwrap();
    // One that is of no run of this document is nobody's.
    d.check(&claim, Checkpoint::Read { passage: d.chunk_id(), graph: None, asked: 2 }).await.unwrap();
    let unread = d.jobs.unread(id, 9).await.unwrap();
    assert_eq!((of(&unread), unread.passages[0].chunk.id), ((1, 3, 2, 1), ids[2]));
    let document = d.document(user, id).await;
    assert_eq!(document.metadata["read_chunks"], 2);
    assert_eq!(document.message.as_deref(), Some("Adding context to your data: 2 of 3 chunks…"));
    d.check(&claim, Checkpoint::ByRules { passages: 2 }).await.unwrap();
    let codes =
        |document: &domain::Document| document.warnings.iter().map(|w| w.code.clone()).collect::<Vec<_>>();
    assert_eq!(codes(&d.document(user, id).await), ["graph_by_rules"]);
    d.check(&claim, Checkpoint::ByRules { passages: 0 }).await.unwrap();
    assert!(codes(&d.document(user, id).await).is_empty());
    d.check(&claim, Checkpoint::Indexed).await.unwrap();
    assert!(d.check(&claim, checkpoint).await.is_err(), "it is through");
    let index = &d.s.store;
    let edges = index.edges(workspace, &asked(&["harbour"]), 9).await.unwrap();
    assert_eq!(
        edges.iter().map(|e| (e.kind, e.passages)).collect::<Vec<_>>(),
        [(RelationKind::LocatedIn, 1)]
    );
    let mentions = index.mentions(workspace, &asked(&["norvik marine"]), 9).await.unwrap();
    assert!(mentions.contains(&services::ports::GraphMention {
        chunk_id: ids[0],
        entity: "norvik marine".into(),
        times: 2
    }));
    d.assert_that_the_stream_told_the_truth(user).await;
}

on_every_database!(
    what_a_model_read_is_kept_beside_what_the_rules_found,
    things_are_found_by_any_of_their_names_and_followed,
    a_graph_goes_with_its_passages,
    a_document_without_a_graph_is_stale_where_one_is_wanted,
    a_corpus_counts_what_searches_find,
);
