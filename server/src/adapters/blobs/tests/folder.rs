//! The folder, and what is a matter of disks.

use super::{House, ids};
use crate::adapters::blobs::{FileBlobs, INCOMING};
use services::ports::{BlobError, Blobs};
use std::{fs, io, os::unix::fs::PermissionsExt, sync::Arc};

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
