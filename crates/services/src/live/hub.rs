//! The hub: a room a user, a queue a connection. It sends a user's events only contiguously: when 6 arrives before 5,
//! or the bus lost or doubled something, it reads the log. So the bus costs latency at worst, never an event.

use super::{
    ConnectError, Connection, Opener, Resume,
    connection::{Start, encode},
    places::{Place, Places},
    room::{Mailbox, MailboxState, Room, RoomState, lock},
};
use crate::ports::{Bus, Clock, EventLog, LiveSession, LoggedEvent, Signal};
use bytes::Bytes;
use domain::{Epoch, ServerFrame, SessionId, UserId};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, broadcast::error::RecvError};

/// Open connections that one user may have on this node, unless the operator says otherwise.
pub const MAX_CONNECTIONS: usize = 64;
/// So long after a session got a new token the answer with it is with its browser, which comes back with it.
pub const RENEWAL_TAKES: Duration = Duration::from_millis(400);
/// Events read from the log at once, and handed out of what a client missed.
pub(super) const PAGE: u32 = 500;
/// How often it is looked at whether the bus reaches the others.
const BUS_LOOK: Duration = Duration::from_millis(500);

pub struct Hub {
    pub(super) log: Arc<dyn EventLog>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    rooms: Mutex<HashMap<UserId, Arc<Room>>>,
    closing: AtomicBool,
    next_id: AtomicU64,
    /// Open connections that one user may have.
    most: usize,
    /// Streams of other kinds, which count with them.
    places: Places,
    /// The bus may have missed something.
    pub(super) missed: Notify,
    /// What other servers tell does not get through.
    late: AtomicBool,
    /// How often streams stepped over an event that cannot be read.
    unreadable: AtomicU64,
}

impl Hub {
    pub fn new(log: Arc<dyn EventLog>, bus: Arc<dyn Bus>, most: usize, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            log,
            bus,
            clock,
            rooms: Mutex::default(),
            closing: AtomicBool::new(false),
            next_id: AtomicU64::new(1),
            most,
            places: Places::default(),
            missed: Notify::new(),
            late: AtomicBool::new(false),
            unreadable: AtomicU64::new(0),
        })
    }

    /// Carries the bus to the rooms, for as long as the future is polled. Subscribes at once, not at the first poll.
    pub fn run(self: &Arc<Self>) -> impl Future<Output = ()> + Send + 'static {
        let (hub, mut bus) = (self.clone(), self.bus.subscribe());
        let looking = self.clone().look_for_missed();
        let watching = self.clone().watch_the_bus();
        let carrying = async move {
            loop {
                match bus.recv().await {
                    Ok(Signal::Event(event)) => hub.hear(event),
                    Ok(Signal::SessionEnded { user_id, session_id }) => {
                        hub.end(user_id, |opener| opener == Opener::Session(session_id));
                    }
                    Ok(Signal::SessionRenewed { user_id, session_id }) => {
                        hub.doubt_renewed(user_id, session_id);
                    }
                    Ok(Signal::KeyRevoked { user_id, key_id }) => {
                        hub.end(user_id, |opener| opener == Opener::Key(key_id));
                    }
                    Ok(Signal::AccountClosed { user_id }) => hub.end(user_id, |_| true),
                    Ok(Signal::WorkReady | Signal::Requested | Signal::HeldBack | Signal::Untold(_)) => {}
                    // Whether sessions and keys go on is watched by itself where there are several servers.
                    Ok(Signal::Missed) => hub.missed.notify_one(),
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "the bus ran ahead; reading the log");
                        // Ends of sessions and keys are not in the log.
                        hub.doubt_all();
                        hub.missed.notify_one();
                    }
                    Err(RecvError::Closed) => return,
                }
            }
        };
        async move {
            tokio::select! {
                () = carrying => {}
                () = looking => {}
                () = watching => {}
            }
        }
    }

    /// Tells all streams when what other servers say begins to come late, and when that is over.
    async fn watch_the_bus(self: Arc<Self>) {
        let mut every = tokio::time::interval(BUS_LOOK);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let late = self.bus.outage().is_some();
            if self.late.swap(late, Ordering::SeqCst) == late {
                continue;
            }
            for room in lock(&self.rooms).values() {
                for mailbox in lock(&room.state).mailboxes.values() {
                    lock(&mailbox.state).tells_late = true;
                    mailbox.wake.notify_one();
                }
            }
        }
    }

    /// The first word of a stream, or where it goes on after a gap. It tells the time here, by which a page shows how long
    /// ago something was: the clock of its device may be wrong.
    pub(super) fn welcome(&self, epoch: Epoch, seq: u64, resumed: bool) -> Bytes {
        encode(&ServerFrame::Welcome { epoch, seq, resumed, at: Some(self.clock.now()) })
    }

    /// The sign of life of a stream.
    pub fn ping(&self) -> Bytes {
        encode(&ServerFrame::Ping { late: self.is_late() })
    }

    /// Whether what other servers tell comes late.
    pub fn is_late(&self) -> bool {
        self.late.load(Ordering::SeqCst)
    }

    /// Opens a stream. Everything after the client's place arrives: what was missed, then live, without a gap.
    pub async fn connect(
        self: &Arc<Self>,
        user: UserId,
        opener: impl Into<Opener>,
        resume: Resume,
    ) -> Result<Connection, ConnectError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let state = MailboxState { tells_late: self.is_late(), ..MailboxState::default() };
        let mailbox =
            Arc::new(Mailbox { opener: opener.into(), state: Mutex::new(state), wake: Notify::new() });
        // Interest first, then the look at the log. The room is entered under the lock of the house, or it could be
        // taken down in between by the last one who leaves.
        let room = {
            let mut rooms = lock(&self.rooms);
            let room = rooms.entry(user).or_insert_with(|| Arc::new(Room { user, state: Mutex::default() }));
            let mut state = lock(&room.state);
            if state.mailboxes.len() + self.places.taken(user) >= self.most {
                return Err(ConnectError::TooMany);
            }
            state.mailboxes.insert(id, mailbox.clone());
            room.clone()
        };
        // From here on, dropping `connection` leaves the room.
        let mut connection = Connection::new(self.clone(), room.clone(), id, mailbox);
        if self.closing.load(Ordering::SeqCst) {
            return Err(ConnectError::GoingAway);
        }
        let head = self.log.head(user).await?;
        let floor = self.log.floor(user).await?;
        let until = {
            let mut state = lock(&room.state);
            let last = *state.last.get_or_insert(head);
            // Another server may have written what this one's bus never told: whoever is in the room learns of it now.
            state.heard = state.heard.max(head);
            if state.heard > last {
                self.fill(&room, &mut state);
            }
            last.max(head)
        };
        let epoch = self.log.epoch();
        let resumed_from = resume
            .last_seq
            .filter(|&seq| resume.epoch.as_ref() == Some(&epoch) && seq <= head && seq >= floor);
        connection.start = Some(match resumed_from {
            Some(after) => Start::Resumed { epoch, after, until },
            None => Start::Fresh { epoch, seq: until },
        });
        Ok(connection)
    }

    /// A place among the streams that a user may have, for one that somebody else carries.
    ///
    /// # Errors
    /// `TooMany`.
    pub fn take_place(&self, user: UserId) -> Result<Place, ConnectError> {
        let rooms = lock(&self.rooms);
        let open = rooms.get(&user).map_or(0, |room| lock(&room.state).mailboxes.len());
        self.places.take(user, self.most.saturating_sub(open)).ok_or(ConnectError::TooMany)
    }

    /// Ends every stream with 1001; new ones are refused.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        for room in lock(&self.rooms).values() {
            for mailbox in lock(&room.state).mailboxes.values() {
                lock(&mailbox.state).going_away = true;
                mailbox.wake.notify_one();
            }
        }
    }

    /// Open connections, for the metrics.
    pub fn connections(&self) -> usize {
        lock(&self.rooms).values().map(|r| lock(&r.state).mailboxes.len()).sum()
    }

    /// How often streams stepped over an event that cannot be read, for the metrics.
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Notes that streams step over an event that cannot be read, for whoever can do something about it.
    pub(super) fn note_unreadable(&self, user: UserId, seq: u64) {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
        tracing::error!(user_id = %user, seq, "an event of the log cannot be read; streams step over it and refetch");
    }

    /// What the open streams were opened with, each once.
    pub(super) fn openers(&self) -> HashSet<(UserId, Opener)> {
        let rooms = lock(&self.rooms);
        let of_room = |room: &Arc<Room>| {
            let openers: Vec<_> =
                lock(&room.state).mailboxes.values().map(|m| (room.user, m.opener)).collect();
            openers
        };
        rooms.values().flat_map(of_room).collect()
    }

    fn hear(self: &Arc<Self>, event: Arc<LoggedEvent>) {
        let Some(room) = lock(&self.rooms).get(&event.user_id).cloned() else { return };
        let mut state = lock(&room.state);
        let was_expected = event.seq <= state.heard;
        state.heard = state.heard.max(event.seq);
        match state.last {
            Some(last) if event.seq <= last => {}
            Some(last) if event.seq == last + 1 && !state.filling => state.deliver(event),
            Some(_) => {
                state.asked |= was_expected;
                self.fill(&room, &mut state);
            }
            // The head is being read; whoever reads it sees `heard`.
            None => {}
        }
    }

    /// Ends those of the user's streams that `which` names.
    fn end(&self, user: UserId, which: impl Fn(Opener) -> bool) {
        let Some(room) = lock(&self.rooms).get(&user).cloned() else { return };
        for mailbox in lock(&room.state).mailboxes.values().filter(|m| which(m.opener)) {
            lock(&mailbox.state).ended = true;
            mailbox.wake.notify_one();
        }
    }

    /// Has those of the user's streams that `which` names look whether they may go on.
    pub(super) fn doubt(&self, user: UserId, which: impl Fn(Opener) -> bool) {
        let Some(room) = lock(&self.rooms).get(&user).cloned() else { return };
        for mailbox in lock(&room.state).mailboxes.values().filter(|m| which(m.opener)) {
            lock(&mailbox.state).unsure = true;
            mailbox.wake.notify_one();
        }
    }

    /// Has the streams of a session that got a new token a moment ago look whether they may go on, when its browser has that.
    pub(crate) fn doubt_renewed(self: &Arc<Self>, user: UserId, session: SessionId) {
        let hub = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(RENEWAL_TAKES).await;
            hub.doubt(user, |opener| opener == Opener::Session(session));
        });
    }

    /// Has those of the session's streams look whether they may go on that another token of it opened.
    pub(super) fn doubt_older(&self, user: UserId, session: &LiveSession) {
        let Some(room) = lock(&self.rooms).get(&user).cloned() else { return };
        let opener = Opener::Session(session.id);
        for mailbox in lock(&room.state).mailboxes.values().filter(|m| m.opener == opener) {
            let mut state = lock(&mailbox.state);
            if state.token_hash.as_deref().is_some_and(|hash| hash != session.token_hash) {
                state.unsure = true;
                mailbox.wake.notify_one();
            }
        }
    }

    fn doubt_all(&self) {
        let users: Vec<UserId> = lock(&self.rooms).keys().copied().collect();
        users.into_iter().for_each(|user| self.doubt(user, |_| true));
    }

    /// How far the log was carried into each room.
    pub(super) fn carried(&self) -> Vec<(UserId, u64)> {
        let rooms = lock(&self.rooms);
        rooms.values().filter_map(|room| Some((room.user, lock(&room.state).last?))).collect()
    }

    /// Reads the log for that user's room: it has something that nobody told of.
    pub(super) fn catch_up(self: &Arc<Self>, user: UserId) {
        let Some(room) = lock(&self.rooms).get(&user).cloned() else { return };
        let mut state = lock(&room.state);
        if state.last.is_some() {
            state.asked = true;
            self.fill(&room, &mut state);
        }
    }

    /// Starts a task that reads the log from the room's last seq up to what was heard, unless one is at it.
    fn fill(self: &Arc<Self>, room: &Arc<Room>, state: &mut RoomState) {
        if std::mem::replace(&mut state.filling, true) {
            return;
        }
        let (hub, room) = (self.clone(), room.clone());
        tokio::spawn(async move {
            let mut delay = Duration::from_millis(50);
            loop {
                let (after, heard) = {
                    let mut state = lock(&room.state);
                    // What is told from here on this read may not see.
                    state.asked = false;
                    (state.last.unwrap_or(0), state.heard)
                };
                match hub.log.after(room.user, after, PAGE).await {
                    Ok(events) => {
                        let full = events.len() == PAGE as usize;
                        let mut state = lock(&room.state);
                        for event in events {
                            if event.seq > state.last.unwrap_or(0) {
                                if event.is_unreadable() {
                                    hub.note_unreadable(room.user, event.seq);
                                }
                                state.deliver(Arc::new(event));
                            }
                        }
                        let last = state.last.unwrap_or(0);
                        // What was heard but is not in the log was told before its commit was visible here (a
                        // replica) or never existed; an empty read ends the search, if nobody told of anything meanwhile,
                        // and the next event starts it again.
                        let in_vain = last == after && state.heard == heard;
                        let is_through = in_vain || (!full && state.heard <= last);
                        if (is_through && !state.asked) || state.mailboxes.is_empty() {
                            state.filling = false;
                            return;
                        }
                    }
                    Err(e) => {
                        tracing::warn!(error = %e, "the event log could not be read; trying again");
                        tokio::time::sleep(delay).await;
                        delay = (delay * 2).min(Duration::from_secs(5));
                        let mut state = lock(&room.state);
                        if state.mailboxes.is_empty() {
                            state.filling = false;
                            return;
                        }
                    }
                }
            }
        });
    }

    pub(super) fn leave(&self, room: &Room, id: u64) {
        let mut rooms = lock(&self.rooms);
        let mut state = lock(&room.state);
        state.mailboxes.remove(&id);
        if state.mailboxes.is_empty() {
            rooms.remove(&room.user);
        }
    }
}
