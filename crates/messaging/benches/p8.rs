//! P8: the relay to RabbitMQ. Confirms that are waited for together, against one at a time; and an event's way from its
//! commit at one node to the listeners of another, both on one PostgreSQL and one broker.
//!
//!     cargo bench -p messaging --bench p8 [-- --smoke]

use async_trait::async_trait;
use domain::{
    DocumentId, Event, Timestamp, UserId, WorkspaceId, WorkspaceStatus,
    event::WorkspaceDeleted,
    rag::RagConfig,
    report::{DocumentReport, WorkspaceReport},
    status::Processor,
    validate::{Description, Email, Username, WorkspaceName},
};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueuePurgeOptions},
    types::{AMQPValue, FieldTable},
};
use measure::{
    Asked, Failure,
    broker::Broker,
    report::{Goal, SMOKE, bound_line, compared},
    stats::of_ratios,
};
use messaging::rabbit::{House, Options, RabbitBus};
use services::ports::{Accounts, Bus, Clock, EventLog, NewUser, NewWorkspace, Reports, Secrets, Signal};
use std::{
    collections::HashMap,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use storage::{OpenOptions, Store};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How much is measured.
struct Load {
    rounds: usize,
    /// Messages of a round in which confirms are waited for together, and of one in which each is waited for.
    together: usize,
    each: usize,
    users: usize,
    /// Events a second.
    rate: u64,
    warm: u64,
    seconds: u64,
}

const LOAD: Load =
    Load { rounds: 7, together: 20_000, each: 2_000, users: 100, rate: 3_000, warm: 5, seconds: 20 };
const SMOKE_LOAD: Load =
    Load { rounds: 1, together: 500, each: 50, users: 5, rate: 100, warm: 1, seconds: 1 };

/// Confirms that are waited for together.
const AT_ONCE: usize = 512;
/// About what an event of a document takes.
const MESSAGE: usize = 1_000;
/// Milliseconds between two bursts of the schedule.
const TICK: u64 = 10;

fn main() -> ExitCode {
    measure::answer(run)
}

fn run(asked: &Asked) -> Result<String, Failure> {
    let (load, note) = if asked.has("--smoke") { (SMOKE_LOAD, SMOKE) } else { (LOAD, "") };
    let database = std::env::var("INSIGHTHUB_BENCH_POSTGRES_URL")
        .map_err(|_| "INSIGHTHUB_BENCH_POSTGRES_URL is not set; run it with `cargo xtask bench p8`")?;
    let broker = Broker::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let confirms = confirms(&broker.url(), &load).await?;
        let way = way(&broker.url(), &database, &load).await?;
        Ok(format!("{confirms}{note}\n{way}{note}"))
    })
}

/// Persistent messages into a durable quorum queue.
async fn confirms(url: &str, load: &Load) -> Result<String, Failure> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel.queue_declare("p8".into(), durable, quorum).await?;
    publish(&channel, load.each, AT_ONCE).await?;
    let (mut ours, mut peer) = (vec![], vec![]);
    for round in 0..load.rounds {
        // A B, then B A.
        for side in [round % 2, 1 - round % 2] {
            if side == 0 {
                ours.push(publish(&channel, load.together, AT_ONCE).await?);
            } else {
                peer.push(publish(&channel, load.each, 1).await?);
            }
            channel.queue_purge("p8".into(), QueuePurgeOptions::default()).await?;
        }
    }
    Ok(compared("P8-confirms", "msg/s", &ours, &peer, Goal::AtLeast(10.0)))
}

/// Messages a second.
async fn publish(channel: &Channel, messages: usize, at_once: usize) -> Result<f64, Failure> {
    let body = vec![b'x'; MESSAGE];
    let begun = Instant::now();
    let mut left = messages;
    while left > 0 {
        let now = left.min(at_once);
        let mut confirms = Vec::with_capacity(now);
        for _ in 0..now {
            let properties = BasicProperties::default().with_delivery_mode(2);
            let options = BasicPublishOptions::default();
            confirms.push(channel.basic_publish("".into(), "p8".into(), options, &body, properties).await?);
        }
        for confirm in confirms {
            if !confirm.await?.is_ack() {
                return Err("the broker refused a message".into());
            }
        }
        left -= now;
    }
    Ok(messages as f64 / begun.elapsed().as_secs_f64())
}

/// From the moment at which a commit is due at one node until the other node's listeners have its event.
async fn way(url: &str, database: &str, load: &Load) -> Result<String, Failure> {
    let (here, stop_here) = node(url, database).await?;
    let (there, stop_there) = node(url, database).await?;
    let mut users = vec![];
    for n in 0..load.users {
        users.push(make_user(&here.store, n).await?);
    }
    let mut rounds = vec![];
    for _ in 0..load.rounds {
        rounds.push(round(&here, &there, &users, load).await?);
    }
    for (stop, running) in [stop_here, stop_there] {
        stop.cancel();
        timeout(Duration::from_secs(10), running).await??;
    }
    here.store.close().await;
    there.store.close().await;
    Ok(bound_line("P8", "ms", of_ratios(&rounds), Goal::AtMost(60.0)))
}

/// The 99th percentile in milliseconds. An event that never comes makes the round fail.
async fn round(here: &Node, there: &Node, users: &[UserId], load: &Load) -> Result<f64, Failure> {
    let mut bus = there.bus.subscribe();
    let all = load.rate * (load.warm + load.seconds);
    let (due_of, mut due) = tokio::sync::mpsc::unbounded_channel::<(WorkspaceId, Instant)>();
    let listening = tokio::spawn(async move {
        let (mut came, mut due_at) = (HashMap::new(), HashMap::new());
        while came.len() < all as usize {
            tokio::select! {
                Some((id, at)) = due.recv() => { due_at.insert(id, at); }
                signal = bus.recv() => match signal {
                    Ok(Signal::Event(event)) => {
                        let now = Instant::now();
                        if let Some(Event::WorkspaceDeleted(deleted)) = event.event() {
                            came.entry(deleted.id).or_insert(now);
                        }
                    }
                    Ok(_) => {}
                    Err(error) => return Err(format!("the listener missed something: {error}")),
                },
            }
        }
        while let Ok((id, at)) = due.try_recv() {
            due_at.insert(id, at);
        }
        Ok((came, due_at))
    });
    let begun = Instant::now() + Duration::from_millis(50);
    let mut said = 0;
    for tick in 0..(load.warm + load.seconds) * 1_000 / TICK {
        let at = begun + Duration::from_millis(tick * TICK);
        sleep_until(at).await;
        let until = load.rate * (tick + 1) * TICK / 1_000;
        while said < until {
            let (user, id) = (users[said as usize % users.len()], WorkspaceId::new(new_id()));
            let _ = due_of.send((id, at));
            let store = here.store.clone();
            tokio::spawn(async move {
                let event = Event::WorkspaceDeleted(WorkspaceDeleted { id, rev: 0 });
                if let Err(error) = store.append(user, vec![event], RealClock.now()).await {
                    eprintln!("an event could not be committed: {error}");
                }
            });
            said += 1;
        }
    }
    let (came, due_at) = timeout(Duration::from_secs(60), listening)
        .await
        .map_err(|_| "not every event came to the other node")???;
    let from = begun + Duration::from_secs(load.warm);
    let mut late: Vec<f64> = due_at
        .iter()
        .filter(|(_, at)| **at >= from)
        .filter_map(|(id, at)| came.get(id).map(|came| came.duration_since(*at).as_secs_f64() * 1e3))
        .collect();
    late.sort_by(f64::total_cmp);
    let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize];
    eprintln!(
        "{} events: p50 {:.1} p90 {:.1} p99 {:.1} max {:.1} ms",
        late.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
    Ok(at(0.99))
}

struct Node {
    bus: Arc<RabbitBus>,
    store: Store,
}

type Running = (CancellationToken, tokio::task::JoinHandle<()>);

async fn node(url: &str, database: &str) -> Result<(Node, Running), Failure> {
    let bus = RabbitBus::new(Options {
        url: url.parse()?,
        exchange: "p8".to_owned(),
        node: new_id().to_string(),
        serves: true,
        works: false,
    });
    let store = Store::open(OpenOptions {
        url: database.to_owned(),
        bus: bus.clone(),
        clock: Arc::new(RealClock),
        secrets: Arc::new(Counted),
        high_water: None,
        readers: 4,
        pgvector: true,
    })
    .await?;
    let house = House {
        epoch: store.epoch(),
        outbox: Arc::new(store.clone()),
        outside: Arc::new(store.clone()),
        reports: Arc::new(Nobody),
        clock: Arc::new(RealClock),
        secrets: Arc::new(Counted),
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(bus.clone().run(house, stop.clone()));
    while bus.outage().is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok((Node { bus, store }, (stop, running)))
}

async fn make_user(store: &Store, n: usize) -> Result<UserId, Failure> {
    let invalid = |_| "not a valid user";
    let (id, created_at) = (UserId::new(new_id()), RealClock.now());
    let user = NewUser {
        id,
        username: Username::parse(&format!("user-{n}")).map_err(invalid)?,
        email: Email::parse(&format!("user-{n}@example.org")).map_err(invalid)?,
        full_name: None,
        password_hash: String::new(),
        created_at,
    };
    let invalid = |_| "not a valid workspace";
    let workspace = NewWorkspace {
        id: WorkspaceId::new(new_id()),
        user_id: id,
        name: WorkspaceName::parse("Workspace").map_err(invalid)?,
        description: Description::parse("").map_err(invalid)?,
        status: WorkspaceStatus::Ready,
        processor: Processor::Builtin,
        rag_config: RagConfig::default(),
        command_id: None,
        command_print: None,
        created_at,
    };
    store.create_user(user, workspace).await?;
    Ok(id)
}

fn new_id() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let micros = u128::try_from(RealClock.now().micros()).unwrap_or_default();
    Uuid::from_u128((micros << 64) | u128::from(NEXT.fetch_add(1, Ordering::SeqCst)))
}

struct RealClock;

impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
    fn now(&self) -> Timestamp {
        let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros());
        Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

/// Each draw differs from every other one.
struct Counted;

impl Secrets for Counted {
    fn bytes32(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(new_id().as_bytes());
        bytes
    }
}

/// No outside worker reports anything here.
struct Nobody;

#[async_trait]
impl Reports for Nobody {
    async fn document_report(&self, _id: DocumentId, _report: DocumentReport) -> services::Result<()> {
        Ok(())
    }

    async fn workspace_report(&self, _id: WorkspaceId, _report: WorkspaceReport) -> services::Result<()> {
        Ok(())
    }
}
