//! How well the words of a passage answer those of a question: Okapi BM25 (Robertson and Zaragoza 2009) over the candidates,
//! with the counts of the whole workspace.

use services::ports::Corpus;
use std::collections::BTreeMap;

/// How soon more of the same word counts no more, and how much the length of a passage does: the values of the literature.
const K1: f64 = 1.2;
const B: f64 = 0.75;
/// Words of a question that are weighed.
const MAX_WORDS: usize = 32;

/// Words that stand in every question and tell nothing.
const EMPTY: [&str; 57] = [
    "a", "about", "an", "and", "are", "as", "at", "be", "been", "by", "can", "could", "did", "do", "does",
    "for", "from", "had", "has", "have", "how", "i", "if", "in", "is", "it", "its", "me", "my", "of", "on",
    "or", "our", "should", "so", "that", "the", "their", "there", "they", "this", "to", "was", "we", "were",
    "what", "when", "where", "which", "who", "whom", "why", "will", "with", "would", "you", "your",
];

pub(crate) fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase)
}

/// A word without the ending that its forms differ by. It need not be a word: what matters is that forms of one agree.
pub(crate) fn stem(word: &str) -> &str {
    let letters = word.chars().count();
    let cut = |ending: &str, left: usize| {
        let at_least = ending.chars().count() + left;
        if letters >= at_least { word.strip_suffix(ending) } else { None }
    };
    let without_plural = cut("sses", 1).map(|_| &word[..word.len() - 2]);
    let without_plural = without_plural.or_else(|| cut("ies", 2)).or_else(|| match word.ends_with("ss") {
        true => None,
        false => cut("s", 3),
    });
    let word = without_plural.unwrap_or(word);
    let letters = word.chars().count();
    let cut = |ending: &str, left: usize| {
        if letters >= ending.chars().count() + left { word.strip_suffix(ending) } else { None }
    };
    let word = cut("ing", 4).or_else(|| cut("ed", 4)).or_else(|| cut("ly", 5)).unwrap_or(word);
    // "replace", "replacing"; "supply", "supplies".
    let word = if word.chars().count() > 3 { word.trim_end_matches(['e', 'y', 'i']) } else { word };
    // "stopping", "stop".
    let mut last = word.char_indices().rev();
    match (last.next(), last.next()) {
        (Some((at, a)), Some((_, b))) if a == b && a.is_alphabetic() && word.chars().count() > 3 => {
            &word[..at]
        }
        _ => word,
    }
}

/// Whether a word in lower case stands in every question and tells nothing.
pub(crate) fn is_empty(word: &str) -> bool {
    EMPTY.contains(&word)
}

/// The words of a question that are worth looking for, each once, in their order. When all are empty ones, all of them.
pub(crate) fn terms(question: &str) -> Vec<String> {
    let mut all: Vec<String> = vec![];
    let mut full: Vec<String> = vec![];
    for word in words(question) {
        let list = if is_empty(&word) { &mut all } else { &mut full };
        if !list.contains(&word) && list.len() < MAX_WORDS {
            list.push(word);
        }
    }
    if full.is_empty() { all } else { full }
}

/// The score of each passage (heading and text, length in tokens), in their order; 0 where it has none of the words.
pub(crate) fn scores(terms: &[String], corpus: &Corpus, passages: &[(String, u32)]) -> Vec<f64> {
    let passages_in_all = corpus.passages.max(1) as f64;
    let mean = (corpus.tokens as f64 / passages_in_all).max(1.0);
    let weights: Vec<(&str, f64)> = terms
        .iter()
        .zip(corpus.with_word.iter().copied().chain(std::iter::repeat(0)))
        .map(|(term, with)| {
            let with = (with as f64).min(passages_in_all);
            // Never below zero, however common the word.
            (stem(term), (1.0 + (passages_in_all - with + 0.5) / (with + 0.5)).ln())
        })
        .collect();
    let score = |(text, tokens): &(String, u32)| {
        let mut times: BTreeMap<&str, f64> = BTreeMap::new();
        for word in words(text) {
            let stemmed = stem(&word);
            if let Some((term, _)) = weights.iter().find(|(term, _)| *term == stemmed) {
                *times.entry(term).or_default() += 1.0;
            }
        }
        let length = 1.0 - B + B * f64::from(*tokens) / mean;
        weights
            .iter()
            .filter_map(|(term, weight)| {
                let times = times.get(term)?;
                Some(weight * times * (K1 + 1.0) / (times + K1 * length))
            })
            .sum()
    };
    passages.iter().map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(all: &[&str]) -> Vec<(String, u32)> {
        all.iter().map(|t| ((*t).to_owned(), t.split(' ').count() as u32)).collect()
    }

    fn corpus(passages: u64, with_word: &[u64]) -> Corpus {
        Corpus { passages, tokens: passages * 6, with_word: with_word.to_vec() }
    }

    #[test]
    fn forms_of_a_word_have_one_stem_and_others_have_not() {
        for same in [
            &["replace", "replaces", "replaced", "replacing"][..],
            &["stop", "stops", "stopped", "stopping"],
            &["supply", "supplies", "supplied"],
            &["pass", "passes", "passed", "passing"],
            &["valve", "valves"],
            &["box", "box"],
        ] {
            assert!(same.iter().all(|word| stem(word) == stem(same[0])), "{same:?}");
        }
        for (a, b) in [("ring", "red"), ("bus", "bed"), ("gas", "gate"), ("thing", "the"), ("1999", "199")] {
            assert_ne!(stem(a), stem(b));
        }
        assert_eq!(stem("größe"), "größ");
    }

    #[test]
    fn empty_words_are_left_out_where_others_are() {
        assert_eq!(terms("What is the pressure of the PUMP? The pump!"), ["pressure", "pump"]);
        assert_eq!(terms("Who are you?"), ["who", "are", "you"]);
        assert!(terms(" ?! ").is_empty());
    }

    #[test]
    fn the_rarer_word_counts_more_and_the_longer_passage_less() {
        let asked = terms("pump gasket");
        let corpus = corpus(100, &[60, 2]);
        let found =
            scores(&asked, &corpus, &texts(&["the pump runs", "the gasket leaks", "nothing of the kind"]));
        assert!(found[1] > found[0] && found[0] > 0.0, "{found:?}");
        assert!(found[2].abs() < f64::EPSILON);
        let long = format!("the gasket leaks {}", "and so on ".repeat(30));
        let found = scores(&asked, &corpus, &texts(&["the gaskets leak", &long]));
        assert!(found[0] > found[1], "{found:?}");
    }

    #[test]
    fn an_empty_corpus_gives_no_nonsense() {
        let found = scores(&terms("pump"), &Corpus::default(), &texts(&["a pump", ""]));
        assert!(found.iter().all(|s| s.is_finite()) && found[0] > 0.0);
    }

    proptest! {
        #[test]
        fn any_text_has_a_finite_score(question in ".{0,60}", text in ".{0,200}", with in prop::collection::vec(0u64..500, 0..6)) {
            let asked = terms(&question);
            let found = scores(&asked, &corpus(100, &with), &[(text.clone(), 7), (question, 7)]);
            prop_assert!(found.iter().all(|s| s.is_finite() && *s >= 0.0));
        }
    }
}
