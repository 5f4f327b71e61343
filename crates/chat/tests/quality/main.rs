//! How good retrieval is, measured: a set of documents, questions with the passage that answers each, and for every
//! retriever and every order anew the share of the questions whose passage is among the first ten (recall@10) and the mean
//! of 1/rank (MRR). The table is printed, and each row has a floor below which the test fails.
//!
//! Everything is real but the network: the chunker, the rules of the graph, the built-in model, SQLite with its full text.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod library;
#[path = "../../../storage/tests/support/mod.rs"]
#[allow(dead_code, reason = "it serves other tests as well")]
mod support;

use chat::Retrieval;
use domain::rag::{RagConfig, RerankModel, RetrieverType};
use library::{Library, Model, Overlap, questions};
use services::ports::{Question, Retriever};
use std::{fmt::Write, sync::Arc};
use storage::migrate;

/// So many passages are looked at.
const AT: u32 = 10;

/// A way of finding, and what it has to reach: recall@10 and MRR.
struct Way {
    name: &'static str,
    retriever: RetrieverType,
    rerank: Option<RerankModel>,
    floor: (f64, f64),
}

const fn way(
    name: &'static str,
    retriever: RetrieverType,
    rerank: Option<RerankModel>,
    floor: (f64, f64),
) -> Way {
    Way { name, retriever, rerank, floor }
}

use RerankModel::{Bm25, CrossEncoder, Rrf};
use RetrieverType::{Graph, Hybrid, Keyword, Vector};

const WAYS: [Way; 12] = [
    way("vector", Vector, None, (0.96, 0.81)),
    way("keyword", Keyword, None, (0.86, 0.70)),
    way("hybrid", Hybrid, None, (0.94, 0.76)),
    way("graph", Graph, None, (0.95, 0.80)),
    way("vector + rrf", Vector, Some(Rrf), (0.94, 0.76)),
    way("keyword + rrf", Keyword, Some(Rrf), (0.94, 0.76)),
    way("hybrid + rrf", Hybrid, Some(Rrf), (0.94, 0.76)),
    way("vector + bm25", Vector, Some(Bm25), (0.92, 0.76)),
    way("keyword + bm25", Keyword, Some(Bm25), (0.86, 0.71)),
    way("hybrid + bm25", Hybrid, Some(Bm25), (0.87, 0.72)),
    way("graph + rrf", Graph, Some(Rrf), (0.94, 0.74)),
    way("vector + cross-encoder*", Vector, Some(CrossEncoder), (0.95, 0.72)),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_finding_keeps_its_floor() {
    let library = Library::open().await;
    let questions = questions();
    assert!(library.documents.len() >= 30 && questions.len() >= 60);
    let retrieval =
        Retrieval::new(Arc::new(library.store.clone()), Arc::new(Model), Some(Arc::new(Overlap)), 64 << 20);
    let mut table = format!(
        "{} documents, {} passages, {} questions\n\n| way | recall@{AT} | MRR |\n|---|---|---|\n",
        library.documents.len(),
        library.passages.len(),
        questions.len()
    );
    let mut short = vec![];
    for way in &WAYS {
        let config = RagConfig {
            retriever_type: way.retriever,
            rerank_enabled: way.rerank.is_some(),
            rerank_model: way.rerank,
            top_k: AT,
            ..library.config.clone()
        };
        let (mut found, mut sum, mut missed) = (0, 0.0, vec![]);
        for asked in &questions {
            let question = Question {
                user: library.user,
                workspace: library.workspace,
                text: asked.question.clone(),
                config: config.clone(),
            };
            let hits = retrieval.retrieve(&question).await.unwrap().hits;
            assert!(hits.len() <= AT as usize);
            let rank = hits.iter().position(|hit| library.answers(asked, hit.chunk.id));
            match rank {
                Some(place) => {
                    found += 1;
                    sum += 1.0 / (place + 1) as f64;
                }
                None => missed.push(asked.question.as_str()),
            }
        }
        let (recall, mrr) = (f64::from(found) / questions.len() as f64, sum / questions.len() as f64);
        writeln!(table, "| {} | {recall:.3} | {mrr:.3} |", way.name).unwrap();
        eprintln!("{}: missed {missed:?}", way.name);
        if recall < way.floor.0 || mrr < way.floor.1 {
            short.push(format!("{}: recall {recall:.3}, MRR {mrr:.3}, wanted {:?}", way.name, way.floor));
        }
    }
    println!("{table}");
    assert!(short.is_empty(), "{short:#?}\n{table}");
}
