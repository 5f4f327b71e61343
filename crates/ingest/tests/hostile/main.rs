//! Documents made to do harm: bombs, loops, floods and rubble. Each is refused, or read as far as it makes sense,
//! within the bounds of a small file.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod files;
#[path = "../support/office.rs"]
mod office;
#[path = "../support/pdf.rs"]
mod pdf;
mod refused;

use files::{one_page, zlib, zlib_run};
use ingest::extract::{ExtractCode, ExtractError, ExtractedText, Extractor, FileKind, Limits};
use nix::sys::resource::{UsageWho, getrusage};
use pdf::Pdf;

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

#[tokio::test]
async fn trees_that_bite_their_tails_come_to_an_end() {
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
        let doc = read(page.as_bytes(), FileKind::Html).await.unwrap();
        assert!(doc.text.contains("words") || doc.text.contains('x'));
        assert!(doc.title.unwrap_or_default().chars().count() <= 500);
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
    let bomb = one_page("/Filter [/FlateDecode /FlateDecode]", &zlib(&zlib_run(b' ', 256)), "", &[]);
    let good = pdf::simple(&["An honest page."]);
    let (a, b, c) =
        tokio::join!(read(&bomb, FileKind::Pdf), read(&good, FileKind::Pdf), read(&good, FileKind::Pdf));
    assert_eq!(a.unwrap_err().code, ExtractCode::OutOfMemory);
    assert_eq!(b.unwrap().text, "An honest page.");
    assert_eq!(c.unwrap().text, "An honest page.");
}
