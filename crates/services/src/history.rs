//! Reading histories, and keeping the event log as small as it may be.

use crate::{
    Error, Result, Services,
    ports::{Clock, History, HistoryOf, HistoryQuery, PageQuery},
};
use domain::{HistoryEntry, UserId, resource::Page};
use futures::stream::{self, BoxStream, StreamExt};
use std::{sync::Arc, time::Duration};

/// How long superseded progress stays, in seconds: a day.
const KEPT_SECONDS: i64 = 86_400;
/// Events that are removed at once.
const AT_ONCE: u32 = 500;
/// Between two rounds.
const ROUND: Duration = Duration::from_secs(600);

/// A whole history, page by page.
pub type Pages = BoxStream<'static, Result<Vec<HistoryEntry>>>;

impl Services {
    /// What happened to it.
    ///
    /// # Errors
    /// 404 when it is not there, or not the user's.
    pub async fn history(
        &self,
        user: UserId,
        of: HistoryOf,
        query: HistoryQuery,
    ) -> Result<Page<HistoryEntry>> {
        self.is_there(user, of).await?;
        Ok(self.history.history(user, of, query).await?)
    }

    /// The whole of it, up to now, oldest first. The first page is read before this answers.
    ///
    /// # Errors
    /// 404 when it is not there, or not the user's.
    pub async fn whole_history(&self, user: UserId, of: HistoryOf, transitions: bool) -> Result<Pages> {
        self.is_there(user, of).await?;
        // What happens meanwhile is for the next one: this one has an end.
        let until = self.events.head(user).await?;
        let query =
            move |after| HistoryQuery { limit: PageQuery::MAX, after, newest_first: false, transitions };
        let first = self.history.history(user, of, query(None)).await?;
        let services = self.clone();
        let rest = stream::try_unfold(first.next, move |next| {
            let services = services.clone();
            async move {
                let Some(next) = next else { return Ok::<_, Error>(None) };
                let page = services.history.history(user, of, query(Some(next))).await?;
                let over = page.items.last().is_none_or(|last| last.seq > until);
                Ok(Some((page.items, page.next.filter(|_| !over))))
            }
        });
        let pages = stream::once(async { Ok(first.items) }).chain(rest);
        Ok(pages
            .map(move |page| page.map(|items| items.into_iter().filter(|e| e.seq <= until).collect()))
            .boxed())
    }

    async fn is_there(&self, user: UserId, of: HistoryOf) -> Result<()> {
        match of {
            HistoryOf::Document(id) => self.document(user, id).await.map(drop),
            HistoryOf::Job(id) => self.job(user, id).await.map(drop),
            HistoryOf::Workspace(id) => self.workspace(user, id).await.map(drop),
        }
    }

    /// Removes what is no longer kept, for as long as the future is polled.
    pub async fn run_log_keeper(self) {
        keep_log(self.history, self.clock, ROUND).await;
    }
}

async fn keep_log(history: Arc<dyn History>, clock: Arc<dyn Clock>, round: Duration) {
    let mut every = tokio::time::interval(round);
    loop {
        every.tick().await;
        match forget_events(&*history, &*clock).await {
            Ok(0) => {}
            Ok(removed) => tracing::debug!(removed, "superseded events were removed"),
            Err(error) => tracing::warn!(%error, "superseded events will be removed later"),
        }
    }
}

async fn forget_events(history: &dyn History, clock: &dyn Clock) -> Result<usize> {
    let before = clock.now().plus_seconds(-KEPT_SECONDS);
    let mut removed = 0;
    loop {
        match history.forget_events(before, AT_ONCE).await? {
            0 => return Ok(removed),
            some => removed += some,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::StoreError;
    use async_trait::async_trait;
    use domain::Timestamp;
    use std::{
        result::Result,
        sync::{Mutex, PoisonError},
    };
    use tokio::sync::mpsc;

    /// A log with so much to remove; it tells of each call, and fails at the fourth.
    struct Log {
        left: Mutex<Vec<Result<usize, StoreError>>>,
        calls: mpsc::UnboundedSender<(Timestamp, u32)>,
    }

    #[async_trait]
    impl History for Log {
        async fn history(
            &self,
            _: UserId,
            _: HistoryOf,
            _: HistoryQuery,
        ) -> Result<Page<HistoryEntry>, StoreError> {
            Ok(Page { items: vec![], next: None })
        }

        async fn forget_events(&self, before: Timestamp, limit: u32) -> Result<usize, StoreError> {
            self.calls.send((before, limit)).map_err(StoreError::backend)?;
            self.left.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or(Ok(0))
        }
    }

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(2 * KEPT_SECONDS * 1_000_000)
        }
    }

    #[tokio::test]
    async fn the_log_keeper_removes_all_there_is_round_after_round_and_survives_a_failure() {
        let (calls, mut called) = mpsc::unbounded_channel();
        let away = Err(StoreError::backend("the database is away"));
        // From the last: a full piece, the rest, the end of the first round; a failure; the third round.
        let left = Mutex::new(vec![Ok(3), away, Ok(0), Ok(7), Ok(AT_ONCE as usize)]);
        let log = Arc::new(Log { left, calls });
        let keeping = tokio::spawn(keep_log(log.clone(), Arc::new(Noon), Duration::from_millis(1)));
        let a_day_ago = Timestamp::from_micros(KEPT_SECONDS * 1_000_000);
        for _ in 0..7 {
            assert_eq!(called.recv().await, Some((a_day_ago, AT_ONCE)), "it goes on");
        }
        assert!(log.left.lock().unwrap_or_else(PoisonError::into_inner).is_empty(), "all was removed");
        keeping.abort();
    }
}
