//! The headings of a Markdown text, and the spans they make. Used for Markdown files and for web pages, which are
//! turned into Markdown first.

use super::Span;
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// A heading longer than this is cut when it is shown beside a passage.
const HEADING_CHARS: usize = 200;

/// A heading and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// Byte offset of the line it stands on.
    pub start: usize,
    pub level: u8,
    /// Without marks.
    pub text: String,
}

/// The headings in order.
pub fn headings(markdown: &str) -> Vec<Heading> {
    let mut out: Vec<Heading> = Vec::new();
    let mut open = false;
    for (event, range) in Parser::new_ext(markdown, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                open = true;
                out.push(Heading { start: range.start, level: number(level), text: String::new() });
            }
            Event::End(TagEnd::Heading(_)) => {
                open = false;
                if let Some(heading) = out.last_mut() {
                    heading.text = shown(&heading.text);
                }
            }
            Event::Text(t) | Event::Code(t) if open => {
                if let Some(heading) = out.last_mut() {
                    heading.text.push_str(&t);
                }
            }
            Event::SoftBreak | Event::HardBreak if open => {
                if let Some(heading) = out.last_mut() {
                    heading.text.push(' ');
                }
            }
            _ => {}
        }
    }
    out.retain(|h| !h.text.is_empty());
    out
}

/// One span from each heading to the next; text before the first heading has none.
pub fn spans(text: &str, headings: &[Heading]) -> Vec<Span> {
    let mut out = Vec::with_capacity(headings.len() + 1);
    let first = headings.first().map_or(text.len(), |h| h.start);
    if first > 0 {
        out.push(Span { start: 0, end: first, page: None, heading: None });
    }
    for (i, heading) in headings.iter().enumerate() {
        let end = headings.get(i + 1).map_or(text.len(), |next| next.start);
        out.push(Span { start: heading.start, end, page: None, heading: Some(heading.text.clone()) });
    }
    out
}

/// One line, without runs of space, of bounded length.
pub fn shown(heading: &str) -> String {
    let line = heading.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= HEADING_CHARS {
        return line;
    }
    let mut cut: String = line.chars().take(HEADING_CHARS - 1).collect();
    cut.push('…');
    cut
}

fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_found_and_a_hash_in_code_is_none() {
        let md = "intro\n\n# One *two* `three`\n\ntext\n\n```\n# not this\n```\n\nUnder\n-----\n\nmore\n";
        let found = headings(md);
        assert_eq!(
            found.iter().map(|h| (h.level, h.text.as_str())).collect::<Vec<_>>(),
            [(1, "One two three"), (2, "Under")]
        );
        let spans = spans(md, &found);
        assert_eq!(spans.len(), 3);
        assert_eq!(&md[spans[1].start..spans[1].start + 5], "# One");
        assert_eq!(&md[spans[2].start..spans[2].start + 5], "Under");
        assert_eq!(spans[2].end, md.len());
        assert!(spans.windows(2).all(|w| w[0].end == w[1].start));
    }

    #[test]
    fn a_long_heading_is_cut_for_show() {
        assert_eq!(shown(&"word ".repeat(100)).chars().count(), HEADING_CHARS);
    }
}
