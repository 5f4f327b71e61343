//! BERT's uncased WordPiece tokens with their places in the text: the same tokens as the reference
//! implementation gives, on any input. Nothing about vectors.
//!
//! The reference cleans, decomposes, strips and lowers the whole text, then splits it, then looks words up.
//! Here all of that happens in one walk over the text, word by word, with a short way for ASCII; the walk can be
//! stopped, so that the head of a long text costs no more than a short text.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;
use unicode_categories::UnicodeCategories;
// The tables of the reference implementation: a newer Unicode version would decompose more.
use unicode_normalization_alignments::UnicodeNormalization;

use crate::ModelError;
use crate::files::read_json;
use crate::forward::VOCABULARY;

/// Words with more characters than this are unknown as a whole.
const MAX_WORD: usize = 100;

/// A token and the bytes of the text that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its number in the vocabulary.
    pub id: u32,
    pub start: usize,
    pub end: usize,
}

/// The keys are the model's own pieces, so nobody can choose them to collide, and a simple hash will do.
#[derive(Default)]
struct PieceHasher(u64);

impl PieceHasher {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for PieceHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last));
    }

    fn write_usize(&mut self, length: usize) {
        self.mix(length as u64);
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    fn finish(&self) -> u64 {
        // The table takes its place from the low bits, the product is best in the high ones.
        self.0.rotate_left(26)
    }
}

type Pieces = HashMap<Box<[u8]>, u32, BuildHasherDefault<PieceHasher>>;

pub(crate) struct Tokenizer {
    /// Pieces that can begin a word.
    heads: Pieces,
    /// Pieces that continue one, without their `##`.
    tails: Pieces,
    /// Bytes of the longest piece: nothing longer needs looking up.
    longest: usize,
    /// Special tokens that count as such when they are written in a text.
    special: Vec<(String, u32)>,
    unknown: u32,
    /// Stands before every text.
    pub first: u32,
    /// Stands after every text.
    pub last: u32,
}

impl Tokenizer {
    pub(crate) fn load(file: &Path) -> Result<Self, ModelError> {
        Self::from_json(&read_json(file)?)
            .map_err(|reason| ModelError::Damaged { file: file.to_owned(), reason: reason.to_owned() })
    }

    fn from_json(json: &Value) -> Result<Self, &'static str> {
        let model = &json["model"];
        let expected = [
            (&model["continuing_subword_prefix"], Value::from("##")),
            (&model["max_input_chars_per_word"], Value::from(MAX_WORD)),
            (&json["normalizer"]["type"], Value::from("BertNormalizer")),
            (&json["normalizer"]["lowercase"], Value::from(true)),
            (&json["normalizer"]["clean_text"], Value::from(true)),
            (&json["normalizer"]["handle_chinese_chars"], Value::from(true)),
            (&json["normalizer"]["strip_accents"], Value::Null),
            (&json["pre_tokenizer"]["type"], Value::from("BertPreTokenizer")),
        ];
        if expected.iter().any(|(found, expected)| *found != expected) {
            return Err("it does not describe an uncased WordPiece tokenizer");
        }
        let vocabulary = model["vocab"].as_object().ok_or("it has no vocabulary")?;
        let (mut heads, mut tails, mut longest) = (Pieces::default(), Pieces::default(), 0);
        for (piece, id) in vocabulary {
            let id = id.as_u64().filter(|id| *id < VOCABULARY as u64);
            let id = id.ok_or("a token has no number that the model knows")? as u32;
            let (pieces, piece) = match piece.strip_prefix("##") {
                Some(tail) if !tail.is_empty() => {
                    // A word that begins with ## is looked up as it is; but # is always a word of its own.
                    (&mut tails, tail)
                }
                _ => (&mut heads, piece.as_str()),
            };
            longest = longest.max(piece.len());
            pieces.insert(piece.as_bytes().into(), id);
        }
        let id = |name: &str| {
            heads.get(name.as_bytes()).copied().ok_or("a special token is not in the vocabulary")
        };
        let (unknown, first, last) = (id("[UNK]")?, id("[CLS]")?, id("[SEP]")?);
        let mut special = Vec::new();
        for token in json["added_tokens"].as_array().ok_or("it has no list of special tokens")? {
            let content = token["content"].as_str().filter(|content| !content.is_empty());
            let content = content.ok_or("a special token has no name")?;
            special.push((content.to_owned(), id(content)?));
        }
        Ok(Self { heads, tails, longest, special, unknown, first, last })
    }

    /// Gives the tokens of the text in order to `visit`, until that breaks off.
    pub(crate) fn walk(&self, text: &str, mut visit: impl FnMut(Token) -> ControlFlow<()>) {
        let _ = self.walk_parts(text, &mut visit);
    }

    /// Takes the special tokens out of the raw text; what lies between them is ordinary text.
    fn walk_parts(&self, text: &str, visit: &mut impl FnMut(Token) -> ControlFlow<()>) -> ControlFlow<()> {
        let mut word = Word::default();
        let find = |name: &str, from: usize| text[from..].find(name).map(|place| from + place);
        let mut places: Vec<Option<usize>> = self.special.iter().map(|(name, _)| find(name, 0)).collect();
        let mut from = 0;
        loop {
            for ((name, _), place) in self.special.iter().zip(&mut places) {
                if place.is_some_and(|place| place < from) {
                    *place = find(name, from);
                }
            }
            let next = places
                .iter()
                .zip(&self.special)
                .filter_map(|(place, (name, id))| {
                    place.map(|place| (place, std::cmp::Reverse(name.len()), *id))
                })
                .min();
            let Some((start, length, id)) = next else {
                return self.walk_plain(&text[from..], from, &mut word, visit);
            };
            self.walk_plain(&text[from..start], from, &mut word, visit)?;
            from = start + length.0;
            visit(Token { id, start, end: from })?;
        }
    }

    /// Tokens of text without special tokens, which begins at byte `base`.
    fn walk_plain(
        &self,
        text: &str,
        base: usize,
        word: &mut Word,
        visit: &mut impl FnMut(Token) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            match ASCII[usize::from(byte)] {
                Kind::Letter => {
                    word.push_ascii(byte.to_ascii_lowercase(), base + at);
                    at += 1;
                }
                Kind::Space => {
                    self.flush(word, visit)?;
                    at += 1;
                }
                Kind::Mark => {
                    self.flush(word, visit)?;
                    word.push_ascii(byte, base + at);
                    self.flush(word, visit)?;
                    at += 1;
                }
                Kind::Dropped => at += 1,
                Kind::Beyond => {
                    let end = foreign_end(bytes, at);
                    self.walk_foreign(&text[at..end], base + at, word, visit)?;
                    at = end;
                }
            }
        }
        self.flush(word, visit)
    }

    /// A stretch without visible ASCII. Decomposition reorders marks within such a stretch only, since every ASCII
    /// character begins anew.
    fn walk_foreign(
        &self,
        text: &str,
        base: usize,
        word: &mut Word,
        visit: &mut impl FnMut(Token) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        // What cleaning leaves, each character with its place; ideographs stand between spaces.
        let mut cleaned: Vec<(char, (usize, usize))> = Vec::new();
        for (at, c) in text.char_indices() {
            let span = (base + at, base + at + c.len_utf8());
            if is_dropped(c) {
                continue;
            }
            if c.is_whitespace() {
                cleaned.push((' ', span));
            } else if is_ideograph(c) {
                cleaned.extend([(' ', span), (c, span), (' ', span)]);
            } else {
                cleaned.push((c, span));
            }
        }
        // A positive change marks a character that decomposition added to the one before; a negative one
        // swallows that many of the following.
        let mut sources = cleaned.iter().map(|(_, span)| *span);
        let mut span = (base, base);
        for (c, change) in cleaned.iter().map(|(c, _)| *c).nfd() {
            if change <= 0 {
                span = sources.next().unwrap_or(span);
                for _ in change..0 {
                    sources.next();
                }
            }
            if c.is_mark_nonspacing() {
                continue;
            }
            for c in c.to_lowercase() {
                if c.is_whitespace() {
                    self.flush(word, visit)?;
                } else if c.is_ascii_punctuation() || c.is_punctuation() {
                    self.flush(word, visit)?;
                    word.push(c, span);
                    self.flush(word, visit)?;
                } else {
                    word.push(c, span);
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Looks the word up: the longest piece that fits, again and again; unknown as a whole if none does.
    fn flush(&self, word: &mut Word, visit: &mut impl FnMut(Token) -> ControlFlow<()>) -> ControlFlow<()> {
        if word.bytes.is_empty() {
            return ControlFlow::Continue(());
        }
        word.found.clear();
        let mut begin = 0;
        let known = word.characters <= MAX_WORD;
        while known && begin < word.bytes.len() {
            let pieces = if begin == 0 { &self.heads } else { &self.tails };
            let most = (word.bytes.len() - begin).min(self.longest);
            // Pieces are whole characters, so a length that cuts one is never found.
            let Some((length, id)) = (1..=most)
                .rev()
                .find_map(|length| Some((length, *pieces.get(&word.bytes[begin..begin + length])?)))
            else {
                break;
            };
            let (start, end) = (word.spans[begin].0, word.spans[begin + length - 1].1);
            word.found.push(Token { id, start, end });
            begin += length;
        }
        if begin < word.bytes.len() {
            let (start, end) = (word.spans[0].0, word.spans[word.spans.len() - 1].1);
            word.found.clear();
            word.found.push(Token { id: self.unknown, start, end });
        }
        word.bytes.clear();
        word.spans.clear();
        word.characters = 0;
        word.found.iter().try_for_each(|token| visit(*token))
    }
}

/// The word being gathered: its normalised bytes and, for each, the place of its character in the text.
#[derive(Default)]
struct Word {
    bytes: Vec<u8>,
    spans: Vec<(usize, usize)>,
    characters: usize,
    found: Vec<Token>,
}

impl Word {
    fn push_ascii(&mut self, byte: u8, at: usize) {
        // Far beyond the longest known word only the end of its span still matters.
        if self.characters <= MAX_WORD {
            self.bytes.push(byte);
            self.spans.push((at, at + 1));
            self.characters += 1;
        } else if let Some(last) = self.spans.last_mut() {
            last.1 = at + 1;
        }
    }

    fn push(&mut self, c: char, span: (usize, usize)) {
        if self.characters <= MAX_WORD {
            let mut buffer = [0; 4];
            let bytes = c.encode_utf8(&mut buffer).as_bytes();
            self.bytes.extend_from_slice(bytes);
            self.spans.extend(bytes.iter().map(|_| span));
            self.characters += 1;
        } else if let Some(last) = self.spans.last_mut() {
            last.1 = span.1;
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Letter,
    Space,
    Mark,
    Dropped,
    Beyond,
}

/// What each byte is to the walk.
static ASCII: [Kind; 256] = {
    let mut kinds = [Kind::Beyond; 256];
    let mut byte = 0u8;
    while byte < 128 {
        kinds[byte as usize] = match byte {
            b'\t' | b'\n' | b'\r' | b' ' => Kind::Space,
            _ if byte.is_ascii_control() => Kind::Dropped,
            _ if byte.is_ascii_punctuation() => Kind::Mark,
            _ => Kind::Letter,
        };
        byte += 1;
    }
    kinds
};

/// Where the stretch of non-ASCII that begins at `at` ends. Dropped ASCII belongs to it: marks on both of
/// its sides become neighbours.
fn foreign_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let inside = |byte: &u8| matches!(ASCII[usize::from(*byte)], Kind::Beyond | Kind::Dropped);
    at + rest.iter().position(|byte| !inside(byte)).unwrap_or(rest.len())
}

/// Control, format and private-use characters and the replacement character.
fn is_dropped(c: char) -> bool {
    c == '\u{fffd}' || c.is_other()
}

/// The CJK blocks as BERT counts them: kana and hangul are written with spaces or in words and stay.
fn is_ideograph(c: char) -> bool {
    matches!(
        u32::from(c),
        0x4e00..=0x9fff
            | 0x3400..=0x4dbf
            | 0x20000..=0x2a6df
            | 0x2a700..=0x2b73f
            | 0x2b740..=0x2b81f
            | 0x2b920..=0x2ceaf
            | 0xf900..=0xfaff
            | 0x2f800..=0x2fa1f
    )
}
