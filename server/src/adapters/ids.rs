//! UUIDs of version 7 that rise even within a millisecond, so that lists ordered by id are ordered by age.

use super::secrets::random;
use services::ports::{Clock, Ids};
use std::sync::{Arc, Mutex, PoisonError};
use uuid::{Builder, Uuid};

/// Bits of a version 7 UUID that are not time, version or variant.
const RANDOM_BITS: u32 = 74;

pub struct TimeOrderedIds {
    clock: Arc<dyn Clock>,
    /// Milliseconds and random part of the newest id.
    last: Mutex<(u64, u128)>,
}

impl TimeOrderedIds {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: Mutex::default() }
    }
}

impl Ids for TimeOrderedIds {
    fn uuid(&self) -> Uuid {
        let now = u64::try_from(self.clock.now().micros() / 1_000).unwrap_or(0);
        let fresh = u128::from_be_bytes(random()) & mask();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = if now > last.0 {
            (now, fresh)
        } else {
            // Same millisecond, or the clock went back: step on by a random width, into the next millisecond when full.
            match last.1 + 1 + (fresh >> (RANDOM_BITS - 32)) {
                next if next <= mask() => (last.0, next),
                _ => (last.0 + 1, fresh),
            }
        };
        // The builder takes 80 bits and overwrites the version's four and the variant's two.
        let (millis, bits) = *last;
        let spread = ((bits >> 62) << 64) | (bits & ((1 << 62) - 1));
        let mut tail = [0; 10];
        tail.copy_from_slice(&spread.to_be_bytes()[6..]);
        Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }
}

const fn mask() -> u128 {
    (1 << RANDOM_BITS) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;
    use std::sync::atomic::{AtomicI64, Ordering};

    struct Stepping(AtomicI64);

    impl Clock for Stepping {
        fn now(&self) -> Timestamp {
            // Mostly stands, sometimes goes on, sometimes goes back.
            let n = self.0.fetch_add(1, Ordering::Relaxed);
            Timestamp::from_micros(
                1_700_000_000_000_000 + if n % 100 == 99 { -5_000 } else { n / 50 * 1_000 },
            )
        }
    }

    #[test]
    fn ids_rise_even_when_the_clock_stands_or_goes_back() {
        let ids = TimeOrderedIds::new(Arc::new(Stepping(AtomicI64::new(0))));
        let all: Vec<Uuid> = (0..5_000).map(|_| ids.uuid()).collect();
        assert!(all.windows(2).all(|w| w[0] < w[1]));
        assert!(all.iter().all(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122));
    }
}
