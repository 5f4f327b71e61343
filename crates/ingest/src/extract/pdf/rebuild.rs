//! A PDF whose table of objects is missing or wrong (cut off on its way, edited by hand, put together badly): the
//! objects themselves are looked for, and a new table is written behind them.

use pdf_extract::{Document, Object, ObjectId};
use std::{collections::BTreeMap, fmt::Write};

/// Objects that a table is written for; a file with more is not worth the trouble.
const MAX_OBJECTS: usize = 2_000_000;

/// The file with a new table. `None`: there is nothing in it that looks like an object, or it is encrypted, and what
/// it was encrypted with is in the part that is wrong.
pub fn with_new_table(bytes: &[u8]) -> Option<Vec<u8>> {
    let start = find(bytes, b"%PDF-")?;
    let file = &bytes[start..];
    if speaks_of_encryption(file) {
        return None;
    }
    let objects = objects(file);
    if objects.is_empty() || objects.len() > MAX_OBJECTS {
        return None;
    }
    let root = last_root(file).or_else(|| {
        let catalog = |place: &usize| {
            let head = &file[*place..file.len().min(place + 400)];
            let head = &head[..find(head, b"endobj").unwrap_or(head.len())];
            find(head, b"/Catalog").is_some()
        };
        objects
            .iter()
            .find(|(_, (_, place))| catalog(place))
            .map(|(number, (generation, _))| (*number, *generation))
    });
    let mut table = String::from("\nxref\n0 1\n0000000000 65535 f \n");
    for (number, (generation, place)) in &objects {
        // Writing to a string cannot fail.
        let _ = write!(table, "{number} 1\n{place:010} {generation:05} n \n");
    }
    let size = objects.keys().next_back().map_or(1, |n| n + 1);
    let root = root.map(|(n, g)| format!("/Root {n} {g} R")).unwrap_or_default();
    let at = file.len() + 1;
    let _ = write!(table, "trailer\n<< /Size {size} {root} >>\nstartxref\n{at}\n%%EOF\n");
    let mut out = Vec::with_capacity(file.len() + table.len());
    out.extend_from_slice(file);
    out.extend_from_slice(table.as_bytes());
    Some(out)
}

pub fn speaks_of_encryption(file: &[u8]) -> bool {
    find(file, b"/Encrypt").is_some()
}

/// The pages of a document whose tree of pages is lost, in the order of their numbers.
pub fn loose_pages(document: &Document) -> Vec<ObjectId> {
    let page = |object: &Object| object.as_dict().is_ok_and(|d| d.has_type(b"Page"));
    document.objects.iter().filter(|(_, object)| page(object)).map(|(id, _)| *id).collect()
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|w| w == pattern)
}

/// Number to generation and place; of several with one number the last counts, as in a file that was added to.
fn objects(file: &[u8]) -> BTreeMap<u32, (u16, usize)> {
    let mut out = BTreeMap::new();
    for (at, window) in file.windows(4).enumerate() {
        let follows = file.get(at + 4).is_none_or(|b| !b.is_ascii_alphanumeric());
        if window == b" obj"
            && follows
            && let Some((number, generation, place)) = header_before(file, at)
        {
            out.insert(number, (generation, place));
        }
    }
    out
}

/// `12 0` that ends at a place: the numbers and where they begin.
fn header_before(file: &[u8], end: usize) -> Option<(u32, u16, usize)> {
    let (generation, at) = number_before(file, end)?;
    let gap = file[..at].iter().rev().take_while(|b| **b == b' ').count();
    let (number, begin) = number_before(file, at - gap).filter(|_| gap > 0)?;
    let fresh = begin == 0 || !file[begin - 1].is_ascii_alphanumeric();
    (fresh && number > 0).then_some((u32::try_from(number).ok()?, u16::try_from(generation).ok()?, begin))
}

fn number_before(file: &[u8], end: usize) -> Option<(u64, usize)> {
    let digits = file[..end].iter().rev().take(10).take_while(|b| b.is_ascii_digit()).count();
    let begin = end - digits;
    let number = std::str::from_utf8(&file[begin..end]).ok()?.parse().ok()?;
    Some((number, begin))
}

/// What the last trailer that is still there calls the root.
fn last_root(file: &[u8]) -> Option<(u32, u16)> {
    let at = file.windows(6).rposition(|w| w == b"/Root ")? + 6;
    let rest = String::from_utf8_lossy(&file[at..file.len().min(at + 32)]).into_owned();
    let mut words = rest.split_whitespace();
    let (number, generation) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (words.next()?.starts_with('R')).then_some((number, generation))
}
