//! How far reading has come, told by the readers: work that gets somewhere has a fresh share of CPU time again and again,
//! work that does not is ended by the kernel when its share is used up. Outside of the reading process nothing happens.

use super::sandbox::Confined;
use std::cell::Cell;

/// Units of work (bytes unpacked, bytes written, cells) that are worth a fresh share.
const WORTH: usize = 256 * 1024;

thread_local! {
    static METER: Cell<Option<(Confined, usize)>> = const { Cell::new(None) };
}

/// From here on this thread's work is metered.
pub fn start(confined: Confined) {
    METER.set(Some((confined, 0)));
}

/// So much work is done.
pub fn done(units: usize) {
    let Some((confined, before)) = METER.get() else { return };
    let now = before.saturating_add(units);
    if now < WORTH {
        METER.set(Some((confined, now)));
    } else {
        METER.set(Some((confined, 0)));
        confined.share();
    }
}

/// A piece of work that nobody can look into is done, and the next one begins.
pub fn stage() {
    done(WORTH);
}
