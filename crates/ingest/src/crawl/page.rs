//! What is read out of what a site answered: what kind of document it is, and where it leads. Pure.

use super::rules::Rules;
use crate::extract::{
    FileKind,
    decode::{declared_in_markup, markup, says_nothing},
    detect,
};
use bytes::Bytes;
use domain::crawl::{
    Crawl, MOST_HOPS, MOST_SITEMAPS, MOST_SKIPPED, PAGE_BYTES, PageFault, SiteMap, SkipReason, is_no_text,
    links, sitemap,
};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use flate2::read::MultiGzDecoder;
use services::{
    crawl::address,
    hex::hex,
    ports::{Fetched, FoundPage},
};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, collections::BTreeSet, io::Read};
use url::Url;

/// What a page is.
pub(super) struct Page {
    /// What is kept of it: what came, or the same text in UTF-8.
    pub(super) body: Bytes,
    /// SHA-256 of that, hexadecimal.
    pub(super) hash: String,
    /// Nothing, when it is none that is taken.
    pub(super) kind: Option<FileKind>,
    pub(super) filename: String,
    pub(super) found: Vec<FoundPage>,
}

/// What a crawl goes by, with what its site asks for.
pub(super) struct Bounds<'a> {
    pub(super) crawl: &'a Crawl,
    pub(super) rules: Option<&'a Rules>,
}

impl Bounds<'_> {
    /// Why a page is not to be asked for that lies so many links from the first one.
    pub(super) fn skips(&self, url: &Url, depth: u32) -> Option<SkipReason> {
        if !address::lies_in(url, &self.crawl.prefix) {
            Some(SkipReason::OutOfScope)
        } else if is_no_text(url.path()) {
            Some(SkipReason::UnsupportedType)
        } else if depth > self.crawl.max_depth {
            Some(SkipReason::TooDeep)
        } else if self.rules.is_some_and(|rules| !rules.allow(url)) {
            Some(SkipReason::Robots)
        } else {
            None
        }
    }
}

pub(super) fn understand(url: &Url, depth: u32, fetched: &Fetched, bounds: &Bounds<'_>) -> Page {
    let kind_told = fetched.content_type.as_deref().unwrap_or_default().to_ascii_lowercase();
    let says_html = kind_told.starts_with("text/html") || kind_told.starts_with("application/xhtml");
    let filename = address::filename(url, says_html);
    let kind = detect(&fetched.body, &filename).ok();
    let is_text = matches!(
        kind,
        Some(FileKind::Html | FileKind::Markdown | FileKind::Text | FileKind::Csv | FileKind::Json)
    );
    let body = match told_encoding(&kind_told, &fetched.body).filter(|_| is_text) {
        Some(encoding) => {
            Bytes::from(encoding.decode_without_bom_handling(&fetched.body).0.into_owned().into_bytes())
        }
        None => fetched.body.clone(),
    };
    let found = match kind {
        Some(FileKind::Html) => links_of(url, depth, &body, bounds),
        _ => vec![],
    };
    let hash = hex(&Sha256::digest(&body));
    Page { body, hash, kind, filename, found }
}

/// What a text is written in, where its site alone says so. The file that is kept could not tell: what is neither UTF-8 nor
/// names its encoding would be read as if it were Latin.
fn told_encoding(kind_told: &str, body: &[u8]) -> Option<&'static Encoding> {
    let mut parameters = kind_told.split(';').skip(1);
    let label = parameters.find_map(|parameter| parameter.trim().strip_prefix("charset="))?;
    let encoding = Encoding::for_label_no_replacement(label.trim_matches(['"', '\'']).as_bytes())?;
    let is_another = ![UTF_8, UTF_16LE, UTF_16BE].contains(&encoding);
    (is_another && says_nothing(body, declared_in_markup(body))).then_some(encoding)
}

/// The addresses that a web page leads to.
pub(super) fn links_of(url: &Url, depth: u32, body: &[u8], bounds: &Bounds<'_>) -> Vec<FoundPage> {
    let links = links(&markup(body));
    let base = links.base.and_then(|base| address::join(url, &base).ok());
    let base = base.as_ref().unwrap_or(url);
    let mut seen = BTreeSet::new();
    let followed = links.hrefs.iter().map(|link| (link, false));
    let beyond = links.beyond.iter().map(|link| (link, true));
    let targets = followed.chain(beyond).filter_map(|(link, is_beyond)| {
        let target = address::join(base, link).ok()?;
        (target != *url && seen.insert(target.clone())).then_some((target, is_beyond))
    });
    targets
        .filter_map(|(target, is_beyond)| {
            let skipped = match bounds.skips(&target, depth + 1) {
                None if is_beyond => Some(SkipReason::MaxLinks),
                // Of what is not followed nothing is told that was not asked for anyway.
                Some(SkipReason::OutOfScope | SkipReason::UnsupportedType) if is_beyond => return None,
                other => other,
            };
            Some(FoundPage { skipped, depth: depth + 1, hops: 0, url: target.into() })
        })
        .collect()
}

/// Where an answer leads that is no page.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) target: FoundPage,
    /// The crawl goes on there.
    pub(super) prefix: Option<String>,
}

/// The end of a page that leads on to another one.
///
/// # Errors
/// Why it leads nowhere; or why its target is not taken, which is no fault.
pub(super) fn moved(
    url: &Url,
    (depth, hops): (u32, u32),
    location: Option<&str>,
    follows: bool,
    bounds: &Bounds<'_>,
) -> Result<Moved, Result<SkipReason, PageFault>> {
    let location = location.ok_or(Err(PageFault::BadRedirect))?;
    let target = address::join(url, location).map_err(|_| Err(PageFault::BadRedirect))?;
    if target == *url || hops >= MOST_HOPS {
        return Err(Err(PageFault::TooManyRedirects));
    }
    let mut prefix = None;
    let skipped = match bounds.skips(&target, depth) {
        // Where nobody named a part of the site, it is that of the page that the first one leads to.
        Some(SkipReason::OutOfScope) if follows => {
            prefix = Some(address::folder(&target));
            None
        }
        Some(SkipReason::OutOfScope) => return Err(Ok(SkipReason::OutOfScope)),
        other => other,
    };
    Ok(Moved { target: FoundPage { url: target.into(), depth, hops: hops + 1, skipped }, prefix })
}

/// What a site map names: pages of the part that is read, or further site maps of the same site, which have no depth.
pub(super) fn mapped(url: &Url, body: &[u8], bounds: &Bounds<'_>) -> Vec<FoundPage> {
    let body = unpacked(body);
    let text = String::from_utf8_lossy(&body);
    let most = bounds.crawl.max_pages as usize + 1;
    match sitemap(&text, 50_000) {
        SiteMap::Maps(maps) => {
            let maps = maps.iter().filter_map(|map| address::join(url, map).ok());
            // More than are read, so that those are listed which are left out.
            let most = MOST_SITEMAPS + MOST_SKIPPED as usize;
            let same = maps.filter(|map| address::same_site(url, map)).take(most);
            same.map(|map| FoundPage { url: map.into(), depth: 0, hops: 0, skipped: None }).collect()
        }
        SiteMap::Pages(pages) => {
            let pages = pages.iter().filter_map(|page| address::join(url, page).ok());
            let found = pages.map(|page| FoundPage {
                skipped: bounds.skips(&page, 1),
                depth: 1,
                hops: 0,
                url: page.into(),
            });
            // Only what the site keeps crawlers away from is told; the rest is no part of what was asked for.
            found.filter(|page| matches!(page.skipped, None | Some(SkipReason::Robots))).take(most).collect()
        }
    }
}

/// Most large site maps are kept packed, and come as the files that they are. What breaks off, or unpacks to more than is
/// looked at, is read as far as that.
fn unpacked(body: &[u8]) -> Cow<'_, [u8]> {
    if !body.starts_with(&[0x1f, 0x8b]) {
        return Cow::Borrowed(body);
    }
    let mut plain = Vec::new();
    let _ = MultiGzDecoder::new(body).take(PAGE_BYTES).read_to_end(&mut plain);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::crawl::MOST_LINKS;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn crawl() -> Crawl {
        Crawl {
            url: "https://example.org/docs/".into(),
            prefix: "https://example.org/docs/".into(),
            max_pages: 3,
            max_depth: 2,
            current_url: None,
            waits_until: None,
            rests: false,
        }
    }

    fn url(text: &str) -> Url {
        address::parse(text).expect(text)
    }

    fn rules() -> Rules {
        Rules::of("User-agent: *\nDisallow: /docs/secret")
    }

    #[test]
    fn a_page_tells_what_it_leads_to_and_why_some_of_it_is_left_out() {
        let (crawl, rules) = (crawl(), rules());
        let bounds = Bounds { crawl: &crawl, rules: Some(&rules) };
        let html = r##"<html><a href="a"></a><a href="/b"></a><a href="secret/x"></a><a href="p.png"></a>
            <a href="mailto:x@y.z"></a><a href="#top"></a><a href="a#part"></a><a href="https://other.org/"></a></html>"##;
        let fetched = Fetched {
            content_type: Some("text/html".into()),
            body: html.as_bytes().to_vec().into(),
            ..Fetched::default()
        };
        let page = understand(&url("https://example.org/docs/"), 0, &fetched, &bounds);
        assert_eq!(page.kind, Some(FileKind::Html));
        assert_eq!(page.filename, "example.org/docs.html");
        assert_eq!(page.hash.len(), 64);
        let found: Vec<_> = page.found.iter().map(|f| (f.url.as_str(), f.depth, f.skipped)).collect();
        let wanted = [
            ("https://example.org/docs/a", 1, None),
            ("https://example.org/b", 1, Some(SkipReason::OutOfScope)),
            ("https://example.org/docs/secret/x", 1, Some(SkipReason::Robots)),
            ("https://example.org/docs/p.png", 1, Some(SkipReason::UnsupportedType)),
            ("https://other.org/", 1, Some(SkipReason::OutOfScope)),
        ];
        assert_eq!(found, wanted);
        let wide: Vec<u8> = html.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let read = links_of(&url("https://example.org/docs/"), 0, &wide, &bounds);
        assert_eq!(read, page.found, "whatever it is written in");
        let deep = links_of(&url("https://example.org/docs/"), 2, html.as_bytes(), &bounds);
        assert_eq!(deep[0].skipped, Some(SkipReason::TooDeep));
    }

    #[test]
    fn what_lies_beyond_the_links_that_are_followed_is_named_as_left_out() {
        let (crawl, rules) = (crawl(), rules());
        let bounds = Bounds { crawl: &crawl, rules: Some(&rules) };
        // Each is another link, and all lead to one page.
        let followed: String = (0..MOST_LINKS).map(|n| format!("<a href='a#{n}'></a>")).collect();
        let beyond = "<a href=a></a><a href=b></a><a href='b#x'></a><a href=secret></a><a href=p.png></a>\
            <a href='https://other.org/'></a>";
        let all = |html: &str| {
            let found = links_of(&url("https://example.org/docs/"), 0, html.as_bytes(), &bounds);
            found.into_iter().map(|f| (f.url, f.skipped)).collect::<Vec<_>>()
        };
        let a = ("https://example.org/docs/a".to_owned(), None);
        assert_eq!(all(&followed), std::slice::from_ref(&a));
        let wanted = [
            a,
            ("https://example.org/docs/b".to_owned(), Some(SkipReason::MaxLinks)),
            ("https://example.org/docs/secret".to_owned(), Some(SkipReason::Robots)),
        ];
        assert_eq!(all(&format!("{followed}{beyond}")), wanted);
    }

    #[test]
    fn a_text_is_kept_as_what_its_site_says_where_it_does_not_say_so_itself() {
        let crawl = crawl();
        let bounds = Bounds { crawl: &crawl, rules: None };
        let kept = |content_type: &str, body: &[u8]| {
            let (content_type, body) = (Some(content_type.to_owned()), Bytes::copy_from_slice(body));
            let fetched = Fetched { content_type, body, ..Fetched::default() };
            let page = understand(&url("https://example.org/docs/x"), 0, &fetched, &bounds);
            assert_eq!(page.hash, hex(&Sha256::digest(&page.body)));
            page.body.to_vec()
        };
        let wide: Vec<u8> = "<html><p>été</p></html>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let cyrillic = &b"<html><p>\xcf\xf0\xe8\xe2\xe5\xf2</p></html>"[..];
        for told in [
            "text/html; charset=windows-1251",
            "Text/HTML;Charset=\"Windows-1251\"",
            "text/html; a=b; charset=cp1251",
        ] {
            assert_eq!(kept(told, cyrillic), "<html><p>Привет</p></html>".as_bytes(), "{told}");
        }
        for (told, body) in [
            ("text/html", cyrillic),
            ("text/html; charset=nonsense", cyrillic),
            ("text/html; charset=utf-8", cyrillic),
            ("text/html; charset=windows-1251", &b"<html><meta charset=koi8-r>\xf0\xd2\xc9</html>"[..]),
            ("text/html; charset=windows-1251", "<html><p>Привет</p></html>".as_bytes()),
            // Its zeros say that it is UTF-16.
            ("text/html; charset=windows-1251", &wide[..]),
            // Many servers say that of whatever they do not know.
            ("text/plain; charset=iso-8859-1", &b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"[..]),
        ] {
            assert_eq!(kept(told, body), body, "{told}");
        }
    }

    #[test]
    fn what_is_no_text_is_none_of_the_kinds() {
        let crawl = crawl();
        let bounds = Bounds { crawl: &crawl, rules: None };
        let fetched = Fetched { body: b"\x89PNG\r\n\x1a\n0000".to_vec().into(), ..Fetched::default() };
        assert_eq!(understand(&url("https://example.org/docs/x"), 0, &fetched, &bounds).kind, None);
    }

    #[test]
    fn a_redirect_leads_on_within_the_bounds() {
        let (crawl, rules) = (crawl(), rules());
        let bounds = Bounds { crawl: &crawl, rules: Some(&rules) };
        let from = url("https://example.org/docs/a");
        let lead = |location, hops, follows| moved(&from, (1, hops), location, follows, &bounds);
        let fine = lead(Some("b?c#d"), 0, false).expect("a target");
        assert_eq!(
            (fine.target.url.as_str(), fine.target.depth, fine.target.hops),
            ("https://example.org/docs/b?c", 1, 1)
        );
        assert_eq!(fine.prefix, None);
        let out = lead(Some("https://www.example.org/new/page"), 0, true).expect("a target");
        assert_eq!(out.prefix.as_deref(), Some("https://www.example.org/new/"));
        let ends = |moved: Result<Moved, _>| moved.expect_err("no target");
        assert_eq!(ends(lead(Some("https://www.example.org/"), 0, false)), Ok(SkipReason::OutOfScope));
        assert_eq!(ends(lead(None, 0, false)), Err(PageFault::BadRedirect));
        assert_eq!(ends(lead(Some("ftp://example.org/"), 0, false)), Err(PageFault::BadRedirect));
        assert_eq!(ends(lead(Some("a"), 0, false)), Err(PageFault::TooManyRedirects));
        assert_eq!(ends(lead(Some("b"), MOST_HOPS, false)), Err(PageFault::TooManyRedirects));
        let secret = lead(Some("secret"), 0, false).expect("a target");
        assert_eq!(secret.target.skipped, Some(SkipReason::Robots));
    }

    #[test]
    fn a_site_map_names_pages_of_the_part_that_is_read() {
        let (crawl, rules) = (crawl(), rules());
        let bounds = Bounds { crawl: &crawl, rules: Some(&rules) };
        let map = "<urlset><loc>https://example.org/docs/1</loc><loc>https://example.org/2</loc>\
            <loc>https://example.org/docs/secret</loc><loc>https://example.org/docs/x.png</loc></urlset>";
        let at = url("https://example.org/sitemap.xml");
        let found: Vec<_> =
            mapped(&at, map.as_bytes(), &bounds).into_iter().map(|f| (f.url, f.depth, f.skipped)).collect();
        let wanted = [
            ("https://example.org/docs/1".to_owned(), 1, None),
            ("https://example.org/docs/secret".to_owned(), 1, Some(SkipReason::Robots)),
        ];
        assert_eq!(found, wanted);
        let index = "<sitemapindex><loc>/a.xml</loc><loc>https://other.org/b.xml</loc></sitemapindex>";
        let found = mapped(&at, index.as_bytes(), &bounds);
        assert_eq!((found.len(), found[0].url.as_str(), found[0].depth), (1, "https://example.org/a.xml", 0));
        let many: String =
            (0..=MOST_SITEMAPS).map(|n| format!("<loc>https://example.org/{n}.xml</loc>")).collect();
        let found = mapped(&at, format!("<sitemapindex>{many}</sitemapindex>").as_bytes(), &bounds);
        assert_eq!(found.len(), MOST_SITEMAPS + 1, "what is not read is named all the same");
        let packed = |text: &str| {
            let mut packed = GzEncoder::new(vec![], Compression::default());
            packed.write_all(text.as_bytes()).expect("packed");
            packed.finish().expect("packed")
        };
        assert_eq!(mapped(&at, &packed(map), &bounds), mapped(&at, map.as_bytes(), &bounds));
        let torn = packed(map);
        assert!(mapped(&at, &torn[..12], &bounds).is_empty());
        let many: String = (0..99).map(|n| format!("<loc>https://example.org/docs/{n}</loc>")).collect();
        assert_eq!(mapped(&at, many.as_bytes(), &bounds).len(), 4, "one more than there is room for");
    }
}
