//! Tables of Word documents. A small one stays a table, a long one is written row by row with the names of its
//! columns, and one that only arranges the page is taken apart.

use super::body::Block;
use crate::extract::{
    ExtractCode,
    draft::{Draft, one_line},
    rows::{Row, Table},
};
use std::collections::BTreeMap;

/// A table no longer than this, in bytes, mostly fits into one passage and is kept as it looks.
const SMALL: usize = 700;
/// A cell longer than this is no cell of a table of facts.
const LONG_CELL: usize = 2000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    None,
    Begins,
    /// It belongs to the cell above.
    GoesOn,
}

pub struct Cell {
    pub column: usize,
    pub span: usize,
    pub merge: Merge,
    pub blocks: Vec<Block>,
}

impl Cell {
    fn text(&self) -> String {
        let texts: Vec<String> = self.blocks.iter().map(|b| one_line(&b.text())).collect();
        texts.iter().filter(|t| !t.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" / ")
    }
}

#[derive(Default)]
pub struct TableText {
    pub rows: Vec<Vec<Cell>>,
}

impl TableText {
    /// On one line, as part of a cell of another table.
    pub fn flat(&self) -> String {
        let rows = self.texts().into_iter().map(|row| {
            row.into_iter().map(|(_, text)| text).filter(|t| !t.is_empty()).collect::<Vec<_>>().join(", ")
        });
        rows.filter(|r| !r.is_empty()).collect::<Vec<_>>().join("; ")
    }

    /// The rows as texts; a cell that goes on has the text of the one above.
    fn texts(&self) -> Vec<Row> {
        let mut above: BTreeMap<usize, String> = BTreeMap::new();
        let mut out = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let mut texts = Row::new();
            for cell in row {
                let text = match cell.merge {
                    Merge::GoesOn => above.get(&cell.column).cloned().unwrap_or_default(),
                    Merge::None | Merge::Begins => cell.text(),
                };
                if cell.merge == Merge::Begins {
                    above.insert(cell.column, text.clone());
                }
                texts.push((cell.column, text));
            }
            out.push(texts);
        }
        out
    }

    pub fn write(&self, draft: &mut Draft) -> Result<(), ExtractCode> {
        let wide = self.rows.iter().any(|row| row.len() > 1);
        let facts = wide
            && self.rows.len() > 1
            && self.rows.iter().flatten().all(|cell| {
                !cell.blocks.iter().any(|b| matches!(b, Block::Heading(..))) && cell.text().len() <= LONG_CELL
            });
        if !facts {
            return self.rows.iter().flatten().flat_map(|c| &c.blocks).try_for_each(|b| b.write(draft));
        }
        let rows = self.texts();
        let bytes: usize = rows.iter().flatten().map(|(_, text)| text.len() + 3).sum();
        if bytes <= SMALL {
            return draft.paragraph(&as_it_looks(&rows));
        }
        let mut table = Table::new(draft);
        for row in rows {
            table.row(row)?;
        }
        table.finish().map(|_| ())
    }
}

/// A table in Markdown, whose first row is its head.
fn as_it_looks(rows: &[Row]) -> String {
    let columns = rows.iter().flatten().map(|(column, _)| column + 1).max().unwrap_or(0);
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        let mut cells = vec![String::new(); columns];
        for (column, text) in row {
            cells[*column] = text.replace('|', "\\|");
        }
        if cells.iter().all(String::is_empty) {
            continue;
        }
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
        if i == 0 {
            out.push_str(&format!("|{}\n", " --- |".repeat(columns)));
        }
    }
    out
}
