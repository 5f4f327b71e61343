//! The schedule of a step: which changes are made when. Pure but for the clock, which is the one that all processes of a
//! machine share.

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Nanoseconds of the machine's monotonic clock, the same in every process.
pub fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |t| t.tv_sec().unsigned_abs() * 1_000_000_000 + t.tv_nsec().unsigned_abs())
}

/// Changes at an even rate; the n-th goes to room n modulo `rooms`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// When the first is due.
    pub start: u64,
    /// Changes a second, over all rooms.
    pub rate: f64,
    pub count: u64,
    pub rooms: u64,
    /// When there are any, changes are progress of so many things in turn, of which only the newest counts.
    pub entities: u64,
    /// Whoever connects later is sent the newest change of their room. Ours sends what was missed anyway, from its log.
    pub kept: bool,
}

impl Plan {
    /// When the n-th change is due.
    pub fn at(&self, n: u64) -> u64 {
        self.start + (n as f64 * 1e9 / self.rate) as u64
    }

    /// How many are due by then.
    pub fn due(&self, now: u64) -> u64 {
        let since = now.saturating_sub(self.start) as f64;
        if now < self.start { 0 } else { ((since * self.rate / 1e9) as u64 + 1).min(self.count) }
    }

    pub fn end(&self) -> u64 {
        self.at(self.count)
    }

    /// The n-th change over all that is the `nth` of its room.
    pub fn overall(&self, room: u64, nth: u64) -> u64 {
        nth * self.rooms + room
    }

    /// How many changes a room gets.
    pub fn of_room(&self, room: u64) -> u64 {
        (self.count + self.rooms - 1 - room) / self.rooms
    }
}
