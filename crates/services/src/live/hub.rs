//! The hub: a room a user, a queue a connection. It sends a user's events only contiguously: when 6 arrives before 5,
//! or the bus lost or doubled something, it reads the log. So the bus costs latency at worst, never an event.

use super::{
    places::{Place, Places},
    queue::Queue,
};
use crate::ports::{Bus, EventLog, LoggedEvent, Signal, StoreError};
use bytes::Bytes;
use domain::{ApiKeyId, Epoch, Event, EventFrame, ServerFrame, SessionId, Timestamp, UserId};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, broadcast::error::RecvError},
    time::Instant,
};

/// Open connections that one user may have on this node, unless the operator says otherwise.
pub const MAX_CONNECTIONS: usize = 64;
/// By then the answer with the new token is with its browser, which comes back with it.
const RENEWAL_TAKES: Duration = Duration::from_millis(400);
/// Events read from the log at once, and handed out of what a client missed.
const PAGE: u32 = 500;
/// How often it is looked at whether the bus reaches the others.
const BUS_LOOK: Duration = Duration::from_millis(500);
/// Frames handed to a transport at once.
const BURST: usize = 256;

/// Where a client left off. Both empty: it knows nothing yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    pub epoch: Option<Epoch>,
    pub last_seq: Option<u64>,
}

impl Resume {
    /// The place that the id of an event names: `<epoch>.<seq>`.
    pub fn of_event_id(id: &str) -> Option<Self> {
        let (epoch, seq) = id.rsplit_once('.')?;
        Some(Self { epoch: Some(Epoch(epoch.to_owned())), last_seq: Some(seq.parse().ok()?) })
    }
}

/// What a stream was opened with, and ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opener {
    Session(SessionId),
    Key(ApiKeyId),
}

impl Opener {
    pub(super) const fn session(self) -> Option<SessionId> {
        match self {
            Self::Session(id) => Some(id),
            Self::Key(_) => None,
        }
    }

    pub(super) const fn key(self) -> Option<ApiKeyId> {
        match self {
            Self::Key(id) => Some(id),
            Self::Session(_) => None,
        }
    }
}

impl From<SessionId> for Opener {
    fn from(id: SessionId) -> Self {
        Self::Session(id)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("too many connections")]
    TooMany,
    #[error("the server is going away")]
    GoingAway,
    /// What would have opened the stream ended meanwhile.
    #[error("the session or key ended")]
    Ended,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a transport does next.
#[derive(Debug, PartialEq)]
pub enum Outgoing {
    /// Whole frames, to be sent in this order. The first ever begins with the welcome.
    Frames(Vec<Bytes>),
    /// Say the farewell, and close with 4401.
    SessionEnded,
    /// Close with 1001.
    GoingAway,
    /// The bus lost something, which may have been the end of this very session or key: look it up, then ask for the
    /// next.
    Unsure,
}

pub struct Hub {
    pub(super) log: Arc<dyn EventLog>,
    bus: Arc<dyn Bus>,
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
}

/// All connections of one user.
struct Room {
    user: UserId,
    state: Mutex<RoomState>,
}

#[derive(Default)]
struct RoomState {
    /// Everything up to here went to the queues; `None` until the head was read once.
    last: Option<u64>,
    /// Highest seq that the bus told of.
    heard: u64,
    /// A task reads the log to close a gap.
    filling: bool,
    mailboxes: HashMap<u64, Arc<Mailbox>>,
}

struct Mailbox {
    opener: Opener,
    state: Mutex<MailboxState>,
    wake: Notify,
}

#[derive(Default)]
struct MailboxState {
    queue: Queue,
    /// The queue outgrew its bound; the client has to refetch, and goes on from the room's last seq.
    overrun: Option<u64>,
    ended: bool,
    going_away: bool,
    unsure: bool,
    /// Whether changes come late is to be told.
    tells_late: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub fn new(log: Arc<dyn EventLog>, bus: Arc<dyn Bus>, most: usize) -> Arc<Self> {
        Arc::new(Self {
            log,
            bus,
            rooms: Mutex::default(),
            closing: AtomicBool::new(false),
            next_id: AtomicU64::new(1),
            most,
            places: Places::default(),
            missed: Notify::new(),
            late: AtomicBool::new(false),
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
                        let hub = hub.clone();
                        tokio::spawn(async move {
                            tokio::time::sleep(RENEWAL_TAKES).await;
                            hub.doubt(user_id, |opener| opener == Opener::Session(session_id));
                        });
                    }
                    Ok(Signal::KeyRevoked { user_id, key_id }) => {
                        hub.end(user_id, |opener| opener == Opener::Key(key_id));
                    }
                    Ok(Signal::AccountClosed { user_id }) => hub.end(user_id, |_| true),
                    Ok(Signal::WorkReady | Signal::Requested | Signal::HeldBack) => {}
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
        let mut connection = Connection {
            hub: self.clone(),
            room: room.clone(),
            id,
            mailbox,
            start: None,
            sent: 0,
            until: 0,
            written: 0,
            ends_at: None,
        };
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
        state.heard = state.heard.max(event.seq);
        match state.last {
            Some(last) if event.seq <= last => {}
            Some(last) if event.seq == last + 1 && !state.filling => state.deliver(event),
            Some(_) => self.fill(&room, &mut state),
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
        if let Some(last) = state.last {
            state.heard = state.heard.max(last + 1);
            self.fill(&room, &mut state);
        }
    }

    /// Starts a task that reads the log from the room's last seq up to what was heard.
    fn fill(self: &Arc<Self>, room: &Arc<Room>, state: &mut RoomState) {
        if std::mem::replace(&mut state.filling, true) {
            return;
        }
        let (hub, room) = (self.clone(), room.clone());
        tokio::spawn(async move {
            let mut delay = Duration::from_millis(50);
            loop {
                let after = lock(&room.state).last.unwrap_or(0);
                match hub.log.after(room.user, after, PAGE).await {
                    Ok(events) => {
                        let full = events.len() == PAGE as usize;
                        let mut state = lock(&room.state);
                        for event in events {
                            if event.seq > state.last.unwrap_or(0) {
                                state.deliver(Arc::new(event));
                            }
                        }
                        let empty = state.last.unwrap_or(0) == after;
                        // What was heard but is not in the log was told before its commit was visible here (a
                        // replica) or never existed; an empty read ends the search, the next event starts it again.
                        if (!full && state.heard <= state.last.unwrap_or(0))
                            || empty
                            || state.mailboxes.is_empty()
                        {
                            state.filling = false;
                            return;
                        }
                    }
                    Err(e) => {
                        tracing::warn!(error = %e, "the event log could not be read; trying again");
                        tokio::time::sleep(delay).await;
                        delay = (delay * 2).min(Duration::from_secs(5));
                        if lock(&room.state).mailboxes.is_empty() {
                            lock(&room.state).filling = false;
                            return;
                        }
                    }
                }
            }
        });
    }

    fn leave(&self, room: &Room, id: u64) {
        let mut rooms = lock(&self.rooms);
        let mut state = lock(&room.state);
        state.mailboxes.remove(&id);
        if state.mailboxes.is_empty() {
            rooms.remove(&room.user);
        }
    }
}

impl RoomState {
    fn deliver(&mut self, event: Arc<LoggedEvent>) {
        self.last = Some(event.seq);
        for mailbox in self.mailboxes.values() {
            let mut state = lock(&mailbox.state);
            let seq = event.seq;
            if !state.queue.push(event.clone()) || state.overrun.is_some() {
                state.queue.clear();
                state.overrun = Some(seq);
            }
            drop(state);
            mailbox.wake.notify_one();
        }
    }
}

enum Start {
    Resumed { epoch: Epoch, after: u64, until: u64 },
    Fresh { epoch: Epoch, seq: u64 },
}

/// One open stream. Dropping it leaves the room.
pub struct Connection {
    hub: Arc<Hub>,
    room: Arc<Room>,
    id: u64,
    mailbox: Arc<Mailbox>,
    start: Option<Start>,
    /// Seq of the last frame that was handed out.
    sent: u64,
    /// What was missed reaches up to there. As long as `sent` has not come so far, the log is read on, a page whenever the
    /// transport is ready for more, and what happens meanwhile waits in the mailbox.
    until: u64,
    /// Seq of the last frame that the transport had surely sent.
    written: u64,
    /// When what opened it runs out.
    ends_at: Option<Instant>,
}

impl Connection {
    /// Lets the stream end by itself after that time.
    pub fn end_in(&mut self, time: Duration) {
        // A moment that is too far away to be named is as good as none.
        self.ends_at = Instant::now().checked_add(time);
    }

    /// Whether there is more of what was missed than was handed out yet.
    pub fn is_behind(&self) -> bool {
        self.sent < self.until
    }

    /// The next frames; waits until there are some. The first call must not be broken off, every later one may be.
    ///
    /// # Errors
    /// When the log cannot be read; the transport closes, and the client resumes.
    pub async fn next(&mut self) -> Result<Outgoing, StoreError> {
        self.next_when(true).await
    }

    /// The same for a transport that is not always ready for more: while it is not, only the end of the stream is
    /// answered, and the frames wait here, where they are conflated.
    ///
    /// # Errors
    /// As above.
    pub async fn next_when(&mut self, ready: bool) -> Result<Outgoing, StoreError> {
        if ready {
            self.written = self.sent;
        }
        if ready && let Some(start) = self.start.take() {
            return self.begin(start).await;
        }
        loop {
            {
                let mut state = lock(&self.mailbox.state);
                if state.ended || self.ends_at.is_some_and(|at| at <= Instant::now()) {
                    return Ok(Outgoing::SessionEnded);
                }
                if state.going_away {
                    return Ok(Outgoing::GoingAway);
                }
                if std::mem::take(&mut state.unsure) {
                    return Ok(Outgoing::Unsure);
                }
                if ready && std::mem::take(&mut state.tells_late) {
                    return Ok(Outgoing::Frames(vec![self.hub.ping()]));
                }
                if let Some(seq) = state.overrun.take_if(|_| ready) {
                    (self.sent, self.until) = (seq, seq);
                    let epoch = self.hub.log.epoch();
                    return Ok(Outgoing::Frames(vec![encode(&ServerFrame::Welcome {
                        epoch,
                        seq,
                        resumed: false,
                    })]));
                }
                let is_behind = self.sent < self.until;
                let mut events = state.queue.take(if ready && !is_behind { BURST } else { 0 });
                let took_some = !events.is_empty();
                events.retain(|e| e.seq > self.sent);
                if let Some(last) = events.last() {
                    self.sent = last.seq;
                }
                let frames: Vec<Bytes> = events.into_iter().map(|e| e.frame.clone()).collect();
                if !frames.is_empty() {
                    return Ok(Outgoing::Frames(frames));
                }
                // All of these were read from the log already; behind them there may be others.
                if took_some {
                    continue;
                }
            }
            if ready && self.is_behind() {
                let frames = self.missed().await?;
                if !frames.is_empty() {
                    return Ok(Outgoing::Frames(frames));
                }
                continue;
            }
            // A permit is kept when the wake-up came between the look and this line.
            match self.ends_at {
                None => self.mailbox.wake.notified().await,
                Some(at) => tokio::select! {
                    () = self.mailbox.wake.notified() => {}
                    () = tokio::time::sleep_until(at) => {}
                },
            }
        }
    }

    /// The last word to a stream whose session ended; one that a key opened has none. It stands in no log, so its seq is that
    /// of an event which came before: who takes it for the place to go on from passes over nothing.
    pub fn farewell(&self, at: Timestamp) -> Option<Bytes> {
        let event = Event::SessionEnded { session_id: self.mailbox.opener.session()? };
        Some(encode(&ServerFrame::Event(EventFrame { seq: self.written, at, event })))
    }

    async fn begin(&mut self, start: Start) -> Result<Outgoing, StoreError> {
        match start {
            Start::Fresh { epoch, seq } => {
                (self.sent, self.written) = (seq, seq);
                Ok(Outgoing::Frames(vec![encode(&ServerFrame::Welcome { epoch, seq, resumed: false })]))
            }
            Start::Resumed { epoch, after, until } => {
                let mut frames = vec![encode(&ServerFrame::Welcome { epoch, seq: until, resumed: true })];
                (self.sent, self.written, self.until) = (after, after, until);
                if self.is_behind() {
                    frames.extend(self.missed().await?);
                }
                Ok(Outgoing::Frames(frames))
            }
        }
    }

    /// The next page of what was missed. Nothing is noted before it is there, so this may be broken off.
    async fn missed(&mut self) -> Result<Vec<Bytes>, StoreError> {
        let missed = self.hub.log.after(self.room.user, self.sent, PAGE).await?;
        // A slow client takes its time, and what it has not come to may be removed meanwhile.
        if self.hub.log.floor(self.room.user).await? > self.sent {
            self.sent = self.until;
            let epoch = self.hub.log.epoch();
            return Ok(vec![encode(&ServerFrame::Welcome { epoch, seq: self.until, resumed: false })]);
        }
        match missed.last() {
            Some(last) => self.sent = last.seq,
            // What was told of and is not there comes by the mailbox, if ever.
            None => self.until = self.sent,
        }
        Ok(missed.into_iter().map(|e| e.frame).collect())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.hub.leave(&self.room, self.id);
    }
}

fn encode(frame: &ServerFrame) -> Bytes {
    // Plain data with text keys: encoding it cannot fail.
    serde_json::to_vec(frame).map(Bytes::from).unwrap_or_default()
}
