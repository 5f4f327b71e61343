//! The graph of a workspace: what its passages speak of, and what they say of two things together. A passage carries its
//! own part of it, so a thing is there as long as some passage names it. Finding both in a text is the work of `ingest`,
//! following them at a question that of `chat`; here is only what the two have in common.

use crate::status::named;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

named!(
    /// What a thing is, as far as a rule can tell.
    EntityKind, "kind of entity" {
        /// A person, a place, a product, an organisation.
        Name = "name",
        /// GPU, E-204.
        Acronym = "acronym",
        Date = "date",
        /// What the text itself defines, or has as a heading.
        Term = "term",
    }
);

named!(
    /// What is said of two things.
    RelationKind, "relation" {
        /// They stand in one sentence, and no rule tells more.
        OccursWith = "occurs_with",
        StandsFor = "stands_for",
        IsA = "is_a",
        PartOf = "part_of",
        LocatedIn = "located_in",
        WorksFor = "works_for",
        ReportsTo = "reports_to",
        FoundedBy = "founded_by",
        OwnedBy = "owned_by",
        MadeBy = "made_by",
        Uses = "uses",
        Replaces = "replaces",
    }
);

/// A thing that a passage names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mention {
    /// The [`key`] of the thing. All of its names in one document have the same.
    pub entity: String,
    /// The [`key`] of a name that it goes by: how questions find it.
    pub surface: String,
    /// As it is written there.
    pub name: String,
    pub kind: EntityKind,
    /// How often; 0 for a name that the passage does not use itself.
    pub times: u32,
}

/// What a passage says of two things, by their keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Relation {
    pub source: String,
    pub kind: RelationKind,
    pub target: String,
}

/// The part of the graph that one passage carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkGraph {
    /// Each surface of an entity once.
    pub mentions: Vec<Mention>,
    /// Each once.
    pub relations: Vec<Relation>,
}

impl ChunkGraph {
    pub const fn is_empty(&self) -> bool {
        self.mentions.is_empty() && self.relations.is_empty()
    }
}

/// No key is longer, in characters.
const LONGEST_KEY: usize = 80;

/// A name in the one form by which names are compared: its words in lower case, with a space between two, without an
/// article before them and without a genitive behind one. Empty when there is no word in it.
pub fn key(name: &str) -> String {
    let mut words = vec![];
    for word in name.split_whitespace() {
        let word = word.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '\'' && c != '\u{2019}');
        let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("\u{2019}s")).unwrap_or(word);
        words.extend(word.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()));
    }
    if words.len() > 1 && ["the", "a", "an"].iter().any(|article| words[0].eq_ignore_ascii_case(article)) {
        words.remove(0);
    }
    let mut key = String::new();
    for word in words {
        if !key.is_empty() {
            key.push(' ');
        }
        key.extend(word.chars().flat_map(char::to_lowercase));
    }
    key.chars().take(LONGEST_KEY).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_the_same_have_one_key() {
        assert_eq!(key("The Harbour Office"), "harbour office");
        assert_eq!(key("harbour-office\u{2019}s"), "harbour office");
        assert_eq!(key("E-204"), "e 204");
        assert_eq!(key("GRÜßE,"), "grüße");
        assert_eq!(key("A"), "a");
        assert_eq!(key(" \"!\" "), "");
        assert_eq!(key(&"x".repeat(500)).len(), LONGEST_KEY);
    }
}
