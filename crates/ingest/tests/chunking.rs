//! What holds for every strategy on any text.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use domain::rag::ChunkingStrategy;
use ingest::{
    chunk::{ChunkDraft, ChunkError, ChunkSettings, Stop, TokenCounter, chunk, chunk_with},
    extract::{ExtractedText, Span},
};
use proptest::prelude::*;
use services::ports::EmbedError;

/// Words are cut into tokens of at most four characters: parts at white space, as WordPiece does.
struct Pieces;

impl TokenCounter for Pieces {
    fn count(&self, text: &str) -> usize {
        self.offsets(text).len()
    }

    fn offsets(&self, text: &str) -> Vec<(usize, usize)> {
        let mut out: Vec<(usize, usize)> = Vec::new();
        let mut in_piece = 0;
        for (at, c) in text.char_indices() {
            if c.is_whitespace() {
                in_piece = 0;
                continue;
            }
            match out.last_mut() {
                Some(last) if in_piece > 0 && in_piece < 4 => last.1 = at + c.len_utf8(),
                _ => {
                    out.push((at, at + c.len_utf8()));
                    in_piece = 0;
                }
            }
            in_piece += 1;
        }
        out
    }

    fn parts_at_white_space(&self) -> bool {
        true
    }
}

/// The space belongs to the token that follows, and a lone space is a token: as in byte-pair encodings.
struct SpaceInside;

impl TokenCounter for SpaceInside {
    fn count(&self, text: &str) -> usize {
        self.offsets(text).len()
    }

    fn offsets(&self, text: &str) -> Vec<(usize, usize)> {
        let mut out: Vec<(usize, usize)> = Vec::new();
        let mut before = None;
        for (at, c) in text.char_indices() {
            let joins = before.is_some_and(|b: char| b.is_whitespace() && !c.is_whitespace())
                || before.is_some_and(|b: char| {
                    b.is_alphanumeric() && c.is_alphanumeric() && !(c as u32).is_multiple_of(3)
                });
            match out.last_mut() {
                Some(last) if joins => last.1 = at + c.len_utf8(),
                _ => out.push((at, at + c.len_utf8())),
            }
            before = Some(c);
        }
        out
    }
}

fn vectors(texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
    Ok(texts
        .iter()
        .map(|t| {
            t.bytes().fold(vec![0.0; 4], |mut v, b| {
                v[usize::from(b) % 4] += 1.0;
                v
            })
        })
        .collect())
}

fn doc(text: &str) -> ExtractedText {
    ExtractedText { text: text.to_owned(), ..ExtractedText::default() }
}

fn slice(text: &str, chunk: &ChunkDraft) -> String {
    text.chars().skip(chunk.char_start as usize).take((chunk.char_end - chunk.char_start) as usize).collect()
}

/// Every promise of the module, checked against one result.
fn check(text: &str, chunks: &[ChunkDraft], settings: &ChunkSettings, counter: &dyn TokenCounter) {
    let mut covered = vec![false; text.chars().count()];
    for (i, c) in chunks.iter().enumerate() {
        assert_eq!(c.ordinal as usize, i);
        assert_eq!(c.text, slice(text, c), "places are exact");
        assert_eq!(c.text.trim(), c.text, "no white space at the edges");
        assert!(!c.text.is_empty());
        assert_eq!(c.content_hash.len(), 64);
        let long = match settings.strategy {
            ChunkingStrategy::Token => counter.count(&c.text),
            _ => c.text.chars().count(),
        };
        assert!(long <= settings.size as usize, "{long} > {} in {settings:?}: {:?}", settings.size, c.text);
        covered[c.char_start as usize..c.char_end as usize].fill(true);
    }
    for (at, c) in text.chars().enumerate() {
        assert!(covered[at] || c.is_whitespace(), "{c:?} at {at} is in no passage of {settings:?}");
    }
    for pair in chunks.windows(2) {
        assert!(pair[0].char_start < pair[1].char_start && pair[0].char_end < pair[1].char_end, "in order");
        let shared = pair[0].char_end.saturating_sub(pair[1].char_start) as usize;
        let shared: String = text.chars().skip(pair[1].char_start as usize).take(shared).collect();
        let overlap = match settings.strategy {
            ChunkingStrategy::Token => counter.count(shared.trim()),
            _ => shared.chars().count(),
        };
        assert!(overlap <= settings.overlap as usize, "overlap {overlap} in {settings:?}");
    }
}

fn run(text: &str, settings: &ChunkSettings, counter: &dyn TokenCounter) -> Vec<ChunkDraft> {
    let doc = doc(text);
    let chunks = chunk_with(&doc, settings, counter, Some(&vectors), &Stop::default()).unwrap();
    assert_eq!(
        chunks,
        chunk_with(&doc, settings, counter, Some(&vectors), &Stop::default()).unwrap(),
        "the same every time"
    );
    check(text, &chunks, settings, counter);
    chunks
}

fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z]{1,12} ",
        2 => "[a-z]{1,8}[.!?] ",
        1 => Just("\n".to_owned()),
        1 => Just("\n\n".to_owned()),
        1 => Just("\n# Head\n\n".to_owned()),
        1 => Just("- item\n* item\n1. item\n".to_owned()),
        1 => Just("```\ncode = 1\n\nmore\n```\n".to_owned()),
        1 => Just("| a | b |\n|---|---|\n| 1 | 2 |\n".to_owned()),
        1 => "\\PC{0,20}",
        1 => any::<String>(),
        1 => "[a-z]{50,300}",
        1 => Just("e\u{301}\u{302}\u{303}".repeat(30)),
        1 => Just("👩‍👩‍👧‍👦🇳🇱".repeat(10)),
        1 => Just("これは文です。次の文。".to_owned()),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|p| p.concat())
}

fn any_settings() -> impl Strategy<Value = ChunkSettings> {
    (prop::sample::select(ChunkingStrategy::ALL.to_vec()), 1u32..300, 0.0f64..1.0).prop_map(
        |(strategy, size, share)| ChunkSettings {
            strategy,
            size,
            overlap: (f64::from(size) * share) as u32 % size,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn every_promise_holds_on_any_text_with_any_settings(text in any_text(), settings in any_settings()) {
        run(&text, &settings, &Pieces);
    }

    #[test]
    fn tokens_never_overrun_even_when_spaces_belong_to_them(text in any_text(), size in 2u32..60, share in 0u32..60) {
        let settings = ChunkSettings { strategy: ChunkingStrategy::Token, size, overlap: share % size };
        let doc = doc(&text);
        let chunks = chunk(&doc, &settings, &SpaceInside).unwrap();
        for c in &chunks {
            prop_assert!(SpaceInside.count(&c.text) <= size as usize);
        }
        for (at, c) in text.chars().enumerate().filter(|(_, c)| !c.is_whitespace()) {
            let at = at as u64;
            prop_assert!(chunks.iter().any(|k| (k.char_start..k.char_end).contains(&at)), "{c:?} at {at}");
        }
    }
}

fn prose(sentences: usize) -> String {
    (0..sentences).map(|i| format!("Sentence number {i} says something about the harbour. ")).collect()
}

#[test]
fn sentences_stay_whole_and_the_overlap_is_made_of_whole_ones() {
    let text = prose(200);
    let settings = ChunkSettings { strategy: ChunkingStrategy::Sentence, size: 1000, overlap: 200 };
    let chunks = run(&text, &settings, &Pieces);
    assert!(chunks.len() > 5);
    for pair in chunks.windows(2) {
        assert!(pair[0].text.ends_with('.') && pair[1].text.starts_with("Sentence"));
        let overlap = pair[0].char_end - pair[1].char_start;
        assert!((100..=200).contains(&overlap), "{overlap}");
    }
    assert!(chunks[..chunks.len() - 1].iter().all(|c| c.text.chars().count() > 900), "passages are filled");
}

#[test]
fn token_passages_are_full_and_overlap_as_asked() {
    let text = prose(400);
    let settings = ChunkSettings { strategy: ChunkingStrategy::Token, size: 256, overlap: 32 };
    let chunks = run(&text, &settings, &Pieces);
    for c in &chunks[..chunks.len() - 1] {
        assert!((250..=256).contains(&c.token_count), "{}", c.token_count);
        assert_eq!(c.token_count as usize, Pieces.count(&c.text));
    }
    for pair in chunks.windows(2) {
        let shared = (pair[0].char_end - pair[1].char_start) as usize;
        let shared: String = pair[1].text.chars().take(shared).collect();
        assert!((26..=32).contains(&Pieces.count(&shared)));
    }
}

#[test]
fn page_and_heading_are_those_of_the_first_character() {
    let text = "Alpha beta. Gamma delta.\n\nEpsilon zeta. Eta theta.".to_owned();
    let at = text.find("Epsilon").unwrap();
    let span = |start, end, page, heading: &str| Span {
        start,
        end,
        page: Some(page),
        heading: Some(heading.to_owned()),
    };
    let doc = ExtractedText {
        spans: vec![span(0, at - 2, 1, "One"), span(at, text.len(), 2, "Two")],
        text,
        ..ExtractedText::default()
    };
    let settings = ChunkSettings { strategy: ChunkingStrategy::Sentence, size: 30, overlap: 0 };
    let chunks = chunk(&doc, &settings, &Pieces).unwrap();
    let seen: Vec<_> = chunks.iter().map(|c| (c.page, c.heading.as_deref(), c.text.as_str())).collect();
    assert_eq!(
        seen,
        [
            (Some(1), Some("One"), "Alpha beta. Gamma delta."),
            (Some(2), Some("Two"), "Epsilon zeta. Eta theta.")
        ]
    );
}

#[test]
fn a_new_section_opens_a_new_passage() {
    let text = format!("# One\n\n{}\n\n# Two\n\n{}", prose(9).trim(), prose(3).trim());
    let at = text.find("# Two").unwrap();
    let span = |start, end, heading: &str| Span { start, end, page: None, heading: Some(heading.to_owned()) };
    let doc = ExtractedText {
        spans: vec![span(0, at, "One"), span(at, text.len(), "Two")],
        text,
        ..ExtractedText::default()
    };
    let settings = ChunkSettings { strategy: ChunkingStrategy::Sentence, size: 700, overlap: 100 };
    let chunks = chunk(&doc, &settings, &Pieces).unwrap();
    assert_eq!(chunks.len(), 2);
    assert!(chunks[1].text.starts_with("# Two"));
    assert_eq!(chunks[1].heading.as_deref(), Some("Two"));
}

#[test]
fn settings_that_cannot_be_and_a_missing_model_are_errors() {
    let doc = doc("words");
    let with = |strategy, size, overlap| chunk(&doc, &ChunkSettings { strategy, size, overlap }, &Pieces);
    assert!(matches!(with(ChunkingStrategy::Sentence, 0, 0), Err(ChunkError::Settings)));
    assert!(matches!(with(ChunkingStrategy::Sentence, 100, 100), Err(ChunkError::Settings)));
    assert!(matches!(with(ChunkingStrategy::Semantic, 100, 0), Err(ChunkError::NoEmbedder)));
}

#[test]
fn the_hash_is_sha256_of_the_text() {
    let settings = ChunkSettings { strategy: ChunkingStrategy::Sentence, size: 100, overlap: 0 };
    let chunks = chunk(&doc(" abc \n"), &settings, &Pieces).unwrap();
    assert_eq!(chunks[0].content_hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn nothing_gives_nothing() {
    for &strategy in ChunkingStrategy::ALL {
        let settings = ChunkSettings { strategy, size: 100, overlap: 10 };
        assert_eq!(run("", &settings, &Pieces), []);
        assert_eq!(run(" \n\t \u{a0}", &settings, &Pieces), []);
    }
}

/// The rules of Unicode look ahead as far as they may: these would take minutes if they were asked about the whole.
#[test]
fn a_text_that_is_made_to_take_long_comes_to_its_end() {
    for (begin, again) in [(".", ")"), ("", "a\u{301}"), ("A.", " a"), ("", "(("), ("x", "\u{200d}")] {
        let text = format!("Hello{begin}{}", again.repeat(150_000));
        let doc = ExtractedText { text, ..ExtractedText::default() };
        for strategy in [ChunkingStrategy::Sentence, ChunkingStrategy::Markdown, ChunkingStrategy::Character]
        {
            let settings = ChunkSettings { strategy, size: 1000, overlap: 200 };
            assert!(!chunk(&doc, &settings, &Pieces).unwrap().is_empty());
        }
    }
}

#[test]
fn a_cutting_that_is_asked_to_stop_stops() {
    let doc = ExtractedText { text: "A sentence. ".repeat(1_000), ..ExtractedText::default() };
    let settings = ChunkSettings { strategy: ChunkingStrategy::Sentence, size: 1000, overlap: 0 };
    let stop = Stop::default();
    drop(stop.when_dropped());
    assert!(matches!(chunk_with(&doc, &settings, &Pieces, None, &stop), Err(ChunkError::Stopped)));
}

#[test]
fn more_passages_than_one_document_may_have_are_refused() {
    let doc = ExtractedText { text: "a\n".repeat(120_000), ..ExtractedText::default() };
    let settings = ChunkSettings { strategy: ChunkingStrategy::Character, size: 2, overlap: 1 };
    assert!(matches!(chunk(&doc, &settings, &Pieces), Err(ChunkError::TooMany(_))));
}

#[test]
fn a_row_that_is_too_long_is_cut_between_its_cells() {
    let row = (1..=60).map(|n| format!("col{n}: value {n} of row 0")).collect::<Vec<_>>().join("; ");
    let doc = ExtractedText { text: format!("- {row}"), ..ExtractedText::default() };
    let settings = ChunkSettings { strategy: ChunkingStrategy::Sentence, size: 500, overlap: 0 };
    for passage in chunk(&doc, &settings, &Pieces).unwrap() {
        let begins = passage.text.trim_start_matches("- ");
        assert!(begins.starts_with("col"), "{:?}", passage.text);
        assert!(passage.text.trim_end_matches(';').ends_with("of row 0"), "{:?}", passage.text);
    }
}
