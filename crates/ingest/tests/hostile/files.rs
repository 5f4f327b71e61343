//! The generator: files that are broken, lie, blow up or go on for ever, and what becomes of each.

use crate::{
    office::{
        self, Body, DOCUMENT, DOCUMENT_END, SHEET, SHEET_END, archive, docx, docx_of, ole, xlsx, xlsx_of,
    },
    pdf::{self, Pdf},
};
use flate2::{Compression, write::ZlibEncoder};
use ingest::extract::{
    ExtractCode::{self, *},
    FileKind,
};
use std::io::Write;

pub struct Hostile {
    pub what: &'static str,
    pub kind: FileKind,
    pub bytes: Vec<u8>,
    /// One of these is the answer; which one may depend on what runs out first.
    pub codes: &'static [ExtractCode],
}

fn hostile(
    what: &'static str,
    kind: FileKind,
    bytes: impl Into<Vec<u8>>,
    codes: &'static [ExtractCode],
) -> Hostile {
    Hostile { what, kind, bytes: bytes.into(), codes }
}

/// Bytes that look random and are the same each time.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

pub fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// So many megabytes of one byte, compressed without ever holding them.
pub fn zlib_run(byte: u8, megabytes: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let block = vec![byte; 1 << 20];
    for _ in 0..megabytes {
        encoder.write_all(&block).unwrap();
    }
    encoder.finish().unwrap()
}

/// A document of one page with that content stream and extra resources.
pub fn one_page(filter: &str, content: &[u8], resources: &str, more: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = Pdf::default();
    let (catalog, tree, page) = (out.reserve(), out.reserve(), out.reserve());
    let font = out.add("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>");
    let content = out.stream(filter, content);
    // Objects 6 and up.
    for (entries, data) in more {
        out.stream(entries, data);
    }
    out.set(catalog, format!("<< /Type /Catalog /Pages {tree} 0 R >>"));
    out.set(tree, format!("<< /Type /Pages /Count 1 /Kids [{page} 0 R] >>"));
    out.set(
        page,
        format!(
            "<< /Type /Page /Parent {tree} 0 R /MediaBox [0 0 595 842] /Contents {content} 0 R \
             /Resources << /Font << /F1 {font} 0 R >> {resources} >> >>"
        ),
    );
    out.finish(&format!("/Root {catalog} 0 R"))
}

/// Objects from 1, of which the first is the root.
fn objects(bodies: &[String], trailer: &str) -> Vec<u8> {
    let mut out = Pdf::default();
    for body in bodies {
        out.add(body.as_str());
    }
    out.finish(&format!("/Root 1 0 R {trailer}"))
}

fn tree(kids: &str, more: &[&str]) -> Vec<String> {
    let mut out = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Count 9 /Kids [{kids}] >>"),
    ];
    out.extend(more.iter().map(|s| (*s).to_owned()));
    out
}

pub fn pdfs() -> Vec<Hostile> {
    let flate = "/Filter /FlateDecode";
    let twice = "/Filter [/FlateDecode /FlateDecode]";
    let nested = zlib(&zlib_run(b' ', 256));
    let form = "/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 6 0 R >> >>";
    // Ten levels, each drawing the next ten times: ten thousand million lines.
    let flood: Vec<(String, Vec<u8>)> = (0..10)
        .map(|i| {
            let entries = format!(
                "/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /Font << /F1 4 0 R >> /XObject << /X {} 0 R >> >>",
                7 + i
            );
            let body = if i == 9 { "BT /F1 9 Tf (flood ) Tj ET".to_owned() } else { "/X Do ".repeat(10) };
            (entries, body.into_bytes())
        })
        .collect();
    let flood: Vec<(&str, Vec<u8>)> = flood.iter().map(|(e, b)| (e.as_str(), b.clone())).collect();
    let whole = pdf::simple(&["The first page.", "The second page."]);
    let marked = |seed| [b"%PDF-1.7\n".as_slice(), &noise(seed, 20_000)].concat();
    let locked = |handler: &str| {
        let o = "41".repeat(32);
        let entry = format!(
            "/ID [<{o}> <{o}>] /Encrypt << /Filter /{handler} /V 2 /R 3 /Length 128 /P -4 /O <{o}> /U <{o}> >> "
        );
        let at = whole.windows(5).rposition(|w| w == b"/Root").unwrap();
        [&whole[..at], entry.as_bytes(), &whole[at..]].concat()
    };
    let scan = |size: &str, data: &[u8]| {
        one_page(
            "",
            b"q 595 0 0 842 0 0 cm /I Do Q",
            "/XObject << /I 6 0 R >>",
            &[(
                &format!("/Type /XObject /Subtype /Image {size} /ColorSpace /DeviceGray /BitsPerComponent 8"),
                data.to_vec(),
            )],
        )
    };
    let page = "<</Type/Page/MediaBox[0 0 9 9]>>";
    let kids: String = (3..100_004).map(|n| format!("{n} 0 R ")).collect();
    vec![
        hostile(
            "a stream that unpacks without end",
            FileKind::Pdf,
            one_page(flate, &zlib_run(b' ', 256), "", &[]),
            &[OutOfMemory],
        ),
        hostile("a stream packed twice", FileKind::Pdf, one_page(twice, &nested, "", &[]), &[OutOfMemory]),
        hostile(
            "a bomb in a stream of objects",
            FileKind::Pdf,
            one_page(
                "",
                b"BT ET",
                "",
                &[(&format!("/Type /ObjStm /N 1 /First 10 {twice}"), zlib(&zlib_run(b'1', 256)))],
            ),
            &[OutOfMemory, NoText],
        ),
        hostile(
            "forms that draw forms that draw forms",
            FileKind::Pdf,
            one_page("", b"/X Do", "/XObject << /X 6 0 R >>", &flood),
            &[TookTooLong, TooLargeInside, OutOfMemory],
        ),
        hostile(
            "a form that draws itself",
            FileKind::Pdf,
            one_page("", b"/X Do", "/XObject << /X 6 0 R >>", &[(form, b"/X Do".to_vec())]),
            &[Crashed, TookTooLong, OutOfMemory],
        ),
        hostile(
            "pages that are their own children",
            FileKind::Pdf,
            objects(&tree("2 0 R 2 0 R", &[]), ""),
            &[Unreadable],
        ),
        hostile(
            "a page that inherits from itself",
            FileKind::Pdf,
            objects(&tree("3 0 R", &["<< /Type /Page /Parent 3 0 R >>"]), ""),
            &[TookTooLong],
        ),
        hostile(
            // So large that its CPU time in all is far more than may be spent without progress.
            "a large file whose page inherits from itself",
            FileKind::Pdf,
            objects(
                &tree("3 0 R", &["<< /Type /Page /Parent 3 0 R >>", &format!("({})", "x".repeat(3 << 20))]),
                "",
            ),
            &[TookTooLong],
        ),
        hostile(
            "more pages than anyone reads",
            FileKind::Pdf,
            objects(&tree(&kids, &vec![page; 100_001]), ""),
            &[TooLargeInside],
        ),
        hostile(
            "one page that is named many times",
            FileKind::Pdf,
            objects(&tree(&"3 0 R ".repeat(5_000), &[page]), ""),
            &[NoText, TookTooLong, Unreadable],
        ),
        hostile("noise behind the mark of a PDF", FileKind::Pdf, marked(1), &[Unreadable]),
        hostile("other noise behind it", FileKind::Pdf, marked(88_172_645), &[Unreadable]),
        hostile("the mark of a PDF and nothing else", FileKind::Pdf, "%PDF-1.7\n", &[Unreadable]),
        hostile("a PDF cut off in its first objects", FileKind::Pdf, &whole[..60], &[Unreadable, NoText]),
        hostile(
            "a page with a filter that nobody knows",
            FileKind::Pdf,
            one_page("/Filter /Nobody", b"BT (x) Tj ET", "", &[]),
            &[Unreadable, NoText],
        ),
        hostile(
            "lists within lists within lists",
            FileKind::Pdf,
            objects(&tree(&"[".repeat(50_000), &[]), ""),
            &[Unreadable, Crashed],
        ),
        hostile("a PDF with a password", FileKind::Pdf, locked("Standard"), &[PdfEncrypted]),
        hostile("a PDF locked with a certificate", FileKind::Pdf, locked("Adobe.PubSec"), &[PdfEncrypted]),
        hostile("a scan", FileKind::Pdf, scan("/Width 100 /Height 100", &[200; 10_000]), &[NoText]),
        hostile(
            "a picture that claims to be huge",
            FileKind::Pdf,
            scan("/Width 99999999 /Height 99999999", b"x"),
            &[NoText],
        ),
    ]
}

/// A bomb of that many megabytes between the two ends of a part.
fn many<'a>(begin: &'a str, middle: &'a str, megabytes: usize, end: &'a str) -> Body<'a> {
    Body::Repeated(begin, middle, (megabytes << 20) / middle.len(), end)
}

const LAUGHS: &str = r#"<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;"><!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;"><!ENTITY f "&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;"><!ENTITY g "&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;">]>"#;
const SECRETS: &str = r#"<?xml version="1.0"?><!DOCTYPE x [<!ENTITY g SYSTEM "file:///etc/passwd">]>"#;

fn one_sheet(rows: &str) -> Vec<u8> {
    xlsx_of(vec![("S", Body::Text(&format!("{SHEET}{rows}{SHEET_END}")))], None, "")
}

fn words() -> Vec<u8> {
    docx(&office::p("", "Honest words."))
}

/// Sets the mark of a password at each entry, in front of it and in the directory.
fn with_password(mut zip: Vec<u8>) -> Vec<u8> {
    for (mark, flags) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        let places: Vec<usize> = (0..zip.len() - 4).filter(|i| zip[*i..].starts_with(mark)).collect();
        places.into_iter().for_each(|at| zip[at + flags] |= 1);
    }
    zip
}

pub fn word_documents() -> Vec<Hostile> {
    let open = format!("{DOCUMENT}<w:p><w:r><w:t>");
    let close = format!("</w:t></w:r></w:p>{DOCUMENT_END}");
    let laughs = |prologue: &str| {
        let text = format!("{prologue}<x><w:p><w:r><w:t>&g;</w:t></w:r></w:p></x>");
        docx_of(Body::Text(&text), &[])
    };
    let good = words();
    let mut wrong = good.clone();
    let at = good.len() - 700;
    wrong[at..at + 8].iter_mut().for_each(|b| *b ^= 0x5a);
    let crowd: Vec<(String, Body<'_>)> =
        (0..20_001).map(|i| (format!("word/media/{i}"), Body::Text(""))).collect();
    let mut crowd: Vec<(&str, Body<'_>)> = crowd.into_iter().map(|(n, b)| (&*n.leak(), b)).collect();
    crowd.push(("word/document.xml", Body::Text(DOCUMENT)));
    vec![
        hostile(
            "a hundred megabytes of text in half a megabyte",
            FileKind::Docx,
            docx_of(many(&open, "bomb ", 100, &close), &[]),
            &[TooLargeInside],
        ),
        hostile(
            "empty paragraphs without end",
            FileKind::Docx,
            docx_of(many(DOCUMENT, "<w:p/>", 100, DOCUMENT_END), &[]),
            &[TooLargeInside],
        ),
        hostile(
            "styles without end",
            FileKind::Docx,
            docx_of(Body::Text(DOCUMENT), &[("styles", &"<w:style/>".repeat(4 << 20))]),
            &[TooLargeInside],
        ),
        hostile("entities that multiply", FileKind::Docx, laughs(LAUGHS), &[Unreadable]),
        hostile("an entity that asks for a file", FileKind::Docx, laughs(SECRETS), &[Unreadable]),
        hostile("elements within elements", FileKind::Docx, docx(&"<w:sdt>".repeat(100_000)), &[TooDeep]),
        hostile(
            "tables within tables",
            FileKind::Docx,
            docx(&"<w:tbl><w:tr><w:tc>".repeat(30_000)),
            &[TooDeep],
        ),
        hostile(
            "a Word document of which half is missing",
            FileKind::Docx,
            &good[..good.len() / 2],
            &[Unreadable],
        ),
        hostile("a Word document with a damaged part", FileKind::Docx, wrong, &[Unreadable]),
        hostile(
            "a Word document without its text",
            FileKind::Docx,
            archive(&[("word/other.xml", Body::Text("<x/>"))]),
            &[Unreadable],
        ),
        hostile(
            "a Word document whose text is no XML",
            FileKind::Docx,
            docx_of(Body::Text("a < b & c"), &[]),
            &[Unreadable],
        ),
        hostile(
            "a Word document that breaks off in its text",
            FileKind::Docx,
            docx_of(Body::Text(&open), &[]),
            &[Unreadable],
        ),
        hostile("a protected Word document", FileKind::Docx, ole(&["EncryptedPackage"]), &[FileEncrypted]),
        hostile(
            "a Word document with a password on its archive",
            FileKind::Docx,
            with_password(good),
            &[FileEncrypted],
        ),
        hostile("an archive of too many parts", FileKind::Docx, archive(&crowd), &[TooLargeInside]),
        hostile(
            "a Word document of pictures",
            FileKind::Docx,
            docx("<w:p><w:r><w:drawing/></w:r></w:p>"),
            &[NoText],
        ),
    ]
}

pub fn workbooks() -> Vec<Hostile> {
    let digits: String = noise(7, 1_100_000 * 3)
        .chunks(3)
        .map(|b| format!("<c><v>{}{}{}</v></c>", b[0], b[1], b[2]))
        .collect();
    let strings = |text: Body<'_>| {
        let rows = format!(r#"{SHEET}<row><c t="s"><v>0</v></c></row>{SHEET_END}"#);
        xlsx_of(vec![("S", Body::Text(&rows))], Some(text), "")
    };
    let long = format!("<sst><si><t>{}</t></si></sst>", "word ".repeat(200_000));
    let repeated = format!("{SHEET}{}{SHEET_END}", r#"<row><c t="s"><v>0</v></c></row>"#.repeat(10_000));
    let good = xlsx(&[("S", &[&["Port", "Tons"], &["North", "12"]])]);
    vec![
        hostile(
            "a million cells",
            FileKind::Xlsx,
            one_sheet(&format!("<row>{digits}</row>")),
            &[TooManyCells],
        ),
        hostile(
            "a million equal cells",
            FileKind::Xlsx,
            xlsx_of(vec![("S", many(SHEET, "<row><c><v>1</v></c></row>", 60, SHEET_END))], None, ""),
            &[TooLargeInside],
        ),
        hostile(
            "rows without end and without cells",
            FileKind::Xlsx,
            xlsx_of(vec![("S", many(SHEET, "<row/>", 60, SHEET_END))], None, ""),
            &[TooLargeInside],
        ),
        hostile(
            "shared words without end",
            FileKind::Xlsx,
            strings(many("<sst>", "<si><t>bomb</t></si>", 60, "</sst>")),
            &[TooLargeInside],
        ),
        hostile(
            "a count of words that lies",
            FileKind::Xlsx,
            strings(Body::Text(r#"<sst uniqueCount="99999999999"><si><t>x</t></si></sst>"#)),
            &[OutOfMemory, Unreadable],
        ),
        hostile(
            "a count of words that no machine can count",
            FileKind::Xlsx,
            strings(Body::Text(r#"<sst uniqueCount="9999999999999999999"><si><t>x</t></si></sst>"#)),
            &[OutOfMemory, Unreadable],
        ),
        hostile(
            "one long word in every cell",
            FileKind::Xlsx,
            xlsx_of(vec![("S", Body::Text(&repeated))], Some(Body::Text(&long)), ""),
            &[TooLargeInside],
        ),
        hostile(
            "entities that multiply in the shared words",
            FileKind::Xlsx,
            strings(Body::Text(&format!("{LAUGHS}<sst><si><t>&g;</t></si></sst>"))),
            &[Unreadable],
        ),
        hostile(
            "a cell beyond every sheet",
            FileKind::Xlsx,
            one_sheet(r#"<row><c r="ZZZZZZZ99999999999"><v>1</v></c></row>"#),
            &[Unreadable],
        ),
        hostile(
            "a word that is not there",
            FileKind::Xlsx,
            one_sheet(r#"<row><c t="s"><v>123456789</v></c></row>"#),
            &[Unreadable, NoText],
        ),
        hostile(
            "a sheet that is no XML",
            FileKind::Xlsx,
            xlsx_of(vec![("S", Body::Text("<<<"))], None, ""),
            &[Unreadable],
        ),
        hostile(
            "a workbook of which the end is missing",
            FileKind::Xlsx,
            &good[..good.len() - 100],
            &[Unreadable],
        ),
        hostile(
            "a workbook without sheets",
            FileKind::Xlsx,
            archive(&[("xl/workbook.xml", Body::Text("<workbook/>"))]),
            &[Unreadable, NoText],
        ),
        hostile(
            "a protected workbook",
            FileKind::Xlsx,
            ole(&["EncryptionInfo", "EncryptedPackage"]),
            &[FileEncrypted],
        ),
        hostile("a workbook without a word in it", FileKind::Xlsx, xlsx(&[("Empty", &[])]), &[NoText]),
    ]
}

pub fn texts() -> Vec<Hostile> {
    let names: Vec<String> = (0..20).map(|i| format!("{}{i}", "n".repeat(110))).collect();
    let growing =
        format!("{}\n{}", names.join(","), "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1\n".repeat(30_000));
    vec![
        hostile("lists within lists", FileKind::Json, "[".repeat(300_000), &[TooDeep]),
        hostile("objects within objects", FileKind::Json, "{\"a\":".repeat(100_000), &[TooDeep]),
        hostile("lists that close again", FileKind::Json, "[".repeat(5000) + &"]".repeat(5000), &[TooDeep]),
        hostile("JSON that breaks off", FileKind::Json, "{\"a\": [1, 2, {\"b\": \"c", &[Unreadable]),
        hostile("JSON with zeros in it", FileKind::Json, b"{\"a\": \"\0\"}".as_slice(), &[Unreadable]),
        hostile("JSON without a word", FileKind::Json, "[[], {}, [[]], \"--\"]", &[NoText]),
        hostile("a table that grows by the names of its columns", FileKind::Csv, growing, &[TooLargeInside]),
        hostile("a table with zeros in it", FileKind::Csv, b"a,b\n1,\0\n".as_slice(), &[Unreadable]),
        hostile("a table of nothing", FileKind::Csv, ",,,\n".repeat(100_000), &[NoText]),
        hostile(
            "a web page of script",
            FileKind::Html,
            format!("<html><script>{}</script></html>", "x()".repeat(100_000)),
            &[NoText],
        ),
        hostile("noise that is called a web page", FileKind::Html, noise(3, 100_000), &[Unreadable]),
        hostile("noise that is called a text", FileKind::Text, noise(4, 100_000), &[Unreadable]),
        hostile("a text of blanks", FileKind::Text, " \n".repeat(1 << 19), &[NoText]),
        hostile("a Markdown file of rules", FileKind::Markdown, "---\n".repeat(100_000), &[NoText]),
    ]
}
