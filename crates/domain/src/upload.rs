//! What an upload refuses, in the words that browser and server share: a file is looked at before a byte is sent, and
//! again when it arrives.

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
    let sentence = format!("The file is larger than {}.", megabytes(limit));
    FileRefusal { code: "too_large", status: 413, sentence }
}

/// A limit in MB of 1,048,576 bytes, with at most two decimals, rounded down so that a file of that size is taken.
pub fn megabytes(bytes: u64) -> String {
    let hundredths = (u128::from(bytes) * 100 / (1 << 20)).max(1);
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    format!("{} MB", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_named_in_megabytes_and_rounded_down() {
        const MB: u64 = 1 << 20;
        for (bytes, text) in [
            (100 * MB, "100 MB"),
            (MB, "1 MB"),
            (3 * MB / 2, "1.5 MB"),
            (105_000_000, "100.13 MB"),
            (20_000, "0.01 MB"),
            (1, "0.01 MB"),
        ] {
            assert_eq!(megabytes(bytes), text, "{bytes}");
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
