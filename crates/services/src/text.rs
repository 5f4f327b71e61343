//! Typed texts in one form: what looks the same is the same, wherever it was typed.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The text with each letter and its marks as one character where there is one (NFC). Some systems send "é" as one
/// character and some as "e" and an accent: a name would be two names, and a password right on one machine alone.
pub fn composed(text: String) -> String {
    if is_composed(&text) { text } else { text.nfc().collect() }
}

/// Whether it surely has that form already.
pub fn is_composed(text: &str) -> bool {
    text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_looks_the_same_is_the_same() {
        for (composed_here, apart) in [
            ("Zo\u{eb}", "Zoe\u{308}"),
            ("\u{1e9b}\u{323}", "\u{17f}\u{323}\u{307}"),
            ("\u{ac00}", "\u{1100}\u{1161}"),
        ] {
            assert_eq!(composed(apart.to_owned()), composed_here);
            assert_eq!(composed(composed_here.to_owned()), composed_here);
        }
        // A ligature and a letter that is wide are other letters, and stay.
        assert_eq!(composed("\u{fb01}\u{ff21}".to_owned()), "\u{fb01}\u{ff21}");
    }

    proptest! {
        #[test]
        fn a_text_in_that_form_stays_as_it_is(text in "\\PC{0,60}") {
            let once = composed(text);
            prop_assert_eq!(composed(once.clone()), once);
        }
    }
}
