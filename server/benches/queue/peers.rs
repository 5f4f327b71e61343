//! The peers: BullMQ by Node.js and Celery by Python, on one Redis that answers when all is on the disk.

use crate::{ours::Found, redis::Redis};
use measure::{Failure, peer};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::Value;
use std::{fmt, path::PathBuf, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// Fetched by the bench, and no dependency of the product.
const NPM: [&str; 2] = ["bullmq@6.7.0", "ioredis@6.0.0"];
const PYPI: [&str; 1] = ["celery[redis]"];
/// What their programs say, but for the figures.
const WORDS: [&str; 3] = ["ready", "begun", "added"];

/// A peer cannot be had here.
#[derive(Debug)]
pub struct NoPeer(String);

impl fmt::Display for NoPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a peer cannot be had here: {}", self.0)
    }
}

impl std::error::Error for NoPeer {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    BullMq,
    Celery,
}

/// A fresh Redis, whose data lie on a disk.
pub struct Broker {
    redis: Redis,
    _folder: TempDir,
}

impl Broker {
    pub async fn start() -> Result<Self, Failure> {
        let home = peer::cache().join("bench");
        std::fs::create_dir_all(&home)?;
        let folder = tempfile::tempdir_in(home)?;
        let redis = Redis::start(folder.path()).await.map_err(|why| NoPeer(why.to_string()))?;
        let redis = redis.ok_or_else(|| NoPeer("there is no Redis".to_owned()))?;
        Ok(Self { redis, _folder: folder })
    }

    pub async fn stop(mut self) -> Result<(), Failure> {
        self.redis.stop().await
    }

    /// A program of the peer, which says a line at a time what happens.
    pub fn run(&self, which: Peer, args: &[&str]) -> Result<Program, Failure> {
        let script =
            |name: &str| measure::package(env!("CARGO_MANIFEST_DIR")).join("benches/queue").join(name);
        let missing = |why: Failure| NoPeer(why.to_string());
        let mut command = match which {
            Peer::BullMq => {
                let modules: PathBuf =
                    peer::npm(&peer::cache().join("bench/bullmq"), &NPM).map_err(missing)?;
                let mut command = peer::on_core(1, "node");
                command.arg(script("bullmq.mjs")).arg(modules);
                command
            }
            Peer::Celery => {
                let python = peer::python(&peer::cache().join("bench/celery"), &PYPI).map_err(missing)?;
                let mut command = peer::on_core(1, python);
                command.arg(script("celery_peer.py"));
                command
            }
        };
        command.arg(self.redis.port().to_string()).args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = Command::from(command).process_group(0).kill_on_drop(true).spawn()?;
        let group = child.id().ok_or("the peer ended at once")?;
        let output = child.stdout.take().ok_or("the peer has no output")?;
        Ok(Program { child, group: Pid::from_raw(group.try_into()?), lines: BufReader::new(output).lines() })
    }
}

/// A process of a peer, and those that it starts.
pub struct Program {
    child: Child,
    group: Pid,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// What it says next; `None` when it says nothing for so long. What it prints besides is no word of its own.
    pub async fn hears(&mut self, patience: Duration) -> Result<Option<String>, Failure> {
        let next = async {
            loop {
                let line = self.lines.next_line().await?.ok_or("the peer ended; its words are above")?;
                if WORDS.contains(&line.as_str()) || line.starts_with('{') {
                    return Ok::<_, Failure>(line);
                }
            }
        };
        timeout(patience, next).await.ok().transpose()
    }

    /// As a power cut ends it.
    pub async fn kill(mut self) -> Result<(), Failure> {
        self.end();
        self.child.wait().await?;
        Ok(())
    }

    /// A worker of Celery's that outlives its parent asks for its Redis for most of an hour, and whoever waits for all that
    /// holds the output of the bench waits with it.
    fn end(&self) {
        // One that is gone already is no problem.
        let _ = killpg(self.group, Signal::SIGKILL);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Until it was waited for, its number is nobody else's.
        if self.child.id().is_some() {
            self.end();
        }
    }
}

/// The same as our round.
pub async fn round(which: Peer, seconds: f64) -> Result<Found, Failure> {
    let broker = Broker::start().await?;
    let mut program = broker.run(which, &["p6", &seconds.to_string()])?;
    let patience = Duration::from_secs_f64(120.0 + 5.0 * seconds);
    let line = program.hears(patience).await?.ok_or("the peer did not come to its end")?;
    let said: Value = serde_json::from_str(&line)?;
    let number = |name: &str| said[name].as_f64().ok_or_else(|| format!("the peer told no {name}: {line}"));
    let found = Found { rate: number("rate")?, start: number("start")? };
    if said["added"] != said["done"] {
        return Err(format!("the peer lost something: {line}").into());
    }
    program.kill().await?;
    broker.stop().await?;
    Ok(found)
}
