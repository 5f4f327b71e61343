//! From which place a stream goes on: what was missed comes in parts, and who cannot be resumed is told to refetch.

use crate::world::{SESSION, USER, World, epoch, frames, seqs_of, seqs_until, welcome};
use domain::Epoch;
use futures::poll;
use services::live::{BOUND, Resume};
use std::{pin::pin, sync::atomic::Ordering};

#[test]
fn the_id_of_an_event_names_its_place() {
    let resume = |epoch: &str, seq| Some(Resume { epoch: Some(Epoch(epoch.into())), last_seq: Some(seq) });
    assert_eq!(Resume::of_event_id("first.7"), resume("first", 7));
    assert_eq!(Resume::of_event_id("an.epoch.with.dots.0"), resume("an.epoch.with.dots", 0));
    for wrong in ["", "first", "first.", "first.-1", "first.7 ", "first.18446744073709551616"] {
        assert_eq!(Resume::of_event_id(wrong), None, "{wrong:?}");
    }
}

#[tokio::test]
async fn a_fresh_client_starts_from_now() {
    let world = World::new(64);
    world.commit(3).await;
    let mut c = world.connect(None).await;
    assert_eq!(frames(&mut c).await, [welcome(3, false)]);
    let new = world.commit(1).await;
    world.tell(&new[0]);
    assert_eq!(seqs_until(&mut c, 4).await, [4]);
}

#[tokio::test]
async fn a_returning_client_gets_what_it_missed_then_live() {
    let world = World::new(64);
    world.commit(1_200).await;
    let mut c = world.connect(Some(7)).await;
    let first = frames(&mut c).await;
    assert_eq!(first[0], welcome(1_200, true));
    let mut seqs = seqs_of(&first);
    seqs.extend(seqs_until(&mut c, 1_200).await);
    assert_eq!(seqs, (8..=1_200).collect::<Vec<_>>());
    for e in world.commit(2).await {
        world.tell(&e);
    }
    assert_eq!(seqs_until(&mut c, 1_202).await, [1_201, 1_202]);
}

#[tokio::test]
async fn of_what_was_missed_no_more_is_read_than_the_transport_is_ready_for() {
    let world = World::new(64);
    world.commit(10_000).await;
    let mut c = world.connect(Some(0)).await;
    let mut seqs = seqs_of(&frames(&mut c).await);
    assert!((1..=500).contains(&seqs.len()), "{}", seqs.len());
    let read = || world.log.reads.load(Ordering::SeqCst);
    let before = read();
    // New things happen while the client takes what it has.
    for e in world.commit(3).await {
        world.tell(&e);
    }
    for _ in 0..20 {
        assert!(poll!(pin!(c.next_when(false))).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!((read(), c.is_behind()), (before, true));
    while c.is_behind() {
        let part = frames(&mut c).await;
        assert!(part.len() <= 500, "{}", part.len());
        seqs.extend(seqs_of(&part));
    }
    if seqs.last() != Some(&10_003) {
        seqs.extend(seqs_until(&mut c, 10_003).await);
    }
    assert_eq!(seqs, (1..=10_003).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_came_twice_while_a_client_caught_up_holds_nothing_up() {
    let world = World::new(64);
    let mut first = world.connect(Some(0)).await;
    frames(&mut first).await;
    // Nobody told of these; the room reads them for all who are in it, and the newcomer reads them for itself.
    world.commit(2_000).await;
    let mut second = world.connect(Some(0)).await;
    let mut seqs = seqs_of(&frames(&mut second).await);
    seqs_until(&mut first, 2_000).await;
    seqs.extend(seqs_until(&mut second, 2_000).await);
    assert_eq!(seqs, (1..=2_000).collect::<Vec<_>>());
    let new = world.commit(1).await;
    world.tell(&new[0]);
    assert_eq!(seqs_until(&mut second, 2_001).await, [2_001]);
}

#[tokio::test]
async fn who_is_still_behind_when_its_mailbox_overruns_or_the_log_is_cut_off_is_told_to_refetch() {
    let world = World::new(2 * BOUND);
    world.commit(2_000).await;
    let (mut slow, mut steady) = (world.connect(Some(0)).await, world.connect(Some(2_000)).await);
    frames(&mut slow).await;
    frames(&mut steady).await;
    let total = 2_000 + BOUND as u64 + 40;
    for event in world.commit(BOUND + 40).await {
        world.tell(&event);
    }
    seqs_until(&mut steady, total).await;
    assert_eq!(frames(&mut slow).await, [welcome(total, false)]);
    // And one that has come to 1,000 when all up to 1,500 is removed.
    let mut slower = world.connect(Some(500)).await;
    assert_eq!(seqs_of(&frames(&mut slower).await).last(), Some(&1_000));
    world.log.floor.store(1_500, Ordering::SeqCst);
    assert_eq!(frames(&mut slower).await, [welcome(total, false)]);
    let new = world.commit(1).await;
    world.tell(&new[0]);
    for c in [&mut slow, &mut slower] {
        assert_eq!(seqs_until(c, total + 1).await, [total + 1]);
    }
}

#[tokio::test]
async fn another_epoch_or_a_seq_beyond_the_log_is_never_resumed() {
    let world = World::new(64);
    world.commit(3).await;
    for resume in [
        Resume { epoch: Some(Epoch("other".into())), last_seq: Some(2) },
        Resume { epoch: Some(epoch()), last_seq: Some(4) },
        Resume { epoch: None, last_seq: Some(2) },
    ] {
        let mut c = world.hub.connect(USER, SESSION, resume).await.unwrap();
        assert_eq!(frames(&mut c).await, [welcome(3, false)]);
    }
}

#[tokio::test]
async fn at_the_floor_of_the_log_a_client_is_resumed_and_below_it_told_to_refetch() {
    let world = World::new(64);
    world.commit(9).await;
    world.log.floor.store(5, Ordering::SeqCst);
    let mut above = world.connect(Some(5)).await;
    let told = frames(&mut above).await;
    assert_eq!((&told[0], told.len()), (&welcome(9, true), 1 + 4), "from the floor on nothing is missing");
    let mut below = world.connect(Some(4)).await;
    assert_eq!(frames(&mut below).await, [welcome(9, false)], "what it missed is not there any more");
    // From there it goes on as everybody does.
    let new = world.commit(1).await;
    world.tell(&new[0]);
    assert_eq!(seqs_until(&mut below, 10).await, [10]);
}

#[tokio::test]
async fn a_connection_whose_mailbox_overran_is_told_to_refetch_and_goes_on_from_there() {
    let total = BOUND + 40;
    let world = World::new(2 * total);
    let (mut slow, mut steady) = (world.connect(Some(0)).await, world.connect(Some(0)).await);
    frames(&mut slow).await;
    frames(&mut steady).await;
    for event in world.commit(total).await {
        world.tell(&event);
    }
    // One that reads has them all; by then the other one's mailbox had them all as well.
    assert_eq!(seqs_until(&mut steady, total as u64).await.len(), total);
    assert_eq!(frames(&mut slow).await, [welcome(total as u64, false)], "and nothing of what came before");
    let new = world.commit(2).await;
    new.iter().for_each(|event| world.tell(event));
    let last = total as u64 + 2;
    assert_eq!(seqs_until(&mut slow, last).await, [last - 1, last]);
}
