//! From the event log to the broker. The event row is the outbox: nothing is handed to the relay but the hint that a user
//! has something new. It takes users from the log by lease, publishes all that it took, waits for the confirms together,
//! and only then notes how far it came. Killed in between, another relay sends the same again; one without a hint, or
//! whose node died, is found by a look into the database.

use super::{CONFIRM, House, LAST_WORDS, Lost, RabbitBus, body, message_id, names, pending::Pending};
use domain::{DocumentStatus, Event, Timestamp, UserId};
use lapin::{
    BasicProperties, Channel, Confirmation, PublisherConfirm,
    options::BasicPublishOptions,
    types::{AMQPValue, FieldTable},
};
use services::ports::{LoggedEvent, Signal, Unsent, Untold};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Users, and events of them all, that are taken at once.
const USERS: usize = 256;
const EVENTS: u32 = 512;
/// A relay that says nothing for so long is dead, and another one may send what it had; longer than a confirm may take, so
/// that nobody sends beside it.
const LEASE: Duration = Duration::from_secs(10);
/// How often a look into the database finds what nobody told of; where there are so many users that a look takes long, it
/// comes so much less often that the looks together take no more than this part of the time.
const LOOK: Duration = Duration::from_secs(2);
const SHARE: u32 = 50;
/// First and last pause before a user is asked for again whom another relay has.
const FIRST_TURN: Duration = Duration::from_millis(4);
const LAST_TURN: Duration = Duration::from_millis(500);
/// So often is asked; after that the look into the database does it.
const TURNS: u32 = 30;
/// What is older is history, and of no use to whoever hears of it now.
const STALE_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// So often is an event sent that the broker refuses, as it does when a queue of somebody else's is full; then the others
/// go on without it, since one that nobody takes must not hold up all that follow.
const REFUSALS: u32 = 5;
/// The pause between two of these tries.
const REFUSED_TURN: Duration = Duration::from_secs(1);
/// How soon it is noticed that the broker takes something again.
const HELD_UP: Duration = Duration::from_millis(100);

/// What a relay keeps in mind between two helpings.
#[derive(Default)]
struct Mind {
    /// Users whom another relay has: when they are asked for again, how often they were, and what was told of them here.
    deferred: BTreeMap<UserId, (Instant, u32, u64)>,
    /// The first event of a user that the broker refused, and how often.
    refused: BTreeMap<UserId, (u64, u32)>,
}

impl RabbitBus {
    /// Sends for as long as the connection holds. Ends well when the server stops and nothing is left to be sent.
    pub(super) async fn relay(
        &self,
        channel: &Channel,
        house: &House,
        stopping: &CancellationToken,
    ) -> Result<(), Lost> {
        let mut mind = Mind::default();
        let mut next_look = Instant::now();
        let mut last_words: Option<Instant> = None;
        loop {
            if self.is_held_up() {
                // Whatever was taken now would only wait with it. Another server sends it, or this one at its next start.
                if stopping.is_cancelled() {
                    return Ok(());
                }
                metrics::gauge!("insighthub_relay_waiting_users").set(self.pending.len() as f64);
                stopping.run_until_cancelled(sleep(HELD_UP)).await;
                continue;
            }
            self.bring_back(&mind);
            if self.pending.must_look() || next_look <= Instant::now() {
                let begun = Instant::now();
                self.look_for_left(house).await;
                next_look = begun + LOOK.max(begun.elapsed() * SHARE);
            }
            let users = self.pending.take(USERS);
            metrics::gauge!("insighthub_relay_waiting_users").set((self.pending.len() + users.len()) as f64);
            if stopping.is_cancelled() {
                let until = *last_words.get_or_insert_with(|| Instant::now() + LAST_WORDS);
                if (users.is_empty() && mind.deferred.is_empty()) || Instant::now() >= until {
                    return Ok(());
                }
            }
            if users.is_empty() {
                let soonest = mind.deferred.values().map(|(at, ..)| *at).min();
                let soonest = soonest.unwrap_or(next_look).min(next_look);
                tokio::select! {
                    () = self.pending.added() => {}
                    () = tokio::time::sleep_until(soonest) => {}
                    () = stopping.cancelled(), if last_words.is_none() => {}
                }
                continue;
            }
            self.send(channel, house, users, &mut mind).await?;
        }
    }

    async fn send(
        &self,
        channel: &Channel,
        house: &House,
        users: BTreeMap<UserId, u64>,
        mind: &mut Mind,
    ) -> Result<(), Lost> {
        let ids: Vec<UserId> = users.keys().copied().collect();
        // Whatever ends this, also the end of the connection in the middle of it: they come back.
        let mut held = Held { pending: &self.pending, users };
        let taken = match house.outbox.take_unsent(&self.options.node, &ids, LEASE, EVENTS).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(%error, "the outbox cannot be read; trying again");
                sleep(FIRST_TURN * 50).await;
                return Ok(());
            }
        };
        for user in ids {
            if taken.iter().any(|unsent| unsent.user_id == user) {
                mind.deferred.remove(&user);
            } else if let Some(told) = held.users.remove(&user) {
                mind.defer(user, told);
            }
        }
        let sending = self.publish_all(channel, house, &held.users, &taken);
        let outcome = self.answered(CONFIRM, sending).await;
        let sent: Vec<(UserId, u64)> = match &outcome {
            Ok(refused) => taken.iter().map(|unsent| (unsent.user_id, mind.came(unsent, refused))).collect(),
            // Nobody knows what of it arrived. Let go, so that another relay does not wait for the lease.
            Err(_) => taken.iter().map(|unsent| (unsent.user_id, before(unsent))).collect(),
        };
        if let Err(error) = house.outbox.settle_sent(&self.options.node, &sent).await {
            tracing::warn!(%error, "what was sent could not be noted; it will be sent again");
            return outcome.map(drop);
        }
        let refused = outcome?;
        for unsent in &taken {
            let user = unsent.user_id;
            if refused.contains_key(&user) {
                if let Some(told) = held.users.remove(&user) {
                    mind.deferred.insert(user, (Instant::now() + REFUSED_TURN, 0, told));
                }
            } else if !unsent.more {
                held.users.remove(&user);
            }
        }
        Ok(())
    }

    /// Publishes everything, then waits for all confirms. Answers the first event of each user that was refused.
    async fn publish_all(
        &self,
        channel: &Channel,
        house: &House,
        told: &BTreeMap<UserId, u64>,
        taken: &[Unsent],
    ) -> Result<BTreeMap<UserId, u64>, Lost> {
        let (now, begun) = (house.clock.now(), Instant::now());
        let mut confirms = vec![];
        for unsent in taken {
            let told = told.get(&unsent.user_id).copied().unwrap_or(0);
            for event in &unsent.events {
                if event.seq > told {
                    // Another node's, which died or whose turn this one took: nobody told the listeners here.
                    let _ = self.local.send(Signal::Event(Arc::new(event.clone())));
                }
                if now.micros() - event.at.micros() <= STALE_MICROS {
                    self.publish_one(channel, event, &mut confirms).await?;
                }
            }
        }
        let mut refused: BTreeMap<UserId, u64> = BTreeMap::new();
        for Sent { user_id, seq, at, upload, confirm } in confirms {
            match confirm.await? {
                Confirmation::Ack(None) | Confirmation::NotRequested => tell_latency(house, at),
                // No outside worker has a queue for it, or none that takes it: they are told later.
                Confirmation::Ack(Some(_)) => self.owed.set(Untold::Waiting),
                Confirmation::Nack(_) if upload => self.owed.set(Untold::Waiting),
                Confirmation::Nack(_) => {
                    let first = refused.entry(user_id).or_insert(seq);
                    *first = seq.min(*first);
                }
            }
        }
        metrics::histogram!("insighthub_broker_confirm_seconds").record(begun.elapsed());
        Ok(refused)
    }

    async fn publish_one(
        &self,
        channel: &Channel,
        event: &LoggedEvent,
        confirms: &mut Vec<Sent>,
    ) -> Result<(), Lost> {
        let Some(key) = names::key_of(event.name) else { return Ok(()) };
        let id = message_id(event.user_id, event.seq);
        let (exchange, body) = (self.names.exchange.clone().into(), body::of_event(event));
        let (options, properties) =
            (BasicPublishOptions::default(), self.properties(id.clone(), &event.told_name()));
        let confirm = channel.basic_publish(exchange, key.into(), options, &body, properties).await?;
        let mut sent = vec![(key, false, confirm)];
        // Whoever processes documents of his own hears of each that waits, also of one that is tried again.
        if event.name == "document_status"
            && let Some(Event::DocumentStatus(document)) = event.event()
            && document.status == DocumentStatus::Pending
        {
            let confirm = self.publish_upload(channel, &document, id).await?;
            sent.push((names::DOCUMENT_UPLOADED, true, confirm));
        }
        for (key, upload, confirm) in sent {
            metrics::counter!("insighthub_broker_published_total", "key" => key).increment(1);
            let (user_id, seq, at) = (event.user_id, event.seq, event.at);
            confirms.push(Sent { user_id, seq, at, upload, confirm });
        }
        Ok(())
    }

    /// What every message of ours says of itself. Persistent.
    pub(super) fn properties(&self, message_id: String, kind: &str) -> BasicProperties {
        let mut headers = FieldTable::default();
        if let Some(log) = self.log.get() {
            headers.insert(names::LOG.into(), AMQPValue::LongString(log.as_str().into()));
        }
        BasicProperties::default()
            .with_headers(headers)
            .with_delivery_mode(2)
            .with_content_type("application/json".into())
            .with_app_id(self.options.node.as_str().into())
            .with_message_id(message_id.into())
            .with_type(kind.into())
    }

    async fn look_for_left(&self, house: &House) {
        match house.outbox.left_unsent(EVENTS).await {
            Ok(left) => left.into_iter().for_each(|user| self.pending.add(user, 0)),
            Err(error) => tracing::warn!(%error, "what is left to be sent will be looked for later"),
        }
    }

    fn bring_back(&self, mind: &Mind) {
        let now = Instant::now();
        for (user, (at, _, told)) in &mind.deferred {
            if *at <= now {
                self.pending.add(*user, *told);
            }
        }
    }
}

/// Users whom this relay has taken from those that wait. When it lets go of them, those that are still in here wait again.
struct Held<'a> {
    pending: &'a Pending,
    users: BTreeMap<UserId, u64>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        for (user, told) in &self.users {
            self.pending.add(*user, *told);
        }
    }
}

impl Mind {
    /// Asks for the user again a little later, and after many times leaves it to the look into the database.
    fn defer(&mut self, user: UserId, told: u64) {
        let (_, turns, known) = self.deferred.get(&user).copied().unwrap_or((Instant::now(), 0, 0));
        if turns >= TURNS {
            self.deferred.remove(&user);
            return;
        }
        let pause = FIRST_TURN.saturating_mul(1 << turns.min(10)).min(LAST_TURN);
        self.deferred.insert(user, (Instant::now() + pause, turns + 1, told.max(known)));
    }

    /// How far the user came, when the broker refused what is in there.
    fn came(&mut self, unsent: &Unsent, refused: &BTreeMap<UserId, u64>) -> u64 {
        let user = unsent.user_id;
        let Some(first) = refused.get(&user).copied() else {
            self.refused.remove(&user);
            return unsent.upto;
        };
        let (seq, times) = self.refused.entry(user).or_insert((first, 0));
        if *seq != first {
            (*seq, *times) = (first, 0);
        }
        *times += 1;
        if *times < REFUSALS {
            tracing::warn!(user_id = %user, seq = first, "the broker refused an event; trying again");
            return first - 1;
        }
        self.refused.remove(&user);
        tracing::error!(user_id = %user, seq = first, "the broker refuses an event; it is passed over, and stands in the log");
        metrics::counter!("insighthub_relay_passed_over_total").increment(1);
        first
    }
}

struct Sent {
    user_id: UserId,
    seq: u64,
    at: Timestamp,
    /// It is for outside workers alone.
    upload: bool,
    confirm: PublisherConfirm,
}

/// How far the user had come before this helping.
fn before(unsent: &Unsent) -> u64 {
    unsent.events.first().map_or(unsent.upto, |event| event.seq - 1)
}

fn tell_latency(house: &House, at: Timestamp) {
    let micros = house.clock.now().micros().saturating_sub(at.micros()).max(0);
    metrics::histogram!("insighthub_relay_seconds").record(micros as f64 / 1e6);
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn unsent(upto: u64) -> Unsent {
        Unsent { user_id: UserId::new(Uuid::from_u128(1)), events: vec![], upto, more: false }
    }

    #[test]
    fn an_event_that_is_refused_again_and_again_does_not_hold_up_those_behind_it() {
        let mut mind = Mind::default();
        let refused = BTreeMap::from([(unsent(9).user_id, 4)]);
        let came: Vec<u64> = (0..REFUSALS).map(|_| mind.came(&unsent(9), &refused)).collect();
        assert_eq!(came, [3, 3, 3, 3, 4], "it is passed over, and no other one");
        assert_eq!(mind.came(&unsent(9), &BTreeMap::new()), 9);
    }

    #[test]
    fn another_event_that_is_refused_is_tried_as_often() {
        let mut mind = Mind::default();
        let user = unsent(9).user_id;
        for seq in [4, 4, 6, 6, 6, 6] {
            assert_eq!(mind.came(&unsent(9), &BTreeMap::from([(user, seq)])), seq - 1);
        }
        assert_eq!(mind.came(&unsent(9), &BTreeMap::from([(user, 6)])), 6);
    }

    #[tokio::test]
    async fn users_of_another_relay_are_asked_for_less_and_less_often_and_then_left() {
        let mut mind = Mind::default();
        let user = unsent(0).user_id;
        let (mut least, mut most) = (vec![], vec![]);
        for told in 0..TURNS {
            let before = Instant::now();
            mind.defer(user, u64::from(told));
            let (at, _, known) = mind.deferred[&user];
            assert_eq!(known, u64::from(told));
            // The pause lies between the two, however long this process was kept from going on.
            least.push(at.saturating_duration_since(Instant::now()));
            most.push(at - before);
        }
        assert!(least[0] * 4 < most[3] && least[3] * 4 < most[6], "{least:?}, {most:?}");
        assert!(most.iter().sum::<Duration>() > LEASE, "a relay that died has lost its lease by then");
        mind.defer(user, 1);
        assert!(mind.deferred.is_empty());
    }
}
