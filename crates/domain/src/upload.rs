//! What an upload refuses, in the words that browser and server share: a file is looked at before a byte is sent, and
//! again when it arrives.

use crate::message::count;

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
    fn only_the_sizes_between_nothing_and_the_limit_are_taken() {
        assert_eq!(refused_size(1, 10), None);
        assert_eq!(refused_size(10, 10), None);
        assert_eq!(refused_size(0, 10).map(|r| (r.code, r.status)), Some(("empty_file", 422)));
        assert_eq!(refused_size(11, 10).map(|r| (r.code, r.status)), Some(("too_large", 413)));
    }
}
