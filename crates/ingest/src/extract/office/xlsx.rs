//! Excel workbooks: a heading for each sheet, a line for each row with the names of its columns.

use super::package::Package;
use crate::extract::{
    ExtractCode, ExtractedText, TableSize, Warning,
    draft::Draft,
    meter,
    rows::{Row, Table},
};
use calamine::{DataRef, ExcelDateTime, Reader, SheetType, Xlsx, XlsxCellReader, XlsxError};
use std::io::Cursor;

/// Cells that hold something, in the whole workbook.
pub const MOST_CELLS: usize = 1_000_000;
/// One cell, in bytes. Excel itself ends at 32,767 characters.
const MOST_CELL: usize = 128 * 1024;

pub fn read(bytes: &[u8], most: usize) -> Result<ExtractedText, ExtractCode> {
    let mut package = Package::open(bytes)?;
    // What follows unpacks the same parts without a budget of its own.
    package.check(|name| name.ends_with(".xml") || name.ends_with(".rels"))?;
    let title = package.title()?;
    let made_with = package.program()?;
    drop(package);
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|e| code_of(&e))?;
    let sheets: Vec<String> = book
        .sheets_metadata()
        .iter()
        .filter(|s| s.typ == SheetType::WorkSheet)
        .map(|s| s.name.clone())
        .collect();
    meter::stage();
    let mut draft = Draft::new(most);
    let (mut broken, mut cells, mut size) = (Vec::new(), 0, TableSize::default());
    for name in &sheets {
        let mut reader = match book.worksheet_cells_reader(name) {
            Ok(reader) => reader,
            Err(XlsxError::NotAWorksheet(_)) => continue,
            Err(_) => {
                broken.push(name.as_str());
                continue;
            }
        };
        draft.heading(1, name)?;
        let (found, whole) = sheet(&mut reader, &mut draft, &mut cells)?;
        size = size.and(found);
        if !whole {
            broken.push(name.as_str());
        }
    }
    if !broken.is_empty() && broken.len() == sheets.len() {
        return Err(ExtractCode::Unreadable);
    }
    // The names of the sheets alone are no text.
    if cells == 0 {
        return Err(ExtractCode::NoText);
    }
    let warnings = broken
        .iter()
        .map(|name| Warning::new("sheets_unreadable", format!("The sheet “{name}” could not be read whole.")))
        .collect();
    Ok(ExtractedText { table: Some(size), made_with, ..draft.finish(title, warnings) })
}

/// How large the sheet is; `false`: it broke off.
fn sheet(
    reader: &mut XlsxCellReader<'_, Cursor<&[u8]>>,
    draft: &mut Draft,
    cells: &mut usize,
) -> Result<(TableSize, bool), ExtractCode> {
    let percent: Vec<bool> = reader
        .styles()
        .iter()
        .map(|s| s.number_format.as_ref().is_some_and(|f| f.format_code.contains('%')))
        .collect();
    let mut table = Table::new(draft);
    let (mut row, mut at): (Row, u32) = (Row::new(), 0);
    let whole = loop {
        let (cell, style) = match reader.next_cell_with_style_id() {
            Ok(Some(found)) => found,
            Ok(None) => break true,
            // An error of a formula that the library has no name for, such as #GETTING_DATA: that cell says nothing, the others do.
            Err(XlsxError::CellError(_)) => continue,
            Err(_) => break false,
        };
        meter::done(32);
        let (line, column) = cell.get_position();
        if length(cell.get_value()) > MOST_CELL {
            return Err(ExtractCode::TooLargeInside);
        }
        let shown = shown(cell.get_value(), percent.get(style).copied().unwrap_or(false));
        if shown.trim().is_empty() {
            continue;
        }
        *cells += 1;
        if *cells > MOST_CELLS {
            return Err(ExtractCode::TooManyCells);
        }
        if line != at && !row.is_empty() {
            table.row(in_order(std::mem::take(&mut row)))?;
            if line > at + 1 {
                table.gap()?;
            }
        }
        at = line;
        row.push((column as usize, shown));
    };
    table.row(in_order(row))?;
    Ok((table.finish()?, whole))
}

/// A file may give the cells of a row in any order.
fn in_order(mut row: Row) -> Row {
    row.sort_by_key(|(column, _)| *column);
    row
}

fn code_of(error: &XlsxError) -> ExtractCode {
    match error {
        XlsxError::Password => ExtractCode::FileEncrypted,
        _ => ExtractCode::Unreadable,
    }
}

/// A cell as a person sees it, as far as that can be told without its format.
fn shown(value: &DataRef<'_>, percent: bool) -> String {
    match value {
        DataRef::Empty => String::new(),
        DataRef::Int(n) => n.to_string(),
        DataRef::Float(f) if percent => format!("{}%", number(f * 100.0)),
        DataRef::Float(f) => number(*f),
        DataRef::String(s) | DataRef::DateTimeIso(s) | DataRef::DurationIso(s) => clean(s),
        DataRef::SharedString(s) => clean(s),
        DataRef::Bool(b) => if *b { "TRUE" } else { "FALSE" }.to_owned(),
        DataRef::DateTime(when) => moment(when),
        DataRef::Error(e) => e.to_string(),
    }
}

/// Of words, in bytes; other values are short.
fn length(value: &DataRef<'_>) -> usize {
    match value {
        DataRef::String(s) | DataRef::DateTimeIso(s) | DataRef::DurationIso(s) => s.len(),
        DataRef::SharedString(s) => s.len(),
        _ => 0,
    }
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || c.is_whitespace()).collect()
}

/// Excel keeps fifteen digits; what comes behind is an artefact of binary fractions.
fn number(f: f64) -> String {
    // Nearly every number of a sheet is a whole one of fewer digits, and printing a fraction is what takes long.
    if f.fract() == 0.0 && f.abs() < 1e15 {
        return (f as i64).to_string();
    }
    let rounded: f64 = format!("{f:.14e}").parse().unwrap_or(f);
    let size = rounded.abs();
    if size != 0.0 && !(1e-9..1e15).contains(&size) { format!("{rounded:e}") } else { rounded.to_string() }
}

fn moment(when: &ExcelDateTime) -> String {
    if when.is_duration() {
        let seconds = (when.as_f64() * 86_400.0).round();
        // Beyond any time that people measure, the number says as much.
        if !(0.0..1e12).contains(&seconds) {
            return number(when.as_f64());
        }
        let seconds = seconds as u64;
        return format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    let (year, month, day, hour, minute, second, _) = when.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    let time = if second == 0 {
        format!("{hour:02}:{minute:02}")
    } else {
        format!("{hour:02}:{minute:02}:{second:02}")
    };
    match (when.as_f64() < 1.0, (hour, minute, second) == (0, 0, 0)) {
        (true, _) => time,
        (false, true) => date,
        (false, false) => format!("{date} {time}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use calamine::ExcelDateTimeType::{DateTime, TimeDelta};

    #[test]
    fn numbers_are_shown_without_artefacts() {
        for (f, shown) in [(0.1 + 0.2, "0.3"), (12.0, "12"), (-1234.5, "-1234.5"), (1e21, "1e21"), (0.0, "0")]
        {
            assert_eq!(number(f), shown);
        }
        assert_eq!(shown(&DataRef::Float(0.125), true), "12.5%");
        assert_eq!(number(f64::NAN), "NaN");
    }

    #[test]
    fn dates_times_and_durations_are_told_apart() {
        let moment = |value, kind| moment(&ExcelDateTime::new(value, kind, false));
        assert_eq!(moment(45352.0, DateTime), "2024-03-01");
        assert_eq!(moment(45352.75, DateTime), "2024-03-01 18:00");
        assert_eq!(moment(0.5, DateTime), "12:00");
        assert_eq!(moment(1.5, TimeDelta), "36:00:00");
        assert_eq!(moment(f64::INFINITY, TimeDelta), "inf");
    }
}
