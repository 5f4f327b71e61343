//! A file that comes in parts: each piece is a file or an object of its own, named by where it begins and ends and by the
//! turn that it came in, in a folder beside the file. A piece comes into being whole and is never changed, so whoever is
//! late with one can harm no other. Any server takes the next part, and what is acknowledged lies where no server can lose
//! it. Once all are there a file is made of them.

use std::collections::{BTreeMap, BTreeSet};

/// The folder, beside the files, of the pieces. Not below a file: there are stores in which a key cannot be both.
const FOLDER: &str = ".parts";

/// A stretch of a file, and what has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece<P> {
    pub begin: u64,
    pub end: u64,
    pub turn: u64,
    pub place: P,
}

impl<P> Piece<P> {
    /// Whether it counts for nothing any more, as whoever goes on at `at` in that turn sees it: the turn began there or
    /// before, and then nobody was ever told of what an earlier turn has behind it. That stays so, however late it is seen.
    pub(super) fn is_left(&self, at: u64, turn: u64) -> bool {
        self.turn < turn && self.end > at
    }
}

/// The folder of the pieces of a file.
pub(super) fn folder_of(key: &str) -> String {
    match key.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/{FOLDER}/{name}"),
        None => format!("{FOLDER}/{key}"),
    }
}

/// The name of a piece in that folder. Names are in the order of the ends, so that those behind a place are found at once.
pub(super) fn name_of(begin: u64, end: u64, turn: u64) -> String {
    format!("{end:016x}-{begin:016x}-{turn:016x}")
}

/// What all pieces that end at `at` or behind it come after, in the order of names.
pub(super) fn before(at: u64) -> String {
    format!("{at:016x}")
}

/// The piece of that name. Servers of versions before named no turn: theirs comes before any other.
pub(super) fn piece_of<P>(name: &str, place: P) -> Option<Piece<P>> {
    let number = |text: &str| u64::from_str_radix(text, 16).ok().filter(|n| format!("{n:016x}") == text);
    let (end, rest) = name.split_once('-')?;
    let (begin, turn) = match rest.split_once('-') {
        Some((begin, turn)) => (begin, number(turn)?),
        None => (rest, 0),
    };
    let (begin, end) = (number(begin)?, number(end)?);
    (begin <= end).then_some(Piece { begin, end, turn, place })
}

/// The key of the file of which this key, without the root, is a piece; `None` when it is none.
pub(super) fn file_of(key: &str) -> Option<String> {
    let (path, name) = key.rsplit_once('/')?;
    piece_of(name, ())?;
    let (folder, file) = path.rsplit_once('/')?;
    match folder.rsplit_once('/') {
        Some((folder, FOLDER)) => Some(format!("{folder}/{file}")),
        None if folder == FOLDER => Some(file.to_owned()),
        _ => None,
    }
}

/// Adds what lies under the key itself, `held` bytes of it: servers of versions before let a file grow there, or put it
/// together there. Of such a file only as much counts as the pieces leave, or all that is wanted.
pub(super) fn add_base<P: Clone>(pieces: &mut Vec<Piece<P>>, held: u64, place: &P, size: u64) {
    let ends: BTreeSet<u64> = pieces.iter().map(|piece| piece.begin).chain([size]).collect();
    let ends = ends.into_iter().filter(|end| (1..=held).contains(end));
    pieces.extend(ends.map(|end| Piece { begin: 0, end, turn: 0, place: place.clone() }));
}

/// The pieces that make up the first `size` bytes of a file, in order, each beginning where the one before ends. `None`
/// where there is a hole.
///
/// Others lie about that came in turns which were overtaken, or were not what was sent. A turn begins where the ones before
/// it had come to, and none of these was told of anything behind that. So of the pieces that end at one place, where that is
/// a place up to which somebody was told that all is durable, that of the latest turn is the one that counts: all pieces of
/// still later turns begin there or behind it. And where it begins is such a place, too.
pub(super) fn chain<P: Clone>(mut pieces: Vec<Piece<P>>, size: u64) -> Option<Vec<Piece<P>>> {
    // By the time of one, all that end where it begins were looked at.
    pieces.sort_by_key(|piece| (piece.begin, piece.end));
    let mut reached = BTreeMap::<u64, usize>::new();
    for (n, piece) in pieces.iter().enumerate() {
        let goes_on = piece.begin == 0 || reached.contains_key(&piece.begin);
        if goes_on && piece.begin < piece.end {
            let best = reached.entry(piece.end).or_insert(n);
            if pieces[*best].turn < piece.turn {
                *best = n;
            }
        }
    }
    let (mut chain, mut end) = (vec![], size);
    while end > 0 {
        let piece = &pieces[*reached.get(&end)?];
        chain.push(piece.clone());
        end = piece.begin;
    }
    chain.reverse();
    Some(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece((begin, end, turn): (u64, u64, u64)) -> Piece<String> {
        Piece { begin, end, turn, place: name_of(begin, end, turn) }
    }

    /// Where the pieces of the chain begin, and their turns.
    fn found(pieces: &[(u64, u64, u64)], size: u64) -> Option<Vec<(u64, u64)>> {
        let chain = chain(pieces.iter().copied().map(piece).collect(), size)?;
        Some(chain.iter().map(|p| (p.begin, p.turn)).collect())
    }

    #[test]
    fn of_what_lies_about_that_counts_which_the_latest_turn_kept() {
        for (pieces, size, expected) in [
            (vec![], 0, Some(vec![])),
            (vec![(0, 0, 1)], 0, Some(vec![])),
            (vec![], 4, None),
            (vec![(4, 9, 1)], 9, None),
            (vec![(4, 9, 1), (0, 4, 1), (9, 12, 1)], 12, Some(vec![(0, 1), (4, 1), (9, 1)])),
            // Not as far as that, or farther.
            (vec![(0, 4, 1)], 9, None),
            (vec![(0, 9, 1)], 4, None),
            // A hole.
            (vec![(0, 4, 1), (5, 9, 1)], 9, None),
            // The first one came to 4 and was overtaken there, or only thought that it came to 9.
            (vec![(0, 4, 1), (4, 9, 1), (4, 9, 2)], 9, Some(vec![(0, 1), (4, 2)])),
            (vec![(0, 9, 1), (0, 4, 2), (4, 9, 3)], 9, Some(vec![(0, 2), (4, 3)])),
            (vec![(0, 4, 1), (0, 4, 2), (4, 9, 2), (4, 9, 1)], 9, Some(vec![(0, 2), (4, 2)])),
            // What broke off leads nowhere, or on.
            (vec![(0, 4, 1), (0, 3, 1), (3, 9, 2)], 9, Some(vec![(0, 1), (3, 2)])),
            // Of servers of versions before.
            (vec![(0, 4, 0), (0, 3, 0), (4, 9, 0)], 9, Some(vec![(0, 0), (4, 0)])),
        ] {
            assert_eq!(found(&pieces, size), expected, "{pieces:?}");
        }
    }

    /// Turns of one file as they may come: each keeps some pieces, is told that some of them are durable, and may go on to
    /// keep pieces of which it is told nothing, since the next one has begun. All of these lie there in the end.
    #[test]
    fn whatever_overtaken_turns_leave_what_was_acknowledged_is_what_is_found() {
        let mut state = 1u64;
        let mut below = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        for course in 0..2_000 {
            let (mut lie, mut acknowledged, mut stands) = (vec![], vec![], 0);
            for turn in 1..=1 + below(5) {
                let (told, not_told) = (below(3), below(3));
                let mut at = stands;
                for n in 0..told + not_told {
                    let end = at + 1 + below(4);
                    lie.push((at, end, turn));
                    if n < told {
                        acknowledged.push((at, turn));
                        stands = end;
                    }
                    at = end;
                }
            }
            for n in (1..lie.len()).rev() {
                lie.swap(n, below(n as u64 + 1) as usize);
            }
            assert_eq!(found(&lie, stands), Some(acknowledged), "{course}: {lie:?}");
        }
    }

    #[test]
    fn a_file_that_grew_under_its_key_is_gone_on_with_and_pieces_come_before_it() {
        let with_base = |pieces: &[(u64, u64, u64)], held, size| {
            let mut all: Vec<Piece<String>> = pieces.iter().copied().map(piece).collect();
            add_base(&mut all, held, &"base".to_owned(), size);
            let chain = chain(all, size)?;
            Some(chain.into_iter().map(|p| (p.begin, p.end, p.place == "base")).collect::<Vec<_>>())
        };
        assert_eq!(with_base(&[], 9, 9), Some(vec![(0, 9, true)]));
        assert_eq!(with_base(&[], 9, 8), Some(vec![(0, 8, true)]), "what is behind was never acknowledged");
        assert_eq!(with_base(&[], 7, 8), None);
        for held in [4, 6, 9, 12] {
            let expected = Some(vec![(0, 4, true), (4, 9, false)]);
            assert_eq!(with_base(&[(4, 9, 1)], held, 9), expected, "{held}");
        }
        assert_eq!(with_base(&[(4, 9, 1)], 3, 9), None);
        assert_eq!(with_base(&[(0, 9, 1)], 9, 9), Some(vec![(0, 9, false)]));
    }

    #[test]
    fn names_tell_the_stretch_the_turn_and_the_file() {
        let name = name_of(5, 4_000_000_000, 7);
        let told = |name: &str| piece_of(name, ()).map(|p| (p.begin, p.end, p.turn));
        assert_eq!(told(&name), Some((5, 4_000_000_000, 7)));
        let before_turns = name.strip_suffix("-0000000000000007").expect("a turn");
        assert_eq!(told(before_turns), Some((5, 4_000_000_000, 0)));
        assert!(*before(4_000_000_000) < *name && *before(4_000_000_001) > *name);
        for file in ["users/a/documents/b", "probes/x", "alone"] {
            for name in [&*name, before_turns] {
                assert_eq!(file_of(&format!("{}/{name}", folder_of(file))).as_deref(), Some(file));
            }
            assert_eq!(file_of(file), None);
        }
        let longer = format!("{name}-");
        for other in ["", "-", "5-6", "users/.parts/a", "0000000000000004-0000000000000005", &*longer] {
            assert_eq!(told(other), None, "{other}");
        }
        assert_eq!(file_of(&format!("users/a/parts/b/{name}")), None);
    }
}
