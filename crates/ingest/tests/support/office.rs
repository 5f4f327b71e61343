//! Writes small Word documents and Excel workbooks, and containers that only look like them.

#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::io::{Cursor, Write};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// A part and how it is made: some are too large to be held.
pub enum Body<'a> {
    Text(&'a str),
    /// So many times the middle part between the two others.
    Repeated(&'a str, &'a str, usize, &'a str),
}

/// An archive of compressed parts.
pub fn archive(parts: &[(&str, Body<'_>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, body) in parts {
        zip.start_file(*name, options).unwrap();
        match body {
            Body::Text(text) => zip.write_all(text.as_bytes()).unwrap(),
            Body::Repeated(begin, middle, times, end) => {
                zip.write_all(begin.as_bytes()).unwrap();
                let some = middle.repeat(1000);
                (0..times / 1000).for_each(|_| zip.write_all(some.as_bytes()).unwrap());
                (0..times % 1000).for_each(|_| zip.write_all(middle.as_bytes()).unwrap());
                zip.write_all(end.as_bytes()).unwrap();
            }
        }
    }
    zip.finish().unwrap().into_inner()
}

pub const DOCUMENT: &str = r#"<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><w:body>"#;
pub const DOCUMENT_END: &str = "</w:body></w:document>";

const ROOT: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="WHERE"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties" Target="docProps/core.xml"/></Relationships>"#;

fn related(kinds: &[(&str, &str)]) -> String {
    let mut out =
        r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">"#.to_owned();
    for (i, (kind, target)) in kinds.iter().enumerate() {
        out.push_str(&format!(
            r#"<Relationship Id="rId{}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}" Target="{target}"/>"#,
            i + 1
        ));
    }
    out + "</Relationships>"
}

/// A Word document: the content of its body, and further parts of its folder as (kind, XML).
pub fn docx_of(body: Body<'_>, more: &[(&str, &str)]) -> Vec<u8> {
    let root = ROOT.replace("WHERE", "word/document.xml");
    let targets: Vec<(&str, String)> = more.iter().map(|(kind, _)| (*kind, format!("{kind}.xml"))).collect();
    let relations = related(&targets.iter().map(|(k, t)| (*k, t.as_str())).collect::<Vec<_>>());
    let names: Vec<String> = more.iter().map(|(kind, _)| format!("word/{kind}.xml")).collect();
    let mut parts = vec![
        (
            "[Content_Types].xml",
            Body::Text("<Types xmlns='http://schemas.openxmlformats.org/package/2006/content-types'/>"),
        ),
        ("_rels/.rels", Body::Text(&root)),
        ("word/_rels/document.xml.rels", Body::Text(&relations)),
        ("word/document.xml", body),
    ];
    parts.extend(names.iter().zip(more).map(|(name, (_, xml))| (name.as_str(), Body::Text(xml))));
    archive(&parts)
}

pub fn docx(body: &str) -> Vec<u8> {
    docx_of(Body::Text(&format!("{DOCUMENT}{body}{DOCUMENT_END}")), &[])
}

/// A paragraph with properties and a text.
pub fn p(properties: &str, text: &str) -> String {
    format!("<w:p><w:pPr>{properties}</w:pPr><w:r><w:t xml:space=\"preserve\">{text}</w:t></w:r></w:p>")
}

/// A workbook: sheets as (name, the whole XML of the sheet), the shared strings and the cell formats.
pub fn xlsx_of(sheets: Vec<(&str, Body<'_>)>, strings: Option<Body<'_>>, formats: &str) -> Vec<u8> {
    let root = ROOT.replace("WHERE", "xl/workbook.xml");
    let mut book = r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>"#.to_owned();
    let mut targets = Vec::new();
    for (i, (name, _)) in sheets.iter().enumerate() {
        let n = i + 1;
        book.push_str(&format!(r#"<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>"#));
        targets.push(("worksheet", format!("worksheets/sheet{n}.xml")));
    }
    book.push_str("</sheets></workbook>");
    targets.push(("sharedStrings", "sharedStrings.xml".to_owned()));
    targets.push(("styles", "styles.xml".to_owned()));
    let relations = related(&targets.iter().map(|(k, t)| (*k, t.as_str())).collect::<Vec<_>>());
    let styles = format!(
        r#"<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs><xf numFmtId="0"/>{formats}</cellXfs></styleSheet>"#
    );
    let names: Vec<String> = (1..=sheets.len()).map(|n| format!("xl/worksheets/sheet{n}.xml")).collect();
    let mut parts = vec![
        ("_rels/.rels", Body::Text(&root)),
        ("xl/workbook.xml", Body::Text(&book)),
        ("xl/_rels/workbook.xml.rels", Body::Text(&relations)),
        ("xl/styles.xml", Body::Text(&styles)),
    ];
    parts.extend(names.iter().map(String::as_str).zip(sheets.into_iter().map(|(_, body)| body)));
    parts.extend(strings.map(|body| ("xl/sharedStrings.xml", body)));
    archive(&parts)
}

pub const SHEET: &str =
    r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>"#;
pub const SHEET_END: &str = "</sheetData></worksheet>";

/// A sheet of rows of cells: a number where the text is one, else words in the cell.
pub fn sheet(rows: &[&[&str]]) -> String {
    let mut out = SHEET.to_owned();
    for (i, row) in rows.iter().enumerate().filter(|(_, row)| !row.is_empty()) {
        out.push_str(&format!(r#"<row r="{}">"#, i + 1));
        for (column, text) in row.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
            let place = format!("{}{}", char::from(b'A' + column as u8), i + 1);
            out.push_str(&match text.parse::<f64>() {
                Ok(n) => format!(r#"<c r="{place}"><v>{n}</v></c>"#),
                Err(_) => format!(r#"<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>"#),
            });
        }
        out.push_str("</row>");
    }
    out + SHEET_END
}

pub fn xlsx(sheets: &[(&str, &[&[&str]])]) -> Vec<u8> {
    let texts: Vec<String> = sheets.iter().map(|(_, rows)| sheet(rows)).collect();
    xlsx_of(sheets.iter().zip(&texts).map(|((name, _), text)| (*name, Body::Text(text))).collect(), None, "")
}

/// An OLE container as far as its directory: the names of its streams.
pub fn ole(names: &[&str]) -> Vec<u8> {
    let mut out = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    out.resize(512, 0);
    for name in ["Root Entry"].iter().chain(names) {
        let begin = out.len();
        out.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
        out.resize(begin + 128, 0);
    }
    out.resize(out.len().next_multiple_of(512), 0);
    out
}
