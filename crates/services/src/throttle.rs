//! How often somebody may try. Counted in memory, by each server for itself: a guesser gains at most the number of
//! servers, and nobody has to wait for a database at the door.

use domain::Timestamp;
use sha2::{Digest, Sha256};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// Things that are counted at the same time, at most; beyond, those are forgotten whose count has run out first.
const MOST_KEYS: usize = 100_000;
/// Pairs of account and address that are remembered as good, at most.
const MOST_FAMILIAR: usize = 20_000;

/// What is counted. A hash, so that what strangers type takes little room and cannot be read in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 16]);

impl Key {
    fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hash.finalize()[..16]);
        Self(key)
    }

    pub(crate) fn address(ip: &str) -> Self {
        Self::of(&["address", &network(ip)])
    }
}

/// A household has one IPv4 address, or 2^64 of IPv6, which count as one.
fn network(ip: &str) -> String {
    match ip.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}")
        }
        Ok(v4) => v4.to_string(),
        Err(_) => ip.to_owned(),
    }
}

/// At most `limit` in any `window`.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// 0: as many as one likes.
    limit: usize,
    window: i64,
}

#[derive(Default)]
struct Count {
    /// When it was counted, oldest first; at most `limit`.
    at: VecDeque<Timestamp>,
    /// Tries that nobody knows yet whether they count.
    open: usize,
}

impl Count {
    fn forget(&mut self, rate: Rate, now: Timestamp) {
        while self.at.front().is_some_and(|t| t.plus_micros(rate.window) <= now) {
            self.at.pop_front();
        }
    }

    /// Seconds until there is room again, when there is none now.
    fn full(&self, rate: Rate, now: Timestamp) -> Option<u64> {
        if self.at.len() < rate.limit {
            return None;
        }
        let free = self.at.get(self.at.len() - rate.limit)?.plus_micros(rate.window);
        let micros = free.micros().saturating_sub(now.micros()).max(1);
        Some(u64::try_from(micros).unwrap_or(0).div_ceil(1_000_000))
    }
}

/// Counts by key.
struct Throttle {
    rate: Rate,
    counts: Mutex<HashMap<Key, Count>>,
    /// A try was settled: those that wait for room look again.
    settled: Notify,
}

impl Throttle {
    fn new(limit: u32, seconds: i64) -> Self {
        let rate = Rate { limit: limit as usize, window: seconds * 1_000_000 };
        Self { rate, counts: Mutex::default(), settled: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Count>> {
        // Counts stay sound whatever panics: each change is a single step.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seconds to wait, when one of the keys is full.
    fn full(&self, counts: &mut HashMap<Key, Count>, keys: &[Key], now: Timestamp) -> Option<u64> {
        let rate = self.rate;
        let wait = |key: &Key| {
            let count = counts.get_mut(key)?;
            count.forget(rate, now);
            count.full(rate, now)
        };
        keys.iter().filter_map(wait).max()
    }

    fn make_room(&self, counts: &mut HashMap<Key, Count>, now: Timestamp) {
        if counts.len() < MOST_KEYS {
            return;
        }
        counts.retain(|_, c| {
            c.forget(self.rate, now);
            c.open > 0 || !c.at.is_empty()
        });
        if counts.len() >= MOST_KEYS {
            let mut newest: Vec<(Timestamp, Key)> = counts
                .iter()
                .filter(|(_, c)| c.open == 0)
                .filter_map(|(key, c)| Some((*c.at.back()?, *key)))
                .collect();
            newest.sort_unstable_by_key(|(at, _)| *at);
            for (_, key) in newest.into_iter().take(MOST_KEYS / 2) {
                counts.remove(&key);
            }
        }
    }

    /// Counts at once.
    fn take(&self, keys: &[Key], now: Timestamp) -> Result<(), u64> {
        if self.rate.limit == 0 {
            return Ok(());
        }
        let mut counts = self.lock();
        if let Some(seconds) = self.full(&mut counts, keys, now) {
            return Err(seconds);
        }
        self.make_room(&mut counts, now);
        for key in keys {
            counts.entry(*key).or_default().at.push_back(now);
        }
        Ok(())
    }

    /// Lets one try begin. While as many are under way as could still be wrong, further ones wait: a crowd of good ones
    /// gets through, a crowd of guesses does not get more guesses by coming at the same moment.
    async fn begin(&self, keys: Vec<Key>, now: Timestamp) -> Result<Try<'_>, u64> {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            // Interest first, then the look, or a wake-up between the two is lost.
            settled.as_mut().enable();
            {
                let mut counts = self.lock();
                if self.rate.limit > 0
                    && let Some(seconds) = self.full(&mut counts, &keys, now)
                {
                    return Err(seconds);
                }
                let room = |key: &Key| counts.get(key).is_none_or(|c| c.at.len() + c.open < self.rate.limit);
                if self.rate.limit == 0 || keys.iter().all(room) {
                    self.make_room(&mut counts, now);
                    for key in &keys {
                        counts.entry(*key).or_default().open += 1;
                    }
                    return Ok(Try { throttle: self, keys });
                }
            }
            settled.await;
        }
    }
}

/// A try under way. Dropped, it does not count.
struct Try<'a> {
    throttle: &'a Throttle,
    keys: Vec<Key>,
}

impl Try<'_> {
    fn was_bad(self, now: Timestamp) {
        let mut counts = self.throttle.lock();
        for key in &self.keys {
            let count = counts.entry(*key).or_default();
            count.at.push_back(now);
            // Without a limit nobody asks, and nothing need be remembered.
            if self.throttle.rate.limit == 0 {
                count.at.clear();
            }
        }
    }
}

impl Drop for Try<'_> {
    fn drop(&mut self) {
        let mut counts = self.throttle.lock();
        for key in &self.keys {
            if let Some(count) = counts.get_mut(key) {
                count.open = count.open.saturating_sub(1);
                if count.open == 0 && count.at.is_empty() {
                    counts.remove(key);
                }
            }
        }
        drop(counts);
        self.throttle.settled.notify_waiters();
    }
}

/// The door: bad sign-ins by account and by address, sign-ups by address.
pub struct Door {
    sign_ins: Throttle,
    sign_ups: Throttle,
    /// Addresses from which an account was signed in to since this server started. They are counted by themselves, so
    /// that strangers elsewhere who guess at an account do not lock its owner out.
    familiar: Mutex<HashSet<Key>>,
}

/// Seconds in which at most the given number of bad sign-ins is answered.
const SIGN_IN_SECONDS: i64 = 60;
/// The same for sign-ups.
const SIGN_UP_SECONDS: i64 = 3_600;

impl Door {
    /// `bad_sign_ins` a minute, `sign_ups` an hour; 0 means no limit.
    pub fn new(bad_sign_ins: u32, sign_ups: u32) -> Self {
        Self {
            sign_ins: Throttle::new(bad_sign_ins, SIGN_IN_SECONDS),
            sign_ups: Throttle::new(sign_ups, SIGN_UP_SECONDS),
            familiar: Mutex::default(),
        }
    }

    /// Notes a sign-up from that address.
    ///
    /// # Errors
    /// Seconds to wait.
    pub(crate) fn sign_up(&self, ip: &str, now: Timestamp) -> Result<(), u64> {
        // Without an address it is the operator at the command line.
        if ip.is_empty() { Ok(()) } else { self.sign_ups.take(&[Key::address(ip)], now) }
    }

    /// Lets somebody try a password. `account` is what was typed: whether there is such an account makes no difference.
    ///
    /// # Errors
    /// Seconds to wait.
    pub(crate) async fn sign_in(&self, account: &str, ip: &str, now: Timestamp) -> Result<Knock<'_>, u64> {
        let account = account.trim().to_lowercase();
        let pair = Key::of(&["pair", &account, &network(ip)]);
        let of_account = if self.familiar().contains(&pair) { pair } else { Key::of(&["account", &account]) };
        let mut keys = vec![of_account];
        if !ip.is_empty() {
            keys.push(Key::address(ip));
        }
        Ok(Knock { door: self, pair, begun: self.sign_ins.begin(keys, now).await? })
    }

    fn familiar(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.familiar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sign-in under way.
pub(crate) struct Knock<'a> {
    door: &'a Door,
    pair: Key,
    begun: Try<'a>,
}

impl Knock<'_> {
    pub(crate) fn was_bad(self, now: Timestamp) {
        self.begun.was_bad(now);
    }

    pub(crate) fn was_good(self) {
        let mut familiar = self.door.familiar();
        if familiar.len() >= MOST_FAMILIAR {
            familiar.clear();
        }
        familiar.insert(self.pair);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::poll;
    use std::{pin::pin, task::Poll};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::default().plus_seconds(seconds)
    }

    async fn bad(door: &Door, account: &str, ip: &str, seconds: i64) -> Result<(), u64> {
        door.sign_in(account, ip, at(seconds)).await.map(|knock| knock.was_bad(at(seconds)))
    }

    async fn good(door: &Door, account: &str, ip: &str, seconds: i64) -> Result<(), u64> {
        door.sign_in(account, ip, at(seconds)).await.map(Knock::was_good)
    }

    #[tokio::test]
    async fn the_sixth_bad_try_in_a_minute_waits_until_the_first_is_a_minute_old() {
        let door = Door::new(5, 0);
        for second in 0..5 {
            assert_eq!(bad(&door, "ada@example.org", "10.0.0.1", second).await, Ok(()));
        }
        assert_eq!(bad(&door, "ada@example.org", "10.0.0.1", 10).await, Err(50));
        assert_eq!(good(&door, "ADA@example.org ", "10.0.0.9", 10).await, Err(50), "the account, elsewhere");
        assert_eq!(good(&door, "bob@example.org", "10.0.0.1", 10).await, Err(50), "the address");
        assert_eq!(good(&door, "bob@example.org", "10.0.0.9", 10).await, Ok(()));
        assert_eq!(bad(&door, "ada@example.org", "10.0.0.1", 60).await, Ok(()), "refused tries do not count");
        assert_eq!(bad(&door, "ada@example.org", "10.0.0.1", 60).await, Err(1));
    }

    #[tokio::test]
    async fn good_sign_ins_never_count() {
        let door = Door::new(5, 0);
        for _ in 0..100 {
            assert_eq!(good(&door, "ada@example.org", "10.0.0.1", 0).await, Ok(()));
        }
        assert!(door.sign_ins.lock().is_empty(), "nothing is kept of them");
    }

    #[tokio::test]
    async fn guesses_from_elsewhere_do_not_lock_the_owner_out() {
        let door = Door::new(5, 0);
        assert_eq!(good(&door, "ada@example.org", "10.0.0.1", 0).await, Ok(()));
        for host in 2..7 {
            assert_eq!(bad(&door, "ada@example.org", &format!("10.0.0.{host}"), 1).await, Ok(()));
        }
        assert!(bad(&door, "ada@example.org", "10.0.0.8", 1).await.is_err());
        assert_eq!(good(&door, "ada@example.org", "10.0.0.1", 2).await, Ok(()));
        for _ in 0..5 {
            assert_eq!(bad(&door, "ada@example.org", "10.0.0.1", 3).await, Ok(()));
        }
        assert!(
            bad(&door, "ada@example.org", "10.0.0.1", 3).await.is_err(),
            "nor may they guess for ever there"
        );
    }

    #[tokio::test]
    async fn guesses_at_the_same_moment_are_no_more_than_five() {
        let door = Door::new(5, 0);
        let mut begun = vec![];
        for _ in 0..5 {
            begun.push(door.sign_in("ada@example.org", "10.0.0.1", at(0)).await.ok());
        }
        let mut sixth = pin!(door.sign_in("ada@example.org", "10.0.0.1", at(0)));
        assert!(poll!(&mut sixth).is_pending(), "nobody knows yet whether the five were bad");
        for knock in begun.drain(..4).flatten() {
            knock.was_bad(at(0));
        }
        assert!(poll!(&mut sixth).is_pending());
        for knock in begun.drain(..).flatten() {
            knock.was_good();
        }
        assert!(matches!(poll!(&mut sixth), Poll::Ready(Ok(_))), "one of the five was good");
    }

    #[tokio::test]
    async fn a_whole_ipv6_network_is_one_address() {
        let door = Door::new(5, 0);
        for host in 0..5 {
            assert_eq!(
                bad(&door, &format!("{host}@example.org"), &format!("2001:db8::{host}"), 0).await,
                Ok(())
            );
        }
        assert!(bad(&door, "x@example.org", "2001:db8::ffff:1", 0).await.is_err());
        assert_eq!(bad(&door, "x@example.org", "2001:db8:0:1::1", 0).await, Ok(()));
        assert_eq!(network("::ffff:10.0.0.1"), "10.0.0.1");
    }

    #[tokio::test]
    async fn zero_means_no_limit() {
        let door = Door::new(0, 0);
        for _ in 0..100 {
            assert_eq!(bad(&door, "ada@example.org", "10.0.0.1", 0).await, Ok(()));
            assert_eq!(door.sign_up("10.0.0.1", at(0)), Ok(()));
        }
    }

    #[test]
    fn sign_ups_are_counted_by_address_and_hour() {
        let door = Door::new(5, 3);
        for _ in 0..3 {
            assert_eq!(door.sign_up("10.0.0.1", at(0)), Ok(()));
        }
        assert_eq!(door.sign_up("10.0.0.1", at(600)), Err(3_000));
        assert_eq!(door.sign_up("10.0.0.2", at(600)), Ok(()));
        assert_eq!(door.sign_up("", at(600)), Ok(()), "the operator");
        assert_eq!(door.sign_up("10.0.0.1", at(3_600)), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_counts_go_first() {
        let door = Door::new(5, 1);
        for n in 0..MOST_KEYS + 10 {
            assert_eq!(door.sign_up(&n.to_string(), at(n as i64 / 100)), Ok(()));
        }
        assert!(door.sign_ups.lock().len() <= MOST_KEYS);
        assert!(door.sign_up(&(MOST_KEYS + 9).to_string(), at(1_010)).is_err(), "the newest is remembered");
    }
}
