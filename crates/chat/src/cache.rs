//! The vectors of workspaces in memory, searched exactly: a cache that is used only while its `index_version` is the
//! workspace's. Of a workspace that the database searches, since it is too large, there is only what one has to know of it.

use crate::fusion::Ranked;
use domain::{ChunkId, WorkspaceId};
use services::ports::{Outline, StoredVector};
use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

/// The vectors of one workspace.
pub(crate) struct Cached {
    version: u64,
    /// One for each model: while documents wait to be indexed anew, those of the model before still serve.
    groups: Vec<Group>,
    /// Passages that have none, since their embedding was left out.
    bare: u64,
}

/// The vectors that one model made, one after the other.
struct Group {
    model: Arc<str>,
    dim: usize,
    ids: Vec<ChunkId>,
    data: Vec<f32>,
}

impl Cached {
    /// `passages`: how many there are, with vectors and without.
    pub(crate) fn new(version: u64, vectors: Vec<StoredVector>, passages: u64) -> Self {
        let bare = passages.saturating_sub(vectors.len() as u64);
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
        Self { version, groups, bare }
    }

    /// Keeps those of the passages that have no vector.
    pub(crate) fn keep_bare(&self, found: &mut Ranked) {
        let mut bare: HashSet<ChunkId> = found.iter().map(|(id, _)| *id).collect();
        for id in self.groups.iter().flat_map(|group| &group.ids) {
            bare.remove(id);
        }
        found.retain(|(id, _)| bare.contains(id));
    }

    fn bytes(&self) -> usize {
        self.groups.iter().map(Group::bytes).sum()
    }

    fn models(&self) -> Vec<Arc<str>> {
        let mut models: Vec<Arc<str>> = self.groups.iter().map(|group| group.model.clone()).collect();
        models.sort_unstable();
        models.dedup();
        models
    }

    /// The `k` nearest of that model's vectors by cosine (all vectors have length 1), best first. Of those that are
    /// equally near the ones with the smaller ids count as nearer, in whatever order they were read.
    pub(crate) fn nearest(&self, model: &str, query: &[f32], k: usize) -> Vec<(ChunkId, f64)> {
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
        for (id, vector) in self.ids.iter().zip(self.data.chunks_exact(self.dim)) {
            let one = Worst { score: dot(query, vector), id: *id };
            if best.len() < k {
                best.push(one);
            } else if best.peek().is_some_and(|worst| one < *worst) {
                best.pop();
                best.push(one);
            }
        }
        best.into_sorted_vec().into_iter().map(|one| (one.id, f64::from(one.score))).collect()
    }
}

/// Makes the heap give back the worst of the kept first.
struct Worst {
    score: f32,
    id: ChunkId,
}

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.id.cmp(&other.id))
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

/// What is kept of a workspace.
#[derive(Clone)]
pub(crate) enum Kept {
    Vectors(Arc<Cached>),
    /// The vectors stay in the database, which searches them.
    Outline(Arc<Outline>),
}

impl Kept {
    fn version(&self) -> u64 {
        match self {
            Kept::Vectors(cached) => cached.version,
            Kept::Outline(outline) => outline.version,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Kept::Vectors(cached) => cached.bytes(),
            Kept::Outline(_) => 0,
        }
    }

    /// How many passages have no vector, since their embedding was left out.
    pub(crate) fn bare(&self) -> u64 {
        match self {
            Kept::Vectors(cached) => cached.bare,
            Kept::Outline(outline) => outline.bare,
        }
    }

    /// The models that made the vectors, each once, in the order of their names.
    pub(crate) fn models(&self) -> Vec<Arc<str>> {
        match self {
            Kept::Vectors(cached) => cached.models(),
            Kept::Outline(outline) => outline.models.clone(),
        }
    }
}

/// Vectors of the workspaces that were searched last, within a byte budget.
pub(crate) struct VectorCache {
    budget: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<WorkspaceId, (Kept, u64)>,
    clock: u64,
}

impl VectorCache {
    /// `budget` in bytes. The vectors of a workspace that is larger alone are not kept.
    pub(crate) fn new(budget: usize) -> Self {
        Self { budget, inner: Mutex::default() }
    }

    pub(crate) const fn budget(&self) -> u64 {
        self.budget as u64
    }

    pub(crate) fn get(&self, workspace: WorkspaceId, version: u64) -> Option<Kept> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let now = inner.clock;
        let (kept, used) = inner.entries.get_mut(&workspace)?;
        if kept.version() != version {
            return None;
        }
        *used = now;
        Some(kept.clone())
    }

    /// Lets go of a workspace that is being deleted.
    pub(crate) fn forget(&self, workspace: WorkspaceId) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).entries.remove(&workspace);
    }

    pub(crate) fn put(&self, workspace: WorkspaceId, kept: Kept) {
        if kept.bytes() > self.budget {
            return;
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let now = inner.clock;
        inner.entries.insert(workspace, (kept, now));
        // The least recently used go first.
        while inner.entries.values().map(|(kept, _)| kept.bytes()).sum::<usize>() > self.budget {
            let Some(oldest) = inner.entries.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id)
            else {
                break;
            };
            inner.entries.remove(&oldest);
        }
    }
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
            7,
        );
        assert_eq!(cached.bare, 3);
        let mut found = vec![(id(1), 0.9), (id(7), 0.8), (id(4), 0.7), (id(8), 0.6)];
        cached.keep_bare(&mut found);
        assert_eq!(found, [(id(7), 0.8), (id(8), 0.6)]);
        let ids = |model| cached.nearest(model, &[0.0, 1.0], 9).into_iter().map(|f| f.0).collect::<Vec<_>>();
        assert_eq!(ids("new"), [id(3), id(2)]);
        assert_eq!(ids("old"), [id(1)]);
        assert!(ids("another").is_empty());
        assert!(cached.nearest("old", &[1.0, 0.0, 0.0], 9).is_empty(), "another length");
        assert_eq!(cached.nearest("new", &[1.0, 0.0, 0.0], 9).len(), 1);
        assert_eq!(cached.models(), ["new".into(), "old".into()] as [Arc<str>; 2]);
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
            let found = Cached::new(1, rows.collect(), 0).nearest("m", &query, k);
            let mut all: Vec<f32> = vectors.iter().map(|v| dot(&query, v)).collect();
            all.sort_by(|a, b| b.total_cmp(a));
            prop_assert_eq!(found.len(), k.min(vectors.len()));
            for (got, want) in found.iter().zip(all) {
                prop_assert!((got.1 - f64::from(want)).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn of_those_that_are_equally_near_the_same_are_taken_in_whatever_order_they_were_read() {
        let vector = |n: usize| if n == 6 { vec![1.0, 0.0] } else { vec![0.6, 0.8] };
        let mut rows: Vec<StoredVector> = (0..9).map(|n| stored(n, "m", vector(n))).collect();
        for _ in 0..rows.len() {
            rows.rotate_left(1);
            let found = Cached::new(1, rows.clone(), 9).nearest("m", &[1.0, 0.0], 4);
            let ids: Vec<ChunkId> = found.iter().map(|(id, _)| *id).collect();
            assert_eq!(ids, [id(6), id(0), id(1), id(2)]);
        }
    }

    #[test]
    fn the_cache_keeps_its_budget_and_forgets_an_old_version() {
        let vectors = || vec![stored(1, "m", vec![1.0; 100])];
        let make = |version| Kept::Vectors(Arc::new(Cached::new(version, vectors(), 1)));
        let workspace = |n| WorkspaceId::new(Uuid::from_u128(n));
        let cache = VectorCache::new(1_000);
        for n in 0..5 {
            cache.put(workspace(n), make(1));
        }
        assert!(cache.get(workspace(4), 1).is_some());
        assert!(cache.get(workspace(0), 1).is_none(), "the oldest had to go");
        assert!(cache.get(workspace(4), 2).is_none(), "another version is another index");
        // What stays in the database takes no place.
        let outline = || Kept::Outline(Arc::new(Outline { version: 1, models: vec!["m".into()], bare: 0 }));
        let none = VectorCache::new(0);
        none.put(workspace(0), make(1));
        none.put(workspace(1), outline());
        assert!(none.get(workspace(0), 1).is_none() && none.get(workspace(1), 1).is_some());
        assert!(none.get(workspace(1), 2).is_none());
    }
}
