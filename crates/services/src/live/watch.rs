//! Where several servers share a database, a session that ends at one of them has streams at others, which no bus tells of
//! it. So each server asks again and again which of those are still there that it has streams of.

use super::Opener;
use crate::{Result, Services};
use domain::{ApiKeyId, SessionId, UserId};
use std::{collections::HashSet, time::Duration};

/// A stream may live a second longer than its session: this leaves time for the answer.
const EVERY: Duration = Duration::from_millis(400);
/// So many are asked for at once.
const AT_ONCE: usize = 200;

impl Services {
    /// Has streams of sessions and keys that ended elsewhere look whether they may go on, for as long as it is polled.
    pub async fn run_end_watch(self) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let open: Vec<(UserId, Opener)> = self.hub.openers().into_iter().collect();
            for some in open.chunks(AT_ONCE) {
                if let Err(error) = self.doubt_the_ended(some).await {
                    tracing::warn!(%error, "whether sessions ended elsewhere could not be asked");
                }
            }
        }
    }

    async fn doubt_the_ended(&self, open: &[(UserId, Opener)]) -> Result<()> {
        let sessions: Vec<SessionId> = open.iter().filter_map(|(_, opener)| opener.session()).collect();
        let keys: Vec<ApiKeyId> = open.iter().filter_map(|(_, opener)| opener.key()).collect();
        let mut left = HashSet::new();
        if !sessions.is_empty() {
            let found = self.sessions.live_among(&sessions, self.clock.now()).await?;
            left.extend(found.into_iter().map(Opener::Session));
        }
        if !keys.is_empty() {
            let found = self.api_keys.left_among(&keys).await?;
            left.extend(found.into_iter().map(Opener::Key));
        }
        for (user, ended) in open.iter().filter(|(_, opener)| !left.contains(opener)) {
            self.hub.doubt(*user, |opener| opener == *ended);
        }
        Ok(())
    }
}
