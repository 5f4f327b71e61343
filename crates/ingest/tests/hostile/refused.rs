//! Every file of the generator ends with a code, a sentence and a hint, within seconds and within the memory of a small
//! file.

use crate::{files, read};
use ingest::extract::{ExtractCode, ExtractError, FileKind, detect};
use nix::sys::resource::{UsageWho, getrusage};
use std::collections::HashSet;

/// CPU seconds that one of these files may take, which is what its answer takes on a machine with nothing else to do.
const MOST_SECONDS: f64 = 5.0;

/// So often a file is read before it is said to take longer: what others do to the memory and the cores just then counts as
/// its CPU time, and is no cost of the file.
const READINGS: usize = 3;

/// CPU seconds of all children so far.
fn used() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|t| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6)
        .sum()
}

/// Why it is refused, and the CPU seconds that this took.
async fn refusal(file: &files::Hostile) -> (ExtractError, f64) {
    let mut readings = 0;
    loop {
        let before = used();
        let error = match read(&file.bytes, file.kind).await {
            Ok(doc) => panic!("{}: read: {}", file.what, doc.text.chars().take(200).collect::<String>()),
            Err(error) => error,
        };
        let seconds = used() - before;
        readings += 1;
        // The reader has a limit of its own, which comes before any other answer.
        let is_cut_short = error.code == ExtractCode::TookTooLong && !file.codes.contains(&error.code);
        if readings == READINGS || (seconds <= MOST_SECONDS && !is_cut_short) {
            return (error, seconds);
        }
    }
}

async fn all_are_refused(files: Vec<files::Hostile>) {
    for file in files {
        let (error, seconds) = refusal(&file).await;
        println!(
            "{:45} {:>9} bytes  {:16} {seconds:.2} s  {:?}",
            file.what,
            file.bytes.len(),
            error.code.as_str(),
            error.technical
        );
        assert!(file.codes.contains(&error.code), "{}: {error:?}", file.what);
        assert!(error.sentence.ends_with('.'), "{}: {error:?}", file.what);
        assert!(error.hint.is_some(), "{}: {error:?}", file.what);
        assert!(seconds <= MOST_SECONDS, "{}: {seconds} s", file.what);
    }
}

#[tokio::test]
async fn hostile_pdfs_are_refused() {
    all_are_refused(files::pdfs()).await;
}

#[tokio::test]
async fn hostile_word_documents_are_refused() {
    all_are_refused(files::word_documents()).await;
}

#[tokio::test]
async fn hostile_workbooks_are_refused() {
    all_are_refused(files::workbooks()).await;
}

#[tokio::test]
async fn hostile_texts_are_refused() {
    all_are_refused(files::texts()).await;
}

#[test]
fn the_generator_makes_enough_files_and_reaches_every_reason() {
    let all: Vec<_> = [files::pdfs(), files::word_documents(), files::workbooks(), files::texts()]
        .into_iter()
        .flatten()
        .collect();
    assert!(all.len() >= 40, "{}", all.len());
    let names: HashSet<_> = all.iter().map(|f| f.what).collect();
    assert_eq!(names.len(), all.len());
    let codes: HashSet<_> = all.iter().flat_map(|f| f.codes).map(|c| c.as_str()).collect();
    for code in ExtractCode::ALL {
        // An empty file and a wrong type never get as far as a reader; the server's own faults are no file's.
        let elsewhere = matches!(
            code,
            ExtractCode::UnsupportedType
                | ExtractCode::EmptyFile
                | ExtractCode::TooLarge
                | ExtractCode::ReaderUnavailable
        );
        assert!(elsewhere || codes.contains(code.as_str()), "{code}");
    }
}

#[test]
fn a_file_that_claims_to_be_an_office_file_reaches_its_reader() {
    // Told by its content as far as it goes, so that its row says what is wrong with it.
    for file in files::word_documents() {
        if file.what != "a Word document without its text" {
            assert_eq!(detect(&file.bytes, "a.docx"), Ok(FileKind::Docx), "{}", file.what);
        }
    }
    for file in files::workbooks() {
        assert_eq!(detect(&file.bytes, "a.xlsx"), Ok(FileKind::Xlsx), "{}", file.what);
    }
}
