//! Bytes as text: two digits each, small letters.

use std::fmt::Write;

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// The bytes of such a text, also of one in capitals; `None` where it is none.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// The same, of so many bytes and no others.
pub fn unhex_all<const N: usize>(text: &str) -> Option<[u8; N]> {
    unhex(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is() {
        let bytes = [0, 9, 16, 171, 255];
        assert_eq!(hex(&bytes), "000910abff");
        assert_eq!(unhex(&hex(&bytes)).as_deref(), Some(&bytes[..]));
        assert_eq!(unhex_all("000910ABFF"), Some(bytes));
        for none in ["000910abf", "000910abf+", "000910abfg", " 00910abff", "000910abé"] {
            assert_eq!(unhex(none), None, "{none}");
        }
        assert_eq!(unhex_all::<5>("000910ab"), None);
        assert_eq!(unhex_all::<3>("000910ab"), None);
    }
}
