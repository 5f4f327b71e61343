//! What a site asks of those who crawl it: its robots.txt.

use domain::crawl::AGENT;
use std::time::Duration;
use texting_robots::Robot;
use url::Url;

/// The longest pause between two pages that a site may ask for and get.
const LONGEST_DELAY: f32 = 30.0;

/// `None`: it asks for nothing.
pub(super) struct Rules(Option<Robot>);

impl Rules {
    /// Reads the text apart from everything else: it may be long.
    pub(super) async fn read(text: String) -> Self {
        tokio::task::spawn_blocking(move || Self::of(&text)).await.unwrap_or(Self(None))
    }

    /// A text that cannot be understood asks for nothing.
    pub(super) fn of(text: &str) -> Self {
        let robot = Robot::new(AGENT, text.as_bytes());
        Self(robot.or_else(|_| Robot::new(AGENT, understood(text).as_bytes())).ok())
    }

    pub(super) fn allow(&self, url: &Url) -> bool {
        self.0.as_ref().is_none_or(|robot| robot.allowed(url.as_str()))
    }

    /// The pause between two pages.
    pub(super) fn delay(&self) -> Duration {
        let asked = self.0.as_ref().and_then(|robot| robot.delay).filter(|seconds| seconds.is_finite());
        Duration::from_secs_f32(asked.unwrap_or_default().clamp(0.0, LONGEST_DELAY))
    }

    pub(super) fn sitemaps(&self) -> &[String] {
        self.0.as_ref().map_or(&[], |robot| &robot.sitemaps)
    }
}

/// The text without the rules that the library makes nothing of, each of which would take all others along. Those are patterns
/// with an end that are too large for it.
fn understood(text: &str) -> String {
    let lines = text.split(['\n', '\r', '\0']);
    let fine = lines.filter(|line| !line.contains('$') || Robot::new(AGENT, line.as_bytes()).is_ok());
    fine.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(rules: &str, path: &str) -> bool {
        Rules::of(rules).allow(&Url::parse(&format!("https://example.org{path}")).expect(path))
    }

    #[test]
    fn rules_for_all_and_rules_for_this_crawler_are_kept() {
        let rules = "User-agent: *\nDisallow: /\n\nUser-agent: insighthub\nDisallow: /private\nAllow: /private/open\n\
            Disallow: /*.pdf$\nCrawl-delay: 2\nSitemap: https://example.org/map.xml";
        for (path, allowed) in [
            ("/", true),
            ("/private", false),
            ("/private/x", false),
            ("/private/open/x", true),
            ("/a.pdf", false),
            ("/a.pdf?x", true),
        ] {
            assert_eq!(allow(rules, path), allowed, "{path}");
        }
        assert_eq!(Rules::of(rules).delay(), Duration::from_secs(2));
        assert_eq!(Rules::of(rules).sitemaps(), ["https://example.org/map.xml"]);
        assert!(!allow("User-agent: *\nDisallow: /", "/a"));
    }

    #[test]
    fn no_rules_and_odd_ones_keep_nobody_away() {
        for rules in
            ["", "<html>not found</html>", "Disallow", "User-agent: other\nDisallow: /", "\u{0}\u{feff}"]
        {
            assert!(allow(rules, "/a"), "{rules:?}");
        }
        for (rules, seconds) in [("Crawl-delay: 1000", 30), ("Crawl-delay: -1", 0), ("Crawl-delay: x", 0)] {
            let rules = format!("User-agent: *\n{rules}");
            assert_eq!(Rules::of(&rules).delay(), Duration::from_secs(seconds), "{rules}");
        }
    }

    #[test]
    fn a_rule_that_is_too_much_takes_no_other_along() {
        let much = format!("Disallow: /{}$", "*a".repeat(5_000));
        for end in ["\n", "\r\n", "\r"] {
            let rules = ["User-agent: *", "Disallow: /before", &*much, "Disallow: /*.pdf$", "Crawl-delay: 3"];
            let rules = rules.join(end);
            assert!(Robot::new(AGENT, rules.as_bytes()).is_err(), "the library takes it: {end:?}");
            for (path, allowed) in [("/before", false), ("/x.pdf", false), ("/after", true)] {
                assert_eq!(allow(&rules, path), allowed, "{path} {end:?}");
            }
            assert_eq!(Rules::of(&rules).delay(), Duration::from_secs(3));
        }
    }
}
