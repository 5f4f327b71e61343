//! Any course of things: whatever is told twice, late or never, and whenever a client is cut off, each event comes once and in
//! order.

use crate::world::{World, frames, seqs_of, seqs_until};
use domain::ServerFrame;
use futures::poll;
use proptest::prelude::*;
use services::{live::Outgoing, ports::LoggedEvent};
use std::{pin::pin, task::Poll};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Events are told shuffled, some twice, some never; connections come and go. The last one is told, as a bus that
    /// works again would.
    #[test]
    fn every_connection_gets_every_event_once_and_in_order(
        batches in prop::collection::vec((1..20usize, prop::collection::vec(0..3u8, 20), any::<u64>()), 1..8),
        reconnect in prop::collection::vec(any::<bool>(), 8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new(16);
            let mut steady = world.connect(Some(0)).await;
            let mut fickle = world.connect(Some(0)).await;
            let mut fickle_seen: Vec<u64> = vec![];
            let mut total = 0;
            for (i, (n, how, seed)) in batches.into_iter().enumerate() {
                let events = world.commit(n).await;
                total += n as u64;
                let mut told: Vec<&LoggedEvent> = vec![];
                for (e, times) in events.iter().zip(&how) {
                    told.extend(std::iter::repeat_n(e, usize::from(*times)));
                }
                // A cheap shuffle that the seed decides.
                for j in (1..told.len()).rev() {
                    told.swap(j, (seed as usize).wrapping_mul(j + 31) % (j + 1));
                }
                for e in told {
                    world.tell(e);
                }
                tokio::task::yield_now().await;
                if reconnect[i] {
                    drop(fickle);
                    fickle = world.connect(Some(fickle_seen.last().copied().unwrap_or(0))).await;
                    for frame in frames(&mut fickle).await {
                        if let ServerFrame::Event(e) = frame {
                            fickle_seen.push(e.seq);
                        }
                    }
                }
            }
            let last = world.commit(1).await;
            world.tell(&last[0]);
            total += 1;
            assert_eq!(seqs_until(&mut steady, total).await, (1..=total).collect::<Vec<_>>());
            if fickle_seen.last() != Some(&total) {
                fickle_seen.extend(seqs_until(&mut fickle, total).await);
            }
            assert_eq!(fickle_seen, (1..=total).collect::<Vec<_>>());
        });
    }

    /// What was missed comes in parts while new things happen, some of them untold; the client is cut off after any part.
    #[test]
    fn what_was_missed_comes_in_parts_each_event_once_and_in_order(
        missed in 0..3_000usize,
        turns in prop::collection::vec((0..40usize, any::<bool>(), any::<bool>()), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new(16);
            world.commit(missed).await;
            let mut total = missed as u64;
            let mut seen: Vec<u64> = vec![];
            let mut c = world.connect(Some(0)).await;
            for (n, is_told, is_cut) in turns {
                let events = world.commit(n).await;
                total += n as u64;
                for e in events.iter().filter(|_| is_told) {
                    world.tell(e);
                }
                tokio::task::yield_now().await;
                if is_cut {
                    drop(c);
                    c = world.connect(Some(seen.last().copied().unwrap_or(0))).await;
                }
                // One look: where there is nothing, the waiting is broken off.
                if let Poll::Ready(next) = poll!(pin!(c.next()))
                    && let Outgoing::Frames(part) = next.unwrap()
                {
                    let part: Vec<ServerFrame> =
                        part.iter().map(|f| serde_json::from_slice(f).unwrap()).collect();
                    seen.extend(seqs_of(&part));
                }
            }
            let last = world.commit(1).await;
            world.tell(&last[0]);
            total += 1;
            if seen.last() != Some(&total) {
                seen.extend(seqs_until(&mut c, total).await);
            }
            assert_eq!(seen, (1..=total).collect::<Vec<_>>());
        });
    }
}
