//! Files that a workspace has already, and what becomes of them. Two files are the same when their bytes are, told by their
//! SHA-256; nobody looks beyond the workspace, so that nobody learns what others have.

use crate::{ids::DocumentId, status::named};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, str::FromStr};

named!(
    /// What becomes of a file that the workspace has already. Who says nothing gets a document for each file, as always:
    /// nothing that is sent is left out unasked.
    #[derive(Default)]
    OnDuplicate, "way to treat duplicates" {
        /// The same bytes are not taken a second time.
        Skip = "skip",
        /// The document of the same name, or else of the same bytes, gets it as its next version.
        Replace = "replace",
        /// It becomes a document of its own.
        #[default]
        KeepBoth = "keep_both",
    }
);

named!(
    /// What became of a file of an upload.
    Taken, "outcome" {
        /// A document of its own.
        Added = "added",
        /// The next version of a document.
        Replaced = "replaced",
        /// Nothing: a document has the very same.
        Skipped = "skipped",
    }
);

/// A document that is like one of the files, in its name or its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub id: DocumentId,
    pub filename: String,
    pub content_hash: String,
}

/// A file, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent<'a> {
    pub filename: &'a str,
    pub content_hash: &'a str,
}

/// Who has the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Same {
    Document(Known),
    /// The file at that place of the same upload.
    File(usize),
}

/// What is to be made of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Add { same: Option<Same> },
    Replace { document: DocumentId, same: Option<Same> },
    Skip(Same),
}

/// What is to be made of each file of an upload. `known` are the documents of the workspace that are like one of them, the
/// newest first. A document is replaced once at most; files of an upload replace documents and never one another.
pub fn fates(files: &[Sent<'_>], known: &[Known], on_duplicate: OnDuplicate) -> Vec<Fate> {
    let mut replaced = BTreeSet::new();
    let mut fates = vec![];
    for (place, file) in files.iter().enumerate() {
        let same_bytes = |k: &&Known| k.content_hash == file.content_hash;
        let earlier = || files[..place].iter().position(|f| f.content_hash == file.content_hash);
        let same =
            known.iter().find(same_bytes).cloned().map(Same::Document).or_else(|| earlier().map(Same::File));
        let fate = match on_duplicate {
            OnDuplicate::KeepBoth => Fate::Add { same },
            OnDuplicate::Skip => match same {
                Some(same) => Fate::Skip(same),
                None => Fate::Add { same: None },
            },
            OnDuplicate::Replace => {
                let free = |k: &&Known| !replaced.contains(&k.id);
                let namesake = known.iter().filter(free).find(|k| k.filename == file.filename);
                match namesake.or_else(|| known.iter().filter(free).find(same_bytes)).map(|k| k.id) {
                    Some(document) => {
                        replaced.insert(document);
                        Fate::Replace { document, same }
                    }
                    None => Fate::Add { same },
                }
            }
        };
        fates.push(fate);
    }
    fates
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn known(n: u128, filename: &str, content_hash: &str) -> Known {
        let id = DocumentId::new(Uuid::from_u128(n));
        Known { id, filename: filename.into(), content_hash: content_hash.into() }
    }

    fn sent<'a>(filename: &'a str, content_hash: &'a str) -> Sent<'a> {
        Sent { filename, content_hash }
    }

    fn id(n: u128) -> DocumentId {
        DocumentId::new(Uuid::from_u128(n))
    }

    #[test]
    fn who_says_nothing_gets_a_document_for_each_file() {
        let has = [known(1, "a.txt", "x")];
        let files = [sent("a.txt", "x"), sent("b.txt", "y"), sent("c.txt", "y")];
        let made = fates(&files, &has, OnDuplicate::default());
        let wanted = [
            Fate::Add { same: Some(Same::Document(has[0].clone())) },
            Fate::Add { same: None },
            Fate::Add { same: Some(Same::File(1)) },
        ];
        assert_eq!(made, wanted);
    }

    #[test]
    fn only_the_same_bytes_are_skipped_also_within_one_upload() {
        let has = [known(1, "a.txt", "x"), known(2, "b.txt", "z")];
        let files = [sent("other.txt", "x"), sent("b.txt", "y"), sent("c.txt", "y")];
        let made = fates(&files, &has, OnDuplicate::Skip);
        let wanted =
            [Fate::Skip(Same::Document(has[0].clone())), Fate::Add { same: None }, Fate::Skip(Same::File(1))];
        assert_eq!(made, wanted);
    }

    #[test]
    fn a_name_is_replaced_before_the_same_bytes_and_each_document_once() {
        let has = [known(3, "b.txt", "q"), known(1, "a.txt", "x"), known(2, "b.txt", "z")];
        let target = |fate: &Fate| match fate {
            Fate::Replace { document, .. } => Some(*document),
            _ => None,
        };
        // The second is b.txt although a.txt has its bytes; the next b.txt finds the older one, and then there is none.
        let files = [sent("b.txt", "x"), sent("moved.txt", "x"), sent("b.txt", "n"), sent("b.txt", "m")];
        let made = fates(&files, &has, OnDuplicate::Replace);
        let targets: Vec<_> = made.iter().map(target).collect();
        assert_eq!(targets, [Some(id(3)), Some(id(1)), Some(id(2)), None]);
        // Two of one name in different folders of one upload are two documents.
        let fresh = fates(&[sent("readme.md", "1"), sent("readme.md", "2")], &[], OnDuplicate::Replace);
        assert_eq!(fresh, [Fate::Add { same: None }, Fate::Add { same: None }]);
    }
}
