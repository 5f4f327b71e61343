//! The secrets of keys that are being made by a form. A form without a script that is sent twice means one key, and the
//! browser shows the answer to the second sending alone, so both have to have the same secret. It is held in memory for
//! some seconds, and nowhere else; a twin that comes later, or to another server, is answered without it.

use domain::{Timestamp, UserId};
use std::sync::{Mutex, PoisonError};

/// So long a twin of a form gets the secret, in seconds.
const HELD: i64 = 15;
/// So many are held at most; the oldest give way.
const MOST: usize = 1_000;

struct Draft {
    user: UserId,
    command: String,
    secret: String,
    since: Timestamp,
}

#[derive(Default)]
pub struct KeyDrafts(Mutex<Vec<Draft>>);

impl KeyDrafts {
    /// The secret for that command of that person: the one that its twin was given, else the one that `draw` makes.
    pub fn secret(
        &self,
        user: UserId,
        command: &str,
        now: Timestamp,
        draw: impl FnOnce() -> String,
    ) -> String {
        let mut drafts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drafts.retain(|draft| now.seconds_since(draft.since) < HELD);
        if let Some(known) = drafts.iter().find(|draft| draft.user == user && draft.command == command) {
            return known.secret.clone();
        }
        let secret = draw();
        if drafts.len() == MOST {
            drafts.remove(0);
        }
        drafts.push(Draft { user, command: command.to_owned(), secret: secret.clone(), since: now });
        secret
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_twin_gets_the_same_secret_for_some_seconds_and_nobody_else_does() {
        let drafts = KeyDrafts::default();
        let user = |n: u128| UserId::new(Uuid::from_u128(n));
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let secret = |user, command: &str, seconds, drawn: &str| {
            drafts.secret(user, command, at(seconds), || drawn.to_owned())
        };
        assert_eq!(secret(user(1), "press", 0, "a"), "a");
        assert_eq!(secret(user(1), "press", HELD - 1, "b"), "a");
        assert_eq!(secret(user(2), "press", HELD - 1, "c"), "c");
        assert_eq!(secret(user(1), "another", HELD - 1, "d"), "d");
        assert_eq!(secret(user(1), "press", HELD, "e"), "e");
    }

    #[test]
    fn no_more_are_held_than_there_is_room_for() {
        let drafts = KeyDrafts::default();
        let (user, now) = (UserId::new(Uuid::from_u128(1)), Timestamp::from_micros(0));
        for n in 0..=MOST {
            drafts.secret(user, &format!("{n}"), now, || format!("{n}"));
        }
        assert_eq!(drafts.0.lock().expect("held").len(), MOST);
        assert_eq!(drafts.secret(user, "0", now, || "anew".to_owned()), "anew");
        assert_eq!(drafts.secret(user, "9", now, || "anew".to_owned()), "9");
    }
}
