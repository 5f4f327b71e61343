//! The machine among the tabs of its session: what a tab tells that leads, and what one does that follows.

use super::{Action, Link, Machine, Millis, Role};
use crate::live::message::{LeaderLink, TabMessage};
use domain::{Epoch, EventFrame, ServerFrame, pages::Since};

/// A tab that somebody looks at takes the lead when it has heard nothing of the leader for this long.
const LEADERLESS: Millis = 5_000;

#[derive(Debug, Default)]
pub(super) struct Following {
    /// While what was missed is asked for: what the leader passed on meanwhile.
    catching: Option<Vec<(Epoch, u64, EventFrame)>>,
    /// What was missed could not be had yet.
    behind: bool,
    /// The leader's link is open, as it said last.
    led: bool,
}

impl Machine {
    pub(super) fn beat(&self) -> TabMessage {
        let link = match self.link {
            Link::Open { .. } => LeaderLink::Open,
            Link::Waiting { until } => LeaderLink::Waiting(until),
            Link::Off | Link::Connecting { .. } | Link::Ended => LeaderLink::Connecting,
        };
        let (since, transport) = (self.since.clone(), self.ladder.rung());
        TabMessage::Beat { since, link, transport, lost: self.lost, late: self.late }
    }

    pub(super) fn follow(&mut self, now: Millis) -> Vec<Action> {
        if matches!(self.role, Role::Follower(_)) {
            return vec![];
        }
        self.role = Role::Follower(Following { behind: true, ..Following::default() });
        self.heard = now;
        if self.link == Link::Off {
            self.link = Link::Connecting { began: now };
        }
        let mut actions = vec![Action::Tell(TabMessage::Hello)];
        actions.extend(self.catch_up());
        actions
    }

    /// What a second brings.
    pub(super) fn watch_leader(&mut self, now: Millis) -> Vec<Action> {
        if !self.visible {
            return vec![];
        }
        if now.saturating_sub(self.heard) >= LEADERLESS {
            self.heard = now;
            return vec![Action::TakeOver];
        }
        let Role::Follower(following) = &self.role else { return vec![] };
        if following.behind { self.catch_up().into_iter().collect() } else { vec![] }
    }

    pub(super) fn hurry_leader(&mut self, now: Millis) -> Vec<Action> {
        // A tab that slept has not heard the leader; it gets a moment to say that it lives.
        self.heard = self.heard.max(now.saturating_sub(LEADERLESS / 2));
        let mut actions = vec![Action::Tell(TabMessage::Hello)];
        if matches!(self.link, Link::Waiting { .. }) {
            actions.push(Action::Tell(TabMessage::Hurry));
        }
        actions
    }

    fn catch_up(&mut self) -> Option<Action> {
        let Role::Follower(following) = &mut self.role else { return None };
        if following.catching.is_some() {
            return None;
        }
        following.catching = Some(vec![]);
        following.behind = true;
        self.greeted = true;
        Some(Action::CatchUp(self.since.clone()))
    }

    /// An answer that this tab waits for no more, since it leads by now, tells nothing: its own link brings the same.
    pub(super) fn caught_up(&mut self, missed: Option<Vec<ServerFrame>>, now: Millis) -> Vec<Action> {
        let Role::Follower(following) = &mut self.role else { return vec![] };
        let Some(meanwhile) = following.catching.take() else { return vec![] };
        let led = following.led;
        let known = self.since.as_ref().map(|s| &s.epoch);
        // An answer out of another life of the log than this tab is in by now does not go on from where it stands.
        let fits = |frames: &Vec<ServerFrame>| match frames.first() {
            Some(ServerFrame::Welcome { epoch, resumed: true, .. }) => {
                known.is_none_or(|known| known == epoch)
            }
            first => first.is_some(),
        };
        let missed = missed.filter(fits);
        following.behind = missed.is_none();
        let Some(missed) = missed else {
            // What is on screen may be old, whatever the leader has.
            match self.link {
                Link::Open { .. } => (self.link, self.lost) = (Link::Connecting { began: now }, Some(now)),
                // It never was up to date.
                Link::Connecting { began } => self.lost = self.lost.or(Some(began)),
                Link::Off | Link::Waiting { .. } | Link::Ended => {}
            }
            return vec![];
        };
        let mut actions = vec![];
        for frame in missed {
            actions.extend(match frame {
                ServerFrame::Welcome { epoch, seq, resumed, .. } => {
                    self.welcomed(Since { epoch, seq }, resumed, now)
                }
                ServerFrame::Event(event) => self.event(event),
                ServerFrame::Unknown { seq } => self.passed_over(seq),
                ServerFrame::Ping { .. } => vec![],
            });
        }
        if led {
            self.opened(now);
        }
        for (epoch, after, event) in meanwhile {
            actions.extend(self.shared(epoch, after, event, now));
        }
        actions
    }

    pub(super) fn shared(&mut self, epoch: Epoch, after: u64, event: EventFrame, now: Millis) -> Vec<Action> {
        let Role::Follower(following) = &mut self.role else { return vec![] };
        self.heard = now;
        if let Some(meanwhile) = &mut following.catching {
            meanwhile.push((epoch, after, event));
            return vec![];
        }
        let fits = self.since.as_ref().is_some_and(|s| s.epoch == epoch && after <= s.seq);
        if fits && !following.behind { self.event(event) } else { self.catch_up().into_iter().collect() }
    }

    pub(super) fn message(&mut self, message: TabMessage, now: Millis) -> Vec<Action> {
        match (message, &mut self.role) {
            (TabMessage::Hello, Role::Leader { followed, .. }) => {
                *followed = true;
                vec![Action::Tell(self.beat())]
            }
            (TabMessage::Hurry, Role::Leader { .. }) => match self.link {
                Link::Waiting { .. } => self.connect(now),
                _ => vec![],
            },
            (TabMessage::Ended, _) => self.end(),
            (TabMessage::Beat { since, link, transport, lost, late }, Role::Follower(following)) => {
                self.late = late;
                let is_behind = following.behind
                    || since.is_some_and(|leader| {
                        self.since.as_ref().is_none_or(|s| s.epoch != leader.epoch || s.seq < leader.seq)
                    });
                let following = Following { led: link == LeaderLink::Open, ..std::mem::take(following) };
                self.role = Role::Follower(following);
                self.heard = now;
                self.borrowed = Some(transport);
                match link {
                    // A leader that passes nothing on does not know that it is followed.
                    LeaderLink::Open if is_behind => {
                        let asked = self.catch_up().map(|ask| vec![Action::Tell(TabMessage::Hello), ask]);
                        return asked.unwrap_or_default();
                    }
                    LeaderLink::Open => self.opened(now),
                    LeaderLink::Connecting => {
                        if !matches!(self.link, Link::Connecting { .. }) {
                            self.link = Link::Connecting { began: now };
                        }
                        self.lost = lost;
                    }
                    LeaderLink::Waiting(until) => {
                        self.link = Link::Waiting { until };
                        self.lost = lost.or(self.lost).or(Some(now));
                    }
                }
                vec![]
            }
            _ => vec![],
        }
    }
}
