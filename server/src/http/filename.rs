//! What a part of a form calls its file. Forms of browsers write the name as it is; other clients write what is no ASCII in
//! the notation of RFC 8187 (`filename*=utf-8''na%C3%AFve.txt`), although forms should not have it (RFC 7578).

use http::{HeaderMap, header};
use percent_encoding::percent_decode_str;

/// The name in that notation, which counts before the other one.
pub(super) fn extended(headers: &HeaderMap) -> Option<String> {
    let disposition = str::from_utf8(headers.get(header::CONTENT_DISPOSITION)?.as_bytes()).ok()?;
    let value = parameter(disposition, "filename*")?;
    let (charset, rest) = value.split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    let bytes: Vec<u8> = percent_decode_str(encoded).collect();
    if charset.eq_ignore_ascii_case("utf-8") {
        String::from_utf8(bytes).ok()
    } else if charset.eq_ignore_ascii_case("iso-8859-1") {
        Some(bytes.into_iter().map(char::from).collect())
    } else {
        None
    }
}

/// The value of a parameter, without its quotation marks. A semicolon between such marks parts nothing.
fn parameter<'h>(header: &'h str, wanted: &str) -> Option<&'h str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = header.split(|c: char| {
        let was_escaped = std::mem::take(&mut escaped);
        match c {
            '\\' if quoted => escaped = !was_escaped,
            '"' if !was_escaped => quoted = !quoted,
            _ => {}
        }
        c == ';' && !quoted
    });
    let mut parameters = parts.filter_map(|part| part.split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))?;
    Some(value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn name(disposition: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_str(disposition).expect("a header"));
        extended(&headers)
    }

    #[test]
    fn a_name_in_the_extended_notation_is_read() {
        for (disposition, wanted) in [
            ("form-data; name=\"file\"; filename*=utf-8''na%C3%AFve%3B%201.txt", Some("naïve; 1.txt")),
            (
                "form-data; name=file; filename=\"na_ve.txt\"; FileName* = UTF-8'en'na%C3%AFve.txt",
                Some("naïve.txt"),
            ),
            ("form-data; filename*=\"iso-8859-1''na%EFve.txt\"; name=\"file\"", Some("naïve.txt")),
            // Nothing of it stands within another value.
            ("form-data; name=\"file\"; filename=\"a; filename*=utf-8''b\"", None),
            ("form-data; name=\"file\"; filename=\"a\\\"; filename*=utf-8''b\"", None),
            ("form-data; name=\"file\"; filename*=utf-8''%FF", None),
            ("form-data; name=\"file\"; filename*=koi8-r''%C1", None),
            ("form-data; name=\"file\"; filename*=naive.txt", None),
            ("form-data", None),
        ] {
            assert_eq!(name(disposition).as_deref(), wanted, "{disposition}");
        }
    }
}
