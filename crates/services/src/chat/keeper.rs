//! Looking after turns: the leases of those that this server works on, the end of those whose server has died, and
//! forgetting what turns of yesterday told on their way.

use super::desk::{LEASE_SECONDS, Wish};
use crate::{
    Services,
    ports::{LoggedEvent, Signal},
};
use domain::{
    Event,
    chat::{ConversationChange, EVENTS_KEPT_SECONDS, TurnChange, TurnError},
    event::ConversationChanged,
};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

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
        tokio::join!(self.clone().hear_of_ends(), self.keep_every_beat());
    }

    async fn keep_every_beat(self) {
        let mut every = tokio::time::interval(BEAT);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            if let Err(error) = self.keep_turns().await {
                tracing::warn!(%error, "turns will be looked after later");
            }
        }
    }

    /// Lets go at once of what was ended at another server, where the bus tells of it; else the next beat finds it.
    async fn hear_of_ends(self) {
        let mut bus = self.bus.subscribe();
        loop {
            match bus.recv().await {
                Ok(Signal::Event(event)) if event.name == "conversation_changed" => self.hear(&event),
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn hear(&self, event: &LoggedEvent) {
        let Some(Event::ConversationChanged(ConversationChanged { turn_id, status, .. })) = event.event()
        else {
            return;
        };
        // Of one that came to its end here nothing is written any more, so that one is not disturbed.
        let is_over = matches!(
            status,
            ConversationChange::Completed | ConversationChange::Failed | ConversationChange::Stopped
        );
        if let Some(running) = turn_id.filter(|_| is_over).and_then(|id| self.turns.get(id)) {
            running.wish(Wish::LetGo);
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
