//! What was put onto a page after it was made: what was typed into the fields of a form, and remarks. None of it stands in the
//! content of the page. Like all else in an untrusted file it may be circular or endless, so every walk has a budget.

use crate::extract::draft::one_line;
use pdf_extract::{Dictionary, Document, Object, ObjectId, decode_text_string};
use std::collections::HashSet;

/// Fields and remarks of one page that are looked at.
const MOST: usize = 10_000;
/// Fields within fields.
const MOST_STEPS: usize = 16;
/// Nobody sees it.
const HIDDEN: i64 = 1 << 1;
/// A field that shows stars instead of what was typed.
const PASSWORD: i64 = 1 << 13;
/// What people write on a page that is finished: beside it, or about words that they marked.
const REMARKS: [&[u8]; 8] =
    [b"Text", b"FreeText", b"Highlight", b"Underline", b"StrikeOut", b"Squiggly", b"Caret", b"Square"];

/// Each on a line of its own, and each line once. What would go far beyond `most` bytes ends a little behind it.
pub fn on_page(document: &Document, page: ObjectId, most: usize) -> String {
    let mut out = String::new();
    let mut seen = HashSet::new();
    let annotations = document
        .get_dictionary(page)
        .and_then(|page| page.get_deref(b"Annots", document))
        .and_then(Object::as_array);
    let Ok(annotations) = annotations else { return out };
    for annotation in annotations.iter().take(MOST) {
        if out.len() > most {
            break;
        }
        let Ok((_, Object::Dictionary(annotation))) = document.dereference(annotation) else { continue };
        let line = match line(document, annotation) {
            Some(line) if !line.is_empty() && seen.insert(line.clone()) => line,
            _ => continue,
        };
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&line);
    }
    out
}

fn line(document: &Document, annotation: &Dictionary) -> Option<String> {
    let flags = annotation.get_deref(b"F", document).and_then(Object::as_i64).unwrap_or_default();
    if flags & HIDDEN != 0 {
        return None;
    }
    match annotation.get_deref(b"Subtype", document).and_then(Object::as_name).ok()? {
        b"Widget" => field(document, annotation),
        kind if REMARKS.contains(&kind) => {
            let words = words_of(annotation.get_deref(b"Contents", document).ok()?)?;
            // A note names who wrote it; what stands on the page itself is as good as printed there.
            let author = annotation.get_deref(b"T", document).ok().filter(|_| kind != b"FreeText");
            Some(named(author.and_then(words_of), &words))
        }
        _ => None,
    }
}

/// A field with something in it, and what it is called.
fn field(document: &Document, widget: &Dictionary) -> Option<String> {
    let kind = inherited(document, widget, b"FT")?.as_name().ok()?;
    let flags = inherited(document, widget, b"Ff").and_then(|f| f.as_i64().ok()).unwrap_or_default();
    if !matches!(kind, b"Tx" | b"Ch" | b"Btn") || flags & PASSWORD != 0 {
        return None;
    }
    let value = match inherited(document, widget, b"V")? {
        Object::Array(chosen) => chosen.iter().filter_map(words_of).collect::<Vec<_>>().join(", "),
        // A box that was ticked, or the button of a group that was chosen.
        Object::Name(state) if state != b"Off" => one_line(&String::from_utf8_lossy(state)),
        one => words_of(one)?,
    };
    // The name for people before the one for programs.
    let mut names = [b"TU".as_slice(), b"T"].into_iter();
    let name = names.find_map(|key| words_of(inherited(document, widget, key)?));
    if value.is_empty() { None } else { Some(named(name, &value)) }
}

fn named(name: Option<String>, words: &str) -> String {
    match name {
        Some(name) if !words.is_empty() => format!("{name}: {words}"),
        _ => words.to_owned(),
    }
}

/// Of the field itself, or of the one that it is a part of.
fn inherited<'d>(document: &'d Document, field: &'d Dictionary, key: &[u8]) -> Option<&'d Object> {
    let mut at = field;
    for _ in 0..MOST_STEPS {
        if let Ok(found) = at.get_deref(key, document) {
            return Some(found);
        }
        at = at.get_deref(b"Parent", document).ok()?.as_dict().ok()?;
    }
    None
}

/// On one line; `None` when it is no text, or an empty one.
fn words_of(object: &Object) -> Option<String> {
    let bytes = object.as_str().ok()?;
    let is_unicode = bytes.starts_with(b"\xfe\xff") || bytes.starts_with(b"\xef\xbb\xbf");
    // The table of the other encoding has no ends of lines, and the words beside one would become one word.
    let parted = |b: &u8| if b.is_ascii_whitespace() { b' ' } else { *b };
    let bytes: Vec<u8> = if is_unicode { bytes.to_vec() } else { bytes.iter().map(parted).collect() };
    let text = decode_text_string(&Object::string_literal(bytes)).ok()?;
    Some(one_line(&text)).filter(|text| !text.is_empty())
}
