//! Rows of a table as text that can be read row by row: each cell stands behind the name of its column, so that a
//! passage says what its numbers mean wherever the table is cut.

use super::{
    ExtractCode, TableSize,
    draft::{Draft, one_line},
};
use std::collections::HashSet;

/// The cells of a row that hold something, with their columns, in the order of the columns.
pub type Row = Vec<(usize, String)>;

/// Rows that are looked at before it is decided which one holds the names of the columns.
const LOOKED_AT: usize = 20;
/// The name of a column is no longer than this.
const NAME_CHARS: usize = 120;

/// Takes rows and writes them into a draft.
pub struct Table<'d> {
    draft: &'d mut Draft,
    /// The names of the columns, in their order.
    names: Row,
    /// The first rows, until it is known what they are.
    waiting: Vec<Row>,
    decided: bool,
    named_before: bool,
    size: TableSize,
}

impl<'d> Table<'d> {
    pub fn new(draft: &'d mut Draft) -> Self {
        Self {
            draft,
            names: Row::new(),
            waiting: Vec::new(),
            decided: false,
            named_before: false,
            size: TableSize::default(),
        }
    }

    pub fn row(&mut self, mut row: Row) -> Result<(), ExtractCode> {
        for (_, cell) in &mut row {
            if cell.contains(['\n', '\t', '\r']) || cell.contains("  ") {
                *cell = one_line(cell);
            }
        }
        row.retain(|(_, cell)| !cell.trim().is_empty());
        if row.is_empty() {
            return Ok(());
        }
        if self.decided {
            return self.write(&row);
        }
        self.waiting.push(row);
        if self.waiting.len() >= LOOKED_AT { self.decide() } else { Ok(()) }
    }

    /// Blank rows: another table, with names of its own, may follow.
    pub fn gap(&mut self) -> Result<(), ExtractCode> {
        if self.decided || self.waiting.len() > 1 {
            self.decide()?;
            self.decided = false;
            self.named_before = !self.names.is_empty();
        }
        Ok(())
    }

    /// Answers how large it was.
    pub fn finish(mut self) -> Result<TableSize, ExtractCode> {
        self.decide()?;
        Ok(self.size)
    }

    fn decide(&mut self) -> Result<(), ExtractCode> {
        self.decided = true;
        let waiting = std::mem::take(&mut self.waiting);
        let begin = match names_at(&waiting, self.named_before) {
            Some(at) => {
                // A title, a date, a remark above the table.
                for row in &waiting[..at] {
                    let cells: Vec<&str> = row.iter().map(|(_, c)| c.trim()).collect();
                    self.draft.paragraph(&cells.join(" "))?;
                }
                self.names = waiting[at].clone();
                self.size.columns = self.size.columns.max(self.names.len() as u64);
                if waiting.len() == at + 1 {
                    // Names without a row under them are all there is to say.
                    let names = std::mem::take(&mut self.names);
                    return self.write(&names);
                }
                at + 1
            }
            None => 0,
        };
        waiting[begin..].iter().try_for_each(|row| self.write(row))
    }

    fn write(&mut self, row: &Row) -> Result<(), ExtractCode> {
        let mut line = String::new();
        for (column, cell) in row {
            if !line.is_empty() {
                line.push_str("; ");
            }
            if let Ok(at) = self.names.binary_search_by_key(column, |(c, _)| *c) {
                line.push_str(self.names[at].1.trim());
                line.push_str(": ");
            }
            line.push_str(cell.trim());
        }
        self.size = self.size.and(TableSize { columns: row.len() as u64, rows: 1 });
        self.draft.item(0, "-", &line)
    }
}

/// Which row names the columns, if one does. `strict`: there are names already, and only a row that cannot be data
/// takes their place.
fn names_at(rows: &[Row], strict: bool) -> Option<usize> {
    let width = rows.iter().map(Vec::len).max()?;
    // The column of row numbers that some programs write has no name.
    let all_but_first = |row: &Row| row.len() + 1 == width && row[0].0 > 0;
    let at = rows.iter().position(|row| row.len() * 2 > width || all_but_first(row))?;
    let (row, below) = (&rows[at], &rows[at + 1..]);
    if !row.iter().all(|(_, cell)| may_be_name(cell)) {
        return None;
    }
    if row.iter().all(|(_, cell)| is_value(cell)) {
        return None;
    }
    // Words above numbers are names.
    let sure = row.iter().any(|(column, cell)| {
        let cells: Vec<&String> =
            below.iter().filter_map(|r| r.iter().find(|(c, _)| c == column)).map(|(_, c)| c).collect();
        !is_value(cell) && !cells.is_empty() && cells.iter().all(|c| is_value(c))
    });
    let distinct = row.iter().map(|(_, cell)| cell.trim()).collect::<HashSet<_>>().len() == row.len();
    (sure || !strict && distinct && width > 1).then_some(at)
}

fn may_be_name(cell: &str) -> bool {
    let cell = cell.trim();
    let year = cell.len() == 4 && cell.parse::<u16>().is_ok_and(|n| (1800..2200).contains(&n));
    cell.chars().count() <= NAME_CHARS && (year || !is_value(cell))
}

/// A number, an amount, a date, a time: what stands in a column and never above it.
pub fn is_value(cell: &str) -> bool {
    let cell = cell.trim().trim_end_matches('%').trim_matches(['€', '$', '£', '(', ')', ' ']);
    let (mut digits, mut letters) = (0, 0);
    for c in cell.chars() {
        match c {
            _ if c.is_ascii_digit() => digits += 1,
            '.' | ',' | '-' | '+' | '/' | ':' | ' ' | '\u{a0}' | '\'' => {}
            _ => letters += 1,
        }
    }
    // "2024-03-01T12:00Z" and "1.5e-9" hold a letter or two.
    digits > 0 && letters <= 2 && letters < digits && !cell.starts_with(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(rows: &[&[&str]]) -> String {
        let mut draft = Draft::new(1 << 20);
        let mut table = Table::new(&mut draft);
        for row in rows {
            if row.is_empty() {
                table.gap().unwrap();
            }
            table.row(row.iter().enumerate().map(|(i, c)| (i, (*c).to_owned())).collect()).unwrap();
        }
        table.finish().unwrap();
        draft.finish(None, Vec::new()).text
    }

    #[test]
    fn each_row_carries_the_names_of_its_columns() {
        assert_eq!(
            text(&[&["Name", "Price"], &["Pear", "2.50"], &["Fig\ntree", ""], &["", "7"]]),
            "- Name: Pear; Price: 2.50\n- Name: Fig tree\n- Price: 7"
        );
        assert_eq!(
            text(&[&["Country", "2019", "2020"], &["Peru", "1,2", "3"]]),
            "- Country: Peru; 2019: 1,2; 2020: 3"
        );
        assert_eq!(text(&[&["", "Name"], &["0", "Ada"], &["1", "Bob"]]), "- 0; Name: Ada\n- 1; Name: Bob");
    }

    #[test]
    fn what_stands_above_a_table_is_not_taken_for_names() {
        assert_eq!(
            text(&[&["Sales of the year"], &["Shop", "Sum"], &["North", "12"]]),
            "Sales of the year\n\n- Shop: North; Sum: 12"
        );
    }

    #[test]
    fn a_table_without_names_is_left_as_it_is() {
        assert_eq!(text(&[&["1", "2.5"], &["2", "3.5"]]), "- 1; 2.5\n- 2; 3.5");
        assert_eq!(text(&[&["pears"], &["figs"]]), "- pears\n- figs");
        assert_eq!(text(&[&["Name", "Price"]]), "- Name; Price");
        assert_eq!(text(&[&["Weight"], &["12"], &["13"]]), "- Weight: 12\n- Weight: 13");
    }

    #[test]
    fn a_second_table_below_a_gap_has_its_own_names() {
        assert_eq!(
            text(&[&["A", "B"], &["x", "1"], &[], &["C", "D"], &["y", "2"], &[], &["z", "3"]]),
            "- A: x; B: 1\n- C: y; D: 2\n- C: z; D: 3"
        );
    }

    #[test]
    fn numbers_dates_and_amounts_are_values_and_words_are_not() {
        for value in ["12", "-1,234.50", "2024-03-01", "2024-03-01T12:00", "12:30", "5 %", "€ 9", "1.5e9"] {
            assert!(is_value(value), "{value}");
        }
        for word in ["Name", "Q1", "", "2nd place", "n/a", "-", "A4"] {
            assert!(!is_value(word), "{word}");
        }
    }
}
