//! Web pages that nest deeper than any that people write, made flat before they are parsed.
//!
//! The cost of parsing and reading a page grows with the square of its depth, so a page of a megabyte can keep a
//! processor busy for minutes. Browsers stop nesting at some depth too. Tags beyond it are left out; all words stay.
//! So are those of buttons within headings: pages of questions unfold their answers by them, and what stands on other buttons
//! is no text.

use std::{borrow::Cow, collections::HashMap};

/// Open blocks (`div`, `section`, `form` …) within one another.
const MOST_BLOCKS: usize = 200;
/// Open lists, quotations and tables: in Markdown each one lengthens every line within it.
const MOST_LISTS: usize = 16;
/// Open marks of words (`b`, `font`, `span` …): old pages open them and never close them.
const MOST_MARKS: usize = 40;
/// A tag longer than this, in bytes, keeps its name and loses its attributes.
const LONG_TAG: usize = 64 * 1024;

/// Elements that have no end.
const VOID: [&str; 14] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track",
    "wbr",
];
/// Elements that the next of their kind ends.
const IMPLIED: [&str; 19] = [
    "p", "li", "td", "th", "tr", "dt", "dd", "option", "optgroup", "thead", "tbody", "tfoot", "colgroup",
    "caption", "rp", "rt", "html", "head", "body",
];
const LISTS: [&str; 8] = ["ul", "ol", "dl", "menu", "dir", "blockquote", "table", "details"];
const MARKS: [&str; 24] = [
    "a", "b", "i", "u", "s", "em", "strong", "small", "big", "tt", "font", "span", "code", "strike", "nobr",
    "sub", "sup", "abbr", "cite", "q", "mark", "kbd", "var", "label",
];
const HEADINGS: [&str; 6] = ["h1", "h2", "h3", "h4", "h5", "h6"];
/// Elements whose content is text whatever it looks like.
const RAW: [&str; 8] = ["script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"];

/// The page with a bounded depth; as it is when it needs no change.
pub fn flattened(html: &str) -> Cow<'_, str> {
    let mut open = Open::default();
    // What is kept since the last cut.
    let (mut out, mut from, mut at) = (String::new(), 0, 0);
    while let Some(begin) = html[at..].find('<').map(|i| at + i) {
        let rest = &html[begin..];
        let (name, end, closing) = match token(rest) {
            Token::Text => {
                at = begin + 1;
                continue;
            }
            Token::Other(length) => {
                at = begin + length;
                continue;
            }
            Token::Tag { name, length, closing } => (name.to_ascii_lowercase(), begin + length, closing),
        };
        at = end;
        let keep = if closing { open.closes(&name) } else { open.opens(&name) };
        let long = end - begin > LONG_TAG;
        if !keep || long {
            out.push_str(&html[from..begin]);
            if keep {
                out.push_str(if closing { "</" } else { "<" });
                out.push_str(&name);
                out.push('>');
            }
            from = end;
        }
        if !closing && RAW.contains(&name.as_str()) {
            at += end_of_raw(&html[end..], &name);
        }
    }
    if from == 0 {
        return Cow::Borrowed(html);
    }
    out.push_str(&html[from..]);
    Cow::Owned(out)
}

enum Token<'a> {
    /// A lone `<`.
    Text,
    /// A comment, a declaration: so many bytes.
    Other(usize),
    Tag {
        name: &'a str,
        length: usize,
        closing: bool,
    },
}

fn token(rest: &str) -> Token<'_> {
    if let Some(comment) = rest.strip_prefix("<!--") {
        return Token::Other(comment.find("-->").map_or(rest.len(), |i| i + 7));
    }
    if rest.starts_with("<!") || rest.starts_with("<?") {
        return Token::Other(rest.find('>').map_or(rest.len(), |i| i + 1));
    }
    let closing = rest.starts_with("</");
    let named = &rest[1 + usize::from(closing)..];
    let name =
        &named[..named.find(|c: char| c.is_whitespace() || matches!(c, '>' | '/')).unwrap_or(named.len())];
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return if closing {
            Token::Other(rest.find('>').map_or(rest.len(), |i| i + 1))
        } else {
            Token::Text
        };
    }
    // A `>` inside quotation marks does not end the tag.
    let (mut quote, mut after_equals) = (None, false);
    let begin = rest.len() - named.len() + name.len();
    for (i, byte) in rest.bytes().enumerate().skip(begin) {
        match (quote, byte) {
            (Some(q), b) if b == q => quote = None,
            (Some(_), _) => {}
            (None, b'>') => return Token::Tag { name, length: i + 1, closing },
            (None, b'"' | b'\'') if after_equals => quote = Some(byte),
            (None, _) => {}
        }
        after_equals = byte == b'=' || after_equals && byte.is_ascii_whitespace();
    }
    Token::Tag { name, length: rest.len(), closing }
}

/// Where the end tag begins; the end of the text without one.
fn end_of_raw(rest: &str, name: &str) -> usize {
    let mut at = 0;
    while let Some(i) = rest[at..].find("</") {
        let after = &rest.as_bytes()[at + i + 2..];
        if after.len() >= name.len() && after[..name.len()].eq_ignore_ascii_case(name.as_bytes()) {
            return at + i;
        }
        at += i + 2;
    }
    rest.len()
}

#[derive(Default)]
struct Open {
    blocks: Vec<String>,
    lists: Vec<String>,
    marks: Vec<String>,
    /// Tags that were left out and whose ends are left out too.
    left_out: HashMap<String, usize>,
}

impl Open {
    /// The open elements of that kind, and how many there may be.
    fn of(&mut self, name: &str) -> (&mut Vec<String>, usize) {
        if MARKS.contains(&name) {
            (&mut self.marks, MOST_MARKS)
        } else if LISTS.contains(&name) {
            (&mut self.lists, MOST_LISTS)
        } else {
            (&mut self.blocks, MOST_BLOCKS)
        }
    }

    fn opens(&mut self, name: &str) -> bool {
        if VOID.contains(&name) || IMPLIED.contains(&name) || RAW.contains(&name) {
            return true;
        }
        if name == "button" && self.blocks.iter().any(|open| HEADINGS.contains(&open.as_str())) {
            *self.left_out.entry(name.to_owned()).or_default() += 1;
            return false;
        }
        let (open, most) = self.of(name);
        if open.len() < most {
            open.push(name.to_owned());
            return true;
        }
        *self.left_out.entry(name.to_owned()).or_default() += 1;
        false
    }

    fn closes(&mut self, name: &str) -> bool {
        if HEADINGS.contains(&name) {
            // A button that was not closed ends with its heading, and the end of the next one is its own.
            self.left_out.remove("button");
        }
        if let Some(count) = self.left_out.get_mut(name).filter(|n| **n > 0) {
            *count -= 1;
            return false;
        }
        let (open, _) = self.of(name);
        if let Some(at) = open.iter().rposition(|n| n == name) {
            open.truncate(at);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_ordinary_page_stays_as_it_is() {
        let page = "<!DOCTYPE html><body><!-- <div> --><p>a < b<p title='x > y'>c<br><script>if (a<b) '<div>'</script></body>";
        assert!(matches!(flattened(page), Cow::Borrowed(p) if p == page));
        let list = "<li>x<p>y".repeat(1000);
        assert!(matches!(flattened(&list), Cow::Borrowed(_)), "items that end by themselves do not nest");
        let closed = "<div><b>x</b></div>".repeat(1000);
        assert!(matches!(flattened(&closed), Cow::Borrowed(_)));
    }

    #[test]
    fn tags_beyond_the_depth_are_left_out_with_their_ends() {
        let deep = format!("{}<h2>Title</h2>words{}", "<div>".repeat(500), "</div>".repeat(500));
        let flat = flattened(&deep);
        assert_eq!(flat.matches("<div>").count(), MOST_BLOCKS);
        assert_eq!(flat.matches("</div>").count(), MOST_BLOCKS);
        assert!(flat.contains("Titlewords"));
        // Marks that nobody closes cost no headings.
        let marks = format!("{}<h2>Title</h2>", "<font>x".repeat(500));
        assert!(flattened(&marks).ends_with("x<h2>Title</h2>"));
    }

    #[test]
    fn a_heading_that_is_a_button_stays_a_heading() {
        assert_eq!(
            flattened("<h3 id=a><button type='button'>Why?</button></h3><button>Share</button>"),
            "<h3 id=a>Why?</h3><button>Share</button>"
        );
        assert_eq!(
            flattened("<h3><button>Why?</h3><button>Share</button>"),
            "<h3>Why?</h3><button>Share</button>"
        );
    }

    #[test]
    fn a_tag_without_end_loses_its_attributes() {
        let page = format!("<p {}>words", "a=b ".repeat(50_000));
        assert_eq!(flattened(&page), "<p>words");
    }

    proptest! {
        #[test]
        fn any_text_is_flattened_without_a_crash(text in "[<>/!a-c\"' =\\-é]{0,200}") {
            let _ = flattened(&text);
            let _ = flattened(&text.repeat(50));
        }
    }
}
