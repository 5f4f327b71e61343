//! Paragraph styles, as far as they say what a paragraph is: a heading, a title, an entry of the table of contents, an
//! item of a list.

use crate::extract::{
    ExtractCode,
    office::xml::{self, Piece},
};
use std::collections::HashMap;

/// Styles are based on one another; a chain longer than this is a circle.
const MOST_STEPS: usize = 20;

#[derive(Default)]
struct Style {
    /// In lower case. Word keeps the English names of its own styles in every language.
    name: String,
    based_on: Option<String>,
    /// From 0; 9 is body text.
    outline: Option<usize>,
    list: Option<(String, usize)>,
}

#[derive(Default)]
pub struct Styles {
    by_id: HashMap<String, Style>,
}

impl Styles {
    pub fn read(text: &str) -> Result<Self, ExtractCode> {
        let mut styles = Self::default();
        let mut open: Option<(String, Style)> = None;
        xml::walk(text, &mut |piece| {
            match piece {
                Piece::Open("style", tag) => {
                    open = tag.attribute("styleId").map(|id| (id, Style::default()));
                }
                Piece::Close("style") => styles.by_id.extend(open.take()),
                Piece::Open(name, tag) => {
                    let Some((_, style)) = &mut open else { return Ok(()) };
                    let number = || tag.val().and_then(|v| v.parse().ok());
                    match name {
                        "name" => style.name = tag.val().unwrap_or_default().to_lowercase(),
                        "basedOn" => style.based_on = tag.val(),
                        "outlineLvl" => style.outline = number(),
                        "numId" => {
                            let level = style.list.take().map_or(0, |(_, level)| level);
                            style.list = tag.val().map(|id| (id, level));
                        }
                        "ilvl" => {
                            let id = style.list.take().map_or_else(String::new, |(id, _)| id);
                            style.list = Some((id, number().unwrap_or(0)));
                        }
                        _ => {}
                    }
                }
                Piece::Close(_) | Piece::Text(_) => {}
            }
            Ok(())
        })?;
        Ok(styles)
    }

    /// A style and those it is based on.
    fn chain(&self, id: &str) -> impl Iterator<Item = &Style> {
        let mut next = self.by_id.get(id);
        std::iter::from_fn(move || {
            let style = next?;
            next = style.based_on.as_ref().and_then(|id| self.by_id.get(id));
            Some(style)
        })
        .take(MOST_STEPS)
    }

    /// The level of a heading, from 1; `None` for anything else.
    pub fn heading(&self, id: &str) -> Option<usize> {
        if !self.by_id.contains_key(id) {
            // Some programs use Word's styles without describing them.
            return heading_name(&id.to_lowercase());
        }
        self.chain(id).find_map(|style| match (style.outline, heading_name(&style.name)) {
            (Some(level), _) => Some((level < 9).then_some(level + 1)),
            (None, Some(level)) => Some(Some(level)),
            (None, None) => None,
        })?
    }

    pub fn is_title(&self, id: &str) -> bool {
        match self.by_id.get(id) {
            Some(style) => style.name == "title",
            None => id.eq_ignore_ascii_case("title"),
        }
    }

    /// An entry of the table of contents, which only repeats a heading.
    pub fn is_contents(&self, id: &str) -> bool {
        self.by_id.get(id).is_some_and(|s| s.name.starts_with("toc ") || s.name == "toc heading")
    }

    /// The list that the style makes a paragraph an item of: its number and the level from 0.
    pub fn list(&self, id: &str) -> Option<(&str, usize)> {
        self.chain(id).find_map(|s| s.list.as_ref()).map(|(id, level)| (id.as_str(), *level))
    }
}

fn heading_name(name: &str) -> Option<usize> {
    if name == "title" {
        return Some(1);
    }
    let level = name.strip_prefix("heading")?.trim().parse().ok()?;
    (1..=9).contains(&level).then_some(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_known_by_level_by_name_and_by_what_they_are_based_on() {
        let styles = Styles::read(
            r#"<w:styles xmlns:w="w"><w:style w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style>
            <w:style w:styleId="Own"><w:name w:val="Own"/><w:basedOn w:val="berschrift2"/></w:style>
            <w:style w:styleId="Deep"><w:name w:val="x"/><w:pPr><w:outlineLvl w:val="3"/></w:pPr></w:style>
            <w:style w:styleId="Body"><w:basedOn w:val="Deep"/><w:pPr><w:outlineLvl w:val="9"/></w:pPr></w:style>
            <w:style w:styleId="Round"><w:basedOn w:val="Round"/></w:style>
            <w:style w:styleId="L"><w:pPr><w:numPr><w:ilvl w:val="1"/><w:numId w:val="7"/></w:numPr></w:pPr></w:style>
            <w:style w:styleId="T1"><w:name w:val="toc 1"/></w:style></w:styles>"#,
        )
        .unwrap();
        let levels = ["berschrift2", "Own", "Deep", "Body", "Round", "Heading3", "Title", "none"]
            .map(|id| styles.heading(id));
        assert_eq!(levels, [Some(2), Some(2), Some(4), None, None, Some(3), Some(1), None]);
        assert_eq!(styles.list("L"), Some(("7", 1)));
        assert!(styles.is_contents("T1") && !styles.is_contents("Own"));
    }
}
