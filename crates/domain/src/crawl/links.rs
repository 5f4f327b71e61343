//! The links of a page, found by going once along its text. A page is somebody else's and may be made to hurt whoever
//! reads it: there is no tree here that could grow deep, and the time is that of its length.

use super::{MOST_LINKS, MOST_SKIPPED};

/// What a page links to, as it stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// What relative addresses begin at, where the page says so.
    pub base: Option<String>,
    pub hrefs: Vec<String>,
    /// What stands behind those, where the page has more than are followed: it is told, and nobody goes there.
    pub beyond: Vec<String>,
}

/// Links of an HTML page, each once, in their order: [`MOST_LINKS`] that are followed, and behind them as many as a crawl may
/// list.
pub fn links(html: &str) -> Links {
    let mut found = Links::default();
    let mut seen = std::collections::BTreeSet::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            // A comment that never ends takes all that follows with it, as in a browser.
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let name_len = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (name, tail) = rest.split_at(name_len);
        let name = name.to_ascii_lowercase();
        let (attribute, is_link) = match name.as_str() {
            "a" | "area" => ("href", true),
            "frame" | "iframe" => ("src", true),
            "base" => ("href", false),
            "meta" => ("content", true),
            "script" | "style" | "textarea" | "title" => {
                rest = behind(tail, &name);
                continue;
            }
            _ => {
                rest = tail;
                continue;
            }
        };
        let (value, tail) = if name == "meta" { refresh_of(tail) } else { attribute_of(tail, attribute) };
        rest = tail;
        let Some(value) = value else { continue };
        let value = unescape(value.trim());
        if !is_link {
            found.base.get_or_insert(value);
        } else if !value.is_empty() && seen.insert(value.clone()) {
            if found.hrefs.len() < MOST_LINKS {
                found.hrefs.push(value);
                continue;
            }
            found.beyond.push(value);
            if found.beyond.len() as u64 >= MOST_SKIPPED {
                break;
            }
        }
    }
    found
}

/// What follows the end of an element that holds no markup.
fn behind<'a>(text: &'a str, name: &str) -> &'a str {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(at) = text[from..].find("</") {
        let begin = from + at + 2;
        let end = begin + name.len();
        if bytes.get(begin..end).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes())) {
            return &text[end..];
        }
        from = begin;
    }
    ""
}

/// The value of one attribute of a tag that has begun, and what follows the tag.
fn attribute_of<'a>(tag: &'a str, wanted: &str) -> (Option<&'a str>, &'a str) {
    let mut value = None;
    let mut rest = tag;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            return (value, rest);
        }
        if let Some(tail) = rest.strip_prefix('>') {
            return (value, tail);
        }
        let end = rest
            .char_indices()
            .find(|&(at, c)| c.is_ascii_whitespace() || matches!(c, '/' | '>') || c == '=' && at > 0)
            .map_or(rest.len(), |(at, _)| at);
        let (name, tail) = rest.split_at(end);
        rest = tail.trim_start();
        let Some(tail) = rest.strip_prefix('=') else { continue };
        let tail = tail.trim_start();
        let (text, tail) = match tail.as_bytes().first() {
            Some(quote @ (b'"' | b'\'')) => {
                let inner = &tail[1..];
                match inner.find(*quote as char) {
                    Some(end) => (&inner[..end], &inner[end + 1..]),
                    None => (inner, ""),
                }
            }
            _ => {
                tail.split_at(tail.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(tail.len()))
            }
        };
        if value.is_none() && name.eq_ignore_ascii_case(wanted) {
            value = Some(text);
        }
        rest = tail;
    }
}

/// Where a page sends its reader on by itself: `<meta http-equiv="refresh" content="0; url=next.html">`.
fn refresh_of(tag: &str) -> (Option<&str>, &str) {
    let (kind, tail) = attribute_of(tag, "http-equiv");
    let is_refresh = kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("refresh"));
    let (content, _) = attribute_of(tag, "content");
    let rest = content.filter(|_| is_refresh).and_then(|content| content.split_once([';', ',']));
    let target = rest.map(|(_, rest)| {
        let rest = rest.trim_start();
        let named = rest.get(..3).filter(|name| name.eq_ignore_ascii_case("url"));
        let named = named.and_then(|_| rest[3..].trim_start().strip_prefix('='));
        named.unwrap_or(rest).trim().trim_matches(['"', '\''])
    });
    (target, tail)
}

/// The few escapes that stand in addresses.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        // No name that is known is longer.
        let window = rest.char_indices().nth(10).map_or(rest, |(end, _)| &rest[..end]);
        let known = window.find(';').and_then(|end| Some((character(&window[1..end])?, end + 1)));
        match known {
            Some((c, length)) => {
                out.push(c);
                rest = &rest[length..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hrefs(html: &str) -> Vec<String> {
        links(html).hrefs
    }

    #[test]
    fn links_are_found_in_every_way_of_writing_them() {
        let html = r#"<!doctype html><base href="/docs/"><A HREF='a.html'>a</A><a class=x href=b.html>b</a>
            <a title="a > b" href="c.html?x=1&amp;y=2">c</a><area href="d.html"/><a name="no">n</a>
            <a href = "e&#46;html" href="second">e</a><iframe src="f.html"></iframe><a href="a.html">again</a>
            <abbr href="no"></abbr><a href="">none</a>"#;
        assert_eq!(links(html).base.as_deref(), Some("/docs/"));
        assert_eq!(hrefs(html), ["a.html", "b.html", "c.html?x=1&y=2", "d.html", "e.html", "f.html"]);
    }

    #[test]
    fn where_a_page_sends_its_reader_on_is_a_link() {
        let html = r#"<meta charset="utf-8"><meta http-equiv="Refresh" content="0; URL='stable/'">
            <META CONTENT="5,url = next.html?a=1&amp;b=2" HTTP-EQUIV=refresh><meta http-equiv=refresh content="3;bare.html">
            <meta http-equiv="refresh" content="30"><meta name="description" content="0; url=no1">
            <meta http-equiv="Content-Type" content="text/html; charset=utf-8"><a href="yes">y</a>"#;
        assert_eq!(hrefs(html), ["stable/", "next.html?a=1&b=2", "bare.html", "yes"]);
    }

    #[test]
    fn what_is_no_markup_holds_no_links() {
        let html = r#"<script>var a = '<a href="no1">';</script><style>/* <a href="no2"> */</style>
            <!-- <a href="no3"> --><textarea><a href="no4"></textarea><a href="yes">y</a><!-- <a href="no5">"#;
        assert_eq!(hrefs(html), ["yes"]);
        assert!(hrefs("<script><a href=no>").is_empty());
    }

    #[test]
    fn a_page_of_links_alone_is_cut_and_tells_what_lies_beyond() {
        let of = |n: usize| {
            let html: String = (0..n).map(|n| format!("<a href=p{n}>p</a>")).collect();
            // What it names twice is no further link.
            links(&format!("{html}<a href=p0>p</a>"))
        };
        assert_eq!((of(MOST_LINKS).hrefs.len(), of(MOST_LINKS).beyond.len()), (MOST_LINKS, 0));
        let found = of(MOST_LINKS + 2);
        assert_eq!(found.hrefs.last(), Some(&format!("p{}", MOST_LINKS - 1)));
        assert_eq!(found.beyond, [format!("p{MOST_LINKS}"), format!("p{}", MOST_LINKS + 1)]);
        let endless = of(MOST_LINKS + MOST_SKIPPED as usize + 9);
        assert_eq!((endless.hrefs.len(), endless.beyond.len() as u64), (MOST_LINKS, MOST_SKIPPED));
    }

    #[test]
    fn a_page_that_is_made_to_take_long_does_not() {
        for part in ["<", "<a ", "<a href=\"", "<!--", "<script></", "&", "<a href=&amp", "<a / / ", "<a ="] {
            let html = part.repeat(200_000);
            let began = std::time::Instant::now();
            links(&html);
            // Once along it are milliseconds, and once along it for each of the parts would be hours.
            assert!(began.elapsed().as_secs() < 60, "{part}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(html in "[<>a-z/=\"' !&;#éx-]{0,200}") {
            links(&html);
        }
    }
}
