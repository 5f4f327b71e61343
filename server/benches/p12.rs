//! P12: how fast a text of 20 MB is cut into passages of at most 256 tokens, by the built-in model's own tokens. The
//! peers are LangChain's recursive splitter, whose length is counted in the same tokens, and chonkie's token chunker
//! (p12_peer.py), with the same tokenizer file. One core each.
//!
//!     cargo bench -p server --bench p12 -- --round ours|langchain|chonkie [--seconds N]
//!
//! A round's last line is JSON. The rounds of both sides in turn, and the ratios, are the caller's business. Our passages
//! are held against the text after the clock has stopped: none over the size, each exactly what stands in its place, and
//! nothing but white space between two of them. A short round cuts a short text.

use domain::rag::{BUILTIN_MODEL, ChunkingStrategy};
use ingest::{
    chunk::{ChunkDraft, ChunkSettings, chunk},
    extract::ExtractedText,
    pipeline::{SharedTokens, Tokenizers},
};
use measure::{Asked, Failure, dice::Dice, peer};
use serde_json::{Value, json};
use server::adapters::{Models, SystemClock};
use std::{
    fmt::Write,
    path::PathBuf,
    process::{Command, ExitCode},
    sync::Arc,
    time::{Duration, Instant},
};

const TOKENS: u32 = 256;
const BYTES: usize = 20_000_000;
/// Of a run that only shows that it works.
const FEW_BYTES: usize = 200_000;
const PACKAGES: [&str; 3] = ["langchain-text-splitters", "chonkie", "tokenizers"];
const WORDS: [&str; 24] = [
    "harbour",
    "the",
    "of",
    "lantern",
    "and",
    "ferry",
    "keeper",
    "unquestionably",
    "a",
    "tide",
    "in",
    "schooner",
    "regulations",
    "is",
    "déjà",
    "vu",
    "naïve",
    "lighthouse",
    "1847",
    "with",
    "counter-clockwise",
    "noon",
    "Ærø",
    "by",
];

fn main() -> ExitCode {
    measure::answer(run)
}

fn run(asked: &Asked) -> Result<Value, Failure> {
    let seconds = asked.seconds()?;
    let text = text(if seconds < 5.0 { FEW_BYTES } else { BYTES });
    let value = match asked.round() {
        "ours" => ours(text, seconds)?,
        who @ ("langchain" | "chonkie") => theirs(who, &text, seconds)?,
        _ => return Err(asked.no_such_round("ours, langchain or chonkie")),
    };
    Ok(json!({"value": value, "unit": "MB/s"}))
}

/// Prose, the same each time: sentences of a few words, in paragraphs.
fn text(bytes: usize) -> String {
    let mut dice = Dice::new(12);
    let mut text = String::with_capacity(bytes + 200);
    while text.len() < bytes {
        for _ in 0..2 + dice.below(6) {
            let words: Vec<&str> = (0..4 + dice.below(14)).map(|_| *dice.one_of(&WORDS)).collect();
            // Writing to a string does not fail.
            let _ = write!(text, "{}. ", words.join(" "));
        }
        text.push_str("\n\n");
    }
    text
}

fn models() -> PathBuf {
    std::env::var_os("INSIGHTHUB_MODELS_DIR").map_or_else(|| peer::cache().join("models"), PathBuf::from)
}

fn ours(text: String, seconds: f64) -> Result<f64, Failure> {
    let models = Models::new(&models(), None, Arc::new(SystemClock))?;
    let tokens = models.tokens(BUILTIN_MODEL)?;
    let doc =
        ExtractedText { text, spans: vec![], title: None, warnings: vec![], made_with: None, table: None };
    let settings = ChunkSettings { strategy: ChunkingStrategy::Token, size: TOKENS, overlap: 0 };
    let (begin, mut passes) = (Instant::now(), 0_u32);
    let (passed, passages) = loop {
        let passages = chunk(&doc, &settings, tokens.as_ref())?;
        passes += 1;
        let passed = begin.elapsed();
        if passed >= Duration::from_secs_f64(seconds) {
            break (passed, passages);
        }
    };
    check(&doc.text, &passages, &tokens)?;
    Ok(doc.text.len() as f64 * f64::from(passes) / 1e6 / passed.as_secs_f64())
}

fn check(text: &str, passages: &[ChunkDraft], tokens: &SharedTokens) -> Result<(), Failure> {
    let mut places = text.char_indices().map(|(byte, _)| byte).chain([text.len()]).enumerate().peekable();
    // Only forward: passages stand in order.
    let mut byte_of = |char: u64| {
        while places.next_if(|(n, _)| (*n as u64) < char).is_some() {}
        places.peek().filter(|(n, _)| *n as u64 == char).map(|(_, byte)| *byte)
    };
    let mut before = 0;
    for passage in passages {
        let place = byte_of(passage.char_start).zip(byte_of(passage.char_end));
        let (from, to) = place.ok_or("a passage lies behind another one, or beyond the text")?;
        if text[from..to] != passage.text {
            return Err(format!("passage {} is not what stands in its place", passage.ordinal).into());
        }
        if !text[before..from].trim().is_empty() {
            return Err(format!("something before passage {} is in none", passage.ordinal).into());
        }
        let count = tokens.count(&passage.text);
        if count > TOKENS as usize || count != passage.token_count as usize {
            return Err(format!("passage {} has {count} tokens", passage.ordinal).into());
        }
        before = to;
    }
    if text[before..].trim().is_empty() { Ok(()) } else { Err("the end of the text is in no passage".into()) }
}

fn theirs(who: &str, text: &str, seconds: f64) -> Result<f64, Failure> {
    let python = peer::python(&peer::cache().join("bench/p12"), &PACKAGES)?;
    let scratch = tempfile::tempdir()?;
    let file = scratch.path().join("text.txt");
    std::fs::write(&file, text)?;
    let mut command = Command::new(python);
    command
        .env("TOKENIZERS_PARALLELISM", "false")
        .arg(measure::package(env!("CARGO_MANIFEST_DIR")).join("benches/p12_peer.py"))
        .arg(who)
        .arg(&file)
        .arg(models().join(BUILTIN_MODEL).join("tokenizer.json"))
        .args(["--tokens", &TOKENS.to_string(), "--seconds", &seconds.to_string()]);
    let answer: Value = serde_json::from_str(&peer::ask(&mut command)?)?;
    answer["value"].as_f64().ok_or_else(|| "the peer gave no value".into())
}
