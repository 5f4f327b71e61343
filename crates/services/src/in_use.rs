//! Which sessions and API keys were used lately. An open page has its session looked up at every ping, a program its key at
//! every request, and once a minute it is noted that they are in use. With many of them such notes would be most of what is
//! written, so they are gathered and go to the database together. What a kill loses of them is some seconds of "last seen":
//! no session and no key ends because nobody uses it.

use crate::{Services, ports::StoreError};
use domain::{ApiKeyId, SessionId, Timestamp};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

/// How often what was gathered is written.
const EVERY: Duration = Duration::from_secs(5);
/// Seconds between two notes of one.
const NOTED_EVERY: i64 = 60;

/// What was used lately, and is not written yet.
#[derive(Default)]
pub struct InUse {
    pub(crate) sessions: Uses<SessionId>,
    pub(crate) keys: Uses<ApiKeyId>,
}

/// The same of one kind, each with the moment of its first use since then.
pub(crate) struct Uses<Id>(Mutex<BTreeMap<Id, Timestamp>>);

impl<Id> Default for Uses<Id> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Id: Copy + Ord> Uses<Id> {
    /// Notes that it is used now, unless the last use that is known is less than a minute ago.
    pub(crate) fn note(&self, id: Id, known: Option<Timestamp>, now: Timestamp) {
        if known.is_none_or(|at| now.seconds_since(at) >= NOTED_EVERY) {
            self.lock().entry(id).or_insert(now);
        }
    }

    /// Hands over all that was noted, with the moment at which the first of them was used. Until that is written, all of it
    /// stays noted, also where somebody drops this.
    async fn write<F: Future<Output = Result<(), StoreError>>>(
        &self,
        write: impl FnOnce(Vec<Id>, Timestamp) -> F,
    ) -> Result<(), StoreError> {
        let noted = self.lock().clone();
        let Some(at) = noted.values().min().copied() else { return Ok(()) };
        write(noted.keys().copied().collect(), at).await?;
        self.lock().retain(|id, _| !noted.contains_key(id));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Id, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Services {
    /// Writes which sessions and keys were used, for as long as it is polled.
    pub async fn run_use_keeper(self) {
        loop {
            sleep(EVERY).await;
            self.write_uses().await;
        }
    }

    /// Writes what was gathered until now; what cannot be written is written the next time.
    pub async fn write_uses(&self) {
        let (sessions, keys) = (&self.sessions, &self.api_keys);
        let seen = |ids: Vec<SessionId>, at| async move { sessions.touch_sessions(&ids, at).await };
        if let Err(error) = self.in_use.sessions.write(seen).await {
            tracing::warn!(%error, "when sessions were used last is written later");
        }
        let used = |ids: Vec<ApiKeyId>, at| async move { keys.touch_keys(&ids, at).await };
        if let Err(error) = self.in_use.keys.write(used).await {
            tracing::warn!(%error, "when API keys were used last is written later");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::time::timeout;
    use uuid::Uuid;

    fn id(n: u128) -> SessionId {
        SessionId::new(Uuid::from_u128(n))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    /// What is handed over, where the database does not fail.
    async fn written(uses: &Uses<SessionId>) -> Option<(Vec<SessionId>, Timestamp)> {
        let mut all = None;
        let write = |ids, at| {
            all = Some((ids, at));
            async { Ok(()) }
        };
        uses.write(write).await.unwrap();
        all
    }

    #[tokio::test]
    async fn each_is_written_once_and_none_as_used_later_than_it_was() {
        let uses = Uses::default();
        for (n, seconds) in [(1, 71), (2, 70), (1, 74)] {
            uses.note(id(n), None, at(seconds));
        }
        assert_eq!(written(&uses).await, Some((vec![id(1), id(2)], at(70))));
        assert_eq!(written(&uses).await, None, "nothing is asked of the database where nothing was noted");
    }

    #[tokio::test]
    async fn one_that_was_used_within_the_last_minute_is_not_noted() {
        let uses = Uses::default();
        uses.note(id(1), Some(at(11)), at(70));
        uses.note(id(2), Some(at(10)), at(70));
        uses.note(id(3), None, at(70));
        assert_eq!(written(&uses).await, Some((vec![id(2), id(3)], at(70))));
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_the_next_time() {
        let uses = Uses::default();
        uses.note(id(1), None, at(70));
        let away = |_, _| async { Err(StoreError::backend("the database is away")) };
        uses.write(away).await.unwrap_err();
        uses.note(id(2), None, at(75));
        let stuck = timeout(Duration::ZERO, uses.write(|_, _| pending())).await;
        assert!(stuck.is_err(), "somebody gave it up");
        assert_eq!(written(&uses).await, Some((vec![id(1), id(2)], at(70))));
    }

    #[tokio::test]
    async fn what_is_used_while_others_are_written_is_not_forgotten() {
        let uses = Uses::default();
        uses.note(id(1), None, at(70));
        let meanwhile = |_, _| {
            uses.note(id(2), None, at(71));
            async { Ok(()) }
        };
        uses.write(meanwhile).await.unwrap();
        assert_eq!(written(&uses).await, Some((vec![id(2)], at(71))));
    }
}
