//! Footnotes, endnotes and comments: small texts that stand in parts of their own.

use super::body::SKIPPED;
use crate::extract::{
    ExtractCode,
    draft::one_line,
    office::xml::{self, Piece},
};

pub struct Note {
    pub id: String,
    /// Empty where nobody is named.
    pub author: String,
    /// On one line.
    pub text: String,
}

/// The notes in a part, which stand in elements of that name.
pub fn read(text: &str, element: &str) -> Result<Vec<Note>, ExtractCode> {
    let (mut notes, mut open): (Vec<Note>, Option<Note>) = (Vec::new(), None);
    let (mut inside, mut skipped) = (false, 0_usize);
    xml::walk(text, &mut |piece| {
        match piece {
            Piece::Open(name, _) if skipped > 0 || SKIPPED.contains(&name) => skipped += 1,
            Piece::Close(_) if skipped > 0 => skipped -= 1,
            Piece::Open(name, tag) if name == element => {
                // The lines above the notes are stored as notes too, with a type.
                let proper = tag.attribute("type").is_none_or(|t| t == "normal");
                open = tag.attribute("id").filter(|_| proper).map(|id| Note {
                    id,
                    author: one_line(&tag.attribute("author").unwrap_or_default()),
                    text: String::new(),
                });
            }
            Piece::Close(name) if name == element => notes.extend(open.take().map(|mut note| {
                note.text = one_line(&note.text);
                note
            })),
            Piece::Open(name, _) => {
                inside = name == "t";
                let sign = match name {
                    "tab" | "ptab" | "br" | "cr" => Some(' '),
                    "noBreakHyphen" => Some('-'),
                    _ => None,
                };
                if let (Some(sign), Some(note)) = (sign, &mut open) {
                    note.text.push(sign);
                }
            }
            Piece::Close(name) => {
                inside = false;
                if let ("p", Some(note)) = (name, &mut open) {
                    note.text.push(' ');
                }
            }
            Piece::Text(text) => {
                if let (true, 0, Some(note)) = (inside, skipped, &mut open) {
                    note.text.push_str(&text);
                }
            }
        }
        Ok(())
    })?;
    Ok(notes)
}
