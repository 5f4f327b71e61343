//! One open stream, as its transport sees it: what was missed a page at a time, then what its mailbox holds.

use super::{
    Hub,
    hub::PAGE,
    room::{Mailbox, Room, lock},
};
use crate::ports::StoreError;
use bytes::Bytes;
use domain::{Epoch, Event, EventFrame, ServerFrame, Timestamp};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Frames handed to a transport at once.
const BURST: usize = 256;

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

pub(super) enum Start {
    Resumed { epoch: Epoch, after: u64, until: u64 },
    Fresh { epoch: Epoch, seq: u64 },
}

/// One open stream. Dropping it leaves the room.
pub struct Connection {
    hub: Arc<Hub>,
    room: Arc<Room>,
    id: u64,
    mailbox: Arc<Mailbox>,
    pub(super) start: Option<Start>,
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
    pub(super) fn new(hub: Arc<Hub>, room: Arc<Room>, id: u64, mailbox: Arc<Mailbox>) -> Self {
        Self { hub, room, id, mailbox, start: None, sent: 0, until: 0, written: 0, ends_at: None }
    }

    /// Lets the stream end by itself after that time.
    pub fn end_in(&mut self, time: Duration) {
        // A moment that is too far away to be named is as good as none.
        self.ends_at = Instant::now().checked_add(time);
    }

    /// Notes with which token of its session the stream was opened: it goes on for as long as the session has that one.
    pub fn opened_with(&self, token_hash: &str) {
        lock(&self.mailbox.state).token_hash = Some(token_hash.into());
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
                // What was read from the log meanwhile may reach beyond it.
                if let Some(seq) = state.overrun.take_if(|_| ready).filter(|&seq| seq > self.sent) {
                    (self.sent, self.until) = (seq, seq);
                    let epoch = self.hub.log.epoch();
                    return Ok(Outgoing::Frames(vec![self.hub.welcome(epoch, seq, false)]));
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
                Ok(Outgoing::Frames(vec![self.hub.welcome(epoch, seq, false)]))
            }
            Start::Resumed { epoch, after, until } => {
                let mut frames = vec![self.hub.welcome(epoch, until, true)];
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
        let is_cut_off = self.hub.log.floor(self.room.user).await? > self.sent;
        let unreadable = missed.iter().rfind(|event| event.is_unreadable()).map(|event| event.seq);
        if is_cut_off || unreadable.is_some() {
            for event in missed.iter().filter(|event| event.is_unreadable()) {
                self.hub.note_unreadable(self.room.user, event.seq);
            }
            // What is fetched now is newer than all of that.
            let seq = unreadable.map_or(self.until, |seq| seq.max(self.until));
            (self.sent, self.until) = (seq, seq);
            let epoch = self.hub.log.epoch();
            return Ok(vec![self.hub.welcome(epoch, seq, false)]);
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

pub(super) fn encode(frame: &ServerFrame) -> Bytes {
    // Plain data with text keys: encoding it cannot fail.
    serde_json::to_vec(frame).map(Bytes::from).unwrap_or_default()
}
