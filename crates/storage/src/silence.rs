//! A PostgreSQL that says nothing any more, while nobody says that the connection is broken: after a fail-over the old address
//! swallows everything, and so does a firewall that forgot the connection. The kernel gives such a connection up after about
//! 15 minutes; here it is taken for lost much sooner.

use crate::engine::Engine;
use sqlx::{AnyConnection, Connection};
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// How long a writing transaction waits for each of its steps. Longer than PostgreSQL lets a transaction idle
/// (`idle_in_transaction_session_timeout`, in [`crate::open`]): so a step that waits for the locks of a transaction whose
/// server is gone gets them, and what this one leaves behind holds none when it is tried again. Shorter than the writer's
/// patience with a batch, so that there is time for another try.
pub(crate) const STEP: Duration = Duration::from_secs(12);
/// The same for one that is tried again over a new connection: if that takes as long, there is as much to do.
pub(crate) const LONG_STEP: Duration = Duration::from_secs(120);
/// How long a connection that lay idle may take to say that it is there.
const HELLO: Duration = Duration::from_secs(3);

/// The answer, or an error of a connection that is lost where none comes in time; the connection is then of no use any
/// more. A file never is silent.
pub(crate) async fn answered<T, E: From<sqlx::Error>>(
    engine: Engine,
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    answered_within(engine, STEP, step).await
}

/// The same for a step of many statements, or one that waits for others.
pub(crate) async fn answered_within<T, E: From<sqlx::Error>>(
    engine: Engine,
    limit: Duration,
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match engine {
        Engine::Sqlite => step.await,
        Engine::Postgres => timeout(limit, step).await.unwrap_or_else(|_| Err(lost().into())),
    }
}

pub(crate) fn lost() -> sqlx::Error {
    sqlx::Error::Io(io::ErrorKind::TimedOut.into())
}

/// When a pool last asked a connection that did not answer. All that are as old are taken to be of the same kind: each of
/// them would cost somebody the same wait.
#[derive(Clone, Default)]
pub(crate) struct Silence(Arc<Mutex<Option<Instant>>>);

impl Silence {
    /// Asks a connection of that age whether it is there. An error is reason to give it up.
    pub(crate) async fn ask(&self, conn: &mut AnyConnection, age: Duration) -> sqlx::Result<()> {
        let asked = Instant::now();
        if self.is_of_before(asked.checked_sub(age)) {
            return Err(lost());
        }
        if let Ok(answer) = timeout(HELLO, conn.ping()).await {
            return answer;
        }
        *self.last() = Some(asked);
        Err(lost())
    }

    /// Whether what was made then was there already when one did not answer.
    fn is_of_before(&self, made: Option<Instant>) -> bool {
        self.last().is_some_and(|silent| made.is_none_or(|made| made < silent))
    }

    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_connection_takes_those_along_that_are_as_old_and_no_others() {
        let silence = Silence::default();
        let asked = Instant::now() + Duration::from_secs(60);
        let second = Duration::from_secs(1);
        assert!(!silence.is_of_before(Some(asked - second)), "none was silent yet");
        *silence.last() = Some(asked);
        assert!(silence.is_of_before(Some(asked - second)));
        assert!(silence.is_of_before(None), "older than the clock");
        assert!(!silence.is_of_before(Some(asked + second)));
    }
}
