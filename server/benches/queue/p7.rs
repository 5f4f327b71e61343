//! P7: from the kill of the process that works on a job until the job moves again: of ours in a new process of the same
//! server (`P7`), of the peers in another worker that waits for work, all at their defaults. How long ours stands still is
//! a bound of its own (`P7-ours`). A peer of which nothing is heard in time counts with that time, since it is at least
//! that. Where there are several servers, the other worker waits for ours as well, and takes the document over when its lease has
//! run out (`P7-several`).

use crate::{
    embedder::{Embedder, MODEL},
    peers::{Broker, Peer},
    several::{Installation, Services},
};
use measure::{
    Failure,
    dice::Dice,
    peer,
    report::{self, Goal},
    room::free_port,
    stats,
};
use reqwest::{Client, header, multipart};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const ROUNDS: usize = 7;
/// How long is waited for a peer.
const PATIENCE: Duration = Duration::from_secs(120);
/// Seconds.
const GOAL: f64 = 2.0;
const GOAL_OF_SEVERAL: f64 = 6.0;
/// Texts that the model has been asked for when the worker is killed: in the middle of the document.
const BEGUN: u64 = 200;

pub async fn measure(smoke: bool) -> Result<String, Failure> {
    let (rounds, patience) = if smoke { (1, Duration::from_secs(3)) } else { (ROUNDS, PATIENCE) };
    let (mut ours, mut bull, mut celery) = (vec![], vec![], vec![]);
    for _ in 0..rounds {
        ours.push(our_round().await?);
        bull.push(peer_round(Peer::BullMq, patience).await?);
        celery.push(peer_round(Peer::Celery, patience).await?);
        eprintln!(
            "  ours {:.2} s, BullMQ {:.1} s, Celery {:.1} s",
            ours[ours.len() - 1],
            bull[bull.len() - 1],
            celery[celery.len() - 1]
        );
    }
    let suffix = if smoke { report::SMOKE } else { "" };
    let lines = [
        report::bound_line("P7-ours", "s", stats::of_ratios(&ours), Goal::AtMost(GOAL)),
        report::compared("P7-celery", "s", &ours, &celery, Goal::AtMost(0.1)),
        report::compared("P7", "s", &ours, &bull, Goal::AtMost(0.1)),
    ];
    Ok(lines.map(|line| line + suffix).join("\n"))
}

/// Ends with its process.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(
    dir: &Path,
    port: u16,
    embedder: &str,
    role: &str,
    installation: Option<&Installation>,
) -> Result<Running, Failure> {
    let program = env!("CARGO_BIN_EXE_insighthub");
    let mut command = match installation {
        Some(_) => Command::new(program),
        None => peer::on_core(0, program),
    };
    command
        .args(["serve", "--role", role])
        .current_dir(dir)
        .env("INSIGHTHUB_ADDR", format!("127.0.0.1:{port}"))
        .env("INSIGHTHUB_DATA_DIR", dir)
        .env("INSIGHTHUB_LOG", "error")
        .env("EMBEDDINGS_URL", embedder)
        .env("EMBEDDINGS_MODELS", MODEL)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if let Some(installation) = installation {
        installation.tell(&mut command)?;
    }
    Ok(Running(command.spawn()?))
}

/// Waits until there is something.
async fn until<T>(what: &str, seconds: u64, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T, Failure> {
    let patience = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        if Instant::now() > patience {
            return Err(format!("not within {seconds} s: {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn is_up(http: &Client, port: u16) -> Result<(), Failure> {
    let address = format!("http://127.0.0.1:{port}/health/live");
    until("the server comes up", 60, async || http.get(&address).send().await.ok().map(drop)).await
}

/// Somebody with a workspace whose model is ours.
struct Desk {
    http: Client,
    base: String,
    cookie: String,
    workspace: String,
}

impl Desk {
    async fn open(port: u16) -> Result<Self, Failure> {
        let http = Client::builder().no_proxy().build()?;
        is_up(&http, port).await?;
        let base = format!("http://127.0.0.1:{port}");
        let account = json!({ "username": "ada", "email": "ada@example.org", "password": "Correct-horse-1" });
        let answer = http.post(format!("{base}/api/auth/signup")).json(&account).send().await?;
        let cookie =
            answer.headers().get(header::SET_COOKIE).and_then(|v| v.to_str().ok()).ok_or("no session")?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        let mut desk = Self { http, base, cookie, workspace: String::new() };
        let workspaces = desk.read("/api/workspaces").await?;
        desk.workspace = workspaces["items"][0]["id"].as_str().ok_or("no workspace")?.to_owned();
        let saved = desk.http.put(format!("{}/api/workspaces/{}/rag-config", desk.base, desk.workspace));
        let config = json!({ "embedding_model": MODEL });
        let saved = saved.header(header::COOKIE, &desk.cookie).json(&config).send().await?;
        if !saved.status().is_success() {
            return Err(format!("the model was refused: {}", saved.text().await?).into());
        }
        Ok(desk)
    }

    async fn read(&self, path: &str) -> Result<Value, Failure> {
        let asked = self.http.get(format!("{}{path}", self.base)).header(header::COOKIE, &self.cookie);
        Ok(serde_json::from_slice(&asked.send().await?.bytes().await?)?)
    }

    /// Sends a text that takes a while to embed; answers its document.
    async fn upload(&self) -> Result<String, Failure> {
        let words: String = (0..60_000).map(|n| format!("word{n} ")).collect();
        let part = multipart::Part::bytes(words.into_bytes()).file_name("long.txt");
        let form = multipart::Form::new().part("file", part);
        let sent = self.http.post(format!("{}/api/workspaces/{}/documents", self.base, self.workspace));
        let sent = sent.header(header::COOKIE, &self.cookie).multipart(form).send().await?;
        let sent: Value = serde_json::from_slice(&sent.bytes().await?)?;
        Ok(sent["documents"][0]["document_id"].as_str().ok_or("nothing was taken")?.to_owned())
    }

    /// Waits until the document is ready: nothing was lost, and nothing is there twice.
    async fn becomes_whole(&self, document: &str) -> Result<(), Failure> {
        let path = format!("/api/documents/{document}");
        let ready = until("the document becomes ready", 120, async || {
            self.read(&path).await.ok().filter(|found| found["status"] == "ready")
        });
        let found = ready.await?;
        let job = self.read(&format!("/api/jobs/{}", found["job_id"].as_str().unwrap_or_default())).await?;
        let metrics = &job["metrics"];
        if metrics["chunks_created"] != metrics["chunks_embedded"]
            || metrics["chunks_created"] != found["chunk_count"]
        {
            return Err(format!("something is there twice, or not at all: {job}").into());
        }
        Ok(())
    }
}

/// A long text is embedded when the server is killed; whoever looks after it starts it anew. Until the model is asked again.
async fn our_round() -> Result<f64, Failure> {
    let dir = tempfile::tempdir()?;
    let embedder = Embedder::start(Dice::new(7)).await?;
    let port = free_port()?;
    let mut server = serve(dir.path(), port, &embedder.url, "all", None)?;
    let desk = Desk::open(port).await?;
    let document = desk.upload().await?;
    let asked = async |more_than: u64| {
        until("the model is asked", 60, async || (embedder.texts() > more_than).then_some(())).await
    };
    asked(BEGUN).await?;
    server.0.kill()?;
    let killed = Instant::now();
    server.0.wait()?;
    // What was on its way to the model when it was killed is no new move.
    let before = embedder.texts();
    let _again = serve(dir.path(), port, &embedder.url, "all", None)?;
    asked(before).await?;
    let stood = killed.elapsed().as_secs_f64();
    desk.becomes_whole(&document).await?;
    Ok(stood)
}

pub async fn measure_several(smoke: bool) -> Result<String, Failure> {
    let (rounds, suffix) = if smoke { (1, report::SMOKE) } else { (ROUNDS, "") };
    let services = Services::start().await?;
    let mut stood = vec![];
    for _ in 0..rounds {
        stood.push(round_of_several(&services).await?);
        eprintln!("  ours {:.2} s", stood[stood.len() - 1]);
    }
    let goal = Goal::AtMost(GOAL_OF_SEVERAL);
    Ok(report::bound_line("P7-several", "s", stats::of_ratios(&stood), goal) + suffix)
}

/// Two workers wait for work, each with a model of its own. The one whose model is asked has the document and is killed. Until
/// the other one's is asked.
async fn round_of_several(services: &Arc<Services>) -> Result<f64, Failure> {
    let dir = tempfile::tempdir()?;
    let installation = services.installation().await?;
    let embedders = [Embedder::start(Dice::new(7)).await?, Embedder::start(Dice::new(8)).await?];
    let port = free_port()?;
    let _web = serve(dir.path(), port, &embedders[0].url, "web", Some(&installation))?;
    let desk = Desk::open(port).await?;
    let mut workers = vec![];
    for embedder in &embedders {
        let port = free_port()?;
        workers.push(serve(dir.path(), port, &embedder.url, "worker", Some(&installation))?);
        is_up(&desk.http, port).await?;
    }
    let document = desk.upload().await?;
    let begun = async || embedders.iter().position(|embedder| embedder.texts() > BEGUN);
    let holder = until("a model is asked", 60, begun).await?;
    let other = 1 - holder;
    let before = embedders[other].texts();
    workers[holder].0.kill()?;
    let killed = Instant::now();
    workers[holder].0.wait()?;
    let moved = async || (embedders[other].texts() > before).then_some(());
    until("the other one takes it over", 60, moved).await?;
    let stood = killed.elapsed().as_secs_f64();
    desk.becomes_whole(&document).await?;
    Ok(stood)
}

/// One worker has a job in hand and is killed; another one waits for work.
async fn peer_round(which: Peer, patience: Duration) -> Result<f64, Failure> {
    let broker = Broker::start().await?;
    let mut first = broker.run(which, &["work"])?;
    let at_start = Duration::from_secs(60);
    first.hears(at_start).await?.ok_or("the peer's worker does not come up")?;
    broker.run(which, &["add"])?.hears(at_start).await?.ok_or("the peer took no job")?;
    first.hears(at_start).await?.ok_or("the peer's worker begins nothing")?;
    let mut second = broker.run(which, &["work"])?;
    second.hears(at_start).await?.ok_or("the peer's second worker does not come up")?;
    first.kill().await?;
    let killed = Instant::now();
    let moved = second.hears(patience).await?;
    let stood = killed.elapsed().as_secs_f64();
    if moved.is_none() {
        eprintln!("  {which:?} left the job where it was for {stood:.0} s");
    }
    second.kill().await?;
    broker.stop().await?;
    Ok(stood)
}
