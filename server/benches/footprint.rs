//! What documents leave in an installation on PostgreSQL, and what their way in costs it: texts of about twenty passages are sent
//! by the public interface, a job each, and worked on with the built-in model at its defaults. In all of this the model is the
//! real one, so that the work has the pace, the vectors and the progress that it has for people. A document that does not become
//! ready ends the bench.
//!
//!     cargo bench -p server --bench footprint [-- --documents N | --smoke]
//!
//! Bytes are those of the tables with their indexes and with what lies outside their rows, as they are right after the last
//! document, less what they were before the first one; the copies for pgvector, where it is there, stand apart. Commits are the
//! transactions of the server's writer, each of which waits for the disk, less those that it makes with nothing to do in the
//! same time. A message is what goes to a broker for an event, by the code of the relay; none is started for it.

mod fresh;

use bytes::Bytes;
use domain::UserId;
use measure::{Asked, Failure, dice::Dice, report, server::Server};
use messaging::rabbit::{body, names};
use reqwest::{Client, header, multipart};
use serde_json::Value;
use services::ports::LoggedEvent;
use sqlx::{AnyConnection, Connection, Row};
use std::{
    collections::BTreeMap,
    fmt::Write,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Letters of a document. Twenty passages of 1,000, of which each repeats about 200 of the one before.
const LONG: usize = 16_000;
/// Where the words of the documents come from, each as often as it stands there: an index of words grows by how many
/// different ones there are.
const PROSE: &str = include_str!("../../docs/ARCHITECTURE.md");
/// Tables, by their names in the database.
const VECTORS: &str = "chunk_vectors";
const COPIES: &str = "searchable_vectors";
const EVENTS: &str = "events";
/// How long nothing may come to its end.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    server::install_cryptography();
    measure::answer(|asked| tokio::runtime::Runtime::new()?.block_on(measured(asked)))
}

async fn measured(asked: &Asked) -> Result<String, Failure> {
    let smoke = asked.has("--smoke");
    let documents: usize = asked.number("--documents", if smoke { 10 } else { 500 })?;
    let idle = Duration::from_secs(if smoke { 1 } else { 30 });
    let database = std::env::var("INSIGHTHUB_BENCH_POSTGRES_URL")
        .map_err(|_| "INSIGHTHUB_BENCH_POSTGRES_URL is not set; run it with `cargo xtask bench footprint`")?;
    sqlx::any::install_default_drivers();
    let dir = tempfile::tempdir()?;
    let mut command = fresh::insighthub(dir.path());
    let desk = Desk::open(Server::start(command.env("DATABASE_URL", &database))?).await?;
    let mut conn = AnyConnection::connect(&database).await?;
    let before = Standing::of(&mut conn).await?;
    tokio::time::sleep(idle).await;
    let empty = Standing::of(&mut conn).await?;
    let idle_commits = (empty.commits - before.commits) as f64 / idle.as_secs_f64();
    let begun = Instant::now();
    let passages = desk.take_in(documents).await? as f64;
    let seconds = begun.elapsed().as_secs_f64();
    let full = Standing::of(&mut conn).await?;
    let messages = messages(&mut conn, empty.events).await?;
    conn.close().await?;
    desk.server.stop()?;
    eprintln!("  {documents} documents in {seconds:.0} s; {idle_commits:.2} commits/s with nothing to do");

    let grown = |table: &str| (full.bytes(table) - empty.bytes(table)) as f64;
    let tables = full.tables.keys().map(String::as_str);
    let mut tables: Vec<(&str, f64)> = tables.map(|table| (table, grown(table))).collect();
    tables.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (table, bytes) in tables.iter().filter(|(_, bytes)| *bytes > 0.0) {
        eprintln!("  {table}: {:.0} B a passage", bytes / passages);
    }
    let all: f64 = tables.iter().filter(|(table, _)| *table != COPIES).map(|(_, bytes)| bytes).sum();
    let documents = documents as f64;
    let commits = (full.commits - empty.commits) as f64 - idle_commits * seconds;
    let in_messages: usize = messages.iter().sum();
    let mut figures = vec![
        ("footprint-passages", "", passages / documents),
        ("footprint-document", "B", all / documents),
        ("footprint-passage", "B", all / passages),
        ("footprint-vectors", "", grown(VECTORS) / all),
        ("footprint-commits", "", commits / documents),
        ("footprint-events", "", (full.events - empty.events) as f64 / documents),
        ("footprint-event", "B", grown(EVENTS) / (full.kept - empty.kept) as f64),
        ("footprint-messages", "", messages.len() as f64 / documents),
        ("footprint-message", "B", in_messages as f64 / messages.len() as f64),
    ];
    if full.tables.contains_key(COPIES) {
        figures.push(("footprint-copy", "B", grown(COPIES) / passages));
    }
    let note = if smoke { report::SMOKE } else { "" };
    let mut lines = String::new();
    for (name, unit, value) in figures {
        if !value.is_finite() {
            return Err(format!("{name}: there was nothing to divide by").into());
        }
        writeln!(lines, "{}{note}", report::figure_line(name, unit, value, None))?;
    }
    Ok(lines.trim_end().to_owned())
}

/// How much the database has, and how much was done in it.
struct Standing {
    /// Bytes of each table, with all that belongs to it.
    tables: BTreeMap<String, i64>,
    /// Of whoever wrote since the server was started.
    commits: i64,
    /// That were ever logged.
    events: i64,
    /// And that are in the log now.
    kept: i64,
}

impl Standing {
    async fn of(conn: &mut AnyConnection) -> Result<Self, Failure> {
        let sql = "SELECT CAST(relname AS TEXT) AS name, pg_total_relation_size(oid) AS bytes FROM pg_class \
                   WHERE relkind = 'r' AND relnamespace = to_regnamespace('public')";
        let mut tables = BTreeMap::new();
        for row in sqlx::query(sql).fetch_all(&mut *conn).await? {
            tables.insert(row.try_get::<String, _>("name")?, row.try_get::<i64, _>("bytes")?);
        }
        // A writer numbers its transactions and leaves the number in the one that it commits.
        let commits = "SELECT CAST(COALESCE(SUM(batch), 0) AS BIGINT) FROM writers";
        let events = "SELECT CAST(COALESCE(SUM(seq), 0) AS BIGINT) FROM user_seq";
        Ok(Self {
            tables,
            commits: number(conn, commits).await?,
            events: number(conn, events).await?,
            kept: number(conn, "SELECT COUNT(*) FROM events").await?,
        })
    }

    fn bytes(&self, table: &str) -> i64 {
        self.tables.get(table).copied().unwrap_or_default()
    }
}

async fn number(conn: &mut AnyConnection, sql: &'static str) -> Result<i64, Failure> {
    Ok(sqlx::query_scalar(sql).fetch_one(&mut *conn).await?)
}

/// The lengths of the messages that a relay makes of the events behind that one. There is one user.
async fn messages(conn: &mut AnyConnection, after: i64) -> Result<Vec<usize>, Failure> {
    let asked = sqlx::query("SELECT user_id, data FROM events WHERE seq > $1").bind(after);
    let mut lengths = vec![];
    for row in asked.fetch_all(&mut *conn).await? {
        let user: UserId = row.try_get::<String, _>(0)?.parse().map_err(|_| "an event of nobody")?;
        let event = LoggedEvent::stored(user, Bytes::from(row.try_get::<String, _>(1)?));
        let event = event.ok_or("an event that cannot be read")?;
        if names::key_of(event.name).is_some() {
            lengths.push(body::of_event(&event).len());
        }
    }
    Ok(lengths)
}

/// Somebody with a workspace of their own.
struct Desk {
    server: Server,
    http: Client,
    workspace: String,
}

impl Desk {
    async fn open(server: Server) -> Result<Self, Failure> {
        let nobody = Client::builder().no_proxy().build()?;
        let session = fresh::sign_up(&nobody, &server.base, "Correct1horse").await?;
        let headers = [(header::COOKIE, session.parse()?)].into_iter().collect();
        let http = Client::builder().no_proxy().default_headers(headers).build()?;
        let mut desk = Self { server, http, workspace: String::new() };
        let workspaces = desk.read("/api/workspaces").await?;
        desk.workspace = workspaces["items"][0]["id"].as_str().ok_or("no workspace")?.to_owned();
        Ok(desk)
    }

    async fn read(&self, path: &str) -> Result<Value, Failure> {
        let answer = self.http.get(format!("{}{path}", self.server.base)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Sends documents and waits until all of them are ready; answers how many passages they have.
    async fn take_in(&self, documents: usize) -> Result<u64, Failure> {
        let words: Vec<&str> = PROSE
            .split_whitespace()
            .filter(|word| word.len() < 20 && word.chars().all(char::is_alphabetic))
            .collect();
        let mut dice = Dice::new(20);
        let path = format!("{}/api/workspaces/{}/documents", self.server.base, self.workspace);
        let mut sent = vec![];
        for n in 0..documents {
            let part = multipart::Part::text(text(&mut dice, &words)).file_name(format!("{n}.txt"));
            let upload = self.http.post(&path).multipart(multipart::Form::new().part("file", part));
            let taken: Value = upload.send().await?.error_for_status()?.json().await?;
            let id = |value: &Value| value.as_str().map(str::to_owned).ok_or("a document was not taken");
            sent.push((id(&taken["job_id"])?, id(&taken["documents"][0]["document_id"])?));
        }
        let mut passages = 0;
        for (job, document) in &sent {
            self.ended(job).await?;
            let found = self.read(&format!("/api/documents/{document}")).await?;
            if found["status"] != "ready" {
                return Err(format!("a document is not ready: {found}").into());
            }
            passages += found["chunk_count"].as_u64().ok_or("a document without a count of its passages")?;
        }
        Ok(passages)
    }

    async fn ended(&self, job: &str) -> Result<(), Failure> {
        let path = format!("/api/jobs/{job}");
        let begun = Instant::now();
        loop {
            let now = self.read(&path).await?;
            match now["status"].as_str() {
                Some("completed") => return Ok(()),
                Some("pending" | "running") if begun.elapsed() < PATIENCE => {}
                _ => return Err(format!("a job did not come to its end: {now}").into()),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Sentences in paragraphs.
fn text(dice: &mut Dice, words: &[&str]) -> String {
    let mut text = String::with_capacity(LONG + 1_000);
    while text.len() < LONG {
        for _ in 0..2 + dice.below(6) {
            let sentence: Vec<&str> = (0..8 + dice.below(14)).map(|_| *dice.one_of(words)).collect();
            text.push_str(&sentence.join(" "));
            text.push_str(". ");
        }
        text.push_str("\n\n");
    }
    text
}
