//! Reading histories, and keeping the event log as small as it may be.

use crate::{
    Error, Result, Services,
    ports::{HistoryOf, HistoryQuery, PageQuery},
};
use domain::{HistoryEntry, UserId, resource::Page};
use futures::stream::{self, BoxStream, StreamExt};
use std::time::Duration;

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
        let mut every = tokio::time::interval(ROUND);
        loop {
            every.tick().await;
            match self.forget_events().await {
                Ok(0) => {}
                Ok(removed) => tracing::debug!(removed, "superseded events were removed"),
                Err(error) => tracing::warn!(%error, "superseded events will be removed later"),
            }
        }
    }

    async fn forget_events(&self) -> Result<usize> {
        let before = self.clock.now().plus_seconds(-KEPT_SECONDS);
        let mut removed = 0;
        loop {
            match self.history.forget_events(before, AT_ONCE).await? {
                0 => return Ok(removed),
                some => removed += some,
            }
        }
    }
}
