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

over_both!(
    a_received_file_is_whole_and_hashed,
    a_broken_or_oversized_transfer_leaves_nothing,
    a_file_goes_on_behind_what_was_acknowledged_and_nothing_else_of_it_stays,
    a_file_in_parts_may_have_no_bytes_and_come_twice,
    whoever_was_overtaken_takes_nothing_from_whoever_went_on,
    two_who_put_a_file_together_come_to_the_same_and_neither_takes_its_parts,
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

/// One part in one call, by that turn.
async fn add(house: &House, turn: u64, at: u64, text: &str) -> u64 {
    let mut body = body(vec![Ok(text.to_owned().into())]);
    house.blobs.append("documents/a", turn, at, &mut body, u64::MAX, u64::MAX).await.expect("a part").end
}

/// What the first `size` bytes of the parts are.
async fn whole(house: &House, size: u64) -> Bytes {
    let found = house.blobs.put_together("documents/a", size, "documents/whole").await.expect("put together");
    let bytes = house.blobs.get("documents/whole").await.expect("there");
    assert_eq!((found.size, found.sha256), (bytes.len() as u64, hex(&Sha256::digest(&bytes))));
    assert_eq!(found.head[..], bytes[..bytes.len().min(HEAD)]);
    bytes
}

async fn a_file_goes_on_behind_what_was_acknowledged_and_nothing_else_of_it_stays(house: &House) {
    let blobs = &house.blobs;
    let add = async |turn, at, chunks, enough, room| {
        let mut body = body(chunks);
        blobs.append("documents/a", turn, at, &mut body, enough, room).await
    };
    assert!(matches!(add(1, 3, vec![Ok("x".into())], 99, 99).await, Err(BlobError::NotFound)));
    let first = add(2, 0, vec![Ok("abc".into()), Ok("def".into())], 2, 99).await.expect("a part");
    assert_eq!((first.end, first.more, first.broken_off.is_some()), (3, true, false));
    let broken = vec![Ok("DEXX".into()), Err(BlobError::BrokenOff("gone".into()))];
    let second = add(2, 3, broken, 99, 99).await.expect("a part");
    assert_eq!((second.end, second.more, second.broken_off.is_some()), (7, false, true));
    assert!(matches!(add(3, 4, vec![Ok("x".into())], 99, 99).await, Err(BlobError::NotFound)), "no end");
    // What was not acknowledged does not count beside what comes again, also where that is shorter.
    let again = add(4, 3, vec![Ok("de".into())], 99, 4).await.expect("a part");
    assert_eq!((again.end, again.more), (5, false));
    let last = add(5, 5, vec![Ok("fg".into())], 99, 2).await.expect("a part");
    assert_eq!((last.end, last.more), (7, false));
    // More than there is room for: nothing of it is kept, however much came before that was seen.
    let long = || vec![Ok(Bytes::from(vec![7u8; 9 << 20])), Ok("0".into())];
    let refused = add(6, 7, long(), u64::MAX, 9 << 20).await;
    assert!(matches!(refused, Err(BlobError::TooLarge { limit }) if limit == 7 + (9 << 20)));
    let too_far = blobs.put_together("documents/a", 7 + (8 << 20), "documents/whole").await;
    assert!(matches!(too_far, Err(BlobError::NotFound)));
    assert_eq!(whole(house, 7).await, "abcdefg");
    // Whoever comes back after the last byte finds it there, and may ask once more.
    let nothing = add(7, 7, vec![], 99, 0).await.expect("a part");
    assert_eq!((nothing.end, nothing.more), (7, false));
    assert_eq!(whole(house, 7).await, "abcdefg");
    assert_eq!((house.half_written)(), 0);
    blobs.delete("documents/a").await.expect("gone");
    assert_eq!(told(&**blobs, Duration::ZERO).await, ["documents/whole"]);
}

async fn a_file_in_parts_may_have_no_bytes_and_come_twice(house: &House) {
    assert_eq!(add(house, 1, 0, "").await, 0);
    assert_eq!(whole(house, 0).await, "");
    assert_eq!((add(house, 2, 0, "before").await, add(house, 2, 6, ", and after").await), (6, 17));
    // From the start: nobody was told that anything of that is durable.
    assert_eq!((add(house, 3, 0, "anew").await, add(house, 3, 4, "!").await), (4, 5));
    assert_eq!(whole(house, 5).await, "anew!");
    // All of it at once, and what was put together before is not touched by what comes later.
    assert_eq!(add(house, 4, 0, "other").await, 5);
    assert_eq!(house.blobs.get("documents/whole").await.expect("there"), "anew!");
    assert_eq!(whole(house, 5).await, "other");
    assert_eq!(add(house, 5, 0, "third").await, 5);
    house.blobs.delete("documents/a").await.expect("gone");
    assert_eq!(house.blobs.get("documents/whole").await.expect("there"), "other");
    assert_eq!((house.half_written)(), 0);
}

async fn whoever_was_overtaken_takes_nothing_from_whoever_went_on(house: &House) {
    assert_eq!(add(house, 1, 0, "one, ").await, 5);
    // The second turn begins behind that, and stalls before it has written anything; the third one comes to the end.
    assert_eq!((add(house, 3, 5, "two, ").await, add(house, 3, 10, "three").await), (10, 15));
    for late in ["", "TWO, ", "TWO, THREE"] {
        assert_eq!(add(house, 2, 5, late).await, 5 + late.len() as u64);
        assert_eq!(whole(house, 15).await, "one, two, three");
    }
    assert_eq!(add(house, 2, 10, "THREE").await, 15);
    assert_eq!(whole(house, 15).await, "one, two, three");
    // And after the end, when the parts are gone.
    house.blobs.delete("documents/a").await.expect("gone");
    assert_eq!(add(house, 2, 0, "ONE").await, 3);
    assert_eq!(house.blobs.get("documents/whole").await.expect("there"), "one, two, three");
}

async fn two_who_put_a_file_together_come_to_the_same_and_neither_takes_its_parts(house: &House) {
    let blobs = &house.blobs;
    assert_eq!((add(house, 1, 0, "A lantern").await, add(house, 2, 9, " on the bridge.").await), (9, 24));
    let (one, other) = tokio::join!(
        blobs.put_together("documents/a", 24, "documents/one"),
        blobs.put_together("documents/a", 24, "documents/other"),
    );
    assert_eq!(one.expect("put together"), other.expect("put together"));
    // One of them lost, and removes its own.
    blobs.delete("documents/other").await.expect("gone");
    assert_eq!(whole(house, 24).await, "A lantern on the bridge.");
    blobs.delete("documents/a").await.expect("gone");
    assert_eq!(blobs.get("documents/one").await.expect("there"), "A lantern on the bridge.");
    let none_left = blobs.put_together("documents/a", 24, "documents/late").await;
    assert!(matches!(none_left, Err(BlobError::NotFound)));
    assert_eq!(told(&**blobs, Duration::ZERO).await, ["documents/one", "documents/whole"]);
    assert_eq!((house.half_written)(), 0);
}

async fn a_file_that_is_still_coming_is_told_of_and_goes_as_a_whole(house: &House) {
    let blobs = &house.blobs;
    for key in ["users/a/documents/1", "users/a/documents/2", "users/b/documents/3"] {
        for at in [0, 3] {
            let mut body = body(vec![Ok("abc".into())]);
            blobs.append(key, 1, at, &mut body, 99, 99).await.expect("a part");
        }
    }
    let all = ["users/a/documents/1", "users/a/documents/2", "users/b/documents/3"];
    assert_eq!(told(&**blobs, Duration::ZERO).await, all);
    assert_eq!(told(&**blobs, HOUR).await, [""; 0]);
    blobs.delete("users/a/documents/1").await.expect("gone");
    let gone = blobs.put_together("users/a/documents/1", 6, "users/a/documents/4").await;
    assert!(matches!(gone, Err(BlobError::NotFound)));
    assert_eq!(told(&**blobs, Duration::ZERO).await, all[1..]);
    blobs.delete_folder("users/a").await.expect("gone");
    assert_eq!(told(&**blobs, Duration::ZERO).await, all[2..]);
    let made = blobs.put_together("users/b/documents/3", 6, "users/b/documents/5").await;
    assert_eq!(made.expect("put together").size, 6);
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
    assert!(matches!(blobs.put_together(key, 1, "users/a/documents/2").await, Err(BlobError::NotFound)));
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
