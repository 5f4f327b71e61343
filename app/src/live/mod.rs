//! The live link of the page: the state machine, what carries the frames, the other tabs and the stores, put together. It
//! belongs to the app, so it outlives every page. What is decided stands in [`machine`]; here it is only carried out.

mod fallback;
mod ladder;
pub mod machine;
mod message;
mod socket;
mod tabs;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

use crate::{
    document,
    error::AppError,
    paths,
    server_fns::{
        documents::read_document,
        shell::read_shell,
        workspaces::{list_documents, read_job, read_workspace},
    },
    stores::{Snapshot, Stores},
    wire::{self, Wire},
};
use domain::{
    DocumentId, Event, Job, JobId, Timestamp, UserId, WorkspaceId, backoff,
    pages::{Since, WorkspacePage},
};
pub use ladder::Transport;
use leptos::{ev, prelude::*, task::spawn_local};
use machine::{Action, Input, Link, Machine, Millis};
use message::TabMessage;
use std::time::Duration;

/// Code of a connection that broke without a word.
const BROKEN: u16 = 1006;
/// More changes than these are not kept for a hidden tab: they are taken at once, hidden or not.
const PARKED: usize = 2_000;

/// Of no more jobs than these that are not under way any more it is asked how they ended.
const ASKED: usize = 20;

/// What the page shows, so that it can be read anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Screen {
    #[default]
    Other,
    Workspace(WorkspaceId),
    Document(DocumentId),
    Job(WorkspaceId, JobId),
}

/// What the badge shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    pub link: Link,
    /// How frames come, or would come.
    pub transport: Transport,
    /// Since when what is on screen may be old.
    pub lost: Option<Millis>,
    /// What is changed at other servers of the installation comes late.
    pub late: bool,
    /// It has been lost for more than a moment.
    pub paused: bool,
    /// Seconds until the next try, while one is waited for.
    pub next_try: u32,
}

/// The handle; cheap to copy, given to every page through the context.
#[derive(Clone, Copy)]
pub struct Live {
    machine: StoredValue<Machine>,
    screen: StoredValue<Screen>,
    /// Counts the readings anew, so that an overtaken one is dropped.
    reading: StoredValue<u32>,
    /// Changes that came while nobody looked; they are taken together, once a second or when somebody does.
    parked: StoredValue<Vec<Event>>,
    started: StoredValue<bool>,
    status: RwSignal<LinkStatus>,
    /// How far the server's clock is before this device's, in microseconds.
    ahead: RwSignal<i64>,
    stores: Stores,
}

impl Live {
    pub fn new(stores: Stores) -> Self {
        Self {
            machine: StoredValue::new(Machine::default()),
            screen: StoredValue::new(Screen::Other),
            reading: StoredValue::new(0),
            parked: StoredValue::new(vec![]),
            started: StoredValue::new(false),
            status: RwSignal::new(LinkStatus {
                link: Link::Off,
                transport: Transport::default(),
                lost: None,
                late: false,
                paused: false,
                next_try: 0,
            }),
            ahead: RwSignal::new(0),
            stores,
        }
    }

    /// The link of this app.
    pub fn expect() -> Self {
        expect_context()
    }

    pub fn status(self) -> ReadSignal<LinkStatus> {
        self.status.read_only()
    }

    /// Whether what is on screen is known to be current.
    pub fn is_open(self) -> Signal<bool> {
        let status = self.status;
        Signal::derive(move || matches!(status.get().link, Link::Open { .. }))
    }

    /// Whether what is on screen may be old, from the first moment on: nothing may pretend then to know how things are.
    pub fn is_lost(self) -> Signal<bool> {
        let status = self.status;
        Signal::derive(move || status.with(|s| s.lost.is_some()))
    }

    /// How far the server's clock is before this device's, in microseconds, as the server told it last; 0 until it has. What
    /// shows times goes by the server's, since that is whose times they are.
    pub fn server_ahead(self) -> ReadSignal<i64> {
        self.ahead.read_only()
    }

    /// Why nothing may be steered now: what is on screen may be old. `None` while it is current, for the moment that a
    /// renewal of the link takes, before the first try of one has failed, as without a script, and once the session has
    /// ended: there is nothing to wait for then, and whoever signs in elsewhere may save what is still typed here.
    pub fn paused_reason(self) -> Signal<Option<&'static str>> {
        let status = self.status;
        Signal::derive(move || {
            let is_paused = status.with(|s| s.paused && s.link != Link::Ended);
            is_paused.then_some(
                "Live updates are paused, so what you see may be old. This waits until they are back.",
            )
        })
    }

    /// Notes that something was rendered that is right up to that point of the log.
    pub fn rendered(self, since: &Since) {
        self.machine.update_value(|m| {
            m.on(Input::Rendered(since.clone()), 0, 0.0);
        });
    }

    /// Notes whose page this is.
    pub fn belongs_to(self, user: UserId) {
        self.machine.update_value(|m| {
            m.on(Input::Belongs(user), 0, 0.0);
        });
    }

    /// Whose page this is; `None` while it has not said so.
    fn whose(self) -> Option<UserId> {
        self.machine.try_with_value(Machine::whose).flatten()
    }

    /// Up to which event of the log this tab has everything; `None` while it knows no place.
    pub fn place(self) -> Option<u64> {
        self.machine.try_with_value(|m| m.since().map(|since| since.seq)).flatten()
    }

    /// Notes which page is on screen.
    pub fn shows(self, screen: Screen) {
        self.screen.set_value(screen);
    }

    pub fn retry_now(self) {
        self.feed(Input::Hurry);
    }

    /// The server said that nobody is signed in any more.
    pub fn signed_out(self) {
        self.feed(Input::SignedOut);
    }

    /// Starts the link; in the browser only, once.
    pub fn start(self) {
        if self.started.try_update_value(|started| std::mem::replace(started, true)).unwrap_or(true) {
            return;
        }
        let hurry = move |_| self.feed(Input::Hurry);
        // These live as long as the page does.
        let _ = window_event_listener(ev::online, hurry);
        let _ = window_event_listener(ev::offline, move |_| self.feed(Input::Offline));
        let _ = window_event_listener_untyped("pageshow", hurry);
        let _ = window_event_listener(ev::visibilitychange, move |_| self.look());
        self.look();
        let _ = set_interval_with_handle(
            move || {
                self.unpark();
                self.feed(Input::Tick);
            },
            Duration::from_secs(1),
        );
        if !tabs::join(self, document::marked("data-session")) {
            self.feed(Input::Start);
        }
    }

    /// Notes whether somebody sees this tab.
    fn look(self) {
        let visible = leptos::prelude::document().visibility_state() == web_sys::VisibilityState::Visible;
        if visible {
            self.unpark();
        }
        self.feed(Input::Visible(visible));
    }

    /// Takes a frame as it came.
    fn receive(self, text: &str) {
        // A frame that this client does not know belongs to a newer server; the next one may be known.
        if let Some(frame) = wire::frame(text) {
            self.act(Input::Frame(frame), Some(text));
        }
    }

    /// Hands something that happened to the machine, and does what it says.
    fn feed(self, input: Input) {
        self.act(input, None);
    }

    /// `text` is what the input was read from, when it is a frame.
    fn act(self, input: Input, text: Option<&str>) {
        let now = js_sys::Date::now() as Millis;
        let unit = js_sys::Math::random();
        if let Some(told) = self.machine.try_with_value(|m| m.time_told(&input)).flatten() {
            self.ahead.try_set(ahead(told, now));
        }
        let Some(actions) = self.machine.try_update_value(|m| m.on(input, now, unit)) else {
            return;
        };
        for action in actions {
            match action {
                Action::Connect(by, since) => {
                    socket::hangup();
                    fallback::hangup();
                    match by {
                        Transport::Socket => socket::connect(self),
                        Transport::Events => fallback::connect_events(self, since.as_ref()),
                        Transport::Polling => fallback::poll(self, since, true),
                    }
                }
                Action::Poll(since) => fallback::poll(self, since, false),
                Action::Hangup => {
                    socket::hangup();
                    fallback::hangup();
                }
                Action::Send(frame) => socket::send(&frame),
                Action::Probe => socket::probe(self),
                Action::SendProbe(frame) => socket::send_probe(&frame),
                Action::DropProbe => socket::drop_probe(),
                Action::Adopt => {
                    fallback::hangup();
                    socket::adopt();
                }
                Action::Tell(message) => tabs::tell(&message),
                Action::Pass { epoch, after } => {
                    if let Some(frame) = text {
                        tabs::tell(&TabMessage::Event { epoch, after, frame: frame.to_owned() });
                    }
                }
                Action::CatchUp(since) => fallback::catch_up(self, since),
                Action::TakeOver => tabs::take_over(self),
                Action::Apply(event) => self.take(*event),
                Action::Resync => self.resync(),
                Action::SignIn => go_to_sign_in(),
            }
        }
        let status = self.machine.with_value(|m| LinkStatus {
            link: m.link(),
            transport: m.transport(),
            lost: m.lost(),
            late: m.is_late(),
            paused: m.is_paused(now),
            next_try: match m.link() {
                Link::Waiting { until } => until.saturating_sub(now).div_ceil(1_000) as u32,
                _ => 0,
            },
        });
        if self.status.get_untracked() != status {
            self.status.set(status);
        }
    }

    /// Takes a change, or keeps it while nobody looks. What ended does not wait: the system may have to tell of it, and a
    /// browser lets a tab that has been hidden for long look at what it kept once a minute only.
    fn take(self, event: Event) {
        let hidden = self.machine.try_with_value(|m| !m.is_visible()).unwrap_or_default();
        if !hidden {
            self.stores.apply(event);
            return;
        }
        let ends = matches!(event, Event::JobComplete(_) | Event::JobError(_));
        let parked = self.parked.try_update_value(|parked| {
            parked.push(event);
            parked.len()
        });
        if ends || parked.is_some_and(|n| n >= PARKED) {
            self.unpark();
        }
    }

    /// Takes what was kept, in the order in which it came, before the browser draws again.
    fn unpark(self) {
        let parked = self.parked.try_update_value(std::mem::take).unwrap_or_default();
        for event in parked {
            self.stores.apply(event);
        }
    }

    /// Reads what is on screen anew, and holds the events that come meanwhile until it is there.
    fn resync(self) {
        // What was kept is older than what is read now.
        self.parked.try_update_value(Vec::clear);
        self.stores.hold();
        let turn = self.reading.try_update_value(|n| {
            *n += 1;
            *n
        });
        self.read_anew(turn.unwrap_or_default(), 0);
    }

    fn read_anew(self, turn: u32, attempt: u32) {
        spawn_local(async move {
            let screen = self.screen.try_get_value().unwrap_or_default();
            let read = snapshot(screen, self.stores).await;
            if self.reading.try_get_value() != Some(turn) {
                return;
            }
            match read {
                // Somebody went to another page meanwhile: that one has to be in it.
                Ok(_) if self.screen.try_get_value() != Some(screen) => self.read_anew(turn, 0),
                Ok(snapshot) => {
                    self.stores.replace(&snapshot);
                    self.feed(Input::Renewed);
                }
                Err(e) if e.status() == 401 => self.signed_out(),
                Err(_) => {
                    let delay = backoff::delay_ms(attempt, js_sys::Math::random());
                    set_timeout(
                        move || self.read_anew(turn, attempt.saturating_add(1)),
                        Duration::from_millis(delay.into()),
                    );
                }
            }
        });
    }
}

async fn snapshot(screen: Screen, stores: Stores) -> Result<Snapshot, AppError> {
    let before = stores.active_jobs();
    let Wire(shell) = read_shell().await?;
    let goes_on = |job: &Job| shell.jobs.iter().any(|now| now.job_id == job.job_id);
    let gone: Vec<Job> = before.into_iter().filter(|job| !goes_on(job)).take(ASKED).collect();
    let mut snapshot = Snapshot { shell: Some(shell), ..Snapshot::default() };
    for job in gone {
        let read = there(read_job(job.kb_id, job.job_id).await)?;
        snapshot.ended.extend(read.map(|page| page.job).filter(|job| job.status.is_final()));
    }
    match screen {
        Screen::Other => {}
        Screen::Workspace(id) => {
            snapshot.workspace = there(as_listed(id, stores.listed(id)).await)?;
        }
        Screen::Document(id) => snapshot.document = there(read_document(id).await)?,
        Screen::Job(workspace, id) => snapshot.job = there(read_job(workspace, id).await)?,
    }
    Ok(snapshot)
}

/// A workspace with as many of its documents as are listed: whoever looks at one far down stays there.
async fn as_listed(id: WorkspaceId, listed: usize) -> Result<Wire<WorkspacePage>, AppError> {
    let Wire(mut page) = read_workspace(id, u32::try_from(listed).ok()).await?;
    while page.documents.items.len() < listed
        && let Some(after) = page.documents.next.take()
    {
        let Wire(part) = list_documents(id, after).await?;
        page.documents.items.extend(part.documents.items);
        page.documents.next = part.documents.next;
        page.jobs.extend(part.jobs);
    }
    Ok(Wire(page))
}

/// How far a clock that shows `told` is before one that shows `now`. Less than a second is as likely the time that the word
/// was on its way, and as good as nothing.
fn ahead(told: Timestamp, now: Millis) -> i64 {
    let now = i64::try_from(now).unwrap_or(i64::MAX).saturating_mul(1_000);
    let ahead = told.micros().saturating_sub(now);
    if ahead.abs() < 1_000_000 { 0 } else { ahead }
}

/// What is gone is no error here: the page then says that it is gone.
fn there<T>(read: Result<Wire<T>, AppError>) -> Result<Option<T>, AppError> {
    match read {
        Ok(Wire(value)) => Ok(Some(value)),
        Err(e) if e.status() == 404 => Ok(None),
        Err(e) => Err(e),
    }
}

fn go_to_sign_in() {
    let location = window().location();
    let here = location.pathname().unwrap_or_default() + &location.search().unwrap_or_default();
    let _ = location.assign(&paths::sign_in_since(paths::Why::Ended, &here));
}
