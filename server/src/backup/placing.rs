//! The step of a restore in which the state that is there makes room for the one that was prepared.

use super::{
    DATABASE, FILES, UNDER_WAY,
    copying::{beside, copy_file, sync_dir},
};
use crate::adapters::SystemClock;
use services::ports::Clock;
use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// Moves what is there aside, and what was prepared into its place. Answers where the former lies now. Where something
/// cannot be moved aside, such as a mount point, nothing is, and the installation is as it was.
pub(super) fn put_in_place(data_dir: &Path, staged: &Path, database: &Path) -> io::Result<Vec<PathBuf>> {
    let mark = data_dir.join(UNDER_WAY);
    let goes_on = mark.exists();
    File::create(&mark)?.sync_all()?;
    sync_dir(data_dir)?;
    let at: String = SystemClock.now().to_string().chars().filter(char::is_ascii_digit).collect();
    let before = format!(".before-{at}");
    let files = data_dir.join(FILES);
    let old_database = beside(database, &before);
    let mut moved: Vec<(PathBuf, PathBuf)> = vec![];
    for (there, then) in [
        (files.clone(), beside(&files, &before)),
        // What is written and not in the file yet lies beside it, under its name.
        (beside(database, "-wal"), beside(&old_database, "-wal")),
        (beside(database, "-shm"), beside(&old_database, "-shm")),
        (database.to_owned(), old_database.clone()),
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
}
