//! The built-in answerer: an extract. It chooses sentences of the passages by the words of the question that they have, so
//! that together they cover as much of it as they can, and puts them in the order of the passages. The same question over the
//! same passages gives the same answer; it says what it is, and every sentence names its source.

use crate::bm25::{self, is_empty, stem, words};
use domain::resource::SearchHit;
use services::ports::Passage;
use std::collections::{BTreeMap, BTreeSet};
use unicode_segmentation::UnicodeSegmentation;

/// What it is called in the metadata.
pub(crate) const NAME: &str = "extract";
/// How an extract begins.
pub(crate) const INTRODUCTION: &str = "An extract of the sources, made without a language model:";

/// Sentences of one answer, and their characters together.
const MOST_SENTENCES: usize = 6;
const MOST_CHARS: usize = 1_200;
/// Longest sentence, in characters; what is longer, such as a table, is cut at a word.
const LONGEST: usize = 400;
/// A word that was said already counts for so much of its weight.
const SAID: f64 = 0.35;
/// A sentence that adds less than this part of what the first one had is left out.
const WORTH: f64 = 0.12;
/// Of two sentences with more of their words in common than this part, one is enough.
const ALIKE: f64 = 0.8;

/// A question with no more words than that may be understood by the one before it alone.
const FEW_WORDS: usize = 1;
/// Words of talk, which say nothing of what is asked about.
const OF_TALK: [&str; 12] =
    ["again", "else", "explain", "more", "no", "ok", "one", "please", "tell", "them", "then", "yes"];
/// By meaning alone a passage has to be this near (cosine) to have to do with a question.
const NEAR: f64 = 0.3;
/// Otherwise it has to have this part of the words that the question asks for.
const SHARE: f64 = 1.0 / 3.0;

/// The stems of the words that a question asks for, each once.
fn asked_for(query: &str) -> BTreeSet<String> {
    bm25::terms(query).iter().map(|word| stem(word).to_owned()).collect()
}

fn stems(text: &str) -> BTreeSet<String> {
    words(text).filter(|word| !is_empty(word)).map(|word| stem(&word).to_owned()).collect()
}

/// Whether a question has next to no words of its own: "Why is that?", "Who lights it?".
pub(crate) fn is_follow_up(query: &str) -> bool {
    words(query).filter(|word| !is_empty(word) && !OF_TALK.contains(&word.as_str())).count() <= FEW_WORDS
}

/// Whether a hit has to do with the question at all: exact search answers the nearest passages, however far they are.
pub(crate) fn is_relevant(query: &str, hit: &SearchHit) -> bool {
    let scores = &hit.scores;
    if scores.graph.is_some() || scores.vector.as_ref().is_some_and(|vector| vector.score >= NEAR) {
        return true;
    }
    // Words that every text has show nothing.
    let asked = stems(query);
    let heading = hit.chunk.heading.as_deref().unwrap_or_default();
    let mut there: BTreeSet<String> = words(&hit.chunk.text).map(|word| stem(&word).to_owned()).collect();
    there.extend(words(heading).map(|word| stem(&word).to_owned()));
    let found = asked.intersection(&there).count();
    found > 0 && found as f64 >= SHARE * asked.len() as f64
}

struct Sentence<'a> {
    /// Place of its passage, and its own place in it.
    passage: usize,
    place: usize,
    text: &'a str,
    stems: BTreeSet<String>,
    /// What its passage is under, for words that only stand there.
    heading: BTreeSet<String>,
}

/// The pieces of the answer: the introduction, and paragraphs with the sentences of one passage each.
pub(crate) fn answer(query: &str, passages: &[Passage]) -> Vec<String> {
    let texts: Vec<Vec<&str>> = passages.iter().map(|passage| sentences(&passage.text)).collect();
    let mut all: Vec<Sentence<'_>> = vec![];
    for (passage, of_passage) in texts.iter().enumerate() {
        let heading = stems(passages[passage].heading.as_deref().unwrap_or_default());
        for (place, &text) in of_passage.iter().enumerate() {
            all.push(Sentence { passage, place, text, stems: stems(text), heading: heading.clone() });
        }
    }
    let chosen = choose(&asked_for(query), &all);
    let mut pieces = vec![INTRODUCTION.to_owned()];
    // Passages in the order of retrieval, sentences in that of their passage.
    let mut by_passage: BTreeMap<usize, Vec<&Sentence<'_>>> = BTreeMap::new();
    for &n in &chosen {
        by_passage.entry(all[n].passage).or_default().push(&all[n]);
    }
    for (passage, mut of_passage) in by_passage {
        of_passage.sort_by_key(|sentence| sentence.place);
        let mut paragraph = String::from("\n\n");
        let mut last: Option<usize> = None;
        for sentence in of_passage {
            match last {
                Some(before) if before + 1 == sentence.place => paragraph.push(' '),
                Some(_) => paragraph.push_str(" … "),
                None => {}
            }
            paragraph.push_str(&quoted(sentence.text));
            last = Some(sentence.place);
        }
        paragraph.push_str(&format!(" [{}]", passage + 1));
        pieces.push(paragraph);
    }
    pieces
}

/// Numbers of the sentences that say most together.
fn choose(asked: &BTreeSet<String>, all: &[Sentence<'_>]) -> Vec<usize> {
    let with = |term: &String| all.iter().filter(|s| s.stems.contains(term)).count() as f64;
    let weights: BTreeMap<&String, f64> =
        asked.iter().map(|term| (term, (1.0 + all.len() as f64 / (1.0 + with(term))).ln())).collect();
    let mut said: BTreeSet<&String> = BTreeSet::new();
    let mut chosen: Vec<usize> = vec![];
    let (mut chars, mut first) = (0, None);
    while chosen.len() < MOST_SENTENCES {
        let worth = |sentence: &Sentence<'_>| {
            let of_words: f64 = weights
                .iter()
                .map(|(term, weight)| {
                    let part = if said.contains(*term) { SAID } else { 1.0 };
                    if sentence.stems.contains(*term) {
                        weight * part
                    } else if sentence.heading.contains(*term) {
                        weight * part * 0.4
                    } else {
                        0.0
                    }
                })
                .sum();
            // What was found first is worth a little more; a long sentence says much besides.
            let length = sentence.text.chars().count() as f64;
            of_words / (1.0 + length / 400.0) * (1.0 + 0.3 / (1.0 + sentence.passage as f64))
        };
        let mut best: Option<(usize, f64)> = None;
        for (n, sentence) in all.iter().enumerate() {
            let is_new =
                !chosen.contains(&n) && chosen.iter().all(|&c| !are_alike(&all[c].stems, &sentence.stems));
            let fits = chosen.is_empty() || chars + sentence.text.chars().count() <= MOST_CHARS;
            let worth = worth(sentence);
            if is_new && fits && worth > best.map_or(0.0, |(_, worth)| worth) {
                best = Some((n, worth));
            }
        }
        let Some((n, worth)) = best else { break };
        if worth < first.unwrap_or(worth) * WORTH {
            break;
        }
        first = first.or(Some(worth));
        chars += all[n].text.chars().count();
        said.extend(asked.iter().filter(|term| all[n].stems.contains(*term)));
        chosen.push(n);
    }
    if chosen.is_empty() {
        // Found by meaning, with none of its words: how the best passage begins.
        chosen.extend(all.iter().enumerate().filter(|(_, s)| s.passage == 0 && s.place < 2).map(|(n, _)| n));
    }
    chosen
}

fn are_alike(a: &BTreeSet<String>, b: &BTreeSet<String>) -> bool {
    let common = a.intersection(b).count() as f64;
    common >= ALIKE * a.len().min(b.len()).max(1) as f64
}

/// Sentences, items and rows that say something, in order.
fn sentences(text: &str) -> Vec<&str> {
    let mut out = vec![];
    for block in blocks(text) {
        for sentence in joined(block) {
            let sentence = sentence.trim();
            if words(sentence).count() > 2 {
                out.push(sentence);
            }
        }
    }
    out
}

/// Paragraphs, and the lines of lists and tables. Lines that were only wrapped stay together.
fn blocks(text: &str) -> Vec<&str> {
    let begins = |line: &str| line.trim_start().starts_with(['-', '*', '•', '|', '#', '>']);
    let mut out = vec![];
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        if line.trim().is_empty() || begins(line) {
            out.push(&text[start..at]);
            start = at;
        }
        at += line.len();
    }
    out.push(&text[start..]);
    out
}

/// Sentences by Unicode's rules, without the breaks behind abbreviations.
fn joined(block: &str) -> Vec<&str> {
    let mut out: Vec<(usize, usize)> = vec![];
    for (at, piece) in block.split_sentence_bound_indices() {
        match out.last_mut() {
            Some((start, end)) if is_unfinished(&block[*start..*end]) => *end = at + piece.len(),
            _ => out.push((at, at + piece.len())),
        }
    }
    out.into_iter().map(|(start, end)| &block[start..end]).collect()
}

fn is_unfinished(sentence: &str) -> bool {
    const ABBREVIATIONS: [&str; 14] = [
        "mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "fig.", "e.g.", "i.e.", "ca.", "no.", "nr.", "vs.",
        "cf.",
    ];
    let last = sentence.trim_end().rsplit(char::is_whitespace).next().unwrap_or_default().to_lowercase();
    ABBREVIATIONS.contains(&last.as_str()) || !sentence.trim_end().ends_with(['.', '!', '?', ':', '。'])
}

/// A sentence on one line that starts no heading, list or table, and in which nothing looks like a mark of ours.
fn quoted(sentence: &str) -> String {
    let line = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.trim_start_matches(['-', '*', '•', '|', '#', '>', ' ']).trim_end_matches([' ', '|']);
    let line = match line.char_indices().nth(LONGEST) {
        None => line.to_owned(),
        Some((end, _)) => {
            let cut = line[..end].rfind(' ').unwrap_or(end);
            format!("{}…", line[..cut].trim_end())
        }
    };
    line.replace('[', "\\[").replace('【', "(").replace('】', ")").replace('`', "'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::chat::citation::cited;

    fn passage(text: &str) -> Passage {
        Passage { filename: "a.txt".into(), page: None, heading: None, text: text.into() }
    }

    fn extract(query: &str, texts: &[&str]) -> String {
        answer(query, &texts.iter().map(|t| passage(t)).collect::<Vec<_>>()).concat()
    }

    #[test]
    fn a_question_of_few_words_may_be_a_follow_up() {
        for follow_up in ["Why?", "And who lights it?", "Please tell me more about that one", ""] {
            assert!(is_follow_up(follow_up), "{follow_up}");
        }
        for question in ["Where does the lantern hang?", "Tell me more about the north quay"] {
            assert!(!is_follow_up(question), "{question}");
        }
    }

    #[test]
    fn it_chooses_the_sentences_that_answer_and_names_their_sources() {
        let texts = [
            "The harbour has two quays. The lantern hangs at the end of the north quay. Gulls are loud.",
            "Tea is served at four. The lantern is lit by the keeper at dusk.",
        ];
        let answer = extract("Who lights the lantern on the quay?", &texts);
        assert!(answer.starts_with(INTRODUCTION), "{answer}");
        assert!(answer.contains("The lantern hangs at the end of the north quay. [1]"), "{answer}");
        assert!(answer.contains("The lantern is lit by the keeper at dusk. [2]"), "{answer}");
        assert!(!answer.contains("Gulls") && !answer.contains("Tea"), "{answer}");
        assert_eq!(answer, extract("Who lights the lantern on the quay?", &texts), "always the same");
    }

    #[test]
    fn what_is_said_twice_is_told_once() {
        let same = "The lantern hangs at the end of the north quay.";
        assert_eq!(extract("Where is the lantern?", &[same, same]).matches(same).count(), 1);
    }

    #[test]
    fn a_passage_that_was_found_by_meaning_alone_is_told_by_its_beginning() {
        let answer = extract(
            "Which animals?",
            &["Gulls are very loud here. Terns are not so loud. Seals sleep all day."],
        );
        assert!(answer.contains("Gulls are very loud here. Terns are not so loud. [1]"), "{answer}");
    }

    #[test]
    fn wrapped_lines_stay_one_sentence_and_abbreviations_end_none() {
        let answer = extract(
            "lantern keeper",
            &["The keeper, i.e. Mr.\nBrown, lights the\nlantern at dusk every day."],
        );
        assert!(
            answer.contains("The keeper, i.e. Mr. Brown, lights the lantern at dusk every day. [1]"),
            "{answer}"
        );
    }

    #[test]
    fn nothing_in_a_document_passes_for_a_citation() {
        let answer =
            extract("lantern", &["The lantern is old [2]. The lantern is 【3】 new and `[4]` shines [1]."]);
        assert_eq!(cited(&answer, 9), [1]);
    }
}
