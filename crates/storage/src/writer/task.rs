//! The task behind the writer: takes batches from the queue, sees them through however often that takes, publishes,
//! answers. It holds the one connection that writes.

use super::{
    BATCH, Item, QUEUE, Tx, Waiting, Writer,
    batch::{self, Mark, Outcome, Stop},
};
use crate::{
    engine::Engine,
    fault::{Fault, Meaning, Shared},
    open::connect_writer,
    silence::{LONG_STEP, STEP, answered},
};
use services::ports::{Bus, Signal, StoreError};
use sqlx::{Connection, Executor, raw_sql};
use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

/// How long a batch is tried again before its callers are told that the database cannot.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long one try to connect to a PostgreSQL may take: its name may lead elsewhere by the next one.
const CONNECT: Duration = Duration::from_secs(5);
/// A database that says nothing keeps no server from closing.
const LAST_WORDS: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Transactions with savepoints after one in which an item failed.
const CAREFUL_FOR: u32 = 32;

pub(crate) struct Setup {
    pub(crate) url: String,
    pub(crate) engine: Engine,
    /// See [`Tx`].
    pub(crate) copies_vectors: bool,
    pub(crate) bus: Arc<dyn Bus>,
    /// Names this writer in the table `writers`.
    pub(crate) id: String,
    /// Events that were ever appended when the store was opened.
    pub(crate) total: u64,
    /// Told when the store closes: what is in the queue is still written, nothing new gets in.
    pub(crate) closing: Arc<Notify>,
    /// Gets the number of the newest committed transaction, and [`PUT_BACK`] when the database has lost it. Nothing is
    /// written any more then, whoever noticed.
    pub(crate) standing: Arc<watch::Sender<i64>>,
}

/// In the place of a transaction's number: the database was put back to an older state.
pub(crate) const PUT_BACK: i64 = -1;

/// Starts the task on a connection that is ready. It ends when every [`Writer`] is gone.
pub(crate) fn spawn(setup: Setup, conn: sqlx::AnyConnection) -> (Writer, JoinHandle<()>) {
    let (sender, mut queue) = mpsc::channel(QUEUE);
    let total = Arc::new(AtomicU64::new(setup.total));
    let writer = Writer { queue: sender, waiting: Waiting::default(), total: total.clone() };
    let tx = Some(Tx::new(conn, &setup));
    let mut task = Task { tx, setup, total, batch: 0, committed: 0, careful: 0 };
    let handle = tokio::spawn(async move {
        let mut items = Vec::with_capacity(BATCH);
        let closing = task.setup.closing.clone();
        loop {
            let n = tokio::select! {
                n = queue.recv_many(&mut items, BATCH) => n,
                () = closing.notified() => {
                    queue.close();
                    continue;
                }
            };
            if n == 0 {
                break;
            }
            let taken = mem::replace(&mut items, Vec::with_capacity(BATCH));
            for transaction in transactions(task.setup.engine, taken) {
                task.see_through(transaction).await;
            }
            // The callers that were just answered go first: what they write next joins the next commit.
            tokio::task::yield_now().await;
        }
        task.end().await;
    });
    (writer, handle)
}

/// Which items share a transaction: all, but for those of which it is not known whose rows they lock. Where other
/// servers write too, each of them has one to itself.
fn transactions(engine: Engine, items: Vec<Box<dyn Item>>) -> Vec<Vec<Box<dyn Item>>> {
    if engine == Engine::Sqlite {
        return vec![items];
    }
    let (shared, alone): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| item.user().is_some());
    let mut transactions = vec![];
    if !shared.is_empty() {
        transactions.push(shared);
    }
    transactions.extend(alone.into_iter().map(|item| vec![item]));
    transactions
}

impl Tx {
    fn new(conn: sqlx::AnyConnection, setup: &Setup) -> Self {
        Self {
            conn,
            engine: setup.engine,
            copies_vectors: setup.copies_vectors,
            emitted: vec![],
            signals: vec![],
            actor: Arc::from(""),
            known: BTreeMap::new(),
        }
    }
}

struct Task {
    setup: Setup,
    tx: Option<Tx>,
    total: Arc<AtomicU64>,
    /// Number of the transaction, in the life of this writer.
    batch: i64,
    /// That of the newest one that was committed.
    committed: i64,
    /// Transactions that still run with savepoints. Without them a transaction is a third cheaper, but one item that
    /// fails makes all of it run again; and where one fails, more follow.
    careful: u32,
}

impl Task {
    async fn see_through(&mut self, mut items: Vec<Box<dyn Item>>) {
        let deadline = Instant::now() + PATIENCE;
        let (mut pause, mut limit) = (FIRST_PAUSE, STEP);
        loop {
            self.batch += 1;
            self.careful = self.careful.saturating_sub(1);
            let stop = match self.attempt(&mut items, deadline, limit).await {
                Ok(outcome) => {
                    // Where every item failed nothing was committed.
                    if outcome.items.iter().any(Result::is_ok) {
                        self.note_committed();
                    }
                    return self.tell(items, outcome);
                }
                Err(stop) => stop,
            };
            let (fault, unsettled) = match stop {
                Stop::Before(fault) => (fault, None),
                Stop::InCommit(fault, outcome) => (fault, Some(outcome)),
                Stop::PutBack => {
                    // Not even once: what this process knows, and has told, is not of this database any more.
                    self.roll_back().await;
                    self.setup.standing.send_replace(PUT_BACK);
                    return refuse(
                        items,
                        StoreError::backend("the database was put back to an older state").into(),
                    );
                }
                Stop::Spoiled => {
                    self.careful = CAREFUL_FOR;
                    self.roll_back().await;
                    continue;
                }
            };
            if fault.meaning() == Meaning::Again {
                self.roll_back().await;
            } else {
                // Giving the connection up rolls back too, and there may be something wrong with it.
                self.tx = None;
                limit = LONG_STEP;
            }
            if let Some(outcome) = unsettled {
                match self.settle(deadline).await {
                    Ok(true) => {
                        self.note_committed();
                        return self.tell(items, outcome);
                    }
                    Ok(false) => {}
                    Err(fault) => return refuse(items, fault),
                }
            }
            // What an item itself is to blame for never stops a transaction, so such an error here came up in
            // numbering or logging; like a broken database, it would come up again.
            let hopeless = matches!(fault.meaning(), Meaning::Broken | Meaning::Item);
            if hopeless && items.len() > 1 {
                // Perhaps it is only one of them that the database cannot bear.
                tracing::warn!(error = %fault, items = items.len(), "a transaction is taken apart");
                for item in items {
                    Box::pin(self.see_through(vec![item])).await;
                }
                return;
            }
            if hopeless || Instant::now() + pause >= deadline {
                return refuse(items, fault);
            }
            tracing::warn!(error = %fault, items = items.len(), "a transaction is tried again");
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The marks of a writer that ended by itself are of no use any more.
    async fn end(self) {
        let Self { setup, tx: Some(mut tx), .. } = self else { return };
        if setup.engine == Engine::Postgres
            && timeout(LAST_WORDS, batch::forget_marks(&mut tx, &setup.id)).await.is_err()
        {
            tracing::debug!("the marks of this writer stay behind");
        }
        drop(tx.conn.close().await);
    }

    async fn attempt(
        &mut self,
        items: &mut [Box<dyn Item>],
        deadline: Instant,
        limit: Duration,
    ) -> Result<Outcome, Stop> {
        // The store may have noticed by other signs than this writer's own mark.
        if *self.setup.standing.borrow() == PUT_BACK {
            return Err(Stop::PutBack);
        }
        self.connect(deadline).await.map_err(Stop::Before)?;
        let mark = Mark { writer: &self.setup.id, batch: self.batch, before: self.committed };
        match &mut self.tx {
            Some(tx) => batch::run(tx, items, self.careful > 0, limit, &mark).await,
            None => Err(Stop::Before(sqlx::Error::PoolClosed.into())),
        }
    }

    async fn connect(&mut self, deadline: Instant) -> Result<(), Fault> {
        if self.tx.is_none() {
            let until = match self.setup.engine {
                Engine::Sqlite => deadline,
                Engine::Postgres => deadline.min(Instant::now() + CONNECT),
            };
            let conn = timeout_at(until, connect_writer(&self.setup.url, self.setup.engine))
                .await
                .map_err(|_| sqlx::Error::PoolTimedOut)??;
            self.tx = Some(Tx::new(conn, &self.setup));
        }
        Ok(())
    }

    fn note_committed(&mut self) {
        self.committed = self.batch;
        // Once it was put back it stays so.
        self.setup.standing.send_if_modified(|standing| {
            let goes_on = *standing != PUT_BACK;
            if goes_on {
                *standing = self.committed;
            }
            goes_on
        });
    }

    async fn roll_back(&mut self) {
        if let Some(tx) = &mut self.tx {
            tx.emitted.clear();
            tx.signals.clear();
            let rolled_back = answered(tx.engine, tx.conn.execute(raw_sql("ROLLBACK"))).await;
            if rolled_back.is_err() {
                self.tx = None;
            }
        }
    }

    /// Whether the newest transaction, whose commit got no answer, was carried out.
    async fn settle(&mut self, deadline: Instant) -> Result<bool, Fault> {
        loop {
            let fault = match self.connect(deadline).await {
                Ok(()) => {
                    let mark = Mark { writer: &self.setup.id, batch: self.batch, before: self.committed };
                    match &mut self.tx {
                        Some(tx) => match answered(tx.engine, batch::was_committed(tx, &mark)).await {
                            Ok(committed) => return Ok(committed),
                            Err(e) => e.into(),
                        },
                        None => continue,
                    }
                }
                Err(fault) => fault,
            };
            self.tx = None;
            if Instant::now() + LONGEST_PAUSE >= deadline {
                return Err(fault);
            }
            sleep(LONGEST_PAUSE).await;
        }
    }

    /// Publishes, then answers: who has the answer finds the events on their way.
    fn tell(&self, items: Vec<Box<dyn Item>>, outcome: Outcome) {
        for signal in outcome.signals {
            self.setup.bus.publish(signal);
        }
        let mut n = 0;
        for stamped in outcome.items.iter().flatten().flatten() {
            n += 1;
            self.setup.bus.publish(Signal::Event(stamped.event.clone()));
        }
        self.total.fetch_add(n, Ordering::AcqRel);
        for (item, outcome) in items.into_iter().zip(outcome.items) {
            item.answer(outcome);
        }
    }
}

fn refuse(items: Vec<Box<dyn Item>>, fault: Fault) {
    let whats: Vec<&str> = items.iter().map(|i| i.what()).collect();
    tracing::error!(error = %fault, items = ?whats, "a transaction was given up");
    let shared = Shared::new(fault);
    for item in items {
        item.answer(Err(shared.to_store_error()));
    }
}
