//! Why a document could not be read: a stable code, and the sentences that go with it.
//!
//! The child process names a code and nothing more; every word that a person reads is written here, so that a
//! document cannot put words into our mouth.

use super::{FileKind, office::xlsx::MOST_CELLS};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The reason, for programs. The spelling of `as_str` is part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtractCode {
    UnsupportedType,
    EmptyFile,
    PdfEncrypted,
    FileEncrypted,
    NoText,
    Unreadable,
    TooLarge,
    TooLargeInside,
    TooManyCells,
    TooDeep,
    TookTooLong,
    OutOfMemory,
    Crashed,
    ReaderUnavailable,
}

impl ExtractCode {
    pub const ALL: [Self; 14] = [
        Self::UnsupportedType,
        Self::EmptyFile,
        Self::PdfEncrypted,
        Self::FileEncrypted,
        Self::NoText,
        Self::Unreadable,
        Self::TooLarge,
        Self::TooLargeInside,
        Self::TooManyCells,
        Self::TooDeep,
        Self::TookTooLong,
        Self::OutOfMemory,
        Self::Crashed,
        Self::ReaderUnavailable,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnsupportedType => "unsupported_type",
            Self::EmptyFile => "empty_file",
            Self::PdfEncrypted => "pdf_encrypted",
            Self::FileEncrypted => "file_encrypted",
            Self::NoText => "no_text",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
            Self::TooLargeInside => "too_large_inside",
            Self::TooManyCells => "too_many_cells",
            Self::TooDeep => "too_deep",
            Self::TookTooLong => "took_too_long",
            Self::OutOfMemory => "out_of_memory",
            Self::Crashed => "crashed",
            Self::ReaderUnavailable => "reader_unavailable",
        }
    }
}

impl fmt::Display for ExtractCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A document that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct ExtractError {
    pub code: ExtractCode,
    /// For people: what happened.
    pub sentence: String,
    /// For people: what they can do about it.
    pub hint: Option<String>,
    /// Whether the same document may well be read at a second try.
    pub retryable: bool,
    /// For the log and the technical view: the signal, the exit code, the last words of the process.
    pub technical: Option<String>,
}

impl ExtractError {
    /// The error for `code`, met while reading a document of that kind.
    pub fn of(code: ExtractCode, kind: FileKind) -> Self {
        let what = kind.noun();
        let (sentence, hint) = match code {
            ExtractCode::UnsupportedType => (
                "This kind of file cannot be read here.".to_owned(),
                Some(format!("Files that are taken: {}.", domain::files::taken_list())),
            ),
            ExtractCode::EmptyFile => {
                ("The file is empty.".to_owned(), Some("Check the original and upload it again.".to_owned()))
            }
            ExtractCode::PdfEncrypted => (
                "This PDF is protected with a password.".to_owned(),
                Some("Remove the password in a PDF program and upload the file again.".to_owned()),
            ),
            ExtractCode::FileEncrypted => (
                format!("This {what} is protected with a password."),
                Some("Open it, remove the password, save it and upload that file.".to_owned()),
            ),
            ExtractCode::NoText if kind == FileKind::Pdf => (
                "No text found: this PDF holds only pictures of pages.".to_owned(),
                Some(
                    "It is probably a scan. Run it through text recognition (OCR) and upload the result."
                        .to_owned(),
                ),
            ),
            ExtractCode::NoText => (
                format!("No text found in this {what}."),
                Some("Check the original; pictures in it are not read.".to_owned()),
            ),
            ExtractCode::Unreadable => (
                format!("This {what} is damaged or not what it claims to be."),
                Some("Open it in another program, save it anew and upload that file.".to_owned()),
            ),
            ExtractCode::TooLarge => (
                format!("This {what} is larger than this server reads."),
                Some("Split it into smaller files.".to_owned()),
            ),
            ExtractCode::TooLargeInside => (
                format!("This {what} unpacks to more text than this server keeps of one document."),
                Some("Split it into smaller files.".to_owned()),
            ),
            ExtractCode::TooManyCells => (
                format!(
                    "This {what} holds more than {} cells with something in them.",
                    domain::message::number(MOST_CELLS as u64)
                ),
                Some(
                    "Split it into several files, or save its sheets as CSV, whose cells are not counted."
                        .to_owned(),
                ),
            ),
            ExtractCode::TooDeep => (
                format!("This {what} nests its parts deeper than is read here."),
                Some(
                    "It was hardly made for people. Save it in another form and upload that file.".to_owned(),
                ),
            ),
            ExtractCode::TookTooLong => (
                format!("Reading this {what} took too long and was stopped."),
                Some("Save it anew in another program, or split it into smaller files.".to_owned()),
            ),
            ExtractCode::OutOfMemory => (
                format!("Reading this {what} needs more memory than one document may use."),
                Some("Save it anew in another program, or split it into smaller files.".to_owned()),
            ),
            ExtractCode::Crashed => (
                format!("The reader stopped on this {what}."),
                Some(
                    "The file may be damaged. Save it anew in another program and upload that file."
                        .to_owned(),
                ),
            ),
            ExtractCode::ReaderUnavailable => (
                "The process that reads documents could not be started safely.".to_owned(),
                Some("This is a fault of the server, not of the file; its log says more.".to_owned()),
            ),
        };
        Self {
            code,
            sentence,
            hint,
            retryable: matches!(code, ExtractCode::ReaderUnavailable),
            technical: None,
        }
    }

    /// The same error with a note for the log.
    #[must_use]
    pub fn because(mut self, technical: impl Into<String>) -> Self {
        self.technical = Some(technical.into());
        self
    }

    /// The same error, worth a second try.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_name_and_a_whole_sentence() {
        let mut names: Vec<_> = ExtractCode::ALL.iter().map(|c| c.as_str()).collect();
        for code in ExtractCode::ALL {
            for kind in FileKind::ALL {
                let error = ExtractError::of(code, kind);
                assert!(error.sentence.ends_with('.'), "{error}");
                assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            }
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ExtractCode::ALL.len());
    }
}
