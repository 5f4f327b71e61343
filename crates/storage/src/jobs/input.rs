//! What every store does to its input before the rules see it, so that all of them keep the same.

use domain::{
    DocumentId,
    duplicates::{Fate, Same, Sent, Taken},
    ingest::{Checkpoint, Upload},
};
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
        Checkpoint::Read { graph, .. } => {
            for mention in graph.iter_mut().flat_map(|graph| &mut graph.mentions) {
                clean(&mut mention.name);
            }
        }
        Checkpoint::Embedded { .. }
        | Checkpoint::Known { .. }
        | Checkpoint::ByRules { .. }
        | Checkpoint::Indexed
        | Checkpoint::Waits(_) => {}
    }
}

pub(crate) fn upload(d: &NewDocument) -> Upload {
    Upload {
        id: d.id,
        filename: d.filename.clone(),
        mime_type: d.mime_type.clone(),
        size_bytes: d.size_bytes,
        content_hash: d.content_hash.clone(),
    }
}

/// The files of an upload, as far as it matters for duplicates.
pub(crate) fn sent(documents: &[NewDocument]) -> Vec<Sent<'_>> {
    documents.iter().map(|d| Sent { filename: &d.filename, content_hash: &d.content_hash }).collect()
}

/// The files of an upload by what is to be made of them.
#[derive(Default)]
pub(crate) struct Sorted<'a> {
    pub(crate) added: Vec<&'a NewDocument>,
    /// Of each that is added, the document that has the same content, and what that is called.
    pub(crate) same: Vec<Option<(DocumentId, String)>>,
    pub(crate) replaced: Vec<(DocumentId, &'a NewDocument)>,
    /// The documents that there is work on, in the order of the files.
    pub(crate) work: Vec<DocumentId>,
}

impl<'a> Sorted<'a> {
    pub(crate) fn of(documents: &'a [NewDocument], fates: &[Fate]) -> Self {
        let mut sorted = Self::default();
        for (document, fate) in documents.iter().zip(fates) {
            match fate {
                Fate::Add { same } => {
                    sorted.added.push(document);
                    sorted.same.push(same.as_ref().map(|same| match same {
                        Same::Document(known) => (known.id, known.filename.clone()),
                        Same::File(place) => (documents[*place].id, documents[*place].filename.clone()),
                    }));
                    sorted.work.push(document.id);
                }
                Fate::Replace { document: id, .. } => {
                    sorted.replaced.push((*id, document));
                    sorted.work.push(*id);
                }
                Fate::Skip(_) => {}
            }
        }
        sorted
    }

    /// Each file with the document that has it now.
    pub(crate) fn taken(&self, new: &NewJob, fates: &[Fate]) -> Vec<(DocumentId, DocumentId, Taken)> {
        let mut taken: Vec<(DocumentId, DocumentId, Taken)> = vec![];
        for (file, fate) in new.documents.iter().zip(fates) {
            let (document, outcome) = match fate {
                Fate::Add { .. } => (file.id, Taken::Added),
                Fate::Replace { document, .. } => (*document, Taken::Replaced),
                Fate::Skip(Same::Document(known)) => (known.id, Taken::Skipped),
                // It goes before this one.
                Fate::Skip(Same::File(place)) => (taken[*place].1, Taken::Skipped),
            };
            taken.push((file.id, document, outcome));
        }
        taken
    }
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
