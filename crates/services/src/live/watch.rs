//! What streams have to learn from the database, because no bus told of it. Where several servers share one, a session that
//! ends at one of them, or gets a new token there, has streams at others, so each server asks again and again which of those
//! are still there that it has streams of, and with which token; and a bus may miss events, or be none that reaches the
//! others, so the log is looked into for all at once.

use super::{Hub, Opener, RENEWAL_TAKES};
use crate::{Result, Services, ports::LiveSession};
use domain::{ApiKeyId, SessionId, UserId};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// A stream may live a second longer than its session: this leaves time for the answer.
const EVERY: Duration = Duration::from_millis(400);
/// So many are asked for at once.
const AT_ONCE: usize = 200;
/// The shortest pause between two looks into the log.
const PAUSE: Duration = Duration::from_millis(100);
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// For looks into the log there is at most one part in so many of the time of one connection.
const SHARE: u32 = 4;

impl Services {
    /// Has streams of sessions and keys that ended elsewhere, and those of old tokens, look whether they may go on, for as long
    /// as it is polled.
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
        let (mut left, mut renewed) = (HashSet::new(), HashMap::new());
        if !sessions.is_empty() {
            for session in self.sessions.live_among(&sessions, self.clock.now()).await? {
                left.insert(Opener::Session(session.id));
                if let Some(ago) = session.renewed_ago {
                    renewed.insert(Opener::Session(session.id), (ago, session));
                }
            }
        }
        if !keys.is_empty() {
            let found = self.api_keys.left_among(&keys).await?;
            left.extend(found.into_iter().map(Opener::Key));
        }
        for (user, ended) in open.iter().filter(|(_, opener)| !left.contains(opener)) {
            self.hub.doubt(*user, |opener| opener == *ended);
        }
        for (user, opener) in open {
            if let Some((ago, session)) = renewed.remove(opener) {
                self.doubt_older(*user, session, ago);
            }
        }
        Ok(())
    }

    /// Has streams of an older token look whether they may go on, as soon as the browser has its new one.
    fn doubt_older(&self, user: UserId, session: LiveSession, renewed_ago: Duration) {
        let left = RENEWAL_TAKES.saturating_sub(renewed_ago);
        if left.is_zero() {
            self.hub.doubt_older(user, &session);
            return;
        }
        let hub = self.hub.clone();
        tokio::spawn(async move {
            sleep(left).await;
            hub.doubt_older(user, &session);
        });
    }
}

impl Hub {
    /// Looks into the log as often as that, for as long as it is polled. Without a bus that reaches other servers this is how
    /// their events are heard of; with one, whatever it lost without a word comes by it.
    pub async fn look_every(self: Arc<Self>, period: Duration) {
        loop {
            sleep(period).await;
            self.missed.notify_one();
        }
    }

    /// Whenever something may have been missed, reads the log for those who watch and are behind it. However many these are,
    /// the database is asked for a few of them at a time, and has a pause after it.
    pub(super) async fn look_for_missed(self: Arc<Self>) {
        loop {
            self.missed.notified().await;
            let begun = Instant::now();
            let mut pause = None;
            for some in self.carried().chunks(AT_ONCE) {
                match self.log.ahead_of(some).await {
                    Ok(behind) => behind.into_iter().for_each(|user| self.catch_up(user)),
                    Err(error) => {
                        tracing::warn!(%error, "whether events were missed cannot be asked; trying again");
                        self.missed.notify_one();
                        // However long it took to be refused: it is not the database's time.
                        pause = Some(AFTER_ERROR);
                        break;
                    }
                }
            }
            sleep(pause.unwrap_or_else(|| PAUSE.max(begun.elapsed() * (SHARE - 1)))).await;
        }
    }
}
