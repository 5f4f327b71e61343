//! The turns that this server works on just now: what each told, for those who follow it here, and what is wished of it.

use crate::ports::{Ids, TurnWrite};
use domain::{
    TurnId,
    chat::{Turn, TurnEvent},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// A turn whose server says nothing of it for so long is in nobody's hands.
pub(super) const LEASE_SECONDS: u32 = 10;

/// What is wished of a turn that is being worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Stop,
    /// The server ends.
    GoAway,
    /// Somebody else has ended it: nothing may be written any more.
    LetGo,
}

/// How far a turn is, for those who wait for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    UpTo(u64),
    /// What comes now stands in the store alone.
    Lost,
}

/// One for each server.
pub struct Turns {
    /// The name under which this server's leases stand.
    pub(super) owner: String,
    running: Mutex<HashMap<TurnId, Arc<Running>>>,
    /// How many there are, and whether the server ends.
    going: watch::Sender<(usize, bool)>,
}

impl Turns {
    pub fn new(ids: &dyn Ids) -> Self {
        Self {
            owner: ids.uuid().to_string(),
            running: Mutex::default(),
            going: watch::Sender::new((0, false)),
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<TurnId, Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, id: TurnId) -> Option<Arc<Running>> {
        self.running().get(&id).cloned()
    }

    pub(super) fn all(&self) -> Vec<TurnId> {
        self.running().keys().copied().collect()
    }

    pub(super) fn add(&self, turn: &Turn, told: Vec<TurnEvent>) -> Arc<Running> {
        let running = Arc::new(Running::new(turn, told));
        let mut all = self.running();
        all.insert(turn.turn_id, running.clone());
        self.going.send_modify(|(count, closing)| {
            *count = all.len();
            if *closing {
                running.wish(Wish::GoAway);
            }
        });
        running
    }

    pub(super) fn remove(&self, id: TurnId) {
        let mut all = self.running();
        all.remove(&id);
        self.going.send_modify(|(count, _)| *count = all.len());
    }

    /// The server ends: every turn is ended and marked as interrupted. Answers when all of them are.
    pub async fn close(&self) {
        {
            let all = self.running();
            self.going.send_modify(|(_, closing)| *closing = true);
            all.values().for_each(|running| running.wish(Wish::GoAway));
        }
        // The sender lives as long as we do.
        drop(self.going.subscribe().wait_for(|(count, _)| *count == 0).await);
    }
}

pub(super) struct Running {
    state: Mutex<State>,
    told: watch::Sender<Told>,
    wish: watch::Sender<Option<Wish>>,
}

struct State {
    turn: Turn,
    /// All of it, from the first: the place of an event is its id less one.
    told: Vec<TurnEvent>,
}

impl Running {
    fn new(turn: &Turn, told: Vec<TurnEvent>) -> Self {
        Self {
            told: watch::Sender::new(Told::UpTo(turn.last_event)),
            state: Mutex::new(State { turn: turn.clone(), told }),
            wish: watch::Sender::new(None),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only the first wish counts, but for the one after which nothing may be written.
    pub(super) fn wish(&self, wish: Wish) {
        self.wish.send_if_modified(|wished| {
            let is_news = wished.is_none() || (wish == Wish::LetGo && *wished != Some(wish));
            if is_news {
                *wished = Some(wish);
            }
            is_news
        });
    }

    pub(super) fn wishes(&self) -> watch::Receiver<Option<Wish>> {
        self.wish.subscribe()
    }

    pub(super) fn news(&self) -> watch::Receiver<Told> {
        self.told.subscribe()
    }

    /// What was committed may be seen now.
    pub(super) fn publish(&self, write: TurnWrite) {
        let last = {
            let mut state = self.state();
            if let Some(turn) = write.turn {
                state.turn = *turn;
            }
            state.told.extend(write.events);
            state.told.len() as u64
        };
        self.told.send_replace(Told::UpTo(last));
    }

    /// Nobody works on it any more. Unless it has come to its end, what comes now stands in the store alone.
    pub(super) fn let_go(&self) {
        if !self.state().turn.status.is_final() {
            self.told.send_replace(Told::Lost);
        }
    }

    /// The turn, whose text may be behind its events, and what it told behind an id.
    pub(super) fn after(&self, id: u64) -> (Turn, Vec<TurnEvent>) {
        let state = self.state();
        let from = usize::try_from(id).unwrap_or(usize::MAX).min(state.told.len());
        (state.turn.clone(), state.told[from..].to_vec())
    }
}
