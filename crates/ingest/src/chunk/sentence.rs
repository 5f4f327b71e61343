//! Whole sentences, packed into passages.
//!
//! text-splitter was tried and left: it takes every line end for the end of a sentence, so it cuts sentences of a PDF,
//! whose lines are hard-wrapped, in the middle. Here a sentence goes on over a single line end, and ends at a blank line or where a new block begins
//! (heading, list item, table row, line of code).

use super::{
    Stop,
    units::{Unit, fitting, measured, pack},
};
use crate::extract::{ExtractedText, Span};
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// After these a full stop does not end a sentence (without it, in lower case).
const ABBREVIATIONS: [&str; 30] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "fig", "figs", "eq", "eqs", "vol", "pp", "cf", "vs", "e.g", "i.e",
    "ca", "approx", "al", "sec", "ch", "ed", "eds", "nr", "z.b", "d.h", "bzw", "dept", "gen", "rev",
];

/// A heading opens a new passage when the present one is at least this full: one part in so many.
const SECTION_SHARE: usize = 2;

pub(super) fn cut(doc: &ExtractedText, size: usize, overlap: usize, stop: &Stop) -> Vec<Range<usize>> {
    let units: Vec<Unit> =
        sentences(doc, size, stop).into_iter().flat_map(|s| fitting(&doc.text, s, size)).collect();
    pack(&units, size, overlap, SECTION_SHARE)
}

/// The sentences of a document, in order, together holding everything that is not white space. A row of a table and an
/// item of a list on one line stay whole when they are no longer than `size`.
pub(super) fn sentences(doc: &ExtractedText, size: usize, stop: &Stop) -> Vec<Unit> {
    let begins = |s: &&Span| s.heading.is_some() && s.page.is_none();
    let sections: Vec<usize> = doc.spans.iter().filter(begins).map(|s| s.start).collect();
    measured(&doc.text, (0, 0), parts(&doc.text, 0..doc.text.len(), size, stop), &sections)
}

/// The sentences, list items, table rows and lines of code of a part of a text; contiguous, covering it.
pub(super) fn parts(text: &str, range: Range<usize>, size: usize, stop: &Stop) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    for block in blocks(&text[range.clone()]) {
        let block = range.start + block.start..range.start + block.end;
        if is_row(&text[block.clone()], size) {
            out.push(block);
        } else {
            split_block(text, block, stop, &mut out);
        }
    }
    out
}

/// A row or an item on one line that fits into a passage. Half of it says little: the names of the cells, or what the
/// item speaks of, would be in the other half.
fn is_row(block: &str, size: usize) -> bool {
    let line = block.trim();
    begins_block(line) && !line.contains('\n') && line.chars().count() <= size
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

/// So many bytes are looked at for ends of sentences at once. The rules of Unicode look ahead as far as they may, so a
/// text made for it would take time with the square of its length.
const WINDOW: usize = 2_048;

/// The sentences of one block. One that is longer than a window may be parted at a white space.
fn split_block(text: &str, block: Range<usize>, stop: &Stop, out: &mut Vec<Range<usize>>) {
    let part = &text[block.clone()];
    // A line end inside a paragraph is a space. Both are one byte, so places stay.
    let line = if part.trim_end().contains('\n') { part.replace('\n', " ") } else { part.to_owned() };
    let (mut begin, mut from) = (0, 0);
    while from < line.len() && !stop.is_asked() {
        let until = line.floor_char_boundary(from + WINDOW);
        let mut sure = from;
        for (at, sentence) in line[from..until].split_sentence_bound_indices() {
            let end = from + at + sentence.len();
            if end == until && until < line.len() {
                // What ends with the window may go on behind it.
                break;
            }
            sure = end;
            if end < line.len() && goes_on(&line[begin..end], &line[end..]) {
                continue;
            }
            out.push(block.start + begin..block.start + end);
            begin = end;
        }
        if sure == from {
            let space = line[from..until].rfind(char::is_whitespace).map(|at| from + at + 1);
            sure = space.map_or(until, |space| line.ceil_char_boundary(space)).max(from + 1);
            sure = line.ceil_char_boundary(sure);
            out.push(block.start + begin..block.start + sure);
            begin = sure;
        }
        from = sure;
    }
    if begin < line.len() {
        out.push(block.start + begin..block.end);
    }
}

/// Whether what looks like the end of a sentence is an abbreviation or an initial.
fn goes_on(sentence: &str, next: &str) -> bool {
    let Some(body) = sentence.trim_end().strip_suffix('.') else { return false };
    let word = body
        .rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '"' | '“'))
        .next()
        .unwrap_or_default();
    let mut chars = word.chars();
    let initial = matches!((chars.next(), chars.next()), (Some(c), None) if c.is_uppercase());
    let numbered = word == "No" && next.starts_with(|c: char| c.is_ascii_digit());
    initial || numbered || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let doc = ExtractedText { text: text.to_owned(), ..ExtractedText::default() };
        sentences(&doc, 100, &Stop::default()).into_iter().map(|u| doc.text[u.bytes].to_owned()).collect()
    }

    #[test]
    fn a_sentence_goes_on_over_a_line_end_but_not_over_a_blank_line() {
        assert_eq!(
            found("One sentence\nin two lines. And\nmore.\n\nA title\n\nText."),
            ["One sentence\nin two lines.", "And\nmore.", "A title", "Text."]
        );
    }

    #[test]
    fn abbreviations_and_initials_do_not_end_a_sentence() {
        assert_eq!(
            found("Dr. Who met J. Smith, e.g. Monday. It rained."),
            ["Dr. Who met J. Smith, e.g. Monday.", "It rained."]
        );
        assert_eq!(
            found("See No. 5 there. He said no. Then he left."),
            ["See No. 5 there.", "He said no.", "Then he left."]
        );
    }

    #[test]
    fn list_items_table_rows_and_code_are_units_of_their_own() {
        assert_eq!(
            found("# Head\ntext\n- one\n- two\n| a | b |\n```\nx = 1\ny. Z\n```\n1. first\nafter"),
            [
                "# Head",
                "text",
                "- one",
                "- two",
                "| a | b |",
                "```",
                "x = 1",
                "y.",
                "Z",
                "```",
                "1. first\nafter"
            ]
        );
    }

    #[test]
    fn a_row_on_one_line_is_cut_only_when_it_does_not_fit() {
        let row = "- Name: Pear; Taste: Sweet. Very sweet. And soft; Price: 2";
        assert_eq!(found(&format!("{row}\n{row}\n")), [row, row]);
        let long = format!("- Name: Pear; Taste: {}", "Sweet. ".repeat(20));
        assert!(found(&long).len() > 10);
        assert_eq!(found("- An item.\nIt goes on. And on.").len(), 3);
    }

    #[test]
    fn other_scripts_have_sentences_too() {
        assert_eq!(found("今日は晴れです。明日は雨です。"), ["今日は晴れです。", "明日は雨です。"]);
    }

    #[test]
    fn a_sentence_is_cut_only_when_it_alone_is_too_long() {
        let doc = ExtractedText {
            text: "Short one. ".to_owned() + &"word ".repeat(30) + "end. Tail.",
            ..Default::default()
        };
        let cuts = cut(&doc, 60, 10, &Stop::default());
        assert!(cuts.iter().all(|c| c.len() <= 60));
        assert!(doc.text[cuts[0].clone()].starts_with("Short one."));
        assert!(doc.text[cuts.last().unwrap().clone()].ends_with("Tail."));
    }
}
