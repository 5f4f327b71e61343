//! What an upload refuses, in the words that browser and server share: a file is looked at before a byte is sent, and
//! again when it arrives.

use crate::{message::count, validate::turns_text};

/// Code and sentence of a refusal at one file's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRefusal {
    pub code: &'static str,
    /// What a request with this file alone would answer.
    pub status: u16,
    pub sentence: String,
}

/// Why a file of that size is not taken; `limit` is the largest that is, in bytes.
pub fn refused_size(size: u64, limit: u64) -> Option<FileRefusal> {
    if size == 0 {
        Some(empty())
    } else if size > limit {
        Some(too_large(limit))
    } else {
        None
    }
}

pub fn empty() -> FileRefusal {
    FileRefusal { code: "empty_file", status: 422, sentence: "The file is empty.".into() }
}

pub fn too_large(limit: u64) -> FileRefusal {
    let sentence = format!("The file is larger than {}.", size_limit(limit));
    FileRefusal { code: "too_large", status: 413, sentence }
}

/// The disk of the server is full: it may be taken later.
pub fn no_room() -> FileRefusal {
    let sentence = "The server has no room left for this file. Tell its operator, or try again later.".into();
    FileRefusal { code: "storage_full", status: 507, sentence }
}

/// A limit in MB of 1,048,576 bytes, a small one in KB or bytes: with at most two decimals, rounded down so that a file
/// of that size is taken.
pub fn size_limit(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_024 => return count(bytes, "byte", "bytes"),
        1_024..1_048_576 => (1 << 10, "KB"),
        _ => (1 << 20, "MB"),
    };
    let hundredths = u128::from(bytes) * 100 / unit;
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    format!("{} {name}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Longest name that is kept, in characters.
const LONGEST_NAME: usize = 200;
/// Longest ending that is kept of a name that is cut, with its dot.
const LONGEST_ENDING: usize = 20;

/// A name that is safe to show and to send back: the last part of a path, without control characters and what turns the
/// direction of a text, never empty. Forms write a quotation mark and line ends as `%22`, `%0D` and `%0A`. Of a very
/// long name the ending stays.
pub fn kept_name(name: &str) -> String {
    let name = name.replace("%22", "\"").replace("%0D", "").replace("%0A", "");
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control() && !turns_text(*c)).collect();
    let clean = clean.trim();
    let long = clean.chars().count();
    if clean.is_empty() {
        return "untitled".to_owned();
    }
    if long <= LONGEST_NAME {
        return clean.to_owned();
    }
    let ending = clean.rfind('.').map_or("", |dot| &clean[dot..]);
    let ending = if ending.chars().count() <= LONGEST_ENDING { ending } else { "" };
    let begin: String = clean.chars().take(LONGEST_NAME - ending.chars().count()).collect();
    begin.trim_end().to_owned() + ending
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_named_in_its_unit_and_rounded_down() {
        const MB: u64 = 1 << 20;
        for (bytes, text) in [
            (100 * MB, "100 MB"),
            (MB, "1 MB"),
            (3 * MB / 2, "1.5 MB"),
            (105_000_000, "100.13 MB"),
            (MB - 1, "1023.99 KB"),
            (20_000, "19.53 KB"),
            (1_023, "1,023 bytes"),
            (1, "1 byte"),
        ] {
            assert_eq!(size_limit(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn a_name_loses_its_path_and_what_nobody_can_see_and_keeps_its_ending() {
        for (name, kept) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\ada\\notes.txt", "notes.txt"),
            ("a\u{0}b\r\n.txt", "ab.txt"),
            ("  ", "untitled"),
            ("say %22hello%22.txt", "say \"hello\".txt"),
            ("\u{202E}gpj.txt", "gpj.txt"),
        ] {
            assert_eq!(kept_name(name), kept);
            assert_eq!(kept_name(kept), kept, "what is kept stays so");
        }
        let long = kept_name(&format!("{}.docx", "日".repeat(300)));
        assert_eq!((long.chars().count(), long.ends_with("日.docx")), (200, true));
    }

    #[test]
    fn only_the_sizes_between_nothing_and_the_limit_are_taken() {
        assert_eq!(refused_size(1, 10), None);
        assert_eq!(refused_size(10, 10), None);
        assert_eq!(refused_size(0, 10).map(|r| (r.code, r.status)), Some(("empty_file", 422)));
        assert_eq!(refused_size(11, 10).map(|r| (r.code, r.status)), Some(("too_large", 413)));
    }
}
