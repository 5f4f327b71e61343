//! A file that comes in parts, in a store whose objects cannot grow: each piece is an object of its own, named by where it
//! begins and ends, in a folder beside the file. So any server takes the next part, and what is acknowledged lies where no
//! server can lose it. Once all are there they are put together.

use object_store::path::Path;
use std::{cmp::Reverse, collections::BTreeMap};

/// The folder, beside the files, of the pieces. Not below a file: there are stores in which a key cannot be both.
const FOLDER: &str = ".parts";

/// A stretch of a file, and the object that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub begin: u64,
    pub end: u64,
    pub place: Path,
}

/// The folder of the pieces of a file.
pub(super) fn folder_of(key: &str) -> String {
    match key.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/{FOLDER}/{name}"),
        None => format!("{FOLDER}/{key}"),
    }
}

/// The name of a piece in that folder. Names are in the order of the ends, so that those behind a place are found at once.
pub(super) fn name_of(begin: u64, end: u64) -> String {
    format!("{end:016x}-{begin:016x}")
}

/// What all pieces that end at `at` or behind it come after, in the order of names.
pub(super) fn before(at: u64) -> String {
    format!("{at:016x}")
}

/// Where a piece of that name begins and ends.
pub(super) fn stretch_of(name: &str) -> Option<(u64, u64)> {
    let (end, begin) = name.split_once('-')?;
    let (begin, end) = (u64::from_str_radix(begin, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    (name_of(begin, end) == name && begin <= end).then_some((begin, end))
}

/// The key of the file of which this key, without the root, is a piece; `None` when it is none.
pub(super) fn file_of(key: &str) -> Option<String> {
    let (path, name) = key.rsplit_once('/')?;
    stretch_of(name)?;
    let (folder, file) = path.rsplit_once('/')?;
    match folder.rsplit_once('/') {
        Some((folder, FOLDER)) => Some(format!("{folder}/{file}")),
        None if folder == FOLDER => Some(file.to_owned()),
        _ => None,
    }
}

/// The pieces that make up as much of the file as there is without a hole, in order, each beginning where the one before
/// ends. Others lie about where a part was sent twice and came to different ends; all have the same bytes.
pub(super) fn chain(mut pieces: Vec<Piece>) -> Vec<Piece> {
    // Of two that begin alike the longer one first; by the time of one, all that end where it begins were looked at.
    pieces.sort_by_key(|piece| (piece.begin, Reverse(piece.end)));
    let mut reached = BTreeMap::<u64, usize>::new();
    for (n, piece) in pieces.iter().enumerate() {
        let goes_on = piece.begin == 0 || reached.contains_key(&piece.begin);
        if goes_on && piece.begin < piece.end {
            reached.entry(piece.end).or_insert(n);
        }
    }
    let mut chain = vec![];
    let mut end = reached.keys().next_back().copied();
    while let Some(piece) = end.and_then(|end| reached.get(&end)).map(|n| &pieces[*n]) {
        chain.push(piece.clone());
        end = Some(piece.begin);
    }
    chain.reverse();
    chain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn piece(begin: u64, end: u64) -> Piece {
        Piece { begin, end, place: Path::from(name_of(begin, end)) }
    }

    fn stretches(pieces: &[Piece]) -> Vec<(u64, u64)> {
        pieces.iter().map(|p| (p.begin, p.end)).collect()
    }

    #[test]
    fn the_longest_way_without_a_hole_is_taken() {
        for (pieces, expected) in [
            (vec![], vec![]),
            (vec![(0, 0)], vec![]),
            (vec![(4, 9)], vec![]),
            (vec![(0, 4), (4, 9)], vec![(0, 4), (4, 9)]),
            (vec![(4, 9), (0, 4), (9, 12)], vec![(0, 4), (4, 9), (9, 12)]),
            // What broke off leads nowhere, or on.
            (vec![(0, 4), (0, 3), (4, 9)], vec![(0, 4), (4, 9)]),
            (vec![(0, 4), (0, 3), (3, 9)], vec![(0, 3), (3, 9)]),
            // A hole.
            (vec![(0, 4), (5, 9)], vec![(0, 4)]),
            // What was put together already.
            (vec![(0, 4), (4, 9), (0, 9)], vec![(0, 9)]),
        ] {
            let all = pieces.iter().map(|(begin, end)| piece(*begin, *end)).collect();
            assert_eq!(stretches(&chain(all)), expected, "{pieces:?}");
        }
    }

    #[test]
    fn a_chain_has_no_hole_and_goes_as_far_as_one_can() {
        let mut state = 1u64;
        let mut below = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        for course in 0..2_000 {
            let pieces: Vec<Piece> = (0..below(12))
                .map(|_| {
                    let begin = below(10);
                    piece(begin, begin + below(5))
                })
                .collect();
            let mut reached = BTreeSet::from([0]);
            for _ in 0..pieces.len() {
                let next: Vec<u64> =
                    pieces.iter().filter(|p| reached.contains(&p.begin)).map(|p| p.end).collect();
                reached.extend(next);
            }
            let found = stretches(&chain(pieces.clone()));
            let end = found.iter().fold(0, |at, (begin, end)| {
                assert!(*begin == at && begin < end, "{course}: {found:?} of {pieces:?}");
                *end
            });
            assert_eq!(Some(&end), reached.last(), "{course}: {found:?} of {pieces:?}");
        }
    }

    #[test]
    fn names_tell_the_stretch_and_the_file() {
        let name = name_of(5, 4_000_000_000);
        assert_eq!(stretch_of(&name), Some((5, 4_000_000_000)));
        assert!(*before(4_000_000_000) < *name && *before(4_000_000_001) > *name);
        for file in ["users/a/documents/b", "probes/x", "alone"] {
            assert_eq!(file_of(&format!("{}/{name}", folder_of(file))).as_deref(), Some(file));
            assert_eq!(file_of(file), None);
        }
        for other in ["", "-", "5-6", "users/.parts/a", "0000000000000004-0000000000000005"] {
            assert_eq!(stretch_of(other), None, "{other}");
        }
        assert_eq!(file_of(&format!("users/a/parts/b/{name}")), None);
    }
}
