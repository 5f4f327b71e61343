//! The present, by which everything on screen says how long ago something was and how long it takes. It is the server's, as
//! the times are that it is held against: the clock of a device may be wrong. Only the zone is the reader's. The first render
//! knows none of it, on the server and in the browser alike; it starts after mount.

use crate::{components::Now, effect::effect, live::Live};
use domain::{Timestamp, shown::Shown};
use leptos::prelude::*;
use std::time::Duration;

/// How often "2 min ago" is looked at again.
const COARSE: Duration = Duration::from_secs(15);
const FINE: Duration = Duration::from_secs(1);

/// The clock of running work, by the second. It stands still while the live link is down: nobody can know then whether
/// the work still runs.
#[derive(Clone, Copy)]
pub struct WorkClock(pub Now);

impl WorkClock {
    /// The clock of one piece of work: while that stands (it is paused, say, or nobody is at it), no time runs on.
    pub fn of(self, shown: Memo<Shown>) -> Now {
        let WorkClock(clock) = self;
        let own = Now { at: RwSignal::new(None), zone: clock.zone };
        effect(move || {
            let at = clock.at.get();
            // Where all is being deleted, something moves, and it is not this work.
            own.at.set(at.filter(|_| shown.with(|s| s.moves() && *s != Shown::Deleting)));
        });
        own
    }
}

/// Puts both clocks into the context, and starts them once the page is alive.
pub fn provide_clocks(live: Live) {
    let now = crate::components::provide_now();
    let work = Now { at: RwSignal::new(None), zone: now.zone };
    provide_context(WorkClock(work));
    let (is_open, ahead) = (live.is_open(), live.server_ahead());
    // By the device's clock until the server has told its time.
    let present = move || device().plus_micros(ahead.get_untracked());
    effect(move || {
        now.zone.set(Some(offset));
        let _ = set_interval_with_handle(move || now.at.set(Some(present())), COARSE);
        let tick = move || {
            if is_open.get_untracked() {
                work.at.set(Some(present()));
            }
        };
        let _ = set_interval_with_handle(tick, FINE);
    });
    effect(move || {
        ahead.track();
        now.at.set(Some(present()));
    });
    effect(move || {
        ahead.track();
        if is_open.get() {
            work.at.set(Some(present()));
        }
    });
}

fn offset(at: Timestamp) -> i32 {
    let date = js_sys::Date::new(&(at.micros() as f64 / 1_000.0).into());
    -date.get_timezone_offset() as i32
}

/// What the clock of this device shows.
fn device() -> Timestamp {
    Timestamp::from_micros((js_sys::Date::now() * 1_000.0) as i64)
}
