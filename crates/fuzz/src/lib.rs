//! S6: what reads bytes that somebody else sends. Each [`Target`] is a reader, samples to begin with, the words of its
//! format, and what it may never answer; none may panic or go on for ever. Two programs try them: the bench `fuzz` changes
//! the samples at random, wherever cargo runs; `fuzz-coverage` is libFuzzer, which keeps what reached new code
//! (`cargo xtask fuzz`).
//!
//! Parsers that stand in a crate which is too large for this, or are its own business, are taken in by their files: they
//! are pure, and stay so.

#![allow(clippy::unwrap_used, reason = "writing samples to memory does not fail")]

mod documents;
mod hostile;
mod protocols;
mod sites;

// As the tests that made these have them, at the root.
#[path = "../../ingest/tests/support/office.rs"]
mod office;
#[path = "../../ingest/tests/support/pdf.rs"]
mod pdf;

use std::fs;

/// No case is longer, in bytes.
pub const LONGEST: usize = 128 * 1024;
/// Longest word that libFuzzer takes into a dictionary, in bytes.
const LONGEST_WORD: usize = 64;

pub struct Target {
    pub name: &'static str,
    pub samples: fn() -> Vec<Vec<u8>>,
    /// What the format is made of.
    pub words: &'static [&'static str],
    /// `true`: it was read; `false`: it was refused. An error is an answer that nobody may get.
    pub run: fn(&[u8]) -> Result<bool, String>,
    pub may: May,
}

/// What may happen in a reader that stands on a library of somebody else's, since the product is prepared for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    Nothing,
    /// Its caller catches that, and does without an answer.
    Panic,
    /// It runs in a process of its own, which may end as it likes, and is ended where it takes too long or too much.
    Break,
}

impl Target {
    /// The samples, and of the files that were made to do harm those of its kind that are read or refused within the
    /// bounds of a process that has none.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        let mut seeds = (self.samples)();
        seeds.extend(hostile::of(self.name));
        seeds.retain(|seed| seed.len() <= LONGEST);
        seeds
    }

    /// The words as a dictionary of libFuzzer.
    pub fn dictionary(&self) -> String {
        let words = self.words.iter().filter(|word| (1..=LONGEST_WORD).contains(&word.len()));
        words.map(|word| format!("\"{}\"\n", word.bytes().map(escaped).collect::<String>())).collect()
    }
}

fn escaped(byte: u8) -> String {
    match byte {
        b'"' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    }
}

/// All that is tried.
pub fn targets() -> impl Iterator<Item = &'static Target> {
    documents::TARGETS.iter().chain(&sites::TARGETS).chain(&protocols::TARGETS)
}

pub fn target(name: &str) -> Option<&'static Target> {
    targets().find(|target| target.name == name)
}

/// A file of the extraction tests.
fn document(name: &str) -> Vec<u8> {
    let folder = measure::package(env!("CARGO_MANIFEST_DIR")).join("../ingest/tests/documents");
    let path = folder.join(name);
    // Without its samples nothing is tried.
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
