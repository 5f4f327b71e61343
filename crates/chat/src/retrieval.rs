//! The retriever: looks for passages as the configuration says, joins what it found with the live rows, and puts it in
//! order anew where that is asked for. Every way that found a passage leaves its score and its place beside it.

use crate::{
    bm25,
    cache::{Cached, Kept, VectorCache},
    fusion::{Ranked, fuse, sort},
    graph,
};
use async_trait::async_trait;
use domain::{
    Chunk, ChunkId, WorkspaceId,
    message::count,
    rag::{NO_CROSS_ENCODER, RerankModel, RetrieverType},
    resource::{DocumentRef, Scored, Scores, SearchHit, Warning},
};
use services::ports::{
    CrossEncoder, EmbedError, Embedder, Index, KeywordHit, Question, RetrieveError, Retrieved, Retriever,
    StoreError,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

/// How long a person waits for the vector of a question.
const QUESTION: Duration = Duration::from_secs(30);
/// Times that a search is carried out while documents are indexed anew under its hands, at most: small documents may
/// come to their end one after the other, each while a search is on its way.
const TRIES: u32 = 12;
/// What is merged, or put in order anew, is chosen from more: so many times what is wanted, and within these bounds.
const WIDER: usize = 4;
const WIDE: std::ops::RangeInclusive<usize> = 40..=200;
/// Passages that a cross-encoder is asked about, at most: it reads each of them.
const MAX_READ: usize = 100;

/// Codes of the warnings.
const RERANK_FAILED: &str = "rerank_failed";
const NOTHING_NAMED: &str = "nothing_named";
const EARLIER_MODEL: &str = "earlier_model_left_out";
const WITHOUT_VECTORS: &str = "without_vectors";

pub struct Retrieval {
    index: Arc<dyn Index>,
    embedder: Arc<dyn Embedder>,
    cross_encoder: Option<Arc<dyn CrossEncoder>>,
    vectors: VectorCache,
}

/// What was found before it is put in order anew: each way by itself, and the order that holds.
#[derive(Default)]
struct Found {
    vector: Option<Ranked>,
    keyword: Option<Ranked>,
    graph: Option<Ranked>,
    fused: Option<Ranked>,
    order: Ranked,
    warnings: Vec<Warning>,
}

/// The live rows of what was found.
type Live = HashMap<ChunkId, (Chunk, DocumentRef)>;

impl Retrieval {
    /// `cache` is the memory that vectors may take, in bytes. A workspace that is larger alone is searched by the database
    /// where that can, and read for each question where it cannot; what is found is the same.
    pub fn new(
        index: Arc<dyn Index>,
        embedder: Arc<dyn Embedder>,
        cross_encoder: Option<Arc<dyn CrossEncoder>>,
        cache: usize,
    ) -> Self {
        Self { index, embedder, cross_encoder, vectors: VectorCache::new(cache) }
    }

    async fn find(&self, question: &Question) -> Result<Found, RetrieveError> {
        let (workspace, config, text) = (question.workspace, &question.config, question.text.as_str());
        let k = config.top_k as usize;
        let rerank = config.rerank_model.filter(|_| config.rerank_enabled);
        let wide = (k * WIDER).clamp(*WIDE.start(), *WIDE.end());
        let alone = if rerank.is_some() { wide } else { k };
        let mut found = Found::default();
        match config.retriever_type {
            RetrieverType::Vector => {
                let kept = self.kept(workspace).await?;
                let vector = self.by_vector(question, &kept, alone, &mut found.warnings).await?;
                found.keyword = self.by_words_alone(question, &kept, wide, &mut found.warnings).await?;
                if let Some(keyword) = &found.keyword {
                    found.order = fuse(&[&vector, keyword], alone);
                    found.fused = Some(found.order.clone());
                } else {
                    found.order.clone_from(&vector);
                }
                found.vector = Some(vector);
            }
            RetrieverType::Keyword => {
                let keyword = self.by_keyword(workspace, text, alone).await?;
                found.order.clone_from(&keyword);
                found.keyword = Some(keyword);
            }
            RetrieverType::Hybrid => {
                let kept = self.kept(workspace).await?;
                let vector = self.by_vector(question, &kept, wide, &mut found.warnings).await?;
                let keyword = self.by_keyword(workspace, text, wide).await?;
                say_bare(&kept, &mut found.warnings);
                found.order = fuse(&[&vector, &keyword], alone);
                (found.vector, found.keyword) = (Some(vector), Some(keyword));
                found.fused = Some(found.order.clone());
            }
            RetrieverType::Graph => {
                let kept = self.kept(workspace).await?;
                let vector = self.by_vector(question, &kept, wide, &mut found.warnings).await?;
                found.keyword = self.by_words_alone(question, &kept, wide, &mut found.warnings).await?;
                let mut lists = vec![&vector];
                lists.extend(&found.keyword);
                match graph::find(&*self.index, workspace, text, wide).await? {
                    Some(graph) => {
                        lists.push(&graph);
                        found.order = fuse(&lists, alone);
                        found.fused = Some(found.order.clone());
                        found.graph = Some(graph);
                    }
                    None => {
                        if lists.len() > 1 {
                            found.order = fuse(&lists, alone);
                            found.fused = Some(found.order.clone());
                        } else {
                            found.order = vector.iter().take(alone).copied().collect();
                        }
                        found.warnings.push(warning(
                            NOTHING_NAMED,
                            "The question names nothing that the graph of this workspace knows; the passages were found \
                             by meaning alone.",
                        ));
                    }
                }
                found.vector = Some(vector);
            }
        }
        if rerank == Some(RerankModel::Rrf) {
            // What only the other order knows gets its chance as well.
            let other = match config.retriever_type {
                RetrieverType::Keyword => {
                    let kept = self.kept(workspace).await?;
                    match self.by_vector(question, &kept, wide, &mut found.warnings).await {
                        Ok(vector) => found.vector = Some(vector),
                        Err(RetrieveError::Embed(error)) => {
                            tracing::warn!(workspace_id = %workspace, %error, "no order anew was made");
                            let sentence = "The embedding model cannot be asked now.";
                            found.warnings.push(as_found(sentence));
                        }
                        Err(e) => return Err(e),
                    }
                    &found.vector
                }
                hybrid_or_other => {
                    if hybrid_or_other != RetrieverType::Hybrid {
                        found.keyword = Some(self.by_keyword(workspace, text, wide).await?);
                    }
                    &found.keyword
                }
            };
            for (id, score) in other.iter().flatten() {
                if found.order.iter().all(|(known, _)| known != id) {
                    found.order.push((*id, *score));
                }
            }
        }
        Ok(found)
    }

    /// The order anew, with the scores that it goes by; `None` where it is not asked for, or could not be made.
    async fn rerank(
        &self,
        question: &Question,
        found: &mut Found,
        live: &Live,
    ) -> Result<Option<Ranked>, RetrieveError> {
        let config = &question.config;
        let passages: Vec<(ChunkId, &Chunk)> =
            found.order.iter().filter_map(|(id, _)| Some((*id, &live.get(id)?.0))).collect();
        let mut ranked: Ranked = match config.rerank_model.filter(|_| config.rerank_enabled) {
            None => return Ok(None),
            Some(RerankModel::Rrf) => {
                let own = match config.retriever_type {
                    RetrieverType::Keyword => found.keyword.as_ref(),
                    // It is merged already, from these two: the words would count twice.
                    RetrieverType::Hybrid => found.vector.as_ref(),
                    _ => found.fused.as_ref().or(found.vector.as_ref()),
                };
                let other = match config.retriever_type {
                    RetrieverType::Keyword => found.vector.as_ref(),
                    _ => found.keyword.as_ref(),
                };
                // Without the other order there is nothing to merge.
                let Some(other) = other else { return Ok(None) };
                let lists: Vec<&Ranked> = own.into_iter().chain([other]).collect();
                fuse(&lists, usize::MAX)
            }
            Some(RerankModel::Bm25) => {
                let terms = bm25::terms(&question.text);
                let corpus = self.index.corpus(question.workspace, &terms).await?;
                let texts: Vec<(String, u32)> =
                    passages.iter().map(|(_, c)| (with_heading(c), c.token_count)).collect();
                let scores = bm25::scores(&terms, &corpus, &texts);
                passages.iter().map(|(id, _)| *id).zip(scores).collect()
            }
            Some(RerankModel::CrossEncoder) => {
                let read = &passages[..passages.len().min(MAX_READ)];
                let texts: Vec<String> = read.iter().map(|(_, c)| with_heading(c)).collect();
                let told = match &self.cross_encoder {
                    _ if texts.is_empty() => Ok(vec![]),
                    Some(model) => model.rerank(&question.text, &texts).await.map_err(|e| e.sentence),
                    None => Err(NO_CROSS_ENCODER.to_owned()),
                };
                match told {
                    Ok(scores) => read.iter().map(|(id, _)| *id).zip(scores).collect(),
                    Err(sentence) => {
                        tracing::warn!(workspace_id = %question.workspace, sentence, "no order anew was made");
                        found.warnings.push(as_found(&sentence));
                        return Ok(None);
                    }
                }
            }
        };
        ranked.retain(|(id, _)| live.contains_key(id));
        // Stable: equals stay in the order in which they were found.
        match config.rerank_model {
            Some(RerankModel::Rrf) => sort(&mut ranked),
            _ => ranked.sort_by(|a, b| b.1.total_cmp(&a.1)),
        }
        Ok(Some(ranked))
    }

    async fn by_keyword(&self, workspace: WorkspaceId, text: &str, k: usize) -> Result<Ranked, StoreError> {
        let hits = self.index.keyword(workspace, text, u32::try_from(k).unwrap_or(u32::MAX)).await?;
        Ok(hits.into_iter().map(scaled).collect())
    }

    /// The passages whose embedding was left out, found by their words; `None` where there is no such passage.
    async fn by_words_alone(
        &self,
        question: &Question,
        kept: &Kept,
        k: usize,
        warnings: &mut Vec<Warning>,
    ) -> Result<Option<Ranked>, StoreError> {
        if !say_bare(kept, warnings) {
            return Ok(None);
        }
        let mut found = self.by_keyword(question.workspace, &question.text, k).await?;
        match kept {
            Kept::Vectors(cached) => cached.keep_bare(&mut found),
            Kept::Outline(_) => {
                let ids: Vec<ChunkId> = found.iter().map(|(id, _)| *id).collect();
                let bare: HashSet<ChunkId> = self.index.without_vectors(&ids).await?.into_iter().collect();
                found.retain(|(id, _)| bare.contains(id));
            }
        }
        Ok(Some(found))
    }

    async fn by_vector(
        &self,
        question: &Question,
        kept: &Kept,
        k: usize,
        warnings: &mut Vec<Warning>,
    ) -> Result<Ranked, RetrieveError> {
        let workspace = question.workspace;
        let wanted = question.config.embedding_model.as_str();
        let mut lists: Vec<Ranked> = vec![];
        let mut read = None;
        for model in kept.models() {
            let embedding = self.embedder.embed(&model, vec![question.text.clone()]);
            let embedded = tokio::time::timeout(QUESTION, embedding).await.unwrap_or_else(|_| {
                Err(EmbedError::Unreachable("The embedding model does not answer in time.".to_owned()))
            });
            let vector = match embedded.map(|mut vectors| vectors.pop()) {
                Ok(Some(vector)) => vector,
                Ok(None) => continue,
                Err(error) if *model != *wanted => {
                    // Its documents are stale, and marked so.
                    tracing::warn!(workspace_id = %workspace, %model, %error, "passages of an earlier model are left out");
                    warnings.push(warning(
                        EARLIER_MODEL,
                        format!(
                            "Documents that were embedded with {model} were left out: it cannot be asked now."
                        ),
                    ));
                    continue;
                }
                Err(e) => return Err(e.into()),
            };
            let scanned = match kept {
                Kept::Vectors(cached) => cached.clone(),
                Kept::Outline(_) => self.few(workspace, &model, &vector, k, &mut read).await?,
            };
            // A scan of a large workspace is work for milliseconds; it must not hold up the sockets.
            let found = tokio::task::spawn_blocking(move || scanned.nearest(&model, &vector, k))
                .await
                .map_err(|e| RetrieveError::Broken { what: "vector search", cause: Box::new(e) })?;
            lists.push(found);
        }
        Ok(match lists.len() {
            0 => vec![],
            1 => lists.remove(0),
            // Similarities of two models have no common scale; their orders have.
            _ => fuse(&lists.iter().collect::<Vec<_>>(), k),
        })
    }

    /// Vectors of the database among which are the `k` nearest; the order and the scores are made here in any case.
    /// Where it cannot tell them, all of them, which are `read` once for a question.
    async fn few(
        &self,
        workspace: WorkspaceId,
        model: &str,
        query: &[f32],
        k: usize,
        read: &mut Option<Arc<Cached>>,
    ) -> Result<Arc<Cached>, StoreError> {
        if let Some(all) = read {
            return Ok(all.clone());
        }
        let nearest = u32::try_from(k).unwrap_or(u32::MAX);
        if let Some(few) = self.index.candidates(workspace, model, query, nearest).await? {
            return Ok(Arc::new(Cached::new(0, few, 0)));
        }
        let (version, vectors) = self.index.vectors(workspace).await?;
        let all = Arc::new(Cached::new(version, vectors, 0));
        *read = Some(all.clone());
        Ok(all)
    }

    async fn kept(&self, workspace: WorkspaceId) -> Result<Kept, StoreError> {
        let version = self.index.index_version(workspace).await?;
        if let Some(kept) = self.vectors.get(workspace, version) {
            return Ok(kept);
        }
        if let Some(outline) = self.index.outline(workspace, self.vectors.budget()).await? {
            let kept = Kept::Outline(Arc::new(outline));
            self.vectors.put(workspace, kept.clone());
            return Ok(kept);
        }
        let (version, vectors) = self.index.vectors(workspace).await?;
        // Of a later version, perhaps; then what is kept here serves one question more, and no other.
        let passages = self.index.corpus(workspace, &[]).await?.passages;
        let kept = Kept::Vectors(Arc::new(Cached::new(version, vectors, passages)));
        self.vectors.put(workspace, kept.clone());
        Ok(kept)
    }
}

#[async_trait]
impl Retriever for Retrieval {
    async fn retrieve(&self, question: &Question) -> Result<Retrieved, RetrieveError> {
        let mut tries = TRIES;
        loop {
            let version = self.index.index_version(question.workspace).await?;
            let mut found = self.find(question).await?;
            let ids: Vec<ChunkId> = found.order.iter().map(|(id, _)| *id).collect();
            let mut live: Live = HashMap::new();
            for (chunk, document) in self.index.hits(question.user, &ids).await? {
                live.insert(chunk.id, (chunk, document));
            }
            tries -= 1;
            // A document that was indexed anew in between has other passages now: what it lost here, it has there.
            let is_torn = live.len() < ids.len() && tries > 0;
            if is_torn && self.index.index_version(question.workspace).await? != version {
                continue;
            }
            let reranked = self.rerank(question, &mut found, &live).await?;
            return Ok(shown(found, reranked, live, question.config.top_k as usize));
        }
    }

    fn forget(&self, workspace: WorkspaceId) {
        self.vectors.forget(workspace);
    }

    async fn cross_encoder(&self) -> (bool, String) {
        match &self.cross_encoder {
            Some(model) => model.state().await,
            None => (false, NO_CROSS_ENCODER.to_owned()),
        }
    }
}

/// The best of what is live, each with its scores.
fn shown(found: Found, reranked: Option<Ranked>, mut live: Live, top_k: usize) -> Retrieved {
    let columns = [&found.vector, &found.keyword, &found.graph, &found.fused, &reranked].map(places);
    let order = reranked.as_ref().unwrap_or(&found.order);
    let hits = order.iter().filter_map(|(id, score)| {
        let (chunk, document) = live.remove(id)?;
        let [vector, keyword, graph, fused, rerank] = std::array::from_fn(|n| columns[n].get(id).copied());
        let scores = Scores { vector, keyword, graph, fused, rerank };
        Some(SearchHit { chunk, document, score: *score, scores })
    });
    Retrieved { hits: hits.take(top_k).collect(), warnings: found.warnings }
}

fn places(ranked: &Option<Ranked>) -> HashMap<ChunkId, Scored> {
    let places = (1..).zip(ranked.iter().flatten());
    places.map(|(rank, (id, score))| (*id, Scored { score: *score, rank })).collect()
}

/// Ranks have no scale of their own; r/(1+r) puts them between 0 and 1 without changing their order.
fn scaled(hit: KeywordHit) -> (ChunkId, f64) {
    let rank = hit.rank.max(0.0);
    (hit.chunk_id, rank / (1.0 + rank))
}

fn with_heading(chunk: &Chunk) -> String {
    match &chunk.heading {
        Some(heading) => format!("{heading}\n{}", chunk.text),
        None => chunk.text.clone(),
    }
}

/// Says of passages without vectors how they are found; whether there are any.
fn say_bare(kept: &Kept, warnings: &mut Vec<Warning>) -> bool {
    let bare = kept.bare();
    if bare > 0 {
        let passages = count(bare, "passage has", "passages have");
        let sentence = format!("{passages} no vector, and only words find what stands there.");
        warnings.push(warning(WITHOUT_VECTORS, sentence));
    }
    bare > 0
}

/// No order anew was made, for that reason.
fn as_found(sentence: &str) -> Warning {
    warning(RERANK_FAILED, format!("{sentence} The passages are in the order in which they were found."))
}

fn warning(code: &str, message: impl Into<String>) -> Warning {
    Warning { code: code.to_owned(), message: message.into() }
}
