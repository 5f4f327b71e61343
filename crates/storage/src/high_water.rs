//! The high-water marks of the event log: a small file outside the database that tells how far the log had come, in this
//! life of it and in all that came before. A start that finds an older state of one of them knows that the database was put
//! back, and draws a new epoch.

use domain::Epoch;
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// How far the log of one epoch had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) epoch: Epoch,
    /// Events that were ever appended, of all users.
    pub(crate) total: u64,
}

/// What the file says: a mark for each epoch that was seen here, the latest last. The same copy may be put back any number
/// of times, so no earlier one is ever forgotten.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    path: PathBuf,
    seen: Vec<Mark>,
}

impl Marks {
    /// A file that is not there, or a line that cannot be read, only means that what it would have said is not checked.
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        Self { path: path.to_owned(), seen: text.lines().filter_map(mark).collect() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a log of this epoch that has come so far is an older state of one that was seen: others came after it, or it is
    /// behind its own mark. Of an epoch that was never seen nothing is known.
    pub(crate) fn show_older(&self, epoch: &Epoch, total: u64) -> bool {
        let after = self.seen.iter().skip_while(|mark| mark.epoch != *epoch);
        let mut after = after.peekable();
        after.peek().is_some_and(|own| total < own.total) || after.count() > 1
    }

    /// Notes how far the log of that epoch has come, and replaces the file as a whole: a crash leaves the old one or the new
    /// one. Servers that share the folder note theirs in the same file; none takes back what another one has seen.
    pub(crate) fn write(&mut self, epoch: &Epoch, total: u64) -> io::Result<()> {
        // Beside that of another server that writes just now. Containers that share the folder may all be process 1, so the
        // name is drawn.
        let drawn = RandomState::new().build_hasher().finish();
        for other in Self::read(&self.path).seen {
            self.note(other);
        }
        self.note(Mark { epoch: epoch.clone(), total });
        let mut beside = self.path.clone().into_os_string();
        beside.push(format!(".{drawn:016x}.new"));
        let mut file = std::fs::File::create(&beside)?;
        for mark in &self.seen {
            writeln!(file, "{} {}", mark.epoch, mark.total)?;
        }
        file.sync_data()?;
        std::fs::rename(&beside, &self.path)
    }

    /// An epoch keeps its place among the others: one that ended is not the latest again because somebody still noted it.
    fn note(&mut self, new: Mark) {
        match self.seen.iter_mut().find(|mark| mark.epoch == new.epoch) {
            Some(mark) => mark.total = mark.total.max(new.total),
            None => self.seen.push(new),
        }
    }
}

fn mark(line: &str) -> Option<Mark> {
    let (epoch, total) = line.trim_end().split_once(' ')?;
    Some(Mark { epoch: Epoch(epoch.to_owned()), total: total.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(name: &str) -> Epoch {
        Epoch(name.into())
    }

    #[test]
    fn marks_read_back_with_each_epoch_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.mark");
        let mut marks = Marks::read(&path);
        assert_eq!(marks.seen, []);
        for (name, total) in [("e1", 77), ("e2", 40), ("e2", 41), ("e1", 78), ("e1", 76)] {
            marks.write(&epoch(name), total).unwrap();
        }
        let read = Marks::read(&path);
        assert_eq!(read.seen, marks.seen);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "e1 78\ne2 41\n");
    }

    #[test]
    fn servers_that_share_the_file_take_nothing_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.mark");
        let (mut here, mut there) = (Marks::read(&path), Marks::read(&path));
        here.write(&epoch("e1"), 50).unwrap();
        there.write(&epoch("e1"), 40).unwrap();
        here.write(&epoch("e2"), 7).unwrap();
        // It has not heard yet that its epoch is over.
        there.write(&epoch("e1"), 41).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "e1 50\ne2 7\n");
        assert!(!Marks::read(&path).show_older(&epoch("e2"), 7));
    }

    #[test]
    fn what_another_server_noted_is_not_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.mark");
        let (mut here, mut there) = (Marks::read(&path), Marks::read(&path));
        there.write(&epoch("e1"), 9).unwrap();
        there.write(&epoch("e2"), 30).unwrap();
        here.write(&epoch("e2"), 20).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "e1 9\ne2 30\n");
        here.write(&epoch("e2"), 31).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "e1 9\ne2 31\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_line_that_is_damaged_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.mark");
        std::fs::write(&path, "e1\n\ne2 many\ne3 5\ne4 ").unwrap();
        assert_eq!(Marks::read(&path).seen, [Mark { epoch: epoch("e3"), total: 5 }]);
    }

    #[test]
    fn a_log_is_older_when_it_is_behind_its_mark_or_others_came_after_it() {
        let seen = [("e1", 10), ("e2", 20)].map(|(name, total)| Mark { epoch: epoch(name), total });
        let marks = Marks { path: PathBuf::new(), seen: seen.to_vec() };
        for (name, total, older) in [
            ("e2", 20, false),
            ("e2", 21, false),
            ("e2", 19, true),
            ("e1", 10, true),
            ("e1", 99, true),
            ("e3", 0, false),
        ] {
            assert_eq!(marks.show_older(&epoch(name), total), older, "{name} {total}");
        }
    }
}
