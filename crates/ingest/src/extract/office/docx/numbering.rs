//! The marks of list items and numbered headings: Word stores how they are counted, not what they are.

use crate::extract::{
    ExtractCode,
    office::xml::{self, Piece},
};
use std::collections::{HashMap, HashSet};

const LEVELS: usize = 9;

#[derive(Clone)]
struct Level {
    format: String,
    /// `%1.%2)`
    pattern: String,
    start: u32,
}

impl Default for Level {
    fn default() -> Self {
        Self { format: "decimal".to_owned(), pattern: String::new(), start: 1 }
    }
}

/// A list that paragraphs name, what it takes its levels from, and where it begins anew.
#[derive(Default)]
struct List {
    scheme: String,
    restarts: HashMap<usize, u32>,
}

#[derive(Default)]
pub struct Numbering {
    schemes: HashMap<String, [Level; LEVELS]>,
    lists: HashMap<String, List>,
    /// By scheme: lists that share one count on.
    counts: HashMap<String, [Option<u32>; LEVELS]>,
    begun: HashSet<String>,
}

/// What stands before a paragraph.
#[derive(Debug, PartialEq, Eq)]
pub enum Mark {
    Bullet,
    /// `2.1`, `(a)`, `IV.`
    Number(String),
    /// Counted but not shown, or not described.
    None,
}

impl Numbering {
    pub fn read(text: &str) -> Result<Self, ExtractCode> {
        let mut numbering = Self::default();
        let (mut scheme, mut list): (Option<String>, Option<String>) = (None, None);
        let mut level = 0;
        xml::walk(text, &mut |piece| {
            match piece {
                Piece::Open("abstractNum", tag) => {
                    scheme = tag.attribute("abstractNumId");
                    if let Some(id) = &scheme {
                        numbering.schemes.insert(id.clone(), Default::default());
                    }
                }
                Piece::Close("abstractNum") => scheme = None,
                Piece::Open("num", tag) => {
                    list = tag.attribute("numId");
                    if let Some(id) = &list {
                        numbering.lists.insert(id.clone(), List::default());
                    }
                }
                Piece::Close("num") => list = None,
                Piece::Open(name, tag) => {
                    if matches!(name, "lvl" | "lvlOverride") {
                        let named = tag.attribute("ilvl").and_then(|v| v.parse::<usize>().ok());
                        level = named.unwrap_or(0).min(LEVELS - 1);
                    }
                    let value = || tag.val().unwrap_or_default();
                    if let Some(levels) = scheme.as_ref().and_then(|id| numbering.schemes.get_mut(id)) {
                        match name {
                            "numFmt" => levels[level].format = value(),
                            "lvlText" => levels[level].pattern = value(),
                            "start" => levels[level].start = value().parse().unwrap_or(1),
                            _ => {}
                        }
                    }
                    if let Some(list) = list.as_ref().and_then(|id| numbering.lists.get_mut(id)) {
                        match name {
                            "abstractNumId" => list.scheme = value(),
                            "startOverride" => {
                                list.restarts.insert(level, value().parse().unwrap_or(1));
                            }
                            _ => {}
                        }
                    }
                }
                Piece::Close(_) | Piece::Text(_) => {}
            }
            Ok(())
        })?;
        Ok(numbering)
    }

    /// Counts one paragraph and says what stands before it. `level` from 0.
    pub fn next(&mut self, list: &str, level: usize) -> Mark {
        let level = level.min(LEVELS - 1);
        let Some(found) = self.lists.get(list) else { return Mark::Bullet };
        let Some(levels) = self.schemes.get(&found.scheme) else { return Mark::Bullet };
        let counts = self.counts.entry(found.scheme.clone()).or_default();
        if self.begun.insert(list.to_owned()) {
            for (level, start) in &found.restarts {
                counts[*level] = Some(start.saturating_sub(1));
            }
        }
        counts[level] = Some(counts[level].map_or(levels[level].start, |n| n.saturating_add(1)));
        counts[level + 1..].fill(None);
        match levels[level].format.as_str() {
            "bullet" => Mark::Bullet,
            "none" => Mark::None,
            _ => {
                let mut text = levels[level].pattern.clone();
                for (i, outer) in levels.iter().enumerate().take(level + 1) {
                    let place = format!("%{}", i + 1);
                    if text.contains(&place) {
                        text =
                            text.replace(&place, &counted(counts[i].unwrap_or(outer.start), &outer.format));
                    }
                }
                let text = text.trim();
                if text.is_empty() { Mark::None } else { Mark::Number(text.chars().take(40).collect()) }
            }
        }
    }
}

fn counted(n: u32, format: &str) -> String {
    match format {
        "lowerLetter" => letters(n).to_lowercase(),
        "upperLetter" => letters(n),
        "lowerRoman" => roman(n).to_lowercase(),
        "upperRoman" => roman(n),
        "decimalZero" => format!("{n:02}"),
        _ => n.to_string(),
    }
}

/// A … Z, AA, BB …, as Word counts.
fn letters(n: u32) -> String {
    let Some(i) = n.checked_sub(1) else { return "0".to_owned() };
    let letter = char::from(b'A' + (i % 26) as u8);
    // Nobody counts further; a file that says so gets the number.
    if i >= 26 * 10 { n.to_string() } else { letter.to_string().repeat((i / 26 + 1) as usize) }
}

fn roman(n: u32) -> String {
    if !(1..4000).contains(&n) {
        return n.to_string();
    }
    const SIGNS: [(u32, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let (mut left, mut out) = (n, String::new());
    for (value, sign) in SIGNS {
        while left >= value {
            out.push_str(sign);
            left -= value;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = r#"<w:numbering xmlns:w="w">
        <w:abstractNum w:abstractNumId="0">
          <w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>
          <w:lvl w:ilvl="1"><w:start w:val="3"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%1.%2)"/></w:lvl>
        </w:abstractNum>
        <w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>
        <w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>
        <w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>
        <w:num w:numId="3"><w:abstractNumId w:val="0"/>
          <w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride></w:num>
    </w:numbering>"#;

    fn number(text: &str) -> Mark {
        Mark::Number(text.to_owned())
    }

    #[test]
    fn items_are_counted_through_their_levels() {
        let mut numbering = Numbering::read(XML).unwrap();
        let seen = [0, 1, 1, 0, 1].map(|level| numbering.next("1", level));
        assert_eq!(seen, [number("1."), number("1.c)"), number("1.d)"), number("2."), number("2.c)")]);
        assert_eq!(numbering.next("2", 0), Mark::Bullet);
        assert_eq!(numbering.next("3", 0), number("5."));
        assert_eq!(numbering.next("99", 0), Mark::Bullet);
    }

    #[test]
    fn letters_and_roman_numbers_are_written_as_word_does() {
        assert_eq!([1, 26, 27, 0].map(letters), ["A", "Z", "AA", "0"]);
        assert_eq!([4, 1999, 0].map(roman), ["IV", "MCMXCIX", "0"]);
    }
}
