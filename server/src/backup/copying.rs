//! Copying files: durably, a second time only what came or changed since the first, and never what is half-written.

use crate::adapters::{INCOMING, sync_dir};
use services::hex::hex;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File, Metadata},
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Copies what lies below the folder of the files, but for what is half-written. With `since`, only what is not there yet,
/// or was changed since then.
pub(super) fn copy_folder(from: &Path, to: &Path, since: Option<SystemTime>) -> io::Result<()> {
    copy_below(from, to, since, Some(INCOMING))
}

fn copy_below(from: &Path, to: &Path, since: Option<SystemTime>, but: Option<&str>) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(e) if e.kind() == ErrorKind::NotFound && to.is_dir() => return Ok(()),
        Err(e) if e.kind() == ErrorKind::NotFound => return fs::create_dir_all(to),
        entries => entries?,
    };
    fs::create_dir_all(to)?;
    for entry in entries {
        let name = entry?.file_name();
        if but.is_some_and(|but| name.to_str() == Some(but)) {
            continue;
        }
        let (source, target) = (from.join(&name), to.join(&name));
        // What goes meanwhile is not there.
        let about = match fs::metadata(&source) {
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            about => about?,
        };
        if about.is_dir() {
            copy_below(&source, &target, since, None)?;
        } else if is_wanted(&about, &target, since)? {
            copy_file(&source, &target)?;
        }
    }
    sync_dir(to)
}

/// Files come into being whole. One that comes in parts may have grown, though, if a server of a version before took them.
fn is_wanted(source: &Metadata, target: &Path, since: Option<SystemTime>) -> io::Result<bool> {
    let Some(since) = since else { return Ok(true) };
    match fs::metadata(target) {
        Ok(copied) => Ok(copied.len() != source.len() || source.modified()? >= since),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(true),
        Err(e) => Err(e),
    }
}

pub(super) fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    match fs::copy(from, to) {
        Err(e) if e.kind() == ErrorKind::NotFound && !from.exists() => Ok(()),
        Err(e) => Err(e),
        Ok(_) => File::open(to)?.sync_all(),
    }
}

/// The files below the folder, and their bytes.
pub(super) fn counted(folder: &Path) -> io::Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        if about.is_dir() {
            let below = counted(&entry.path())?;
            (files, bytes) = (files + below.0, bytes + below.1);
        } else {
            (files, bytes) = (files + 1, bytes + about.len());
        }
    }
    Ok((files, bytes))
}

pub(super) fn sha256_of(path: &Path) -> io::Result<String> {
    let (mut file, mut hash) = (File::open(path)?, Sha256::new());
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..n]);
    }
}

pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// A little before, since the clock that files go by ticks less often than the other one.
pub(super) fn moment(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros.unsigned_abs()) - Duration::from_secs(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_second_look_takes_what_came_or_changed_and_nothing_half_written() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("files"), dir.path().join("copy"));
        for (name, text) in
            [("users/a/documents/1", "one"), ("users/a/documents/2", "two"), ("incoming/3", "3")]
        {
            write(&from.join(name), text);
        }
        copy_folder(&from, &to, None).unwrap();
        assert_eq!(counted(&to).unwrap(), (2, 6));
        // In the copy stands something else, so that what is copied again can be told.
        fs::write(to.join("users/a/documents/1"), "ONE").unwrap();
        fs::write(from.join("users/a/documents/2"), "two and more").unwrap();
        write(&from.join("users/a/texts/1/1"), "text");
        let later = fs::metadata(from.join("users/a/documents/1")).unwrap().modified().unwrap();
        copy_folder(&from, &to, Some(later + Duration::from_secs(3_600))).unwrap();
        let read = |name: &str| fs::read_to_string(to.join(name)).unwrap();
        assert_eq!(read("users/a/documents/1"), "ONE", "of the same length and not changed since");
        assert_eq!(read("users/a/documents/2"), "two and more");
        assert_eq!(read("users/a/texts/1/1"), "text");
        copy_folder(&from, &to, Some(later)).unwrap();
        assert_eq!(read("users/a/documents/1"), "one");
        assert!(!to.join(INCOMING).exists());
        // What was deleted meanwhile stays in the copy.
        fs::remove_file(from.join("users/a/documents/1")).unwrap();
        copy_folder(&from, &to, Some(later)).unwrap();
        assert_eq!(read("users/a/documents/1"), "one");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        copy_folder(&dir.path().join("files"), &dir.path().join("copy"), None).unwrap();
        assert_eq!(counted(&dir.path().join("copy")).unwrap(), (0, 0));
    }
}
