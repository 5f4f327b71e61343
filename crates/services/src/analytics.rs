//! The figures of a workspace, out of its history.

use crate::{
    Result, Services,
    ports::{HistoryOf, HistoryQuery, PageQuery},
};
use domain::{Analytics, UserId, WorkspaceId, analytics::Gathering};

/// Days that are looked at when nobody says otherwise.
pub const DAYS: u32 = 30;
/// And at most.
pub const MOST_DAYS: u32 = 90;
/// No more events than these are read for one answer, newest first.
const MOST_EVENTS: usize = 20_000;

impl Services {
    /// How the documents of the last `days` days went.
    ///
    /// # Errors
    /// 404 when the workspace is not there, or not the user's.
    pub async fn analytics(&self, user: UserId, workspace: WorkspaceId, days: u32) -> Result<Analytics> {
        self.workspace(user, workspace).await?;
        let mut all = Gathering::new(self.clock.now(), days.min(MOST_DAYS));
        let since = all.since();
        let (mut after, mut taken) = (None, 0);
        loop {
            let query = HistoryQuery { limit: PageQuery::MAX, after, newest_first: true, transitions: true };
            let page = self.history.history(user, HistoryOf::Workspace(workspace), query).await?;
            taken += page.items.len();
            page.items.iter().for_each(|entry| all.take(entry));
            let is_older = page.items.last().is_none_or(|last| last.at < since);
            match page.next {
                Some(_) if taken >= MOST_EVENTS && !is_older => return Ok(all.done(true)),
                Some(next) if !is_older => after = Some(next),
                _ => return Ok(all.done(false)),
            }
        }
    }
}
