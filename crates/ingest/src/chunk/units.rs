//! Stretches that are not cut, and packing them into passages.

use super::trimmed;
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

/// Units of byte ranges that stand in order and do not overlap; blank ones are left out. `sections` are the places, in
/// order, where sections begin. Counting begins at `(byte, chars)`: so many characters stand before that byte.
pub(super) fn measured(
    text: &str,
    (mut byte, mut chars): (usize, usize),
    ranges: impl IntoIterator<Item = Range<usize>>,
    sections: &[usize],
) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut section = 0;
    for range in ranges {
        let Some(bytes) = trimmed(text, range) else { continue };
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

/// Fills passages with as many units as fit. The next one begins with the last units of the one before, as far as the
/// overlap allows, unless a section begins there. A section opens a new passage when the present one holds at least
/// one part in `section_share` of the size.
pub(super) fn pack(units: &[Unit], size: usize, overlap: usize, section_share: usize) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut from = 0;
    while from < units.len() {
        let begin = units[from].chars.start;
        let mut to = from + 1;
        while to < units.len() && units[to].chars.end - begin <= size {
            // A heading at the end of a passage helps neither this one nor the next.
            if units[to].begins_section && (units[to - 1].chars.end - begin) * section_share >= size {
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

/// A unit that fits, or what it is cut into: lines, then what stands between semicolons, such as the cells of a table's
/// row with their names, then words, then pieces of a word.
pub(super) fn fitting(text: &str, unit: Unit, size: usize) -> Vec<Unit> {
    if unit.chars.len() <= size {
        return vec![unit];
    }
    let mut out = Vec::new();
    let mut add = |part: &str, at: usize, chars: usize| {
        out.push(Unit {
            bytes: at..at + part.len(),
            chars: chars..chars + part.chars().count(),
            begins_section: unit.begins_section && at == unit.bytes.start,
        });
    };
    let (mut at, mut chars) = (unit.bytes.start, unit.chars.start);
    for line in text[unit.bytes.clone()].split_inclusive('\n') {
        let whole = line.trim();
        if !whole.is_empty() && whole.chars().count() <= size {
            let lead = line.len() - line.trim_start().len();
            add(whole, at + lead, chars + line[..lead].chars().count());
            at += line.len();
            chars += line.chars().count();
            continue;
        }
        for cell in line.split_inclusive("; ") {
            let whole = cell.trim();
            if cell.len() < line.len() && !whole.is_empty() && whole.chars().count() <= size {
                let lead = cell.len() - cell.trim_start().len();
                add(whole, at + lead, chars + cell[..lead].chars().count());
                at += cell.len();
                chars += cell.chars().count();
                continue;
            }
            for word in cell.split_inclusive(char::is_whitespace) {
                let (mut piece_at, mut piece_chars) = (at, chars);
                for piece in pieces_of_word(word.trim_end(), size) {
                    add(piece, piece_at, piece_chars);
                    piece_at += piece.len();
                    piece_chars += piece.chars().count();
                }
                at += word.len();
                chars += word.chars().count();
            }
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
