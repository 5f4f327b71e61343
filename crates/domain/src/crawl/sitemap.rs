//! The addresses in a site map, found as the links of a page are.

use super::links::unescape;

/// What a site map names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteMap {
    Pages(Vec<String>),
    /// It lists other site maps.
    Maps(Vec<String>),
}

/// Reads a site map: XML, or a plain list with an address a line. At most `most` addresses.
pub fn sitemap(text: &str, most: usize) -> SiteMap {
    if !text.contains('<') {
        let lines = text.lines().map(str::trim).filter(|line| line.starts_with("http"));
        return SiteMap::Pages(lines.take(most).map(str::to_owned).collect());
    }
    let mut found = vec![];
    let mut rest = text;
    while found.len() < most {
        let Some(at) = rest.find("<loc>") else { break };
        rest = &rest[at + 5..];
        let Some(end) = rest.find('<') else { break };
        let (inner, tail) = match rest.strip_prefix("<![CDATA[") {
            Some(inner) => inner.split_at(inner.find("]]>").unwrap_or(inner.len())),
            None => rest.split_at(end),
        };
        let address = unescape(inner.trim());
        if !address.is_empty() {
            found.push(address);
        }
        rest = tail;
    }
    if text.contains("<sitemapindex") { SiteMap::Maps(found) } else { SiteMap::Pages(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(all: &[&str]) -> Vec<String> {
        all.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn pages_maps_and_plain_lists_are_told_apart() {
        let pages = "<?xml version='1.0'?><urlset><url><loc> https://a/1?x=1&amp;y=2 </loc></url>\
            <url><loc><![CDATA[https://a/2]]></loc></url></urlset>";
        assert_eq!(sitemap(pages, 9), SiteMap::Pages(of(&["https://a/1?x=1&y=2", "https://a/2"])));
        assert_eq!(sitemap(pages, 1), SiteMap::Pages(of(&["https://a/1?x=1&y=2"])));
        let maps = "<sitemapindex><sitemap><loc>https://a/m.xml</loc></sitemap></sitemapindex>";
        assert_eq!(sitemap(maps, 9), SiteMap::Maps(of(&["https://a/m.xml"])));
        assert_eq!(
            sitemap("https://a/1\n\nnothing\nhttps://a/2", 9),
            SiteMap::Pages(of(&["https://a/1", "https://a/2"]))
        );
        assert_eq!(sitemap("<html>not found</html>", 9), SiteMap::Pages(vec![]));
        assert_eq!(sitemap("<loc>https://a", 9), SiteMap::Pages(vec![]));
    }
}
