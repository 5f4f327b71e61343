//! Counting in tokens of the embedding model, and cutting by them.

use std::ops::Range;

/// What a model's tokenizer must be able to do. Special tokens that surround an input are not counted.
pub trait TokenCounter {
    /// How many tokens the text has.
    fn count(&self, text: &str) -> usize;

    /// Where each token lies, in bytes, in order.
    fn offsets(&self, text: &str) -> Vec<(usize, usize)>;

    /// Whether white space always parts tokens and is never part of one, so that a text cut there has exactly the
    /// tokens of its parts. True for WordPiece; it saves counting every passage again.
    fn parts_at_white_space(&self) -> bool {
        false
    }
}

/// A text is handed to the tokenizer in pieces of about this many bytes, so that it never holds the tokens of a whole
/// book at once.
const PIECE: usize = 64 * 1024;

/// Where the tokens of a text begin.
pub struct TokenIndex {
    /// In bytes, ascending. Texts are far below 4 GB, and there is one of these a token.
    starts: Vec<u32>,
}

impl TokenIndex {
    pub fn of(text: &str, counter: &dyn TokenCounter) -> Self {
        let mut starts: Vec<u32> = Vec::with_capacity(text.len() / 4);
        for piece in pieces(text) {
            for (start, _) in counter.offsets(&text[piece.clone()]) {
                // A tokenizer that loses its way must not make us cut inside a character.
                let mut at = (piece.start + start).min(piece.end);
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                let at = u32::try_from(at).unwrap_or(u32::MAX);
                if starts.last().is_none_or(|last| *last <= at) {
                    starts.push(at);
                }
            }
        }
        Self { starts }
    }

    /// Tokens that begin in the range.
    pub fn count(&self, range: &Range<usize>) -> usize {
        self.before(range.end) - self.before(range.start)
    }

    fn before(&self, byte: usize) -> usize {
        self.starts.partition_point(|s| (*s as usize) < byte)
    }
}

/// Stretches of about [`PIECE`] bytes that end after white space, where any tokenizer can begin anew.
fn pieces(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= text.len() {
            return None;
        }
        let mut end = (at + PIECE).min(text.len());
        while !text.is_char_boundary(end) {
            end += 1;
        }
        if let Some(space) = text[end..].find(char::is_whitespace) {
            end += space;
            end += text[end..].chars().next().map_or(0, char::len_utf8);
        } else {
            end = text.len();
        }
        let piece = at..end;
        at = end;
        Some(piece)
    })
}

/// Passages of at most `size` tokens that begin and end between words wherever a word is not longer than that.
pub(super) fn cut(
    text: &str,
    index: &TokenIndex,
    counter: &dyn TokenCounter,
    size: usize,
    overlap: usize,
) -> Vec<Range<usize>> {
    let tokens = &index.starts;
    let n = tokens.len();
    if n == 0 {
        // Nothing in it that the model knows: at most a few signs.
        return std::iter::once(0..text.len()).collect();
    }
    let byte = |token: usize| match token {
        // What stands before the first token belongs to it.
        0 => 0,
        t if t >= n => text.len(),
        t => tokens[t] as usize,
    };
    let begins_word = |token: usize| {
        token == 0
            || token >= n
            || (tokens[token - 1] < tokens[token]
                && text[..byte(token)].chars().next_back().is_some_and(parts_words))
    };
    let mut out: Vec<Range<usize>> = Vec::new();
    // The first token of the passage, and the first that is in none yet.
    let (mut from, mut done) = (0, 0);
    loop {
        let most = (from + size).min(n);
        let mut to =
            if most == n { n } else { (from + 1..=most).rev().find(|t| begins_word(*t)).unwrap_or(most) };
        // A cut inside a word makes other tokens of its halves; and some tokenizers take the space into the token.
        let exact = counter.parts_at_white_space() && begins_word(from) && begins_word(to);
        if !exact {
            while to > from + 1 {
                let count = counter.count(text[byte(from)..byte(to)].trim());
                if count <= size {
                    break;
                }
                to = (to - (count - size).min(to - from - 1)).max(from + 1);
            }
        }
        if to <= done && from < done {
            // The next word is longer than what the overlap leaves room for.
            from = done;
            continue;
        }
        out.push(byte(from)..byte(to));
        done = to;
        if to >= n {
            return out;
        }
        let earliest = to.saturating_sub(overlap).max(from + 1);
        from = (earliest..to).find(|t| begins_word(*t)).unwrap_or(to);
    }
}

/// White space in every tokenizer's eyes. Some drop control characters before they look for words.
fn parts_words(c: char) -> bool {
    matches!(c, ' ' | '\n' | '\t' | '\r')
        || (c.is_whitespace() && !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}'))
}
