//! The servers under test, each on a core of its own with its data in a folder of its own, gone when dropped.

use crate::{plan::Plan, redis::Redis, wire::Side};
use measure::{Failure, peer};
use serde_json::Value;
use std::{fmt, path::PathBuf, process::Stdio, sync::Arc};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// What the peers are made of; fetched by the bench, and no dependency of the product.
const PEER: [&str; 3] = ["socket.io@4.8.4", "bullmq@6.7.0", "ioredis@6.0.0"];
const BUN: [&str; 1] = ["bun@1.4.5"];

/// The peer cannot be had here.
#[derive(Debug)]
pub struct NoPeer(String);

impl fmt::Display for NoPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the peer cannot be had here: {}", self.0)
    }
}

impl std::error::Error for NoPeer {}

pub struct Server {
    pub side: Side,
    /// Host and port.
    pub addr: String,
    /// Of the session of each person.
    pub tokens: Vec<String>,
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    dir: Arc<TempDir>,
    redis: Option<Redis>,
}

impl Server {
    /// A side's server with so many people who are signed in.
    pub async fn start(side: Side, people: usize) -> Result<Self, Failure> {
        let dir = Arc::new(tempfile::tempdir()?);
        let command = match side {
            Side::Ours => {
                let mut command = peer::on_core(0, std::env::current_exe()?);
                set_up(&mut command, &dir).args(["--serve", "--people", &people.to_string()]);
                command
            }
            Side::Peer => peers(people)?,
        };
        let mut server = Self::run(side, command, dir).await?;
        server.read_tokens().await?;
        Ok(server)
    }

    /// The real program, with nothing of ours inside, and people whose accounts were made before it started.
    pub async fn product(people: usize) -> Result<Self, Failure> {
        let mut server = Self::start(Side::Ours, people).await?;
        server.again(None).await?;
        Ok(server)
    }

    /// Ends it, and starts the real program on what it left, or a peer's.
    pub async fn again(&mut self, peers: Option<std::process::Command>) -> Result<(), Failure> {
        self.child.kill().await?;
        let side = if peers.is_some() { Side::Peer } else { Side::Ours };
        let command = peers.unwrap_or_else(|| {
            let mut command = peer::on_core(0, env!("CARGO_BIN_EXE_insighthub"));
            set_up(&mut command, &self.dir).arg("serve");
            command
        });
        let tokens = std::mem::take(&mut self.tokens);
        *self = Self::run(side, command, self.dir.clone()).await?;
        self.tokens = tokens;
        Ok(())
    }

    /// The file of our database.
    pub fn database(&self) -> PathBuf {
        self.dir.path().join("insighthub.db")
    }

    /// The peer with a BullMQ job for each document, where there is a Redis.
    pub async fn peer_with_jobs(people: usize, documents: usize) -> Result<Self, Failure> {
        let dir = Arc::new(tempfile::tempdir()?);
        let mut command = peers(people)?;
        let redis = Redis::start(dir.path()).await?;
        if let Some(redis) = &redis {
            command.args([redis.port().to_string(), documents.to_string()]);
        }
        let mut server = Self::run(Side::Peer, command, dir).await?;
        server.redis = redis;
        server.read_tokens().await?;
        Ok(server)
    }

    /// Bun's own WebSockets, which say what Socket.IO says.
    pub async fn bun(people: usize) -> Result<Self, Failure> {
        let modules = peer::npm(&bun_home(), &BUN)?;
        let mut command = peer::on_core(0, modules.join(".bin/bun"));
        command.arg(script("bun.mjs")).arg(people.to_string());
        let mut server = Self::run(Side::Peer, command, Arc::new(tempfile::tempdir()?)).await?;
        server.read_tokens().await?;
        Ok(server)
    }

    async fn read_tokens(&mut self) -> Result<(), Failure> {
        let line = self.line().await?;
        let tokens = serde_json::from_str::<Value>(&line)?["tokens"].take();
        self.tokens = serde_json::from_value(tokens)?;
        Ok(())
    }

    async fn run(side: Side, mut command: std::process::Command, dir: Arc<TempDir>) -> Result<Self, Failure> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Command::from(command).kill_on_drop(true).spawn()?;
        let output = child.stdout.take().ok_or("the server has no output")?;
        let mut server = Self {
            side,
            addr: String::new(),
            tokens: vec![],
            input: child.stdin.take(),
            child,
            output: BufReader::new(output).lines(),
            dir,
            redis: None,
        };
        let line = server.line().await?;
        let addr = line.strip_prefix("listening on http://").ok_or("the server told no address")?;
        server.addr = addr.to_owned();
        Ok(server)
    }

    async fn line(&mut self) -> Result<String, Failure> {
        Ok(self.output.next_line().await?.ok_or("the server ended; its words are above")?)
    }

    /// Has the changes of a plan made.
    pub async fn tell(&mut self, plan: &Plan) -> Result<(), Failure> {
        self.say(&serde_json::to_string(plan)?).await
    }

    async fn say(&mut self, line: &str) -> Result<(), Failure> {
        let input = self.input.as_mut().ok_or("the server has no input")?;
        input.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(input.flush().await?)
    }

    /// Waits until all changes of the plan were made.
    pub async fn told(&mut self) -> Result<(), Failure> {
        self.line().await.map(drop)
    }

    /// Bytes of memory that the process holds.
    pub async fn memory(&mut self) -> Result<f64, Failure> {
        if self.side == Side::Peer {
            // Garbage that is still to be collected is no memory of a socket.
            self.say("{\"tidy\":true}").await?;
            self.told().await?;
        }
        let pid = self.child.id().ok_or("the server ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
    }

    /// Of our server's log.
    pub async fn epoch(&self) -> Result<String, Failure> {
        let token = self.tokens.first().ok_or("nobody is signed in")?;
        let http = reqwest::Client::builder().no_proxy().no_gzip().no_brotli().build()?;
        let asked = http.get(format!("http://{}/api/status/changes", self.addr));
        let asked = asked.header("cookie", format!("insighthub_session={token}"));
        let answer: Value = serde_json::from_slice(&asked.send().await?.bytes().await?)?;
        Ok(answer["epoch"].as_str().ok_or("the server told no epoch")?.to_owned())
    }

    /// Ends it, and waits until it is gone.
    pub async fn stop(mut self) -> Result<(), Failure> {
        if let Some(mut redis) = self.redis.take() {
            redis.stop().await?;
        }
        Ok(self.child.kill().await?)
    }
}

/// The peer's program.
fn peers(people: usize) -> Result<std::process::Command, Failure> {
    let modules = modules()?;
    let mut command = peer::on_core(0, "node");
    command.arg("--expose-gc").arg(script("peer.mjs")).arg(modules).arg(people.to_string());
    Ok(command)
}

fn script(name: &str) -> PathBuf {
    measure::package(env!("CARGO_MANIFEST_DIR")).join("benches/live").join(name)
}

fn bun_home() -> PathBuf {
    peer::cache().join("bench/bun")
}

/// Whether Bun was fetched: a hundred megabytes are too much for a run that only looks whether things work.
pub fn has_bun() -> bool {
    bun_home().join("ready").exists()
}

fn modules() -> Result<PathBuf, Failure> {
    peer::npm(&peer::cache().join("bench/live"), &PEER).map_err(|why| NoPeer(why.to_string()).into())
}

/// The settings of one of our servers.
fn set_up<'a>(command: &'a mut std::process::Command, dir: &TempDir) -> &'a mut std::process::Command {
    command
        .current_dir(dir.path())
        .env("INSIGHTHUB_ADDR", "127.0.0.1:0")
        .env("INSIGHTHUB_DATA_DIR", dir.path())
        .env("INSIGHTHUB_MAX_SIGN_UPS", "0")
        .env("INSIGHTHUB_MAX_STREAMS", "100000")
        .env("INSIGHTHUB_LOG", "error")
}
