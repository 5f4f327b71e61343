//! When a server that fails is left alone, and when it is tried again. Pure: whoever asks says what time it is, and what
//! came of what was asked.

use domain::{Timestamp, rag::Outage};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Failures in a row after which it is left alone.
const FAILURES: u32 = 3;
/// How long, at first and at most; each trial that fails doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest time that it may ask for and get.
const LONGEST_WISH: Duration = Duration::from_secs(300);
/// A trial of which nothing was heard for so long was given up, and somebody else makes one.
const TRIAL: Duration = Duration::from_secs(10);

/// Whether something may be asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Way {
    Free,
    /// One question that shows whether it is there again.
    Trial,
    Barred(Outage),
}

/// One for each server.
#[derive(Default)]
pub struct Circuit(Mutex<State>);

#[derive(Default)]
struct State {
    /// In a row, and when the first of them was.
    failures: u32,
    since: Timestamp,
    open: Option<Open>,
}

struct Open {
    busy: bool,
    next_try: Timestamp,
    pause: Duration,
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.plus_micros(i64::try_from(by.as_micros()).unwrap_or(i64::MAX))
}

impl State {
    fn outage(&self) -> Option<Outage> {
        let Open { busy, next_try, .. } = *self.open.as_ref()?;
        Some(Outage { since: self.since, next_try, busy })
    }
}

impl Circuit {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asked before each question. Of many who come when its time is over, one gets the trial.
    pub fn ask(&self, now: Timestamp) -> Way {
        let mut state = self.state();
        let Some(outage) = state.outage() else { return Way::Free };
        // Also after a clock that was put back: no pause is longer than the longest.
        let is_due = now >= outage.next_try || later(now, LONGEST_WISH) < outage.next_try;
        if !is_due {
            return Way::Barred(outage);
        }
        if let Some(open) = &mut state.open {
            open.next_try = later(now, TRIAL);
        }
        Way::Trial
    }

    /// It answered, whatever. Tells whether it was away before.
    pub fn answered(&self) -> bool {
        std::mem::take(&mut *self.state()).open.is_some()
    }

    /// A question came to nothing; the server may have said for how long it wants to be left alone, and that it is there and
    /// busy. Answers the outage, once it is one.
    pub fn failed(&self, now: Timestamp, busy: bool, wish: Option<Duration>, trial: bool) -> Option<Outage> {
        let mut state = self.state();
        if state.failures == 0 {
            state.since = now;
        }
        state.failures += 1;
        let pause = match (&state.open, wish.map(|wish| wish.min(LONGEST_WISH))) {
            // Asked before it was left alone: that is known by now.
            (Some(_), None) if !trial => return state.outage(),
            (_, Some(wish)) => wish.max(FIRST_PAUSE),
            (Some(open), None) => (open.pause * 2).min(LONGEST_PAUSE),
            (None, None) if state.failures < FAILURES => return None,
            (None, None) => FIRST_PAUSE,
        };
        state.open = Some(Open { busy, next_try: later(now, pause), pause });
        state.outage()
    }

    pub fn outage(&self) -> Option<Outage> {
        self.state().outage()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).plus_seconds(seconds)
    }

    fn opened() -> Circuit {
        let circuit = Circuit::default();
        for second in 0..3 {
            circuit.failed(at(second), false, None, false);
        }
        circuit
    }

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn it_opens_after_three_failures_in_a_row_and_tells_since_when() {
        let circuit = Circuit::default();
        assert_eq!(circuit.failed(at(0), false, None, false), None);
        assert_eq!(circuit.failed(at(1), false, None, false), None);
        assert_eq!(circuit.ask(at(1)), Way::Free);
        // An answer in between begins the count anew.
        assert!(!circuit.answered());
        assert_eq!(circuit.failed(at(2), false, None, false), None);
        assert_eq!(circuit.failed(at(3), false, None, false), None);
        let outage = Outage { since: at(2), next_try: at(6), busy: false };
        assert_eq!(circuit.failed(at(4), false, None, false), Some(outage));
        assert_eq!((circuit.outage(), circuit.ask(at(5))), (Some(outage), Way::Barred(outage)));
    }

    #[test]
    fn one_trial_at_a_time_and_each_that_fails_doubles_the_pause() {
        let circuit = opened();
        let mut now = 4;
        for pause in [4, 8, 16, 30, 30] {
            assert_eq!(circuit.ask(at(now)), Way::Trial);
            assert!(matches!(circuit.ask(at(now)), Way::Barred(_)), "the others wait for it");
            let outage = circuit.failed(at(now), false, None, true).expect("still away");
            assert_eq!((outage.since, outage.next_try), (at(0), at(now + pause)));
            assert!(matches!(circuit.ask(at(now + pause - 1)), Way::Barred(_)));
            now += pause;
        }
        assert_eq!(circuit.ask(at(now)), Way::Trial);
        assert!(circuit.answered());
        assert_eq!((circuit.ask(at(now)), circuit.outage()), (Way::Free, None));
        assert!(!circuit.answered());
    }

    #[test]
    fn a_trial_that_was_given_up_keeps_nobody_waiting() {
        let circuit = opened();
        assert_eq!(circuit.ask(at(4)), Way::Trial);
        assert!(matches!(circuit.ask(at(13)), Way::Barred(_)));
        assert_eq!(circuit.ask(at(14)), Way::Trial);
    }

    #[test]
    fn what_was_asked_before_it_opened_changes_nothing() {
        let circuit = opened();
        let outage = circuit.outage();
        assert_eq!(circuit.failed(at(3), false, None, false), outage);
        assert_eq!(circuit.outage(), outage);
    }

    #[test]
    fn a_server_that_asks_for_a_pause_gets_it_within_reason() {
        let circuit = Circuit::default();
        let outage = circuit.failed(at(0), true, seconds(20), false).expect("left alone at once");
        assert_eq!((outage.next_try, outage.busy), (at(20), true));
        assert_eq!(circuit.ask(at(20)), Way::Trial);
        let outage = circuit.failed(at(20), true, seconds(1_000_000), true).expect("still busy");
        assert_eq!(outage.next_try, at(320));
        // After the wish is over, the pauses are its own again.
        assert_eq!(circuit.ask(at(320)), Way::Trial);
        let outage = circuit.failed(at(320), false, None, true).expect("still away");
        assert_eq!((outage.next_try, outage.since), (at(350), at(0)));
    }

    #[test]
    fn a_clock_that_is_put_back_does_not_bar_the_way_for_hours() {
        let circuit = opened();
        assert_eq!(circuit.ask(at(-3_600)), Way::Trial);
    }
}
