//! A text that is put together block by block, with its headings: what the readers of tables, JSON and Word documents
//! write into.

use super::{
    ExtractCode, ExtractedText, Warning, meter,
    outline::{self, Heading},
};

/// Markdown under construction, of bounded length.
pub struct Draft {
    text: String,
    headings: Vec<Heading>,
    most: usize,
    /// The last block was an item of a list, and the next item follows without a blank line.
    in_list: bool,
}

impl Draft {
    /// `most` bounds the text, in bytes.
    pub fn new(most: usize) -> Self {
        Self { text: String::new(), headings: Vec::new(), most, in_list: false }
    }

    fn begin(&mut self, item: bool, coming: usize) -> Result<(), ExtractCode> {
        if self.text.len().saturating_add(coming).saturating_add(16) > self.most {
            return Err(ExtractCode::TooLargeInside);
        }
        meter::done(coming + 16);
        if !self.text.is_empty() {
            self.text.push_str(if item && self.in_list { "\n" } else { "\n\n" });
        }
        self.in_list = item;
        Ok(())
    }

    /// `level` from 1. A heading without words is none.
    pub fn heading(&mut self, level: usize, text: &str) -> Result<(), ExtractCode> {
        let text = one_line(text);
        if text.is_empty() {
            return Ok(());
        }
        self.begin(false, text.len())?;
        let level = level.clamp(1, 6);
        let shown = outline::shown(&text);
        self.headings.push(Heading { start: self.text.len(), level: level as u8, text: shown });
        self.text.push_str(&"#".repeat(level));
        self.text.push(' ');
        self.text.push_str(&text);
        Ok(())
    }

    pub fn paragraph(&mut self, text: &str) -> Result<(), ExtractCode> {
        let text = text.trim_matches(['\n', ' ']);
        if text.is_empty() {
            return Ok(());
        }
        self.begin(false, text.len())?;
        self.text.push_str(text);
        Ok(())
    }

    /// One item of a list: `mark` is `-` or a number, `depth` counts from 0.
    pub fn item(&mut self, depth: usize, mark: &str, text: &str) -> Result<(), ExtractCode> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(());
        }
        self.begin(true, text.len() + mark.len() + 4 * depth)?;
        self.text.push_str(&"    ".repeat(depth));
        self.text.push_str(mark);
        self.text.push(' ');
        self.text.push_str(text);
        Ok(())
    }

    /// The document's first heading.
    pub fn first_heading(&self) -> Option<&str> {
        self.headings.first().map(|h| h.text.as_str())
    }

    pub fn finish(self, title: Option<String>, warnings: Vec<Warning>) -> ExtractedText {
        let spans = outline::spans(&self.text, &self.headings);
        ExtractedText { text: self.text, spans, title, warnings, ..ExtractedText::default() }
    }
}

/// Without line ends and runs of space.
pub fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_parted_and_items_of_a_list_stay_together() {
        let mut draft = Draft::new(1000);
        draft.paragraph("Before.").unwrap();
        draft.heading(2, "A\n title").unwrap();
        draft.item(0, "-", "one").unwrap();
        draft.item(1, "2.", "two").unwrap();
        draft.paragraph("\nAfter.\n").unwrap();
        draft.heading(1, " ").unwrap();
        let doc = draft.finish(None, Vec::new());
        assert_eq!(doc.text, "Before.\n\n## A title\n\n- one\n    2. two\n\nAfter.");
        let headings: Vec<_> = doc.spans.iter().map(|s| s.heading.as_deref()).collect();
        assert_eq!(headings, [None, Some("A title")]);
        assert!(doc.text[doc.spans[1].start..].starts_with("## A"));
    }

    #[test]
    fn a_text_over_the_budget_is_refused() {
        let mut draft = Draft::new(100);
        assert_eq!(draft.paragraph(&"x".repeat(90)), Err(ExtractCode::TooLargeInside));
        assert_eq!(draft.paragraph("short"), Ok(()));
    }
}
