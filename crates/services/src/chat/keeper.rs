//! Looking after turns: the leases of those that this server works on, the end of those whose server has died, and
//! forgetting what turns of yesterday told on their way.

use super::desk::{LEASE_SECONDS, Wish};
use crate::Services;
use domain::chat::{EVENTS_KEPT_SECONDS, TurnChange, TurnError};
use std::time::Duration;

/// A third of a lease.
const BEAT: Duration = Duration::from_secs(3);
/// Turns that are ended, or forgotten, in one go.
const AT_ONCE: u32 = 100;

impl Services {
    /// Marks every turn as interrupted that an earlier run of the one server on its database left behind; answers how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_turns_of_before(&self) -> crate::Result<u64> {
        self.chats.void_turn_leases().await?;
        let mut ended = 0;
        loop {
            match self.end_abandoned_turns().await? {
                0 => return Ok(ended),
                some => ended += some,
            }
        }
    }

    /// Looks for as long as the future is polled.
    pub async fn run_turn_keeper(self) {
        let mut every = tokio::time::interval(BEAT);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            if let Err(error) = self.keep_turns().await {
                tracing::warn!(%error, "turns will be looked after later");
            }
        }
    }

    async fn keep_turns(&self) -> crate::Result<()> {
        let mine = self.turns.all();
        if !mine.is_empty() {
            let held = self.chats.beat_turns(&self.turns.owner, &mine, LEASE_SECONDS).await?;
            for id in mine.into_iter().filter(|id| !held.contains(id)) {
                // Stopped at another server, or deleted. One that came to its end meanwhile is not there any more.
                if let Some(running) = self.turns.get(id) {
                    running.wish(Wish::LetGo);
                }
            }
        }
        let before = self.clock.now().plus_seconds(-EVENTS_KEPT_SECONDS);
        self.chats.forget_turn_events(before, AT_ONCE).await?;
        let ended = self.end_abandoned_turns().await?;
        if ended > 0 {
            tracing::warn!(turns = ended, "turns whose server has died were marked as interrupted");
        }
        Ok(())
    }

    async fn end_abandoned_turns(&self) -> crate::Result<u64> {
        let (mut ended, mut failed) = (0, None);
        for (user, id) in self.chats.abandoned_turns(AT_ONCE).await? {
            let ending = TurnChange::Fail(TurnError::interrupted());
            match self.chats.end_turn(user, id, ending, self.clock.now()).await {
                Ok(_) => ended += 1,
                Err(crate::ports::StoreError::NotFound) => {}
                // The others have waited as long.
                Err(error) => {
                    tracing::warn!(turn_id = %id, %error, "a turn whose server has died could not be ended");
                    failed = Some(error);
                }
            }
        }
        match failed {
            Some(error) if ended == 0 => Err(error.into()),
            _ => Ok(ended),
        }
    }
}
