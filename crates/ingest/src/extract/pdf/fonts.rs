//! Fonts, made light before the pages are read: the library builds the fonts of each page anew, and unpacks and parses
//! font programs of which it then uses nothing, or only the names of the letters. Those are taken out once, and the
//! programs are dropped.

use super::caught;
use pdf_extract::{Dictionary, Document, Object, ObjectId, Stream};
use std::collections::{BTreeMap, BTreeSet};

/// Fonts that are looked at; a document with more is not helped.
const MOST_FONTS: usize = 10_000;

pub fn lighten(document: &mut Document) {
    let fonts: Vec<ObjectId> = document
        .objects
        .iter()
        .filter(|(_, object)| object.as_dict().is_ok_and(|d| d.has_type(b"Font")))
        .map(|(id, _)| *id)
        .take(MOST_FONTS)
        .collect();
    let maps: BTreeSet<ObjectId> = fonts
        .iter()
        .filter_map(|id| document.get_dictionary(*id).ok()?.get(b"ToUnicode").ok()?.as_reference().ok())
        .collect();
    for id in maps {
        if let Some(short) = document.get_object(id).ok().and_then(short_map) {
            document.objects.insert(id, Object::Stream(Stream::new(Dictionary::new(), short)));
        }
    }
    // A descriptor may serve several fonts; its programs go when none of them needs them.
    let mut droppable: BTreeMap<ObjectId, [bool; 3]> = BTreeMap::new();
    for id in fonts {
        let Ok(font) = document.get_dictionary(id) else { continue };
        let Some(descriptor) = font.get(b"FontDescriptor").ok().and_then(|d| d.as_reference().ok()) else {
            continue;
        };
        let encoded = font.has(b"Encoding");
        let letters = if encoded { None } else { letters(document, font, descriptor) };
        let named = letters.is_some();
        // What a compact program says of its letters is said better by an encoding with a map to Unicode.
        let mapped = encoded && font.has(b"ToUnicode");
        if let (Some(letters), Ok(font)) =
            (letters, document.get_object_mut(id).and_then(Object::as_dict_mut))
        {
            font.set("Encoding", encoding(letters));
        }
        let drop = droppable.entry(descriptor).or_insert([true; 3]);
        drop[0] &= encoded || named;
        drop[2] &= mapped;
    }
    for (id, drop) in droppable {
        let Ok(descriptor) = document.get_object_mut(id).and_then(Object::as_dict_mut) else { continue };
        for (name, drop) in [b"FontFile".as_slice(), b"FontFile2", b"FontFile3"].into_iter().zip(drop) {
            if drop {
                descriptor.remove(name);
            }
        }
    }
}

/// A map to Unicode that says the same in few words: the library's parser is slow by the word.
fn short_map(map: &Object) -> Option<Vec<u8>> {
    let stream = map.as_stream().ok()?;
    let text = stream.decompressed_content().unwrap_or_else(|_| stream.content.clone());
    let codes = caught(|| adobe_cmap_parser::get_unicode_map(&text))?.ok()?;
    let codes: BTreeMap<u32, Vec<u8>> = codes.into_iter().collect();
    // Runs of codes that stand for runs of characters: the first code, the last, the first character.
    let mut runs: Vec<(u32, u32, u16)> = Vec::new();
    let mut single = Vec::new();
    for (code, target) in &codes {
        let [high, low] = target[..] else {
            single.push((*code, target));
            continue;
        };
        let character = u16::from_be_bytes([high, low]);
        match runs.last_mut() {
            Some((first, last, begin))
                if *last + 1 == *code && u32::from(*begin) + (code - *first) == u32::from(character) =>
            {
                *last = *code;
            }
            _ => runs.push((*code, *code, character)),
        }
    }
    let mut out = format!("{} beginbfrange ", runs.len()).into_bytes();
    for (first, last, begin) in runs {
        push_string(&mut out, short(&first.to_be_bytes()));
        push_string(&mut out, short(&last.to_be_bytes()));
        push_string(&mut out, &begin.to_be_bytes());
    }
    out.extend_from_slice(format!("endbfrange {} beginbfchar ", single.len()).as_bytes());
    for (code, target) in single {
        push_string(&mut out, short(&code.to_be_bytes()));
        push_string(&mut out, target);
    }
    out.extend_from_slice(b"endbfchar ");
    Some(out)
}

/// Without leading zeros.
fn short(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    &bytes[zeros.min(bytes.len() - 1)..]
}

/// In brackets, which are read several times as fast as hexadecimal digits.
fn push_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'(');
    for byte in bytes {
        if matches!(byte, b'(' | b')' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b')');
}

/// Which letter stands for which code in the program of a Type 1 font that brings its own encoding.
fn letters(document: &Document, font: &Dictionary, descriptor: ObjectId) -> Option<BTreeMap<u32, Vec<u8>>> {
    if font.get(b"Subtype").and_then(Object::as_name).ok()? != b"Type1" {
        return None;
    }
    let descriptor = document.get_dictionary(descriptor).ok()?;
    let program = descriptor.get_deref(b"FontFile", document).ok()?.as_stream().ok()?;
    let program = program.decompressed_content().ok()?;
    let map = caught(|| type1_encoding_parser::get_encoding_map(&program))?.ok()?;
    Some(map.into_iter().filter(|(code, _)| *code < 256).collect())
}

fn encoding(letters: BTreeMap<u32, Vec<u8>>) -> Object {
    let differences =
        letters.into_iter().flat_map(|(code, name)| [Object::Integer(i64::from(code)), Object::Name(name)]);
    let mut out = Dictionary::new();
    out.set("Differences", Object::Array(differences.collect()));
    Object::Dictionary(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_map_says_the_same_as_the_long_one() {
        let long = "/CIDInit /ProcSet findresource begin 12 dict begin begincmap 1 begincodespacerange <00> <FF> \
            endcodespacerange 5 beginbfchar <28> <0028> <29> <0029> <5C> <005C> <41> <00660069> <0102> <D83DDE00> \
            endbfchar 2 beginbfrange <61> <7a> <0061> <80> <82> [<00C4> <00D6> <00DC>] endbfrange endcmap end end";
        let stream = Object::Stream(Stream::new(Dictionary::new(), long.as_bytes().to_vec()));
        let short = short_map(&stream).unwrap();
        assert!(short.len() * 2 < long.len(), "{}", String::from_utf8_lossy(&short));
        let codes = |text: &[u8]| adobe_cmap_parser::get_unicode_map(text).unwrap();
        assert_eq!(codes(&short), codes(long.as_bytes()));
        assert_eq!(codes(&short).len(), 34);
    }

    #[test]
    fn a_map_that_cannot_be_read_is_left_alone() {
        let broken = b"1 beginbfchar <41> endbfchar".to_vec();
        assert_eq!(short_map(&Object::Stream(Stream::new(Dictionary::new(), broken))), None);
        assert_eq!(short_map(&Object::Null), None);
    }
}
