//! Tables as text: the delimiter is found, each row is written with the names of its columns.

use super::{
    ExtractCode, ExtractedText, decode,
    draft::Draft,
    meter,
    rows::{self, Row, Table},
    text::warnings_of,
};
use ::csv::{ReaderBuilder, StringRecord};
use std::{borrow::Cow, collections::HashMap};

const DELIMITERS: [u8; 4] = *b",;\t|";
/// How much of a text is looked at to find its delimiter, in bytes and in records.
const SAMPLE: usize = 64 * 1024;
const SAMPLE_RECORDS: usize = 200;
/// A cell with more lines than this began with a quotation mark that nobody closed.
const CELL_LINES: usize = 1000;
/// Where more of them are never closed than this, nothing is quoted.
const OPEN_QUOTES: usize = 16;

pub fn read(bytes: &[u8], most: usize) -> Result<ExtractedText, ExtractCode> {
    let decoded = decode::decode_values(bytes).ok_or(ExtractCode::Unreadable)?;
    let (text, named) = without_sep_line(&decoded.text);
    let delimiter = named.unwrap_or_else(|| sniff(text).delimiter);
    let mut draft = Draft::new(most);
    let mut table = Table::new(&mut draft);
    let closed = closed(text, delimiter);
    for record in records(closed.as_deref().unwrap_or(text), delimiter, closed.is_some()) {
        table.row(cells(&record))?;
    }
    let size = table.finish()?;
    Ok(ExtractedText { table: Some(size), ..draft.finish(None, warnings_of(&decoded)) })
}

/// Whether a text that is not called a table is one all the same: every line has the same columns under names, and
/// where prose could be mistaken for it, there are columns of numbers too.
pub fn looks_like_table(text: &str) -> bool {
    let found = sniff(text);
    let enough = if found.delimiter == b'\t' { 2 } else { 3 };
    if found.records.len() < 3 || found.regular < 1.0 || found.fields < enough {
        return false;
    }
    let (names, below) = (&found.records[0], &found.records[1..]);
    let named = names.iter().all(|n| (1..=40).contains(&n.trim().chars().count()) && !rows::is_value(n));
    let numbers = (0..found.fields)
        .any(|i| below.iter().all(|r| r.get(i).is_none_or(|c| c.trim().is_empty() || rows::is_value(c))));
    named && numbers
}

/// Excel's own way to name the delimiter: a first line `sep=;`.
fn without_sep_line(text: &str) -> (&str, Option<u8>) {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    match first.trim_end().strip_prefix("sep=").map(str::as_bytes) {
        Some([delimiter]) => (rest, Some(*delimiter)),
        _ => (text, None),
    }
}

struct Sniffed {
    delimiter: u8,
    records: Vec<StringRecord>,
    /// The number of fields that most records have, and the share of the records that have it.
    fields: usize,
    regular: f64,
}

fn sniff(text: &str) -> Sniffed {
    let mut sample = &text[..text.floor_char_boundary(SAMPLE)];
    if sample.len() < text.len() {
        // The last line may be cut off.
        sample = sample.rsplit_once('\n').map_or(sample, |(whole, _)| whole);
    }
    let look = |delimiter: u8| {
        let records: Vec<StringRecord> = records(sample, delimiter, true).take(SAMPLE_RECORDS).collect();
        let mut counts: HashMap<usize, usize> = HashMap::new();
        for record in &records {
            *counts.entry(record.len()).or_default() += 1;
        }
        let (fields, times) =
            counts.into_iter().max_by_key(|(fields, times)| (*times, *fields)).unwrap_or((0, 0));
        let regular = times as f64 / records.len().max(1) as f64;
        Sniffed { delimiter, records, fields, regular }
    };
    let better = |a: &Sniffed, b: &Sniffed| {
        (a.fields > 1)
            .cmp(&(b.fields > 1))
            .then(a.regular.total_cmp(&b.regular))
            .then(a.fields.cmp(&b.fields))
    };
    let first = look(DELIMITERS[0]);
    DELIMITERS[1..].iter().map(|d| look(*d)).fold(first, |best, next| {
        // The comma wins a draw.
        if better(&next, &best).is_gt() { next } else { best }
    })
}

fn records(text: &str, delimiter: u8, quoting: bool) -> impl Iterator<Item = StringRecord> {
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .quoting(quoting)
        .flexible(true)
        .has_headers(false)
        .from_reader(text.as_bytes());
    // The text is whole UTF-8 and in memory, and ragged rows are allowed: nothing is left that could fail.
    std::iter::from_fn(move || {
        let mut record = StringRecord::new();
        matches!(reader.read_record(&mut record), Ok(true)).then_some(record)
    })
}

/// The text with a space before each quotation mark that begins a cell and is never closed, which makes it one like any other
/// sign: all rows below would be one cell. `None`: there are too many of them.
fn closed(text: &str, delimiter: u8) -> Option<Cow<'_, str>> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..OPEN_QUOTES {
        meter::stage();
        match open_quote(text.as_bytes(), delimiter) {
            None => return Some(text),
            Some(at) => text.to_mut().insert(at, ' '),
        }
    }
    None
}

/// Where the first of them stands.
fn open_quote(text: &[u8], delimiter: u8) -> Option<usize> {
    let (mut at, mut begins_cell) = (0, true);
    while let Some(&byte) = text.get(at) {
        if byte == b'"' && begins_cell {
            match behind_quoted(text, at, delimiter) {
                Some(behind) => at = behind,
                None => return Some(at),
            }
            begins_cell = false;
        } else {
            begins_cell = byte == delimiter || matches!(byte, b'\n' | b'\r');
            at += 1;
        }
    }
    None
}

/// What follows the mark that closes the one there. One with more of a cell behind it closes nothing that began on another
/// line: it is the beginning of a cell itself.
fn behind_quoted(text: &[u8], begin: usize, delimiter: u8) -> Option<usize> {
    let (mut at, mut lines) = (begin + 1, 0);
    while lines < CELL_LINES {
        match (text.get(at)?, text.get(at + 1)) {
            (b'"', Some(b'"')) => at += 2,
            (b'"', next) => {
                let ends = next.is_none_or(|b| *b == delimiter || b.is_ascii_whitespace());
                return (ends || lines == 0).then_some(at + 1);
            }
            (byte, _) => {
                lines += usize::from(*byte == b'\n');
                at += 1;
            }
        }
    }
    None
}

fn cells(record: &StringRecord) -> Row {
    record.iter().enumerate().filter(|(_, c)| !c.trim().is_empty()).map(|(i, c)| (i, c.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        read(bytes, 1 << 20).unwrap().text
    }

    #[test]
    fn the_delimiter_is_found() {
        let rows = "- Name: Pear, ripe; Price: 2,50\n- Name: Fig; Price: 1,10";
        assert_eq!(text(b"Name,Price\n\"Pear, ripe\",\"2,50\"\nFig,\"1,10\"\n"), rows);
        assert_eq!(text(b"Name;Price\r\nPear, ripe;2,50\r\nFig;1,10\r\n"), rows);
        assert_eq!(text(b"Name\tPrice\nPear, ripe\t2,50\nFig\t1,10"), rows);
        assert_eq!(text(b"Name|Price\nPear, ripe|2,50\nFig|1,10"), rows);
        assert_eq!(text(b"sep=;\nName;Price\nPear, ripe;2,50\nFig;1,10"), rows);
    }

    #[test]
    fn cells_with_quotes_and_line_ends_are_one_cell() {
        assert_eq!(
            text(b"Who,Said\nAda,\"He said \"\"no\"\",\nand left.\"\n"),
            "- Who: Ada; Said: He said \"no\", and left."
        );
        // What parts lines elsewhere needs no quotation marks here.
        assert_eq!(
            text("Who,Said\r\nAda,one\u{2028}two\r\nBob,\"three\r\nfour\"\r\n".as_bytes()),
            "- Who: Ada; Said: one two\n- Who: Bob; Said: three four"
        );
    }

    #[test]
    fn old_encodings_and_byte_order_marks_are_understood() {
        assert_eq!(text(b"Ort;Zahl\nM\xfcnchen;3\n"), "- Ort: München; Zahl: 3");
        assert_eq!(text("\u{feff}Ort,Zahl\nMünchen,3\n".as_bytes()), "- Ort: München; Zahl: 3");
        let wide: Vec<u8> =
            "\u{feff}Ort\tZahl\nKöln\t4\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(text(&wide), "- Ort: Köln; Zahl: 4");
    }

    #[test]
    fn a_quotation_mark_that_nobody_closes_costs_no_rows() {
        let rows: String = (0..2000).map(|i| format!("{i},row\n")).collect();
        let text = text(format!("No,Size\n1,\"27 inches\n{rows}").as_bytes());
        assert!(text.ends_with("- No: 1999; Size: row"), "{}", &text[text.len() - 80..]);
    }

    #[test]
    fn nor_does_it_in_a_short_table_whose_other_cells_are_quoted() {
        assert_eq!(
            text(b"No,Size\n1,\"27 inches\n2,row\n3,\"a, b\"\n4,\"two\nlines\"\n5,\"say \"\"no\"\"\"\n"),
            "- No: 1; Size: \"27 inches\n- No: 2; Size: row\n- No: 3; Size: a, b\n- No: 4; Size: two lines\n\
             - No: 5; Size: say \"no\""
        );
        assert_eq!(text(b"No,Size\n1,\"a, b\"\n2,\"27 inches\n3,row\n").lines().count(), 3);
        let many: String = (0..99).map(|i| format!("{i},\"{i} inches\n")).collect();
        let read = text(format!("No,Size\n{many}").as_bytes());
        assert_eq!((read.lines().count(), read.lines().last()), (99, Some("- No: 98; Size: \"98 inches")));
    }

    #[test]
    fn prose_is_no_table() {
        assert!(looks_like_table("a,b,c\nx,1,2\ny,3,4\n"));
        assert!(!looks_like_table("one, two, three\nfour, five, six\nseven, eight, nine\n"));
        assert!(!looks_like_table("Dear all,\nit rains.\n\nYours\n"));
        assert!(!looks_like_table("a,b,c\n"));
    }

    #[test]
    fn columns_that_are_missing_or_too_many_do_no_harm() {
        assert_eq!(text(b"a,b\n1\n1,2,3\n"), "- a: 1\n- a: 1; b: 2; 3");
    }
}
