//! Opening the store: connections, migrations, the epoch, the writer; and closing it.

use crate::{
    engine::Engine,
    fault::Fault,
    high_water::Marks,
    migrations,
    pgvector::{self, Copies, State},
    writer::{self, Setup, Writer},
};
use domain::Epoch;
use services::ports::{Bus, Clock, Secrets};
use sqlx::{
    Any, AnyConnection, AnyPool, ConnectOptions, Connection, Executor,
    any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers},
    pool::PoolConnection,
    raw_sql,
};
use std::{
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Mutex, Notify, OnceCell},
    task::JoinHandle,
};

/// Connections of the outbox: one that takes, one that settles.
const UNHURRIED: u32 = 2;

/// The longest that a mark lags behind the log, in seconds.
const MARK_EVERY: Duration = Duration::from_secs(3);

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
}

/// The store behind the ports. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    url: String,
    readers: AnyPool,
    /// See [`Store::unhurried`]; opened when it is first wanted.
    unhurried: OnceCell<AnyPool>,
    writer: Writer,
    epoch: Epoch,
    closing: Arc<Notify>,
    writer_task: Mutex<Option<JoinHandle<()>>>,
    marks: Option<Marks>,
    marker: Option<JoinHandle<()>>,
    /// Where the database searches vectors.
    copies: Option<Copies>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(marker) = &self.marker {
            marker.abort();
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
        let (epoch, total) =
            prepare_log(&mut conn, drawn, marks.as_ref()).await.map_err(OpenError::Prepare)?;
        let id = hex(&options.secrets.bytes32()[..16]);
        if engine == Engine::Postgres {
            let now = options.clock.now().micros();
            register_writer(&mut conn, &id, now).await.map_err(OpenError::Prepare)?;
        }
        let copies_vectors = engine == Engine::Postgres
            && searches_vectors(&mut conn, options.pgvector).await.map_err(OpenError::Prepare)?;
        let readers = connect_readers(&url, engine, options.readers).await.map_err(OpenError::Connect)?;

        let closing = Arc::new(Notify::new());
        let setup = Setup {
            url: url.clone(),
            engine,
            copies_vectors,
            bus: options.bus,
            id,
            total,
            closing: closing.clone(),
        };
        let (writer, writer_task) = writer::spawn(setup, conn);
        let marker = marks.clone().map(|mut marks| {
            write_mark(&mut marks, &epoch, total);
            tokio::spawn(keep_marking(marks, epoch.clone(), writer.total.clone()))
        });
        let copies = copies_vectors.then(|| Copies::keep(url.clone()));
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                url,
                readers,
                unhurried: OnceCell::new(),
                writer,
                epoch,
                closing,
                writer_task: Mutex::new(Some(writer_task)),
                marks,
                marker,
                copies,
            }),
        })
    }

    /// Writes what is still in the queue, then lets go of the database. Later writes fail.
    pub async fn close(&self) {
        if let Some(copies) = &self.inner.copies {
            copies.stop();
        }
        self.inner.closing.notify_one();
        if let Some(task) = self.inner.writer_task.lock().await.take() {
            drop(task.await);
        }
        if let Some(mut marks) = self.inner.marks.clone() {
            write_mark(&mut marks, &self.inner.epoch, self.inner.writer.total.load(Ordering::Acquire));
        }
        self.inner.readers.close().await;
        if let Some(pool) = self.inner.unhurried.get() {
            pool.close().await;
        }
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
    pub(crate) fn readers(&self) -> &AnyPool {
        &self.inner.readers
    }

    /// A connection to PostgreSQL that writes, past the writer, what need not survive a crash of the database.
    pub(crate) async fn unhurried(&self) -> Result<PoolConnection<Any>, Fault> {
        let open = || async {
            AnyPoolOptions::new()
                .max_connections(UNHURRIED)
                .acquire_timeout(Duration::from_secs(10))
                .after_connect(|conn, _| {
                    let sql = "SET synchronous_commit = off; SET jit = off; \
                               SET idle_in_transaction_session_timeout = '10s'";
                    Box::pin(async move { conn.execute(raw_sql(sql)).await.map(drop) })
                })
                .connect_with(connect_options(&self.inner.url)?)
                .await
        };
        Ok(self.inner.unhurried.get_or_try_init(open).await?.acquire().await?)
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.inner.writer
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

pub(crate) async fn connect_migrated(url: &str, engine: Engine) -> Result<AnyConnection, OpenError> {
    let mut conn = connect_writer(url, engine).await.map_err(OpenError::Connect)?;
    // `run` would do the same, but its future is not known to be Send: "`Acquire` is not general enough".
    migrations::of(engine).run_direct(None, &mut conn, false).await?;
    Ok(conn)
}

/// SQLite makes the file when it is not there.
fn completed(url: &str, engine: Engine) -> Result<String, OpenError> {
    if engine == Engine::Postgres {
        return Ok(url.to_owned());
    }
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(OpenError::InMemory);
    }
    Ok(match (url.contains("mode="), url.contains('?')) {
        (true, _) => url.to_owned(),
        (false, true) => format!("{url}&mode=rwc"),
        (false, false) => format!("{url}?mode=rwc"),
    })
}

pub(crate) fn connect_options(url: &str) -> sqlx::Result<AnyConnectOptions> {
    // Statements carry people's texts; they are not for the log.
    Ok(AnyConnectOptions::from_str(url)?.disable_statement_logging())
}

/// A connection with full durability.
pub(crate) async fn connect_writer(url: &str, engine: Engine) -> sqlx::Result<AnyConnection> {
    let mut conn = AnyConnection::connect_with(&connect_options(url)?).await?;
    let sql = match engine {
        Engine::Sqlite => {
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000; \
             PRAGMA secure_delete = ON"
        }
        // A server whose link dies in the middle of a transaction must not keep others waiting for its locks. Compiling
        // a statement takes longer than any of ours runs.
        Engine::Postgres => {
            "SET idle_in_transaction_session_timeout = '10s'; SET jit = off; \
             SELECT set_config('synchronous_commit', 'on', false) \
             WHERE current_setting('synchronous_commit') = 'off'"
        }
    };
    conn.execute(raw_sql(sql)).await?;
    Ok(conn)
}

async fn connect_readers(url: &str, engine: Engine, readers: u32) -> sqlx::Result<AnyPool> {
    AnyPoolOptions::new()
        .max_connections(readers.max(1))
        .acquire_timeout(Duration::from_secs(10))
        // A file does not go away; a server may.
        .test_before_acquire(engine == Engine::Postgres)
        .after_connect(move |conn, _| {
            let sql = match engine {
                Engine::Sqlite => {
                    "PRAGMA busy_timeout = 5000; PRAGMA query_only = ON; PRAGMA temp_store = MEMORY"
                }
                Engine::Postgres => "SET default_transaction_read_only = on; SET jit = off",
            };
            Box::pin(async move { conn.execute(raw_sql(sql)).await.map(drop) })
        })
        .connect_with(connect_options(url)?)
        .await
}

/// Draws the epoch of a new log, and a new one for a log that is an older state of one that was seen. Answers the epoch
/// and how many events were ever appended.
async fn prepare_log(
    conn: &mut AnyConnection,
    drawn: Epoch,
    marks: Option<&Marks>,
) -> sqlx::Result<(Epoch, u64)> {
    sqlx::query("INSERT INTO meta (name, value) VALUES ('epoch', $1) ON CONFLICT (name) DO NOTHING")
        .bind(drawn.0.as_str())
        .execute(&mut *conn)
        .await?;
    let total: i64 = sqlx::query_scalar("SELECT CAST(COALESCE(SUM(seq), 0) AS BIGINT) FROM user_seq")
        .fetch_one(&mut *conn)
        .await?;
    let total = total as u64;
    let found = epoch(conn).await?;
    if !marks.is_some_and(|marks| marks.show_older(&found, total)) {
        return Ok((found, total));
    }
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

async fn keep_marking(marks: Marks, epoch: Epoch, total: Arc<AtomicU64>) {
    let mut written = total.load(Ordering::Acquire);
    let mut beat = tokio::time::interval(MARK_EVERY);
    loop {
        beat.tick().await;
        let now = total.load(Ordering::Acquire);
        if now != written {
            written = now;
            let (mut marks, epoch) = (marks.clone(), epoch.clone());
            drop(tokio::task::spawn_blocking(move || write_mark(&mut marks, &epoch, now)).await);
        }
    }
}

/// A mark that cannot be written is no reason to stop: it only guards against a database put back by hand.
fn write_mark(marks: &mut Marks, epoch: &Epoch, total: u64) {
    if let Err(error) = marks.write(epoch, total) {
        tracing::warn!(%error, path = %marks.path().display(), "the high-water mark could not be written");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
