//! The group-commit writer: the only way by which anything is written. One task drains a queue into one transaction of
//! at most [`BATCH`] items, commits with full durability, publishes what was committed, and then answers every caller.
//! There is no artificial delay: an idle system commits at once, a busy one shares its commits.
//!
//! A repository writes like this:
//!
//! ```ignore
//! let written = self
//!     .writer()
//!     .write_for(user, "rename workspace", (id, name, now), |tx, (id, name, now)| {
//!         Box::pin(async move {
//!             sqlx::query("UPDATE workspaces SET name = $1 WHERE id = $2")
//!                 .bind(name.as_str())
//!                 .bind(id.to_string())
//!                 .execute(&mut tx.conn)
//!                 .await?;
//!             let workspace = load(&mut tx.conn, *id).await?.ok_or(StoreError::NotFound)?;
//!             tx.emit(workspace.user_id, Event::WorkspaceStatus(workspace.clone()), *now);
//!             Ok(workspace)
//!         })
//!     })
//!     .await?;
//! let rev = written.rev(&EntityKey::Workspace(id)); // the seq that the event took
//! ```
//!
//! The closure gets the transaction and, borrowed, the argument handed in beside it. It may run more than once (after a
//! deadlock, or a lost connection), each time in a transaction in which its earlier run never happened; so it must
//! change nothing but the database. When it returns an error, everything that it wrote is undone, and its events take
//! no number; the other items of the batch are untouched. A statement that fails inside it dooms the item on
//! PostgreSQL, so an item does not catch such an error and go on: it writes `ON CONFLICT` instead.
//!
//! Events take their numbers at the end of the transaction, users in the order of their ids, so that the counter rows
//! are locked shortly and always in the same order. The history tells who did it (`services::actor`, as of the caller)
//! and from which status: whoever loads a row to change it says what it found ([`Tx::found`]). `rev` of the rows that the events are about is stored then too: an
//! item need not write it, and cannot know it before it is written.
//!
//! **No deadlocks, by design.** On PostgreSQL several servers write at the same time, and each of their transactions
//! carries many items, whose locks no item could put in order. So a transaction first locks the counters of all users
//! whose rows its items change, in the order of their ids; while it holds one, nobody else changes a row of that user.
//! An item says whose rows they are by [`Writer::write_for`]. One that finds out only while it runs ([`Writer::write`])
//! has a transaction to itself there, and calls [`Tx::lock_users`] before it locks or changes what is anybody's.

mod batch;
mod stamp;
mod task;
#[cfg(test)]
mod tests;

use crate::{engine::Engine, fault::Fault};
use domain::{Actor, EntityKey, Event, Timestamp, UserId};
use futures::future::BoxFuture;
use services::ports::{LoggedEvent, Signal, StoreError};
use sqlx::{AnyConnection, AssertSqlSafe, Executor, raw_sql};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

pub(crate) use task::{PUT_BACK, Setup, spawn};

/// Items in one transaction, at most.
pub(crate) const BATCH: usize = 64;
/// Items that wait, at most; then callers wait to get in.
const QUEUE: usize = 1024;

/// The transaction as an item sees it.
pub(crate) struct Tx {
    pub(crate) conn: AnyConnection,
    pub(crate) engine: Engine,
    /// Each vector that is written gets a copy that the database searches (`crate::pgvector`).
    pub(crate) copies_vectors: bool,
    emitted: Vec<Emitted>,
    signals: Vec<Signal>,
    /// Who does what the item does, as JSON.
    actor: Arc<str>,
    /// The statuses of what the item found, and then of what it told.
    known: BTreeMap<EntityKey, &'static str>,
}

struct Emitted {
    user: UserId,
    at: Timestamp,
    event: Event,
    /// The status before.
    from: Option<&'static str>,
    actor: Arc<str>,
}

impl Tx {
    /// Adds an event to the user's log. It gets its seq and its rev when the transaction ends, is committed with it,
    /// and is published after it. A `session_ended` is never logged and has no place here: [`Tx::signal`] it.
    pub(crate) fn emit(&mut self, user: UserId, event: Event, at: Timestamp) {
        self.emit_as(self.actor.clone(), user, event, at);
    }

    /// The same of what only follows from what somebody does, such as counts: the server tells it by itself.
    pub(crate) fn emit_of_itself(&mut self, user: UserId, event: Event, at: Timestamp) -> Result<(), Fault> {
        let actor = serde_json::to_string(&Actor::SYSTEM)?;
        self.emit_as(actor.into(), user, event, at);
        Ok(())
    }

    fn emit_as(&mut self, actor: Arc<str>, user: UserId, event: Event, at: Timestamp) {
        debug_assert!(!matches!(event, Event::SessionEnded { .. }), "a session's end is never logged");
        let entity = event.entity();
        let from = event.status_before(self.known.get(&entity).copied());
        if let Some(to) = event.status() {
            self.known.insert(entity, to);
        }
        self.emitted.push(Emitted { user, at, event, from, actor });
    }

    /// Who does what the item does, as it is kept beside events.
    pub(crate) fn actor_text(&self) -> String {
        self.actor.to_string()
    }

    /// Takes note of the status that a thing has before it is changed: the history tells it beside the change. A thing
    /// of which none was noted began with its first event.
    pub(crate) fn found(&mut self, entity: EntityKey, status: &'static str) {
        self.known.entry(entity).or_insert(status);
    }

    /// Locks the users' counters, and with them all that is theirs, until the transaction ends. At most once, by an item
    /// that has the transaction to itself.
    pub(crate) async fn lock_users(&mut self, users: &BTreeSet<UserId>) -> Result<(), Fault> {
        if let Some(sql) = lock_users(self.engine, users) {
            self.conn.execute(raw_sql(AssertSqlSafe(sql))).await?;
        }
        Ok(())
    }

    /// Sent on the bus after the commit, before the events: a session that has ended hears no more of them.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.signals.push(signal);
    }
}

/// What a committed item answered, with its events.
#[derive(Debug)]
pub(crate) struct Written<T> {
    pub(crate) value: T,
    stamped: Vec<Stamped>,
}

/// An event that took its number.
#[derive(Clone, Debug)]
pub(crate) struct Stamped {
    pub(crate) entity: EntityKey,
    pub(crate) event: Arc<LoggedEvent>,
}

impl<T> Written<T> {
    /// Seq of the item's newest event about that entity; 0 when it emitted none.
    pub(crate) fn rev(&self, entity: &EntityKey) -> u64 {
        self.stamped.iter().rev().find(|s| s.entity == *entity).map_or(0, |s| s.event.seq)
    }

    /// The item's events, in the order in which it emitted them for each user.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Arc<LoggedEvent>> {
        self.stamped.iter().map(|s| &s.event)
    }
}

/// Hands items to the writer task. Cheap to clone; the task ends when the last one is gone and the queue is empty.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Box<dyn Item>>,
    pub(crate) waiting: Waiting,
    /// Events that were ever appended, as far as this process knows; never falls.
    pub(crate) total: Arc<AtomicU64>,
}

impl Writer {
    /// Runs `job`, which changes rows of that user and of nobody else, in a transaction that it may share, and answers
    /// when it is durable.
    ///
    /// Once this was polled and the item is in the queue, it is carried out even if the caller goes away.
    ///
    /// # Errors
    /// What `job` answered; `Away` when the database cannot be reached, `Full` when it has no room, `Backend` when it fails.
    pub(crate) async fn write_for<A, T, F>(
        &self,
        user: UserId,
        what: &'static str,
        argument: A,
        job: F,
    ) -> Result<Written<T>, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t A) -> BoxFuture<'t, Result<T, Fault>> + Send + Sync + 'static,
    {
        self.enqueue(Some(user), what, argument, job).await
    }

    /// The same for a job that cannot say beforehand whose rows it changes.
    ///
    /// # Errors
    /// What `job` answered; `Away` when the database cannot be reached, `Full` when it has no room, `Backend` when it fails.
    pub(crate) async fn write<A, T, F>(
        &self,
        what: &'static str,
        argument: A,
        job: F,
    ) -> Result<Written<T>, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t A) -> BoxFuture<'t, Result<T, Fault>> + Send + Sync + 'static,
    {
        self.enqueue(None, what, argument, job).await
    }

    async fn enqueue<A, T, F>(
        &self,
        user: Option<UserId>,
        what: &'static str,
        argument: A,
        job: F,
    ) -> Result<Written<T>, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx, &'t A) -> BoxFuture<'t, Result<T, Fault>> + Send + Sync + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let actor = serde_json::to_string(&services::actor::current()).map_err(StoreError::backend)?.into();
        let waits = self.waiting.enter();
        let item = Job { user, what, actor, argument, job, value: None, reply, waits };
        self.queue.send(Box::new(item)).await.map_err(|_| StoreError::backend("the store was closed"))?;
        answer.await.map_err(|_| StoreError::backend("the store was closed"))?
    }
}

/// Since when items wait for their answers, in the order in which they came.
#[derive(Clone, Default)]
pub(crate) struct Waiting(Arc<Mutex<BTreeMap<u64, Instant>>>);

impl Waiting {
    fn enter(&self) -> Waits {
        let mut all = self.all();
        let number = all.last_key_value().map_or(0, |(last, _)| last + 1);
        all.insert(number, Instant::now());
        Waits { among: self.clone(), number }
    }

    /// How long the oldest of them has waited; nothing where none does.
    pub(crate) fn longest(&self) -> Duration {
        self.all().values().next().map_or(Duration::ZERO, Instant::elapsed)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that waits, until this is dropped.
struct Waits {
    among: Waiting,
    number: u64,
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.among.all().remove(&self.number);
    }
}

/// A statement that locks the counters of the users in the order of their ids; none is needed on SQLite, which has one
/// writer at a time. The ids stand in the text, so that it can go out together with the beginning of the transaction.
fn lock_users(engine: Engine, users: &BTreeSet<UserId>) -> Option<String> {
    if engine == Engine::Sqlite || users.is_empty() {
        return None;
    }
    let ids: Vec<String> = users.iter().map(|id| format!("'{id}'")).collect();
    Some(format!(
        "SELECT user_id FROM user_seq WHERE user_id IN ({}) ORDER BY user_id{}",
        ids.join(", "),
        engine.for_update()
    ))
}

/// A job whose types are hidden, so that different ones share a transaction.
trait Item: Send {
    fn what(&self) -> &'static str;

    /// Whose rows it changes, where that is known beforehand.
    fn user(&self) -> Option<UserId>;

    /// Who does it, as JSON.
    fn actor(&self) -> Arc<str>;

    /// Runs the job and keeps what it answered.
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, Result<(), Fault>>;

    /// Tells the caller.
    fn answer(self: Box<Self>, outcome: Result<Vec<Stamped>, StoreError>);
}

struct Job<A, T, F> {
    user: Option<UserId>,
    what: &'static str,
    actor: Arc<str>,
    argument: A,
    job: F,
    value: Option<T>,
    reply: oneshot::Sender<Result<Written<T>, StoreError>>,
    waits: Waits,
}

impl<A, T, F> Item for Job<A, T, F>
where
    A: Send + Sync,
    T: Send,
    F: for<'t> Fn(&'t mut Tx, &'t A) -> BoxFuture<'t, Result<T, Fault>> + Send + Sync,
{
    fn what(&self) -> &'static str {
        self.what
    }

    fn user(&self) -> Option<UserId> {
        self.user
    }

    fn actor(&self) -> Arc<str> {
        self.actor.clone()
    }

    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, Result<(), Fault>> {
        Box::pin(async move {
            self.value = None;
            self.value = Some((self.job)(tx, &self.argument).await?);
            Ok(())
        })
    }

    fn answer(self: Box<Self>, outcome: Result<Vec<Stamped>, StoreError>) {
        let Self { value, reply, waits, .. } = *self;
        drop(waits);
        let answer = outcome.and_then(|stamped| match value {
            Some(value) => Ok(Written { value, stamped }),
            None => Err(StoreError::backend("the item did not run")),
        });
        // A caller that went away does not want the answer.
        drop(reply.send(answer));
    }
}
