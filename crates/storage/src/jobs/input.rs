//! What every store does to its input before the rules see it, so that all of them keep the same.

use domain::ingest::{Checkpoint, Upload};
use services::ports::{NewDocument, NewJob};

/// PostgreSQL cannot keep the character NUL in a text, and a damaged file may well yield it. It becomes the replacement
/// character: the text keeps its length in characters, on which the places of its chunks depend.
pub(crate) fn clean(text: &mut String) {
    if text.contains('\0') {
        *text = text.replace('\0', "\u{fffd}");
    }
}

pub(crate) fn clean_option(text: &mut Option<String>) {
    if let Some(text) = text {
        clean(text);
    }
}

pub(crate) fn clean_job(new: &mut NewJob) {
    clean_option(&mut new.command_id);
    new.documents.iter_mut().for_each(clean_document);
}

pub(crate) fn clean_document(d: &mut NewDocument) {
    for text in [&mut d.filename, &mut d.mime_type, &mut d.content_hash, &mut d.blob_key] {
        clean(text);
    }
}

pub(crate) fn clean_checkpoint(checkpoint: &mut Checkpoint) {
    match checkpoint {
        Checkpoint::Step { facts, .. } => {
            clean_option(&mut facts.filename);
            clean_option(&mut facts.kind);
            clean_option(&mut facts.origin);
            clean_option(&mut facts.reason);
        }
        Checkpoint::Loaded { title, warnings, .. } => {
            clean_option(title);
            for warning in warnings {
                clean(&mut warning.code);
                clean(&mut warning.message);
            }
        }
        Checkpoint::Chunked { chunks } => {
            for chunk in chunks {
                clean(&mut chunk.text);
                clean(&mut chunk.content_hash);
                clean_option(&mut chunk.heading);
                for mention in &mut chunk.graph.mentions {
                    clean(&mut mention.name);
                }
            }
        }
        Checkpoint::Failed(failure) => {
            clean(&mut failure.code);
            clean(&mut failure.message);
            clean_option(&mut failure.hint);
        }
        Checkpoint::Compared { filename, .. } => clean(filename),
        Checkpoint::Embedded { .. }
        | Checkpoint::Known { .. }
        | Checkpoint::Indexed
        | Checkpoint::Waits(_) => {}
    }
}

pub(crate) fn uploads(new: &NewJob) -> Vec<Upload> {
    new.documents
        .iter()
        .map(|d| Upload {
            id: d.id,
            filename: d.filename.clone(),
            mime_type: d.mime_type.clone(),
            size_bytes: d.size_bytes,
            content_hash: d.content_hash.clone(),
        })
        .collect()
}

/// A lease ends that many microseconds after it was given.
pub(crate) const fn lease_micros(seconds: u32) -> i64 {
    seconds as i64 * 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_becomes_one_other_character() {
        let mut text = "a\0b".to_owned();
        clean(&mut text);
        assert_eq!(text, "a\u{fffd}b");
        assert_eq!(text.chars().count(), 3);
    }
}
