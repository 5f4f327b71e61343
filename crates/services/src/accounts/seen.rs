//! Which sessions were used lately. An open page has its session looked up at every ping, and once a minute it is noted that
//! it is in use. With many pages open such notes would be most of what is written, so they are gathered and go to the database
//! together. What a stop loses of them is some seconds of "last seen": no session ends because nobody uses it.

use crate::{Services, ports::StoreError};
use domain::{SessionId, Timestamp};
use std::{
    collections::BTreeMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

/// How often what was gathered is written.
const EVERY: Duration = Duration::from_secs(5);

/// Sessions whose use is not written yet, and since when.
#[derive(Default)]
pub struct SeenSessions(Mutex<BTreeMap<SessionId, Timestamp>>);

impl SeenSessions {
    pub(super) fn note(&self, id: SessionId, at: Timestamp) {
        self.lock().entry(id).or_insert(at);
    }

    /// Hands over all that was noted, with the moment at which the first of them was used; what could not be written is there
    /// the next time.
    async fn write<F: Future<Output = Result<(), StoreError>>>(
        &self,
        write: impl FnOnce(Vec<SessionId>, Timestamp) -> F,
    ) -> Result<(), StoreError> {
        let noted = mem::take(&mut *self.lock());
        let Some(at) = noted.values().min().copied() else { return Ok(()) };
        let written = write(noted.keys().copied().collect(), at).await;
        if written.is_err() {
            noted.into_iter().for_each(|(id, at)| self.note(id, at));
        }
        written
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SessionId, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Services {
    /// Writes which sessions were used, for as long as it is polled.
    pub async fn run_seen_keeper(self) {
        let sessions = &self.sessions;
        loop {
            sleep(EVERY).await;
            let write = |ids: Vec<SessionId>, at| async move { sessions.touch_sessions(&ids, at).await };
            if let Err(error) = self.seen.write(write).await {
                tracing::warn!(%error, "when sessions were used last is written later");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(n: u128) -> SessionId {
        SessionId::new(Uuid::from_u128(n))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    /// What is handed over, where the database does not fail.
    async fn written(seen: &SeenSessions) -> Option<(Vec<SessionId>, Timestamp)> {
        let mut all = None;
        let write = |ids, at| {
            all = Some((ids, at));
            async { Ok(()) }
        };
        seen.write(write).await.unwrap();
        all
    }

    #[tokio::test]
    async fn each_session_is_written_once_and_none_as_used_later_than_it_was() {
        let seen = SeenSessions::default();
        for (n, seconds) in [(1, 71), (2, 70), (1, 74)] {
            seen.note(id(n), at(seconds));
        }
        assert_eq!(written(&seen).await, Some((vec![id(1), id(2)], at(70))));
        assert_eq!(written(&seen).await, None, "nothing is asked of the database where nothing was noted");
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_the_next_time() {
        let seen = SeenSessions::default();
        seen.note(id(1), at(70));
        let away = |_, _| async { Err(StoreError::backend("the database is away")) };
        seen.write(away).await.unwrap_err();
        seen.note(id(2), at(75));
        assert_eq!(written(&seen).await, Some((vec![id(1), id(2)], at(70))));
    }
}
