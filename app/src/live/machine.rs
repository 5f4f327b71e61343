//! The live link as a state machine: what the client does when the link opens, speaks, falls silent or closes, and how
//! the tabs of one session share it. Pure: the time and the random number are handed in, and what is to be done is handed
//! out, so that every course can be tested without a browser.

mod following;

use super::{
    ladder::{Ladder, Transport},
    message::TabMessage,
};
use domain::{
    ClientFrame, Epoch, Event, EventFrame, ServerFrame, Timestamp, UserId, backoff,
    event::{SILENCE_SECONDS, close},
    pages::Since,
};
use following::Following;

/// A moment, in milliseconds since 1970.
pub type Millis = u64;

/// A connection that has not been welcomed after this long is given up.
const CONNECT_PATIENCE: Millis = 10_000;
/// A link that lived this long was a good one: the next loss starts from the shortest delay again.
const STABLE: Millis = 5_000;
/// After "too many connections", waiting is at least this long: other tabs have to go first.
const CROWDED: Millis = 30_000;
const SILENCE: Millis = SILENCE_SECONDS * 1_000;
/// A link that comes back within this time, as after a renewed session, locks nothing.
const BRIEF: Millis = 1_500;
/// For so long the server may gather what changes: a browser draws no more often, and pays for each message.
const GATHER: Millis = 16;
/// So often the leading tab says that it lives.
const BEAT: Millis = 2_000;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A page was rendered that is right up to that point of the log.
    Rendered(Since),
    /// The page shows what belongs to that person.
    Belongs(UserId),
    /// The page is interactive and has a link of its own; go.
    Start,
    /// The page is interactive, and another tab of the session has the link.
    Follow,
    /// This tab has the lead of the session's tabs now.
    Lead,
    /// Another tab took the lead.
    Deposed,
    /// The socket is open.
    Opened,
    Frame(ServerFrame),
    /// A long poll was answered; its frames came before. Whether what is changed at other servers comes late.
    Answered {
        late: bool,
    },
    /// The link is gone, with its close code (1006 when it broke).
    Closed(u16),
    /// The socket that was tried beside a lower transport is open, was welcomed, is gone.
    ProbeOpened,
    ProbeWelcomed,
    ProbeClosed,
    /// Another tab said something.
    Heard(TabMessage),
    /// The leading tab passed an event on.
    Shared {
        epoch: Epoch,
        after: u64,
        event: EventFrame,
    },
    /// What was missed: the welcome, and the events that followed it. `None`: it could not be had.
    CaughtUp(Option<Vec<ServerFrame>>),
    /// A second went by.
    Tick,
    /// The network came back, or the person pressed "Retry now".
    Hurry,
    /// The browser says that the network is gone.
    Offline,
    /// The tab came to the front, or went away from it.
    Visible(bool),
    /// The session ended, as another answer of the server said.
    SignedOut,
    /// What is on screen was read anew.
    Renewed,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Open a link; what is not a socket asks in its address for what comes after `since`.
    Connect(Transport, Option<Since>),
    /// Ask the long poll again.
    Poll(Option<Since>),
    /// Drop the link without waiting for its end.
    Hangup,
    Send(ClientFrame),
    /// Try a socket beside the link that holds.
    Probe,
    SendProbe(ClientFrame),
    DropProbe,
    /// The socket that was tried takes the place of the link.
    Adopt,
    /// Tell the other tabs.
    Tell(TabMessage),
    /// Pass the event that just came on to the other tabs.
    Pass {
        epoch: Epoch,
        after: u64,
    },
    /// Ask once for what comes after `since`.
    CatchUp(Option<Since>),
    /// Take the lead of the session's tabs.
    TakeOver,
    Apply(Box<Event>),
    /// Events were missed that will not come: read what is on screen anew.
    Resync,
    SignIn,
}

/// Where the link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not started: the server's own rendering, or a page that is not interactive yet.
    Off,
    /// Trying, since then.
    Connecting {
        began: Millis,
    },
    Open {
        since: Millis,
    },
    /// The next try comes then.
    Waiting {
        until: Millis,
    },
    /// The session ended; there will be no try.
    Ended,
}

/// What this tab is among those of its session.
#[derive(Debug)]
enum Role {
    /// It has a link, and shares it with nobody.
    Alone,
    /// It has the link; when it last said so, and whether another tab may follow. While none does nothing is passed on:
    /// that costs more than all else that an event brings.
    Leader {
        beat: Option<Millis>,
        followed: bool,
    },
    Follower(Following),
}

#[derive(Debug)]
pub struct Machine {
    link: Link,
    role: Role,
    ladder: Ladder,
    /// The transport of the leader, while another tab leads.
    borrowed: Option<Transport>,
    /// A socket is tried beside the link, since then.
    probe: Option<Millis>,
    since: Option<Since>,
    /// Whose page this is. Somebody else may have signed in by the time that a lost link comes back, with the cookie that
    /// all tabs of the browser share: the server gives no stream to a page that is not theirs.
    whose: Option<UserId>,
    /// The server was told once from where to go on; from then on the stream is ahead of whatever is read.
    greeted: bool,
    /// Tries since the last good link.
    attempt: u32,
    /// Last sign of life of the server; of the leader, while another tab leads.
    heard: Millis,
    /// The link is not open since then: it was lost, or tried for the first time and not had.
    lost: Option<Millis>,
    /// What is on screen has to be read anew, and is old since then. What the link brings meanwhile is not shown yet.
    renewing: Option<Millis>,
    /// What is changed at other servers comes late, as the server said last.
    late: bool,
    visible: bool,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            link: Link::Off,
            role: Role::Alone,
            ladder: Ladder::default(),
            borrowed: None,
            probe: None,
            since: None,
            whose: None,
            greeted: false,
            attempt: 0,
            heard: 0,
            lost: None,
            renewing: None,
            late: false,
            visible: true,
        }
    }
}

impl Machine {
    /// Until what is on screen was read anew, a link that is open is as good as none.
    pub fn link(&self) -> Link {
        match (self.link, self.renewing) {
            (Link::Open { .. }, Some(began)) => Link::Connecting { began },
            (link, _) => link,
        }
    }

    pub fn transport(&self) -> Transport {
        self.borrowed.unwrap_or_else(|| self.ladder.rung())
    }

    /// Up to where this tab knows the log.
    pub fn since(&self) -> Option<&Since> {
        self.since.as_ref()
    }

    /// Whose page this is.
    pub fn whose(&self) -> Option<UserId> {
        self.whose
    }

    /// Since when what is on screen may be old.
    pub fn lost(&self) -> Option<Millis> {
        self.lost.into_iter().chain(self.renewing).min()
    }

    /// Whether what is changed at other servers of the installation comes late.
    pub fn is_late(&self) -> bool {
        self.late
    }

    /// Whether what is on screen may be so old that nothing is to be steered by it.
    pub fn is_paused(&self, now: Millis) -> bool {
        self.lost().is_some_and(|at| now.saturating_sub(at) >= BRIEF)
    }

    pub fn is_visible(&self) -> bool {
        self.visible
    }

    /// The server's time, where what happens tells it: with the first word of a link, or with the answer to what a tab that
    /// follows asked. A later word over a link may have waited behind others, and would make the server's clock slow.
    pub fn time_told(&self, input: &Input) -> Option<Timestamp> {
        let told = |frame: &ServerFrame| match frame {
            ServerFrame::Welcome { at, .. } => *at,
            _ => None,
        };
        match input {
            Input::Frame(frame) if !matches!(self.link, Link::Open { .. }) => told(frame),
            Input::CaughtUp(Some(answers)) => answers.iter().rev().find_map(told),
            _ => None,
        }
    }

    /// Takes what happened at `now`; `unit` is a random number in `[0, 1)`.
    pub fn on(&mut self, input: Input, now: Millis, unit: f64) -> Vec<Action> {
        if self.link == Link::Ended {
            return vec![];
        }
        let before = (self.link, self.ladder.rung(), self.late);
        let mut actions = self.take(input, now, unit);
        if self.link == Link::Ended {
            // The page may stay, where somebody does not want to leave something unsaved.
            self.lost = self.lost.or(Some(now));
        }
        if let Role::Leader { beat, .. } = &mut self.role {
            let changed = before != (self.link, self.ladder.rung(), self.late);
            if changed || beat.is_none_or(|at| now.saturating_sub(at) >= BEAT) {
                *beat = Some(now);
                actions.push(match self.link {
                    Link::Ended => Action::Tell(TabMessage::Ended),
                    _ => Action::Tell(self.beat()),
                });
            }
        }
        actions
    }

    fn take(&mut self, input: Input, now: Millis, unit: f64) -> Vec<Action> {
        match input {
            Input::Rendered(since) => self.rendered(since),
            Input::Belongs(user) => self.whose = self.whose.or(Some(user)),
            Input::Start => {
                if self.link == Link::Off {
                    return self.connect(now);
                }
            }
            Input::Follow => return self.follow(now),
            Input::Lead => {
                if !matches!(self.role, Role::Leader { .. }) {
                    // Who followed another may have company in that. Who got a free lock is the first.
                    let followed = matches!(self.role, Role::Follower(_));
                    (self.role, self.borrowed) = (Role::Leader { beat: None, followed }, None);
                    return self.connect(now);
                }
            }
            Input::Deposed => {
                if matches!(self.role, Role::Leader { .. }) {
                    let mut actions = vec![Action::Hangup];
                    if self.probe.take().is_some() {
                        actions.push(Action::DropProbe);
                    }
                    self.ladder = Ladder::default();
                    actions.extend(self.follow(now));
                    return actions;
                }
            }
            Input::Opened => {
                self.heard = now;
                self.greeted = true;
                return vec![Action::Send(self.hello())];
            }
            Input::Frame(frame) => {
                self.heard = now;
                return self.frame(frame, now);
            }
            Input::Answered { late } => {
                self.late = late;
                return vec![Action::Poll(self.since.clone())];
            }
            Input::Renewed => self.renewing = None,
            Input::Closed(close::SESSION_ENDED) | Input::SignedOut => return self.end(),
            Input::Closed(code) => return self.closed(code, now, unit),
            Input::ProbeOpened => return vec![Action::SendProbe(self.hello())],
            Input::ProbeWelcomed => {
                if self.probe.take().is_some() {
                    self.ladder.top();
                    self.heard = now;
                    self.late = false;
                    return vec![Action::Adopt];
                }
            }
            Input::ProbeClosed => {
                if self.probe.take().is_some() {
                    self.ladder.not_up(now);
                }
            }
            Input::Heard(message) => return self.message(message, now),
            Input::Shared { epoch, after, event } => return self.shared(epoch, after, event, now),
            Input::CaughtUp(missed) => return self.caught_up(missed, now),
            Input::Tick => return self.tick(now, unit),
            Input::Hurry => return self.hurry(now, unit),
            Input::Offline => return self.offline(now, unit),
            Input::Visible(visible) => {
                self.visible = visible;
                if visible {
                    return self.hurry(now, unit);
                }
            }
        }
        vec![]
    }

    /// The stream starts from the earliest thing on screen.
    fn rendered(&mut self, since: Since) {
        let earlier =
            self.since.as_ref().is_none_or(|known| known.epoch == since.epoch && since.seq < known.seq);
        if !self.greeted && earlier {
            self.since = Some(since);
        }
    }

    fn hello(&self) -> ClientFrame {
        let (epoch, last_seq) = self.since.clone().map(|s| (s.epoch, s.seq)).unzip();
        let user_id = self.whose.map(|user| user.to_string());
        ClientFrame::Hello { epoch, last_seq, gather_ms: Some(GATHER), user_id }
    }

    fn frame(&mut self, frame: ServerFrame, now: Millis) -> Vec<Action> {
        match frame {
            ServerFrame::Welcome { epoch, seq, resumed, .. } => {
                // Of a new link the server says next where they do. One that is open is welcomed again by each answer
                // of a long poll, which tells it at its end.
                if !matches!(self.link, Link::Open { .. }) {
                    self.late = false;
                }
                self.ladder.held(now);
                let actions = self.welcomed(Since { epoch, seq }, resumed, now);
                self.opened(now);
                actions
            }
            ServerFrame::Event(event) => self.event(event),
            ServerFrame::Unknown { seq } => self.passed_over(seq),
            ServerFrame::Ping { late } => {
                self.late = late;
                vec![Action::Send(ClientFrame::Pong)]
            }
        }
    }

    /// When it resumes, what was missed follows, each event with its own seq.
    fn welcomed(&mut self, since: Since, resumed: bool, now: Millis) -> Vec<Action> {
        if !resumed || self.since.is_none() {
            self.since = Some(since);
        }
        if resumed {
            return vec![];
        }
        self.renewing = self.lost().or(Some(now));
        vec![Action::Resync]
    }

    fn opened(&mut self, now: Millis) {
        self.lost = None;
        // Every answer of a long poll is a welcome.
        if !matches!(self.link, Link::Open { .. }) {
            self.link = Link::Open { since: now };
        }
    }

    fn event(&mut self, event: EventFrame) -> Vec<Action> {
        if matches!(event.event, Event::SessionEnded { .. }) {
            let mut actions = vec![Action::Hangup];
            actions.extend(self.end());
            return actions;
        }
        let mut actions = vec![];
        if let Some(since) = &mut self.since {
            if matches!(self.role, Role::Leader { followed: true, .. }) {
                actions.push(Action::Pass { epoch: since.epoch.clone(), after: since.seq });
            }
            since.seq = since.seq.max(event.seq);
        }
        actions.push(Action::Apply(Box::new(event.event)));
        actions
    }

    /// An event that only a newer page can read. Without its place, a poll would be answered with it again and again. A tab
    /// that follows finds it when it catches up.
    fn passed_over(&mut self, seq: u64) -> Vec<Action> {
        if let Some(since) = &mut self.since {
            since.seq = since.seq.max(seq);
        }
        vec![]
    }

    fn closed(&mut self, code: u16, now: Millis, unit: f64) -> Vec<Action> {
        if matches!(self.role, Role::Follower(_)) {
            return vec![];
        }
        let mut actions = vec![];
        let was_stable = match self.link {
            Link::Open { since } => {
                self.lost = Some(now);
                if self.probe.take().is_some() {
                    actions.push(Action::DropProbe);
                    self.ladder.not_up(now);
                }
                now.saturating_sub(since) >= STABLE
            }
            Link::Connecting { began } => {
                // Where no link ever came up, nothing came since it was first tried.
                self.lost = self.lost.or(Some(began));
                // The server that says so was reached: the transport is not what fails.
                if !matches!(code, close::TOO_MANY | close::GOING_AWAY) {
                    self.ladder.failed();
                }
                false
            }
            // The end of a link that was given up already.
            Link::Off | Link::Waiting { .. } | Link::Ended => return vec![],
        };
        if was_stable {
            self.attempt = 0;
            if code == close::GOING_AWAY {
                actions.extend(self.connect(now));
                return actions;
            }
        }
        let mut delay = Millis::from(backoff::delay_ms(self.attempt, unit));
        if code == close::TOO_MANY {
            delay += CROWDED;
        }
        self.attempt = self.attempt.saturating_add(1);
        self.link = Link::Waiting { until: now + delay };
        actions
    }

    fn tick(&mut self, now: Millis, unit: f64) -> Vec<Action> {
        if let Role::Follower(_) = self.role {
            return self.watch_leader(now);
        }
        let dead = match self.link {
            Link::Waiting { until } if now >= until => return self.connect(now),
            Link::Connecting { began } => now.saturating_sub(began) >= CONNECT_PATIENCE,
            Link::Open { .. } => now.saturating_sub(self.heard) >= SILENCE,
            Link::Off | Link::Waiting { .. } | Link::Ended => false,
        };
        if dead {
            // Nothing came since it was heard last, though nobody knew it: a tab may have slept for hours.
            let silent = matches!(self.link, Link::Open { .. }).then_some(self.heard);
            let mut actions = vec![Action::Hangup];
            actions.extend(self.closed(1006, now, unit));
            self.lost = silent.or(self.lost);
            return actions;
        }
        match (self.link, self.probe) {
            (Link::Open { .. }, None) if self.ladder.wants_up(now) => {
                self.probe = Some(now);
                vec![Action::Probe]
            }
            (_, Some(began)) if now.saturating_sub(began) >= CONNECT_PATIENCE => {
                self.probe = None;
                self.ladder.not_up(now);
                vec![Action::DropProbe]
            }
            _ => vec![],
        }
    }

    fn hurry(&mut self, now: Millis, unit: f64) -> Vec<Action> {
        if let Role::Follower(_) = self.role {
            return self.hurry_leader(now);
        }
        self.ladder.hurry(now);
        match self.link {
            Link::Waiting { .. } => self.connect(now),
            // A sleeping tab gets no ticks, so this may be the first look for a long time.
            _ => self.tick(now, unit),
        }
    }

    /// Nothing comes over a network that is gone, and nothing says so: the link would be believed for as long as silence may
    /// last. Where the server is on the same machine the next try brings it back at once.
    fn offline(&mut self, now: Millis, unit: f64) -> Vec<Action> {
        let has_link = matches!(self.link, Link::Connecting { .. } | Link::Open { .. });
        if !has_link || matches!(self.role, Role::Follower(_)) {
            return vec![];
        }
        let mut actions = vec![Action::Hangup];
        actions.extend(self.closed(1006, now, unit));
        actions
    }

    fn connect(&mut self, now: Millis) -> Vec<Action> {
        self.link = Link::Connecting { began: now };
        // What is not a socket says at once from where it goes on; a socket does when it is open, and until then a page
        // may still be rendered from before.
        self.greeted |= self.ladder.rung() != Transport::Socket;
        vec![Action::Connect(self.ladder.rung(), self.since.clone())]
    }

    fn end(&mut self) -> Vec<Action> {
        self.link = Link::Ended;
        vec![Action::SignIn]
    }
}
