//! Showing a document's text. What is written here goes into a page of ours, so nothing of the document does but its text
//! and its structure: every tag that comes out is one of a list that stands here, without any attribute.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// Markdown as HTML. Raw HTML becomes the text that it is, links and pictures the text that stands for them. Headings begin
/// two levels down: the page has its own above them.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    // Of a table, whether its rows are those of the head.
    let mut in_head = false;
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut hidden = 0u32;
    for event in Parser::new_ext(text, options) {
        match event {
            Event::Start(Tag::MetadataBlock(_)) => hidden += 1,
            Event::End(TagEnd::MetadataBlock(_)) => hidden = hidden.saturating_sub(1),
            _ if hidden > 0 => {}
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
        let shown = markdown(
            "---\ntitle: x\n---\n# One\n\nA **b** and `c`.\n\n- d\n- e\n\n| f | g |\n|---|---|\n| h | i |\n",
        );
        assert_eq!(
            shown,
            "<h3>One</h3><p>A <strong>b</strong> and <code>c</code>.</p><ul><li>d</li><li>e</li></ul>\
             <table><tr><th>f</th><th>g</th></tr><tr><td>h</td><td>i</td></tr></table>"
        );
    }

    #[test]
    fn nothing_of_a_document_becomes_a_tag_or_an_address() {
        let hostile = "<script>alert(1)</script>\n\na <img src=x onerror=alert(1)> b\n\n[l](javascript:alert(1)) \
            ![p](https://example.org/p.png) <https://example.org>\n\n```\n</code></pre><script>\n```\n\n\
            [x]: javascript:alert(1) \"t\"\n\n| <b onclick=x> |\n|---|\n| ' \" & |\n";
        let shown = markdown(hostile);
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
        for tag in shown.split('<').skip(1) {
            let name = tag.split('>').next().unwrap_or_default().trim_start_matches('/');
            assert!(allowed.contains(&name), "{name} in {shown}");
        }
        assert!(!shown.contains("javascript:") && !shown.contains("example.org/p.png"), "{shown}");
        assert!(shown.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{shown}");
    }
}
