//! The tokens against the reference implementation's (make_reference.py): odd inputs one by one, a long
//! text, and every character of Unicode within a word and alone.
#![allow(clippy::unwrap_used)] // Everything here is a test or a part of one.

mod common;

use common::model;
use serde_json::Value;

/// Number in the vocabulary, first byte, end byte.
type Row = (u32, usize, usize);

fn stored() -> Value {
    serde_json::from_str(include_str!("tokens.json")).unwrap()
}

fn tokens(text: &str) -> Vec<Row> {
    model().tokens(text).into_iter().map(|token| (token.id, token.start, token.end)).collect()
}

fn digest(offsets: &[Row]) -> String {
    let mut value: u64 = 0xcbf2_9ce4_8422_2325;
    for (id, start, end) in offsets {
        for number in [u64::from(*id), *start as u64, *end as u64] {
            value = (value ^ number).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{value:016x}")
}

fn odd() -> Vec<(String, Vec<Row>)> {
    let number = |value: &Value| value.as_u64().unwrap();
    let token = |row: &Value| (number(&row[0]) as u32, number(&row[1]) as usize, number(&row[2]) as usize);
    let entry = |entry: &Value| {
        let tokens = entry["tokens"].as_array().unwrap().iter().map(token).collect();
        (entry["text"].as_str().unwrap().to_owned(), tokens)
    };
    stored()["odd"].as_array().unwrap().iter().map(entry).collect()
}

#[test]
fn odd_inputs_give_the_tokens_and_places_of_the_reference() {
    for (text, tokens) in odd() {
        assert_eq!(self::tokens(&text), tokens, "{text:?}");
    }
}

#[test]
fn offsets_and_count_tell_of_the_same_tokens() {
    for (text, tokens) in odd() {
        let offsets: Vec<(usize, usize)> = tokens.iter().map(|(_, start, end)| (*start, *end)).collect();
        assert_eq!(model().token_offsets(&text), offsets, "{text:?}");
        assert_eq!(model().count_tokens(&text), tokens.len(), "{text:?}");
    }
}

#[test]
fn offsets_lie_on_character_boundaries_and_in_order() {
    let text: String = odd().into_iter().map(|(text, _)| text + " ").collect();
    let mut last = 0;
    for (start, end) in model().token_offsets(&text) {
        assert!(text.get(start..end).is_some_and(|piece| !piece.is_empty()), "{start}..{end}");
        assert!(start >= last, "{start} after {last}");
        last = start;
    }
}

#[test]
fn a_megabyte_of_odd_text_gives_the_tokens_of_the_reference() {
    let unit = odd().into_iter().map(|(text, _)| text).collect::<Vec<_>>().join("\n");
    let text = unit.repeat(1_000_000 / unit.len() + 1);
    let stored = stored();
    assert_eq!(text.len() as u64, stored["long"]["bytes"].as_u64().unwrap());
    assert_eq!(digest(&tokens(&text)), stored["long"]["digest"].as_str().unwrap());
}

#[test]
fn every_character_of_unicode_gives_the_tokens_of_the_reference() {
    let stored = stored();
    let blocks = stored["blocks"].as_array().unwrap();
    assert_eq!(blocks.len(), 0x11_0000 / 4096);
    let mut wrong = Vec::new();
    for (block, expected) in blocks.iter().enumerate() {
        let first = block as u32 * 4096;
        let lines: Vec<String> =
            (first..first + 4096).filter_map(char::from_u32).map(|c| format!("a{c}b {c} c")).collect();
        if digest(&tokens(&lines.join("\n"))) != expected.as_str().unwrap() {
            wrong.push(format!("U+{first:04X}"));
        }
    }
    assert!(wrong.is_empty(), "different tokens in the blocks of 4096 characters from {wrong:?}");
}
