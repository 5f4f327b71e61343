//! The high-water mark of the event log: a small file outside the database that tells how far the log had come. A
//! start that finds the log behind it knows that the database was put back to an older state, and draws a new epoch.

use domain::Epoch;
use std::{
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

/// `None` when there is no mark, or none that can be read: a mark that was lost only means that this check is not
/// made.
pub(crate) fn read(path: &Path) -> Option<Mark> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut words = text.split_whitespace();
    let (epoch, total) = (words.next()?, words.next()?);
    Some(Mark { epoch: Epoch(epoch.to_owned()), total: total.parse().ok()? })
}

/// Replaces the mark as a whole: a crash leaves the old one or the new one.
pub(crate) fn write(path: &Path, mark: &Mark) -> io::Result<()> {
    let mut beside = PathBuf::from(path).into_os_string();
    beside.push(".new");
    let mut file = std::fs::File::create(&beside)?;
    writeln!(file, "{} {}", mark.epoch, mark.total)?;
    file.sync_data()?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_a_damaged_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.mark");
        assert_eq!(read(&path), None);
        let mark = Mark { epoch: Epoch("e1".into()), total: 77 };
        write(&path, &mark).unwrap();
        assert_eq!(read(&path), Some(mark));
        std::fs::write(&path, "e1").unwrap();
        assert_eq!(read(&path), None);
    }
}
