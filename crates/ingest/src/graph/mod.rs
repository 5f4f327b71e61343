//! What passages speak of, and what they say of two things: found by rules, without a model. In three steps that a document
//! is told to be in: [`classify`] finds the names and tells of what kind they are, [`resolve`] finds out which of them mean
//! the same thing, [`relate`] what is said of two of them. Pure: passages in, their graphs out.
//!
//! The rules look at capital letters, digits and some English words, so they find little in a script without capitals; what
//! they do not find is still found by meaning, and [`reader`] takes it from a language model where there is one.

mod find;
pub mod reader;
mod relate;

use domain::graph::{ChunkGraph, EntityKind, Mention, Relation, RelationKind, key};
use find::{Spotted, sentences};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Things of one passage, and what is said of them, at most: a list of a thousand names tells nothing of any of them.
const MENTIONS: usize = 64;
const RELATIONS: usize = 64;

/// A passage as the rules see it.
#[derive(Clone, Copy)]
pub struct Passage<'t> {
    pub heading: Option<&'t str>,
    pub text: &'t str,
}

/// The names in the passages of one document.
pub struct Classified {
    passages: Vec<Vec<Sentence>>,
}

/// The names of one sentence, in their order, with the text that they stand in.
struct Sentence {
    text: String,
    names: Vec<Spotted>,
}

/// The same with what is meant by each name.
pub struct Resolved {
    classified: Classified,
    /// The key of the thing that a name stands for, where it is not its own.
    meant: BTreeMap<String, String>,
    /// The same the other way round.
    names: BTreeMap<String, Vec<String>>,
}

/// Finds the names.
pub fn classify(passages: &[Passage<'_>]) -> Classified {
    let known = find::known_names(passages.iter().map(|p| p.text));
    let passages = passages.iter().map(|passage| {
        let mut found: Vec<Sentence> = vec![];
        if let Some(heading) = passage.heading
            && let Some(term) = find::heading(heading)
        {
            found.push(Sentence { text: heading.to_owned(), names: vec![term] });
        }
        for (text, begins_line) in sentences(passage.text) {
            let names = find::names(text, begins_line, &known);
            if !names.is_empty() {
                found.push(Sentence { text: text.to_owned(), names });
            }
        }
        found
    });
    Classified { passages: passages.collect() }
}

/// Finds out which names mean the same: short forms that the text explains, and a last name behind the whole one.
pub fn resolve(classified: Classified) -> Resolved {
    let mut meant = BTreeMap::new();
    let mut whole: HashMap<String, BTreeSet<String>> = HashMap::new();
    for sentence in classified.passages.iter().flatten() {
        for (short, long) in relate::explained(&sentence.text, &sentence.names) {
            meant.entry(short).or_insert(long);
        }
        for name in sentence.names.iter().filter(|n| n.kind == EntityKind::Name) {
            let key = key(&name.name);
            if let Some((_, last)) = key.rsplit_once(' ') {
                whole.entry(last.to_owned()).or_default().insert(key);
            }
        }
    }
    for name in classified.passages.iter().flatten().flat_map(|s| &s.names) {
        let short = key(&name.name);
        if name.kind != EntityKind::Name || short.contains(' ') || meant.contains_key(&short) {
            continue;
        }
        // Only where there is no doubt which one is meant.
        if let Some(one) = whole.get(&short).filter(|all| all.len() == 1).and_then(|all| all.first()) {
            meant.insert(short, one.clone());
        }
    }
    // What an explanation names may itself be explained: one step is enough, and no circle comes of it.
    let again: Vec<(String, String)> = meant
        .iter()
        .filter_map(|(short, long)| Some((short.clone(), meant.get(long)?.clone())))
        .filter(|(short, longer)| short != longer)
        .collect();
    meant.extend(again);
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (short, long) in &meant {
        names.entry(long.clone()).or_default().push(short.clone());
    }
    Resolved { classified, meant, names }
}

/// The graph of each passage, in their order.
pub fn relate(resolved: &Resolved) -> Vec<ChunkGraph> {
    resolved.classified.passages.iter().map(|sentences| of_passage(resolved, sentences)).collect()
}

/// All three at once.
pub fn extract(passages: &[Passage<'_>]) -> Vec<ChunkGraph> {
    relate(&resolve(classify(passages)))
}

fn of_passage(resolved: &Resolved, sentences: &[Sentence]) -> ChunkGraph {
    let thing = |name: &Spotted| {
        let own = key(&name.name);
        resolved.meant.get(&own).cloned().unwrap_or(own)
    };
    let mut mentions: Vec<Mention> = vec![];
    let mut relations: BTreeSet<Relation> = BTreeSet::new();
    for sentence in sentences {
        for name in &sentence.names {
            let (entity, surface) = (thing(name), key(&name.name));
            let has_room = mentions.len() < MENTIONS;
            match mentions.iter_mut().find(|m| m.entity == entity && m.surface == surface) {
                Some(known) => known.times += 1,
                None if has_room => {
                    mentions.push(Mention {
                        entity,
                        surface,
                        name: name.name.clone(),
                        kind: name.kind,
                        times: 1,
                    });
                }
                None => {}
            }
        }
        for (a, kind, b) in relate::said(&sentence.text, &sentence.names) {
            let (source, target) = (thing(a), thing(b));
            if source != target && relations.len() < RELATIONS {
                relations.insert(Relation { source, kind, target });
            }
        }
    }
    // Other names that the thing goes by, so that a question finds it by any of them.
    let mut others = vec![];
    for mention in &mentions {
        let last = match mention.kind {
            EntityKind::Name => mention.entity.rsplit_once(' ').map(|(_, last)| last.to_owned()),
            _ => None,
        };
        let short = resolved.names.get(&mention.entity).into_iter().flatten().cloned();
        let whole = (mention.surface != mention.entity).then(|| mention.entity.clone());
        for surface in last.into_iter().chain(short).chain(whole) {
            let is_new =
                |all: &[Mention]| all.iter().all(|m| m.entity != mention.entity || m.surface != surface);
            if is_new(&mentions) && is_new(&others) {
                others.push(Mention { surface, times: 0, ..mention.clone() });
            }
        }
    }
    mentions.extend(others);
    for Mention { entity, surface, times, .. } in &mentions {
        let is_short = *times > 0 && resolved.meant.get(surface) == Some(entity);
        if is_short && !entity.ends_with(&format!(" {surface}")) && relations.len() < RELATIONS {
            let (source, target) = (surface.clone(), entity.clone());
            relations.insert(Relation { source, kind: RelationKind::StandsFor, target });
        }
    }
    // What a rule could tell of two things says more than that they stand together.
    let told: BTreeSet<(String, String)> = relations
        .iter()
        .filter(|r| r.kind != RelationKind::OccursWith)
        .map(|r| (r.source.clone(), r.target.clone()))
        .collect();
    let is_told = |a: &str, b: &str| told.contains(&(a.to_owned(), b.to_owned()));
    relations.retain(|r| {
        r.kind != RelationKind::OccursWith
            || !(is_told(&r.source, &r.target) || is_told(&r.target, &r.source))
    });
    ChunkGraph { mentions, relations: relations.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn graph(text: &str) -> ChunkGraph {
        extract(&[Passage { heading: None, text }]).remove(0)
    }

    fn named(graph: &ChunkGraph) -> Vec<(&str, EntityKind)> {
        graph.mentions.iter().filter(|m| m.times > 0).map(|m| (m.name.as_str(), m.kind)).collect()
    }

    fn said(graph: &ChunkGraph) -> Vec<String> {
        graph.relations.iter().map(|r| format!("{} {} {}", r.source, r.kind, r.target)).collect()
    }

    #[test]
    fn names_acronyms_dates_and_terms_are_told_apart() {
        let found = graph(
            "On 12 March 2024 the pump failed. Marie Curie told the Harbour Office of Kiel about the GPU and the code \
             E-204. \"Dead time\" means the time in which nothing is measured. It was over by 2024-03-14.",
        );
        let found = named(&found);
        for expected in [
            ("12 March 2024", EntityKind::Date),
            ("Marie Curie", EntityKind::Name),
            ("Harbour Office of Kiel", EntityKind::Name),
            ("GPU", EntityKind::Acronym),
            ("E-204", EntityKind::Acronym),
            ("Dead time", EntityKind::Term),
            ("2024-03-14", EntityKind::Date),
        ] {
            assert!(found.contains(&expected), "{expected:?} in {found:?}");
        }
        assert!(!found.iter().any(|(name, _)| *name == "On" || *name == "It"), "{found:?}");
    }

    #[test]
    fn a_first_word_is_a_name_only_where_it_is_one_elsewhere() {
        let found = graph("Oil is needed. Kiel has a harbour. They left Kiel. Take oil.");
        assert_eq!(named(&found), [("Kiel", EntityKind::Name)]);
        assert_eq!(found.mentions[0].times, 2);
    }

    #[test]
    fn short_forms_and_last_names_mean_the_same_thing() {
        let found = graph(
            "The Maritime Safety Board (MSB) was asked. Later the MSB answered. Ada Lovelace signed it. Then Lovelace left.",
        );
        let of =
            |surface: &str| found.mentions.iter().find(|m| m.surface == surface).map(|m| m.entity.as_str());
        assert_eq!(of("msb"), Some("maritime safety board"));
        assert_eq!(of("lovelace"), Some("ada lovelace"));
        assert!(
            said(&found).contains(&"msb stands_for maritime safety board".to_owned()),
            "{:?}",
            said(&found)
        );
    }

    #[test]
    fn a_name_of_two_people_stands_for_neither() {
        let found = graph("They met Ada Lovelace and also Linda Lovelace there, and then Lovelace spoke.");
        assert!(
            found.mentions.iter().any(|m| m.entity == "lovelace" && m.times == 1),
            "{:?}",
            found.mentions
        );
    }

    #[test]
    fn what_is_said_of_two_things_is_told_where_a_rule_sees_it() {
        for (text, expected) in [
            (
                "The company Norvik Marine was founded by Ada Lovelace.",
                "norvik marine founded_by ada lovelace",
            ),
            ("They say Ada Lovelace founded Norvik Marine.", "norvik marine founded_by ada lovelace"),
            ("In short, Norvik Marine is based in Bergen.", "norvik marine located_in bergen"),
            ("It says that Ada Lovelace works for Norvik Marine.", "ada lovelace works_for norvik marine"),
            ("Since then the Polar Line is part of Norvik Marine.", "polar line part_of norvik marine"),
            ("Today the Aurora Pump replaces the Borealis Pump.", "aurora pump replaces borealis pump"),
            ("Today the Aurora Pump uses Helios Seals.", "aurora pump uses helios seals"),
            ("We know that Ada Lovelace reports to Grace Hopper.", "ada lovelace reports_to grace hopper"),
        ] {
            let found = graph(text);
            assert!(said(&found).contains(&expected.to_owned()), "{text}: {:?}", said(&found));
        }
        let together = graph("Both Ada Lovelace and Grace Hopper like Bergen.");
        assert!(
            said(&together).contains(&"ada lovelace occurs_with grace hopper".to_owned()),
            "{:?}",
            said(&together)
        );
    }

    #[test]
    fn the_heading_is_a_term_of_its_passages() {
        let passage = Passage { heading: Some("Changing the filter"), text: "Turn it off first." };
        let found = extract(&[passage]);
        assert_eq!(named(&found[0]), [("Changing the filter", EntityKind::Term)]);
    }

    #[test]
    fn a_list_without_end_stays_within_bounds() {
        let names: String = (0..2_000).map(|n| format!("we met Person{n} Name{n}, ")).collect();
        let found = graph(&names);
        assert!(found.mentions.len() <= 3 * MENTIONS && found.relations.len() <= RELATIONS);
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_every_relation_has_its_ends(text in "(?s).{0,400}", heading in prop::option::of(".{0,40}")) {
            let found = extract(&[Passage { heading: heading.as_deref(), text: &text }]);
            prop_assert_eq!(found.len(), 1);
            for mention in &found[0].mentions {
                prop_assert!(!mention.entity.is_empty() && !mention.surface.is_empty());
            }
            for relation in &found[0].relations {
                prop_assert!(relation.source != relation.target);
            }
        }
    }
}
