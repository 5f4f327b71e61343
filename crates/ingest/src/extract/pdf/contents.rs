//! The table of contents (the "outline") of a PDF: which section begins on which page.
//!
//! An outline is a web of references in an untrusted file: it may be circular, endless or dangling. Every walk here
//! has a budget, and what cannot be followed is left out.

use super::super::outline::shown;
use pdf_extract::{Dictionary, Document, Object, ObjectId, decode_text_string};
use std::collections::{HashMap, HashSet};

/// Entries and name-tree nodes that are looked at in all.
const BUDGET: usize = 20_000;

/// A section and the page, from 1, on which it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub page: u32,
    pub title: String,
}

/// The sections in the order of their pages.
pub fn headings(document: &Document, pages: &[ObjectId]) -> Vec<Entry> {
    let Ok(catalog) = document.catalog() else { return Vec::new() };
    let numbers: HashMap<ObjectId, u32> =
        pages.iter().enumerate().map(|(i, id)| (*id, i as u32 + 1)).collect();
    let Some(first) = dict(document, catalog, b"Outlines").and_then(|o| reference(o, b"First")) else {
        return Vec::new();
    };
    let names = Names::of(document, catalog);
    let mut out = Vec::new();
    let mut seen = HashSet::new();
    // Depth first, children before the next sibling, without recursion.
    let mut stack = vec![first];
    while let Some(id) = stack.pop() {
        if seen.len() >= BUDGET || !seen.insert(id) {
            continue;
        }
        let Ok(node) = document.get_dictionary(id) else { continue };
        stack.extend(reference(node, b"Next"));
        stack.extend(reference(node, b"First"));
        let title = node.get_deref(b"Title", document).ok().and_then(|t| decode_text_string(t).ok());
        let page = target(document, node, &names).and_then(|page| numbers.get(&page).copied());
        if let (Some(title), Some(page)) = (title, page) {
            let title = shown(&title);
            if !title.is_empty() {
                out.push(Entry { page, title });
            }
        }
    }
    // Stable: sections on one page stay in their order.
    out.sort_by_key(|e| e.page);
    out
}

fn reference(dict: &Dictionary, key: &[u8]) -> Option<ObjectId> {
    dict.get(key).ok()?.as_reference().ok()
}

fn dict<'a>(document: &'a Document, parent: &'a Dictionary, key: &[u8]) -> Option<&'a Dictionary> {
    parent.get_deref(key, document).ok()?.as_dict().ok()
}

/// The page that an entry leads to, directly or through an action, by reference or by name.
fn target(document: &Document, node: &Dictionary, names: &Names) -> Option<ObjectId> {
    let destination = match node.get_deref(b"Dest", document) {
        Ok(destination) => destination,
        Err(_) => dict(document, node, b"A")?.get_deref(b"D", document).ok()?,
    };
    match destination {
        Object::String(name, _) | Object::Name(name) => names.pages.get(name).copied(),
        other => page_of(document, other),
    }
}

/// `[page /XYZ …]`, or a dictionary that holds such an array.
fn page_of(document: &Document, destination: &Object) -> Option<ObjectId> {
    let array = match destination {
        Object::Array(array) => array,
        Object::Dictionary(d) => d.get_deref(b"D", document).ok()?.as_array().ok()?,
        _ => return None,
    };
    array.first()?.as_reference().ok()
}

/// Named destinations: the tree of PDF 1.2 and the plain dictionary of PDF 1.1.
struct Names {
    pages: HashMap<Vec<u8>, ObjectId>,
}

impl Names {
    fn of(document: &Document, catalog: &Dictionary) -> Self {
        let mut pages = HashMap::new();
        if let Some(old) = dict(document, catalog, b"Dests") {
            for (name, value) in old.iter().take(BUDGET) {
                let value = document.dereference(value).map(|(_, v)| v);
                if let Some(page) = value.ok().and_then(|v| page_of(document, v)) {
                    pages.insert(name.clone(), page);
                }
            }
        }
        let mut stack: Vec<&Dictionary> =
            dict(document, catalog, b"Names").and_then(|n| dict(document, n, b"Dests")).into_iter().collect();
        let mut visited = 0;
        while let Some(node) = stack.pop() {
            visited += 1;
            if visited > BUDGET || pages.len() > 10 * BUDGET {
                break;
            }
            if let Ok(kids) = node.get_deref(b"Kids", document).and_then(Object::as_array) {
                let room = BUDGET.saturating_sub(stack.len());
                stack.extend(
                    kids.iter().take(room).filter_map(|k| document.dereference(k).ok()?.1.as_dict().ok()),
                );
            }
            if let Ok(pairs) = node.get_deref(b"Names", document).and_then(Object::as_array) {
                for pair in pairs.chunks_exact(2) {
                    let name = pair[0].as_str().ok();
                    let page = document.dereference(&pair[1]).ok().and_then(|(_, v)| page_of(document, v));
                    if let (Some(name), Some(page)) = (name, page) {
                        pages.insert(name.to_vec(), page);
                    }
                }
            }
        }
        Self { pages }
    }
}
