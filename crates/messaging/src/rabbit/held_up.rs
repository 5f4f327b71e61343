//! A broker that is short of memory or disk takes nothing from those who publish, says so to them, and says when that is over.
//! The connection stays meanwhile: another one would be held up as well, and what came over this one would be delivered anew.

use super::{House, LOOK, Lost, RabbitBus, lock};
use futures::StreamExt;
use lapin::Connection;
use services::ports::Signal;
use std::{convert::Infallible, pin::pin, sync::atomic::Ordering, time::Duration};
use tokio::time::timeout;

impl RabbitBus {
    pub(super) fn is_held_up(&self) -> bool {
        self.held_up.load(Ordering::SeqCst)
    }

    /// What the broker answers, for which it has so long; one that said that it takes nothing has longer. That the line is dead
    /// the heartbeat finds then.
    pub(super) async fn answered<T>(
        &self,
        limit: Duration,
        asked: impl Future<Output = Result<T, Lost>>,
    ) -> Result<T, Lost> {
        let mut asked = pin!(asked);
        loop {
            let was_held_up = self.is_held_up();
            match timeout(limit, asked.as_mut()).await {
                Ok(answer) => return answer,
                // Also where it has only just begun with what waits.
                Err(_) if was_held_up || self.is_held_up() => {}
                Err(_) => return Err(Lost::Silent),
            }
        }
    }

    /// Tells when the broker takes nothing, and when it does again, for as long as the connection holds.
    pub(super) async fn watch(&self, connection: &Connection, house: &House) -> Result<Infallible, Lost> {
        let mut events = pin!(connection.events_listener());
        loop {
            let is_held_up = connection.status().blocked();
            match (self.is_held_up(), is_held_up) {
                (false, true) => self.begin_to_wait(house),
                (true, false) => {
                    self.held_up.store(false, Ordering::SeqCst);
                    let since = self.came_up(house);
                    tracing::info!(
                        down_since = since.map(|at| at.to_string()),
                        "the broker takes messages again"
                    );
                }
                _ => {}
            }
            // What others cannot tell meanwhile, everybody who listens finds in the database.
            let next = if is_held_up { timeout(LOOK, events.next()).await } else { Ok(events.next().await) };
            match next {
                Ok(Some(_)) => {}
                Ok(None) => return Err(Lost::Cancelled),
                Err(_) => {
                    let _ = self.local.send(Signal::Missed);
                }
            }
        }
    }

    fn begin_to_wait(&self, house: &House) {
        self.held_up.store(true, Ordering::SeqCst);
        metrics::gauge!("insighthub_broker_up").set(0.0);
        let mut health = lock(&self.health);
        health.up = false;
        health.since = Some(house.clock.now());
        health.why = "it takes nothing, since it is short of memory or disk".to_owned();
        drop(health);
        tracing::warn!(
            "the broker takes nothing, being short of memory or disk: other servers hear of changes later"
        );
    }
}
