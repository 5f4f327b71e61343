//! Whole sentences, packed into passages.
//!
//! text-splitter takes every line end for the end of a sentence, so it cuts the hard-wrapped lines of a PDF in the
//! middle; here a sentence goes on over a single line end, and ends at a blank line or where a new block begins
//! (heading, list item, table row, line of code).

use crate::extract::ExtractedText;
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// A stretch that is not cut, in bytes and in characters, without white space at its edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub bytes: Range<usize>,
    pub chars: Range<usize>,
    /// A section of the document begins with it.
    pub begins_section: bool,
}

/// After these a full stop does not end a sentence (without it, in lower case).
const ABBREVIATIONS: [&str; 30] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "fig", "figs", "eq", "eqs", "vol", "pp", "cf", "vs", "e.g", "i.e", "ca",
    "approx", "al", "sec", "ch", "ed", "eds", "nr", "z.b", "d.h", "bzw", "dept", "gen", "rev",
];

pub(super) fn cut(doc: &ExtractedText, size: usize, overlap: usize) -> Vec<Range<usize>> {
    let units = sentences(doc).into_iter().flat_map(|s| fitting(&doc.text, s, size)).collect::<Vec<_>>();
    pack(&units, size, overlap)
}

/// Fills passages with as many units as fit. The next one begins with the last units of the one before, as far as the
/// overlap allows, unless a section begins there.
pub(super) fn pack(units: &[Unit], size: usize, overlap: usize) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut from = 0;
    while from < units.len() {
        let begin = units[from].chars.start;
        let mut to = from + 1;
        while to < units.len() && units[to].chars.end - begin <= size {
            // A heading at the end of a passage helps neither this one nor the next; so it opens the next one, unless
            // this would be left short.
            if units[to].begins_section && (units[to - 1].chars.end - begin) * 2 >= size {
                break;
            }
            to += 1;
        }
        out.push(units[from].bytes.start..units[to - 1].bytes.end);
        if to == units.len() {
            break;
        }
        let end = units[to - 1].chars.end;
        let mut next = to;
        if !units[to].begins_section {
            // The overlap must leave room for the unit that comes.
            while next > from + 1
                && end - units[next - 1].chars.start <= overlap
                && units[to].chars.end - units[next - 1].chars.start <= size
            {
                next -= 1;
                if units[next].begins_section {
                    break;
                }
            }
        }
        from = next;
    }
    out
}

/// The sentences of a document, in order, together holding everything that is not white space.
pub(super) fn sentences(doc: &ExtractedText) -> Vec<Unit> {
    let text = doc.text.as_str();
    let mut ranges = Vec::new();
    for block in blocks(text) {
        split_block(text, block, &mut ranges);
    }
    let sections: Vec<usize> = doc.spans.iter().filter(|s| s.heading.is_some() && s.page.is_none()).map(|s| s.start).collect();
    let mut units = Vec::with_capacity(ranges.len());
    let (mut byte, mut chars, mut section) = (0, 0, 0);
    for bytes in ranges {
        let Some(bytes) = super::trimmed(text, bytes) else { continue };
        chars += text[byte..bytes.start].chars().count();
        let start = chars;
        chars += text[bytes.clone()].chars().count();
        byte = bytes.end;
        let passed = sections[section..].iter().take_while(|s| **s <= bytes.start).count();
        section += passed;
        units.push(Unit { bytes, chars: start..chars, begins_section: passed > 0 });
    }
    units
}

/// Paragraphs, headings, list items, table rows and lines of code; contiguous, covering the text.
fn blocks(text: &str) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    let (mut begin, mut at) = (0, 0);
    let (mut in_code, mut after_single) = (false, false);
    for line in text.split_inclusive('\n') {
        let body = line.trim();
        let fence = body.starts_with("```") || body.starts_with("~~~");
        let heading = is_heading(body);
        let single = body.is_empty() || fence || in_code || heading;
        if (single || after_single || begins_block(body)) && at > begin {
            out.push(begin..at);
            begin = at;
        }
        if fence {
            in_code = !in_code;
        }
        after_single = single;
        at += line.len();
    }
    if text.len() > begin {
        out.push(begin..text.len());
    }
    out
}

fn is_heading(line: &str) -> bool {
    let level = line.bytes().take_while(|b| *b == b'#').count();
    (1..=6).contains(&level) && line[level..].starts_with(' ')
}

fn begins_block(line: &str) -> bool {
    let mut chars = line.chars();
    match chars.next() {
        Some('-' | '*' | '+' | '•' | '◦' | '▪' | '–') => chars.next() == Some(' '),
        Some('|' | '>') => true,
        Some(c) if c.is_ascii_digit() => {
            let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
            line.len() - rest.len() <= 3 && (rest.starts_with(". ") || rest.starts_with(") "))
        }
        _ => false,
    }
}

/// The sentences of one block.
fn split_block(text: &str, block: Range<usize>, out: &mut Vec<Range<usize>>) {
    let part = &text[block.clone()];
    // A line end inside a paragraph is a space. Both are one byte, so places stay.
    let line = if part.trim_end().contains('\n') { part.replace('\n', " ") } else { part.to_owned() };
    let mut begin = 0;
    for (at, sentence) in line.split_sentence_bound_indices() {
        let end = at + sentence.len();
        if end < line.len() && goes_on(&line[begin..end], &line[end..]) {
            continue;
        }
        out.push(block.start + begin..block.start + end);
        begin = end;
    }
    if begin < line.len() {
        out.push(block.start + begin..block.end);
    }
}

/// Whether what looks like the end of a sentence is an abbreviation or an initial.
fn goes_on(sentence: &str, next: &str) -> bool {
    let Some(body) = sentence.trim_end().strip_suffix('.') else { return false };
    let word = body.rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '"' | '“')).next().unwrap_or_default();
    let mut chars = word.chars();
    let initial = matches!((chars.next(), chars.next()), (Some(c), None) if c.is_uppercase());
    let numbered = word == "No" && next.starts_with(|c: char| c.is_ascii_digit());
    initial || numbered || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

/// A sentence that fits, or what it is cut into: lines, then words, then pieces of a word.
pub(super) fn fitting(text: &str, unit: Unit, size: usize) -> Vec<Unit> {
    if unit.chars.len() <= size {
        return vec![unit];
    }
    let mut out = Vec::new();
    let mut chars = unit.chars.start;
    let mut add = |part: &str, at: usize, chars: usize| {
        out.push(Unit {
            bytes: at..at + part.len(),
            chars: chars..chars + part.chars().count(),
            begins_section: unit.begins_section && at == unit.bytes.start,
        });
    };
    let mut at = unit.bytes.start;
    for line in text[unit.bytes.clone()].split_inclusive('\n') {
        let whole = line.trim();
        if !whole.is_empty() && whole.chars().count() <= size {
            let lead = line.len() - line.trim_start().len();
            add(whole, at + lead, chars + line[..lead].chars().count());
            at += line.len();
            chars += line.chars().count();
            continue;
        }
        for word in line.split_inclusive(char::is_whitespace) {
            let body = word.trim_end();
            let (mut piece_at, mut piece_chars) = (at, chars);
            for piece in pieces_of_word(body, size) {
                add(piece, piece_at, piece_chars);
                piece_at += piece.len();
                piece_chars += piece.chars().count();
            }
            at += word.len();
            chars += word.chars().count();
        }
    }
    out
}

/// Pieces of at most `size` characters, cut between what people see as characters where that is possible.
fn pieces_of_word(word: &str, size: usize) -> Vec<&str> {
    if word.chars().count() <= size {
        return if word.is_empty() { Vec::new() } else { vec![word] };
    }
    let mut out = Vec::new();
    let (mut begin, mut chars) = (0, 0);
    for (at, grapheme) in word.grapheme_indices(true) {
        let long = grapheme.chars().count();
        if chars + long > size {
            if at > begin {
                out.push(&word[begin..at]);
            }
            (begin, chars) = (at, 0);
        }
        if long > size {
            // A letter with a thousand accents: cut it between them.
            for (i, _) in grapheme.char_indices() {
                if chars == size {
                    out.push(&word[begin..at + i]);
                    (begin, chars) = (at + i, 0);
                }
                chars += 1;
            }
        } else {
            chars += long;
        }
    }
    out.push(&word[begin..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let doc = ExtractedText { text: text.to_owned(), ..ExtractedText::default() };
        sentences(&doc).into_iter().map(|u| doc.text[u.bytes].to_owned()).collect()
    }

    #[test]
    fn a_sentence_goes_on_over_a_line_end_but_not_over_a_blank_line() {
        assert_eq!(found("One sentence\nin two lines. And\nmore.\n\nA title\n\nText."), [
            "One sentence\nin two lines.",
            "And\nmore.",
            "A title",
            "Text."
        ]);
    }

    #[test]
    fn abbreviations_and_initials_do_not_end_a_sentence() {
        assert_eq!(found("Dr. Who met J. Smith, e.g. Monday. It rained."), [
            "Dr. Who met J. Smith, e.g. Monday.",
            "It rained."
        ]);
        assert_eq!(found("See No. 5 there. He said no. Then he left."), [
            "See No. 5 there.",
            "He said no.",
            "Then he left."
        ]);
    }

    #[test]
    fn list_items_table_rows_and_code_are_units_of_their_own() {
        assert_eq!(found("# Head\ntext\n- one\n- two\n| a | b |\n```\nx = 1\ny. Z\n```\n1. first\nafter"), [
            "# Head", "text", "- one", "- two", "| a | b |", "```", "x = 1", "y.", "Z", "```", "1. first\nafter"
        ]);
    }

    #[test]
    fn other_scripts_have_sentences_too() {
        assert_eq!(found("今日は晴れです。明日は雨です。"), ["今日は晴れです。", "明日は雨です。"]);
    }

    #[test]
    fn a_sentence_is_cut_only_when_it_alone_is_too_long() {
        let doc = ExtractedText { text: "Short one. ".to_owned() + &"word ".repeat(30) + "end. Tail.", ..Default::default() };
        let cuts = cut(&doc, 60, 10);
        assert!(cuts.iter().all(|c| c.len() <= 60));
        assert!(doc.text[cuts[0].clone()].starts_with("Short one."));
        assert!(doc.text[cuts.last().unwrap().clone()].ends_with("Tail."));
    }
}
