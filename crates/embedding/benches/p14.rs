//! P14: chunks embedded each second, and how near the vectors are to the reference. The peer is ONNX
//! Runtime (p14_peer.py) with the same model, the same chunks and the same cores.
//!
//!     cargo bench -p embedding --bench p14 -- --round ours|peer [--seconds N]
//!     cargo bench -p embedding --bench p14 -- --check
//!
//! A round's last line is JSON. The rounds of both sides in turn, and the ratios, are the caller's business.

#[path = "../tests/common/mod.rs"]
mod common;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use embedding::MiniLm;
use measure::{Asked, Failure, peer};
use serde_json::{Value, json};

const CHUNKS: usize = 48;
const CHUNK: usize = 1000;

fn main() -> ExitCode {
    measure::answer(run)
}

fn run(asked: &Asked) -> Result<Value, Failure> {
    let seconds = asked.seconds()?;
    let chunks = corpus();
    if asked.has("--check") {
        let (_, cosine_min) = theirs(&chunks, 0.1)?;
        if cosine_min < 0.999 {
            return Err(format!("the vectors of the two sides differ: cosine {cosine_min}").into());
        }
        return Ok(json!({"value": cosine_min, "unit": "cosine"}));
    }
    let (value, cosine_min, more) = match asked.round() {
        "ours" => {
            let (value, cosine_min) = ours(&chunks, seconds)?;
            (value, cosine_min, json!({}))
        }
        "peer" => {
            let (answer, cosine_min) = theirs(&chunks, seconds)?;
            (answer["value"].as_f64().ok_or("the peer gave no value")?, cosine_min, answer)
        }
        _ => return Err(asked.no_such_round("ours or peer")),
    };
    Ok(json!({"value": value, "unit": "chunks/s", "cosine_min": cosine_min, "more": more}))
}

/// Our rate over the corpus, and the worst cosine against the stored reference vectors.
fn ours(chunks: &[String], seconds: f64) -> Result<(f64, f64), Failure> {
    let model = MiniLm::load(&common::folder())?;
    let reference: Value = serde_json::from_str(include_str!("../tests/reference.json"))?;
    let reference = reference.as_array().ok_or("the reference is not a list")?;
    let texts: Vec<&str> = reference.iter().filter_map(|entry| entry["text"].as_str()).collect();
    let expected: Vec<Vec<f32>> = reference.iter().map(|entry| numbers(&entry["vector"])).collect();
    let cosine_min = worst(&model.embed(&texts)?, &expected)?;

    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
    model.embed(&chunks)?;
    let (begin, mut done) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs_f64(seconds) {
        done += model.embed(&chunks)?.len();
    }
    Ok((done as f64 / begin.elapsed().as_secs_f64(), cosine_min))
}

/// The peer's answer, and the worst cosine between its vectors and ours over the corpus.
fn theirs(chunks: &[String], seconds: f64) -> Result<(Value, f64), Failure> {
    let home = peer::cache().join("bench/p14");
    let packages = ["onnxruntime", "onnx", "numpy", "safetensors", "tokenizers"];
    let python = peer::python(&home, &packages)?;
    let scratch = tempfile::tempdir()?;
    let (texts, vectors) = (scratch.path().join("texts.json"), scratch.path().join("vectors.json"));
    std::fs::write(&texts, json!(chunks).to_string())?;
    let mut command = Command::new(python);
    command
        .arg(measure::package(env!("CARGO_MANIFEST_DIR")).join("benches/p14_peer.py"))
        .arg("--model")
        .arg(common::folder())
        .arg("--onnx")
        .arg(home.join("minilm.onnx"))
        .arg("--texts")
        .arg(&texts)
        .arg("--vectors")
        .arg(&vectors)
        .args(["--seconds", &seconds.to_string()]);
    let answer = serde_json::from_str(&peer::ask(&mut command)?)?;
    let vectors: Value = serde_json::from_slice(&std::fs::read(&vectors)?)?;
    let vectors: Vec<Vec<f32>> = vectors.as_array().ok_or("no vectors")?.iter().map(numbers).collect();
    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
    let ours = MiniLm::load(&common::folder())?.embed(&chunks)?;
    Ok((answer, worst(&ours, &vectors)?))
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().into_iter().flatten().filter_map(Value::as_f64).map(|x| x as f32).collect()
}

fn worst(ours: &[Vec<f32>], theirs: &[Vec<f32>]) -> Result<f64, Failure> {
    if ours.len() != theirs.len() || ours.iter().zip(theirs).any(|(a, b)| a.len() != b.len()) {
        return Err("the two sides gave different numbers of vectors".into());
    }
    Ok(ours.iter().zip(theirs).map(|(a, b)| common::cosine(a, b)).fold(1.0, f64::min))
}

/// Prose of the length and word frequency of real documents, the same on every machine.
fn corpus() -> Vec<String> {
    const SUBJECTS: [&str; 12] = [
        "the supplier",
        "our maintenance team",
        "every new colleague",
        "the annual report",
        "a certified laboratory",
        "the regional office",
        "the replacement pump",
        "each administrator",
        "the insurance company",
        "this chapter",
        "the committee",
        "a temporary password",
    ];
    const VERBS: [&str; 12] = [
        "describes",
        "approves",
        "replaces",
        "carefully documents",
        "must not exceed",
        "is compared with",
        "depends on",
        "has postponed",
        "summarises",
        "no longer supports",
        "was delivered together with",
        "takes precedence over",
    ];
    const OBJECTS: [&str; 12] = [
        "the calibration procedure",
        "a written agreement",
        "the quarterly budget of 48,500 euros",
        "all previous versions",
        "the emergency shutdown valve",
        "an encrypted backup",
        "the delivery schedule",
        "two independent measurements",
        "the terms of the warranty",
        "its environmental impact assessment",
        "the responsibilities listed in annex B",
        "a maximum temperature of 85 °C",
    ];
    const ENDS: [&str; 10] = [
        "",
        " within fourteen days",
        ", unless stated otherwise",
        " before the end of the year",
        " in accordance with section 4.2",
        " (see figure 7)",
        ", although exceptions are possible",
        " at the customer’s request",
        " during the night shift",
        "; further details follow below",
    ];
    let mut state: u64 = 0x2545_f491_4f6c_dd1d;
    let mut pick = move |words: &[&'static str]| -> &'static str {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        words[((state >> 33) % words.len() as u64) as usize]
    };
    let mut chunk = move |_| {
        let mut text = String::new();
        loop {
            let subject = pick(&SUBJECTS);
            let (first, rest) = subject.split_at(1);
            let sentence =
                format!("{}{rest} {} {}{}.", first.to_uppercase(), pick(&VERBS), pick(&OBJECTS), pick(&ENDS));
            if text.len() + sentence.len() >= CHUNK {
                return text;
            }
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&sentence);
        }
    };
    (0..CHUNKS).map(&mut chunk).collect()
}
