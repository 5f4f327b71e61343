//! Payloads in answers: whatever stands there, only known tags come out, and no address that anything would be loaded from.

use super::html;

const TAGS: [&str; 24] = [
    "p",
    "h3",
    "h4",
    "h5",
    "h6",
    "blockquote",
    "pre",
    "code",
    "ul",
    "ol",
    "li",
    "table",
    "thead",
    "tr",
    "th",
    "td",
    "em",
    "strong",
    "s",
    "br",
    "hr",
    "a",
    "span",
    "tbody",
];

/// Fails where the HTML has anything but tags of ours.
fn check(payload: &str) {
    let out = html(payload, 3, "turn-1-source");
    let mut rest = out.as_str();
    let mut open: Vec<&str> = vec![];
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>'), "{payload:?} → {out}");
        let end = rest[at..].find('>').unwrap_or_else(|| panic!("{payload:?} → {out}")) + at;
        let tag = &rest[at + 1..end];
        let name = tag.trim_start_matches('/').split(' ').next().unwrap_or_default();
        assert!(TAGS.contains(&name), "<{tag}> out of {payload:?}: {out}");
        match tag.split_once(' ') {
            None => {}
            Some(("span", "class=\"answer-lang\"")) => {}
            Some(("ol", first)) => {
                let number = first.strip_prefix("start=\"").and_then(|rest| rest.strip_suffix('"'));
                assert!(number.is_some_and(|n| n.parse::<u64>().is_ok()), "<{tag}> out of {payload:?}");
            }
            Some(("a", attributes)) => {
                let known = (1..=3).map(|n| {
                    format!(
                        "class=\"answer-cite\" href=\"#turn-1-source-{n}\" rel=\"external\" aria-label=\"Source {n}\""
                    )
                });
                assert!(known.into_iter().any(|known| known == attributes), "<{tag}> out of {payload:?}");
            }
            Some(_) => panic!("<{tag}> out of {payload:?}"),
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{payload:?} → {out}");
        } else if !matches!(name, "br" | "hr") {
            open.push(name);
        }
        rest = &rest[end + 1..];
    }
    assert!(!rest.contains('>') && open.is_empty(), "{payload:?} → {out}");
}

/// What is tried in the browser as well.
fn payloads() -> Vec<String> {
    serde_json::from_str(include_str!("../tests/payloads.json")).expect("a list")
}

#[test]
fn no_payload_comes_out_as_anything_but_text() {
    let payloads = payloads();
    assert!(payloads.len() >= 300, "{} payloads", payloads.len());
    for payload in &payloads {
        check(payload);
        // Within others, and where a stream was cut.
        for around in [
            format!("[1] {payload} [2]"),
            format!("> {payload}"),
            format!("**{payload}"),
            format!("`{payload}"),
        ] {
            check(&around);
        }
        for (at, _) in payload.char_indices() {
            check(&payload[..at]);
        }
    }
    check(&payloads.concat());
    check(&payloads.join("\n\n"));
}

#[test]
fn what_is_deep_stays_flat() {
    let out = html(&format!("{}x", "> ".repeat(2_000)), 0, "s");
    assert!(out.matches("<blockquote>").count() <= 16 && out.contains('x'));
    check(&format!("{}x", "- ".repeat(500)));
}

#[test]
fn markdown_is_shown_and_citations_lead_to_their_sources() {
    let out = html("# One\n\nOn the *north* quay [2], `a[1]`.\n\n1. a\n2. b", 2, "s");
    assert_eq!(
        out,
        "<h3>One</h3><p>On the <em>north</em> quay <a class=\"answer-cite\" href=\"#s-2\" rel=\"external\" aria-label=\"Source 2\">2</a>, <code>a[1]</code>.</p>\
         <ol><li>a</li><li>b</li></ol>"
    );
    assert_eq!(html("3. c", 0, "s"), "<ol start=\"3\"><li>c</li></ol>");
}

#[test]
fn what_spells_a_citation_in_a_way_of_its_own_names_no_source_that_is_not_there() {
    for odd in ["&#xe000;99&#xe001;", "&#57344;2&#57345;", "&#xe000;&#xe001;", "&#xe000;-1&#xe001;"] {
        let out = html(&format!("See {odd}."), 1, "s");
        assert!(!out.contains("answer-cite"), "{odd}: {out}");
    }
}

#[test]
fn of_a_link_the_words_and_the_address_are_shown() {
    assert_eq!(
        html("[here](http://a.example/?q=1&b)", 0, "s"),
        "<p>here (<code>http://a.example/?q=1&amp;b</code>)</p>"
    );
    assert_eq!(html("<http://a.example>", 0, "s"), "<p>http://a.example</p>");
    assert_eq!(
        html("See [1].\n\n[1]: http://a.example", 1, "s"),
        "<p>See <a class=\"answer-cite\" href=\"#s-1\" rel=\"external\" aria-label=\"Source 1\">1</a>.</p><p><a class=\"answer-cite\" href=\"#s-1\" rel=\"external\" aria-label=\"Source 1\">1</a>: http://a.example</p>"
    );
}
