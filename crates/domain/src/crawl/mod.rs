//! The crawl of a web site: its bounds, what becomes of each page, which addresses a server may ask at all, and what can
//! be read out of a page or a site map without understanding it. Nothing here asks anybody anything.

mod address;
mod links;
mod sitemap;

pub use address::{Allowed, Network, is_public};
pub use links::{Links, links};
pub use sitemap::{SiteMap, sitemap};

use crate::{
    ids::DocumentId,
    message::{Sentence, WRITTEN, say},
    status::named,
    timestamp::Timestamp,
    validate::FieldErrors,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Pages that a crawl asks for, when nobody says how many; and at most.
pub const PAGES: u32 = 1_000;
pub const MOST_PAGES: u32 = 10_000;
/// Links from the first page to the last, when nobody says how many; and at most.
pub const DEPTH: u32 = 10;
pub const MOST_DEPTH: u32 = 50;
/// Longest address that is looked at, in bytes.
pub const LONGEST_URL: usize = 2_000;
/// Pages that are listed as skipped, at most: an endless site would name new ones for ever.
pub const MOST_SKIPPED: u64 = 10_000;
/// Redirects that lead from one page to the next, at most.
pub const MOST_HOPS: u32 = 10;
/// Largest page, in bytes, once it is unpacked.
pub const PAGE_BYTES: u64 = 20 << 20;
/// What one crawl takes in all, in bytes.
pub const CRAWL_BYTES: u64 = 2 << 30;
/// What a robots.txt is read to, in bytes: RFC 9309 wants 500 KiB at least, and search engines stop there as well.
pub const ROBOTS_BYTES: u64 = 512 << 10;
/// Links of one page that are followed, at most.
pub const MOST_LINKS: usize = 2_000;
/// Site maps that are read, at most.
pub const MOST_SITEMAPS: usize = 20;
/// By this name the crawler asks, and robots.txt may speak to it.
pub const AGENT: &str = "InsightHub";

/// What a crawl goes by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Crawl {
    /// Where it begins.
    pub url: String,
    /// Only addresses that begin with this are taken; `http` and `https` are the same here.
    pub prefix: String,
    pub max_pages: u32,
    pub max_depth: u32,
    /// The page that is asked for just now.
    pub current_url: Option<String>,
    /// All pages that are left could not be had just now, and are asked for again: the first of them at this moment.
    pub waits_until: Option<Timestamp>,
    /// It was cancelled, and documents of it alone are retried: the pages that wait go on waiting until the job itself is.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub rests: bool,
}

named!(
    /// Where a page stands.
    PageState, "state" {
        Waiting = "waiting",
        Fetched = "fetched",
        Failed = "failed",
        /// Found, and not asked for.
        Skipped = "skipped",
        /// An earlier crawl had it, and this one did not find it.
        Removed = "removed",
    }
);

named!(
    /// What a page is, compared with what an earlier crawl of the workspace had of it.
    Change, "change" {
        New = "new",
        Changed = "changed",
        Unchanged = "unchanged",
    }
);

named!(
    /// Why a page was not asked for, or not taken.
    SkipReason, "reason" {
        OutOfScope = "out_of_scope",
        TooDeep = "too_deep",
        MaxPages = "max_pages",
        MaxBytes = "max_bytes",
        /// The page that names it has more links than are followed.
        MaxLinks = "max_links",
        /// A site map beyond those that are read.
        MaxSitemaps = "max_sitemaps",
        Robots = "blocked_by_robots",
        UnsupportedType = "unsupported_type",
        Moved = "moved",
        Empty = "empty",
    }
);

/// A page of a crawl, as the lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CrawlPage {
    pub url: String,
    pub state: PageState,
    /// Links from the first page.
    pub depth: u32,
    /// What the site answered, where it was asked.
    pub http_status: Option<u16>,
    /// Stable word for programs: why it failed, was skipped, or waits to be asked for again.
    pub code: Option<String>,
    /// The same as a sentence.
    pub message: Option<String>,
    /// Of one that waits since it, or its whole site, could not be had just now: it is asked for from this moment on.
    pub waits_until: Option<Timestamp>,
    /// Of a fetched one: what it is, compared with an earlier crawl.
    pub change: Option<Change>,
    /// What it became.
    pub document_id: Option<DocumentId>,
    /// The page on which it was found first.
    pub found_on: Option<String>,
    pub updated_at: Timestamp,
}

impl SkipReason {
    /// As a sentence.
    pub fn sentence(self) -> String {
        say(WRITTEN, &Sentence::PageSkipped(self))
    }
}

/// Why a page could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageFault {
    /// The site answered something else than the page.
    Http(u16),
    /// Its address, or the one that its name or a redirect leads to, is none that may be asked.
    NotAllowed,
    /// This server has nothing by which it could know a site that answers with `https`.
    NoCertificates,
    Unreachable,
    TookTooLong,
    TooLarge,
    TooManyRedirects,
    BadRedirect,
    /// The answer was cut off, or packed in a way that cannot be unpacked.
    Broken,
    /// Without it nobody knows what may be asked for.
    RobotsUnreachable,
    /// Its document is in the hands of another job.
    Busy,
    /// The server has no room for it.
    NotKept,
    /// A mistake of this server, which it made while reading the page.
    Internal,
}

impl PageFault {
    /// Stable word for programs.
    pub fn code(&self) -> String {
        match self {
            Self::Http(status) => return format!("http_{status}"),
            Self::NotAllowed => "address_not_allowed",
            Self::NoCertificates => "no_certificates",
            Self::Unreachable => "unreachable",
            Self::TookTooLong => "took_too_long",
            Self::TooLarge => "too_large",
            Self::TooManyRedirects => "too_many_redirects",
            Self::BadRedirect => "bad_redirect",
            Self::Broken => "broken_answer",
            Self::RobotsUnreachable => "robots_unreachable",
            Self::Busy => "document_busy",
            Self::NotKept => "storage_failed",
            Self::Internal => "internal",
        }
        .to_owned()
    }

    /// Whether the page may be had a little later. What its site or this server decided stays as it is.
    pub const fn may_heal(&self) -> bool {
        match self {
            Self::Http(status) => matches!(*status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            Self::Unreachable | Self::TookTooLong | Self::Broken | Self::RobotsUnreachable => true,
            Self::NotAllowed
            | Self::NoCertificates
            | Self::TooLarge
            | Self::TooManyRedirects
            | Self::BadRedirect
            | Self::Busy
            | Self::NotKept
            | Self::Internal => false,
        }
    }

    /// Whether nothing of its site can be had just now, and not this page alone. `wishes`: the site says for how long it wants to
    /// be left alone.
    pub const fn is_of_site(&self, wishes: bool) -> bool {
        matches!(self, Self::Http(429) | Self::RobotsUnreachable) || wishes && matches!(self, Self::Http(503))
    }

    /// As a sentence.
    pub fn sentence(&self) -> String {
        say(WRITTEN, &Sentence::PageFailed(self))
    }
}

/// How many more pages may be asked for.
pub fn room(max_pages: u32, taken: u64) -> u64 {
    u64::from(max_pages).saturating_sub(taken)
}

/// Whether the name of a page says that it is no text: a picture, a sound, a program, an archive, a style.
pub fn is_no_text(path: &str) -> bool {
    const NO_TEXTS: &[&str] = &[
        "png", "jpg", "jpeg", "gif", "webp", "avif", "svg", "ico", "bmp", "tif", "tiff", "mp3", "ogg", "wav",
        "flac", "mp4", "m4v", "webm", "mov", "avi", "mkv", "css", "js", "mjs", "map", "wasm", "woff",
        "woff2", "ttf", "otf", "eot", "zip", "gz", "tgz", "bz2", "xz", "zst", "7z", "rar", "tar", "exe",
        "msi", "dmg", "deb", "rpm", "apk", "iso", "jar",
    ];
    let name = path.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| NO_TEXTS.contains(&ending.as_str()))
}

/// The form of a crawl as it is typed: what can be said of it without looking at the address closely. The fields that are
/// left empty are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrawlForm {
    pub url: String,
    pub prefix: Option<String>,
    pub max_pages: Option<u32>,
    pub max_depth: Option<u32>,
}

impl CrawlForm {
    /// Reads what was typed; the numbers are texts there.
    ///
    /// # Errors
    /// Messages at their fields.
    pub fn typed(url: &str, prefix: &str, max_pages: &str, max_depth: &str) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let mut number = |field: &str, text: &str, least: u32, most: u32| {
            let text = text.trim();
            let read = text.parse::<u32>().ok();
            if !text.is_empty() && read.is_none() {
                errors.add(field, bounds(least, most));
            }
            read
        };
        let max_pages = number("max_pages", max_pages, 1, MOST_PAGES);
        let max_depth = number("max_depth", max_depth, 0, MOST_DEPTH);
        let prefix = Some(prefix.trim().to_owned()).filter(|p| !p.is_empty());
        let form = Self { url: url.trim().to_owned(), prefix, max_pages, max_depth };
        let more = form.check().err().unwrap_or_default();
        more.iter().for_each(|(field, all)| all.iter().for_each(|m| errors.add(field, m.clone())));
        errors.check().map(|()| form)
    }

    /// # Errors
    /// Messages at their fields.
    pub fn check(&self) -> Result<(), FieldErrors> {
        let mut errors = FieldErrors::default();
        if self.url.trim().is_empty() {
            errors.add("url", "Enter the address of the site.");
        } else if let Some(wrong) = not_web(&self.url) {
            errors.add("url", wrong);
        }
        if let Some(wrong) = self.prefix.as_deref().and_then(not_web) {
            errors.add("prefix", wrong);
        }
        if self.max_pages.is_some_and(|n| !(1..=MOST_PAGES).contains(&n)) {
            errors.add("max_pages", bounds(1, MOST_PAGES));
        }
        if self.max_depth.is_some_and(|n| n > MOST_DEPTH) {
            errors.add("max_depth", bounds(0, MOST_DEPTH));
        }
        errors.check()
    }
}

fn bounds(least: u32, most: u32) -> String {
    format!("Use a number from {least} to {most}.")
}

/// What is wrong with an address, as far as its text tells.
fn not_web(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    if text.len() > LONGEST_URL {
        Some("The address is too long.")
    } else if !lower.starts_with("http://") && !lower.starts_with("https://") {
        Some("Enter an address that begins with https:// or http://.")
    } else if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Some("An address has no spaces.")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(url: &str, prefix: &str, pages: &str, depth: &str) -> Vec<String> {
        let errors = CrawlForm::typed(url, prefix, pages, depth).expect_err("refused");
        errors.iter().map(|(field, _)| field.to_owned()).collect()
    }

    #[test]
    fn a_form_is_refused_at_its_fields() {
        let fine = CrawlForm::typed(" https://example.org/docs/ ", "", "", "0").expect("fine");
        let wanted =
            CrawlForm { url: "https://example.org/docs/".into(), max_depth: Some(0), ..CrawlForm::default() };
        assert_eq!(fine, wanted);
        assert_eq!(wrong("", "", "", ""), ["url"]);
        assert_eq!(wrong("ftp://example.org", "", "", ""), ["url"]);
        assert_eq!(wrong("example.org", "docs", "", ""), ["prefix", "url"]);
        assert_eq!(wrong("https://a b", "", "", ""), ["url"]);
        assert_eq!(wrong("https://example.org", "", "0", "51"), ["max_depth", "max_pages"]);
        assert_eq!(wrong("https://example.org", "", "10001", "-1"), ["max_depth", "max_pages"]);
        assert_eq!(wrong("https://example.org", "", "many", "1.5"), ["max_depth", "max_pages"]);
        assert_eq!(wrong(&format!("https://example.org/{}", "a".repeat(2_000)), "", "", ""), ["url"]);
    }

    #[test]
    fn a_name_tells_what_is_no_text() {
        for path in ["/a/b.PNG", "/x.tar.gz", "/style.css", "/v.mp4"] {
            assert!(is_no_text(path), "{path}");
        }
        for path in ["/", "/a.html", "/a.pdf", "/v1.2/notes", "/png", "/a.png/b"] {
            assert!(!is_no_text(path), "{path}");
        }
    }

    #[test]
    fn there_is_room_until_all_pages_are_taken() {
        assert_eq!((room(3, 0), room(3, 2), room(3, 3), room(3, 9)), (3, 1, 0, 0));
    }

    #[test]
    fn every_fault_has_a_code_and_a_sentence() {
        use PageFault::*;
        let all = [
            Http(404),
            NotAllowed,
            Unreachable,
            TookTooLong,
            TooLarge,
            TooManyRedirects,
            BadRedirect,
            Broken,
            RobotsUnreachable,
            Busy,
            NotKept,
            Internal,
        ];
        for fault in all {
            assert!(!fault.code().contains(' ') && fault.sentence().ends_with('.'), "{fault:?}");
        }
        assert_eq!(Http(404).code(), "http_404");
        assert!(Http(404).sentence().contains("404"));
        for reason in SkipReason::ALL {
            assert!(reason.sentence().ends_with('.'), "{reason}");
        }
    }
}
