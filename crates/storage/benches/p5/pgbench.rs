//! The second peer: pgbench with 32 clients on PostgreSQL, each change in a transaction of its own, its commit on the
//! disk. Schema, rows and statements are the store's; what the store decides in Rust is written out beforehand.

use crate::{Bench, USERS};
use domain::{WorkspaceId, WorkspaceStatus};
use measure::Failure;
use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

pub const CLIENTS: usize = 32;

/// Names the database, and the folder in which its pgbench lies.
const URL: &str = "INSIGHTHUB_BENCH_POSTGRES_URL";
const BIN: &str = "INSIGHTHUB_BENCH_POSTGRES_BIN";

/// Changes a second.
pub async fn round(window: Duration) -> Result<f64, Failure> {
    let url = std::env::var(URL).map_err(|_| format!("{URL} names the PostgreSQL to measure"))?;
    let program = std::env::var(BIN).map_or_else(|_| "pgbench".to_owned(), |bin| format!("{bin}/pgbench"));
    let bench = Bench::on_postgres(&url, CLIENTS).await?;
    bench.store.close().await;
    let mut script = tempfile::NamedTempFile::new()?;
    script.write_all(script_of(&bench)?.as_bytes())?;
    let before = bench.logged().await?;
    let mut command = Command::new(program);
    command
        .args(["--no-vacuum", "--protocol", "prepared", "--jobs", "2"])
        .args(["--client", &CLIENTS.to_string(), "--time", &window.as_secs().max(1).to_string(), "--file"])
        .arg(script.path())
        .arg(&url);
    let output = command.stderr(Stdio::inherit()).output()?;
    let said = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        return Err(format!("pgbench failed:\n{said}").into());
    }
    let number = |before: &str, after: &str| -> Result<f64, Failure> {
        let line =
            said.lines().find_map(|line| line.strip_prefix(before)).ok_or("pgbench told no figures")?;
        let text = line.split(after).next().unwrap_or_default().trim();
        Ok(text.parse().map_err(|_| format!("pgbench told no number, but {line}"))?)
    };
    let made = number("number of transactions actually processed:", "/")? as u64;
    let logged = bench.logged().await? - before;
    if logged != made {
        return Err(format!("{made} changes were acknowledged, {logged} are in the log").into());
    }
    number("tps =", "(")
}

/// One change of the client's own workspace. The number of the event is taken last, as by the store: it locks what all
/// changes of a person share.
fn script_of(bench: &Bench) -> Result<String, Failure> {
    let first = bench.workspaces.first().ok_or("no workspaces")?.uuid().as_u128();
    let user = bench.users.first().ok_or("no users")?.uuid().as_u128();
    let step = bench.users.get(1).ok_or("too few users")?.uuid().as_u128() - user;
    let event = bench.event(WorkspaceId::new(uuid::Uuid::from_u128(first)), WorkspaceStatus::Ready, 1)?;
    let (frame, actor) = (quoted(std::str::from_utf8(&event.frame)?), quoted(crate::ACTOR));
    // Ids are small numbers written as UUIDs.
    let id = |number: &str| format!("'00000000-0000-0000-0000-' || lpad(to_hex({number}::int), 12, '0')");
    let (workspace, user_id) = (id(":w"), id(":u"));
    Ok(format!(
        "\\set w {first} + :client_id\n\
         \\set u {user} + {step} * (:client_id % {USERS})\n\
         BEGIN;\n\
         SELECT w.user_id, w.status, w.name, COUNT(d.id), COUNT(CASE WHEN d.status = 'ready' THEN 1 END), \
         COUNT(CASE WHEN d.status IN ('pending', 'processing') THEN 1 END), \
         COUNT(CASE WHEN d.status = 'failed' THEN 1 END), \
         CAST(COALESCE(SUM(d.chunk_count), 0) AS BIGINT), CAST(COALESCE(SUM(d.size_bytes), 0) AS BIGINT) \
         FROM workspaces w LEFT JOIN documents d ON d.workspace_id = w.id \
         WHERE w.id = {workspace} GROUP BY w.id;\n\
         INSERT INTO user_seq (user_id, seq) VALUES ({user_id}, 1) \
         ON CONFLICT (user_id) DO UPDATE SET seq = user_seq.seq + excluded.seq RETURNING seq \\gset\n\
         UPDATE workspaces SET status = 'ready', status_message = NULL, updated_at = 1, rev = :seq \
         WHERE id = {workspace};\n\
         INSERT INTO events (user_id, seq, at, name, entity, document_id, job_id, workspace_id, progress, data, \
         status_from, status_to, actor) VALUES ({user_id}, :seq, 1, '{}', 'workspace:' || {workspace}, NULL, NULL, \
         {workspace}, 0, {frame}, 'ready', 'ready', {actor});\n\
         COMMIT;\n",
        event.name,
    ))
}

/// A text without colons, after which pgbench would look for the name of a variable.
fn quoted(text: &str) -> String {
    format!("U&'{}'", text.replace('\\', r"\\").replace('\'', "''").replace(':', r"\003A"))
}
