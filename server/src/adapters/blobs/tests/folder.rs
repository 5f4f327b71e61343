//! The folder, and what is a matter of disks.

use super::{House, body, ids};
use crate::adapters::blobs::{FileBlobs, INCOMING};
use services::ports::{BlobError, Blobs};
use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

pub(super) fn house() -> House {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("files");
    let blobs = Arc::new(FileBlobs::open(root.clone(), ids()).expect("opened"));
    let incoming = root.join(INCOMING);
    let half = incoming.join("half");
    let count = move || fs::read_dir(&incoming).expect("a folder").count();
    let counted = count.clone();
    House {
        blobs,
        is_under_way: Box::new(move || counted() > 0),
        half_written: Box::new(count),
        leave_half: Box::new(move || fs::write(&half, "x").expect("written")),
        _held: Box::new(dir),
    }
}

#[tokio::test]
async fn the_folder_is_for_its_owner_alone_and_keeps_files_under_their_keys() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("elsewhere/files");
    let blobs = FileBlobs::open(root.clone(), ids()).expect("opened");
    let mode = fs::metadata(&root).expect("there").permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    blobs.put("users/a/documents/1", "x".into()).await.expect("put");
    assert_eq!(fs::read(root.join("users/a/documents/1")).expect("there"), b"x");
    blobs.delete_folder("users/a").await.expect("gone");
    assert!(!root.join("users/a").exists());
}

/// Servers of versions before let a file grow under its own key.
#[tokio::test]
async fn an_upload_that_an_earlier_version_began_is_gone_on_with() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("files");
    let blobs = FileBlobs::open(root.clone(), ids()).expect("opened");
    let (key, whole) = ("users/a/documents/1", "users/a/documents/2");
    blobs.put(key, "A lantern, of which more came than was acknowledged".into()).await.expect("put");
    let came = blobs.append(key, 1, 9, &mut body(vec![Ok(" on the bridge.".into())]), 99, 15).await;
    assert_eq!(came.expect("a part").end, 24);
    assert_eq!(blobs.put_together(key, 24, whole).await.expect("put together").size, 24);
    assert_eq!(blobs.get(whole).await.expect("there"), "A lantern on the bridge.");
    // All of it came to the earlier one.
    assert_eq!(blobs.put_together(key, 9, whole).await.expect("put together").size, 9);
    assert_eq!(blobs.get(whole).await.expect("there"), "A lantern");
    blobs.delete(key).await.expect("gone");
    assert!(!root.join(key).exists() && !root.join("users/a/documents/.parts/1").exists());
}

#[tokio::test]
async fn what_overtaken_turns_left_goes_with_the_next_part() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("files");
    let blobs = FileBlobs::open(root.clone(), ids()).expect("opened");
    let add = async |turn, at, text: &'static str| {
        let mut body = body(vec![Ok(text.into())]);
        blobs.append("users/a/documents/1", turn, at, &mut body, 99, 99).await.expect("a part");
    };
    let count = || fs::read_dir(root.join("users/a/documents/.parts/1")).expect("a folder").count();
    add(1, 0, "A lantern").await;
    add(2, 0, "A gull").await;
    assert_eq!(count(), 1, "what broke off once makes way");
    // One that is late takes nothing away, and goes when the other one goes on.
    add(1, 0, "A lantern").await;
    assert_eq!(count(), 2);
    add(2, 6, " sleeps.").await;
    assert_eq!(count(), 2);
    blobs.put_together("users/a/documents/1", 14, "users/a/documents/2").await.expect("put together");
    assert_eq!(blobs.get("users/a/documents/2").await.expect("there"), "A gull sleeps.");
}

/// A second name of a piece is a file of its own age: whoever looks for orphans goes by that.
#[tokio::test]
async fn a_file_of_one_part_is_not_copied_and_comes_into_being_when_it_is_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("files");
    let blobs = FileBlobs::open(root.clone(), ids()).expect("opened");
    let (key, whole) = ("users/a/documents/1", "users/a/documents/2");
    blobs.append(key, 1, 0, &mut body(vec![Ok("A lantern.".into())]), 99, 99).await.expect("a part");
    let pieces = fs::read_dir(root.join("users/a/documents/.parts/1")).expect("a folder");
    let pieces: Vec<PathBuf> = pieces.map(|entry| entry.expect("a piece").path()).collect();
    let piece = fs::File::open(&pieces[0]).expect("there");
    piece.set_modified(SystemTime::UNIX_EPOCH).expect("aged");
    blobs.put_together(key, 10, whole).await.expect("put together");
    let (one, other) = (piece.metadata().expect("told"), fs::metadata(root.join(whole)).expect("there"));
    assert_eq!((one.ino(), pieces.len()), (other.ino(), 1));
    assert!(other.modified().expect("told").elapsed().is_ok_and(|age| age < Duration::from_secs(3_600)));
}

#[test]
fn a_full_disk_is_told_from_a_broken_one() {
    use io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, StorageFull};
    for full in [StorageFull, QuotaExceeded, FileTooLarge] {
        assert!(matches!(BlobError::from(io::Error::from(full)), BlobError::Full(_)), "{full}");
    }
    assert!(matches!(BlobError::from(io::Error::from(PermissionDenied)), BlobError::Io(_)));
    // What the kernel says.
    assert!(matches!(
        BlobError::from(io::Error::from_raw_os_error(28)),
        BlobError::Full(e) if e.kind() == StorageFull
    ));
}
