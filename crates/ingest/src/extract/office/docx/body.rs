//! The body of a Word document, from its elements to blocks of text.

use super::{
    numbering::{Mark, Numbering},
    styles::Styles,
    table::{Cell, Merge, TableText},
};
use crate::extract::{
    ExtractCode,
    draft::{Draft, one_line},
    office::xml::{self, Piece, Tag},
};

/// Text that a reader of the document does not see: deleted, moved away, formulas of fields, how things looked before
/// a change, and the second form of what stands there twice.
pub const SKIPPED: [&str; 12] = [
    "del",
    "moveFrom",
    "instrText",
    "delText",
    "Fallback",
    "pPrChange",
    "rPrChange",
    "tblPrChange",
    "trPrChange",
    "tcPrChange",
    "sectPrChange",
    "rt",
];

pub enum Block {
    Heading(usize, String),
    Item(usize, String, String),
    Paragraph(String),
}

impl Block {
    pub fn text(&self) -> String {
        match self {
            Self::Heading(_, text) | Self::Paragraph(text) => text.clone(),
            Self::Item(_, mark, text) if mark == "-" => text.clone(),
            Self::Item(_, mark, text) => format!("{mark} {text}"),
        }
    }

    pub fn write(&self, draft: &mut Draft) -> Result<(), ExtractCode> {
        match self {
            Self::Heading(level, text) => draft.heading(*level, text),
            Self::Item(depth, mark, text) => draft.item(*depth, mark, text),
            Self::Paragraph(text) => draft.paragraph(text),
        }
    }
}

/// What else was found.
pub struct Found {
    /// Footnotes and endnotes in the order in which they are referred to: which of the two, and the id.
    pub notes: Vec<(&'static str, String)>,
    /// What is set as the title, or the first heading.
    pub title: Option<String>,
}

pub fn read(
    text: &str,
    styles: &Styles,
    numbering: &mut Numbering,
    draft: &mut Draft,
) -> Result<Found, ExtractCode> {
    let mut body = Body {
        styles,
        numbering,
        draft,
        paragraphs: Vec::new(),
        tables: Vec::new(),
        found: Found { notes: Vec::new(), title: None },
        skipped: 0,
        in_properties: 0,
        in_text: false,
        hidden: false,
        titled: false,
    };
    xml::walk(text, &mut |piece| match piece {
        Piece::Open(name, tag) => {
            body.open(name, &tag);
            Ok(())
        }
        Piece::Close(name) => body.close(name),
        Piece::Text(text) => {
            body.text(&text);
            Ok(())
        }
    })?;
    let mut found = body.found;
    if found.title.is_none() {
        found.title = draft.first_heading().map(str::to_owned);
    }
    Ok(found)
}

#[derive(Default)]
struct Paragraph {
    text: String,
    style: Option<String>,
    list: Option<String>,
    level: Option<usize>,
    outline: Option<usize>,
}

struct Body<'s> {
    styles: &'s Styles,
    numbering: &'s mut Numbering,
    draft: &'s mut Draft,
    /// Those that are open: a text box stands inside a paragraph.
    paragraphs: Vec<Paragraph>,
    tables: Vec<TableText>,
    found: Found,
    /// Open elements since the one that is not read.
    skipped: usize,
    in_properties: usize,
    in_text: bool,
    hidden: bool,
    titled: bool,
}

impl Body<'_> {
    fn open(&mut self, name: &str, tag: &Tag<'_>) {
        if self.skipped > 0 || SKIPPED.contains(&name) {
            self.skipped += 1;
            return;
        }
        match name {
            "p" => self.paragraphs.push(Paragraph::default()),
            "pPr" => self.in_properties += 1,
            "r" => self.hidden = false,
            "tbl" => self.tables.push(TableText::default()),
            _ if self.in_properties > 0 => self.property(name, tag),
            "t" => self.in_text = true,
            "vanish" => self.hidden = tag.is_on(),
            "tab" | "ptab" => self.push(" "),
            "br" | "cr" => self.push("\n"),
            "noBreakHyphen" => self.push("-"),
            "footnoteReference" => self.note("footnote", tag),
            "endnoteReference" => self.note("endnote", tag),
            _ => self.table_part(name, tag),
        }
    }

    fn property(&mut self, name: &str, tag: &Tag<'_>) {
        let Some(paragraph) = self.paragraphs.last_mut() else { return };
        let number = || tag.val().and_then(|v| v.parse().ok());
        match name {
            "pStyle" => paragraph.style = tag.val(),
            "numId" => paragraph.list = tag.val(),
            "ilvl" => paragraph.level = number(),
            "outlineLvl" => paragraph.outline = number(),
            _ => {}
        }
    }

    fn table_part(&mut self, name: &str, tag: &Tag<'_>) {
        let Some(table) = self.tables.last_mut() else { return };
        match name {
            "tr" => table.rows.push(Vec::new()),
            "tc" => {
                if let Some(row) = table.rows.last_mut() {
                    let column = row.last().map_or(0, |cell| cell.column.saturating_add(cell.span));
                    row.push(Cell { column, span: 1, merge: Merge::None, blocks: Vec::new() });
                }
            }
            "gridSpan" | "vMerge" => {
                let Some(cell) = table.rows.last_mut().and_then(|row| row.last_mut()) else { return };
                match (name, tag.val()) {
                    ("gridSpan", span) => {
                        cell.span = span.and_then(|v| v.parse().ok()).unwrap_or(1).clamp(1, 64);
                    }
                    (_, Some(merge)) if merge == "restart" => cell.merge = Merge::Begins,
                    _ => cell.merge = Merge::GoesOn,
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str) -> Result<(), ExtractCode> {
        if self.skipped > 0 {
            self.skipped -= 1;
            return Ok(());
        }
        match name {
            "t" => self.in_text = false,
            "pPr" => self.in_properties = self.in_properties.saturating_sub(1),
            "p" => {
                if let Some(block) = self.paragraphs.pop().and_then(|p| self.block(p)) {
                    return self.place(block);
                }
            }
            "tbl" => {
                if let Some(table) = self.tables.pop() {
                    if self.tables.is_empty() {
                        return table.write(self.draft);
                    }
                    return self.place(Block::Paragraph(table.flat()));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if self.in_text && self.skipped == 0 {
            self.push(text);
        }
    }

    fn push(&mut self, text: &str) {
        if let Some(paragraph) = self.paragraphs.last_mut().filter(|_| !self.hidden) {
            paragraph.text.extend(text.chars().filter(|c| !matches!(c, '\u{ad}' | '\u{200b}' | '\u{feff}')));
        }
    }

    fn note(&mut self, kind: &'static str, tag: &Tag<'_>) {
        if let Some(id) = tag.attribute("id").filter(|_| !self.hidden) {
            self.found.notes.push((kind, id));
            self.push(&format!("[^{}]", self.found.notes.len()));
        }
    }

    fn block(&mut self, paragraph: Paragraph) -> Option<Block> {
        let style = paragraph.style.as_deref().unwrap_or_default();
        if self.styles.is_contents(style) {
            return None;
        }
        let heading = match paragraph.outline {
            Some(level) => (level < 9).then_some(level + 1),
            None => self.styles.heading(style),
        };
        // What is said of the paragraph counts before what is said of its style.
        let of_style = self.styles.list(style);
        let list = paragraph.list.clone().or_else(|| of_style.map(|(id, _)| id.to_owned()));
        let list = list.filter(|id| id != "0" && !id.is_empty());
        let depth = paragraph.level.or(of_style.map(|(_, level)| level)).unwrap_or(0);
        if paragraph.text.trim().is_empty() {
            return None;
        }
        let mark = list.map(|id| self.numbering.next(&id, depth));
        let text = lines(&paragraph.text);
        Some(match (heading, mark) {
            (Some(level), mark) => {
                let text = match mark {
                    Some(Mark::Number(number)) => format!("{number} {}", one_line(&text)),
                    _ => one_line(&text),
                };
                if self.styles.is_title(style) && !self.titled {
                    self.titled = true;
                    self.found.title = Some(crate::extract::outline::shown(&text));
                }
                Block::Heading(level, text)
            }
            (None, Some(Mark::Bullet)) => Block::Item(depth.min(8), "-".to_owned(), one_line(&text)),
            (None, Some(Mark::Number(number))) => Block::Item(depth.min(8), number, one_line(&text)),
            (None, Some(Mark::None) | None) => Block::Paragraph(text),
        })
    }

    fn place(&mut self, block: Block) -> Result<(), ExtractCode> {
        let cell = self.tables.last_mut().and_then(|t| t.rows.last_mut()).and_then(|row| row.last_mut());
        match cell {
            Some(cell) => {
                cell.blocks.push(block);
                Ok(())
            }
            None => block.write(self.draft),
        }
    }
}

/// Without runs of space and without space at the ends of lines.
fn lines(text: &str) -> String {
    text.lines().map(one_line).collect::<Vec<_>>().join("\n")
}
