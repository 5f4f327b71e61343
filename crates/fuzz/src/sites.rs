//! What a crawl reads of a site, and the addresses that it goes by.

use crate::{May, Target, document};
use domain::crawl::{self, AGENT, Allowed, LONGEST_URL, SiteMap};
use services::crawl::address;
use std::net::IpAddr;

pub static TARGETS: [Target; 4] = [
    Target {
        name: "robots",
        samples: || {
            vec![
                b"User-agent: *\nDisallow: /private\nAllow: /private/open\nCrawl-delay: 2\n\nUser-agent: insighthub\n\
                  Disallow: /*.pdf$\nSitemap: https://example.org/map.xml\n"
                    .to_vec(),
            ]
        },
        words: &[
            "User-agent:",
            "Disallow:",
            "Allow:",
            "*",
            "$",
            "%",
            "%2F",
            "\r",
            "#",
            ":",
            "1e999",
            "\u{feff}",
        ],
        run: robots,
        may: May::Panic,
    },
    Target {
        name: "links",
        samples: || {
            vec![
                document("questions.html"),
                b"<base href='/docs/'><a href=\"one?a=1&amp;b=2#x\">1</a><!-- <a href=no> --><area href=two>\
                  <script>'<a href=3>'</script><iframe src='//example.org/4'></iframe>\
                  <meta http-equiv=refresh content='0; url=five'>"
                    .to_vec(),
            ]
        },
        words: &[
            "<a href=",
            "</a>",
            "'",
            "\"",
            "&#x0;",
            "&amp;",
            "<!--",
            "-->",
            "<base href=",
            "<meta http-equiv=refresh content=",
            ";url=",
            "//",
            "javascript:",
            ">",
        ],
        run: links,
        may: May::Nothing,
    },
    Target {
        name: "sitemap",
        samples: || {
            vec![
                b"<?xml version=\"1.0\"?><urlset><url><loc>https://example.org/docs/one?a=1&amp;b=2</loc></url>\
                  <url><loc> https://example.org/two </loc></url></urlset>"
                    .to_vec(),
                b"<sitemapindex><sitemap><loc>https://example.org/more.xml</loc></sitemap></sitemapindex>".to_vec(),
                b"https://example.org/one\nhttps://example.org/two\n".to_vec(),
            ]
        },
        words: &["<loc>", "</loc>", "<url>", "<sitemap>", "<![CDATA[", "]]>", "&amp;", "http://", "\n", "<"],
        run: site_map,
        may: May::Nothing,
    },
    Target {
        name: "address",
        samples: || {
            let all = [
                "https://example.org/docs/?a=1&b=%20#there",
                "http://user:password@example.org:8080/",
                "http://[::ffff:127.0.0.1]/",
                "http://0x7f.1/..%2f../a//b/./c",
                "https://b\u{fc}cher.example/\u{e9}",
            ];
            all.iter().map(|text| text.as_bytes().to_vec()).collect()
        },
        words: &[
            "http://",
            "https://",
            "@",
            ":",
            "[::1]",
            "127.0.0.1",
            "0x",
            "%00",
            "%2e%2e/",
            "//",
            "\\",
            "?",
            "#",
            "xn--",
            "localhost",
            "\u{ff0e}",
        ],
        run: an_address,
        may: May::Nothing,
    },
];

/// Whose answer it is does not matter to these.
const SITE: &str = "https://example.org/docs/";

/// The rules of a site are those of a library, and a crawl does without rules that it cannot read.
fn robots(bytes: &[u8]) -> Result<bool, String> {
    let Ok(rules) = texting_robots::Robot::new(AGENT, bytes) else { return Ok(false) };
    for path in ["", "private/open", "a.pdf", "%2F?x=1"] {
        rules.allowed(&format!("{SITE}{path}"));
    }
    Ok(true)
}

/// What is followed is an address of the web.
fn addresses<'a>(found: impl Iterator<Item = &'a String>) -> Result<bool, String> {
    let base = address::parse(SITE).map_err(|e| e.to_string())?;
    let mut any = false;
    for link in found {
        let Ok(url) = address::join(&base, link) else { continue };
        if !matches!(url.scheme(), "http" | "https") || url.fragment().is_some() {
            return Err(format!("{link:?} became {url}"));
        }
        any = true;
    }
    Ok(any)
}

fn links(bytes: &[u8]) -> Result<bool, String> {
    let found = crawl::links(&String::from_utf8_lossy(bytes));
    addresses(found.hrefs.iter().chain(&found.beyond).chain(&found.base))
}

fn site_map(bytes: &[u8]) -> Result<bool, String> {
    const MOST: usize = 50;
    let (SiteMap::Maps(found) | SiteMap::Pages(found)) =
        crawl::sitemap(&String::from_utf8_lossy(bytes), MOST);
    if found.len() > MOST {
        return Err(format!("{} addresses", found.len()));
    }
    addresses(found.iter())
}

/// An address is brought into one form and stays in it; it lies in its own folder; and what may be asked is no machine of
/// ours, however it was written.
fn an_address(bytes: &[u8]) -> Result<bool, String> {
    let Ok(url) = address::parse(&String::from_utf8_lossy(bytes)) else { return Ok(false) };
    if !matches!(url.scheme(), "http" | "https")
        || url.fragment().is_some()
        || url.as_str().len() > LONGEST_URL
    {
        return Err(format!("{url} was taken"));
    }
    if address::parse(url.as_str()) != Ok(url.clone()) {
        return Err(format!("{url} is not read as what it is"));
    }
    if !address::lies_in(&url, &address::folder(&url)) {
        return Err(format!("{url} is not in {}", address::folder(&url)));
    }
    let name = address::filename(&url, true);
    if name.chars().any(char::is_control) || name.chars().count() > 195 {
        return Err(format!("{url} is called {name:?}"));
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_private = match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_unspecified(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Err(_) => host.trim_end_matches('.') == "localhost",
    };
    if is_private && address::check(&url, &Allowed::default()).is_ok() {
        return Err(format!("{url} may be asked"));
    }
    Ok(true)
}
