//! From cuts to passages: trimming, places in characters, page, heading, token count and hash.

use super::{tokens::TokenIndex, trimmed};
use crate::extract::ExtractedText;
use services::hex::hex;
use sha2::{Digest, Sha256};
use std::ops::Range;

/// A passage that is not stored yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkDraft {
    /// Its place among the document's passages, from 0.
    pub ordinal: u32,
    /// Exactly the characters `char_start..char_end` of the document's text.
    pub text: String,
    /// The page, from 1, of its first character.
    pub page: Option<u32>,
    /// The heading above its first character.
    pub heading: Option<String>,
    pub char_start: u64,
    pub char_end: u64,
    /// Tokens of the model, without the special ones that surround an input.
    pub token_count: u32,
    /// SHA-256 of the text, in lower-case hexadecimal.
    pub content_hash: String,
}

/// `cuts` are byte ranges in the order of the text.
pub(super) fn drafts(doc: &ExtractedText, cuts: &[Range<usize>], tokens: &TokenIndex) -> Vec<ChunkDraft> {
    let text = doc.text.as_str();
    let mut out: Vec<ChunkDraft> = Vec::with_capacity(cuts.len());
    let (mut starts, mut ends) = (CharCursor::new(text), CharCursor::new(text));
    let mut last_end = 0;
    for cut in cuts {
        let Some(range) = trimmed(text, cut.clone()) else { continue };
        // Once trimmed, it may add nothing to the one before.
        if range.end <= last_end {
            continue;
        }
        last_end = range.end;
        let passage = &text[range.clone()];
        let span = doc.span_at(range.start);
        out.push(ChunkDraft {
            ordinal: u32::try_from(out.len()).unwrap_or(u32::MAX),
            text: passage.to_owned(),
            page: span.and_then(|s| s.page),
            heading: span.and_then(|s| s.heading.clone()),
            char_start: starts.chars_before(range.start),
            char_end: ends.chars_before(range.end),
            token_count: u32::try_from(tokens.count(&range)).unwrap_or(u32::MAX),
            content_hash: sha256_hex(passage),
        });
    }
    out
}

/// Counts characters up to growing byte offsets, looking at each byte once.
struct CharCursor<'t> {
    text: &'t str,
    byte: usize,
    chars: u64,
}

impl<'t> CharCursor<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, byte: 0, chars: 0 }
    }

    fn chars_before(&mut self, byte: usize) -> u64 {
        if byte < self.byte {
            *self = Self::new(self.text);
        }
        self.chars += self.text[self.byte..byte].chars().count() as u64;
        self.byte = byte;
        self.chars
    }
}

pub(super) fn sha256_hex(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}
