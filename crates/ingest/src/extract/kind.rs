//! What a file is, told from its bytes; its name only decides between kinds of text.

use super::decode;
use serde::{Deserialize, Serialize};
use std::{fmt, fs::File, io, io::Read, str::FromStr};

/// How many bytes [`detect`] looks at.
pub const HEAD: usize = 64 * 1024;

/// A kind of document that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    Pdf,
    Html,
    Markdown,
    Text,
}

/// What is taken, in the order it is shown.
pub const TAKEN: [&str; 4] = ["TXT", "MD", "HTML", "PDF"];

/// `TXT, MD, HTML and PDF`.
pub fn taken_list() -> String {
    match TAKEN.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => TAKEN.concat(),
    }
}

impl FileKind {
    pub const ALL: [Self; 4] = [Self::Pdf, Self::Html, Self::Markdown, Self::Text];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Html => "html",
            Self::Markdown => "markdown",
            Self::Text => "text",
        }
    }

    /// As it stands in a sentence: "This … holds no text."
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Pdf => "PDF",
            Self::Html => "web page",
            Self::Markdown => "Markdown file",
            Self::Text => "text file",
        }
    }

    /// The type under which the original is served and announced.
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Html => "text/html",
            Self::Markdown => "text/markdown",
            Self::Text => "text/plain",
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FileKind {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|k| k.as_str() == s).ok_or_else(|| format!("no such kind of file: {s}"))
    }
}

/// Why a file is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence} {hint}")]
pub struct Refused {
    /// `empty_file` or `unsupported_type`.
    pub code: super::ExtractCode,
    /// For people: what the file seems to be.
    pub sentence: String,
    /// For people: what is taken.
    pub hint: String,
}

impl Refused {
    fn empty() -> Self {
        Self {
            code: super::ExtractCode::EmptyFile,
            sentence: "The file is empty.".to_owned(),
            hint: "Check the original and upload it again.".to_owned(),
        }
    }

    fn unsupported(sentence: String) -> Self {
        Self {
            code: super::ExtractCode::UnsupportedType,
            sentence,
            hint: format!("Files that are taken: {}.", taken_list()),
        }
    }
}

/// [`detect`] on a file's first bytes. The file is read from where it stands; the caller rewinds it.
pub fn detect_file(file: &mut File, filename: &str) -> io::Result<Result<FileKind, Refused>> {
    let mut head = Vec::with_capacity(HEAD);
    file.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(detect(&head, filename))
}

/// Decides what a file is from its first bytes ([`HEAD`] of them are enough; more do no harm).
pub fn detect(head: &[u8], filename: &str) -> Result<FileKind, Refused> {
    let head = &head[..head.len().min(HEAD)];
    if head.is_empty() {
        return Err(Refused::empty());
    }
    // Readers of PDF take the mark anywhere in the first kilobyte, and files in the wild need that.
    let start = &head[..head.len().min(1024 + 5)];
    if start.windows(5).any(|w| w == b"%PDF-") && !looks_like_prose(head) {
        return Ok(FileKind::Pdf);
    }
    if let Some(found) = infer::get(head)
        && found.matcher_type() != infer::MatcherType::Text
        && !looks_like_prose(head)
    {
        return Err(Refused::unsupported(format!("This is {}.", describe(found))));
    }
    let Some(text) = decode::sniff(head) else {
        return Err(Refused::unsupported(
            "This is not a text, and no kind of document that is known here.".to_owned(),
        ));
    };
    Ok(text_kind(&text, filename))
}

/// A text that merely begins like some binary file ("BM…", "%PDF-" quoted in a note): all of it is printable.
fn looks_like_prose(head: &[u8]) -> bool {
    !head.starts_with(b"%PDF-") && decode::is_plain_utf8(head)
}

fn describe(found: infer::Type) -> String {
    use infer::MatcherType as M;
    let article = |s: &str| if s.starts_with(['A', 'E', 'I', 'O', 'U', 'X']) { "an" } else { "a" };
    let noun = match found.matcher_type() {
        M::Image => "picture",
        M::Audio => "sound file",
        M::Video => "video",
        M::Archive => "archive",
        M::Font => "font",
        M::App => "program",
        M::Book => "e-book",
        _ => "file",
    };
    let name = match found.extension() {
        "docx" | "doc" => "Word".to_owned(),
        "xlsx" | "xls" => "Excel".to_owned(),
        "pptx" | "ppt" => "PowerPoint".to_owned(),
        other => other.to_uppercase(),
    };
    format!("{} {name} {noun}", article(&name))
}

/// Which kind of text. Content decides; the name breaks the tie between what could be either.
fn text_kind(text: &str, filename: &str) -> FileKind {
    let extension = filename.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase()).unwrap_or_default();
    let html = html_certainty(text);
    match extension.as_str() {
        _ if html == Certainty::Sure => FileKind::Html,
        "html" | "htm" | "xhtml" | "xht" if html == Certainty::Maybe => FileKind::Html,
        "md" | "markdown" | "mdown" | "mkd" | "mdx" => FileKind::Markdown,
        "" | "html" | "htm" | "xhtml" | "xht" if is_markdown(text) => FileKind::Markdown,
        _ => FileKind::Text,
    }
}

#[derive(PartialEq)]
enum Certainty {
    No,
    Maybe,
    Sure,
}

/// Sure: it begins like a whole web page. Maybe: there is a tag in it (as in Markdown and in plain text about HTML).
fn html_certainty(text: &str) -> Certainty {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    // What may stand before the root element.
    loop {
        let skip = if rest.starts_with("<!--") {
            rest.find("-->").map(|i| i + 3)
        } else if rest.starts_with("<?") {
            rest.find("?>").map(|i| i + 2)
        } else {
            None
        };
        match skip {
            Some(n) => rest = rest[n..].trim_start(),
            None => break,
        }
    }
    let begins = |tag: &str| {
        rest.get(..tag.len()).is_some_and(|s| s.eq_ignore_ascii_case(tag))
            && rest[tag.len()..].starts_with(|c: char| c == '>' || c == '/' || c.is_ascii_whitespace())
    };
    if begins("<!doctype html") || begins("<html") || begins("<head") || begins("<body") {
        return Certainty::Sure;
    }
    let tag = rest.match_indices('<').any(|(i, _)| {
        let after = rest[i + 1..].trim_start_matches('/');
        let name = after.find(|c: char| !c.is_ascii_alphanumeric()).map_or(after, |n| &after[..n]);
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && after.contains('>')
    });
    if tag { Certainty::Maybe } else { Certainty::No }
}

/// Two different marks that hardly occur in prose.
fn is_markdown(text: &str) -> bool {
    let (mut heading, mut fence, mut list, mut link, mut emphasis) = (false, false, false, false, false);
    for line in text.lines().take(2000) {
        let l = line.trim_start();
        let level = l.bytes().take_while(|b| *b == b'#').count();
        heading |= (1..=6).contains(&level) && l.as_bytes().get(level) == Some(&b' ');
        fence |= l.starts_with("```") || l.starts_with("~~~");
        list |= l.starts_with("- ") || l.starts_with("* ");
        link |= l.find("](").is_some_and(|i| l[..i].contains('['));
        emphasis |= l.matches("**").count() >= 2;
    }
    [heading, fence, list, link, emphasis].into_iter().filter(|b| *b).count() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::ExtractCode;

    #[test]
    fn content_decides_and_not_the_name() {
        assert_eq!(detect(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", "notes.txt"), Ok(FileKind::Pdf));
        assert_eq!(detect(b"junk\n%PDF-1.4\n\xff\x00\x01", "a"), Ok(FileKind::Pdf));
        assert_eq!(detect(b"just words, no more", "report.pdf"), Ok(FileKind::Text));
        assert_eq!(detect(b"<!DOCTYPE html><html><p>Hi</p>", "page.txt"), Ok(FileKind::Html));
        assert_eq!(
            detect(b"<?xml version=\"1.0\"?>\n<!-- x --><html xmlns=\"\"><body/>", "x"),
            Ok(FileKind::Html)
        );
    }

    #[test]
    fn the_name_breaks_the_tie_between_kinds_of_text() {
        assert_eq!(detect(b"# A title\n\nwords", "a.md"), Ok(FileKind::Markdown));
        assert_eq!(detect(b"# A title\n\nwords", "a.txt"), Ok(FileKind::Text));
        assert_eq!(detect(b"# A title\n\n- one\n", "readme"), Ok(FileKind::Markdown));
        assert_eq!(detect(b"<p align=center>logo</p>\n\n# Name", "README.md"), Ok(FileKind::Markdown));
        assert_eq!(detect(b"<p>a fragment</p>", "a.html"), Ok(FileKind::Html));
        assert_eq!(detect(b"no tags at all", "a.html"), Ok(FileKind::Text));
        assert_eq!(detect(b"%PDF-1.4 is how such a file begins.", "a.pdf"), Ok(FileKind::Pdf));
        assert_eq!(detect(b"A file that begins with %PDF-1.4 is a PDF.", "a.txt"), Ok(FileKind::Text));
    }

    #[test]
    fn what_is_not_taken_is_named_and_the_list_is_given() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        let refused = detect(png, "letter.txt").unwrap_err();
        assert_eq!(refused.code, ExtractCode::UnsupportedType);
        assert_eq!(refused.sentence, "This is a PNG picture.");
        assert_eq!(refused.hint, "Files that are taken: TXT, MD, HTML and PDF.");
        assert_eq!(detect(b"PK\x03\x04\x14\0\0\0", "a.zip").unwrap_err().sentence, "This is a ZIP archive.");
        let unknown = detect(b"\x01\x02\x03\x04\x05\x06\x07\x08 abc", "a.txt").unwrap_err();
        assert_eq!(unknown.code, ExtractCode::UnsupportedType);
        assert_eq!(detect(b"", "a.txt").unwrap_err().code, ExtractCode::EmptyFile);
        assert_eq!(detect(b"text with a \0 in it", "a.txt").unwrap_err().code, ExtractCode::UnsupportedType);
    }

    #[test]
    fn a_text_that_is_cut_inside_a_character_is_still_a_text() {
        let mut long = "ü".repeat(HEAD / 2 + 10).into_bytes();
        long.insert(0, b'x');
        assert_eq!(detect(&long[..HEAD], "a.txt"), Ok(FileKind::Text));
    }

    #[test]
    fn the_spelling_of_a_kind_reads_back() {
        for kind in FileKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
    }
}
