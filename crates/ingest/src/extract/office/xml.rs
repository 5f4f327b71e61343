//! XML, piece by piece: no document type, so no entities but the five of XML itself, and a bound on its depth.

use crate::extract::{ExtractCode, decode, meter};
use quick_xml::{Reader, events::BytesStart, events::Event};
use std::borrow::Cow;

/// Elements within elements. Word itself ends at a few dozen.
const MOST_DEPTH: usize = 256;

/// Names are without their prefix: the same vocabulary comes under several.
pub enum Piece<'a> {
    Open(&'a str, Tag<'a>),
    Close(&'a str),
    Text(Cow<'a, str>),
}

pub struct Tag<'a>(&'a BytesStart<'a>);

impl Tag<'_> {
    /// The value of an attribute, by its name without prefix.
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.0.attributes().with_checks(false).flatten().find_map(|a| {
            let value =
                (a.key.local_name().as_ref() == name).then(|| quick_xml::escape::unescape(&a.value))?;
            Some(value.map_or_else(|_| a.value.clone().into_owned(), Cow::into_owned))
        })
    }

    /// The attribute `val`, in which Word keeps most things.
    pub fn val(&self) -> Option<String> {
        self.attribute("val")
    }

    /// A switch is on when it stands there, unless it says otherwise.
    pub fn is_on(&self) -> bool {
        !matches!(self.val().as_deref(), Some("0" | "false" | "off" | "none"))
    }
}

/// A part's bytes as text.
pub fn decoded(bytes: Vec<u8>) -> Result<String, ExtractCode> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(e) => {
            let bytes = e.into_bytes();
            let decoded = decode::decode(&bytes, decode::declared_in_markup(&bytes));
            decoded.map(|d| d.text).ok_or(ExtractCode::Unreadable)
        }
    }
}

/// Goes through a text to its end.
pub fn walk(
    text: &str,
    take: &mut dyn FnMut(Piece<'_>) -> Result<(), ExtractCode>,
) -> Result<(), ExtractCode> {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut depth = 0_usize;
    loop {
        // About what an element takes in the file.
        meter::done(32);
        match reader.read_event().map_err(|_| ExtractCode::Unreadable)? {
            Event::Start(tag) => {
                depth += 1;
                if depth > MOST_DEPTH {
                    return Err(ExtractCode::TooDeep);
                }
                take(Piece::Open(tag.local_name().as_ref(), Tag(&tag)))?;
            }
            Event::Empty(tag) => {
                take(Piece::Open(tag.local_name().as_ref(), Tag(&tag)))?;
                take(Piece::Close(tag.local_name().as_ref()))?;
            }
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                take(Piece::Close(tag.local_name().as_ref()))?;
            }
            Event::Text(text) => take(Piece::Text(text.xml10_content()))?,
            Event::CData(text) => take(Piece::Text(text.xml10_content()))?,
            Event::GeneralRef(name) => {
                let c = match &*name {
                    "amp" => Some('&'),
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "quot" => Some('"'),
                    "apos" => Some('\''),
                    // A number that is no character, or a name that nothing declares.
                    _ => name.resolve_char_ref().ok().flatten(),
                };
                if let Some(c) = c {
                    take(Piece::Text(Cow::Owned(c.to_string())))?;
                }
            }
            Event::DocType(_) => return Err(ExtractCode::Unreadable),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return if depth == 0 { Ok(()) } else { Err(ExtractCode::Unreadable) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Result<String, ExtractCode> {
        let mut out = String::new();
        walk(text, &mut |piece| {
            match piece {
                Piece::Open(name, tag) => out.push_str(&format!("<{name} {:?}", tag.val())),
                Piece::Close(name) => out.push_str(&format!("/{name}>")),
                Piece::Text(text) => out.push_str(&text),
            }
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn names_lose_their_prefix_and_references_are_resolved() {
        let text = "<?xml version='1.0'?><w:p><w:t w:val='a&amp;b'>x &lt;&#233;&unknown;</w:t><b/></w:p>";
        assert_eq!(seen(text).unwrap(), "<p None<t Some(\"a&b\")x <é/t><b None/b>/p>");
    }

    #[test]
    fn entities_depth_and_what_breaks_off_are_refused() {
        assert_eq!(seen("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"), Err(ExtractCode::Unreadable));
        assert_eq!(seen(&"<a>".repeat(10_000)), Err(ExtractCode::TooDeep));
        assert_eq!(seen("<a><b></b>"), Err(ExtractCode::Unreadable));
        assert_eq!(seen("<a></b>"), Err(ExtractCode::Unreadable));
    }
}
