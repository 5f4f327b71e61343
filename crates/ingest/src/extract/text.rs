//! Plain text and Markdown: decoding, and the headings of Markdown. Both keep their text as it is.

use super::{
    ExtractCode, ExtractedText, Span, Warning,
    decode::{self, Decoded},
    outline,
};

pub fn read_text(bytes: &[u8]) -> Result<ExtractedText, ExtractCode> {
    let (text, warnings) = decoded(bytes)?;
    let spans = vec![Span { start: 0, end: text.len(), page: None, heading: None }];
    Ok(ExtractedText { text, spans, warnings, ..ExtractedText::default() })
}

pub fn read_markdown(bytes: &[u8]) -> Result<ExtractedText, ExtractCode> {
    let (text, warnings) = decoded(bytes)?;
    let front = front_matter(&text);
    let text = match &front {
        Some(f) => text[f.end..].to_owned(),
        None => text,
    };
    let headings = outline::headings(&text);
    let title = front
        .and_then(|f| f.title)
        .or_else(|| headings.iter().find(|h| h.level == 1).or(headings.first()).map(|h| h.text.clone()));
    Ok(ExtractedText {
        spans: outline::spans(&text, &headings),
        text,
        title,
        warnings,
        ..ExtractedText::default()
    })
}

fn decoded(bytes: &[u8]) -> Result<(String, Vec<Warning>), ExtractCode> {
    let decoded = decode::decode(bytes, None).ok_or(ExtractCode::Unreadable)?;
    let warnings = warnings_of(&decoded);
    Ok((decoded.text, warnings))
}

/// What has to be said of a text as it was decoded.
pub(super) fn warnings_of(decoded: &Decoded) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if decoded.replaced {
        let message = "Some characters could not be read and were replaced.";
        warnings.push(Warning::new("replaced_characters", message));
    }
    if decoded.doubtful {
        let message = "The encoding of this file is not known, so its words may be wrong. \
            Save it as UTF-8 and upload it again.";
        warnings.push(Warning::new("encoding_unknown", message));
    }
    warnings
}

struct FrontMatter {
    /// Where the text proper begins.
    end: usize,
    title: Option<String>,
}

/// The block between two `---` lines with which many Markdown files begin: settings, not text.
fn front_matter(text: &str) -> Option<FrontMatter> {
    let body = text.strip_prefix("---\n")?;
    let mut at = 4;
    let mut title = None;
    for line in body.split_inclusive('\n').take(200) {
        at += line.len();
        let trimmed = line.trim_end();
        if trimmed == "---" || trimmed == "..." {
            return Some(FrontMatter { end: at, title });
        }
        // A rule followed by prose is not front matter.
        let setting = trimmed.is_empty()
            || trimmed.starts_with([' ', '-', '#', '\t'])
            || trimmed.split_once(':').is_some_and(|(key, _)| !key.contains(char::is_whitespace));
        if !setting {
            return None;
        }
        if let Some(value) = trimmed.strip_prefix("title:") {
            let value = outline::shown(value.trim().trim_matches(['"', '\'']));
            title = Some(value).filter(|v| !v.is_empty());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_matter_gives_the_title_and_is_left_out() {
        let doc = read_markdown(b"---\ntitle: \"A day\"\ntags: [x]\n---\n# Morning\n\nCoffee.\n").unwrap();
        assert_eq!(doc.title.as_deref(), Some("A day"));
        assert!(doc.text.starts_with("# Morning"));
        assert_eq!(doc.spans[0].heading.as_deref(), Some("Morning"));
    }

    #[test]
    fn a_rule_at_the_top_is_not_front_matter() {
        let doc = read_markdown(b"---\nSome prose here.\n---\nMore.\n").unwrap();
        assert!(doc.text.contains("Some prose here."));
    }

    #[test]
    fn a_text_in_an_unknown_encoding_says_so() {
        let bytes = encoding_rs::WINDOWS_1251.encode("Фонарь висит на мосту, и никто его не зажигает.").0;
        let codes: Vec<_> = read_text(&bytes).unwrap().warnings.into_iter().map(|w| w.code).collect();
        assert_eq!(codes, ["encoding_unknown"]);
    }

    #[test]
    fn plain_text_is_one_span() {
        let doc = read_text(b"# not a heading here\n").unwrap();
        assert_eq!(doc.spans.len(), 1);
        assert_eq!(doc.spans[0].heading, None);
    }
}
