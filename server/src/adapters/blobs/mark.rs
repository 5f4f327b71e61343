//! Whether all servers of an installation have their files in one folder. Each folder has a mark, and the database keeps that of
//! the first server's. One that finds another mark has a folder for itself: it sees nothing of what the others store.

use super::{INCOMING, folder::sync_dir};
use services::hex::{hex, unhex_all};
use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// How often whoever waits for the right folder looks whether it is there.
const LOOK: Duration = Duration::from_secs(1);

/// Its name begins with a dot, as that of no file does, and is not that of a bucket's mark: who moves files copies all of them.
pub(crate) const MARK: &str = ".folder";

pub(crate) type Mark = [u8; 32];

/// The folder of the files, with the mark that it is to have.
#[derive(Clone, Debug)]
pub struct SharedFolder {
    folder: PathBuf,
    mark: Mark,
}

impl SharedFolder {
    pub(crate) fn new(folder: PathBuf, mark: Mark) -> Self {
        Self { folder, mark }
    }

    /// Whether it is that of all servers. Blocking.
    pub(crate) fn is_the_one(&self) -> io::Result<bool> {
        Ok(read(&self.folder)? == Some(self.mark))
    }

    /// Waits until it is.
    pub(crate) async fn found(self) {
        loop {
            let here = self.clone();
            if let Ok(Ok(true)) = tokio::task::spawn_blocking(move || here.is_the_one()).await {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What stands in the mark of the right folder.
    pub(crate) fn expected(&self) -> String {
        hex(&self.mark)
    }
}

/// The mark of a folder; one that has none gets `drawn`, unless another server is faster. Blocking.
pub(crate) fn mark_of(folder: &Path, drawn: Mark) -> io::Result<Mark> {
    if let Some(mark) = read(folder)? {
        return Ok(mark);
    }
    let place = folder.join(MARK);
    let coming = folder.join(INCOMING).join(format!("mark-{}", hex(&drawn[..8])));
    let mut file = fs::File::create_new(&coming)?;
    let placed = file.write_all(hex(&drawn).as_bytes()).and_then(|()| file.sync_all()).and_then(|()| {
        // Whole and for one server alone, however many begin with the folder at once.
        match fs::hard_link(&coming, &place) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
            // A file system that has no second names; there one of two that begin in the same moment may find the other's.
            Err(_) => fs::rename(&coming, &place),
            Ok(()) => Ok(()),
        }
    });
    // It has another name by now, or is not needed.
    let _ = fs::remove_file(&coming);
    placed?;
    sync_dir(folder)?;
    read(folder)?.ok_or_else(|| io::Error::other(format!("{} is no mark of a folder", place.display())))
}

/// `None` where there is none, or something that is none.
fn read(folder: &Path) -> io::Result<Option<Mark>> {
    match fs::read_to_string(folder.join(MARK)) {
        Ok(text) => Ok(unhex_all(text.trim())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, thread};

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join(INCOMING)).expect("made");
        dir
    }

    #[test]
    fn servers_that_begin_with_one_folder_at_once_find_one_mark() {
        let dir = folder();
        let begin = |n: u8| {
            let path = dir.path().to_owned();
            thread::spawn(move || mark_of(&path, [n; 32]).expect("marked"))
        };
        let all: Vec<_> = (1..=20).map(begin).collect();
        let found: BTreeSet<Mark> = all.into_iter().map(|one| one.join().expect("ended")).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        let mark = mark_of(dir.path(), [99; 32]).expect("read");
        assert!(found.contains(&mark), "and it stays");
        assert!(SharedFolder::new(dir.path().to_owned(), mark).is_the_one().expect("read"));
        assert_eq!(fs::read_dir(dir.path().join(INCOMING)).expect("a folder").count(), 0);
    }

    #[test]
    fn a_folder_without_its_mark_or_with_another_is_not_the_one() {
        let (dir, other) = (folder(), folder());
        let mark = mark_of(dir.path(), [1; 32]).expect("marked");
        assert_eq!(mark, [1; 32]);
        let here = SharedFolder::new(dir.path().to_owned(), mark);
        let there = SharedFolder::new(other.path().to_owned(), mark);
        assert!(here.is_the_one().expect("read"));
        assert!(!there.is_the_one().expect("read"), "it has none");
        mark_of(other.path(), [2; 32]).expect("marked");
        assert!(!there.is_the_one().expect("read"));
        // As an operator writes it who says that it is.
        fs::write(other.path().join(MARK), format!("{}\n", here.expected())).expect("written");
        assert!(there.is_the_one().expect("read"));
        fs::write(other.path().join(MARK), "none of ours").expect("written");
        assert!(!there.is_the_one().expect("read"));
        mark_of(other.path(), [2; 32]).expect_err("what somebody wrote is not written over");
    }
}
