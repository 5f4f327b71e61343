//! Several orders of passages made one.

use domain::ChunkId;
use std::collections::HashMap;

/// Passages with their scores, best first.
pub(crate) type Ranked = Vec<(ChunkId, f64)>;

/// Constant of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009).
const RRF_K: f64 = 60.0;

/// Reciprocal rank fusion, scaled so that the first place in every list is 1.
pub(crate) fn fuse(lists: &[&Ranked], k: usize) -> Ranked {
    let mut scores: HashMap<ChunkId, f64> = HashMap::new();
    for list in lists {
        for (place, (id, _)) in list.iter().enumerate() {
            *scores.entry(*id).or_default() +=
                (RRF_K + 1.0) / (RRF_K + 1.0 + place as f64) / lists.len() as f64;
        }
    }
    let mut fused: Ranked = scores.into_iter().collect();
    sort(&mut fused);
    fused.truncate(k);
    fused
}

/// Best first; of equals the one that was made first.
pub(crate) fn sort(ranked: &mut Ranked) {
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(n: u128) -> ChunkId {
        ChunkId::new(Uuid::from_u128(n))
    }

    #[test]
    fn what_both_lists_know_comes_first() {
        let a = vec![(id(1), 0.9), (id(2), 0.8), (id(3), 0.7)];
        let b = vec![(id(3), 5.0), (id(4), 4.0)];
        let fused = fuse(&[&a, &b], 10);
        assert_eq!(fused[0].0, id(3));
        assert_eq!(fused.len(), 4);
        assert!(fused[0].1 <= 1.0);
        assert_eq!(fuse(&[&a, &b], 2).len(), 2);
        assert_eq!(fuse(&[&a, &a], 1)[0], (id(1), 1.0), "the first of both");
        assert!(fuse(&[], 3).is_empty());
    }
}
