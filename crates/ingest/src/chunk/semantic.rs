//! Passages that follow the topics of a text: neighbouring sentences are compared by their vectors, and the text is
//! cut where the difference is greatest.

use super::{
    ChunkError, EmbedFn, Stop,
    sentence::sentences,
    units::{Unit, fitting, pack},
};
use crate::extract::ExtractedText;
use std::ops::Range;

/// Sentences on each side that are embedded together with one, since a single short sentence says little.
const NEIGHBOURS: usize = 1;
/// Texts handed to the model at a time.
const BATCH: usize = 64;
/// One place in this many is a change of topic even when the size would ask for fewer cuts.
const PER_BREAK: usize = 20;
/// No passage of less than this share of the size, for the sake of a break.
const SMALLEST_SHARE: usize = 5;
/// Headings do not matter here: the vectors see them.
const NO_SECTIONS: usize = 0;

pub(super) fn cut(
    doc: &ExtractedText,
    size: usize,
    overlap: usize,
    embed: &EmbedFn<'_>,
    stop: &Stop,
) -> Result<Vec<Range<usize>>, ChunkError> {
    let units = sentences(doc, size, stop);
    let distances = distances(&doc.text, &units, size, embed, stop)?;
    let mut out = Vec::new();
    let mut from = 0;
    for to in breaks(&units, &distances, size).into_iter().chain([units.len()]) {
        let group: Vec<Unit> =
            units[from..to].iter().flat_map(|u| fitting(&doc.text, u.clone(), size)).collect();
        out.extend(pack(&group, size, overlap, NO_SECTIONS));
        from = to;
    }
    Ok(out)
}

/// How different the neighbourhood of each sentence is from that of the next, 0 (the same) to 2.
fn distances(
    text: &str,
    units: &[Unit],
    size: usize,
    embed: &EmbedFn<'_>,
    stop: &Stop,
) -> Result<Vec<f32>, ChunkError> {
    if units.len() < 3 {
        return Ok(vec![0.0; units.len().saturating_sub(1)]);
    }
    let windows: Vec<&str> = (0..units.len())
        .map(|i| {
            let first = i.saturating_sub(NEIGHBOURS);
            let last = (i + NEIGHBOURS).min(units.len() - 1);
            bounded(&text[units[first].bytes.start..units[last].bytes.end], size * 2)
        })
        .collect();
    let mut vectors: Vec<Vec<f32>> = Vec::with_capacity(windows.len());
    for batch in windows.chunks(BATCH) {
        // Nobody waits for the answers of a model any more.
        if stop.is_asked() {
            return Err(ChunkError::Stopped);
        }
        let got = embed(batch).map_err(ChunkError::Embedding)?;
        if got.len() != batch.len() {
            return Err(ChunkError::Vectors(got.len(), batch.len()));
        }
        vectors.extend(got);
    }
    Ok(vectors.windows(2).map(|pair| distance(&pair[0], &pair[1])).collect())
}

/// The first `most` characters: a model reads no more than a page of text anyway.
fn bounded(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    let (mut dot, mut aa, mut bb) = (0.0f64, 0.0f64, 0.0f64);
    for (x, y) in a.iter().zip(b) {
        dot += f64::from(*x) * f64::from(*y);
        aa += f64::from(*x) * f64::from(*x);
        bb += f64::from(*y) * f64::from(*y);
    }
    let cosine = dot / (aa.sqrt() * bb.sqrt());
    if cosine.is_finite() { (1.0 - cosine) as f32 } else { 0.0 }
}

/// The places (the sentence that begins a new topic), ascending: the greatest distances, as many as the size asks for,
/// and none that would leave a scrap. Equal distances are taken in the order of the text.
fn breaks(units: &[Unit], distances: &[f32], size: usize) -> Vec<usize> {
    let (Some(first), Some(last)) = (units.first(), units.last()) else { return Vec::new() };
    let chars = last.chars.end - first.chars.start;
    let wanted = (chars / size).max(units.len() / PER_BREAK);
    let smallest = size / SMALLEST_SHARE;
    let mut order: Vec<usize> = (0..distances.len()).filter(|i| distances[*i] > 0.0).collect();
    order.sort_by(|a, b| distances[*b].total_cmp(&distances[*a]).then(a.cmp(b)));
    let mut chosen = std::collections::BTreeSet::new();
    for i in order {
        if chosen.len() >= wanted {
            break;
        }
        let place = i + 1;
        let before =
            chosen.range(..place).next_back().map_or(first.chars.start, |p: &usize| units[*p].chars.start);
        let after = chosen.range(place..).next().map_or(last.chars.end, |p| units[p - 1].chars.end);
        if units[place - 1].chars.end - before >= smallest && after - units[place].chars.start >= smallest {
            chosen.insert(place);
        }
    }
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use services::ports::EmbedError;

    /// Texts about the sea point one way, texts about bread another.
    fn by_topic(texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        Ok(texts
            .iter()
            .map(|t| vec![t.matches("sea").count() as f32, t.matches("bread").count() as f32])
            .collect())
    }

    #[test]
    fn the_text_is_cut_where_the_topic_changes() {
        let text = "The sea is wide. ".repeat(6) + &"We bake bread daily. ".repeat(6);
        let doc = ExtractedText { text, ..ExtractedText::default() };
        let cuts = cut(&doc, 150, 0, &by_topic, &Stop::default()).unwrap();
        for c in &cuts {
            let passage = &doc.text[c.clone()];
            assert!(!(passage.contains("sea") && passage.contains("bread")), "{passage}");
            assert!(passage.chars().count() <= 150);
        }
    }

    #[test]
    fn a_cutting_that_is_stopped_asks_the_model_no_more() {
        let doc = ExtractedText { text: "The sea is wide. ".repeat(400), ..ExtractedText::default() };
        let (stop, asked) = (Stop::default(), std::cell::Cell::new(0));
        let stops = |texts: &[&str]| {
            asked.set(asked.get() + 1);
            stop.ask();
            by_topic(texts)
        };
        assert!(matches!(cut(&doc, 150, 0, &stops, &stop), Err(ChunkError::Stopped)));
        assert_eq!(asked.get(), 1);
    }

    #[test]
    fn what_the_model_says_wrong_is_an_error() {
        let doc = ExtractedText { text: "One. Two. Three. Four.".to_owned(), ..ExtractedText::default() };
        let few = |_: &[&str]| Ok(vec![vec![1.0f32]]);
        assert!(matches!(cut(&doc, 10, 0, &few, &Stop::default()), Err(ChunkError::Vectors(1, _))));
        let fails = |_: &[&str]| Err(EmbedError::Failed("no model".to_owned()));
        assert!(matches!(
            cut(&doc, 10, 0, &fails, &Stop::default()),
            Err(ChunkError::Embedding(EmbedError::Failed(_)))
        ));
    }
}
