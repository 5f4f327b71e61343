//! PDF: the text of each page, cleaned, with the headings of the document's own table of contents.
//!
//! The parser may panic, loop or ask for any amount of memory on a hostile file. Panics are caught page by page; for
//! the rest this code must only ever run inside the confined child process.

mod clean;
mod contents;
mod fonts;
mod rebuild;
mod typed;

use super::{ExtractCode, ExtractedText, Span, Warning, meter};
use pdf_extract::{
    ColorSpace, Dictionary, Document, MediaBox, Object, ObjectId, OutputDev, OutputError, Path,
    PlainTextOutput, Transform,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A document that claims more pages than this is not one that people read.
const MAX_PAGES: usize = 100_000;

/// Reads a PDF. `max_text` bounds the text in bytes; `page_done` is told (done, total) after each page, and before
/// the first.
pub fn read(
    bytes: &[u8],
    max_text: usize,
    page_done: &mut dyn FnMut(u32, u32),
) -> Result<ExtractedText, ExtractCode> {
    let Loaded { mut document, pages, repaired } = load(bytes)?;
    if pages.len() > MAX_PAGES {
        return Err(ExtractCode::TooLargeInside);
    }
    meter::stage();
    let headings = caught(|| contents::headings(&document, &pages)).unwrap_or_default();
    let title = caught(|| info_title(&document)).flatten();
    let made_with = caught(|| info_program(&document)).flatten();

    let total = pages.len() as u32;
    page_done(0, total);
    let mut raw: Vec<Option<String>> = Vec::with_capacity(pages.len());
    let mut left = max_text;
    show_pages_one_at_a_time(&mut document);
    // What is half done when this fails is still a document.
    let _ = caught(|| fonts::lighten(&mut document));
    for (i, page) in pages.iter().enumerate() {
        let mut text = page_text(&mut document, *page, left)?;
        left -= text.as_ref().map_or(0, String::len).min(left);
        if let Some(text) = &mut text {
            let typed = caught(|| typed::on_page(&document, *page, left)).unwrap_or_default();
            left = left.checked_sub(typed.len()).ok_or(ExtractCode::TooLargeInside)?;
            if !typed.is_empty() {
                text.push_str("\n\n");
                text.push_str(&typed);
            }
        }
        raw.push(text);
        page_done(i as u32 + 1, total);
    }
    meter::stage();
    let mut text = assemble(&raw, &headings, title)?;
    text.made_with = made_with;
    if repaired {
        let message = "The file is damaged; what is left of it was read. Parts may be missing.";
        text.warnings.insert(0, Warning::new("damaged", message));
    }
    Ok(text)
}

struct Loaded {
    document: Document,
    pages: Vec<ObjectId>,
    /// Its table of objects was of no use.
    repaired: bool,
}

fn load(bytes: &[u8]) -> Result<Loaded, ExtractCode> {
    let as_it_is = open(bytes).and_then(|document| {
        let pages: Vec<ObjectId> = document.page_iter().take(MAX_PAGES + 1).collect();
        if pages.is_empty() {
            Err(ExtractCode::Unreadable)
        } else {
            Ok(Loaded { document, pages, repaired: false })
        }
    });
    match as_it_is {
        Err(ExtractCode::Unreadable) => repair(bytes).ok_or(if rebuild::speaks_of_encryption(bytes) {
            // What is wrong cannot be told without the password.
            ExtractCode::PdfEncrypted
        } else {
            ExtractCode::Unreadable
        }),
        other => other,
    }
}

fn repair(bytes: &[u8]) -> Option<Loaded> {
    meter::stage();
    let again = rebuild::with_new_table(bytes)?;
    meter::stage();
    let document = open(&again).ok()?;
    let mut pages: Vec<ObjectId> = document.page_iter().take(MAX_PAGES + 1).collect();
    if pages.is_empty() {
        pages = rebuild::loose_pages(&document);
    }
    (!pages.is_empty()).then_some(Loaded { document, pages, repaired: true })
}

fn open(bytes: &[u8]) -> Result<Document, ExtractCode> {
    let mut document =
        caught(|| Document::load_mem(bytes)).ok_or(ExtractCode::Unreadable)?.map_err(|e| code_of(&e))?;
    if document.is_encrypted() {
        // Many files are "encrypted" with the empty password, to forbid printing; those open for everyone.
        caught(|| document.decrypt(""))
            .ok_or(ExtractCode::PdfEncrypted)?
            .map_err(|_| ExtractCode::PdfEncrypted)?;
    }
    Ok(document)
}

fn code_of(error: &pdf_extract::Error) -> ExtractCode {
    match error {
        pdf_extract::Error::Decryption(_)
        | pdf_extract::Error::InvalidPassword
        | pdf_extract::Error::UnsupportedSecurityHandler(_) => ExtractCode::PdfEncrypted,
        _ => ExtractCode::Unreadable,
    }
}

/// Runs what may panic on a hostile file. `None`: it did. What it worked on is read only afterwards, and a
/// half-finished page is dropped, so nothing broken is seen.
fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

const SHOWN: ObjectId = (u32::MAX, 0);
const ROOT: ObjectId = (u32::MAX - 1, 0);

/// The extractor walks the whole page tree for each page it is asked for. A root with a single child makes that walk
/// one step long, and one page's failure cannot touch the next. Pages inherit through `Parent`, which stays.
fn show_pages_one_at_a_time(document: &mut Document) {
    if document.catalog().is_err() {
        // A repaired file whose root is lost.
        document.objects.insert(ROOT, Object::Dictionary(Dictionary::new()));
        document.trailer.set("Root", Object::Reference(ROOT));
    }
    if let Ok(catalog) = document.catalog_mut() {
        catalog.set("Pages", Object::Reference(SHOWN));
    }
}

/// `Ok(None)`: this page cannot be read.
fn page_text(document: &mut Document, page: ObjectId, max: usize) -> Result<Option<String>, ExtractCode> {
    let mut root = Dictionary::new();
    root.set("Type", Object::Name(b"Pages".to_vec()));
    root.set("Kids", Object::Array(vec![Object::Reference(page)]));
    root.set("Count", Object::Integer(1));
    document.objects.insert(SHOWN, Object::Dictionary(root));

    let mut text = String::new();
    let mut full = false;
    let result = caught(|| {
        let mut output = Bounded { inner: PlainTextOutput::new(&mut text), left: max, full: &mut full };
        pdf_extract::output_doc_page(document, &mut output, 1)
    });
    if full {
        return Err(ExtractCode::TooLargeInside);
    }
    Ok(match result {
        Some(Ok(())) => Some(text),
        Some(Err(_)) | None => None,
    })
}

/// Counts what is written, and stops at the budget.
struct Bounded<'a> {
    inner: PlainTextOutput<&'a mut String>,
    left: usize,
    full: &'a mut bool,
}

impl OutputDev for Bounded<'_> {
    fn begin_page(
        &mut self,
        number: u32,
        media: &MediaBox,
        art: Option<(f64, f64, f64, f64)>,
    ) -> Result<(), OutputError> {
        self.inner.begin_page(number, media, art)
    }

    fn end_page(&mut self) -> Result<(), OutputError> {
        self.inner.end_page()
    }

    fn output_character(
        &mut self,
        trm: &Transform,
        width: f64,
        spacing: f64,
        font_size: f64,
        char: &str,
    ) -> Result<(), OutputError> {
        // Three more: at most two line ends and a space go before a character.
        match self.left.checked_sub(char.len() + 3) {
            Some(left) => self.left = left,
            None => {
                *self.full = true;
                return Err(OutputError::FormatError(std::fmt::Error));
            }
        }
        self.inner.output_character(trm, width, spacing, font_size, char)
    }

    fn begin_word(&mut self) -> Result<(), OutputError> {
        self.inner.begin_word()
    }

    fn end_word(&mut self) -> Result<(), OutputError> {
        self.inner.end_word()
    }

    fn end_line(&mut self) -> Result<(), OutputError> {
        self.inner.end_line()
    }

    fn stroke(&mut self, _: &Transform, _: &ColorSpace, _: &[f64], _: &Path) -> Result<(), OutputError> {
        Ok(())
    }

    fn fill(&mut self, _: &Transform, _: &ColorSpace, _: &[f64], _: &Path) -> Result<(), OutputError> {
        Ok(())
    }
}

fn info(document: &Document, name: &[u8]) -> Option<String> {
    let info = document.trailer.get_deref(b"Info", document).ok()?.as_dict().ok()?;
    let value = pdf_extract::decode_text_string(info.get_deref(name, document).ok()?).ok()?;
    Some(super::outline::shown(&value))
}

/// The program in which it was written, or else the one that made a PDF of it.
fn info_program(document: &Document) -> Option<String> {
    let named = |name| info(document, name).filter(|program| program.chars().any(char::is_alphabetic));
    named(b"Creator").or_else(|| named(b"Producer"))
}

fn info_title(document: &Document) -> Option<String> {
    let title = info(document, b"Title")?;
    // What programs put there when nobody gave a title.
    let junk = title.is_empty()
        || title.eq_ignore_ascii_case("untitled")
        || title.starts_with("Microsoft Word - ")
        || !title.chars().any(char::is_alphabetic);
    (!junk).then_some(title)
}

/// Joins the pages, notes where each begins, and says what is missing.
fn assemble(
    raw: &[Option<String>],
    headings: &[contents::Entry],
    title: Option<String>,
) -> Result<ExtractedText, ExtractCode> {
    let words = clean::Words::of(raw.iter().flatten());
    let mut out = ExtractedText { title, ..ExtractedText::default() };
    let (mut unreadable, mut blank) = (Vec::new(), Vec::new());
    // The section that goes on from the page before.
    let mut current: Option<&str> = None;
    for (i, page) in raw.iter().enumerate() {
        let number = i as u32 + 1;
        let from = headings.partition_point(|e| e.page < number);
        let here = &headings[from..headings.partition_point(|e| e.page <= number)];
        // Where on the page a section begins is not known: the whole page takes the first one, the next the last.
        let heading = here.first().map(|e| e.title.as_str()).or(current).map(str::to_owned);
        current = here.last().map(|e| e.title.as_str()).or(current);
        let Some(page) = page else {
            unreadable.push(number);
            continue;
        };
        let text = clean::page(page, &words);
        if text.is_empty() {
            blank.push(number);
            continue;
        }
        if !out.text.is_empty() {
            out.text.push_str("\n\n");
        }
        let start = out.text.len();
        out.text.push_str(&text);
        out.spans.push(Span { start, end: out.text.len(), page: Some(number), heading });
    }
    if out.is_blank() {
        return Err(if unreadable.len() == raw.len() {
            ExtractCode::Unreadable
        } else {
            ExtractCode::NoText
        });
    }
    if !unreadable.is_empty() {
        out.warnings
            .push(Warning::new("pages_unreadable", format!("{} could not be read.", pages(&unreadable))));
    }
    if !blank.is_empty() {
        let verb = if blank.len() == 1 { "holds" } else { "hold" };
        let hint = if blank.len() * 2 > raw.len() {
            " They may be scans, which need text recognition (OCR)."
        } else {
            ""
        };
        out.warnings
            .push(Warning::new("pages_without_text", format!("{} {verb} no text.{hint}", pages(&blank))));
    }
    Ok(out)
}

/// `Page 14`, or `Pages 3, 5–9 and 12`; only a list that nobody would go through is cut short.
fn pages(numbers: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &n in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => ranges.push((n, n)),
        }
    }
    const SHOWN_RANGES: usize = 100;
    let hidden: u32 = ranges.iter().skip(SHOWN_RANGES).map(|(a, b)| b - a + 1).sum();
    let mut parts: Vec<String> = ranges
        .iter()
        .take(SHOWN_RANGES)
        .map(|(a, b)| if a == b { a.to_string() } else { format!("{a}–{b}") })
        .collect();
    if hidden > 0 {
        parts.push(format!("{hidden} more"));
    }
    let noun = if numbers.len() == 1 { "Page" } else { "Pages" };
    match parts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{noun} {} and {last}", rest.join(", ")),
        _ => format!("{noun} {}", parts.concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(pages: &[&str]) -> Vec<Option<String>> {
        pages.iter().map(|p| Some((*p).to_owned())).collect()
    }

    fn entry(page: u32, title: &str) -> contents::Entry {
        contents::Entry { page, title: title.to_owned() }
    }

    #[test]
    fn page_numbers_are_listed_as_people_write_them() {
        assert_eq!(pages(&[14]), "Page 14");
        assert_eq!(pages(&[3, 5, 6, 7, 12]), "Pages 3, 5–7 and 12");
        let odd: Vec<u32> = (0..20).map(|i| i * 2 + 1).collect();
        assert_eq!(
            pages(&odd),
            "Pages 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31, 33, 35, 37 and 39"
        );
        let many: Vec<u32> = (0..300).map(|i| i * 2 + 1).collect();
        assert!(pages(&many).ends_with(", 197, 199 and 200 more"), "{}", pages(&many));
    }

    #[test]
    fn each_page_knows_its_place_and_its_section() {
        let headings = [entry(2, "One"), entry(4, "Two"), entry(4, "Two and a half")];
        let doc = assemble(&raw(&["cover", "one", "one more", "two", "after"]), &headings, None).unwrap();
        let seen: Vec<_> = doc.spans.iter().map(|s| (s.page, s.heading.as_deref())).collect();
        assert_eq!(
            seen,
            [
                (Some(1), None),
                (Some(2), Some("One")),
                (Some(3), Some("One")),
                (Some(4), Some("Two")),
                (Some(5), Some("Two and a half"))
            ]
        );
        assert!(doc.spans.iter().all(|s| !doc.text[s.start..s.end].is_empty()));
        assert_eq!(&doc.text[doc.spans[2].start..doc.spans[2].end], "one more");
    }

    #[test]
    fn pages_that_fail_are_warnings_and_all_of_them_an_error() {
        let some = [Some("words".to_owned()), None, Some(String::new())];
        let doc = assemble(&some, &[], None).unwrap();
        let messages: Vec<_> = doc.warnings.iter().map(|w| w.message.as_str()).collect();
        assert_eq!(messages, ["Page 2 could not be read.", "Page 3 holds no text."]);
        assert_eq!(assemble(&[None, None], &[], None).unwrap_err(), ExtractCode::Unreadable);
        assert_eq!(assemble(&raw(&["", " \n"]), &[], None).unwrap_err(), ExtractCode::NoText);
    }
}
