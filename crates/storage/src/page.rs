//! Lists in pages: where one page ended and the next goes on. Keys, never offsets, so that rows which come or go in the
//! meantime neither repeat nor hide others.

use domain::resource::Page;
use services::ports::{PageQuery, StoreError};
use std::fmt::Display;

/// The place of a row in its list: the number that the list is sorted by (a moment, an ordinal), then the id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) number: i64,
    pub(crate) id: String,
}

impl Cursor {
    pub(crate) fn new(number: i64, id: impl Display) -> Self {
        Self { number, id: id.to_string() }
    }

    /// What the list gave out as `next`.
    ///
    /// # Errors
    /// `BadCursor` when it is not of that form.
    pub(crate) fn parse(text: &str) -> Result<Self, StoreError> {
        let (number, id) = text.split_once('.').ok_or(StoreError::BadCursor)?;
        let number = number.parse().map_err(|_| StoreError::BadCursor)?;
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(StoreError::BadCursor);
        }
        Ok(Self { number, id: id.to_owned() })
    }

    /// Where a page of a list that falls (newest first) begins: right behind the page before, or above every row.
    pub(crate) fn before(page: &PageQuery) -> Result<Self, StoreError> {
        match &page.after {
            Some(text) => Self::parse(text),
            None => Ok(Self { number: i64::MAX, id: String::new() }),
        }
    }

    /// Where a page of a list that rises begins: right behind the page before, or below every row.
    pub(crate) fn behind(page: &PageQuery) -> Result<Self, StoreError> {
        match &page.after {
            Some(text) => Self::parse(text),
            None => Ok(Self { number: -1, id: String::new() }),
        }
    }

    fn text(&self) -> String {
        format!("{}.{}", self.number, self.id)
    }
}

/// How many rows are wanted, within the bounds.
pub(crate) fn limit_of(page: &PageQuery) -> u32 {
    page.limit.clamp(1, PageQuery::MAX)
}

/// Makes a page of rows of which one more than `limit` was asked for: the extra one only tells that there is more.
pub(crate) fn paged<T>(mut rows: Vec<T>, limit: u32, place: impl Fn(&T) -> Cursor) -> Page<T> {
    let limit = limit as usize;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = if more { rows.last().map(|row| place(row).text()) } else { None };
    Page { items: rows, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_needs_no_escaping_in_a_url() {
        let cursor = Cursor::new(-5, "0190a1b2-0000-7000-8000-000000000001");
        assert_eq!(Cursor::parse(&cursor.text()).unwrap(), cursor);
        assert!(cursor.text().bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)));
    }

    #[test]
    fn a_cursor_of_another_form_is_no_place_in_a_list() {
        for text in ["", "1", "x.y", "1.", "1.' OR 1=1", "99999999999999999999.a", "1.\u{e9}"] {
            assert!(matches!(Cursor::parse(text), Err(StoreError::BadCursor)), "{text}");
        }
    }

    #[test]
    fn only_a_page_with_more_behind_it_names_a_next_one() {
        let place = |n: &i64| Cursor::new(*n, "a");
        assert_eq!(paged(vec![1, 2], 2, place), Page { items: vec![1, 2], next: None });
        assert_eq!(paged(vec![1, 2, 3], 2, place), Page { items: vec![1, 2], next: Some("2.a".into()) });
    }
}
