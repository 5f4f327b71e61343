//! Names in a text: which words are one, and of what kind it is.

use domain::graph::EntityKind;
use std::{collections::BTreeSet, ops::Range};

/// A name where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spotted {
    /// In bytes of its sentence.
    pub(super) at: Range<usize>,
    pub(super) name: String,
    pub(super) kind: EntityKind,
}

/// Words that begin sentences and are no names.
const OPENERS: [&str; 97] = [
    "a",
    "about",
    "above",
    "according",
    "after",
    "all",
    "also",
    "although",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "because",
    "before",
    "below",
    "both",
    "but",
    "by",
    "can",
    "check",
    "do",
    "does",
    "during",
    "each",
    "either",
    "every",
    "few",
    "finally",
    "first",
    "for",
    "from",
    "had",
    "has",
    "have",
    "he",
    "her",
    "here",
    "his",
    "how",
    "however",
    "i",
    "if",
    "in",
    "into",
    "is",
    "it",
    "its",
    "later",
    "let",
    "many",
    "may",
    "more",
    "most",
    "must",
    "my",
    "never",
    "no",
    "not",
    "note",
    "now",
    "of",
    "on",
    "once",
    "one",
    "only",
    "or",
    "our",
    "over",
    "please",
    "she",
    "since",
    "so",
    "some",
    "such",
    "that",
    "the",
    "their",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "to",
    "under",
    "until",
    "we",
    "what",
    "when",
    "where",
    "which",
    "while",
    "who",
    "with",
    "you",
];
/// Words in lower case that may stand within a name.
const WITHIN: [&str; 11] = ["of", "the", "for", "de", "del", "la", "van", "von", "der", "den", "&"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// Words behind a quoted term that is defined there.
const DEFINES: [&str; 6] = ["means ", "refers to ", "is defined ", "denotes ", "stands for ", "describes "];
/// Words of a name, and of a heading that is a term, at most.
const LONGEST: usize = 7;
const LONGEST_HEADING: usize = 6;

/// A word where it stands.
#[derive(Clone, Copy)]
struct Word<'t> {
    text: &'t str,
    start: usize,
    end: usize,
}

/// The sentences of a text, each with whether a line begins with it. Abbreviations may part one too many, which costs a
/// relation and no name.
pub(super) fn sentences(text: &str) -> impl Iterator<Item = (&str, bool)> {
    text.split('\n').flat_map(|line| {
        let mut rest = line;
        let mut is_first = true;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let end = rest
                .char_indices()
                .filter(|(_, c)| matches!(c, '.' | '!' | '?'))
                .map(|(at, c)| at + c.len_utf8())
                .find(|&end| {
                    let mut behind = rest[end..].chars();
                    behind.next() == Some(' ') && behind.find(|c| *c != ' ').is_none_or(|c| !c.is_lowercase())
                })
                .unwrap_or(rest.len());
            let sentence = &rest[..end];
            rest = &rest[end..];
            let begins_line = std::mem::take(&mut is_first);
            Some((sentence, begins_line))
        })
    })
}

fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = vec![];
    let mut start = None;
    let bytes_at = |at: usize| text[at..].chars().next();
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        let next = bytes_at((at + c.len_utf8()).min(text.len()));
        // A hyphen, an apostrophe or a full stop between two letters does not part a word.
        let inner = matches!(c, '-' | '\'' | '\u{2019}' | '.')
            && start.is_some()
            && next.is_some_and(char::is_alphanumeric);
        if c.is_alphanumeric() || inner || (c == '&' && start.is_none()) {
            start.get_or_insert(at);
        } else if let Some(start) = start.take() {
            words.push(Word { text: &text[start..at], start, end: at });
        }
    }
    words
}

fn is_capital(word: &str) -> bool {
    word.chars().next().is_some_and(char::is_uppercase)
}

/// GPU, R2D2, E-204: short, without lower case, and not a mere number.
fn is_acronym(word: &str) -> bool {
    let letters = word.chars().filter(|c| c.is_uppercase()).count();
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let length = word.chars().count();
    (2..=12).contains(&length)
        && word.chars().all(|c| c.is_uppercase() || c.is_ascii_digit() || c == '-')
        && (letters >= 2 || (letters == 1 && digits >= 1))
}

pub(super) fn is_opener(word: &str) -> bool {
    OPENERS.contains(&word.to_lowercase().as_str())
}

/// Words with a capital that stand within a sentence: where they begin one they are names as well.
pub(super) fn known_names<'t>(texts: impl Iterator<Item = &'t str>) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for text in texts {
        for (sentence, _) in sentences(text) {
            let words = words(sentence);
            known.extend(words.iter().skip(1).filter(|w| is_capital(w.text)).map(|w| w.text.to_owned()));
        }
    }
    known
}

/// What stands above passages is what they are about, when it is short.
pub(super) fn heading(text: &str) -> Option<Spotted> {
    let text = text.trim();
    let count = words(text).len();
    let is_term = (1..=LONGEST_HEADING).contains(&count) && !domain::graph::key(text).is_empty();
    is_term.then(|| Spotted { at: 0..text.len(), name: text.to_owned(), kind: EntityKind::Term })
}

/// The names of a sentence, in their order; no two share a word.
pub(super) fn names(text: &str, begins_line: bool, known: &BTreeSet<String>) -> Vec<Spotted> {
    let words = words(text);
    let mut found = terms(text, begins_line);
    found.extend(dates(text, &words));
    let mut at = 0;
    while at < words.len() {
        let word = words[at];
        let taken = |w: &Word<'_>| found.iter().any(|s| s.at.start < w.end && w.start < s.at.end);
        let is_first = at == 0 && !is_acronym(word.text);
        let begins = is_capital(word.text)
            && !taken(&word)
            && (!is_opener(word.text) || is_acronym(word.text))
            && (!is_first || known.contains(word.text) || next_is_capital(text, &words, at));
        if !begins {
            at += 1;
            continue;
        }
        let mut end = at;
        let mut next = at + 1;
        while next < words.len() && next - at < LONGEST {
            let w = &words[next];
            let parted = !text[words[next - 1].end..w.start].chars().all(|c| c == ' ');
            if parted || taken(w) {
                break;
            }
            if is_capital(w.text) && !is_acronym(word.text) && !(is_opener(w.text) && w.text.len() < 4) {
                end = next;
            } else if !WITHIN.contains(&w.text) {
                break;
            }
            next += 1;
        }
        let (start, stop) = (word.start, words[end].end);
        let name = text[start..stop].trim_end_matches("'s").trim_end_matches("\u{2019}s").to_owned();
        let kind = if end == at && is_acronym(word.text) { EntityKind::Acronym } else { EntityKind::Name };
        if name.chars().count() > 1 {
            found.push(Spotted { at: start..stop, name, kind });
        }
        at = end + 1;
    }
    found.retain(|s| !domain::graph::key(&s.name).is_empty());
    found.sort_by_key(|s| s.at.start);
    found
}

/// "Marie Curie": a first word is a name where another one follows it.
fn next_is_capital(text: &str, words: &[Word<'_>], at: usize) -> bool {
    words.get(at + 1).is_some_and(|next| {
        is_capital(next.text) && text[words[at].end..next.start].chars().all(|c| c == ' ')
    })
}

/// Quoted words that are defined, and the word that a line of a glossary explains.
fn terms(text: &str, begins_line: bool) -> Vec<Spotted> {
    let mut found = vec![];
    for (open, close) in [('"', '"'), ('\u{201c}', '\u{201d}')] {
        let mut from = 0;
        while let Some(start) = text[from..].find(open).map(|n| from + n + open.len_utf8()) {
            let Some(end) = text[start..].find(close).map(|n| start + n) else { break };
            let behind = text[end + close.len_utf8()..].trim_start();
            let before = text[..start - open.len_utf8()].trim_end().to_lowercase();
            let is_defined = DEFINES.iter().any(|word| behind.starts_with(word))
                || before.ends_with("(the")
                || before.ends_with('(')
                || before.ends_with("called")
                || before.ends_with("known as");
            let name = text[start..end].trim();
            if is_defined && (1..=LONGEST).contains(&words(name).len()) {
                found.push(Spotted { at: start..end, name: name.to_owned(), kind: EntityKind::Term });
            }
            from = end + close.len_utf8();
        }
    }
    if begins_line && found.is_empty() {
        let plain = text.trim_start_matches(['-', '*', ' ', '#']);
        let skipped = text.len() - plain.len();
        let parts = [": ", " \u{2013} ", " \u{2014} ", ":** ", "**: "];
        if let Some(end) = parts.iter().filter_map(|part| plain.find(part)).min() {
            let name = plain[..end].trim_matches(['*', '_', '`', ' ']);
            let start = skipped + plain[..end].find(name).unwrap_or_default();
            let count = words(name).len();
            if (1..=4).contains(&count) && is_capital(name) && !name.split(' ').any(is_opener) {
                let at = start..start + name.len();
                found.push(Spotted { at, name: name.to_owned(), kind: EntityKind::Term });
            }
        }
    }
    found
}

/// 2024-03-14, 12 March 2024, March 12, 2024, March 2024, and a year by itself.
fn dates(text: &str, words: &[Word<'_>]) -> Vec<Spotted> {
    let is_month = |w: &Word<'_>| is_capital(w.text) && MONTHS.contains(&w.text.to_lowercase().as_str());
    let number = |w: &Word<'_>| w.text.parse::<u32>().ok();
    let is_day = |w: &Word<'_>| number(w).is_some_and(|n| (1..=31).contains(&n));
    let is_year = |w: &Word<'_>| w.text.len() == 4 && number(w).is_some_and(|n| (1800..2100).contains(&n));
    let mut found: Vec<Spotted> = vec![];
    let mut at = 0;
    while at < words.len() {
        let w = |n: usize| words.get(at + n);
        let is = |n: usize, what: &dyn Fn(&Word<'_>) -> bool| w(n).is_some_and(what);
        let day_first = is(0, &is_day) && is(1, &is_month);
        let month_first = is(0, &is_month) && is(1, &is_day);
        let length = if (day_first || month_first) && is(2, &is_year) {
            3
        } else if is(0, &is_month) && is(1, &is_year) {
            2
        } else {
            usize::from(is(0, &|w| is_iso(w.text)) || is(0, &is_year))
        };
        if length > 0 {
            let (start, end) = (words[at].start, words[at + length - 1].end);
            found.push(Spotted { at: start..end, name: text[start..end].to_owned(), kind: EntityKind::Date });
        }
        at += length.max(1);
    }
    found
}

fn is_iso(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    let all_digits = parts.iter().all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    all_digits
        && matches!(parts.as_slice(), [year, month, day] if (year.len(), month.len(), day.len()) == (4, 2, 2))
}
