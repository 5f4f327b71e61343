//! The suite. Each test is written once and run over both places.

use super::{House, body, eventually, told};
use crate::adapters::blobs::KEYS;
use bytes::Bytes;
use domain::files::HEAD;
use futures::{StreamExt, TryStreamExt, stream};
use services::{hex::hex, ports::BlobError};
use sha2::{Digest, Sha256};
use std::{
    io::Read,
    time::{Duration, SystemTime},
};

const HOUR: Duration = Duration::from_secs(3_600);

macro_rules! over_both {
    ($($test:ident),* $(,)?) => {
        mod in_a_folder {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(&super::super::folder::house()).await;
                }
            )*
        }
        mod in_a_bucket {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(&super::super::bucket::house().await).await;
                }
            )*
        }
    };
}

over_both!(
    a_received_file_is_whole_and_hashed,
    a_broken_or_oversized_transfer_leaves_nothing,
    a_file_goes_on_behind_what_was_acknowledged_and_nothing_else_of_it_stays,
    a_file_in_parts_may_have_no_bytes_and_begin_anew,
    a_file_that_is_still_coming_is_told_of_and_goes_as_a_whole,
    a_transfer_that_is_given_up_leaves_nothing,
    putting_replaces_and_deleting_twice_is_fine,
    a_file_can_be_looked_at_read_in_part_and_opened,
    what_is_not_there_is_said_to_be_so,
    a_folder_goes_with_all_that_is_in_it_and_nothing_else,
    a_key_cannot_leave_the_place,
    old_files_are_told_by_their_keys_however_many_they_are,
    what_was_half_written_is_cleared_by_its_age,
);

async fn a_received_file_is_whole_and_hashed(house: &House) {
    let blobs = &house.blobs;
    let big = Bytes::from(vec![7u8; 300_000]);
    let got = blobs.receive("documents/a", body(vec![Ok("ab".into()), Ok(big.clone())]), 1_000_000).await;
    let got = got.expect("received");
    assert_eq!((got.size, got.head.len()), (300_002, HEAD));
    assert!(got.head.starts_with(b"ab\x07"));
    let stored = blobs.get("documents/a").await.expect("stored");
    assert_eq!(got.sha256, hex(&Sha256::digest(&stored)));
    assert_eq!(stored.len(), 300_002);
    assert_eq!(blobs.examine("documents/a").await.expect("there"), got);
    assert_eq!((house.half_written)(), 0);
    let none = blobs.receive("documents/none", body(vec![]), 10).await.expect("received");
    assert_eq!((none.size, blobs.get("documents/none").await.expect("stored").len()), (0, 0));
}

async fn a_broken_or_oversized_transfer_leaves_nothing(house: &House) {
    let blobs = &house.blobs;
    for before in [vec![], vec![7u8; 20 << 20]] {
        let before = || Ok(Bytes::from(before.clone()));
        let limit = before().map_or(0, |bytes: Bytes| bytes.len() as u64) + 10;
        let broken = body(vec![before(), Ok("ab".into()), Err(BlobError::BrokenOff("gone".into()))]);
        assert!(matches!(blobs.receive("documents/a", broken, limit).await, Err(BlobError::BrokenOff(_))));
        let large = body(vec![before(), Ok("0123456789".into()), Ok("0".into())]);
        let refused = blobs.receive("documents/a", large, limit).await;
        assert!(matches!(refused, Err(BlobError::TooLarge { limit: told }) if told == limit));
        assert_eq!((house.half_written)(), 0);
        assert!(matches!(blobs.look("documents/a").await, Err(BlobError::NotFound)));
    }
}

async fn a_file_goes_on_behind_what_was_acknowledged_and_nothing_else_of_it_stays(house: &House) {
    let blobs = &house.blobs;
    let add = async |at, chunks, enough, room| {
        let mut body = body(chunks);
        blobs.append("documents/a", at, &mut body, enough, room).await
    };
    assert!(matches!(add(3, vec![Ok("x".into())], 99, 99).await, Err(BlobError::NotFound)));
    let first = add(0, vec![Ok("abc".into()), Ok("def".into())], 2, 99).await.expect("a part");
    assert_eq!((first.end, first.more, first.broken_off.is_some()), (3, true, false));
    let broken = vec![Ok("DEXX".into()), Err(BlobError::BrokenOff("gone".into()))];
    let second = add(3, broken, 99, 99).await.expect("a part");
    assert_eq!((second.end, second.more, second.broken_off.is_some()), (7, false, true));
    // What was not acknowledged makes way for what comes again, also where that is shorter.
    let again = add(3, vec![Ok("de".into())], 99, 4).await.expect("a part");
    assert_eq!((again.end, again.more), (5, false));
    let last = add(5, vec![Ok("fg".into())], 99, 2).await.expect("a part");
    assert_eq!((last.end, last.more), (7, false));
    // More than there is room for: the file ends where it did.
    assert!(matches!(add(7, vec![Ok("0123".into())], 99, 3).await, Err(BlobError::TooLarge { limit: 10 })));
    let found = blobs.examine("documents/a").await.expect("there");
    assert_eq!((found.size, &found.head[..]), (7, &b"abcdefg"[..]));
    assert_eq!(found.sha256, hex(&Sha256::digest(b"abcdefg")));
    assert_eq!(blobs.get("documents/a").await.expect("there"), "abcdefg");
    // Whoever comes back after the last byte finds it there, and may ask once more.
    let nothing = add(7, vec![], 99, 0).await.expect("a part");
    assert_eq!((nothing.end, nothing.more), (7, false));
    assert_eq!(blobs.examine("documents/a").await.expect("there"), found);
    assert_eq!((house.half_written)(), 0);
    assert_eq!(told(&**blobs, Duration::ZERO).await, ["documents/a"]);
}

async fn a_file_in_parts_may_have_no_bytes_and_begin_anew(house: &House) {
    let blobs = &house.blobs;
    let add = async |at, text: &'static str| {
        let mut body = body(vec![Ok(text.into())]);
        blobs.append("documents/a", at, &mut body, 99, 99).await.expect("a part").end
    };
    assert_eq!(add(0, "").await, 0);
    assert_eq!(blobs.examine("documents/a").await.expect("there").size, 0);
    assert_eq!((add(0, "before").await, add(6, ", and after").await), (6, 17));
    // From the start, over all that was there.
    assert_eq!((add(0, "anew").await, add(4, "!").await), (4, 5));
    assert_eq!(blobs.examine("documents/a").await.expect("there").size, 5);
    assert_eq!(blobs.get("documents/a").await.expect("there"), "anew!");
    // And over one that was whole.
    assert_eq!(add(0, "x").await, 1);
    assert_eq!(blobs.examine("documents/a").await.expect("there").size, 1);
    assert_eq!((house.half_written)(), 0);
}

async fn a_file_that_is_still_coming_is_told_of_and_goes_as_a_whole(house: &House) {
    let blobs = &house.blobs;
    for key in ["users/a/documents/1", "users/a/documents/2", "users/b/documents/3"] {
        for at in [0, 3] {
            let mut body = body(vec![Ok("abc".into())]);
            blobs.append(key, at, &mut body, 99, 99).await.expect("a part");
        }
    }
    let all = ["users/a/documents/1", "users/a/documents/2", "users/b/documents/3"];
    assert_eq!(told(&**blobs, Duration::ZERO).await, all);
    assert_eq!(told(&**blobs, HOUR).await, [""; 0]);
    blobs.delete("users/a/documents/1").await.expect("gone");
    assert!(matches!(blobs.examine("users/a/documents/1").await, Err(BlobError::NotFound)));
    assert_eq!(told(&**blobs, Duration::ZERO).await, all[1..]);
    blobs.delete_folder("users/a").await.expect("gone");
    assert_eq!(told(&**blobs, Duration::ZERO).await, all[2..]);
    assert_eq!(blobs.examine("users/b/documents/3").await.expect("there").size, 6);
}

async fn a_transfer_that_is_given_up_leaves_nothing(house: &House) {
    let first = Ok(Bytes::from(vec![7u8; 9 << 20]));
    let endless = stream::iter([first]).chain(stream::pending()).boxed();
    let blobs = house.blobs.clone();
    let receiving = tokio::spawn(async move { blobs.receive("documents/a", endless, u64::MAX).await });
    eventually("it is under way", || (house.is_under_way)()).await;
    receiving.abort();
    eventually("nothing is left", || (house.half_written)() == 0).await;
    assert!(matches!(house.blobs.look("documents/a").await, Err(BlobError::NotFound)));
}

async fn putting_replaces_and_deleting_twice_is_fine(house: &House) {
    let blobs = &house.blobs;
    blobs.put("probes/x", "one".into()).await.expect("put");
    blobs.put("probes/x", "two".into()).await.expect("put");
    assert_eq!(blobs.get("probes/x").await.expect("there"), "two");
    blobs.delete("probes/x").await.expect("gone");
    blobs.delete("probes/x").await.expect("still gone");
    assert!(matches!(blobs.get("probes/x").await, Err(BlobError::NotFound)));
}

async fn a_file_can_be_looked_at_read_in_part_and_opened(house: &House) {
    let blobs = &house.blobs;
    blobs.put("documents/a", "0123456789".into()).await.expect("put");
    let about = blobs.look("documents/a").await.expect("there");
    assert_eq!(about.size, 10);
    let since_1970 = about.modified.duration_since(SystemTime::UNIX_EPOCH).expect("a time");
    assert!(since_1970 > 365 * 24 * HOUR, "{since_1970:?}");
    for (stretch, expected) in [(0..10, "0123456789"), (2..6, "2345"), (9..10, "9"), (4..4, "")] {
        let read: Vec<Bytes> =
            blobs.read("documents/a", stretch).await.expect("there").try_collect().await.expect("read");
        assert_eq!(read.concat(), expected.as_bytes());
    }
    let mut opened = blobs.open("documents/a").await.expect("there");
    let mut text = String::new();
    opened.file.read_to_string(&mut text).expect("read");
    assert_eq!(text, "0123456789");
    blobs.put("documents/none", Bytes::new()).await.expect("put");
    assert_eq!(blobs.look("documents/none").await.expect("there").size, 0);
}

async fn what_is_not_there_is_said_to_be_so(house: &House) {
    let blobs = &house.blobs;
    let key = "users/a/documents/1";
    assert!(matches!(blobs.get(key).await, Err(BlobError::NotFound)));
    assert!(matches!(blobs.look(key).await, Err(BlobError::NotFound)));
    assert!(matches!(blobs.examine(key).await, Err(BlobError::NotFound)));
    assert!(matches!(blobs.open(key).await, Err(BlobError::NotFound)));
    assert!(matches!(blobs.read(key, 0..1).await, Err(BlobError::NotFound)));
}

async fn a_folder_goes_with_all_that_is_in_it_and_nothing_else(house: &House) {
    let blobs = &house.blobs;
    for key in ["users/a/documents/1", "users/a/exports/2", "users/ab/documents/3"] {
        blobs.put(key, "x".into()).await.expect("put");
    }
    blobs.delete_folder("users/a").await.expect("gone");
    blobs.delete_folder("users/a").await.expect("still gone");
    assert!(matches!(blobs.get("users/a/documents/1").await, Err(BlobError::NotFound)));
    assert_eq!(told(&**blobs, Duration::ZERO).await, ["users/ab/documents/3"]);
    assert_eq!(blobs.get("users/ab/documents/3").await.expect("somebody else's"), "x");
    for folder in ["", ".", "..", "users/..", "/", "incoming"] {
        assert!(blobs.delete_folder(folder).await.is_err(), "{folder:?}");
    }
    blobs.put("users/a/documents/1", "again".into()).await.expect("the folder is made anew");
}

async fn a_key_cannot_leave_the_place(house: &House) {
    for key in [
        "../x",
        "documents/../../x",
        "/etc/passwd",
        "",
        "a//b",
        "documents/.",
        ".insighthub",
        "documents/.parts/a/0000000000000001-0000000000000000",
        "a b",
        "incoming/x",
        "a\0",
    ] {
        assert!(house.blobs.put(key, Bytes::new()).await.is_err(), "{key:?}");
    }
}

async fn old_files_are_told_by_their_keys_however_many_they_are(house: &House) {
    let blobs = &house.blobs;
    let mut put: Vec<String> = (0..=KEYS).map(|n| format!("users/a/documents/{n}")).collect();
    for key in &put {
        blobs.put(key, "x".into()).await.expect("put");
    }
    (house.leave_half)();
    put.sort_unstable();
    assert_eq!(told(&**blobs, Duration::ZERO).await, put);
    assert_eq!(told(&**blobs, HOUR).await, [""; 0]);
}

async fn what_was_half_written_is_cleared_by_its_age(house: &House) {
    house.blobs.put("users/a/documents/1", "x".into()).await.expect("put");
    (house.leave_half)();
    let left = (house.half_written)();
    assert!(left > 0);
    house.blobs.clear_unfinished(HOUR).await.expect("looked");
    assert_eq!((house.half_written)(), left, "another server may be writing it");
    house.blobs.clear_unfinished(Duration::ZERO).await.expect("cleared");
    assert_eq!((house.half_written)(), 0);
    assert_eq!(house.blobs.get("users/a/documents/1").await.expect("there"), "x");
}
