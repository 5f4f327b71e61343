//! A world for the live link: a server with its log, browsers' tabs with their lock and channel, and all that goes wrong
//! between them. Whatever happens, every tab ends with what the server has.

mod courses;

use super::{
    ladder::Transport,
    machine::{Action, Input, Machine, Millis},
    message::TabMessage,
};
use crate::samples::{id, workspace};
use domain::{
    ClientFrame, Epoch, Event, EventFrame, ServerFrame, Timestamp, WorkspaceId, event::close, pages::Since,
    reducer::Store,
};
use std::collections::VecDeque;

const ENTITIES: u64 = 5;
const POLL_WAIT: Millis = 25_000;

#[derive(Default)]
struct Server {
    epoch: u32,
    /// Which entity each event was about; the seq is the place, counted from one.
    log: Vec<u64>,
    /// Below this nothing can be resumed.
    floor: u64,
    down: bool,
    no_sockets: bool,
    no_streams: bool,
}

impl Server {
    fn epoch(&self) -> Epoch {
        Epoch(format!("e{}", self.epoch))
    }

    fn head(&self) -> u64 {
        self.log.len() as u64
    }

    fn frame(&self, seq: u64) -> ServerFrame {
        let about = self.log[seq as usize - 1];
        ServerFrame::Event(EventFrame {
            seq,
            at: Timestamp::from_micros(0),
            event: Event::WorkspaceStatus(workspace(about, seq)),
        })
    }

    /// The welcome, and what was missed.
    fn greet(&self, since: Option<&Since>) -> Vec<ServerFrame> {
        let from = since
            .filter(|s| s.epoch == self.epoch() && (self.floor..=self.head()).contains(&s.seq))
            .map(|s| s.seq);
        let (epoch, seq) = (self.epoch(), self.head());
        let welcome = ServerFrame::Welcome { epoch, seq, resumed: from.is_some(), at: None };
        let missed = from.map(|from| from + 1..=self.head()).into_iter().flatten();
        [welcome].into_iter().chain(missed.map(|seq| self.frame(seq))).collect()
    }

    /// What a page is drawn with.
    fn snapshot(&self) -> Store {
        let mut store = Store::default();
        for (id, rev) in self.state() {
            store.put_workspace(&domain::Workspace { id, ..workspace(1, rev) });
        }
        store
    }

    /// The last change of each entity.
    fn state(&self) -> Vec<(WorkspaceId, u64)> {
        let last = |n| self.log.iter().rposition(|about| *about == n).map(|at| (id(n), at as u64 + 1));
        (1..=ENTITIES).filter_map(last).collect()
    }
}

/// One connection to the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    /// Open, and not greeted yet.
    Silent,
    Live,
    /// Nothing arrives any more, and nobody says so.
    Dead,
}

#[derive(Default)]
struct Tab {
    machine: Machine,
    store: Store,
    link: Option<(Wire, bool)>,
    probe: Option<Wire>,
    /// Which connection the link and the probe are: what a dropped one still brings is heard by nobody.
    line: u64,
    probe_line: u64,
    poll: Option<(Since, Millis)>,
    frozen: bool,
    gone: bool,
    /// What comes while the tab is frozen.
    backlog: VecDeque<(Input, Option<u64>)>,
}

impl Tab {
    fn seen(&self) -> Vec<(WorkspaceId, u64)> {
        let mut all: Vec<_> = self.store.workspaces().map(|w| (w.id, w.rev)).collect();
        all.sort_unstable();
        all
    }
}

#[derive(Default)]
struct World {
    now: Millis,
    server: Server,
    tabs: Vec<Tab>,
    lock: Option<usize>,
    queue: VecDeque<usize>,
    lines: u64,
    /// What happens next, to which tab, and on which of its connections.
    inputs: VecDeque<(usize, Input, Option<u64>)>,
    /// Answers that are on their way; they take up to a second, and much may happen meanwhile.
    late: Vec<(usize, Input)>,
}

#[derive(Clone, Debug)]
enum Command {
    Commit(u64),
    Open,
    Close(usize),
    Freeze(usize),
    Thaw(usize),
    Visible(usize, bool),
    Cut(usize),
    Stall(usize),
    Down,
    Up,
    Sockets(bool),
    Streams(bool),
    /// The server forgets what is old.
    Forget,
    /// The server comes back from a backup: a new epoch, and a shorter log.
    Restore(u64),
    Wait(u64),
}

impl World {
    fn put(&mut self, tab: usize, input: Input) {
        self.inputs.push_back((tab, input, None));
    }

    fn put_link(&mut self, tab: usize, input: Input) {
        self.inputs.push_back((tab, input, Some(self.tabs[tab].line)));
    }

    fn put_probe(&mut self, tab: usize, input: Input) {
        self.inputs.push_back((tab, input, Some(self.tabs[tab].probe_line)));
    }

    fn new_line(&mut self) -> u64 {
        self.lines += 1;
        self.lines
    }

    fn settle(&mut self) {
        let mut steps = 0;
        while let Some((tab, input, line)) = self.inputs.pop_front() {
            steps += 1;
            assert!(steps < 100_000, "the tabs never come to rest");
            if self.tabs[tab].gone {
                continue;
            }
            if self.tabs[tab].frozen {
                self.tabs[tab].backlog.push_back((input, line));
                continue;
            }
            let here = &self.tabs[tab];
            if line.is_some_and(|line| line != here.line && line != here.probe_line) {
                continue;
            }
            let frame = match &input {
                Input::Frame(ServerFrame::Event(frame)) => Some(frame.clone()),
                _ => None,
            };
            let actions = self.tabs[tab].machine.on(input, self.now, 0.5);
            for action in actions {
                self.act(tab, action, frame.as_ref());
            }
        }
    }

    fn act(&mut self, tab: usize, action: Action, frame: Option<&EventFrame>) {
        match action {
            Action::Connect(by, since) => {
                self.hang_up(tab);
                self.connect(tab, by, since);
            }
            Action::Poll(since) => self.poll(tab, since, POLL_WAIT),
            Action::Hangup => self.hang_up(tab),
            Action::Send(ClientFrame::Hello { epoch, last_seq, .. }) => {
                if matches!(self.tabs[tab].link, Some((Wire::Silent, _))) {
                    self.tabs[tab].link = Some((Wire::Live, true));
                    let since = epoch.zip(last_seq).map(|(epoch, seq)| Since { epoch, seq });
                    self.greet(tab, since.as_ref());
                }
            }
            Action::Probe => {
                self.tabs[tab].probe_line = self.new_line();
                if self.server.down || self.server.no_sockets {
                    self.put_probe(tab, Input::ProbeClosed);
                } else {
                    self.tabs[tab].probe = Some(Wire::Silent);
                    self.put_probe(tab, Input::ProbeOpened);
                }
            }
            Action::SendProbe(ClientFrame::Hello { epoch, last_seq, .. }) => {
                if self.tabs[tab].probe == Some(Wire::Silent) {
                    self.tabs[tab].probe = Some(Wire::Live);
                    let since = epoch.zip(last_seq).map(|(epoch, seq)| Since { epoch, seq });
                    self.put_probe(tab, Input::ProbeWelcomed);
                    for frame in self.server.greet(since.as_ref()) {
                        self.put_probe(tab, Input::Frame(frame));
                    }
                }
            }
            Action::Adopt => {
                self.hang_up(tab);
                let here = &mut self.tabs[tab];
                here.link = here.probe.take().map(|wire| (wire, true));
                here.line = std::mem::take(&mut here.probe_line);
            }
            Action::DropProbe => (self.tabs[tab].probe, self.tabs[tab].probe_line) = (None, 0),
            Action::Send(ClientFrame::Pong) | Action::SendProbe(ClientFrame::Pong) => {}
            Action::Tell(message) => self.tell(tab, &Input::Heard(message)),
            Action::Pass { epoch, after } => {
                let event = frame.expect("only an event is passed on").clone();
                self.tell(tab, &Input::Shared { epoch, after, event });
            }
            Action::CatchUp(since) => {
                let missed = (!self.server.down).then(|| self.server.greet(since.as_ref()));
                self.late.push((tab, Input::CaughtUp(missed)));
            }
            Action::TakeOver => {
                if let Some(leader) = self.lock.replace(tab).filter(|leader| *leader != tab) {
                    self.put(leader, Input::Deposed);
                    self.queue.push_back(leader);
                }
                self.put(tab, Input::Lead);
            }
            Action::Apply(event) => {
                self.tabs[tab].store.apply(&event);
            }
            Action::Resync => {
                self.tabs[tab].store = self.server.snapshot();
                self.put(tab, Input::Renewed);
            }
            Action::SignIn => panic!("nobody's session ended"),
        }
    }

    fn tell(&mut self, from: usize, input: &Input) {
        // What is said goes through text, as on the channel.
        let input = match input {
            Input::Heard(message) => Input::Heard(TabMessage::parse(&message.to_text()).expect("a message")),
            other => other.clone(),
        };
        for tab in (0..self.tabs.len()).filter(|tab| *tab != from) {
            self.put(tab, input.clone());
        }
    }

    fn greet(&mut self, tab: usize, since: Option<&Since>) {
        for frame in self.server.greet(since) {
            self.put_link(tab, Input::Frame(frame));
        }
    }

    fn connect(&mut self, tab: usize, by: Transport, since: Option<Since>) {
        let server = &self.server;
        match by {
            _ if server.down => self.put_link(tab, Input::Closed(1006)),
            Transport::Socket if server.no_sockets => self.put_link(tab, Input::Closed(1006)),
            Transport::Events if server.no_streams => self.put_link(tab, Input::Closed(1006)),
            Transport::Socket => {
                self.tabs[tab].link = Some((Wire::Silent, true));
                self.put_link(tab, Input::Opened);
            }
            Transport::Events => {
                self.tabs[tab].link = Some((Wire::Live, false));
                self.greet(tab, since.as_ref());
            }
            Transport::Polling => self.poll(tab, since, 0),
        }
    }

    fn poll(&mut self, tab: usize, since: Option<Since>, wait: Millis) {
        if self.server.down {
            self.put_link(tab, Input::Closed(1006));
            return;
        }
        match since {
            Some(since)
                if wait > 0
                    && self.server.greet(Some(&since)).len() == 1
                    && since.seq == self.server.head() =>
            {
                self.tabs[tab].poll = Some((since, self.now + wait));
            }
            since => {
                self.greet(tab, since.as_ref());
                self.put_link(tab, Input::Answered { late: false });
            }
        }
    }

    fn hang_up(&mut self, tab: usize) {
        self.tabs[tab].line = self.new_line();
        self.tabs[tab].link = None;
        self.tabs[tab].poll = None;
    }

    /// Every connection ends, as when the server goes or a proxy restarts.
    fn cut(&mut self, tab: usize, code: u16) {
        let had = self.tabs[tab].link.take().is_some() | self.tabs[tab].poll.take().is_some();
        if had {
            self.put_link(tab, Input::Closed(code));
        }
        if self.tabs[tab].probe.take().is_some() {
            self.put_probe(tab, Input::ProbeClosed);
        }
    }

    fn spread(&mut self) {
        let seq = self.server.head();
        for tab in 0..self.tabs.len() {
            let here = &mut self.tabs[tab];
            if matches!(here.link, Some((Wire::Live, _))) {
                let frame = self.server.frame(seq);
                self.put_link(tab, Input::Frame(frame));
            } else if let Some((since, _)) = here.poll.take() {
                self.greet(tab, Some(&since));
                self.put_link(tab, Input::Answered { late: false });
            }
        }
    }

    fn second(&mut self) {
        self.now += 1_000;
        for (tab, input) in std::mem::take(&mut self.late) {
            self.put(tab, input);
        }
        for tab in 0..self.tabs.len() {
            if self.now.is_multiple_of(20_000) && matches!(self.tabs[tab].link, Some((Wire::Live, _))) {
                self.put_link(tab, Input::Frame(ServerFrame::Ping { late: false }));
            }
            if let Some((since, until)) = self.tabs[tab].poll.clone()
                && self.now >= until
            {
                self.tabs[tab].poll = None;
                self.greet(tab, Some(&since));
                self.put_link(tab, Input::Answered { late: false });
            }
            if !self.tabs[tab].frozen {
                self.put(tab, Input::Tick);
            }
        }
        self.settle();
    }

    fn run(&mut self, command: &Command) {
        let tabs = self.tabs.len();
        let one = |n: usize| n % tabs.max(1);
        match *command {
            Command::Open => {
                let mut tab = Tab::default();
                if !self.server.down {
                    tab.store = self.server.snapshot();
                }
                let since = Since { epoch: self.server.epoch(), seq: self.server.head() };
                self.tabs.push(tab);
                if !self.server.down {
                    self.put(tabs, Input::Rendered(since));
                }
                if self.lock.is_none() {
                    self.lock = Some(tabs);
                    self.put(tabs, Input::Lead);
                } else {
                    self.queue.push_back(tabs);
                    self.put(tabs, Input::Follow);
                }
            }
            _ if tabs == 0 => {}
            Command::Commit(about) => {
                if !self.server.down {
                    self.server.log.push(about);
                    self.spread();
                }
            }
            Command::Close(n) => {
                let n = one(n);
                self.tabs[n].gone = true;
                self.hang_up(n);
                if self.lock == Some(n) {
                    let next = self.queue.iter().position(|tab| !self.tabs[*tab].gone);
                    self.lock = next.and_then(|at| self.queue.remove(at));
                    if let Some(next) = self.lock {
                        self.put(next, Input::Lead);
                    }
                }
            }
            Command::Freeze(n) => self.tabs[one(n)].frozen = true,
            Command::Thaw(n) => self.thaw(one(n)),
            Command::Visible(n, visible) => self.put(one(n), Input::Visible(visible)),
            Command::Cut(n) => self.cut(one(n), 1006),
            Command::Stall(n) => {
                let here = &mut self.tabs[one(n)];
                here.link = here.link.map(|(_, socket)| (Wire::Dead, socket));
            }
            Command::Down => {
                self.server.down = true;
                (0..tabs).for_each(|tab| self.cut(tab, close::GOING_AWAY));
            }
            Command::Up => self.server.down = false,
            Command::Sockets(may) => {
                self.server.no_sockets = !may;
                for tab in (0..tabs).filter(|_| !may) {
                    if matches!(self.tabs[tab].link, Some((_, true))) {
                        self.cut(tab, 1006);
                    }
                }
            }
            Command::Streams(may) => {
                self.server.no_streams = !may;
                for tab in (0..tabs).filter(|_| !may) {
                    if matches!(self.tabs[tab].link, Some((_, false))) {
                        self.cut(tab, 1006);
                    }
                }
            }
            Command::Forget => self.server.floor = self.server.head(),
            Command::Restore(keep) => {
                (0..tabs).for_each(|tab| self.cut(tab, 1006));
                self.server.epoch += 1;
                self.server.log.truncate(keep as usize);
                self.server.floor = 0;
            }
            Command::Wait(seconds) => (0..seconds).for_each(|_| self.second()),
        }
        self.settle();
    }

    fn thaw(&mut self, n: usize) {
        self.tabs[n].frozen = false;
        let backlog = std::mem::take(&mut self.tabs[n].backlog);
        for (input, line) in backlog {
            self.inputs.push_back((n, input, line));
        }
    }

    /// All is well again, and some time goes by.
    fn calm(&mut self) {
        self.run(&Command::Up);
        self.run(&Command::Sockets(true));
        self.run(&Command::Streams(true));
        for tab in 0..self.tabs.len() {
            self.run(&Command::Thaw(tab));
            self.run(&Command::Visible(tab, true));
        }
        self.run(&Command::Wait(180));
    }
}
