//! P5: durable status changes each second on SQLite, each caller waiting for its own commit. A change is that of a
//! workspace's status, with its event. The peer makes the same changes in the same schema with one transaction each:
//! the same driver, one connection with the store's settings, its callers in turn. A second peer is pgbench.
//!
//!     cargo bench -p storage --bench p5 -- --round ours|peer [--callers N] [--seconds N]
//!     cargo bench -p storage --bench p5 -- --round lone-ours|lone-peer|pgbench [--seconds N]
//!
//! A round's last line is JSON. The rounds of both sides in turn, and the ratios, are the caller's business. After a
//! round the log is compared with what was acknowledged: one event too many or too few, and there is no result.

mod people;
mod pgbench;

use domain::{Event, Timestamp, UserId, Workspace, WorkspaceId, WorkspaceStatus};
use measure::{Asked, Failure};
use people::{new_user, new_workspace};
use services::ports::{Accounts, Bus, BusReceiver, Clock, LoggedEvent, Secrets, Signal, Workspaces};
use sqlx::{AnyConnection, Connection, Executor, Row, raw_sql};
use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};
use storage::{OpenOptions, Store};
use tempfile::TempDir;
use tokio::sync::{Mutex, broadcast};
use uuid::Uuid;

/// Callers share this many logs, as the documents of a few people do.
const USERS: usize = 8;
const WARM_UP: Duration = Duration::from_millis(500);
/// Who makes the changes, as the log has it.
const ACTOR: &str = r#"{"kind":"system","id":null,"name":null,"key":null}"#;

fn main() -> ExitCode {
    measure::answer(|asked| {
        let rate = tokio::runtime::Runtime::new()?.block_on(round(asked))?;
        Ok(serde_json::json!({ "value": rate, "unit": "changes/s" }))
    })
}

async fn round(asked: &Asked) -> Result<f64, Failure> {
    let window = Duration::from_secs_f64(asked.seconds()?);
    let callers = asked.number("--callers", 64)?;
    match asked.round() {
        "ours" => ours(callers, window).await,
        "peer" => peer(callers, window).await,
        "lone-ours" => ours(1, window).await,
        "lone-peer" => peer(1, window).await,
        "pgbench" => pgbench::round(window).await,
        _ => Err(asked.no_such_round("ours, peer, lone-ours, lone-peer or pgbench")),
    }
}

async fn ours(callers: usize, window: Duration) -> Result<f64, Failure> {
    let bench = Bench::prepare(callers).await?;
    let store = bench.store.clone();
    let rate = bench
        .measure(window, move |id, to| {
            let store = store.clone();
            async move {
                store.set_workspace_status(id, to, None, Timestamp::from_micros(1)).await?;
                Ok(())
            }
        })
        .await?;
    bench.store.close().await;
    Ok(rate)
}

async fn peer(callers: usize, window: Duration) -> Result<f64, Failure> {
    let bench = Bench::prepare(callers).await?;
    bench.store.close().await;
    let conn = Arc::new(Mutex::new(connect(&bench.url).await?));
    bench
        .measure(window, move |id, to| {
            let conn = conn.clone();
            async move { change(&mut *conn.lock().await, id, to).await }
        })
        .await
}

async fn connect(url: &str) -> Result<AnyConnection, Failure> {
    let mut conn = AnyConnection::connect(url).await?;
    if url.starts_with("sqlite:") {
        conn.execute(raw_sql(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000; PRAGMA secure_delete = ON",
        ))
        .await?;
    }
    Ok(conn)
}

/// What the store does for one change, in one transaction of its own. It takes the number first and writes `rev` with
/// the row: one statement less than the store, which learns the number last.
async fn change(conn: &mut AnyConnection, id: WorkspaceId, to: WorkspaceStatus) -> Result<(), Failure> {
    conn.execute(raw_sql("BEGIN IMMEDIATE")).await?;
    let row = sqlx::query(
        "SELECT w.user_id, w.status, w.name, COUNT(d.id), COUNT(CASE WHEN d.status = 'ready' THEN 1 END), \
         COUNT(CASE WHEN d.status IN ('pending', 'processing') THEN 1 END), \
         COUNT(CASE WHEN d.status = 'failed' THEN 1 END), \
         CAST(COALESCE(SUM(d.chunk_count), 0) AS BIGINT), CAST(COALESCE(SUM(d.size_bytes), 0) AS BIGINT) \
         FROM workspaces w LEFT JOIN documents d ON d.workspace_id = w.id WHERE w.id = $1 GROUP BY w.id",
    )
    .bind(id.to_string())
    .fetch_one(&mut *conn)
    .await?;
    let (user, status) = (row.try_get::<String, _>(0)?, row.try_get::<&str, _>(1)?);
    status.parse::<WorkspaceStatus>()?.go(to)?;
    let seq: i64 = sqlx::query_scalar(
        "INSERT INTO user_seq (user_id, seq) VALUES ($1, 1) \
         ON CONFLICT (user_id) DO UPDATE SET seq = user_seq.seq + excluded.seq RETURNING seq",
    )
    .bind(user.as_str())
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query(
        "UPDATE workspaces SET status = $1, status_message = $2, updated_at = $3, rev = $4 WHERE id = $5",
    )
    .bind(to.as_str())
    .bind(None::<String>)
    .bind(1_i64)
    .bind(seq)
    .bind(id.to_string())
    .execute(&mut *conn)
    .await?;
    let workspace = Workspace { status: to, ..workspace(id, user.parse()?, row.try_get(2)?) };
    let event = logged_event(workspace, seq as u64);
    sqlx::query(
        "INSERT INTO events (user_id, seq, at, name, entity, document_id, job_id, workspace_id, progress, data, \
         status_from, status_to, actor) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(user)
    .bind(seq)
    .bind(event.at.micros())
    .bind(event.name)
    .bind(format!("workspace:{id}"))
    .bind(None::<String>)
    .bind(None::<String>)
    .bind(id.to_string())
    .bind(0_i64)
    .bind(String::from_utf8(event.frame.to_vec())?)
    .bind(WorkspaceStatus::Ready.as_str())
    .bind(to.as_str())
    .bind(ACTOR)
    .execute(&mut *conn)
    .await?;
    conn.execute(raw_sql("COMMIT")).await?;
    Ok(())
}

fn logged_event(workspace: Workspace, seq: u64) -> LoggedEvent {
    LoggedEvent::new(workspace.user_id, seq, Timestamp::from_micros(1), Event::WorkspaceStatus(workspace))
}

fn workspace(id: WorkspaceId, user_id: UserId, name: String) -> Workspace {
    Workspace {
        id,
        user_id,
        name,
        description: String::new(),
        status: WorkspaceStatus::Ready,
        status_message: None,
        provisioning: None,
        processor: domain::status::Processor::Builtin,
        metadata: domain::resource::no_metadata(),
        counts: domain::resource::Counts::default(),
        paused: false,
        bulk: None,
        rev: 0,
        created_at: Timestamp::from_micros(1),
        updated_at: Timestamp::from_micros(1),
        last_activity_at: Timestamp::from_micros(1),
    }
}

/// A database with one workspace a caller.
struct Bench {
    store: Store,
    url: String,
    users: Vec<UserId>,
    workspaces: Vec<WorkspaceId>,
    // On the disk where the project is built: a folder for temporary files may lie in memory.
    _folder: TempDir,
}

impl Bench {
    async fn prepare(callers: usize) -> Result<Self, Failure> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let url = format!("sqlite://{}", folder.path().join("p5.db").display());
        Self::at(url, folder, callers).await
    }

    /// In a database that the server makes anew: one round after the other uses it.
    async fn on_postgres(url: &str, callers: usize) -> Result<Self, Failure> {
        sqlx::any::install_default_drivers();
        let mut conn = AnyConnection::connect(url).await?;
        conn.execute(raw_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")).await?;
        conn.close().await?;
        Self::at(url.to_owned(), tempfile::tempdir()?, callers).await
    }

    async fn at(url: String, folder: TempDir, callers: usize) -> Result<Self, Failure> {
        let store = Store::open(OpenOptions {
            url: url.clone(),
            bus: Arc::new(Channel(broadcast::Sender::new(1024))),
            clock: Arc::new(Fixed),
            secrets: Arc::new(Fixed),
            high_water: None,
            readers: 2,
            pgvector: true,
        })
        .await?;
        let mut ids = (1..).map(Uuid::from_u128);
        let mut id = || ids.next().ok_or("out of ids");
        let mut users = vec![];
        for n in 0..USERS {
            let user = UserId::new(id()?);
            let first = new_workspace(WorkspaceId::new(id()?), user)?;
            store.create_user(new_user(user, n)?, first).await?;
            users.push(user);
        }
        let mut workspaces = vec![];
        for n in 0..callers {
            let new = new_workspace(WorkspaceId::new(id()?), users[n % USERS])?;
            workspaces.push(store.create_workspace(new).await?.id);
        }
        Ok(Self { store, url, users, workspaces, _folder: folder })
    }

    /// What the log says of a change of that workspace.
    fn event(&self, id: WorkspaceId, to: WorkspaceStatus, seq: u64) -> Result<LoggedEvent, Failure> {
        let place = self.workspaces.iter().position(|known| *known == id).ok_or("no such workspace")?;
        let of = workspace(id, self.users[place % USERS], "Workspace".to_owned());
        Ok(logged_event(Workspace { status: to, ..of }, seq))
    }

    /// Every caller makes one change after the other; answers how many were made each second of the window.
    async fn measure<F>(
        &self,
        window: Duration,
        make: impl Fn(WorkspaceId, WorkspaceStatus) -> F + Clone + Send + 'static,
    ) -> Result<f64, Failure>
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let before = self.logged().await?;
        let from = Instant::now() + WARM_UP;
        let to = from + window;
        let callers: Vec<_> = self
            .workspaces
            .iter()
            .map(|&id| {
                let make = make.clone();
                tokio::spawn(async move {
                    let round =
                        [WorkspaceStatus::Error, WorkspaceStatus::Provisioning, WorkspaceStatus::Ready];
                    let (mut all, mut counted) = (0_u64, 0_u64);
                    for &status in round.iter().cycle() {
                        make(id, status).await?;
                        all += 1;
                        let now = Instant::now();
                        counted += u64::from(now >= from && now < to);
                        if now >= to {
                            break;
                        }
                    }
                    Ok::<_, Failure>((all, counted))
                })
            })
            .collect();
        let (mut all, mut counted) = (0, 0);
        for caller in callers {
            let (a, c) = caller.await??;
            all += a;
            counted += c;
        }
        let logged = self.logged().await? - before;
        if logged != all {
            return Err(format!("{all} changes were acknowledged, {logged} are in the log").into());
        }
        Ok(counted as f64 / window.as_secs_f64())
    }

    /// Events in the log; an error when a number is missing.
    async fn logged(&self) -> Result<u64, Failure> {
        let mut conn = connect(&self.url).await?;
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM events), (SELECT CAST(SUM(seq) AS BIGINT) FROM user_seq)",
        )
        .fetch_one(&mut conn)
        .await?;
        let (rows, numbers): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        if rows != numbers {
            return Err(format!("{numbers} numbers were taken for {rows} events").into());
        }
        Ok(rows as u64)
    }
}

/// As the server's own: a broadcast channel.
struct Channel(broadcast::Sender<Signal>);

impl Bus for Channel {
    fn publish(&self, signal: Signal) {
        // Nobody has to listen.
        drop(self.0.send(signal));
    }

    fn subscribe(&self) -> BusReceiver {
        self.0.subscribe()
    }
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1)
    }
}

impl Secrets for Fixed {
    fn bytes32(&self) -> [u8; 32] {
        [1; 32]
    }
}
