//! Word documents: paragraphs with their headings, lists with their numbers, tables, notes and comments.

mod body;
mod notes;
mod numbering;
mod styles;
mod table;

use super::package::Package;
use crate::extract::{ExtractCode, ExtractedText, draft::Draft};
use notes::Note;
use numbering::Numbering;
use styles::Styles;

pub fn read(bytes: &[u8], most: usize) -> Result<ExtractedText, ExtractCode> {
    let mut package = Package::open(bytes)?;
    let main = package
        .relations("")?
        .into_iter()
        .find(|r| r.kind == "officeDocument")
        .map_or_else(|| "word/document.xml".to_owned(), |r| r.target);
    let document = package.part(&main)?.ok_or(ExtractCode::Unreadable)?;
    let relations = package.relations(&main)?;
    let mut related = |kind: &str| match relations.iter().find(|r| r.kind == kind) {
        Some(relation) => package.part(&relation.target),
        None => Ok(None),
    };
    let styles = related("styles")?.map(|xml| Styles::read(&xml)).transpose()?.unwrap_or_default();
    let mut numbering =
        related("numbering")?.map(|xml| Numbering::read(&xml)).transpose()?.unwrap_or_default();
    let mut notes = |kind: &str, element: &str| -> Result<Vec<Note>, ExtractCode> {
        related(kind)?.map_or_else(|| Ok(Vec::new()), |xml| notes::read(&xml, element))
    };
    let footnotes = notes("footnotes", "footnote")?;
    let endnotes = notes("endnotes", "endnote")?;
    let comments = notes("comments", "comment")?;

    let mut draft = Draft::new(most);
    let found = body::read(&document, &styles, &mut numbering, &mut draft)?;
    for (number, (kind, id)) in found.notes.iter().enumerate() {
        let list = if *kind == "footnote" { &footnotes } else { &endnotes };
        if let Some(note) = list.iter().find(|n| n.id == *id) {
            draft.paragraph(&format!("[^{}]: {}", number + 1, note.text))?;
        }
    }
    if comments.iter().any(|c| !c.text.is_empty()) {
        draft.heading(1, "Comments")?;
        for comment in &comments {
            let text = match comment.author.as_str() {
                "" => comment.text.clone(),
                author => format!("{author}: {}", comment.text),
            };
            draft.item(0, "-", if comment.text.is_empty() { "" } else { &text })?;
        }
    }
    let title = package.title()?.or(found.title);
    let made_with = package.program()?;
    Ok(ExtractedText { made_with, ..draft.finish(title, Vec::new()) })
}
