//! JSON, and JSON Lines: values with their keys, one record a line, headings where a record is too large for that.

mod mended;

use super::{
    ExtractCode, ExtractedText, Warning, decode,
    draft::{Draft, one_line},
    meter,
    text::warnings_of,
};
use mended::{may_be_of_number, with_numbers_kept, without_halves};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{borrow::Cow, fmt, fmt::Write};

/// A record is one line as long as it is no longer than this, in bytes, …
const LINE: usize = 900;
/// … and made of no more values than this.
const LINE_NODES: usize = 400;
/// The keys whose value names a record.
const NAMES: [&str; 4] = ["name", "title", "label", "id"];

/// What the beginning of a text is.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// JSON as far as can be seen.
    Whole,
    /// It begins like JSON and breaks off, or some of its lines are none.
    Broken,
    Not,
}

/// `cut`: there is more of the text than this.
pub fn look(text: &str, cut: bool) -> Look {
    if !text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']) {
        return Look::Not;
    }
    let whole = without_halves(text);
    let seen = whole.as_deref().unwrap_or(text);
    let kept = with_numbers_kept(seen);
    let seen = kept.as_deref().unwrap_or(seen);
    let mut text = seen.trim_start_matches('\u{feff}');
    if cut {
        // A number that breaks off is a mistake to the parser, and not the end of what it has.
        text = text.trim_end_matches(|c| u8::try_from(c).is_ok_and(may_be_of_number));
    }
    for value in serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>() {
        match value {
            Ok(_) => {}
            Err(e) if e.is_eof() => return if cut { Look::Whole } else { Look::Broken },
            Err(_) => {
                // The last line may be cut off.
                let lines = if cut { seen.rsplit_once('\n').map_or("", |(lines, _)| lines) } else { seen };
                return if records(lines).is_some() { Look::Broken } else { Look::Not };
            }
        }
    }
    Look::Whole
}

pub fn read(bytes: &[u8], most: usize) -> Result<ExtractedText, ExtractCode> {
    let mut decoded = decode::decode_values(bytes).ok_or(ExtractCode::Unreadable)?;
    if let Some(text) = without_halves(&decoded.text) {
        (decoded.text, decoded.replaced) = (text, true);
    }
    if let Some(text) = with_numbers_kept(&decoded.text) {
        decoded.text = text;
    }
    meter::stage();
    let mut warnings = warnings_of(&decoded);
    let draft = match written([decoded.text.as_str()], most) {
        // A log whose server was killed in the middle of a line.
        Err(ExtractCode::Unreadable) => {
            meter::stage();
            let (lines, left_out) = records(&decoded.text).ok_or(ExtractCode::Unreadable)?;
            warnings.push(Warning::new("records_unreadable", left_out_words(left_out)));
            written(lines, most)?
        }
        whole => whole?,
    };
    Ok(draft.finish(None, warnings))
}

/// The values of all parts. Several values one after another are JSON Lines.
fn written<'t>(parts: impl IntoIterator<Item = &'t str>, most: usize) -> Result<Draft, ExtractCode> {
    let mut writer = Writer { draft: Draft::new(most), stopped: None };
    for part in parts {
        let mut values = serde_json::Deserializer::from_str(part);
        let mut end = values.end();
        while end.is_err() {
            let result = Values(&mut writer).deserialize(&mut values);
            if let Some(code) = writer.stopped {
                return Err(code);
            }
            result.map_err(|e| code_of(&e))?;
            end = values.end();
        }
    }
    Ok(writer.draft)
}

/// The lines of a text that are records, each by itself, and how many others there are. `None`: it has no such lines, or too
/// few of them.
fn records(text: &str) -> Option<(Vec<&str>, usize)> {
    let is_record = |line: &&str| {
        line.trim_start().starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(line).is_ok()
    };
    let (records, others): (Vec<&str>, Vec<&str>) =
        text.lines().filter(|line| !line.trim().is_empty()).partition(is_record);
    (records.len() > others.len()).then_some((records, others.len()))
}

fn left_out_words(lines: usize) -> String {
    match lines {
        1 => "1 line of this file is no JSON and was left out.".to_owned(),
        n => format!("{n} lines of this file are no JSON and were left out."),
    }
}

fn code_of(error: &serde_json::Error) -> ExtractCode {
    // The parser has no other name for it.
    if error.to_string().starts_with("recursion limit") {
        ExtractCode::TooDeep
    } else {
        ExtractCode::Unreadable
    }
}

/// A value as it stands in the text, with its keys in their order.
enum Node<'a> {
    Null,
    /// Numbers and truth values, as they are shown.
    Plain(Box<str>),
    Text(Cow<'a, str>),
    List(Box<[Node<'a>]>),
    Map(Box<[(Cow<'a, str>, Node<'a>)]>),
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Node<'de>, E> {
        Ok(Node::Plain(v.to_string().into()))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Node<'de>, E> {
        Ok(Node::Plain(v.to_string().into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Node<'de>, E> {
        Ok(Node::Plain(v.to_string().into()))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Node<'de>, E> {
        Ok(Node::Plain(v.to_string().into()))
    }

    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(v)))
    }

    fn visit_str<E>(self, v: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(v.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = seq.next_element()? {
            list.push(node);
        }
        Ok(Node::List(list.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Node<'de>, A::Error> {
        Ok(Node::Map(members(map)?))
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

type Members<'de> = Box<[(Cow<'de, str>, Node<'de>)]>;

fn members<'de, A: MapAccess<'de>>(mut map: A) -> Result<Members<'de>, A::Error> {
    let mut members = Vec::new();
    while let Some(Key(key)) = map.next_key()? {
        members.push((key, map.next_value()?));
    }
    Ok(members.into())
}

struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(v)))
            }

            fn visit_str<E>(self, v: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(v.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// The outermost value. Of a list only one element at a time is in memory.
struct Values<'w>(&'w mut Writer);

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(node) = seq.next_element::<Node<'de>>()? {
            number += 1;
            self.0.told(|w| w.element(&node, "Entry", number, 1))?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let node = Node::Map(members(map)?);
        self.0.told(|w| w.body(&node, "", 0))
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, v: bool) -> Result<(), E> {
        self.0.told(|w| w.draft.paragraph(&v.to_string()))
    }

    fn visit_i64<E: de::Error>(self, v: i64) -> Result<(), E> {
        self.0.told(|w| w.draft.paragraph(&v.to_string()))
    }

    fn visit_u64<E: de::Error>(self, v: u64) -> Result<(), E> {
        self.0.told(|w| w.draft.paragraph(&v.to_string()))
    }

    fn visit_f64<E: de::Error>(self, v: f64) -> Result<(), E> {
        self.0.told(|w| w.draft.paragraph(&v.to_string()))
    }

    fn visit_str<E: de::Error>(self, v: &str) -> Result<(), E> {
        self.0.told(|w| w.draft.paragraph(v))
    }
}

struct Writer {
    draft: Draft,
    /// Why writing ended before the text did; the parser cannot carry it.
    stopped: Option<ExtractCode>,
}

impl Writer {
    fn told<E: de::Error>(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), ExtractCode>,
    ) -> Result<(), E> {
        write(self).map_err(|code| {
            self.stopped = Some(code);
            E::custom(code)
        })
    }

    /// One element of a list: a line, or a section of its own.
    fn element(
        &mut self,
        node: &Node<'_>,
        label: &str,
        number: usize,
        level: usize,
    ) -> Result<(), ExtractCode> {
        match line(node) {
            Some(line) => self.draft.item(0, "-", &line),
            None => {
                let heading = name_of(node).unwrap_or_else(|| format!("{label} {number}").trim().to_owned());
                self.draft.heading(level, &heading)?;
                self.body(node, &heading, level)
            }
        }
    }

    /// What stands under a heading of that level.
    fn body(&mut self, node: &Node<'_>, label: &str, level: usize) -> Result<(), ExtractCode> {
        match node {
            Node::Null => Ok(()),
            Node::Plain(value) => self.draft.paragraph(value),
            Node::Text(value) => self.draft.paragraph(value),
            Node::List(list) => {
                list.iter().enumerate().try_for_each(|(i, n)| self.element(n, label, i + 1, level + 1))
            }
            Node::Map(members) => {
                // What is short comes first: below a section it would seem to belong to that.
                let mut large = Vec::new();
                for (key, value) in members {
                    match line_of_member(key, value) {
                        Some(line) => self.draft.item(0, "-", &line)?,
                        None => large.push((key, value)),
                    }
                }
                large.into_iter().try_for_each(|(key, value)| {
                    self.draft.heading(level + 1, key)?;
                    self.body(value, key, level + 1)
                })
            }
        }
    }
}

fn name_of(node: &Node<'_>) -> Option<String> {
    let Node::Map(members) = node else { return None };
    NAMES.iter().find_map(|name| {
        let (_, value) = members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        let Node::Text(text) = value else { return None };
        Some(one_line(text)).filter(|t| !t.is_empty() && t.len() <= 200)
    })
}

/// A value on one line; `None` when it is too large for that.
fn line(node: &Node<'_>) -> Option<String> {
    let mut out = Line { text: String::new(), nodes: 0 };
    out.value(node, true)?;
    Some(out.text)
}

fn line_of_member(key: &str, value: &Node<'_>) -> Option<String> {
    let mut out = Line { text: String::new(), nodes: 0 };
    out.value(value, false)?;
    Some(if out.text.is_empty() { String::new() } else { format!("{}: {}", one_line(key), out.text) })
}

struct Line {
    text: String,
    nodes: usize,
}

impl Line {
    /// What says nothing (null, an empty list) is left out with its key.
    fn value(&mut self, node: &Node<'_>, outermost: bool) -> Option<()> {
        self.nodes += 1;
        if self.nodes > LINE_NODES {
            return None;
        }
        match node {
            Node::Null => {}
            Node::Plain(value) => self.text.push_str(value),
            Node::Text(value) if value.len() > LINE => return None,
            Node::Text(value) => self.text.push_str(&one_line(value)),
            Node::List(list) => self.joined(list.iter(), ", ", |line, n| line.value(n, false))?,
            Node::Map(members) => {
                let open = self.text.len();
                self.joined(members.iter(), "; ", |line, (key, value)| {
                    let before = line.text.len();
                    // Writing to a string cannot fail.
                    let _ = write!(line.text, "{}: ", one_line(key));
                    let named = line.text.len();
                    line.value(value, false)?;
                    if line.text.len() == named {
                        line.text.truncate(before);
                    }
                    Some(())
                })?;
                if !outermost && self.text.len() > open {
                    self.text.insert(open, '(');
                    self.text.push(')');
                }
            }
        }
        (self.text.len() <= LINE).then_some(())
    }

    fn joined<T>(
        &mut self,
        parts: impl Iterator<Item = T>,
        between: &str,
        mut write: impl FnMut(&mut Self, T) -> Option<()>,
    ) -> Option<()> {
        let begin = self.text.len();
        for part in parts {
            let before = self.text.len();
            if before > begin {
                self.text.push_str(between);
            }
            let from = self.text.len();
            write(self, part)?;
            if self.text.len() == from {
                self.text.truncate(before);
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> String {
        read(json.as_bytes(), 1 << 20).unwrap().text
    }

    fn code(json: &str) -> ExtractCode {
        read(json.as_bytes(), 1 << 20).unwrap_err()
    }

    #[test]
    fn a_list_of_records_is_a_line_each_with_its_keys_in_their_order() {
        assert_eq!(
            text(
                r#"[{"Name":"Zoë","Age":36,"tags":["a","b"],"no":null,"at":{"city":"Rome","x":[]}},{"Name":"Bob"}]"#
            ),
            "- Name: Zoë; Age: 36; tags: a, b; at: (city: Rome)\n- Name: Bob"
        );
        assert_eq!(text("{\"a\": 1.5}\n{\"a\": true}\n"), "- a: 1.5\n- a: true");
    }

    #[test]
    fn what_is_large_becomes_sections_with_headings() {
        let long = "word ".repeat(300);
        let json = format!(
            r#"{{"items":[{{"title":"First","body":"{long}"}},{{"n":2}}],"version":3,"about":{{"by":"Ada"}}}}"#
        );
        let doc = read(json.as_bytes(), 1 << 20).unwrap();
        let begin = "- version: 3\n- about: (by: Ada)\n\n# items\n\n## First\n\n- title: First\n\n### body\n\nword word";
        assert!(doc.text.starts_with(begin), "{}", doc.text);
        assert!(doc.text.ends_with("word\n\n- n: 2"), "{}", doc.text);
        let at = doc.text.find("word").unwrap();
        assert_eq!(doc.span_at(at).unwrap().heading.as_deref(), Some("body"));
    }

    #[test]
    fn what_breaks_off_and_what_nests_without_end_are_told_apart() {
        assert_eq!(code(r#"{"a": [1, 2"#), ExtractCode::Unreadable);
        assert_eq!(code(r#"{"a": 1} trailing"#), ExtractCode::Unreadable);
        assert_eq!(code(&"[".repeat(100_000)), ExtractCode::TooDeep);
        assert_eq!(code(&"{\"a\":".repeat(100_000)), ExtractCode::TooDeep);
        let long = format!("[{}1]", "\"0123456789\",".repeat(100));
        assert_eq!(read(long.as_bytes(), 500).unwrap_err(), ExtractCode::TooLargeInside);
    }

    #[test]
    fn scalars_and_escapes_are_read() {
        assert_eq!(text(r#""just text""#), "just text");
        assert_eq!(text(r#"{"a\u00e9":"line\nbreak \"q\""}"#), "- aé: line break \"q\"");
        assert_eq!(text("[[1,2],[3,4]]"), "- 1, 2\n- 3, 4");
        let cut = r#"{"a":"cut \ud83d","b":"\udfee\ud83c x","c":"\ud83c\udfee \\ud83d é"}"#;
        assert_eq!(text(cut), "- a: cut \u{fffd}\n- b: \u{fffd}\u{fffd} x\n- c: 🏮 \\ud83d é");
        assert_eq!(read(cut.as_bytes(), 1 << 20).unwrap().warnings[0].code, "replaced_characters");
        // What parts lines elsewhere may stand in a string.
        assert_eq!(text("{\"a\":\"one\u{2028}two\u{85}three\"}"), "- a: one two three");
    }

    #[test]
    fn numbers_stay_as_they_are_written() {
        let numbers = r#"{"a": 1e999, "b": 2.50, "c": -12345678901234567890123, "f": [0.10, -1E-400]}"#;
        assert_eq!(look(numbers, false), Look::Whole);
        assert_eq!(text(numbers), "- a: 1e999\n- b: 2.50\n- c: -12345678901234567890123\n- f: 0.10, -1E-400");
        assert_eq!(text(r#"{"d": 7, "e": "say \" 1e999"}"#), "- d: 7\n- e: say \" 1e999");
        let none = r#"{"a": NaN, "b": -Infinity, "c": [Infinity, "Infinity"]}"#;
        assert_eq!(look(none, false), Look::Whole);
        assert_eq!(text(none), "- a: NaN\n- b: -Infinity\n- c: Infinity, Infinity");
        assert_eq!(text("1e999\n-0\n18446744073709551616"), "1e999\n\n-0\n\n18446744073709551616");
        for wrong in [
            "[1.]", "[01.5]", "[.5]", "[1e]", "[--1.5]", "[1.5.5]", "[-]", "[007]", "[1e+-2]", "[NaNs]",
            "[nan]",
        ] {
            assert_eq!(code(wrong), ExtractCode::Unreadable, "{wrong}");
        }
        assert_eq!(code("[\"1.5"), ExtractCode::Unreadable, "a string that nobody ends");
        assert_eq!(code("[\"1.5\\"), ExtractCode::Unreadable);
    }

    #[test]
    fn of_json_lines_only_those_that_are_broken_are_left_out() {
        let lines = "{\"a\": 1}\n{\"a\": \"2\n{\"a\": \"3.50\"}\n\n{\"a\": 1e999}\n{\"a\": 4,";
        let read = read(lines.as_bytes(), 1 << 20).unwrap();
        assert_eq!(read.text, "- a: 1\n- a: 3.50\n- a: 1e999");
        let warnings: Vec<_> = read.warnings.iter().map(|w| (w.code.as_str(), w.message.as_str())).collect();
        let message = "2 lines of this file are no JSON and were left out.";
        assert_eq!(warnings, [("records_unreadable", message)]);
        assert_eq!(look(lines, false), Look::Broken);
        assert_eq!(look(&lines[..lines.len() - 9], true), Look::Broken);
        // What is broken beyond that is no table of records.
        for json in ["{\"a\": 1}\nnone\n", "{\n  \"a\": 1,\n  \"b\": [1, 2}\n}", "[\n  [1],\n  [2]\n  [3]\n]"]
        {
            assert_eq!(code(json), ExtractCode::Unreadable, "{json}");
            assert_eq!(look(json, false), Look::Not, "{json}");
        }
    }

    #[test]
    fn the_look_of_a_text_tells_whether_it_is_json() {
        assert_eq!(look("  {\"a\": 1}", false), Look::Whole);
        assert_eq!(look("{\"a\": [1, {", true), Look::Whole);
        assert_eq!(look("{\"a\": [1, {", false), Look::Broken);
        assert_eq!(look("{ nothing of the kind }", false), Look::Not);
        assert_eq!(look("plain words", false), Look::Not);
        assert_eq!(look(r#"{"a": "\ud83d"}"#, false), Look::Whole);
        let json = r#"[-1.5e+10, true, 0.25, {"a\u00e9\\": null, "b": [-0, 1E-7]}]"#;
        for cut in 1..json.len() {
            assert_eq!(look(&json[..cut], true), Look::Whole, "{}", &json[..cut]);
        }
    }
}
