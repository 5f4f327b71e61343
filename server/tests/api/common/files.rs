//! What is uploaded: real documents, and made-up text.

use std::path::{Path, PathBuf};

pub fn form(files: &[(&str, &[u8])]) -> reqwest::multipart::Form {
    files.iter().fold(reqwest::multipart::Form::new(), |form, (name, bytes)| {
        let part = reqwest::multipart::Part::bytes(bytes.to_vec()).file_name((*name).to_owned());
        form.part("file", part)
    })
}

/// A real document of the extraction tests.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = fixtures().join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/ingest/tests/documents")
}

/// Text of `words` words, with a paragraph now and then; each text differs by its seed.
pub fn prose(seed: usize, words: usize) -> Vec<u8> {
    const WORDS: [&str; 24] = [
        "the",
        "harbour",
        "river",
        "keeps",
        "a",
        "ledger",
        "of",
        "every",
        "lantern",
        "that",
        "crossed",
        "northern",
        "bridge",
        "while",
        "gulls",
        "slept",
        "upon",
        "quiet",
        "stones",
        "and",
        "merchants",
        "counted",
        "amber",
        "coins",
    ];
    let mut text = String::new();
    let mut state = seed as u64 * 2_654_435_761 + 12_345;
    for n in 0..words {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS[(state >> 33) as usize % WORDS.len()]);
        text.push_str(if n % 120 == 119 {
            ".\n\n"
        } else if n % 12 == 11 {
            ". "
        } else {
            " "
        });
    }
    text.into_bytes()
}
