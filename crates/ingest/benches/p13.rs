//! P13: pages of real PDFs read each second, the reading process included, and how near the words are to the peer's.
//! The peer is pypdfium2 (p13_peer.py) with the same files on one core, as on our side.
//!
//!     cargo bench -p ingest --bench p13 -- --round ours|peer [--seconds N]
//!     cargo bench -p ingest --bench p13 -- --check
//!
//! A round's last line is JSON. The rounds of both sides in turn, and the ratios, are the caller's business. The files
//! are those of `tests/documents`, and of the folder INSIGHTHUB_PDFS when it is set.

use ingest::extract::{Extractor, FileKind, Limits};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

type Failure = Box<dyn std::error::Error>;

/// Of the words of each file, at least this share must be the peer's words.
const LEAST_F1: f64 = 0.98;

fn main() -> ExitCode {
    // The executable is its own reading process: nothing else of the workspace has to be built beside it.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|a| a == "extract") {
        return ingest::extract::run_child(args);
    }
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let after = |name: &str| {
        arguments.iter().position(|argument| argument == name).and_then(|place| arguments.get(place + 1))
    };
    let seconds: f64 = after("--seconds").map_or(Ok(5.0), |seconds| seconds.parse())?;
    let files = files()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if arguments.iter().any(|argument| argument == "--check") {
        let (_, texts) = peer(&files, 0.1)?;
        let worst = runtime.block_on(worst_f1(&files, &texts))?;
        println!("{}", json!({"value": worst, "unit": "F1"}));
        return Ok(());
    }
    let value = match after("--round").map(String::as_str) {
        None | Some("ours") => runtime.block_on(ours(&files, seconds))?,
        Some("peer") => {
            let (answer, texts) = peer(&files, seconds)?;
            runtime.block_on(worst_f1(&files, &texts))?;
            answer["value"].as_f64().ok_or("the peer gave no value")?
        }
        Some(other) => return Err(format!("--round takes `ours` or `peer`, not `{other}`").into()),
    };
    println!("{}", json!({"value": value, "unit": "pages/s"}));
    Ok(())
}

fn files() -> Result<Vec<PathBuf>, Failure> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
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
fn peer(files: &[PathBuf], seconds: f64) -> Result<(Value, Vec<String>), Failure> {
    let python = environment(&cache().join("bench/p13"))?;
    let scratch = tempfile::tempdir()?;
    let texts = scratch.path().join("texts.json");
    let output = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/p13_peer.py"))
        .args(["--seconds", &seconds.to_string()])
        .arg("--texts")
        .arg(&texts)
        .args(files)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("the peer failed; its words are above".into());
    }
    let answer = String::from_utf8(output.stdout)?;
    let answer = serde_json::from_str(answer.lines().last().ok_or("the peer said nothing")?)?;
    Ok((answer, serde_json::from_slice(&std::fs::read(&texts)?)?))
}

/// Where things are kept that can be fetched again.
fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).unwrap_or_default().join("insighthub")
}

/// The Python of a virtual environment with pypdfium2, made when it is not there yet.
fn environment(home: &Path) -> Result<PathBuf, Failure> {
    let python = home.join("bin/python");
    let ready = home.join("ready");
    if !ready.exists() {
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(home);
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "pypdfium2"]);
        for mut step in [make, install] {
            if !step.stdout(Stdio::null()).status()?.success() {
                return Err("the peer's Python environment could not be made".into());
            }
        }
        std::fs::write(ready, "")?;
    }
    Ok(python)
}
