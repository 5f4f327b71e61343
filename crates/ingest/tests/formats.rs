//! Word documents, workbooks, tables and JSON through the real reading process, as a person would read them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

#[path = "support/office.rs"]
mod office;

use ingest::{
    chunk::{ChunkSettings, TokenCounter, chunk},
    extract::{ExtractCode, ExtractError, ExtractedText, Extractor, FileKind, Limits, detect, detect_file},
};
use office::{Body, DOCUMENT, DOCUMENT_END, docx, docx_of, ole, p, sheet, xlsx, xlsx_of};
use std::{fs::File, io::Write};

/// Reads a file of that name as an upload is read: its kind is told first.
async fn read(bytes: &[u8], name: &str) -> Result<ExtractedText, ExtractError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut opened = File::open(file.path()).unwrap();
    let kind = detect_file(&mut opened, name).unwrap().unwrap();
    assert_eq!(detect(bytes, name), Ok(kind), "from the file and from its bytes");
    let extractor = Extractor::new(env!("CARGO_BIN_EXE_extract_child"), Limits::default());
    extractor.extract_bytes(bytes, kind, |_| {}).await
}

fn heading_at<'d>(doc: &'d ExtractedText, words: &str) -> Option<&'d str> {
    let at = doc.text.find(words).unwrap_or_else(|| panic!("{words} in {}", doc.text));
    doc.span_at(at).and_then(|s| s.heading.as_deref())
}

const STYLES: &str = r#"<w:styles xmlns:w="w">
    <w:style w:styleId="Titel"><w:name w:val="Title"/></w:style>
    <w:style w:styleId="b1"><w:name w:val="heading 1"/></w:style>
    <w:style w:styleId="b2"><w:name w:val="heading 2"/></w:style>
    <w:style w:styleId="Verz1"><w:name w:val="toc 1"/></w:style></w:styles>"#;

const NUMBERING: &str = r#"<w:numbering xmlns:w="w"><w:abstractNum w:abstractNumId="0">
    <w:lvl w:ilvl="0"><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>
    <w:lvl w:ilvl="1"><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="(%2)"/></w:lvl></w:abstractNum>
    <w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>
    <w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>
    </w:numbering>"#;

fn item(list: u8, level: u8, text: &str) -> String {
    p(&format!(r#"<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{list}"/></w:numPr>"#), text)
}

fn styled(style: &str, text: &str) -> String {
    p(&format!(r#"<w:pStyle w:val="{style}"/>"#), text)
}

fn cell(text: &str) -> String {
    format!("<w:tc>{}</w:tc>", p("", text))
}

#[tokio::test]
async fn a_word_document_keeps_its_headings_lists_tables_and_notes() {
    let row = |cells: &[&str]| format!("<w:tr>{}</w:tr>", cells.iter().map(|c| cell(c)).collect::<String>());
    let body = [
        styled("Titel", "Harbour rules"),
        styled("Verz1", "Arrival 1"),
        styled("b1", "Arrival"),
        "<w:p><w:r><w:t>Call the </w:t></w:r><w:ins><w:r><w:t>harbour </w:t></w:r></w:ins>\
         <w:del><w:r><w:delText>port </w:delText></w:r></w:del><w:r><w:rPr><w:vanish/></w:rPr><w:t>secret</w:t></w:r>\
         <w:r><w:t>master</w:t></w:r><w:r><w:footnoteReference w:id=\"2\"/></w:r><w:r><w:t> early.</w:t></w:r></w:p>"
            .to_owned(),
        item(1, 0, "Report"),
        item(1, 1, "by radio"),
        item(1, 1, "by light"),
        item(1, 0, "Wait"),
        styled("b2", "Fees"),
        format!("<w:tbl>{}{}</w:tbl>", row(&["Ship", "Fee"]), row(&["Ketch", "12 | 13"])),
        item(2, 0, "Pay at once"),
        "<mc:AlternateContent><mc:Choice><w:p><w:r><w:t>In a box</w:t></w:r></w:p></mc:Choice>\
         <mc:Fallback><w:p><w:r><w:t>In a box</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent>"
            .to_owned(),
    ]
    .concat();
    let notes = r#"<w:footnotes xmlns:w="w"><w:footnote w:type="separator" w:id="0"><w:p/></w:footnote>
        <w:footnote w:id="2"><w:p><w:r><w:t>Channel 12.</w:t></w:r></w:p></w:footnote></w:footnotes>"#;
    let comments = r#"<w:comments xmlns:w="w"><w:comment w:id="0" w:author="Ada"><w:p><w:r><w:t>Still true?</w:t></w:r></w:p></w:comment></w:comments>"#;
    let parts = [("styles", STYLES), ("numbering", NUMBERING), ("footnotes", notes), ("comments", comments)];
    let bytes = docx_of(Body::Text(&format!("{DOCUMENT}{body}{DOCUMENT_END}")), &parts);
    let doc = read(&bytes, "rules.docx").await.unwrap();
    assert_eq!(
        doc.text,
        "# Harbour rules\n\n# Arrival\n\nCall the harbour master[^1] early.\n\n1. Report\n    (a) by radio\n    \
         (b) by light\n2. Wait\n\n## Fees\n\n| Ship | Fee |\n| --- | --- |\n| Ketch | 12 \\| 13 |\n\n- Pay at once\n\n\
         In a box\n\n[^1]: Channel 12.\n\n# Comments\n\n- Ada: Still true?"
    );
    assert_eq!(doc.title.as_deref(), Some("Harbour rules"));
    assert_eq!(heading_at(&doc, "by light"), Some("Arrival"));
    assert_eq!(heading_at(&doc, "Ketch"), Some("Fees"));
}

#[tokio::test]
async fn a_long_table_of_a_word_document_can_be_read_row_by_row() {
    let mut rows = format!("<w:tr>{}{}{}</w:tr>", cell("Port"), cell("Year"), cell("Tons"));
    for i in 0..60 {
        // The first column's cells are merged in pairs.
        let merge = if i % 2 == 0 { r#"<w:vMerge w:val="restart"/>"# } else { "<w:vMerge/>" };
        let name = if i % 2 == 0 { format!("Port {i}") } else { String::new() };
        rows.push_str(&format!(
            "<w:tr><w:tc><w:tcPr>{merge}</w:tcPr>{}</w:tc>{}{}</w:tr>",
            p("", &name),
            cell(&(1960 + i).to_string()),
            cell(&(i * 100).to_string())
        ));
    }
    let doc = read(&docx(&format!("{}<w:tbl>{rows}</w:tbl>", p("", "Cargo"))), "a.docx").await.unwrap();
    assert!(doc.text.starts_with(
        "Cargo\n\n- Port: Port 0; Year: 1960; Tons: 0\n- Port: Port 0; Year: 1961; Tons: 100\n"
    ));
    assert!(doc.text.ends_with("- Port: Port 58; Year: 2019; Tons: 5900"), "{}", doc.text);
}

#[tokio::test]
async fn a_cell_that_was_part_of_another_one_before_a_tracked_change_keeps_its_words() {
    let was = r#"<w:tcPrChange w:id="1" w:author="Ada"><w:tcPr><w:vMerge/></w:tcPr></w:tcPrChange>"#;
    let parted = format!("<w:tc><w:tcPr>{was}</w:tcPr>{}</w:tc>", p("", "Ketch"));
    let rows = format!("<w:tr>{}{}</w:tr><w:tr>{parted}{}</w:tr>", cell("Ship"), cell("Fee"), cell("12"));
    let doc = read(&docx(&format!("<w:tbl>{rows}</w:tbl>")), "a.docx").await.unwrap();
    assert_eq!(doc.text, "| Ship | Fee |\n| --- | --- |\n| Ketch | 12 |");
}

#[tokio::test]
async fn what_a_line_end_or_a_tab_parts_in_a_note_stays_apart() {
    let body = "<w:p><w:r><w:t>Said</w:t></w:r><w:r><w:footnoteReference w:id=\"2\"/></w:r></w:p>";
    let notes = r#"<w:footnotes xmlns:w="w"><w:footnote w:id="2"><w:p><w:r><w:t>Smith</w:t><w:tab/><w:t>p. 3</w:t></w:r>
        <w:r><w:br/></w:r><w:r><w:t>e</w:t><w:noBreakHyphen/><w:t>mail</w:t></w:r></w:p></w:footnote></w:footnotes>"#;
    let bytes = docx_of(Body::Text(&format!("{DOCUMENT}{body}{DOCUMENT_END}")), &[("footnotes", notes)]);
    let doc = read(&bytes, "a.docx").await.unwrap();
    assert_eq!(doc.text, "Said[^1]\n\n[^1]: Smith p. 3 e-mail");
}

#[tokio::test]
async fn a_table_that_only_arranges_the_page_is_taken_apart() {
    let layout = format!(
        "<w:tbl><w:tr><w:tc>{}{}</w:tc></w:tr><w:tr>{}</w:tr></w:tbl>",
        p(r#"<w:outlineLvl w:val="0"/>"#, "Notice"),
        p("", "No swimming."),
        cell("By order")
    );
    let doc = read(&docx(&layout), "a.docx").await.unwrap();
    assert_eq!(doc.text, "# Notice\n\nNo swimming.\n\nBy order");
}

#[tokio::test]
async fn a_workbook_is_read_sheet_by_sheet_with_the_names_of_the_columns() {
    let ports: &[&[&str]] = &[&["Ports of the year"], &["Port", "Tons"], &["North", "12.5"], &["South", "7"]];
    let notes: &[&[&str]] = &[&["Keep dry"]];
    let doc = read(&xlsx(&[("Ports", ports), ("Notes &amp; more", notes)]), "book.xlsx").await.unwrap();
    assert_eq!(
        doc.text,
        "# Ports\n\nPorts of the year\n\n- Port: North; Tons: 12.5\n- Port: South; Tons: 7\n\n# Notes & more\n\n- Keep dry"
    );
    assert_eq!(heading_at(&doc, "South"), Some("Ports"));
    assert_eq!(heading_at(&doc, "dry"), Some("Notes & more"));
}

#[tokio::test]
async fn dates_shares_and_shared_words_of_a_workbook_are_shown_as_in_excel() {
    let rows = r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>
        <row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c><c r="C1" t="s"><v>2</v></c></row>
        <row r="2"><c r="A2" s="1"><v>45352</v></c><c r="B2" s="2"><v>0.125</v></c><c r="C2" t="b"><v>1</v></c></row>
        <row r="900000"><c r="XFD900000" t="e"><v>#N/A</v></c></row></sheetData></worksheet>"#;
    let strings = r#"<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>Day</t></si><si><r><t>Sha</t></r><r><t>re</t></r></si><si><t>Open</t></si></sst>"#;
    let formats = r#"<xf numFmtId="14"/><xf numFmtId="10"/>"#;
    let bytes = xlsx_of(vec![("S", Body::Text(rows))], Some(Body::Text(strings)), formats);
    let doc = read(&bytes, "a.xlsx").await.unwrap();
    assert_eq!(doc.text, "# S\n\n- Day: 2024-03-01; Share: 12.5%; Open: TRUE\n- #N/A");
}

#[tokio::test]
async fn an_error_of_a_formula_that_nobody_here_knows_costs_its_own_cell_alone() {
    let text =
        |place: &str, text: &str| format!(r#"<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>"#);
    let rows = [
        format!(r#"<row r="1">{}{}</row>"#, text("A1", "Port"), text("B1", "Tons")),
        format!(r#"<row r="2">{}<c r="B2" t="e"><v>#GETTING_DATA</v></c></row>"#, text("A2", "North")),
        r#"<row r="3"><c r="A3" t="e"><v>#SPILL!</v></c><c r="B3"><v>5</v></c></row>"#.to_owned(),
        format!(r#"<row r="4">{}<c r="B4"><v>7</v></c></row>"#, text("A4", "South")),
    ];
    let sheet = sheet(&[]).replace("</sheetData>", &format!("{}</sheetData>", rows.concat()));
    let doc = read(&xlsx_of(vec![("S", Body::Text(&sheet))], None, ""), "a.xlsx").await.unwrap();
    assert_eq!(doc.text, "# S\n\n- Port: North\n- Tons: 5\n- Port: South; Tons: 7");
    assert_eq!(doc.warnings, []);
}

#[tokio::test]
async fn the_cells_of_a_row_may_stand_in_any_order() {
    let row = |n: u32, cells: [(&str, &str); 2]| {
        let cell = |(column, text): (&str, &str)| {
            format!(r#"<c r="{column}{n}" t="inlineStr"><is><t>{text}</t></is></c>"#)
        };
        format!(r#"<row r="{n}">{}</row>"#, cells.map(cell).concat())
    };
    let rows = [
        row(1, [("B", "Tons"), ("A", "Port")]),
        row(2, [("B", "12"), ("A", "North")]),
        row(3, [("A", "South"), ("B", "7")]),
    ];
    let sheet = sheet(&[]).replace("</sheetData>", &format!("{}</sheetData>", rows.concat()));
    let doc = read(&xlsx_of(vec![("S", Body::Text(&sheet))], None, ""), "a.xlsx").await.unwrap();
    assert_eq!(doc.text, "# S\n\n- Port: North; Tons: 12\n- Port: South; Tons: 7");
}

#[tokio::test]
async fn a_sheet_that_breaks_off_is_a_warning_beside_one_that_is_whole() {
    let good = sheet(&[&["Port", "Tons"], &["North", "12"]]);
    let broken = good.replace("</sheetData></worksheet>", "<row r=\"3\"><c r=\"A3\"><v>");
    let bytes = xlsx_of(vec![("Good", Body::Text(&good)), ("Bad", Body::Text(&broken))], None, "");
    let doc = read(&bytes, "a.xlsx").await.unwrap();
    assert_eq!(doc.text.matches("Port: North").count(), 2);
    assert_eq!(doc.warnings.len(), 1);
    assert_eq!(doc.warnings[0].code, "sheets_unreadable");
    assert_eq!(doc.warnings[0].message, "The sheet “Bad” could not be read whole.");
}

#[tokio::test]
async fn tables_and_json_are_read_by_content_and_name() {
    let table = read(b"Name;Price\nPear;2,50\nFig;1,10\n", "prices.csv").await.unwrap();
    assert_eq!(table.text, "- Name: Pear; Price: 2,50\n- Name: Fig; Price: 1,10");
    let json = read(br#"{"ports": [{"name": "North"}], "year": 2024}"#, "data.json").await.unwrap();
    assert_eq!(json.text, "- ports: (name: North)\n- year: 2024");
    let log = read(b"{\"a\": 1}\n{\"a\": 2\n{\"a\": 3}\n", "log.jsonl").await.unwrap();
    assert_eq!(log.text, "- a: 1\n- a: 3");
    assert_eq!(log.warnings[0].code, "records_unreadable");
}

#[tokio::test]
async fn letters_and_their_marks_become_one_character_and_places_stay_true() {
    let apart = "Zoe\u{308} first\n\n# Cafe\u{301}\n\nOpen a\u{300} six.\n\n## Two\n\nEnd.\n";
    let doc = read(apart.as_bytes(), "apart.md").await.unwrap();
    let parts: Vec<_> = doc.spans.iter().map(|s| (s.heading.as_deref(), &doc.text[s.start..s.end])).collect();
    assert_eq!(
        parts,
        [
            (None, "Zo\u{eb} first\n\n"),
            (Some("Caf\u{e9}"), "# Caf\u{e9}\n\nOpen \u{e0} six.\n\n"),
            (Some("Two"), "## Two\n\nEnd.\n")
        ]
    );
    // Where a word may be parted, nobody looks for it in pieces.
    let page = b"<html><body><p>The Donau&shy;dampf&shy;schiff lies at the quay.</p></body></html>";
    let page = read(page, "page.html").await.unwrap();
    assert!(page.text.contains("The Donaudampfschiff lies"), "{}", page.text);
    let whole: String = parts.iter().map(|(_, part)| *part).collect();
    assert_eq!((doc.text.as_str(), doc.title.as_deref()), (whole.as_str(), Some("Caf\u{e9}")));
}

struct Words;

impl TokenCounter for Words {
    fn count(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn offsets(&self, text: &str) -> Vec<(usize, usize)> {
        let mut at = 0;
        let words = text.split_inclusive(char::is_whitespace).map(|word| {
            at += word.len();
            (at - word.len(), at - word.len() + word.trim_end().len())
        });
        words.filter(|(begin, end)| begin < end).collect()
    }
}

#[tokio::test]
async fn passages_of_a_table_hold_whole_rows_and_their_heading() {
    let mut rows = vec![vec!["Port".to_owned(), "Remark".to_owned(), "Tons".to_owned()]];
    rows.extend((0..80).map(|i| vec![format!("Port {i}"), "Open. Deep. Lit.".to_owned(), i.to_string()]));
    let rows: Vec<Vec<&str>> = rows.iter().map(|r| r.iter().map(String::as_str).collect()).collect();
    let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
    let doc = read(&xlsx(&[("Ports", &rows)]), "a.xlsx").await.unwrap();
    let config = domain::rag::RagConfig { chunk_size: 300, chunk_overlap: 60, ..Default::default() };
    for strategy in [domain::rag::ChunkingStrategy::Sentence, domain::rag::ChunkingStrategy::Markdown] {
        let settings = ChunkSettings { strategy, ..ChunkSettings::from(&config) };
        let chunks = chunk(&doc, &settings, &Words).unwrap();
        assert!(chunks.len() > 10);
        for chunk in &chunks {
            assert_eq!(chunk.heading.as_deref(), Some("Ports"));
            for line in chunk.text.lines().filter(|l| l.starts_with("- ")) {
                assert!(line.starts_with("- Port: Port ") && line.contains("; Tons: "), "{line}");
            }
        }
    }
}

#[tokio::test]
async fn a_protected_office_file_says_so() {
    for (name, noun) in [("plan.docx", "Word document"), ("sums.xlsx", "workbook")] {
        let error = read(&ole(&["EncryptionInfo", "EncryptedPackage"]), name).await.unwrap_err();
        assert_eq!(error.code, ExtractCode::FileEncrypted);
        assert_eq!(error.sentence, format!("This {noun} is protected with a password."));
        assert!(error.hint.unwrap().contains("remove the password"));
    }
}

#[tokio::test]
async fn an_office_file_without_text_says_so() {
    for (bytes, name) in [(docx("<w:p/>"), "a.docx"), (xlsx(&[("Empty", &[])]), "a.xlsx")] {
        let error = read(&bytes, name).await.unwrap_err();
        assert_eq!(error.code, ExtractCode::NoText);
        assert!(error.sentence.starts_with("No text found"), "{error}");
    }
}

#[test]
fn office_files_are_told_by_content_and_others_are_named() {
    let said = |bytes: &[u8], name: &str| detect(bytes, name).unwrap_err().sentence;
    assert_eq!(detect(&docx(""), "a.zip"), Ok(FileKind::Docx));
    assert_eq!(detect(&xlsx(&[]), "letter.docx"), Ok(FileKind::Xlsx));
    // The telling part stands behind a picture, and only the directory at the end tells.
    let mut state = 1_u32;
    let mut letter = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (state >> 28) as u8)
    };
    let noise: String = (0..300_000).map(&mut letter).collect();
    let parts = [("media/a.png", Body::Text(&noise)), ("word/document.xml", Body::Text("<w/>"))];
    let late = office::archive(&parts);
    assert!(late.len() > 64 * 1024);
    assert_eq!(detect(&late, "a.docx"), Ok(FileKind::Docx));
    assert_eq!(
        said(&office::archive(&[("ppt/presentation.xml", Body::Text(""))]), "a.docx"),
        "This is a PowerPoint presentation."
    );
    assert_eq!(said(&office::archive(&[("a.txt", Body::Text("x"))]), "a.docx"), "This is a ZIP archive.");
    assert_eq!(
        said(&ole(&["WordDocument"]), "a.doc"),
        "This is an old Word document (DOC); save it as DOCX."
    );
    assert_eq!(said(&ole(&["Workbook"]), "a.xls"), "This is an old Excel workbook (XLS); save it as XLSX.");
    assert_eq!(detect(&ole(&["EncryptedPackage"]), "a.xlsx"), Ok(FileKind::Xlsx));
}
