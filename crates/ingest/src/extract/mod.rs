//! Text out of documents that nobody vouches for.
//!
//! A document is read by a child process of the same binary (`insighthub extract`), which takes its own rights away
//! before it looks at the first byte: [`sandbox`] says which. The parent side is [`Extractor`], the child side
//! [`run_child`]; [`wire`] is what travels between them, and the parent believes none of it unchecked. The readers
//! ([`pdf`], [`office`], [`html`], [`csv`], [`json`], [`text`]) know nothing of processes, and must stay so: a reader for another kind of file is a
//! module with one function `bytes -> Result<ExtractedText, ExtractCode>`, an arm in `child::read` and a row in
//! `domain::files`.

pub mod child;
mod container;
pub mod csv;
pub mod decode;
mod draft;
pub mod error;
pub mod html;
pub mod json;
pub mod kind;
mod meter;
mod nesting;
pub mod office;
pub mod outline;
pub mod parent;
pub mod pdf;
mod rows;
pub mod sandbox;
pub mod text;
pub mod wire;

pub use child::run_child;
pub use error::{ExtractCode, ExtractError};
pub use kind::{FileKind, Refused, detect, detect_file};
pub use parent::{Extractor, Limits};
pub use wire::Progress;

use serde::{Deserialize, Serialize};

/// A document's whole text, and what is known about its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractedText {
    /// Plain text for PDF and text files, Markdown for the rest; lines end with `\n`. A row of a table is an item of a
    /// list, on one line.
    pub text: String,
    /// In order and without overlap; text between two spans belongs to neither.
    pub spans: Vec<Span>,
    /// The document's own title, where it has one.
    pub title: Option<String>,
    /// What could not be read although the document as a whole could.
    pub warnings: Vec<Warning>,
    /// The program that made it, as the file says.
    #[serde(default)]
    pub made_with: Option<String>,
    /// Of a table: how large it is.
    #[serde(default)]
    pub table: Option<TableSize>,
}

/// The rows of a table with something in them, without that of the names, and the columns that have a name or a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSize {
    pub columns: u64,
    pub rows: u64,
}

impl TableSize {
    /// With another table below it.
    pub fn and(self, other: Self) -> Self {
        Self { columns: self.columns.max(other.columns), rows: self.rows + other.rows }
    }
}

/// A stretch of the text with one page and one heading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Byte offset into the text, inclusive.
    pub start: usize,
    /// Byte offset into the text, exclusive.
    pub end: usize,
    /// The page's number as a reader counts, from 1.
    pub page: Option<u32>,
    /// The nearest heading at or above the stretch.
    pub heading: Option<String>,
}

/// A part that was left out, in words for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Stable, for programs: `pages_unreadable`, `pages_without_text`, `sheets_unreadable`, `damaged`,
    /// `replaced_characters`, `encoding_unknown`, `records_unreadable`.
    pub code: String,
    pub message: String,
}

impl Warning {
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }
}

impl ExtractedText {
    /// The span that holds a byte offset, or the nearest one before it.
    pub fn span_at(&self, byte: usize) -> Option<&Span> {
        let after = self.spans.partition_point(|s| s.start <= byte);
        after.checked_sub(1).and_then(|i| self.spans.get(i))
    }

    /// Brings all of it into the form in which questions are asked: each letter and its marks are one character where there is
    /// one, and nothing stands within a word that nobody sees. Some programs write them apart, and pages say where a word may
    /// be parted; no search would find the one by the other.
    pub fn compose(&mut self) {
        if services::is_composed(&self.text) && !self.text.contains(UNSEEN) {
            return;
        }
        // Stretch by stretch, so that it is known where each span begins and ends then.
        let mut text = String::with_capacity(self.text.len());
        let mut at = 0;
        let mut up_to = |to: usize| {
            text.push_str(&as_asked(&self.text[at..to]));
            at = to;
            text.len()
        };
        for span in &mut self.spans {
            (span.start, span.end) = (up_to(span.start), up_to(span.end));
            span.heading = span.heading.take().map(|heading| as_asked(&heading));
        }
        up_to(self.text.len());
        self.text = text;
        self.title = self.title.take().map(|title| as_asked(&title));
    }

    /// Whether there is nothing in it that could be found.
    pub fn is_blank(&self) -> bool {
        !self.text.chars().any(char::is_alphanumeric)
    }
}

/// A place where a word may be parted, and two by which it may not.
const UNSEEN: [char; 3] = ['\u{ad}', '\u{2060}', '\u{feff}'];

fn as_asked(text: &str) -> String {
    services::composed(text.replace(UNSEEN, ""))
}
