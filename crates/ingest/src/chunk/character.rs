//! As many characters as fit, cut at the best place near the end: a blank line, a line end, the end of a sentence, or
//! at least between two words.

use std::ops::Range;
use unicode_segmentation::GraphemeCursor;

/// A better place is looked for in the last part of a passage only, so that passages stay well filled.
const LAST_PART: usize = 4;

pub(super) fn cut(text: &str, size: usize, overlap: usize) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let (mut from, mut done) = (0, 0);
    loop {
        // Leading white space must not use up the size.
        from += text[from..].len() - text[from..].trim_start().len();
        if from >= text.len() {
            return out;
        }
        let Some(limit) = after_chars(text, from, size) else {
            out.push(from..text.len());
            return out;
        };
        let late = after_chars(text, from, size - size / LAST_PART).unwrap_or(limit);
        let Some(to) = best_cut(text, from.max(done), late.max(done), limit) else {
            if from < done {
                // What the overlap leaves room for is not even a word.
                from = done;
                continue;
            }
            let to = inside_a_word(text, from, limit);
            out.push(from..to);
            (from, done) = (to, to);
            continue;
        };
        out.push(from..to);
        done = to;
        from = overlap_start(text, from, to, overlap);
    }
}

/// The byte after so many characters; `None` when the text ends before or there.
fn after_chars(text: &str, from: usize, chars: usize) -> Option<usize> {
    text[from..].char_indices().nth(chars).map(|(i, _)| from + i)
}

/// The best place to cut after `earliest` and not after `limit`; from `late` on, better ones count for more.
fn best_cut(text: &str, earliest: usize, late: usize, limit: usize) -> Option<usize> {
    // A sign that stands right behind the limit still shows what kind of place it is.
    let behind = text[limit..].chars().next().map_or(limit, |c| limit + c.len_utf8());
    let window = &text[late..behind];
    // Only white space before it would make an empty passage.
    let useful = |found: &usize| *found > earliest && !text[earliest..*found].trim().is_empty();
    ["\n\n", "\n"]
        .iter()
        .find_map(|mark| window.rfind(mark).map(|i| late + i).filter(useful))
        .or_else(|| {
            let ends = window.char_indices().zip(window.chars().skip(1)).filter(|((_, c), next)| {
                matches!(c, '.' | '!' | '?' | ':' | ';') && next.is_whitespace()
                    || matches!(c, '。' | '！' | '？')
            });
            ends.last().map(|((i, c), _)| late + i + c.len_utf8()).filter(useful)
        })
        .or_else(|| {
            let window = &text[earliest..behind];
            window.rfind(char::is_whitespace).map(|i| earliest + i).filter(useful)
        })
}

fn inside_a_word(text: &str, from: usize, limit: usize) -> usize {
    let mut cursor = GraphemeCursor::new(limit, text.len(), true);
    match cursor.is_boundary(text, 0) {
        Ok(false) => match cursor.prev_boundary(text, 0) {
            Ok(Some(boundary)) if boundary > from => boundary,
            _ => limit,
        },
        _ => limit,
    }
}

/// Where the next passage begins: with the first word that lies within the last `overlap` characters.
fn overlap_start(text: &str, from: usize, to: usize, overlap: usize) -> usize {
    let passage = &text[from..to];
    // Later than this passage began, or the next would be the same.
    let second = from + passage.chars().next().map_or(0, char::len_utf8);
    let earliest =
        passage.char_indices().rev().take(overlap).last().map_or(to, |(i, _)| from + i).max(second);
    let mut before_is_space = text[..earliest].chars().next_back().is_some_and(char::is_whitespace);
    let tail = &text[earliest..to];
    for (i, c) in tail.char_indices() {
        if before_is_space && !c.is_whitespace() {
            return earliest + i;
        }
        before_is_space = c.is_whitespace();
    }
    to
}
