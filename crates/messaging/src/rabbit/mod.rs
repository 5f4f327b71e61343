//! The bus over RabbitMQ. Within the process everything is told at once, as by [`InProcessBus`](crate::InProcessBus);
//! other nodes hear of it through a topic exchange: events by the [`relay`], which reads them from the log, other signals
//! as they come. The broker may be gone, cut off or wiped at any time: what is lost costs latency, and the log has it.

pub mod body;
mod ears;
mod held_up;
pub mod names;
mod outside;
mod pending;
mod relay;
mod standing;
mod topology;
mod work;

pub use lapin::uri::AMQPUri as Url;
pub use standing::{Standing, forget_reports, standing};

use domain::{Epoch, Timestamp, UserId};
use lapin::{Connection, ConnectionProperties};
use names::Names;
use pending::Pending;
use services::ports::{Bus, BusReceiver, Clock, Outbox, OutsideWork, Reports, Secrets, Signal, Untold};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, broadcast, mpsc},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Signals that may wait for a slow listener before it is told that it missed some.
const CAPACITY: usize = 8_192;
/// Signals that may wait for the broker. What is lost beyond that, everybody looks for now and then by himself.
const OUTGOING: usize = 4_096;
/// How long a connection may take to be there, with all that is declared.
const PATIENCE: Duration = Duration::from_secs(5);
/// Seconds of silence after which the connection gives a sign of life. That it is dead the pulse finds sooner.
const HEARTBEAT: u16 = 10;
/// First and last upper bound of the pause before the next try.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// While there is no broker, each node looks into the log so often for what others wrote.
const LOOK: Duration = Duration::from_secs(1);
/// How long the broker may take to confirm.
const CONFIRM: Duration = Duration::from_secs(8);
/// Causes that are told of one outage.
const CAUSES: usize = 16;
/// How long a stop waits until what was committed is with the broker.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a node does there.
#[derive(Clone, Debug)]
pub struct Options {
    /// `amqp://user:password@host:port/vhost`, or `amqps`.
    pub url: Url,
    pub exchange: String,
    /// Names this node at the broker; differs from that of every other one.
    pub node: String,
    /// It has people's streams.
    pub serves: bool,
    /// It works on documents.
    pub works: bool,
}

/// What the bus needs of the rest of the house, once that stands.
#[derive(Clone)]
pub struct House {
    /// Of the log: what servers on another one tell is not for these.
    pub epoch: Epoch,
    pub outbox: Arc<dyn Outbox>,
    pub outside: Arc<dyn OutsideWork>,
    /// Where reports of outside workers go.
    pub reports: Arc<dyn Reports>,
    pub clock: Arc<dyn Clock>,
    /// For the jitter of the pauses.
    pub secrets: Arc<dyn Secrets>,
}

pub struct RabbitBus {
    options: Options,
    names: Names,
    local: broadcast::Sender<Signal>,
    pending: Pending,
    outgoing: mpsc::Sender<Signal>,
    waiting: tokio::sync::Mutex<mpsc::Receiver<Signal>>,
    work: work::Calls,
    /// What outside workers have to be told anew.
    owed: Owed,
    /// Another node told something that this one does not understand.
    unknown: AtomicBool,
    /// The epoch of the log that this node tells of, once it is known.
    log: OnceLock<String>,
    /// That somebody tells of another one was said.
    told_of_others: AtomicBool,
    /// The broker said that it takes nothing at present.
    held_up: AtomicBool,
    /// That were made until now.
    connections: AtomicU64,
    health: Mutex<Health>,
}

/// What outside workers have to be told again. It is owed until it was done: a connection that is lost in the middle of it
/// takes nothing along, and a server begins with all that waits, since it does not know what the one before owed.
struct Owed {
    /// How often each was said.
    times: Mutex<BTreeMap<Untold, u64>>,
    wake: Notify,
}

impl Default for Owed {
    fn default() -> Self {
        Self { times: Mutex::new(BTreeMap::from([(Untold::Waiting, 1)])), wake: Notify::new() }
    }
}

impl Owed {
    fn set(&self, which: Untold) {
        *lock(&self.times).entry(which).or_default() += 1;
        self.wake.notify_one();
    }

    fn is_nothing(&self) -> bool {
        lock(&self.times).is_empty()
    }

    /// All that is owed, and how often it was said by now.
    fn all(&self) -> BTreeMap<Untold, u64> {
        lock(&self.times).clone()
    }

    /// All that was said of it by then is done. What was said since stays.
    fn done(&self, which: Untold, times: u64) {
        let mut owed = lock(&self.times);
        if owed.get(&which) == Some(&times) {
            owed.remove(&which);
        }
    }
}

struct Health {
    /// What is published goes out.
    up: bool,
    /// There is a connection; over one that is held up nothing goes out.
    connected: bool,
    /// When it turned so; `None` before the first connection was tried.
    since: Option<Timestamp>,
    why: String,
    /// What was in the way since the last connection, as far as it was told.
    causes: BTreeSet<String>,
}

impl Default for Health {
    fn default() -> Self {
        let (up, connected, since, causes) = (false, false, None, BTreeSet::new());
        Self { up, connected, since, why: "it was not reached yet".to_owned(), causes }
    }
}

/// What there is to tell when a connection ended, or none came about.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// The broker is away now.
    Away,
    /// It was away before, and something else is in the way now: it is there again and does not know the password, say.
    OtherCause,
    Nothing,
}

impl Health {
    fn came_up(&mut self, now: Timestamp) -> Option<Timestamp> {
        (self.up, self.connected) = (true, true);
        self.causes.clear();
        self.since.replace(now)
    }

    /// Answers what there is to tell, and whether a connection was lost.
    fn went_down(&mut self, lost: &Lost, now: Timestamp) -> (News, bool) {
        let was_connected = std::mem::take(&mut self.connected);
        // An address has no place in what people read; the words of an error may name one, so they are for the log.
        self.why = match lost {
            Lost::Broker(_) => "the connection failed; the log says why".to_owned(),
            Lost::Silent | Lost::Cancelled => lost.to_string(),
        };
        let is_new = self.causes.len() < CAUSES && self.causes.insert(lost.to_string());
        let news = if self.up || self.since.is_none() {
            self.up = false;
            self.since = Some(now);
            News::Away
        } else if is_new {
            News::OtherCause
        } else {
            News::Nothing
        };
        (news, was_connected)
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{0}")]
    Broker(#[from] lapin::Error),
    #[error("the broker did not answer in time")]
    Silent,
    #[error("the broker ended the subscription")]
    Cancelled,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RabbitBus {
    /// A bus that tells its own process everything, and other nodes as long as [`run`](Self::run) is polled.
    pub fn new(options: Options) -> Arc<Self> {
        let (outgoing, waiting) = mpsc::channel(OUTGOING);
        Arc::new(Self {
            names: Names { exchange: options.exchange.clone() },
            options,
            local: broadcast::Sender::new(CAPACITY),
            pending: Pending::default(),
            outgoing,
            waiting: tokio::sync::Mutex::new(waiting),
            work: work::Calls::default(),
            owed: Owed::default(),
            unknown: AtomicBool::new(false),
            log: OnceLock::new(),
            told_of_others: AtomicBool::new(false),
            held_up: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            health: Mutex::default(),
        })
    }

    /// Keeps the connection to the broker, whatever happens to it, until `stopping`; then sends what is still to be sent.
    pub async fn run(self: Arc<Self>, house: House, stopping: CancellationToken) {
        // Known from the start: a store that finds another epoch is opened anew, by another process.
        let _ = self.log.set(house.epoch.0.clone());
        let begin = async {
            while let Err(error) = house.outbox.begin_outbox().await {
                tracing::warn!(%error, "the outbox could not be begun; trying again");
                sleep(FIRST_PAUSE * 2).await;
            }
        };
        if stopping.run_until_cancelled(begin).await.is_none() {
            return;
        }
        let mut tries = 0;
        while !stopping.is_cancelled() {
            let begun = Instant::now();
            let Err(lost) = self.connected(&house, &stopping).await else { return };
            // One that held for a while was a good one.
            tries = if begun.elapsed() > LONGEST_PAUSE * 4 { 0 } else { tries + 1 };
            self.went_down(&house, &lost);
            let pause = FIRST_PAUSE.saturating_mul(1 << tries.min(8)).min(LONGEST_PAUSE);
            let pause = pause.mul_f64(unit(&*house.secrets));
            let _ = self.local.send(Signal::Missed);
            stopping.run_until_cancelled(self.looking(sleep(pause))).await;
        }
    }

    /// One connection, until it ends. Fine when the server stopped.
    async fn connected(&self, house: &House, stopping: &CancellationToken) -> Result<(), Lost> {
        let mut url = self.options.url.clone();
        url.query.heartbeat.get_or_insert(HEARTBEAT);
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("insighthub {}", self.options.node).into());
        let keys: &[&str] = if self.options.serves { &names::FOR_WEB } else { &names::FOR_WORKERS };
        // A name of its own for each connection: the broker may still believe in the one before.
        let nth = self.connections.fetch_add(1, Ordering::SeqCst);
        let queue = format!("{}.{nth}", self.options.node);
        let declared = async {
            let connection = Connection::connect_uri(url, properties).await?;
            let empty = topology::shared(&connection, &self.names).await?;
            let ears = connection.create_channel().await?;
            let own = topology::node(&ears, &self.names, &queue, keys).await?;
            let (relay, publisher) = (connection.create_channel().await?, connection.create_channel().await?);
            for channel in [&relay, &publisher] {
                channel.confirm_select(lapin::options::ConfirmSelectOptions::default()).await?;
            }
            Ok::<_, Lost>((connection, empty, ears, own, relay, publisher))
        };
        let declared = self.looking(timeout(PATIENCE, declared));
        let Some(declared) = stopping.run_until_cancelled(declared).await else { return Ok(()) };
        let (connection, empty, _ears, own, relay, publisher) = declared.map_err(|_| Lost::Silent)??;
        if empty {
            tracing::warn!("the broker was empty; it is filled again from the database");
            // What outside workers had in hand went with their queues, and so did what they had said.
            self.owed.set(Untold::Unfinished);
            self.work.call();
        }
        let since = self.came_up(house);
        tracing::info!(down_since = since.map(|at| at.to_string()), "connected to the broker");

        let working = async {
            tokio::try_join!(
                self.listen(own),
                self.pulse(&publisher, &queue),
                self.tell(&publisher, house),
                self.announce(&publisher, house),
                self.take_reports(&connection, house),
                self.hear_calls(&connection),
                self.count(&connection),
                self.watch(&connection, house),
            )
            .map(drop)
        };
        let relaying = self.relay(&relay, house, stopping);
        tokio::pin!(working, relaying);
        tokio::select! {
            ended = &mut working => ended?,
            ended = &mut relaying => ended?,
        }
        // The relay ends by itself only when the server stops and everything is sent.
        let closed = connection.close(200, "the server stops".into());
        let _ = timeout(LAST_WORDS, closed).await;
        Ok(())
    }

    /// What is done while there is no broker; meanwhile everybody who listens looks into the database.
    async fn looking<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = sleep(LOOK) => {
                    let _ = self.local.send(Signal::Missed);
                }
            }
        }
    }

    /// Answers since when it was not so.
    fn came_up(&self, house: &House) -> Option<Timestamp> {
        metrics::gauge!("insighthub_broker_up").set(1.0);
        let since = lock(&self.health).came_up(house.clock.now());
        self.pending.look();
        // What others told while this node was away.
        let _ = self.local.send(Signal::Missed);
        since
    }

    fn went_down(&self, house: &House, lost: &Lost) {
        metrics::gauge!("insighthub_broker_up").set(0.0);
        self.held_up.store(false, Ordering::SeqCst);
        let (news, was_connected) = lock(&self.health).went_down(lost, house.clock.now());
        if was_connected {
            metrics::counter!("insighthub_broker_losses_total").increment(1);
        }
        match news {
            News::Away => {
                tracing::warn!(error = %lost, "the broker is away: nothing is lost, but other servers hear of changes later");
            }
            News::OtherCause => tracing::warn!(error = %lost, "the broker is still away, for another cause"),
            News::Nothing => tracing::debug!(error = %lost, "the broker is still away"),
        }
    }

    /// Tells other nodes, unless too much waits already.
    fn send_out(&self, signal: Signal) {
        if self.outgoing.try_send(signal).is_err() {
            metrics::counter!("insighthub_broker_signals_dropped_total").increment(1);
        }
    }
}

impl Bus for RabbitBus {
    fn publish(&self, signal: Signal) {
        match &signal {
            Signal::Event(event) => self.pending.add(event.user_id, event.seq),
            Signal::SessionEnded { .. }
            | Signal::SessionRenewed { .. }
            | Signal::KeyRevoked { .. }
            | Signal::AccountClosed { .. }
            | Signal::Requested => self.send_out(signal.clone()),
            Signal::WorkReady => self.work.call(),
            Signal::Untold(workspace) => self.owed.set(Untold::UnfinishedIn(*workspace)),
            // Every node that serves people looks by itself for what is held back, and knows what it missed.
            Signal::HeldBack | Signal::Missed => {}
        }
        // An error says that nobody listens, which is fine: the log has it.
        let _ = self.local.send(signal);
    }

    fn subscribe(&self) -> BusReceiver {
        self.local.subscribe()
    }

    fn looked_for_work(&self, free: usize, taken: usize) {
        self.work.looked(free, taken);
    }

    fn outage(&self) -> Option<String> {
        let health = lock(&self.health);
        if health.up {
            return None;
        }
        let since = health.since.map_or_else(|| "the start".to_owned(), |at| at.to_string());
        Some(format!(
            "The broker has been away since {since} ({}). Nothing is lost; other servers hear of changes up to a second later.",
            health.why
        ))
    }
}

/// A number in `[0, 1)`.
fn unit(secrets: &dyn Secrets) -> f64 {
    let bytes = secrets.bytes32();
    f64::from(u16::from_le_bytes([bytes[0], bytes[1]])) / 65_536.0
}

/// How an event is told from others in traces at the broker.
fn message_id(user: UserId, seq: u64) -> String {
    format!("{user}.{seq}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_no_losses_and_each_cause_of_an_outage_is_told_once() {
        let mut health = Health::default();
        let at = Timestamp::from_micros;
        assert_eq!(health.went_down(&Lost::Silent, at(1)), (News::Away, false), "there was nothing to lose");
        assert_eq!(health.went_down(&Lost::Silent, at(2)), (News::Nothing, false));
        assert_eq!(health.went_down(&Lost::Cancelled, at(3)), (News::OtherCause, false));
        assert_eq!(health.went_down(&Lost::Silent, at(4)), (News::Nothing, false), "they may take turns");
        assert_eq!(health.why, Lost::Silent.to_string(), "of now");
        assert_eq!(health.came_up(at(5)), Some(at(1)));
        assert_eq!(health.went_down(&Lost::Silent, at(6)), (News::Away, true));
        assert_eq!(health.went_down(&Lost::Silent, at(7)), (News::Nothing, false));
        assert_eq!(health.came_up(at(8)), Some(at(6)));
    }
}
