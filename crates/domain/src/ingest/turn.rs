//! When a job's turn comes among those of its person. Each has a moment, and the earliest goes first: what a person waits
//! for has that of its making, other work a later one. So nothing starves: whatever is made after that moment goes behind.
//! Between persons the number of documents in hand decides, whatever the moments of their jobs.

use super::{
    job::{moves_of, tell},
    *,
};
use crate::status::Priority;

/// Documents of a job that nobody expects to see through at once.
const MANY: u64 = 20;
/// So many seconds it lets others of the same person go first, and so many what is done in the background.
const MANY_LATER: i64 = 120;
const BACKGROUND_LATER: i64 = 600;

pub(super) fn of_new(kind: JobKind, documents: u64, made_at: Timestamp) -> (Priority, Timestamp) {
    match kind {
        JobKind::Reindex => (Priority::Background, made_at.plus_seconds(BACKGROUND_LATER)),
        JobKind::Upload if documents > MANY => (Priority::Normal, made_at.plus_seconds(MANY_LATER)),
        JobKind::Upload | JobKind::Crawl | JobKind::Delete => (Priority::Normal, made_at),
    }
}

/// Puts the job before all others of its person; `earliest` is the earliest turn of those that are not through. `None`
/// when it goes first already.
///
/// # Errors
/// When it has ended.
pub fn put_first(
    state: &mut JobState,
    earliest: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<Told>, IllegalMove> {
    let status = state.job.status;
    if status.is_final() {
        let allowed = moves_of(&state.job);
        return Err(IllegalMove { what: "The job", from: status.as_str(), to: "first", allowed });
    }
    let Some(earliest) = earliest.filter(|earliest| *earliest <= state.turn_at) else { return Ok(None) };
    state.turn_at = earliest.plus_micros(-1);
    state.job.priority = Priority::First;
    let mut events = vec![];
    tell(state, now, &mut events);
    Ok(Some(Told { events, counts_changed: false }))
}
