//! Documents through the real reading process: what is read, and what is said of what cannot be.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

#[path = "support/pdf.rs"]
mod pdf;
#[path = "support/samples.rs"]
mod samples;

use ingest::extract::{
    ExtractCode, ExtractError, ExtractedText, Extractor, FileKind, Limits, detect, detect_file,
    sandbox::Rights,
};
use std::{
    fs::File,
    io::{Seek, Write},
    path::Path,
};

fn extractor() -> Extractor {
    Extractor::new(env!("CARGO_BIN_EXE_extract_child"), Limits::default())
}

async fn read(bytes: &[u8], kind: FileKind) -> Result<ExtractedText, ExtractError> {
    extractor().extract_bytes(bytes, kind, |_| {}).await
}

async fn code_of(bytes: &[u8], kind: FileKind) -> ExtractCode {
    read(bytes, kind).await.unwrap_err().code
}

#[tokio::test]
async fn a_pdf_is_read_page_by_page_and_says_how_far_it_is() {
    let lines = |text: &str| vec![pdf::Line::head(text), pdf::Line::body("The harbour is open all night.")];
    let pages = [lines("Tides"), lines("Moons"), lines("Winds")];
    let bookmarks = [("Tides".to_owned(), 0), ("Winds".to_owned(), 2)];
    let bytes = pdf::document(&pages, Some("Almanac"), &bookmarks);
    let mut seen = Vec::new();
    let doc =
        extractor().extract_bytes(&bytes, FileKind::Pdf, |p| seen.push((p.done, p.total))).await.unwrap();
    assert_eq!(doc.title.as_deref(), Some("Almanac"));
    assert_eq!(seen, [(0, 3), (1, 3), (2, 3), (3, 3)]);
    let at: Vec<_> = doc.spans.iter().map(|s| (s.page.unwrap(), s.heading.as_deref().unwrap())).collect();
    assert_eq!(at, [(1, "Tides"), (2, "Tides"), (3, "Winds")]);
    assert!(doc.text[doc.spans[1].start..].starts_with("Moons\n"));
    assert!(doc.text.ends_with("The harbour is open all night."));
    assert_eq!(doc.warnings, []);
}

#[tokio::test]
async fn a_file_is_read_from_its_descriptor_whatever_its_name() {
    let mut file = tempfile::NamedTempFile::with_suffix(".txt").unwrap();
    file.write_all(&pdf::simple(&["A PDF with the wrong name."])).unwrap();
    let mut opened = File::open(file.path()).unwrap();
    let kind = detect_file(&mut opened, "report.txt").unwrap().unwrap();
    assert_eq!(kind, FileKind::Pdf);
    opened.rewind().unwrap();
    let doc = extractor().extract(opened, kind, |_| {}).await.unwrap();
    assert_eq!(doc.text, "A PDF with the wrong name.");
}

#[tokio::test]
async fn markdown_html_and_text_are_read() {
    let md = read("# Überschrift\n\nEin Satz.\n".as_bytes(), FileKind::Markdown).await.unwrap();
    assert_eq!((md.title.as_deref(), md.spans.len()), (Some("Überschrift"), 1));
    let html = read(
        b"<html><head><title>Tea</title></head><body><h1>Tea</h1><script>alert(1)</script><p>Steep it.</p></body>",
        FileKind::Html,
    )
    .await
    .unwrap();
    assert!(html.text.contains("Steep it.") && !html.text.contains("alert"));
    let text = read(b"caf\xe9 au lait\r\n", FileKind::Text).await.unwrap();
    assert_eq!(text.text, "café au lait\n");
}

#[tokio::test]
async fn an_encrypted_pdf_says_so_and_one_without_a_password_is_read() {
    let plain = pdf::simple(&["The secret harbour."]);
    let encrypt = |user: &str| {
        use pdf_extract::{Document, EncryptionState, EncryptionVersion, Object, Permissions, StringFormat};
        let mut document = Document::load_mem(&plain).unwrap();
        let id = Object::String(b"0123456789abcdef".to_vec(), StringFormat::Literal);
        document.trailer.set("ID", Object::Array(vec![id.clone(), id]));
        let version = EncryptionVersion::V2 {
            document: &document,
            owner_password: "owner",
            user_password: user,
            key_length: 128,
            permissions: Permissions::all(),
        };
        let state = EncryptionState::try_from(version).unwrap();
        document.encrypt(&state).unwrap();
        let mut out = Vec::new();
        document.save_to(&mut out).unwrap();
        out
    };
    let error = read(&encrypt("open sesame"), FileKind::Pdf).await.unwrap_err();
    assert_eq!(error.code, ExtractCode::PdfEncrypted);
    assert_eq!(error.sentence, "This PDF is protected with a password.");
    assert!(!error.retryable);
    assert_eq!(read(&encrypt(""), FileKind::Pdf).await.unwrap().text, "The secret harbour.");
}

#[tokio::test]
async fn a_pdf_of_pictures_asks_for_text_recognition() {
    let error = read(&pdf::simple(&["", ""]), FileKind::Pdf).await.unwrap_err();
    assert_eq!(error.code, ExtractCode::NoText);
    assert!(error.hint.unwrap().contains("OCR"));
}

#[tokio::test]
async fn documents_without_text_are_told_apart_from_empty_files() {
    assert_eq!(code_of(b"", FileKind::Text).await, ExtractCode::EmptyFile);
    assert_eq!(code_of(b" \n\n ", FileKind::Text).await, ExtractCode::NoText);
    assert_eq!(code_of(b"<html><script>x()</script></html>", FileKind::Html).await, ExtractCode::NoText);
}

#[tokio::test]
async fn a_page_that_cannot_be_read_is_a_warning() {
    // The second page's content stream claims a filter that nobody knows.
    let mut broken = pdf::Pdf::default();
    let (catalog, tree) = (broken.reserve(), broken.reserve());
    let font = broken.add("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>");
    let good = broken.stream("", &pdf::page_content(&[pdf::Line::body("A good page.")]));
    let mut page = |content: String, media: &str| {
        broken.add(format!(
            "<< /Type /Page /Parent {tree} 0 R {media} /Contents {content} \
             /Resources << /Font << /F1 {font} 0 R >> >> >>"
        ))
    };
    let media = "/MediaBox [0 0 595 842]";
    // Without a media box the parser panics.
    let kids = [
        page(format!("{good} 0 R"), media),
        page(format!("{good} 0 R"), ""),
        page(format!("{good} 0 R"), media),
    ];
    broken.set(
        tree,
        format!("<< /Type /Pages /Count 3 /Kids [{} 0 R {} 0 R {} 0 R] >>", kids[0], kids[1], kids[2]),
    );
    broken.set(catalog, format!("<< /Type /Catalog /Pages {tree} 0 R >>"));
    let doc = read(&broken.finish(&format!("/Root {catalog} 0 R")), FileKind::Pdf).await.unwrap();
    assert_eq!(doc.spans.iter().map(|s| s.page).collect::<Vec<_>>(), [Some(1), Some(3)]);
    assert_eq!(doc.warnings.len(), 1);
    assert_eq!(doc.warnings[0].code, "pages_unreadable");
    assert_eq!(doc.warnings[0].message, "Page 2 could not be read.");
}

#[tokio::test]
async fn what_was_typed_into_the_fields_of_a_form_and_remarks_are_read_with_their_page() {
    let mut form = pdf::Pdf::default();
    let (catalog, tree) = (form.reserve(), form.reserve());
    let font = form.add("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>");
    let content = form.stream("", &pdf::page_content(&[pdf::Line::body("Application")]));
    let whole = form.add("<< /FT /Tx /T (Ship) /V (Ketch Marie) >>");
    let place = format!("<< /Subtype /Widget /Parent {whole} 0 R /Rect [0 0 9 9] >>");
    let annotations = [
        // One field in two places.
        place.as_str(),
        place.as_str(),
        "<< /Subtype /Widget /FT /Tx /T (Text1) /TU (Home port) /V <FEFF004B00F6006C006E> >>",
        "<< /Subtype /Widget /FT /Ch /T (Colours) /V [(Blue) (White)] >>",
        "<< /Subtype /Widget /FT /Btn /T (Insured) /V /Yes /AS /Yes >>",
        "<< /Subtype /Widget /FT /Btn /T (Sunk) /V /Off /AS /Off >>",
        "<< /Subtype /Widget /FT /Tx /T (Empty) /V () >>",
        "<< /Subtype /Widget /FT /Tx /Ff 8192 /T (Secret) /V (not to be shown) >>",
        "<< /Subtype /FreeText /T (Ada) /Contents (Arrives\\nat night) >>",
        "<< /Subtype /Text /T (Ada) /Contents (Still true?) >>",
        "<< /Subtype /Text /F 2 /T (Ada) /Contents (Nobody sees this) >>",
        "<< /Subtype /Link /Contents (A link) >>",
    ];
    let numbers: String = annotations.iter().map(|a| format!("{} 0 R ", form.add(*a))).collect();
    let page = form.add(format!(
        "<< /Type /Page /Parent {tree} 0 R /MediaBox [0 0 595 842] /Contents {content} 0 R \
         /Resources << /Font << /F1 {font} 0 R >> >> /Annots [{numbers}] >>"
    ));
    form.set(tree, format!("<< /Type /Pages /Count 1 /Kids [{page} 0 R] >>"));
    form.set(catalog, format!("<< /Type /Catalog /Pages {tree} 0 R >>"));
    let doc = read(&form.finish(&format!("/Root {catalog} 0 R")), FileKind::Pdf).await.unwrap();
    assert_eq!(
        doc.text,
        "Application\n\nShip: Ketch Marie\nHome port: K\u{f6}ln\nColours: Blue, White\nInsured: Yes\n\
         Arrives at night\nAda: Still true?"
    );
    assert_eq!(doc.spans.iter().map(|s| s.page).collect::<Vec<_>>(), [Some(1)]);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_the_servers_fault() {
    let extractor = Extractor::new("/nonexistent/insighthub", Limits::default());
    let error = extractor.extract_bytes(b"x", FileKind::Text, |_| {}).await.unwrap_err();
    assert_eq!(error.code, ExtractCode::ReaderUnavailable);
    assert!(error.retryable);
}

#[tokio::test]
async fn a_text_over_the_budget_is_refused() {
    let limits = Limits { text_bytes: 1000, input_bytes: 5000, ..Limits::default() };
    let small = Extractor::new(env!("CARGO_BIN_EXE_extract_child"), limits);
    let long = small.extract_bytes("word ".repeat(300), FileKind::Text, |_| {}).await.unwrap_err();
    assert_eq!(long.code, ExtractCode::TooLargeInside);
    let many = small.extract_bytes(pdf::simple(&["word ".repeat(300).as_str()]), FileKind::Pdf, |_| {}).await;
    assert_eq!(many.unwrap_err().code, ExtractCode::TooLargeInside);
    let file = small.extract_bytes("word ".repeat(1001), FileKind::Text, |_| {}).await.unwrap_err();
    assert_eq!(file.code, ExtractCode::TooLarge);
}

#[tokio::test]
async fn the_sample_documents_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let expect = [
        ("how-it-works.pdf", FileKind::Pdf, "How InsightHub works", "heartbeat"),
        ("handbook.pdf", FileKind::Pdf, "The InsightHub handbook", "lighthouse"),
        ("questions.html", FileKind::Html, "Questions people ask", "What happens when my laptop sleeps"),
        ("first-steps.md", FileKind::Markdown, "First steps", "My documents"),
        ("glossary.txt", FileKind::Text, "", "workspace"),
    ];
    for (name, kind, title, holds) in expect {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        assert_eq!(detect(&bytes, name), Ok(kind), "{name}");
        let doc = read(&bytes, kind).await.unwrap_or_else(|e| panic!("{name}: {e:?}"));
        assert_eq!(doc.title.as_deref().unwrap_or_default(), title, "{name}");
        assert!(doc.text.contains(holds), "{name}");
        assert_eq!(doc.warnings, [], "{name}");
    }
}

#[test]
fn the_sample_pdfs_are_what_their_program_makes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    for (name, made) in [("how-it-works.pdf", samples::how_it_works()), ("handbook.pdf", samples::handbook())]
    {
        let again = "run `cargo run -p ingest --example make_documents`";
        assert!(std::fs::read(folder.join(name)).unwrap() == made, "{name}: {again}");
    }
}

#[test]
fn the_rights_by_hand_are_bounded_too() {
    let request = ingest::extract::child::Request::parse(["--kind".into(), "pdf".into()]).unwrap();
    let Rights { memory, cpu, .. } = request.rights;
    assert!(memory <= 1 << 30 && cpu <= 600);
}
