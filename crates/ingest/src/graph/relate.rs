//! What a sentence says of two names: by the words between them.

use super::find::Spotted;
use domain::graph::{EntityKind, RelationKind, key};

/// Words between two names, and what they say. `true`: of the second, about the first.
const SAYS: [(&str, RelationKind, bool); 37] = [
    ("stands for", RelationKind::StandsFor, false),
    ("is short for", RelationKind::StandsFor, false),
    ("is part of", RelationKind::PartOf, false),
    ("belongs to", RelationKind::PartOf, false),
    ("is a division of", RelationKind::PartOf, false),
    ("consists of", RelationKind::PartOf, true),
    ("contains", RelationKind::PartOf, true),
    ("is based in", RelationKind::LocatedIn, false),
    ("is located in", RelationKind::LocatedIn, false),
    ("is in", RelationKind::LocatedIn, false),
    ("lies in", RelationKind::LocatedIn, false),
    ("has its seat in", RelationKind::LocatedIn, false),
    ("works for", RelationKind::WorksFor, false),
    ("works at", RelationKind::WorksFor, false),
    ("is employed by", RelationKind::WorksFor, false),
    ("leads", RelationKind::WorksFor, false),
    ("runs", RelationKind::WorksFor, false),
    ("is led by", RelationKind::WorksFor, true),
    ("reports to", RelationKind::ReportsTo, false),
    ("was founded by", RelationKind::FoundedBy, false),
    ("founded", RelationKind::FoundedBy, true),
    ("is owned by", RelationKind::OwnedBy, false),
    ("was bought by", RelationKind::OwnedBy, false),
    ("was acquired by", RelationKind::OwnedBy, false),
    ("owns", RelationKind::OwnedBy, true),
    ("bought", RelationKind::OwnedBy, true),
    ("acquired", RelationKind::OwnedBy, true),
    ("is made by", RelationKind::MadeBy, false),
    ("was built by", RelationKind::MadeBy, false),
    ("makes", RelationKind::MadeBy, true),
    ("built", RelationKind::MadeBy, true),
    ("uses", RelationKind::Uses, false),
    ("depends on", RelationKind::Uses, false),
    ("requires", RelationKind::Uses, false),
    ("replaces", RelationKind::Replaces, false),
    ("supersedes", RelationKind::Replaces, false),
    ("was replaced by", RelationKind::Replaces, true),
];
/// Words between two names that a rule still looks at, in bytes.
const BETWEEN: usize = 60;
/// Names of one sentence that are held against one another.
const TOGETHER: usize = 6;

/// What the sentence says of each two of its names.
pub(super) fn said<'s>(text: &str, names: &'s [Spotted]) -> Vec<(&'s Spotted, RelationKind, &'s Spotted)> {
    let mut found = vec![];
    for pair in names.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        if let Some((kind, turned)) = text.get(a.at.end..b.at.start).and_then(between) {
            found.push(if turned { (b, kind, a) } else { (a, kind, b) });
        }
    }
    let near = &names[..names.len().min(TOGETHER)];
    for (n, a) in near.iter().enumerate() {
        for b in &near[n + 1..] {
            found.push((a, RelationKind::OccursWith, b));
        }
    }
    found
}

fn between(text: &str) -> Option<(RelationKind, bool)> {
    if text.len() > BETWEEN {
        return None;
    }
    let text = format!(" {} ", text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase());
    let says = SAYS.iter().find(|(words, _, _)| text.contains(&format!(" {words} ")));
    if let Some((_, kind, turned)) = says {
        return Some((*kind, *turned));
    }
    let is_a = [" is a ", " is an ", " is the ", " was a ", " was the "];
    is_a.iter().any(|words| text.starts_with(words)).then_some((RelationKind::IsA, false))
}

/// Short names with the long ones that the sentence explains them by, as keys: "Maritime Safety Board (MSB)", "MSB (Maritime
/// Safety Board)", and "Norvik Marine (the "Company")".
pub(super) fn explained(text: &str, names: &[Spotted]) -> Vec<(String, String)> {
    let mut found = vec![];
    for pair in names.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        let Some(between) = text.get(a.at.end..b.at.start) else { continue };
        let closes = text.get(b.at.end..).is_some_and(|t| t.starts_with([')', '"', '\u{201d}']));
        let opens =
            matches!(between.trim(), "(" | "(the \"" | "(\"" | "(the \u{201c}" | "(\u{201c}" | "(the");
        if !(opens && closes) {
            continue;
        }
        match (a.kind, b.kind) {
            (EntityKind::Name | EntityKind::Term, EntityKind::Acronym) if is_initials(&b.name, &a.name) => {
                found.push((key(&b.name), key(&a.name)));
            }
            (EntityKind::Acronym, EntityKind::Name | EntityKind::Term) if is_initials(&a.name, &b.name) => {
                found.push((key(&a.name), key(&b.name)));
            }
            (EntityKind::Name, EntityKind::Term) => found.push((key(&b.name), key(&a.name))),
            _ => {}
        }
    }
    found.retain(|(short, long)| short != long);
    found
}

/// Whether the letters are the first ones of the words, small words left out or not.
fn is_initials(short: &str, long: &str) -> bool {
    let first = |only_capitals: bool| -> String {
        let words = long.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
        let letters = words.filter_map(|w| w.chars().next());
        letters.filter(|c| !only_capitals || c.is_uppercase()).flat_map(char::to_uppercase).collect()
    };
    let short: String = short.chars().filter(|c| c.is_alphanumeric()).collect();
    short == first(true) || short == first(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_those_of_the_words() {
        assert!(is_initials("MSB", "Maritime Safety Board"));
        assert!(is_initials("BOM", "Bill of Materials") && is_initials("BM", "Bill of Materials"));
        assert!(!is_initials("MSX", "Maritime Safety Board"));
    }

    #[test]
    fn only_whole_words_say_something() {
        assert_eq!(between(" uses the "), Some((RelationKind::Uses, false)));
        assert_eq!(between(" causes "), None);
        assert_eq!(between(" is a kind of "), Some((RelationKind::IsA, false)));
        assert_eq!(between(&format!(" uses {} ", "very ".repeat(20))), None, "too far away");
    }
}
