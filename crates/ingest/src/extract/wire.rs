//! What the reading process says to its parent: lines of JSON on its standard output, and after a result line the
//! text itself, raw. The parent treats all of it as hostile: a document may have taken the process over.

use super::{ExtractCode, ExtractedText, Span, TableSize, Warning};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// A frame line longer than this is not one of ours. A result of 100,000 pages with headings is about 30 MB.
pub const MAX_LINE: usize = 48 * 1024 * 1024;
const MAX_WARNINGS: usize = 64;
const MAX_TITLE_CHARS: usize = 500;
const MAX_PROGRAM_CHARS: usize = 100;
const MAX_HEADING_CHARS: usize = 500;

/// How far a reader is, in its own unit (pages).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub done: u32,
    pub total: u32,
}

/// One line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frame {
    Progress(Progress),
    Failed { code: ExtractCode, technical: Option<String> },
    Result(Header),
}

/// All of a result but its text, which follows the line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    pub text_bytes: u64,
    pub spans: Vec<Span>,
    pub title: Option<String>,
    pub warnings: Vec<Warning>,
    #[serde(default)]
    pub made_with: Option<String>,
    #[serde(default)]
    pub table: Option<TableSize>,
}

/// Writes one frame.
pub fn send(out: &mut dyn Write, frame: &Frame) -> io::Result<()> {
    let mut line = serde_json::to_vec(frame)?;
    line.push(b'\n');
    out.write_all(&line)
}

/// Writes a result frame and its text.
pub fn send_result(out: &mut dyn Write, result: ExtractedText) -> io::Result<()> {
    let ExtractedText { text, spans, title, warnings, made_with, table } = result;
    let header = Header { text_bytes: text.len() as u64, spans, title, warnings, made_with, table };
    send(out, &Frame::Result(header))?;
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Puts a header and its text together, and refuses what no reader of ours would have sent.
pub fn receive(header: Header, text: Vec<u8>) -> Result<ExtractedText, String> {
    if header.text_bytes != text.len() as u64 {
        return Err(format!("{} bytes of text were announced, {} came", header.text_bytes, text.len()));
    }
    let text = String::from_utf8(text).map_err(|e| e.to_string())?;
    let mut at = 0;
    for span in &header.spans {
        let sound = span.start >= at
            && span.end >= span.start
            && text.is_char_boundary(span.start)
            && text.is_char_boundary(span.end);
        if !sound {
            return Err(format!("the span {}..{} is not one of this text", span.start, span.end));
        }
        at = span.end;
    }
    let Header { spans, title, warnings, made_with, table, .. } = header;
    let mut out = ExtractedText { text, spans, title, warnings, made_with, table };
    out.made_with = out.made_with.map(|m| cut(&m, MAX_PROGRAM_CHARS)).filter(|m| !m.is_empty());
    out.title = out.title.map(|t| cut(&t, MAX_TITLE_CHARS)).filter(|t| !t.is_empty());
    for span in &mut out.spans {
        span.heading = span.heading.take().map(|h| cut(&h, MAX_HEADING_CHARS)).filter(|h| !h.is_empty());
    }
    out.warnings.truncate(MAX_WARNINGS);
    for warning in &mut out.warnings {
        warning.code = cut(&warning.code, 64);
        warning.message = cut(&warning.message, 500);
    }
    if out.text.contains('\0') {
        return Err("a zero byte in the text".to_owned());
    }
    Ok(out)
}

fn cut(s: &str, chars: usize) -> String {
    s.chars().filter(|c| !c.is_control()).take(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str, spans: Vec<Span>) -> Header {
        Header {
            text_bytes: text.len() as u64,
            spans,
            title: None,
            warnings: Vec::new(),
            made_with: None,
            table: None,
        }
    }

    fn span(start: usize, end: usize) -> Span {
        Span { start, end, page: None, heading: None }
    }

    #[test]
    fn a_result_survives_the_way() {
        let result = ExtractedText {
            text: "zwölf\n\"Boxkämpfer\"".to_owned(),
            spans: vec![Span { start: 0, end: 6, page: Some(1), heading: Some("x".to_owned()) }],
            title: Some("T".to_owned()),
            warnings: vec![Warning::new("code", "Message.")],
            made_with: Some("LibreOffice".to_owned()),
            table: Some(TableSize { columns: 2, rows: 3 }),
        };
        let mut wire = Vec::new();
        send_result(&mut wire, result.clone()).unwrap();
        let at = wire.iter().position(|b| *b == b'\n').unwrap();
        let Frame::Result(header) = serde_json::from_slice(&wire[..at]).unwrap() else { panic!("a result") };
        assert_eq!(receive(header, wire[at + 1..].to_vec()).unwrap(), result);
    }

    #[test]
    fn lies_are_refused() {
        assert!(receive(header("abc", vec![]), b"ab".to_vec()).is_err());
        assert!(receive(header("é", vec![span(0, 1)]), "é".as_bytes().to_vec()).is_err());
        assert!(receive(header("abc", vec![span(0, 9)]), b"abc".to_vec()).is_err());
        assert!(receive(header("abc", vec![span(2, 3), span(0, 1)]), b"abc".to_vec()).is_err());
        assert!(receive(header("a\0c", vec![]), b"a\0c".to_vec()).is_err());
        assert!(receive(header("abc", vec![]), vec![0xff, 0xfe, 0xfd]).is_err());
    }
}
