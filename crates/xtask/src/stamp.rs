//! Stamps: what an output was made from, so that a step whose inputs did not change is skipped. By content, never by
//! time: a fresh clone has new times and the same contents.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::problem::Done;
use crate::shell;

/// Collects the inputs of a step.
#[derive(Default)]
pub struct Inputs(Sha256);

impl Inputs {
    pub fn new() -> Self {
        Self::default()
    }

    /// A value that is no file: a flag, a version. Name and value are kept apart by their lengths, so that no two
    /// different lists of inputs read the same.
    pub fn value(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        for part in [name.as_bytes(), value.as_ref()] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
        self
    }

    /// The content of a file.
    pub fn file(self, name: &str, path: &Path) -> Done<Self> {
        let content = shell::read(path)?;
        Ok(self.value(name, content))
    }

    /// The names and contents of all files below a folder that `keep` wants.
    pub fn dir(mut self, dir: &Path, keep: impl Fn(&Path) -> bool) -> Done<Self> {
        for path in shell::files_under(dir)? {
            if keep(&path) {
                let name = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned();
                self = self.file(&name, &path)?;
            }
        }
        Ok(self)
    }

    pub fn stamp(self) -> String {
        hex(&self.0.finalize())
    }
}

/// The SHA-256 of some bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file that remembers what an output was made from.
pub struct StampFile(PathBuf);

impl StampFile {
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub fn matches(&self, stamp: &str) -> bool {
        fs::read_to_string(&self.0).is_ok_and(|kept| kept == stamp)
    }

    /// To be called only when the output is whole.
    pub fn keep(&self, stamp: &str) -> Done {
        shell::write(&self.0, stamp)
    }

    /// To be called before the output is touched, so that a step which is interrupted leaves no stamp behind.
    pub fn forget(&self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_text_has_its_known_sha256() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn what_moves_from_one_value_to_the_next_changes_the_stamp() {
        let one = Inputs::new().value("a", "xy").value("b", "z").stamp();
        let two = Inputs::new().value("a", "x").value("b", "yz").stamp();
        assert_ne!(one, two);
    }

    #[test]
    fn a_folder_counts_by_the_names_and_contents_that_are_wanted() {
        let dir = tempfile::tempdir().expect("a folder");
        let css = |path: &Path| path.extension().is_some_and(|e| e == "css");
        let stamp = || Inputs::new().dir(dir.path(), css).expect("read").stamp();
        shell::write(&dir.path().join("a.css"), "1").expect("written");
        let first = stamp();
        shell::write(&dir.path().join("note.txt"), "not wanted").expect("written");
        assert_eq!(first, stamp());
        shell::write(&dir.path().join("a.css"), "2").expect("written");
        let second = stamp();
        assert_ne!(first, second);
        fs::rename(dir.path().join("a.css"), dir.path().join("b.css")).expect("renamed");
        assert_ne!(second, stamp());
    }

    #[test]
    fn a_stamp_matches_only_what_was_kept_and_not_forgotten() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = StampFile::at(dir.path().join("deep/stamp"));
        assert!(!file.matches("x"));
        file.keep("x").expect("kept");
        assert!(file.matches("x") && !file.matches("y"));
        file.forget();
        assert!(!file.matches("x"));
    }
}
