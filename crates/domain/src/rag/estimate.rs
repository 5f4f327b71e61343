//! What indexing documents anew will take, before it is done: passages and tokens, from the lengths of the texts and
//! from a few of them that were really cut. Pure arithmetic.

use super::{ChunkingStrategy, RagConfig};
use serde::{Deserialize, Serialize};

/// Characters of a token, as long as nothing was cut: English prose has about four.
const CHARS_PER_TOKEN: f64 = 4.0;
/// The stated error when every text was cut by the very chunker.
const EXACT: u32 = 0;
/// When some were cut and the rest is like them.
const FROM_SAMPLE: u32 = 20;
/// When nothing was cut that could tell: no text was at hand, or the cuts depend on vectors, which are not made here.
const FROM_LENGTHS: u32 = 60;

/// A text that was cut, to see what comes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampled {
    pub characters: u64,
    pub chunks: u64,
    pub tokens: u64,
}

/// What is known before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Characters of each document that was not cut.
    pub lengths: Vec<u64>,
    pub cut: Vec<Sampled>,
}

/// What is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Estimate {
    /// Documents that are indexed with other settings.
    pub documents: u64,
    pub characters: u64,
    pub chunks: u64,
    /// Tokens that the embedding model reads; those of an overlap count twice.
    pub tokens: u64,
    /// The real numbers lie within so many percent of chunks and tokens.
    pub error_percent: u32,
    /// Whether vectors will be made; without them the tokens only tell the length.
    pub embeds: bool,
}

/// Scales what the cut texts gave to those that were not cut.
pub fn estimate(config: &RagConfig, measured: &Measured) -> Estimate {
    let sum = |f: fn(&Sampled) -> u64| measured.cut.iter().map(f).sum::<u64>();
    let (cut_characters, cut_chunks, cut_tokens) =
        (sum(|s| s.characters), sum(|s| s.chunks), sum(|s| s.tokens));
    let expected = |lengths: &mut dyn Iterator<Item = u64>| {
        lengths.fold((0.0, 0.0), |(chunks, tokens), n| {
            let (c, t) = by_length(config, n);
            (chunks + c, tokens + t)
        })
    };
    let of_cut = expected(&mut measured.cut.iter().map(|s| s.characters));
    let of_rest = expected(&mut measured.lengths.iter().copied());
    let scale = |real: u64, guess: f64| if guess > 0.0 && real > 0 { real as f64 / guess } else { 1.0 };
    let chunks = of_rest.0 * scale(cut_chunks, of_cut.0);
    let tokens = of_rest.1 * scale(cut_tokens, of_cut.1);
    let error_percent = if measured.lengths.is_empty() {
        EXACT
    } else if measured.cut.is_empty() || config.chunking_strategy == ChunkingStrategy::Semantic {
        FROM_LENGTHS
    } else {
        FROM_SAMPLE
    };
    Estimate {
        documents: (measured.lengths.len() + measured.cut.len()) as u64,
        characters: cut_characters + measured.lengths.iter().sum::<u64>(),
        // A document that has a text has a passage.
        chunks: cut_chunks + (chunks.round() as u64).max(measured.lengths.len() as u64),
        tokens: cut_tokens + tokens.round() as u64,
        error_percent,
        embeds: config.embeds(),
    }
}

/// Passages and tokens of a text of that many characters, were it cut at will.
fn by_length(config: &RagConfig, characters: u64) -> (f64, f64) {
    let unit = if config.chunking_strategy == ChunkingStrategy::Token { CHARS_PER_TOKEN } else { 1.0 };
    let (size, overlap) = (f64::from(config.chunk_size) * unit, f64::from(config.chunk_overlap) * unit);
    let length = characters as f64;
    let chunks = if length <= size { 1.0 } else { 1.0 + ((length - size) / (size - overlap)).ceil() };
    (chunks, (length + (chunks - 1.0) * overlap) / CHARS_PER_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_is_told_as_it_is() {
        let cut = vec![
            Sampled { characters: 1_000, chunks: 3, tokens: 250 },
            Sampled { characters: 50, chunks: 1, tokens: 11 },
        ];
        let told = estimate(&RagConfig::default(), &Measured { lengths: vec![], cut });
        assert_eq!(
            (told.documents, told.characters, told.chunks, told.tokens, told.error_percent),
            (2, 1_050, 4, 261, EXACT)
        );
    }

    #[test]
    fn the_rest_is_like_what_was_cut() {
        // Passages are twice as many as their lengths alone would say, and the tokens half as long.
        let config = RagConfig { chunk_overlap: 0, ..RagConfig::default() };
        let cut = vec![Sampled { characters: 10_000, chunks: 20, tokens: 5_000 }];
        let told = estimate(&config, &Measured { lengths: vec![10_000; 4], cut });
        assert_eq!((told.documents, told.chunks, told.tokens), (5, 100, 25_000));
        assert_eq!(told.error_percent, FROM_SAMPLE);
    }

    #[test]
    fn lengths_alone_give_a_guess_that_says_so() {
        let lengths = vec![0, 500, 1_000, 1_001, 1_800];
        let told = estimate(&RagConfig::default(), &Measured { lengths, cut: vec![] });
        assert_eq!((told.chunks, told.error_percent), (1 + 1 + 1 + 2 + 2, FROM_LENGTHS));
        let token = RagConfig { chunking_strategy: ChunkingStrategy::Token, ..RagConfig::default() };
        assert_eq!(estimate(&token, &Measured { lengths: vec![4_000], cut: vec![] }).chunks, 1);
        let none = estimate(&RagConfig::default(), &Measured::default());
        assert_eq!((none.documents, none.chunks, none.tokens, none.error_percent), (0, 0, 0, EXACT));
    }
}
