//! From bytes to text: byte-order marks, UTF-8, UTF-16, ISO-2022-JP, and windows-1252 for what is left.

use domain::files::is_control;
use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use std::{borrow::Cow, cmp::Ordering};

/// Of a text in an unknown 8-bit encoding, at most one byte in this many may be a control character.
const CONTROL_SHARE: usize = 64;

/// A text of which nothing says what it is written in is hardly Latin when it has more letters beyond ASCII than this, …
const MANY_FOREIGN: usize = 20;
/// … and one of them for so many of ASCII.
const FOREIGN_SHARE: usize = 2;

/// A text is UTF-8 in spite of some damage when for each sequence that is wrong it has more than this many beyond ASCII that
/// are right.
const RIGHT_SHARE: usize = 4;

/// Where ISO-2022-JP begins with kanji, or with katakana of half the width. No other text has these.
const JAPANESE_ESCAPES: [&[u8]; 3] = [b"\x1b$B", b"\x1b$@", b"\x1b(I"];
/// One character in this many may be wrong in a text that only its escapes tell to be ISO-2022-JP.
const JAPANESE_FAULTS: usize = 64;

/// Text that was decoded.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Without byte-order mark; every line ends with `\n`; no control characters but tab and newline.
    pub text: String,
    /// Some bytes had no meaning in the encoding and became U+FFFD.
    pub replaced: bool,
    /// Nothing says what it is written in, and it does not look like what it was taken for.
    pub doubtful: bool,
}

/// Decodes a whole text file. `declared` is the encoding that the file itself names (HTML's `meta charset`); a
/// byte-order mark and valid UTF-8 count for more. `None`: these bytes are no text.
pub fn decode(bytes: &[u8], declared: Option<&'static Encoding>) -> Option<Decoded> {
    decode_with(bytes, declared, '\n')
}

/// The same with tables and JSON, in which nothing but line ends parts lines: whatever does so in other texts may stand
/// within a value, and is a space there.
pub fn decode_values(bytes: &[u8]) -> Option<Decoded> {
    decode_with(bytes, None, ' ')
}

fn decode_with(bytes: &[u8], declared: Option<&'static Encoding>, separator: char) -> Option<Decoded> {
    let (text, replaced) = decode_raw(bytes, declared, false)?;
    let doubtful = says_nothing(bytes, declared) && is_foreign(&text);
    Some(Decoded { text: tidy(&text, separator), replaced, doubtful })
}

/// Whether neither a text itself nor a declaration in it says what it is written in.
pub(crate) fn says_nothing(bytes: &[u8], declared: Option<&'static Encoding>) -> bool {
    declared.is_none()
        && Encoding::for_bom(bytes).is_none()
        && !bytes.contains(&0)
        && std::str::from_utf8(bytes).is_err()
        && !is_damaged_utf8(bytes)
}

fn is_foreign(text: &str) -> bool {
    let ascii = text.bytes().filter(u8::is_ascii_alphabetic).count();
    let others = text.chars().filter(|c| !c.is_ascii() && !c.is_whitespace()).count();
    others > MANY_FOREIGN && others * FOREIGN_SHARE > ascii
}

/// A page as it is looked through for what it leads to. What is no text is read as far as it is one.
pub(crate) fn markup(bytes: &[u8]) -> Cow<'_, str> {
    match decode_raw(bytes, declared_in_markup(bytes), false) {
        Some((text, _)) => text,
        None => String::from_utf8_lossy(bytes),
    }
}

/// The text at the beginning of a file, cut anywhere. `None`: these bytes are no text.
pub fn sniff(head: &[u8]) -> Option<String> {
    decode_raw(head, None, true).map(|(text, _)| text.into_owned())
}

fn decode_raw<'a>(
    bytes: &'a [u8],
    declared: Option<&'static Encoding>,
    cut: bool,
) -> Option<(Cow<'a, str>, bool)> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        let body = &bytes[mark..];
        if encoding == UTF_8 && body.contains(&0) {
            return None;
        }
        // Half a UTF-16 unit at a cut is no fault.
        let even = if cut && encoding != UTF_8 { &body[..body.len() & !1] } else { body };
        let (text, replaced) = encoding.decode_without_bom_handling(even);
        return (!text.contains('\0')).then_some((text, replaced));
    }
    if bytes.contains(&0) {
        return utf16_without_mark(bytes, cut).map(|text| (Cow::Owned(text), false));
    }
    if let Some(read) = japanese(bytes, declared) {
        return few_controls(bytes).then_some(read);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => return few_controls(bytes).then_some((Cow::Borrowed(text), false)),
        Err(e) if cut && e.error_len().is_none() => {
            let valid = &bytes[..e.valid_up_to()];
            return few_controls(valid).then(|| (String::from_utf8_lossy(valid), false));
        }
        Err(_) => {}
    }
    if declared.is_none() && is_damaged_utf8(bytes) {
        return few_controls(bytes).then(|| (String::from_utf8_lossy(bytes), true));
    }
    // UTF-16 would have shown zeros; asked for by name it is a mistake in the file.
    let encoding = declared.filter(|e| ![UTF_16LE, UTF_16BE].contains(e)).unwrap_or(WINDOWS_1252);
    few_controls(bytes).then(|| encoding.decode_without_bom_handling(bytes))
}

/// Whether what is no valid UTF-8 is UTF-8 all the same: cut off within a character, or put together with something else. A
/// text in another encoding has hardly ever a sequence that is right.
fn is_damaged_utf8(bytes: &[u8]) -> bool {
    let (mut right, mut wrong) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        right += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        wrong += usize::from(!chunk.invalid().is_empty());
    }
    let is_cut_off = || std::str::from_utf8(bytes).is_err_and(|e| e.error_len().is_none());
    wrong > 0 && (right > wrong * RIGHT_SHARE || right > 0 && is_cut_off())
}

/// ISO-2022-JP, whose bytes are all ASCII: told by its escapes, before it could be taken for UTF-8.
fn japanese<'a>(bytes: &'a [u8], declared: Option<&'static Encoding>) -> Option<(Cow<'a, str>, bool)> {
    // Hardly any text has an escape, and looking for one costs nothing.
    let has_escapes = bytes.contains(&b'\x1b')
        && bytes.is_ascii()
        && bytes.windows(3).any(|found| JAPANESE_ESCAPES.contains(&found));
    if !has_escapes {
        return None;
    }
    let (text, replaced) = ISO_2022_JP.decode_without_bom_handling(bytes);
    // A file may be cut off, or put together out of several.
    let faults = text.matches('\u{fffd}').count();
    let sound = declared == Some(ISO_2022_JP) || faults * JAPANESE_FAULTS <= text.chars().count();
    sound.then_some((text, replaced))
}

/// UTF-16 whose mark is missing, told by its zeros: spaces, line ends and Latin letters have one in each unit, nearly all of
/// them on one side. What does not read as text from the first to the last unit is none.
fn utf16_without_mark(bytes: &[u8], cut: bool) -> Option<String> {
    let even = &bytes[..bytes.len() & !1];
    if even.len() < 4 || (even.len() < bytes.len() && !cut) {
        return None;
    }
    let zeros = |side: usize| even.iter().skip(side).step_by(2).filter(|b| **b == 0).count();
    let (first, second) = (zeros(0), zeros(1));
    let encoding = match first.cmp(&second) {
        Ordering::Less => UTF_16LE,
        Ordering::Greater => UTF_16BE,
        Ordering::Equal => return None,
    };
    // A plain text in which a zero went astray would read as rare Chinese.
    let printable =
        even.iter().filter(|b| (b' '..0x7f).contains(*b) || matches!(b, b'\t' | b'\n' | b'\r')).count();
    if first.max(second) * 4 < even.len() && printable * 8 > (even.len() - first - second) * 7 {
        return None;
    }
    let mut end = even.len();
    if cut {
        // Half a pair of surrogates at the cut is no fault.
        let high = even[end - if encoding == UTF_16LE { 1 } else { 2 }];
        end -= if (0xd8..0xdc).contains(&high) { 2 } else { 0 };
    }
    let text = encoding.decode_without_bom_handling_and_without_replacement(&even[..end])?;
    let (mut letters, mut all) = (0, 0);
    for c in text.chars() {
        if c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{0c}') {
            return None;
        }
        all += 1;
        letters += usize::from(c.is_alphanumeric() || c.is_whitespace());
    }
    // Numbers of a binary file have zeros, too, and make no words.
    (letters * 2 > all).then(|| text.into_owned())
}

fn few_controls(bytes: &[u8]) -> bool {
    bytes.iter().filter(|b| is_control(**b)).count() * CONTROL_SHARE <= bytes.len()
}

/// One kind of line end, and no control characters that could confuse a terminal or a search. What else parts lines becomes
/// the separator.
fn tidy(text: &str, separator: char) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                if chars.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            '\n' | '\t' => out.push(c),
            // A form feed parts pages in old texts.
            '\u{0c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push(separator),
            c if c.is_control() || c == '\u{feff}' => {}
            c => out.push(c),
        }
    }
    out
}

/// The encoding that an HTML or XML text names in its first kilobytes.
pub fn declared_in_markup(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]).to_ascii_lowercase();
    for mark in ["charset", "encoding"] {
        for (at, _) in head.match_indices(mark) {
            let rest = head[at + mark.len()..].trim_start();
            let Some(value) = rest.strip_prefix('=') else { continue };
            let value = value.trim_start().trim_start_matches(['"', '\'']);
            let label = value
                .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '.')))
                .next()
                .unwrap_or_default();
            // Of some old encodings nobody reads more than that there was something.
            if let Some(encoding) = Encoding::for_label_no_replacement(label.as_bytes()) {
                return Some(encoding);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bytes: &[u8]) -> Option<String> {
        decode(bytes, None).map(|d| d.text)
    }

    #[test]
    fn byte_order_marks_utf8_and_old_windows_texts_are_understood() {
        assert_eq!(text("naïve".as_bytes()).unwrap(), "naïve");
        assert_eq!(text(b"\xef\xbb\xbfhi").unwrap(), "hi");
        assert_eq!(text(b"\xff\xfeh\0i\0").unwrap(), "hi");
        assert_eq!(text(b"\xfe\xff\0h\0i").unwrap(), "hi");
        assert_eq!(text(b"na\xefve \x93quoted\x94").unwrap(), "naïve “quoted”");
    }

    #[test]
    fn utf16_without_a_mark_is_told_by_its_zeros() {
        let units = |text: &str| text.encode_utf16().collect::<Vec<u16>>();
        let little = |text: &str| units(text).into_iter().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let big = |text: &str| units(text).into_iter().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
        for said in
            ["A lantern on the bridge.\n", "Привет, мир!\n", "灯笼在桥上。\n\n第二行 一", "🏮 lantern"]
        {
            assert_eq!(text(&little(said)).as_deref(), Some(said));
            assert_eq!(text(&big(said)).as_deref(), Some(said));
            let long = said.repeat(20);
            for cut in 1..9 {
                let bytes = little(&long);
                let seen = sniff(&bytes[..bytes.len() - cut]).expect("a text");
                assert!(long.starts_with(&seen) && !seen.is_empty(), "{said}: {seen}");
            }
        }
        for none in [
            // Half a unit too much, zeros on both sides, a control character, numbers.
            [little("words"), vec![b'x']].concat(),
            [little("words"), big("words")].concat(),
            little("wor\u{1}ds"),
            (0u16..200).map(|n| n * 7 % 32 + 33).flat_map(u16::to_le_bytes).collect(),
            b"a,b\n1,\0".to_vec(),
            b"A plain text with one zer\0 in it.".to_vec(),
            vec![0; 64],
            vec![0, 0, 0, 1, 0, 2],
        ] {
            assert_eq!(text(&none), None, "{none:?}");
        }
    }

    #[test]
    fn what_is_hardly_what_it_was_taken_for_is_told() {
        let doubtful = |bytes: &[u8]| decode(bytes, None).expect("a text").doubtful;
        let cyrillic = "Фонарь висит на мосту, и никто его не зажигает. ";
        for encoding in [encoding_rs::WINDOWS_1251, encoding_rs::KOI8_R] {
            assert!(doubtful(&encoding.encode(cyrillic).0), "{}", encoding.name());
        }
        assert!(doubtful(&encoding_rs::SHIFT_JIS.encode(&"橋の上に灯りがともる。".repeat(4)).0));
        assert!(!doubtful(cyrillic.as_bytes()));
        let koi = encoding_rs::KOI8_R;
        let known = decode(&koi.encode(cyrillic).0, Some(koi)).expect("a text");
        assert_eq!((known.text.as_str(), known.doubtful), (cyrillic, false));
        for latin in
            ["Fünf größere Bäume säumen die Straße. ", "L’été dernier, les élèves étaient fatigués. "]
        {
            let bytes = WINDOWS_1252.encode(latin).0.repeat(9);
            assert_eq!(decode(&bytes, None).map(|d| (d.text, d.doubtful)), Some((latin.repeat(9), false)));
        }
    }

    #[test]
    fn utf8_with_some_damage_stays_utf8() {
        let read =
            |bytes: &[u8]| decode(bytes, None).map(|d| (d.text, d.replaced, d.doubtful)).expect("a text");
        let whole = "Фонарь на мосту";
        let cut = &whole.as_bytes()[..whole.len() - 1];
        assert_eq!(read(cut), ("Фонарь на мост\u{fffd}".to_owned(), true, false));
        assert_eq!(read("Grüße…".as_bytes().split_at(9).0), ("Grüße\u{fffd}".to_owned(), true, false));
        let joined = [whole.as_bytes(), b" \xff ", whole.as_bytes()].concat();
        assert_eq!(read(&joined), (format!("{whole} \u{fffd} {whole}"), true, false));
        assert!(!says_nothing(&joined, None));
        // Two letters of Windows-1252 that are one of UTF-8 by chance do not make a text UTF-8.
        assert_eq!(text(b"\xc3\xa9t\xe9 \xe0 l'\xe9cole").unwrap(), "Ã©té à l'école");
    }

    #[test]
    fn iso_2022_jp_is_told_by_its_escapes() {
        let said = "橋の上に灯りがともる。\nThe bridge, 1987.\n";
        let bytes = b"\x1b$B66$N>e$KEt$j$,$H$b$k!#\x1b(B\nThe bridge, 1987.\n";
        let read = decode(bytes, None).expect("a text");
        assert_eq!((read.text.as_str(), read.replaced, read.doubtful), (said, false, false));
        let encoded = ISO_2022_JP.encode(said).0;
        assert_eq!(text(&encoded).as_deref(), Some(said));
        assert_eq!(decode(&encoded, Some(ISO_2022_JP)).map(|d| d.text).as_deref(), Some(said));
        // Cut inside of a character, as the beginning of a long file.
        let long = ISO_2022_JP.encode(&said.repeat(40)).0.into_owned();
        for cut in 1..9 {
            let seen = sniff(&long[..long.len() - 40 - cut]).expect("a text");
            assert!(seen.starts_with("橋の上に"), "{seen}");
        }
        // Escapes that say something else, and none at all.
        let colour = b"A \x1b[31mred\x1b[0m word, and $B all by itself.";
        assert_eq!(text(colour).as_deref(), Some("A [31mred[0m word, and $B all by itself."));
        let torn = b"\x1b$B\x1b$B\x1b$B short";
        assert!(text(torn).is_some_and(|text| text.ends_with(" short")));
    }

    #[test]
    fn a_page_is_looked_through_in_whatever_it_is_written() {
        let page = "<html><meta charset=iso-2022-jp><a href=\"next\">灯り</a></html>";
        assert_eq!(markup(&ISO_2022_JP.encode(page).0), page);
        let wide: Vec<u8> = page.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(markup(&wide), page);
        assert_eq!(markup(page.as_bytes()), page);
        assert_eq!(markup(b"a \0 b"), "a \0 b");
    }

    #[test]
    fn zeros_and_control_characters_mean_that_it_is_no_text() {
        assert_eq!(text(b"a\0b"), None);
        assert_eq!(text(b"\xef\xbb\xbfa\0b"), None);
        assert_eq!(text(&[1u8, 2, 3, 4, 0xff, 0xfe, 5]), None);
    }

    #[test]
    fn lines_end_in_one_way_and_control_characters_go() {
        assert_eq!(text(b"a\r\nb\rc\x0cd\n").unwrap(), "a\nb\nc\nd\n");
        let escape = [b"colour \x1b[31mred".as_slice(), &[b'.'; 70]].concat();
        assert!(text(&escape).unwrap().starts_with("colour [31mred"));
    }

    #[test]
    fn the_encoding_that_a_page_names_is_used_when_it_is_not_utf8() {
        let page = b"<meta charset=\"iso-8859-2\"><p>\xb9";
        let named = declared_in_markup(page);
        assert_eq!(named.map(|e| e.name()), Some("ISO-8859-2"));
        assert!(decode(page, named).unwrap().text.ends_with('š'));
        let old = b"<meta http-equiv=Content-Type content='text/html; charset=shift_jis'>";
        assert_eq!(declared_in_markup(old).map(|e| e.name()), Some("Shift_JIS"));
        assert_eq!(declared_in_markup(b"<p>charset of doom, encoding = none"), None);
        // Nobody reads it, so it says nothing.
        assert_eq!(declared_in_markup(b"<meta charset=iso-2022-kr>"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused_but_never_crash(bytes: Vec<u8>) {
            if let Some(decoded) = decode(&bytes, None) {
                prop_assert!(!decoded.text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
            }
            let _ = sniff(&bytes);
        }

        #[test]
        fn printable_text_survives_unchanged(s in "[\\PC\n\t]*") {
            prop_assume!(!s.contains('\u{feff}') && !s.contains('\u{2028}') && !s.contains('\u{2029}'));
            prop_assert_eq!(decode(s.as_bytes(), None).unwrap().text, s);
        }
    }
}
