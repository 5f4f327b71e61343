//! Lists in pages: where one page ended and the next goes on. Keys, never offsets, so that rows which come or go in the
//! meantime neither repeat nor hide others.

use domain::resource::Page;
use services::ports::{PageQuery, StoreError};
use std::fmt::Display;

/// What a list is of. A place in one is none in another, even where both are sorted by a moment and an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Chunks,
    Conversations,
    Documents,
    History,
    Jobs,
    Pages,
    Sessions,
    Turns,
    Workspaces,
}

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
}

impl List {
    const fn name(self) -> &'static str {
        match self {
            Self::Chunks => "chunks",
            Self::Conversations => "conversations",
            Self::Documents => "documents",
            Self::History => "history",
            Self::Jobs => "jobs",
            Self::Pages => "pages",
            Self::Sessions => "sessions",
            Self::Turns => "turns",
            Self::Workspaces => "workspaces",
        }
    }

    /// Where a page of a list that falls (newest first) begins: right behind the page before, or above every row.
    pub(crate) fn before(self, page: &PageQuery) -> Result<Cursor, StoreError> {
        match &page.after {
            Some(text) => self.parse(text),
            None => Ok(Cursor::new(i64::MAX, "")),
        }
    }

    /// Where a page of a list that rises begins: right behind the page before, or below every row.
    pub(crate) fn behind(self, page: &PageQuery) -> Result<Cursor, StoreError> {
        match &page.after {
            Some(text) => self.parse(text),
            None => Ok(Cursor::new(-1, "")),
        }
    }

    /// What the list gave out as `next`.
    ///
    /// # Errors
    /// `BadCursor` when it is of another list, damaged on its way, or of another form.
    fn parse(self, text: &str) -> Result<Cursor, StoreError> {
        let mut parts = text.split('.').skip(1);
        let (Some(number), Some(id)) = (parts.next(), parts.next()) else {
            return Err(StoreError::BadCursor);
        };
        let number = number.parse().map_err(|_| StoreError::BadCursor)?;
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(StoreError::BadCursor);
        }
        let cursor = Cursor::new(number, id);
        // Written again it is the same, with its list and its sum, or it was never given out.
        if self.text(&cursor) == text { Ok(cursor) } else { Err(StoreError::BadCursor) }
    }

    fn text(self, cursor: &Cursor) -> String {
        let place = format!("{}.{}.{}", self.name(), cursor.number, cursor.id);
        // It tells what was damaged by accident; what a client makes up on purpose shows it no more than its own list.
        let sum = crc32fast::hash(place.as_bytes());
        format!("{place}.{sum:08x}")
    }
}

/// How many rows are wanted, within the bounds.
pub(crate) fn limit_of(page: &PageQuery) -> u32 {
    page.limit.clamp(1, PageQuery::MAX)
}

/// Makes a page of rows of which one more than `limit` was asked for: the extra one only tells that there is more.
pub(crate) fn paged<T>(list: List, mut rows: Vec<T>, limit: u32, place: impl Fn(&T) -> Cursor) -> Page<T> {
    let limit = limit as usize;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = if more { rows.last().map(|row| list.text(&place(row))) } else { None };
    Page { items: rows, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [List; 9] = [
        List::Chunks,
        List::Conversations,
        List::Documents,
        List::History,
        List::Jobs,
        List::Pages,
        List::Sessions,
        List::Turns,
        List::Workspaces,
    ];

    #[test]
    fn a_cursor_reads_back_in_its_own_list_alone_and_needs_no_escaping_in_a_url() {
        let cursor = Cursor::new(-5, "0190a1b2-0000-7000-8000-000000000001");
        for list in ALL {
            let text = list.text(&cursor);
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)), "{text}");
            for other in ALL {
                let read = other.parse(&text);
                assert_eq!(read.ok(), (other == list).then(|| cursor.clone()), "{other:?}: {text}");
            }
        }
    }

    #[test]
    fn a_damaged_cursor_is_no_place_in_a_list() {
        let place = Cursor::new(1_700_000_000_000_000, "0190a1b2-0000-7000-8000-000000000001");
        let whole = List::Jobs.text(&place);
        let is_refused = |text: &str| matches!(List::Jobs.parse(text), Err(StoreError::BadCursor));
        for at in 0..whole.len() {
            assert!(is_refused(&whole[..at]) && is_refused(&whole[at + 1..]), "cut at {at}");
            for other in ["0", "a", "-", ".", ""] {
                let text = format!("{}{other}{}", &whole[..at], &whole[at + 1..]);
                assert!(text == whole || is_refused(&text), "{text}");
            }
        }
        for more in ["0", "a", ".", "A", " "] {
            assert!(is_refused(&format!("{whole}{more}")) && is_refused(&format!("{more}{whole}")), "{more}");
        }
        assert!(is_refused(&whole.to_uppercase()));
    }

    #[test]
    fn a_cursor_of_another_form_is_no_place_in_a_list() {
        let odd = ["jobs.1.", "jobs.1.' OR 1=1", "jobs.99999999999999999999.a", "jobs.1.\u{e9}", "jobs.1.a"];
        for text in ["", "1", "x.y", "1.", "1.a"].into_iter().chain(odd) {
            assert!(matches!(List::Jobs.parse(text), Err(StoreError::BadCursor)), "{text}");
        }
    }

    #[test]
    fn only_a_page_with_more_behind_it_names_a_next_one() {
        let place = |n: &i64| Cursor::new(*n, "a");
        let page = |rows| paged(List::Jobs, rows, 2, place);
        assert_eq!(page(vec![1, 2]), Page { items: vec![1, 2], next: None });
        let next = List::Jobs.text(&Cursor::new(2, "a"));
        assert_eq!(page(vec![1, 2, 3]), Page { items: vec![1, 2], next: Some(next) });
    }
}
