//! The files that were made to do harm, as samples.

#[path = "../../ingest/tests/hostile/files.rs"]
#[allow(dead_code, reason = "the tests say of each what it is")]
mod files;

use files::Hostile;
use ingest::extract::{ExtractCode, FileKind};

/// Those of a target. What takes the reading process with it, or needs its bounds to come to an end, is left out: here it
/// would only be found again.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let of_kind = |kind: FileKind| {
        let mut texts = files::texts();
        texts.retain(|file| file.kind == kind);
        texts
    };
    let files = match target {
        "pdf" => files::pdfs(),
        "archive" => files::word_documents().into_iter().chain(files::workbooks()).collect(),
        "csv" => of_kind(FileKind::Csv),
        "json" => of_kind(FileKind::Json),
        "html" => of_kind(FileKind::Html),
        "markdown" => of_kind(FileKind::Markdown),
        "text" => of_kind(FileKind::Text),
        _ => vec![],
    };
    files.into_iter().filter(is_bounded).map(|file| file.bytes).collect()
}

fn is_bounded(file: &Hostile) -> bool {
    use ExtractCode::{Crashed, OutOfMemory, TooLargeInside, TooManyCells, TookTooLong};
    !file
        .codes
        .iter()
        .any(|code| matches!(code, Crashed | OutOfMemory | TookTooLong | TooLargeInside | TooManyCells))
}
