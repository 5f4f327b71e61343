//! Nodes of one installation: each with its bus, all on the same log; and somebody who listens in at the broker.

use async_trait::async_trait;
use domain::{
    Document, DocumentId, DocumentStatus, Epoch, Event, Timestamp, User, UserId, WorkspaceId,
    event::WorkspaceDeleted,
    report::{DocumentReport, WorkspaceReport},
};
use futures::StreamExt;
use lapin::{
    Channel, Connection, ConnectionProperties, Consumer,
    message::Delivery,
    options::{BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};
use messaging::{
    InProcessBus,
    rabbit::{House, Options, RabbitBus},
};
use services::{
    Error,
    ports::{Clock, EventLog, OutsideWork, Reports, Secrets, StoreError, Untold},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};
use storage::memory::MemoryStore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub struct RealClock;

impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "what is measured against the broker is real time")]
    fn now(&self) -> Timestamp {
        let micros = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        Timestamp::from_micros(i64::try_from(micros).unwrap())
    }
}

struct Drawn;

impl Secrets for Drawn {
    fn bytes32(&self) -> [u8; 32] {
        [127; 32]
    }
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// An id that no other test has, in this process or in another.
pub fn id() -> Uuid {
    let n = u128::from(NEXT.fetch_add(1, Ordering::SeqCst));
    let at = RealClock.now().micros() as u128;
    Uuid::from_u128((at << 64) | (u128::from(std::process::id()) << 32) | n)
}

/// Outside documents that wait, and what was reported. Stands for the rest of the server.
#[derive(Default)]
pub struct Rest {
    pub waiting: Mutex<Vec<Document>>,
    pub reported: Mutex<Vec<(DocumentId, DocumentReport)>>,
    /// So many reports the store cannot take, before it can.
    pub failing: AtomicUsize,
    /// It cannot be reached from here.
    pub away: AtomicBool,
    /// Reports that came while it was.
    pub in_vain: AtomicUsize,
}

impl Rest {
    fn reach(&self) -> Result<(), StoreError> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(StoreError::Away("the line is cut".into())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl OutsideWork for Rest {
    async fn owner_of_document(&self, _id: DocumentId) -> Result<Option<User>, StoreError> {
        Ok(None)
    }

    async fn owner_of_workspace(&self, _id: WorkspaceId) -> Result<Option<User>, StoreError> {
        Ok(None)
    }

    async fn awaiting_outside(
        &self,
        which: Untold,
        after: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<Document>, StoreError> {
        self.reach()?;
        let waiting = self.waiting.lock().unwrap();
        let these = waiting.iter().filter(|d| match which {
            Untold::Waiting => d.status == DocumentStatus::Pending,
            Untold::Unfinished => true,
            Untold::UnfinishedIn(workspace) => d.workspace_id == workspace,
        });
        let behind = these.filter(|d| after.is_none_or(|after| d.id > after));
        Ok(behind.take(limit as usize).cloned().collect())
    }
}

#[async_trait]
impl Reports for Rest {
    async fn document_report(&self, id: DocumentId, report: DocumentReport) -> services::Result<()> {
        if let Err(away) = self.reach() {
            self.in_vain.fetch_add(1, Ordering::SeqCst);
            return Err(away.into());
        }
        let failing = self.failing.load(Ordering::SeqCst);
        if failing > 0 {
            self.failing.store(failing - 1, Ordering::SeqCst);
            return Err(StoreError::backend("the database is away").into());
        }
        let report = report.check()?;
        self.reported.lock().unwrap().push((id, report));
        Ok(())
    }

    async fn workspace_report(&self, _id: WorkspaceId, _report: WorkspaceReport) -> services::Result<()> {
        Err(Error::NotFound("workspace"))
    }
}

/// One installation at a broker.
pub struct Installation {
    pub url: String,
    pub exchange: String,
    /// The data of all nodes; its own handle tells nobody.
    pub store: MemoryStore,
    pub rest: Arc<Rest>,
}

pub struct Node {
    pub bus: Arc<RabbitBus>,
    pub store: MemoryStore,
    pub running: JoinHandle<()>,
    pub stopping: CancellationToken,
}

impl Installation {
    pub fn at(url: String) -> Self {
        Self::of_log("test", url)
    }

    /// One whose log has that epoch.
    pub fn of_log(epoch: &str, url: String) -> Self {
        let store = MemoryStore::new(Epoch(epoch.into()), InProcessBus::new(), Arc::new(RealClock));
        Self { url, exchange: format!("test-{}", id().simple()), store, rest: Arc::default() }
    }

    pub fn user(&self) -> UserId {
        let user = UserId::new(id());
        self.store.add_user(user);
        user
    }

    pub fn node(&self) -> Node {
        self.node_with(|options| options)
    }

    pub fn node_with(&self, change: impl FnOnce(Options) -> Options) -> Node {
        self.node_beside(self.rest.clone(), change)
    }

    /// A node that has a rest of its own.
    pub fn node_beside(&self, rest: Arc<Rest>, change: impl FnOnce(Options) -> Options) -> Node {
        let options = Options {
            url: self.url.parse().unwrap(),
            exchange: self.exchange.clone(),
            node: id().simple().to_string(),
            serves: true,
            works: false,
        };
        let bus = RabbitBus::new(change(options));
        let store = self.store.beside(bus.clone());
        let house = House {
            epoch: store.epoch(),
            outbox: Arc::new(store.clone()),
            outside: rest.clone(),
            reports: rest,
            clock: Arc::new(RealClock),
            secrets: Arc::new(Drawn),
        };
        let stopping = CancellationToken::new();
        let running = tokio::spawn(bus.clone().run(house, stopping.clone()));
        Node { bus, store, running, stopping }
    }
}

impl Node {
    /// A node that is connected.
    pub async fn up(self) -> Self {
        use services::ports::Bus;
        crate::soon("the node is connected", async {
            while self.bus.outage().is_some() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
        self
    }

    /// Commits so many events of that user.
    pub async fn commit(&self, user: UserId, n: usize) {
        let event = || Event::WorkspaceDeleted(WorkspaceDeleted { id: WorkspaceId::new(id()), rev: 0 });
        self.store.append(user, (0..n).map(|_| event()).collect(), RealClock.now()).await.unwrap();
    }
}

/// Somebody else at the broker, with a durable queue of his own.
pub struct Observer {
    _connection: Connection,
    pub channel: Channel,
    messages: Consumer,
}

impl Observer {
    pub async fn of(installation: &Installation, keys: &[&str]) -> Self {
        let queue = format!("{}-observer-{}", installation.exchange, id().simple());
        Self::named(installation, &queue, keys).await
    }

    /// With keys the queue is made and bound, without it is one that is there.
    pub async fn named(installation: &Installation, queue: &str, keys: &[&str]) -> Self {
        let connection =
            Connection::connect(&installation.url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        if !keys.is_empty() {
            let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            let exchange = installation.exchange.as_str();
            let kind = lapin::ExchangeKind::Topic;
            channel.exchange_declare(exchange.into(), kind, durable, FieldTable::default()).await.unwrap();
            let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            channel.queue_declare(queue.into(), durable, FieldTable::default()).await.unwrap();
            for key in keys {
                let options = QueueBindOptions::default();
                channel
                    .queue_bind(queue.into(), exchange.into(), (*key).into(), options, FieldTable::default())
                    .await
                    .unwrap();
            }
        }
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let tag = id().simple().to_string();
        let messages = channel
            .basic_consume(queue.into(), tag.as_str().into(), options, FieldTable::default())
            .await
            .unwrap();
        Self { _connection: connection, channel, messages }
    }

    pub async fn next(&mut self) -> Delivery {
        crate::soon("a message", self.messages.next()).await.unwrap().unwrap()
    }
}
