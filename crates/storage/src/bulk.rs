//! Many rows in few statements.

use std::fmt::Write;

/// Ids in one statement.
pub(crate) const IDS: usize = 256;

/// Cuts into parts of at most `max` rows whose lengths are powers of two, the largest first: so that few different
/// statements are kept prepared.
pub(crate) fn parts<T>(mut rest: &[T], max: usize) -> Vec<&[T]> {
    let mut parts = vec![];
    while !rest.is_empty() {
        let n = max.min(1 << rest.len().ilog2());
        let (part, tail) = rest.split_at(n);
        parts.push(part);
        rest = tail;
    }
    parts
}

/// `($1, $2), ($3, $4)` for two rows of two columns.
pub(crate) fn rows(rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 5);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        list_into(&mut text, row * columns + 1, columns);
        text.push(')');
    }
    text
}

/// `$3, $4` for two parameters from the third on.
pub(crate) fn list(first: usize, n: usize) -> String {
    let mut text = String::with_capacity(n * 5);
    list_into(&mut text, first, n);
    text
}

fn list_into(text: &mut String, first: usize, n: usize) {
    for i in 0..n {
        if i > 0 {
            text.push_str(", ");
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "${}", first + i);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_a_power_of_two_rows_and_lose_none() {
        let all: Vec<u32> = (0..77).collect();
        let lengths: Vec<usize> = parts(&all, 32).iter().map(|p| p.len()).collect();
        assert_eq!(lengths, [32, 32, 8, 4, 1]);
        assert_eq!(parts(&all, 32).concat(), all);
        assert!(parts::<u32>(&[], 32).is_empty());
        // As many statements as docs/SCALING.md counts for the looks into the log.
        let lengths: Vec<usize> = parts(&[0; 200], 128).iter().map(|p| p.len()).collect();
        assert_eq!(lengths, [128, 64, 8]);
    }

    #[test]
    fn placeholders_count_on_from_row_to_row() {
        assert_eq!(rows(2, 2), "($1, $2), ($3, $4)");
        assert_eq!(list(3, 2), "$3, $4");
    }
}
