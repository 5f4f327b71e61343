//! P13: pages of real PDFs read each second, the reading process included, and how near the words are to the peer's.
//! The peer is pypdfium2 (p13_peer.py) with the same files on one core, as on our side.
//!
//!     cargo bench -p ingest --bench p13 -- --round ours|peer [--seconds N]
//!     cargo bench -p ingest --bench p13 -- --check
//!
//! A round's last line is JSON. The rounds of both sides in turn, and the ratios, are the caller's business. The files
//! are those of `tests/documents`, and of the folder INSIGHTHUB_PDFS when it is set.

use ingest::extract::{Extractor, FileKind, Limits};
use measure::{Asked, Failure, peer};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    path::PathBuf,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

/// Of the words of each file, at least this share must be the peer's words.
const LEAST_F1: f64 = 0.98;

fn main() -> ExitCode {
    // The executable is its own reading process: nothing else of the workspace has to be built beside it.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|a| a == "extract") {
        return ingest::extract::run_child(args);
    }
    measure::answer(run)
}

fn run(asked: &Asked) -> Result<Value, Failure> {
    let seconds = asked.seconds()?;
    let files = files()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if asked.has("--check") {
        let (_, texts) = theirs(&files, 0.1)?;
        let worst = runtime.block_on(worst_f1(&files, &texts))?;
        return Ok(json!({"value": worst, "unit": "F1"}));
    }
    let value = match asked.round() {
        "ours" => runtime.block_on(ours(&files, seconds))?,
        "peer" => {
            let (answer, texts) = theirs(&files, seconds)?;
            runtime.block_on(worst_f1(&files, &texts))?;
            answer["value"].as_f64().ok_or("the peer gave no value")?
        }
        _ => return Err(asked.no_such_round("ours or peer")),
    };
    Ok(json!({"value": value, "unit": "pages/s"}))
}

fn files() -> Result<Vec<PathBuf>, Failure> {
    let own = measure::package(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let mut files = Vec::new();
    for folder in [Some(own), std::env::var_os("INSIGHTHUB_PDFS").map(PathBuf::from)].into_iter().flatten() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("pdf")) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn extractor() -> Result<Extractor, Failure> {
    Ok(Extractor::this_program(Limits::default())?)
}

/// Pages a second, one file after another, a process for each.
async fn ours(files: &[PathBuf], seconds: f64) -> Result<f64, Failure> {
    let extractor = extractor()?;
    let (begin, mut pages) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs_f64(seconds) {
        for file in files {
            let mut total = 0;
            let opened = std::fs::File::open(file)?;
            extractor.extract(opened, FileKind::Pdf, |p| total = p.total).await?;
            pages += total;
        }
    }
    Ok(f64::from(pages) / begin.elapsed().as_secs_f64())
}

/// The least F1 of the words of our text against the peer's, over the files.
async fn worst_f1(files: &[PathBuf], texts: &[String]) -> Result<f64, Failure> {
    let extractor = extractor()?;
    let mut worst = 1.0_f64;
    for (file, theirs) in files.iter().zip(texts) {
        let opened = std::fs::File::open(file)?;
        let ours = extractor.extract(opened, FileKind::Pdf, |_| {}).await?;
        let f1 = f1(&words(&ours.text), &words(theirs));
        eprintln!("{}: F1 {f1:.4}", file.display());
        if f1 < LEAST_F1 {
            return Err(format!("{}: the words of the two sides differ, F1 {f1:.4}", file.display()).into());
        }
        worst = worst.min(f1);
    }
    Ok(worst)
}

/// The words and how often each stands there. Ligatures are taken apart and words cut at a line end are joined, which
/// our side does and the peer does not.
fn words(text: &str) -> HashMap<String, usize> {
    let mut whole = text.replace("\r\n", "\n").replace('\u{2}', "").replace("\u{fffe}", "");
    for (ligature, letters) in [('ﬀ', "ff"), ('ﬁ', "fi"), ('ﬂ', "fl"), ('ﬃ', "ffi"), ('ﬄ', "ffl")] {
        whole = whole.replace(ligature, letters);
    }
    let whole = whole.replace("-\n", "");
    let mut out = HashMap::new();
    for word in whole.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
        *out.entry(word.to_lowercase()).or_default() += 1;
    }
    out
}

fn f1(ours: &HashMap<String, usize>, theirs: &HashMap<String, usize>) -> f64 {
    let common: usize = ours.iter().map(|(w, n)| (*n).min(theirs.get(w).copied().unwrap_or(0))).sum();
    let all: usize = ours.values().sum::<usize>() + theirs.values().sum::<usize>();
    if all == 0 { 1.0 } else { 2.0 * common as f64 / all as f64 }
}

/// The peer's answer and its texts.
fn theirs(files: &[PathBuf], seconds: f64) -> Result<(Value, Vec<String>), Failure> {
    let python = peer::python(&peer::cache().join("bench/p13"), &["pypdfium2"])?;
    let scratch = tempfile::tempdir()?;
    let texts = scratch.path().join("texts.json");
    let mut command = Command::new(python);
    command
        .arg(measure::package(env!("CARGO_MANIFEST_DIR")).join("benches/p13_peer.py"))
        .args(["--seconds", &seconds.to_string()])
        .arg("--texts")
        .arg(&texts)
        .args(files);
    let answer = serde_json::from_str(&peer::ask(&mut command)?)?;
    Ok((answer, serde_json::from_slice(&std::fs::read(&texts)?)?))
}
