//! How often somebody may try. Counted in memory, by each server for itself: a guesser gains at most the number of
//! servers, and nobody has to wait for a database at the door.

use crate::Who;
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

/// The door: bad sign-ins by account and by address, sign-ups by address, and wrong passwords of those who are in.
pub struct Door {
    sign_ins: Throttle,
    confirmations: Throttle,
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
            confirmations: Throttle::new(bad_sign_ins, SIGN_IN_SECONDS),
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

    /// Lets somebody try a password. `account` is what was typed, in lower case: whether there is such an account makes no
    /// difference. `device` tells the browser, when it has the server's own mark of an earlier sign-in to that account: its
    /// tries are counted by themselves, whatever others do elsewhere or behind the same address.
    ///
    /// # Errors
    /// Seconds to wait.
    pub(crate) async fn sign_in(
        &self,
        account: &str,
        ip: &str,
        device: Option<&str>,
        now: Timestamp,
    ) -> Result<Knock<'_>, u64> {
        let keys = match device {
            Some(device) => vec![Key::of(&["device", account, device])],
            None => {
                let pair = pair(account, ip);
                let is_familiar = self.familiar().contains(&pair);
                let mut keys = vec![if is_familiar { pair } else { Key::of(&["account", account]) }];
                if !ip.is_empty() {
                    keys.push(Key::address(ip));
                }
                keys
            }
        };
        self.sign_ins.begin(keys, now).await.map(Knock)
    }

    /// Remembers that somebody signed in to that account from there.
    pub(crate) fn know(&self, account: &str, ip: &str) {
        let mut familiar = self.familiar();
        if familiar.len() >= MOST_FAMILIAR {
            familiar.clear();
        }
        familiar.insert(pair(account, ip));
    }

    /// Lets a person who is signed in say the password once more. Counted by session: whoever holds a stolen one can
    /// neither guess for ever nor keep the owner, who has another, from changing the password.
    ///
    /// # Errors
    /// Seconds to wait.
    pub(crate) async fn confirm(&self, who: &Who, now: Timestamp) -> Result<Knock<'_>, u64> {
        let key = Key::of(&["confirm", &who.user.id.to_string(), &who.session_id.to_string()]);
        self.confirmations.begin(vec![key], now).await.map(Knock)
    }

    fn familiar(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.familiar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pair(account: &str, ip: &str) -> Key {
    Key::of(&["pair", account, &network(ip)])
}

/// A password that is being tried. Dropped, it was a good one, or nobody will ever know.
pub(crate) struct Knock<'a>(Try<'a>);

impl Knock<'_> {
    pub(crate) fn was_bad(self, now: Timestamp) {
        self.0.was_bad(now);
    }
}

#[cfg(test)]
mod tests;
