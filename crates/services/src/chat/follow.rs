//! Following a turn from a place in what it told: without a gap and without a double, whether it is worked on here, on
//! another server, or has ended; also after a cut, a reload and a restart.

use super::desk::{Running, Told};
use crate::{Error, Result, Services};
use domain::{
    TurnId, UserId,
    chat::{Turn, message::TurnMessage},
};
use std::{sync::Arc, time::Duration};

/// So often a turn that another server works on is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Events that are read at once.
const AT_ONCE: u32 = 500;

/// A message of the stream with its id.
#[derive(Clone, Debug)]
pub struct Followed {
    pub id: u64,
    pub message: TurnMessage,
}

/// Somebody who follows a turn.
pub struct Following {
    services: Services,
    user: UserId,
    turn: TurnId,
    after: u64,
    local: Option<Arc<Running>>,
    is_over: bool,
    /// Passages that the turn has found.
    sources: usize,
}

impl Services {
    /// Follows a turn of the user, from behind the message with the id `after` on (0: from its beginning).
    ///
    /// # Errors
    /// `NotFound` also when it is somebody else's.
    pub async fn follow_turn(&self, user: UserId, turn: TurnId, after: u64) -> Result<Following> {
        let found = self.chats.turn(user, turn).await?.ok_or(Error::NotFound("turn"))?;
        // Whoever has the last message already waits for nothing.
        let is_over = found.status.is_final() && after >= found.last_event;
        // No message has had a higher id; whoever names one would wait for ever.
        let after = after.min(found.last_event);
        let (services, local, sources) = (self.clone(), self.turns.get(turn), found.sources.len());
        Ok(Following { services, user, turn, after, local, is_over, sources })
    }
}

impl Following {
    /// Whether the last message was handed out, or had been before.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// An answer of which the end is still to come as HTML that is safe to show; `[n]` leads to `#{anchor}-{n}`.
    pub fn html_so_far(&self, answer: &str, anchor: &str) -> String {
        self.services.answerer.html(without_underline(answer), self.sources, anchor)
    }

    /// The next messages; waits for them. None at the end.
    ///
    /// # Errors
    /// `NotFound` when the turn was deleted meanwhile.
    pub async fn next(&mut self) -> Result<Vec<Followed>> {
        while !self.is_over {
            let told = match self.local.clone() {
                Some(running) => self.of_this_server(&running).await,
                None => self.of_the_store().await?,
            };
            if !told.is_empty() {
                return Ok(told);
            }
        }
        Ok(vec![])
    }

    async fn of_this_server(&mut self, running: &Running) -> Vec<Followed> {
        // Listened to first, looked at then: what comes in between is noticed.
        let mut news = running.news();
        if *news.borrow_and_update() == Told::Lost {
            self.local = None;
            return vec![];
        }
        let (turn, events) = running.after(self.after);
        self.sources = turn.sources.len();
        if events.is_empty() {
            // It is held here, so its sender lives.
            drop(news.changed().await);
            return vec![];
        }
        let told =
            events.iter().map(|event| Followed { id: event.id, message: TurnMessage::new(&turn, event) });
        let told = told.collect();
        self.handed_out(events.last().map(|e| (e.id, e.said.is_last())));
        told
    }

    async fn of_the_store(&mut self) -> Result<Vec<Followed>> {
        let events = self.services.chats.turn_events(self.user, self.turn, self.after, AT_ONCE).await?;
        // Read after them: of the last event the turn is needed as it is then.
        let turn = self.services.chats.turn_without_text(self.user, self.turn).await?;
        let turn = turn.ok_or(Error::NotFound("turn"))?;
        self.sources = turn.sources.len();
        if let Some(last) = events.last() {
            let told =
                events.iter().map(|e| Followed { id: e.id, message: TurnMessage::new(&turn, e) }).collect();
            self.handed_out(Some((last.id, last.said.is_last())));
            return Ok(told);
        }
        if turn.status.is_final() {
            return self.forgotten(turn).await;
        }
        self.local = self.services.turns.get(self.turn);
        if self.local.is_none() {
            tokio::time::sleep(LOOK).await;
        }
        Ok(vec![])
    }

    /// Of a turn that ended long ago only the last message is left, which has the whole answer.
    async fn forgotten(&mut self, turn: Turn) -> Result<Vec<Followed>> {
        // It may have ended between the two looks; then its events are there now.
        let again = self.services.chats.turn_events(self.user, self.turn, self.after, 1).await?;
        if !again.is_empty() {
            return Ok(vec![]);
        }
        self.is_over = true;
        if self.after >= turn.last_event {
            return Ok(vec![]);
        }
        Ok(vec![Followed { id: turn.last_event, message: TurnMessage::last(&turn) }])
    }

    fn handed_out(&mut self, last: Option<(u64, bool)>) {
        if let Some((id, is_last)) = last {
            self.after = id;
            self.is_over = is_last;
        }
    }
}

/// Without a last line of hyphens or equals signs: what may become a list or a table would be a heading for a moment.
fn without_underline(answer: &str) -> &str {
    let (above, last) = answer.rsplit_once('\n').unwrap_or(("", answer));
    let is_underline = !last.is_empty() && last.chars().all(|c| matches!(c, '-' | '=' | ' '));
    if is_underline { above } else { answer }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_makes_a_heading_of_the_one_above_waits_for_its_end() {
        for (so_far, shown) in [
            ("The quays:\n-", "The quays:"),
            ("The quays:\n- ", "The quays:"),
            ("The quays:\n- north", "The quays:\n- north"),
            ("a\n===", "a"),
            ("-", ""),
            ("a - b", "a - b"),
            ("a\n", "a\n"),
            ("", ""),
        ] {
            assert_eq!(without_underline(so_far), shown, "{so_far:?}");
        }
    }
}
