//! A question with the passages that it finds and the score of each way of looking; the test cases, and what became of
//! them when they are all tried. Figures are worded here, so that the page only shows them.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{ChunkId, DocumentId, WorkspaceId, rag::RagChoice};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// What a page of it needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RetrievalPage {
    /// Of the workspace.
    pub name: String,
    pub question: String,
    /// What it was tried with: the names of retriever and order anew, and how many passages.
    pub retriever: String,
    pub rerank: String,
    pub top_k: String,
    pub retrievers: Vec<RagChoice>,
    pub reranks: Vec<RagChoice>,
    /// What holds as it is saved: said when something else is tried.
    pub saved: Option<String>,
    /// What was wrong with the question, or could not be done.
    pub trouble: Vec<String>,
    pub hits: Vec<TriedHit>,
    pub cases: Vec<TriedCase>,
    /// What came of all cases together.
    pub verdict: Option<String>,
}

/// A passage that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriedHit {
    pub document: DocumentId,
    pub chunk: ChunkId,
    pub filename: String,
    /// Where it stands in the document.
    pub place: String,
    pub text: String,
    /// By meaning, words, graph, merged, and anew: score and place, or nothing.
    pub columns: Vec<String>,
}

/// A question with what has to be found for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriedCase {
    pub id: String,
    pub question: String,
    /// The document, and how the passage begins.
    pub wanted: String,
    /// Whether it was found; `None`: it was not tried.
    pub passed: Option<bool>,
    /// Its place, in words.
    pub outcome: String,
}

/// `retriever`, `rerank` and `top_k` are tried in place of what is saved, where they are given; `run`: all cases are tried
/// with them.
#[server(prefix = "/_fn", endpoint = "retrieval/read", output = Answer)]
pub async fn read_retrieval(
    id: WorkspaceId,
    #[server(default)] question: String,
    #[server(default)] retriever: String,
    #[server(default)] rerank: String,
    #[server(default)] top_k: String,
    #[server(default)] run: bool,
) -> Result<Wire<RetrievalPage>, AppError> {
    use crate::ssr::{self, told};
    use domain::rag::{RagForm, RagOptions};
    use serde_json::Value;
    let (services, who) = ssr::signed_in()?;
    let user = who.user.id;
    let workspace = services.workspace(user, id).await.map_err(told)?;
    let saved = services.workspace_rag_config(user, id).await.map_err(told)?.config;
    let RagOptions { retriever_types, rerank_models, .. } = services.rag_options().await;
    let mut form = RagForm::default();
    let mut put = |name: &str, value: Value| form.0.insert(name.to_owned(), value);
    if !retriever.is_empty() {
        put("retriever_type", retriever.as_str().into());
    }
    if !rerank.is_empty() {
        put("rerank_model", if rerank == NONE { Value::Null } else { rerank.as_str().into() });
    }
    if !top_k.is_empty() {
        put("top_k", top_k.parse::<u32>().map_or_else(|_| top_k.as_str().into(), Value::from));
    }
    let own = (saved.retriever_type.to_string(), worded(&saved), saved.top_k.to_string());
    let mut page = RetrievalPage {
        name: workspace.name,
        question: question.trim().to_owned(),
        retriever: if retriever.is_empty() { own.0.clone() } else { retriever },
        rerank: if rerank.is_empty() { own.1.clone() } else { rerank },
        top_k: if top_k.is_empty() { own.2.clone() } else { top_k },
        retrievers: retriever_types,
        reranks: rerank_models,
        ..RetrievalPage::default()
    };
    let is_saved = (&page.retriever, &page.rerank, &page.top_k) == (&own.0, &own.1, &own.2);
    page.saved = (!is_saved)
        .then(|| format!("Saved for this workspace: {}, {} passages, rerank: {}.", own.0, own.2, own.1));
    if !page.question.is_empty() {
        match services.search(user, id, &page.question, &form).await {
            Ok(tried) => {
                page.trouble.extend(tried.found.warnings.into_iter().map(|w| w.message));
                page.hits = tried.found.hits.into_iter().map(shown).collect();
            }
            Err(e) => page.trouble.extend(sentences(&e)),
        }
    }
    if run {
        match services.run_retrieval_cases(user, id, &form).await {
            Ok(run) => {
                page.verdict = Some(verdict(&run));
                page.trouble.extend(run.warnings.iter().map(|w| w.message.clone()));
                page.cases =
                    run.results.into_iter().map(|r| case(r.case, Some((r.passed, r.rank)))).collect();
            }
            Err(e) => page.trouble.extend(sentences(&e)),
        }
    }
    if page.cases.is_empty() {
        let cases = services.retrieval_cases(user, id).await.map_err(told)?;
        page.cases = cases.into_iter().map(|c| case(c, None)).collect();
    }
    Ok(Wire(page))
}

/// In the address: in the order of the retriever.
pub const NONE: &str = "none";

#[cfg(feature = "ssr")]
fn worded(config: &domain::rag::RagConfig) -> String {
    let model = config.rerank_model.filter(|_| config.rerank_enabled);
    model.map_or_else(|| NONE.to_owned(), |model| model.to_string())
}

#[cfg(feature = "ssr")]
fn sentences(error: &services::Error) -> Vec<String> {
    let problem = error.to_problem();
    let told: Vec<String> = problem.errors.iter().flat_map(|(_, all)| all.to_vec()).collect();
    if told.is_empty() { vec![problem.detail] } else { told }
}

#[cfg(feature = "ssr")]
fn shown(hit: domain::resource::SearchHit) -> TriedHit {
    let scores = hit.scores;
    let columns = [scores.vector, scores.keyword, scores.graph, scores.fused, scores.rerank];
    let place = [
        Some(format!("#{}", hit.chunk.ordinal + 1)),
        hit.chunk.heading.clone(),
        hit.chunk.page.map(|page| format!("page {page}")),
    ];
    TriedHit {
        document: hit.document.id,
        chunk: hit.chunk.id,
        filename: hit.document.filename,
        place: place.into_iter().flatten().collect::<Vec<_>>().join(" · "),
        text: hit.chunk.text.split_whitespace().collect::<Vec<_>>().join(" "),
        columns: columns
            .map(|scored| scored.map_or_else(String::new, |s| format!("{:.3} · {}", s.score, s.rank)))
            .to_vec(),
    }
}

#[cfg(feature = "ssr")]
fn case(case: domain::retrieval::RetrievalCase, outcome: Option<(bool, Option<u32>)>) -> TriedCase {
    let wanted = match &case.passage {
        Some(passage) => format!("{}: {}", case.filename, passage.excerpt),
        None => format!("{}, any passage", case.filename),
    };
    TriedCase {
        id: case.id.to_string(),
        question: case.question,
        wanted,
        passed: outcome.map(|(passed, _)| passed),
        outcome: match outcome {
            None => String::new(),
            Some((_, Some(rank))) => format!("Found at rank {rank}"),
            Some((_, None)) => "Not found".to_owned(),
        },
    }
}

#[cfg(feature = "ssr")]
fn verdict(run: &domain::retrieval::CaseRun) -> String {
    match (run.recall, run.mrr) {
        (Some(recall), Some(mrr)) => format!(
            "{} of {} passed. Recall at {}: {:.0} %. MRR: {mrr:.2}.",
            run.passed,
            run.results.len(),
            run.top_k,
            recall * 100.0
        ),
        _ => "There are no test cases yet.".to_owned(),
    }
}
