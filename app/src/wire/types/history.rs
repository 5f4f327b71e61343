//! The history, the analytics, and the list of errors.

use super::{FromJson, at};
use crate::server_fns::{
    errors::{ErrorChoice, ErrorChoices, ErrorLine, ErrorsPage, LeftLine},
    history::{Chart, Figures, HistoryLine, HistoryPage},
};
use serde_json::Value;

objects! {
    HistoryPage { name, lines }
    HistoryLine { seq, at, about, page, told, from, to, who }
    Figures { name, days, facts, charts, is_part }
    Chart { title, about, svg, legend, columns, rows }

    ErrorsPage { narrow, lines, left, note }
    ErrorLine { code, phase, mime_type, count, about, message, hint, newest_at, page }
    LeftLine { text, place, newest_at, page, link }
    ErrorChoices { name, choices }
    ErrorChoice { words, href, is_chosen }
}
