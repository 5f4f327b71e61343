//! What a file is, told from its bytes; its name only decides between kinds of text.

use super::{container, csv, decode, json};
use domain::files::{self, OLE_MARK, ZIP_MARK};
pub use domain::files::{FileKind, HEAD, Refused, taken_list};
use std::{
    fs::File,
    io::{self, Cursor, Read, Seek},
};

/// [`detect`] on a file, wherever it stands; the caller rewinds it.
pub fn detect_file(file: &mut File, filename: &str) -> io::Result<Result<FileKind, Refused>> {
    let mut head = Vec::with_capacity(HEAD);
    file.rewind()?;
    (&mut *file).take(HEAD as u64).read_to_end(&mut head)?;
    decide(&head, file, filename)
}

/// Decides what a file is from its bytes. Of all but containers the first [`HEAD`] are enough, and more do no harm.
pub fn detect(bytes: &[u8], filename: &str) -> Result<FileKind, Refused> {
    let head = &bytes[..bytes.len().min(HEAD)];
    decide(head, &mut Cursor::new(bytes), filename)
        // Reading from memory does not fail.
        .unwrap_or_else(|e| Err(Refused::unsupported(format!("The file could not be read: {e}."))))
}

fn decide<R: Read + Seek>(
    head: &[u8],
    file: &mut R,
    filename: &str,
) -> io::Result<Result<FileKind, Refused>> {
    if let Err(refused) = files::first_look(head, filename) {
        return Ok(Err(refused));
    }
    if files::may_be_pdf(head) {
        return Ok(Ok(FileKind::Pdf));
    }
    if head.starts_with(ZIP_MARK) {
        return container::zip_kind(head, file, filename);
    }
    if head.starts_with(OLE_MARK) {
        return container::ole_kind(file, filename);
    }
    // A text may begin like something else, but nothing else is free of control characters.
    if let Some(found) = infer::get(head)
        && found.matcher_type() != infer::MatcherType::Text
        && head.iter().any(|b| files::is_control(*b))
    {
        return Ok(Err(Refused::unsupported(format!("This is {}.", describe(found)))));
    }
    Ok(match decode::sniff(head) {
        Some(text) => Ok(text_kind(&text, head.len() == HEAD, filename)),
        None => Err(Refused::unsupported("This is not a text, and no kind of document that is known here.")),
    })
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
    let name = found.extension().to_uppercase();
    format!("{} {name} {noun}", article(&name))
}

/// Which kind of text. Content decides; the name breaks the tie between what could be either. `cut`: there is more of
/// it than was looked at.
fn text_kind(text: &str, cut: bool, filename: &str) -> FileKind {
    let named = FileKind::of_name(filename);
    let html = html_certainty(text);
    if html == Certainty::Sure {
        return FileKind::Html;
    }
    match (json::look(text, cut), named) {
        (json::Look::Whole, named) if named != Some(FileKind::Markdown) => return FileKind::Json,
        (json::Look::Broken, Some(FileKind::Json)) => return FileKind::Json,
        _ => {}
    }
    match named {
        Some(FileKind::Html) if html == Certainty::Maybe => FileKind::Html,
        Some(FileKind::Markdown) => FileKind::Markdown,
        Some(FileKind::Csv) => FileKind::Csv,
        None | Some(FileKind::Text) if csv::looks_like_table(text) => FileKind::Csv,
        Some(FileKind::Html) if is_markdown(text) => FileKind::Markdown,
        None if files::extension(filename).is_empty() && is_markdown(text) => FileKind::Markdown,
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
        assert_eq!(refused.code, "unsupported_type");
        assert_eq!(refused.sentence, "This is a PNG picture.");
        assert_eq!(refused.hint, "Files that are taken: PDF, DOCX, TXT, MD, HTML, CSV, XLSX and JSON.");
        assert_eq!(detect(b"PK\x03\x04\x14\0\0\0", "a.zip").unwrap_err().sentence, "This is a ZIP archive.");
        let unknown = detect(b"\x01\x02\x03\x04\x05\x06\x07\x08 abc", "a.txt").unwrap_err();
        assert_eq!(unknown.code, "unsupported_type");
        assert_eq!(detect(b"", "a.txt").unwrap_err().code, "empty_file");
        assert_eq!(detect(b"text with a \0 in it", "a.txt").unwrap_err().code, "unsupported_type");
    }

    #[test]
    fn a_text_that_begins_like_a_picture_or_a_program_is_a_text_in_every_encoding() {
        for text in ["BMI;Größe\n22;1,80\n", "MZ-Nr;Größe\n7;1,80\n", "ID3;Größe\n7;1,80\n"] {
            for bytes in [text.as_bytes(), &*encoding_rs::WINDOWS_1252.encode(text).0] {
                assert_eq!(detect(bytes, "a.csv"), Ok(FileKind::Csv), "{text}");
            }
        }
        let refused = detect(b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\xff\xff", "a.csv").unwrap_err();
        assert_eq!(refused.sentence, "This is a BMP picture.");
    }

    #[test]
    fn a_text_that_is_cut_inside_a_character_is_still_a_text() {
        let mut long = "ü".repeat(HEAD / 2 + 10).into_bytes();
        long.insert(0, b'x');
        assert_eq!(detect(&long[..HEAD], "a.txt"), Ok(FileKind::Text));
    }

    #[test]
    fn json_and_tables_are_told_by_content_and_by_name() {
        assert_eq!(detect(b"{\"a\": [1, 2]}", "data"), Ok(FileKind::Json));
        assert_eq!(detect(b"[{\"a\": 1}]", "data.txt"), Ok(FileKind::Json));
        assert_eq!(detect(b"{\"a\": 1}\n{\"a\": 2}\n", "log.jsonl"), Ok(FileKind::Json));
        assert_eq!(detect(b"[1] is a footnote", "a.txt"), Ok(FileKind::Text));
        assert_eq!(
            detect(b"{ // settings\n \"a\": 1 }", "a.json"),
            Ok(FileKind::Text),
            "with remarks it is no JSON"
        );
        assert_eq!(
            detect(b"{\"a\": [1, 2", "a.json"),
            Ok(FileKind::Json),
            "one that was cut off says so at its row"
        );
        assert_eq!(detect("[".repeat(9000).as_bytes(), "a.json"), Ok(FileKind::Json));
        assert_eq!(detect(b"Name,Price\nPear,2\nFig,3\n", "a.csv"), Ok(FileKind::Csv));
        assert_eq!(detect(b"Name\tPrice\nPear\t2\nFig\t3\nPlum\t4\n", "export.txt"), Ok(FileKind::Csv));
        assert_eq!(detect(b"Dear Ada,\n\nit rains, and pours.\nYours, Bob", "a.txt"), Ok(FileKind::Text));
        assert_eq!(detect(b"<html><table></table>", "export.csv"), Ok(FileKind::Html));
    }
}
