//! Which transport the link tries: the socket first, server-sent events when it cannot be had, long polling when these
//! cannot either, and from a lower one up again as soon as the socket can be had. Pure, like the machine that asks it.

use super::machine::Millis;

/// How frames come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    #[default]
    Socket,
    Events,
    Polling,
}

impl Transport {
    pub const ALL: [Transport; 3] = [Transport::Socket, Transport::Events, Transport::Polling];

    /// As it stands in `data-transport`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Transport::Socket => "ws",
            Transport::Events => "sse",
            Transport::Polling => "poll",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

/// The first look whether the socket can be had comes so long after a lower transport was welcomed; each further one
/// twice as long after the one before, up to the last bound.
const CLIMB: Millis = 15_000;
const CLIMB_CAP: Millis = 300_000;

#[derive(Debug, Default)]
pub struct Ladder {
    rung: Transport,
    /// Tries of this rung that ended before a welcome.
    failed: u32,
    /// Looks for the socket that found nothing, since it was there last.
    climbs: u32,
    climb_at: Option<Millis>,
}

impl Ladder {
    pub fn rung(&self) -> Transport {
        self.rung
    }

    /// A connection was welcomed.
    pub fn held(&mut self, now: Millis) {
        self.failed = 0;
        match self.rung {
            Transport::Socket => self.top(),
            _ if self.climb_at.is_none() => self.climb_at = Some(now + self.pause()),
            _ => {}
        }
    }

    /// A try ended before it was welcomed. Two of the socket lead down, and then one of each: when all fail it is the
    /// server that is away, and the socket's turn comes again.
    pub fn failed(&mut self) {
        self.failed += 1;
        let (patience, next) = match self.rung {
            Transport::Socket => (2, Transport::Events),
            Transport::Events => (1, Transport::Polling),
            Transport::Polling => (1, Transport::Socket),
        };
        if self.failed >= patience {
            (self.rung, self.failed, self.climb_at) = (next, 0, None);
        }
    }

    /// Whether it is time to look for the socket beside the link that holds.
    pub fn wants_up(&self, now: Millis) -> bool {
        self.climb_at.is_some_and(|at| now >= at)
    }

    /// The look found nothing.
    pub fn not_up(&mut self, now: Millis) {
        self.climbs = self.climbs.saturating_add(1);
        self.climb_at = Some(now + self.pause());
    }

    /// The network changed: what was not to be had may be now.
    pub fn hurry(&mut self, now: Millis) {
        if self.climb_at.is_some() {
            (self.climbs, self.climb_at) = (0, Some(now));
        }
    }

    /// The socket is there.
    pub fn top(&mut self) {
        *self = Self::default();
    }

    fn pause(&self) -> Millis {
        CLIMB.checked_shl(self.climbs).unwrap_or(CLIMB_CAP).min(CLIMB_CAP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Transport::{Events, Polling, Socket};

    #[test]
    fn two_failed_upgrades_lead_down_and_an_absent_server_leads_round() {
        let mut ladder = Ladder::default();
        let mut rungs = vec![];
        for _ in 0..6 {
            rungs.push(ladder.rung());
            ladder.failed();
        }
        assert_eq!(rungs, [Socket, Socket, Events, Polling, Socket, Socket]);
    }

    #[test]
    fn a_welcome_forgives_the_failures_before_it() {
        let mut ladder = Ladder::default();
        for _ in 0..10 {
            ladder.failed();
            ladder.held(0);
        }
        assert_eq!(ladder.rung(), Socket);
    }

    #[test]
    fn a_lower_rung_looks_up_ever_more_seldom_but_for_ever() {
        let mut ladder = Ladder::default();
        ladder.failed();
        ladder.failed();
        assert!(!ladder.wants_up(1_000_000), "nothing holds yet");
        let mut now = 0;
        ladder.held(now);
        let mut pauses = vec![];
        for _ in 0..40 {
            let at = (now..).step_by(1_000).find(|at| ladder.wants_up(*at)).expect("it looks again");
            pauses.push(at - now);
            now = at;
            ladder.not_up(now);
        }
        assert_eq!(pauses[..6], [15_000, 30_000, 60_000, 120_000, 240_000, 300_000]);
        assert!(pauses[6..].iter().all(|p| *p == 300_000));
        ladder.hurry(now);
        assert!(ladder.wants_up(now));
    }

    #[test]
    fn the_names_can_be_read_again() {
        for one in Transport::ALL {
            assert_eq!(Transport::parse(one.as_str()), Some(one));
        }
        assert_eq!(Transport::parse("pigeon"), None);
    }
}
