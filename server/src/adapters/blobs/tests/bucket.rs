//! The bucket, and what is a matter of stores that are far away: they fail, are full, refuse, and other servers use them.

use super::{
    House, body, clock, eventually, ids,
    s3::{BUCKET, Fault, KEY_ID, REGION, S3, SECRET},
    told,
};
use crate::adapters::blobs::{BucketServer, INCOMING, Keys, ObjectBlobs};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use services::{
    hex::hex,
    ports::{BlobError, Blobs},
};
use sha2::{Digest, Sha256};
use std::{fs, path::Path, sync::Arc, time::Duration};
use tempfile::TempDir;

/// What two parts hold, and a little of a third one.
const LONG: usize = 17 << 20;
const HOUR: Duration = Duration::from_secs(3_600);

fn at(s3: &S3, installation: u8, scratch: &Path) -> ObjectBlobs {
    at_address(&s3.url, installation, scratch)
}

fn at_address(url: &str, installation: u8, scratch: &Path) -> ObjectBlobs {
    crate::install_cryptography();
    let server = BucketServer {
        bucket: BUCKET.to_owned(),
        prefix: "hub".to_owned(),
        endpoint: Some(url.parse().expect("an address")),
        region: REGION.to_owned(),
        keys: Some(Keys { id: KEY_ID.to_owned(), secret: SECRET.to_owned(), token: None }),
    };
    let opened = ObjectBlobs::open(&server, scratch.join("scratch"), &[installation; 32], clock(), ids());
    opened.expect("opened")
}

pub(super) async fn house() -> House {
    let s3 = Arc::new(S3::start().await);
    let dir = tempfile::tempdir().expect("a folder");
    let blobs = Arc::new(at(&s3, 1, dir.path()));
    let (seen, counted, left) = (s3.clone(), s3.clone(), s3.clone());
    House {
        blobs,
        is_under_way: Box::new(move || seen.unfinished().1 > 0),
        half_written: Box::new(move || counted.unfinished().0 + counted.keys(&format!("/{INCOMING}/")).len()),
        leave_half: Box::new(move || {
            let id = left.begin("hub/users/a/documents/half");
            left.put(&format!("hub/{INCOMING}/{id}"), format!("hub/users/a/documents/half\n{id}"));
        }),
        _held: Box::new((s3, dir)),
    }
}

async fn store() -> (S3, TempDir, ObjectBlobs) {
    let s3 = S3::start().await;
    let dir = tempfile::tempdir().expect("a folder");
    let blobs = at(&s3, 1, dir.path());
    (s3, dir, blobs)
}

fn long() -> Bytes {
    (0..LONG).map(|n| (n % 251) as u8).collect::<Vec<u8>>().into()
}

/// In chunks as they come off a line.
fn in_chunks(bytes: &Bytes) -> Vec<Result<Bytes, BlobError>> {
    (0..bytes.len()).step_by(1 << 20).map(|at| Ok(bytes.slice(at..bytes.len().min(at + (1 << 20))))).collect()
}

#[tokio::test]
async fn a_long_file_goes_in_parts_and_comes_back_as_it_was() {
    let (s3, dir, blobs) = store().await;
    let long = long();
    let key = "users/a/documents/1";
    let got = blobs.receive(key, body(in_chunks(&long)), u64::MAX).await.expect("received");
    assert_eq!((got.size, &*got.sha256), (LONG as u64, &*hex(&Sha256::digest(&long))));
    let asked = s3.asked();
    let parts = asked.iter().filter(|asked| asked.contains("partNumber=")).count();
    assert_eq!(parts, 3, "{asked:?}");
    assert_eq!(s3.keys(""), ["hub/users/a/documents/1"], "no mark is left");
    assert_eq!(s3.unfinished(), (0, 0));
    assert_eq!(blobs.get(key).await.expect("there"), long);
    let read = blobs.read(key, 5..LONG as u64 - 5).await.expect("there");
    let read: Vec<Bytes> = read.try_collect().await.expect("read");
    assert_eq!(read.concat(), &long[5..LONG - 5]);
    // A copy has no name, and takes room until it is dropped.
    let copy = blobs.open(key).await.expect("there");
    assert_eq!(copy.file.metadata().expect("told").len(), LONG as u64);
    assert!(copy.room.is_taken());
    assert_eq!(fs::read_dir(dir.path().join("scratch")).expect("a folder").count(), 0);
    assert_eq!(s3.unsigned(), [""; 0]);
}

#[tokio::test]
async fn any_server_takes_the_next_part_and_any_other_puts_them_together() {
    let (s3, dir, here) = store().await;
    let (there, elsewhere) = (at(&s3, 1, dir.path()), at(&s3, 1, dir.path()));
    let (key, long) = ("users/a/documents/1", long());
    let first = long.slice(..10 << 20);
    let came =
        here.append(key, 1, 0, &mut body(in_chunks(&first)), u64::MAX, LONG as u64).await.expect("a part");
    assert_eq!(came.end, 10 << 20);
    let rest = long.slice(10 << 20..);
    let came = there.append(key, 2, came.end, &mut body(in_chunks(&rest)), u64::MAX, LONG as u64).await;
    assert_eq!(came.expect("a part").end, LONG as u64);
    let whole = "users/a/documents/2";
    let found = elsewhere.put_together(key, LONG as u64, whole).await.expect("put together");
    assert_eq!((found.size, &*found.sha256), (LONG as u64, &*hex(&Sha256::digest(&long))));
    assert_eq!(here.get(whole).await.expect("there"), long);
    assert_eq!(s3.unfinished(), (0, 0));
    here.delete(key).await.expect("gone");
    assert_eq!(s3.keys(""), ["hub/users/a/documents/2"], "no piece is left");
}

/// Servers of versions before named no turns, and put a file together under its own key.
#[tokio::test]
async fn an_upload_that_an_earlier_version_began_is_gone_on_with() {
    let (s3, _dir, blobs) = store().await;
    let (key, whole) = ("users/a/documents/1", "users/a/documents/2");
    let pieces = "hub/users/a/documents/.parts/1/";
    s3.put(&format!("{pieces}0000000000000009-0000000000000000"), "A lantern");
    s3.put(&format!("{pieces}0000000000000010-0000000000000009"), " in the");
    let came = blobs.append(key, 1, 9, &mut body(vec![Ok(" on the bridge.".into())]), 99, 15).await;
    assert_eq!(came.expect("a part").end, 24);
    assert_eq!(blobs.put_together(key, 24, whole).await.expect("put together").size, 24);
    assert_eq!(s3.object("hub/users/a/documents/2").expect("there"), "A lantern on the bridge.");
    blobs.delete(key).await.expect("gone");
    assert_eq!(s3.keys(""), ["hub/users/a/documents/2"]);
    s3.put("hub/users/a/documents/1", "A bridge.");
    assert_eq!(blobs.put_together(key, 9, whole).await.expect("put together").size, 9);
    assert_eq!(s3.object("hub/users/a/documents/2").expect("there"), "A bridge.");
}

#[tokio::test]
async fn a_store_that_stumbles_is_asked_again_and_one_that_falls_is_told_of() {
    let (s3, dir, blobs) = store().await;
    s3.fail("PUT /files/hub/probes", Fault::Refused(503, "SlowDown"), 2);
    blobs.put("probes/x", "A lantern.".into()).await.expect("put");
    s3.fail("GET /files/hub/probes", Fault::BreaksOff(4), 2);
    assert_eq!(blobs.get("probes/x").await.expect("there"), "A lantern.");
    s3.fail("", Fault::Refused(500, "InternalError"), usize::MAX);
    assert!(matches!(blobs.get("probes/x").await, Err(BlobError::Away(_))));
    assert!(matches!(blobs.put("probes/y", Bytes::new()).await, Err(BlobError::Away(_))));
    s3.heal();
    assert_eq!(blobs.get("probes/x").await.expect("there"), "A lantern.");
    // An address where nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let nowhere = at_address(&format!("http://{port}"), 1, dir.path());
    assert!(matches!(nowhere.look("probes/x").await, Err(BlobError::Away(_))));
}

#[tokio::test]
async fn a_full_store_one_that_refuses_and_one_that_is_gone_are_told_apart() {
    let (s3, _dir, blobs) = store().await;
    let key = "users/a/documents/1";
    blobs.put(key, "A lantern.".into()).await.expect("put");
    for full in [Fault::Refused(507, "XMinioStorageFull"), Fault::Refused(403, "QuotaExceeded")] {
        s3.fail("PUT", full, usize::MAX);
        s3.asked();
        assert!(matches!(blobs.put("probes/x", "x".into()).await, Err(BlobError::Full(_))), "{full:?}");
        assert_eq!(s3.asked().len(), 1, "it is of no use to ask again");
        let received = blobs.receive("users/a/documents/2", body(in_chunks(&long())), u64::MAX).await;
        assert!(matches!(received, Err(BlobError::Full(_))), "{full:?}");
        assert_eq!(s3.unfinished(), (0, 0));
        s3.heal();
    }
    s3.fail("", Fault::Refused(403, "AccessDenied"), usize::MAX);
    assert!(matches!(blobs.get(key).await, Err(BlobError::Refused(_))));
    assert!(matches!(blobs.put(key, Bytes::new()).await, Err(BlobError::Refused(_))));
    s3.heal();
    // A bucket that is gone is no file that is gone: nobody may take its files for lost.
    s3.take_bucket_away(true);
    assert!(matches!(blobs.get(key).await, Err(BlobError::Refused(_))));
    assert!(matches!(blobs.look(key).await, Err(BlobError::Refused(_))));
    let whole = blobs.put_together(key, 3, "users/a/documents/2").await;
    assert!(matches!(whole, Err(BlobError::Refused(_))));
    assert!(matches!(blobs.open(key).await, Err(BlobError::Refused(_))));
    let part = blobs.append(key, 1, 3, &mut body(vec![Ok("x".into())]), 99, 99).await;
    assert!(matches!(part, Err(BlobError::Refused(_))));
    assert!(matches!(blobs.delete(key).await, Err(BlobError::Refused(_))));
    s3.take_bucket_away(false);
    assert_eq!(blobs.get(key).await.expect("there"), "A lantern.");
}

#[tokio::test]
async fn a_transfer_that_cannot_end_leaves_nothing() {
    let (s3, _dir, blobs) = store().await;
    let key = "users/a/documents/1";
    for fails in
        ["POST /files/hub/users/a/documents/1?uploadId=", "PUT /files/hub/users/a/documents/1?partNumber=2"]
    {
        s3.fail(fails, Fault::Refused(400, "InvalidPart"), usize::MAX);
        let received = blobs.receive(key, body(in_chunks(&long())), u64::MAX).await;
        assert!(matches!(received, Err(BlobError::Away(_))), "{fails}");
        assert_eq!((s3.unfinished(), s3.keys("")), ((0, 0), vec![]), "{fails}");
        s3.heal();
    }
}

#[tokio::test]
async fn what_a_killed_server_left_is_given_up_and_what_a_living_one_writes_is_not() {
    let (s3, dir, blobs) = store().await;
    let blobs = Arc::new(blobs);
    let endless = stream::iter(in_chunks(&long())).chain(stream::pending()).boxed();
    let writer = blobs.clone();
    let writing = tokio::spawn(async move { writer.receive("users/a/documents/1", endless, u64::MAX).await });
    eventually("two parts are there", || s3.unfinished().1 == 2).await;
    // The one who writes sweeps, too; another server does not know, and goes by the age.
    blobs.clear_unfinished(Duration::ZERO).await.expect("cleared");
    let other = at(&s3, 1, dir.path());
    other.clear_unfinished(HOUR).await.expect("cleared");
    assert_eq!(s3.unfinished(), (1, 2));
    s3.age(3_700);
    other.clear_unfinished(HOUR).await.expect("cleared");
    assert_eq!((s3.unfinished(), s3.keys(&format!("/{INCOMING}/"))), ((0, 0), vec![]));
    writing.abort();
}

#[tokio::test]
async fn the_files_of_another_installation_are_left_alone() {
    let (s3, dir, blobs) = store().await;
    blobs.put("users/a/documents/1", "A lantern.".into()).await.expect("put");
    s3.put("other/users/a/documents/2", "somebody else's");
    s3.age(100_000);
    assert_eq!(told(&blobs, HOUR).await, ["users/a/documents/1"]);
    let other = at(&s3, 2, dir.path());
    let refused = other.older_than(Duration::ZERO).try_collect::<Vec<_>>().await;
    assert!(matches!(refused, Err(BlobError::Refused(_))), "{refused:?}");
    let refused = other.clear_unfinished(Duration::ZERO).await;
    let Err(BlobError::Refused(why)) = refused else { panic!("{refused:?}") };
    assert!(why.to_string().contains("another installation"), "{why}");
    // The same installation after a restart.
    assert_eq!(told(&at(&s3, 1, dir.path()), HOUR).await, ["users/a/documents/1"]);
}
