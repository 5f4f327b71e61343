//! A model's server that cannot be had at the moment, and that is left alone for a while because of it.

use crate::{
    message::{Sentence, WRITTEN, say},
    timestamp::Timestamp,
};

/// What is known of it while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// From the first of its requests that came to nothing.
    pub since: Timestamp,
    /// It is left alone until then; the first request after that is a trial.
    pub next_try: Timestamp,
    /// It answers, and says that it has too much to do.
    pub busy: bool,
}

impl Outage {
    /// What it is and when it is asked again, for people.
    pub fn words(&self) -> String {
        let Self { since, next_try, busy } = *self;
        say(WRITTEN, &Sentence::ModelAway { since, busy, next_try: Some(next_try) })
    }
}
