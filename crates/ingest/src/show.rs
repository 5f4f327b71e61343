//! Showing a document's text. What is written here goes into a page of ours, so nothing of the document does but its text
//! and its structure: every tag that comes out is one of a list that stands here, without any attribute.

use domain::FileKind;
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// The text that was read of a document of that kind, as HTML; `None` where it has no structure to show.
pub fn structure(kind: FileKind, text: &str) -> Option<String> {
    match kind {
        FileKind::Markdown | FileKind::Html => Some(markdown(text)),
        FileKind::Docx | FileKind::Xlsx | FileKind::Csv | FileKind::Json => Some(blocks(text)),
        FileKind::Pdf | FileKind::Text => None,
    }
}

/// Markdown as HTML. Raw HTML becomes the text that it is, links and pictures the text that stands for them. Headings begin
/// two levels down: the page has its own above them.
fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    // Of a table, whether its rows are those of the head.
    let mut in_head = false;
    // Front matter was left out when the text was read. The parser would find more of it between any two rules, and hide that.
    for event in Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        match event {
            Event::Start(tag) => {
                in_head |= matches!(tag, Tag::TableHead);
                open(&mut out, opening(&tag, in_head));
                if let Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) = tag {
                    out.push_str("<code>");
                }
            }
            Event::End(tag) => {
                if tag == TagEnd::CodeBlock {
                    out.push_str("</code>");
                }
                close(&mut out, closing(&tag, in_head));
                in_head &= tag != TagEnd::TableHead;
            }
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => escape(&mut out, &text),
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                out.push_str("<code>");
                escape(&mut out, &text);
                out.push_str("</code>");
            }
            Event::SoftBreak => out.push('\n'),
            Event::HardBreak => out.push_str("<br>"),
            Event::Rule => out.push_str("<hr>"),
            Event::FootnoteReference(_) | Event::TaskListMarker(_) => {}
        }
    }
    out
}

/// What the readers of tables, of JSON and of Word documents put together: headings, items of lists, small tables, paragraphs. The
/// rest is text as it stands, so no sign of it is taken for one of Markdown's.
fn blocks(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let level = line.bytes().take_while(|b| *b == b'#').count();
        if let Some(heading) = line[level..].strip_prefix(' ').filter(|_| (1..=6).contains(&level)) {
            let tag = ["h3", "h4", "h5", "h6"][level.min(4) - 1];
            open(&mut out, Some(tag));
            escape(&mut out, heading);
            close(&mut out, Some(tag));
        } else if let Some(first) = item(line) {
            let mut items = vec![first];
            while let Some(next) = lines.peek().copied().and_then(item) {
                items.push(next);
                lines.next();
            }
            list(&mut out, &items);
        } else if line.starts_with("| ") && lines.peek().copied().is_some_and(is_below_head) {
            lines.next();
            open(&mut out, Some("table"));
            row(&mut out, line, "th");
            while let Some(next) = lines.next_if(|line| line.starts_with('|')) {
                row(&mut out, next, "td");
            }
            close(&mut out, Some("table"));
        } else {
            open(&mut out, Some("p"));
            escape(&mut out, line.trim());
            let goes_on = |line: &&str| !line.trim().is_empty() && item(line).is_none();
            while let Some(next) = lines.next_if(goes_on) {
                out.push_str("<br>");
                escape(&mut out, next.trim());
            }
            close(&mut out, Some("p"));
        }
    }
    out
}

/// How deep an item of a list without numbers lies, and its text.
fn item(line: &str) -> Option<(usize, &str)> {
    let text = line.trim_start_matches(' ');
    Some(((line.len() - text.len()) / 4, text.strip_prefix("- ")?))
}

fn list(out: &mut String, items: &[(usize, &str)]) {
    // How deep those lie that are open.
    let mut depths: Vec<usize> = vec![];
    for (depth, text) in items {
        while depths.last().is_some_and(|last| last > depth) {
            out.push_str("</li></ul>");
            depths.pop();
        }
        if depths.last() == Some(depth) {
            out.push_str("</li>");
        } else {
            out.push_str("<ul>");
            depths.push(*depth);
        }
        out.push_str("<li>");
        escape(out, text);
    }
    depths.iter().for_each(|_| out.push_str("</li></ul>"));
}

/// The line between the head of a table and its rows.
fn is_below_head(line: &str) -> bool {
    line.starts_with("| -") && line.chars().all(|c| matches!(c, '|' | '-' | ' '))
}

fn row(out: &mut String, line: &str, tag: &'static str) {
    open(out, Some("tr"));
    let inner = line.trim();
    let inner = inner.strip_prefix('|').unwrap_or(inner);
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    // A stroke within a cell has a backslash before it.
    for cell in inner.replace("\\|", "\0").split('|') {
        open(out, Some(tag));
        escape(out, cell.replace('\0', "|").trim());
        close(out, Some(tag));
    }
    close(out, Some("tr"));
}

const fn heading(level: HeadingLevel) -> &'static str {
    match level {
        HeadingLevel::H1 => "h3",
        HeadingLevel::H2 => "h4",
        HeadingLevel::H3 => "h5",
        HeadingLevel::H4 | HeadingLevel::H5 | HeadingLevel::H6 => "h6",
    }
}

/// The name of the tag, where it has one.
fn opening(tag: &Tag<'_>, in_head: bool) -> Option<&'static str> {
    Some(match tag {
        Tag::Paragraph => "p",
        Tag::Heading { level, .. } => heading(*level),
        Tag::BlockQuote(_) => "blockquote",
        Tag::CodeBlock(_) => "pre",
        Tag::List(None) => "ul",
        Tag::List(Some(_)) => "ol",
        Tag::Item => "li",
        Tag::Table(_) => "table",
        Tag::TableHead | Tag::TableRow => "tr",
        Tag::TableCell if in_head => "th",
        Tag::TableCell => "td",
        Tag::Emphasis => "em",
        Tag::Strong => "strong",
        Tag::Strikethrough => "s",
        _ => return None,
    })
}

fn closing(tag: &TagEnd, in_head: bool) -> Option<&'static str> {
    Some(match tag {
        TagEnd::Paragraph => "p",
        TagEnd::Heading(level) => heading(*level),
        TagEnd::BlockQuote(_) => "blockquote",
        TagEnd::CodeBlock => "pre",
        TagEnd::List(false) => "ul",
        TagEnd::List(true) => "ol",
        TagEnd::Item => "li",
        TagEnd::Table => "table",
        TagEnd::TableHead | TagEnd::TableRow => "tr",
        TagEnd::TableCell if in_head => "th",
        TagEnd::TableCell => "td",
        TagEnd::Emphasis => "em",
        TagEnd::Strong => "strong",
        TagEnd::Strikethrough => "s",
        _ => return None,
    })
}

fn open(out: &mut String, tag: Option<&str>) {
    if let Some(tag) = tag {
        out.extend(["<", tag, ">"]);
    }
}

fn close(out: &mut String, tag: Option<&str>) {
    if let Some(tag) = tag {
        out.extend(["</", tag, ">"]);
    }
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structure_is_kept() {
        let shown = markdown("# One\n\nA **b** and `c`.\n\n- d\n- e\n\n| f | g |\n|---|---|\n| h | i |\n");
        assert_eq!(
            shown,
            "<h3>One</h3><p>A <strong>b</strong> and <code>c</code>.</p><ul><li>d</li><li>e</li></ul>\
             <table><tr><th>f</th><th>g</th></tr><tr><td>h</td><td>i</td></tr></table>"
        );
    }

    #[test]
    fn what_stands_between_two_rules_is_shown() {
        assert!(markdown("One\n\n---\nTwo\n---\n\nThree").contains("Two"));
    }

    #[test]
    fn what_a_reader_put_together_is_shown_as_that() {
        let text = "Before * and_after_\nin two lines\n\n## A <b>title</b>\n\n- one\n        - two\n    - three\n- four\n\n\
            1.c) five\n\n| a | b |\n| --- | --- |\n| c \\| d |  |\n\n#no heading";
        assert_eq!(
            structure(FileKind::Docx, text).as_deref(),
            Some(
                "<p>Before * and_after_<br>in two lines</p><h4>A &lt;b&gt;title&lt;/b&gt;</h4>\
                 <ul><li>one<ul><li>two</li></ul><ul><li>three</li></ul></li><li>four</li></ul><p>1.c) five</p>\
                 <table><tr><th>a</th><th>b</th></tr><tr><td>c | d</td><td></td></tr></table><p>#no heading</p>"
            )
        );
        assert_eq!(structure(FileKind::Csv, "- Name: Pear").as_deref(), Some("<ul><li>Name: Pear</li></ul>"));
        assert_eq!(structure(FileKind::Html, "a\\_b").as_deref(), Some("<p>a_b</p>"));
        assert_eq!(structure(FileKind::Pdf, "# as it stands"), None);
    }

    #[test]
    fn nothing_of_a_document_becomes_a_tag_or_an_address() {
        let hostile = "<script>alert(1)</script>\n\na <img src=x onerror=alert(1)> b\n\n[l](javascript:alert(1)) \
            ![p](https://example.org/p.png) <https://example.org>\n\n```\n</code></pre><script>\n```\n\n\
            [x]: javascript:alert(1) \"t\"\n\n| <b onclick=x> |\n|---|\n| ' \" & |\n";
        let allowed = [
            "h3",
            "h4",
            "h5",
            "h6",
            "p",
            "blockquote",
            "pre",
            "code",
            "ul",
            "ol",
            "li",
            "table",
            "tr",
            "th",
            "td",
            "em",
            "strong",
            "s",
            "br",
            "hr",
        ];
        let (shown, put_together) = (markdown(hostile), blocks(hostile));
        for tag in shown.split('<').skip(1).chain(put_together.split('<').skip(1)) {
            let name = tag.split('>').next().unwrap_or_default().trim_start_matches('/');
            assert!(allowed.contains(&name), "{name} in {shown} or {put_together}");
        }
        assert!(!shown.contains("javascript:") && !shown.contains("example.org/p.png"), "{shown}");
        for all in [&shown, &put_together] {
            assert!(all.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{all}");
        }
    }
}
