//! The step of a restore in which the state that is there makes room for the one that was prepared.

use super::{
    DATABASE, FILES, UNDER_WAY,
    copying::{beside, copy_file},
};
use crate::adapters::{SystemClock, sync_dir};
use services::ports::Clock;
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

/// Moves what is there aside, and what was prepared into its place. Answers where the former lies now. Where something
/// cannot be moved aside, such as a mount point, nothing is, and the installation is as it was.
pub(super) fn put_in_place(data_dir: &Path, staged: &Path, database: &Path) -> io::Result<Vec<PathBuf>> {
    let mark = data_dir.join(UNDER_WAY);
    let goes_on = mark.exists();
    let at: String = SystemClock.now().to_string().chars().filter(char::is_ascii_digit).collect();
    let first = match stamp(&mark) {
        Some(first) => first,
        None => {
            let mut file = File::create(&mark)?;
            file.write_all(at.as_bytes())?;
            file.sync_all()?;
            at.clone()
        }
    };
    sync_dir(data_dir)?;
    let files = data_dir.join(FILES);
    let old_files = name_aside(&files, [&first, &at]);
    let old_database = name_aside(database, [&first, &at]);
    let mut moved: Vec<(PathBuf, PathBuf)> = vec![];
    for (there, then) in [
        (files.clone(), old_files),
        // What is written and not in the file yet lies beside it, under its name. The file itself goes last.
        (beside(database, "-wal"), beside(&old_database, "-wal")),
        (beside(database, "-shm"), beside(&old_database, "-shm")),
        (database.to_owned(), old_database),
    ] {
        match fs::rename(&there, &then) {
            Ok(()) => moved.push((there, then)),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => {
                move_back(&moved)?;
                // What an earlier run left half done still is.
                if !goes_on {
                    fs::remove_file(&mark)?;
                    sync_dir(data_dir)?;
                }
                let why = format!("{} cannot be moved aside: {e}", there.display());
                return Err(io::Error::new(e.kind(), why));
            }
        }
    }
    fs::rename(staged.join(FILES), &files)?;
    if let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    for end in ["-wal", ""] {
        move_file(&beside(&staged.join(DATABASE), end), &beside(database, end))?;
    }
    sync_dir(database.parent().unwrap_or(database))?;
    sync_dir(data_dir)?;
    fs::remove_dir_all(staged)?;
    fs::remove_file(&mark)?;
    sync_dir(data_dir)?;
    Ok(moved.into_iter().map(|(_, then)| then).collect())
}

/// By which the run that was cut off named what it moved aside: what belongs together has to keep one name.
fn stamp(mark: &Path) -> Option<String> {
    let stamp = fs::read_to_string(mark).ok()?;
    (!stamp.is_empty() && stamp.bytes().all(|byte| byte.is_ascii_digit())).then_some(stamp)
}

/// The name that something gets when it is moved aside: the first one, unless what was there before has it already.
fn name_aside(path: &Path, [first, other]: [&str; 2]) -> PathBuf {
    let named = |stamp: &str| beside(path, &format!(".before-{stamp}"));
    match named(first) {
        taken if taken.exists() => named(other),
        free => free,
    }
}

fn move_back(moved: &[(PathBuf, PathBuf)]) -> io::Result<()> {
    for (there, then) in moved.iter().rev() {
        fs::rename(then, there)?;
        sync_dir(there.parent().unwrap_or(there))?;
    }
    Ok(())
}

/// Also to another disk, where the database does not lie in the data folder. One that is not there is left alone.
fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == ErrorKind::CrossesDevices => {
            let new = beside(to, ".new");
            copy_file(from, &new)?;
            fs::rename(new, to)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    /// What is to be put back into that folder.
    fn prepared(data_dir: &Path) -> PathBuf {
        let staged = data_dir.join("restoring");
        write(&staged.join(DATABASE), "new");
        write(&staged.join("files/a"), "new");
        staged
    }

    #[test]
    fn where_one_thing_cannot_be_moved_aside_all_is_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (dir, mark) = (dir.path(), dir.path().join(UNDER_WAY));
        // There is no room in its name for the end that it would get, and so it stays where it is, as a mount point would.
        let database = dir.join("d".repeat(240));
        write(&database, "old");
        write(&dir.join("files/a"), "old");
        let staged = prepared(dir);
        for goes_on in [false, true] {
            if goes_on {
                write(&mark, "");
            }
            let refused = put_in_place(dir, &staged, &database);
            assert!(refused.is_err(), "{refused:?}");
            assert_eq!([read(&database), read(&dir.join("files/a"))], ["old", "old"]);
            assert_eq!(mark.exists(), goes_on);
            let all = fs::read_dir(dir).unwrap().count();
            assert_eq!(all, 3 + usize::from(goes_on), "the database, the files, and what was prepared");
        }
    }

    #[test]
    fn a_run_after_one_that_was_cut_off_keeps_together_what_belongs_together() {
        let dir = tempfile::tempdir().unwrap();
        let (dir, mark) = (dir.path(), dir.path().join(UNDER_WAY));
        let database = dir.join("hub.db");
        // Cut off before the file itself was moved, whose newest rows lie in the other one.
        write(&mark, "1");
        write(&dir.join("files.before-1/a"), "old");
        write(&dir.join("hub.db.before-1-wal"), "newest of old");
        write(&database, "old");
        put_in_place(dir, &prepared(dir), &database).unwrap();
        assert_eq!(read(&dir.join("hub.db.before-1")), "old");
        assert_eq!(read(&dir.join("hub.db.before-1-wal")), "newest of old");
        assert_eq!([read(&database), read(&dir.join("files/a"))], ["new", "new"]);
        assert!(!mark.exists());
    }

    #[test]
    fn a_run_after_one_that_was_cut_off_later_touches_nothing_of_what_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (dir, mark) = (dir.path(), dir.path().join(UNDER_WAY));
        let database = dir.join("hub.db");
        // All that was there is aside, and of the new state some is in its place.
        write(&mark, "1");
        write(&dir.join("files.before-1/a"), "old");
        write(&dir.join("hub.db.before-1"), "old");
        write(&dir.join("files/a"), "new");
        write(&dir.join("hub.db-wal"), "newest of new");
        put_in_place(dir, &prepared(dir), &database).unwrap();
        assert_eq!([read(&dir.join("hub.db.before-1")), read(&dir.join("files.before-1/a"))], ["old", "old"]);
        assert!(!dir.join("hub.db.before-1-wal").exists(), "it is of another file");
        assert_eq!([read(&database), read(&dir.join("files/a"))], ["new", "new"]);
        assert!(!beside(&database, "-wal").exists() && !mark.exists());
    }
}
