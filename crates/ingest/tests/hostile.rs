//! Documents made to do harm: bombs, loops, floods and rubble. Each is refused, or read as far as it makes sense,
//! within the bounds of a small file.

#[path = "support/pdf.rs"]
mod pdf;

use flate2::{Compression, write::ZlibEncoder};
use ingest::extract::{ExtractCode, ExtractError, ExtractedText, Extractor, FileKind, Limits};
use nix::sys::resource::{UsageWho, getrusage};
use pdf::Pdf;
use std::io::Write;

/// What a child may have used at most, in kilobytes.
const MOST_MEMORY: i64 = 256 * 1024;

async fn read(bytes: &[u8], kind: FileKind) -> Result<ExtractedText, ExtractError> {
    let extractor = Extractor::new(env!("CARGO_BIN_EXE_extract_child"), Limits::default());
    let result = extractor.extract_bytes(bytes, kind, |_| {}).await;
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    assert!(used <= MOST_MEMORY, "{used} KB");
    if let Err(error) = &result {
        // Never "the server's fault", and always words for people.
        assert_ne!(error.code, ExtractCode::ReaderUnavailable, "{error:?}");
    }
    result
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// So many megabytes of one byte, compressed without ever holding them.
fn zlib_run(byte: u8, megabytes: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let block = vec![byte; 1 << 20];
    for _ in 0..megabytes {
        encoder.write_all(&block).unwrap();
    }
    encoder.finish().unwrap()
}

/// A document of one page with that content stream and extra resources.
fn one_page(filter: &str, content: &[u8], resources: &str, more: &[(&str, Vec<u8>)]) -> Vec<u8> {
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

#[tokio::test]
async fn a_stream_that_unpacks_without_end_runs_out_of_memory() {
    let bomb = one_page("/Filter /FlateDecode", &zlib_run(b' ', 512), "", &[]);
    assert!(bomb.len() < 2 << 20);
    assert_eq!(read(&bomb, FileKind::Pdf).await.unwrap_err().code, ExtractCode::OutOfMemory);
}

#[tokio::test]
async fn a_nested_bomb_runs_out_of_memory() {
    let nested = zlib(&zlib_run(b' ', 512));
    let filters = "/Filter [/FlateDecode /FlateDecode]";
    let bomb = one_page(filters, &nested, "", &[]);
    assert!(bomb.len() < 100 << 10, "{}", bomb.len());
    assert_eq!(read(&bomb, FileKind::Pdf).await.unwrap_err().code, ExtractCode::OutOfMemory);
}

#[tokio::test]
async fn a_bomb_in_an_object_stream_is_stopped_while_loading() {
    let bomb = one_page(
        "",
        b"BT ET",
        "",
        &[("/Type /ObjStm /N 1 /First 10 /Filter [/FlateDecode /FlateDecode]", zlib(&zlib_run(b'1', 512)))],
    );
    let error = read(&bomb, FileKind::Pdf).await.unwrap_err();
    assert!(matches!(error.code, ExtractCode::OutOfMemory | ExtractCode::NoText), "{error:?}");
}

#[tokio::test]
async fn a_text_flood_through_forms_within_forms_is_stopped() {
    // Ten levels, each drawing the next ten times: ten thousand million lines.
    let levels = 10;
    let forms: Vec<(String, Vec<u8>)> = (0..levels)
        .map(|i| {
            let entries = format!(
                "/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /Font << /F1 4 0 R >> /XObject << /X {} 0 R >> >>",
                7 + i
            );
            let body = if i + 1 == levels { "BT /F1 9 Tf (flood ) Tj ET".to_owned() } else { "/X Do ".repeat(10) };
            (entries, body.into_bytes())
        })
        .collect();
    let forms: Vec<(&str, Vec<u8>)> = forms.iter().map(|(e, b)| (e.as_str(), b.clone())).collect();
    let bomb = one_page("", b"/X Do", "/XObject << /X 6 0 R >>", &forms);
    let error = read(&bomb, FileKind::Pdf).await.unwrap_err();
    assert!(
        matches!(
            error.code,
            ExtractCode::TookTooLong | ExtractCode::TooLargeInside | ExtractCode::OutOfMemory
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_form_that_draws_itself_is_a_crash_of_one_document() {
    let itself = "/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 6 0 R >> >>";
    let loops = one_page("", b"/X Do", "/XObject << /X 6 0 R >>", &[(itself, b"/X Do".to_vec())]);
    let error = read(&loops, FileKind::Pdf).await.unwrap_err();
    assert!(
        matches!(error.code, ExtractCode::Crashed | ExtractCode::TookTooLong | ExtractCode::OutOfMemory),
        "{error:?}"
    );
}

#[tokio::test]
async fn trees_that_bite_their_tails_come_to_an_end() {
    // Pages that are their own children.
    let mut kids = Pdf::default();
    kids.add("<< /Type /Catalog /Pages 2 0 R >>");
    kids.add("<< /Type /Pages /Count 9 /Kids [2 0 R 2 0 R] >>");
    assert_eq!(
        read(&kids.finish("/Root 1 0 R"), FileKind::Pdf).await.unwrap_err().code,
        ExtractCode::Unreadable
    );
    // A page that inherits from itself.
    let mut parent = Pdf::default();
    parent.add("<< /Type /Catalog /Pages 2 0 R >>");
    parent.add("<< /Type /Pages /Count 1 /Kids [3 0 R] >>");
    parent.add("<< /Type /Page /Parent 3 0 R >>");
    read(&parent.finish("/Root 1 0 R"), FileKind::Pdf).await.unwrap_err();
    // An outline whose entries follow and hold each other.
    let mut outline = Pdf::default();
    outline.add("<< /Type /Catalog /Pages 2 0 R /Outlines 5 0 R /Names << /Dests 6 0 R >> >>");
    outline.add("<< /Type /Pages /Count 1 /Kids [3 0 R] >>");
    outline.add("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 7 0 R /Resources << /Font << /F1 8 0 R >> >> >>");
    outline.add("<< /Title (Round) /Next 4 0 R /First 5 0 R /Dest (nowhere) >>");
    outline.add("<< /First 4 0 R /Next 4 0 R /Title (About) /Dest [3 0 R /Fit] >>");
    outline.add("<< /Kids [6 0 R 6 0 R 6 0 R] /Names [(nowhere) 6 0 R] >>");
    outline.stream("", &pdf::page_content(&[pdf::Line::body("Still read.")]));
    outline.add("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>");
    assert_eq!(read(&outline.finish("/Root 1 0 R"), FileKind::Pdf).await.unwrap().text, "Still read.");
}

#[tokio::test]
async fn tables_of_objects_that_lie_are_survived() {
    let good = String::from_utf8_lossy(&pdf::simple(&["words"])).into_owned().replace('\u{fffd}', "x");
    let place = |s: &str| good.replace("startxref\n", s);
    for rubble in [
        place("startxref\n999999999"),
        place("startxref\n-1 "),
        good.replace("/Size 6", "/Size 999999999999"),
        good.replace("/Size", "/Prev 0 /Size"),
        good.replace("trailer\n<<", "trailer\n<< /Prev 9 /XRefStm 9"),
        good.replace("xref\n0 6", "xref\n0 4294967295"),
        good.replace("0000000015", "9999999999"),
        good.replace("/Count 1", "/Count -99999999999"),
        good.replace("/Length", "/Length 5 0 R /Was"),
        good.replace("<< /Type /Catalog", &format!("{}<< /Type /Catalog", "[".repeat(20_000))),
        good.replace("/Root 1 0 R", "/Root 99 0 R"),
        good.replace("/Root 1 0 R", &format!("/Root {}", "<< /A ".repeat(20_000))),
        good.replace("/MediaBox [0 0 595 842]", "/MediaBox [0 0]"),
        good.replace("/MediaBox [0 0 595 842]", "/MediaBox [(a) /b null true]"),
        good.replace("/BaseFont /Helvetica", "/BaseFont 5 0 R"),
        good.replace("/Subtype /Type1", "/Subtype /Type0"),
        good.replace(" Tj", " Tj Tj TJ ' \" Do Tf cm Q Q Q"),
    ] {
        if let Ok(doc) = read(rubble.as_bytes(), FileKind::Pdf).await {
            assert!(doc.text.contains("words"), "{}", doc.text);
        }
    }
}

#[tokio::test]
async fn of_a_file_that_is_cut_off_what_is_left_is_read_with_a_warning() {
    let whole = pdf::simple(&["The first page.", "The second page."]);
    let (mut refused, mut partial) = (0, 0);
    for percent in 1..100 {
        let cut = &whole[..whole.len() * percent / 100];
        match read(cut, FileKind::Pdf).await {
            Ok(doc) => {
                assert!(doc.text.starts_with("The first page."), "{percent}: {}", doc.text);
                // The last bytes of the file say nothing.
                if percent < 99 {
                    assert_eq!(doc.warnings[0].code, "damaged");
                }
                partial += 1;
            }
            Err(error) => {
                assert!(
                    matches!(error.code, ExtractCode::Unreadable | ExtractCode::NoText),
                    "{percent}: {error:?}"
                );
                refused += 1;
            }
        }
    }
    assert!(refused > 10 && partial > 10, "{refused} refused, {partial} read in part");
}

#[tokio::test]
async fn noise_behind_the_mark_of_a_pdf_is_refused() {
    // A fixed sequence, so that a failure can be seen again.
    let mut state = 88_172_645_463_325_252u64;
    for _ in 0..8 {
        let mut noise = b"%PDF-1.7\n".to_vec();
        for _ in 0..20_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            noise.push(state as u8);
        }
        assert_eq!(read(&noise, FileKind::Pdf).await.unwrap_err().code, ExtractCode::Unreadable);
    }
}

#[tokio::test]
async fn a_font_that_maps_each_letter_to_a_book_is_stopped() {
    let book = "0041".repeat(100_000);
    let cmap =
        format!("1 begincodespacerange <00> <FF> endcodespacerange 1 beginbfchar <41> <{book}> endbfchar");
    let content = format!("BT /F2 9 Tf ({}) Tj ET", "A".repeat(100_000));
    let bomb = one_page(
        "",
        content.as_bytes(),
        "/Font << /F2 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 6 0 R >> >>",
        &[("", cmap.into_bytes())],
    );
    if let Ok(doc) = read(&bomb, FileKind::Pdf).await {
        assert!(doc.text.len() <= 64 << 20);
    }
}

#[tokio::test]
async fn web_pages_that_never_close_or_nest_without_end_harm_nobody() {
    let wide = format!("<html><body><table>{}", "<tr><td>x".repeat(100_000));
    let pages = [
        format!("<html><body>{}words", "<div>".repeat(200_000)),
        format!("<html><body>{}words", "<b><i>".repeat(20_000)),
        format!("<html><body>{}words", "<blockquote><ul><li>".repeat(20_000)),
        format!("<html><body><p {}>words", "a=b ".repeat(200_000)),
        format!("<html><body>words{}", "<!--".repeat(200_000)),
        format!("<html><body>words{}", "&lt;".repeat(200_000)),
        format!("<html><title>{}</title><body>words", "T".repeat(1 << 20)),
        wide,
    ];
    for page in pages {
        if let Ok(doc) = read(page.as_bytes(), FileKind::Html).await {
            assert!(doc.title.unwrap_or_default().chars().count() <= 500);
        }
    }
}

#[tokio::test]
async fn markdown_that_nests_without_end_harms_nobody() {
    for text in [
        ">".repeat(200_000),
        "[".repeat(200_000),
        "*a_ ".repeat(100_000),
        "`".repeat(200_000),
        "- ".repeat(100_000) + "words",
        "# h\n".repeat(200_000),
        format!("# {}", "h".repeat(1 << 20)),
    ] {
        if let Ok(doc) = read(text.as_bytes(), FileKind::Markdown).await {
            assert!(doc.spans.iter().all(|s| s.heading.as_ref().is_none_or(|h| h.chars().count() <= 500)));
        }
    }
}

#[tokio::test]
async fn others_are_read_while_a_bomb_goes_off() {
    let bomb = one_page("/Filter [/FlateDecode /FlateDecode]", &zlib(&zlib_run(b' ', 512)), "", &[]);
    let good = pdf::simple(&["An honest page."]);
    let (a, b, c) =
        tokio::join!(read(&bomb, FileKind::Pdf), read(&good, FileKind::Pdf), read(&good, FileKind::Pdf));
    assert_eq!(a.unwrap_err().code, ExtractCode::OutOfMemory);
    assert_eq!(b.unwrap().text, "An honest page.");
    assert_eq!(c.unwrap().text, "An honest page.");
}
