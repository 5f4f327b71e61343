//! Passages by the graph of their workspace: the things that the question names, those that they are said to have to do
//! with, a bounded way from them, and the passages that name any of these.

use crate::fusion::{Ranked, sort};
use domain::{ChunkId, WorkspaceId, graph::RelationKind, graph::key};
use services::ports::{Index, StoreError};
use std::collections::{BTreeMap, HashMap};

/// Words of one name, at most.
const LONGEST_NAME: usize = 6;
/// Names that are looked for.
const MAX_NAMES: usize = 256;
/// How far the way goes from what the question names.
const HOPS: usize = 2;
/// Things that are gone on from at each hop, and relations that are read for all of them.
const FRONTIER: usize = 24;
const EDGES: u32 = 400;
/// Passages that are scored.
const MENTIONS: u32 = 2_000;
/// What is left of the weight of a thing at one that it has to do with.
const TYPED: f64 = 0.4;
const TOGETHER: f64 = 0.15;

/// The names that a question may hold: each run of a few of its words, in the form by which names are compared.
fn names(question: &str) -> Vec<String> {
    let words: Vec<&str> = question.split_whitespace().take(64).collect();
    let mut names: Vec<String> = vec![];
    for length in (1..=LONGEST_NAME).rev() {
        for run in words.windows(length) {
            let name = key(&run.join(" "));
            // One letter names nothing, and neither does a word that stands in every question.
            let is_empty = name.chars().count() < 2 || (length == 1 && crate::bm25::is_empty(&name));
            if !is_empty && !names.contains(&name) && names.len() < MAX_NAMES {
                names.push(name);
            }
        }
    }
    names
}

/// The things on the way, each with how much it has to do with the question.
type Reached = BTreeMap<String, f64>;

/// Passages by what they name of what the question is about, best first, at most `k`; scores are from 0 to 1, relative to
/// the best. `None`: the question names nothing that the graph knows.
pub(crate) async fn find(
    index: &dyn Index,
    workspace: WorkspaceId,
    question: &str,
    k: usize,
) -> Result<Option<Ranked>, StoreError> {
    let mut named = index.entities(workspace, &names(question)).await?;
    // "Harbour Office" is not also "Harbour": a name within a longer one that was found is left out.
    let surfaces: Vec<String> = named.iter().map(|e| e.surface.clone()).collect();
    named.retain(|e| !surfaces.iter().any(|longer| is_within(&e.surface, longer)));
    if named.is_empty() {
        return Ok(None);
    }
    let mut meanings: BTreeMap<&str, usize> = BTreeMap::new();
    for e in &named {
        *meanings.entry(&e.surface).or_default() += 1;
    }
    let mut reached = Reached::new();
    for e in &named {
        // A name of several things stands for each of them less, and one that is everywhere tells little.
        let weight = rarity(e.passages) / meanings.get(e.surface.as_str()).map_or(1.0, |n| *n as f64);
        let known = reached.entry(e.entity.clone()).or_default();
        *known = known.max(weight);
    }
    let mut frontier = heaviest(&reached, reached.keys().cloned().collect(), FRONTIER);
    for _ in 0..HOPS {
        let edges = index.edges(workspace, &frontier, EDGES).await?;
        let mut next = Reached::new();
        for edge in edges {
            let share = if edge.kind == RelationKind::OccursWith { TOGETHER } else { TYPED };
            // More passages that say the same make it surer, soon no more.
            let share = share * (1.0 + (edge.passages as f64).ln() / 4.0).min(1.5);
            for (from, to) in [(&edge.source, &edge.target), (&edge.target, &edge.source)] {
                if let (true, Some(at)) = (frontier.contains(from), reached.get(from)) {
                    let weight = next.entry(to.clone()).or_default();
                    *weight = weight.max(at * share);
                }
            }
        }
        next.retain(|entity, _| !reached.contains_key(entity));
        reached.extend(next.iter().map(|(entity, weight)| (entity.clone(), *weight)));
        frontier = heaviest(&reached, next.into_keys().collect(), FRONTIER);
        if frontier.is_empty() {
            break;
        }
    }
    let all = heaviest(&reached, reached.keys().cloned().collect(), 4 * FRONTIER);
    let mut scores: HashMap<ChunkId, f64> = HashMap::new();
    for mention in index.mentions(workspace, &all, MENTIONS).await? {
        let Some(weight) = reached.get(&mention.entity) else { continue };
        *scores.entry(mention.chunk_id).or_default() +=
            weight * (1.0 + f64::from(mention.times.max(1)).ln() / 2.0);
    }
    let mut found: Ranked = scores.into_iter().collect();
    sort(&mut found);
    found.truncate(k);
    let best = found.first().map_or(1.0, |(_, score)| score.max(f64::MIN_POSITIVE));
    found.iter_mut().for_each(|(_, score)| *score /= best);
    Ok(Some(found))
}

/// Whether the words of one name are some of a longer one.
fn is_within(name: &str, longer: &str) -> bool {
    longer.len() > name.len() && format!(" {longer} ").contains(&format!(" {name} "))
}

fn rarity(passages: u64) -> f64 {
    1.0 / (1.0 + (passages.max(1) as f64).ln())
}

fn heaviest(reached: &Reached, mut entities: Vec<String>, most: usize) -> Vec<String> {
    let weight = |entity: &String| reached.get(entity).copied().unwrap_or_default();
    entities.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then_with(|| a.cmp(b)));
    entities.truncate(most);
    entities
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_of_words_may_be_a_name_and_empty_words_are_none() {
        let found = names("Who runs the Harbour Office?");
        for name in ["harbour office", "runs", "office", "harbour", "runs the harbour office"] {
            assert!(found.contains(&name.to_owned()), "{name}: {found:?}");
        }
        assert!(!found.contains(&"who".to_owned()) && !found.contains(&"the".to_owned()));
        assert!(names(&"word ".repeat(500)).len() <= MAX_NAMES);
        assert!(names(" ? ! ").is_empty());
    }

    #[test]
    fn a_name_within_a_longer_one_is_told() {
        assert!(is_within("harbour", "harbour office"));
        assert!(!is_within("harbour office", "harbour office"));
        assert!(!is_within("our", "harbour office"));
    }
}
