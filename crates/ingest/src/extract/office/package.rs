//! The parts of an Office file, unpacked under a budget: an archive of kilobytes can hold gigabytes.

use super::xml::{self, Piece};
use crate::extract::{ExtractCode, meter};
use domain::files::OLE_MARK;
use std::{
    collections::HashMap,
    io::{Cursor, Read},
};
use zip::{ZipArchive, result::ZipError};

/// An Office file has some dozens of parts; one with pictures, hundreds.
const MOST_PARTS: usize = 20_000;
/// All unpacked parts together, in bytes: so many times the file itself, …
const MOST_GROWTH: u64 = 60;
/// … at least and at most so many.
const BUDGET: std::ops::RangeInclusive<u64> = 16 << 20..=192 << 20;
/// One part, since it is held in memory.
const MOST_PART: u64 = 64 << 20;

pub struct Package<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// By lower-case name: parts are named without regard to case.
    index: HashMap<String, usize>,
    left: u64,
}

/// What a part refers to: the last word of its type, and its place.
pub struct Relation {
    pub kind: String,
    pub target: String,
}

impl<'a> Package<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<Self, ExtractCode> {
        // A protected file is a container of another kind around the encrypted archive.
        if bytes.starts_with(OLE_MARK) {
            return Err(ExtractCode::FileEncrypted);
        }
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| code_of(&e))?;
        if zip.len() > MOST_PARTS {
            return Err(ExtractCode::TooLargeInside);
        }
        let mut index = HashMap::new();
        for i in 0..zip.len() {
            if let Some(Ok(name)) = zip.name_for_index(i) {
                index.insert(name.trim_start_matches('/').to_ascii_lowercase(), i);
            }
        }
        let left = (bytes.len() as u64).saturating_mul(MOST_GROWTH).clamp(*BUDGET.start(), *BUDGET.end());
        Ok(Self { zip, index, left })
    }

    /// A part as text; `None` when there is none of that name.
    pub fn part(&mut self, name: &str) -> Result<Option<String>, ExtractCode> {
        let Some(&at) = self.index.get(&name.trim_start_matches('/').to_ascii_lowercase()) else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        self.unpack(at, &mut |block| bytes.extend_from_slice(block))?;
        xml::decoded(bytes).map(Some)
    }

    /// Unpacks every part whose name passes and keeps nothing: whether they can be unpacked, within the budget, and
    /// none declares entities.
    pub fn check(&mut self, wanted: impl Fn(&str) -> bool) -> Result<(), ExtractCode> {
        let parts: Vec<usize> = self.index.iter().filter(|(name, _)| wanted(name)).map(|(_, i)| *i).collect();
        for at in parts {
            let mut head = Vec::new();
            self.unpack(at, &mut |block| {
                head.extend_from_slice(&block[..block.len().min(2048_usize.saturating_sub(head.len()))]);
            })?;
            if head.windows(9).any(|w| w == b"<!DOCTYPE") {
                return Err(ExtractCode::Unreadable);
            }
        }
        Ok(())
    }

    fn unpack(&mut self, at: usize, take: &mut dyn FnMut(&[u8])) -> Result<(), ExtractCode> {
        let mut file = self.zip.by_index(at).map_err(|e| code_of(&e))?;
        let mut block = [0; 16 * 1024];
        let mut part_left = MOST_PART;
        loop {
            // The checksum is compared at the end, so a part that is whole is also right.
            let read = file.read(&mut block).map_err(|_| ExtractCode::Unreadable)?;
            if read == 0 {
                return Ok(());
            }
            let long = read as u64;
            if long > self.left || long > part_left {
                return Err(ExtractCode::TooLargeInside);
            }
            self.left -= long;
            part_left -= long;
            meter::done(read);
            take(&block[..read]);
        }
    }

    /// What `part` refers to (the empty name: the package itself).
    pub fn relations(&mut self, part: &str) -> Result<Vec<Relation>, ExtractCode> {
        let (folder, file) = part.rsplit_once('/').unwrap_or(("", part));
        let within = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let Some(text) = self.part(&format!("{within}_rels/{file}.rels"))? else { return Ok(Vec::new()) };
        let mut out = Vec::new();
        xml::walk(&text, &mut |piece| {
            if let Piece::Open("Relationship", tag) = &piece
                && let (Some(kind), Some(target)) = (tag.attribute("Type"), tag.attribute("Target"))
                && tag.attribute("TargetMode").as_deref() != Some("External")
            {
                let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
                out.push(Relation { kind, target: place(folder, &target) });
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// The title in the file's properties.
    pub fn title(&mut self) -> Result<Option<String>, ExtractCode> {
        self.property("core-properties", "docProps/core.xml", "title")
    }

    /// The program that wrote it.
    pub fn program(&mut self) -> Result<Option<String>, ExtractCode> {
        self.property("extended-properties", "docProps/app.xml", "Application")
    }

    /// What stands in an element of a part with properties; that part is the one of that kind, or has that name.
    fn property(
        &mut self,
        kind: &str,
        otherwise: &str,
        element: &str,
    ) -> Result<Option<String>, ExtractCode> {
        let named = self.relations("")?.into_iter().find(|r| r.kind == kind);
        let Some(text) = self.part(&named.map_or(otherwise.to_owned(), |r| r.target))? else {
            return Ok(None);
        };
        let (mut inside, mut value) = (false, String::new());
        xml::walk(&text, &mut |piece| {
            match piece {
                Piece::Open(name, _) => inside = name == element,
                Piece::Close(_) => inside = false,
                Piece::Text(text) if inside => value.push_str(&text),
                Piece::Text(_) => {}
            }
            Ok(())
        })?;
        let value = crate::extract::outline::shown(&value);
        Ok(Some(value).filter(|v| v.chars().any(char::is_alphabetic)))
    }
}

/// A target, which is relative to the folder of the part that names it.
fn place(folder: &str, target: &str) -> String {
    let mut path: Vec<&str> = Vec::new();
    let from = if target.starts_with('/') { "" } else { folder };
    for step in from.split('/').chain(target.split('/')) {
        match step {
            "" | "." => {}
            ".." => {
                path.pop();
            }
            step => path.push(step),
        }
    }
    path.join("/")
}

fn code_of(error: &ZipError) -> ExtractCode {
    match error {
        ZipError::InvalidPassword => ExtractCode::FileEncrypted,
        ZipError::UnsupportedArchive(why) if *why == ZipError::PASSWORD_REQUIRED => {
            ExtractCode::FileEncrypted
        }
        _ => ExtractCode::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_from_the_folder_of_their_part() {
        assert_eq!(place("word", "styles.xml"), "word/styles.xml");
        assert_eq!(place("word", "/xl/a.xml"), "xl/a.xml");
        assert_eq!(place("a/b", "../../../c/./d.xml"), "c/d.xml");
    }

    #[test]
    fn what_is_no_archive_is_unreadable_and_a_protected_file_says_so() {
        assert_eq!(Package::open(b"PK\x03\x04 rubbish").err(), Some(ExtractCode::Unreadable));
        assert_eq!(Package::open(OLE_MARK).err(), Some(ExtractCode::FileEncrypted));
    }
}
