//! A pool of connections in whose place another one can be put, and uses of it that end where a PostgreSQL says nothing any
//! more. A connection that lies idle is asked before it is used (`silence.rs`); what is under way over one cannot be asked
//! beside that, so it hears from the pulse (`pulse.rs`) that there will be no answer. How long an answer takes is no
//! matter as long as the database is there.

use crate::silence::lost;
use futures::{
    StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Any, AnyPool, Either, Execute, Executor, SqlSafeStr, SqlStr, Transaction,
    any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo},
    pool::PoolConnection,
};
use std::{
    mem,
    sync::{PoisonError, RwLock},
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::timeout};

/// How long a connection is waited for.
pub(crate) const WAIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Connections {
    pool: RwLock<AnyPool>,
    /// What began before this moment gets no answer any more.
    lost_before: watch::Sender<Option<Instant>>,
}

impl Connections {
    pub(crate) fn new(pool: AnyPool) -> Self {
        Self { pool: RwLock::new(pool), lost_before: watch::Sender::new(None) }
    }

    /// What is done over it belongs into [`Connections::unless_lost`].
    pub(crate) async fn acquire(&self) -> sqlx::Result<PoolConnection<Any>> {
        let acquired = async {
            loop {
                match self.pool().acquire().await {
                    // Another one took its place meanwhile.
                    Err(sqlx::Error::PoolClosed) if !self.pool().is_closed() => {}
                    acquired => return acquired,
                }
            }
        };
        timeout(WAIT, acquired).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// The same for a transaction, which begins with that statement.
    pub(crate) async fn begin_with(&self, begin: &'static str) -> sqlx::Result<Transaction<'static, Any>> {
        Transaction::<'static, Any>::begin(self.acquire().await?, Some(begin.into_sql_str())).await
    }

    /// Does it, and ends with an error of a connection that is lost where it is told that no answer will come. A lone
    /// statement that is run on these connections themselves needs none.
    pub(crate) async fn unless_lost<T, E: From<sqlx::Error>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let begun = Instant::now();
        let mut told = self.lost_before.subscribe();
        let is_lost = async {
            drop(told.wait_for(|moment| moment.is_some_and(|moment| begun < moment)).await);
        };
        tokio::select! {
            biased;
            done = work => done,
            () = is_lost => Err(lost().into()),
        }
    }

    /// What comes from now on gets new connections. What is under way may come to its end over those that it has; they
    /// are closed then.
    pub(crate) fn begin_anew(&self) {
        let old = {
            let mut pool = self.pool.write().unwrap_or_else(PoisonError::into_inner);
            let to = (*pool.connect_options()).clone();
            let new = pool.options().clone().connect_lazy_with(to);
            mem::replace(&mut *pool, new)
        };
        // Each that does not come back keeps the pool, and what lies idle in it must not wait for that.
        while let Some(idle) = old.try_acquire() {
            drop(idle.detach());
        }
        // The call closes it; nobody has to wait for those that are under way.
        drop(old.close());
    }

    /// What began before that moment and is still under way is given up.
    pub(crate) fn lose(&self, before: Instant) {
        self.lost_before.send_if_modified(|known| {
            let is_news = known.is_none_or(|known| known < before);
            if is_news {
                *known = Some(before);
            }
            is_news
        });
    }

    pub(crate) async fn close(&self) {
        let pool = self.pool();
        pool.close().await;
    }

    fn pool(&self) -> AnyPool {
        self.pool.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// As on a pool: each statement takes a connection for itself. Its rows come all at once; whoever wants a stream of
/// them takes a connection.
impl<'p> Executor<'p> for &'p Connections {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, sqlx::Result<Either<AnyQueryResult, AnyRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let read = self.unless_lost(async move {
            let mut conn = self.acquire().await?;
            let steps = Executor::fetch_many(&mut *conn, query);
            steps.try_collect::<Vec<_>>().await
        });
        let steps = stream::once(read);
        let steps = steps.map_ok(|steps| stream::iter(steps.into_iter().map(Ok::<_, sqlx::Error>)));
        steps.try_flatten().boxed()
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Vec<AnyRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        Box::pin(self.unless_lost(async move {
            let mut conn = self.acquire().await?;
            Executor::fetch_all(&mut *conn, query).await
        }))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        Box::pin(self.unless_lost(async move {
            let mut conn = self.acquire().await?;
            Executor::fetch_optional(&mut *conn, query).await
        }))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<AnyStatement>>
    where
        'p: 'e,
    {
        Box::pin(self.unless_lost(async move {
            let mut conn = self.acquire().await?;
            Executor::prepare_with(&mut *conn, sql, parameters).await
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fault::{Meaning, meaning},
        support::Place,
    };
    use futures::{future::pending, poll};
    use sqlx::any::{AnyPoolOptions, install_default_drivers};
    use std::sync::Arc;
    use tokio::sync::Notify;

    #[tokio::test]
    async fn what_began_before_it_is_lost_with_its_connection_and_what_began_after_it_goes_on() {
        install_default_drivers();
        let place = Place::empty();
        let url = format!("{}?mode=rwc", place.url());
        let pool = AnyPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
        let connections = Arc::new(Connections::new(pool));
        let holds = Arc::new(Notify::new());
        let before = tokio::spawn({
            let (connections, holds) = (connections.clone(), holds.clone());
            async move {
                let work = async {
                    let _only_one = connections.acquire().await?;
                    holds.notify_one();
                    pending::<sqlx::Result<()>>().await
                };
                connections.unless_lost(work).await
            }
        });
        holds.notified().await;
        let asked = Instant::now();
        let mut after = Box::pin(connections.unless_lost(pending::<sqlx::Result<()>>()));
        assert!(poll!(&mut after).is_pending());

        connections.begin_anew();
        connections.lose(asked);
        let error = before.await.unwrap().unwrap_err();
        assert_eq!(meaning(&error), Meaning::Lost, "{error}");
        assert!(poll!(&mut after).is_pending());
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_master").fetch_one(&*connections);
        let tables: i64 = count.await.unwrap();
        assert_eq!(tables, 0, "another one takes its place");
    }

    #[tokio::test]
    async fn what_is_under_way_outlives_new_connections() {
        install_default_drivers();
        let place = Place::empty();
        let url = format!("{}?mode=rwc", place.url());
        let pool = AnyPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
        let connections = Connections::new(pool);
        let count = "SELECT COUNT(*) FROM sqlite_master";
        let mut old = connections.acquire().await.unwrap();
        connections.begin_anew();
        let _new: i64 = sqlx::query_scalar(count).fetch_one(&connections).await.unwrap();
        let _old: i64 = sqlx::query_scalar(count).fetch_one(&mut *old).await.unwrap();
    }
}
