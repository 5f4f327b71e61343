//! A room is all connections of one user, each with its mailbox; what is delivered goes to all of them.

use super::{Opener, queue::Queue};
use crate::ports::LoggedEvent;
use domain::UserId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// All connections of one user.
pub(super) struct Room {
    pub(super) user: UserId,
    pub(super) state: Mutex<RoomState>,
}

#[derive(Default)]
pub(super) struct RoomState {
    /// Everything up to here went to the queues; `None` until the head was read once.
    pub(super) last: Option<u64>,
    /// Highest seq that the bus told of.
    pub(super) heard: u64,
    /// A task reads the log to close a gap.
    pub(super) filling: bool,
    /// Since that task began its last read, something was told that does not show in `heard`.
    pub(super) asked: bool,
    pub(super) mailboxes: HashMap<u64, Arc<Mailbox>>,
}

pub(super) struct Mailbox {
    pub(super) opener: Opener,
    pub(super) state: Mutex<MailboxState>,
    pub(super) wake: Notify,
}

#[derive(Default)]
pub(super) struct MailboxState {
    pub(super) queue: Queue,
    /// The queue outgrew its bound, or an event cannot be read; the client has to refetch, and goes on from the room's last
    /// seq.
    pub(super) overrun: Option<u64>,
    pub(super) ended: bool,
    pub(super) going_away: bool,
    pub(super) unsure: bool,
    /// Hash of the token that it was opened with, where that is a session's.
    pub(super) token_hash: Option<Box<str>>,
    /// Whether changes come late is to be told.
    pub(super) tells_late: bool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RoomState {
    pub(super) fn deliver(&mut self, event: Arc<LoggedEvent>) {
        self.last = Some(event.seq);
        for mailbox in self.mailboxes.values() {
            let mut state = lock(&mailbox.state);
            let seq = event.seq;
            // Of one that cannot be read nobody knows what it told: whoever would have had it has to refetch.
            let is_kept = !event.is_unreadable() && state.queue.push(event.clone());
            if !is_kept || state.overrun.is_some() {
                state.queue.clear();
                state.overrun = Some(seq);
            }
            drop(state);
            mailbox.wake.notify_one();
        }
    }
}
