//! P7: from the kill of the process that works on a job until the job moves again: of ours in a new process of the same
//! server (`P7`), of the peers in another worker that waits for work, all at their defaults. How long ours stands still is
//! a bound of its own (`P7-ours`). A peer of which nothing is heard in time counts with that time, since it is at least
//! that.

use crate::{
    embedder::{Embedder, MODEL},
    peers::{Broker, Peer},
};
use measure::{
    Failure,
    dice::Dice,
    peer,
    report::{self, Goal},
    stats,
};
use reqwest::{Client, header, multipart};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

const ROUNDS: usize = 7;
/// How long is waited for a peer.
const PATIENCE: Duration = Duration::from_secs(120);
/// Seconds.
const GOAL: f64 = 2.0;

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
    let line = |name: &str, peer: &[f64]| {
        let ratio = stats::compare(&ours, peer);
        report::line(name, "s", stats::median(&ours), stats::median(peer), ratio, Goal::AtMost(0.1))
    };
    let suffix = if smoke { report::SMOKE } else { "" };
    let lines = [
        report::bound_line("P7-ours", "s", stats::of_ratios(&ours), Goal::AtMost(GOAL)),
        line("P7-celery", &celery),
        line("P7", &bull),
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

fn serve(dir: &Path, port: u16, embedder: &str) -> Result<Running, Failure> {
    let child = peer::on_core(0, env!("CARGO_BIN_EXE_insighthub"))
        .arg("serve")
        .current_dir(dir)
        .env("INSIGHTHUB_ADDR", format!("127.0.0.1:{port}"))
        .env("INSIGHTHUB_DATA_DIR", dir)
        .env("INSIGHTHUB_LOG", "error")
        .env("EMBEDDINGS_URL", embedder)
        .env("EMBEDDINGS_MODELS", MODEL)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    Ok(Running(child))
}

/// A long text is embedded when the server is killed; whoever looks after it starts it anew. Until the model is asked again.
async fn our_round() -> Result<f64, Failure> {
    let dir = tempfile::tempdir()?;
    let embedder = Embedder::start(Dice::new(7)).await?;
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let mut server = serve(dir.path(), port, &embedder.url)?;
    let http = Client::builder().no_proxy().build()?;
    let base = format!("http://127.0.0.1:{port}");
    let patience = Instant::now() + Duration::from_secs(60);
    while http.get(format!("{base}/health/live")).send().await.is_err() {
        if Instant::now() > patience {
            return Err("the server does not come up".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let account = json!({ "username": "ada", "email": "ada@example.org", "password": "Correct-horse-1" });
    let answer = http.post(format!("{base}/api/auth/signup")).json(&account).send().await?;
    let cookie =
        answer.headers().get(header::SET_COOKIE).and_then(|v| v.to_str().ok()).ok_or("no session")?;
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    let read = async |path: &str| -> Result<Value, Failure> {
        let answer = http.get(format!("{base}{path}")).header(header::COOKIE, &cookie).send().await?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    };
    let workspaces = read("/api/workspaces").await?;
    let workspace = workspaces["items"][0]["id"].as_str().ok_or("no workspace")?.to_owned();
    let config = json!({ "embedding_model": MODEL });
    let saved = http.put(format!("{base}/api/workspaces/{workspace}/rag-config"));
    let saved = saved.header(header::COOKIE, &cookie).json(&config).send().await?;
    if !saved.status().is_success() {
        return Err(format!("the model was refused: {}", saved.text().await?).into());
    }
    let words: String = (0..60_000).map(|n| format!("word{n} ")).collect();
    let part = multipart::Part::bytes(words.into_bytes()).file_name("long.txt");
    let form = multipart::Form::new().part("file", part);
    let sent = http.post(format!("{base}/api/workspaces/{workspace}/documents"));
    let sent = sent.header(header::COOKIE, &cookie).multipart(form).send().await?;
    let sent: Value = serde_json::from_slice(&sent.bytes().await?)?;
    let document = sent["documents"][0]["document_id"].as_str().ok_or("nothing was taken")?.to_owned();
    let asked = async |more_than: u64| -> Result<(), Failure> {
        let patience = Instant::now() + Duration::from_secs(60);
        while embedder.texts() <= more_than {
            if Instant::now() > patience {
                return Err("nothing is embedded".into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    };
    asked(200).await?;
    server.0.kill()?;
    let killed = Instant::now();
    server.0.wait()?;
    // What was on its way to the model when it was killed is no new move.
    let before = embedder.texts();
    let _again = serve(dir.path(), port, &embedder.url)?;
    asked(before).await?;
    let stood = killed.elapsed().as_secs_f64();
    // Nothing was lost, and nothing is there twice.
    let patience = Instant::now() + Duration::from_secs(120);
    loop {
        let found = read(&format!("/api/documents/{document}")).await;
        if let Ok(found) = found.as_ref()
            && found["status"] == "ready"
        {
            let job = read(&format!("/api/jobs/{}", found["job_id"].as_str().unwrap_or_default())).await?;
            let metrics = &job["metrics"];
            if metrics["chunks_created"] != metrics["chunks_embedded"]
                || metrics["chunks_created"] != found["chunk_count"]
            {
                return Err(format!("something is there twice, or not at all: {job}").into());
            }
            return Ok(stood);
        }
        if Instant::now() > patience {
            return Err(format!("the document never became ready: {found:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
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
