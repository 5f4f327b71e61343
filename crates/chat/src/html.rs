//! An answer as HTML that is safe to show. Nothing is sanitised afterwards: only the tags below are ever written, none with an
//! address in it, and everything else is text. What an answer has of HTML is shown as the text that it is; of links and
//! pictures the words and the address are shown, and nothing leads there or is loaded from there.

use domain::chat::citation::{Found, read};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd, TextMergeStream};

/// In place of `[n]` while Markdown is read, so that no definition in the answer makes a link of it: not used by anybody.
const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';
/// Quotations and lists within one another, at most; what is deeper is shown flat.
const DEEPEST: usize = 16;

pub(crate) fn html(answer: &str, sources: usize, anchor: &str) -> String {
    let mut marked = String::with_capacity(answer.len());
    for found in read(&answer.replace([OPEN, CLOSE], ""), sources) {
        match found {
            Found::Text(text) => marked.push_str(&text),
            Found::Citation(n) => marked.push_str(&format!("{OPEN}{n}{CLOSE}")),
        }
    }
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let out = String::new();
    let mut page = Page { out, open: vec![], deep: 0, anchor, sources, links: vec![], in_head: false };
    for event in TextMergeStream::new(Parser::new_ext(&marked, options)) {
        page.take(event);
    }
    page.out
}

struct Page<'a> {
    out: String,
    /// The tags that were written, and those that were left out for being too deep.
    open: Vec<Option<&'static str>>,
    deep: usize,
    anchor: &'a str,
    sources: usize,
    /// Addresses of the links that are open, each with the place at which its words begin.
    links: Vec<(String, usize)>,
    in_head: bool,
}

impl Page<'_> {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(&tag),
            Event::Text(text) => self.text(&text),
            Event::Html(text) | Event::InlineHtml(text) => self.text(&text),
            Event::Code(text) => {
                self.out.push_str("<code>");
                self.plain(&text);
                self.out.push_str("</code>");
            }
            Event::SoftBreak => self.out.push('\n'),
            Event::HardBreak => self.out.push_str("<br>"),
            Event::Rule => self.out.push_str("<hr>"),
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                self.text(&text)
            }
            Event::TaskListMarker(_) => {}
        }
    }

    fn begin(&mut self, tag: &'static str) {
        let is_deep = matches!(tag, "blockquote" | "ul" | "ol" | "li");
        self.deep += usize::from(is_deep);
        if is_deep && self.deep > DEEPEST {
            self.open.push(None);
            return;
        }
        self.out.push('<');
        self.out.push_str(tag);
        self.out.push('>');
        self.open.push(Some(tag));
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph => self.begin("p"),
            // The page has headings of its own above them.
            Tag::Heading { level, .. } => self.begin(match level as usize {
                1 => "h3",
                2 => "h4",
                3 => "h5",
                _ => "h6",
            }),
            Tag::BlockQuote(_) => self.begin("blockquote"),
            Tag::CodeBlock(kind) => {
                self.begin("pre");
                let word = match &kind {
                    CodeBlockKind::Fenced(language) => language.split_whitespace().next(),
                    CodeBlockKind::Indented => None,
                };
                if let Some(language) = word {
                    self.out.push_str("<span class=\"answer-lang\">");
                    self.plain(language);
                    self.out.push_str("</span>");
                }
            }
            Tag::List(None) => self.begin("ul"),
            Tag::List(Some(first)) => {
                self.begin("ol");
                // One that was interrupted goes on counting.
                if first != 1 && self.out.ends_with('>') && self.open.last() == Some(&Some("ol")) {
                    self.out.pop();
                    self.out.push_str(&format!(" start=\"{first}\">"));
                }
            }
            Tag::Item => self.begin("li"),
            Tag::Table(_) => self.begin("table"),
            Tag::TableHead => {
                self.in_head = true;
                self.begin("thead");
                self.out.push_str("<tr>");
            }
            Tag::TableRow => self.begin("tr"),
            Tag::TableCell => self.begin(if self.in_head { "th" } else { "td" }),
            Tag::Emphasis => self.begin("em"),
            Tag::Strong => self.begin("strong"),
            Tag::Strikethrough => self.begin("s"),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.links.push((dest_url.to_string(), self.out.len()));
                self.open.push(None);
            }
            _ => self.open.push(None),
        }
    }

    fn end(&mut self, tag: &TagEnd) {
        match tag {
            TagEnd::TableHead => {
                self.in_head = false;
                self.out.push_str("</tr>");
            }
            TagEnd::Link | TagEnd::Image => self.address(),
            TagEnd::BlockQuote(_) | TagEnd::List(_) | TagEnd::Item => self.deep = self.deep.saturating_sub(1),
            _ => {}
        }
        if let Some(Some(tag)) = self.open.pop() {
            self.out.push_str("</");
            self.out.push_str(tag);
            self.out.push('>');
        }
    }

    /// Behind the words of a link stands where it would have led, unless they say so themselves.
    fn address(&mut self) {
        let Some((address, from)) = self.links.pop() else { return };
        let mut shown = String::new();
        escape(&back(&address), &mut shown);
        let words = self.out[from..].trim();
        if shown.is_empty() || words == shown {
            return;
        }
        self.out.push_str(" (<code>");
        self.out.push_str(&shown);
        self.out.push_str("</code>)");
    }

    /// Text in which marks are citations. They are led to by the browser and not by the router, which does not mark what is
    /// aimed at.
    fn text(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find(OPEN) {
            escape(&rest[..at], &mut self.out);
            rest = &rest[at + OPEN.len_utf8()..];
            let Some(end) = rest.find(CLOSE) else { continue };
            let number = &rest[..end];
            // Markdown can spell the marks in ways of its own, and put another number between them.
            if number.parse().is_ok_and(|n: usize| (1..=self.sources).contains(&n)) {
                self.out.push_str(&format!(
                    "<a class=\"answer-cite\" href=\"#{}-{number}\" rel=\"external\" aria-label=\"Source {number}\">{number}</a>",
                    self.anchor
                ));
            }
            rest = &rest[end + CLOSE.len_utf8()..];
        }
        escape(rest, &mut self.out);
    }

    /// Text in which they are what they were.
    fn plain(&mut self, text: &str) {
        escape(&back(text), &mut self.out);
    }
}

fn back(text: &str) -> String {
    text.replace(OPEN, "[").replace(CLOSE, "]")
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Turns the direction of what follows, and hides what is there.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\0' => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
