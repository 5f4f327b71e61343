//! Files as they lie there, held against what the database knows of them.

use crate::{
    Result, Services,
    hex::hex,
    keys,
    ports::{BlobError, Checks, Cut, CutWords, StoredFile},
};
use domain::DocumentId;
use futures::{StreamExt, TryStreamExt, future, stream};
use sha2::{Digest, Sha256};

/// Files that are looked at together: what keeps them has something to do while the bytes of another one are hashed.
const AT_ONCE: usize = 4;

/// How closely files are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Originals are there and as long as they were, and texts are there. Nothing is read.
    Sizes,
    /// Originals and texts are read.
    Bytes,
    /// Originals are read. Texts are passed over: all that is in them can be had of their originals.
    Originals,
}

/// How an original is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Original {
    Whole,
    Gone,
    OtherSize,
    OtherBytes,
    Unreadable,
}

/// How the text is that was read of an original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// Or it was not to be looked at.
    Right,
    Gone,
    /// It cannot be read, or is another one than that of which the passages are parts.
    Damaged,
}

/// A file that was looked at.
pub(super) struct Seen {
    pub file: StoredFile,
    pub original: Original,
    pub text: Text,
}

/// What tells that a file is still that of the same version.
pub(super) type Place = (DocumentId, u32, String);

pub(super) fn place_of(file: &StoredFile) -> Place {
    (file.document_id, file.version, file.blob_key.clone())
}

impl Services {
    /// Those of the files that are not as they should be.
    pub(super) async fn faulty_files(
        &self,
        checks: &dyn Checks,
        files: Vec<StoredFile>,
        look: Look,
    ) -> Result<Vec<Seen>> {
        let looking = files.into_iter().map(|file| self.seen_file(checks, file, look));
        stream::iter(looking)
            .buffered(AT_ONCE)
            .try_filter(|seen| future::ready((seen.original, seen.text) != (Original::Whole, Text::Right)))
            .try_collect()
            .await
    }

    async fn seen_file(&self, checks: &dyn Checks, file: StoredFile, look: Look) -> Result<Seen> {
        let original = self.original_of(&file, look).await?;
        // A text can only be read anew out of a whole original, so without one there is no more to say.
        let text = match original {
            Original::Whole => self.text_of(checks, &file, look).await?,
            _ => Text::Right,
        };
        Ok(Seen { file, original, text })
    }

    async fn original_of(&self, file: &StoredFile, look: Look) -> Result<Original> {
        match self.size_of(&file.blob_key).await? {
            None => Ok(Original::Gone),
            Some(size) if size != file.size_bytes => Ok(Original::OtherSize),
            Some(_) if look == Look::Sizes => Ok(Original::Whole),
            Some(size) => judged(self.hash_of(&file.blob_key, size).await, &file.content_hash),
        }
    }

    /// The SHA-256 of a file, made of the bytes as they come: no file is held in memory.
    async fn hash_of(&self, key: &str, size: u64) -> std::result::Result<String, BlobError> {
        let mut bytes = self.blobs.read(key, 0..size).await?;
        let mut hash = Sha256::new();
        while let Some(some) = bytes.try_next().await? {
            hash.update(&some);
        }
        Ok(hex(&hash.finalize()))
    }

    async fn text_of(&self, checks: &dyn Checks, file: &StoredFile, look: Look) -> Result<Text> {
        if !file.is_read || look == Look::Originals {
            return Ok(Text::Right);
        }
        let key = keys::text(file.user_id, file.document_id, file.version);
        if look == Look::Sizes {
            let is_there = self.size_of(&key).await?.is_some();
            return Ok(if is_there { Text::Right } else { Text::Gone });
        }
        let stored = match self.blobs.get(&key).await {
            Ok(stored) => stored,
            Err(BlobError::NotFound) => return Ok(Text::Gone),
            Err(BlobError::Io(_)) => return Ok(Text::Damaged),
            Err(e) => return Err(e.into()),
        };
        let Ok(text) = self.chunker.text(stored).await else { return Ok(Text::Damaged) };
        let cuts = checks.cuts(file.document_id, file.version).await?;
        Ok(if agree(&text, &cuts) { Text::Right } else { Text::Damaged })
    }

    async fn size_of(&self, key: &str) -> Result<Option<u64>> {
        match self.blobs.look(key).await {
            Ok(stored) => Ok(Some(stored.size)),
            Err(BlobError::NotFound) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}

/// What comes of reading an original that has to have this hash. A disk that cannot read one file is told of that file; a
/// store that does not answer says nothing about any.
fn judged(found: std::result::Result<String, BlobError>, hash: &str) -> Result<Original> {
    match found {
        Ok(found) if found == hash => Ok(Original::Whole),
        Ok(_) => Ok(Original::OtherBytes),
        Err(BlobError::NotFound) => Ok(Original::Gone),
        Err(BlobError::Io(_)) => Ok(Original::Unreadable),
        Err(e) => Err(e.into()),
    }
}

/// Whether each passage is what stands at its place in the text. All but white space is in some passage, so hardly anything
/// can be another without that being seen.
fn agree(text: &str, cuts: &[Cut]) -> bool {
    let (mut starts, mut ends) = (Characters::of(text), Characters::of(text));
    cuts.iter().all(|cut| {
        let range = starts.byte_of(cut.char_start).zip(ends.byte_of(cut.char_end));
        let found = range.and_then(|(start, end)| text.get(start..end));
        found.is_some_and(|found| match &cut.words {
            CutWords::Hash(hash) => hex(&Sha256::digest(found.as_bytes())) == *hash,
            CutWords::Text(words) => found.chars().map(as_kept).eq(words.chars()),
        })
    })
}

/// A character as stores keep it in a passage.
fn as_kept(c: char) -> char {
    if c == '\0' { '\u{fffd}' } else { c }
}

/// Finds places of a text that are given in characters. Passages come in the order of the text, so it goes on from the last
/// place.
struct Characters<'t> {
    text: &'t str,
    at: u64,
    byte: usize,
}

impl<'t> Characters<'t> {
    fn of(text: &'t str) -> Self {
        Self { text, at: 0, byte: 0 }
    }

    /// How many bytes stand before that place; `None` behind the end of the text.
    fn byte_of(&mut self, place: u64) -> Option<usize> {
        if place < self.at {
            (self.at, self.byte) = (0, 0);
        }
        let more = usize::try_from(place - self.at).ok()?;
        if let Some(last) = more.checked_sub(1) {
            let (before, c) = self.text[self.byte..].char_indices().nth(last)?;
            self.byte += before + c.len_utf8();
            self.at = place;
        }
        Some(self.byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    const TEXT: &str = "Zoë sees a gull \u{1f426}.\0 Ω";

    fn hash_of(text: &str) -> String {
        hex(&Sha256::digest(text.as_bytes()))
    }

    fn cut(char_start: u64, char_end: u64, words: CutWords) -> Cut {
        Cut { char_start, char_end, words }
    }

    fn hashed(char_start: u64, char_end: u64, words: &str) -> Cut {
        cut(char_start, char_end, CutWords::Hash(hash_of(words)))
    }

    #[test]
    fn an_original_is_whole_by_its_hash_alone() {
        let is = |found| judged(found, "aa").expect("it says something of the file");
        assert_eq!(is(Ok("aa".to_owned())), Original::Whole);
        assert_eq!(is(Ok("ab".to_owned())), Original::OtherBytes);
        assert_eq!(is(Err(BlobError::NotFound)), Original::Gone);
        assert_eq!(is(Err(BlobError::Io(io::Error::other("a bad sector")))), Original::Unreadable);
        let away = BlobError::Away(io::Error::other("no answer").into());
        assert!(judged(Err(away), "aa").is_err(), "nobody knows how it is");
    }

    #[test]
    fn passages_agree_with_the_text_that_they_were_cut_from() {
        let kept = cut(9, 21, CutWords::Text("a gull \u{1f426}.\u{fffd} Ω".to_owned()));
        let cuts = [hashed(0, 8, "Zoë sees"), hashed(4, 18, "sees a gull \u{1f426}."), kept];
        assert!(agree(TEXT, &cuts));
        assert!(agree(TEXT, &[cuts[2].clone(), cuts[0].clone()]), "in whatever order they come");
        assert!(agree("", &[]));
        for other in [
            TEXT.replace('g', "b"),
            TEXT.replace('Ω', "ω"),
            TEXT.replace('Z', ""),
            TEXT.replace(" Ω", ""),
            String::new(),
        ] {
            assert!(!agree(&other, &cuts), "{other:?}");
        }
    }

    #[test]
    fn a_place_that_no_text_has_agrees_with_nothing() {
        let all = TEXT.chars().count() as u64;
        assert!(agree(TEXT, &[hashed(0, all, TEXT)]));
        assert!(!agree(TEXT, &[hashed(0, all + 1, TEXT)]));
        assert!(!agree(TEXT, &[hashed(3, 2, "")]));
        assert!(!agree(TEXT, &[hashed(u64::MAX, u64::MAX, "")]));
    }
}
