//! Finding passages: exact vector search over a cache in memory, the engine's own full text, or both merged.
//!
//! The rows are the truth: a cache is used only while its `index_version` is the workspace's, and every hit is joined
//! with the live rows, so that nothing deleted is ever served.

use crate::{
    Error, Result, Services,
    ports::{EmbedError, KeywordHit, StoreError, StoredVector},
};
use domain::{
    ChunkId, FieldErrors, UserId, WorkspaceId,
    rag::{RagConfig, RerankModel, RetrieverType},
    resource::SearchHit,
};
use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Longest query, in characters.
pub const MAX_QUERY: usize = 1_000;
/// Constant of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009).
const RRF_K: f64 = 60.0;

/// How long a person waits for the vector of a question.
const QUESTION: Duration = Duration::from_secs(30);
/// Times that a search is carried out while documents are indexed anew under its hands, at most: small documents may
/// come to their end one after the other, each while a search is on its way.
const TRIES: u32 = 12;
/// Passages that are ranked by their words, at most, to put others in that order.
const MAX_RANKED: u32 = 500;

/// The vectors of one workspace.
struct Cached {
    version: u64,
    /// One for each model: while documents wait to be indexed anew, those of the model before still serve.
    groups: Vec<Group>,
}

/// The vectors that one model made, one after the other.
struct Group {
    model: Arc<str>,
    dim: usize,
    ids: Vec<ChunkId>,
    data: Vec<f32>,
}

impl Cached {
    fn new(version: u64, vectors: Vec<StoredVector>) -> Self {
        let mut groups: Vec<Group> = vec![];
        for v in vectors {
            // Those of another length cannot be compared, although the model has the same name.
            let same = |g: &Group| *g.model == *v.model && g.dim == v.vector.len();
            let group = match groups.iter().position(same) {
                Some(i) => &mut groups[i],
                None => {
                    let (ids, data) = (vec![], vec![]);
                    groups.push(Group { model: v.model, dim: v.vector.len(), ids, data });
                    let last = groups.len() - 1;
                    &mut groups[last]
                }
            };
            group.ids.push(v.chunk_id);
            group.data.extend_from_slice(&v.vector);
        }
        Self { version, groups }
    }

    fn bytes(&self) -> usize {
        self.groups.iter().map(Group::bytes).sum()
    }

    /// The models that made them, each once.
    fn models(&self) -> Vec<Arc<str>> {
        let mut models: Vec<Arc<str>> = vec![];
        for group in &self.groups {
            if models.iter().all(|m| **m != *group.model) {
                models.push(group.model.clone());
            }
        }
        models
    }

    /// The `k` nearest of that model's vectors by cosine (all vectors have length 1), best first.
    fn nearest(&self, model: &str, query: &[f32], k: usize) -> Vec<(ChunkId, f64)> {
        let group = self.groups.iter().find(|g| *g.model == *model && g.dim == query.len());
        group.map_or_else(Vec::new, |g| g.nearest(query, k))
    }
}

impl Group {
    fn bytes(&self) -> usize {
        self.data.len() * size_of::<f32>() + self.ids.len() * size_of::<ChunkId>()
    }

    fn nearest(&self, query: &[f32], k: usize) -> Vec<(ChunkId, f64)> {
        if self.dim == 0 || query.len() != self.dim || k == 0 {
            return vec![];
        }
        let mut best: BinaryHeap<Worst> = BinaryHeap::with_capacity(k + 1);
        for (row, vector) in self.data.chunks_exact(self.dim).enumerate() {
            let score = dot(query, vector);
            if best.len() < k {
                best.push(Worst { score, row });
            } else if best.peek().is_some_and(|w| score > w.score) {
                best.pop();
                best.push(Worst { score, row });
            }
        }
        let mut found: Vec<_> = best.into_iter().map(|w| (self.ids[w.row], f64::from(w.score))).collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found
    }
}

/// Makes the heap give back the worst of the kept first.
struct Worst {
    score: f32,
    row: usize,
}

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.row.cmp(&other.row))
    }
}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Worst {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Worst {}

/// Eight running sums, so that the compiler can use vector registers.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for i in 0..8 {
            sums[i] += x[i] * y[i];
        }
    }
    rest + sums.iter().sum::<f32>()
}

/// Vectors of the workspaces that were searched last, within a byte budget.
pub struct VectorCache {
    budget: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<WorkspaceId, (Arc<Cached>, u64)>,
    clock: u64,
}

impl VectorCache {
    /// `budget` in bytes. A workspace that is larger alone is read for each query and not kept.
    pub fn new(budget: usize) -> Self {
        Self { budget, inner: Mutex::default() }
    }

    fn get(&self, workspace: WorkspaceId, version: u64) -> Option<Arc<Cached>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let now = inner.clock;
        let (cached, used) = inner.entries.get_mut(&workspace)?;
        if cached.version != version {
            return None;
        }
        *used = now;
        Some(cached.clone())
    }

    /// Lets go of a workspace that is being deleted.
    pub(crate) fn forget(&self, workspace: WorkspaceId) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).entries.remove(&workspace);
    }

    fn put(&self, workspace: WorkspaceId, cached: Arc<Cached>) {
        if cached.bytes() > self.budget {
            return;
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let now = inner.clock;
        inner.entries.insert(workspace, (cached, now));
        // The least recently used go first.
        while inner.entries.values().map(|(c, _)| c.bytes()).sum::<usize>() > self.budget {
            let Some(oldest) = inner.entries.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id)
            else {
                break;
            };
            inner.entries.remove(&oldest);
        }
    }
}

impl Services {
    /// Passages of the workspace's ready documents that answer `query`, best first, found as its configuration says.
    pub async fn search(
        &self,
        user: UserId,
        workspace: WorkspaceId,
        query: &str,
        top_k: Option<u32>,
    ) -> Result<Vec<SearchHit>> {
        let config =
            self.workspaces.rag_config(user, workspace).await?.ok_or(Error::NotFound("workspace"))?;
        let query = query.trim();
        let mut errors = FieldErrors::default();
        if query.is_empty() {
            errors.add("q", "Enter what to look for.");
        } else if query.chars().count() > MAX_QUERY {
            errors.add("q", format!("Use at most {MAX_QUERY} characters."));
        }
        let top_k = top_k.unwrap_or(config.top_k);
        if !(1..=50).contains(&top_k) {
            errors.add("top_k", "Use 1 to 50 passages.");
        }
        errors.check()?;
        let mut tries = TRIES;
        loop {
            let version = self.index.index_version(workspace).await?;
            let found = self.find(workspace, &config, query, top_k).await?;
            let ids: Vec<ChunkId> = found.iter().map(|(id, _)| *id).collect();
            let mut live: HashMap<ChunkId, _> =
                self.index.hits(user, &ids).await?.into_iter().map(|(c, d)| (c.id, (c, d))).collect();
            tries -= 1;
            // A document that was indexed anew in between has other passages now: what it lost here, it has there.
            if live.len() < ids.len() && tries > 0 && self.index.index_version(workspace).await? != version {
                continue;
            }
            let hits = found.into_iter().filter_map(|(id, score)| {
                live.remove(&id).map(|(chunk, document)| SearchHit { chunk, document, score })
            });
            return Ok(hits.collect());
        }
    }

    /// Passages by id, best first. Some may be gone by now.
    async fn find(
        &self,
        workspace: WorkspaceId,
        config: &RagConfig,
        query: &str,
        top_k: u32,
    ) -> Result<Vec<(ChunkId, f64)>> {
        let k = top_k as usize;
        // What is put in order anew is chosen from more.
        let rerank = config.rerank_model.filter(|_| config.rerank_enabled);
        let (wide, wide_k) = if rerank.is_some() { (top_k * 3, k * 3) } else { (top_k, k) };
        let found = match config.retriever_type {
            RetrieverType::Vector => self.by_vector(workspace, config, query, wide_k).await?,
            RetrieverType::Keyword => by_keyword(self.index.keyword(workspace, query, wide).await?),
            RetrieverType::Hybrid => {
                let vector = self.by_vector(workspace, config, query, k * 3).await?;
                let keyword = by_keyword(self.index.keyword(workspace, query, top_k * 3).await?);
                fuse(&[vector, keyword], wide_k)
            }
            RetrieverType::Graph => {
                return Err(Error::problem(
                    422,
                    "retriever_unavailable",
                    "This server cannot search by graph yet.",
                ));
            }
        };
        Ok(match rerank {
            None => found,
            Some(RerankModel::Rrf) => {
                fuse(&[found, by_keyword(self.index.keyword(workspace, query, wide).await?)], k)
            }
            Some(RerankModel::Bm25) => {
                by_rank(found, by_keyword(self.index.keyword(workspace, query, MAX_RANKED).await?), k)
            }
            Some(RerankModel::CrossEncoder) => {
                return Err(Error::problem(
                    422,
                    "reranker_unavailable",
                    "This server has no cross-encoder model.",
                ));
            }
        })
    }

    async fn by_vector(
        &self,
        workspace: WorkspaceId,
        config: &RagConfig,
        query: &str,
        k: usize,
    ) -> Result<Vec<(ChunkId, f64)>> {
        let cached = self.cached(workspace).await?;
        let wanted = config.embedding_model.as_str();
        let mut lists = vec![];
        for model in cached.models() {
            let embedding = self.embedder.embed(&model, vec![query.to_owned()]);
            let embedded = tokio::time::timeout(QUESTION, embedding).await.unwrap_or_else(|_| {
                Err(EmbedError::Unreachable("The embedding model does not answer in time.".to_owned()))
            });
            let vector = match embedded.map(|mut vectors| vectors.pop()) {
                Ok(Some(vector)) => vector,
                Ok(None) => continue,
                Err(error) if *model != *wanted => {
                    // Its documents are stale, and marked so.
                    tracing::warn!(%workspace, %model, %error, "passages of an earlier model are left out");
                    continue;
                }
                Err(e) => return Err(e.into()),
            };
            let scanned = cached.clone();
            // A scan of a large workspace is work for milliseconds; it must not hold up the sockets.
            let found = tokio::task::spawn_blocking(move || scanned.nearest(&model, &vector, k))
                .await
                .map_err(|e| Error::Internal { what: "vector search", cause: Box::new(e) })?;
            lists.push(found);
        }
        Ok(match lists.len() {
            0 => vec![],
            1 => lists.remove(0),
            // Similarities of two models have no common scale; their orders have.
            _ => fuse(&lists, k),
        })
    }

    async fn cached(&self, workspace: WorkspaceId) -> std::result::Result<Arc<Cached>, StoreError> {
        let version = self.index.index_version(workspace).await?;
        if let Some(cached) = self.vectors.get(workspace, version) {
            return Ok(cached);
        }
        let (version, vectors) = self.index.vectors(workspace).await?;
        let cached = Arc::new(Cached::new(version, vectors));
        self.vectors.put(workspace, cached.clone());
        Ok(cached)
    }
}

/// Ranks have no scale of their own; r/(1+r) puts them between 0 and 1 without changing their order.
fn by_keyword(hits: Vec<KeywordHit>) -> Vec<(ChunkId, f64)> {
    hits.into_iter().map(|h| (h.chunk_id, h.rank.max(0.0) / (1.0 + h.rank.max(0.0)))).collect()
}

/// What was found, in the order of its words; what shares none with the question comes last, in the order it had.
fn by_rank(found: Vec<(ChunkId, f64)>, keyword: Vec<(ChunkId, f64)>, k: usize) -> Vec<(ChunkId, f64)> {
    let ranks: HashMap<ChunkId, f64> = keyword.into_iter().collect();
    let mut ranked: Vec<(ChunkId, f64)> =
        found.into_iter().map(|(id, _)| (id, ranks.get(&id).copied().unwrap_or(0.0))).collect();
    // Stable: equals stay in order.
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked.truncate(k);
    ranked
}

/// Reciprocal rank fusion, scaled so that the first place in every list is 1.
fn fuse(lists: &[Vec<(ChunkId, f64)>], k: usize) -> Vec<(ChunkId, f64)> {
    let mut scores: HashMap<ChunkId, f64> = HashMap::new();
    for list in lists {
        for (place, (id, _)) in list.iter().enumerate() {
            *scores.entry(*id).or_default() +=
                (RRF_K + 1.0) / (RRF_K + 1.0 + place as f64) / lists.len() as f64;
        }
    }
    let mut fused: Vec<_> = scores.into_iter().collect();
    fused.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    fused.truncate(k);
    fused
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn id(n: usize) -> ChunkId {
        ChunkId::new(Uuid::from_u128(n as u128 + 1))
    }

    fn stored(n: usize, model: &str, vector: Vec<f32>) -> StoredVector {
        StoredVector { chunk_id: id(n), model: model.into(), vector }
    }

    #[test]
    fn vectors_of_two_models_are_never_compared() {
        let cached = Cached::new(
            1,
            vec![
                stored(1, "old", vec![1.0, 0.0]),
                stored(2, "new", vec![1.0, 0.0]),
                stored(3, "new", vec![0.0, 1.0]),
                stored(4, "new", vec![1.0, 0.0, 0.0]),
            ],
        );
        let ids = |model| cached.nearest(model, &[0.0, 1.0], 9).into_iter().map(|f| f.0).collect::<Vec<_>>();
        assert_eq!(ids("new"), [id(3), id(2)]);
        assert_eq!(ids("old"), [id(1)]);
        assert!(ids("another").is_empty());
        assert!(cached.nearest("old", &[1.0, 0.0, 0.0], 9).is_empty(), "another length");
        assert_eq!(cached.nearest("new", &[1.0, 0.0, 0.0], 9).len(), 1);
        assert_eq!(cached.models(), ["old".into(), "new".into()] as [Arc<str>; 2]);
    }

    #[test]
    fn the_order_of_words_leaves_the_rest_as_it_was() {
        let found = vec![(id(1), 0.9), (id(2), 0.8), (id(3), 0.7), (id(4), 0.6)];
        let keyword = vec![(id(9), 0.9), (id(3), 0.5), (id(2), 0.4)];
        let ids = |k| by_rank(found.clone(), keyword.clone(), k).into_iter().map(|f| f.0).collect::<Vec<_>>();
        assert_eq!(ids(9), [id(3), id(2), id(1), id(4)]);
        assert_eq!(ids(2), [id(3), id(2)]);
    }

    fn unit(v: Vec<f32>) -> Vec<f32> {
        let norm = v.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
        v.into_iter().map(|x| x / norm).collect()
    }

    proptest! {
        #[test]
        fn the_nearest_are_those_of_a_full_sort(
            vectors in prop::collection::vec(prop::collection::vec(-1.0f32..1.0, 11), 0..60),
            query in prop::collection::vec(-1.0f32..1.0, 11),
            k in 0usize..20,
        ) {
            let query = unit(query);
            let vectors: Vec<Vec<f32>> = vectors.into_iter().map(unit).collect();
            let rows = vectors.iter().enumerate().map(|(n, v)| stored(n, "m", v.clone()));
            let found = Cached::new(1, rows.collect()).nearest("m", &query, k);
            let mut all: Vec<f32> = vectors.iter().map(|v| dot(&query, v)).collect();
            all.sort_by(|a, b| b.total_cmp(a));
            prop_assert_eq!(found.len(), k.min(vectors.len()));
            for (got, want) in found.iter().zip(all) {
                prop_assert!((got.1 - f64::from(want)).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn what_both_lists_know_comes_first() {
        let a = vec![(id(1), 0.9), (id(2), 0.8), (id(3), 0.7)];
        let b = vec![(id(3), 5.0), (id(4), 4.0)];
        let fused = fuse(&[a, b], 10);
        assert_eq!(fused[0].0, id(3));
        assert_eq!(fused.len(), 4);
        assert!(fused[0].1 <= 1.0);
    }

    #[test]
    fn the_cache_keeps_its_budget_and_forgets_an_old_version() {
        let make = |version| Arc::new(Cached::new(version, vec![stored(1, "m", vec![1.0; 100])]));
        let workspace = |n| WorkspaceId::new(Uuid::from_u128(n));
        let cache = VectorCache::new(1_000);
        for n in 0..5 {
            cache.put(workspace(n), make(1));
        }
        assert!(cache.get(workspace(4), 1).is_some());
        assert!(cache.get(workspace(0), 1).is_none(), "the oldest had to go");
        assert!(cache.get(workspace(4), 2).is_none(), "another version is another index");
    }
}
