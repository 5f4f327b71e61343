//! Which files are taken, under which names, and what can be told from a file's first bytes alone: the browser asks
//! before it sends, the server before it looks closer.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A kind of document that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    Pdf,
    Docx,
    Text,
    Markdown,
    Html,
    Csv,
    Xlsx,
    Json,
}

/// What a file picker offers. The type is told by content all the same.
pub const ACCEPT: &str =
    ".pdf,.docx,.docm,.txt,.md,.markdown,.html,.htm,.xhtml,.csv,.tsv,.xlsx,.xlsm,.json,.jsonl,.ndjson";

/// How many bytes [`first_look`] needs at most.
pub const HEAD: usize = 64 * 1024;

/// The marks with which a ZIP archive and an OLE container (old Office files, protected new ones) begin.
pub const ZIP_MARK: &[u8] = b"PK\x03\x04";
pub const OLE_MARK: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

impl FileKind {
    /// In the order in which they are listed for people.
    pub const ALL: [Self; 8] =
        [Self::Pdf, Self::Docx, Self::Text, Self::Markdown, Self::Html, Self::Csv, Self::Xlsx, Self::Json];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Docx => "docx",
            Self::Text => "text",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Json => "json",
        }
    }

    /// As people call it in a list.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pdf => "PDF",
            Self::Docx => "DOCX",
            Self::Text => "TXT",
            Self::Markdown => "MD",
            Self::Html => "HTML",
            Self::Csv => "CSV",
            Self::Xlsx => "XLSX",
            Self::Json => "JSON",
        }
    }

    /// As it stands in a sentence: "This … holds no text."
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Pdf => "PDF",
            Self::Docx => "Word document",
            Self::Text => "text file",
            Self::Markdown => "Markdown file",
            Self::Html => "web page",
            Self::Csv => "table",
            Self::Xlsx => "workbook",
            Self::Json => "JSON file",
        }
    }

    /// The type under which the original is served and announced.
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Text => "text/plain",
            Self::Markdown => "text/markdown",
            Self::Html => "text/html",
            Self::Csv => "text/csv",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Json => "application/json",
        }
    }

    /// The kind that is served under that type.
    pub fn of_mime(mime: &str) -> Option<Self> {
        let plain = mime.split(';').next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|kind| kind.mime().eq_ignore_ascii_case(plain))
    }

    /// What a name says about the kind, which only decides between what the content leaves open.
    pub fn of_name(filename: &str) -> Option<Self> {
        Some(match extension(filename).as_str() {
            "pdf" => Self::Pdf,
            "docx" | "docm" | "dotx" | "dotm" => Self::Docx,
            "txt" | "text" | "log" => Self::Text,
            "md" | "markdown" | "mdown" | "mkd" | "mdx" => Self::Markdown,
            "html" | "htm" | "xhtml" | "xht" => Self::Html,
            "csv" | "tsv" | "tab" => Self::Csv,
            "xlsx" | "xlsm" | "xltx" | "xltm" => Self::Xlsx,
            "json" | "jsonl" | "ndjson" | "geojson" => Self::Json,
            _ => return None,
        })
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

/// `PDF, DOCX, TXT, MD, HTML, CSV, XLSX and JSON`.
pub fn taken_list() -> String {
    let labels = FileKind::ALL.map(FileKind::label);
    match labels.split_last() {
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// What stands behind the last dot of a name, in lower case; empty without one.
pub fn extension(filename: &str) -> String {
    filename.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase()).unwrap_or_default()
}

/// Why a file is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence} {hint}")]
pub struct Refused {
    /// `empty_file` or `unsupported_type`.
    pub code: &'static str,
    /// For people: what the file seems to be.
    pub sentence: String,
    /// For people: what is taken, or what to do.
    pub hint: String,
}

impl Refused {
    pub fn empty() -> Self {
        Self {
            code: "empty_file",
            sentence: "The file is empty.".to_owned(),
            hint: "Check the original and upload it again.".to_owned(),
        }
    }

    pub fn unsupported(sentence: impl Into<String>) -> Self {
        Self {
            code: "unsupported_type",
            sentence: sentence.into(),
            hint: format!("Files that are taken: {}.", taken_list()),
        }
    }
}

/// Where a mark stands, what it is, and what a file with it is called.
const MARKS: [(usize, &[u8], &str); 38] = [
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF87a", "a GIF picture"),
    (0, b"GIF89a", "a GIF picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (0, b"BM", "a BMP picture"),
    (8, b"WEBP", "a WebP picture"),
    (8, b"WAVE", "a WAV sound file"),
    (8, b"AVI ", "an AVI video"),
    (4, b"ftypheic", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIF picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftypM4A", "an M4A sound file"),
    (4, b"ftypqt", "a QuickTime video"),
    (4, b"ftyp", "an MP4 video"),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska video"),
    (0, b"ID3", "an MP3 sound file"),
    (0, b"\xff\xfb", "an MP3 sound file"),
    (0, b"OggS", "an Ogg sound file"),
    (0, b"fLaC", "a FLAC sound file"),
    (0, b"\x1f\x8b", "a GZIP archive"),
    (0, b"BZh", "a BZIP2 archive"),
    (0, b"\xfd7zXZ\0", "an XZ archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (257, b"ustar", "a TAR archive"),
    (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a Windows program"),
    (0, b"\xcf\xfa\xed\xfe", "a macOS program"),
    (0, b"\xca\xfe\xba\xbe", "a program"),
    (0, b"\0asm", "a WebAssembly program"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"wOFF", "a WOFF font"),
    (0, b"wOF2", "a WOFF2 font"),
    (0, b"\0\x01\0\0\0", "a TrueType font"),
];

/// Refuses what is certainly not taken, by its first bytes ([`HEAD`] of them are enough) and its name. What passes may
/// still be refused when the whole file is looked at.
///
/// # Errors
/// Says what the file is and which kinds are taken.
pub fn first_look(head: &[u8], filename: &str) -> Result<(), Refused> {
    if head.is_empty() {
        return Err(Refused::empty());
    }
    if head.starts_with(b"{\\rtf") {
        return Err(Refused::unsupported("This is an RTF document."));
    }
    if head.starts_with(ZIP_MARK) {
        return zip_look(head, filename);
    }
    // A text may begin like something else, but nothing else is free of control characters.
    if head.starts_with(OLE_MARK) || may_be_pdf(head) || !head.iter().any(|b| is_control(*b)) {
        return Ok(());
    }
    let marked = |(at, mark, _): &&(usize, &[u8], &str)| head.get(*at..).is_some_and(|h| h.starts_with(mark));
    match MARKS.iter().find(marked) {
        Some((_, _, what)) => Err(Refused::unsupported(format!("This is {what}."))),
        None => Ok(()),
    }
}

/// Whether the bytes carry a PDF's mark where readers of PDF look for it, which is anywhere in the first kilobyte; a
/// note that only speaks of the mark is all printable.
pub fn may_be_pdf(head: &[u8]) -> bool {
    head.starts_with(b"%PDF-")
        || (head[..head.len().min(1024 + 5)].windows(5).any(|w| w == b"%PDF-") && !is_prose(head))
}

/// Valid UTF-8 (perhaps cut at the end) with nothing in it that a text does not hold.
pub fn is_prose(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(e) => e.error_len().is_none(),
    };
    valid && !head.iter().any(|b| is_control(*b))
}

/// A byte that no text holds.
pub fn is_control(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b) || byte == 0x7f
}

fn zip_look(head: &[u8], filename: &str) -> Result<(), Refused> {
    let names: Vec<&str> = zip_names(head).collect();
    match office_kind(names.iter().copied()) {
        Some(kind) => kind.map(|_| ()).map_err(Refused::unsupported),
        None => match mimetype(head) {
            Some(what) => Err(Refused::unsupported(what)),
            // The telling entry may stand further back.
            None if matches!(FileKind::of_name(filename), Some(FileKind::Docx | FileKind::Xlsx)) => Ok(()),
            None if names.iter().any(|n| is_package_part(n)) => Ok(()),
            None => Err(Refused::unsupported("This is a ZIP archive.")),
        },
    }
}

/// The names of a ZIP archive's entries, as far as their headers lie in these bytes.
pub fn zip_names(bytes: &[u8]) -> impl Iterator<Item = &str> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let found = bytes.get(at..)?.windows(4).position(|w| w == ZIP_MARK)? + at;
            at = found + 4;
            let length = bytes.get(found + 26..found + 28)?;
            let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
            if let Some(name) = bytes.get(found + 30..found + 30 + length)
                && let Ok(name) = std::str::from_utf8(name)
                && !name.is_empty()
            {
                return Some(name);
            }
        }
    })
}

/// What an archive with entries of these names is, if they say so: a kind that is taken, or a sentence about one that
/// is not.
pub fn office_kind<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Result<FileKind, &'static str>> {
    names.into_iter().find_map(|name| {
        let name = name.trim_start_matches('/').to_ascii_lowercase();
        let xml = |stem: &str| name.starts_with(stem) && name.ends_with(".xml");
        if xml("word/document") {
            Some(Ok(FileKind::Docx))
        } else if xml("xl/workbook") {
            Some(Ok(FileKind::Xlsx))
        } else if name == "xl/workbook.bin" {
            Some(Err("This is a binary workbook (XLSB)."))
        } else if xml("ppt/presentation") {
            Some(Err("This is a PowerPoint presentation."))
        } else if name == "androidmanifest.xml" || name == "meta-inf/manifest.mf" {
            Some(Err("This is a program."))
        } else {
            None
        }
    })
}

/// What the first entry of OpenDocument files and e-books says of them.
fn mimetype(head: &[u8]) -> Option<&'static str> {
    let body = head.get(38..)?;
    (head.get(30..38)? == b"mimetype").then_some(())?;
    if body.starts_with(b"application/epub") {
        Some("This is an EPUB e-book.")
    } else if body.starts_with(b"application/vnd.oasis.opendocument") {
        Some("This is an OpenDocument file.")
    } else {
        None
    }
}

/// Parts that Word, Excel and their like write around the document proper.
pub fn is_package_part(name: &str) -> bool {
    name == "[Content_Types].xml"
        || ["_rels/", "docProps/", "word/", "xl/"].iter().any(|folder| name.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, body: &[u8]) -> Vec<u8> {
        let mut out = ZIP_MARK.to_vec();
        out.extend_from_slice(&[0; 22]);
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(body);
        out
    }

    fn refused(head: &[u8], name: &str) -> String {
        first_look(head, name).unwrap_err().sentence
    }

    #[test]
    fn what_is_certainly_not_taken_is_named_and_the_list_is_given() {
        let said = first_look(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "letter.txt").unwrap_err();
        assert_eq!(
            said.to_string(),
            format!("This is a PNG picture. Files that are taken: {}.", taken_list())
        );
        assert_eq!(taken_list(), "PDF, DOCX, TXT, MD, HTML, CSV, XLSX and JSON");
        assert_eq!(refused(b"\x7fELF\x02\x01\x01\0", "notes.pdf"), "This is a program.");
        assert_eq!(refused(b"\0\0\0\x20ftypmp42\0\0", "a.mp4"), "This is an MP4 video.");
        assert_eq!(first_look(b"", "a.txt").unwrap_err().code, "empty_file");
    }

    #[test]
    fn a_text_that_merely_begins_like_something_else_passes() {
        for text in
            ["BMW is a car maker.", "MZ is a town code.", "ID3 tags explained", "%PDF-1.4 begins a PDF."]
        {
            assert_eq!(first_look(text.as_bytes(), "a.txt"), Ok(()), "{text}");
        }
        assert!(may_be_pdf(b"junk\n%PDF-1.4\n\xff\x00\x01"));
        assert!(!may_be_pdf(b"A file that begins with %PDF-1.4 is a PDF."));
    }

    #[test]
    fn an_archive_is_told_by_the_names_in_it() {
        let docx = [entry("[Content_Types].xml", b"x"), entry("word/document.xml", b"y")].concat();
        assert_eq!(first_look(&docx, "a.zip"), Ok(()));
        assert_eq!(office_kind(zip_names(&docx)), Some(Ok(FileKind::Docx)));
        assert_eq!(office_kind(["xl/workbook.xml"]), Some(Ok(FileKind::Xlsx)));
        let slides = [entry("_rels/.rels", b""), entry("ppt/presentation.xml", b"")].concat();
        assert_eq!(refused(&slides, "a.docx"), "This is a PowerPoint presentation.");
        let book = entry("mimetype", b"application/epub+zip");
        assert_eq!(refused(&book, "a.epub"), "This is an EPUB e-book.");
        assert_eq!(refused(&entry("holiday.jpg", b""), "photos.zip"), "This is a ZIP archive.");
        // Pictures may come first; the server looks further.
        assert_eq!(first_look(&entry("media/big.png", b""), "report.docx"), Ok(()));
        assert_eq!(zip_names(&docx[..40]).count(), 0, "a name that is cut off is none");
    }

    #[test]
    fn the_spelling_of_a_kind_reads_back_and_its_name_is_known() {
        for kind in FileKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            let suffix = format!(".{}", kind.label().to_lowercase());
            assert_eq!(FileKind::of_name(&format!("a.b{suffix}")), Some(kind));
            assert!(ACCEPT.split(',').any(|s| s == suffix), "{suffix}");
        }
        assert!(ACCEPT.split(',').all(|s| FileKind::of_name(s).is_some()));
    }
}
