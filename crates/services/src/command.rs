//! What a command was sent for: a print of its content, by which a repetition is told from another request.

use crate::hex::hex;
use sha2::{Digest, Sha256};

/// The print of these parts, in their order.
pub(crate) fn print<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // With their lengths, so that no two lists run into the same text.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_parts_have_the_same_print() {
        assert_eq!(print(["a", "b"]), print(["a", "b"]));
        for other in [vec!["b", "a"], vec!["ab"], vec!["a", "b", ""], vec![]] {
            assert_ne!(print(["a", "b"]), print(other));
        }
    }
}
