//! Stored files as downloads: whole or in part, with the conditions of RFC 9110 that go by the time of a file.

use super::problem::ApiResult;
use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use httpdate::HttpDate;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use services::{Error, Services, ports::Stored};
use std::ops::Range;

/// What the request says of how a file is wanted.
pub(super) struct Asked {
    pub method: Method,
    pub headers: HeaderMap,
}

/// What is answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Whole,
    Part(Range<u64>),
    /// Nothing of the file lies there.
    NoSuchPart,
    NotModified,
    Modified,
}

impl Asked {
    fn text(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A date; what is none is as if it had not been sent.
    fn date(&self, name: HeaderName) -> Option<HttpDate> {
        self.text(name)?.parse().ok()
    }

    fn answer(&self, stored: Stored) -> Answer {
        let written = HttpDate::from(stored.modified);
        if self.date(header::IF_UNMODIFIED_SINCE).is_some_and(|since| written > since) {
            return Answer::Modified;
        }
        if self.date(header::IF_MODIFIED_SINCE).is_some_and(|since| written <= since) {
            return Answer::NotModified;
        }
        // Whoever has a part of what the file was before gets it whole.
        let is_same = match self.text(header::IF_RANGE) {
            Some(text) => text.parse::<HttpDate>().is_ok_and(|date| date == written),
            None => true,
        };
        match self.text(header::RANGE).filter(|_| is_same && self.method == Method::GET) {
            Some(text) => stretch(text, stored.size),
            None => Answer::Whole,
        }
    }
}

/// The stretch that is asked for. What is no range of bytes, and several at once, is answered with the whole, as anybody may
/// answer it.
fn stretch(text: &str, size: u64) -> Answer {
    let ends = text.trim().strip_prefix("bytes=").and_then(|ends| ends.split_once('-'));
    let Some((from, to)) = ends.map(|(from, to)| (from.trim(), to.trim())) else { return Answer::Whole };
    let (from, to) = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to => (from, to.saturating_add(1).min(size)),
        (Ok(from), Err(_)) if to.is_empty() => (from, size),
        // So many from the end.
        (Err(_), Ok(last)) if from.is_empty() => (size - last.min(size), size),
        _ => return Answer::Whole,
    };
    if from < to { Answer::Part(from..to) } else { Answer::NoSuchPart }
}

/// A stored file as a download. It is never shown as part of the site: a document may hold script.
pub(super) async fn hand_out(
    services: &Services,
    key: &str,
    mime_type: &str,
    filename: &str,
    asked: &Asked,
) -> ApiResult<Response> {
    let stored = services.blobs.look(key).await.map_err(Error::from)?;
    let answer = asked.answer(stored);
    let (status, part) = match &answer {
        Answer::Whole => (StatusCode::OK, Some(0..stored.size)),
        Answer::Part(part) => (StatusCode::PARTIAL_CONTENT, Some(part.clone())),
        Answer::NoSuchPart => (StatusCode::RANGE_NOT_SATISFIABLE, None),
        Answer::NotModified => (StatusCode::NOT_MODIFIED, None),
        Answer::Modified => (StatusCode::PRECONDITION_FAILED, None),
    };
    let mut response = match &part {
        Some(part) if asked.method != Method::HEAD => {
            let bytes = services.blobs.read(key, part.clone()).await.map_err(Error::from)?;
            Response::new(Body::from_stream(bytes))
        }
        _ => Response::new(Body::empty()),
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(part) = part {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
        let kind = HeaderValue::from_str(mime_type);
        headers.insert(
            header::CONTENT_TYPE,
            kind.unwrap_or(HeaderValue::from_static("application/octet-stream")),
        );
        headers.insert(header::CONTENT_DISPOSITION, attachment(filename));
    }
    let of_it = match answer {
        Answer::Part(part) => Some(format!("bytes {}-{}/{}", part.start, part.end - 1, stored.size)),
        Answer::NoSuchPart => Some(format!("bytes */{}", stored.size)),
        Answer::Whole | Answer::NotModified | Answer::Modified => None,
    };
    if let Some(of_it) = of_it.and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.insert(header::CONTENT_RANGE, of_it);
    }
    if let Ok(written) = HeaderValue::from_str(&HttpDate::from(stored.modified).to_string()) {
        headers.insert(header::LAST_MODIFIED, written);
    }
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// What RFC 5987 lets stand unencoded.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// `Content-Disposition` with the name twice: for old clients in ASCII, and whole.
pub(super) fn attachment(filename: &str) -> HeaderValue {
    let ascii: String = filename
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' })
        .collect();
    let text = format!(
        "attachment; filename=\"{ascii}\"; filename*=UTF-8''{}",
        utf8_percent_encode(filename, PLAIN)
    );
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        assert_eq!(
            attachment("Müller \"1\";\r\nX: y.pdf"),
            "attachment; filename=\"M_ller _1_;__X: y.pdf\"; filename*=UTF-8''M%C3%BCller%20%221%22%3B%0D%0AX%3A%20y.pdf"
        );
    }

    #[test]
    fn a_stretch_is_read_as_it_is_written() {
        for (text, answer) in [
            ("bytes=2-5", Answer::Part(2..6)),
            ("bytes=2-", Answer::Part(2..10)),
            ("bytes=-3", Answer::Part(7..10)),
            ("bytes=-99", Answer::Part(0..10)),
            ("bytes=9-99", Answer::Part(9..10)),
            ("bytes=0-18446744073709551615", Answer::Part(0..10)),
            ("bytes=10-", Answer::NoSuchPart),
            ("bytes=10-12", Answer::NoSuchPart),
            ("bytes=-0", Answer::NoSuchPart),
            ("bytes=5-2", Answer::Whole),
            ("bytes=0-1,4-5", Answer::Whole),
            ("bytes=-", Answer::Whole),
            ("bytes=a-b", Answer::Whole),
            ("lines=1-2", Answer::Whole),
            ("", Answer::Whole),
        ] {
            assert_eq!(stretch(text, 10), answer, "{text}");
        }
        assert_eq!(stretch("bytes=0-", 0), Answer::NoSuchPart);
    }

    #[test]
    fn conditions_go_by_whole_seconds() {
        let stored =
            Stored { size: 10, modified: SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_500) };
        let answer = |headers: &[(HeaderName, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            Asked { method: Method::GET, headers: headers.collect() }.answer(stored)
        };
        let (same, before) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:36 GMT");
        assert_eq!(answer(&[(header::IF_MODIFIED_SINCE, same)]), Answer::NotModified);
        assert_eq!(answer(&[(header::IF_MODIFIED_SINCE, before)]), Answer::Whole);
        assert_eq!(answer(&[(header::IF_MODIFIED_SINCE, "yesterday")]), Answer::Whole);
        assert_eq!(answer(&[(header::IF_UNMODIFIED_SINCE, same)]), Answer::Whole);
        assert_eq!(answer(&[(header::IF_UNMODIFIED_SINCE, before)]), Answer::Modified);
        let part = (header::RANGE, "bytes=0-3");
        assert_eq!(answer(&[part.clone(), (header::IF_RANGE, same)]), Answer::Part(0..4));
        assert_eq!(answer(&[part.clone(), (header::IF_RANGE, before)]), Answer::Whole);
        assert_eq!(answer(&[part, (header::IF_RANGE, "\"tag\"")]), Answer::Whole);
    }
}
