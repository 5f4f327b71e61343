//! Web pages: the main text, as Markdown with its headings.

mod table;

use super::{ExtractCode, ExtractedText, decode, meter, nesting, outline, text::warnings_of};
use dom_smoothie::{Config, Readability};
use htmd::{Element, HtmlToMarkdown, Node, element_handler::Handlers};
use markup5ever_rcdom::NodeData;
use std::rc::Rc;

/// More elements than a page that people read has; the cost of finding the main text grows faster than linearly.
const MAX_ELEMENTS: usize = 200_000;

/// What a page says of itself stands in no more of it than this, in bytes.
const HEAD: usize = 64 * 1024;

/// When what was taken for the main text has less than this share of the page's letters, the guess was wrong (an
/// index, a reference page, a page of many small parts) and the whole page is kept.
const MAIN_SHARE: f64 = 0.5;

/// Never text: code that runs, forms, pictures and what surrounds every page of a site.
const SKIPPED: [&str; 21] = [
    "script", "style", "noscript", "template", "head", "nav", "footer", "button", "input", "select", "svg",
    "math", "iframe", "object", "embed", "canvas", "audio", "video", "img", "picture", "dialog",
];

pub fn read(bytes: &[u8]) -> Result<ExtractedText, ExtractCode> {
    let decoded = decode::decode(bytes, decode::declared_in_markup(bytes)).ok_or(ExtractCode::Unreadable)?;
    let html = nesting::flattened(&decoded.text);
    let converter = HtmlToMarkdown::builder()
        .skip_tags(SKIPPED.to_vec())
        // A link's words stay and its address goes: addresses are noise to a search, and a passage is shown to people
        // and to models, whom a document should not be able to send anywhere.
        .add_handler(vec!["a"], |handlers: &dyn Handlers, element: Element<'_>| {
            Some(handlers.walk_children(element.node))
        })
        .add_handler(vec!["pre"], |_: &dyn Handlers, element: Element<'_>| {
            Some(code_block(element.node).into())
        })
        .add_handler(vec!["table"], table::written)
        .build();
    meter::stage();
    let whole = converter.convert(&html).map_err(|_| ExtractCode::Unreadable)?;
    meter::stage();

    let config = Config { max_elements_to_parse: MAX_ELEMENTS, ..Config::default() };
    let article = Readability::new(html.as_ref(), None, Some(config)).and_then(|mut r| r.parse()).ok();
    meter::stage();
    let mut title = article.as_ref().map(|a| outline::shown(&a.title)).filter(|t| !t.is_empty());
    let main = article
        .and_then(|a| converter.convert(&a.content).ok())
        .filter(|markdown| letters(markdown) as f64 >= MAIN_SHARE * letters(&whole) as f64);
    let mut text = main.unwrap_or(whole);

    let mut headings = outline::headings(&text);
    // The main text of most pages lacks the headline, which stands above it.
    match (&title, headings.first()) {
        (Some(t), first)
            if first.is_none_or(|h| h.start > 0 || h.level > 1) && !text.contains(t.as_str()) =>
        {
            text = format!("# {}\n\n{text}", escape_heading(t));
            headings = outline::headings(&text);
        }
        (None, Some(first)) => title = Some(first.text.clone()),
        _ => {}
    }
    let warnings = warnings_of(&decoded);
    let made_with = generator(&decoded.text);
    let spans = outline::spans(&text, &headings);
    Ok(ExtractedText { spans, text, title, warnings, made_with, table: None })
}

/// What a page says of the program that made it, in `<meta name="generator" content="…">` near its beginning.
fn generator(html: &str) -> Option<String> {
    let mut head = &html[..html.floor_char_boundary(HEAD)];
    while let Some(at) = find(head, "<meta") {
        let tag = &head[at + "<meta".len()..];
        let (attributes, rest) = tag.split_once('>')?;
        let named = attribute(attributes, "name").is_some_and(|name| name.eq_ignore_ascii_case("generator"));
        if let Some(program) = attribute(attributes, "content").filter(|_| named) {
            let program = outline::shown(program);
            return Some(program).filter(|program| program.chars().any(char::is_alphabetic));
        }
        head = rest;
    }
    None
}

/// The value of an attribute that stands between quotation marks.
fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = attributes;
    while let Some(at) = find(rest, name) {
        let before = rest[..at].chars().next_back();
        rest = &rest[at + name.len()..];
        let Some(value) = rest.trim_start().strip_prefix('=') else { continue };
        let value = value.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        if before.is_none_or(char::is_whitespace) {
            return value[1..].split(quote).next();
        }
    }
    None
}

/// Where a word of ASCII letters begins, whatever their case.
fn find(text: &str, word: &str) -> Option<usize> {
    text.as_bytes().windows(word.len()).position(|found| found.eq_ignore_ascii_case(word.as_bytes()))
}

/// Whatever is inside, as it stands: without a fence, a line of dashes in an example would make a heading of it.
fn code_block(pre: &Rc<Node>) -> String {
    let mut code = String::new();
    let mut stack = vec![Rc::clone(pre)];
    while let Some(node) = stack.pop() {
        match &node.data {
            NodeData::Text { contents } => code.push_str(&contents.borrow()),
            NodeData::Element { name, .. } => match name.local.as_ref() {
                "br" => code.push('\n'),
                // Some pages make a block of each line.
                "div" | "p" | "li" | "tr" if !code.is_empty() && !code.ends_with('\n') => code.push('\n'),
                _ => {}
            },
            _ => {}
        }
        stack.extend(node.children.borrow().iter().rev().cloned());
    }
    let code = code.trim_matches('\n');
    if code.trim().is_empty() {
        return String::new();
    }
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("\n\n{fence}\n{code}\n{fence}\n\n")
}

fn letters(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphanumeric()).count()
}

fn escape_heading(title: &str) -> String {
    title
        .replace(['#', '*', '_', '`', '<', '>', '[', ']', '\\'], " ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<!DOCTYPE html><html><head><title>Tides &amp; moons</title>
        <script>document.write("stolen")</script><style>p { color: red }</style></head><body>
        <nav><a href="/">Home</a> <a href="/about">About us</a></nav>
        <article><h1>Tides &amp; moons</h1>
        <p>The sea rises and falls twice a day, as <a href="https://example.com/x">tables</a> show, and no harbour
        master doubts it. The moon pulls, the earth turns, and the water follows with a delay of its own.</p>
        <h2>Spring tides</h2><p onclick="evil()">When sun and moon pull together, the water stands highest, and a
        careful skipper reads the almanac, twice, before leaving the quay in the morning.</p>
        <pre>high = <b>moon</b> + sun
----
<code>x</code></pre><img src="https://example.com/pixel.png" alt="a pixel"></article>
        <footer>Nobody reads this</footer></body></html>"#;

    #[test]
    fn the_main_text_is_kept_as_markdown_with_its_headings() {
        let doc = read(PAGE.as_bytes()).unwrap();
        assert_eq!(doc.title.as_deref(), Some("Tides & moons"));
        assert!(doc.text.contains("## Spring tides"), "{}", doc.text);
        assert!(doc.text.contains("as tables show"), "{}", doc.text);
        assert!(doc.text.contains("```\nhigh = moon + sun\n----\nx\n```"), "{}", doc.text);
        assert_eq!(doc.spans.len(), 2, "an underlined line of code is no heading");
        let at = doc.text.find("careful skipper").unwrap();
        assert_eq!(doc.span_at(at).unwrap().heading.as_deref(), Some("Spring tides"));
        for gone in ["stolen", "color: red", "evil", "example.com", "Nobody reads", "About us"] {
            assert!(!doc.text.contains(gone), "{gone} in {}", doc.text);
        }
    }

    #[test]
    fn a_page_of_small_parts_is_kept_whole() {
        let rows: String =
            (0..50).map(|i| format!("<tr><td>setting_{i}</td><td>value {i}</td></tr>")).collect();
        let page = format!("<html><body><h1>All settings</h1><table>{rows}</table></body></html>");
        let doc = read(page.as_bytes()).unwrap();
        assert!(
            (0..50).all(|i| doc.text.contains(&format!("setting\\_{i}"))
                || doc.text.contains(&format!("setting_{i}")))
        );
    }

    #[test]
    fn the_rows_of_a_table_keep_their_names() {
        let rows = "<tr><th>High</th><td>06:10</td></tr><tr><th>Low</th><td>12:25</td></tr>";
        let page = PAGE.replace("<pre>", &format!("<table>{rows}</table><pre>"));
        let doc = read(page.as_bytes()).unwrap();
        assert!(doc.text.contains("| High | 06:10 |\n| --- | --- |\n| Low | 12:25 |"), "{}", doc.text);
    }

    #[test]
    fn questions_that_unfold_their_answers_are_kept() {
        let asked = |i: u32| format!("Why are there {i} tides a day?");
        let said = "The sea rises and falls, as tables show, and no harbour master doubts it.";
        let faq: String = (0..9)
            .map(|i| format!("<h3><button>{}</button></h3><div><p>{said}</p></div>", asked(i)))
            .collect();
        let page = format!("<html><body><main>{faq}<button>Share this</button></main></body></html>");
        let doc = read(page.as_bytes()).unwrap();
        assert!((0..9).all(|i| doc.text.contains(&format!("### {}", asked(i)))), "{}", doc.text);
        assert!(!doc.text.contains("Share this"), "{}", doc.text);
    }

    #[test]
    fn lines_of_code_that_tags_part_stay_lines() {
        let converter = HtmlToMarkdown::builder()
            .add_handler(vec!["pre"], |_: &dyn Handlers, element: Element<'_>| {
                Some(code_block(element.node).into())
            })
            .build();
        for lines in [
            "first<br>second<br/><b>third</b>",
            "<code><span>first<br></span><span>second<br></span><span>third</span></code>",
            "<code><div>first</div><div>second</div><div>third</div></code>",
        ] {
            let text = converter.convert(&format!("<p>Said.</p><pre>{lines}</pre>")).unwrap();
            assert_eq!(text, "Said.\n\n```\nfirst\nsecond\nthird\n```", "{lines}");
        }
    }

    #[test]
    fn the_program_that_made_a_page_is_read() {
        let of = |head: &str| generator(&format!("<!doctype html><head>{head}</head><body>x"));
        assert_eq!(
            of(r#"<META content="WordPress 6.4" NAME='Generator'>"#).as_deref(),
            Some("WordPress 6.4")
        );
        assert_eq!(of(r#"<meta name="description" content="generator"><meta name=generator>"#), None);
        assert_eq!(of(r#"<meta data-name="generator" content="x">"#), None);
        assert_eq!(of(r#"<meta name="generator" content="7">"#), None);
        assert_eq!(of("<meta name="), None);
    }

    #[test]
    fn a_fragment_without_a_title_takes_its_first_heading() {
        let doc = read(b"<h2>Only this</h2><p>and a few words</p>").unwrap();
        assert_eq!(doc.title.as_deref(), Some("Only this"));
    }
}
