//! Opening the store: connections, migrations, the epoch, the writer; and closing it.

mod connecting;
mod put_back;

pub(crate) use connecting::{ALIVE, connect_migrated, connect_options, connect_writer, existing, migrated};

use crate::{
    connections::Connections,
    engine::Engine,
    high_water::Marks,
    outbox,
    pgvector::{self, Copies, State},
    pulse,
    silence::answered_within,
    writer::{self, PUT_BACK, Setup, Writer},
};
use connecting::{completed, connect_readers, open_unhurried};
use domain::{Epoch, Timestamp};
use put_back::{LAST_LOOK, TOTAL, appended, keep_marking, watch_standing, write_mark};
use services::{
    hex::hex,
    ports::{Bus, Clock, Secrets},
};
use sqlx::{AnyConnection, Connection, any::install_default_drivers};
use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};
use tokio::{
    sync::{Mutex, Notify, watch},
    task::JoinHandle,
};

pub struct OpenOptions {
    /// `sqlite:///path/to/file` (made when it is not there) or `postgres://…`.
    pub url: String,
    /// Gets every committed event, in order.
    pub bus: Arc<dyn Bus>,
    pub clock: Arc<dyn Clock>,
    /// Draws the epoch.
    pub secrets: Arc<dyn Secrets>,
    /// The file that remembers, outside the database, how far the event log had come.
    pub high_water: Option<PathBuf>,
    /// Connections that read, at most; the one that writes comes on top.
    pub readers: u32,
    /// PostgreSQL's extension pgvector is used where it is. Elsewhere this says nothing.
    pub pgvector: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("DATABASE_URL has to begin with sqlite: or postgres:")]
    UnknownEngine,
    #[error("a database in memory cannot be shared between the writer and the readers; name a file")]
    InMemory,
    #[error("the database could not be opened: {0}")]
    Connect(#[source] sqlx::Error),
    #[error("the database could not be migrated: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("the event log could not be prepared: {0}")]
    Prepare(#[source] sqlx::Error),
    #[error(
        "everything in this database was moved to a PostgreSQL, and what came since is only there: name that one"
    )]
    Moved,
}

/// The store behind the ports. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    readers: Arc<Connections>,
    /// See [`Store::unhurried`]; none is opened before one is wanted.
    unhurried: Arc<Connections>,
    writer: Writer,
    /// Names the writer in the table `writers`.
    writer_id: String,
    epoch: Epoch,
    went_back_at: Option<Timestamp>,
    closing: Arc<Notify>,
    writer_task: Mutex<Option<JoinHandle<()>>>,
    marks: Option<Marks>,
    marker: Option<JoinHandle<()>>,
    /// Where the database searches vectors.
    copies: Option<Copies>,
    standing: Arc<watch::Sender<i64>>,
    watcher: Option<JoinHandle<()>>,
    pulse: Option<JoinHandle<()>>,
    /// What the pulse heard.
    known: Arc<pulse::Known>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in [&self.marker, &self.watcher, &self.pulse].into_iter().flatten() {
            task.abort();
        }
    }
}

impl Store {
    /// Connects, brings the schema up to date and starts the writer. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the database is not there, cannot be reached or has a schema that this version does not know.
    pub async fn open(options: OpenOptions) -> Result<Self, OpenError> {
        install_default_drivers();
        let engine = Engine::of_url(&options.url).ok_or(OpenError::UnknownEngine)?;
        let url = completed(&options.url, engine)?;
        let mut conn = connect_migrated(&url, engine).await?;

        let drawn = Epoch(hex(&options.secrets.bytes32()[..16]));
        let marks = options.high_water.as_deref().map(Marks::read);
        let now = options.clock.now();
        let (epoch, total) =
            prepare_log(&mut conn, engine, drawn, marks.as_ref(), now).await.map_err(OpenError::Prepare)?;
        let went_back_at = went_back_at(&mut conn).await.map_err(OpenError::Prepare)?;
        let id = hex(&options.secrets.bytes32()[..16]);
        if engine == Engine::Postgres {
            register_writer(&mut conn, &id, now.micros()).await.map_err(OpenError::Prepare)?;
        }
        let copies_vectors = engine == Engine::Postgres
            && searches_vectors(&mut conn, options.pgvector).await.map_err(OpenError::Prepare)?;
        // Before all that it is to tell of.
        let asks = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => {
                let conn = pulse::connect(&url).await.map_err(OpenError::Connect)?;
                Some((conn, Instant::now()))
            }
        };
        let readers = connect_readers(&url, engine, options.readers).await.map_err(OpenError::Connect)?;
        let readers = Arc::new(readers);
        let unhurried = Arc::new(open_unhurried(&url, engine).map_err(OpenError::Connect)?);

        let closing = Arc::new(Notify::new());
        let standing = Arc::new(watch::channel(0).0);
        let setup = Setup {
            url: url.clone(),
            engine,
            copies_vectors,
            bus: options.bus,
            id: id.clone(),
            total,
            closing: closing.clone(),
            standing: standing.clone(),
        };
        let (writer, writer_task) = writer::spawn(setup, conn);
        // A file of SQLite cannot be put back under a process that has it open: whoever tries is refused by the lock.
        let watcher = (engine == Engine::Postgres).then(|| {
            let seen = total as i64;
            tokio::spawn(watch_standing(readers.clone(), id.clone(), epoch.clone(), seen, standing.clone()))
        });
        let marker = marks.clone().map(|mut marks| {
            write_mark(&mut marks, &epoch, total);
            let shared = (engine == Engine::Postgres).then(|| readers.clone());
            tokio::spawn(keep_marking(marks, epoch.clone(), writer.total.clone(), shared))
        });
        let copies = copies_vectors.then(|| Copies::keep(url.clone(), readers.clone()));
        let known = Arc::new(pulse::Known::default());
        // A file never is silent.
        let pulse = asks.map(|asks| {
            let all = vec![readers.clone(), unhurried.clone()];
            tokio::spawn(pulse::keep_asking(url, asks, all, known.clone(), options.clock.clone()))
        });
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                readers,
                unhurried,
                writer,
                writer_id: id,
                epoch,
                went_back_at,
                closing,
                writer_task: Mutex::new(Some(writer_task)),
                marks,
                marker,
                copies,
                standing,
                watcher,
                pulse,
                known,
            }),
        })
    }

    /// Comes back when the PostgreSQL behind this store was put back to an older state. What this process knows of it, and
    /// has told, is not true any more: nothing can be written, and it is to be opened anew.
    pub async fn put_back(&self) {
        let mut standing = self.inner.standing.subscribe();
        // The other end lives in this store.
        drop(standing.wait_for(|standing| *standing == PUT_BACK).await);
    }

    /// Writes what is still in the queue, then lets go of the database. Later writes fail.
    pub async fn close(&self) {
        if let Some(copies) = &self.inner.copies {
            copies.stop();
        }
        // The writer takes its mark along.
        self.stop_watching();
        self.inner.closing.notify_one();
        if let Some(task) = self.inner.writer_task.lock().await.take() {
            drop(task.await);
        }
        if let Some(mut marks) = self.inner.marks.clone() {
            // Whatever of its log is there now, an epoch that was put back is over: the next start draws a new one.
            let is_over = *self.inner.standing.borrow() == PUT_BACK;
            let own = self.inner.writer.total.load(Ordering::Acquire);
            let shared = (self.inner.engine == Engine::Postgres).then_some(&*self.inner.readers);
            let total = if is_over { u64::MAX } else { appended(own, shared).await };
            write_mark(&mut marks, &self.inner.epoch, total);
        }
        // It would put others in the place of what is closed here.
        if let Some(pulse) = &self.inner.pulse {
            pulse.abort();
        }
        let closed = async {
            self.inner.readers.close().await;
            self.inner.unhurried.close().await;
            Ok::<_, sqlx::Error>(())
        };
        if answered_within(self.inner.engine, LAST_LOOK, closed).await.is_err() {
            tracing::debug!("not every connection to the database could be closed");
        }
    }

    /// When it was noticed at a start that the database had been put back to an older state, and nobody had said so. Files that
    /// came since that state have no rows in it, and may be all that is left of them.
    pub fn went_back_at(&self) -> Option<Timestamp> {
        self.inner.went_back_at
    }

    pub fn engine(&self) -> Engine {
        self.inner.engine
    }

    /// Whether the database searches vectors: it is PostgreSQL with pgvector, and that is not switched off.
    pub fn searches_vectors(&self) -> bool {
        self.inner.copies.is_some()
    }

    pub(crate) fn copies(&self) -> Option<&Copies> {
        self.inner.copies.as_ref()
    }

    /// For reads only; the connections refuse to write.
    pub(crate) fn readers(&self) -> &Connections {
        &self.inner.readers
    }

    /// Connections to PostgreSQL that write, past the writer, what need not survive a crash of the database.
    pub(crate) fn unhurried(&self) -> &Connections {
        &self.inner.unhurried
    }

    /// What the database said of itself when it was asked last.
    pub(crate) fn known(&self) -> &pulse::Known {
        &self.inner.known
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.inner.writer
    }

    /// What changes from now on is no news: this process does it itself.
    pub(crate) fn stop_watching(&self) {
        if let Some(watcher) = &self.inner.watcher {
            watcher.abort();
        }
    }

    pub(crate) fn writer_id(&self) -> &str {
        &self.inner.writer_id
    }

    pub(crate) fn log_epoch(&self) -> &Epoch {
        &self.inner.epoch
    }
}

/// Brings a database to the schema of this version, with what pgvector needs where it is, and leaves it at that;
/// [`Store::open`] does so by itself.
///
/// # Errors
/// Those of [`Store::open`].
pub async fn migrate(url: &str) -> Result<(), OpenError> {
    install_default_drivers();
    let engine = Engine::of_url(url).ok_or(OpenError::UnknownEngine)?;
    let mut conn = connect_migrated(&completed(url, engine)?, engine).await?;
    if engine == Engine::Postgres {
        pgvector::prepare(&mut conn).await.map_err(OpenError::Prepare)?;
    }
    conn.close().await.map_err(OpenError::Connect)
}

/// Draws the epoch of a new log, and a new one for a log that is an older state of one that was seen. Answers the epoch
/// and how many events were ever appended.
async fn prepare_log(
    conn: &mut AnyConnection,
    engine: Engine,
    drawn: Epoch,
    marks: Option<&Marks>,
    now: Timestamp,
) -> sqlx::Result<(Epoch, u64)> {
    sqlx::query("INSERT INTO meta (name, value) VALUES ('epoch', $1) ON CONFLICT (name) DO NOTHING")
        .bind(drawn.0.as_str())
        .execute(&mut *conn)
        .await?;
    let total: i64 = sqlx::query_scalar(TOTAL).fetch_one(&mut *conn).await?;
    let total = total as u64;
    let found = epoch(conn).await?;
    if !marks.is_some_and(|marks| marks.show_older(&found, total)) {
        return Ok((found, total));
    }
    // Before the epoch, so that a start that is cut off here does it again, and who finds the new one finds this as well.
    let sql = "INSERT INTO meta (name, value) VALUES ('went_back_at', $1) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    sqlx::query(sql).bind(now.micros().to_string()).execute(&mut *conn).await?;
    outbox::begin_anew(conn, engine).await?;
    // Of two servers that start at once only one changes it.
    sqlx::query("UPDATE meta SET value = $1 WHERE name = 'epoch' AND value = $2")
        .bind(drawn.0.as_str())
        .bind(found.0.as_str())
        .execute(&mut *conn)
        .await?;
    tracing::warn!(total, "the event log went back to an older state; it has a new epoch");
    Ok((epoch(conn).await?, total))
}

async fn epoch(conn: &mut AnyConnection) -> sqlx::Result<Epoch> {
    sqlx::query_scalar("SELECT value FROM meta WHERE name = 'epoch'").fetch_one(conn).await.map(Epoch)
}

async fn went_back_at(conn: &mut AnyConnection) -> sqlx::Result<Option<Timestamp>> {
    let found: Option<String> =
        sqlx::query_scalar("SELECT value FROM meta WHERE name = 'went_back_at'").fetch_optional(conn).await?;
    Ok(found.and_then(|micros| micros.parse().ok()).map(Timestamp::from_micros))
}

async fn register_writer(conn: &mut AnyConnection, id: &str, now: i64) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO writers (id, batch, started_at) VALUES ($1, 0, $2)")
        .bind(id)
        .bind(now)
        .execute(&mut *conn)
        .await
        .map(drop)
}

/// Whether PostgreSQL searches vectors by itself from now on; says which of the two it is, and what would help.
async fn searches_vectors(conn: &mut AnyConnection, wanted: bool) -> sqlx::Result<bool> {
    let state = if wanted {
        pgvector::prepare(conn).await?
    } else {
        State::Missing("pgvector is switched off".to_owned())
    };
    match state {
        State::Ready(version) => {
            tracing::info!(%version, "workspaces that are too large for the memory are searched by pgvector, exactly");
            Ok(true)
        }
        State::Missing(reason) => {
            tracing::info!(%reason, "workspaces that are too large for the memory are read anew for each search");
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::Place;

    #[tokio::test]
    async fn a_postgresql_may_be_asked_for_an_encrypted_connection() {
        let place = Place::postgres().await;
        let url = format!("{}?sslmode=require", place.url());
        // That of the test run has none, as a rule, and says so; nobody may say that this program has none.
        if let Err(error) = connect_writer(&url, Engine::Postgres).await {
            assert!(error.to_string().contains("server does not support TLS"), "{error}");
        }
    }
}
