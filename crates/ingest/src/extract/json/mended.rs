//! JSON that programs write and the parser refuses, or would not keep as it stands: written so that it does.

/// A text with U+FFFD in place of each half of a pair of surrogates, as programs leave them that cut texts anywhere: they mean
/// nothing, and no parser takes them. `None` when there is none.
pub(super) fn without_halves(text: &str) -> Option<String> {
    let unit = |at: usize| u16::from_str_radix(text.get(at..at + 6)?.strip_prefix("\\u")?, 16).ok();
    let mut out: Option<String> = None;
    let (mut at, mut copied) = (0, 0);
    while let Some(escape) = text[at..].find('\\') {
        at += escape;
        match unit(at) {
            Some(0xd800..=0xdbff) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => {
                let out = out.get_or_insert_default();
                out.push_str(&text[copied..at]);
                out.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            Some(_) => at += 6,
            // What stands behind it belongs to it, also when that is another one.
            None => at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        }
    }
    out.map(|out| out + &text[copied..])
}

/// What some programs write where a number is none.
const NO_NUMBERS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// A text with quotation marks around each number that the parser would not keep as it stands: it refuses what is none or too
/// large for it, takes the last digits from what is long, and makes 2.5 of 2.50. `None` when there is no such number.
pub(super) fn with_numbers_kept(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out: Option<String> = None;
    let (mut at, mut copied) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = behind_string(bytes, at),
            b'-' | b'0'..=b'9' | b'N' | b'I' => {
                let rest = &text[at..];
                let number = &rest[..rest.bytes().take_while(|b| may_be_of_number(*b)).count()];
                let changed = Some(number).filter(|number| !is_short_integer(number) && is_number(number));
                let value = NO_NUMBERS.into_iter().find(|word| rest.starts_with(word)).or(changed);
                if let Some(value) = value {
                    let out = out.get_or_insert_with(|| String::with_capacity(text.len() + text.len() / 8));
                    out.extend([&text[copied..at], "\"", value, "\""]);
                    copied = at + value.len();
                }
                at += value.unwrap_or(number).len().max(1);
            }
            _ => at += 1,
        }
    }
    out.map(|out| out + &text[copied..])
}

/// What follows the string that begins there. No line ends within one: what is left open is wrong in its own line alone.
fn behind_string(bytes: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\n' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

pub(super) const fn may_be_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

fn is_short_integer(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    digits.len() <= 18 && is_digits(digits)
}

fn is_number(number: &str) -> bool {
    let number = number.strip_prefix('-').unwrap_or(number);
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (number, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    is_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(is_digits)
        && exponent.is_none_or(|e| is_digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}
