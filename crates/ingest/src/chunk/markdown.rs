//! Whole blocks of a Markdown text (paragraphs, lists, tables, code), gathered under their headings.
//!
//! text-splitter's Markdown splitter was tried and left: on odd input it gives passages out of order and leaves
//! characters out.

use super::{
    Stop,
    sentence::parts,
    units::{fitting, measured, pack},
};
use pulldown_cmark::{Event, Options, Parser, Tag};
use std::ops::Range;

/// A heading opens a new passage when the present one is at least this full: one part in so many.
const SECTION_SHARE: usize = 4;

pub(super) fn cut(text: &str, size: usize, overlap: usize, stop: &Stop) -> Vec<Range<usize>> {
    let (blocks, headings) = top_level(text);
    let mut units = Vec::new();
    for unit in measured(text, (0, 0), blocks, &headings) {
        if unit.chars.len() <= size {
            units.push(unit);
            continue;
        }
        // A block that does not fit is cut between its items, rows, lines or sentences.
        let begins: Vec<usize> = unit.begins_section.then_some(unit.bytes.start).into_iter().collect();
        let place = (unit.bytes.start, unit.chars.start);
        let inner = measured(text, place, parts(text, unit.bytes, size, stop), &begins);
        units.extend(inner.into_iter().flat_map(|part| fitting(text, part, size)));
    }
    pack(&units, size, overlap, SECTION_SHARE)
}

/// The blocks of the text, together covering it, and where its headings begin.
fn top_level(text: &str) -> (Vec<Range<usize>>, Vec<usize>) {
    let (mut starts, mut headings) = (Vec::new(), Vec::new());
    let mut depth = 0;
    for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        if depth == 0 && !matches!(event, Event::End(_)) {
            starts.push(range.start);
            if matches!(event, Event::Start(Tag::Heading { .. })) {
                headings.push(range.start);
            }
        }
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            _ => {}
        }
    }
    // Blocks that follow each other; what belongs to none (definitions of links) stays with the one before.
    starts.retain(|s| text.is_char_boundary(*s));
    starts.insert(0, 0);
    starts.push(text.len());
    starts.sort_unstable();
    starts.dedup();
    (starts.windows(2).map(|w| w[0]..w[1]).collect(), headings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passages(text: &str, size: usize) -> Vec<&str> {
        cut(text, size, 0, &Stop::default()).into_iter().map(|r| text[r].trim()).collect()
    }

    #[test]
    fn blocks_stay_whole_and_a_heading_stays_with_its_text() {
        let text = "# One\n\nA paragraph about one thing.\n\n```\ncode = 1\n\nmore = 2\n```\n\n## Two\n\n- item\n- item\n";
        assert_eq!(
            passages(text, 60),
            [
                "# One\n\nA paragraph about one thing.",
                "```\ncode = 1\n\nmore = 2\n```",
                "## Two\n\n- item\n- item"
            ]
        );
    }

    #[test]
    fn a_block_that_does_not_fit_is_cut_between_its_parts() {
        let rows: String = (0..10).map(|i| format!("| row {i} | value {i} |\n")).collect();
        let text = format!("| a | b |\n|---|---|\n{rows}");
        for passage in passages(&text, 60) {
            assert!(passage.starts_with('|') && passage.ends_with('|'), "{passage}");
            assert!(passage.chars().count() <= 60);
        }
    }
}
